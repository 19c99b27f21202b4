"""The source of scenes that a command names."""

from __future__ import annotations

from pathlib import Path

from imagery.aoi import AreaOfInterest
from imagery.fetchers.base import Fetcher
from imagery.land import Land, geojson_land, osm_land
from offing.areas import AreaConfig, Period
from offing.errors import ConfigError


def open_source(text: str, area: AreaOfInterest, period: Period | None) -> Fetcher:
    """Open a source of scenes.

    Args:
        text: ``simulated``, ``simulated:SEED`` or ``folder:DIR``.
        area: the area, which a simulation is made for.
        period: the dates, which a simulation is made for.

    Returns:
        The source.

    Raises:
        ConfigError: if there is no such source.
        SourceError: if it cannot be used.
    """
    kind, _, rest = text.partition(":")
    if kind == "folder" and rest:
        from imagery.fetchers.folder import FolderSource

        return FolderSource(Path(rest))
    if kind == "simulated" and (rest.isdigit() or not rest):
        from imagery.simulate import SimulatedSource

        if period is None:
            raise ConfigError("a simulated season needs dates; give --from and --to")
        return SimulatedSource(area=area, seed=int(rest or 0), start=period.start, end=period.end)
    if kind in ("sentinelhub", "stac"):
        raise ConfigError(
            f"the source {kind} is not in this version; use folder:DIR with your own scenes, or simulated"
        )
    raise ConfigError(f"there is no source {text!r}; use folder:DIR or simulated[:SEED]")


def open_land(config: AreaConfig, source: Fetcher) -> Land | None:
    """The land of an area: what the source knows (a simulation knows its own), else what the area file names.

    Returns:
        The land, or None where OpenStreetMap polygons are wanted but not installed: a degraded run that must say so.

    Raises:
        SourceError: if a named land file cannot be read.
    """
    from imagery.simulate import SimulatedSource

    if isinstance(source, SimulatedSource):
        return Land(polygons=source.land, source="simulated coast")
    if config.land != "osm":
        return geojson_land(Path(config.land), config.area)
    return osm_land_if_installed(config.area)


def osm_land_if_installed(area: AreaOfInterest) -> Land | None:
    """OpenStreetMap land around an area, None where the extra ``land`` is not installed."""
    from importlib.util import find_spec

    return osm_land(area) if find_spec("roaring_landmask") else None
