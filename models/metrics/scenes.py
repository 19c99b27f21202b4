"""Score detections in one georeferenced scene: places in metres, or centres within the pixels of labelled vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import Geometry, jacobian_m, offset_m
from models.chip_detections import ChipDetections
from models.detections import Detections
from models.metrics.average_precision import BoxMatches, ImageBoxes, average_precision_of_points, match_boxes
from models.metrics.bootstrap import detection_intervals, resample_weights
from models.metrics.chips import Scores, ShapeScores
from models.metrics.matching import (
    Matching,
    match_centres,
    match_greedy,
    match_with_low_confidence,
    precision_recall_f1,
)
from models.metrics.outlines import bounds_xywh
from models.metrics.scene_truth import SceneTruth
from models.metrics.strata import (
    LENGTH_EDGES_M,
    NEIGHBOUR_EDGES_M,
    Rate,
    Stratum,
    axis_error_deg,
    false_alarm_rate,
    length_accuracy,
    recall_by,
)

FloatArray = NDArray[np.float64]

BLOCKS_PER_SIDE = 8
"""A scene is one case, so the bootstrap draws its blocks, each 1/8 of its height by 1/8 of its width."""

_AXIS_FROM_M = 60.0  # shorter hulls have no axis worth comparing at 10 m pixels


@dataclass(frozen=True, kw_only=True)
class SceneFound:
    """Detections in one scene, n of them.

    Attributes:
        chip: in the scene's pixels.
        lon, lat: (n,) degrees.
        length_m: (n,) NaN where not known.
        axis_deg: (n,) degrees clockwise from north in [0, 180), NaN where not known.
    """

    chip: ChipDetections
    lon: FloatArray
    lat: FloatArray
    length_m: FloatArray
    axis_deg: FloatArray

    def take(self, mask: NDArray[np.bool_]) -> SceneFound:
        """The detections of a mask."""
        return SceneFound(
            chip=self.chip.take(mask),
            lon=self.lon[mask],
            lat=self.lat[mask],
            length_m=self.length_m[mask],
            axis_deg=self.axis_deg[mask],
        )


@dataclass(frozen=True, kw_only=True)
class SceneReport:
    """Scores of one scene.

    Attributes:
        overall: F1, precision and recall; ap50 is NaN where the truth has no outlines.
        matching: ``outline + 3 px`` or ``200 m``.
        lengths: recall by length in metres, where lengths are known.
        neighbours: recall by distance to the nearest other true object, metres.
        false_alarms: per 1000 km2 of the area given; None without an area.
        f1_within_m: F1 at 200, 100 and 50 m.
        ap_within_m: average precision of places at 200 and 50 m.
        shape: lengths, and axes of ships of 60 m and more.
    """

    overall: Scores
    matching: str
    lengths: tuple[Stratum, ...]
    neighbours: tuple[Stratum, ...]
    false_alarms: Rate | None
    f1_within_m: dict[int, float]
    ap_within_m: dict[int, float]
    shape: ShapeScores


def found_from_detections(found: Detections, geometry: Geometry) -> SceneFound:
    """Detections of the scene detectors; boxes are those around the hull's rectangle."""
    n = len(found)
    jacobian = jacobian_m(geometry, found.row, found.col) if n else np.empty((0, 2, 2))
    heading = np.radians(found.heading_deg)
    along = np.column_stack([np.sin(heading), np.cos(heading)])  # east, north
    across = np.column_stack([along[:, 1], -along[:, 0]])
    along_px = _to_pixels(jacobian, along) * (found.length_m / 2.0)[:, None]  # rows, columns of half a hull
    across_px = _to_pixels(jacobian, across) * (found.width_m / 2.0)[:, None]
    half = np.maximum(np.abs(along_px) + np.abs(across_px), 0.5)
    x, y = found.col + 0.5, found.row + 0.5
    chip = ChipDetections(
        row=found.row,
        col=found.col,
        score=found.probability,
        box_xywh=np.column_stack([x - half[:, 1], y - half[:, 0], 2.0 * half[:, 1], 2.0 * half[:, 0]]),
        oriented=np.column_stack(
            [
                x,
                y,
                2.0 * np.hypot(*along_px.T),
                2.0 * np.hypot(*across_px.T),
                np.degrees(np.arctan2(along_px[:, 1], -along_px[:, 0])) % 180.0,
            ]
        ),
        is_vessel=found.kind == "vessel",
    )
    return SceneFound(
        chip=chip, lon=found.lon, lat=found.lat, length_m=found.length_m, axis_deg=found.heading_deg % 180.0
    )


