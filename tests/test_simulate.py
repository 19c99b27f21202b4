"""The simulated season against formulas: speckle, sea, water colour, plumes, tracks, papers, truth."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from pyproj import Geod
from scipy import stats
from shapely import affinity
from shapely.geometry import MultiPolygon, box

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError, SourceError
from imagery.fetchers.base import SceneRef
from imagery.geometry import metres_per_degree, offset_m
from imagery.simulate import HAEJU, SimulatedSource, World
from imagery.simulate.clouds import cloud_layer, sun_angles_deg
from imagery.simulate.cmod import cmod5n
from imagery.simulate.fields import gamma_texture, gaussian_field, power_law_field, speckle, upsampled
from imagery.simulate.fleet import LENGTH_M, LENGTH_SHARE
from imagery.simulate.frame import seconds
from imagery.simulate.identity import MID_BY_TRADE, gross_tonnage, imo_number
from imagery.simulate.ocean import HIGHEST_TIDE_M, M2_S, Ocean
from imagery.simulate.plume import Grains, PlumeSource, puff_field, puffs_at, spread_m
from imagery.simulate.sar import sea_state
from imagery.simulate.sar_targets import Target, _paint
from imagery.simulate.watercolour import NATURAL_GRAINS, water_reflectance

START, END = datetime(2019, 4, 1, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)
SMALL = AreaOfInterest.from_bbox("part of the bay", 125.62, 37.75, 125.71, 37.82)
WGS84 = Geod(ellps="WGS84")
HOUR = timedelta(hours=1)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def world():
    return World(seed=3)


@pytest.fixture(scope="module")
def small():
    return SimulatedSource(area=SMALL, seed=5, start=START, end=END)


@pytest.fixture(scope="module")
def full():
    """The whole box and the first radar scene of it that shows a large ship well displaced, with truth."""
    source = SimulatedSource(seed=3, start=datetime(2019, 5, 1, tzinfo=UTC), end=END)
    for ref in scenes(source, "S1"):
        truth = source.truth(ref)
        shift = np.hypot(*offset_m(truth.lon, truth.lat, truth.apparent_lon, truth.apparent_lat))
        if ((shift > 180.0) & truth.visible & (truth.length_m > 60.0)).any():
            return source, source.fetch(ref), truth
    raise AssertionError("no such scene")


def scenes(source, label):
    return [ref for ref in source.search(source.area, source.start, source.end) if f"-{label}-" in ref.id]


# Fields


def test_speckle_has_unit_mean_and_the_looks_of_iw_grd():
    x = speckle((1500, 1500), rng())
    assert x.mean() == pytest.approx(1.0, abs=0.003)
    assert 1.0 / x.var() == pytest.approx(4.4, abs=0.06)


@pytest.mark.parametrize("axis", [0, 1])
def test_speckle_is_correlated_between_neighbours(axis):
    x = np.moveaxis(speckle((1200, 1200), rng(1)), axis, 0)
    d = x - x.mean()
    rho = [float((d[lag:] * d[:-lag]).mean() / d.var()) for lag in (1, 2, 4)]
    assert rho == pytest.approx([0.50, 0.06, 0.0], abs=0.012)


def test_speckle_of_one_look_pattern_does_not_depend_on_blocks():
    a, b = (speckle((77, 50), rng(2), block_rows=rows) for rows in (8, 64))
    np.testing.assert_array_equal(a, b)


def test_gaussian_field_falls_to_1_over_e_at_its_correlation_lengths():
    field = gaussian_field((1000, 1000), rng(3), along_px=12.0, across_px=6.0, angle_deg=90.0)
    assert field.var() == pytest.approx(1.0, abs=0.05)
    along, across = (field[:, 12:] * field[:, :-12]).mean(), (field[6:] * field[:-6]).mean()
    assert [along, across] == pytest.approx([np.exp(-1.0)] * 2, abs=0.03)


@pytest.mark.parametrize("nu", [3.0, 12.0])
def test_texture_has_gamma_moments(nu):
    x = gamma_texture(rng(4).standard_normal((1500, 1500)).astype(np.float32), nu).astype(float)
    assert x.mean() == pytest.approx(1.0, abs=0.003)
    assert x.var() == pytest.approx(1.0 / nu, rel=0.02)
    assert stats.skew(x.ravel()) == pytest.approx(2.0 / np.sqrt(nu), rel=0.04)


def test_clutter_is_k_distributed():
    nu, looks = 5.0, 4.4
    gaussian = gaussian_field((1500, 1500), rng(5), along_px=4.0)
    x = gamma_texture(gaussian, nu) * speckle((1500, 1500), rng(6))
    second = (1.0 + 1.0 / nu) * (1.0 + 1.0 / looks)
    assert (x**2).mean() / x.mean() ** 2 == pytest.approx(second, rel=0.02)


def test_power_law_field_has_its_slope():
    field = power_law_field((720, 720), rng(7), beta=3.2, longest_px=200.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(720), np.fft.fftfreq(720)))
    bins = np.geomspace(0.02, 0.3, 9)
    mean = [power[(f >= low) & (f < high)].mean() for low, high in pairwise(bins)]
    slope = np.polyfit(np.log(np.sqrt(bins[1:] * bins[:-1])), np.log(mean), 1)[0]
    assert slope == pytest.approx(-3.2, abs=0.1)


def test_upsampling_reproduces_a_plane():
    nodes = np.add.outer(np.arange(5) * 3.0, np.arange(4) * 7.0).astype(np.float32)
    full = upsampled(nodes, 4, (16, 13))
    np.testing.assert_allclose(full, np.add.outer(np.arange(16) * 0.75, np.arange(13) * 1.75), atol=1e-5)


# Sea and water


@pytest.mark.parametrize(
    ("incidence", "up", "cross"),
    [
        (31.0, (-19.0, -12.6, -9.1, -6.1), (-20.9, -14.9, -12.6, -10.5)),
        (39.0, (-23.5, -16.9, -12.6, -9.3), (-26.0, -20.2, -17.5, -14.4)),
        (46.0, (-25.8, -19.5, -14.7, -11.3), (-28.7, -23.5, -20.5, -16.7)),
    ],
)
def test_cmod5n_gives_the_published_values(incidence, up, cross):
    wind = np.array([2.0, 6.0, 10.0, 15.0])
    assert 10 * np.log10(cmod5n(wind, 0.0, incidence)) == pytest.approx(up, abs=0.06)
    assert 10 * np.log10(cmod5n(wind, 90.0, incidence)) == pytest.approx(cross, abs=0.06)


def test_dredged_and_natural_water_have_the_published_spectra():
    """Dredged sediment absorbs the same in all bands; at 100 g/m3 its water is bluer than natural muddy water."""
    dredged = Grains(absorption_m2_g=0.02, slope_per_nm=0.003, backscatter_m2_g=0.0105, backscatter_power=0.3)
    bands = ("b02", "b03", "b04", "b8a")
    found = [water_reflectance(b, [(100.0, dredged)]) for b in bands]
    assert found == pytest.approx([0.090, 0.105, 0.102, 0.025], abs=0.002)
    natural = [water_reflectance(b, [(100.0, NATURAL_GRAINS)]) for b in ("b02", "b04")]
    assert natural == pytest.approx([0.081, 0.172], abs=0.003)


def test_tide_has_its_period_springs_and_slack_at_high_water():
    ocean = Ocean(seed=1)
    t = 1.55e9 + np.arange(0.0, 29.53 * 86400.0, 60.0)
    level, current = ocean.level_m(t), ocean.along_current_m_s(t)
    assert np.abs(level).max() <= HIGHEST_TIDE_M
    high = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])) + 1
    assert np.diff(t[high]).mean() == pytest.approx(M2_S, rel=0.01)
    assert np.abs(current[high]).max() < 0.05 * np.abs(current).max()
    assert level[high].max() / level[high].min() == pytest.approx(3.2 / 1.4, rel=0.05)
    east, north = ocean.current_m_s(t)
    angle = np.radians(ocean.current_axis_deg)
    assert east * np.sin(angle) + north * np.cos(angle) == pytest.approx(current)


def test_sun_stands_where_it_must():
    zenith, azimuth = sun_angles_deg(datetime(2019, 6, 21, 3, 38, tzinfo=UTC), 125.7, 37.8)  # local solar noon
    assert zenith == pytest.approx(37.8 - 23.44, abs=0.5)
    assert azimuth == pytest.approx(180.0, abs=6.0)
    zenith, azimuth = sun_angles_deg(datetime(2019, 3, 20, 21, 45, tzinfo=UTC), 125.7, 37.8)  # sunrise at equinox
    assert (zenith, azimuth) == pytest.approx((90.0, 90.0), abs=2.0)


# Plumes

GREY = Grains(absorption_m2_g=0.02, slope_per_nm=0.003, backscatter_m2_g=0.01, backscatter_power=0.3)
T0 = 1.5577e9


def steady(rate_kg_s=3.0, settling_m_s=5e-4, hours=5.0, u=0.5):
    """A source at rest in a steady current to the east, and a frame in which a pixel is 10 m."""
    frame = SimpleNamespace(xy_m=lambda lon, lat: (np.asarray(lon), np.asarray(lat)))
    here = SimpleNamespace(
        frame=frame, at_seconds=lambda t: SimpleNamespace(lon=np.zeros_like(t), lat=np.zeros_like(t))
    )
    ocean = SimpleNamespace(
        current_m_s=lambda t: (np.full_like(t, u), np.zeros_like(t)),
        wind_m_s=lambda t: (np.zeros_like(t), np.zeros_like(t)),
    )
    source = PlumeSource(
        id="x", track=here, sessions_s=np.array([[T0 - hours * 3600.0, T0 + 60.0]]), rate_kg_s=rate_kg_s,
        settling_m_s=settling_m_s, depth_m=6.0, sigma0_m=15.0, diffusion_m2_s=0.0, grains=GREY,
    )  # fmt: skip
    return source, ocean


def plume_image(source, ocean):
    """Concentration on a 10 m grid whose row 100, column 20 is the source."""
    puffs = puffs_at(source, ocean, T0)
    rows, cols = 100.0 - puffs.y_m / 10.0, 20.0 + puffs.x_m / 10.0
    return puff_field((201, 700), rows, cols, puffs.sigma_m / 10.0, puffs.peak_g_m3)


def test_puffs_reach_the_steady_limit():
    """C = Q / (sqrt(2 pi) u h sigma) exp(-y^2 / 2 sigma^2) exp(-ws x / (u h)), within 2 %."""
    source, ocean = steady()
    image = plume_image(source, ocean)
    x, y = np.array([200.0, 500.0, 1000.0, 3000.0]), np.array([0.0, 20.0])
    sigma = spread_m(x / 0.5, 15.0, 0.0)[:, None]
    expected = 3000.0 / (np.sqrt(2 * np.pi) * 0.5 * 6.0 * sigma) * np.exp(-(y**2) / (2 * sigma**2))
    expected = expected * np.exp(-5e-4 * x / (0.5 * 6.0))[:, None]
    found = np.stack([image[100, 20 + (x / 10).astype(int)], image[98, 20 + (x / 10).astype(int)]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    # 26, 21 and 10 g/m3 at .2, 1 and 3 km is what an independent prototype gave.
    assert found[[0, 2, 3], 0] == pytest.approx([26.0, 21.0, 10.0], rel=0.06)


def test_plume_holds_the_mass_that_was_spilled():
    source, ocean = steady(rate_kg_s=2.0, settling_m_s=0.0, hours=1.0)
    mass_g = float(plume_image(source, ocean).sum(dtype=float)) * 100.0 * 6.0
    assert mass_g == pytest.approx(2000.0 * 3600.0, rel=0.005)


def test_idle_dredger_spills_nothing():
    source, ocean = steady(hours=-1.0)
    assert puffs_at(source, ocean, T0).x_m.size == 0


# Coast and vessels


@pytest.mark.parametrize("seed", range(3))
def test_land_covers_a_tenth_to_a_fifth_and_the_flats_lie_beside_it(seed):
    world = World(seed=seed)
    area = HAEJU.polygon
    share = world.land.intersection(area).area / area.area
    assert 0.09 <= share <= 0.21
    flats = world.intertidal()
    assert 0.03 <= flats.intersection(area).area / area.area <= 0.11
    assert flats.intersection(world.land).area < 1e-9
    times = START + np.arange(0, 13, 3) * HOUR
    levels = world.ocean.level_m([seconds(t) for t in times])
    dry = [world.intertidal(t).area for t in times]
    assert np.all(np.diff(np.array(dry)[np.argsort(levels)]) <= 1e-12)  # the higher the sea, the less lies dry


def all_vessels(world, days=2):
    return world.vessels(datetime(2019, 5, 10, tzinfo=UTC), datetime(2019, 5, 10, tzinfo=UTC) + timedelta(days=days))


def test_speed_and_course_are_the_derivative_of_the_place(world):
    """On the ellipsoid's geodesic, by central differences over two seconds."""
    for vessel in all_vessels(world, 1):
        t = rng(1).uniform(vessel.track.arrival_s + 2, vessel.track.departure_s - 2, 40)
        now, before, after = (vessel.track.at_seconds(t + d) for d in (0.0, -1.0, 1.0))
        azimuth, _, distance = WGS84.inv(before.lon, before.lat, after.lon, after.lat)
        turn = np.radians(azimuth - now.course_deg)
        assert np.hypot(distance / 2 * np.cos(turn) - now.speed_m_s, distance / 2 * np.sin(turn)).max() < 2e-3


