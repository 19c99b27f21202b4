"""The seam every source of scenes obeys: search, then fetch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.scene import PixelReader, Scene


@dataclass(frozen=True, kw_only=True)
class SceneRef:
    """A scene that a source can give, without its pixels.

    Attributes:
        id: unique name, stable between runs; the scene fetched carries the same.
        sensor_name: key of `imagery.sensors.SENSORS`.
        time: UTC, aware.
        footprint: outline in degrees.
    """

    id: str
    sensor_name: str
    time: datetime
    footprint: MultiPolygon


class Fetcher(Protocol):
    """A source of scenes."""

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id)."""
        ...

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene, or the part of it around the area.

        Args:
            ref: one of those that `search` gave.
            area: where pixels are wanted; a source may give more.

        Raises:
            FetchError: the scene cannot be had; others may.
            QuotaError: nothing more can be had for now.
            CredentialsError: credentials are missing or were refused.
            SourceError: the source does not know the scene.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What fetching takes, estimated before it is done.

    Attributes:
        tiles: pieces, each one file of the cache.
        requests: requests that the service counts.
        bytes: bytes to be transferred.
        processing_units: what the service charges; 0 where it does not count them.
    """

    tiles: int = 0
    requests: int = 0
    bytes: int = 0
    processing_units: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """The cost of both."""
        return Cost(
            tiles=self.tiles + other.tiles,
            requests=self.requests + other.requests,
            bytes=self.bytes + other.bytes,
            processing_units=self.processing_units + other.processing_units,
        )


class RemoteReader(PixelReader, Protocol):
    """Pixels that lie far away: `read` raises FetchError, QuotaError or CredentialsError."""

    @property
    def tile_px(self) -> int:
        """Side of the square tiles, counted from the scene's first pixel, in which reading is cheapest."""
        ...


class RemoteFetcher(Fetcher, Protocol):
    """A source far away: its scenes have a `RemoteReader`, and a cache stands before it."""

    @property
    def identity(self) -> str:
        """Service, collections and encoding: all that decides the pixels of a scene besides its id. No secrets."""
        ...

    def cost(self, ref: SceneRef, area: AreaOfInterest) -> Cost:
        """What `fetch` and reading the area's tiles takes, told without a request."""
        ...
