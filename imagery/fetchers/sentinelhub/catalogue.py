"""What Sentinel Hub holds of an area: products found in its catalogue, gathered into passes.

A satellite sees an area once per pass, but the catalogue lists the pass in slices of 25 s (Sentinel-1) or tiles of
110 km (Sentinel-2), some of them twice (a quick and a careful processing). Sentinel Hub mosaics them all, so one pass
is one scene: products of one satellite, one datatake and one direction that follow each other within a minute. Two
passes of one day are two scenes; days play no part.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry
from shapely.geometry import MultiPolygon, Polygon, box, shape

from imagery.aoi import AreaOfInterest
from imagery.errors import FetchError
from imagery.fetchers.base import SceneRef
from imagery.fetchers.sentinelhub.client import Client
from imagery.geometry import metres_per_degree, split_at_antimeridian
from imagery.orbit import Direction
from imagery.products.sentinel2 import parse_id, tile_epsg
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2
from imagery.utm_tiles import UtmZone

SENTINEL1 = "sentinel-1-grd"
SENTINEL2_L2A = "sentinel-2-l2a"
SENTINEL2_L1C = "sentinel-2-l1c"
COLLECTIONS = (SENTINEL1, SENTINEL2_L2A, SENTINEL2_L1C)

# Products so far apart in time belong to different scenes, and Process requests reach so far beyond a scene's products.
SAME_PASS = timedelta(seconds=60)
# Products beyond the area, and beyond the dates asked for, that a scene at their edge may hold.
_BEYOND_M = 100_000.0
_BEYOND_TIME = timedelta(minutes=10)
_PAGE = 100  # the most that the catalogue gives at once (OpenAPI description, CatalogItemSearchLimit)
_MOST_PRODUCTS = 100_000  # a catalogue that goes on beyond this is broken
_FIELDS = ("id", "geometry", "properties.datetime", "properties.sat:orbit_state", "properties.s1:timeliness")

# Best first: of one slice processed twice, the earlier entry counts (names: OpenAPI description, S1Filtering).
_TIMELINESS = ("Reprocessing", "ArchNormal", "Offline", "Fast24h", "NRT3h", "NRT1h", "NRT10m")
_TIME = "%Y%m%dT%H%M%S"
# ESA, Sentinel-1 Product Specification S1-RS-MDA-52-7441, section 3.1.
_SENTINEL1_NAME = re.compile(
    r"(?P<mission>S1[A-D])_IW_GRDH_1S(?P<polarisation>DV|SV)_(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})"
    r"_(?P<orbit>\d{6})_(?P<datatake>[0-9A-F]{6})"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Product:
    """One entry of the catalogue.

    Attributes:
        id: its name there.
        collection: one of `COLLECTIONS`.
        datatake: satellite, kind and datatake; the name of the scene that it is part of.
        start, stop: UTC of its first and last line; the same where only one time is known.
        footprint: outline in degrees, split at the antimeridian.
        direction: of the pass, None where not said.
        relative_orbit: None where the name does not tell.
        bands: radar bands, empty for Sentinel-2.
        timeliness: Sentinel-1's kind of processing, empty where not said.
        mgrs_tile: Sentinel-2's tile, empty for Sentinel-1.
        rank: sorts the better of two products of the same ground first.
    """

    id: str
    collection: str
    datatake: str
    start: datetime
    stop: datetime
    footprint: MultiPolygon
    direction: Direction | None = None
    relative_orbit: int | None = None
    bands: tuple[str, ...] = ()
    timeliness: str = ""
    mgrs_tile: str = ""
    rank: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One look of one satellite at the area: a scene.

    Attributes:
        ref: what a search gives.
        products: those that touch the area, the better of each that comes twice, in order of time.
        coverage: ground seen in the area and around it, in degrees.
        zone: the UTM zone that the scene is laid in, from its products alone.
        from_time, to_time: what requests ask for: a minute beyond the products, and no product of another scene.
        timeliness: Sentinel-1's kind of processing where the best of all slices around is of one kind, else empty.
    """

    ref: SceneRef
    products: tuple[Product, ...]
    coverage: MultiPolygon
    zone: UtmZone
    from_time: datetime
    to_time: datetime
    timeliness: str

    @property
    def collection(self) -> str:
        """The collection of all its products."""
        return self.products[0].collection


def search(
    client: Client,
    collections: Sequence[str],
    area: AreaOfInterest,
    start: datetime,
    end: datetime,
    skipped: dict[str, None],
) -> list[Pass]:
    """Passes that touch the area with start <= time < end, ordered by (time, id).

    The time of a pass is the middle of its products that touch the area, its id is that of the datatake. Level-1C
    passes of which there is Level-2A are left out where both are asked for. ``skipped`` gets a sentence for each
    product that could not be used.

    Raises:
        FetchError, QuotaError, CredentialsError: the catalogue cannot be asked.
    """
    if not start < end:
        return []
    around = _around(area)
    passes: list[Pass] = []
    for collection in collections:
        products = _products(client, collection, around, start - _BEYOND_TIME, end + _BEYOND_TIME, skipped)
        passes += _passes(products, area)
    surface = {p.ref.id for p in passes if p.collection == SENTINEL2_L2A}
    passes = [p for p in passes if p.collection != SENTINEL2_L1C or p.ref.id.replace("L1C", "L2A") not in surface]
    return sorted((p for p in passes if start <= p.ref.time < end), key=lambda p: (p.ref.time, p.ref.id))


