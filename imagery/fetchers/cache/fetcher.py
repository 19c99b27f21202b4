"""A cache: a fetcher around a fetcher, whose scenes read from disk alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.aoi import AreaOfInterest
from imagery.errors import FetchError, SourceError
from imagery.fetchers.base import Cost, RemoteFetcher, SceneRef
from imagery.fetchers.cache.header import header_to_json, scene_from_json
from imagery.fetchers.cache.locks import Lease
from imagery.fetchers.cache.store import Entry, SceneFolder, TileStore
from imagery.fetchers.cache.tile_file import digest, encode_tile, read_tile, tile_key
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import Window
from imagery.scene import PixelReader, Pixels, Scene
from imagery.thermal_noise import DenoisedReader
from imagery.tiling import tiles as cut

_log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class CachedFetcher:
    """Gives the scenes of another fetcher, each of its tiles fetched once and kept.

    A scene that it gives holds the tiles in and around the area, 1 km beyond it; it reads them from the store and
    asks nobody. What could not be had is not valid there, and ``provenance.missing`` says so.

    Attributes:
        inner: the source.
        store: where tiles are kept.
        workers: tiles fetched at once; results do not depend on it.
        progress: called with (scene id, tiles done, tiles in all), in the thread that fetches.
    """

    inner: RemoteFetcher
    store: TileStore
    workers: int = 4
    progress: Progress | None = None

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for each scene that the source lists and cannot give."""
        return tuple(getattr(self.inner, "skipped", ()))

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id)."""
        return self.inner.search(area, start, end)

    def fetch(self, ref: SceneRef, area: AreaOfInterest) -> Scene:
        """The scene, with all of its tiles around the area that can be had.

        Raises:
            FetchError: none of it can be had.
            QuotaError, CredentialsError: see `Fetcher`; tiles that were fetched are kept.
            SourceError: the source does not know the scene, or the cache cannot be written to.
        """
        folder = self.store.scene(self.inner.identity, ref.id)
        lease = folder.lease()
        try:
            remote = _Remote(self.inner, ref, area)
            header = _header(folder, remote, area)
            windows = _wanted(header, area)
            if not windows:
                raise FetchError(f"scene {ref.id} has no pixels in or near {area.name!r}")
            return _assembled(header, self._tiles(folder, header, remote, windows), lease)
        except BaseException:  # the error may be kept, and this frame with it
            lease.close()
            raise

    def cost(self, ref: SceneRef, area: AreaOfInterest) -> Cost:
        """What is still to be fetched; the source's own estimate of all where it is not known how the scene is cut."""
        whole = self.inner.cost(ref, area)
        folder = self.store.scene(self.inner.identity, ref.id)
        header = _parsed(folder.header(_header_key(area)))
        if header is None:
            return whole
        absent = _absent(folder, header, area)
        if not absent:
            return Cost()
        share = _pixels(absent) / _pixels(_wanted(header, area))
        return Cost(
            tiles=len(absent),
            requests=math.ceil(whole.requests * share),
            bytes=math.ceil(whole.bytes * share),
            processing_units=whole.processing_units * share,
        )

    def _tiles(
        self, folder: SceneFolder, header: _Header, remote: _Remote, windows: Sequence[Window]
    ) -> dict[Window, Entry | FetchError]:
        """Every window's tile, or why it cannot be had; any other error ends it."""

        def tile(window: Window) -> Entry | FetchError:
            def make() -> bytes:
                reader = remote.reader(header)
                noise = None
                if header.has_noise and isinstance(reader, DenoisedReader):
                    noise = reader.noise_sigma0(window)
                return encode_tile(header.scene, window, reader.read(window), noise)

            try:
                return folder.tile(tile_key(folder.identity, header.scene, window, has_noise=header.has_noise), make)
            except FetchError as error:
                return error

        pool = ThreadPoolExecutor(max_workers=self.workers, thread_name_prefix="fetch")
        try:
            futures = {window: pool.submit(tile, window) for window in windows}
            for done, future in enumerate(as_completed(futures.values()), start=1):
                future.result()
                if self.progress is not None:
                    self.progress(folder.scene_id, done, len(windows))
        finally:
            pool.shutdown(cancel_futures=True)
        return {window: future.result() for window, future in futures.items()}


