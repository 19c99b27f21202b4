"""Crops of simulated sea."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imagery.simulate.sar_chips import VesselChip, vessel_chip
from models.train.images import Crop, LabelledImage
from models.vessel.hulls import Hulls, corners
from models.vessel.network import CLASSES


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
    out = []
    for seed in seeds:
        chip = vessel_chip(seed, shape_hw=(side_px, side_px))
        vessels = hulls_of(chip).take(chip.ships.kind == "vessel")
        out.append(
            LabelledImage(
                name=f"seed {seed}",
                values=chip.sigma0,
                outlines=tuple(corners(vessels)),
                ignored=tuple(vessels.ignored.tolist()),
                sea=~chip.land,
                group=str(seed),
            )
        )
    return out
