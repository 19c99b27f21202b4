#!/usr/bin/env python3
"""The radar network on both simulators: scenes of unseen seeds, in which every ship, structure and ghost is known.

    python scripts/campaign_seas.py --weights runs/sar-iw/sar-iw.safetensors

Everything printed is of SIMULATED scenes. The first simulator is the one that the network was trained on; the second
was written without sight of it or of the network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from imagery.second_sea import KINDS, evaluation_scene, oracle_scores
from imagery.simulate.sar_chips import KINDS as CHIP_KINDS
from imagery.simulate.sar_chips import vessel_chip
from models.errors import ModelError
from models.metrics.errors import TruthError
from models.metrics.matching import Matching, best_threshold, match_distances, precision_recall_f1
from models.metrics.reliability import binomial_share, expected_calibration_error, interval_coverage
from models.metrics.strata import axis_error_deg, false_alarm_rate, length_accuracy
from models.vessel.calibration import strata
from models.vessel.chip import peaks_of
from models.vessel.detectability import NEAR_SHORE_M, sea_level_db
from models.vessel.detector import VesselDetector, load_detector
from models.vessel.network import CLASSES
from models.vessel.search import LEAST_PROBABILITY

FloatArray = NDArray[np.float64]

FIRST_SEED = 9_000_000  # of scenes that nothing was trained or tuned on
CROWDING = 0.1  # of the first simulator, whose chips hold about ten times the ships of a busy sea
TOLERANCE_M = 200.0
# Lengths, and the detection probability that Sentinel-1 detectors are known to reach (fit to human-reviewed SAR-AIS
# matches of Kroodsma et al. 2022: 15 m .25, 25 .55, 35 .72, 50 .86, 80 .93, 120 .96).
LENGTH_BINS_M = (
    (12.0, 20.0, 0.25),
    (20.0, 30.0, 0.55),
    (30.0, 42.0, 0.72),
    (42.0, 65.0, 0.86),
    (65.0, 100.0, 0.93),
    (100.0, 400.0, 0.96),
)
NEAR_OTHER_M = 100.0  # detections so near a structure or ghost count neither for nor against, for the oracle likewise


@dataclass(frozen=True, kw_only=True)
class Sea:
    """One simulated scene, of whichever simulator.

    Attributes:
        sigma0: (2, h, w), NaN where there is no data.
        pixel_m: side of a pixel.
        kind: of scene.
        land: (h, w) True on land.
        row, col, length_m, axis_deg: of its ships, (n,).
        other_row, other_col: structures and ghosts.
        oracle: places and scores of the oracle, None where the simulator has none.
    """

    kind: str
    sigma0: NDArray[np.float32]
    land: NDArray[np.bool_]
    pixel_m: float
    row: FloatArray
    col: FloatArray
    length_m: FloatArray
    axis_deg: FloatArray
    other_row: FloatArray
    other_col: FloatArray
    oracle: tuple[FloatArray, FloatArray, FloatArray] | None

    @property
    def water_km2(self) -> float:
        """Area that is not land."""
        return float(np.count_nonzero(~self.land)) * (self.pixel_m / 1000.0) ** 2

    @cached_property
    def _to_land_m(self) -> FloatArray:
        """(h, w) distance to land."""
        return np.asarray(distance_transform_edt(~self.land) * self.pixel_m)

    def is_near_shore(self, row: FloatArray, col: FloatArray) -> NDArray[np.bool_]:
        """Whether places lie within `NEAR_SHORE_M` of land that the scene shows."""
        if not self.land.any():
            return np.zeros(len(row), bool)
        height, width = self.land.shape
        at = np.clip(np.round(row).astype(int), 0, height - 1), np.clip(np.round(col).astype(int), 0, width - 1)
        return np.asarray(self._to_land_m[at] < NEAR_SHORE_M)


def first_simulator(count: int, side_px: int) -> Iterator[Sea]:
    """Scenes of `imagery.simulate`, every kind in turn."""
    for k in range(count):
        kind = list(CHIP_KINDS)[k % len(CHIP_KINDS)]
        chip = vessel_chip(FIRST_SEED + k, shape_hw=(side_px, side_px), pixel_size_m=10.0, kind=kind, crowding=CROWDING)
        ships = chip.ships
        vessel = ships.kind == "vessel"
        yield Sea(
            kind=kind,
            sigma0=chip.sigma0,
            land=chip.land,
            pixel_m=chip.pixel_size_m,
            row=ships.row[vessel],
            col=ships.col[vessel],
            length_m=ships.length_m[vessel],
            axis_deg=ships.axis_deg[vessel],
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
            kind=scene.kind,
            sigma0=scene.sigma0,
            land=scene.land,
            pixel_m=scene.pixel_size_m,
            row=scene.ships.row,
            col=scene.ships.col,
            length_m=scene.ships.length_m,
            axis_deg=scene.ships.axis_deg,
            other_row=np.concatenate([scene.structures.row, scene.ghosts.row]),
            other_col=np.concatenate([scene.structures.col, scene.ghosts.col]),
            oracle=(oracle.row, oracle.col, oracle.score),
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a network said of one scene, and what was there.

    Attributes:
        sea: the scene.
        chance: calibrated probability of every detection taken for a vessel, weak ones too, but for those that met no
            ship within `NEAR_OTHER_M` of a structure or ghost, (n,).
        truth_of: the ship that each met at any threshold, -1 = none, (n,).
        met: the ship that each met among those at the threshold, -1 = none, -2 = below the threshold, (n,).
        length_m, low_m, high_m: said lengths and their intervals, (n,).
        axis_deg: said axes, (n,).
        near_shore: whether each lies near land, (n,).
        expected: probability of being found that the record's curve gives each ship, (ships,); NaN where unknown.
    """

    sea: Sea
    chance: FloatArray
    truth_of: NDArray[np.int64]
    met: NDArray[np.int64]
    length_m: FloatArray
    low_m: FloatArray
    high_m: FloatArray
    axis_deg: FloatArray
    near_shore: NDArray[np.bool_]
    expected: FloatArray

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """(ships,) met at the threshold."""
        return np.isin(np.arange(len(self.sea.row)), self.met)