@dataclass(frozen=True, kw_only=True)
class StoredReader:
    """Pixels of the tiles that are in the store; where there is none, nothing is valid.

    Attributes:
        tiles: files by (row, column) of the tile, counted in tiles.
        tile_px: side of the tiles in pixels.
        bands: number of bands.
        lease: keeps the files from being cleared away while the reader lives.
    """

    tiles: Mapping[tuple[int, int], Path]
    tile_px: int
    bands: int
    lease: Lease | None = None

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene.

        Raises:
            RasterError: a file was removed or damaged since the scene was fetched.
        """
        data = self._read(window, range(self.bands))
        return Pixels(data=data, valid=~np.isnan(data))

    def _read(self, window: Window, bands: range) -> NDArray[np.float32]:
        data = np.full((len(bands), *window.shape_hw), np.nan, np.float32)
        for tile in cut(window, tile_px=self.tile_px, halo_px=0):
            row, col = tile.core.row // self.tile_px, tile.core.col // self.tile_px
            path = self.tiles.get((row, col))
            if path is not None:
                rows, cols = tile.core.slices_in(window)
                inside = replace(
                    tile.core, row=tile.core.row - row * self.tile_px, col=tile.core.col - col * self.tile_px
                )
                data[:, rows, cols] = read_tile(path, inside, bands)
        return data


class StoredDenoisedReader(StoredReader):
    """Stored pixels from which thermal noise was subtracted, and the noise: see `imagery.thermal_noise`."""

    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        """(bands, height, width) of the noise that was subtracted, in sigma0; zeros where there is no tile."""
        return np.nan_to_num(self._read(window, range(self.bands, 2 * self.bands)), nan=0.0)


@dataclass(frozen=True, kw_only=True)
class _Header:
    """A scene whose reader has no pixels yet, how it is cut into tiles, and whether their noise is known."""

    scene: Scene
    tile_px: int
    has_noise: bool


class _Remote:
    """The source's scene, asked for when it is first needed, and once."""

    def __init__(self, inner: RemoteFetcher, ref: SceneRef, area: AreaOfInterest) -> None:
        self._inner, self._ref, self._area = inner, ref, area
        self._lock = Lock()
        self._answer: Scene | FetchError | None = None

    def header(self) -> dict[str, Any]:
        """The header as plain values.

        Raises:
            SourceError: see `Fetcher.fetch`; or what came is not the scene that was asked for.
        """
        scene = self._scene()
        tile_px = getattr(scene.reader, "tile_px", None)
        if scene.id != self._ref.id or not isinstance(tile_px, int):
            raise SourceError(
                f"the source {self._inner.identity} gave {scene.id!r} with tiles of {tile_px} px for {self._ref.id!r}; "
                "a cache needs a RemoteFetcher, whose scenes carry the id asked for and have a RemoteReader"
            )
        has_noise = isinstance(scene.reader, DenoisedReader)
        return {"tile_px": tile_px, "has_noise": has_noise, "scene": header_to_json(scene)}

    def reader(self, header: _Header) -> PixelReader:
        """Gives pixels that fit the header.

        Raises:
            FetchError: the source cannot be had, or cuts the scene otherwise since.
        """
        scene = self._scene()
        lost_noise = header.has_noise and not isinstance(scene.reader, DenoisedReader)
        if scene.geometry != header.scene.geometry or scene.bands != header.scene.bands or lost_noise:
            raise FetchError(f"scene {scene.id} has changed at its source; run the same command again")
        return scene.reader

    def _scene(self) -> Scene:
        with self._lock:
            if self._answer is None:
                try:
                    self._answer = self._inner.fetch(self._ref, self._area)
                except FetchError as error:
                    self._answer = error
            if isinstance(self._answer, FetchError):
                raise self._answer
            return self._answer


def _header_key(area: AreaOfInterest) -> str:
    return digest(area.polygon.normalize().wkb_hex)


def _header(folder: SceneFolder, remote: _Remote, area: AreaOfInterest) -> _Header:
    """The stored header where all of its tiles seem to be there too; else the source's own, if that can be had."""
    key = _header_key(area)
    stored = folder.header(key)
    header = _parsed(stored)
    if header is not None and not _absent(folder, header, area):
        return header
    try:
        fresh = remote.header()
    except FetchError:
        if header is None:
            raise
        return header  # tiles that are there serve; each of the others will say why it is missing
    if fresh != stored:
        folder.put_header(key, fresh)
    parsed = _parsed(fresh)
    assert parsed is not None  # it was a scene a moment ago
    return parsed


def _parsed(stored: dict[str, Any] | None) -> _Header | None:
    """A stored header; None where there is none, or one that this version cannot read."""
    if stored is None:
        return None
    try:
        tile_px, bands = int(stored["tile_px"]), len(stored["scene"]["bands"])
        reader = StoredReader(tiles={}, tile_px=tile_px, bands=bands)
        scene = scene_from_json(stored["scene"], reader)
        return _Header(scene=scene, tile_px=tile_px, has_noise=bool(stored["has_noise"]))
    except (KeyError, TypeError, ValueError, SourceError) as error:
        _log.warning("a stored header is fetched again: %s", error)
        return None


def _wanted(header: _Header, area: AreaOfInterest) -> tuple[Window, ...]:
    return wanted_tiles(header.scene.geometry, header.tile_px, area)


def _pixels(windows: Sequence[Window]) -> int:
    return sum(w.height * w.width for w in windows)


def _absent(folder: SceneFolder, header: _Header, area: AreaOfInterest) -> tuple[Window, ...]:
    """Wanted tiles that are not in the store, at a quick look."""
    keys = {w: tile_key(folder.identity, header.scene, w, has_noise=header.has_noise) for w in _wanted(header, area)}
    return tuple(window for window, key in keys.items() if not folder.has(key))


def _assembled(header: _Header, found: Mapping[Window, Entry | FetchError], lease: Lease) -> Scene:
    """The scene, reading the tiles that were found.

    Raises:
        FetchError: there are none.
    """
    scene, tile_px = header.scene, header.tile_px
    entries = {window: entry for window, entry in found.items() if isinstance(entry, Entry)}
    failures = [error for error in found.values() if isinstance(error, FetchError)]
    if not entries:
        raise FetchError(f"scene {scene.id}: none of its {len(found)} tiles could be had: {failures[0]}")
    missing = [
        f"{len(failures)} of {len(found)} tiles could not be had and are not observed: {error}"
        for error in failures[:1]
    ]
    known = scene.provenance
    files = {(w.row // tile_px, w.col // tile_px): entry.path for w, entry in entries.items()}
    kind = StoredDenoisedReader if header.has_noise else StoredReader
    return replace(
        scene,
        reader=kind(tiles=files, tile_px=tile_px, bands=len(scene.bands), lease=lease),
        provenance=replace(
            known,
            ids=(*known.ids, *(f"{e.path.parent.name}/{e.path.name}" for e in entries.values())),
            sha256=(*(known.sha256 or ("",) * len(known.ids)), *(e.sha256 for e in entries.values())),
            missing=(*known.missing, *missing),
        ),
    )
