"""Hulls in a whole scene, window by window, the same whatever the windows.

Windows start on multiples of the network's deepest stride, counted from the scene's first pixel, and carry a halo as
wide as the network looks; each keeps the peaks of its own core, and one merge runs over the whole scene. Outside the
scene there is no data, as anywhere without.

An area's answer is the whole scene's answer cut to it. The merge is what could differ: a peak outside the area may take
one inside. So the search goes as far beyond the area as any hull can reach (`longest_reach_px`: for a share of a half,
250 pixels and 45 from a peak's cell to its centre), and farther while a chain of hulls that take each other still
leaves the answer open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import Window
from imagery.scene import Pixels, Scene
from imagery.surface import SOUGHT, Surface, SurfaceMap
from imagery.tiling import Tile, tiles
from models.vessel.bands import network_bands
from models.vessel.cascade import SQUARE_PX, Sieve, Work, pieces
from models.vessel.decode import FARTHEST_CELLS, Peaks, longest_reach_px, merge_part, peaks
from models.vessel.engines import Engine
from models.vessel.inputs import InputCurve
from models.vessel.network import STRIDE_PX

TILE_PX = 2048  # a halo of 144 px then costs 30 % (at 1536 it is 41, at 1024 64 %); measured: 1.6 GiB at the peak
_AHEAD = 1  # windows read while one is judged
# Ships are sought on water and, as maps err, on this much of the land and cloud along it; further in nothing is sought.
ALONG_WATER_PX = 5

_IS_WATER = np.isin(np.arange(max(Surface) + 1), (*SOUGHT, Surface.SHORE))

Progress = Callable[[int, int], None]


def scene_peaks(
    scene: Scene,
    engine: Engine,
    curve: InputCurve,
    surface: SurfaceMap,
    *,
    hull_share: float,
    least_logit: float,
    region: Window | None = None,
    tile_px: int = TILE_PX,
    tile_origin: tuple[int, int] = (0, 0),
    sieve: Sieve | None = None,
    work: Work | None = None,
    progress: Progress | None = None,
) -> Peaks:
    """All peaks of a scene within `ALONG_WATER_PX` of its water, merged, in order of (row, col) of their cells.

    Args:
        scene: the scene.
        engine: the network.
        curve: its input.
        surface: what the scene shows.
        hull_share: see `models.vessel.decode.merge`.
        least_logit: see `models.vessel.decode.peaks`.
        region: pixels in which centres must lie; None = all.
        tile_px: side of a window's core, a multiple of the engine's `step_px`, with a sieve also of 64.
        tile_origin: (row, col) through which window boundaries pass, multiples of the same.
        sieve: only where it marks, the network looks (see `models.vessel.cascade`); None = everywhere.
        work: where given, how much the network was spared is added to it.
        progress: called with (windows done, windows in all); it starts anew where a region's search has to be widened.

    Raises:
        ValueError: if tile_px or tile_origin is not such a multiple.
        WeightsError: if the scene has none of the network's bands, or the network answers with NaN.
    """
    step = engine.step_px if sieve is None else math.lcm(SQUARE_PX, engine.step_px)
    if any(n % step for n in (tile_px, *tile_origin)):
        raise ValueError(f"tile_px {tile_px} and tile_origin {tile_origin} must be multiples of {step}")
    search = _Search(scene, engine, curve, surface, least_logit, sieve, work if work is not None else Work())
    region, whole = (region or scene.window).intersection(scene.window), _whole_windows(scene.window, step)
    if region is None:
        return Peaks.empty()
    reach_px = longest_reach_px(hull_share)
    margin_px = math.ceil(reach_px + FARTHEST_CELLS * STRIDE_PX)
    while True:
        searched = _whole_windows(region.padded(margin_px), step).intersection(whole)
        assert searched is not None  # the region lies in the scene
        cut = list(tiles(searched, tile_px=tile_px, halo_px=search.halo_px, origin=tile_origin))
        found = Peaks.concatenate([Peaks.empty(), *search.run(cut, progress)])
        kept, open_ = merge_part(found, hull_share, _near_unseen(found, searched, whole, reach_px))
        inside = _inside(kept, region)
        if not open_[inside].any():
            return kept.take(inside)
        margin_px *= 2


@dataclass(frozen=True)
class _Search:
    """What all windows of one scene have in common."""

    scene: Scene
    engine: Engine
    curve: InputCurve
    surface: SurfaceMap
    least_logit: float
    sieve: Sieve | None
    work: Work

    @property
    def halo_px(self) -> int:
        """Of a window that is read."""
        if self.sieve is None:
            return self._network_halo_px
        needed = max(self._network_halo_px + SQUARE_PX, self.sieve.halo_px)  # a piece may leave the core by a square
        return -(-needed // self.engine.step_px) * self.engine.step_px

    @property
    def _network_halo_px(self) -> int:
        """What the network sees and, as a peak is told by its neighbours, a deepest cell more."""
        return self.engine.halo_px + self.engine.step_px

    def run(self, cut: list[Tile], progress: Progress | None) -> Iterator[Peaks]:
        """Peaks of every window, unmerged, in order; the next is read while one is judged."""
        with ThreadPoolExecutor(_AHEAD) as pool:
            waiting = iter(cut)
            ahead = [pool.submit(self._read, tile) for tile in islice(waiting, _AHEAD)]
            for done, tile in enumerate(cut, start=1):
                read = ahead.pop(0).result()
                ahead += [pool.submit(self._read, later) for later in islice(waiting, 1)]
                if read is not None:
                    yield from self._judge(tile, read)
                if progress is not None:
                    progress(done, len(cut))

    def _read(self, tile: Tile) -> _Window | None:
        """What is needed to judge a window; None where there is nothing to seek."""
        pixels = self.scene.read(tile.padded)
        classes = self.surface.classes(tile.padded, pixels.measured)
        sought = _sought(classes, tile.padded, self.scene.window)
        core = tile.core.slices_in(tile.padded)
        if not sought[core].any():
            return None
        whole = Tile(core=tile.core, padded=tile.core.padded(self._network_halo_px))
        looked_at = [whole]
        if self.sieve is not None:
            sought = self.sieve.marked(self.scene, pixels, classes, sought, tile)
            parts = pieces(tile, sought, halo_px=self._network_halo_px)
            if sum(_area(each.padded) for each in parts) < _area(whole.padded):  # else the same answer for more
                looked_at = parts
        self.work.add(_area(whole.padded), [_area(each.padded) for each in looked_at])
        inputs = []
        for piece in looked_at:
            rows, cols = piece.padded.slices_in(tile.padded)
            part = Pixels(data=pixels.data[:, rows, cols], valid=pixels.valid[:, rows, cols])
            inputs.append(self.curve.network_input(network_bands(self.scene, part, self.curve)))
        return _Window(looked_at, inputs, sought[::STRIDE_PX, ::STRIDE_PX])

    def _judge(self, tile: Tile, window: _Window) -> Iterator[Peaks]:
        """Peaks of the pieces of one window in the cells where they are sought; of two pieces' cells the first's."""
        first_row, first_col = tile.padded.row // STRIDE_PX, tile.padded.col // STRIDE_PX
        size = self.engine.batch_size
        for first in range(0, len(window.pieces), size):
            batch = window.inputs[first : first + size]
            answers = self.engine.batch(batch[0][np.newaxis] if len(batch) == 1 else np.stack(batch))
            for piece, maps in zip(window.pieces[first : first + size], answers, strict=True):
                core, origin = _cells(piece)
                mine = peaks(maps, core, origin=origin, least_logit=self.least_logit)
                yield mine.take(window.sought[mine.cell_row - first_row, mine.cell_col - first_col])
                done = tuple(
                    slice(o + s.start - f, o + s.stop - f)
                    for o, s, f in zip(origin, core, (first_row, first_col), strict=True)
                )
                window.sought[done] = False


@dataclass(frozen=True)
class _Window:
    """A window that was read: its pieces for the network, their inputs, and the cells in which ships are sought."""

    pieces: list[Tile]
    inputs: list[NDArray[np.float32]]
    sought: NDArray[np.bool_]


def within(mask: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    """(h, w) pixels no more than so many rows and columns from one of the mask's."""
    out = mask
    for axis in (0, 1):
        lines = np.moveaxis(out, axis, 0)
        grown = lines.copy()
        for step in range(1, reach_px + 1):
            grown[step:] |= lines[:-step]
            grown[:-step] |= lines[step:]
        out = np.moveaxis(grown, 0, axis)
    return out


