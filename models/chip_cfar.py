"""The CFAR detector on 8-bit chips of unknown sensor and scale: the baseline that a network must beat.

Brightness of 8-bit SAR chips is taken as an amplitude, so intensity is its square. Windows, looks and rates stand in
pixels and were chosen on training images alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.cfar import CfarConfig, alarm_margin
from models.chip_detections import ChipDetections
from models.clutter import Clutter
from models.errors import DetectorError
from models.metrics.outlines import oriented_size

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, kw_only=True)
class ChipCfar:
    """How objects are made of the pixels that a CFAR marks.

    Attributes:
        config: the CFAR; its rate is the one at which a score is one half.
        smooth_px: side of the square over which intensity is averaged first, 1: not at all.
        hull_share: pixels of an object are brighter than this share of the threshold (and objects that are never
            brighter than it have scores below 0.5: average precision sees them, F1 does not).
        peak_share: and than this share of the object's brightest.
        close_px: gaps of up to this many pixels within a hull are bridged.
        least_px: fewest pixels of an object.
        grow_box_px: how much hulls are grown (shrunk, if negative) on every side to the box that people draw.
    """

    config: CfarConfig
    smooth_px: int = 5
    hull_share: float = 0.25
    peak_share: float = 0.1
    close_px: int = 2
    least_px: int = 20
    grow_box_px: float = 0.0

    def at_rate(self, false_alarm_rate: float) -> ChipCfar:
        """This detector with another false-alarm rate."""
        grow_rate = max(false_alarm_rate, self.config.grow_rate)
        return replace(self, config=replace(self.config, false_alarm_rate=false_alarm_rate, grow_rate=grow_rate))


def _chip_cfar(clutter: Clutter, rate: float, *, trimmed: bool = False) -> ChipCfar:
    config = CfarConfig(
        clutter=clutter,
        trimmed=trimmed,
        false_alarm_rate=rate,
        grow_rate=max(rate, 1e-4),
        looks=2.0,
        guard_px=60,
        background_px=120,
        min_ring_fraction=0.05,
    )
    return ChipCfar(config=config)


# Windows, smoothing and rates were chosen on every eighth of SSDD's training images (measured there without sea mask:
# best F1 of any threshold .78 for gamma, .71 for G0; K .72 on every sixth; the rate of the trimmed one is not tuned).
# F1 and AP50 at each of `TUNING_RATES` on a whole set:
# python scripts/evaluate_vessel.py --coco train.json --images images --detector cfar-k --tune
CHIP_CFAR = {
    "cfar-k": _chip_cfar("k", 1e-6),
    "cfar-trimmed": _chip_cfar("k", 1e-8, trimmed=True),
    "cfar-gamma": _chip_cfar("gamma", 1e-10),
    "cfar-g0": _chip_cfar("g0", 1e-6),
}
"""Settings by the detector's name on the command line."""

TUNING_RATES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)


def find_with_cfar(
    chip: NDArray[np.uint8], detector: ChipCfar, *, sea: NDArray[np.bool_] | None = None
) -> ChipDetections:
    """Find bright objects in an 8-bit chip.

    The score is m / (1 + m), m the largest ratio of intensity to threshold in the object: 0.5 at the threshold.

    Args:
        chip: (h, w) uint8.
        detector: settings.
        sea: (h, w) bool, True: sea; nothing is sought, and no background measured, elsewhere. None: everywhere.

    Returns:
        Objects in order of their first pixel.

    Raises:
        DetectorError: if the chip is too small for the background of any pixel to be measured.
    """
    intensity = (chip.astype(np.float32) / np.float32(255.0)) ** 2
    valid = np.ones(chip.shape, bool) if sea is None else sea
    if not (intensity[valid] > 0).any():  # no sea, or a black chip
        return ChipDetections.empty()
    unit = float(np.mean(intensity[valid]))
    if detector.smooth_px > 1:
        intensity = _smoothed(intensity, valid, detector.smooth_px)
    margin = alarm_margin(intensity, valid, detector.config, unit_intensity=unit)
    if sea is None and np.isnan(margin).all():
        least = 2 * detector.config.guard_px + 1
        raise DetectorError(
            f"a chip of {chip.shape[0]} x {chip.shape[1]} pixels is too small for this CFAR, which measures the "
            f"background outside {least} x {least} pixels: cut larger chips"
        )
    margin = np.where(np.isfinite(margin) & valid, margin, 0.0)
    hull = margin > detector.hull_share
    near = ndimage.binary_dilation(hull, _EIGHT, iterations=detector.close_px // 2) if detector.close_px > 1 else hull
    label, _ = ndimage.label(near, _EIGHT)
    label[~hull] = 0
    found = []
    for number, slices in enumerate(ndimage.find_objects(label), start=1):
        if slices is None:
            continue
        mask = label[slices] == number
        mask &= margin[slices] >= detector.peak_share * margin[slices][mask].max()
        if mask.sum() < detector.least_px:
            continue
        row, col = np.nonzero(mask)
        found.append(_object(row + slices[0].start, col + slices[1].start, margin, detector.grow_box_px))
    if not found:
        return ChipDetections.empty()
    table = np.array(found)
    return ChipDetections(
        row=table[:, 0],
        col=table[:, 1],
        score=table[:, 2],
        box_xywh=table[:, 3:7],
        oriented=table[:, 7:],
        is_vessel=np.ones(len(table), bool),
    )


def _smoothed(intensity: NDArray[np.float32], valid: NDArray[np.bool_], side_px: int) -> NDArray[np.float32]:
    """Mean over the valid pixels of a square: bright land beyond the mask must not spill over the water."""
    share = ndimage.uniform_filter(valid.astype(np.float32), side_px, mode="nearest")
    total = ndimage.uniform_filter(np.where(valid, intensity, np.float32(0.0)), side_px, mode="nearest")
    return np.asarray(np.where(valid, total / np.maximum(share, np.float32(side_px**-2)), 0.0), np.float32)


def _object(row: NDArray[np.int64], col: NDArray[np.int64], margin: NDArray[np.float32], grow_px: float) -> list[float]:
    """Row, column, score, box and hull of the pixels of one object."""
    height, width = margin.shape
    peak = float(margin[row, col].max())
    low = np.maximum([col.min() - grow_px, row.min() - grow_px], 0.0)
    high = np.minimum([col.max() + 1.0 + grow_px, row.max() + 1.0 + grow_px], [width, height])
    steps = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = (np.column_stack([col, row])[:, None] + steps).reshape(-1, 2).astype(np.float64)
    length, breadth, axis_deg = oriented_size(corners)
    middle = [(col.min() + col.max()) / 2.0, (row.min() + row.max()) / 2.0]
    size = np.maximum(high - low, 1.0)
    return [
        middle[1],
        middle[0],
        peak / (1.0 + peak),
        *low,
        *size,
        middle[0] + 0.5,
        middle[1] + 0.5,
        max(length + 2.0 * grow_px, 1.0),
        max(breadth + 2.0 * grow_px, 1.0),
        axis_deg,
    ]
