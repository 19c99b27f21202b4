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
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from models import _cfar_kernels as kernels
from models import clutter as cl

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

CENSOR_RATE = 1e-4
"""Probability with which the provisional threshold censors a pixel of homogeneous clutter: 5.8 dB over
the mean at 4.4 looks. It is a fixed multiple of the mean for every family: one that adapted to the
estimated texture would open up exactly where ships inflate that estimate."""

SCREEN_FRACTION = 0.05
"""A background pixel whose own ring is emptier than this cannot be screened and is not used."""

_MIN_EFFECTIVE_PX = {"gamma": 4.0, "k": 64.0, "g0": 64.0}


@dataclass(frozen=True, kw_only=True)
class CfarConfig:
    """What the detector assumes and how often it may err.

    The defaults are for Sentinel-1 IW GRDH on its 10 m grid: guard box 410 m across (longer than the
    longest ship; SNAP uses 500 m), background out to 400 m on every side (SNAP 400 m, Global Fishing
    Watch 200-600 m), 4.4 looks (ESA product specification), speckle correlated over 4.5 pixels
    (`clutter.speckle_correlation_area_px`), 1e-7 per pixel (SUMO's tables; about 40 false alarms in a
    full scene of 4e8 pixels before pixels are grouped).

    Attributes:
        clutter: family assumed of the sea.
        trimmed: censor ring pixels above a provisional threshold and re-estimate, twice.
        false_alarm_rate: probability per clutter pixel of level 2 (seeds).
        grow_rate: looser probability per clutter pixel of level >= 1 (may extend a hull around a seed).
        looks: equivalent number of looks.
        guard_px: half-width of the square guard box, pixels; 0 leaves out the pixel itself only.
        background_px: half-width of the square outer box, pixels, at most 127.
        correlation_area_px: speckle correlation area A, pixels; N_eff = N / A.
        min_ring_fraction: a ring with less than this share of its pixels in use is untestable.
        threshold_factor: multiplies both thresholds, for clutter outside the families
            (`fit_threshold_factor`), no unit; fitted for the seeds it leaves the grow rate a little low.
    """

    clutter: cl.Clutter = "k"
    trimmed: bool = True
    false_alarm_rate: float = 1e-7
    grow_rate: float = 1e-4
    looks: float = 4.4
    guard_px: int = 20
    background_px: int = 40
    correlation_area_px: float = 4.54
    min_ring_fraction: float = 0.2
    threshold_factor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside the formulas' domain, saying which and why."""
        if self.clutter not in ("gamma", "k", "g0"):
            raise ValueError(f"clutter must be 'gamma', 'k' or 'g0', not {self.clutter!r}")
        if not 1e-12 <= self.false_alarm_rate <= 0.1:
            raise ValueError(f"false_alarm_rate must be in [1e-12, 0.1], not {self.false_alarm_rate}")
        if not self.false_alarm_rate <= self.grow_rate <= 0.1:
            raise ValueError(
                f"grow_rate must be in [false_alarm_rate, 0.1] = [{self.false_alarm_rate}, 0.1], not {self.grow_rate}"
            )
        if not 0.5 <= self.looks <= 1000.0:
            raise ValueError(f"looks must be in [0.5, 1000], not {self.looks}")
        if not 0 <= self.guard_px < self.background_px <= kernels.MAX_BACKGROUND_PX:
            raise ValueError(
                f"need 0 <= guard_px < background_px <= {kernels.MAX_BACKGROUND_PX}, "
                f"not guard_px={self.guard_px}, background_px={self.background_px}"
            )
        if not 1.0 <= self.correlation_area_px < math.inf:
            raise ValueError(f"correlation_area_px must be at least 1, not {self.correlation_area_px}")
        if not 0.0 < self.min_ring_fraction <= 1.0:
            raise ValueError(f"min_ring_fraction must be in (0, 1], not {self.min_ring_fraction}")
        if not 0.1 <= self.threshold_factor <= 10.0:
            raise ValueError(f"threshold_factor must be in [0.1, 10], not {self.threshold_factor}")
        effective = self.least_ring_px / self.correlation_area_px
        if effective < _MIN_EFFECTIVE_PX[self.clutter]:
            raise ValueError(
                f"clutter={self.clutter!r} needs {_MIN_EFFECTIVE_PX[self.clutter]:.0f} effective background "
                f"pixels, but min_ring_fraction allows {effective:.1f} ({self.least_ring_px} pixels / "
                f"correlation area {self.correlation_area_px}): widen background_px or raise "
                "min_ring_fraction"
            )

    @property
    def ring_px(self) -> int:
        """Pixels in a complete ring."""
        return (2 * self.background_px + 1) ** 2 - (2 * self.guard_px + 1) ** 2

    @property
    def least_ring_px(self) -> int:
        """Pixels a ring needs for its pixel to be testable."""
        return max(1, math.ceil(self.min_ring_fraction * self.ring_px))

    @property
    def halo_px(self) -> int:
        """Pixels around a pixel that its result depends on: one half-width, or three when trimmed."""
        return self.background_px * (3 if self.trimmed else 1)

    @property
    def cutoff_ratio(self) -> float:
        """Provisional censoring threshold / ring mean, no unit; inf if not trimmed."""
        if not self.trimmed:
            return math.inf
        return float(cl.gamma_factor(CENSOR_RATE, looks=self.looks))


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


