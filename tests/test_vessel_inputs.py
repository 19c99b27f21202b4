"""The network's input against the formulas as they are written in the literature."""

import numpy as np
import pytest

from imagery.geometry import Grid
from models.errors import WeightsError
from models.vessel.bands import check_fits, network_bands
from models.vessel.inputs import InputCurve
from tests.support import UTM, scene_of_array

RADAR = InputCurve(kind="sigma0_db", bands=("vv", "vh"), middle=(-17.0, -23.0))
GREY = InputCurve(kind="dn8", bands=("grey",))
COLOUR = InputCurve(kind="reflectance", bands=("b04", "b03"))
GRID = Grid.from_crs("EPSG:32651", UTM, (8, 8))


def test_sigma0_becomes_the_logistic_of_its_decibels():
    db = np.linspace(-60.0, 40.0, 4000).reshape(40, 100)
    seen = RADAR.network_input({"vv": (10 ** (db / 10)).astype(np.float32), "vh": (10 ** (db / 10)).astype(np.float32)})
    for band, middle in enumerate((-17.0, -23.0)):
        np.testing.assert_allclose(seen[band], 1 / (1 + np.exp(-0.18 * (db - middle))), atol=2e-6)
    assert (seen[2:] == 1).all()
    assert seen.dtype == np.float32


def test_zero_and_what_lies_below_it_are_dark_but_measured():
    seen = RADAR.network_input({"vv": np.array([[0.0, -1e-3, 1e-30, 1e6]], np.float32)})
    assert seen[0, 0, :2].tolist() == [0, 0]
    assert seen[0, 0, 2] < 1e-20
    assert seen[0, 0, 3] == pytest.approx(1, abs=1e-4)
    assert (seen[2] == 1).all()


def test_pixels_without_data_are_zero_in_value_and_mask():
    vv = np.full((3, 4), 0.02, np.float32)
    vv[1, 2], vv[0, 0], vv[2, 3] = np.nan, np.inf, -np.inf
    seen = RADAR.network_input({"vv": vv, "vh": np.full((3, 4), 0.02, np.float32)})
    bad = ~np.isfinite(vv)
    assert (seen[0][bad] == 0).all()
    np.testing.assert_array_equal(seen[2], (~bad).astype(np.float32))
    assert (seen[3] == 1).all()
    assert np.isfinite(seen).all()


def test_an_absent_band_is_zero_in_value_and_mask():
    vh = np.full((3, 4), 0.02, np.float32)
    seen = RADAR.network_input({"vh": vh})
    assert seen.shape == (4, 3, 4)
    assert not seen[[0, 2]].any()
    both = RADAR.network_input({"vv": vh, "vh": vh})
    np.testing.assert_array_equal(seen[[1, 3]], both[[1, 3]])


def test_the_order_of_bands_and_bands_of_others_do_not_matter():
    rng = np.random.default_rng(0)
    vv, vh = rng.gamma(4, 0.01, (2, 5, 6)).astype(np.float32)
    expected = RADAR.network_input({"vv": vv, "vh": vh})
    np.testing.assert_array_equal(RADAR.network_input({"vh": vh, "vv": vv}), expected)
    np.testing.assert_array_equal(RADAR.network_input({"dem": vh, "vh": vh, "vv": vv}), expected)


def test_a_pixel_looks_the_same_in_any_window():
    vv = np.random.default_rng(1).gamma(4, 0.01, (33, 47)).astype(np.float32)
    whole = RADAR.network_input({"vv": vv})
    np.testing.assert_array_equal(RADAR.network_input({"vv": vv[5:9, 11:30].copy()}), whole[:, 5:9, 11:30])
    np.testing.assert_array_equal(RADAR.network_input({"vv": vv[7:8, 13:14].copy()}), whole[:, 7:8, 13:14])


def test_grey_levels_and_reflectance_are_scaled_and_clipped():
    grey = GREY.network_input({"grey": np.array([[0, 51, 255, 300, np.nan]], np.float32)})
    np.testing.assert_allclose(grey[0, 0], [0, 0.2, 1, 1, 0], atol=1e-7)
    np.testing.assert_array_equal(grey[1, 0], [1, 1, 1, 1, 0])
    colour = COLOUR.network_input({"b03": np.array([[-0.02, 0.15, 0.3, 0.9]], np.float32)})
    np.testing.assert_allclose(colour[1, 0], [0, 0.5, 1, 1], atol=1e-6)
    assert not colour[0].any()


def test_no_known_band_is_refused_in_one_sentence():
    with pytest.raises(WeightsError, match=r"b02.*vv, vh") as caught:
        RADAR.network_input({"b02": np.zeros((2, 2), np.float32)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("curve", "bands", "unit", "words"),
    [
        (RADAR, ("b04",), "reflectance", "reflectance.*sigma0"),
        (RADAR, ("pan",), "sigma0", "pan.*vv, vh"),
        (RADAR, ("vv",), "dn8", "dn8.*sigma0"),
        (RADAR, ("vv",), "amplitude", "amplitude.*sigma0"),
        (GREY, ("vv",), "sigma0", "sigma0.*dn8"),
        (COLOUR, ("b11", "b12"), "reflectance", "b11, b12.*b04, b03"),
    ],
)
def test_a_scene_of_another_unit_or_other_bands_is_refused_in_one_sentence(curve, bands, unit, words):
    scene = scene_of_array(GRID, np.ones((len(bands), 8, 8)), bands=bands, unit=unit, name="pass-7")
    with pytest.raises(WeightsError, match=words) as caught:
        check_fits(scene, curve)
    assert "pass-7" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_decibels_and_linear_sigma0_give_the_network_the_same():
    linear = np.random.default_rng(2).gamma(4, 0.01, (2, 8, 8))
    seen = []
    for unit, data in (("sigma0", linear), ("sigma0_db", 10 * np.log10(linear))):
        scene = scene_of_array(GRID, data, bands=("vh", "vv"), unit=unit)
        check_fits(scene, RADAR)
        seen.append(RADAR.network_input(network_bands(scene, scene.read(), RADAR)))
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)
    np.testing.assert_allclose(seen[0][0], 1 / (1 + np.exp(-0.18 * (10 * np.log10(linear[1]) + 17))), atol=2e-6)


def test_horizontal_polarisations_stand_in_for_vertical_ones():
    data = np.random.default_rng(3).gamma(4, 0.01, (2, 8, 8))
    scene = scene_of_array(GRID, data, bands=("hv", "hh"))
    check_fits(scene, RADAR)
    given = network_bands(scene, scene.read(), RADAR)
    np.testing.assert_array_equal(given["vv"], data[1].astype(np.float32))
    np.testing.assert_array_equal(given["vh"], data[0].astype(np.float32))


def test_pixels_that_the_scene_does_not_hold_reach_the_network_as_no_data():
    valid = np.ones((2, 8, 8), bool)
    valid[0, 2, 3] = False
    scene = scene_of_array(GRID, np.ones((2, 8, 8)), bands=("vv", "vh"), valid=valid)
    seen = RADAR.network_input(network_bands(scene, scene.read(), RADAR))
    assert seen[0, 2, 3] == seen[2, 2, 3] == 0
    assert seen[3, 2, 3] == 1


def test_an_eight_bit_chip_is_taken_whatever_its_band_is_called():
    scene = scene_of_array(GRID, np.full((1, 8, 8), 51.0), bands=("pan",), unit="dn8")
    check_fits(scene, GREY)
    np.testing.assert_allclose(GREY.network_input(network_bands(scene, scene.read(), GREY))[0], 0.2, atol=1e-7)
