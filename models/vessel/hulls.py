"""Hulls in an image: where they lie, how long and wide they are and which way they point, as arrays.

Angles are in image space: degrees clockwise from up (towards row 0), axis in [0, 180).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# How far a hull fills the corners of its rectangle: the square of the half-width of the upright box about it is
# (L cos a)^2 / 4 + (W sin a)^2 / 4 + k L W |sin 2a| / 4, where k = 0 is an ellipse and k = 1 a rectangle. Median over
# the ships of SSDD's training images whose axis is oblique: .11.
CORNER_FILL = 0.11


@dataclass(frozen=True, kw_only=True)
class Hulls:
    """Labelled objects of one image; all of shape (n,).

    Attributes:
        row, col: centre, pixel centres at whole numbers.
        length_px, width_px: sides of the least rectangle about the hull; NaN where unknown.
        axis_deg: of the long side, [0, 180); NaN where unknown.
        heading_deg: of the bow, [0, 360); NaN where unknown.
        kind: index into `models.vessel.network.CLASSES`.
        ignored: neither an object nor background: the loss leaves its place out.
    """

    row: FloatArray
    col: FloatArray
    length_px: FloatArray
    width_px: FloatArray
    axis_deg: FloatArray
    heading_deg: FloatArray
    kind: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.row)

    @classmethod
    def of_corners(cls, corners_xy: FloatArray, *, ignored: NDArray[np.bool_] | None = None) -> Hulls:
        """Vessels from the four corners of their rectangles, (n, 4, 2) in (col, row), corners in turn."""
        first, second = corners_xy[:, 1] - corners_xy[:, 0], corners_xy[:, 2] - corners_xy[:, 1]
        long_first = (np.hypot(*first.T) >= np.hypot(*second.T))[:, None]
        along, across = np.where(long_first, first, second), np.where(long_first, second, first)
        centre = corners_xy.mean(axis=1)
        n = len(corners_xy)
        return cls(
            row=centre[:, 1],
            col=centre[:, 0],
            length_px=np.hypot(*along.T),
            width_px=np.hypot(*across.T),
            axis_deg=np.degrees(np.arctan2(along[:, 0], -along[:, 1])) % 180.0,
            heading_deg=np.full(n, np.nan),
            kind=np.zeros(n, np.int64),
            ignored=np.zeros(n, bool) if ignored is None else ignored,
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Hulls:
        """Those named by a mask or an index array."""
        return Hulls(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Hulls]) -> Hulls:
        """All of all parts in order."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def corners(hulls: Hulls) -> FloatArray:
    """Corners (n, 4, 2) of the hulls' rectangles in (col, row), in turn; a side is a pixel at least."""
    angle = np.radians(hulls.axis_deg)
    forward = np.stack([np.sin(angle), -np.cos(angle)], axis=1) * np.maximum(hulls.length_px, 1.0)[:, None] / 2.0
    sideways = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.maximum(hulls.width_px, 1.0)[:, None] / 2.0
    steps = [forward + sideways, forward - sideways, -forward - sideways, -forward + sideways]
    return np.stack([hulls.col, hulls.row], axis=1)[:, None] + np.stack(steps, axis=1)


def rectangle(points_xy: FloatArray) -> FloatArray:
    """Corners (4, 2) of the least rectangle about points (k, 2); a line or a point gets sides of one pixel."""
    shape = shapely.MultiPoint(points_xy).minimum_rotated_rectangle
    if shape.geom_type != "Polygon":
        shape = shape.buffer(0.5, cap_style="square", join_style="mitre").minimum_rotated_rectangle
    return np.asarray(shape.exterior.coords)[:4]


def half_extents(
    length_px: FloatArray, width_px: FloatArray, cos_2axis: FloatArray, sin_2axis: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Half height and half width of the upright box about a hull (see `CORNER_FILL`).

    The axis may be a vector shorter than 1: where it is not known at all, the box of a hull at any angle in the mean.
    """
    mean, half = (length_px**2 + width_px**2) / 2.0, (length_px**2 - width_px**2) / 2.0
    corners = CORNER_FILL * length_px * width_px * np.abs(sin_2axis)
    return np.sqrt(mean + half * cos_2axis + corners) / 2.0, np.sqrt(mean - half * cos_2axis + corners) / 2.0
