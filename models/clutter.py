"""Clutter distributions of SAR intensity: survival, thresholds, moments, estimates, samples.

Everything here is a pure function of numbers. The intensity `x` of a clutter pixel is written as
`x = mu * ratio`, with `mu` its mean (linear sigma0, any unit) and `ratio` a number without unit and of
mean 1. Three families of `ratio` are known, all of them `texture * speckle`, with speckle ~
Gamma(looks, 1/looks):

* `"gamma"`: texture = 1, homogeneous sea.
* `"k"`: texture ~ Gamma(nu, 1/nu), order nu > 0 (Jakeman & Pusey 1976; Ward 1981).
* `"g0"`: texture ~ reciprocal Gamma of mean 1, roughness alpha < -1 (Frery et al. 1997).

One number orders all three by how far they are from homogeneous: `heterogeneity`, without unit, equal to
1/nu for K and to -1/alpha for G0; at 0 both are exactly Gamma. Estimates and tables use it because it is
nearly normally distributed where nu and alpha run off to infinity.

References:
    Frery, Mueller, Yanasse, Sant'Anna 1997, IEEE TGRS 35(3) 648, doi:10.1109/36.581981 (G0, moments).
    Gandhi & Kassam 1988, IEEE TAES 24(4) 427, doi:10.1109/7.7185 (cell averaging).
    Jakeman & Pusey 1976, IEEE TAP 24(6) 806, doi:10.1109/TAP.1976.1141451 (K distribution).
    Oliver & Quegan 2004, Understanding SAR Images, ISBN 1-891121-31-6, ch. 5 (texture, estimation).
    Redding 1999, DSTO-TR-0839 (moment and log estimates of the K order).
    Golub & Welsch 1969, Math. Comp. 23 221, doi:10.1090/S0025-5718-69-99647-1 (quadrature nodes).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, ndimage, optimize, special, stats

__all__ = [
    "G0_ALPHA_RANGE",
    "K_ORDER_RANGE",
    "Clutter",
    "equivalent_looks",
    "estimate_covariance",
    "g0_alpha",
    "g0_factor",
    "g0_survival",
    "gamma_factor",
    "gamma_survival",
    "half_moment",
    "heterogeneity_from_half_moment",
    "k_factor",
    "k_order",
    "k_survival",
    "look_weighted_speckle",
    "look_weights",
    "max_heterogeneity",
    "sample_clutter",
    "sample_look_weighted",
    "sample_tail",
    "speckle_correlation_area_px",
    "survival",
    "truncated_moment",
]

Clutter = Literal["gamma", "k", "g0"]
Floats = NDArray[np.float64]

QUADRATURE_NODES = 64
"""Nodes of the generalised Gauss-Laguerre rule over the texture."""

K_ORDER_RANGE = (0.3, 1e4)
"""Smallest and largest K order nu told apart from its neighbours; beyond the largest it is Gamma."""

G0_ALPHA_RANGE = (-1e4, -2.0)
"""Most and least homogeneous G0 roughness alpha; from -2 up the variance does not exist, from -1 the mean."""


# ---------------------------------------------------------------------------------------------- survival


@lru_cache(maxsize=512)
def _laguerre(order: float) -> tuple[Floats, Floats]:
    """Nodes and probability weights of Gamma(order, 1), by Golub & Welsch's tridiagonal eigenproblem.

    scipy.special.roots_genlaguerre overflows from order 171 up because its weights carry Gamma(order);
    the first components of the eigenvectors do not.
    """
    k = np.arange(QUADRATURE_NODES, dtype=np.float64)
    diagonal = 2.0 * k + order
    off_diagonal = np.sqrt(k[1:] * (k[1:] + order - 1.0))
    nodes, vectors = linalg.eigh_tridiagonal(diagonal, off_diagonal)
    return nodes, vectors[0] ** 2


def _texture(clutter: Clutter, heterogeneity: float) -> tuple[Floats, Floats]:
    """Quadrature nodes (texture values of mean 1) and weights (sum 1) of K's texture; Gamma has none."""
    if clutter == "gamma" or heterogeneity < 1.0 / K_ORDER_RANGE[1]:
        return np.ones(1), np.ones(1)
    order = 1.0 / heterogeneity
    nodes, weights = _laguerre(order)
    return nodes / order, weights


