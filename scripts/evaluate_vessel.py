#!/usr/bin/env python3
"""Score a vessel detector on labelled images, or on one labelled scene.

    python scripts/evaluate_vessel.py --coco val.json --images images --json
    python scripts/evaluate_vessel.py --coco val.json --images images --sea-masks sea_masks --detector cfar-k
    python scripts/evaluate_vessel.py --coco val.json --images images --detector coco-results:theirs.json
    python scripts/evaluate_vessel.py --scene scene.tif --truth vessels.tif --json

F1, precision and recall are of detections at or above the threshold whose centre lies in a ship's outline grown by 3 px
(scenes with labelled places: less than 200 m away), one to one; AP50 is COCO's, of boxes, over all detections.
Intervals are 95 % bootstrap intervals over images, scene groups or blocks of the scene.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from imagery.errors import ImageryError
from imagery.geometry import jacobian_m
from imagery.geotiff import open_geotiff
from imagery.scene import Scene
from imagery.surface import map_surface
from models.chip_cfar import CHIP_CFAR, TUNING_RATES, find_with_cfar
from models.chip_detections import ChipDetections
from models.detector import detect
from models.errors import DetectorError, ModelError
from models.metrics.chips import Scores, ShapeScores, match_chip, score_chips
from models.metrics.coco import CocoImage, CocoTruth, read_coco, read_results, results_entries
from models.metrics.errors import TruthError
from models.metrics.matching import best_threshold
from models.metrics.scene_truth import read_scene_truth
from models.metrics.scenes import BLOCKS_PER_SIDE, SceneFound, found_from_detections, score_scene
from models.metrics.strata import Stratum
from offing.detectors import DetectorChoice, make_detector

Report = dict[str, Any]

RESULTS_PREFIX = "coco-results:"
RESULTS_THRESHOLD = 0.5
LEAST_SCORE = 0.01
"""A network's candidates below this are not asked for: 100 an image is all that AP50 looks at."""


class Predictor(Protocol):
    """Finds vessels in one image."""

    def __call__(self, image: NDArray[Any], sea: NDArray[np.bool_] | None = None) -> ChipDetections:
        """Objects in an image, uint8 (h, w) or float32 (bands, h, w), sought on `sea` where the detector can."""
        ...

    @property
    def threshold(self) -> float:
        """The score from which a detection counts, unless the caller says otherwise."""
        ...


@dataclass(frozen=True, kw_only=True)
class CfarPredictor:
    """A CFAR on 8-bit chips; its scores are 0.5 at its own threshold.

    Attributes:
        name: key of `CHIP_CFAR`.
        false_alarm_rate: instead of the one chosen on training images; None: that one.
    """

    name: str
    false_alarm_rate: float | None = None
    threshold: float = 0.5

    def __call__(self, image: NDArray[Any], sea: NDArray[np.bool_] | None = None) -> ChipDetections:
        """See `Predictor`; only 8-bit images of one band."""
        check_chip(image, self.name)
        detector = CHIP_CFAR[self.name]
        if self.false_alarm_rate is not None:
            detector = detector.at_rate(self.false_alarm_rate)
        return find_with_cfar(image, detector, sea=sea)


@dataclass(frozen=True, kw_only=True)
class NetworkPredictor:
    """The shipped network, or other weights of it.

    Attributes:
        detector: what `models.vessel.detector.load_detector` returns.
    """

    detector: Any

    def __call__(self, image: NDArray[Any], sea: NDArray[np.bool_] | None = None) -> ChipDetections:
        """See `Predictor`; the network judges the image alone."""
        from models.vessel.chip import find_in_chip

        check_chip(image, "the network")
        return find_in_chip(image, self.detector, min_score=LEAST_SCORE)

    @property
    def threshold(self) -> float:
        """The weights' own."""
        return float(self.detector.threshold)


