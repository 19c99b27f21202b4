"""Bootstrap percentile intervals of statistics of per-image counts (Efron & Tibshirani 1993, ch. 13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.metrics.average_precision import BoxMatches
from models.metrics.matching import precision_recall_f1

FloatArray = NDArray[np.float64]
Interval = tuple[float, float]


def resample_weights(groups: ArrayLike, *, n_resamples: int = 2000, seed: int = 0) -> NDArray[np.int64]:
    """How often each image appears in each bootstrap resample.

    Whole groups are drawn with replacement, as many as there are: images that share something (pixels, a scene) share
    a group and are drawn together.

    Args:
        groups: (images,) group of each image, any labels; `numpy.arange` of them for single images.
        n_resamples: number of resamples.
        seed: of the draw.

    Returns:
        (n_resamples, images) int64.
    """
    labels, group = np.unique(np.asarray(groups), return_inverse=True)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be 1 or more, not {n_resamples}")
    if len(labels) == 0:
        return np.zeros((n_resamples, 0), np.int64)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(labels), np.full(len(labels), 1.0 / len(labels)), size=n_resamples)
    return np.asarray(drawn[:, group.ravel()], np.int64)


def percentile_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The middle `level` of values; those that are NaN (a resample in which a share of nothing is asked) are left out.

    Returns:
        (low, high); NaN where no value is left.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def bootstrap_interval(
    counts: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    weights: NDArray[np.int64],
    *,
    level: float = 0.95,
) -> Interval:
    """Interval of any statistic of sums of per-image counts.

    Args:
        counts: (images, k) what is counted in each image.
        statistic: maps sums (resamples, k) to values (resamples,).
        weights: (resamples, images) from `resample_weights`.
        level: coverage.

    Returns:
        (low, high).
    """
    sums = np.asarray(weights @ np.asarray(counts, np.float64), np.float64)
    return percentile_interval(statistic(sums), level=level)


def detection_intervals(
    counts: FloatArray, weights: NDArray[np.int64], *, boxes: BoxMatches | None = None, level: float = 0.95
) -> dict[str, Interval]:
    """Intervals of ``f1``, ``precision``, ``recall`` and, given box matches, ``ap50``.

    Args:
        counts: (images, 3) true positives, false positives and false negatives of each image.
        weights: (resamples, images) from `resample_weights`.
        boxes: box matches of the same images.
        level: coverage.

    Returns:
        Name to (low, high).
    """
    precision, recall, f1 = precision_recall_f1(*(weights @ np.asarray(counts, np.float64)).T)
    resampled = {"f1": f1, "precision": precision, "recall": recall}
    if boxes is not None:
        resampled["ap50"] = boxes.average_precision(weights)
    return {name: percentile_interval(values, level=level) for name, values in resampled.items()}
