"""Which tiles of a scene an area asks for."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from imagery.aoi import AreaOfInterest
from imagery.geometry import FloatArray, Geometry, Window, metres_per_degree, wrap_lon

# A detector compares a pixel with its surroundings, some tens of pixels wide; 1 km holds them at 10 to 30 m a pixel.
MARGIN_M = 1000.0
_STEPS = 2  # places along a tile's side beyond its first corner; the side's bend between them is far below the margin


def wanted_tiles(
    geometry: Geometry, tile_px: int, area: AreaOfInterest, margin_m: float = MARGIN_M
) -> tuple[Window, ...]:
    """The tiles of a scene that lie in or near an area.

    Args:
        geometry: the scene's geometry.
        tile_px: side of the square tiles, counted from the scene's first pixel; those at its end are smaller.
        area: the area.
        margin_m: how far beyond the area tiles are wanted, metres; at least so far, somewhat more towards the poles.

    Returns:
        Windows inside the scene, row by row.
    """
    height, width = geometry.shape_hw
    rows, cols = _edges(height, tile_px), _edges(width, tile_px)
    outlines, known = _outlines(geometry, rows, cols)
    near = _grown(area, margin_m)
    shapely.prepare(near)
    wanted = ~known  # a tile whose place cannot be told may lie in the area
    for turn in (-360.0, 0.0, 360.0):
        wanted |= shapely.intersects(near, shapely.transform(outlines, partial(np.add, [turn, 0.0])))
    return tuple(
        Window(row=row, col=col, height=min(tile_px, height - row), width=min(tile_px, width - col))
        for i, row in enumerate(range(0, height, tile_px))
        for j, col in enumerate(range(0, width, tile_px))
        if wanted[i, j]
    )


def _edges(length: int, tile_px: int) -> FloatArray:
    """Pixel edges at every tile's border and between, `_STEPS` per tile."""
    starts = np.append(np.arange(0, length, tile_px), length).astype(float)
    steps = np.arange(_STEPS * (len(starts) - 1) + 1) / _STEPS
    return np.asarray(np.interp(steps, np.arange(len(starts)), starts) - 0.5)


def _outlines(geometry: Geometry, rows: FloatArray, cols: FloatArray) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Polygons (n, m) of all tiles in degrees, each in one piece, and where they are known."""
    lon, lat = geometry.lonlat(rows[:, None], cols[None, :])
    n, m = (len(rows) - 1) // _STEPS, (len(cols) - 1) // _STEPS
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    parts = [np.s_[i : i + _STEPS * (n - 1) + 1 : _STEPS, j : j + _STEPS * (m - 1) + 1 : _STEPS] for i, j in around]
    lons, lats = (np.stack([degrees[part] for part in parts], axis=-1) for degrees in (lon, lat))
    known: NDArray[np.bool_] = np.all(np.isfinite(lons) & np.isfinite(lats), axis=-1)
    lons, lats = np.where(known[..., None], lons, 0.0), np.where(known[..., None], lats, 0.0)
    lons = lons[..., :1] + wrap_lon(lons - lons[..., :1])
    return np.asarray(shapely.polygons(np.stack([lons, lats], axis=-1))), known


def _grown(area: AreaOfInterest, margin_m: float) -> shapely.Geometry:
    """The area and its surroundings in degrees, longitudes running on past 180."""
    _, south, _, north = area.unwrapped.bounds
    lon_m, lat_m = (float(v) for v in metres_per_degree(min(max(abs(south), abs(north)), 89.0)))
    lat_m = min(lat_m, float(metres_per_degree(0.0)[1]))  # a degree of latitude is shortest at the equator
    squeezed = shapely.transform(area.unwrapped, lambda lonlat: lonlat * [lon_m / lat_m, 1.0])
    return shapely.transform(squeezed.buffer(margin_m / lat_m), lambda xy: xy / [lon_m / lat_m, 1.0])