def test_vessels_move_like_ships(world):
    for vessel in all_vessels(world):
        t = np.arange(vessel.track.arrival_s, vessel.track.departure_s, 30.0)
        state = vessel.track.at_seconds(t)
        course = np.radians(state.course_deg)
        velocity = state.speed_m_s * np.exp(1j * course)
        assert state.speed_m_s.max() < 12.0, vessel.id
        assert np.abs(np.diff(velocity)).max() / 30.0 < 0.03, vessel.id  # m/s2
        assert np.abs((np.diff(state.heading_deg) + 180) % 360 - 180).max() / 30.0 < 1.0, vessel.id  # degrees per s
        fast = state.speed_m_s > 2.0
        drift = np.abs((state.heading_deg - state.course_deg + 180) % 360 - 180)[fast]
        assert drift.max(initial=0.0) < 15.0, vessel.id


def test_vessels_are_there_from_arrival_to_departure(world):
    for vessel in all_vessels(world)[::9]:
        at = np.array([vessel.track.arrival_s - 1, vessel.track.arrival_s, vessel.track.departure_s])
        assert np.isfinite(vessel.track.at_seconds(at).lon).tolist() == [False, True, False]


def test_track_takes_datetimes_and_datetime64(world):
    vessel = world.present(START)[0]
    one, many = vessel.track.at(START), vessel.track.at(np.array(["2019-04-01T00:00:00"], "datetime64[us]"))
    assert float(one.lon) == many.lon[0]
    with pytest.raises(ValueError, match="zone"):
        vessel.track.at(datetime(2019, 4, 1))