def check_chip(image: NDArray[Any], name: str) -> None:
    """Refuse what is not an 8-bit image of one band."""
    if image.ndim != 2 or image.dtype != np.uint8:
        raise DetectorError(
            f"{name} needs 8-bit images of one band with --coco, not {image.dtype} {image.shape}; "
            "score georeferenced scenes with --scene"
        )


def predictor(name: str, weights: Path | None) -> Predictor:
    """A detector of single 8-bit images.

    Args:
        name: ``auto`` (the network) or a name of `CHIP_CFAR`.
        weights: weights of the network, None: the shipped ones.

    Returns:
        The detector.

    Raises:
        ModelError: if there is no such detector, or its weights cannot be used.
    """
    if name in CHIP_CFAR:
        return CfarPredictor(name=name)
    if name != "auto":
        known = ", ".join(["auto", *CHIP_CFAR, f"{RESULTS_PREFIX}FILE"])
        raise DetectorError(f"there is no detector {name!r} for images; use one of {known}")
    if weights is not None and not weights.is_file():
        raise DetectorError(f"{weights} does not exist; give the path of a weights file")
    from models.vessel.detector import load_detector

    return NetworkPredictor(detector=load_detector(weights, "sar-chip"))


def score_coco(args: argparse.Namespace) -> Report:
    """Score a COCO set."""
    truth = read_coco(args.coco, category=args.category)
    if args.detector.startswith(RESULTS_PREFIX):
        found = read_results(Path(args.detector.removeprefix(RESULTS_PREFIX)), truth)
        threshold = RESULTS_THRESHOLD
    else:
        found, threshold = find_in_set(args, truth)
    threshold = threshold if args.threshold is None else args.threshold
    if args.detections is not None:
        entries = [
            entry
            for image, chip in zip(truth.images, found, strict=True)
            for entry in results_entries(image.id, truth.category_id, chip)
        ]
        write_json(args.detections, entries)
    by_group = args.bootstrap_unit == "group"
    if by_group and any(image.scene_group is None for image in truth.images):
        raise TruthError(f"{truth.path} does not give a scene_group for each image; use --bootstrap-unit image")
    scores = score_chips(truth.images, found, threshold, n_resamples=args.bootstrap, seed=args.seed, by_group=by_group)
    parts = {"offshore": scores.offshore, "inshore": scores.inshore}
    strata: Report = {name: scores_json(part) for name, part in parts.items() if part is not None}
    return {
        **scores_json(scores.overall),
        "threshold": threshold,
        "n_detections_all": sum(len(chip) for chip in found),
        "strata": strata | {"lengths": strata_json(scores.lengths, "px")},
        "shape": shape_json(scores.shape, "px"),
        "best_threshold": best_threshold_json(truth.images, found),
        "matching": "centre in outline + 3 px" if truth.has_polygons else "centre in outline or box + 3 px",
        "bootstrap_unit": args.bootstrap_unit,
        "data_kind": args.data_kind or truth.data_kind or "not stated",
        "data": str(args.coco),
        "detector": args.detector,
        "sea_masks": args.sea_masks is not None and args.detector in CHIP_CFAR,
    }


def tune_cfar(args: argparse.Namespace) -> Report:
    """F1 of a chip CFAR on a COCO set at each of the false-alarm rates that are tried."""
    if args.detector not in CHIP_CFAR:
        raise DetectorError(f"--tune is for {', '.join(CHIP_CFAR)}, not {args.detector!r}")
    truth = read_coco(args.coco, category=args.category)
    rates = []
    for rate in TUNING_RATES:
        found, threshold = find_in_set(args, truth, false_alarm_rate=rate)
        scores = score_chips(truth.images, found, threshold, n_resamples=0).overall
        rates.append({"false_alarm_rate": rate, "f1": finite(scores.f1), "ap50": finite(scores.ap50)})
    best = max(rates, key=lambda row: row["f1"] or 0.0)
    return {"detector": args.detector, "data": str(args.coco), "rates": rates, "best": best["false_alarm_rate"]}