def gamma_survival(ratio: ArrayLike, *, looks: float) -> Floats:
    """Probability that Gamma clutter exceeds `ratio` times its mean.

    Args:
        ratio: threshold / mean, no unit, any shape, >= 0.
        looks: equivalent number of looks.

    Returns:
        Q(looks, looks * ratio), the regularised upper incomplete gamma function, shape of `ratio`.
    """
    return np.asarray(special.gammaincc(looks, looks * np.asarray(ratio, np.float64)), np.float64)


def k_survival(ratio: ArrayLike, *, looks: float, order: float) -> Floats:
    """Probability that K clutter exceeds `ratio` times its mean.

    E over tau ~ Gamma(nu, 1/nu) of Q(L, L ratio / tau), by a 64-node generalised Gauss-Laguerre rule
    (nodes t = nu tau). Reference: Jakeman & Pusey 1976 for the compound form.

    Args:
        ratio: threshold / mean, no unit, any shape, >= 0.
        looks: equivalent number of looks L.
        order: K order nu.

    Returns:
        Probabilities, shape of `ratio`.
    """
    texture, weights = _texture("k", 1.0 / order)
    return np.asarray(gamma_survival(np.asarray(ratio)[..., None] / texture, looks=looks) @ weights)


def g0_survival(ratio: ArrayLike, *, looks: float, alpha: float) -> Floats:
    """Probability that G0 clutter exceeds `ratio` times its mean.

    ratio * (-alpha) / (-alpha - 1) ~ F(2L, -2 alpha). Reference: Frery et al. 1997; Mejail et al. 2003.

    Args:
        ratio: threshold / mean, no unit, any shape, >= 0.
        looks: equivalent number of looks L.
        alpha: roughness, below -1.

    Returns:
        Probabilities, shape of `ratio`.
    """
    scaled = np.asarray(ratio, np.float64) * (alpha / (alpha + 1.0))
    return np.asarray(stats.f.sf(scaled, 2.0 * looks, -2.0 * alpha), np.float64)


def survival(ratio: ArrayLike, *, clutter: Clutter, looks: float, heterogeneity: float) -> Floats:
    """Probability that clutter of any family exceeds `ratio` times its mean.

    Args:
        ratio: threshold / mean, no unit, any shape, >= 0.
        clutter: family; "gamma" ignores `heterogeneity`.
        looks: equivalent number of looks.
        heterogeneity: 1/nu (K) or -1/alpha (G0); below 1e-4 it is Gamma.

    Returns:
        Probabilities, shape of `ratio`.
    """
    if clutter == "gamma" or heterogeneity < 1.0 / K_ORDER_RANGE[1]:
        return gamma_survival(ratio, looks=looks)
    if clutter == "k":
        return k_survival(ratio, looks=looks, order=1.0 / heterogeneity)
    return g0_survival(ratio, looks=looks, alpha=-1.0 / heterogeneity)


# --------------------------------------------------------------------------------------------- threshold


def gamma_factor(false_alarm_rate: ArrayLike, *, looks: float, background_px: ArrayLike = math.inf) -> Floats:
    """Exact cell-averaging factor for Gamma clutter: threshold = factor * mean of the background pixels.

    With N independent background pixels, x / mean ~ F(2L, 2LN): factor = F.isf(P; 2L, 2LN); for L = 1 it
    is N (P^(-1/N) - 1) (Gandhi & Kassam 1988). For a known mean (N = inf) it is the inverse of the
    incomplete gamma function, gammainccinv(L, P) / L.

    Args:
        false_alarm_rate: P, probability per pixel, broadcast against `background_px`.
        looks: equivalent number of looks L.
        background_px: effective number N of independent background pixels.

    Returns:
        Factors, no unit.
    """
    rate, count = np.broadcast_arrays(np.asarray(false_alarm_rate, np.float64), np.asarray(background_px, np.float64))
    known = np.asarray(special.gammainccinv(looks, rate) / looks, np.float64)
    finite = np.isfinite(count)
    if not finite.any():
        return known
    estimated = stats.f.isf(rate, 2.0 * looks, 2.0 * looks * np.where(finite, count, 1.0))
    return np.where(finite, estimated, known)


def k_factor(false_alarm_rate: float, *, looks: float, order: float) -> float:
    """Factor a(nu; L, P) for K clutter of known mean and order: threshold = factor * mean.

    Args:
        false_alarm_rate: P, probability per pixel.
        looks: equivalent number of looks L.
        order: K order nu.

    Returns:
        The root of k_survival(a) = P, no unit.
    """

    def excess(log_ratio: float) -> float:
        value = float(k_survival(math.exp(log_ratio), looks=looks, order=order))
        return math.log(max(value, 1e-300)) - math.log(false_alarm_rate)

    return math.exp(optimize.brentq(excess, math.log(1e-3), math.log(1e4), xtol=1e-10))


