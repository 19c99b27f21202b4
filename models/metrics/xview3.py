"""The xView3 score: detection, closeness to shore, vessel, fishing and length in one number.

After the challenge's reference code (Paolo et al. 2022, arXiv:2206.00897), with its options ``--costly_dist`` and
``--drop_low_detect``, which the published leader board used. The reference stops with an error where a scene has labels
but no predictions; here their labels count as missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from models.metrics.matching import XVIEW3_TOLERANCE_M, Matching, match_distances, match_with_low_confidence
from models.metrics.strata import length_accuracy

FloatArray = NDArray[np.float64]

SHORE_M = 2000.0


@dataclass(frozen=True, kw_only=True)
class SceneLabels:
    """True objects of one scene; arrays of m rows.

    Attributes:
        xy_m: (m, 2) places, metres in any plane that is true to scale (xView3: 10 m x pixel).
        is_low: (m,) bool, True: label of LOW confidence.
        is_vessel: (m,) float64, 1, 0 or NaN where not known.
        is_fishing: (m,) float64, 1, 0 or NaN where not known.
        length_m: (m,) NaN where not known.
        shore_distance_m: (m,) NaN where not known (then not close to shore).
    """

    xy_m: FloatArray
    is_low: NDArray[np.bool_]
    is_vessel: FloatArray
    is_fishing: FloatArray
    length_m: FloatArray
    shore_distance_m: FloatArray


@dataclass(frozen=True, kw_only=True)
class ScenePredictions:
    """Detections of one scene; arrays of n rows.

    Attributes:
        xy_m: (n, 2) places in the plane of the labels, metres.
        is_vessel: (n,) bool.
        is_fishing: (n,) bool.
        length_m: (n,) metres.
        shore_distance_m: (n,) metres.
    """

    xy_m: FloatArray
    is_vessel: NDArray[np.bool_]
    is_fishing: NDArray[np.bool_]
    length_m: FloatArray
    shore_distance_m: FloatArray


@dataclass(frozen=True, kw_only=True)
class XView3Score:
    """The five parts, each in 0..1, and what they make together; a part without cases is 0, as in the reference."""

    detection_f1: float
    shore_f1: float
    vessel_f1: float
    fishing_f1: float
    length_accuracy: float

    @property
    def aggregate(self) -> float:
        """Detection F1 times the mean of 1 and the other four parts."""
        parts = 1.0 + self.length_accuracy + self.vessel_f1 + self.fishing_f1 + self.shore_f1
        return self.detection_f1 * parts / 5.0


def xview3_score(scenes: Sequence[tuple[SceneLabels, ScenePredictions]]) -> XView3Score:
    """Score a set of scenes, counts pooled over them.

    Close to shore are labels up to 2 km from it, and predictions up to 2.2 km. A scene that has only labels or only
    predictions close to shore is left out of that part, as in the reference.

    Args:
        scenes: labels and predictions of each scene.

    Returns:
        The score.
    """
    everywhere, shore = np.zeros(3, np.int64), np.zeros(3, np.int64)
    vessel, fishing = np.zeros(3, np.int64), np.zeros(3, np.int64)
    lengths, true_lengths = [np.empty(0)], [np.empty(0)]
    for labels, found in scenes:
        pairs = match_with_low_confidence(_distances(found.xy_m, labels.xy_m), labels.is_low)
        everywhere += pairs.counts
        shore += _shore_counts(labels, found, pairs)
        hit = np.flatnonzero(pairs.is_true)
        label = pairs.truth_of[hit]
        vessel += _class_counts(found.is_vessel[hit], labels.is_vessel[label])
        of_vessel = labels.is_vessel[label] == 1.0
        fishing += _class_counts(found.is_fishing[hit][of_vessel], labels.is_fishing[label][of_vessel])
        lengths.append(found.length_m[hit])
        true_lengths.append(labels.length_m[label])
    return XView3Score(
        detection_f1=_f1(everywhere),
        shore_f1=_f1(shore),
        vessel_f1=_f1(vessel),
        fishing_f1=_f1(fishing),
        length_accuracy=length_accuracy(np.concatenate(lengths), np.concatenate(true_lengths)),
    )


def _distances(found_m: FloatArray, truth_m: FloatArray) -> FloatArray:
    return np.asarray(cdist(found_m.reshape(-1, 2), truth_m.reshape(-1, 2)), np.float64)


def _shore_counts(labels: SceneLabels, found: ScenePredictions, pairs: Matching) -> tuple[int, int, int]:
    close_labels = ~labels.is_low & (labels.shore_distance_m <= SHORE_M)
    close_found = ~pairs.neutral & (found.shore_distance_m <= SHORE_M + XVIEW3_TOLERANCE_M)
    if not close_labels.any() or not close_found.any():
        return 0, 0, 0
    return match_distances(_distances(found.xy_m[close_found], labels.xy_m[close_labels])).counts


def _class_counts(said: NDArray[np.bool_], truth: FloatArray) -> tuple[int, int, int]:
    known = np.isfinite(truth)
    said, true = said[known], truth[known] == 1.0
    return int((said & true).sum()), int((said & ~true).sum()), int((~said & true).sum())


def _f1(counts: NDArray[np.int64]) -> float:
    true, false, missed = (int(n) for n in counts)
    return 2.0 * true / (2.0 * true + false + missed) if true else 0.0