def score_scene(
    truth: SceneTruth,
    found: SceneFound,
    threshold: float,
    shape_hw: tuple[int, int],
    *,
    area_km2: float | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> SceneReport:
    """Score the detections of one scene; those that say they are no vessel are left out.

    Args:
        truth: true objects. With outlines, a detection counts if its centre lies in one grown by 3 px; else if the
            xView3 matching pairs it with a place less than 200 m away.
        found: detections.
        threshold: least score of a detection that counts for F1.
        shape_hw: rows and columns of the scene.
        area_km2: area in which false alarms could have been raised; None where not known.
        n_resamples: bootstrap resamples of blocks of the scene, 0: no intervals.
        seed: of the bootstrap.

    Returns:
        The report.
    """
    vessels = found.take(found.chip.is_vessel)
    kept = vessels.take(vessels.chip.score >= threshold)
    distance = _distances_m(kept, truth)
    pairs, boxes = match_with_low_confidence(distance, truth.is_low), None
    if truth.outlines is not None:
        chip = kept.chip
        pairs = match_centres(chip.row, chip.col, chip.score, truth.outlines, ignored=truth.is_low)
        boxes = _box_matches(truth, vessels.chip)
    n_true, n_false, n_missed = pairs.counts
    precision, recall, f1 = (float(value) for value in precision_recall_f1(n_true, n_false, n_missed))
    overall = Scores(
        f1=f1,
        precision=precision,
        recall=recall,
        ap50=float("nan") if boxes is None else float(boxes.average_precision()),
        n_images=1,
        n_ships=n_true + n_missed,
        n_detections=len(kept.chip),
        intervals=_intervals(truth, kept, pairs, shape_hw, n_resamples, seed) if n_resamples else {},
    )
    is_found = pairs.is_found
    known = pairs.scored & np.isfinite(truth.length_m)
    return SceneReport(
        overall=overall,
        matching="200 m" if truth.outlines is None else "outline + 3 px",
        lengths=recall_by(truth.length_m[known], is_found[known], LENGTH_EDGES_M),
        neighbours=recall_by(_neighbours_m(truth)[pairs.scored], is_found[pairs.scored], NEIGHBOUR_EDGES_M),
        false_alarms=None if area_km2 is None else false_alarm_rate(n_false, area_km2),
        f1_within_m={m: _f1_within(distance, truth, float(m)) for m in (200, 100, 50)},
        ap_within_m={m: _ap_within(vessels, truth, float(m)) for m in (200, 50)},
        shape=_shape(truth, kept, pairs),
    )


def _to_pixels(jacobian: FloatArray, east_north: FloatArray) -> FloatArray:
    """(n, 2) rows and columns of steps in metres."""
    solved = np.linalg.solve(jacobian, east_north[:, :, None])[:, :, 0]
    return np.asarray(solved, np.float64)


def _distances_m(found: SceneFound, truth: SceneTruth) -> FloatArray:
    east, north = offset_m(truth.lon[None, :], truth.lat[None, :], found.lon[:, None], found.lat[:, None])
    return np.hypot(east, north).reshape(len(found.lon), len(truth.lon))


def _neighbours_m(truth: SceneTruth) -> FloatArray:
    """Distance of each true object to the nearest other one, doubtful ones included; inf for a single one."""
    east, north = offset_m(truth.lon[None, :], truth.lat[None, :], truth.lon[:, None], truth.lat[:, None])
    apart = np.hypot(east, north)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(axis=1, initial=np.inf), np.float64)


def _f1_within(distance_m: FloatArray, truth: SceneTruth, tolerance_m: float) -> float:
    counts = match_with_low_confidence(distance_m, truth.is_low, tolerance_m=tolerance_m).counts
    return float(precision_recall_f1(*counts)[2])


def _ap_within(vessels: SceneFound, truth: SceneTruth, tolerance_m: float) -> float:
    """Average precision of places: the surest detection first, each taking the nearest free object."""
    chip = vessels.chip
    distance = _distances_m(vessels, truth)
    pairs = match_greedy(distance, chip.score, (chip.row, chip.col), reach=tolerance_m, scored=~truth.is_low)
    counted = np.flatnonzero(~pairs.neutral)
    order = counted[np.lexsort((chip.col[counted], chip.row[counted]))]
    return average_precision_of_points(chip.score[order], pairs.is_true[order], int(pairs.scored.sum()))


def _box_matches(truth: SceneTruth, chip: ChipDetections) -> BoxMatches:
    boxes = np.array([bounds_xywh(outline.corners) for outline in truth.outlines or ()]).reshape(-1, 4)
    image = ImageBoxes(
        found_xywh=chip.box_xywh,
        score=chip.score,
        truth_xywh=boxes,
        crowd=np.zeros(len(boxes), bool),
        ignored=truth.is_low,
    )
    return match_boxes([image], max_detections=max(1, len(chip)))  # a scene is not an image of at most 100 objects


def _intervals(
    truth: SceneTruth, kept: SceneFound, pairs: Matching, shape_hw: tuple[int, int], n_resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Block bootstrap of F1, precision and recall: a found or missed object counts where it lies, a false alarm too."""

    def counts(row: FloatArray, col: FloatArray) -> FloatArray:
        block = np.clip((np.column_stack([row, col]) + 0.5) / shape_hw * BLOCKS_PER_SIDE, 0, BLOCKS_PER_SIDE - 1)
        index = block.astype(np.int64) @ np.array([BLOCKS_PER_SIDE, 1])
        return np.bincount(index, minlength=BLOCKS_PER_SIDE**2).astype(np.float64)

    hit, missed, false = pairs.is_found & pairs.scored, ~pairs.is_found & pairs.scored, pairs.is_false
    table = np.column_stack(
        [
            counts(truth.row[hit], truth.col[hit]),
            counts(kept.chip.row[false], kept.chip.col[false]),
            counts(truth.row[missed], truth.col[missed]),
        ]
    )
    weights = resample_weights(np.arange(len(table)), n_resamples=n_resamples, seed=seed)
    return detection_intervals(table, weights)


def _shape(truth: SceneTruth, kept: SceneFound, pairs: Matching) -> ShapeScores:
    hit = np.flatnonzero(pairs.is_true & np.isfinite(kept.length_m))
    label = pairs.truth_of[hit]
    true_m = truth.length_m[label]
    known = np.isfinite(true_m)
    turned = np.isfinite(truth.axis_deg[label]) & (true_m >= _AXIS_FROM_M)
    error = axis_error_deg(kept.axis_deg[hit][turned], truth.axis_deg[label][turned])
    return ShapeScores(
        n=int(known.sum()),
        length_accuracy=length_accuracy(kept.length_m[hit][known], true_m[known]) if known.any() else float("nan"),
        axis_error_deg=float(np.median(error)) if error.size else float("nan"),
    )
