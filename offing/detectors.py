"""Detectors by the names that the command line gives them."""

from __future__ import annotations

from typing import Literal

from imagery.scene import Scene
from models.bright_target import BrightTarget
from models.cfar import CfarConfig
from models.detector import PixelDetector, SceneDetector
from models.errors import DetectorError
from models.sar_cfar import SarCfar

DETECTORS = ("auto", "cnn", "cfar-k", "cfar-gamma", "cfar-g0", "cfar-trimmed", "bright-target")

# One false alarm in 1e7 pixels is about one in 1000 km2 of sea at 10 m.
FALSE_ALARM_RATE = 1e-7


def make_detector(name: str, scene: Scene) -> PixelDetector | SceneDetector:
    """A detector for a scene.

    Args:
        name: one of `DETECTORS`; ``cnn`` is the network with the weights for such scenes; ``auto`` is the network for
            8-bit radar chips, cfar-trimmed for other radar and bright-target for optical scenes.
        scene: the scene it is for.

    Returns:
        The detector.

    Raises:
        DetectorError: if there is no such detector.
        WeightsError: if there are no weights for such scenes.
    """
    if name not in DETECTORS:
        raise DetectorError(f"there is no detector {name!r}; use one of {', '.join(DETECTORS)}")
    if name == "auto":
        name = _best_for(scene)
    if name == "cnn":
        from models.vessel.detector import load_detector
        from models.vessel.search import VesselSearch

        return VesselSearch(detector=load_detector(None, _weights_for(scene)))
    if name == "bright-target":
        return BrightTarget()
    clutter: dict[str, Literal["gamma", "k", "g0"]] = {"cfar-gamma": "gamma", "cfar-g0": "g0"}
    config = CfarConfig(
        clutter=clutter.get(name, "k"), trimmed=name == "cfar-trimmed", false_alarm_rate=FALSE_ALARM_RATE
    )
    return SarCfar(kind=name, config=config)


def _best_for(scene: Scene) -> str:
    if scene.sensor.kind == "optical":
        return "bright-target"
    return "cnn" if scene.unit == "dn8" else "cfar-trimmed"


def _weights_for(scene: Scene) -> Literal["sar-chip", "sar-iw", "optical"]:
    if scene.sensor.kind == "optical":
        return "optical"
    return "sar-chip" if scene.unit == "dn8" else "sar-iw"