@pytest.mark.parametrize("seed", [0, 3])
def test_vessels_never_touch_land(seed):
    world = World(seed=seed)
    land = world.land
    shapely.prepare(land)
    for vessel in all_vessels(world):
        state = vessel.track.at_seconds(np.arange(vessel.track.arrival_s, vessel.track.departure_s, 240.0))
        assert not shapely.contains_xy(land, state.lon, state.lat).any(), vessel.id


def test_anchored_ships_swing_with_the_tide(world):
    vessel = next(v for v in all_vessels(world) if v.group.startswith("anchored"))
    arrival, departure = vessel.track.arrival_s, vessel.track.departure_s
    t = np.linspace(arrival, departure, 2000)
    state = vessel.track.at_seconds(t[:-1])
    still = state.speed_m_s < 0.3
    east, north = offset_m(np.median(state.lon[still]), np.median(state.lat[still]), state.lon[still], state.lat[still])
    assert 15.0 < np.hypot(east, north).max() < 250.0
    flood = world.ocean.along_current_m_s(t[:-1])[still]
    axis = world.ocean.current_axis_deg
    lined_up = np.cos(np.radians(state.heading_deg[still] - axis)) * -np.sign(flood)
    assert np.mean(lined_up[np.abs(flood) > 0.3] > 0.8) > 0.9  # bow into the stream


