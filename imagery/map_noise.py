"""Thermal noise of radar pixels on a map grid, from the noise and calibration tables of the products they came from.

A service that lays Sentinel-1 products on a map subtracts their thermal noise and does not say how much. The products'
own tables do: noise / sigmaNought^2 at the line and pixel of the slice that shows a place, as in
`imagery.products.grd_luts`.

It is reckoned in blocks that begin at the scene's first pixel, each on its own and always whole, so a pixel's noise is
the same to the last bit whatever window asks for it. Within a block the spline through the slice's control points is
asked at every 256th pixel and the tables at every 8th, with bilinear interpolation in between. That errs by less than
0.2 % but for the 12 pixels beside a line where the tables jump: the borders of sub-swaths, and the seam of two slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.errors import AnnotationError
from imagery.geometry import FloatArray, GcpGrid, Geometry, Window
from imagery.ground_acquisition import nearest_slice, outside_px, rowcol_where_known
from imagery.products.grd_luts import Lut, NoiseLut, read_calibration, read_noise

_BLOCK_PX = 512
_PLACE_STEP_PX = 256
_TABLE_STEP_PX = 8
# So far outside every slice the noise of its edge goes on, farther there is none. An area's margin of 1 km may show the
# next slice of the pass, whose tables nobody asked for; noise is continuous along a pass.
_BEYOND_PX = 160.0
# A slice's outline bends between its control points by less than this.
_OUTLINE_MARGIN_PX = _BEYOND_PX + 64.0


@dataclass(frozen=True, kw_only=True)
class TableFiles:
    """The tables of one polarisation of a slice.

    Attributes:
        calibration: content of ``annotation/calibration/calibration-*.xml``.
        noise: content of ``annotation/calibration/noise-*.xml``.
    """

    calibration: bytes
    noise: bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class SliceNoise:
    """The noise of one slice of a pass.

    Attributes:
        grid: its geometry.
        tables: (noise, sigmaNought) of each band.
    """

    grid: GcpGrid
    tables: tuple[tuple[NoiseLut, Lut], ...]

    def at(self, rows: FloatArray, cols: FloatArray) -> FloatArray:
        """Noise in sigma0, (bands, n), at continuous lines and pixels (n,); beyond the image that of its edge."""
        height, width = self.grid.shape_hw
        rows, cols = np.clip(rows, 0.0, height - 1.0), np.clip(cols, 0.0, width - 1.0)
        return np.stack([_power(noise, rows, cols) / _value(gain, rows, cols) ** 2 for noise, gain in self.tables])


@dataclass(frozen=True, kw_only=True, eq=False)
class MapNoise:
    """Thermal noise on a map grid, seen through one or more slices of a pass.

    Attributes:
        geometry: the map grid.
        slices: noise of each slice, all with the same bands; the first of two that hold a place counts, as in
            `imagery.ground_acquisition.AnnotatedGround`.
    """

    geometry: Geometry
    slices: tuple[SliceNoise, ...]

    def __post_init__(self) -> None:
        """Refuse slices that do not belong together."""
        if len({len(part.tables) for part in self.slices}) != 1:
            raise AnnotationError("thermal noise on a map needs slices, all of the same bands")

    def sigma0(self, window: Window) -> NDArray[np.float32]:
        """The noise of a window's pixels.

        Args:
            window: pixels wanted, inside the map grid.

        Returns:
            (bands, height, width) float32 in sigma0; zeros more than 160 pixels outside every slice, up to where
            the noise of its edge goes on.
        """
        out = np.zeros((len(self.slices[0].tables), *window.shape_hw), np.float32)
        bottom, right = window.row + window.height, window.col + window.width
        for row in range(window.row - window.row % _BLOCK_PX, bottom, _BLOCK_PX):
            for col in range(window.col - window.col % _BLOCK_PX, right, _BLOCK_PX):
                block = Window(row=row, col=col, height=_BLOCK_PX, width=_BLOCK_PX)
                part = window.intersection(block)
                assert part is not None  # blocks begin before the window's end and end after its beginning
                self._fill(out[(slice(None), *part.slices_in(window))], block, part)
        return out

    def _fill(self, out: NDArray[np.float32], block: Window, part: Window) -> None:
        """Write the noise of a part of a block."""
        near = [s for s, extent in zip(self.slices, self._extents, strict=True) if _meets(block, extent)]
        if not near:
            return
        noise, away_px = _on_lattice(self.geometry, near, block)
        rows, cols = (np.arange(s.start, s.stop) for s in part.slices_in(block))
        for band, nodes in zip(out, noise, strict=True):
            band[:] = _bilinear(nodes, _TABLE_STEP_PX, rows, cols)
        if away_px.max() > 0.0:
            out[:, _bilinear(away_px, _TABLE_STEP_PX, rows, cols) > _BEYOND_PX] = 0.0

    @cached_property
    def _extents(self) -> tuple[tuple[float, float, float, float], ...]:
        """First row, first column, last row, last column of each slice on the map."""
        places = [self.geometry.rowcol(s.grid.gcp_lon, s.grid.gcp_lat) for s in self.slices]
        return tuple(
            (
                float(row.min()) - _OUTLINE_MARGIN_PX,
                float(col.min()) - _OUTLINE_MARGIN_PX,
                float(row.max()) + _OUTLINE_MARGIN_PX,
                float(col.max()) + _OUTLINE_MARGIN_PX,
            )
            for row, col in places
        )


def map_noise(geometry: Geometry, grids: Sequence[GcpGrid], files: Sequence[Sequence[TableFiles]]) -> MapNoise:
    """The thermal noise of a map grid from files of the products.

    Args:
        geometry: the map grid.
        grids: geometry of each slice of the pass, such as those in `imagery.ground_acquisition.AnnotatedGround`.
        files: for each slice the tables of each band, in the order of the scene's bands.

    Returns:
        The noise.

    Raises:
        AnnotationError: if a file is hostile, damaged or of another image, or gives no noise power that can be used.
    """
    slices = [
        SliceNoise(grid=grid, tables=tuple(_tables(part, grid.shape_hw) for part in parts))
        for grid, parts in zip(grids, files, strict=True)
    ]
    return MapNoise(geometry=geometry, slices=tuple(slices))


def _tables(files: TableFiles, shape_hw: tuple[int, int]) -> tuple[NoiseLut, Lut]:
    gain = read_calibration(files.calibration, shape_hw)
    noise = read_noise(files.noise, shape_hw, ipf_version=None, calibration=files.calibration)
    if noise is None:
        raise AnnotationError(
            "the noise annotation gives no power that can be used (it is empty, or of a processor before IPF 2.90)"
        )
    return noise, gain


def _on_lattice(
    geometry: Geometry, slices: Sequence[SliceNoise], block: Window
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noise (bands, n, n) and distance outside the nearest slice in pixels (n, n), at every 8th pixel of a block."""
    coarse, fine = np.arange(0, _BLOCK_PX + 1, _PLACE_STEP_PX), np.arange(0, _BLOCK_PX + 1, _TABLE_STEP_PX)
    lon, lat = geometry.lonlat((block.row + coarse)[:, np.newaxis], block.col + coarse)
    places = [
        [_bilinear(nodes, _PLACE_STEP_PX, fine, fine) for nodes in rowcol_where_known(part.grid, lon, lat)]
        for part in slices
    ]
    away_px = [outside_px(part.grid.shape_hw, *place) for part, place in zip(slices, places, strict=True)]
    nearest = nearest_slice(away_px)
    noise = np.zeros((len(slices[0].tables), *nearest.shape), np.float32)
    for number, (part, (rows, cols)) in enumerate(zip(slices, places, strict=True)):
        mine = (nearest == number) & np.isfinite(rows)
        if mine.any():
            noise[:, mine] = part.at(rows[mine], cols[mine])
    away = np.nan_to_num(np.choose(nearest, away_px), nan=np.inf)
    return noise, np.minimum(away, 2.0 * _BLOCK_PX).astype(np.float32)


