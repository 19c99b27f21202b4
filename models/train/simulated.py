"""Crops of simulated sea."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from imagery.simulate.sar_chips import VesselChip, vessel_chip
from models.train.images import Crop, LabelledImage
from models.train.judge import matched, peaks_in
from models.vessel.calibration import Calibration, stratum
from models.vessel.detectability import Detectability, fit_detectability, sea_level_db
from models.vessel.hulls import Hulls, corners
from models.vessel.inputs import InputCurve
from models.vessel.network import CLASSES, VesselNet

RADAR_BANDS = ("vv", "vh")
# Waters that are watched for ships, by kind of chip: the chips of a training run show rare and hard waters as often as
# plain ones, but false alarms are as frequent as what causes them (judgement).
WATERS = {"open_sea": 0.45, "coast": 0.15, "harbour": 0.05, "anchorage": 0.05, "tidal_flat": 0.04, "aquaculture": 0.04}
WATERS |= {"rain": 0.04, "front": 0.04, "low_wind": 0.05, "seam": 0.03, "ghosts": 0.02, "wind_farm": 0.01}
WATERS |= {"platforms": 0.01, "ice": 0.01, "interference": 0.01}
# xView3's scenes hold some 6 objects over 1000 km2, waters that are watched for ships several times as many.
SHIPS_PER_1000_KM2 = 50.0
# A centre so far outside a hull still meets it, 100 m at 10 m: half of what xView3 allows (Paolo et al. 2022).
NEAR_PX = 10.0


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
        hulls = hulls_of(chip)
        return Crop(
            values=chip.sigma0,
            hulls=hulls,
            hull_mask=_hull_mask(hulls.take(chip.ships.kind == "vessel"), self.side_px),
            land=chip.land.astype(np.float32),
        )


def _hull_mask(vessels: Hulls, side_px: int) -> NDArray[np.float32]:
    mask = np.zeros((side_px, side_px), np.float32)
    for each, ignored in zip(corners(vessels), vessels.ignored, strict=True):
        covered = polygon(each[:, 1], each[:, 0], shape=mask.shape)  # type: ignore[no-untyped-call]
        mask[covered] = np.nan if ignored else 1.0
    return mask


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


def watched_waters(seeds: Iterable[int], side_px: int = 256) -> tuple[list[LabelledImage], float]:
    """Images of waters as frequent as in `WATERS`, every third without VH, and how crowded those are.

    Their vessels are labelled, those that nobody could see as ignored; structures and ghosts are none.

    Returns:
        The images, and how many times denser ships lie on watched waters: `SHIPS_PER_1000_KM2` over the density here.
    """
    images, ships, water_km2 = [], 0, 0.0
    for number, (seed, chip) in enumerate(_chips(seeds, side_px, waters=WATERS)):
        image = _labelled(chip, seed)
        if number % 3 == 2:
            values = image.values.copy()
            values[1] = np.nan
            image = replace(image, values=values)
        images.append(image)
        ships += int(((chip.ships.kind == "vessel") & ~chip.ships.ignore).sum())
        water_km2 += float((~chip.land).sum()) * (chip.pixel_size_m / 1000.0) ** 2
    return images, SHIPS_PER_1000_KM2 / (1000.0 * ships / water_km2)


def measured_detectability(
    net: VesselNet, curve: InputCurve, calibration: Calibration, threshold: float, seeds: Iterable[int]
) -> Detectability:
    """How likely ships of watched waters are found at 10 m, those that nobody could see among them.

    Args:
        net: in evaluation mode.
        curve: its input.
        calibration: of its logits.
        threshold: calibrated probability from which a detection counts.
        seeds: of images that it was not trained on.
    """
    length_m, sea_db, near_shore, is_found = [], [], [], []
    for seed, chip in _chips(seeds, 256, pixel_size_m=10.0, waters=WATERS):
        image = _labelled(chip, seed)
        vessels = hulls_of(chip).take(chip.ships.kind == "vessel")
        found = peaks_in(net, curve, image, symmetric=False)
        found = found.take(calibration.probability(found.logit, sea_stratum(image)) >= threshold)
        hit = np.zeros(len(vessels), bool)
        truth_of = matched(found, replace(image, ignored=()), NEAR_PX).truth_of
        hit[truth_of[truth_of >= 0]] = True
        length_m.append(vessels.length_px * chip.pixel_size_m)
        sea_db.append(sea_level_db(chip.sigma0[0], ~chip.land, vessels.row, vessels.col))
        near_shore.append(np.full(len(vessels), bool(chip.land.any())))
        is_found.append(hit)
    level = np.concatenate(sea_db)
    known = np.isfinite(level)
    columns = (np.concatenate(c)[known] for c in (length_m, sea_db, near_shore, is_found))
    return fit_detectability(*columns)


def sea_stratum(image: LabelledImage) -> str:
    """Whether a simulated image shows land (all of it then lies near), and which bands it holds."""
    near = image.sea is not None and not image.sea.all()
    present = [band for band, values in zip(RADAR_BANDS, image.values, strict=True) if np.isfinite(values).any()]
    return stratum(near_shore=near, present=present, of=RADAR_BANDS)


def _chips(
    seeds: Iterable[int],
    side_px: int,
    *,
    pixel_size_m: float | None = None,
    waters: Mapping[str, float] | None = None,
) -> Iterator[tuple[int, VesselChip]]:
    for seed in seeds:
        kind = None
        if waters is not None:
            kind = str(np.random.default_rng(seed).choice(list(waters), p=list(waters.values())))
        yield seed, vessel_chip(seed, shape_hw=(side_px, side_px), pixel_size_m=pixel_size_m, kind=kind)


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
