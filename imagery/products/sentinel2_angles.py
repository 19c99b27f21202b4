"""Sun and viewing angles of a Sentinel-2 tile between the nodes of its 5 km grids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imagery.errors import AnnotationError
from imagery.geometry import FloatArray, Window


@dataclass(frozen=True, kw_only=True, eq=False)
class AngleGrid:
    """A direction at the nodes of a grid whose first node is the tile's upper-left corner.

    It is kept as the horizontal part of its unit vector, (sin z sin a, sin z cos a), and interpolated bilinearly so:
    azimuths may pass north, and a satellite may pass the zenith.

    Attributes:
        east, north: (n, m) parts of the unit vector, finite.
        step_px: pixels from node to node along rows and along columns.
    """

    east: FloatArray
    north: FloatArray
    step_px: tuple[float, float]

    def at(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Angles at the centres of the pixels of a window inside the tile.

        Args:
            window: the pixels.

        Returns:
            Zenith and azimuth angle in degrees, each (height, width).
        """
        by_row = _weights(window.row, window.height, self.step_px[0], self.east.shape[0])
        by_col = _weights(window.col, window.width, self.step_px[1], self.east.shape[1])
        east, north = (by_row @ part @ by_col.T for part in (self.east, self.north))
        zenith = np.degrees(np.arcsin(np.minimum(np.hypot(east, north), 1.0)))
        azimuth = np.degrees(np.arctan2(east, north)) % 360.0
        return zenith.astype(np.float32), azimuth.astype(np.float32)


def angle_grid(grids: Iterable[tuple[FloatArray, FloatArray]], step_px: tuple[float, float]) -> AngleGrid | None:
    """One grid from those of the detectors that saw the tile, or from the only one of the sun.

    Where two detectors overlap, the direction is the mean of theirs; beyond the nodes that any detector saw it is that
    of the nearest one, as pixels up to a node's distance away have data.

    Args:
        grids: zenith and azimuth angle in degrees, each (n, m), NaN where not seen.
        step_px: pixels from node to node along rows and along columns.

    Returns:
        The grid, None where no node has a value.

    Raises:
        AnnotationError: if the grids differ in size.
    """
    parts = []
    for zenith_deg, azimuth_deg in grids:
        sine = np.sin(np.radians(zenith_deg))
        parts.append(np.stack([sine * np.sin(np.radians(azimuth_deg)), sine * np.cos(np.radians(azimuth_deg))]))
    if len({part.shape for part in parts}) > 1:
        raise AnnotationError(f"angle grids of one tile differ in size: {sorted({p.shape[1:] for p in parts})}")
    if not parts:
        return None
    stack = np.stack(parts)
    known = np.isfinite(stack).all(axis=1)
    count = known.sum(axis=0)
    if not count.any():
        return None
    total = np.where(known[:, np.newaxis], stack, 0.0).sum(axis=0)
    mean = total / np.maximum(count, 1)
    _, nearest = ndimage.distance_transform_edt(count == 0, return_indices=True)
    east, north = mean[:, nearest[0], nearest[1]]
    return AngleGrid(east=east, north=north, step_px=step_px)


def _weights(start: int, count: int, step_px: float, nodes: int) -> FloatArray:
    """(count, nodes) bilinear weights of the nodes for pixel centres; beyond the last node that one's value."""
    place = np.clip((np.arange(start, start + count) + 0.5) / step_px, 0.0, nodes - 1.0)
    below = np.minimum(np.floor(place).astype(int), max(nodes - 2, 0))
    share = place - below
    weights = np.zeros((count, nodes))
    weights[np.arange(count), below] = 1.0 - share
    weights[np.arange(count), np.minimum(below + 1, nodes - 1)] += share
    return weights