def visible_lengths(world, every_days=17):
    lengths = []
    for day in range(0, 60, every_days):
        time = START + timedelta(days=day, hours=9.6)
        at = [(v, v.track.at(time)) for v in world.present(time)]
        lengths.append([v.length_m for v, s in at if HAEJU.contains(s.lon, s.lat)])
    return lengths


def test_lengths_are_mixed_as_in_xview3(world):
    per_scene = [n for seed in (1, 2) for n in visible_lengths(World(seed=seed))] + visible_lengths(world)
    found = np.quantile(np.concatenate(per_scene), [0.05, 0.25, 0.5, 0.75, 0.95])
    assert found == pytest.approx([14.0, 22.0, 41.0, 90.0, 179.0], rel=0.2)
    large = [int((np.array(lengths) >= 50.0).sum()) for lengths in per_scene]
    assert min(large) >= 10
    assert max(large) <= 32
    assert LENGTH_SHARE[1:-1] == (0.05, 0.25, 0.5, 0.75, 0.95)
    assert LENGTH_M[1:-1] == (14.0, 22.0, 41.0, 90.0, 179.0)


def hull(vessel, state):
    """The hull as a rectangle in metres."""
    lon_m, lat_m = metres_per_degree(37.83)
    half = box(-vessel.width_m / 2, -vessel.length_m / 2, vessel.width_m / 2, vessel.length_m / 2)
    turned = affinity.rotate(half, -float(state.heading_deg), origin=(0, 0))
    return affinity.translate(turned, float(state.lon) * lon_m, float(state.lat) * lat_m)


