"""One ship, one object: the best pairing, and how probable each pair is among all pairings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from offing.ais.candidates import Candidates
from offing.ais.tracks import FloatArray, IntArray

# Pairs less likely than e^-12 change nothing (design note, section 4).
_MIN_LLR, _MAX_LLR = -12.0, 25.0
_MAX_ITERATIONS, _TOLERANCE = 200, 1e-9


@dataclass(frozen=True, kw_only=True)
class Association:
    """What goes with what.

    Attributes:
        pair_of_detection: for each of n detections its row in the candidates, or -1, shape (n,).
        pair_of_ship: for each of m segments its row in the candidates, or -1, shape (m,).
        probability: of each pair, shape (p,).
        unexplained: for each detection, probability that it is none of the ships, shape (n,).
    """

    pair_of_detection: IntArray
    pair_of_ship: IntArray
    probability: FloatArray
    unexplained: FloatArray


def associate(pairs: Candidates, detection_count: int, ship_count: int) -> Association:
    """Pair ships and objects one to one.

    Args:
        pairs: candidates; only those in the gate can be chosen.
        detection_count: number of detections, n.
        ship_count: number of segments, m.

    Returns:
        The pairing with the greatest sum of log likelihood ratios, and marginal probabilities over all pairings.
    """
    probability = marginals(pairs.detection, pairs.ship, np.where(pairs.loose, -np.inf, pairs.llr))
    explained = np.bincount(pairs.detection, probability, minlength=detection_count)
    chosen = best_pairs(pairs.detection, pairs.ship, np.where(pairs.in_gate, pairs.llr, -np.inf))
    of_detection, of_ship = np.full(detection_count, -1), np.full(ship_count, -1)
    of_detection[pairs.detection[chosen]] = chosen
    of_ship[pairs.ship[chosen]] = chosen
    return Association(
        pair_of_detection=of_detection,
        pair_of_ship=of_ship,
        probability=probability,
        unexplained=np.clip(1.0 - explained, 0.0, 1.0),
    )


def best_pairs(detection: IntArray, ship: IntArray, llr: FloatArray) -> IntArray:
    """Rows of the one-to-one pairing with the greatest sum of llr; pairs with llr <= 0 are never chosen.

    Solved apart for each connected component.

    Args:
        detection: index of each pair's detection, shape (p,).
        ship: index of each pair's ship, shape (p,).
        llr: gain of each pair, shape (p,).

    Returns:
        Chosen rows, sorted.
    """
    rows = np.flatnonzero(llr > 0)
    if not len(rows):
        return rows
    detection_names, left = np.unique(detection[rows], return_inverse=True)
    ship_names, right = np.unique(ship[rows], return_inverse=True)
    size = len(detection_names) + len(ship_names)
    graph = coo_array((np.ones(len(rows)), (left, len(detection_names) + right)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    component = label[left]
    order = np.argsort(component, kind="stable")
    chosen = []
    for part in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(part) == 1:
            chosen.append(part)
            continue
        these, row = np.unique(left[part], return_inverse=True)
        those, column = np.unique(right[part], return_inverse=True)
        gain, name = np.zeros((len(these), len(those))), np.full((len(these), len(those)), -1)
        gain[row, column], name[row, column] = llr[rows[part]], part
        picked = name[linear_sum_assignment(gain, maximize=True)]
        chosen.append(picked[picked >= 0])
    return np.sort(rows[np.concatenate(chosen)])


def marginals(detection: IntArray, ship: IntArray, llr: FloatArray) -> FloatArray:
    """Probability of each pair, summed over all one-to-one pairings weighted by their likelihood.

    Loopy belief propagation: exact where the pairs form a tree, a little too sure where they form circles.

    Args:
        detection: index of each pair's detection, shape (p,).
        ship: index of each pair's ship, shape (p,).
        llr: log likelihood ratio of each pair against both being alone, shape (p,).

    Returns:
        Probabilities, shape (p,).

    Reference: Williams and Lau 2014, IEEE TAES 50(4), doi:10.1109/TAES.2014.120568, equations 29 to 32.
    """
    weight = np.where(llr > _MIN_LLR, np.exp(np.clip(llr, _MIN_LLR, _MAX_LLR)), 0.0)
    from_ship = np.ones(len(weight))
    for _ in range(_MAX_ITERATIONS):
        message = weight * from_ship
        to_ship = weight / (1.0 + _sum_of_others(detection, message))
        new = 1.0 / (1.0 + _sum_of_others(ship, to_ship))
        change = np.max(np.abs(new - from_ship), initial=0.0)
        from_ship = new
        if change < _TOLERANCE:
            break
    message = weight * from_ship
    return np.asarray(message / (1.0 + message + _sum_of_others(detection, message)))


def _sum_of_others(owner: IntArray, value: FloatArray) -> FloatArray:
    """For each pair, the sum of ``value`` over the other pairs of its owner."""
    if not len(owner):
        return np.zeros(0)
    return np.maximum(np.bincount(owner, value)[owner] - value, 0.0)
