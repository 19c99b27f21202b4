"""Outlines of labelled objects, and how far a point lies from them.

Coordinates are COCO's: x to the right, y down, the first pixel covers [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

FloatArray = NDArray[np.float64]


class Outline(Protocol):
    """The area of one object in an image."""

    @property
    def corners(self) -> FloatArray:
        """(k, 2) points (x, y) whose convex hull is the hull of the area."""
        ...

    def distance_px(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(n,) distance of points to the area, 0 inside."""
        ...


@dataclass(frozen=True, kw_only=True)
class PolygonOutline:
    """One or more closed rings; their areas are united, each filled by the even-odd rule.

    Attributes:
        rings: (k, 2) float64 corners (x, y) of each ring, k >= 3, the last not repeating the first.
    """

    rings: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        """Refuse what encloses nothing."""
        if not self.rings or any(ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3 for ring in self.rings):
            raise ValueError(f"an outline needs rings of shape (3 or more, 2), not {[r.shape for r in self.rings]}")

    @classmethod
    def of_box(cls, box_xywh: ArrayLike) -> PolygonOutline:
        """The outline of a horizontal box (left, top, width, height)."""
        left, top, width, height = np.asarray(box_xywh, float)
        ring = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [width, height] + [left, top]
        return cls(rings=(ring,))

    @property
    def corners(self) -> FloatArray:
        """All corners of all rings."""
        return np.concatenate(self.rings)

    def distance_px(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(n,) distance of points to the area, 0 inside."""
        return np.asarray(np.min([_ring_distance(ring, x, y) for ring in self.rings], axis=0), np.float64)


@dataclass(frozen=True, kw_only=True)
class PixelOutline:
    """The pixels of one object, each a unit square.

    Attributes:
        row, col: (k,) int64, k >= 1.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse an object without pixels."""
        if len(self.row) == 0 or self.row.shape != self.col.shape:
            raise ValueError(f"an outline needs pixels, not shapes {self.row.shape} and {self.col.shape}")

    @property
    def corners(self) -> FloatArray:
        """Corners of all pixels."""
        steps = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        return np.asarray((np.column_stack([self.col, self.row])[:, None] + steps).reshape(-1, 2), np.float64)

    def distance_px(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(n,) distance of points to the nearest pixel's square, 0 inside."""
        dx = np.maximum(np.abs(x[:, None] - (self.col + 0.5)) - 0.5, 0.0)
        dy = np.maximum(np.abs(y[:, None] - (self.row + 0.5)) - 0.5, 0.0)
        return np.asarray(np.hypot(dx, dy).min(axis=1), np.float64)


def distances_px(x: FloatArray, y: FloatArray, outlines: list[Outline], *, reach_px: float) -> FloatArray:
    """Distance of every point to every outline.

    Args:
        x: (n,) points, pixels.
        y: (n,) points, pixels.
        outlines: m outlines.
        reach_px: distances beyond it are not worked out.

    Returns:
        (n, m) float64, pixels; 0 inside, inf beyond reach.
    """
    out = np.full((len(x), len(outlines)), np.inf)
    for m, outline in enumerate(outlines):
        low, high = outline.corners.min(axis=0) - reach_px, outline.corners.max(axis=0) + reach_px
        near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
        if near.size:
            distance = outline.distance_px(x[near], y[near])
            out[near, m] = np.where(distance <= reach_px, distance, np.inf)
    return out


def bounds_xywh(corners: FloatArray) -> FloatArray:
    """(4,) horizontal box (left, top, width, height) around points (k, 2)."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.concatenate([low, high - low])


def oriented_size(points: FloatArray) -> tuple[float, float, float]:
    """Length, width and axis of the smallest rectangle around points.

    One side of it lies along the convex hull (Freeman & Shapira 1975, doi:10.1145/360881.360919).

    Args:
        points: (k, 2) (x, y), y down; any unit.

    Returns:
        Length >= width in the points' unit; axis in degrees clockwise from up in [0, 180).
    """
    try:
        hull = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # all points on one line, or fewer than three
        hull = points
    edges = np.roll(hull, -1, axis=0) - hull
    edges = edges[np.hypot(*edges.T) > 0]
    if len(edges) == 0:
        return 0.0, 0.0, 0.0
    along = edges / np.hypot(*edges.T)[:, None]
    across = np.column_stack([-along[:, 1], along[:, 0]])
    spans = [np.ptp(hull @ direction.T, axis=0) for direction in (along, across)]
    best = int(np.argmin(np.round(spans[0] * spans[1], 9)))
    sizes = (float(spans[0][best]), float(spans[1][best]))
    axis = along[best] if sizes[0] >= sizes[1] else across[best]
    return max(sizes), min(sizes), float(np.degrees(np.arctan2(axis[0], -axis[1])) % 180.0)


def _ring_distance(ring: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """(n,) distance of points to a filled ring."""
    start, end = ring, np.roll(ring, -1, axis=0)
    step = end - start
    px, py = x[:, None] - start[:, 0], y[:, None] - start[:, 1]
    length2 = np.maximum((step**2).sum(axis=1), 1e-300)
    share = np.clip((px * step[:, 0] + py * step[:, 1]) / length2, 0.0, 1.0)
    edge = np.hypot(px - share * step[:, 0], py - share * step[:, 1]).min(axis=1)
    crosses = (start[:, 1] > y[:, None]) != (end[:, 1] > y[:, None])
    rise = np.where(step[:, 1] == 0.0, 1.0, step[:, 1])
    left_of = x[:, None] < start[:, 0] + py * step[:, 0] / rise
    inside = (crosses & left_of).sum(axis=1) % 2 == 1
    return np.where(inside, 0.0, edge)