def g0_factor(false_alarm_rate: float, *, looks: float, alpha: float) -> float:
    """Factor for G0 clutter of known mean and roughness: threshold = factor * mean.

    (-alpha - 1) / (-alpha) * F.isf(P; 2L, -2 alpha). Reference: Frery et al. 1997.

    Args:
        false_alarm_rate: P, probability per pixel.
        looks: equivalent number of looks L.
        alpha: roughness, below -1.

    Returns:
        Factor, no unit.
    """
    return float((alpha + 1.0) / alpha * stats.f.isf(false_alarm_rate, 2.0 * looks, -2.0 * alpha))


# ----------------------------------------------------------------------------------- moments and estimates


def truncated_moment(
    power: float, *, clutter: Clutter, looks: float, heterogeneity: float, cutoff: float = math.inf
) -> float:
    """Mean of ratio**power over the pixels that a censor at `cutoff` keeps: E[ratio^p | ratio <= cutoff].

    For Gamma, E[ratio^p; ratio <= c] = G(L+p) / (G(L) L^p) P(L+p, L c), with P the regularised lower
    incomplete gamma function; K integrates it over texture values tau as E[tau^p g(c / tau)] by
    Gauss-Laguerre; censored G0 is an incomplete beta function of L c / (-alpha - 1 + L c), its ratio being
    a scaled beta-prime variate, and untruncated it is
    ((-alpha-1)/L)^p G(L+p) G(-alpha-p) / (G(L) G(-alpha)) (Frery et al. 1997). A mean of kept pixels
    divided by this moment is an unbiased estimate of the mean of the whole distribution.

    Args:
        power: p, no unit, > -looks.
        clutter: family.
        looks: equivalent number of looks L.
        heterogeneity: 1/nu (K) or -1/alpha (G0).
        cutoff: censoring threshold / true mean; inf: nothing censored.

    Returns:
        The conditional moment, no unit; inf where G0 has none.
    """
    speckle = math.exp(math.lgamma(looks + power) - math.lgamma(looks) - power * math.log(looks))
    if math.isinf(cutoff):
        if clutter == "gamma" or heterogeneity < 1.0 / K_ORDER_RANGE[1]:
            return speckle
        order = 1.0 / heterogeneity
        sign = 1.0 if clutter == "k" else -1.0
        if order + sign * power <= 0.0:
            return math.inf
        scale = order if clutter == "k" else order - 1.0
        log_texture = math.lgamma(order + sign * power) - math.lgamma(order) - sign * power * math.log(scale)
        return speckle * math.exp(log_texture)
    if clutter == "g0" and heterogeneity >= 1.0 / K_ORDER_RANGE[1]:
        order = 1.0 / heterogeneity
        bound = looks * cutoff / (order - 1.0)
        partial = _incomplete_beta(looks + power, order - power, bound / (1.0 + bound))
        kept = _incomplete_beta(looks, order, bound / (1.0 + bound))
        return float(((order - 1.0) / looks) ** power * partial / kept)
    texture, weights = _texture(clutter, heterogeneity)
    kept = float(np.asarray(special.gammainc(looks, looks * cutoff / texture)) @ weights)
    partial = (texture**power * special.gammainc(looks + power, looks * cutoff / texture)) @ weights
    return float(speckle * partial / kept)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Unnormalised incomplete beta function B_x(a, b), also for b <= 0 (DLMF 8.17.7)."""
    if b > 1e-3:
        return float(special.beta(a, b) * special.betainc(a, b, x))
    return float(x**a / a * special.hyp2f1(a, 1.0 - b, a + 1.0, x))


def k_order(mean: ArrayLike, mean_square: ArrayLike, *, looks: float) -> Floats:
    """Second-moment estimate of the K order: nu = (1 + 1/L) / (m2/mu^2 - 1 - 1/L).

    Reference: Redding 1999; Oliver & Quegan 2004. Written for completeness and tests; the detector uses
    the half moment (see `heterogeneity_from_half_moment`), whose error is half as large at nu = 2.

    Args:
        mean: mean of the intensity, linear.
        mean_square: mean of its square.
        looks: equivalent number of looks L.

    Returns:
        nu clipped to K_ORDER_RANGE; inf (Gamma) where the sample varies less than speckle alone.
    """
    speckle = 1.0 + 1.0 / looks
    excess = np.asarray(mean_square, np.float64) / np.square(np.asarray(mean, np.float64)) - speckle
    with np.errstate(divide="ignore"):
        return np.where(excess > 0.0, np.clip(speckle / excess, *K_ORDER_RANGE), np.inf)


def g0_alpha(mean: ArrayLike, mean_square: ArrayLike, *, looks: float) -> Floats:
    """Second-moment estimate of the G0 roughness, valid for alpha < -2.

    With R = m2 / mu^2 / (1 + 1/L) = (alpha + 1) / (alpha + 2): alpha = -(2R - 1) / (R - 1).
    Reference: Frery et al. 1997 (moments of G0). See `k_order` for why the detector uses the half moment.

    Args:
        mean: mean of the intensity, linear.
        mean_square: mean of its square.
        looks: equivalent number of looks L.

    Returns:
        alpha clipped to G0_ALPHA_RANGE; -inf (Gamma) where the sample varies less than speckle alone.
    """
    spread = np.asarray(mean_square, np.float64) / np.square(np.asarray(mean, np.float64))
    spread = spread / (1.0 + 1.0 / looks)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.clip(-(2.0 * spread - 1.0) / (spread - 1.0), *G0_ALPHA_RANGE)
    return np.where(spread > 1.0, alpha, -np.inf)


def max_heterogeneity(clutter: Clutter) -> float:
    """Largest heterogeneity a detector models, no unit: 1/0.3 for K, 1/2 for G0, 0 for Gamma."""
    if clutter == "gamma":
        return 0.0
    return 1.0 / K_ORDER_RANGE[0] if clutter == "k" else -1.0 / G0_ALPHA_RANGE[1]


def half_moment(*, clutter: Clutter, looks: float, heterogeneity: float, cutoff: float = math.inf) -> float:
    """E[sqrt(x)]^2 / E[x], no unit, of clutter censored above `cutoff` times its true mean.

    It falls with heterogeneity. Reference: Frery et al. 1997 (the 1/2 moment estimate for G0), from
    `truncated_moment`.

    Args:
        clutter: family.
        looks: equivalent number of looks.
        heterogeneity: 1/nu (K) or -1/alpha (G0).
        cutoff: censoring threshold / true mean.

    Returns:
        A number in (0, 1).
    """
    half, mean = (
        truncated_moment(p, clutter=clutter, looks=looks, heterogeneity=heterogeneity, cutoff=cutoff)
        for p in (0.5, 1.0)
    )
    return half * half / mean


def heterogeneity_from_half_moment(statistic: float, *, clutter: Clutter, looks: float) -> float:
    """Invert `half_moment` of an uncensored sample.

    Half moments are far steadier than second ones in spiky clutter: the standard deviation of 1/nu from
    N pixels of K clutter (L 4.4) is 1.05 / sqrt(N) at nu 2 (second moment 1.80, log moment 0.93), 0.39
    at nu 20 (0.42, 0.40), 0.31 for Gamma (0.29, 0.33); in G0 with alpha > -4 the second moment has no
    finite variance at all. The square root is also the cheapest of them to compute.

    Args:
        statistic: mean(sqrt(x))^2 / mean(x), no unit.
        clutter: "k" or "g0".
        looks: equivalent number of looks.

    Returns:
        1/nu or -1/alpha in [0, max_heterogeneity(clutter)].
    """

    def excess(heterogeneity: float) -> float:
        return half_moment(clutter=clutter, looks=looks, heterogeneity=heterogeneity) - statistic

    largest = max_heterogeneity(clutter)
    if excess(0.0) <= 0.0:
        return 0.0
    if excess(largest) >= 0.0:
        return largest
    return float(optimize.brentq(excess, 0.0, largest, xtol=1e-12))


def estimate_covariance(*, clutter: Clutter, looks: float, heterogeneity: float, cutoff: float = math.inf) -> Floats:
    """Sampling covariance of the two background statistics, for one independent pixel.

    For a background of N independent pixels, (ln mean, ln half moment) of the kept pixels is close to
    normal with this covariance / N (first-order error propagation, from `truncated_moment` at powers
    1/2, 1, 3/2, 2).

    Args:
        clutter: family.
        looks: equivalent number of looks.
        heterogeneity: 1/nu (K) or -1/alpha (G0, below 1/2 unless censored).
        cutoff: censoring threshold / true mean.

    Returns:
        (2, 2), no unit.
    """
    half, mean, three_halves, square = (
        truncated_moment(p, clutter=clutter, looks=looks, heterogeneity=heterogeneity, cutoff=cutoff)
        for p in (0.5, 1.0, 1.5, 2.0)
    )
    cross = three_halves - half * mean
    sample = np.array([[mean - half * half, cross], [cross, square - mean * mean]])
    jacobian = np.array([[0.0, 1.0 / mean], [2.0 / half, -1.0 / mean]])
    return np.asarray(jacobian @ sample @ jacobian.T)


# ----------------------------------------------------------------------------------------------- sampling


def sample_clutter(
    rng: np.random.Generator,
    shape: int | tuple[int, ...],
    *,
    clutter: Clutter,
    looks: float,
    heterogeneity: float = 0.0,
) -> NDArray[np.float32]:
    """Draw independent clutter pixels of mean 1.

    Args:
        rng: seeded generator.
        shape: output shape.
        clutter: family.
        looks: equivalent number of looks.
        heterogeneity: 1/nu (K) or -1/alpha (G0); 0: Gamma.

    Returns:
        float32 intensities, no unit, mean 1.
    """
    draw = rng.standard_gamma(looks, shape, dtype=np.float32)
    draw *= np.float32(1.0 / looks)
    if clutter == "gamma" or heterogeneity == 0.0:
        return draw
    order = 1.0 / heterogeneity
    texture = rng.standard_gamma(order, shape, dtype=np.float32)
    if clutter == "k":
        draw *= texture
        draw *= np.float32(1.0 / order)
    else:
        draw /= np.maximum(texture, np.float32(1e-30))
        draw *= np.float32(order - 1.0)
    return draw


def look_weights(exponent: float = 1.92) -> Floats:
    """Weights of the five azimuth looks of Sentinel-1 IW GRDH, sum 1: [.8, 1, 1.3, 1, .8]**exponent.

    Exponent 1.92 gives 4.40 equivalent looks, 1.6 gives 4.57 (`equivalent_looks`); 4.4 is the value in
    ESA's Sentinel-1 product specification for IW GRDH.

    Args:
        exponent: no unit.

    Returns:
        Shape (5,).
    """
    weights = np.array([0.8, 1.0, 1.3, 1.0, 0.8]) ** exponent
    return np.asarray(weights / weights.sum())


def equivalent_looks(weights: ArrayLike) -> float:
    """Equivalent number of looks of a weighted sum of independent looks: (sum w)^2 / sum w^2."""
    array = np.asarray(weights, np.float64)
    return float(array.sum() ** 2 / np.square(array).sum())


def speckle_correlation_area_px(psf_sigma_px: float = 0.85) -> float:
    """Correlation area of speckle, pixels: the sum over lags of its intensity correlation.

    A Gaussian amplitude point spread exp(-d^2 / (2 s^2)) correlates intensity as exp(-d^2 / (2 s^2))
    at lag d (Goodman 2007, Speckle Phenomena in Optics, ISBN 978-0974707792, ch. 5: |field correlation|^2),
    so the area is (sum_d exp(-d^2 / (2 s^2)))^2, close to 2 pi s^2.

    Args:
        psf_sigma_px: s, pixels; .85 gives correlations .50 and .06 at lags 1 and 2 (20 m resolution on
            10 m pixels).

    Returns:
        Pixels, 4.54 for the default.
    """
    lags = np.arange(-50, 51)
    return float(np.exp(-np.square(lags) / (2.0 * psf_sigma_px**2)).sum() ** 2)


def look_weighted_speckle(
    rng: np.random.Generator,
    shape_hw: tuple[int, int],
    *,
    weights: ArrayLike | None = None,
    psf_sigma_px: float = 0.85,
) -> NDArray[np.float32]:
    """Simulate Sentinel-1 IW GRDH speckle: a weighted sum of independent, spatially correlated looks.

    Each look is white complex Gaussian noise under a Gaussian amplitude point spread (truncated at
    4 sigma). The result is not Gamma distributed and its pixels are correlated; see
    `speckle_correlation_area_px`, `equivalent_looks`, `sample_look_weighted`.

    Args:
        rng: seeded generator.
        shape_hw: rows, columns.
        weights: one weight per look, sum 1; None: `look_weights()`.
        psf_sigma_px: standard deviation of the amplitude point spread, pixels.

    Returns:
        float32 (h, w), mean 1, no unit.
    """
    reach = math.ceil(4.0 * psf_sigma_px)
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2.0 * psf_sigma_px**2))
    kernel /= math.sqrt(float(np.square(kernel).sum()))
    total = np.zeros(shape_hw, np.float32)
    padded = (shape_hw[0] + 2 * reach, shape_hw[1] + 2 * reach)
    for weight in look_weights() if weights is None else np.asarray(weights, np.float64):
        for _ in ("real", "imaginary"):
            field = rng.standard_normal(padded, dtype=np.float32)
            field = ndimage.correlate1d(field, kernel, axis=0)
            field = ndimage.correlate1d(field, kernel, axis=1)
            total += np.float32(0.5 * weight) * np.square(field[reach:-reach, reach:-reach])
    return total


def sample_look_weighted(
    rng: np.random.Generator, size: int, *, weights: ArrayLike | None = None, tilt: float = 1.0
) -> tuple[NDArray[np.float32], Floats]:
    """Draw independent pixels of `look_weighted_speckle`, optionally tilted towards its tail.

    Importance sampling: every look's exponential intensity is drawn with its mean multiplied by `tilt`
    and the draw carries the likelihood ratio tilt^n exp(-(tilt - 1) sum e), e the untilted unit draws.

    Args:
        rng: seeded generator.
        size: number of pixels.
        weights: one weight per look, sum 1; None: `look_weights()`.
        tilt: >= 1; 1 draws the plain distribution with weights 1.

    Returns:
        Intensities (n,) float32 of mean 1 under the weights, and the importance weights (n,).
    """
    share = look_weights() if weights is None else np.asarray(weights, np.float64)
    unit = rng.standard_exponential((size, share.size))
    log_weight = share.size * math.log(tilt) - (tilt - 1.0) * unit.sum(axis=1)
    return (tilt * (unit @ share)).astype(np.float32), np.exp(log_weight)


def sample_tail(
    rng: np.random.Generator,
    size: int,
    *,
    clutter: Clutter,
    looks: float,
    heterogeneity: float,
    target: float,
) -> tuple[NDArray[np.float32], Floats]:
    """Draw clutter pixels around a ratio far in the upper tail, with importance weights.

    A Gamma variate g of shape k drawn with its scale multiplied by t has likelihood ratio
    t^k exp(-(t - 1) g), g before scaling. Speckle and texture are each scaled so that the most likely way
    of reaching `target` becomes typical: with s the speckle and tau the texture there, s tau = target and
    the log densities of ln s and ln tau fall equally fast, L (s - 1) = nu (tau - 1) for K and
    L (s - 1) = -alpha - g for G0, whose texture is tau = (-alpha - 1) / g.

    Args:
        rng: seeded generator.
        size: number of pixels.
        clutter: family.
        looks: equivalent number of looks L.
        heterogeneity: 1/nu (K) or -1/alpha (G0); 0: Gamma.
        target: ratio to draw around, >= 1, e.g. a detection threshold over the mean.

    Returns:
        Intensities (n,) float32 of mean 1 under the weights, and importance weights (n,).
    """
    unit = rng.standard_gamma(looks, size)
    if clutter == "gamma" or heterogeneity == 0.0:
        log_weight = looks * math.log(target) - (target - 1.0) * unit
        return (target * unit / looks).astype(np.float32), np.exp(log_weight)
    order = 1.0 / heterogeneity
    texture = rng.standard_gamma(order, size)
    if clutter == "k":
        linear = 0.5 * (looks + order)
        rise = math.sqrt(linear**2 + looks * order * (target - 1.0)) - linear
        speckle_scale, texture_scale = 1.0 + rise / looks, 1.0 + rise / order
        value = speckle_scale * texture_scale * unit * texture / (looks * order)
    else:
        speckle_scale = target * (order + looks) / (order - 1.0 + target * looks)
        texture_scale = speckle_scale * (order - 1.0) / (target * order)
        value = speckle_scale * (order - 1.0) * unit / (looks * texture_scale * texture)
    log_weight = (
        looks * math.log(speckle_scale)
        - (speckle_scale - 1.0) * unit
        + order * math.log(texture_scale)
        - (texture_scale - 1.0) * texture
    )
    return value.astype(np.float32), np.exp(log_weight)