def find_in_set(
    args: argparse.Namespace, truth: CocoTruth, *, false_alarm_rate: float | None = None
) -> tuple[list[ChipDetections], float]:
    """Detections in each image of a set, and the detector's threshold."""
    if args.images is None:
        raise TruthError(f"--coco with --detector {args.detector} needs the images: give their folder with --images")
    for image in truth.images:  # before the first is judged, not after the last
        if not (args.images / image.file_name).is_file():
            raise TruthError(
                f"{args.images / image.file_name}, listed in {truth.path}, does not exist; give its folder"
            )
    find = predictor(args.detector, args.weights)
    if false_alarm_rate is not None:
        find = CfarPredictor(name=args.detector, false_alarm_rate=false_alarm_rate)
    found = []
    for image in truth.images:
        sea = None if args.sea_masks is None else read_sea_mask(args.sea_masks, image)
        found.append(find(read_chip(args.images / image.file_name, image), sea))
    return found, find.threshold


def read_chip(path: Path, image: CocoImage) -> NDArray[Any]:
    """Pixels of an image: uint8 (h, w) of 8-bit pictures, colour as grey; float32 (bands, h, w) of anything else."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a chip may lie anywhere
                with rasterio.open(path) as dataset:
                    values = dataset.read()
            pixels = values[0] if len(values) == 1 and values.dtype == np.uint8 else values.astype(np.float32)
        else:
            with Image.open(path) as opened:
                pixels = np.asarray(opened.convert("L"))
    except (OSError, RasterioError) as error:
        raise TruthError(f"{path} is not an image that can be read: {error}") from error
    if pixels.shape[-2:] != image.shape_hw:
        raise TruthError(f"{path} has {pixels.shape[-2:]} rows and columns, its COCO file says {image.shape_hw}")
    return np.asarray(pixels)


def read_sea_mask(folder: Path, image: CocoImage) -> NDArray[np.bool_]:
    """Where there is sea: a picture of the image's name, 255 sea and 0 land."""
    path = folder / f"{Path(image.file_name).stem}.png"
    try:
        with Image.open(path) as opened:
            sea = np.asarray(opened.convert("L")) > 127
    except OSError as error:
        raise TruthError(f"sea mask {path} cannot be read: {error}") from error
    if sea.shape != image.shape_hw:
        raise TruthError(f"sea mask {path} has {sea.shape} rows and columns, its image {image.shape_hw}")
    return sea


def best_threshold_json(images: Sequence[CocoImage], found: Sequence[ChipDetections]) -> Report:
    """The threshold that would have been best on this very set: a bound, never a score to report."""
    vessels = [chip.take(chip.is_vessel) for chip in found]
    pairs = [match_chip(image, chip) for image, chip in zip(images, vessels, strict=True)]
    counted = [~p.neutral for p in pairs]
    score = np.concatenate([np.empty(0), *(chip.score[mask] for chip, mask in zip(vessels, counted, strict=True))])
    is_true = np.concatenate([np.empty(0, bool), *(p.is_true[mask] for p, mask in zip(pairs, counted, strict=True))])
    threshold, f1 = best_threshold(score, is_true, sum(int(p.scored.sum()) for p in pairs))
    return {"threshold": threshold if math.isfinite(threshold) else None, "f1": f1}


