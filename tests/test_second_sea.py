import json

import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.warp
from scipy.spatial import cKDTree

from imagery.errors import ImageryError
from imagery.second_sea import KINDS, evaluation_scene, truth_json, write_geotiff
from imagery.second_sea.canvas import Canvas
from imagery.second_sea.fleet import FleetPlan, draw_fleet
from imagery.second_sea.ships import draw_lengths
from imagery.second_sea.viewing import swath

SMALL = (192, 256)
COLUMNS = ("row", "col", "length_m", "width_m", "axis_deg", "speed_m_s", "rcs_db", "shore_distance_m", "moored")


@pytest.fixture(scope="module")
def anchorage():
    return evaluation_scene(5, kind="open", shape_hw=(320, 384), ships_per_1000_km2=1500.0, wind_m_s=6.0)


@pytest.fixture(scope="module", params=KINDS)
def of_kind(request):
    return evaluation_scene(3, kind=request.param, shape_hw=(384, 400), ships_per_1000_km2=600.0)


def db(linear):
    return 10.0 * np.log10(linear)


def test_every_kind_is_finite_positive_and_of_the_promised_shape(of_kind):
    assert of_kind.sigma0.shape == of_kind.clutter_mean.shape == of_kind.clutter_order.shape == (2, 384, 400)
    assert of_kind.sigma0.dtype == of_kind.clutter_mean.dtype == of_kind.incidence_deg.dtype == np.float32
    assert np.isfinite(of_kind.sigma0).all()
    assert (of_kind.sigma0 > 0.0).all()
    assert of_kind.land.dtype == bool
    assert of_kind.polarisations == ("VV", "VH")


def test_ships_lie_on_water_with_distances_to_the_land_shown(of_kind):
    ships = of_kind.ships
    rows, cols = np.rint(ships.row).astype(int), np.rint(ships.col).astype(int)
    assert not of_kind.land[rows, cols].any()
    if not of_kind.land.any():
        assert np.isinf(ships.shore_distance_m).all()
        return
    land = cKDTree(np.argwhere(of_kind.land) * 10.0)
    apart_m, _ = land.query(np.stack([rows, cols], -1) * 10.0) if len(ships) else (np.empty(0), None)
    np.testing.assert_allclose(ships.shore_distance_m, apart_m, rtol=1e-5)


@pytest.mark.parametrize("kind", ["coast", "port"])
def test_coasts_and_ports_have_land_and_ports_moor_their_ships_at_rest(kind):
    moored = 0
    for seed in range(3):
        scene = evaluation_scene(seed, kind=kind, shape_hw=(384, 384), ships_per_1000_km2=1500.0)
        assert 0.05 < scene.land.mean() < 0.7
        assert (scene.ships.speed_m_s[scene.ships.moored] == 0.0).all()
        assert (scene.ships.shore_distance_m[scene.ships.moored] < 120.0).all()
        moored += int(scene.ships.moored.sum())
    assert (moored > 0) == (kind == "port")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_or_kind_others():
    def digest(seed, kind="coast"):
        scene = evaluation_scene(seed, kind=kind, shape_hw=SMALL)
        return scene.sigma0.tobytes() + truth_json(scene).encode()

    assert digest(1) == digest(1)
    assert len({digest(1), digest(2), digest(1, "open")}) == 3


def test_no_ships_are_drawn_where_none_are_asked_for():
    assert len(evaluation_scene(1, shape_hw=SMALL, ships_per_1000_km2=0.0).ships) == 0


def test_the_number_of_ships_follows_the_density_asked_for():
    counts = [
        len(evaluation_scene(seed, shape_hw=(320, 320), ships_per_1000_km2=700.0, wind_m_s=8.0).ships)
        for seed in range(8)
    ]
    expected = 8 * 700.0 * 3.2**2 / 1000.0
    assert abs(sum(counts) - expected) < 4.0 * np.sqrt(expected)


def test_moving_ships_are_displaced_by_range_over_speed_times_range_speed(anchorage):
    ships = anchorage.ships
    incidence = np.radians(anchorage.incidence_deg[0, np.rint(ships.col).astype(int)])
    # Slant range from 693 km over a sphere by the law of cosines in the triangle of radar, target and Earth's centre.
    radius, orbit = 6371e3, 6371e3 + 693e3
    slant_m = -radius * np.cos(incidence) + np.sqrt(orbit**2 - (radius * np.sin(incidence)) ** 2)
    heading = ships.axis_deg + np.where(ships.heading_deg >= 180.0, 180.0, 0.0)
    range_speed = ships.speed_m_s * np.sin(np.radians(heading)) * np.sin(incidence)
    # Receding ships shift against the flight; the satellite flies towards row 0.
    np.testing.assert_allclose((ships.row - ships.true_row) * 10.0, slant_m / 7590.0 * range_speed, rtol=1e-3, atol=0.1)
    assert np.abs(ships.row - ships.true_row).max() > 10.0


def test_bright_ships_are_seen_where_the_table_says(anchorage):
    ships, seen = anchorage.ships, anchorage.sigma0[0]
    strong = np.flatnonzero((ships.rcs_db[:, 0] > 30.0) & (ships.length_m < 120.0))
    assert len(strong) > 5
    for i in strong:
        row, col, reach = round(ships.row[i]), round(ships.col[i]), 4 + int(ships.length_m[i] / 20.0)
        around = seen[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]
        assert around.max() > 8.0 * np.median(anchorage.clutter_mean[0])


