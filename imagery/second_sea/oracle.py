"""An oracle detector: it knows the clutter's mean, order and looks at every pixel, and nothing of the ships.

At each pixel and polarisation it takes the probability that the clutter alone is as bright, over box means of three
sizes; the two polarisations are joined by Fisher's method. What it cannot see no detector of the same pixels sees by
brightness alone, so scores of detectors may be given as a distance from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special, stats

from imagery.second_sea import optics
from imagery.second_sea.truth import EvaluationScene

FloatArray = NDArray[np.float64]

_BOXES_PX = (1, 3, 5)
_LN_ORDERS = np.linspace(np.log(0.5), np.log(400.0), 28)
_LN_RATIOS = np.linspace(np.log(0.05), np.log(1e4), 320)
_LN_GRID = np.linspace(np.log(1e-5), np.log(1e10), 3000)
_FLOOR_LOG10 = -300.0
_CROSS_DB = 17.0  # the highest sidelobes of the point spread function lie some 20 dB below its peak
_CROSS_REACH_PX = 160
_CROSS_HALF_WIDTH_PX = 4  # ships are wider than a point


@dataclass(frozen=True, kw_only=True)
class OraclePeaks:
    """What the oracle reports, by falling score.

    Attributes:
        row, col: (n,) brightness-weighted centre of each object, continuous, whole numbers at pixel centres.
        score: (n,) -log10 of the probability that the clutter alone is as bright, at the object's best pixel.
    """

    row: FloatArray
    col: FloatArray
    score: FloatArray

    def __len__(self) -> int:
        return len(self.row)


def ln_speckle_tail(ratio: FloatArray, weights: FloatArray) -> FloatArray:
    """Natural logarithm of the probability that a weighted sum of unit exponentials is ``ratio`` or more.

    Args:
        ratio: values, positive.
        weights: (n,) positive weights that add up to 1; n equal ones are Gamma speckle of n looks.

    Reference: saddlepoint tail r* of Barndorff-Nielsen 1986, Biometrika 73(2), doi:10.1093/biomet/73.2.307; its
    relative error stays at a few per cent however far the tail.
    """
    x = np.asarray(ratio, float)
    x = np.where(np.abs(x - 1.0) < 2e-3, 1.0 + 2e-3, x)  # the formula is 0 / 0 at the mean
    # Saddlepoint t solves sum w / (1 - w t) = x below 1 / max(w): bisect the logarithm of the distance from there.
    top = 1.0 / weights.max()
    low, high = np.full(x.shape, -60.0), np.full(x.shape, 60.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        rate = weights / (1.0 - weights * (top - np.exp(middle))[..., None])
        too_high = rate.sum(-1) > x
        low, high = np.where(too_high, middle, low), np.where(too_high, high, middle)
    t = top - np.exp(0.5 * (low + high))
    gap = 1.0 - weights * t[..., None]
    deviance = t * x + np.log(gap).sum(-1)
    w = np.sign(t) * np.sqrt(2.0 * np.maximum(deviance, 1e-300))
    u = t * np.sqrt(np.square(weights / gap).sum(-1))
    return np.asarray(stats.norm.logsf(w + np.log(u / w) / w))


def log10_tail(ratio: FloatArray, order: float, weights: FloatArray, family: str = "K") -> FloatArray:
    """log10 of the probability that clutter is ``ratio`` times its mean or more.

    Args:
        ratio: intensity over the clutter's mean.
        order: nu of the texture, variance 1 / nu.
        weights: of the speckle, as in `ln_speckle_tail`.
        family: 'K' (Gamma texture) or 'G0' (inverse Gamma texture of shape nu + 2).

    Reference: the product model; Ward 1981, Electronics Letters 17(16) (K), Frery et al. 1997, IEEE TGRS 35(3),
    doi:10.1109/36.581981 (G0). The mean over the texture is taken by quadrature.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(240)
    low, high = np.log(1e-6), np.log(1e4)
    ln_texture = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    law = stats.gamma(order, scale=1.0 / order) if family == "K" else stats.invgamma(order + 2.0, scale=order + 1.0)
    ln_weight = np.log(node_weights) + law.logpdf(np.exp(ln_texture)) + ln_texture
    ln_weight -= special.logsumexp(ln_weight)
    place = np.log(np.asarray(ratio, float))[..., None] - ln_texture
    ln_speckle = -np.exp(np.interp(place, _LN_GRID, _ln_minus_ln_tail(tuple(weights.tolist()))))
    return np.asarray(np.maximum(special.logsumexp(ln_weight + ln_speckle, axis=-1) / np.log(10.0), _FLOOR_LOG10))


@cache
def _ln_minus_ln_tail(weights: tuple[float, ...]) -> FloatArray:
    """Speckle's tail over _LN_GRID: it falls as exp(-x), so its logarithm is near a power of x, which interpolates."""
    return np.log(np.maximum(-ln_speckle_tail(np.exp(_LN_GRID), np.asarray(weights)), 1e-300))


