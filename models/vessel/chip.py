"""Hulls in one small image: the whole of it in one window, with a margin of one deepest cell of no data around it.

As in training, where crops end as images do. `models.vessel.scene` gives a scene a margin as wide as the network looks,
which makes tiles exact; within that distance of an image's edge the two differ a little.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.chip_detections import ChipDetections
from models.vessel.decode import LEAST_LOGIT, Peaks, merge, peaks
from models.vessel.detector import VesselDetector
from models.vessel.hulls import half_extents
from models.vessel.inputs import InputCurve
from models.vessel.network import CLASSES, STRIDE_PX, VesselNet
from models.vessel.shrunk import through_shrunk
from models.vessel.symmetry import over_symmetries


def find_peaks(
    net: VesselNet,
    curve: InputCurve,
    bands: dict[str, NDArray[np.float32]],
    *,
    hull_share: float,
    symmetric: bool,
    shrink: int,
    least_logit: float = LEAST_LOGIT,
) -> Peaks:
    """Merged peaks of one image.

    Args:
        net: the network, in evaluation mode.
        curve: its input.
        bands: (h, w) pixels by band name, NaN where there is no data.
        hull_share: see `models.vessel.decode.merge`.
        symmetric: ask eight ways, see `models.vessel.symmetry`.
        shrink: see `models.vessel.shrunk`.
        least_logit: see `models.vessel.decode.peaks`.
    """
    inputs = curve.network_input(bands)
    height, width = inputs.shape[1:]
    margin = shrink * net.deepest_stride_px
    down, right = (-n % margin for n in (height, width))
    padded = np.pad(inputs, ((0, 0), (margin, margin + down), (margin, margin + right)))

    def ask(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            stacked = torch.from_numpy(window)[None].to(memory_format=torch.channels_last)
            return np.asarray(net(stacked)[0].numpy())

    maps = through_shrunk((lambda seen: over_symmetries(ask, seen)) if symmetric else ask, padded, shrink)
    skip = margin // STRIDE_PX
    core = (slice(skip, skip + -(-height // STRIDE_PX)), slice(skip, skip + -(-width // STRIDE_PX)))
    return merge(peaks(maps, core, origin=(-skip, -skip), least_logit=least_logit), hull_share)


def find_in_chip(image: NDArray[np.uint8], detector: VesselDetector, *, min_score: float = 0.0) -> ChipDetections:
    """Vessels in one uncalibrated 8-bit image, the strongest first, then by place.

    Args:
        image: (h, w) uint8.
        detector: weights trained on such images.
        min_score: calibrated probability; weaker ones are left out.
    """
    record = detector.record
    found = peaks_of(detector, {record.curve.bands[0]: np.asarray(image, np.float32)})
    return chip_detections(found, record.calibration.probability(found.logit), min_score)


def peaks_of(detector: VesselDetector, bands: dict[str, NDArray[np.float32]]) -> Peaks:
    """`find_peaks` as a detector's record says it is to be asked."""
    record = detector.record
    return find_peaks(
        detector.net,
        record.curve,
        bands,
        hull_share=record.hull_share,
        symmetric=record.symmetric,
        shrink=record.shrink,
    )


def chip_detections(found: Peaks, probability: NDArray[np.float64], least_probability: float) -> ChipDetections:
    """Peaks with their probabilities as the scoring code takes them; the strongest first, then by place."""
    order = np.lexsort((found.cell_col, found.cell_row, -found.logit))
    found, probability = found.take(order), probability[order]
    down, right = half_extents(found.length_px, found.width_px, found.cos_2axis, found.sin_2axis)
    keep = probability >= least_probability
    return ChipDetections(
        row=found.row[keep],
        col=found.col[keep],
        score=probability[keep],
        box_xywh=np.column_stack([found.col - right + 0.5, found.row - down + 0.5, 2.0 * right, 2.0 * down])[keep],
        oriented=np.column_stack([found.col + 0.5, found.row + 0.5, found.length_px, found.width_px, found.axis_deg])[
            keep
        ],
        is_vessel=(found.kind_logit.argmax(axis=1) == CLASSES.index("vessel"))[keep],
    )