def test_lengths_follow_the_labels_of_xview3(real_data):
    labels = pd.read_csv(real_data("tables/xview3_validation_labels.csv"))
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    ours = np.quantile(draw_lengths(np.random.default_rng(1), 40_000), levels)
    np.testing.assert_allclose(ours, [14.0, 22.0, 41.0, 90.0, 179.0], rtol=0.03)
    np.testing.assert_allclose(ours, labels.vessel_length_m.dropna().quantile(levels), rtol=0.07)


def test_neighbours_are_as_near_as_in_the_labels_of_xview3(real_data):
    labels = pd.read_csv(real_data("tables/xview3_validation_labels.csv"))

    def shares(places_m):
        apart = np.concatenate([cKDTree(p).query(p, k=2)[0][:, 1] for p in places_m if len(p) > 1])
        return np.array([(apart < 100.0).mean(), (apart < 200.0).mean()]), len(apart)

    real, _ = shares(
        [g[["detect_scene_row", "detect_scene_column"]].to_numpy() * 10.0 for _, g in labels.groupby("scene_id")]
    )
    np.testing.assert_allclose(real, [0.135, 0.27], atol=0.01)
    shape_hw = 2048, 2048
    canvas = Canvas(
        view=swath(32.0, shape_hw[1], 10.0),
        wind_m_s=6.0,
        wind_from_deg=0.0,
        sigma=np.ones((2, 1, 1), np.float32),
        order=np.ones((1, 1), np.float32),
        land=np.zeros(shape_hw, bool),
    )
    rng = np.random.default_rng(3)
    fleets = [draw_fleet(rng, canvas, FleetPlan(per_1000_km2=200.0), 200.0) for _ in range(10)]
    ours, count = shares([np.array([(s.row, s.col) for s in fleet]) * 10.0 for fleet in fleets])
    assert count > 600
    np.testing.assert_allclose(ours, real, atol=0.05)


def test_ghosts_lie_one_ambiguity_from_their_ship_and_far_below_it():
    scene = evaluation_scene(2, kind="anchorage", shape_hw=(1300, 160), ships_per_1000_km2=400.0, wind_m_s=2.0)
    own = [(i, int(s.split()[1])) for i, s in enumerate(scene.ghosts.source) if s.startswith("ship")]
    assert own
    for ghost, ship in own:
        apart_m = abs(scene.ghosts.row[ghost] - scene.ships.row[ship]) * 10.0
        assert 4400.0 < apart_m < 6000.0  # IW1 5.0-5.3, IW2 4.5-4.8, IW3 5.6-5.9 km
        assert scene.ghosts.col[ghost] == pytest.approx(scene.ships.col[ship])
        assert -33.0 < scene.ghosts.level_db[ghost] < -17.0


def test_the_sea_in_the_picture_has_the_mean_that_the_truth_states():
    scene = evaluation_scene(4, shape_hw=(512, 512), ships_per_1000_km2=0.0, wind_m_s=7.0)
    assert len(scene.structures) == 0
    np.testing.assert_allclose((scene.sigma0 / scene.clutter_mean).mean(axis=(1, 2)), 1.0, atol=0.03)


@pytest.mark.parametrize("pixel_size_m", [15.0, 20.0])
def test_larger_pixels_keep_the_ground_and_gain_looks(pixel_size_m):
    scene = evaluation_scene(6, shape_hw=(128, 160), pixel_size_m=pixel_size_m, ships_per_1000_km2=0.0, wind_m_s=8.0)
    assert scene.sigma0.shape == (2, 128, 160)
    assert scene.enl > 4.4
    x = scene.sigma0[1] / scene.clutter_mean[1]  # VH lies in the noise, where speckle is alone
    assert 1.0 / np.var(x / x.mean()) == pytest.approx(scene.enl, rel=0.15)


def test_a_geotiff_comes_back_as_written_and_says_that_it_is_simulated(tmp_path, anchorage):
    path = write_geotiff(anchorage, tmp_path / "scene.tif")
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), anchorage.sigma0)
        assert dataset.descriptions == ("VV", "VH")
        assert dataset.crs.to_epsg() == 32651
        assert dataset.res == (10.0, 10.0)
        assert dataset.tags()["PROVENANCE"].startswith("SIMULATED")
        transform, crs = dataset.transform, dataset.crs
    truth = json.loads(truth_json(anchorage))
    assert truth["provenance"].startswith("SIMULATED")
    assert len(truth["ships"]) == len(anchorage.ships)
    first = truth["ships"][0]
    assert set(COLUMNS) <= set(first)
    x, y = rasterio.warp.transform("EPSG:4326", crs, [first["lon"]], [first["lat"]])
    np.testing.assert_allclose(~transform @ (x[0], y[0]), (first["col"] + 0.5, first["row"] + 0.5), atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lake"},
        {"shape_hw": (32, 512)},
        {"pixel_size_m": 5.0},
        {"ships_per_1000_km2": -1.0},
        {"wind_m_s": 60.0},
        {"seed": -1},
    ],
)
def test_what_is_not_simulated_is_refused_in_one_sentence(wrong):
    with pytest.raises(ImageryError) as error:
        evaluation_scene(wrong.pop("seed", 1), **wrong)
    assert "\n" not in str(error.value)
