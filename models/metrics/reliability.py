"""Whether stated probabilities and intervals are true: calibration error, Brier score, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
Bins = Literal["equal-mass", "equal-width"]


@dataclass(frozen=True, kw_only=True)
class ReliabilityTable:
    """Stated probability against observed frequency; a row per bin that holds anything, by rising probability.

    Attributes:
        count: (bins,) int64.
        mean_probability: (bins,) mean stated probability.
        frequency: (bins,) share of outcomes that came true.
        band_low, band_high: (bins,) where the frequency of a calibrated forecast lies with the band's level: quantiles
            of a binomial of the bin's count and mean probability. Probabilities that differ within a bin make the true
            spread a little smaller, never larger.
    """

    count: NDArray[np.int64]
    mean_probability: FloatArray
    frequency: FloatArray
    band_low: FloatArray
    band_high: FloatArray

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(bins,) True: the observed frequency lies in the band."""
        slack = 1e-12  # k / n computed twice
        return (self.frequency >= self.band_low - slack) & (self.frequency <= self.band_high + slack)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean |frequency - probability| over all, by bins (Naeini et al. 2015, AAAI)."""
        gaps = np.abs(self.frequency - self.mean_probability)
        return float(np.average(gaps, weights=self.count))


def reliability_table(
    probability: ArrayLike,
    outcome: ArrayLike,
    *,
    bins: Bins = "equal-mass",
    n_bins: int = 10,
    level: float = 0.95,
    simultaneous: bool = False,
) -> ReliabilityTable:
    """Group probabilities and compare each group with what happened.

    Args:
        probability: (n,) in 0..1.
        outcome: (n,) bool, or 0 and 1.
        bins: ``equal-mass``: edges at quantiles, equal probabilities never parted; ``equal-width``: edges at
            multiples of 1 / n_bins.
        n_bins: number of bins.
        level: of the binomial band of each bin.
        simultaneous: widen the bands so that all bins of a calibrated forecast lie inside together with at least
            `level` (Bonferroni); otherwise each does by itself.

    Returns:
        The table.
    """
    p, hit = _checked(probability, outcome)
    if bins == "equal-width":
        edges = np.linspace(0.0, 1.0, n_bins + 1)
    elif bins == "equal-mass":
        edges = np.quantile(p, np.linspace(0.0, 1.0, n_bins + 1))
    else:
        raise ValueError(f"bins must be 'equal-mass' or 'equal-width', not {bins!r}")
    index = np.searchsorted(edges[1:-1], p)
    count = np.bincount(index, minlength=n_bins)
    used = count > 0
    count = count[used]
    mean = np.clip(np.bincount(index, p, minlength=n_bins)[used] / count, 0.0, 1.0)
    tail = (1.0 - level) / 2.0 / (len(count) if simultaneous else 1)
    return ReliabilityTable(
        count=count.astype(np.int64),
        mean_probability=mean,
        frequency=np.bincount(index, hit, minlength=n_bins)[used] / count,
        band_low=stats.binom.ppf(tail, count, mean) / count,
        band_high=stats.binom.isf(tail, count, mean) / count,
    )


def expected_calibration_error(
    probability: ArrayLike, outcome: ArrayLike, *, bins: Bins = "equal-mass", n_bins: int = 10
) -> float:
    """Mean over all detections of |frequency - stated probability| of their bin."""
    return reliability_table(probability, outcome, bins=bins, n_bins=n_bins).calibration_error


def brier_score(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    p, hit = _checked(probability, outcome)
    return float(np.mean((p - hit) ** 2))


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of n cases with its exact 95 % binomial interval (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404).

    Attributes:
        share: k / n; NaN without cases.
        low, high: the interval; 0 and 1 without cases.
        n: number of cases.
    """

    share: float
    low: float
    high: float
    n: int


def binomial_share(k: int, n: int, *, level: float = 0.95) -> Share:
    """The share k / n with its exact binomial interval."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} cases cannot be")
    tail = (1.0 - level) / 2.0
    low = float(stats.beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    high = float(stats.beta.isf(tail, k + 1, n - k)) if k < n else 1.0
    return Share(share=k / n if n else float("nan"), low=low, high=high, n=n)


def interval_coverage(low: ArrayLike, high: ArrayLike, truth: ArrayLike, *, level: float = 0.95) -> Share:
    """How often intervals hold the truth, ends included, with the binomial interval of that share.

    Args:
        low: (n,) lower ends.
        high: (n,) upper ends, same unit.
        truth: (n,) same unit; cases where it is NaN are left out.
        level: of the binomial interval.

    Returns:
        The coverage. The intervals keep what they promise if the promised coverage lies within its low..high.
    """
    low, high, truth = (np.asarray(values, np.float64) for values in (low, high, truth))
    known = np.isfinite(truth)
    if np.isnan(low[known]).any() or np.isnan(high[known]).any():
        raise ValueError("an interval with an end that is NaN covers nothing and misses nothing; leave it out")
    inside = (truth[known] >= low[known]) & (truth[known] <= high[known])
    return binomial_share(int(inside.sum()), int(known.sum()), level=level)


def _checked(probability: ArrayLike, outcome: ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, hit = np.asarray(probability, np.float64), np.asarray(outcome, np.float64)
    if p.shape != hit.shape or p.ndim != 1 or p.size == 0:
        raise ValueError(f"probability {p.shape} and outcome {hit.shape} need one shape (n,), n >= 1")
    if not ((p >= 0.0) & (p <= 1.0)).all() or not np.isin(hit, (0.0, 1.0)).all():
        raise ValueError("probabilities must lie in 0..1, and outcomes be 0 or 1")
    return p, hit