def _value(lut: Lut, rows: FloatArray, cols: FloatArray) -> FloatArray:
    """Values of a table at scattered lines and pixels (n,), as `Lut.at` has them at crossings."""
    last = len(lut.lines) - 1
    upper = np.clip(np.searchsorted(lut.lines, rows, side="right") - 1, 0, last)
    lower = np.minimum(upper + 1, last)
    step = np.where(lower > upper, lut.lines[lower] - lut.lines[upper], 1.0)
    below = np.clip((rows - lut.lines[upper]) / step, 0.0, 1.0)
    out = np.zeros(rows.shape)
    for number in range(int(upper.min()), int(lower.max()) + 1):
        share = np.where(upper == number, 1.0 - below, 0.0) + np.where(lower == number, below, 0.0)
        out += share * np.interp(cols, *lut.vectors[number])
    return out


def _power(noise: NoiseLut, rows: FloatArray, cols: FloatArray) -> FloatArray:
    """Noise power at scattered lines and pixels (n,); a place has the swath block of the sample nearest to it."""
    power = _value(noise.along_range, rows, cols)
    line, pixel = np.rint(rows), np.rint(cols)
    for block in noise.blocks:
        inside = (line >= block.first_line) & (line <= block.last_line)
        inside &= (pixel >= block.first_pixel) & (pixel <= block.last_pixel)
        if inside.any():
            power[inside] *= np.interp(rows[inside], block.lines, block.values)
    return power


def _bilinear(nodes: NDArray[Any], step_px: int, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[Any]:
    """Values at the crossings of rows and columns between nodes at every so many pixels, in the nodes' precision.

    One operation at a time for each element, so that a value does not depend on which others are asked for.
    """
    for axis, at in enumerate((rows, cols)):
        before = np.minimum(at // step_px, nodes.shape[axis] - 2)
        share = ((at - before * step_px) / step_px).astype(nodes.dtype)
        share = share[:, np.newaxis] if axis == 0 else share
        first, second = np.take(nodes, before, axis), np.take(nodes, before + 1, axis)
        nodes = first + share * (second - first)
    return nodes


def _meets(block: Window, extent: tuple[float, float, float, float]) -> bool:
    first_row, first_col, last_row, last_col = extent
    return (
        block.row <= last_row
        and block.row + block.height >= first_row
        and block.col <= last_col
        and block.col + block.width >= first_col
    )