def seas(weights: Path | None, count: int, side_px: int) -> None:
    """Both simulators side by side, never in one column with real scores."""
    detector = load_detector(weights, "sar-iw")
    for name, source in (("first simulator", first_simulator), ("second simulator", second_simulator)):
        print(f"{name} (SIMULATED), {count} scenes of {side_px} px, seeds from {FIRST_SEED}")
        verdicts = [judged(sea, detector) for sea in source(count, side_px)]
        if not any((v.met >= 0).any() for v in verdicts):
            raise TruthError(f"no ship was found in {count} scenes of {side_px} px: give more of them, or larger ones")
        print_detection(verdicts, detector.threshold)
        print_hulls(verdicts)
        print_false(verdicts)


def judged(sea: Sea, detector: VesselDetector) -> Verdict:
    """Ask the network about a scene in one piece."""
    record = detector.record
    pixels = dict(zip(record.curve.bands, sea.sigma0, strict=True))
    found = peaks_of(detector, pixels)
    found = found.take(found.kind_logit.argmax(axis=1) == CLASSES.index("vessel"))
    near_shore = sea.is_near_shore(found.row, found.col)
    bands = record.curve.bands
    chance = record.calibration.probability(found.logit, strata(near_shore, present=bands, of=bands))
    truth_of = _matched(found.row, found.col, sea).truth_of
    counted = (truth_of >= 0) | ~_near_other(found.row, found.col, sea)
    found, chance, truth_of, near_shore = found.take(counted), chance[counted], truth_of[counted], near_shore[counted]
    strong = chance >= detector.threshold
    met = np.full(len(found), -2)
    met[strong] = _matched(found.row[strong], found.col[strong], sea).truth_of
    low, high = record.calibration.length_interval_px(found.length_px, found.log_length_sigma)
    expected = np.full(len(sea.row), np.nan)
    if record.detectability is not None and len(sea.row):
        level = sea_level_db(sea.sigma0[0], ~sea.land, sea.row, sea.col)
        expected = record.detectability.probability(sea.length_m, level, sea.is_near_shore(sea.row, sea.col))
    return Verdict(
        sea=sea,
        chance=chance,
        truth_of=truth_of,
        met=met,
        length_m=found.length_px * sea.pixel_m,
        low_m=low * sea.pixel_m,
        high_m=high * sea.pixel_m,
        axis_deg=found.axis_deg,
        near_shore=near_shore,
        expected=expected,
    )


