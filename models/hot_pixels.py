"""From alarming pixels to objects: a sparse table per scene, so that objects never depend on how it was tiled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from imagery.geometry import Geometry, jacobian_m
from models.cfar import ALARM

# Pixels one dark pixel apart belong to one hull: bow and stern of a ship often outshine its middle.
_LINK_PX = 2

# What is more than 17 dB below a peak near it may be that peak's sidelobe: the second sidelobe of an unweighted
# aperture is 17.8 dB down (sinc^2), those of Sentinel-1's window 21 dB and more (ESA, S1-TN-MDA-52-7440).
SIDELOBE_RATIO = 0.02


@dataclass(frozen=True, kw_only=True)
class HotPixels:
    """Pixels that stand out of their background, in (row, col) order.

    Attributes:
        row, col: (n,) int64 scene pixels.
        level: (n,) uint8, `models.cfar.ALARM` = an object is here, `models.cfar.GROW` = part of one if it touches an
            alarm.
        ratio: (n,) float64, value over background: the weight of the pixel.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    level: NDArray[np.uint8]
    ratio: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of pixels."""
        return len(self.row)

    def take(self, mask: NDArray[np.bool_]) -> HotPixels:
        """The pixels of a mask."""
        return HotPixels(row=self.row[mask], col=self.col[mask], level=self.level[mask], ratio=self.ratio[mask])

    @classmethod
    def concatenate(cls, parts: Iterable[HotPixels]) -> HotPixels:
        """Pixels of all parts (each pixel in one part only), in (row, col) order."""
        parts = list(parts)
        row, col, level, ratio = (
            np.concatenate([np.asarray(getattr(p, name), dtype) for p in parts] or [np.empty(0, dtype)])
            for name, dtype in (("row", np.int64), ("col", np.int64), ("level", np.uint8), ("ratio", np.float64))
        )
        order = np.lexsort((col, row))
        return cls(row=row[order], col=col[order], level=level[order], ratio=ratio[order])


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """Groups of hot pixels, each holding an alarm, ordered by their first pixel; columns have shape (n,).

    Attributes:
        row, col: centroid weighted by the square root of the ratio (an amplitude, so one bright corner does not take
            all).
        extent_m, breadth_m: size along and across the main axis on the ground, pixel edges included, metres.
        axis_deg: main axis, degrees clockwise from north in [0, 180).
        axis_sigma_deg: its one-sigma error; 90 where the blob is round and the axis means nothing.
        peak_ratio: largest ratio.
        pixels: number of pixels of the hull, those above the hull's share of the peak.
        pixel_m: mean ground size of a pixel, metres.
    """

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    extent_m: NDArray[np.float64]
    breadth_m: NDArray[np.float64]
    axis_deg: NDArray[np.float64]
    axis_sigma_deg: NDArray[np.float64]
    peak_ratio: NDArray[np.float64]
    pixels: NDArray[np.int64]
    pixel_m: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of blobs."""
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class HullRules:
    """What makes one object of hot pixels.

    Attributes:
        min_pixels: fewest pixels of an object.
        max_breadth_m: greatest breadth of an object.
        hull_share: least ratio of a hull's pixel over the largest of its group.
        part: True = a group that falls apart when cut down to its hulls is several objects (ships in one plume),
            False = it is one (the bright points of one ship in radar).
    """

    min_pixels: int
    max_breadth_m: float
    hull_share: float
    part: bool


