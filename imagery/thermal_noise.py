"""Thermal noise put back into a radar scene, for detectors.

Without its noise, dark water scatters about zero: it is no longer speckle of a known number of looks, and a threshold
made for that misses what is faint. The noise is the same for a ship and for the water beside it, so it hides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import Window
from imagery.scene import Pixels, Scene


@runtime_checkable
class DenoisedReader(Protocol):
    """Gives sigma0 without thermal noise, and knows what it subtracted."""

    def read(self, window: Window) -> Pixels:
        """Pixels of all bands in a window inside the scene."""
        ...

    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        """(bands, height, width) of the noise that `read` subtracts there, in sigma0; zeros where none is."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoisyReader:
    """Pixels with their thermal noise.

    Attributes:
        denoised: gives them without it, and the noise.
    """

    denoised: DenoisedReader

    def read(self, window: Window) -> Pixels:
        """Pixels of all bands in a window inside the scene."""
        pixels = self.denoised.read(window)
        if not pixels.valid.any():
            return pixels
        return Pixels(data=pixels.data + self.denoised.noise_sigma0(window), valid=pixels.valid)


def with_thermal_noise(scene: Scene) -> Scene:
    """The scene as the radar measured it.

    Args:
        scene: any scene.

    Returns:
        One whose pixels hold their thermal noise; the scene itself where nobody knows what was subtracted.
    """
    if scene.unit != "sigma0" or not isinstance(scene.reader, DenoisedReader):
        return scene
    return replace(scene, reader=NoisyReader(denoised=scene.reader))
