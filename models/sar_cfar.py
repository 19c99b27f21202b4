"""The CFAR vessel detector for radar scenes: one threshold per pixel, the union over polarisations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import Window
from imagery.radiometry import linear_intensity
from imagery.scene import Pixels, Scene
from imagery.surface import SurfaceMap
from models.cfar import ALARM, GROW, UNTESTABLE, CfarConfig, cfar
from models.detector import settings_name, testable
from models.errors import DetectorError, NoWaterError
from models.hot_pixels import SIDELOBE_RATIO, HullRules

# K clutter of order 1 and 4.4 looks, spikier than any sea in the design notes, exceeds its mean by 14.3 dB once in 1e6
# pixels and by 16.2 dB once in 1e8; water that is mostly below the floor has its mean 2 dB or more below it. Where the
# ring could be used, its unevenness still hides below the floor: no alarm unless an order of 2 (13.3 dB once in 1e7)
# could not make it.
_FLOOR_ALARM_DB = 15.0
_FLOOR_LEAST_ALARM_DB = 12.0
_FLOOR_GROW_DB = 10.0

_SAMPLE_PX = 64
_SAMPLES_PER_SIDE = 12


@dataclass(frozen=True, kw_only=True)
class SarCfar:
    """CFAR on each polarisation of a radar scene.

    Attributes:
        kind: name on the command line.
        config: windows, clutter and false-alarm rate; its looks are replaced by the scene's own.
        unit_intensity: per band, the scene's typical sea intensity, None before `prepare`.
    """

    kind: str
    config: CfarConfig
    unit_intensity: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Kind and a hash of the configuration."""
        return settings_name(self.kind, self.config)

    @property
    def halo_px(self) -> int:
        """Reach of the background ring."""
        return self.config.halo_px

    @property
    def rules(self) -> HullRules:
        """A pixel may be a boat of 15 m; twice the broadest hull leaves room for smear; the faint may be a sidelobe."""
        return HullRules(min_pixels=1, max_breadth_m=150.0, hull_share=SIDELOBE_RATIO, part=False)

    def prepare(self, scene: Scene, surface: SurfaceMap) -> SarCfar:
        """Take looks and typical intensity from the scene.

        Raises:
            DetectorError: if the scene is not radar, or shows no sea.
        """
        if scene.sensor.kind != "sar":
            raise DetectorError(
                f"{self.kind} needs a radar scene; {scene.id} is {scene.sensor.name}: use bright-target"
            )
        levels, looks = _sea_statistics(scene, surface)
        config = replace(self.config, looks=scene.sensor.looks or looks, threshold_factor=scene.sensor.speckle_factor)
        return replace(self, config=config, unit_intensity=levels)

    def hot(self, scene: Scene, pixels: Pixels, classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Highest level and ratio over the polarisations; untestable pixels are quiet."""
        if self.unit_intensity is None:
            raise DetectorError(f"{self.kind} was not prepared for scene {scene.id}")
        open_water = testable(classes)
        level = np.zeros(classes.shape, np.uint8)
        ratio = np.zeros(classes.shape, np.float32)
        for band, unit in enumerate(self.unit_intensity):
            intensity = linear_intensity(pixels.data[band], scene.unit)
            sought = pixels.valid[band] & open_water
            if scene.clip_value is None:
                judged = cfar(intensity, sought, self.config, unit_intensity=unit)
                tested, over = _tested(judged.level), judged.ratio
            else:
                tested, over = self._over_clipped_water(intensity, sought, scene, unit)
            level = np.maximum(level, tested)
            ratio = np.where(tested > 0, np.maximum(ratio, over), ratio)
        return level, ratio

    def _over_clipped_water(
        self, intensity: NDArray[np.float32], sought: NDArray[np.bool_], scene: Scene, unit: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Level and ratio where dark water was cut off at a floor.

        Pixels at the floor hide how dark and how uneven the water is, so they are left out of the ring: its mean comes
        out too high, never too low. Where too few are left, the water is darker than the floor, and a pixel counts that
        stands out of the floor itself by more than the spikiest sea does out of its mean.
        """
        floor = float(linear_intensity(np.array([scene.clip_value], np.float32), scene.unit)[0])
        above = sought & (intensity > floor)
        judged = cfar(intensity, above, self.config, unit_intensity=unit)
        over_floor = intensity / np.float32(floor)
        dark = above & (judged.level == UNTESTABLE)
        level = _tested(judged.level)
        level[(level == ALARM) & (over_floor < 10 ** (_FLOOR_LEAST_ALARM_DB / 10))] = GROW
        level[dark & (over_floor > 10 ** (_FLOOR_GROW_DB / 10))] = GROW
        level[dark & (over_floor > 10 ** (_FLOOR_ALARM_DB / 10))] = ALARM
        return level, np.where(dark, over_floor, judged.ratio)


def _tested(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels with untestable pixels quiet."""
    return np.where(level == UNTESTABLE, 0, level).astype(np.uint8)


def _sea_statistics(scene: Scene, surface: SurfaceMap) -> tuple[tuple[float, ...], float]:
    """Typical intensity per band, and the looks of the smoothest water, from windows spread over the scene.

    Looks: mean^2 / variance of a window's intensity; texture and ships only lower it, so the 90th percentile over
    windows stands for water without them. Used only where the sensor does not state its looks.

    Raises:
        NoWaterError: if nowhere a window's worth of open water is seen.
    """
    judged = surface.window  # not the scene: of a whole product, only the part around an area may have been fetched
    few, all_ = (_corners(judged, count) for count in (_SAMPLES_PER_SIDE, None))
    levels: list[list[float]] = [[] for _ in scene.bands]
    looks: list[float] = []
    for corners in (few, all_):
        for row, col in corners:
            _sample(scene, surface, row, col, levels, looks)
        if levels[0]:
            break
    else:
        raise NoWaterError(
            f"scene {scene.id} shows no open water around the area; choose an area at sea, or other dates"
        )
    per_band = tuple(float(np.median(level)) if level else float(np.median(levels[0])) for level in levels)
    return per_band, float(np.clip(np.percentile(looks, 90), 1.0, 50.0)) if looks else 1.0


def _corners(around: Window, per_side: int | None) -> list[tuple[int, int]]:
    """First pixels of sample windows, so many per side, or one beside the other."""
    steps = []
    for start, length in ((around.row, around.height), (around.col, around.width)):
        last = max(length - _SAMPLE_PX, 0)
        places = np.linspace(0, last, per_side) if per_side else np.arange(0, last + 1, _SAMPLE_PX)
        steps.append((start + np.unique(places.astype(int))).tolist())
    return [(row, col) for row in steps[0] for col in steps[1]]


def _sample(
    scene: Scene, surface: SurfaceMap, row: int, col: int, levels: list[list[float]], looks: list[float]
) -> None:
    """Add the level of each band, and the looks, of the water in one window, if it is mostly water."""
    window = Window(row=row, col=col, height=_SAMPLE_PX, width=_SAMPLE_PX)
    pixels = scene.read(window)
    water = testable(surface.classes(window, pixels.measured))
    for band in range(len(scene.bands)):
        sea = water & pixels.valid[band]
        values = linear_intensity(pixels.data[band], scene.unit)[sea].astype(float)
        if len(values) < _SAMPLE_PX**2 // 4 or not values.mean() > 0:
            continue
        levels[band].append(float(np.median(values)) or float(values.mean()))  # clamped noise has median 0
        if values.var() > 0:
            looks.append(float(values.mean() ** 2 / values.var()))
