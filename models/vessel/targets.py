"""What the network should say of labelled hulls: one map per output, at its stride."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vessel.hulls import Hulls
from models.vessel.network import STRIDE_PX

LEAST_SIGMA_PX = 2.0  # of the bump that marks a centre
SIGMA_SHARE = 0.17  # of a hull's length and width, where that is more: no one knows a long hull's centre to a pixel
TAUGHT_FROM = 0.6  # cells whose bump reaches this learn the hull's place, size and axis
IGNORED_RADIUS_PX = 4.0


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Maps of one image at the output's stride, float32.

    Attributes:
        heat: (h, w), 1 at each centre's cell, falling off as a Gaussian along the hull's axes.
        counted: (h, w), False where the heat is left out of the loss.
        cells: (k, 2) rows and columns of the cells that learn a hull.
        hulls: (k, 8): offset (row, col) in pixels from the cell to the centre, ln length, ln width (px), cos and sin of
            twice the axis, heading (radians), kind; NaN where unknown.
        weight: (k,) of each such cell; the cells of one hull add up to 1.
        dense: (2, h, w), share of each cell that is hull and that is land; NaN where not known.
    """

    heat: NDArray[np.float32]
    counted: NDArray[np.bool_]
    cells: NDArray[np.int64]
    hulls: NDArray[np.float32]
    weight: NDArray[np.float32]
    dense: NDArray[np.float32]


def encode(
    hulls: Hulls,
    shape_hw: tuple[int, int],
    valid: NDArray[np.bool_] | None = None,
    *,
    hull_mask: NDArray[np.float32] | None = None,
    land: NDArray[np.float32] | None = None,
) -> Targets:
    """Targets of one image.

    Args:
        hulls: its labels; centres outside the image are left out.
        shape_hw: of the image, multiples of the stride.
        valid: (h, w) pixels that hold data; cells without any are not counted. None = all.
        hull_mask: (h, w) 1 on hulls, 0 elsewhere, NaN where not known; None = nowhere known.
        land: (h, w) 1 on land, 0 on water, NaN where not known; None = nowhere known.
    """
    height, width = shape_hw[0] // STRIDE_PX, shape_hw[1] // STRIDE_PX
    heat = np.zeros((height, width), np.float32)
    counted = np.ones((height, width), bool)
    if valid is not None:
        counted &= valid.reshape(height, STRIDE_PX, width, STRIDE_PX).any(axis=(1, 3))
    # The cell (i, j) covers pixels 2i and 2i + 1: its centre lies at 2i + .5.
    rows, cols = (np.arange(n) * STRIDE_PX + (STRIDE_PX - 1) / 2.0 for n in (height, width))
    owner = np.full((height, width), -1)
    best = np.full((height, width), 0.0, np.float32)
    for i in range(len(hulls)):
        row, col = hulls.row[i], hulls.col[i]
        if not (-0.5 <= row < shape_hw[0] - 0.5 and -0.5 <= col < shape_hw[1] - 0.5):
            continue
        if hulls.ignored[i]:
            radius = max(IGNORED_RADIUS_PX, np.nan_to_num(hulls.length_px[i]) / 2.0)
            counted &= np.hypot(rows[:, None] - row, cols - col) > radius
            continue
        along, across = (
            max(LEAST_SIGMA_PX, SIGMA_SHARE * np.nan_to_num(s[i])) for s in (hulls.length_px, hulls.width_px)
        )
        reach = int(3.0 * along / STRIDE_PX) + 2
        at = int((row + 0.5) // STRIDE_PX), int((col + 0.5) // STRIDE_PX)
        part = np.s_[max(at[0] - reach, 0) : at[0] + reach + 1, max(at[1] - reach, 0) : at[1] + reach + 1]
        angle = np.radians(np.nan_to_num(hulls.axis_deg[i]))
        down, right = rows[part[0], None] - row, cols[part[1]] - col
        forward = right * np.sin(angle) - down * np.cos(angle)
        sideways = right * np.cos(angle) + down * np.sin(angle)
        bump = np.exp(-((forward / along) ** 2 + (sideways / across) ** 2) / 2.0).astype(np.float32)
        bump[at[0] - part[0].start, at[1] - part[1].start] = 1.0
        heat[part] = np.maximum(heat[part], bump)
        mine = (bump >= TAUGHT_FROM) & (bump > best[part])
        owner[part][mine] = i
        best[part][mine] = bump[mine]
    cells = np.argwhere((owner >= 0) & counted)
    of = owner[cells[:, 0], cells[:, 1]]
    values = best[cells[:, 0], cells[:, 1]]
    total = np.bincount(of, weights=values, minlength=max(len(hulls), 1))
    twice = np.radians(2.0 * hulls.axis_deg[of])
    described = np.stack(
        [
            hulls.row[of] - rows[cells[:, 0]],
            hulls.col[of] - cols[cells[:, 1]],
            np.log(np.maximum(hulls.length_px[of], 1.0)),
            np.log(np.maximum(hulls.width_px[of], 1.0)),
            np.cos(twice),
            np.sin(twice),
            np.radians(hulls.heading_deg[of]),
            hulls.kind[of],
        ],
        axis=1,
    ).astype(np.float32)
    dense = np.stack([_cell_means(mask, (height, width)) for mask in (hull_mask, land)])
    dense[:, ~counted] = np.nan
    return Targets(
        heat=heat,
        counted=counted,
        cells=cells,
        hulls=described,
        weight=(values / total[of]).astype(np.float32),
        dense=dense,
    )


def _cell_means(mask: NDArray[np.float32] | None, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Means over the pixels of each cell; NaN where nothing is known."""
    if mask is None:
        return np.full(shape_hw, np.nan, np.float32)
    height, width = shape_hw
    return np.asarray(mask.reshape(height, STRIDE_PX, width, STRIDE_PX).mean(axis=(1, 3)), np.float32)
