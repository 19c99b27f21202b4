"""Simulated radar chips against formulas and published numbers: speckle, sea, echoes, geometry, labels."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from imagery.simulate.cmod import cmod5n, vh_of_wind
from imagery.simulate.fields import LOOK_WEIGHTS
from imagery.simulate.sar_chips import KINDS, vessel_chip
from imagery.simulate.sar_clutter import draw_sea, mean_sea, noise_floor
from imagery.simulate.sar_coast import Shore
from imagery.simulate.sar_echoes import Echo, add_rough, paint
from imagery.simulate.sar_look import Look, ambiguity_m, azimuth_shift_m, draw_look, slant_range_m
from imagery.simulate.sar_speckle import correlation, draw_speckle, looks
from imagery.simulate.sar_vessels import LENGTH_AT, LENGTH_M, at_sea, draw_length_m, ghost_of, ship

CHIPS = range(30)


def rng(seed=0):
    return np.random.default_rng(seed)


def look_of(shape_hw=(200, 200), **settings):
    usual = {"pixel_size_m": 10.0, "averaged": False, "flight_deg": 0.0, "incidence_deg": 38.5, "subswath": 1}
    return Look(shape_hw=shape_hw, **{**usual, **settings})


@pytest.fixture(scope="module")
def chips():
    return [vessel_chip(seed) for seed in CHIPS]


def lag(x, k, axis):
    d = np.moveaxis(x - x.mean(), axis, 0)
    return (d[k:] * d[:-k]).mean() / (d * d).mean()


# Speckle


def test_speckle_has_unit_mean_the_looks_and_the_correlation_of_iw_grd():
    x = draw_speckle((1000, 1000), rng())
    assert x.mean() == pytest.approx(1.0, abs=0.004)
    assert 1.0 / x.var() == pytest.approx(4.4, rel=0.02)
    for axis in (0, 1):
        assert lag(x, 1, axis) == pytest.approx(0.50, abs=0.015)
        assert lag(x, 2, axis) == pytest.approx(0.06, abs=0.015)


def test_speckle_tail_is_that_of_the_weighted_looks():
    weights = LOOK_WEIGHTS / LOOK_WEIGHTS.sum()
    oracle = (rng(1).standard_exponential((2_000_000, 5)) * weights).sum(axis=1)
    x = draw_speckle((1500, 1500), rng(2))
    for level in (2.5, 3.5):
        assert (x > level).mean() == pytest.approx((oracle > level).mean(), rel=0.12)


@pytest.mark.parametrize(("pixel_size_m", "count"), [(20.0, 2), (40.0, 4)])
def test_averaged_speckle_is_that_of_block_means(pixel_size_m, count):
    native = draw_speckle((1200, 1200), rng(3))
    blocks = native.reshape(1200 // count, count, -1, count).mean(axis=(1, 3))
    x = draw_speckle((600, 600), rng(4), pixel_size_m, averaged=True)
    assert 1.0 / x.var() == pytest.approx(1.0 / blocks.var(), rel=0.04)
    assert looks(pixel_size_m, averaged=True) == pytest.approx(1.0 / blocks.var(), rel=0.03)
    assert lag(x, 1, 0) == pytest.approx(lag(blocks, 1, 0), abs=0.02)


def test_sampled_speckle_loses_correlation_with_pixel_size():
    x = draw_speckle((800, 800), rng(5), 20.0)
    assert lag(x, 1, 1) == pytest.approx(np.exp(-(20.0**2) / (2 * 8.5**2)), abs=0.01)
    assert correlation(20.0, 20.0) == pytest.approx(0.063, abs=0.001)


# Geometry


@pytest.mark.parametrize(("incidence_deg", "seconds"), [(29, 50), (33, 58), (38, 69), (43, 82), (46, 90)])
def test_moving_ships_are_shifted_by_the_range_over_the_speed(incidence_deg, seconds):
    # R sin(theta) / V of Sentinel-1 by incidence, from annotation of real products.
    assert azimuth_shift_m(1.0, 0.0, incidence_deg) == pytest.approx(-seconds, rel=0.03)
    assert azimuth_shift_m(5.0, 90.0, incidence_deg) == pytest.approx(0.0, abs=1e-9)
    assert azimuth_shift_m(5.0, 180.0, incidence_deg) == pytest.approx(5 * seconds, rel=0.03)


@pytest.mark.parametrize(
    ("subswath", "incidence_deg", "nearest_m", "farthest_m"),
    [(0, 33.0, 5000, 5300), (1, 38.5, 4500, 4800), (2, 43.5, 5600, 5900)],
)
def test_ambiguities_lie_where_iw_has_them(subswath, incidence_deg, nearest_m, farthest_m):
    assert nearest_m <= ambiguity_m(incidence_deg, subswath) <= farthest_m
    assert ambiguity_m(incidence_deg, subswath, -2) == pytest.approx(-2 * ambiguity_m(incidence_deg, subswath))


def test_slant_range_closes_the_triangle():
    theta = np.radians(38.0)
    r = slant_range_m(38.0)
    height = np.sqrt(6371e3**2 + r**2 + 2 * 6371e3 * r * np.cos(theta)) - 6371e3
    assert height == pytest.approx(700e3, rel=1e-6)


def test_directions_are_clockwise_from_up_and_the_radar_looks_right():
    look = look_of(flight_deg=180.0)
    assert np.allclose(look.rowcol_step(100.0, 90.0), (0.0, 10.0))
    assert np.allclose(look.rowcol_step(100.0, 0.0), (-10.0, 0.0))
    assert look.look_deg == 270.0
    assert look.incidence_at(100, 0) > look.incidence_at(100, 199)  # descending in radar geometry: far range left
    along, across = look.along_across_px(150.0, 99.5)
    assert (along, across) == (pytest.approx(50.5), pytest.approx(0.0))


# Sea


@pytest.mark.parametrize("wind_m_s", [4.0, 10.0])
def test_sea_level_follows_the_wind_models(wind_m_s):
    look = look_of((512, 512))
    calm = {"swell_share": 0.0, "slick_db": 0.0, "front_db": 0.0, "rain": 0.0, "gusts": 0.0, "seam": False}
    drawn = draw_sea(rng(), "open_sea")
    sea = type(drawn)(**{**vars(drawn), **calm, "wind_m_s": wind_m_s, "nu": 400.0, "texture_m": 60.0})
    mean = mean_sea(look, sea, rng(1))
    wanted = cmod5n(wind_m_s, sea.wind_from_deg - 90.0, look.incidence_at(*np.mgrid[:512:32, :512:32])).mean()
    assert mean[0].mean() == pytest.approx(float(wanted), rel=0.03)
    assert mean[1].mean() == pytest.approx(float(vh_of_wind(wind_m_s)), rel=0.02)


def test_texture_is_gamma_of_its_order_and_length():
    look = look_of((1024, 1024))
    drawn = draw_sea(rng(), "open_sea")
    calm = {"swell_share": 0.0, "slick_db": 0.0, "front_db": 0.0, "rain": 0.0, "gusts": 0.0, "seam": False}
    settings = {**vars(drawn), **calm, "wind_m_s": 6.0, "nu": 5.0, "texture_m": 150.0, "wind_from_deg": 0.0}
    x = mean_sea(look, type(drawn)(**settings), rng(2))[0]
    x = x / x.mean(axis=0, keepdims=True).mean()
    assert x.var() == pytest.approx(1.0 / 5.0, rel=0.12)  # bilinear nodes smooth a little
    assert lag(x, 15, 0) == pytest.approx(np.exp(-1.0), abs=0.08)
    assert lag(x, 15, 1) == pytest.approx(np.exp(-4.0), abs=0.08)


def test_noise_stays_within_the_products_specification():
    for seed in range(20):
        sea = draw_sea(rng(seed), "seam")
        floor = 10 * np.log10(noise_floor(draw_look(rng(seed), (64, 64), None), sea, rng(seed)))
        assert floor.min() > -36.0
        assert floor.max() < -15.0
        assert np.median(floor) < -20.0


# Echoes


@pytest.mark.parametrize("pixel_size_m", [10.0, 20.0, 40.0])
def test_painted_echo_adds_up_to_the_cross_section_in_the_mean_over_places(pixel_size_m):
    look, sums = look_of((41, 41), pixel_size_m=pixel_size_m), []
    for down in np.arange(0.05, 1.0, 0.1):
        for right in np.arange(0.05, 1.0, 0.1):
            image = np.zeros((2, 41, 41), np.float32)
            place = np.array([20.0 + down]), np.array([20.0 + right])
            paint(image, look, Echo(rows=place[0], cols=place[1], rcs_m2=np.array([50.0]), vh_db=7.0), 1e9, rng())
            sums.append(image.sum(axis=(1, 2)) * pixel_size_m**2)
    assert np.mean(sums, axis=0) == pytest.approx([50.0, 50.0 * 10**-0.7], rel=0.01)


def test_painted_echo_peaks_at_its_place_and_tells_its_peak():
    image = np.zeros((2, 64, 64), np.float32)
    echo = Echo(rows=np.array([31.3]), cols=np.array([30.6]), rcs_m2=np.array([50.0]), vh_db=7.0)
    peaks = paint(image, look_of((64, 64)), echo, 1e9, rng())
    assert peaks == pytest.approx((image[0].max(), image[1].max()))
    assert np.unravel_index(image[0].argmax(), (64, 64)) == (31, 31)


def test_smear_widens_along_the_flight_only():
    image = np.zeros((2, 81, 81), np.float32)
    echo = Echo(rows=np.array([40.0]), cols=np.array([40.0]), rcs_m2=np.array([100.0]), vh_db=7.0, smear_m=30.0)
    paint(image, look_of((81, 81), flight_deg=90.0), echo, 1e9, rng())
    away = np.arange(81) - 40.0
    spread = [np.sqrt((image[0].sum(axis=axis) * away**2).sum() / image[0].sum()) for axis in (0, 1)]
    assert spread[0] == pytest.approx(np.hypot(0.85, 3.0) / np.sqrt(2.0), rel=0.03)  # intensity: amplitude / sqrt 2
    assert spread[1] == pytest.approx(0.85 / np.sqrt(2.0), rel=0.03)


def test_strong_echo_has_a_cross_that_falls_as_one_over_distance():
    image = np.zeros((2, 201, 201), np.float32)
    echo = Echo(rows=np.array([100.0]), cols=np.array([100.0]), rcs_m2=np.array([1e6]), vh_db=7.0)
    paint(image, look_of((201, 201)), echo, 0.01, rng())
    level = 10 * np.log10(image[0] / image[0].max() + 1e-12)
    near, far = level[100, 104:112].max(), level[100, 125:140].max()
    assert -27.0 < near < -15.0  # first sidelobes about -21 dB
    assert near - far == pytest.approx(20 * np.log10(26 / 5), abs=3.0)
    assert level[130, 130] < -80.0
    assert level[70, 100] == pytest.approx(level[100, 70], abs=0.5)


def test_rough_scatterers_add_up_to_their_cross_section():
    mean = np.zeros((2, 60, 60), np.float32)
    add_rough(mean, look_of((60, 60)), np.array([20.2, 40.0]), np.array([30.7, 11.0]), np.array([20.0, 30.0]), 10.0)
    assert mean[0].sum() * 100.0 == pytest.approx(50.0, rel=0.02)
    assert mean[1].sum() == pytest.approx(0.1 * mean[0].sum(), rel=1e-3)


@pytest.mark.parametrize(("length_m", "dbsm"), [(100.0, 35.7), (180.0, 41.7)])
def test_ships_echo_as_published(length_m, dbsm):
    # Vachon et al. 1997 without the incidence factor: 35.7 and 41.7 dBsm.
    look = look_of()
    total = [ship(look, rng(k), (100.0, 100.0), 0.0, length_m=length_m).echo.rcs_m2.sum() for k in range(400)]
    level = 10 * np.log10(total)
    assert level.mean() == pytest.approx(dbsm, abs=1.0)
    assert level.std() == pytest.approx(5.5, abs=0.7)


def test_lengths_are_those_of_xview3():
    drawn = [draw_length_m(generator) for generator in [rng(6)] for _ in range(4000)]
    assert np.quantile(drawn, LENGTH_AT[2:9]) == pytest.approx(np.array(LENGTH_M[2:9]), rel=0.08)


def test_moving_ship_is_painted_at_its_displaced_place():
    look = look_of(flight_deg=180.0)
    moving = ship(
        look, rng(), (100.0, 100.0), 270.0, length_m=80.0, speed_m_s=6.0
    )  # away from the radar, which flies down
    step_px = 6.0 * float(slant_range_m(38.5)) * np.sin(np.radians(38.5)) / 7590.0 / 10.0
    assert moving.row == pytest.approx(100.0 - step_px, rel=0.01)
    assert moving.col == pytest.approx(100.0)
    assert abs(moving.echo.rows - moving.row).max() < 2.0
    assert abs(moving.echo.cols - moving.col).max() < 4.5


def test_ghost_lies_along_the_flight_and_25_db_below():
    look = look_of(flight_deg=348.0, subswath=0, incidence_deg=33.0)
    source = ship(look, rng(), (100.0, 100.0), 30.0, length_m=200.0)
    ghosts = [ghost_of(look, rng(k), source, 1) for k in range(200)]
    step = np.array([ghosts[0].row - 100.0, ghosts[0].col - 100.0])
    assert np.hypot(*step) * 10.0 == pytest.approx(float(ambiguity_m(33.0, 0)), rel=0.01)
    assert np.degrees(np.arctan2(step[1], -step[0])) % 360.0 == pytest.approx(348.0, abs=0.1)
    below = [10 * np.log10(g.echo.rcs_m2.sum() / source.echo.rcs_m2.sum()) for g in ghosts]
    assert np.mean(below) == pytest.approx(-25.0, abs=1.0)


def test_rafted_ships_lie_side_by_side_without_overlap():
    look = look_of((400, 400))
    nothing = np.zeros((400, 400), bool)
    shore = Shore(land=nothing, flats=nothing)
    found = 0
    for seed in range(60):
        group = at_sea(look, rng(seed), shore, 1.0, crowd=1.0)
        for a, b in pairwise(group):
            if abs((a.axis_deg - b.axis_deg + 90.0) % 180.0 - 90.0) < 1e-6:
                beside = np.radians(a.axis_deg + 90.0)
                apart = abs((b.col - a.col) * np.sin(beside) - (b.row - a.row) * np.cos(beside)) * 10.0
                assert apart > 0.35 * (a.width_m + b.width_m)
                found += 1
    assert found > 10


# Chips


def test_chip_has_the_promised_form(chips):
    for chip in chips:
        assert chip.sigma0.shape == (2, 256, 256)
        assert chip.sigma0.dtype == np.float32
        assert chip.polarisations == ("VV", "VH")
        assert 10.0 <= chip.pixel_size_m <= 40.0
        assert chip.kind in KINDS
        assert chip.land.dtype == bool
        assert np.nanmin(chip.sigma0) > 0.0
        s = chip.ships
        assert all(len(column) == len(s) for column in vars(s).values())
        assert ((s.row > -0.5) & (s.row < 255.5) & (s.col > -0.5) & (s.col < 255.5)).all()
        assert ((s.axis_deg >= 0.0) & (s.axis_deg < 180.0)).all()
        assert set(s.kind.tolist()) <= {"vessel", "fixed_structure", "ghost"}
        assert (np.isnan(s.heading_deg) == ~s.direction_known).all()
        assert np.isnan(s.length_m[s.kind == "ghost"]).all()
        assert np.isfinite(s.length_m[s.kind != "ghost"]).all()
        assert s.ignore[s.snr_db < 3.0].all()


def test_known_headings_lie_along_the_axis(chips):
    known = [
        (s.heading_deg[k], s.axis_deg[k]) for s in (c.ships for c in chips) for k in np.flatnonzero(s.direction_known)
    ]
    assert known
    assert all(heading % 180.0 == pytest.approx(axis) for heading, axis in known)


def test_strong_ships_lie_on_the_brightest_region():
    near = []
    for seed in range(30):
        chip = vessel_chip(900 + seed, kind="open_sea", pixel_size_m=10.0)
        s = chip.ships
        for k in np.flatnonzero((s.kind == "vessel") & (s.snr_db > 20.0)):
            others = np.hypot(np.delete(s.row, k) - s.row[k], np.delete(s.col, k) - s.col[k])
            if (others < 60).any():
                continue
            r0, c0 = max(round(s.row[k]) - 25, 0), max(round(s.col[k]) - 25, 0)
            part = chip.sigma0[0, r0 : r0 + 51, c0 : c0 + 51]
            row, col = np.unravel_index(part.argmax(), part.shape)
            off_m = 10.0 * np.hypot(row + r0 - s.row[k], col + c0 - s.col[k])
            near.append(off_m < 0.62 * s.length_m[k] + 45.0)
    assert len(near) > 10
    assert np.mean(near) > 0.95


def test_weak_targets_are_those_nobody_sees():
    excess = {True: [], False: []}
    for seed in range(20):
        chip = vessel_chip(1500 + seed, kind="open_sea", pixel_size_m=10.0)
        s, db = chip.ships, 10 * np.log10(chip.sigma0[0])
        for k in np.flatnonzero(s.kind == "vessel"):
            row, col = round(s.row[k]), round(s.col[k])
            part = db[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
            excess[bool(s.ignore[k])].append(part.max() - np.median(db))
    assert np.median(excess[False]) > np.median(excess[True]) + 6.0


def test_moored_ships_lie_in_water_beside_land():
    beside, wet = [], []
    for seed in range(8):
        chip = vessel_chip(700 + seed, kind="harbour", pixel_size_m=10.0)
        s = chip.ships
        for k in np.flatnonzero((s.kind == "vessel") & (s.length_m > 0)):
            row, col = min(max(round(s.row[k]), 0), 255), min(max(round(s.col[k]), 0), 255)
            wet.append(not chip.land[row, col])
            beside.append(chip.land[max(row - 6, 0) : row + 7, max(col - 6, 0) : col + 7].any())
    assert np.mean(wet) > 0.9  # an echo displaced by motion may fall on land
    assert np.mean(beside) > 0.3


def test_land_is_brighter_than_the_sea_in_most_chips():
    brighter = []
    for seed in range(10):
        chip = vessel_chip(300 + seed, kind="coast", pixel_size_m=10.0)
        brighter.append(np.median(chip.sigma0[1][chip.land]) > np.median(chip.sigma0[1][~chip.land]))
    assert np.mean(brighter) > 0.9


def test_seams_have_no_data_as_nan_and_nothing_else_does(chips):
    seams = [vessel_chip(seed, kind="seam") for seed in range(8)]
    assert any(np.isnan(chip.sigma0).any() for chip in seams)
    for chip in seams:
        assert (np.isnan(chip.sigma0[0]) == np.isnan(chip.sigma0[1])).all()
        for row, col, ignore in zip(chip.ships.row, chip.ships.col, chip.ships.ignore, strict=True):
            assert ignore or np.isfinite(chip.sigma0[0, round(row), round(col)])
    assert all(np.isfinite(chip.sigma0).all() for chip in chips if chip.kind != "seam")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_can_be_asked_for(kind):
    chip = vessel_chip(5, kind=kind, shape_hw=(96, 128))
    assert chip.kind == kind
    assert chip.sigma0.shape == (2, 96, 128)
    assert chip.land.any() <= (kind in ("coast", "harbour", "tidal_flat"))


def test_same_seed_gives_the_same_bytes_and_other_seeds_share_nothing(chips):
    again = vessel_chip(7)
    assert again.sigma0.tobytes() == chips[7].sigma0.tobytes()
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(
        vars(again.ships).values(), vars(chips[7].ships).values(), strict=True
    ))  # fmt: skip
    a, b = (np.log(vessel_chip(seed, kind="open_sea", pixel_size_m=10.0).sigma0[0]) for seed in (41, 42))
    shared = np.fft.irfft2(np.fft.rfft2(a - a.mean()) * np.conj(np.fft.rfft2(b - b.mean())))
    assert abs(shared).max() / (a.std() * b.std() * a.size) < 0.2


def test_large_scene_holds_ships_in_proportion():
    scene = vessel_chip(3, shape_hw=(1024, 1024), pixel_size_m=10.0, kind="open_sea")
    assert 16 * 3.0 * 0.5 < (scene.ships.kind == "vessel").sum() < 16 * 3.0 * 2.5


@pytest.mark.parametrize(
    "settings",
    [{"seed": -1}, {"seed": 1, "shape_hw": (8, 200)}, {"seed": 1, "pixel_size_m": 5.0}, {"seed": 1, "kind": "space"}],
)
def test_impossible_chips_are_refused(settings):
    case = SimpleNamespace(**settings)
    with pytest.raises(ValueError, match="chip"):
        vessel_chip(**vars(case))
