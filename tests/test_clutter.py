"""Clutter distributions against closed forms, scipy, numerical integration and large samples."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from models import clutter as cl

LOOKS = 4.4
FAMILIES = [("gamma", 0.0), ("k", 0.5), ("k", 0.05), ("g0", 1 / 3), ("g0", 1 / 15)]


def k_survival_by_integration(ratio, looks, order):
    """Integral over ln(texture), adaptive, relative error 1e-9: shares nothing with the quadrature under test."""

    def integrand(y):
        log_density = order * (y - math.exp(y)) + order * math.log(order) - math.lgamma(order)
        return math.exp(log_density) * special.gammaincc(looks, looks * ratio * math.exp(-y))

    low, high = -14 / math.sqrt(order), math.log1p(60 / order + 12 / math.sqrt(order))
    return integrate.quad(integrand, low, high, epsabs=0.0, epsrel=1e-9, limit=1000)[0]


def test_known_mean_is_the_inverse_incomplete_gamma_function():
    for rate in (1e-3, 1e-6, 1e-8):
        factor = float(cl.gamma_factor(rate, looks=LOOKS))
        assert stats.gamma.sf(factor, LOOKS, scale=1 / LOOKS) == pytest.approx(rate, rel=1e-9)
        assert float(cl.gamma_survival(factor, looks=LOOKS)) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("count", [4, 30, 1000])
def test_one_look_cell_averaging_has_a_closed_form(count):
    for rate in (1e-3, 1e-8):
        closed = count * (rate ** (-1 / count) - 1)
        assert float(cl.gamma_factor(rate, looks=1, background_px=count)) == pytest.approx(closed, rel=1e-8)


def test_cell_averaging_factor_is_scipys_f_and_tends_to_the_known_mean():
    factors = cl.gamma_factor(1e-6, looks=LOOKS, background_px=np.array([10.0, 100.0, 1e7, np.inf]))
    assert factors[1] == pytest.approx(stats.f.isf(1e-6, 2 * LOOKS, 200 * LOOKS), rel=1e-12)
    assert np.all(np.diff(factors) < 0)
    assert factors[2] == pytest.approx(factors[3], rel=1e-5)


@pytest.mark.parametrize("looks", [1.0, 4.4, 12.0])
@pytest.mark.parametrize("order", [0.3, 1.0, 5.0, 20.0, 100.0, 800.0])
def test_k_threshold_against_numerical_integration(looks, order):
    for rate in (1e-3, 1e-6, 1e-8):
        factor = cl.k_factor(rate, looks=looks, order=order)
        assert k_survival_by_integration(factor, looks, order) == pytest.approx(rate, rel=1e-5)


def test_k_thresholds_in_decibels_as_published():
    """Design table (plume.md 5.2, computed there independently): dB over the mean, L 4.4."""
    table = {50: (7.6, 8.7), 20: (8.3, 9.6), 10: (9.2, 10.5), 5: (10.3, 11.9), 2: (12.4, 14.1), 1: (14.3, 16.2)}
    for order, expected in table.items():
        got = [10 * math.log10(cl.k_factor(rate, looks=LOOKS, order=order)) for rate in (1e-6, 1e-8)]
        assert got == pytest.approx(expected, abs=0.06)


def test_g0_threshold_is_an_f_quantile_with_mean_one():
    for alpha in (-2.5, -5.0, -50.0):
        factor = cl.g0_factor(1e-6, looks=LOOKS, alpha=alpha)
        law = stats.f(2 * LOOKS, -2 * alpha, scale=(alpha + 1) / alpha)
        assert law.mean() == pytest.approx(1.0)
        assert law.sf(factor) == pytest.approx(1e-6, rel=1e-8)
        assert float(cl.g0_survival(factor, looks=LOOKS, alpha=alpha)) == pytest.approx(1e-6, rel=1e-8)


def test_both_textures_end_in_gamma():
    ratio = np.array([0.1, 1.0, 4.0, 6.0])
    gamma = cl.gamma_survival(ratio, looks=LOOKS)
    for clutter in ("k", "g0"):
        for heterogeneity, tolerance in ((0.0, 0.0), (2e-4, 0.06)):
            got = cl.survival(ratio, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity)
            np.testing.assert_allclose(got, gamma, rtol=tolerance)


@pytest.mark.parametrize(("clutter", "heterogeneity"), FAMILIES)
@pytest.mark.parametrize("cutoff", [1.5, 3.8, 9.0])
def test_truncated_moments_against_integration_of_the_survival(clutter, heterogeneity, cutoff):
    """E[x^p; x <= c] = integral of p x^(p-1) S(x) dx - c^p S(c), by parts."""
    x = np.linspace(0.0, math.sqrt(cutoff), 4001) ** 2
    s = cl.survival(x, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity)
    for power in (0.5, 1.0, 1.5, 2.0):
        root = np.sqrt(x)
        whole = integrate.simpson(2 * power * root ** (2 * power - 1) * s, x=root) if power > 0.5 else None
        if whole is None:
            whole = integrate.simpson(s, x=root)
        expected = (whole - cutoff**power * s[-1]) / (1 - s[-1])
        got = cl.truncated_moment(power, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity, cutoff=cutoff)
        assert got == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(("clutter", "heterogeneity"), FAMILIES)
def test_untruncated_moments_are_the_limit_of_truncated_ones(clutter, heterogeneity):
    for power in (0.5, 1.0):
        closed = cl.truncated_moment(power, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity)
        far = cl.truncated_moment(power, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity, cutoff=1e4)
        assert far == pytest.approx(closed, rel=1e-5)
    assert closed == pytest.approx(1.0)


def test_moments_that_do_not_exist_are_infinite():
    assert cl.truncated_moment(2.0, clutter="g0", looks=LOOKS, heterogeneity=0.5) == math.inf


@pytest.mark.parametrize(("clutter", "heterogeneity"), FAMILIES)
def test_samples_follow_the_survival(clutter, heterogeneity):
    rng = np.random.default_rng(11)
    x = cl.sample_clutter(rng, 400_000, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity)
    assert x.dtype == np.float32
    levels = np.quantile(x, [0.01, 0.2, 0.5, 0.9, 0.999])
    empirical = np.array([(x > level).mean() for level in levels])
    expected = cl.survival(levels, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity)
    assert np.all(np.abs(empirical - expected) < 4.5 * np.sqrt(expected * (1 - expected) / x.size))


@pytest.mark.parametrize(("clutter", "heterogeneity"), [("k", 0.5), ("k", 0.05), ("g0", 1 / 5), ("g0", 1 / 15)])
def test_estimates_find_the_texture_of_a_large_sample(clutter, heterogeneity):
    rng = np.random.default_rng(12)
    x = cl.sample_clutter(rng, 1_000_000, clutter=clutter, looks=LOOKS, heterogeneity=heterogeneity).astype(float)
    half = cl.heterogeneity_from_half_moment(np.sqrt(x).mean() ** 2 / x.mean(), clutter=clutter, looks=LOOKS)
    assert half == pytest.approx(heterogeneity, abs=0.004)
    second = cl.k_order if clutter == "k" else cl.g0_alpha
    shape = abs(float(second(x.mean(), np.square(x).mean(), looks=LOOKS)))
    assert 1 / shape == pytest.approx(heterogeneity, rel=0.05)


def test_estimates_call_speckle_alone_gamma():
    assert cl.k_order(1.0, 1.1, looks=LOOKS) == np.inf
    assert cl.g0_alpha(1.0, 1.1, looks=LOOKS) == -np.inf
    assert cl.heterogeneity_from_half_moment(0.999, clutter="k", looks=LOOKS) == 0.0
    assert cl.heterogeneity_from_half_moment(0.1, clutter="g0", looks=LOOKS) == cl.max_heterogeneity("g0")


def test_estimate_covariance_against_many_small_samples():
    rng = np.random.default_rng(13)
    size, cutoff = 2000, 3.8
    x = cl.sample_clutter(rng, (1500, size), clutter="k", looks=LOOKS, heterogeneity=0.2).astype(float)
    kept = x <= cutoff
    mean = (x * kept).sum(1) / kept.sum(1)
    half = (np.sqrt(x) * kept).sum(1) / kept.sum(1)
    empirical = np.cov(np.log(mean), np.log(half**2 / mean)) * size * kept.mean()
    expected = cl.estimate_covariance(clutter="k", looks=LOOKS, heterogeneity=0.2, cutoff=cutoff)
    np.testing.assert_allclose(np.diag(empirical), np.diag(expected), rtol=0.12)
    assert np.corrcoef(np.log(mean), np.log(half**2 / mean))[0, 1] == pytest.approx(
        expected[0, 1] / math.sqrt(expected[0, 0] * expected[1, 1]), abs=0.08
    )


@pytest.mark.parametrize(("clutter", "heterogeneity"), FAMILIES)
def test_tilted_samples_measure_small_probabilities(clutter, heterogeneity):
    law = {"clutter": clutter, "looks": LOOKS, "heterogeneity": heterogeneity}
    factor = {
        "gamma": lambda: float(cl.gamma_factor(1e-7, looks=LOOKS)),
        "k": lambda: cl.k_factor(1e-7, looks=LOOKS, order=1 / heterogeneity),
        "g0": lambda: cl.g0_factor(1e-7, looks=LOOKS, alpha=-1 / heterogeneity),
    }[clutter]()
    assert float(cl.survival(factor, **law)) == pytest.approx(1e-7, rel=1e-4)
    value, weight = cl.sample_tail(np.random.default_rng(14), 100_000, target=factor, **law)
    assert (weight * (value > factor)).mean() == pytest.approx(1e-7, rel=0.05)
    assert (weight * (value > 0.3 * factor)).mean() == pytest.approx(float(cl.survival(0.3 * factor, **law)), rel=0.3)


def test_look_weights_give_the_product_specifications_looks():
    assert cl.equivalent_looks(cl.look_weights()) == pytest.approx(4.40, abs=0.01)
    assert cl.equivalent_looks(cl.look_weights(1.6)) == pytest.approx(4.57, abs=0.01)
    assert cl.equivalent_looks([0.2] * 5) == pytest.approx(5.0)


def test_simulated_speckle_has_the_stated_looks_and_correlation():
    speckle = cl.look_weighted_speckle(np.random.default_rng(15), (700, 700)).astype(float)
    assert speckle.mean() == pytest.approx(1.0, abs=0.005)
    assert 1 / speckle.var() == pytest.approx(4.40, abs=0.08)
    centred = speckle - speckle.mean()
    for lag, expected in ((1, 0.50), (2, 0.06), (5, 0.0)):
        for shifted, base in ((centred[lag:], centred[:-lag]), (centred[:, lag:], centred[:, :-lag])):
            assert (shifted * base).mean() / speckle.var() == pytest.approx(expected, abs=0.02)
    assert cl.speckle_correlation_area_px() == pytest.approx(2 * math.pi * 0.85**2, rel=0.01)


def test_variance_of_a_block_mean_is_that_of_its_effective_pixels():
    speckle = cl.look_weighted_speckle(np.random.default_rng(16), (1280, 1280)).astype(float)
    blocks = speckle.reshape(40, 32, 40, 32).mean(axis=(1, 3))
    effective = 1 / cl.equivalent_looks(cl.look_weights()) / blocks.var()
    assert effective == pytest.approx(32 * 32 / cl.speckle_correlation_area_px(), rel=0.12)


def test_single_pixels_of_the_simulator_have_its_marginal_law():
    value, weight = cl.sample_look_weighted(np.random.default_rng(17), 300_000)
    assert np.all(weight == 1.0)
    speckle = cl.look_weighted_speckle(np.random.default_rng(18), (900, 900))[::5, ::5].ravel()
    assert stats.ks_2samp(value[: speckle.size], speckle).pvalue > 0.01
    tilted, ratio = cl.sample_look_weighted(np.random.default_rng(19), 300_000, tilt=2.5)
    assert (ratio * (tilted > 3.0)).mean() == pytest.approx((value > 3.0).mean(), rel=0.1)


def test_the_simulator_is_not_gamma():
    """The note's warning: the exact Gamma threshold is crossed several times too often in the tail."""
    value, weight = cl.sample_look_weighted(np.random.default_rng(20), 400_000, tilt=3.0)
    threshold = float(cl.gamma_factor(1e-6, looks=cl.equivalent_looks(cl.look_weights())))
    assert 3.0 < (weight * (value > threshold)).mean() / 1e-6 < 7.0


def test_same_seed_same_clutter():
    pair = [cl.look_weighted_speckle(np.random.default_rng(3), (40, 50)) for _ in range(2)]
    np.testing.assert_array_equal(*pair)
