"""Threshold factors of `models.cfar`: solved once per configuration for what a ring can tell of its clutter.

For K and G0 a factor is a function of the estimated texture, such that the rate averaged over the sampling law of mean
and estimate is the configured one at every true heterogeneity (`_predictive`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import special

from models import clutter as cl
from models.cfar_config import CfarConfig

_CUTOFF_NODES = 8
_CUTOFF_SPAN = math.log(4.0)
_SMOOTHNESS = 30.0
_COUNT_NODES = 5
_TEXTURE_NODES = 192
_LOG_RATIO_START, _LOG_RATIO_STEP, _LOG_RATIO_NODES = -1.0, 0.025, 800


@dataclass(frozen=True, kw_only=True, eq=False)
class CfarTable:
    """Log threshold factors of one configuration, by what a ring can tell; first axis (grow, alarm).

    Attributes:
        candidate_ratio: no pixel with a smaller ratio reaches either level.
        log_by_count: (2, ring + 1) part that depends on the number of ring pixels: ln of the exact
            Gamma factor; 0 for K and G0; plus ln(threshold_factor).
        log_factor: (2, counts, cutoffs, textures), added to it.
        count_axis: origin and step of 1 / number of ring pixels.
        cutoff_axis: origin o and step of sqrt(ln(censoring threshold / mean of kept pixels) - o).
        texture_axis: origin o and step of sqrt(o - ln half moment); node 0 is at sqrt = 0.
    """

    candidate_ratio: float
    log_by_count: NDArray[np.float64]
    log_factor: NDArray[np.float64]
    count_axis: NDArray[np.float64]
    cutoff_axis: NDArray[np.float64]
    texture_axis: NDArray[np.float64]


@lru_cache(maxsize=32)
def cfar_table(config: CfarConfig) -> CfarTable:
    """Threshold factors of a configuration; built once per process and configuration.

    The cutoff axis runs from the censoring ratio, where rings measured twice in a row agree, to four
    times it, where the second pass found much less power than the first: that ring was censored less
    tightly and needs less correction.

    Args:
        config: detector.

    Returns:
        Tables for the kernel, under a second of work for K and G0.
    """
    rates = (config.grow_rate, config.false_alarm_rate)
    counts = np.arange(config.ring_px + 1)
    log_by_count = np.full((2, counts.size), math.log(config.threshold_factor))
    cutoffs = [math.inf]
    cutoff_axis = np.array([0.0, 1.0])
    if config.trimmed:
        cutoff_axis = np.array([math.log(config.cutoff_ratio), math.sqrt(_CUTOFF_SPAN) / (_CUTOFF_NODES - 1)])
        cutoffs = [math.exp(cutoff_axis[0] + (cutoff_axis[1] * k) ** 2) for k in range(_CUTOFF_NODES)]
    count_axis = texture_axis = np.array([0.0, 1.0])
    if config.clutter == "gamma":
        least = config.least_ring_px
        effective = np.maximum(counts, least) / config.correlation_area_px
        for row, rate in zip(log_by_count, rates, strict=True):
            row += np.log(cl.gamma_factor(rate, looks=config.looks, background_px=effective))
        kept = [_background_law(config, np.zeros(1), cutoff).centre[0, 0] for cutoff in cutoffs]
        log_factor = np.repeat(-np.array(kept)[None, None, :, None], 2, axis=0)
    else:
        inverse = np.linspace(1.0 / config.ring_px, 1.0 / config.least_ring_px, _COUNT_NODES)
        count_axis = np.array([inverse[0], max(inverse[1] - inverse[0], 1e-12)])
        log_factor, texture_axis = _texture_table(config, rates, 1.0 / inverse, cutoffs)
    lowest = log_by_count[0, config.least_ring_px :].min() + log_factor[0].min()
    return CfarTable(
        candidate_ratio=math.exp(lowest) * (1.0 - 1e-6),
        log_by_count=log_by_count,
        log_factor=log_factor,
        count_axis=count_axis,
        cutoff_axis=cutoff_axis,
        texture_axis=texture_axis,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _BackgroundLaw:
    """Sampling law of (ln mean of kept pixels / true mean, ln half moment), one row per heterogeneity."""

    centre: NDArray[np.float64]  # (h, 2)
    covariance: NDArray[np.float64]  # (h, 2, 2), of one independent pixel


def _background_law(config: CfarConfig, grid: NDArray[np.float64], cutoff: float) -> _BackgroundLaw:
    """Law of the statistics of a ring censored at `cutoff` times its own final mean.

    The cutoff over the true mean is the fixed point of t = cutoff * E[x | x <= t].
    """
    centres, covariances = [], []
    for heterogeneity in grid:
        true_cutoff = cutoff
        mean = 1.0
        for _ in range(100 if math.isfinite(cutoff) else 0):
            mean = cl.truncated_moment(
                1.0,
                clutter=config.clutter,
                looks=config.looks,
                heterogeneity=heterogeneity,
                cutoff=true_cutoff,
            )
            previous, true_cutoff = true_cutoff, cutoff * mean
            if abs(true_cutoff - previous) < 1e-7 * true_cutoff:
                break
        statistic = cl.half_moment(
            clutter=config.clutter, looks=config.looks, heterogeneity=heterogeneity, cutoff=true_cutoff
        )
        centres.append((math.log(mean), math.log(statistic)))
        # Uncensored, the variance of a G0 mean diverges at alpha = -2: no nearer than alpha = -2.5.
        diverges = config.clutter == "g0" and math.isinf(cutoff)
        covariances.append(
            cl.estimate_covariance(
                clutter=config.clutter,
                looks=config.looks,
                heterogeneity=min(heterogeneity, 0.4) if diverges else heterogeneity,
                cutoff=true_cutoff,
            )
        )
    centre = np.array(centres)
    # Censored hard, very spiky clutter loses its tail and looks homogeneous again: stop where it turns.
    turns = np.flatnonzero(np.diff(centre[:, 1]) >= 0.0)
    stop = int(turns[0]) + 1 if turns.size else len(grid)
    return _BackgroundLaw(centre=centre[:stop], covariance=np.array(covariances)[:stop])


def _texture_table(
    config: CfarConfig,
    rates: tuple[float, float],
    counts: NDArray[np.float64],
    cutoffs: list[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictive log factors (rate, count, cutoff, texture) and the texture axis."""
    largest = cl.max_heterogeneity(config.clutter)
    growth, first = 1.12, 0.002
    steps = math.ceil(math.log(1.0 + largest * (growth - 1.0) / first) / math.log(growth))
    grid = np.minimum(first * (growth ** np.arange(steps + 1) - 1.0) / (growth - 1.0), largest)
    log_ratio = _LOG_RATIO_START + _LOG_RATIO_STEP * np.arange(_LOG_RATIO_NODES)
    survival = np.array(
        [cl.survival(np.exp(log_ratio), clutter=config.clutter, looks=config.looks, heterogeneity=h) for h in grid]
    )
    log_survival = np.log(np.maximum(survival, 1e-300))
    laws = [_background_law(config, grid, cutoff) for cutoff in cutoffs]
    spread = math.sqrt(max(law.covariance[0, 1, 1] for law in laws) / counts[-1] * config.correlation_area_px)
    origin = max(law.centre[0, 1] for law in laws) + 6.0 * spread
    deepest = origin - min(law.centre[-1, 1] for law in laws)
    texture_axis = np.array([origin, math.sqrt(deepest) / (_TEXTURE_NODES - 1)])
    table = np.empty((2, counts.size, len(cutoffs), _TEXTURE_NODES))
    for (i, rate), (j, count), (k, law) in product(enumerate(rates), enumerate(counts), enumerate(laws)):
        effective = count / config.correlation_area_px
        floor = math.log(cl.gamma_factor(rate, looks=config.looks, background_px=effective))
        table[i, j, k] = _predictive(law, log_survival, math.log(rate), effective, floor, texture_axis)
    return table, texture_axis


