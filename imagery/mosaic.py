"""Many files of one pass read as one scene, without blending and without inventing pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from imagery.errors import RasterError
from imagery.geometry import Grid, Window
from imagery.geotiff import RasterFile
from imagery.scene import Pixels

# Grids whose pixel edges agree to a hundredth of a pixel over the whole mosaic count as one grid.
_ALIGNED_PX = 0.01


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """Files side by side on one north-up grid.

    Each pixel of the mosaic takes the value of the file pixel that its centre falls into: exact where the files
    share one pixel grid, nearest neighbour where they do not (`is_exact` tells). Where files overlap, the first one
    with a valid pixel wins; the order is given, so the result does not depend on the reading.

    Attributes:
        files: the files, each with the same labels.
        grid: the common grid.
        bands: bands of the mosaic; a file may hold only some of them.
    """

    files: tuple[RasterFile, ...]
    grid: Grid
    bands: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """True where all files lie on the mosaic's own pixel grid."""
        return all(_is_aligned(_grid_of(f), self.grid) for f in self.files)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the mosaic."""
        shape = (len(self.bands), *window.shape_hw)
        data = np.full(shape, np.nan, np.float32)
        valid = np.zeros(shape, bool)
        for file in self.files:
            rows = _indexes(window.row, window.height, self.grid, _grid_of(file), axis=0)
            cols = _indexes(window.col, window.width, self.grid, _grid_of(file), axis=1)
            into_rows, into_cols = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
            if len(into_rows) == 0 or len(into_cols) == 0:
                continue
            rows, cols = rows[into_rows], cols[into_cols]
            part = Window(
                row=int(rows.min()),
                col=int(cols.min()),
                height=int(np.ptp(rows)) + 1,
                width=int(np.ptp(cols)) + 1,
            )
            pixels = file.read(part)
            take = np.ix_(rows - part.row, cols - part.col)
            into = np.ix_(into_rows, into_cols)
            for band, name in enumerate(file.labels.bands):
                target = self.bands.index(name)
                fresh = pixels.valid[band][take] & ~valid[target][into]
                data[target][into] = np.where(fresh, pixels.data[band][take], data[target][into])
                valid[target][into] |= fresh
        return Pixels(data=data, valid=valid)


def mosaic(files: Sequence[RasterFile]) -> Mosaic:
    """Lay files of one pass side by side.

    Args:
        files: one or more north-up affine rasters of one CRS; bands may be spread over files.

    Returns:
        The mosaic on the grid of the finest file, so that no pixel of any file is lost.

    Raises:
        RasterError: if a file has control points, is rotated, or has another CRS or unit than the first.
    """
    first = files[0]
    grids = [_grid_of(f) for f in files]
    for file, grid in zip(files, grids, strict=True):
        if grid.crs_wkt != grids[0].crs_wkt or file.labels.unit != first.labels.unit:
            raise RasterError(
                f"{file.path} and {first.path} are of one pass but have different CRS or unit; "
                "keep them in different folders"
            )
        if grid.transform.b or grid.transform.d or grid.transform.e >= 0 or grid.transform.a <= 0:
            raise RasterError(f"{file.path} is not north-up; warp it first (gdalwarp) or detect in it alone")
    finest = min(grids, key=lambda g: (g.transform.a * -g.transform.e, g.transform.c, -g.transform.f))
    step_x, step_y = finest.transform.a, -finest.transform.e
    west = min(g.transform.c for g in grids)
    north = max(g.transform.f for g in grids)
    east = max(g.transform.c + g.transform.a * g.shape_hw[1] for g in grids)
    south = min(g.transform.f + g.transform.e * g.shape_hw[0] for g in grids)
    # keep the finest file's pixel edges: start a whole number of its pixels away from its corner
    x0 = finest.transform.c - np.ceil((finest.transform.c - west) / step_x - _ALIGNED_PX) * step_x
    y0 = finest.transform.f + np.ceil((north - finest.transform.f) / step_y - _ALIGNED_PX) * step_y
    width = int(np.ceil((east - x0) / step_x - _ALIGNED_PX))
    height = int(np.ceil((y0 - south) / step_y - _ALIGNED_PX))
    grid = Grid(
        crs_wkt=finest.crs_wkt,
        transform=Affine(step_x, 0.0, float(x0), 0.0, -step_y, float(y0)),
        shape_hw=(height, width),
    )
    bands = tuple(dict.fromkeys(b for f in files for b in f.labels.bands))
    return Mosaic(files=tuple(files), grid=grid, bands=bands)


def _grid_of(file: RasterFile) -> Grid:
    if not isinstance(file.geometry, Grid):
        raise RasterError(f"{file.path} is located by control points; it cannot be laid beside other files")
    return file.geometry


def _is_aligned(grid: Grid, other: Grid) -> bool:
    """True where every pixel edge of ``grid`` lies on one of ``other``, over the whole of both."""
    height, width = grid.shape_hw
    corners_x, corners_y = zip(
        *((~other.transform) @ (grid.transform @ c) for c in ((0, 0), (width, height))), strict=True
    )
    edges = np.array([*corners_x, *corners_y])
    same_count = np.allclose(np.ptp(corners_x), width, atol=_ALIGNED_PX) and np.allclose(
        np.ptp(corners_y), height, atol=_ALIGNED_PX
    )
    return bool(same_count and np.all(np.abs(edges - np.round(edges)) < _ALIGNED_PX))


def _indexes(start: int, count: int, grid: Grid, file_grid: Grid, *, axis: int) -> NDArray[np.int64]:
    """Row (axis 0) or column (axis 1) of the file under each pixel centre of the mosaic; -1 outside the file."""
    if axis == 0:
        origin, step, file_origin, file_step = (
            grid.transform.f,
            grid.transform.e,
            file_grid.transform.f,
            file_grid.transform.e,
        )
    else:
        origin, step, file_origin, file_step = (
            grid.transform.c,
            grid.transform.a,
            file_grid.transform.c,
            file_grid.transform.a,
        )
    centres = origin + (np.arange(start, start + count) + 0.5) * step
    index = np.floor((centres - file_origin) / file_step).astype(np.int64)
    return np.where((index >= 0) & (index < file_grid.shape_hw[axis]), index, -1)
