"""Sentinel Hub as a source of scenes: search, cost, fetch, and pixels read tile by tile."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import shapely

from imagery.acquisition import Acquisition
from imagery.aoi import AreaOfInterest
from imagery.credentials import Credentials, read_credentials
from imagery.errors import CredentialsError, FetchError, ImageryError, SourceError
from imagery.fetchers.base import Cost, SceneRef
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.sentinelhub import catalogue
from imagery.fetchers.sentinelhub.annotation import product_annotation
from imagery.fetchers.sentinelhub.catalogue import COLLECTIONS, SENTINEL1, SENTINEL2_L1C, SENTINEL2_L2A, Pass
from imagery.fetchers.sentinelhub.client import Client, Usage
from imagery.fetchers.sentinelhub.encoding import Encoding
from imagery.fetchers.sentinelhub.hosts import CDSE, Deployment, deployment_from_environment
from imagery.fetchers.sentinelhub.process import MOST_PX, encoding_of, process_request, raw_pixels
from imagery.fetchers.wanted import MARGIN_M, wanted_tiles
from imagery.geometry import Grid, Window
from imagery.ground_acquisition import annotated_ground
from imagery.orbit_model import OrbitModel
from imagery.scene import Pixels, Provenance, Scene
from imagery.utm_tiles import TileLattice, UtmZone

_log = logging.getLogger(__name__)

# 12.5 km. With these the free plans' processing units end before their requests do.
TILE_PX = 1250
# Catalogue outlines have straight sides between few corners; the swath bends beyond them by up to 2 km at 60 degrees.
_OUTLINE_MARGIN_M = 3000.0
_NEAR_DEG = 0.1
# How well the middle of the products' times is that of their ground: lines for Sentinel-1, whole tiles for Sentinel-2.
_SENTINEL1_TIME_SIGMA_S = 1.0
_SENTINEL2_TIME_SIGMA_S = 8.0


@dataclass(frozen=True, kw_only=True)
class SentinelHubSource:
    """Sentinel-1 and Sentinel-2 scenes from Sentinel Hub; nothing is asked before the first search.

    A scene is one pass over the area (see `imagery.fetchers.sentinelhub.catalogue`), laid on the 10 m lattice of one
    UTM zone that its products alone decide. Its id is the datatake's, such as ``S1B_IW_GRDH_1SDV_026269_032297`` or
    ``S2B_MSIL2A_20201229T101329_R022``: the same for every area, and for a quick and a careful processing of the pass.

    Attributes:
        deployment: where the service runs.
        collections: what to search, of `catalogue.COLLECTIONS`; Level-1C fills in where there is no Level-2A.
        credentials: hold SH_CLIENT_ID and SH_CLIENT_SECRET; None reads them when they are first needed.
        policy: when to try again.
        tile_px: side of the tiles in which pixels are fetched, at most 2500. The price goes by pixels, so smaller ones
            cost the same, waste less at the edge of an area and need less memory.

    Raises:
        SourceError: an unknown collection, or tiles that the service does not give.
    """

    deployment: Deployment = CDSE
    collections: tuple[str, ...] = (SENTINEL1, SENTINEL2_L2A)
    credentials: Credentials | None = None
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(retry_after_unit="ms"))
    tile_px: int = TILE_PX
    _found: dict[SceneRef, Pass] = field(default_factory=dict, init=False, repr=False, compare=False)
    _refused: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what the service does not give."""
        unknown = [name for name in self.collections if name not in COLLECTIONS]
        if unknown or not self.collections:
            raise SourceError(
                f"Sentinel Hub has no collection {', '.join(unknown)!r} for offing; known are {', '.join(COLLECTIONS)}"
            )
        if not 1 <= self.tile_px <= MOST_PX:
            raise SourceError(f"Sentinel Hub gives tiles of 1 to {MOST_PX} px on a side, not {self.tile_px}")

    @classmethod
    def from_environment(cls, collections: tuple[str, ...] | None = None) -> SentinelHubSource:
        """The source at the deployment that SH_BASE_URL and SH_TOKEN_URL name, else the Copernicus Data Space.

        Args:
            collections: what to search; None for the default ones.

        Raises:
            SourceError: an unknown collection, or an address that cannot be used.
        """
        deployment = deployment_from_environment()
        return cls(deployment=deployment, collections=collections) if collections else cls(deployment=deployment)

    @property
    def identity(self) -> str:
        """Service and encoding: all that decides the pixels of a scene besides its id."""
        encodings = (encoding_of(name, bands) for name in COLLECTIONS for bands in (("vv", "vh"), ("vv",)))
        scripts = hashlib.sha256("".join(encoding.evalscript for encoding in encodings).encode()).hexdigest()
        return f"sentinelhub {self.deployment.host} {scripts[:12]}"

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._client.usage if "_client" in self.__dict__ else Usage()

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id).

        Raises:
            FetchError, QuotaError, CredentialsError: the catalogue cannot be asked.
        """
        passes = catalogue.search(self._client, self.collections, area, start, end)
        with self._lock:
            self._found.update({look.ref: look for look in passes})
        return [look.ref for look in passes]

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The part of a scene around the area, its pixels still to be read.

        Raises:
            FetchError: the area does not meet the scene, or the service cannot be asked.
            QuotaError, CredentialsError: see `Fetcher`.
            SourceError: the catalogue has no such scene.
        """
        look = self._look(ref, area)
        grid, coverage_m = self._extent(look.coverage, look.zone, area)
        if grid is None:
            raise FetchError(f"scene {ref.id} shows nothing of {area.name!r} or near it")
        encoding = encoding_of(look.collection, look.products[0].bands)
        notes: list[str] = []
        acquisition = self._acquisition(look, grid, notes)
        return Scene(
            id=ref.id,
            sensor=encoding.sensor,
            bands=encoding.bands,
            unit=encoding.unit,
            geometry=grid,
            acquisition=acquisition,
            time=ref.time,
            reader=ProcessReader(
                client=self._client,
                look=look,
                encoding=encoding,
                grid=grid,
                coverage_m=coverage_m,
                tile_px=self.tile_px,
            ),
            provenance=Provenance(
                source="sentinelhub",
                ids=tuple(product.id for product in look.products),
                attribution=f"Contains modified Copernicus Sentinel data {ref.time.year}",
                notes=tuple(notes),
            ),
        )

    def cost(self, ref: SceneRef, area: AreaOfInterest) -> Cost:
        """What fetching and reading the area's tiles takes, told without a request.

        Bytes are those of the codes before the service compresses them; what travels is a fifth to a half less.
        """
        look = self._found.get(ref)
        collection = look.collection if look else _collection_of(ref)
        coverage, zone = (look.coverage, look.zone) if look else (ref.footprint, UtmZone.of_outline(ref.footprint))
        grid, coverage_m = self._extent(coverage, zone, area)
        if grid is None:
            return Cost()
        bands = look.products[0].bands if look else ("vv", "vh")
        encoding = encoding_of(collection, bands)
        windows = [w for w in wanted_tiles(grid, self.tile_px, area) if _meets(grid, w, coverage_m)]
        pixels = sum(w.height * w.width for w in windows)
        return Cost(
            tiles=len(windows),
            requests=len(windows),
            bytes=2 * encoding.raw_bands * pixels,
            processing_units=sum(processing_units(w.width, w.height, len(encoding.bands)) for w in windows),
        )

    @cached_property
    def _client(self) -> Client:
        return Client(self.deployment, self.credentials or read_credentials(), self.policy)

    def _look(self, ref: SceneRef, area: AreaOfInterest) -> Pass:
        """The pass of a reference, searched again where it is from another run."""
        if ref not in self._found:
            self.search(area, ref.time - catalogue.SAME_PASS, ref.time + catalogue.SAME_PASS)
        look = self._found.get(ref)
        if look is None:
            raise SourceError(f"{self.deployment.name} has no scene {ref.id!r} of {area.name!r}; search again")
        return look

    def _extent(
        self, coverage: shapely.MultiPolygon, zone: UtmZone, area: AreaOfInterest
    ) -> tuple[Grid | None, shapely.Geometry]:
        """Whole tiles where the area and its margin meet what was seen, and what was seen in the zone's metres."""
        coverage_m = zone.metres(coverage).buffer(_OUTLINE_MARGIN_M)
        seen = area.polygon.intersection(coverage.buffer(_NEAR_DEG))  # far parts of an area have no place in the zone
        wanted_m = zone.metres(_polygons_of(seen)).buffer(MARGIN_M)
        lattice = TileLattice(zone=zone, tile_px=self.tile_px)
        tiles = lattice.tiles_meeting(wanted_m.intersection(coverage_m))
        return (lattice.grid(tiles) if tiles else None), coverage_m

    def _acquisition(self, look: Pass, grid: Grid, notes: list[str]) -> Acquisition:
        """From the products' annotation, else from the orbit model, with a note that says so."""
        if look.collection != SENTINEL1:
            return _modelled(look, grid, notes)
        if self._refused:
            notes.append(self._refused[0])
            return _modelled(look, grid, notes)
        try:
            files = [product_annotation(self._client, product.id) for product in look.products]
            return annotated_ground(grid, files)
        except ImageryError as error:
            note = f"no annotation ({error}): azimuth time, range and incidence are modelled from the orbit"
            if isinstance(error, CredentialsError) or self.deployment.product_download_url is None:
                self._refused.append(note)  # the next scene would be refused too
            _log.warning("%s: %s", look.ref.id, note)
            notes.append(note)
            return _modelled(look, grid, notes)


