"""The vessel detector: a network with what must be known to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.vessel.network import VesselNet
from models.vessel.weights import SHIPPED, WeightsRecord, load_weights

Kind = Literal["sar-chip", "sar-iw", "optical"]


@dataclass(frozen=True, kw_only=True)
class VesselDetector:
    """A network ready to look.

    Attributes:
        net: in evaluation mode.
        record: what it is.
    """

    net: VesselNet
    record: WeightsRecord

    @property
    def name(self) -> str:
        """Name with the head of the weights' hash: what a result depends on."""
        return f"cnn-{self.record.name}:{self.record.sha256[:8]}"

    @property
    def threshold(self) -> float:
        """Calibrated probability from which a detection counts."""
        return self.record.threshold


def load_detector(path: Path | None, kind: Kind) -> VesselDetector:
    """A detector from a weights file, or the shipped one of a kind.

    Raises:
        WeightsError: see `load_weights`.
    """
    net, record = load_weights(path if path is not None else SHIPPED / f"{kind}.safetensors")
    return VesselDetector(net=net, record=record)
