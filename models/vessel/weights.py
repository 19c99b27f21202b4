"""Trained weights: a safetensors file, and beside it a record of what they are and what they scored."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from imagery.files import file_sha256, replacing
from models.errors import WeightsError
from models.vessel.calibration import Calibration
from models.vessel.detectability import Detectability
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig, VesselNet

SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """What a weights file is; JSON beside it, of the same name.

    Attributes:
        name: such as ``sar-chip``.
        sha256: of the safetensors file.
        network: what to build.
        curve: input, with its bands.
        pixel_size_m: (least, most) that it was trained on, None where chips carry none.
        threshold: of the calibrated probability, chosen on validation data.
        hull_share: see `models.vessel.decode.merge`.
        symmetric: ask eight ways, see `models.vessel.symmetry`.
        shrink: side of the squares of pixels whose means it is shown, see `models.vessel.shrunk`.
        calibration: see `Calibration`.
        detectability: how likely ships are found at the threshold; None where it was not measured.
        data: what it was trained on: name, licence and citation of each.
        scores: what was measured, on which data, by which command.
    """

    name: str
    sha256: str
    network: NetworkConfig
    curve: InputCurve
    pixel_size_m: tuple[float, float] | None
    threshold: float
    hull_share: float
    symmetric: bool
    shrink: int
    calibration: Calibration
    detectability: Detectability | None
    data: tuple[Mapping[str, str], ...]
    scores: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "calibration": self.calibration.as_dict(), "data": [dict(d) for d in self.data]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> WeightsRecord:
        """What `as_dict` gave, through JSON."""
        network: dict[str, Any]
        curve: dict[str, Any]
        network, curve = (
            {k: tuple(v) if isinstance(v, list) else v for k, v in stored[part].items()}
            for part in ("network", "curve")
        )
        size, curve_of_lengths = stored["pixel_size_m"], stored["detectability"]
        return cls(
            **{
                **stored,
                "network": NetworkConfig(**network),
                "curve": InputCurve(**curve),
                "pixel_size_m": None if size is None else tuple(size),
                "calibration": Calibration.from_dict(stored["calibration"]),
                "detectability": None if curve_of_lengths is None else Detectability.from_dict(curve_of_lengths),
                "data": tuple(stored["data"]),
            }
        )


def as_stored(net: VesselNet) -> VesselNet:
    """A copy whose numbers are rounded as `save_weights` writes them: what `load_weights` will give back."""
    stored = copy.deepcopy(net)
    state = net.state_dict()
    stored.load_state_dict({n: v.half().float() if v.is_floating_point() else v for n, v in state.items()})
    return stored.eval().requires_grad_(False)


def save_weights(net: nn.Module, path: Path) -> str:
    """Write a network's numbers as float16 (counters whole); returns the file's sha256.

    Half precision is what ships: calibrate and score `as_stored`.
    """
    state = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in net.state_dict().items()
    }
    with replacing(path) as partial:
        partial.write_bytes(save(state))  # `save_file` would leave it readable by its owner alone
    return file_sha256(path)


def save_record(record: WeightsRecord, path: Path) -> None:
    """Write the record of the weights at ``path`` beside them."""
    with replacing(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(record.as_dict(), indent=1) + "\n")


def load_weights(path: Path) -> tuple[VesselNet, WeightsRecord]:
    """A network in evaluation mode, float32, and its record.

    Args:
        path: the safetensors file; its record lies beside it.

    Raises:
        WeightsError: if a file is missing or damaged, or the two do not belong together.
    """
    beside = path.with_suffix(".json")
    for needed in (path, beside):
        if not needed.is_file():
            raise WeightsError(f"{needed} does not exist; weights are a .safetensors file with its .json beside it")
    try:
        record = WeightsRecord.from_dict(json.loads(beside.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{beside} is not a record of weights ({error!r}); get the pair again") from error
    if file_sha256(path) != record.sha256:
        raise WeightsError(
            f"{path} is not the file that {beside.name} describes (its sha256 differs); get the pair again"
        )
    net = VesselNet(record.network)
    try:
        state = {name: v.float() if v.is_floating_point() else v for name, v in load_file(path).items()}
        net.load_state_dict(state, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"{path} does not hold the weights of the network that {beside.name} describes; get the pair again"
        ) from error
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last), record
