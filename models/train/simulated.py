"""Crops of simulated sea."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from imagery.simulate.sar_chips import VesselChip, vessel_chip
from models.train.images import Crop, LabelledImage
from models.train.judge import matched, peaks_in
from models.vessel.calibration import OFFSHORE, SHORE, Calibration
from models.vessel.detectability import Detectability, fit_detectability, sea_level_db
from models.vessel.hulls import Hulls, corners
from models.vessel.inputs import InputCurve
from models.vessel.network import CLASSES, VesselNet


@dataclass(frozen=True, kw_only=True)
class SimulatedSea:
    """Sentinel-1 chips out of `imagery.simulate`.

    Attributes:
        side_px: of a crop.
    """

    side_px: int = 256

    def crop(self, rng: np.random.Generator) -> Crop:
        """See `Source`."""
        chip = vessel_chip(int(rng.integers(2**62)), shape_hw=(self.side_px, self.side_px))
        return Crop(values=chip.sigma0, hulls=hulls_of(chip), land=chip.land.astype(np.float32))


def hulls_of(chip: VesselChip) -> Hulls:
    """Labels of a simulated chip."""
    ships = chip.ships
    return Hulls(
        row=ships.row,
        col=ships.col,
        length_px=ships.length_m / chip.pixel_size_m,
        width_px=ships.width_m / chip.pixel_size_m,
        axis_deg=ships.axis_deg,
        heading_deg=np.where(ships.direction_known, ships.heading_deg, np.nan),
        kind=np.array([CLASSES.index(kind) for kind in ships.kind], np.int64),
        ignored=ships.ignore,
    )


def simulated_images(seeds: Iterable[int], side_px: int = 256) -> list[LabelledImage]:
    """One labelled image per seed: its vessels, those that nobody could see ignored; structures and ghosts are none."""
    return [_labelled(chip, seed) for seed, chip in _chips(seeds, side_px)]


def ships_per_1000_km2(seeds: Iterable[int], side_px: int = 256) -> float:
    """Visible ships over water in the images of `simulated_images`."""
    ships, water_km2 = 0, 0.0
    for _, chip in _chips(seeds, side_px):
        ships += int(((chip.ships.kind == "vessel") & ~chip.ships.ignore).sum())
        water_km2 += float((~chip.land).sum()) * (chip.pixel_size_m / 1000.0) ** 2
    return 1000.0 * ships / water_km2


def measured_detectability(
    net: VesselNet, curve: InputCurve, calibration: Calibration, threshold: float, seeds: Iterable[int]
) -> Detectability:
    """How likely ships of simulated images of 10 m are found, those that nobody could see among them.

    Args:
        net: in evaluation mode.
        curve: its input.
        calibration: of its logits.
        threshold: calibrated probability from which a detection counts.
        seeds: of images that it was not trained on.
    """
    length_m, sea_db, near_shore, is_found = [], [], [], []
    for seed, chip in _chips(seeds, 256, pixel_size_m=10.0):
        image = _labelled(chip, seed)
        vessels = hulls_of(chip).take(chip.ships.kind == "vessel")
        found = peaks_in(net, curve, image, symmetric=False)
        stratum = shore_stratum(image)
        found = found.take(calibration.probability(found.logit, stratum) >= threshold)
        hit = np.zeros(len(vessels), bool)
        truth_of = matched(found, replace(image, ignored=())).truth_of
        hit[truth_of[truth_of >= 0]] = True
        length_m.append(vessels.length_px * chip.pixel_size_m)
        sea_db.append(sea_level_db(chip.sigma0[0], ~chip.land, vessels.row, vessels.col))
        near_shore.append(np.full(len(vessels), stratum == SHORE))
        is_found.append(hit)
    level = np.concatenate(sea_db)
    known = np.isfinite(level)
    columns = (np.concatenate(c)[known] for c in (length_m, sea_db, near_shore, is_found))
    return fit_detectability(*columns)


def shore_stratum(image: LabelledImage) -> str:
    """Whether a simulated image shows land: all of it then lies near."""
    return SHORE if image.sea is not None and not image.sea.all() else OFFSHORE


def _chips(seeds: Iterable[int], side_px: int, pixel_size_m: float | None = None) -> Iterator[tuple[int, VesselChip]]:
    for seed in seeds:
        yield seed, vessel_chip(seed, shape_hw=(side_px, side_px), pixel_size_m=pixel_size_m)


def _labelled(chip: VesselChip, seed: int) -> LabelledImage:
    vessels = hulls_of(chip).take(chip.ships.kind == "vessel")
    return LabelledImage(
        name=f"seed {seed}",
        values=chip.sigma0,
        outlines=tuple(corners(vessels)),
        ignored=tuple(vessels.ignored.tolist()),
        sea=~chip.land,
        group=str(seed),
    )