def test_rafts_lie_side_by_side(world):
    time = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    groups = {}
    for vessel in world.present(time):
        if vessel.group.startswith("raft"):
            groups.setdefault(vessel.group, []).append(vessel)
    assert len(groups) >= 2
    for vessels in groups.values():
        states = [v.track.at(time) for v in vessels]
        kinds = [v.kind for v in vessels]
        assert kinds[0] == "dredger"
        assert set(kinds[1:]) == {"barge"}
        for vessel, state in zip(vessels[1:], states[1:], strict=True):
            assert np.cos(np.radians(state.heading_deg - states[0].heading_deg)) > 0.999
            assert 0.0 < hull(vessels[0], states[0]).distance(hull(vessel, state)) < 30.0


def test_some_ships_lie_within_150_m_of_another(world):
    time = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    at = [(v, v.track.at(time)) for v in world.present(time)]
    loose = [(v, s) for v, s in at if not v.group.startswith("raft")]
    near = 0
    for i, (_, a) in enumerate(loose):
        near += sum(np.hypot(*offset_m(a.lon, a.lat, b.lon, b.lat)) < 150.0 for _, b in loose[:i])
    assert near >= 1


def test_ships_carry_papers_as_real_ones_do(world):
    assert imo_number(907472) == 9074729  # a known valid number
    ships = [ship for group in world.fleet for ship in group.ships]
    mids = {mid for mids in MID_BY_TRADE.values() for mid in mids}
    assert len({ship.mmsi for ship in ships}) == len(ships)
    for ship in ships:
        assert 200_000_000 <= ship.mmsi <= 799_999_999
        assert ship.mmsi // 1_000_000 in mids
        assert (ship.imo is None) == (gross_tonnage(ship.length_m, ship.width_m) < 300.0)
        assert len(ship.name) <= 20
        assert ship.name == ship.name.upper()
        if ship.imo is not None:
            digits = [int(d) for d in str(ship.imo)]
            assert len(digits) == 7
            assert sum(d * w for d, w in zip(digits, range(7, 1, -1), strict=False)) % 10 == digits[6]
    assert any(ship.imo is None for ship in ships)
    assert any(ship.imo is not None for ship in ships)


def test_no_ship_is_in_two_places(world):
    spans = {}
    for vessel in world.vessels(START, START + timedelta(days=5)):
        spans.setdefault(vessel.mmsi, []).append((vessel.track.arrival_s, vessel.track.departure_s))
    assert max(len(s) for s in spans.values()) > 3
    for visits in spans.values():
        visits.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(visits))


def test_world_is_the_same_however_it_is_asked(world):
    time = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    fresh = World(seed=3)
    fresh.vessels(END, END + HOUR)  # asked for something else first
    one, other = world.present(time), fresh.present(time)
    assert [v.id for v in one] == [v.id for v in other]
    assert [v.ship for v in one] == [v.ship for v in other]
    assert [float(v.track.at(time).lon) for v in one] == [float(v.track.at(time).lon) for v in other]
    wide = {v.id for v in world.vessels(time - 30 * HOUR, time + 30 * HOUR)}
    assert {v.id for v in one} <= wide
    assert [v.mmsi for v in World(seed=4).present(time)] != [v.mmsi for v in one]


def test_dredging_can_begin_on_a_day():
    quiet = World(seed=3, dredging_from=datetime(2019, 5, 12, tzinfo=UTC))
    assert not quiet.plume_sources(datetime(2019, 5, 10, tzinfo=UTC))
    assert quiet.plume_sources(datetime(2019, 5, 25, tzinfo=UTC))
    assert not any(v.kind == "dredger" for v in World(seed=3).present(datetime(2019, 1, 10, tzinfo=UTC)))  # winter


# Scenes


def test_search_is_half_open_and_ordered(small):
    refs = small.search(SMALL, START, END)
    assert [(r.time, r.id) for r in refs] == sorted((r.time, r.id) for r in refs)
    assert {r.sensor_name for r in refs} == {"sentinel-1-iw-grd", "sentinel-2"}
    ascending = "SIM-S1-20190512T093800Z"
    time = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    assert ascending in {r.id for r in refs}
    assert [r.id for r in small.search(SMALL, time, time + HOUR)] == [ascending]
    assert small.search(SMALL, time - HOUR, time) == []
    assert small.search(SMALL, END, END + 400 * HOUR) == []
    assert small.search(AreaOfInterest.from_bbox("elsewhere", 10.0, 50.0, 10.1, 50.1), START, END) == []
    per_sensor = [np.diff([r.time for r in refs if r.id[:6] == p]) for p in ("SIM-S2",)]
    assert set(per_sensor[0]) == {timedelta(days=5)}


