"""A network held against labelled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics.matching import GROW_PX, Matching, best_threshold, match_centres
from models.metrics.outlines import PolygonOutline, oriented_size
from models.train.images import LabelledImage
from models.vessel.chip import find_peaks
from models.vessel.decode import Peaks
from models.vessel.inputs import InputCurve
from models.vessel.network import CLASSES, VesselNet

HULL_SHARE = 0.8  # of `models.vessel.decode.merge`

Strata = Callable[[LabelledImage], str]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Every detection of a set of images, weak ones too, and whether it met a ship.

    Attributes:
        logit: (n,).
        is_object: (n,) one detection at most for each ship.
        stratum: (n,).
        log_length_error: (m,) ln of said over true length of those that met one.
        log_length_sigma: (m,) what the network says of it.
        n_objects: ships in all.
    """

    logit: NDArray[np.float64]
    is_object: NDArray[np.bool_]
    stratum: NDArray[np.str_]
    log_length_error: NDArray[np.float64]
    log_length_sigma: NDArray[np.float64]
    n_objects: int

    def best_f1(self) -> dict[str, float]:
        """F1 at the threshold that is best for these images, and that threshold as a logit."""
        threshold, f1 = best_threshold(self.logit, self.is_object, self.n_objects)
        return {"f1": round(f1, 4), "logit": round(threshold, 3)}


def judge(
    net: VesselNet,
    curve: InputCurve,
    images: Sequence[LabelledImage],
    strata: Strata,
    *,
    symmetric: bool,
    shrink: int = 1,
    grow_px: float = GROW_PX,
) -> Judged:
    """Hold a network against labelled images: what it takes for vessels, against the vessels there are.

    Args:
        net: in evaluation mode.
        curve: its input.
        images: what to look at.
        strata: names the stratum of an image.
        symmetric: ask eight ways, see `models.vessel.symmetry`.
        shrink: see `models.vessel.shrunk`.
        grow_px: how far outside a hull a centre still meets it.
    """
    logit, is_object, stratum, error, sigma = [], [], [], [], []
    for image in images:
        found = peaks_in(net, curve, image, symmetric=symmetric, shrink=shrink)
        found = found.take(found.kind_logit.argmax(axis=1) == CLASSES.index("vessel"))
        pairs = matched(found, image, grow_px)
        found, truth_of = found.take(~pairs.neutral), pairs.truth_of[~pairs.neutral]
        hit = truth_of >= 0
        length = np.array([oriented_size(outline)[0] for outline in image.outlines])
        logit.append(found.logit)
        is_object.append(hit)
        stratum += [strata(image)] * len(found)
        error.append(
            np.log(found.length_px[hit] / np.maximum(length[truth_of[hit]], 1.0)) if hit.any() else np.empty(0)
        )
        sigma.append(found.log_length_sigma[hit])
    return Judged(
        logit=np.concatenate(logit),
        is_object=np.concatenate(is_object),
        stratum=np.array(stratum, dtype=str),
        log_length_error=np.concatenate(error),
        log_length_sigma=np.concatenate(sigma),
        n_objects=sum(not i.is_ignored(k) for i in images for k in range(len(i.outlines))),
    )


def peaks_in(net: VesselNet, curve: InputCurve, image: LabelledImage, *, symmetric: bool, shrink: int = 1) -> Peaks:
    """Merged peaks of one image."""
    bands = dict(zip(curve.bands, image.values, strict=True))
    return find_peaks(net, curve, bands, hull_share=HULL_SHARE, symmetric=symmetric, shrink=shrink)


def matched(found: Peaks, image: LabelledImage, grow_px: float = GROW_PX) -> Matching:
    """Which ship each peak met: see `models.metrics.matching.match_centres`."""
    outlines = [PolygonOutline(rings=(outline + 0.5,)) for outline in image.outlines]
    ignored = [image.is_ignored(k) for k in range(len(outlines))]
    return match_centres(found.row, found.col, found.logit, outlines, ignored=ignored, grow_px=grow_px)