def _around(area: AreaOfInterest) -> MultiPolygon:
    """Boxes around the parts of an area, `_BEYOND_M` wider on every side, split at the antimeridian."""
    boxes = []
    for part in area.unwrapped.geoms:
        west, south, east, north = part.bounds
        lon_m, lat_m = (float(v) for v in metres_per_degree(min(max(abs(south), abs(north)) + 1.0, 89.0)))
        wide, high = _BEYOND_M / lon_m, _BEYOND_M / lat_m
        if east - west + 2 * wide >= 360.0:
            west, east, wide = -180.0, 180.0, 0.0
        boxes.append(box(west - wide, max(south - high, -90.0), east + wide, min(north + high, 90.0)))
    return split_at_antimeridian(shapely.union_all(boxes))


def _products(
    client: Client,
    collection: str,
    around: MultiPolygon,
    start: datetime,
    end: datetime,
    skipped: dict[str, None],
) -> Iterator[Product]:
    """Usable products of a collection, page by page.

    Nothing is filtered at the service: by its own OpenAPI description no filter on a property is valid, and the names
    tell all that matters.
    """
    catalogue = SentinelHubCatalog(config=client.config)
    catalogue.client, catalogue.service_url = client, client.deployment.url("catalogue")
    found = catalogue.search(
        collection,
        time=(start.astimezone(UTC), end.astimezone(UTC)),
        geometry=Geometry(around, CRS.WGS84),
        fields={"include": list(_FIELDS), "exclude": ["links", "assets", "bbox"]},
        limit=_PAGE,
    )
    try:
        for number, item in enumerate(found):
            if number >= _MOST_PRODUCTS:
                raise FetchError(f"the catalogue of {client.deployment.name} does not end; ask for fewer days at once")
            product = _product(collection, item, skipped)
            if product is not None:
                yield product
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FetchError(
            f"the catalogue of {client.deployment.name} answers with no list of products ({error!r}); try again later"
        ) from error


def _product(collection: str, item: Mapping[str, Any], skipped: dict[str, None]) -> Product | None:
    """A product from its catalogue entry; None where offing has no use for it, with a sentence where that is odd."""
    name, properties = str(item["id"]), item["properties"]
    if not item.get("geometry"):
        skipped[f"{name} has no outline in the catalogue"] = None
        return None
    time = datetime.fromisoformat(properties["datetime"])
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    product = Product(
        id=name,
        collection=collection,
        datatake="",
        start=time.astimezone(UTC),
        stop=time.astimezone(UTC),
        footprint=_outline(item["geometry"]),
        direction=_direction(properties),
        timeliness=properties.get("s1:timeliness") or "",
    )
    return _radar_product(product) if collection == SENTINEL1 else _optical_product(product, skipped)


def _radar_product(product: Product) -> Product | None:
    match = _SENTINEL1_NAME.match(product.id)
    if match is None:  # other modes, resolutions and polarisations, which `offing` has no detector for
        _log.debug("left out: %s is not an IW GRD product of high resolution with VV", product.id)
        return None
    start, stop = (datetime.strptime(match[name], _TIME).replace(tzinfo=UTC) for name in ("start", "stop"))
    timeliness = product.timeliness
    order = _TIMELINESS.index(timeliness) if timeliness in _TIMELINESS else len(_TIMELINESS)
    return replace(
        product,
        datatake=f"{match['mission']}_IW_GRDH_1S{match['polarisation']}_{match['orbit']}_{match['datatake']}",
        start=start,
        stop=stop,
        bands=("vv", "vh") if match["polarisation"] == "DV" else ("vv",),
        rank=(order,),
    )


def _optical_product(product: Product, skipped: dict[str, None]) -> Product | None:
    known = parse_id(product.id)
    if known is None or known.mission is None or known.datatake_time is None or known.mgrs_tile is None:
        skipped[f"{product.id} does not name its datatake and tile"] = None
        return None
    orbit = f"_R{known.relative_orbit:03d}" if known.relative_orbit is not None else ""
    baseline = int((known.baseline or "0").replace(".", ""))
    return replace(
        product,
        datatake=f"{known.mission}_MSI{known.level}_{known.datatake_time:{_TIME}}{orbit}",
        direction=product.direction or "descending",  # the sunlit half of the orbit, on which alone it images
        relative_orbit=known.relative_orbit,
        mgrs_tile=known.mgrs_tile,
        rank=(-baseline,),
    )


def _outline(geojson: Mapping[str, Any]) -> MultiPolygon:
    """An outline however it is written at the antimeridian: split, running past 180, or right around the world."""
    outline = shapely.force_2d(shapely.make_valid(shape(geojson)))
    west, _, east, _ = outline.bounds
    if east - west > 180.0:
        outline = shapely.make_valid(shapely.transform(outline, lambda xy: xy + [[360.0, 0.0]] * (xy[:, :1] < 0.0)))
    return split_at_antimeridian(MultiPolygon(list(_polygons(outline))))