def test_unknown_scene_is_refused(small):
    ref = scenes(small, "S1")[0]
    wrong = SceneRef(id=ref.id + "x", sensor_name=ref.sensor_name, time=ref.time, footprint=MultiPolygon())
    with pytest.raises(SourceError, match="no scene"):
        small.fetch(wrong)
    late = SceneRef(id=ref.id, sensor_name=ref.sensor_name, time=END, footprint=MultiPolygon())
    with pytest.raises(SourceError, match="no scene"):
        small.truth(late)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="start < end"):
        SimulatedSource(start=END, end=START)
    with pytest.raises(ValueError, match=">= 0"):
        World(seed=-1)
    with pytest.raises(AreaError, match="smaller"):
        World(area=AreaOfInterest.from_bbox("sea", 120.0, 30.0, 125.0, 35.0))


@pytest.mark.parametrize("label", ["S1", "S2"])
def test_same_seed_gives_the_same_bytes_in_any_order(small, label):
    first, second = scenes(small, label)[:2]
    a = small.fetch(first).read()
    again = SimulatedSource(area=SMALL, seed=5, start=START - 24 * HOUR, end=END)
    again.fetch(second)
    b = again.fetch(first).read()
    assert a.data.tobytes() == b.data.tobytes()
    assert a.valid.tobytes() == b.valid.tobytes()
    other = SimulatedSource(area=SMALL, seed=6, start=START, end=END).fetch(first).read()
    assert a.data.tobytes() != other.data.tobytes()


@pytest.mark.parametrize("label", ["S1", "S2"])
def test_scenes_say_what_they_are(small, label):
    ref = scenes(small, label)[0]
    scene = small.fetch(ref)
    assert scene.id == ref.id
    assert scene.time == ref.time
    assert scene.unit == ("sigma0" if label == "S1" else "reflectance")
    assert scene.bands == (("vv", "vh") if label == "S1" else ("b02", "b03", "b04", "b08", "b11"))
    assert scene.provenance.source == "simulated"
    assert "seed 5" in scene.provenance.ids[0]
    assert scene.provenance.notes == ("simulated, not an observation",)
    pixels = scene.read()
    assert pixels.data.dtype == np.float32
    assert np.array_equal(np.isfinite(pixels.data), pixels.valid)
    west, south, east, north = SMALL.bounds
    rows, cols = scene.geometry.rowcol([west, east, west, east], [south, south, north, north])
    assert rows.min() > -1.0
    assert cols.min() > -1.0
    assert rows.max() < scene.shape_hw[0]
    assert cols.max() < scene.shape_hw[1]


def test_some_scenes_end_within_the_area(small):
    shares = [small.view(ref).valid.mean() for ref in scenes(small, "S1")]
    assert min(shares) < 0.99
    assert np.median(shares) == 1.0


def test_acquisition_is_a_pass_over_a_sphere(small):
    scene = small.fetch(scenes(small, "S1")[0])
    height, width = scene.shape_hw
    sample = scene.acquisition.at(np.array([0.0, height / 2, height - 1.0]), np.array([0.0, width / 2, width - 1.0]))
    view = small.view(scenes(small, "S1")[0])
    radius, altitude = 6_371_000.0, view.orbit.altitude_m
    # Law of cosines in the triangle Earth's centre, satellite, place.
    slant_m, incidence = sample.slant_range_m, np.radians(sample.incidence_deg)
    side = np.sqrt(radius**2 + slant_m**2 + 2 * radius * slant_m * np.cos(incidence))
    assert side == pytest.approx(radius + altitude, rel=1e-9)
    assert sample.incidence_deg[1] == pytest.approx(view.orbit.incidence_deg, abs=0.01)
    span_s = abs((sample.time[2] - sample.time[0]) / np.timedelta64(1, "s"))
    turn = np.radians(view.orbit.heading_deg - 1.63)  # grid north is (125.66 - 123) sin(37.8) east of true
    along_m = 10.0 * ((width - 1) * np.sin(turn) - (height - 1) * np.cos(turn))
    assert span_s == pytest.approx(abs(along_m) / (7590.0 * radius / (radius + altitude)), rel=0.01)
    assert "simulated" in sample.source


