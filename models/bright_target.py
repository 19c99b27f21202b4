"""A simple optical vessel detector: near-infrared pixels that stand out of the water around them.

Water is dark in the near infrared, hulls and decks are not. It knows nothing of clouds too small for the cloud mask, of
foam and of wakes; its probabilities are uncalibrated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.scene import Pixels, Scene
from imagery.surface import SurfaceMap
from models.cfar import ALARM, GROW
from models.detector import settings_name, testable
from models.errors import DetectorError
from models.hot_pixels import HullRules

EXCESS_UNIT = 0.01  # reflectance; over clear water a ratio to the water itself would make a whitecap shine like a ship


@dataclass(frozen=True, kw_only=True)
class BrightTargetConfig:
    """Settings; the numbers are own choices, checked on training ports (see tests/test_bright_target.py).

    Attributes:
        guard_px, background_px: half-widths of the square guard and outer boxes.
        min_water_share: least share of water in the ring.
        alarm_z, grow_z: excess over the ring's mean in its standard deviations.
        min_excess: least excess reflectance of an alarm.
        noise: reflectance noise added in quadrature to the ring's deviation (Sentinel-2 L2A NIR over water).
        rules: a boat of fewer than 4 pixels cannot be told from a whitecap in one image; a raft of three broad hulls
            measures 110 m; a ship stands out of her wake and of the plume that she stirs up.
        water_index: a pixel counts as water for the ring where its normalised difference of green and B11 (MNDWI, Xu
            2006, doi:10.1080/01431160600589179) is above this; of green and B08 (NDWI, McFeeters 1996) without B11.
    """

    guard_px: int = 12
    background_px: int = 24
    min_water_share: float = 0.3
    alarm_z: float = 8.0
    grow_z: float = 3.0
    min_excess: float = 0.03
    noise: float = 0.002
    rules: HullRules = field(
        default_factory=lambda: HullRules(min_pixels=4, max_breadth_m=120.0, hull_share=0.15, part=True)
    )
    water_index: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BrightTarget:
    """The detector."""

    config: BrightTargetConfig = field(default_factory=BrightTargetConfig)

    @property
    def name(self) -> str:
        """Kind and a hash of the configuration."""
        return settings_name("bright-target", self.config)

    @property
    def halo_px(self) -> int:
        """Reach of the background ring."""
        return self.config.background_px

    @property
    def rules(self) -> HullRules:
        """Too few pixels may be a whitecap; too broad, a cloud; too faint, the wake or plume of a hull."""
        return self.config.rules

    def prepare(self, scene: Scene, surface: SurfaceMap) -> BrightTarget:
        """Check that the scene has what it needs.

        Raises:
            DetectorError: if it is not optical reflectance with green and near infrared.
        """
        if scene.sensor.kind != "optical" or scene.unit != "reflectance" or not {"b03", "b08"} <= set(scene.bands):
            raise DetectorError(
                f"bright-target needs optical reflectance with bands b03 and b08; {scene.id} is {scene.sensor.name} in "
                f"{scene.unit} with bands {', '.join(scene.bands)}"
            )
        return self

    def hot(self, scene: Scene, pixels: Pixels, classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Level, and excess over the ring in units of `EXCESS_UNIT`, of each pixel of a padded window."""
        config = self.config
        bands = {name: pixels.data[i] for i, name in enumerate(scene.bands)}
        used = [scene.bands.index(name) for name in ("b03", "b08", "b11") if name in scene.bands]
        sought = testable(classes) & pixels.valid[used].all(axis=0)
        nir = np.where(sought, bands["b08"], np.float32(0.0))
        dark = bands["b11"] if "b11" in bands else bands["b08"]
        water = sought & (bands["b03"] - dark > config.water_index * (bands["b03"] + dark))
        # whole numbers of 1e-5 reflectance: box sums are exact, so a pixel's result never depends on the window
        steps = np.where(water, np.round(nir * 1e5), 0.0).astype(np.int64)
        count = self._ring(water.astype(np.int64))
        safe = np.maximum(count, 1)
        mean = self._ring(steps) / safe / 1e5
        variance = np.maximum(self._ring(steps * steps) / safe / 1e10 - mean**2, 0.0)
        ring_px = (2 * config.background_px + 1) ** 2 - (2 * config.guard_px + 1) ** 2
        excess = nir - mean
        z = excess / np.sqrt(variance + config.noise**2)
        tested = sought & (count >= config.min_water_share * ring_px)
        level = np.zeros(classes.shape, np.uint8)
        level[tested & (z > config.grow_z) & (excess > config.min_excess / 2.0)] = GROW
        level[tested & (z > config.alarm_z) & (excess > config.min_excess)] = ALARM
        return level, np.maximum(excess, 0.0) / EXCESS_UNIT

    def _ring(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return _box_sum(values, self.config.background_px) - _box_sum(values, self.config.guard_px)


def _box_sum(values: NDArray[np.int64], radius_px: int) -> NDArray[np.int64]:
    """Sum over the square of half-width radius_px around each pixel; outside the array counts as zero."""
    padded = np.pad(values, ((radius_px + 1, radius_px), (radius_px + 1, radius_px)))
    table = padded.cumsum(axis=0).cumsum(axis=1)
    side = 2 * radius_px + 1
    box: NDArray[np.int64] = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    return box
