"""Radar units: everything that detects in radar works on linear intensity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.errors import UnitError
from imagery.scene import Scene, Unit

CALIBRATED: frozenset[Unit] = frozenset({"sigma0", "sigma0_db", "gamma0", "reflectance"})


def is_calibrated(scene: Scene) -> bool:
    """Whether a scene's numbers are physical (sigma0, gamma0, reflectance): else only their ratios mean anything."""
    return scene.unit in CALIBRATED


def linear_intensity(data: NDArray[np.float32], unit: Unit) -> NDArray[np.float32]:
    """Radar pixels as linear intensity (power).

    Args:
        data: pixels, any shape; NaN stays NaN. Where thermal noise was subtracted, ``sigma0`` of dark water scatters
            about zero: the detectors' statistics are of powers, so what is below zero becomes zero here. A mean over
            many pixels, as of a region's sigma0, is to be taken of the pixels themselves.
        unit: their unit; ``sigma0_db`` is 10 log10 of sigma0, ``amplitude`` the square root of intensity. ``dn8``
            are grey levels of an amplitude: level n stands for all from n to n + 1, its middle is taken, and so even
            level 0 has an intensity above zero (that chips of radar amplitude are coded so was measured on SSDD and
            LS-SSDD: their log-cumulants are those of a square root of power).

    Returns:
        float32 of the same shape, nowhere negative: sigma0 or gamma0, or intensity in the file's own scale where it is
        not calibrated.

    Raises:
        UnitError: if the pixels are reflectance.
    """
    match unit:
        case "sigma0" | "gamma0" | "intensity":
            return np.maximum(data, np.float32(0.0))
        case "sigma0_db":
            return np.asarray(np.exp(data * np.float32(np.log(10.0) / 10.0)))
        case "amplitude":
            return data * data
        case "dn8":
            return np.asarray(np.square(data + np.float32(0.5)), np.float32)
        case _:
            raise UnitError(f"a radar detector needs sigma0, intensity, amplitude or dB, not {unit}")
