"""Detectors by the names that the command line gives them."""

from __future__ import annotations

from typing import Literal

from imagery.scene import Scene
from models.bright_target import BrightTarget
from models.cfar import CfarConfig
from models.detector import PixelDetector
from models.errors import DetectorError
from models.sar_cfar import SarCfar

DETECTORS = ("auto", "cfar-k", "cfar-gamma", "cfar-g0", "cfar-trimmed", "bright-target")

# One false alarm in 1e7 pixels is about one in 1000 km2 of sea at 10 m.
FALSE_ALARM_RATE = 1e-7


def make_detector(name: str, scene: Scene) -> PixelDetector:
    """A detector for a scene.

    Args:
        name: one of `DETECTORS`; ``auto`` is cfar-trimmed for radar and bright-target for optical scenes.
        scene: the scene it is for.

    Returns:
        The detector.

    Raises:
        DetectorError: if there is no such detector.
    """
    if name not in DETECTORS:
        raise DetectorError(f"there is no detector {name!r}; use one of {', '.join(DETECTORS)}")
    if name == "auto":
        name = "cfar-trimmed" if scene.sensor.kind == "sar" else "bright-target"
    if name == "bright-target":
        return BrightTarget()
    clutter: dict[str, Literal["gamma", "k", "g0"]] = {"cfar-gamma": "gamma", "cfar-g0": "g0"}
    config = CfarConfig(
        clutter=clutter.get(name, "k"), trimmed=name == "cfar-trimmed", false_alarm_rate=FALSE_ALARM_RATE
    )
    return SarCfar(kind=name, config=config)
