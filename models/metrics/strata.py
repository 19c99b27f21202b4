"""Scores by kind of ship and sea: recall by length and by neighbour, false alarms by area, errors of shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import cKDTree

from models.metrics.reliability import Share, binomial_share

FloatArray = NDArray[np.float64]

LENGTH_EDGES_M = (0.0, 15.0, 25.0, 50.0, 100.0, np.inf)
LENGTH_EDGES_PX = (0.0, 10.0, 20.0, 40.0, 80.0, np.inf)
NEIGHBOUR_EDGES_M = (0.0, 50.0, 100.0, 200.0, 500.0, np.inf)

LONGEST_M = 500.0
"""Lengths count as at most this (xView3 reference, MAX_OBJECT_LENGTH_M)."""


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Recall of the objects whose value lies in [low, high).

    Attributes:
        low, high: edges, in the value's unit.
        recall: share found, with its binomial interval.
    """

    low: float
    high: float
    recall: Share


def recall_by(value: ArrayLike, is_found: ArrayLike, edges: Sequence[float]) -> tuple[Stratum, ...]:
    """Recall in half-open bins of a property of the true objects.

    Args:
        value: (m,) such as length in metres; objects where it is NaN are in no bin.
        is_found: (m,) bool.
        edges: rising, k + 1 of them.

    Returns:
        k strata, empty ones too.
    """
    value, is_found = np.asarray(value, np.float64), np.asarray(is_found, bool)
    if value.shape != is_found.shape:
        raise ValueError(f"value {value.shape} and is_found {is_found.shape} need one shape")
    if len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise ValueError(f"edges must rise, not {tuple(edges)}")
    return tuple(
        Stratum(low=a, high=b, recall=_recall(is_found[(value >= a) & (value < b)])) for a, b in pairwise(edges)
    )


def neighbour_distance(xy: ArrayLike) -> FloatArray:
    """Distance of each place (n, 2) to the nearest other one, in the unit of the places; inf for a single one."""
    places = np.asarray(xy, np.float64).reshape(-1, 2)
    if len(places) < 2:
        return np.full(len(places), np.inf)
    distance, _ = cKDTree(places).query(places, k=2)
    return np.asarray(distance[:, 1], np.float64)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Events per 1000 km2 with the exact 95 % Poisson interval (Garwood 1936, doi:10.1093/biomet/28.3-4.437).

    Attributes:
        per_1000_km2: rate.
        low, high: the interval.
    """

    per_1000_km2: float
    low: float
    high: float


def false_alarm_rate(n_false: int, area_km2: float, *, level: float = 0.95) -> Rate:
    """False alarms over the area in which they could have been raised."""
    if n_false < 0 or not 0.0 < area_km2 < np.inf:
        raise ValueError(f"a rate needs a count >= 0 and an area > 0 km2, not {n_false} and {area_km2}")
    tail = (1.0 - level) / 2.0
    low = float(stats.chi2.ppf(tail, 2 * n_false)) / 2.0 if n_false else 0.0
    high = float(stats.chi2.isf(tail, 2 * n_false + 2)) / 2.0
    scale = 1000.0 / area_km2
    return Rate(per_1000_km2=n_false * scale, low=low * scale, high=high * scale)


def axis_error_deg(axis_deg: ArrayLike, truth_deg: ArrayLike) -> FloatArray:
    """Angle between two axes, bow and stern not told apart: degrees in [0, 90]."""
    apart = np.abs(np.asarray(axis_deg, np.float64) - np.asarray(truth_deg, np.float64)) % 180.0
    return np.minimum(apart, 180.0 - apart)


def length_accuracy(length: ArrayLike, truth: ArrayLike, *, longest: float = LONGEST_M) -> float:
    """1 - min(mean(|min(p, 500) - min(g, 500)| / min(g, 500)), 1), the length term of xView3.

    Args:
        length: (n,) estimates, metres (or any one unit, with `longest` to suit).
        truth: (n,) same unit; pairs where it is NaN are left out.
        longest: where lengths are capped.

    Returns:
        In 0..1; 0 without any known length, as the reference has it.

    Raises:
        ValueError: if a length is not positive, or an estimate is missing where the truth is known.
    """
    length, truth = np.asarray(length, np.float64), np.asarray(truth, np.float64)
    known = np.isfinite(truth)
    if not known.any():
        return 0.0
    p, g = np.minimum(length[known], longest), np.minimum(truth[known], longest)
    if np.isnan(p).any() or not (g > 0).all():
        raise ValueError("each known length must be positive and have an estimate")
    return float(1.0 - min(np.mean(np.abs(p - g) / g), 1.0))


def _recall(is_found: NDArray[np.bool_]) -> Share:
    return binomial_share(int(is_found.sum()), len(is_found))
