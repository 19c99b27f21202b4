"""Which unit a radar image is in, judged by its numbers; in doubt, nobody guesses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.pixel_evidence import Evidence, evidence_of, without
from imagery.scene import Unit

# No sea is as bright as 5 dB, so that a whole scene with a median above this is in nobody's sigma0: digital numbers.
_MOST_SIGMA0 = 3.0
_LEAST_DN = 1.5
# Sea from -30 dB has the median 0.024 and more as an amplitude (square root of 0.001, K clutter of order 1), while most
# linear VV and all VH seas are darker than that.
_SURELY_POWER = 0.02
_LEAST_AMPLITUDE = 0.012  # square root of -38 dB, far below any noise floor
# Of 4 looks or more, as in all Sentinel-1 GRD, an amplitude varies as widely as this only over textured sea, and then
# its ratio r is above 1.1; an intensity of 4.4 looks has 0.25 and r of 1 or less.
_POWER_LOG_VARIANCE = 0.22
_POWER_RATIO = 1.05
_AMPLITUDE_LOG_VARIANCE = (0.008, 0.2)
_AMPLITUDE_RATIO = (0.0, 3.0)
_AMPLITUDE_RANGE = 1000.0  # highest over median: 60 dB
_UINT16_MOST = 65535.0
# From subtracted noise, a power of many looks may reach r of 1.5 without being negative anywhere.
_SURELY_AMPLITUDE_RATIO = 1.6
_SENTINEL = -200.0  # nothing measured is below -200 dB: -9999, -32768, -3.4e38 stand for no data
_MOST_SENTINELS = 2  # more different ones are measurements on a scale of their own
_CLASS_LEVELS = 32


def no_data_values(windows: NDArray[np.float32], unit: Unit | None) -> tuple[float, ...]:
    """Values that a file uses for no data without saying so: 0 in solid patches, and numbers far below any level.

    Args:
        windows: one band of a sample.
        unit: its unit, if known. In 8-bit images 0 is also the darkest grey, see `imagery.recognise`.
    """
    seen = evidence_of(windows)
    far_below = np.unique(windows[windows < _SENTINEL])
    values = far_below.tolist() if len(far_below) <= _MOST_SENTINELS else []
    seen = evidence_of(without(windows, *values)) if values else seen
    if not seen.solid_zeros or unit == "dn8":
        return tuple(values)
    rest = windows[np.isfinite(windows) & (windows != 0.0) & (windows > _SENTINEL)]
    if unit == "sigma0_db" or (unit is None and rest.size and np.median(rest) < -1.0):
        # a scale that was cut at 0 dB fills up towards it; no data stand apart
        just_below = float(((rest > -1.0) & (rest < 0.0)).sum()) / windows.size
        if seen.highest == 0.0 and seen.zeros < 3.0 * just_below:
            return tuple(values)
    return (*values, 0.0)


def unit_of(seen: Evidence, dtype: str) -> Unit | None:
    """The unit that the numbers leave no doubt about.

    Args:
        seen: evidence of the brightest band, without no data.
        dtype: type of the file's numbers.

    Returns:
        The unit, or None where there is doubt.
    """
    if seen.levels < _CLASS_LEVELS:
        return None
    if dtype == "uint8":
        return "dn8"
    if seen.below_minus_1 > 0.5 and seen.highest < 60.0 and dtype.startswith("float"):
        return "sigma0_db"
    if seen.below_minus_1 > 0.0:
        return None
    if seen.median >= _LEAST_DN:
        return "amplitude" if _looks_like_numbers_of_amplitude(seen, dtype) else None
    if not dtype.startswith("float") or seen.median > 1.0:
        return None
    return "sigma0" if _looks_like_power(seen) else None


def _looks_like_power(seen: Evidence) -> bool:
    if seen.negative > 0.001:  # noise was subtracted: no amplitude is below zero
        return True
    speckle = seen.speckle
    if speckle is None:
        return seen.median < _LEAST_AMPLITUDE
    low, high = speckle.ratio - 2.0 * speckle.ratio_error, speckle.ratio + 2.0 * speckle.ratio_error
    if seen.median < _SURELY_POWER:
        return seen.median < _LEAST_AMPLITUDE or low < 1.15
    return speckle.log_variance > _POWER_LOG_VARIANCE and high < _POWER_RATIO


def _looks_like_numbers_of_amplitude(seen: Evidence, dtype: str) -> bool:
    if seen.negative > 0.0 or seen.highest > _UINT16_MOST:
        return False
    if not dtype.startswith("float"):
        return dtype == "uint16"
    if seen.whole:
        return True
    if seen.speckle is None or seen.highest > _AMPLITUDE_RANGE * seen.median:
        return False
    low, high = _AMPLITUDE_LOG_VARIANCE
    ratio_low, ratio_high = _AMPLITUDE_RATIO
    return low < seen.speckle.log_variance < high and ratio_low < seen.speckle.ratio < ratio_high


def _may_be_numbers_of_amplitude(seen: Evidence) -> bool:
    """Whether uncalibrated numbers are rather an amplitude: whole, or with speckle of one and nowhere far above it."""
    if seen.negative > 0.0 or seen.highest > min(_UINT16_MOST, _AMPLITUDE_RANGE * seen.median):
        return False
    speckle = seen.speckle
    return seen.whole or bool(speckle and speckle.log_variance < _AMPLITUDE_LOG_VARIANCE[1] and speckle.ratio > 0.85)


def contradiction(unit: Unit, seen: Evidence) -> str | None:
    """Why the numbers cannot be in a unit that somebody says they are in.

    Args:
        unit: the unit said.
        seen: evidence of a band, without no data.

    Returns:
        What they look like instead, or None where nothing speaks against the unit.
    """
    low, middle, high = (f"{v:.4g}" for v in (seen.lowest, seen.median, seen.highest))
    values = f"values from {low} to {high} with median {middle}"
    speckle = seen.speckle
    if unit == "dn8":
        bad = seen.lowest < 0.0 or seen.highest > 255.0 or not seen.whole
        return f"{values}, not whole numbers from 0 to 255" if bad else None
    if unit == "sigma0_db":
        if seen.below_minus_1 < 0.01:
            return f"{values}: hardly any is negative, as if linear or amplitude"
        return f"{values}: too large for dB" if seen.highest > 60.0 else None
    if seen.below_minus_1 > 0.001:
        return f"{values}: {100 * seen.below_minus_1:.0f} % are below -1, as if in dB"
    if unit in ("sigma0", "gamma0") and seen.median > _MOST_SIGMA0:
        return f"{values}: too bright for {unit}, as if amplitude or digital numbers"
    if unit == "amplitude":
        if seen.median < _LEAST_AMPLITUDE or seen.negative > 0.001:
            return f"{values}: too dark for an amplitude, as if linear"
        if speckle and speckle.log_variance > 0.2 and speckle.ratio + 3.0 * speckle.ratio_error < 0.8:
            return f"{values} and the speckle of a power: as if linear"
        return None
    if unit == "intensity" and _may_be_numbers_of_amplitude(seen):
        return f"{values} and speckle too even for a power: as if amplitude"
    may_be_amplitude = seen.median > _SURELY_POWER and seen.negative == 0.0
    if speckle and may_be_amplitude and speckle.ratio - 3.0 * speckle.ratio_error > _SURELY_AMPLITUDE_RATIO:
        return f"{values} and the speckle of a square root of power: as if amplitude"
    return None


def band_ratio_db(first: NDArray[np.float32], second: NDArray[np.float32], unit: Unit) -> float:
    """By how many dB the first of two bands is brighter, over the darker half of the sample, mostly water.

    Args:
        first: sample of one band, NaN = no data.
        second: the same pixels of the other.
        unit: their unit.

    Returns:
        Median of the ratio in dB; NaN where no pixel is valid in both.
    """
    if unit == "sigma0_db":
        a, b = first.astype(float), second.astype(float)
    else:
        factor = 20.0 if unit in ("amplitude", "dn8") else 10.0
        a, b = (factor * np.log10(np.where(x > 0.0, x, np.nan).astype(float)) for x in (first, second))
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return float("nan")
    level = (a + b)[both]
    return float(np.median((a - b)[both][level <= np.median(level)]))