# ------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, kw_only=True, eq=False)
class CfarTable:
    """Log threshold factors of one configuration, by what a ring can tell; first axis (grow, alarm).

    Attributes:
        candidate_ratio: no pixel with a smaller ratio reaches either level.
        log_by_count: (2, ring + 1) part that depends on the number of ring pixels: ln of the exact
            Gamma factor; 0 for K and G0; plus ln(threshold_factor).
        log_factor: (2, counts, cutoffs, textures), added to it.
        count_axis: origin and step of 1 / number of ring pixels.
        cutoff_axis: origin o and step of sqrt(ln(censoring threshold / mean of kept pixels) - o).
        texture_axis: origin o and step of sqrt(o - ln half moment); node 0 is at sqrt = 0.
    """

    candidate_ratio: float
    log_by_count: NDArray[np.float64]
    log_factor: NDArray[np.float64]
    count_axis: NDArray[np.float64]
    cutoff_axis: NDArray[np.float64]
    texture_axis: NDArray[np.float64]


_CUTOFF_NODES = 8
_CUTOFF_SPAN = math.log(4.0)
_SMOOTHNESS = 30.0
_COUNT_NODES = 5
_TEXTURE_NODES = 192
_LOG_RATIO_START, _LOG_RATIO_STEP, _LOG_RATIO_NODES = -1.0, 0.025, 800


