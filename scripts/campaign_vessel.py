#!/usr/bin/env python3
"""The long measurements of the vessel network that the test suite does not repeat.

    python scripts/campaign_vessel.py folds --data DATA --runs runs     SSDD, out of fold, after five training runs
    python scripts/campaign_vessel.py seas --weights runs/sar-iw/sar-iw.safetensors     both simulators, unseen seeds

``folds`` needs the weights of `scripts/train_vessel.py --recipe sar-chip --fold K/5 --out RUNS/fold-K` for K = 0 to 4.
Every ship of the training images is then judged by a network that saw no image of its scene group.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from imagery.second_sea import KINDS, evaluation_scene, oracle_scores
from imagery.simulate.sar_chips import KINDS as CHIP_KINDS
from imagery.simulate.sar_chips import vessel_chip
from models.errors import ModelError
from models.metrics.chip_detections import ChipDetections
from models.metrics.chips import Scores, score_chips
from models.metrics.coco import CocoImage, read_coco
from models.metrics.matching import Matching, best_threshold, match_distances, precision_recall_f1
from models.metrics.reliability import expected_calibration_error, interval_coverage
from models.metrics.strata import axis_error_deg, length_accuracy, recall_by
from models.train.coco import read_chips
from models.train.recipes import Fold
from models.vessel.chip import find_in_chip, find_peaks
from models.vessel.detector import VesselDetector, load_detector
from models.vessel.network import CLASSES

FloatArray = NDArray[np.float64]

FOLDS = 5
FIRST_SEED = 9_000_000  # of scenes that nothing was trained or tuned on
TOLERANCE_M = 200.0
LENGTH_EDGES_M = (0.0, 15.0, 20.0, 25.0, 40.0, 60.0, 100.0, 200.0, 500.0)
NEAR_OTHER_M = 100.0  # detections so near a structure or ghost count neither for nor against, for the oracle likewise


def folds(args: argparse.Namespace) -> None:
    """SSDD's training images, each judged by the network of the fold that left its scene out."""
    folder = args.data / "sar" / "ssdd"
    truth = {image.file_name: image for image in read_coco(folder / "train.json").images}
    images = read_chips(folder / "train.json", folder / "images", folder / "sea_masks")
    judged: list[tuple[CocoImage, ChipDetections]] = []
    for k in range(FOLDS):
        detector = load_detector(args.runs / f"fold-{k}" / "sar-chip.safetensors", "sar-chip")
        for image in Fold(index=k, count=FOLDS).without(images)[1]:
            found = find_in_chip(image.values[0].astype(np.uint8), detector)
            centred = expit(logit(np.clip(found.score, 1e-9, 1 - 1e-9)) - logit(detector.threshold))
            judged.append((truth[image.name], replace(found, score=centred)))
        print(f"fold {k}: {len(judged)} images so far", file=sys.stderr)
    judged.sort(key=lambda pair: pair[0].id)
    report = score_chips([i for i, _ in judged], [f for _, f in judged], 0.5, by_group=True)
    print("SSDD train (real), out of fold, each fold at the threshold chosen on val; 95 % bootstrap over scene groups")
    for name, scores in (("all", report.overall), ("offshore", report.offshore), ("inshore", report.inshore)):
        if scores is not None:
            print(f"{name:<10}{_line(scores)}")


def _line(scores: Scores) -> str:
    parts = []
    for name in ("f1", "precision", "recall", "ap50"):
        low, high = scores.intervals[name]
        parts.append(f"{name} {getattr(scores, name):.3f} ({low:.3f}-{high:.3f})")
    return "  ".join(parts) + f"  {scores.n_ships} ships, {scores.n_images} images"


@dataclass(frozen=True, kw_only=True)
class Sea:
    """One simulated scene, of whichever simulator.

    Attributes:
        name: kind and seed.
        sigma0: (2, h, w), NaN where there is no data.
        pixel_m: side of a pixel.
        row, col, length_m, axis_deg, near_shore: of its ships, (n,).
        other_row, other_col: structures and ghosts.
        oracle: places and scores of the oracle, None where the simulator has none.
    """

    name: str
    sigma0: NDArray[np.float32]
    pixel_m: float
    row: FloatArray
    col: FloatArray
    length_m: FloatArray
    axis_deg: FloatArray
    near_shore: NDArray[np.bool_]
    other_row: FloatArray
    other_col: FloatArray
    oracle: tuple[FloatArray, FloatArray, FloatArray] | None


