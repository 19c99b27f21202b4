"""Calibration on constructed detections whose true frequencies are known."""

import json

import numpy as np
import pytest
from scipy.special import expit

from models.vessel.calibration import EVERYWHERE, fit_calibration

STRATA = {"offshore": (0.45, 0.3), "shore": (0.8, -1.6)}  # true log odds: slope and shift of the logit


def drawn(seed, n=4000, strata=STRATA):
    """Logits of an overconfident network, what they met, and where."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1.0, 2.5, n)
    stratum = rng.choice(list(strata), n)
    slope, shift = np.array([strata[s] for s in stratum]).T
    truth = expit(slope * logit + shift)
    return logit, rng.random(n) < truth, stratum, truth


def fitted(logit, is_object, stratum, *, error=None, sigma=None):
    error = np.zeros(1) if error is None else error
    return fit_calibration(
        logit,
        is_object,
        stratum,
        log_length_error=error,
        log_length_sigma=np.ones(len(error)) if sigma is None else sigma,
    )


def expected_calibration_error(probability, is_object, bins=15):
    """Guo et al. 2017, equation 5, bins of equal width."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return sum(
        (which == b).mean() * abs(probability[which == b].mean() - is_object[which == b].mean())
        for b in np.unique(which)
    )


@pytest.mark.parametrize("seed", range(4))
def test_fresh_detections_are_objects_as_often_as_said(seed):
    logit, is_object, stratum, _ = drawn(seed)
    calibration = fitted(logit, is_object, stratum)
    logit, is_object, stratum, truth = drawn(seed + 100)
    said = calibration.probability(logit, stratum)
    assert expected_calibration_error(expit(logit), is_object) > 0.1
    assert expected_calibration_error(said, is_object) <= 0.03
    assert np.abs(said - truth).mean() < 0.03
    for name in STRATA:
        mine = stratum == name
        assert expected_calibration_error(said[mine], is_object[mine]) <= 0.045, name


def test_the_temperature_is_the_one_of_the_draw():
    logit, is_object, stratum, _ = drawn(1, n=40_000, strata={"one": (0.4, 0.0)})
    assert fitted(logit, is_object, stratum).temperature == pytest.approx(2.5, rel=0.05)


def test_one_curve_for_all_mixes_the_strata():
    calibration = fitted(*drawn(0)[:3])
    logit = np.zeros(1)
    one, other = (calibration.probability(logit, name)[0] for name in STRATA)
    assert other < calibration.probability(logit)[0] < one
    assert calibration.probability(logit, "never seen") == calibration.probability(logit, EVERYWHERE)


@pytest.mark.parametrize("digits", [1, 2, 12])
def test_a_greater_logit_is_always_a_greater_probability(digits):
    for seed in range(30):
        logit, is_object, stratum, _ = drawn(seed, n=700)
        calibration = fitted(np.round(logit, digits), is_object, stratum)
        for x, y in calibration.curves.values():
            assert (np.diff(x) > 0).all()
            assert (np.diff(y) > 0).all()
        for name in (*STRATA, EVERYWHERE):
            said = calibration.probability(np.linspace(-8, 8, 3001), name)
            assert (np.diff(said) > 0).all()
            assert said[0] > 0
            assert said[-1] < 1


@pytest.mark.parametrize("answer", [True, False])
def test_no_finite_sample_makes_certain(answer):
    logit = np.random.default_rng(0).normal(0, 2, 300)
    calibration = fitted(logit, np.full(300, answer), np.full(300, "one"))
    said = calibration.probability(np.linspace(-9, 9, 50))
    assert (said > 0).all()
    assert (said < 1).all()


def test_a_small_stratum_has_the_curve_of_all():
    logit, is_object, stratum, _ = drawn(3, n=1000)
    stratum = stratum.astype("U8")
    stratum[:149] = "few"
    calibration = fitted(logit, is_object, stratum)
    assert set(calibration.curves) == {EVERYWHERE, *STRATA}
    test = np.linspace(-5, 5, 50)
    np.testing.assert_array_equal(calibration.probability(test, "few"), calibration.probability(test))
    stratum[:150] = "few"
    assert "few" in fitted(logit, is_object, stratum).curves


def lengths(rng, n):
    """ln length errors of heavy tails whose scale the network half knows."""
    sigma = np.exp(rng.normal(-1.5, 0.5, n))
    return rng.standard_t(4, n) * sigma * np.exp(rng.normal(0.3, 0.3, n)), sigma


@pytest.mark.parametrize("seed", range(5))
def test_nine_of_ten_fresh_lengths_lie_in_their_interval(seed):
    rng = np.random.default_rng(seed)
    error, sigma = lengths(rng, 4000)
    calibration = fitted(*drawn(0, n=500)[:3], error=error, sigma=sigma)
    error, sigma = lengths(rng, 4000)
    truth = np.exp(rng.uniform(1, 4, 4000))
    low, high = calibration.length_interval_px(truth * np.exp(error), sigma)
    assert 0.88 <= ((low <= truth) & (truth <= high)).mean() <= 0.92


def test_few_lengths_give_an_interval_that_errs_on_the_wide_side():
    covered = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        error, sigma = lengths(rng, 20)
        calibration = fitted(*drawn(0, n=160)[:3], error=error[:19], sigma=sigma[:19])
        covered.append(abs(error[19]) <= calibration.length_factor * sigma[19])
    # the 18th of 19 covers 18 / 20 exactly in the mean (Lei et al. 2018, theorem 2.2): 90 +- 3 sigma of 400
    assert np.mean(covered) == pytest.approx(0.9, abs=0.045)


def test_lengths_that_are_too_few_are_left_uncalibrated():
    calibration = fitted(*drawn(0, n=500)[:3], error=np.zeros(8), sigma=np.ones(8))
    assert np.isnan(calibration.length_factor)
    low, high = calibration.length_interval_px(np.array([10.0]), np.array([0.1]))
    assert (low[0], high[0]) == (0.0, np.inf)  # anything may be true
    assert np.isfinite(fitted(*drawn(0, n=500)[:3], error=np.ones(9), sigma=np.ones(9)).length_factor)


def test_json_keeps_every_digit():
    rng = np.random.default_rng(9)
    error, sigma = lengths(rng, 500)
    calibration = fitted(*drawn(5, n=900)[:3], error=error, sigma=sigma)
    again = type(calibration).from_dict(json.loads(json.dumps(calibration.as_dict(), allow_nan=False)))
    assert again == calibration
    uncalibrated = fitted(*drawn(5, n=900)[:3], error=np.empty(0), sigma=np.empty(0))
    again = type(calibration).from_dict(json.loads(json.dumps(uncalibrated.as_dict(), allow_nan=False)))
    assert np.isnan(again.length_factor)
    assert again.curves == uncalibrated.curves


@pytest.mark.parametrize("seed", range(3))
def test_where_objects_are_rarer_than_in_the_images_probabilities_fall_as_they_should(seed):
    logit, is_object, stratum, _ = drawn(seed, n=12_000)
    rng = np.random.default_rng(seed)
    calibration = fit_calibration(
        logit,
        is_object,
        stratum,
        log_length_error=np.zeros(1),
        log_length_sigma=np.ones(1),
        object_weight=0.1,
    )
    logit, is_object, stratum, _ = drawn(seed + 100, n=40_000)
    there = ~is_object | (rng.random(len(logit)) < 0.1)  # a sea with a tenth of the ships, and as many false alarms
    said = calibration.probability(logit[there], stratum[there])
    assert expected_calibration_error(said, is_object[there]) <= 0.03
