"""How likely ships are found: drawn from a known curve and asked back; sea brightness around a place."""

import numpy as np
import pytest
from scipy.special import expit

from models.vessel.detectability import Detectability, fit_detectability, sea_level_db

TRUE = {"ceiling": 0.96, "at_50_m": 2.0, "per_ln_length": 2.5, "per_db": -0.2, "near_shore": -1.0}


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    length_m = np.exp(rng.uniform(np.log(10.0), np.log(300.0), n))
    sea_db, near = rng.uniform(-24.0, -10.0, n), rng.random(n) < 0.4
    p = TRUE["ceiling"] * expit(
        TRUE["at_50_m"]
        + TRUE["per_ln_length"] * np.log(length_m / 50.0)
        + TRUE["per_db"] * (sea_db + 17.0)
        + TRUE["near_shore"] * near
    )
    return (length_m, sea_db, near), rng.random(n) < p, p


def test_the_curve_that_ships_were_drawn_from_comes_back():
    ships, is_found, _ = drawn(6000, 0)
    curve = fit_detectability(*ships, is_found)
    others, _, p = drawn(2000, 1)
    assert np.abs(curve.probability(*others) - p).max() < 0.06
    assert curve.n == 6000
    for name, value in TRUE.items():
        assert getattr(curve, name) == pytest.approx(value, abs=0.35), name


def test_beyond_what_it_was_fitted_on_the_nearest_counts():
    ships, is_found, _ = drawn(500, 2)
    curve = fit_detectability(*ships, is_found)
    assert curve.probability(1.0, -17.0, False) == curve.probability(curve.length_m[0], -17.0, False)
    assert curve.probability(50.0, 30.0, False) == curve.probability(50.0, curve.sea_db[1], False)
    assert curve.probability(5000.0, -17.0, False) <= curve.ceiling


def test_where_no_ship_lay_near_land_land_changes_little():
    (length_m, sea_db, _), is_found, _ = drawn(3000, 3)
    curve = fit_detectability(length_m, sea_db, np.zeros(3000, bool), is_found)
    assert curve.near_shore == pytest.approx(0.0, abs=1e-3)


def test_it_survives_its_record():
    ships, is_found, _ = drawn(500, 4)
    curve = fit_detectability(*ships, is_found)
    assert Detectability.from_dict(curve.as_dict()) == curve


def test_the_level_of_the_sea_leaves_out_the_ship_the_land_and_what_is_not_known():
    sea = np.full((200, 220), 0.01, np.float32)
    water = np.ones(sea.shape, bool)
    sea[95:106, 95:106] = 50.0  # a ship
    sea[:, 130:], water[:, 130:] = 1.0, False  # land
    sea[60:80, 60:80] = np.nan
    level = sea_level_db(sea, water, np.array([100.0, 0.0, 199.4]), np.array([100.0, 0.0, 20.0]))
    np.testing.assert_allclose(level, -20.0, atol=1e-5)


def test_the_level_is_that_of_the_ring_alone():
    rng = np.random.default_rng(5)
    sea = rng.gamma(4.4, 0.02 / 4.4, (300, 300)).astype(np.float32)
    water = np.ones(sea.shape, bool)
    distance = np.hypot(*(np.indices(sea.shape) - np.array([140, 155])[:, None, None]))
    inside = (distance >= 12) & (np.abs(np.indices(sea.shape) - np.array([140, 155])[:, None, None]).max(axis=0) <= 48)
    expected = 10.0 * np.log10(np.median(sea[inside]))
    assert sea_level_db(sea, water, np.array([140.0]), np.array([155.0]))[0] == pytest.approx(expected, abs=1e-6)


def test_where_no_water_lies_around_the_level_is_not_known():
    sea = np.ones((120, 120), np.float32)
    assert np.isnan(sea_level_db(sea, np.zeros(sea.shape, bool), np.array([60.0]), np.array([60.0]))[0])
    assert sea_level_db(sea, np.ones(sea.shape, bool), np.empty(0), np.empty(0)).shape == (0,)
