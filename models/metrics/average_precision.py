"""Average precision at intersection over union of horizontal boxes, as COCO defines it.

The definition is that of the COCO evaluation code (Lin et al. 2014, arXiv:1405.0312; pycocotools ``cocoeval.py``):
detections by descending score, at most 100 an image, each takes the free box it overlaps most; boxes that are ignored
are taken only where no other is in reach, and what takes them is not counted; a crowd may be taken many times, and
overlap with it is measured over the detection's own area; precision, made to fall with recall, is averaged over the
recalls 0, 0.01 .. 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

MAX_DETECTIONS = 100
RECALLS = np.linspace(0.0, 1.0, 101)
_CHUNK = 4_000_000  # numbers of a resampled curve held at once


@dataclass(frozen=True, kw_only=True)
class ImageBoxes:
    """Boxes of one image, (left, top, width, height) in pixels.

    Attributes:
        found_xywh: (n, 4) detections.
        score: (n,).
        truth_xywh: (m, 4) true boxes.
        crowd: (m,) bool, True: a region of many objects; such a box is ignored too.
        ignored: (m,) bool, True: a box that counts neither when found nor when missed.
    """

    found_xywh: FloatArray
    score: FloatArray
    truth_xywh: FloatArray
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n, m = len(self.score), len(self.truth_xywh)
        wanted = {"found_xywh": (n, 4), "score": (n,), "truth_xywh": (m, 4), "crowd": (m,), "ignored": (m,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}; expected {shape}")


@dataclass(frozen=True, kw_only=True)
class BoxMatches:
    """Detections of all images by descending score (ties: by image, then as given), judged at one overlap.

    Attributes:
        score: (d,).
        image: (d,) int64, index of the image.
        is_true: (d,) bool, has a box of its own.
        is_false: (d,) bool; detections of ignored boxes are neither.
        n_truth: (images,) int64, boxes that are not ignored.
    """

    score: FloatArray
    image: NDArray[np.int64]
    is_true: NDArray[np.bool_]
    is_false: NDArray[np.bool_]
    n_truth: NDArray[np.int64]

    def average_precision(self, weights: ArrayLike | None = None) -> FloatArray:
        """Average precision where image i is there weights[i] times.

        Args:
            weights: (..., images) whole numbers >= 0, such as bootstrap resamples; None: each once.

        Returns:
            (...) float64; NaN where no box counts.
        """
        given = np.ones(len(self.n_truth)) if weights is None else np.asarray(weights, np.float64)
        if given.shape[-1] != len(self.n_truth):
            raise ValueError(f"weights {given.shape} do not fit {len(self.n_truth)} images")
        rows = given.reshape(math.prod(given.shape[:-1]), given.shape[-1])
        step = max(1, _CHUNK // max(1, len(self.score)))
        parts = [self._of_rows(rows[i : i + step]) for i in range(0, len(rows), step)]
        return np.concatenate([np.empty(0), *parts]).reshape(given.shape[:-1])

    def _of_rows(self, rows: FloatArray) -> FloatArray:
        here = rows[:, self.image]
        true, false = np.cumsum(here * self.is_true, axis=1), np.cumsum(here * self.is_false, axis=1)
        total = rows @ self.n_truth
        precision = true / (true + false + np.spacing(1.0))
        falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        out = np.full(len(rows), np.nan)
        for i in np.flatnonzero(total > 0):
            reached = np.searchsorted(true[i] / total[i], RECALLS, side="left")
            out[i] = np.append(falling[i], 0.0)[reached].mean()
        return out


def box_iou(found_xywh: FloatArray, truth_xywh: FloatArray, crowd: NDArray[np.bool_]) -> FloatArray:
    """Overlap of boxes, (n, m): intersection over union; over the detection's own area where the truth is a crowd."""
    low = np.maximum(found_xywh[:, None, :2], truth_xywh[None, :, :2])
    high = np.minimum(found_xywh[:, None, :2] + found_xywh[:, None, 2:], truth_xywh[None, :, :2] + truth_xywh[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    own = np.prod(found_xywh[:, 2:], axis=1)[:, None]
    whole = np.where(crowd, own, own + np.prod(truth_xywh[:, 2:], axis=1) - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0), np.float64)


def match_boxes(
    images: Sequence[ImageBoxes], *, iou_threshold: float = 0.5, max_detections: int = MAX_DETECTIONS
) -> BoxMatches:
    """Judge the detections of a set of images.

    Args:
        images: in the order that decides between equal scores (COCO: by image id).
        iou_threshold: least overlap of a pair.
        max_detections: only so many of an image's surest detections are looked at.

    Returns:
        All detections, by descending score.
    """
    score: list[FloatArray] = [np.empty(0)]
    image: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    verdict: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for i, boxes in enumerate(images):
        order = np.argsort(-boxes.score, kind="stable")[:max_detections]
        score.append(boxes.score[order])
        image.append(np.full(len(order), i))
        verdict.append(_verdicts(boxes, order, min(iou_threshold, 1.0 - 1e-10)))
    scores = np.concatenate(score)
    by_score = np.argsort(-scores, kind="stable")
    verdicts = np.concatenate(verdict)[by_score]
    return BoxMatches(
        score=scores[by_score],
        image=np.concatenate(image)[by_score],
        is_true=verdicts == _TRUE,
        is_false=verdicts == _FALSE,
        n_truth=np.array([int((~(boxes.ignored | boxes.crowd)).sum()) for boxes in images], np.int64),
    )


def average_precision(
    images: Sequence[ImageBoxes], iou_thresholds: ArrayLike = (0.5,), *, max_detections: int = MAX_DETECTIONS
) -> FloatArray:
    """Average precision at each of the overlaps, (t,); NaN where no box counts."""
    return np.array(
        [
            float(match_boxes(images, iou_threshold=t, max_detections=max_detections).average_precision())
            for t in np.atleast_1d(np.asarray(iou_thresholds, np.float64))
        ]
    )


def average_precision_of_points(score: ArrayLike, is_true: ArrayLike, n_truth: int) -> float:
    """The same average for detections that something else than boxes has judged, such as `matching.match_greedy`.

    Args:
        score: (n,) scores of the detections that count.
        is_true: (n,) bool.
        n_truth: number of objects.

    Returns:
        Average precision; NaN without objects.
    """
    values = np.asarray(score, np.float64)
    order = np.argsort(-values, kind="stable")
    true = np.asarray(is_true, bool)[order]
    return float(
        BoxMatches(
            score=values[order],
            image=np.zeros(len(order), np.int64),
            is_true=true,
            is_false=~true,
            n_truth=np.array([n_truth], np.int64),
        ).average_precision()
    )


_FALSE, _TRUE, _UNCOUNTED = 0, 1, 2


def _verdicts(boxes: ImageBoxes, order: NDArray[np.intp], least_iou: float) -> NDArray[np.int64]:
    """What each detection of one image is, in the order given."""
    verdict = np.full(len(order), _FALSE, np.int64)
    if len(boxes.truth_xywh) == 0:
        return verdict
    iou = box_iou(boxes.found_xywh[order], boxes.truth_xywh, boxes.crowd)
    ignored = boxes.ignored | boxes.crowd
    taken = np.zeros(len(ignored), bool)
    for i in range(len(order)):
        for group, meaning in ((~ignored, _TRUE), (ignored, _UNCOUNTED)):
            open_ = np.flatnonzero(group & (~taken | boxes.crowd) & (iou[i] >= least_iou))
            if open_.size:
                best = open_[len(open_) - 1 - int(np.argmax(iou[i, open_][::-1]))]  # of equals COCO takes the last
                taken[best] = True
                verdict[i] = meaning
                break
    return verdict
