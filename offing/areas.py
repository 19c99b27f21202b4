"""Areas by name or TOML file: where to look, when, and what to compare with."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from imagery.aoi import AreaOfInterest
from offing.errors import ConfigError

_KEYS = ("name", "title", "bbox", "wkt", "geojson", "from", "to", "reference", "control", "land")


@dataclass(frozen=True, kw_only=True)
class Period:
    """A stretch of time.

    Attributes:
        start: UTC, included.
        end: UTC, excluded.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse a period that ends before it starts."""
        if self.end <= self.start:
            raise ConfigError(
                f"the period from {self.start:%Y-%m-%d} to {self.end - timedelta(days=1):%Y-%m-%d} ends before it "
                "starts; give --from no later than --to"
            )

    @classmethod
    def of_days(cls, first: date, last: date) -> Period:
        """The whole days from first to last, both included, UTC."""
        start, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, last))
        return cls(start=start, end=end + timedelta(days=1))


def search_bounds(period: Period | None, *, needed: bool) -> tuple[datetime, datetime]:
    """Start and end of a search; all of time where no period is given.

    Raises:
        ConfigError: if a period is needed and not given.
    """
    if period is not None:
        return period.start, period.end
    if needed:
        raise ConfigError("this source needs dates; give --from and --to, or from and to in the area file")
    return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class AreaConfig:
    """What an area file says.

    Attributes:
        area: the place.
        title: one line for people.
        period: the dates to score by default, None if the user must say.
        reference: earlier periods that the default one is compared with.
        control: name of the area whose rates stand beside this one's, empty if none.
        land: ``osm``, or the path of a GeoJSON of land polygons.
    """

    area: AreaOfInterest
    title: str = ""
    period: Period | None = None
    reference: tuple[Period, ...] = ()
    control: str = ""
    land: str = "osm"


def shipped_areas() -> tuple[str, ...]:
    """Names of the areas that come with offing, sorted."""
    files = resources.files("offing").joinpath("areas_data").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_area(name_or_file: str) -> AreaConfig:
    """Read an area.

    Args:
        name_or_file: a shipped name such as ``haeju``, or the path of a TOML file.

    Returns:
        The area's configuration.

    Raises:
        ConfigError: if it does not exist, is not TOML, has an unknown key or a value of the wrong type.
        AreaError: if its geometry cannot be used.
    """
    if name_or_file in shipped_areas():
        text = resources.files("offing").joinpath("areas_data", f"{name_or_file}.toml").read_text(encoding="utf-8")
        return parse_area(text, where=f"area {name_or_file}", folder=Path())
    path = Path(name_or_file)
    if not path.is_file():
        raise ConfigError(
            f"there is no area or file {name_or_file!r}; give a TOML file or one of {', '.join(shipped_areas())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a TOML file: {error}") from error
    return parse_area(text, where=str(path), folder=path.parent)


def parse_area(text: str, *, where: str, folder: Path) -> AreaConfig:
    """Read an area from TOML text; files that it names are relative to ``folder``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from error
    if unknown := sorted(set(table) - set(_KEYS)):
        raise ConfigError(f"{where} has the unknown key {unknown[0]!r}; known keys are {', '.join(_KEYS)}")
    name = _typed(table, "name", str, where)
    land = _typed(table, "land", str, where, "osm")
    references = _typed(table, "reference", list, where, [])
    if not all(isinstance(r, dict) and set(r) == {"from", "to"} for r in references):
        raise ConfigError(f"{where}: reference must be a list of {{from = DATE, to = DATE}}")
    return AreaConfig(
        area=_geometry(table, name, where, folder),
        title=_typed(table, "title", str, where, ""),
        period=_period(table, where) if "from" in table or "to" in table else None,
        reference=tuple(_period(r, where) for r in references),
        control=_typed(table, "control", str, where, ""),
        land=land if land == "osm" else str(folder / land),
    )


def _typed(table: dict[str, Any], key: str, kind: type, where: str, default: Any = None) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        state = "is missing" if key not in table else f"is {value!r}"
        raise ConfigError(f"{where}: {key} {state}; it must be a {kind.__name__}")
    return value


def _period(table: dict[str, Any], where: str) -> Period:
    days = [table.get(key) for key in ("from", "to")]
    if any(type(day) is not date for day in days):
        raise ConfigError(
            f"{where}: a period needs both from and to as dates such as 2019-03-01, got {days[0]} and {days[1]}"
        )
    return Period.of_days(days[0], days[1])  # type: ignore[arg-type]  # checked above


def _geometry(table: dict[str, Any], name: str, where: str, folder: Path) -> AreaOfInterest:
    given = [key for key in ("bbox", "wkt", "geojson") if key in table]
    if len(given) != 1:
        raise ConfigError(f"{where} needs exactly one of bbox = [W, S, E, N], wkt = '...' or geojson = 'FILE'")
    if given == ["bbox"]:
        bbox = table["bbox"]
        if not (isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(v, int | float) for v in bbox)):
            raise ConfigError(f"{where}: bbox is {bbox!r}; give four numbers [W, S, E, N] in degrees")
        return AreaOfInterest.from_bbox(name, *bbox)
    text = _typed(table, given[0], str, where)
    if given == ["wkt"]:
        return AreaOfInterest.from_wkt(name, text)
    path = folder / text
    try:
        return AreaOfInterest.from_geojson(name, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: the geojson file {path} cannot be read: {error}") from error
