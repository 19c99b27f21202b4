"""Constant false-alarm rate (CFAR) detection of bright pixels in SAR intensity.

A pixel is compared with the mean of a square ring around it, `threshold = factor * mean`, the factor
chosen so that clutter of the configured family crosses it with the configured probability:

* `"gamma"`: the exact cell-averaging factor (`clutter.gamma_factor`), N_eff = ring pixels / correlation
  area.
* `"k"`, `"g0"`: the factor depends on the texture, estimated for every candidate from its own ring by
  the half moment E[sqrt x]^2 / E[x] (`clutter.heterogeneity_from_half_moment`, Frery et al. 1997). A
  factor read off at the estimate as if it were the truth would alarm too often, because the rate is
  steeply convex in it; `cfar_table` therefore solves for the factor as a function of the estimate such
  that the rate *averaged over the sampling law of mean and estimate* (`clutter.estimate_covariance`) is
  the configured one at every true heterogeneity: a predictive threshold. It never goes below the
  Gamma factor.
* `trimmed`: ring pixels brighter than a provisional threshold over the mean of *their own* ring are
  left out and the ring is measured again, twice. What censoring takes from clean clutter is given back:
  factors are those of the distribution truncated at the threshold that was used, so clean clutter keeps
  its false-alarm rate. Needed wherever neighbours share a ring (anchorages).

The result at a pixel is a function of the pixels within `CfarConfig.halo_px` alone, bit for bit, wherever
the array begins: sums are integer (`_cfar_kernels`), and outside the array counts as no data. Tiles
with a halo thus reproduce the scene.

Measured (scripts/campaign_cfar.py, rates 1e-3 to 1e-8): 0.5 to 1.2 times the nominal rate on independent
Gamma, K (nu 2 to 20) and G0 (alpha -3 to -15) draws, also with 1 and 5 % of the pixels in ships when
trimmed; lowest where K or G0 meet pure Gamma, whose estimate errs to one side only. What that does not
cover, and what to do:

* Sentinel-1 speckle is not Gamma: 1.4 (1e-3) to 12 (1e-8) times too many; `CfarConfig.threshold_factor`
  from `fit_threshold_factor` (1.04 to 1.14) sets it right.
* Subtracted thermal noise leaves its fluctuation behind, which looks like fewer looks or like texture: on
  4.4-look Irish Sea water at -19 dB, noise -24 dB, speckle had the variance of 2.3 looks. Detect before
  subtracting noise, or on intensity + noise.
* Texture correlated over about a quarter of the ring (l = 10 px) gives the ring few independent samples
  of it: 2 to 6 times too many at 1e-4 to 1e-6. Texture shorter than 2 px or longer than 30 px does not.
* Trimmed K of nu below 1 (0.1 to 0.5 times the rate at nu 0.5): censoring takes most of such a tail away.

References: Gandhi & Kassam 1988, doi:10.1109/7.7185 (cell averaging, censoring); Frery et al. 1997,
doi:10.1109/36.581981 (G0); Oliver & Quegan 2004 ch. 5, 10 (K, CFAR); El-Darymli et al. 2013,
doi:10.1117/1.JRS.7.071598 (survey).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models import _cfar_kernels as kernels
from models._cfar_tables import CfarTable, cfar_table
from models.cfar_config import CfarConfig

__all__ = [
    "ALARM",
    "GROW",
    "QUIET",
    "UNTESTABLE",
    "CfarConfig",
    "CfarPixels",
    "CfarTable",
    "alarm_margin",
    "cfar",
    "cfar_table",
    "fit_threshold_factor",
    "union_levels",
]

QUIET, GROW, ALARM, UNTESTABLE = 0, 1, 2, 255
"""Values of `CfarPixels.level`."""

SCREEN_FRACTION = 0.05
"""A background pixel whose own ring is emptier than this cannot be screened and is not used."""


@dataclass(frozen=True, kw_only=True)
class CfarPixels:
    """Result per pixel.

    Attributes:
        level: uint8 (h, w): 0 quiet, 1 grow, 2 alarm, 255 untestable (no data there, the ring too empty
            or of zero power).
        ratio: float32 (h, w), no unit: intensity / mean of the ring pixels in use (after censoring, if
            trimmed); NaN where untestable.
    """

    level: NDArray[np.uint8]
    ratio: NDArray[np.float32]


# ---------------------------------------------------------------------------------------------- detection


def cfar(
    intensity: NDArray[np.float32], valid: NDArray[np.bool_], config: CfarConfig, *, unit_intensity: float
) -> CfarPixels:
    """Test every pixel of an image against its ring.

    Args:
        intensity: float32 (h, w), linear power (sigma0 or any other unit), best with thermal noise still in
            it. Negative, infinite and NaN pixels count as no data. C-contiguous arrays are read in place,
            others are copied.
        valid: bool (h, w), True: data.
        config: detector.
        unit_intensity: typical intensity of the scene's sea, same unit, e.g. its median: one number for
            all tiles of a scene. Ring pixels are measured in steps of 1/1024 of its square root and
            count as at most 1024 of it (+30 dB); the pixel under test is taken as it is.

    Returns:
        Levels and ratios, shape (h, w).
    """
    level, ratio = _detect(intensity, valid, config, unit_intensity, as_margin=False)
    return CfarPixels(level=level, ratio=ratio)


def alarm_margin(
    intensity: NDArray[np.float32], valid: NDArray[np.bool_], config: CfarConfig, *, unit_intensity: float
) -> NDArray[np.float32]:
    """Intensity / alarm threshold of every pixel, no unit: above 1 is an alarm. Slower than `cfar`.

    Args:
        intensity: as for `cfar`.
        valid: as for `cfar`.
        config: detector.
        unit_intensity: as for `cfar`.

    Returns:
        float32 (h, w); NaN where untestable.
    """
    return _detect(intensity, valid, config, unit_intensity, as_margin=True)[1]


def _detect(
    intensity: NDArray[np.float32],
    valid: NDArray[np.bool_],
    config: CfarConfig,
    unit_intensity: float,
    *,
    as_margin: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if intensity.ndim != 2 or intensity.dtype != np.float32:
        raise ValueError(f"intensity must be float32 (h, w), not {intensity.dtype} {intensity.shape}")
    if valid.shape != intensity.shape or valid.dtype != np.bool_:
        raise ValueError(f"valid must be bool {intensity.shape}, not {valid.dtype} {valid.shape}")
    if not 1e-30 < unit_intensity < 1e30:
        raise ValueError(f"unit_intensity must be positive and within 1e-30..1e30, not {unit_intensity}")
    per_unit = np.float32(1.0 / unit_intensity)
    table = cfar_table(config)
    level = np.empty(intensity.shape, np.uint8)
    ratio = np.empty(intensity.shape, np.float32)
    kernels.detect(
        np.ascontiguousarray(intensity),
        np.ascontiguousarray(valid),
        per_unit,
        config.guard_px,
        config.background_px,
        config.cutoff_ratio,
        config.least_ring_px,
        max(1, math.ceil(SCREEN_FRACTION * config.ring_px)),
        config.clutter != "gamma",
        0.0 if as_margin else table.candidate_ratio,
        table.log_by_count,
        table.log_factor,
        table.count_axis,
        table.cutoff_axis,
        table.texture_axis,
        as_margin,
        2048 if config.trimmed else 4096,
        level,
        ratio,
    )
    return level, ratio


def union_levels(*levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Combine the levels of several polarisations: the highest level of those that could test the pixel.

    Two polarisations with independent clutter have the sum of their false-alarm rates: halve
    `false_alarm_rate` for each to keep that of the union.

    Args:
        levels: uint8 arrays of one shape, values as in `CfarPixels`.

    Returns:
        uint8; 255 only where no polarisation was testable.
    """
    if not levels:
        raise ValueError("union_levels needs at least one array")
    shapes = {level.shape for level in levels}
    if len(shapes) > 1 or any(level.dtype != np.uint8 for level in levels):
        raise ValueError(
            "union_levels needs uint8 arrays of one shape, not "
            + ", ".join(f"{level.dtype} {level.shape}" for level in levels)
        )
    # UNTESTABLE + 1 wraps to 0 in uint8, the lowest, so one maximum does it all.
    union = levels[0] + np.uint8(1)
    for level in levels[1:]:
        np.maximum(union, level + np.uint8(1), out=union)
    union -= np.uint8(1)
    return union


