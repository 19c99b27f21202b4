"""Detectors by the names that the command line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagery.scene import Scene
from models.bright_target import BrightTarget
from models.cfar import CfarConfig
from models.detector import PixelDetector, SceneDetector
from models.errors import DetectorError
from models.sar_cfar import SarCfar
from models.vessel.engines import DEFAULT

DETECTORS = ("auto", "cnn", "cfar-k", "cfar-gamma", "cfar-g0", "cfar-trimmed", "bright-target")

# One false alarm in 1e7 pixels is about one in 1000 km2 of sea at 10 m.
FALSE_ALARM_RATE = 1e-7


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """Which detector, and how it runs.

    Attributes:
        name: one of `DETECTORS`; ``cnn`` is the network with the weights for such scenes; ``auto`` is the network for
            8-bit radar chips, cfar-trimmed for other radar and bright-target for optical scenes.
        engine: of the network, see `models.vessel.engines`.
        cascade: the network skips what a loose CFAR finds to be empty radar sea, see `models.vessel.cascade`.
    """

    name: str = "auto"
    engine: str = DEFAULT
    cascade: bool = False


def make_detector(choice: DetectorChoice, scene: Scene) -> PixelDetector | SceneDetector:
    """A detector for a scene.

    Raises:
        DetectorError: if there is no such detector, or it has no engine and no cascade to choose.
        WeightsError: if there are no weights for such scenes.
    """
    name = _best_for(scene) if choice.name == "auto" else choice.name
    if name not in DETECTORS:
        raise DetectorError(f"there is no detector {name!r}; use one of {', '.join(DETECTORS)}")
    if name == "cnn":
        from models.vessel.detector import load_detector
        from models.vessel.search import VesselSearch

        detector = load_detector(None, _weights_for(scene))
        return VesselSearch(detector=detector, engine=choice.engine, cascade=choice.cascade)
    if choice.engine != DEFAULT or choice.cascade:
        raise DetectorError(f"{name} has no engine and no cascade; leave them out, or take the detector cnn")
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