def blobs(hot: HotPixels, geometry: Geometry, rules: HullRules) -> Blobs:
    """Group hot pixels and measure each group on the ground.

    Args:
        hot: hot pixels of the whole scene.
        geometry: its geometry; sizes are true ground metres whatever the projection.
        rules: how a group is cut down to its hull; its limits of size are left to the caller.

    Returns:
        Blobs that hold at least one alarm.
    """
    first = _groups(hot)
    top = np.zeros(int(first.max()) + 1 if len(first) else 0)
    np.maximum.at(top, first, hot.ratio)
    on_hull = hot.ratio >= rules.hull_share * top[first]
    hull = hot.take(on_hull)
    label = _groups(hull) if rules.part else first[on_hull]
    has_alarm = np.zeros(int(label.max()) + 1 if len(label) else 0, bool)
    np.logical_or.at(has_alarm, label, hull.level == ALARM)
    keep = has_alarm[label]
    hull = hull.take(keep)
    _, label = np.unique(label[keep], return_inverse=True)  # np.unique sorts: groups stay in first-pixel order
    row, col, ratio = hull.row.astype(float), hull.col.astype(float), hull.ratio
    n = int(label.max()) + 1 if len(label) else 0

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, values, minlength=n), np.float64)

    count = np.bincount(label, minlength=n)
    weight = np.sqrt(np.maximum(ratio, 1e-12))
    mid_row, mid_col = total(weight * row) / total(weight), total(weight * col) / total(weight)
    jacobian = jacobian_m(geometry, mid_row, mid_col) if n else np.empty((0, 2, 2))
    d_row, d_col = row - mid_row[label], col - mid_col[label]
    east = jacobian[label, 0, 0] * d_row + jacobian[label, 0, 1] * d_col
    north = jacobian[label, 1, 0] * d_row + jacobian[label, 1, 1] * d_col
    # second moments of the pixels as small areas: each adds its own J J^T / 12
    own = jacobian @ jacobian.transpose(0, 2, 1) / 12.0
    mean_e, mean_n = total(east) / count, total(north) / count
    see = total(east * east) / count - mean_e**2 + own[:, 0, 0]
    snn = total(north * north) / count - mean_n**2 + own[:, 1, 1]
    sen = total(east * north) / count - mean_e * mean_n + own[:, 0, 1]
    axis = 0.5 * np.arctan2(2.0 * sen, snn - see)  # from north, clockwise
    extent, breadth = (_span(label, n, east, north, angle, jacobian) for angle in (axis, axis + np.pi / 2.0))
    # error of an axis from n points of a uniform ellipse: sqrt(l1 l2 / n) / (l1 - l2) (first-order perturbation)
    split = np.hypot(snn - see, 2.0 * sen)
    product = np.maximum(see * snn - sen**2, 0.0)
    sigma = np.degrees(np.sqrt(product / np.maximum(count, 1)) / np.maximum(split, 1e-9))
    peak = np.zeros(n)
    np.maximum.at(peak, label, ratio)
    return Blobs(
        row=mid_row,
        col=mid_col,
        extent_m=np.maximum(extent, breadth),
        breadth_m=np.minimum(extent, breadth),
        axis_deg=np.degrees(axis) % 180.0,
        axis_sigma_deg=np.minimum(sigma, 90.0),
        peak_ratio=peak,
        pixels=count.astype(np.int64),
        pixel_m=np.sqrt(np.abs(np.linalg.det(jacobian))),
    )


def _groups(hot: HotPixels) -> NDArray[np.int64]:
    """Group number of each pixel, numbered by the group's first pixel."""
    if len(hot) == 0:
        return np.empty(0, np.int64)
    tree = cKDTree(np.column_stack([hot.row, hot.col]))
    pairs = tree.query_pairs(_LINK_PX, p=np.inf, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(hot), len(hot)))
    _, label = connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[label])


def _span(
    label: NDArray[np.int64],
    n: int,
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    angle: NDArray[np.float64],
    jacobian: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Extent along directions (radians from north), with half a pixel's size at either end."""
    along = east * np.sin(angle)[label] + north * np.cos(angle)[label]
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, label, along)
    np.maximum.at(high, label, along)
    direction = np.column_stack([np.sin(angle), np.cos(angle)])
    steps = np.abs(np.einsum("nij,ni->nj", jacobian, direction))  # what one row and one column add along it
    return np.asarray(high - low + np.linalg.norm(steps, axis=1))
