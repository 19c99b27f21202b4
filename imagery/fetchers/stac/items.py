"""What a STAC item says of a scene, whoever wrote it: sensor, time, place, track."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urljoin

from affine import Affine
from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError, ImageryError, SourceError
from imagery.fetchers.base import SceneRef
from imagery.fetchers.stac.search import Json
from imagery.geometry import Grid, wrap_lon
from imagery.orbit import Direction, Platform
from imagery.orbit_model import OrbitModel
from imagery.products.landsat import landsat_acquisition, landsat_sensor
from imagery.products.sentinel2 import LEVEL_SENSORS, Sentinel2Id, parse_id
from imagery.sensors import SENSORS, SENTINEL1_IW_GRD, SENTINEL2, Sensor

# An interval longer than this is not that of one scene (a slice of Sentinel-1 has 25 s, a whole datatake some minutes).
_LONGEST_SCENE = timedelta(minutes=15)
_SAME_TIME = timedelta(seconds=1.5)  # names of Sentinel-2 products drop the fraction of the second
_MISSION = re.compile(r"(sentinel-?[12]|landsat)")
_ID_MISSION = re.compile(r"(S[12])[A-D]?_|(L[COTE]0\d)_", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class StacItem:
    """One item that can be a scene.

    Attributes:
        ref: the scene, its time the item's own: that of the middle of what it shows.
        mission: ``sentinel-1``, ``sentinel-2`` or ``landsat``.
        collection: id of its collection.
        properties: as the item has them.
        assets: likewise, by key, addresses made absolute.
        relative_orbit, direction: of the pass, None where not stated.
        datatake_time: UTC start of the datatake, where that is all that the item says of its time.
        time_sigma_s: one-sigma error of the time, seconds.
    """

    ref: SceneRef
    mission: str
    collection: str
    properties: Mapping[str, Any] = field(repr=False)
    assets: Mapping[str, Json] = field(repr=False)
    relative_orbit: int | None = None
    direction: Direction | None = None
    datatake_time: datetime | None = None
    time_sigma_s: float = 5.0

    @property
    def sensor(self) -> Sensor:
        """What took it."""
        return SENSORS[self.ref.sensor_name]

    @property
    def middle(self) -> tuple[float, float]:
        """Longitude and latitude of the middle of what it shows, degrees."""
        return _middle(self.ref.footprint)


def read_item(item: Json) -> StacItem:
    """Read an item.

    Args:
        item: the item as JSON.

    Raises:
        SourceError: if it does not say what it shows, where or when.
        UnitError: if it is of a Landsat or a level that is not read.
    """
    scene_id, collection = str(item.get("id") or "?"), str(item.get("collection") or "")
    name = f"{collection}/{scene_id}" if collection else scene_id
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise SourceError(f"{name} has no properties")
    mission = _mission(properties, collection, scene_id)
    if mission is None:
        raise SourceError(f"{name} says of no known satellite; its platform is {properties.get('platform')!r}")
    footprint = _footprint(item.get("geometry"), name)
    time, sigma_s = _time(properties, name)
    orbit = properties.get("sat:relative_orbit")
    direction = properties.get("sat:orbit_state")
    relative_orbit = orbit if isinstance(orbit, int) and not isinstance(orbit, bool) else None
    assets = _assets(item, name)
    sensor, datatake_time = SENTINEL1_IW_GRD, None
    if mission == "sentinel-2":
        known = list(_sentinel2_names(item))
        sensor = _sentinel2_sensor(properties, collection, known)
        if relative_orbit is None:
            relative_orbit = next((each.relative_orbit for each in known if each.relative_orbit), None)
        if any(each.datatake_time and abs(each.datatake_time - time) < _SAME_TIME for each in known):
            datatake_time = time
            time, sigma_s = _time_of_place(time, relative_orbit, footprint, name), 10.0
    elif mission == "landsat":
        sensor, acquired = landsat_sensor(properties, assets), landsat_acquisition(properties)
        time, sigma_s = acquired.time or time, acquired.time_sigma_s
    return StacItem(
        ref=SceneRef(id=scene_id, sensor_name=sensor.name, time=time, footprint=footprint),
        mission=mission,
        collection=collection,
        properties=properties,
        assets=assets,
        relative_orbit=relative_orbit,
        direction=direction if direction in get_args(Direction) else None,
        datatake_time=datatake_time,
        time_sigma_s=sigma_s,
    )


def _mission(properties: Mapping[str, Any], collection: str, scene_id: str) -> str | None:
    for text in (properties.get("platform"), properties.get("constellation"), collection):
        if match := _MISSION.match(str(text or "").lower()):
            return match[1] if "-" in match[1] or match[1] == "landsat" else f"{match[1][:-1]}-{match[1][-1]}"
    if match := _ID_MISSION.match(scene_id):
        return "landsat" if match[2] else f"sentinel-{match[1][1]}"
    return None


def _footprint(geometry: object, name: str) -> MultiPolygon:
    """Outline in [-180, 180]; one whose longitudes jump there is mended."""
    if not isinstance(geometry, Mapping):
        raise SourceError(f"{name} has no geometry")
    try:
        return AreaOfInterest.from_geojson(name, geometry).polygon
    except AreaError as error:
        raise SourceError(f"{name} has a geometry that cannot be used ({error})") from None


def _time(properties: Mapping[str, Any], name: str) -> tuple[datetime, float]:
    """The middle of the stated interval, else the stated time, and its one-sigma error in seconds.

    A catalogue may give the start of a Sentinel-1 slice as its ``datetime`` (Copernicus Data Space does) or its middle
    (Planetary Computer, Earth Search), so that the interval goes first.
    """
    start, end = (_moment(properties.get(f"{side}_datetime"), name) for side in ("start", "end"))
    stated = _moment(properties.get("datetime"), name)
    if start is not None and end is not None and start < end:
        length = end - start
        if length <= _LONGEST_SCENE:
            return start + length / 2, 1.0
        if stated is None:
            return start + length / 2, length.total_seconds() / 12**0.5
    time = stated or start or end
    if time is None:
        raise SourceError(f"{name} does not say when it was taken")
    return time, 5.0


def _moment(text: object, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise SourceError(f"{name} has a time {str(text)[:40]!r}, which is none") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _sentinel2_names(item: Json) -> Iterator[Sentinel2Id]:
    """What the names in an item say."""
    properties = item["properties"]
    for text in (
        properties.get("s2:product_uri"),
        properties.get("sentinel:product_id"),
        item.get("id"),
        properties.get("title"),
        properties.get("s2:granule_id"),
    ):
        if known := parse_id(str(text or "")):
            yield known


def _sentinel2_sensor(properties: Mapping[str, Any], collection: str, known: list[Sentinel2Id]) -> Sensor:
    stated = f"{collection} {properties.get('processing:level') or ''} {properties.get('product:type') or ''}".upper()
    if known:
        return LEVEL_SENSORS[known[0].level]
    if "L2A" in stated or "S2MSI2A" in stated:
        return LEVEL_SENSORS["L2A"]
    if "L1C" in stated or "S2MSI1C" in stated:
        return LEVEL_SENSORS["L1C"]
    return SENTINEL2


def _time_of_place(datatake: datetime, relative_orbit: int | None, footprint: MultiPolygon, name: str) -> datetime:
    """When the satellite, on its track since the datatake began, saw the middle of a footprint."""
    if relative_orbit is None:
        raise SourceError(f"{name} gives the start of its datatake only, and no relative orbit to date its place by")
    try:
        model = OrbitModel(
            platform="sentinel-2",
            geometry=_spot(footprint),
            time=datatake,
            time_refers_to="datatake",
            relative_orbit=relative_orbit,
        )
    except ImageryError as error:
        raise SourceError(f"{name} contradicts itself: {error}") from None
    seen: datetime = model.at(0.0, 0.0).time.astype("datetime64[us]").item()
    return seen.replace(tzinfo=UTC)


def _spot(footprint: MultiPolygon) -> Grid:
    """One pixel in the middle of a footprint."""
    lon, lat = _middle(footprint)
    side_deg = 1e-3
    transform = Affine(side_deg, 0.0, lon - side_deg / 2, 0.0, -side_deg, lat + side_deg / 2)
    return Grid.from_crs("EPSG:4326", transform, (1, 1))


def _middle(footprint: MultiPolygon) -> tuple[float, float]:
    centre = AreaOfInterest(name="footprint", polygon=footprint).unwrapped.centroid
    return float(wrap_lon(centre.x)), float(centre.y)


def _assets(item: Json, name: str) -> dict[str, Json]:
    """Assets that have an address, made absolute."""
    assets = item.get("assets")
    if not isinstance(assets, Mapping):
        raise SourceError(f"{name} has no assets")
    base = next((str(link.get("href")) for link in item.get("links") or () if link.get("rel") == "self"), "")
    return {
        str(key): {**asset, "href": urljoin(base, asset["href"]) if "://" not in asset["href"] else asset["href"]}
        for key, asset in assets.items()
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str)
    }


def orbit_model(item: StacItem, platform: Platform, geometry: Grid) -> OrbitModel:
    """The acquisition geometry that an item's place, time and track give.

    A time that is that of the middle of what the item shows is first carried to the middle of the grid, most of which
    may hold no data.

    Raises:
        ImageryError: if time, place and track contradict each other.
    """
    if item.datatake_time is not None:
        return OrbitModel(
            platform=platform,
            geometry=geometry,
            time=item.datatake_time,
            time_refers_to="datatake",
            relative_orbit=item.relative_orbit,
            direction=item.direction,
        )
    return centred_model(item, platform, geometry, item.ref.time, item.time_sigma_s)


def centred_model(
    item: StacItem, platform: Platform, geometry: Grid, time: datetime, time_sigma_s: float
) -> OrbitModel:
    """The same, for a known time of the middle of what the item shows."""

    def model(centre_time: datetime) -> OrbitModel:
        return OrbitModel(
            platform=platform,
            geometry=geometry,
            time=centre_time,
            time_sigma_s=time_sigma_s,
            relative_orbit=item.relative_orbit,
            direction=item.direction,
        )

    first = model(time)
    height, width = geometry.shape_hw
    row, col = geometry.rowcol(*item.middle)
    late = first.at(row, col).time - first.at((height - 1) / 2.0, (width - 1) / 2.0).time
    late_us = late.astype("timedelta64[us]").item()
    return model(time - late_us) if abs(late_us) <= timedelta(minutes=1) else first
