"""The source of scenes that a command names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeGuard

from imagery.aoi import AreaOfInterest
from imagery.errors import SourceError
from imagery.fetchers.base import Fetcher, RemoteFetcher, SceneRef
from imagery.land import Land, geojson_land, osm_land
from offing.areas import AreaConfig, Period
from offing.errors import ConfigError

TileProgress = Callable[[str, int, int], None]


def open_source(text: str, area: AreaOfInterest, period: Period | None, on_tile: TileProgress | None = None) -> Fetcher:
    """Open a source of scenes; one far away is read through the cache.

    Args:
        text: ``simulated[:SEED]``, ``folder:DIR``, ``sentinelhub`` or ``stac:URL``; the last two may name collections,
            as in ``stac:URL#sentinel-1-rtc,landsat-c2-l2``.
        area: the area, which a simulation is made for.
        period: the dates, which a simulation is made for.
        on_tile: called with (scene id, tiles done, tiles in all) while a scene is fetched from far away.

    Returns:
        The source.

    Raises:
        ConfigError: if there is no such source.
        SourceError: if it cannot be used.
    """
    named, _, fragment = text.partition("#")
    kind, _, rest = named.partition(":")
    if kind in ("sentinelhub", "stac"):
        collections = tuple(name.strip() for name in fragment.split(",") if name.strip()) or None
        return _cached(_far_away(kind, rest, collections, text), on_tile)
    if kind == "folder" and rest:
        from imagery.fetchers.folder import FolderSource

        return FolderSource(Path(text.removeprefix("folder:")))
    if kind == "simulated" and (rest.isdigit() or not rest):
        from imagery.simulate import SimulatedSource

        if period is None:
            raise ConfigError("a simulated season needs dates; give --from and --to")
        return SimulatedSource(area=area, seed=int(rest or 0), start=period.start, end=period.end)
    raise _no_such_source(text)


def _far_away(kind: str, rest: str, collections: tuple[str, ...] | None, text: str) -> RemoteFetcher:
    if kind == "stac" and rest.startswith(("http://", "https://")):
        from imagery.fetchers.stac import StacSource

        return StacSource(url=rest, collections=collections)
    if kind == "sentinelhub" and not rest:
        from imagery.fetchers.sentinelhub import SentinelHubSource

        return SentinelHubSource.from_environment(collections)
    raise _no_such_source(text)


def _cached(source: RemoteFetcher, on_tile: TileProgress | None) -> Fetcher:
    from imagery.fetchers.cache import CachedFetcher, TileStore

    return CachedFetcher(inner=source, store=TileStore.default(), progress=on_tile)


def is_remote(source: Fetcher) -> TypeGuard[RemoteFetcher]:
    """True for a source whose scenes must be fetched from far away, and cost something."""
    return hasattr(source, "cost")


def public_name(text: str) -> str:
    """A source as it may be printed: without a name, password or query in its address."""
    kind, _, rest = text.partition(":")
    if "://" not in rest:
        return text
    address, _, fragment = rest.partition("#")
    scheme, _, path = address.partition("?")[0].partition("://")
    host, slash, tail = path.partition("/")
    return f"{kind}:{scheme}://{host.rpartition('@')[2]}{slash}{tail}" + (f"#{fragment}" if fragment else "")


def check_found(refs: Sequence[SceneRef], source: Fetcher, text: str, area: AreaOfInterest, when: str) -> None:
    """Refuse an empty search, which says nothing of the sea.

    Raises:
        SourceError: if there is no scene; says what was skipped, if anything was.
    """
    if not refs:
        skipped = skipped_by(source)
        why = f"; {len(skipped)} were skipped, the first: {skipped[0]}" if skipped else ""
        raise SourceError(f"the source {public_name(text)} has no scene of {area.name!r} {when}{why}")


def skipped_by(source: Fetcher) -> tuple[str, ...]:
    """A sentence for each scene that the source lists and cannot give."""
    return tuple(getattr(source, "skipped", ()))


def _no_such_source(text: str) -> ConfigError:
    return ConfigError(
        f"there is no source {public_name(text)!r}; use folder:DIR, sentinelhub, stac:URL (https://...) or "
        "simulated[:SEED]"
    )


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
