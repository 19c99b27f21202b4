"""From a trained network to weights that can be used: calibration, threshold, record."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.errors import TrainingError
from models.metrics.matching import best_threshold
from models.train.judge import HULL_SHARE
from models.train.recipes import Job
from models.vessel.calibration import Calibration, fit_calibration
from models.vessel.network import VesselNet
from models.vessel.weights import WeightsRecord, load_weights, save_record, save_weights


def finish(job: Job, net: VesselNet, path: Path) -> WeightsRecord:
    """Calibrate on the job's held-out images, choose the threshold on its validation images, write weights and record.

    Args:
        job: that it was trained by.
        net: trained, as `models.vessel.weights.as_stored` gives it: what is calibrated and scored is what ships.
        path: of the safetensors file.

    Raises:
        TrainingError: if the network finds no ship, so that there is nothing to calibrate or to choose from.
    """
    held_out = job.judge(net, job.held_out)
    if not held_out.is_object.any():
        raise TrainingError(f"the network of {path} finds no ship of those held out: train it for longer")
    calibration = fit_calibration(
        held_out.logit,
        held_out.is_object,
        held_out.stratum,
        log_length_error=held_out.log_length_error,
        log_length_sigma=held_out.log_length_sigma,
        object_weight=job.object_weight,
    )
    threshold = _threshold(job, net, calibration)
    if not np.isfinite(threshold):
        raise TrainingError(f"the network of {path} finds no ship of the validation images: train it for longer")
    detectability = None if job.detectability is None else job.detectability(net, calibration, threshold)
    record = WeightsRecord(
        name=path.stem,
        sha256=save_weights(net, path),
        network=net.config,
        curve=job.recipe.curve,
        pixel_size_m=job.pixel_size_m,
        threshold=threshold,
        hull_share=HULL_SHARE,
        symmetric=job.symmetric,
        shrink=job.shrink,
        calibration=calibration,
        detectability=detectability,
        data=job.data,
        scores={},
    )
    save_record(record, path)
    load_weights(path)
    return record


def _threshold(job: Job, net: VesselNet, calibration: Calibration) -> float:
    """The calibrated probability that is best on validation images."""
    judged = job.judge(net, job.validation)
    chance = calibration.probability(judged.logit, judged.stratum)
    return best_threshold(chance, judged.is_object, judged.n_objects, object_weight=job.object_weight)[0]
