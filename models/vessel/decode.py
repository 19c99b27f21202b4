"""From the network's maps to hulls: peaks, then one merge over the whole image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.errors import WeightsError
from models.vessel.network import CHANNEL_SLICES, CLASSES, STRIDE_PX

FloatArray = NDArray[np.float64]

LEAST_MERGE_PX = 4.0  # 99.92 % of xView3's validation objects lie further apart than this (10 m pixels)
LEAST_LOGIT = -4.6  # 1 %: below this a peak is no candidate
LONGEST_PX, SHORTEST_PX = 1000.0, 1.0
FARTHEST_CELLS = 16.0  # from a peak's cell to its centre: peaks lie on centres, and an area's answer needs a bound
_NEIGHBOURS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
_TAKEN, _DOUBTFUL, _KEPT = 0, 1, 2
_A_HAIR_MORE = 1.0 + 1e-9  # the tree only gathers candidates: rounding in its distances must not decide


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Candidates in one image, each of shape (n,) unless said.

    Attributes:
        row, col: centre in pixels, pixel centres at whole numbers.
        cell_row, cell_col: cell of the output that holds the peak.
        logit: of there being an object.
        length_px, width_px: hull.
        log_length_sigma: standard deviation of ln length, as the network says.
        cos_2axis, sin_2axis: of twice the axis; the vector's length, at most 1, is how sure it is.
        cos_heading, sin_heading: towards the bow; as above.
        kind_logit: (n, number of `CLASSES`).
    """

    row: FloatArray
    col: FloatArray
    cell_row: NDArray[np.int64]
    cell_col: NDArray[np.int64]
    logit: FloatArray
    length_px: FloatArray
    width_px: FloatArray
    log_length_sigma: FloatArray
    cos_2axis: FloatArray
    sin_2axis: FloatArray
    cos_heading: FloatArray
    sin_heading: FloatArray
    kind_logit: FloatArray

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.row)

    @property
    def axis_deg(self) -> FloatArray:
        """Long axis, degrees clockwise from up, [0, 180)."""
        return np.asarray(np.degrees(np.arctan2(self.sin_2axis, self.cos_2axis)) / 2.0 % 180.0)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Peaks:
        """Those named by an index array or a mask."""
        return Peaks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def empty(cls) -> Peaks:
        """None."""
        none: dict[str, NDArray[Any]] = {f.name: np.empty(0) for f in fields(cls)}
        none |= {"cell_row": np.empty(0, np.int64), "cell_col": np.empty(0, np.int64)}
        return cls(**{**none, "kind_logit": np.empty((0, len(CLASSES)))})

    @classmethod
    def concatenate(cls, parts: list[Peaks]) -> Peaks:
        """All of all parts."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def peaks(
    maps: NDArray[np.float32],
    core: tuple[slice, slice],
    *,
    origin: tuple[int, int] = (0, 0),
    least_logit: float = LEAST_LOGIT,
) -> Peaks:
    """Cells whose heat is above all eight neighbours'; of equal neighbours, the first in reading order.

    Args:
        maps: (c, h, w) output for a window.
        core: rows and columns of cells that this window owns; a peak needs its neighbours, so unless the window ends
            where the image does, a core leaves out the window's outermost cells.
        origin: (row, col) of the window's first cell among the image's cells.
        least_logit: lowest heat.

    Raises:
        WeightsError: if the heat holds NaN.
    """
    heat = maps[0]
    if np.isnan(heat).any():
        raise WeightsError("the network answers with NaN: its weights are damaged; get them again")
    padded = np.pad(heat, 1, constant_values=-np.inf)
    rows, cols = np.nonzero(heat[core] >= least_logit)
    rows, cols = rows + core[0].start, cols + core[1].start
    for d_row, d_col in _NEIGHBOURS:
        mine, other = heat[rows, cols], padded[1 + d_row + rows, 1 + d_col + cols]
        top = mine > other if (d_row, d_col) < (0, 0) else mine >= other
        rows, cols = rows[top], cols[top]
    at = maps[:, rows, cols].astype(np.float64)
    said = {name: at[where] for name, where in CHANNEL_SLICES.items()}
    cell_row, cell_col = rows + origin[0], cols + origin[1]
    middle = (STRIDE_PX - 1) / 2.0
    offset = np.clip(said["offset"], -FARTHEST_CELLS, FARTHEST_CELLS)
    axis = said["axis"] / np.maximum(np.hypot(*said["axis"]), 1.0)
    heading = said["direction"] / np.maximum(np.hypot(*said["direction"]), 1.0)
    bounds = np.log(SHORTEST_PX), np.log(LONGEST_PX)
    length, width_ = (np.exp(np.clip(said[name][0], *bounds)) for name in ("log_length", "log_width"))
    return Peaks(
        row=(cell_row + offset[0]) * STRIDE_PX + middle,
        col=(cell_col + offset[1]) * STRIDE_PX + middle,
        cell_row=cell_row,
        cell_col=cell_col,
        logit=said["heat"][0],
        length_px=np.maximum(length, width_),
        width_px=np.minimum(length, width_),
        log_length_sigma=np.exp(np.clip(said["log_length_var"][0], -6.0, 2.0) / 2.0),
        cos_2axis=axis[0],
        sin_2axis=axis[1],
        cos_heading=heading[0],
        sin_heading=heading[1],
        kind_logit=said["kind"].T.reshape(-1, len(CLASSES)),
    )


def merge(found: Peaks, hull_share: float) -> Peaks:
    """One peak per object: the strongest first, it takes those whose centre lies within its hull's inner ellipse.

    Args:
        found: all peaks of the image, in any order.
        hull_share: semi-axes of that ellipse over those of the hull; they are `LEAST_MERGE_PX` at least.

    Returns:
        What stays, in order of (row, col) of its cell.
    """
    return merge_part(found, hull_share, np.zeros(len(found), bool))[0]


def merge_part(found: Peaks, hull_share: float, near_unseen: NDArray[np.bool_]) -> tuple[Peaks, NDArray[np.bool_]]:
    """`merge` of what was found in a part of an image.

    Args:
        found: all peaks of the part, in any order.
        hull_share: see `merge`.
        near_unseen: (n,) peaks that one outside the part might take.

    Returns:
        What stays or may stay, in order of (row, col) of its cell; and for each, whether what lies outside the part
        decides. The others stay in the merge of the whole image, and of those left out none does.
    """
    order = np.lexsort((found.cell_col, found.cell_row, -found.logit))
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found))
    along = np.maximum(hull_share * found.length_px / 2.0, LEAST_MERGE_PX)
    across = np.maximum(hull_share * found.width_px / 2.0, LEAST_MERGE_PX)
    angle = np.radians(found.axis_deg)
    places = np.column_stack([found.row, found.col])
    state = np.where(near_unseen, _DOUBTFUL, _KEPT)
    for i, near in _neighbours(places, along, order):
        if state[i] == _TAKEN:
            continue
        weaker = near[rank[near] > rank[i]]
        down, right = found.row[weaker] - found.row[i], found.col[weaker] - found.col[i]
        forward = right * np.sin(angle[i]) - down * np.cos(angle[i])
        sideways = right * np.cos(angle[i]) + down * np.sin(angle[i])
        within = weaker[(forward / along[i]) ** 2 + (sideways / across[i]) ** 2 <= 1.0]
        state[within] = _TAKEN if state[i] == _KEPT else np.minimum(state[within], _DOUBTFUL)
    rows = np.flatnonzero(state != _TAKEN)
    rows = rows[np.lexsort((found.cell_col[rows], found.cell_row[rows]))]
    return found.take(rows), state[rows] == _DOUBTFUL


def longest_reach_px(hull_share: float) -> float:
    """The farthest that a peak's cell can lie from the centre of one that it takes."""
    return max(hull_share * LONGEST_PX / 2.0, LEAST_MERGE_PX) + FARTHEST_CELLS * STRIDE_PX * math.sqrt(2.0)


def _neighbours(
    places: FloatArray, reach_px: FloatArray, order: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """In the given order, each place that has others within its reach, with their indices (a hair more, itself too)."""
    if not len(places):
        return
    tree = cKDTree(places)
    crowded = tree.query_ball_point(places, reach_px * _A_HAIR_MORE, return_length=True) > 1
    for i in order[crowded[order]]:
        yield int(i), np.asarray(tree.query_ball_point(places[i], reach_px[i] * _A_HAIR_MORE), np.int64)
