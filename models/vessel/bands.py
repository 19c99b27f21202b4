"""From a scene's pixels to the bands that a network's input curve knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.radiometry import linear_intensity
from imagery.scene import Pixels, Scene
from models.errors import WeightsError
from models.vessel.inputs import InputCurve

UNITS = {"sigma0_db": ("sigma0", "sigma0_db", "gamma0"), "dn8": ("dn8",), "reflectance": ("reflectance",)}
_SAME_POLARISATION = {"hh": "vv", "hv": "vh"}  # like and cross: closer to each other than VV is to VH


def check_fits(scene: Scene, curve: InputCurve) -> None:
    """Refuse a scene whose unit or bands the network was not trained on.

    Raises:
        WeightsError: in one sentence.
    """
    if scene.unit not in UNITS[curve.kind]:
        raise WeightsError(f"scene {scene.id} is in {scene.unit}, these weights take {' or '.join(UNITS[curve.kind])}")
    if curve.kind != "dn8" and not set(_renamed(scene.bands, curve)) & set(curve.bands):
        raise WeightsError(
            f"scene {scene.id} has bands {', '.join(scene.bands)}, these weights take {', '.join(curve.bands)}"
        )


def network_bands(scene: Scene, pixels: Pixels, curve: InputCurve) -> dict[str, NDArray[np.float32]]:
    """(h, w) pixels by the curve's band names, NaN where there is no data; only bands that the curve knows.

    Eight-bit chips are one band, whatever it is called: the first.
    """
    data = np.where(pixels.valid, pixels.data, np.float32(np.nan))
    if curve.kind == "dn8":
        return {curve.bands[0]: data[0]}
    out = {}
    for name, values in zip(_renamed(scene.bands, curve), data, strict=True):
        if name in curve.bands and name not in out:
            out[name] = linear_intensity(values, scene.unit) if curve.kind == "sigma0_db" else values
    return out


def _renamed(bands: tuple[str, ...], curve: InputCurve) -> list[str]:
    return [name if name in curve.bands else _SAME_POLARISATION.get(name, name) for name in bands]
