"""Reflectance and no data of an optical image, by what is said of it and what its pixels show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.band_names import Bands
from imagery.completed import TRUE_COLOUR, Told, completed_labels
from imagery.errors import RasterError, UnitError
from imagery.hints import Hints
from imagery.pixel_evidence import evidence_of, without

# Sentinel-2 numbers are reflectance times 10,000, since processing baseline 04.00 (2022) plus 1,000.
_OFFSET_AT_LEAST, _NO_OFFSET_BELOW = 950.0, 750.0


def tell_optical(dataset: Any, path: Path, hints: Hints, bands: Bands, windows: NDArray[np.float32]) -> Told:
    """Reflectance and no data.

    Raises:
        UnitError: if the numbers cannot be read as reflectance.
        RasterError: if all is land.
    """
    if hints.unit not in (None, "dn8"):
        raise UnitError(f"{path} is optical and --unit {hints.unit} is for radar; leave it out, or give --sensor sar")
    values = windows
    no_data: tuple[float, ...] = ()
    dtype = dataset.dtypes[next(iter(bands.indexes.values())) - 1]
    seen = [evidence_of(band) for band in values]
    if bands.alpha is None and (dtype == "uint16" or all(e.solid_zeros for e in seen)):
        no_data = (0.0,)
        values = without(values, 0.0)
    if not np.isfinite(values).any():
        raise RasterError(f"{path} holds no valid pixel (all no-data or NaN); there is nothing to look at")
    unit, note = (None, ()) if dataset.tags().get("UNIT") else _reflectance(path, dtype, values, hints)
    labels = completed_labels(dataset, path, bands, unit, note)
    if labels.unit != "reflectance":
        raise UnitError(
            f"{path} has optical bands in {labels.unit} by its UNIT tag; mend the tag, or give --sensor sar"
        )
    scaled = values * np.float32(labels.scale) + np.float32(labels.offset)
    middle = float(np.nanmedian(scaled))
    if not -0.05 < middle < 1.6:
        raise UnitError(
            f"{path} cannot be in reflectance as it says: the median is {middle:.3g}; write the true scale in its UNIT "
            "tag, such as 'reflectance = DN / 10000'"
        )
    _refuse_dry(path, bands, scaled)
    return Told(labels=labels, no_data=no_data)


def _reflectance(path: Path, dtype: str, values: NDArray[np.float32], hints: Hints) -> tuple[str, tuple[str, ...]]:
    """Text of a UNIT tag, and a note on what was taken for granted."""
    high = float(np.nanpercentile(values, 99.0))
    if dtype == "uint8":
        return TRUE_COLOUR, ("8-bit true colour: reflectance is approximate (255 taken as 0.3558)",)
    if hints.unit == "dn8":
        raise UnitError(f"{path} holds {dtype} numbers, not 8-bit ones; leave out --unit")
    if dtype.startswith("float") and float(np.nanmedian(values)) < 1.6 and high < 3.0:
        return "reflectance", ("unit told by the pixels: reflectance",)
    dark = min(float(np.nanpercentile(band, 0.1)) for band in values if np.isfinite(band).any())
    if not 100.0 < high < 40_000.0 or dark < -2000.0 or _NO_OFFSET_BELOW <= dark < _OFFSET_AT_LEAST:
        raise UnitError(
            f"{path} holds optical numbers with darkest {dark:.4g} and brightest {high:.4g}, which leave a doubt about "
            "their scale; write it in the UNIT tag, such as 'reflectance = DN / 10000' or '(DN - 1000) / 10000'"
        )
    text = "reflectance = DN / 10000" if dark < _NO_OFFSET_BELOW else "reflectance = (DN - 1000) / 10000"
    return text, (f"scale told by the pixels: {text}",)


def _refuse_dry(path: Path, bands: Bands, scaled: NDArray[np.float32]) -> None:
    """Refuse an optical scene in which nothing reflects like water, more green than near infrared.

    Raises:
        RasterError: if none does. Reference: NDWI, McFeeters 1996, doi:10.1080/01431169608948714.
    """
    names = list(bands.indexes)
    if not {"b03", "b08"} <= set(names):
        return
    green, nir = scaled[names.index("b03")], scaled[names.index("b08")]
    known = np.isfinite(green) & np.isfinite(nir)
    if known.any() and float((green > nir)[known].mean()) < 1e-3:
        raise RasterError(
            f"{path} shows no water: near infrared is above green all over it, as only over land or cloud; give a "
            "scene of the sea, or the true order of its bands with --bands"
        )