def _polygons(outline: shapely.Geometry) -> Iterator[Polygon]:
    for part in shapely.get_parts(outline):
        if isinstance(part, Polygon):
            yield part
        elif hasattr(part, "geoms"):
            yield from _polygons(part)


def _direction(properties: Mapping[str, Any]) -> Direction | None:
    states: dict[str, Direction] = {"ascending": "ascending", "descending": "descending"}
    return states.get(str(properties.get("sat:orbit_state")).lower())


def _passes(products: Iterable[Product], area: AreaOfInterest) -> Iterator[Pass]:
    """Products by satellite and datatake, each in runs that follow each other, those runs that touch the area."""
    by_datatake: dict[tuple[str, str], list[Product]] = defaultdict(list)
    for product in sorted(products, key=lambda p: (p.start, p.id)):
        by_datatake[product.datatake, product.direction or ""].append(product)
    runs = [run for members in by_datatake.values() for run in _runs(members)]
    taken: set[str] = set()
    for run in sorted(runs, key=lambda run: (run[0].start, run[0].id)):
        touching = [p for p in run if p.footprint.intersects(area.polygon)]
        if touching:
            found = _pass(touching, run, [other for other in runs if other is not run], taken)
            taken.add(found.ref.id)
            yield found


def _runs(members: Sequence[Product]) -> Iterator[list[Product]]:
    run: list[Product] = []
    for product in members:
        if run and product.start - max(p.stop for p in run) > SAME_PASS:
            yield run
            run = []
        run.append(product)
    yield run


def _pass(
    touching: Sequence[Product], run: Sequence[Product], others: Iterable[Sequence[Product]], taken: set[str]
) -> Pass:
    first, last = min(p.start for p in touching), max(p.stop for p in touching)
    name = touching[0].datatake
    outline = _united(p.footprint for p in touching)
    best = _best(touching)
    ref = SceneRef(
        id=name if name not in taken else f"{name}_{first:%H%M%S}",  # a second run of one datatake over the area
        sensor_name=SENTINEL1_IW_GRD.name if touching[0].collection == SENTINEL1 else SENTINEL2.name,
        time=first + (last - first) / 2,
        footprint=outline,
    )
    kinds = {product.timeliness for product in _best(run)}
    from_time, to_time = _asked_times(touching, [p for other in others for p in other])
    return Pass(
        ref=ref,
        products=best,
        coverage=_united(p.footprint for p in run),
        zone=_zone(best, outline),
        from_time=from_time,
        to_time=to_time,
        timeliness=kinds.pop() if len(kinds) == 1 else "",
    )


def _united(outlines: Iterable[MultiPolygon]) -> MultiPolygon:
    return MultiPolygon(list(_polygons(shapely.union_all(list(outlines)))))


def _asked_times(products: Sequence[Product], others: Iterable[Product]) -> tuple[datetime, datetime]:
    """A minute beyond the products; half way to a product of another scene of the satellite that is nearer.

    The service chooses products by the time that the catalogue gives, which is that of their start.
    """
    mission = products[0].datatake[:3]
    first, last = products[0].start, products[-1].start
    from_time, to_time = first - SAME_PASS, max(p.stop for p in products) + SAME_PASS
    for other in others:
        if other.datatake[:3] == mission and other.start < first:
            from_time = max(from_time, other.start + (first - other.start) / 2)
        if other.datatake[:3] == mission and other.start > last:
            to_time = min(to_time, last + (other.start - last) / 2)
    return from_time, to_time


def _best(products: Sequence[Product]) -> tuple[Product, ...]:
    """Each slice or tile once, the best processing of it, in order of time."""
    kept: list[Product] = []
    for product in sorted(products, key=lambda p: (p.rank, p.start, _reversed(p.id))):
        if not any(_same_ground(product, other) for other in kept):
            kept.append(product)
    return tuple(sorted(kept, key=lambda p: (p.start, p.id)))


def _reversed(text: str) -> tuple[int, ...]:
    """Sorts the later of two names first: of two otherwise equal tiles the one made later."""
    return tuple(-ord(character) for character in text)


def _same_ground(product: Product, other: Product) -> bool:
    """Whether two products of one datatake show the same slice (half of its time) or tile."""
    if product.mgrs_tile:
        return product.mgrs_tile == other.mgrs_tile
    shared = min(product.stop, other.stop) - max(product.start, other.start)
    return shared > (product.stop - product.start) / 2


def _zone(products: Sequence[Product], outline: MultiPolygon) -> UtmZone:
    """Zone of most tiles, the lowest where several are as many; of the outline's middle for Sentinel-1."""
    codes = [tile_epsg(product.mgrs_tile) for product in products if product.mgrs_tile]
    if not codes:
        return UtmZone.of_outline(outline)
    values, counts = np.unique(codes, return_counts=True)
    return UtmZone.of_epsg(int(values[np.argmax(counts)]))
