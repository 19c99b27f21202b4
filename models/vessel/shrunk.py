"""The network shown an image's means over squares of pixels: what was seen there, in the image's own cells.

A long hull at a quay is seen better from farther away. Every cell of the shrunk image stands for several cells of the
image; its answer goes to the first of them, the others say that there is nothing. So only peaks may go through: a cell
weaker than one of its eight neighbours is silenced before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.vessel.engines.wrapped import WrappedEngine
from models.vessel.network import CHANNEL_SLICES, STRIDE_PX

Maps = NDArray[np.float32]

_NOTHING = np.float32(-1e4)  # logit


def through_shrunk(ask: Callable[[Maps], Maps], inputs: Maps, shrink: int) -> Maps:
    """The network's maps of a shrunk image in the cells of the image itself.

    Args:
        ask: the network: (k, h, w) to (c, h / 2, w / 2).
        inputs: (k, h, w), h and w multiples of `shrink` times what the network takes.
        shrink: side of the squares; 1 = ask as it is.

    Returns:
        (c, h / 2, w / 2): heat is `_NOTHING` in all cells but peaks.
    """
    if shrink == 1:
        return ask(inputs)
    channels, height, width = inputs.shape
    squares = inputs.reshape(channels, height // shrink, shrink, width // shrink, shrink)
    maps = ask(np.ascontiguousarray(squares.mean(axis=(2, 4), dtype=np.float32))).copy()
    heat = maps[0]
    heat[heat < maximum_filter(heat, 3, mode="constant", cval=-np.inf)] = _NOTHING
    # A place x of the shrunk image is shrink x + (shrink - 1) / 2 of the image; offsets count in cells of two pixels.
    offset = maps[CHANNEL_SLICES["offset"]]
    offset[:] = shrink * offset + np.float32((shrink - 1) / STRIDE_PX)
    for name in ("log_length", "log_width"):
        maps[CHANNEL_SLICES[name]] += np.float32(np.log(shrink))
    out = np.zeros((len(maps), height // STRIDE_PX, width // STRIDE_PX), np.float32)
    out[0] = _NOTHING
    out[:, ::shrink, ::shrink] = maps
    return out


@dataclass(frozen=True)
class ShrunkEngine(WrappedEngine):
    """An engine that shows another shrunk images.

    Attributes:
        engine: the other.
        shrink: see `through_shrunk`.
    """

    shrink: int

    @property
    def halo_px(self) -> int:
        """The other's, and a cell's neighbours, in whole windows of the other."""
        return self.shrink * (self.engine.halo_px + self.engine.step_px)

    @property
    def step_px(self) -> int:
        """The other's, in pixels of the image."""
        return self.shrink * self.engine.step_px

    def maps(self, inputs: Maps) -> Maps:
        """See `Engine`."""
        return through_shrunk(self.engine.maps, inputs, self.shrink)
