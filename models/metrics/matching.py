"""Which detection is which true object: greedy by score for outlines in pixels, Hungarian for places in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from models.metrics.outlines import Outline, distances_px

FloatArray = NDArray[np.float64]

GROW_PX = 3.0
"""A detection counts if its centre lies within a ship's outline grown by this."""

XVIEW3_TOLERANCE_M = 200.0
XVIEW3_FAR_COST_M = 9999999 * 10.0
"""What the xView3 reference puts in the place of distances beyond the tolerance (`--costly_dist`)."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """The pairing of n detections with m true objects.

    Attributes:
        truth_of: (n,) int64, the true object of each detection, -1: none.
        neutral: (n,) bool, True: counts neither for nor against (it lies on an object that is not scored).
        scored: (m,) bool, False: the object is not scored.
    """

    truth_of: NDArray[np.int64]
    neutral: NDArray[np.bool_]
    scored: NDArray[np.bool_]

    @property
    def is_true(self) -> NDArray[np.bool_]:
        """(n,) True: a detection of a scored object."""
        return self.truth_of >= 0

    @property
    def is_false(self) -> NDArray[np.bool_]:
        """(n,) True: a false alarm."""
        return (self.truth_of < 0) & ~self.neutral

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """(m,) True: some detection has this object."""
        found = np.zeros(len(self.scored), bool)
        found[self.truth_of[self.is_true]] = True
        return found

    @property
    def counts(self) -> tuple[int, int, int]:
        """(true positives, false positives, false negatives)."""
        n_true = int(self.is_true.sum())
        return n_true, int(self.is_false.sum()), int(self.scored.sum()) - n_true


def match_centres(
    row: ArrayLike,
    col: ArrayLike,
    score: ArrayLike,
    outlines: Sequence[Outline],
    *,
    ignored: ArrayLike | None = None,
    grow_px: float = GROW_PX,
) -> Matching:
    """Pair detections with the ships in whose grown outline their centre lies, one to one, the surest first.

    Detections are taken by descending score, ties by (row, col); each takes, of the ships still free within reach, the
    one whose outline is nearest (inside: 0), then whose middle is nearest, then the first. What a detection gets does
    not depend on detections of lower score, so a threshold may be applied afterwards.

    Args:
        row: (n,) centres, whole numbers at pixel centres.
        col: (n,).
        score: (n,).
        outlines: m outlines in COCO's coordinates (x = col + 0.5).
        ignored: (m,) bool, True: the object is not scored, and what lies on it alone is neutral; None: all scored.
        grow_px: how far outside an outline a centre may lie, pixels.

    Returns:
        The pairing.
    """
    row, col, score = (np.asarray(values, np.float64) for values in (row, col, score))
    scored = np.ones(len(outlines), bool) if ignored is None else ~np.asarray(ignored, bool)
    x, y = col + 0.5, row + 0.5
    distance = distances_px(x, y, list(outlines), reach_px=grow_px)
    middles = np.array([(o.corners.min(axis=0) + o.corners.max(axis=0)) / 2.0 for o in outlines]).reshape(-1, 2)
    from_middle = np.hypot(x[:, None] - middles[:, 0], y[:, None] - middles[:, 1])
    return match_greedy(distance, score, (row, col), tie_break=from_middle, reach=grow_px, scored=scored)


def match_greedy(
    distance: FloatArray,
    score: FloatArray,
    rowcol: tuple[FloatArray, FloatArray],
    *,
    reach: float,
    tie_break: FloatArray | None = None,
    scored: NDArray[np.bool_] | None = None,
) -> Matching:
    """Pair one to one by descending score, ties by (row, col); each detection takes the nearest free object in reach.

    Args:
        distance: (n, m), any unit.
        score: (n,).
        rowcol: rows (n,) and columns (n,), which decide between equal scores.
        reach: greatest distance of a pair, inclusive.
        tie_break: (n, m), decides between objects at equal distance; None: the first.
        scored: (m,) bool, False: an object that is not scored; None: all are.

    Returns:
        The pairing.
    """
    n, m = distance.shape
    scored = np.ones(m, bool) if scored is None else scored
    second = np.zeros_like(distance) if tie_break is None else tie_break
    truth_of = np.full(n, -1, np.int64)
    neutral = np.zeros(n, bool)
    free = scored.copy()
    within = distance <= reach
    for i in np.lexsort((rowcol[1], rowcol[0], -score)):
        candidates = np.flatnonzero(within[i] & free)
        if candidates.size:
            best = candidates[np.lexsort((second[i, candidates], distance[i, candidates]))[0]]
            truth_of[i], free[best] = best, False
        else:
            neutral[i] = bool((within[i] & ~scored).any())
    return Matching(truth_of=truth_of, neutral=neutral, scored=scored)


def match_distances(distance_m: FloatArray, *, tolerance_m: float = XVIEW3_TOLERANCE_M) -> Matching:
    """Pair detections with objects so that the sum of distances is smallest, as the xView3 reference does.

    Distances beyond the tolerance cost 1e8 m, the Hungarian method pairs, and a pair counts if closer than the
    tolerance (``--costly_dist`` of the reference; Paolo et al. 2022, arXiv:2206.00897).

    Args:
        distance_m: (n, m) distance of each detection to each object, metres; n or m may be 0.
        tolerance_m: a pair must be closer than this.

    Returns:
        The pairing; no detection is neutral.
    """
    n, m = distance_m.shape
    truth_of = np.full(n, -1, np.int64)
    if n and m:
        cost = np.where(distance_m > tolerance_m, XVIEW3_FAR_COST_M, distance_m)
        rows, cols = linear_sum_assignment(cost)
        close = cost[rows, cols] < tolerance_m
        truth_of[rows[close]] = cols[close]
    return Matching(truth_of=truth_of, neutral=np.zeros(n, bool), scored=np.ones(m, bool))


def match_with_low_confidence(
    distance_m: FloatArray, is_low: ArrayLike, *, tolerance_m: float = XVIEW3_TOLERANCE_M
) -> Matching:
    """`match_distances` where some labels are doubtful: neither finding nor missing them counts.

    As the xView3 reference with ``--drop_low_detect``: all labels are paired first, detections paired with a doubtful
    one are set aside, and the rest is paired anew with the labels that are not doubtful.

    Args:
        distance_m: (n, m), metres.
        is_low: (m,) bool, True: a label of LOW confidence.
        tolerance_m: a pair must be closer than this.

    Returns:
        The pairing with the labels that are not doubtful; detections of doubtful ones are neutral.
    """
    low = np.asarray(is_low, bool)
    first = match_distances(distance_m, tolerance_m=tolerance_m)
    neutral = np.zeros(len(distance_m), bool)
    neutral[first.is_true] = low[first.truth_of[first.is_true]]
    kept, sure = np.flatnonzero(~neutral), np.flatnonzero(~low)
    again = match_distances(distance_m[np.ix_(kept, sure)], tolerance_m=tolerance_m)
    truth_of = np.full(len(distance_m), -1, np.int64)
    truth_of[kept[again.is_true]] = sure[again.truth_of[again.is_true]]
    return Matching(truth_of=truth_of, neutral=neutral, scored=~low)


def precision_recall_f1(n_true: ArrayLike, n_false: ArrayLike, n_missed: ArrayLike) -> tuple[FloatArray, ...]:
    """Precision, recall and F1 of counts of true positives, false positives and false negatives, any shape.

    Returns:
        Arrays of that shape; NaN where a share of nothing is asked for: precision without detections, recall without
        objects, F1 without either.
    """
    true, false, missed = (np.asarray(values, np.float64) for values in (n_true, n_false, n_missed))

    def share(part: FloatArray, whole: FloatArray) -> FloatArray:
        return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0), np.float64)

    return share(true, true + false), share(true, true + missed), share(2.0 * true, 2.0 * true + false + missed)


def best_threshold(
    score: ArrayLike, is_true: ArrayLike, n_truth: int, *, object_weight: float = 1.0
) -> tuple[float, float]:
    """The threshold on the score that gives the best F1; of equally good ones the highest.

    Args:
        score: (n,) scores of the detections that count (neutral ones left out).
        is_true: (n,) bool, from a matching in which lower scores do not change higher ones (`match_centres`).
        n_truth: number of objects.
        object_weight: how many times denser objects lie where the threshold will be used than in these images: each
            counts so much, a false detection 1.

    Returns:
        (threshold, F1): detections with score >= threshold are kept. Without any true detection, inf and 0.
    """
    score, is_true = np.asarray(score, np.float64), np.asarray(is_true, bool)
    if score.shape != is_true.shape or score.ndim != 1:
        raise ValueError(f"score {score.shape} and is_true {is_true.shape} need one shape (n,)")
    if int(is_true.sum()) > n_truth:
        raise ValueError(f"{int(is_true.sum())} true detections of {n_truth} objects cannot be")
    order = np.argsort(-score, kind="stable")
    last_of_value = np.append(np.diff(score[order]) != 0, True)[: len(order)]
    n_true, n_false = np.cumsum(is_true[order]), np.cumsum(~is_true[order])
    kept = object_weight * n_true + n_false
    f1 = np.where(last_of_value, 2.0 * object_weight * n_true / (kept + object_weight * n_truth), 0.0)
    if f1.size == 0 or f1.max() <= 0.0:
        return float("inf"), 0.0
    best = int(np.argmax(f1))
    return float(score[order][best]), float(f1[best])