@dataclass(frozen=True, kw_only=True)
class ProcessReader:
    """Pixels of one pass on its part of the lattice, one request for each block of at most a tile's side.

    Attributes:
        client: sends the requests.
        look: the pass.
        encoding: how its pixels travel.
        grid: the scene's.
        coverage_m: what was seen, in metres of the zone; elsewhere nothing is asked for and nothing is valid.
        tile_px: side of the tiles, counted from the scene's first pixel, which are those of the lattice.
    """

    client: Client
    look: Pass
    encoding: Encoding
    grid: Grid
    coverage_m: shapely.Geometry = field(repr=False)
    tile_px: int

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene.

        Raises:
            FetchError, QuotaError, CredentialsError: see `Fetcher`.
        """
        shape = (len(self.encoding.bands), *window.shape_hw)
        data, valid = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
        for block in _blocks(window, self.tile_px):
            if _meets(self.grid, block, self.coverage_m):
                part = self._block(block)
                rows, cols = block.slices_in(window)
                data[:, rows, cols], valid[:, rows, cols] = part.data, part.valid
        return Pixels(data=data, valid=valid)

    def _block(self, block: Window) -> Pixels:
        request = process_request(self.client, self.look, self.encoding, self.grid.crop(block), self.look.zone.epsg)
        return self.encoding.decode(raw_pixels(self.client, request, (self.encoding.raw_bands, *block.shape_hw)))


def processing_units(
    width: int,
    height: int,
    bands: int,
    *,
    floating_point: bool = False,
    orthorectified: bool = False,
    terrain_corrected: bool = False,
    speckle_filtered: bool = False,
) -> float:
    """What Sentinel Hub charges for one Process request.

    Args:
        width: pixels.
        height: pixels.
        bands: input bands, the data mask not counted.
        floating_point: 32 bits per number rather than 16 or 8.
        orthorectified: Sentinel-1 on a terrain model.
        terrain_corrected: Sentinel-1, radiometrically too.
        speckle_filtered: Sentinel-1.

    Reference: documentation.dataspace.copernicus.eu, Sentinel Hub, "Processing Unit": 1 for 512 x 512 pixels of 3 bands
    in 16 bits; twice for 32 bits, orthorectification (2.5 times with terrain correction) and speckle filter each; at
    least 0.01 for the size, 0.005 in all.
    """
    units = max(0.01, width * height / 512**2) * bands / 3.0
    units *= 2.0 if floating_point else 1.0
    units *= 2.5 if terrain_corrected else 2.0 if orthorectified else 1.0
    units *= 2.0 if speckle_filtered else 1.0
    return max(0.005, units)


def _collection_of(ref: SceneRef) -> str:
    """Collection of a scene of which only the name is known."""
    if ref.id.startswith("S1"):
        return SENTINEL1
    return SENTINEL2_L1C if "L1C" in ref.id else SENTINEL2_L2A


def _blocks(window: Window, side: int) -> Sequence[Window]:
    return [
        Window(row=row, col=col, height=min(side, bottom - row), width=min(side, right - col))
        for bottom, right in [(window.row + window.height, window.col + window.width)]
        for row in range(window.row, bottom, side)
        for col in range(window.col, right, side)
    ]


def _meets(grid: Grid, window: Window, coverage_m: shapely.Geometry) -> bool:
    left, top = grid.transform @ (window.col, window.row)
    right, bottom = grid.transform @ (window.col + window.width, window.row + window.height)
    return bool(shapely.box(left, bottom, right, top).intersects(coverage_m))


def _polygons_of(outline: shapely.Geometry) -> shapely.MultiPolygon:
    parts = [part for part in shapely.get_parts(outline) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)


def _modelled(look: Pass, grid: Grid, notes: list[str]) -> OrbitModel:
    """The orbit model of a part of a pass, by the track's number unless that contradicts place and time."""
    number = look.products[0].relative_orbit
    try:
        return _centred_model(look, grid, number)
    except ImageryError as error:
        if number is None:
            raise
        notes.append(f"the relative orbit in the product's name is not used ({error})")
        return _centred_model(look, grid, None)


def _centred_model(look: Pass, grid: Grid, relative_orbit: int | None) -> OrbitModel:
    """The catalogue dates the middle of whole products, the model wants the time of the middle of the grid."""
    is_radar = look.collection == SENTINEL1

    def model(time: datetime) -> OrbitModel:
        return OrbitModel(
            platform="sentinel-1" if is_radar else "sentinel-2",
            geometry=grid,
            time=time,
            time_sigma_s=_SENTINEL1_TIME_SIGMA_S if is_radar else _SENTINEL2_TIME_SIGMA_S,
            direction=look.products[0].direction,
            relative_orbit=relative_orbit,
        )

    first = model(look.ref.time)
    height, width = grid.shape_hw
    middle = look.zone.metres(look.ref.footprint).centroid
    col, row = ~grid.transform @ (middle.x, middle.y)
    late = first.at(row - 0.5, col - 0.5).time - first.at((height - 1) / 2.0, (width - 1) / 2.0).time
    return model(look.ref.time - late.astype("timedelta64[us]").item())