def test_moving_ships_are_displaced_as_doppler_has_it(full):
    """Against -(R / V) v sin(incidence) along the flight, v the speed away from the radar."""
    _, scene, truth = full
    rows, cols = scene.geometry.rowcol(truth.lon, truth.lat)
    sample = scene.acquisition.at(rows, cols)
    away = truth.speed_m_s * np.cos(np.radians(truth.course_deg - sample.look_azimuth_deg))
    shift = -sample.slant_range_m / 7590.0 * away * np.sin(np.radians(sample.incidence_deg))
    azimuth, _, distance = WGS84.inv(truth.lon, truth.lat, truth.apparent_lon, truth.apparent_lat)
    along = distance * np.cos(np.radians(azimuth - sample.heading_deg))
    across = distance * np.sin(np.radians(azimuth - sample.heading_deg))
    assert along == pytest.approx(shift, rel=2e-3, abs=0.02)
    assert np.abs(across).max() < 0.5
    assert np.abs(shift).max() > 150.0  # some do go across the track
    seen = scene.acquisition.at(rows, cols).time
    assert np.abs((seen - seen.astype("datetime64[us]").min()) / np.timedelta64(1, "s")).max() < 6.0
    np.testing.assert_allclose(truth.time_s, seen.astype("int64") / 1e6, atol=1e-3)


def test_image_shows_ships_at_their_apparent_place(full):
    _, scene, truth = full
    data = scene.read().data[1]
    rows, cols = scene.geometry.rowcol(truth.apparent_lon, truth.apparent_lat)
    true_rows, true_cols = scene.geometry.rowcol(truth.lon, truth.lat)
    large = truth.visible & (truth.length_m >= 60.0)
    moved = large & (np.hypot(rows - true_rows, cols - true_cols) > 15.0)
    assert moved.sum() >= 1

    def brightest(row, col):
        r, c = round(float(row)), round(float(col))
        return float(data[max(r - 4, 0) : r + 5, max(c - 4, 0) : c + 5].max())

    sea = float(np.median(data[truth_sea(scene, full[0])]))
    found = [brightest(r, c) / sea for r, c in zip(rows[large], cols[large], strict=True)]
    assert np.mean(np.array(found) > 10.0) > 0.9
    empty = [brightest(r, c) / sea for r, c in zip(true_rows[moved], true_cols[moved], strict=True)]
    assert np.median(empty) < 6.0


def truth_sea(scene, source):
    """Pixels of open water, far from shore, ships and structures."""
    view = source.view(scene)
    ground = view.ground
    sea = (ground.height_m < -12.0) & ~ground.land & view.valid
    truth = source.truth(scene)
    lon = np.concatenate([truth.apparent_lon, [s.lon for s in truth.structures]])
    lat = np.concatenate([truth.apparent_lat, [s.lat for s in truth.structures]])
    for row, col in np.column_stack(scene.geometry.rowcol(lon, lat)).astype(int):
        sea[max(row - 40, 0) : max(row + 40, 0), max(col - 40, 0) : max(col + 40, 0)] = False
    return sea


def test_sea_has_the_looks_the_noise_floor_and_the_wind_of_the_scene(full):
    source, scene, _ = full
    sea = truth_sea(scene, source)
    assert sea.mean() > 0.2
    vv, vh = (band.astype(float) for band in scene.read().data)
    state = sea_state(source.view(scene))
    # VH is mostly noise floor, which has no texture: a homogeneous patch, apart from a slow trend.
    local = vh[sea]
    rows = np.nonzero(sea)[0]
    strips = [slice(k, k + 60) for k in range(0, vh.shape[0], 60) if sea[k : k + 60].any()]
    trend = np.array([vh[strip][sea[strip]].mean() for strip in strips])
    assert trend.std() / trend.mean() < 0.1
    assert 1.0 / (local / local.mean()).var() == pytest.approx(4.4, abs=0.3)
    assert rows.size > 1e6
    angle = state.wind_from_deg - (source.view(scene).orbit.heading_deg + 90.0)
    model = float(cmod5n(state.wind_m_s, angle, source.view(scene).orbit.incidence_deg)) + 10**-2.75
    assert 10 * np.log10(vv[sea].mean()) == pytest.approx(10 * np.log10(model), abs=1.0)
    # Texture adds to the variance of VV what its shape says: (1 + 1/nu)(1 + 1/L) before the noise floor dilutes it.
    excess = (vv[sea].var() / vv[sea].mean() ** 2 + 1.0) / (1.0 + 1.0 / 4.4) - 1.0
    assert 0.3 / state.nu < excess < 2.5 / state.nu + 0.05


def test_painted_echo_adds_up_to_the_cross_section():
    """Sum of sigma0 times pixel area = radar cross-section, in the mean over looks' phases."""
    target = Target(rows=20 + np.arange(5) * 0.7, cols=20 - np.arange(5) * 0.4, rcs_m2=np.full(5, 200.0), vh_db=8.0)
    sums = []
    for seed in range(300):
        image = np.zeros((2, 40, 40), np.float32)
        _paint(image, target, rng(seed))
        sums.append(image.sum(axis=(1, 2)) * 100.0)
    vv, vh = np.mean(sums, axis=0)
    assert vv == pytest.approx(1000.0, rel=0.06)
    assert vh == pytest.approx(1000.0 * 10**-0.8, rel=0.06)