def first_simulator(count: int, side_px: int) -> Iterator[Sea]:
    """Scenes of `imagery.simulate`, every kind in turn."""
    for k in range(count):
        kind = list(CHIP_KINDS)[k % len(CHIP_KINDS)]
        chip = vessel_chip(FIRST_SEED + k, shape_hw=(side_px, side_px), pixel_size_m=10.0, kind=kind)
        ships = chip.ships
        vessel = (ships.kind == "vessel") & ~ships.ignore
        yield Sea(
            name=f"{kind} {FIRST_SEED + k}",
            sigma0=chip.sigma0,
            pixel_m=chip.pixel_size_m,
            row=ships.row[vessel],
            col=ships.col[vessel],
            length_m=ships.length_m[vessel],
            axis_deg=ships.axis_deg[vessel],
            near_shore=np.full(int(vessel.sum()), bool(chip.land.any())),
            other_row=ships.row[~vessel],
            other_col=ships.col[~vessel],
            oracle=None,
        )


def second_simulator(count: int, side_px: int) -> Iterator[Sea]:
    """Scenes of `imagery.second_sea`, every kind in turn, with its oracle."""
    for k in range(count):
        scene = evaluation_scene(FIRST_SEED + k, kind=KINDS[k % len(KINDS)], shape_hw=(side_px, side_px))
        oracle = oracle_scores(scene)
        yield Sea(
            name=f"{scene.kind} {scene.seed}",
            sigma0=scene.sigma0,
            pixel_m=scene.pixel_size_m,
            row=scene.ships.row,
            col=scene.ships.col,
            length_m=scene.ships.length_m,
            axis_deg=scene.ships.axis_deg,
            near_shore=scene.ships.shore_distance_m < 2000.0,
            other_row=np.concatenate([scene.structures.row, scene.ghosts.row]),
            other_col=np.concatenate([scene.structures.col, scene.ghosts.col]),
            oracle=(oracle.row, oracle.col, oracle.score),
        )


def seas(args: argparse.Namespace) -> None:
    """Both simulators side by side, never in one column with real scores."""
    detector = load_detector(args.weights, "sar-iw")
    for name, source in (("first simulator", first_simulator), ("second simulator", second_simulator)):
        print(f"{name} (SIMULATED), {args.scenes} scenes of {args.side_px} px, seeds from {FIRST_SEED}")
        _judge_seas(source(args.scenes, args.side_px), detector)