def _predictive(
    law: _BackgroundLaw,
    log_survival: NDArray[np.float64],
    log_rate: float,
    effective_px: float,
    gamma_floor: float,
    texture_axis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log factor on the texture axis whose rate, averaged over the sampling law, is the wanted one.

    The unknown is the log factor y at the statistic expected of every heterogeneity of the grid, linear
    between them. Starting from the plug-in factor, eight Gauss-Newton steps lower
    sum_h (ln averaged rate_h - ln rate)^2 + smoothness * sum (second difference of y)^2; the average is
    over a Gauss-Hermite rule of the normal law. The smoothness term matters only where the estimate is
    noisy against the curvature of y (small rings, rates below 1e-7, nearly homogeneous sea), where the
    exact solution would oscillate.

    Args:
        law: sampling law per heterogeneity, (h, ...).
        log_survival: (>= h, ratios) ln survival on the fixed grid of ln ratio.
        log_rate: ln of the wanted rate.
        effective_px: independent pixels in the ring.
        gamma_floor: ln of the Gamma factor, which no factor goes below.
        texture_axis: origin and step.

    Returns:
        Shape (textures,).
    """
    size = len(law.centre)
    log_survival = log_survival[:size]
    slope = np.gradient(log_survival, _LOG_RATIO_STEP, axis=1)
    nodes, weights = special.roots_hermitenorm(15)
    mean_nodes, mean_weights = special.roots_hermitenorm(7)
    log_weights = np.log(np.outer(weights / weights.sum(), mean_weights / mean_weights.sum()))
    lower = np.linalg.cholesky(law.covariance[:, ::-1, ::-1] / effective_px)
    statistic = law.centre[:, 1, None] + lower[:, 0, 0, None] * nodes
    mean = (
        law.centre[:, 0, None, None]
        + lower[:, 1, 0, None, None] * nodes[:, None]
        + lower[:, 1, 1, None, None] * mean_nodes
    )
    expected = np.sqrt(np.maximum(texture_axis[0] - law.centre[:, 1], 0.0))
    hats = _hat_weights(np.sqrt(np.maximum(texture_axis[0] - statistic, 0.0)), expected)
    floor = gamma_floor - law.centre[0, 0]
    plug_in = np.array([_first_below(row, log_rate) for row in log_survival]) - law.centre[:, 0]
    factor = np.maximum(plug_in, floor)
    bend = _SMOOTHNESS * np.diff(np.eye(size), 2, axis=0).T @ np.diff(np.eye(size), 2, axis=0)
    for _ in range(8):
        crossed = ((hats @ factor)[:, :, None] + mean).reshape(size, -1)
        log_terms = _interpolate(log_survival, crossed).reshape(mean.shape) + log_weights
        terms = np.exp(log_terms - log_rate)
        rates = terms.sum(axis=(1, 2))
        gradient = (terms * _interpolate(slope, crossed).reshape(mean.shape)).sum(axis=2) / rates[:, None]
        jacobian = np.einsum("hn,hnk->hk", gradient, hats)
        normal = jacobian.T @ jacobian + bend + 1e-9 * np.eye(size)
        step = np.linalg.solve(normal, -jacobian.T @ np.log(rates) - bend @ factor)
        factor = np.maximum.accumulate(np.maximum(factor + np.clip(step, -0.3, 0.3), floor))
    return np.asarray(np.interp(texture_axis[1] * np.arange(_TEXTURE_NODES), expected, factor))


def _hat_weights(position: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (..., nodes) of linear interpolation at `position` between rising nodes, clamped."""
    cell = np.clip(np.searchsorted(nodes, position) - 1, 0, len(nodes) - 2)
    share = np.clip((position - nodes[cell]) / (nodes[cell + 1] - nodes[cell]), 0.0, 1.0)[..., None]
    identity = np.eye(len(nodes))
    return np.asarray((1.0 - share) * identity[cell] + share * identity[cell + 1])


def _first_below(log_survival: NDArray[np.float64], log_rate: float) -> float:
    """Ln ratio at which a falling row of ln survival crosses `log_rate`."""
    i = int(np.argmax(log_survival < log_rate))
    share = (log_survival[i - 1] - log_rate) / (log_survival[i - 1] - log_survival[i])
    return float(_LOG_RATIO_START + _LOG_RATIO_STEP * (i - 1 + share))


def _interpolate(log_survival: NDArray[np.float64], log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation of each row of ln survival at its own ln ratios: (h,) or (h, n) to the same."""
    at = np.clip((log_ratio - _LOG_RATIO_START) / _LOG_RATIO_STEP, 0.0, _LOG_RATIO_NODES - 1.001)
    cell = at.astype(np.intp)
    share = at - cell
    row = np.arange(len(log_survival)).reshape((-1,) + (1,) * (log_ratio.ndim - 1))
    return np.asarray((1.0 - share) * log_survival[row, cell] + share * log_survival[row, cell + 1])