def fit_threshold_factor(
    margin: ArrayLike,
    *,
    false_alarm_rate: float,
    importance: ArrayLike | None = None,
    least_exceedances: int = 100,
) -> float:
    """Factor that makes clutter outside the configured family keep a false-alarm rate.

    Simulated or real clutter that is not of the assumed family (look-weighted speckle has a heavier tail
    than Gamma of the same looks) crosses the family's threshold at another rate. The factor f returned
    is such that a share `false_alarm_rate` of the samples exceeds f * threshold: the upper quantile of
    their margins. Pass it as `CfarConfig.threshold_factor` and check it on independent samples.

    Args:
        margin: x / threshold of clutter pixels (`alarm_margin`, threshold_factor 1), any shape; NaN is
            ignored.
        false_alarm_rate: the rate the threshold was made for.
        importance: importance weights of the samples (likelihood ratios of mean 1), same shape, for
            rates that plain samples do not reach; None: all 1.
        least_exceedances: smallest number of samples beyond the quantile.

    Returns:
        f, no unit.
    """
    values = np.asarray(margin, np.float64).ravel()
    shares = np.ones_like(values) if importance is None else np.asarray(importance, np.float64).ravel()
    if values.shape != shares.shape:
        raise ValueError(f"margin has {values.size} samples, importance {shares.size}")
    known = np.isfinite(values)
    order = np.argsort(values[known])[::-1]
    exceeding = np.cumsum(shares[known][order]) / max(1, int(known.sum()))
    crossing = int(np.searchsorted(exceeding, false_alarm_rate))
    if crossing < least_exceedances or crossing >= order.size:
        raise ValueError(
            f"only {crossing} of {order.size} samples lie beyond the quantile for rate {false_alarm_rate}; "
            f"need {least_exceedances}: draw more samples, or tilted ones with importance weights"
        )
    return float(values[known][order[crossing]])