def _judge_seas(scenes: Iterator[Sea], detector: VesselDetector) -> None:
    record = detector.record
    counts, length, is_found, shore, probability, is_true = [], [], [], [], [], []
    said_m, true_m, low_m, high_m, axis_error = [], [], [], [], []
    best_oracle: list[tuple[FloatArray, NDArray[np.bool_], int]] = []
    for sea in scenes:
        bands = dict(zip(record.curve.bands, sea.sigma0, strict=True))
        found = find_peaks(detector.net, record.curve, bands, hull_share=record.hull_share, symmetric=record.symmetric)
        chance = record.calibration.probability(found.logit)
        kept = found.kind_logit.argmax(axis=1) == CLASSES.index("vessel")
        found, chance = found.take(kept), chance[kept]
        pairs = _matched(found.row, found.col, sea)
        free = ~(_near_other(found.row, found.col, sea) & (pairs.truth_of < 0))
        probability.append(chance[free])
        is_true.append(pairs.is_true[free])
        strong = chance >= detector.threshold
        at_threshold = _matched(found.row[strong], found.col[strong], sea)
        neutral = _near_other(found.row[strong], found.col[strong], sea) & (at_threshold.truth_of < 0)
        tp, fp, fn = at_threshold.counts
        counts.append((tp, fp - int(neutral.sum()), fn))
        length.append(sea.length_m)
        is_found.append(at_threshold.is_found)
        shore.append(sea.near_shore)
        hit = np.flatnonzero(at_threshold.is_true)
        hulls, of = found.take(np.flatnonzero(strong)[hit]), at_threshold.truth_of[hit]
        low, high = record.calibration.length_interval_px(hulls.length_px, hulls.log_length_sigma)
        said_m.append(hulls.length_px * sea.pixel_m)
        low_m.append(low * sea.pixel_m)
        high_m.append(high * sea.pixel_m)
        true_m.append(sea.length_m[of])
        axis_error.append(axis_error_deg(hulls.axis_deg, sea.axis_deg[of]))
        if sea.oracle is not None:
            row, col, score = sea.oracle
            theirs = _matched(row, col, sea)
            open_ = ~(_near_other(row, col, sea) & (theirs.truth_of < 0))
            best_oracle.append((score[open_], theirs.is_true[open_], len(sea.row)))
    precision, recall, f1 = (float(v) for v in precision_recall_f1(*np.sum(counts, axis=0)))
    print(f"  F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f} at threshold {detector.threshold:.3f}")
    if best_oracle:
        print(f"  oracle that knows the clutter, at its best threshold: F1 {_best(best_oracle):.3f}")
    for stratum in recall_by(np.concatenate(length), np.concatenate(is_found), LENGTH_EDGES_M):
        share = stratum.recall
        span = f"{stratum.low:g}-{stratum.high:g} m"
        print(f"  recall {span:<12}{share.share:.3f} ({share.low:.3f}-{share.high:.3f}) of {share.n}")
    for name, mask in (("near shore", np.concatenate(shore)), ("open sea", ~np.concatenate(shore))):
        mine = np.concatenate(is_found)[mask & (np.concatenate(length) >= 40.0)]
        print(f"  recall from 40 m, {name}: {mine.mean():.3f} of {len(mine)}" if len(mine) else f"  no ships {name}")
    said, true = np.concatenate(said_m), np.concatenate(true_m)
    error = np.concatenate(axis_error)[true >= 60.0]
    cover = interval_coverage(np.concatenate(low_m), np.concatenate(high_m), true)
    print(
        f"  length accuracy {length_accuracy(said, true):.3f}, median axis error from 60 m {np.median(error):.1f} deg"
    )
    print(f"  90 % length intervals hold {cover.share:.3f} ({cover.low:.3f}-{cover.high:.3f}) of {cover.n}")
    chances, truths = np.concatenate(probability), np.concatenate(is_true)
    print(
        f"  expected calibration error {expected_calibration_error(chances, truths):.4f} of {len(chances)} detections"
    )


def _matched(row: FloatArray, col: FloatArray, sea: Sea) -> Matching:
    apart = np.hypot(row[:, None] - sea.row, col[:, None] - sea.col) * sea.pixel_m
    return match_distances(apart, tolerance_m=TOLERANCE_M)


def _near_other(row: FloatArray, col: FloatArray, sea: Sea) -> NDArray[np.bool_]:
    apart = np.hypot(row[:, None] - sea.other_row, col[:, None] - sea.other_col) * sea.pixel_m
    return np.asarray((apart < NEAR_OTHER_M).any(axis=1))


def _best(oracle: list[tuple[FloatArray, NDArray[np.bool_], int]]) -> float:
    score, is_true = np.concatenate([o[0] for o in oracle]), np.concatenate([o[1] for o in oracle])
    return best_threshold(score, is_true, sum(o[2] for o in oracle))[1]


def main() -> int:
    """Run one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    fold = commands.add_parser("folds", help="SSDD out of fold")
    fold.add_argument("--data", type=Path, required=True, help="folder of the training data")
    fold.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs fold-0 to fold-4")
    fold.set_defaults(run=folds)
    sea = commands.add_parser("seas", help="both simulators")
    sea.add_argument("--weights", type=Path, help="default: the shipped ones")
    sea.add_argument("--scenes", type=int, default=64)
    sea.add_argument("--side-px", type=int, default=1024)
    sea.set_defaults(run=seas)
    args = parser.parse_args()
    try:
        args.run(args)
    except ModelError as error:
        print(f"campaign_vessel: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
