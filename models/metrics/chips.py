"""Score detections in image chips against COCO truth: F1 by centres in outlines, AP50 of boxes, strata, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.chip_detections import ChipDetections
from models.metrics.average_precision import ImageBoxes, match_boxes
from models.metrics.bootstrap import Interval, detection_intervals, resample_weights
from models.metrics.coco import CocoImage
from models.metrics.matching import Matching, match_centres, precision_recall_f1
from models.metrics.outlines import oriented_size
from models.metrics.strata import LENGTH_EDGES_PX, Stratum, axis_error_deg, length_accuracy, recall_by

FloatArray = NDArray[np.float64]

INSHORE_LAND_FRACTION = 0.01
"""An image with a larger share of land is inshore."""

_LEAST_ELONGATION = 2.0  # below this ratio of length to width a hull has no axis worth comparing


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well the ships of a set of images were found.

    Attributes:
        f1, precision, recall: of detections at or above the threshold; NaN where a share of nothing is asked for.
        ap50: average precision of boxes at an overlap of one half, over detections of any score.
        n_images, n_ships: what was looked at.
        n_detections: detections at or above the threshold.
        intervals: bootstrap intervals of f1, precision, recall and ap50; empty where none was asked for.
    """

    f1: float
    precision: float
    recall: float
    ap50: float
    n_images: int
    n_ships: int
    n_detections: int
    intervals: dict[str, Interval]


@dataclass(frozen=True, kw_only=True)
class ShapeScores:
    """How well the hulls of found ships were measured; NaN where nothing can be compared.

    Attributes:
        n: found ships whose detection has an oriented hull.
        length_accuracy: 1 - mean relative error of the length, capped at 0; the true length is the long side of the
            smallest rectangle around the outline.
        axis_error_deg: median error of the axis over ships at least twice as long as broad.
    """

    n: int
    length_accuracy: float
    axis_error_deg: float


@dataclass(frozen=True, kw_only=True)
class ChipReport:
    """Scores of a set of images.

    Attributes:
        overall: of all images.
        offshore, inshore: of images by land fraction; None where the truth does not state it of every image.
        lengths: recall by length of the outline, pixels.
        shape: how well hulls were measured.
    """

    overall: Scores
    offshore: Scores | None
    inshore: Scores | None
    lengths: tuple[Stratum, ...]
    shape: ShapeScores


def score_chips(
    images: Sequence[CocoImage],
    found: Sequence[ChipDetections],
    threshold: float,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    by_group: bool = False,
) -> ChipReport:
    """Score the detections of a set of images.

    Detections that say they are no vessel are left out.

    Args:
        images: truth, in an order that decides between equal scores in AP50 (COCO: by id).
        found: detections of each image.
        threshold: least score of a detection that counts for F1.
        n_resamples: bootstrap resamples, 0: no intervals.
        seed: of the bootstrap.
        by_group: draw whole scene groups (images that share pixels) instead of single images.

    Returns:
        The report.
    """
    if len(images) != len(found):
        raise ValueError(f"{len(found)} sets of detections do not fit {len(images)} images")
    vessels = [chip.take(chip.is_vessel) for chip in found]
    kept = [chip.take(chip.score >= threshold) for chip in vessels]
    pairs = [match_chip(image, chip) for image, chip in zip(images, kept, strict=True)]
    land = [image.land_fraction for image in images]
    inshore = None if None in land else np.array([x is not None and x > INSHORE_LAND_FRACTION for x in land], bool)

    def part(mask: NDArray[np.bool_]) -> Scores:
        rows = [int(i) for i in np.flatnonzero(mask)]
        return _scores(
            [images[i] for i in rows],
            [vessels[i] for i in rows],
            [pairs[i] for i in rows],
            n_resamples=n_resamples,
            seed=seed,
            by_group=by_group,
        )

    return ChipReport(
        overall=part(np.ones(len(images), bool)),
        offshore=None if inshore is None else part(~inshore),
        inshore=None if inshore is None else part(inshore),
        lengths=_recall_by_length(images, pairs),
        shape=_shapes(images, kept, pairs),
    )


def match_chip(image: CocoImage, found: ChipDetections) -> Matching:
    """Pair the detections of one image with its ships, crowds not scored."""
    return match_centres(found.row, found.col, found.score, image.outlines, ignored=image.crowd)


def chip_boxes(image: CocoImage, found: ChipDetections) -> ImageBoxes:
    """Boxes of one image for average precision."""
    return ImageBoxes(
        found_xywh=found.box_xywh,
        score=found.score,
        truth_xywh=image.box_xywh,
        crowd=image.crowd,
        ignored=image.crowd,
    )


def _scores(
    images: Sequence[CocoImage],
    vessels: Sequence[ChipDetections],
    pairs: Sequence[Matching],
    *,
    n_resamples: int,
    seed: int,
    by_group: bool,
) -> Scores:
    counts = np.array([p.counts for p in pairs], np.float64).reshape(-1, 3)
    precision, recall, f1 = (float(value) for value in precision_recall_f1(*counts.sum(axis=0)))
    boxes = match_boxes([chip_boxes(image, chip) for image, chip in zip(images, vessels, strict=True)])
    intervals = {}
    if n_resamples:
        weights = resample_weights(_units(images, by_group=by_group), n_resamples=n_resamples, seed=seed)
        intervals = detection_intervals(counts, weights, boxes=boxes)
    return Scores(
        f1=f1,
        precision=precision,
        recall=recall,
        ap50=float(boxes.average_precision()),
        n_images=len(images),
        n_ships=int(counts[:, 0].sum() + counts[:, 2].sum()),
        n_detections=sum(len(p.truth_of) for p in pairs),
        intervals=intervals,
    )


def _units(images: Sequence[CocoImage], *, by_group: bool) -> list[str]:
    """What the bootstrap draws: scene groups, or single images."""
    if not by_group:
        return [str(image.id) for image in images]
    groups = [image.scene_group for image in images if image.scene_group is not None]
    if len(groups) < len(images):
        raise ValueError("an image has no scene group; draw single images instead")
    return groups


def _recall_by_length(images: Sequence[CocoImage], pairs: Sequence[Matching]) -> tuple[Stratum, ...]:
    length = [oriented_size(o.corners)[0] for image in images for o in image.outlines]
    found = [flag for p in pairs for flag in p.is_found]
    scored = np.array([flag for p in pairs for flag in p.scored], bool)
    return recall_by(np.array(length)[scored], np.array(found, bool)[scored], LENGTH_EDGES_PX)


def _shapes(images: Sequence[CocoImage], kept: Sequence[ChipDetections], pairs: Sequence[Matching]) -> ShapeScores:
    said, true = [], []
    for image, chip, p in zip(images, kept, pairs, strict=True):
        for i in np.flatnonzero(p.is_true & np.isfinite(chip.oriented).all(axis=1)):
            said.append(chip.oriented[i, 2:])
            true.append(oriented_size(image.outlines[p.truth_of[i]].corners))
    if not said:
        return ShapeScores(n=0, length_accuracy=float("nan"), axis_error_deg=float("nan"))
    hull, truth = np.array(said), np.array(true)
    long = truth[:, 0] >= _LEAST_ELONGATION * truth[:, 1]
    error = axis_error_deg(hull[long, 2], truth[long, 2])
    return ShapeScores(
        n=len(said),
        length_accuracy=length_accuracy(hull[:, 0], truth[:, 0], longest=np.inf),
        axis_error_deg=float(np.median(error)) if error.size else float("nan"),
    )
