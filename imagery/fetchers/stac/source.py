"""Scenes from any STAC API: Earth Search, Planetary Computer, Copernicus Data Space, or one's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from urllib.parse import urlsplit

from affine import Affine
from pyproj import Transformer

from imagery.aoi import AreaOfInterest
from imagery.credentials import read_credentials
from imagery.errors import FetchError, ImageryError, SourceError
from imagery.fetchers.base import Cost, SceneRef
from imagery.fetchers.remote import TILE_PX, RemoteFiles
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.signing import PLANETARY_COMPUTER, PlainSigner, SasSigner, SasTokens
from imagery.fetchers.stac.bands import check_usable
from imagery.fetchers.stac.items import StacItem, read_item
from imagery.fetchers.stac.scenes import scene_of_item
from imagery.fetchers.stac.search import Condition, Json, StacApi
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import Grid
from imagery.products.sentinel2 import RESOLUTION_M
from imagery.scene import Scene
from imagery.sensors import SENSORS

_log = logging.getLogger(__name__)

# The collections read where none are named: the first of each row that the API has. Names of the Planetary Computer,
# Copernicus Data Space and Earth Search v1, then of Earth Search v0.
_DEFAULTS = (
    ("sentinel-1-grd", "sentinel1-grd", "sentinel-1-rtc"),
    ("sentinel-2-l2a", "sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs", "sentinel-2-l1c", "sentinel-s2-l1c"),
)
# Of Sentinel-1, the mode that covers coasts and the products that ships are found in; optical items state neither.
_CONDITIONS = (
    Condition(name="sar:instrument_mode", values=("IW",)),
    Condition(name="sar:product_type", values=("GRD", "RTC")),
)

# For `cost`, which may ask nobody: the block rows of a tile are one request each (blocks of 512), a scene's header two;
# compressed numbers take some 0.7 of two bytes (COGs of Sentinel-1 GRD and Sentinel-2 L2A).
_REQUESTS_PER_TILE = TILE_PX // 512
_REQUESTS_PER_HEADER = 2
_BYTES_PER_PX = 1.4


@dataclass(frozen=True, kw_only=True)
class StacSource:
    """Sentinel-1, Sentinel-2 and Landsat scenes that a STAC API lists, their pixels read by HTTP ranges.

    Attributes:
        url: the API's landing page.
        collections: those to read; None takes Sentinel-1 GRD (else RTC) and Sentinel-2 L2A (else L1C), whichever it
            has.
        policy: how often anything is asked for, how long.
        plain: how addresses without a token are read.
        tokens: tokens for files that want one; None takes those of the Planetary Computer for its own API.
        page_items: items per page of a search.

    Raises:
        SourceError: if the address is none, or a collection is named twice.
    """

    url: str = field(repr=False)  # may hold a name and password
    collections: tuple[str, ...] | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    plain: PlainSigner = field(default_factory=PlainSigner)
    tokens: SasTokens | None = None
    page_items: int = 100
    _seen: dict[str, StacItem] = field(default_factory=dict, init=False, repr=False, compare=False)
    _skipped: dict[str, None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be an API."""
        try:
            parts = urlsplit(self.url)
            usable = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:  # a port out of range, a broken IPv6 address
            usable = False
        if not usable:
            raise SourceError("a STAC source needs the address of an API, such as stac:https://host/v1#collection")
        if self.collections is not None and len(set(self.collections)) != len(self.collections):
            raise SourceError(f"a STAC source needs different collections, got {', '.join(self.collections)}")

    @property
    def identity(self) -> str:
        """The API, the collections asked for, and the version of what is made of them."""
        return f"stac {self._api.name} {','.join(self.collections or ('default',))} v1"

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for each item found so far that could not be used."""
        return tuple(self._skipped)

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id).

        Raises:
            SourceError: there is no STAC API, or it has no such collection.
            FetchError, QuotaError, CredentialsError: it does not answer.
        """
        found: dict[str, SceneRef] = {}
        if start >= end:
            return []
        for collection in self._wanted:
            for json in self._api.items(collection, area, start, end, _CONDITIONS):
                item = self._usable(json)
                if item is None or item.ref.id in found:
                    continue
                if start <= item.ref.time < end and item.ref.footprint.intersects(area.polygon):
                    found[item.ref.id] = item.ref
                    self._seen[item.ref.id] = item
        return sorted(found.values(), key=lambda ref: (ref.time, ref.id))

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene, whole; its headers are read now, its pixels when asked for.

        Raises:
            FetchError: the scene cannot be had; others may.
            QuotaError: nothing more can be had for now.
            CredentialsError: credentials are missing or were refused.
            SourceError: the API has no such scene.
        """
        item = self._seen.get(ref.id) or self._item(ref)
        files = RemoteFiles(signer=self._signer(item.collection), policy=self.policy)
        try:
            return scene_of_item(item, files, f"stac {self._api.name}")
        except SourceError:
            raise
        except ImageryError as error:
            raise FetchError(f"scene {ref.id} cannot be used: {error}; other scenes may be well") from error

    def cost(self, ref: SceneRef, area: AreaOfInterest) -> Cost:
        """What `fetch` and reading the area's tiles takes, told without a request."""
        sensor = SENSORS[ref.sensor_name]
        pixel_m = 30.0 if sensor.resolution_m == (30.0, 30.0) else 10.0
        windows = wanted_tiles(_nominal_grid(ref, pixel_m), TILE_PX, area)
        pixels = sum(window.height * window.width for window in windows)
        own_m = [RESOLUTION_M.get(band, 10) if pixel_m == 10.0 else 30 for band in sensor.bands]
        return Cost(
            tiles=len(windows),
            requests=len(own_m) * (_REQUESTS_PER_HEADER + _REQUESTS_PER_TILE * len(windows)),
            bytes=round(_BYTES_PER_PX * pixels * sum((pixel_m / each) ** 2 for each in own_m)),
        )

    @cached_property
    def _api(self) -> StacApi:
        return StacApi(url=self.url, policy=self.policy, page_items=self.page_items)

    @cached_property
    def _wanted(self) -> tuple[str, ...]:
        """Collections to read, of those that the API has."""
        offered = self._api.collections
        listed = f"it has {', '.join(offered)}" if offered else "it lists none"
        if self.collections is None:
            chosen = [next((name for name in row if name in offered), None) for row in _DEFAULTS]
            if not any(chosen):
                raise SourceError(f"{self._api.name} has no collection of Sentinel-1 or Sentinel-2; {listed}")
            return tuple(name for name in chosen if name is not None)
        if missing := [name for name in self.collections if name not in offered]:
            raise SourceError(f"{self._api.name} has no collection {' and no '.join(missing)}; {listed}")
        return self.collections

    @cached_property
    def _sas_tokens(self) -> SasTokens | None:
        if self.tokens is None and urlsplit(self.url).hostname == PLANETARY_COMPUTER:
            return SasTokens(key=read_credentials().get("PC_SDK_SUBSCRIPTION_KEY"), policy=self.policy)
        return self.tokens

    def _signer(self, collection: str) -> PlainSigner | SasSigner:
        if self._sas_tokens is None:
            return self.plain
        return SasSigner(tokens=self._sas_tokens, collection=collection, plain=self.plain)

    def _usable(self, json: Json) -> StacItem | None:
        """The item, or None and a sentence in `skipped`."""
        try:
            item = read_item(json)
            check_usable(item)
        except ImageryError as error:
            if str(error) not in self._skipped:
                self._skipped[str(error)] = None
                _log.warning("skipped: %s", error)
            return None
        return item

    def _item(self, ref: SceneRef) -> StacItem:
        json = self._api.item(ref.id, self._wanted)
        if json is None:
            raise SourceError(f"{self._api.name} has no scene {ref.id}; search it first")
        return read_item(json)


def _nominal_grid(ref: SceneRef, pixel_m: float) -> Grid:
    """A grid of about the size of a scene: its outline's bounds in UTM."""
    area = AreaOfInterest(name=ref.id, polygon=ref.footprint)
    to_utm: Callable[..., tuple[float, float, float, float]] = Transformer.from_crs(
        "EPSG:4326", f"EPSG:{area.utm_epsg}", always_xy=True
    ).transform_bounds
    west, south, east, north = to_utm(*area.unwrapped.bounds)
    shape_hw = (max(1, round((north - south) / pixel_m)), max(1, round((east - west) / pixel_m)))
    return Grid.from_crs(f"EPSG:{area.utm_epsg}", Affine(pixel_m, 0.0, west, 0.0, -pixel_m, north), shape_hw)
