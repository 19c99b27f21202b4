"""The three weights that ship: what each is trained on and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from models.errors import TrainingError
from models.metrics.matching import GROW_PX
from models.metrics.outlines import PolygonOutline
from models.train.coco import read_chips, read_empty_chips
from models.train.images import LabelledImage, Source, split_groups
from models.train.judge import Judged, Strata, judge, peaks_in
from models.train.light import relit_chip, relit_reflectance, relit_sigma0
from models.train.loop import FindHard, Recipe
from models.train.masks import labelled_scenes, read_masked
from models.train.mixture import Mixture
from models.train.real_sea import read_background
from models.train.sampler import ImageSource
from models.train.simulated import (
    NEAR_PX,
    RADAR_BANDS,
    SimulatedSea,
    measured_detectability,
    sea_stratum,
    watched_waters,
)
from models.vessel.calibration import EVERYWHERE, Calibration
from models.vessel.detectability import Detectability
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig, VesselNet

HELD_OUT_SHARE = 0.1  # of the ships: they train nothing and calibrate everything
INSHORE_LAND_FRACTION = 0.01
HARD_FROM_LOGIT = -1.0
# Seeds of simulated images that train nothing; training draws its seeds from 0 to 2**62 at random.
HELD_OUT_SEEDS, VALIDATION_SEEDS, DETECTABILITY_SEEDS = (2**62 + k * 1_000_000 for k in (1, 2, 3))

SSDD = {
    "name": "Official-SSDD, own scene-disjoint split",
    "licence": "Apache-2.0",
    "citation": "Zhang et al. 2021, Remote Sens. 13(18) 3690; sea masks SL-SSDD: Ke et al. 2025, Remote Sens. 17 3576",
}
LS_SSDD = {
    "name": "LS-SSDD-v1.0, 11 tiles without ships",
    "licence": "Apache-2.0",
    "citation": "Zhang et al. 2020, Remote Sens. 12(18) 2997",
}
SIMULATED_SEA = {"name": "imagery.simulate.sar_chips (simulated)", "licence": "Apache-2.0", "citation": "this project"}
IRISH_SEA = {
    "name": "one Sentinel-1 IW pass over the Irish Sea, 2023-06-15, columns c2 to c5 as background",
    "licence": "MIT; contains modified Copernicus Sentinel data 2023",
    "citation": "ESA Copernicus Sentinel-1",
}
SEN2SHIPS = {
    "name": "sen2ships, eight ports",
    "licence": "MIT; contains modified Copernicus Sentinel data 2022-2023",
    "citation": "sen2ships",
}


def everywhere(image: LabelledImage) -> str:
    """One curve for all: chips carry no shore when they are looked at."""
    return EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training run with its data.

    Attributes:
        recipe: see `Recipe`.
        source: crops.
        held_out: labelled images that train nothing: the calibration is fitted on them.
        validation: labelled images on which thresholds are chosen.
        find_hard: the hard-negative round, None = none.
        pixel_size_m: see `WeightsRecord`.
        data: see `WeightsRecord`.
        symmetric: see `WeightsRecord`.
        shrink: see `WeightsRecord`.
        grow_px: see `models.train.judge.judge`.
        stratum: of an image, for the calibration.
        object_weight: see `models.vessel.calibration.fit_calibration`.
        detectability: see `models.train.finish.finish`.
    """

    recipe: Recipe
    source: Source
    held_out: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]
    find_hard: FindHard | None
    pixel_size_m: tuple[float, float] | None
    data: tuple[Mapping[str, str], ...]
    symmetric: bool
    shrink: int = 1
    grow_px: float = GROW_PX
    stratum: Strata = everywhere
    object_weight: float = 1.0
    detectability: Callable[[VesselNet, Calibration, float], Detectability] | None = None

    def judge(self, net: VesselNet, images: Sequence[LabelledImage], *, once: bool = False) -> Judged:
        """A network held against images as these weights will be used; `once` asks it one way only, to be quick."""
        return judge(
            net,
            self.recipe.curve,
            images,
            self.stratum,
            symmetric=self.symmetric and not once,
            shrink=self.shrink,
            grow_px=self.grow_px,
        )


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One of several parts of the training scenes that is left out.

    Attributes:
        index: which, from 0.
        count: of how many.
    """

    index: int
    count: int

    def without(self, images: Sequence[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
        """(those kept, those left out): groups are dealt out in turn, the richest in ships first."""
        ships: dict[str, int] = {}
        for image in images:
            ships[image.group] = ships.get(image.group, 0) + len(image.outlines)
        dealt = {g: i % self.count for i, g in enumerate(sorted(ships, key=lambda g: (-ships[g], g)))}
        kept = [i for i in images if dealt[i.group] != self.index]
        return kept, [i for i in images if dealt[i.group] == self.index]


def sar_chip(data: Path, fold: Fold | None) -> Job:
    """Uncalibrated 8-bit radar chips: SSDD, and tiles of LS-SSDD without ships."""
    folder = data / "sar" / "ssdd"
    images = read_chips(folder / "train.json", folder / "images", folder / "sea_masks")
    validation = read_chips(folder / "val.json", folder / "images", folder / "sea_masks")
    if fold is None:
        fit, held_out = split_groups(images, HELD_OUT_SHARE, seed=0)
    else:
        fit, held_out = fold.without(images)
    fit += read_empty_chips(_without_ships(data / "sar" / "ls_ssdd_sample"))
    source = ImageSource(images=fit, relight=relit_chip, side_px=256, scale=(0.4, 1.25), land_factor=6.0)
    curve = InputCurve(kind="dn8", bands=("grey",))
    network = NetworkConfig(inputs=curve.channels, widths=(32, 64, 128, 192), blocks=(1, 2, 3, 2), pixel_px=2)
    return Job(
        recipe=Recipe(network=network, curve=curve, bands=curve.bands, steps=6500, batch=12),
        source=source,
        held_out=held_out,
        validation=validation,
        find_hard=_hard_round(source, curve, shrink=3),
        pixel_size_m=None,
        data=(SSDD, LS_SSDD),
        symmetric=True,
        shrink=3,
    )


IRISH_SEA_TRAIN = ("c2", "c3", "c4", "c5")


def sar_iw(data: Path, fold: Fold | None) -> Job:
    """Calibrated Sentinel-1: simulated seas, and coast, land and slicks of one real pass, its bright spots left out."""
    if fold is not None:
        raise TrainingError("the sar-iw recipe draws its scenes from seeds and has no folds: leave --fold out")
    curve = InputCurve(kind="sigma0_db", bands=RADAR_BANDS, middle=(-17.0, -23.0))
    real = read_background(sorted((data / "sar" / "irish_sea").glob("*.tif")), IRISH_SEA_TRAIN, RADAR_BANDS)
    background = ImageSource(
        images=real, relight=relit_sigma0, scale=(0.9, 1.1), quarter_turns=False, object_share=0.0, paste_share=0.0
    )
    network = NetworkConfig(inputs=curve.channels, widths=(32, 64, 96), blocks=(1, 2, 2))
    held_out, object_weight = watched_waters(range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + 1500))
    return Job(
        recipe=Recipe(network=network, curve=curve, bands=RADAR_BANDS, steps=3000),
        source=Mixture(sources=(SimulatedSea(), background), shares=(0.85, 0.15)),
        held_out=held_out,
        validation=watched_waters(range(VALIDATION_SEEDS, VALIDATION_SEEDS + 500))[0],
        find_hard=None,
        pixel_size_m=(8.0, 42.0),
        data=(SIMULATED_SEA, IRISH_SEA),
        symmetric=False,
        grow_px=NEAR_PX,
        stratum=sea_stratum,
        object_weight=object_weight,
        detectability=lambda net, calibration, threshold: measured_detectability(
            net, curve, calibration, threshold, range(DETECTABILITY_SEEDS, DETECTABILITY_SEEDS + 800)
        ),
    )


OPTICAL_BANDS = ("b04", "b03", "b02", "b08")
CALIBRATION_PORT = "cartagena"
VALIDATION_PORTS = ("gdynia", "casablanca", "honolulu")


def optical(data: Path, fold: Fold | None) -> Job:
    """Sentinel-2 reflectance: the ports of sen2ships; a fold leaves out one port of all eight."""
    folder = data / "optical" / "sen2ships"
    scenes = labelled_scenes(folder)
    if not scenes:
        raise TrainingError(f"{folder} holds no scenes; give the folder of the data with --data")
    images = [read_masked(path, vessels, OPTICAL_BANDS, group=path.stem) for path, vessels in scenes]
    if fold is None:
        validation = [i for i in images if i.name.startswith(VALIDATION_PORTS)]
        held_out = [i for i in images if i.name.startswith(CALIBRATION_PORT)]
        left_out = [*validation, *held_out]
    elif fold.count == len(images):  # the port left out is for judging alone; the next one calibrates
        validation = held_out = [images[(fold.index + 1) % len(images)]]
        left_out = [images[fold.index], *held_out]
    else:
        raise TrainingError(f"the optical recipe leaves out one of {len(images)} ports: give --fold N/{len(images)}")
    fit = [i for i in images if i.name not in {other.name for other in left_out}]
    source = ImageSource(images=fit, relight=relit_reflectance, scale=(0.6, 1.6), land_factor=1.0, paste_share=0.7)
    curve = InputCurve(kind="reflectance", bands=OPTICAL_BANDS)
    network = NetworkConfig(inputs=curve.channels, widths=(32, 64, 96), blocks=(1, 2, 2))
    recipe = Recipe(network=network, curve=curve, bands=curve.bands, steps=1500, batch=16, band_dropout=0.15)
    return Job(
        recipe=recipe,
        source=source,
        held_out=held_out,
        validation=validation,
        find_hard=None,
        pixel_size_m=(5.0, 15.0),
        data=(SEN2SHIPS,),
        symmetric=False,
    )


RECIPES: dict[str, Callable[[Path, Fold | None], Job]] = {"sar-chip": sar_chip, "sar-iw": sar_iw, "optical": optical}


def is_inshore(image: LabelledImage) -> bool:
    """More than 1 % land in the sea mask."""
    return image.sea is not None and float((~image.sea).mean()) > INSHORE_LAND_FRACTION


def _hard_round(source: ImageSource, curve: InputCurve, shrink: int) -> FindHard:
    def find(net: nn.Module) -> Source:
        assert isinstance(net, VesselNet)
        places = []
        for number, image in enumerate(source.images):
            found = peaks_in(net, curve, image, symmetric=False, shrink=shrink)
            far = np.ones(len(found), bool)
            for outline in image.outlines:
                grown = PolygonOutline(rings=(outline,))
                far &= grown.distance_px(found.col, found.row) > 3.0
            wrong = far & (found.logit > HARD_FROM_LOGIT)
            places += [(number, float(c), float(r)) for r, c in zip(found.row[wrong], found.col[wrong], strict=True)]
        return replace(source, hard_xy=tuple(places))

    return find


def _without_ships(folder: Path) -> list[Path]:
    """Images (.jpg) anywhere in a folder whose VOC annotation, anywhere in it too, names no object."""
    annotations = {path.stem: path for path in folder.rglob("*.xml")}
    images = sorted(folder.rglob("*.jpg"), key=lambda path: path.stem)
    if not images or any(path.stem not in annotations for path in images):
        raise TrainingError(f"{folder} needs images (.jpg) and a VOC annotation (.xml) for each")
    return [path for path in images if "<object>" not in annotations[path.stem].read_text()]
