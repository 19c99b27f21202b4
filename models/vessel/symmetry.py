"""The network asked eight ways: an image mirrored and turned by quarters, the answers brought back and averaged.

For images whose geometry does not tell up from right, as uncalibrated chips; it takes eight times as long. A scene of
Sentinel-1 is not symmetric (azimuth ambiguities, layover) and is asked once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.vessel.engines.wrapped import WrappedEngine
from models.vessel.network import CHANNEL_SLICES

Maps = NDArray[np.float32]


def over_symmetries(ask: Callable[[Maps], Maps], inputs: Maps) -> Maps:
    """Mean of the network's maps over the eight symmetries of the square, each in the image's own directions.

    Args:
        ask: the network: (k, h, w) to (c, h / 2, w / 2).
        inputs: (k, h, w).

    Returns:
        (c, h / 2, w / 2).
    """
    total: Maps | None = None
    for mirrored in (False, True):
        for quarters in range(4):
            seen = inputs[:, :, ::-1] if mirrored else inputs
            maps = turned(ask(np.ascontiguousarray(np.rot90(seen, quarters, axes=(1, 2)))), -quarters)
            if mirrored:
                maps = mirror_image(maps)
            total = maps if total is None else total + maps
    assert total is not None
    return total / np.float32(8.0)


def mirror_image(maps: Maps) -> Maps:
    """Maps of an image of which left and right are exchanged."""
    out = maps[:, :, ::-1].copy()
    for name in ("offset", "axis", "direction"):  # (row, col), (cos, sin) from up: the second of each goes sideways
        out[CHANNEL_SLICES[name].stop - 1] *= -1.0
    return out


def turned(maps: Maps, quarters: int) -> Maps:
    """Maps of an image turned anticlockwise by quarters, as `numpy.rot90`: what pointed right then points up."""
    out = np.rot90(maps, quarters, axes=(1, 2)).copy()
    offset, axis, direction = (out[CHANNEL_SLICES[name]] for name in ("offset", "axis", "direction"))
    for _ in range(quarters % 4):
        offset[:] = np.stack([-offset[1], offset[0]])
        axis *= -1.0  # a quarter, doubled
        direction[:] = np.stack([direction[1], -direction[0]])
    return out


class SymmetricEngine(WrappedEngine):
    """An engine that asks another eight ways."""

    def maps(self, inputs: Maps) -> Maps:
        """See `Engine`."""
        return over_symmetries(self.engine.maps, inputs)