def test_structures_stay(small):
    first, last = scenes(small, "S1")[0], scenes(small, "S1")[-1]
    a, b = small.truth(first).structures, small.truth(last).structures
    assert a == b
    assert {s.kind for s in a} == {"stakes", "beacon", "platform"}
    assert not any(small.land.contains(shapely.Point(s.lon, s.lat)) for s in a)


def test_truth_sees_what_the_image_can_show(small):
    for ref in scenes(small, "S2")[:6]:
        view, truth = small.view(ref), small.truth(ref)
        clouds = cloud_layer(view)
        rows, cols = (np.rint(v).astype(int) for v in view.grid.rowcol(truth.apparent_lon, truth.apparent_lat))
        at = rows[truth.visible], cols[truth.visible]
        assert view.valid[at].all()
        assert not view.ground.land[at].any()
        assert (clouds.opacity[at] < 0.5).all()
        assert SMALL.contains(truth.apparent_lon[truth.visible], truth.apparent_lat[truth.visible]).all()
        np.testing.assert_array_equal(truth.lon, truth.apparent_lon)  # no Doppler in an optical image


def test_clouds_are_white_in_every_band_and_differ_by_date(small):
    fractions = []
    for ref in scenes(small, "S2"):
        view = small.view(ref)
        clouds = cloud_layer(view)
        fractions.append(clouds.fraction)
        if 0.4 < clouds.fraction < 0.9 and (clouds.opacity > 0.95).mean() > 0.02:
            data = small.fetch(ref).read().data
            thick = (clouds.opacity > 0.95) & view.valid
            assert np.nanmin(np.median(data[:, thick], axis=1)) > 0.25
    assert min(fractions) < 0.05
    assert max(fractions) > 0.4


def test_plume_shows_where_the_dredger_spills_and_nowhere_else():
    """The same world without dredging differs within the plumes, the rafts and their shadows only."""
    start = datetime(2019, 5, 1, tzinfo=UTC)
    busy = SimulatedSource(area=SMALL, seed=5, start=start, end=END)
    quiet = SimulatedSource(area=SMALL, seed=5, start=start, end=END, dredging_from=END)
    ref = next(r for r in scenes(busy, "S2") if (busy.plume_excess_g_m3(r) > 20.0).sum() > 100)
    view, truth = busy.view(ref), busy.truth(ref)
    excess = busy.plume_excess_g_m3(ref)
    clear = (cloud_layer(view).opacity < 0.01) & view.valid
    change = busy.fetch(ref).read().data - quiet.fetch(ref).read().data
    rows, cols = view.grid.rowcol(truth.lon, truth.lat)
    rafts = np.zeros(clear.shape, bool)
    for vessel, row, col in zip(truth.vessels, rows, cols, strict=True):
        if vessel.group.startswith("raft"):
            r, c = max(int(row), 0), max(int(col), 0)
            rafts[max(r - 30, 0) : r + 30, max(c - 30, 0) : c + 30] = True
    assert np.median(change[2][(excess > 20.0) & clear & ~rafts]) > 0.01
    assert np.nanmax(np.abs(change[:, (excess == 0.0) & ~rafts])) == 0.0
    # Dredged sediment absorbs evenly: it reddens less than natural mud of the same mass would.
    assert np.median(change[0][(excess > 20.0) & clear & ~rafts]) > 0.0
    assert quiet.plume_excess_g_m3(ref).max() == 0.0


def test_works_across_the_antimeridian_and_in_the_south():
    area = AreaOfInterest.from_bbox("Taveuni, simulated", 179.97, -16.97, -179.97, -16.91)
    source = SimulatedSource(area=area, seed=1, start=START, end=START + timedelta(days=13))
    ref = scenes(source, "S1")[0]
    scene, truth = source.fetch(ref), source.truth(ref)
    assert scene.shape_hw[1] == pytest.approx(0.06 * float(metres_per_degree(-16.94)[0]) / 10.0, abs=12)
    assert truth.visible.sum() >= 2
    assert (truth.lon > 0).any() or (truth.lon < 0).any()
    assert -180.0 <= source.land.bounds[0] < source.land.bounds[2] <= 180.0
    rows, cols = scene.geometry.rowcol(truth.apparent_lon[truth.visible], truth.apparent_lat[truth.visible])
    assert (rows.min() > -1) & (rows.max() < scene.shape_hw[0])
    assert (cols.min() > -1) & (cols.max() < scene.shape_hw[1])
