"""A far source in memory: for tests, and for trying what stands before a source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from imagery.aoi import AreaOfInterest
from imagery.errors import ImageryError, SourceError
from imagery.fetchers.base import Cost, SceneRef
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import Window, footprint
from imagery.scene import Pixels, Scene
from imagery.thermal_noise import DenoisedReader

# A scene's id, or its id with the row and column of a pixel.
Place = str | tuple[str, int, int]
# One error is raised every time; a sequence is raised one after the other, and then all goes well.
Failures = Mapping[Place, ImageryError | Sequence[ImageryError]]


@dataclass(frozen=True, kw_only=True)
class FakeFetcher:
    """Given scenes behind the seam of a `RemoteFetcher`, with failures on demand and a count of all that was asked.

    Attributes:
        scenes: what the source holds; each needs a time and an id of its own.
        tile_px: side of the tiles in which it is read.
        failures: what goes wrong: under a scene's id when it is fetched, under (id, row, col) when that pixel is read.
        identity: see `RemoteFetcher`.
        fetched: ids in the order in which they were fetched, failures included.
        reads: (scene id, window) in the order in which pixels were read, failures included.

    Raises:
        ValueError: a scene without a time, or two with one id.
    """

    scenes: Sequence[Scene]
    tile_px: int = 256
    failures: Failures = field(default_factory=dict)
    identity: str = "fake"
    fetched: list[str] = field(default_factory=list, init=False, repr=False)
    reads: list[tuple[str, Window]] = field(default_factory=list, init=False, repr=False)
    _raised: dict[Place, int] = field(default_factory=lambda: defaultdict(int), init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse scenes that a search cannot find or tell apart."""
        twice = [scene_id for scene_id, count in Counter(s.id for s in self.scenes).items() if count > 1]
        timeless = [s.id for s in self.scenes if s.time is None]
        if twice or timeless:
            raise ValueError(f"a fake source needs scenes with ids of their own and times; wrong: {twice + timeless}")

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id)."""
        refs = []
        for scene in self.scenes:
            assert scene.time is not None  # refused above
            outline = footprint(scene.geometry)
            if start <= scene.time < end and outline.intersects(area.polygon):
                refs.append(SceneRef(id=scene.id, sensor_name=scene.sensor.name, time=scene.time, footprint=outline))
        return sorted(refs, key=lambda ref: (ref.time, ref.id))

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene, its pixels still to be read.

        Raises:
            SourceError: if there is no such scene.
            ImageryError: as scripted.
        """
        scene = self._scene(ref)
        with self._lock:
            self.fetched.append(ref.id)
            self._fail([ref.id])
        kind = _FakeDenoisedReader if isinstance(scene.reader, DenoisedReader) else _FakeReader
        return replace(scene, reader=kind(fetcher=self, scene=scene))

    def cost(self, ref: SceneRef, area: AreaOfInterest) -> Cost:
        """A request per tile, and its pixels as float32."""
        scene = self._scene(ref)
        windows = wanted_tiles(scene.geometry, self.tile_px, area)
        size = sum(4 * len(scene.bands) * w.height * w.width for w in windows)
        return Cost(tiles=len(windows), requests=len(windows), bytes=size, processing_units=0.0)

    def count(self, scene_id: str, window: Window | None = None) -> int:
        """How often a scene, or one window of it, was read."""
        with self._lock:
            return sum(s == scene_id and window in (None, w) for s, w in self.reads)

    def _scene(self, ref: SceneRef) -> Scene:
        for scene in self.scenes:
            if scene.id == ref.id:
                return scene
        raise SourceError(f"the fake source has no scene {ref.id!r}; take references from search()")

    def _read(self, scene: Scene, window: Window) -> Pixels:
        with self._lock:
            self.reads.append((scene.id, window))
            pixels = [place for place in self.failures if isinstance(place, tuple) and place[0] == scene.id]
            self._fail([p for p in pixels if _holds(window, p[1], p[2])])
        return scene.reader.read(window)

    def _fail(self, places: Sequence[Place]) -> None:
        """Raise what is scripted for the first of the places that still has a failure to give."""
        for place in places:
            script = self.failures.get(place)
            if isinstance(script, ImageryError):
                raise script
            if script is not None and self._raised[place] < len(script):
                self._raised[place] += 1
                raise script[self._raised[place] - 1]


@dataclass(frozen=True, kw_only=True)
class _FakeReader:
    fetcher: FakeFetcher
    scene: Scene

    @property
    def tile_px(self) -> int:
        return self.fetcher.tile_px

    def read(self, window: Window) -> Pixels:
        return self.fetcher._read(self.scene, window)


class _FakeDenoisedReader(_FakeReader):
    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        assert isinstance(self.scene.reader, DenoisedReader)  # that is why this class was taken
        return self.scene.reader.noise_sigma0(window)


def _holds(window: Window, row: int, col: int) -> bool:
    return 0 <= row - window.row < window.height and 0 <= col - window.col < window.width
