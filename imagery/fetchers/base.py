"""The seam every source of scenes obeys: search, then fetch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.scene import Scene


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

    def fetch(self, ref: SceneRef) -> Scene:
        """The scene, whole; pixels are read lazily where the source allows."""
        ...
