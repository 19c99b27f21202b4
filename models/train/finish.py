"""From a trained network to weights that can be used: calibration, threshold, record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from models.errors import TrainingError
from models.train.judge import HULL_SHARE, Judged
from models.vessel.calibration import Calibration, fit_calibration
from models.vessel.detectability import Detectability
from models.vessel.inputs import InputCurve
from models.vessel.network import VesselNet
from models.vessel.weights import WeightsRecord, load_weights, save_record, save_weights


def finish(
    net: VesselNet,
    curve: InputCurve,
    *,
    held_out: Judged,
    validation: Callable[[VesselNet, Calibration], float],
    object_weight: float = 1.0,
    detectability: Callable[[VesselNet, Calibration, float], Detectability] | None = None,
    path: Path,
    pixel_size_m: tuple[float, float] | None,
    data: Sequence[Mapping[str, str]],
    symmetric: bool,
    shrink: int,
) -> WeightsRecord:
    """Write weights and record.

    Args:
        net: trained, as `models.vessel.weights.as_stored` gives it: what is calibrated and scored is what ships.
        curve: its input.
        held_out: of images that it was not trained on: the calibration is fitted on them.
        validation: gives the threshold of calibrated probability that is best on validation images.
        object_weight: see `models.vessel.calibration.fit_calibration`.
        detectability: measures it for a threshold; None = not measured.
        path: of the safetensors file.
        pixel_size_m: see `WeightsRecord`.
        data: see `WeightsRecord`.
        symmetric: see `WeightsRecord`.
        shrink: see `WeightsRecord`.

    Raises:
        TrainingError: if the network finds no ship, so that there is nothing to calibrate or to choose from.
    """
    if not held_out.is_object.any():
        raise TrainingError(f"the network of {path} finds no ship of those held out: train it for longer")
    calibration = fit_calibration(
        held_out.logit,
        held_out.is_object,
        held_out.stratum,
        log_length_error=held_out.log_length_error,
        log_length_sigma=held_out.log_length_sigma,
        object_weight=object_weight,
    )
    threshold = validation(net, calibration)
    if not np.isfinite(threshold):
        raise TrainingError(f"the network of {path} finds no ship of the validation images: train it for longer")
    sha256 = save_weights(net, path)
    record = WeightsRecord(
        name=path.stem,
        sha256=sha256,
        network=net.config,
        curve=curve,
        pixel_size_m=pixel_size_m,
        threshold=threshold,
        hull_share=HULL_SHARE,
        calibration=calibration,
        detectability=None if detectability is None else detectability(net, calibration, threshold),
        data=tuple(data),
        symmetric=symmetric,
        shrink=shrink,
        scores={},
    )
    save_record(record, path)
    load_weights(path)
    return record
