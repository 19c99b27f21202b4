#!/usr/bin/env python3
"""The long measurements of the vessel network that the test suite does not repeat.

    python scripts/campaign_vessel.py folds --data DATA --runs runs     SSDD, out of fold, after five training runs
    python scripts/campaign_vessel.py ports --data DATA --runs runs     sen2ships, after eight training runs
    python scripts/campaign_vessel.py irish-sea --data DATA --weights runs/sar-iw/sar-iw.safetensors

``folds`` needs the weights of `scripts/train_vessel.py --recipe sar-chip --fold K/5 --out RUNS/fold-K` for K = 0 to 4.
Every ship of the training images is then judged by a network that saw no image of its scene group. ``ports`` needs
those of `--recipe optical --fold K/8 --out RUNS/port-K` for K = 0 to 7. Sheets of what carries no label are written, to
be looked at.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.special import expit, logit

from imagery.aoi import AreaOfInterest
from imagery.errors import ImageryError
from imagery.fetchers.folder import FolderSource
from imagery.geometry import pixel_size_m
from imagery.geotiff import open_geotiff
from imagery.land import osm_land
from imagery.surface import SOUGHT, map_surface
from models.chip_detections import ChipDetections
from models.detector import detect
from models.errors import ModelError
from models.metrics.chips import Scores, score_chips
from models.metrics.coco import CocoImage, read_coco
from models.metrics.outlines import oriented_size
from models.metrics.reliability import binomial_share
from models.train.coco import read_chips
from models.train.judge import matched
from models.train.masks import labelled_scenes, read_masked
from models.train.recipes import Fold
from models.vessel.chip import find_in_chip, peaks_of
from models.vessel.detector import load_detector
from models.vessel.search import VesselSearch

FloatArray = NDArray[np.float64]

FOLDS = 5
IRISH_SEA_TEST = ("c0", "c1")
IRISH_SEA_AREA = AreaOfInterest.from_bbox("irish sea", -6.168, 53.04, -4.577, 53.5)
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FLOOR_DB = -25.0  # what the carrier of this pass clipped to
CROP_PX, ENLARGED = 48, 4


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


def ports(args: argparse.Namespace) -> None:
    """The ports of sen2ships, each judged by the network that left it out."""
    folder = args.data / "optical" / "sen2ships"
    args.out.mkdir(parents=True, exist_ok=True)
    found_of: dict[str, list[bool]] = {"20-40 m": [], "40 m and more": []}
    n_all, n_labelled = 0, 0
    for k, (path, vessels) in enumerate(labelled_scenes(folder)):
        detector = load_detector(args.runs / f"port-{k}" / "optical.safetensors", "optical")
        record = detector.record
        image = read_masked(path, vessels, record.curve.bands, group=path.stem)
        found = peaks_of(detector, dict(zip(record.curve.bands, image.values, strict=True)))
        found = found.take(record.calibration.probability(found.logit) >= detector.threshold)
        truth_of = matched(found, image).truth_of
        pixel_m = min(pixel_size_m(open_geotiff(path).geometry))
        length_m = np.array([oriented_size(outline)[0] for outline in image.outlines]) * pixel_m
        is_found = np.isin(np.arange(len(length_m)), truth_of)
        found_of["20-40 m"] += is_found[(length_m >= 20.0) & (length_m < 40.0)].tolist()
        found_of["40 m and more"] += is_found[length_m >= 40.0].tolist()
        unlabelled = found.take(truth_of < 0)
        n_all, n_labelled = n_all + len(found), n_labelled + int((truth_of >= 0).sum())
        sheet = args.out / f"{path.stem}_unlabelled.png"
        shown = np.clip(image.values[:3] / 0.25, 0.0, 1.0)
        contact_sheet(shown, unlabelled.row, unlabelled.col, sheet)
        print(f"{path.stem}: {int(is_found.sum())} of {len(length_m)} labelled, {len(unlabelled)} unlabelled: {sheet}")
    print("sen2ships (real), each port by the network that never saw it")
    for name, hits in found_of.items():
        share = binomial_share(sum(hits), len(hits))
        print(f"  recall {name}: {share.share:.3f} ({share.low:.3f}-{share.high:.3f}) of {share.n}")
    print(f"  {n_labelled} of {n_all} detections are labelled; the labels are incomplete: look at the sheets")


def irish_sea(args: argparse.Namespace) -> None:
    """The two columns of a real pass that nothing was trained on, every detection listed and shown."""
    detector = load_detector(args.weights, "sar-iw")
    files = [p for c in IRISH_SEA_TEST for p in sorted((args.data / "sar" / "irish_sea").glob(f"*_{c}_*.tif"))]
    args.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as held:
        for path in files:
            (Path(held) / path.name).symlink_to(path.resolve())
        source = FolderSource(Path(held))
        (ref,) = source.search(IRISH_SEA_AREA, *ALWAYS)
        scene = source.fetch(ref, IRISH_SEA_AREA)
        land = osm_land(IRISH_SEA_AREA)
        surface = map_surface(scene, land)
        found = detect(scene, VesselSearch(detector=detector), surface, land).detections
        values = scene.read()
    decibels = values.data[0]
    observed = values.valid[0] & (decibels > FLOOR_DB)
    water = np.isin(surface.classes(scene.window, np.asarray(values.valid.any(axis=0))), SOUGHT) & observed
    area_km2 = float(water.sum()) * np.prod(pixel_size_m(scene.geometry)) / 1e6
    row, col = np.round(found.row).astype(int), np.round(found.col).astype(int)
    listed = np.flatnonzero((found.probability >= detector.threshold) & (found.kind == "vessel"))
    listed = listed[np.argsort(-found.probability[listed])]
    print(
        f"Irish Sea (real), columns {', '.join(IRISH_SEA_TEST)}: {len(listed)} vessels on {area_km2:.0f} km2 of water"
    )
    print(f"  that is {1000.0 * len(listed) / area_km2:.1f} over 1000 km2; each is to be looked at")
    for number, i in enumerate(listed):
        place = f"row {row[i]} col {col[i]}  {found.lat[i]:.4f} {found.lon[i]:.4f}"
        shape = f"{found.length_m[i]:.0f} m  {found.contrast_db[i]:.1f} dB  {found.surface[i]}"
        print(f"  {number:3d}  p {found.probability[i]:.2f}  {place}  {shape}")
    sheet = args.out / "irish_sea.png"
    contact_sheet(
        np.clip((decibels - FLOOR_DB) / -FLOOR_DB, 0.0, 1.0)[None], found.row[listed], found.col[listed], sheet
    )
    print(f"  {sheet}")


def contact_sheet(bands: NDArray[np.floating[Any]], row: FloatArray, col: FloatArray, path: Path) -> None:
    """Places in reading order, `CROP_PX` wide and enlarged, numbered from 0.

    Args:
        bands: (1 or 3, h, w) in 0..1, NaN shown black.
        row: (n,) pixels.
        col: (n,) pixels.
        path: PNG.
    """
    half, per_line, side = CROP_PX // 2, 8, CROP_PX * ENLARGED
    lines = max(-(-len(row) // per_line), 1)
    sheet = Image.new("RGB", (per_line * side, lines * side))
    draw = ImageDraw.Draw(sheet)
    padded = np.pad(np.nan_to_num(bands), ((0, 0), (half, half), (half, half)))
    for number, (r, c) in enumerate(zip(np.round(row).astype(int), np.round(col).astype(int), strict=True)):
        crop = (255.0 * padded[:, r : r + CROP_PX, c : c + CROP_PX]).astype(np.uint8)
        rgb = np.moveaxis(np.broadcast_to(crop, (3, *crop.shape[1:])), 0, -1)
        tile = Image.fromarray(np.ascontiguousarray(rgb)).resize((side, side), Image.Resampling.NEAREST)
        at = number % per_line * side, number // per_line * side
        sheet.paste(tile, at)
        draw.text((at[0] + 4, at[1] + 4), str(number), fill=(255, 220, 0))
    sheet.save(path)


def _line(scores: Scores) -> str:
    parts = []
    for name in ("f1", "precision", "recall", "ap50"):
        low, high = scores.intervals[name]
        parts.append(f"{name} {getattr(scores, name):.3f} ({low:.3f}-{high:.3f})")
    return "  ".join(parts) + f"  {scores.n_ships} ships, {scores.n_images} images"


def main() -> int:
    """Run one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    fold = commands.add_parser("folds", help="SSDD out of fold")
    fold.add_argument("--data", type=Path, required=True, help="folder of the training data")
    fold.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs fold-0 to fold-4")
    fold.set_defaults(run=folds)
    port = commands.add_parser("ports", help="sen2ships, one port left out at a time")
    port.add_argument("--data", type=Path, required=True, help="folder of the training data")
    port.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs port-0 to port-7")
    port.add_argument("--out", type=Path, default=Path("runs/ports"), help="folder for the sheets")
    port.set_defaults(run=ports)
    sea = commands.add_parser("irish-sea", help="a real pass without labels")
    sea.add_argument("--data", type=Path, required=True, help="folder of the training data")
    sea.add_argument("--weights", type=Path, help="default: the shipped ones")
    sea.add_argument("--out", type=Path, default=Path("runs/irish_sea"), help="folder for the sheet")
    sea.set_defaults(run=irish_sea)
    args = parser.parse_args()
    try:
        args.run(args)
    except (ImageryError, ModelError) as error:
        print(f"campaign_vessel: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