@lru_cache(maxsize=32)
def cfar_table(config: CfarConfig) -> CfarTable:
    """Threshold factors of a configuration; built once per process and configuration.

    The cutoff axis runs from the censoring ratio, where rings measured twice in a row agree, to four
    times it, where the second pass found much less power than the first: that ring was censored less
    tightly and needs less correction.

    Args:
        config: detector.

    Returns:
        Tables for the kernel, under a second of work for K and G0.
    """
    rates = (config.grow_rate, config.false_alarm_rate)
    counts = np.arange(config.ring_px + 1)
    log_by_count = np.full((2, counts.size), math.log(config.threshold_factor))
    cutoffs = [math.inf]
    cutoff_axis = np.array([0.0, 1.0])
    if config.trimmed:
        cutoff_axis = np.array([math.log(config.cutoff_ratio), math.sqrt(_CUTOFF_SPAN) / (_CUTOFF_NODES - 1)])
        cutoffs = [math.exp(cutoff_axis[0] + (cutoff_axis[1] * k) ** 2) for k in range(_CUTOFF_NODES)]
    count_axis = texture_axis = np.array([0.0, 1.0])
    if config.clutter == "gamma":
        least = config.least_ring_px
        effective = np.maximum(counts, least) / config.correlation_area_px
        for row, rate in zip(log_by_count, rates, strict=True):
            row += np.log(cl.gamma_factor(rate, looks=config.looks, background_px=effective))
        kept = [_background_law(config, np.zeros(1), cutoff).centre[0, 0] for cutoff in cutoffs]
        log_factor = np.repeat(-np.array(kept)[None, None, :, None], 2, axis=0)
    else:
        inverse = np.linspace(1.0 / config.ring_px, 1.0 / config.least_ring_px, _COUNT_NODES)
        count_axis = np.array([inverse[0], max(inverse[1] - inverse[0], 1e-12)])
        log_factor, texture_axis = _texture_table(config, rates, 1.0 / inverse, cutoffs)
    lowest = log_by_count[0, config.least_ring_px :].min() + log_factor[0].min()
    return CfarTable(
        candidate_ratio=math.exp(lowest) * (1.0 - 1e-6),
        log_by_count=log_by_count,
        log_factor=log_factor,
        count_axis=count_axis,
        cutoff_axis=cutoff_axis,
        texture_axis=texture_axis,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _BackgroundLaw:
    """Sampling law of (ln mean of kept pixels / true mean, ln half moment), one row per heterogeneity."""

    centre: NDArray[np.float64]  # (h, 2)
    covariance: NDArray[np.float64]  # (h, 2, 2), of one independent pixel


def _background_law(config: CfarConfig, grid: NDArray[np.float64], cutoff: float) -> _BackgroundLaw:
    """Law of the statistics of a ring censored at `cutoff` times its own final mean.

    The cutoff over the true mean is the fixed point of t = cutoff * E[x | x <= t].
    """
    centres, covariances = [], []
    for heterogeneity in grid:
        true_cutoff = cutoff
        mean = 1.0
        for _ in range(100 if math.isfinite(cutoff) else 0):
            mean = cl.truncated_moment(
                1.0,
                clutter=config.clutter,
                looks=config.looks,
                heterogeneity=heterogeneity,
                cutoff=true_cutoff,
            )
            previous, true_cutoff = true_cutoff, cutoff * mean
            if abs(true_cutoff - previous) < 1e-7 * true_cutoff:
                break
        statistic = cl.half_moment(
            clutter=config.clutter, looks=config.looks, heterogeneity=heterogeneity, cutoff=true_cutoff
        )
        centres.append((math.log(mean), math.log(statistic)))
        # Uncensored, the variance of a G0 mean diverges at alpha = -2: no nearer than alpha = -2.5.
        diverges = config.clutter == "g0" and math.isinf(cutoff)
        covariances.append(
            cl.estimate_covariance(
                clutter=config.clutter,
                looks=config.looks,
                heterogeneity=min(heterogeneity, 0.4) if diverges else heterogeneity,
                cutoff=true_cutoff,
            )
        )
    centre = np.array(centres)
    # Censored hard, very spiky clutter loses its tail and looks homogeneous again: stop where it turns.
    turns = np.flatnonzero(np.diff(centre[:, 1]) >= 0.0)
    stop = int(turns[0]) + 1 if turns.size else len(grid)
    return _BackgroundLaw(centre=centre[:stop], covariance=np.array(covariances)[:stop])


def _texture_table(
    config: CfarConfig,
    rates: tuple[float, float],
    counts: NDArray[np.float64],
    cutoffs: list[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictive log factors (rate, count, cutoff, texture) and the texture axis."""
    largest = cl.max_heterogeneity(config.clutter)
    growth, first = 1.12, 0.002
    steps = math.ceil(math.log(1.0 + largest * (growth - 1.0) / first) / math.log(growth))
    grid = np.minimum(first * (growth ** np.arange(steps + 1) - 1.0) / (growth - 1.0), largest)
    log_ratio = _LOG_RATIO_START + _LOG_RATIO_STEP * np.arange(_LOG_RATIO_NODES)
    survival = np.array(
        [cl.survival(np.exp(log_ratio), clutter=config.clutter, looks=config.looks, heterogeneity=h) for h in grid]
    )
    log_survival = np.log(np.maximum(survival, 1e-300))
    laws = [_background_law(config, grid, cutoff) for cutoff in cutoffs]
    spread = math.sqrt(max(law.covariance[0, 1, 1] for law in laws) / counts[-1] * config.correlation_area_px)
    origin = max(law.centre[0, 1] for law in laws) + 6.0 * spread
    deepest = origin - min(law.centre[-1, 1] for law in laws)
    texture_axis = np.array([origin, math.sqrt(deepest) / (_TEXTURE_NODES - 1)])
    table = np.empty((2, counts.size, len(cutoffs), _TEXTURE_NODES))
    for (i, rate), (j, count), (k, law) in product(enumerate(rates), enumerate(counts), enumerate(laws)):
        effective = count / config.correlation_area_px
        floor = math.log(cl.gamma_factor(rate, looks=config.looks, background_px=effective))
        table[i, j, k] = _predictive(law, log_survival, math.log(rate), effective, floor, texture_axis)
    return table, texture_axis


def _predictive(
    law: _BackgroundLaw,
    log_survival: NDArray[np.float64],
    log_rate: float,
    effective_px: float,
    gamma_floor: float,
    texture_axis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log factor on the texture axis whose rate, averaged over the sampling law, is the wanted one.

    The unknown is the log factor y at the statistic expected of every heterogeneity of the grid, linear
    between them. Starting from the plug-in factor, eight Gauss-Newton steps lower
    sum_h (ln averaged rate_h - ln rate)^2 + smoothness * sum (second difference of y)^2; the average is
    over a Gauss-Hermite rule of the normal law. The smoothness term matters only where the estimate is
    noisy against the curvature of y (small rings, rates below 1e-7, nearly homogeneous sea), where the
    exact solution would oscillate.

    Args:
        law: sampling law per heterogeneity, (h, ...).
        log_survival: (>= h, ratios) ln survival on the fixed grid of ln ratio.
        log_rate: ln of the wanted rate.
        effective_px: independent pixels in the ring.
        gamma_floor: ln of the Gamma factor, which no factor goes below.
        texture_axis: origin and step.

    Returns:
        Shape (textures,).
    """
    size = len(law.centre)
    log_survival = log_survival[:size]
    slope = np.gradient(log_survival, _LOG_RATIO_STEP, axis=1)
    nodes, weights = special.roots_hermitenorm(15)
    mean_nodes, mean_weights = special.roots_hermitenorm(7)
    log_weights = np.log(np.outer(weights / weights.sum(), mean_weights / mean_weights.sum()))
    lower = np.linalg.cholesky(law.covariance[:, ::-1, ::-1] / effective_px)
    statistic = law.centre[:, 1, None] + lower[:, 0, 0, None] * nodes
    mean = (
        law.centre[:, 0, None, None]
        + lower[:, 1, 0, None, None] * nodes[:, None]
        + lower[:, 1, 1, None, None] * mean_nodes
    )
    expected = np.sqrt(np.maximum(texture_axis[0] - law.centre[:, 1], 0.0))
    hats = _hat_weights(np.sqrt(np.maximum(texture_axis[0] - statistic, 0.0)), expected)
    floor = gamma_floor - law.centre[0, 0]
    plug_in = np.array([_first_below(row, log_rate) for row in log_survival]) - law.centre[:, 0]
    factor = np.maximum(plug_in, floor)
    bend = _SMOOTHNESS * np.diff(np.eye(size), 2, axis=0).T @ np.diff(np.eye(size), 2, axis=0)
    for _ in range(8):
        crossed = ((hats @ factor)[:, :, None] + mean).reshape(size, -1)
        log_terms = _interpolate(log_survival, crossed).reshape(mean.shape) + log_weights
        terms = np.exp(log_terms - log_rate)
        rates = terms.sum(axis=(1, 2))
        gradient = (terms * _interpolate(slope, crossed).reshape(mean.shape)).sum(axis=2) / rates[:, None]
        jacobian = np.einsum("hn,hnk->hk", gradient, hats)
        normal = jacobian.T @ jacobian + bend + 1e-9 * np.eye(size)
        step = np.linalg.solve(normal, -jacobian.T @ np.log(rates) - bend @ factor)
        factor = np.maximum.accumulate(np.maximum(factor + np.clip(step, -0.3, 0.3), floor))
    return np.asarray(np.interp(texture_axis[1] * np.arange(_TEXTURE_NODES), expected, factor))


def _hat_weights(position: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (..., nodes) of linear interpolation at `position` between rising nodes, clamped."""
    cell = np.clip(np.searchsorted(nodes, position) - 1, 0, len(nodes) - 2)
    share = np.clip((position - nodes[cell]) / (nodes[cell + 1] - nodes[cell]), 0.0, 1.0)[..., None]
    identity = np.eye(len(nodes))
    return np.asarray((1.0 - share) * identity[cell] + share * identity[cell + 1])


def _first_below(log_survival: NDArray[np.float64], log_rate: float) -> float:
    """Ln ratio at which a falling row of ln survival crosses `log_rate`."""
    i = int(np.argmax(log_survival < log_rate))
    share = (log_survival[i - 1] - log_rate) / (log_survival[i - 1] - log_survival[i])
    return float(_LOG_RATIO_START + _LOG_RATIO_STEP * (i - 1 + share))


def _interpolate(log_survival: NDArray[np.float64], log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation of each row of ln survival at its own ln ratios: (h,) or (h, n) to the same."""
    at = np.clip((log_ratio - _LOG_RATIO_START) / _LOG_RATIO_STEP, 0.0, _LOG_RATIO_NODES - 1.001)
    cell = at.astype(np.intp)
    share = at - cell
    row = np.arange(len(log_survival)).reshape((-1,) + (1,) * (log_ratio.ndim - 1))
    return np.asarray((1.0 - share) * log_survival[row, cell] + share * log_survival[row, cell + 1])