def score_one_scene(args: argparse.Namespace) -> Report:
    """Score one scene."""
    scene = open_geotiff(args.scene)
    truth = read_scene_truth(args.truth, scene)
    found, name = find_in_scene(args, scene)
    threshold = 0.0 if args.threshold is None else args.threshold  # scene detectors report only what they stand for
    if args.detections is not None:
        write_json(args.detections, results_entries(1, 1, found.chip))
    area_km2 = observed_km2(scene)
    scores = score_scene(
        truth, found, threshold, scene.shape_hw, area_km2=area_km2, n_resamples=args.bootstrap, seed=args.seed
    )
    kind = "simulated" if scene.provenance.source == "simulated" else truth.data_kind
    alarms = scores.false_alarms
    return {
        **scores_json(scores.overall),
        "threshold": threshold,
        "n_detections_all": len(found.chip),
        "strata": {
            "lengths": strata_json(scores.lengths, "m"),
            "neighbours": strata_json(scores.neighbours, "m"),
        },
        "shape": shape_json(scores.shape, "m"),
        "f1_within_m": {str(m): finite(f1) for m, f1 in scores.f1_within_m.items()},
        "ap_within_m": {str(m): finite(ap) for m, ap in scores.ap_within_m.items()},
        "false_alarms_per_1000_km2": None if alarms is None else alarms.per_1000_km2,
        "false_alarms_interval": None if alarms is None else [alarms.low, alarms.high],
        "observed_km2": area_km2,
        "matching": f"centre in {scores.matching}" if truth.outlines is not None else f"within {scores.matching}",
        "bootstrap_unit": f"block of 1/{BLOCKS_PER_SIDE} of the scene's height and width",
        "data_kind": args.data_kind or kind or "not stated",
        "data": str(args.scene),
        "detector": name,
    }


def find_in_scene(args: argparse.Namespace, scene: Scene) -> tuple[SceneFound, str]:
    """Detections in a scene, and the full name of the detector: what ``offing detect`` uses, ``auto`` as there."""
    if args.weights is not None:
        raise DetectorError("--weights is for --coco; scenes are searched with the detectors that offing ships")
    detector = make_detector(DetectorChoice(name=args.detector), scene)
    found = detect(scene, detector, map_surface(scene, None), None).detections
    return found_from_detections(found, scene.geometry), detector.name


def observed_km2(scene: Scene) -> float | None:
    """Area of the pixels that hold data, land included; None where none does."""
    measured = scene.read().measured
    rows = np.arange(measured.shape[0], dtype=float)
    pixel_m2 = np.abs(np.linalg.det(jacobian_m(scene.geometry, rows, measured.shape[1] / 2.0)))
    area = float(pixel_m2 @ measured.sum(axis=1)) / 1e6
    return area if area > 0.0 else None


def scores_json(scores: Scores) -> Report:
    """Scores as JSON; null where a share of nothing was asked for."""
    numbers = {name: finite(getattr(scores, name)) for name in ("f1", "precision", "recall", "ap50")}
    counts = {name: getattr(scores, name) for name in ("n_images", "n_ships", "n_detections")}
    intervals = {name: [finite(low), finite(high)] for name, (low, high) in scores.intervals.items()}
    return {**numbers, **counts, "intervals": intervals}


def strata_json(strata: Sequence[Stratum], unit: str) -> list[Report]:
    """Recall by bins as JSON."""
    return [
        {
            f"from_{unit}": s.low,
            f"to_{unit}": finite(s.high),
            "n_ships": s.recall.n,
            "recall": finite(s.recall.share),
            "interval": [s.recall.low, s.recall.high],
        }
        for s in strata
    ]


def shape_json(shape: ShapeScores, unit: str) -> Report:
    """Errors of hulls as JSON."""
    return {
        "n": shape.n,
        "unit": unit,
        "length_accuracy": finite(shape.length_accuracy),
        "axis_error_median_deg": finite(shape.axis_error_deg),
    }


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def write_json(path: Path, value: object) -> None:
    """Write JSON, or say why not."""
    try:
        path.write_text(json.dumps(value), encoding="utf-8")
    except OSError as error:
        raise TruthError(f"{path} cannot be written: {error}") from error