def print_detection(verdicts: Sequence[Verdict], threshold: float) -> None:
    """How many ships are found, and how far the probabilities are true."""
    print(f"  at probability {threshold:.3f}, all lengths: {_f1_line(verdicts, 0.0)}")
    if verdicts[0].sea.oracle is not None:
        print(f"  oracle that knows the clutter, at its best threshold: F1 {_oracle_f1([v.sea for v in verdicts]):.3f}")
    print(f"  ships from 40 m: {_f1_line(verdicts, 40.0)}")
    for name, shore in (("near shore", True), ("open sea", False)):
        print(f"  ships from 40 m, {name}: {_f1_line(verdicts, 40.0, near_shore=shore)}")
    length = np.concatenate([v.sea.length_m for v in verdicts])
    found = np.concatenate([v.is_found for v in verdicts])
    expected = np.concatenate([v.expected for v in verdicts])
    for low, high, published in LENGTH_BINS_M:
        mine = (length >= low) & (length < high)
        share = binomial_share(int(found[mine].sum()), int(mine.sum()))
        print(
            f"  found of {low:g}-{high:g} m: {share.share:.3f} ({share.low:.3f}-{share.high:.3f}) of {share.n};"
            f" design {published:.2f}, own curve {np.nanmean(expected[mine]) if mine.any() else np.nan:.3f}"
        )
    chance = np.concatenate([v.chance for v in verdicts])
    is_ship = np.concatenate([v.truth_of for v in verdicts]) >= 0
    listed = chance >= LEAST_PROBABILITY  # nobody doubts that the rest is nothing
    error = expected_calibration_error(chance[listed], is_ship[listed])
    print(f"  expected calibration error {error:.4f} of {int(listed.sum())} detections listed")


def print_hulls(verdicts: Sequence[Verdict]) -> None:
    """Lengths, their intervals, and axes of ships that were found."""
    hit = [v.met >= 0 for v in verdicts]
    said, low, high = (
        np.concatenate([getattr(v, name)[h] for v, h in zip(verdicts, hit, strict=True)])
        for name in ("length_m", "low_m", "high_m")
    )
    true = np.concatenate([v.sea.length_m[v.met[h]] for v, h in zip(verdicts, hit, strict=True)])
    error = np.concatenate(
        [axis_error_deg(v.axis_deg[h], v.sea.axis_deg[v.met[h]]) for v, h in zip(verdicts, hit, strict=True)]
    )
    cover = interval_coverage(low, high, true)
    print(f"  length accuracy {length_accuracy(said, true):.3f} of {len(true)}")
    print(f"  90 % length intervals hold {cover.share:.3f} ({cover.low:.3f}-{cover.high:.3f}) of {cover.n}")
    print(f"  median axis error from 60 m: {np.median(error[true >= 60.0]):.1f} deg of {int((true >= 60.0).sum())}")


def print_false(verdicts: Sequence[Verdict]) -> None:
    """False detections over 1000 km2 of water, by kind of scene."""
    for kind in dict.fromkeys(v.sea.kind for v in verdicts):
        mine = [v for v in verdicts if v.sea.kind == kind]
        n_false, area_km2 = sum(int((v.met == -1).sum()) for v in mine), sum(v.sea.water_km2 for v in mine)
        rate = false_alarm_rate(n_false, area_km2)
        print(
            f"  false on {kind:<13}{rate.per_1000_km2:6.1f} ({rate.low:.1f}-{rate.high:.1f}) over 1000 km2; "
            f"{n_false} on {area_km2:.0f} km2"
        )


def _f1_line(verdicts: Sequence[Verdict], least_m: float, *, near_shore: bool | None = None) -> str:
    """F1 of ships of some length and place; detections of other ships count neither for nor against."""
    counts = np.zeros(3, np.int64)
    for v in verdicts:
        counted = v.sea.length_m >= least_m
        false = v.met == -1
        if near_shore is not None:
            counted &= v.sea.is_near_shore(v.sea.row, v.sea.col) == near_shore
            false &= v.near_shore == near_shore
        counts += (int((counted & v.is_found).sum()), int(false.sum()), int((counted & ~v.is_found).sum()))
    precision, recall, f1 = (float(value) for value in precision_recall_f1(*counts))
    return f"F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f} of {counts[0] + counts[2]} ships"


def _oracle_f1(scenes: Sequence[Sea]) -> float:
    scores, truths = [], []
    for sea in scenes:
        assert sea.oracle is not None
        row, col, score = sea.oracle
        met = _matched(row, col, sea).truth_of >= 0
        counted = met | ~_near_other(row, col, sea)
        scores.append(score[counted])
        truths.append(met[counted])
    return best_threshold(np.concatenate(scores), np.concatenate(truths), sum(len(s.row) for s in scenes))[1]


def _matched(row: FloatArray, col: FloatArray, sea: Sea) -> Matching:
    apart = np.hypot(row[:, None] - sea.row, col[:, None] - sea.col) * sea.pixel_m
    return match_distances(apart, tolerance_m=TOLERANCE_M)


def _near_other(row: FloatArray, col: FloatArray, sea: Sea) -> NDArray[np.bool_]:
    apart = np.hypot(row[:, None] - sea.other_row, col[:, None] - sea.other_col) * sea.pixel_m
    return np.asarray((apart < NEAR_OTHER_M).any(axis=1))


def main() -> int:
    """Judge the network on both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--side-px", type=int, default=1024)
    args = parser.parse_args()
    try:
        seas(args.weights, args.scenes, args.side_px)
    except ModelError as error:
        print(f"campaign_seas: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