@cache
def _table(width_px: float, family: str) -> NDArray[np.float32]:
    """(orders, ratios) of log10 tail probability of a box mean."""
    weights = np.asarray(optics.speckle_weights(width_px))
    rows = [log10_tail(np.exp(_LN_RATIOS), float(np.exp(ln_order)), weights, family) for ln_order in _LN_ORDERS]
    return np.asarray(rows, np.float32)


def _tails(ratio: NDArray[np.float32], order: NDArray[np.float32], width_px: float, family: str) -> NDArray[np.float32]:
    """log10 tail probability of each pixel by the table, linear in the logarithms of order and ratio."""
    across = (np.log(np.maximum(ratio, np.float32(1e-3))) - _LN_RATIOS[0]) / (_LN_RATIOS[1] - _LN_RATIOS[0])
    across = np.clip(across, 0.0, len(_LN_RATIOS) - 1.001)
    down = np.clip((np.log(order) - _LN_ORDERS[0]) / (_LN_ORDERS[1] - _LN_ORDERS[0]), 0.0, len(_LN_ORDERS) - 1.001)
    i, j = down.astype(np.intp), across.astype(np.intp)
    u, v = down - i, across - j
    table = _table(width_px, family)
    upper = table[i, j] * (1.0 - v) + table[i, j + 1] * v
    lower = table[i + 1, j] * (1.0 - v) + table[i + 1, j + 1] * v
    return np.asarray(upper * (1.0 - u) + lower * u, np.float32)


def oracle_statistic(scene: EvaluationScene) -> NDArray[np.float32]:
    """(H, W) -log10 probability of the clutter being as bright in VV and VH together, best of three box sizes.

    On clutter alone each size by itself passes s at a rate of 10^-s; the best of three does so up to three times as
    often. Land is -inf.
    """
    best = np.full(scene.shape_hw, -np.inf, np.float32)
    ratio_px = scene.pixel_size_m / optics.NATIVE_PIXEL_M
    for box in _BOXES_PX:
        joint = np.zeros(scene.shape_hw, np.float32)
        for intensity, mean, order in zip(scene.sigma0, scene.clutter_mean, scene.clutter_order, strict=True):
            if box > 1:
                intensity, mean = (ndimage.uniform_filter(image, box, mode="nearest") for image in (intensity, mean))
            joint += _tails(intensity / mean, order, ratio_px * box, scene.clutter_family)
        # Fisher: the product of two probabilities p is passed at the rate p (1 - ln p).
        combined = -(joint + np.log10(1.0 - joint * np.log(10.0)))
        np.maximum(best, combined.astype(np.float32), out=best)
    best[scene.land] = -np.inf
    return best


def oracle_scores(scene: EvaluationScene, *, threshold: float = 6.0) -> OraclePeaks:
    """Objects that the oracle sees: 8-connected pixels over a threshold, less sidelobes of far brighter ones.

    Args:
        scene: a simulated scene.
        threshold: least score, -log10 of the probability under clutter.

    Returns:
        One entry per object, by falling score. Fixed structures and ghosts are among them: the oracle knows clutter.
    """
    statistic = oracle_statistic(scene)
    labels, count = ndimage.label(statistic > threshold, structure=np.ones((3, 3), bool))
    if count == 0:
        empty = np.empty(0)
        return OraclePeaks(row=empty, col=empty, score=empty)
    index = np.arange(1, count + 1)
    excess = np.maximum((scene.sigma0 / scene.clutter_mean).sum(axis=0) - 2.0, 1e-3)
    centre = np.array(ndimage.center_of_mass(excess, labels, index), float)
    score = np.asarray(ndimage.maximum(statistic, labels, index), float)
    height_db = 10.0 * np.log10(np.asarray(ndimage.maximum(scene.sigma0.sum(axis=0), labels, index), float))
    kept = ~_on_cross(centre, height_db, optics.NATIVE_PIXEL_M / scene.pixel_size_m)
    order = np.lexsort((centre[:, 1], centre[:, 0], -score))
    order = order[kept[order]]
    return OraclePeaks(row=centre[order, 0], col=centre[order, 1], score=score[order])


def _on_cross(centre: FloatArray, height_db: FloatArray, scale: float) -> NDArray[np.bool_]:
    """Which objects lie in line with one so bright that they may be its sidelobes."""
    on_cross = np.zeros(len(centre), bool)
    for bright in np.flatnonzero(height_db > np.median(height_db) + _CROSS_DB):
        away = np.abs(centre - centre[bright])
        near = away.min(axis=1) <= _CROSS_HALF_WIDTH_PX * scale
        in_reach = away.max(axis=1) <= _CROSS_REACH_PX * scale
        on_cross |= near & in_reach & (height_db[bright] - height_db > _CROSS_DB)
    return on_cross
