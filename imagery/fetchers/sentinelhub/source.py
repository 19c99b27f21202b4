"""Sentinel Hub as a source of scenes: search, cost, fetch, and pixels read tile by tile."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import shapely

from imagery.aoi import AreaOfInterest
from imagery.credentials import Credentials, read_credentials
from imagery.errors import FetchError, SourceError
from imagery.fetchers.base import Cost, SceneRef
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.sentinelhub import catalogue
from imagery.fetchers.sentinelhub.catalogue import COLLECTIONS, SENTINEL1, SENTINEL2_L1C, SENTINEL2_L2A, Pass
from imagery.fetchers.sentinelhub.client import Client, Usage
from imagery.fetchers.sentinelhub.ground import ground_of
from imagery.fetchers.sentinelhub.hosts import CDSE, Deployment, deployment_from_environment
from imagery.fetchers.sentinelhub.process import MOST_PX, encoding_of
from imagery.fetchers.sentinelhub.reader import ProcessReader, meets
from imagery.fetchers.wanted import MARGIN_M, wanted_tiles
from imagery.geometry import Grid
from imagery.scene import Provenance, Scene
from imagery.utm_tiles import TileLattice, UtmZone

# 12.5 km. With these the free plans' processing units end before their requests do.
TILE_PX = 1250
# Catalogue outlines have straight sides between few corners; the swath bends beyond them by up to 2 km at 60 degrees.
_OUTLINE_MARGIN_M = 3000.0
_NEAR_DEG = 0.1


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
    _refused: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _skipped: dict[str, None] = field(default_factory=dict, init=False, repr=False, compare=False)
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
        """Service, encoding and noise: all that decides what is kept of a scene besides its id."""
        encodings = (encoding_of(name, bands) for name in COLLECTIONS for bands in (("vv", "vh"), ("vv",)))
        scripts = hashlib.sha256("".join(encoding.evalscript for encoding in encodings).encode()).hexdigest()
        return f"sentinelhub {self.deployment.host} {scripts[:12]} with noise"

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for each product found so far that could not be used."""
        return tuple(self._skipped)

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._client.usage if "_client" in self.__dict__ else Usage()

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id).

        Raises:
            FetchError, QuotaError, CredentialsError: the catalogue cannot be asked.
        """
        passes = catalogue.search(self._client, self.collections, area, start, end, self._skipped)
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
        ground = ground_of(self._client, look, grid, self._refused)
        reader = ProcessReader(
            client=self._client,
            look=look,
            encoding=encoding,
            grid=grid,
            coverage_m=coverage_m,
            tile_px=self.tile_px,
        )
        return Scene(
            id=ref.id,
            sensor=encoding.sensor,
            bands=encoding.bands,
            unit=encoding.unit,
            geometry=grid,
            acquisition=ground.acquisition,
            time=ref.time,
            reader=reader if ground.noise is None else reader.with_noise(ground.noise),
            provenance=Provenance(
                source="sentinelhub",
                ids=tuple(product.id for product in look.products),
                attribution=f"Contains modified Copernicus Sentinel data {ref.time.year}",
                notes=ground.notes,
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
        windows = [w for w in wanted_tiles(grid, self.tile_px, area) if meets(grid, w, coverage_m)]
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


def _polygons_of(outline: shapely.Geometry) -> shapely.MultiPolygon:
    parts = [part for part in shapely.get_parts(outline) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)