def table(report: Report) -> str:
    """The report for people."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    def line(name: str, part: Report) -> str:
        cells = []
        for key in ("f1", "precision", "recall", "ap50"):
            low, high = part["intervals"].get(key, (None, None))
            around = "" if low is None else f" ({low:.3f}-{high:.3f})"
            cells.append(f"{number(part[key]) + around:<22}")
        return f"{name:<10}{''.join(cells)}{part['n_images']:>7}{part['n_ships']:>7}{part['n_detections']:>7}"

    heads = "".join(f"{name:<22}" for name in ("F1", "precision", "recall", "AP50"))
    lines = [
        f"{report['detector']}{' with sea masks' if report.get('sea_masks') else ''} on {report['data']} "
        f"(data: {report['data_kind']}), threshold {report['threshold']:.4g}",
        f"{'':<10}{heads}{'images':>7}{'ships':>7}{'found':>7}",
        line("all", report),
    ]
    lines += [line(name, report["strata"][name]) for name in ("offshore", "inshore") if name in report["strata"]]
    for name in ("lengths", "neighbours"):
        for row in report["strata"].get(name, []):
            low, high, n, recall, around = row.values()
            unit = "px" if "from_px" in row else "m"
            span = f"{low:g}-{high:g} {unit}" if high is not None else f"{low:g} {unit} and more"
            lines.append(f"recall, {name} {span:<18}{number(recall)} ({around[0]:.3f}-{around[1]:.3f}) of {n}")
    shape = report["shape"]
    lines.append(
        f"hulls of {shape['n']} found: length accuracy {number(shape['length_accuracy'])}, "
        f"median axis error {number(shape['axis_error_median_deg'])} deg"
    )
    if report.get("false_alarms_per_1000_km2") is not None:
        low, high = report["false_alarms_interval"]
        rate = report["false_alarms_per_1000_km2"]
        lines.append(
            f"false alarms per 1000 km2 {rate:.2f} ({low:.2f}-{high:.2f}), {report['observed_km2']:.0f} km2 seen"
        )
    lines.append(f"counted: {report['matching']}; 95 % bootstrap over: {report['bootstrap_unit']}")
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--coco", type=Path, help="COCO instance annotations")
    what.add_argument("--scene", type=Path, help="a raster that offing can read")
    parser.add_argument("--images", type=Path, help="folder of the images of --coco")
    parser.add_argument("--sea-masks", type=Path, help="folder of masks, 255 sea; used by the CFAR detectors")
    parser.add_argument("--truth", type=Path, help="true objects of --scene: GeoJSON points, CSV, or instance raster")
    parser.add_argument(
        "--detector",
        default="auto",
        help=f"--coco: auto (the network), {', '.join(CHIP_CFAR)}, or {RESULTS_PREFIX}FILE made elsewhere; --scene: as "
        "offing detect (default: auto)",
    )
    parser.add_argument("--weights", type=Path, help="weights of the network (default: the shipped ones)")
    parser.add_argument("--category", help="name of the category that means ship (default: the only one)")
    parser.add_argument("--threshold", type=float, help="least score that counts (default: the detector's own)")
    parser.add_argument("--detections", type=Path, help="write every detection here as COCO results")
    parser.add_argument("--data-kind", choices=("real", "simulated", "constructed"), help="if the data does not say")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples; 0: no intervals")
    parser.add_argument("--bootstrap-unit", choices=("image", "group"), default="image", help="group: scene_group")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--tune", action="store_true", help="print F1 of a CFAR at each false-alarm rate that is tried")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    args = parser.parse_args(argv)
    if args.scene is not None and args.truth is None:
        parser.error("--scene needs --truth, the file of its true objects")
    if args.tune and args.coco is None:
        parser.error("--tune needs --coco, a set of training images")
    if args.bootstrap < 0:
        parser.error("--bootstrap must be 0 or more")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Score, print; 2 and one sentence where that cannot be done."""
    args = parse(argv)
    try:
        if args.tune:
            print(json.dumps(tune_cfar(args), indent=2))
            return 0
        report = score_coco(args) if args.coco is not None else score_one_scene(args)
    except (ImageryError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=2, allow_nan=False) if args.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