def _sought(classes: NDArray[np.uint8], window: Window, scene: Window) -> NDArray[np.bool_]:
    """Pixels of a window at which a ship's centre is sought, all of them in the scene."""
    water = _IS_WATER[classes]
    sought = water if water.all() else within(water, ALONG_WATER_PX)
    inside = scene.intersection(window)
    if inside == window:
        return sought
    out = np.zeros(sought.shape, bool)
    if inside is not None:
        there = inside.slices_in(window)
        out[there] = sought[there]
    return out


def _whole_windows(region: Window, step: int) -> Window:
    """The least window of whole steps around a region."""
    row, col = (n // step * step for n in (region.row, region.col))
    height = -(-(region.row + region.height - row) // step) * step
    width = -(-(region.col + region.width - col) // step) * step
    return Window(row=row, col=col, height=height, width=width)


def _near_unseen(found: Peaks, searched: Window, whole: Window, reach_px: float) -> NDArray[np.bool_]:
    """Peaks that lie so near to what was not searched that a peak there might take them."""
    near = np.zeros(len(found), bool)
    for place, first, length, whole_first, whole_length in (
        (found.row, searched.row, searched.height, whole.row, whole.height),
        (found.col, searched.col, searched.width, whole.col, whole.width),
    ):
        if first > whole_first:
            near |= place - first <= reach_px
        if first + length < whole_first + whole_length:
            near |= first + length - place <= reach_px
    return near


def _inside(found: Peaks, region: Window) -> NDArray[np.bool_]:
    """Peaks whose centre is a pixel of the region."""
    return np.asarray(
        (found.row >= region.row - 0.5)
        & (found.row < region.row + region.height - 0.5)
        & (found.col >= region.col - 0.5)
        & (found.col < region.col + region.width - 0.5)
    )


def _cells(tile: Tile) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Cells that a window owns, and the scene's cell at its first."""
    rows, cols = tile.core.slices_in(tile.padded)
    core = tuple(slice(s.start // STRIDE_PX, s.stop // STRIDE_PX) for s in (rows, cols))
    return (core[0], core[1]), (tile.padded.row // STRIDE_PX, tile.padded.col // STRIDE_PX)


def _area(window: Window) -> int:
    return window.height * window.width
