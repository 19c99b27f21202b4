"""Tracks: split where one ship cannot be two, placed on the curve they sailed, as sure as they should be."""

import time
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from imagery.geometry import moved, offset_m
from offing.ais.placing import (
    MAX_DEAD_RECKONING_S,
    Q_PRIOR_M2_S3,
    Q_STILL_M2_S3,
    SWING_M,
    TIME_SIGMA_S,
    place,
)
from offing.ais.reader import read_marinecadastre
from offing.ais.schema import SCHEMA, AisData
from offing.ais.tracks import GPS_SIGMA_M, KN_M_S, SPEED_SIGMA_M_S, build_tracks

T0 = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
T0_US = int(T0.timestamp()) * 1_000_000
LON, LAT = 125.7, 37.8


def table(**columns):
    """AIS reports from columns; seconds after T0 as ``s``, metres from (LON, LAT) as ``east`` and ``north``."""
    n = max(np.size(value) for value in columns.values())
    full = {name: np.broadcast_to(np.asarray(value), n) for name, value in columns.items()}
    lon, lat = moved(LON, LAT, full.pop("east", np.zeros(n)), full.pop("north", np.zeros(n)))
    t = T0_US + np.round(np.asarray(full.pop("s"), float) * 1e6).astype(np.int64)
    full = {"mmsi": np.full(n, 441000001), "lon": lon, "lat": lat, "source": np.full(n, "test"), **full}
    frame = pl.DataFrame({name: np.array(value) for name, value in full.items()}, nan_to_null=True)
    frame = frame.with_columns(pl.Series("t", t).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    empty = [pl.lit(None).alias(name) for name in SCHEMA if name not in frame.columns]
    return AisData(reports=frame.with_columns(empty).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()))


def velocity(v_east, v_north):
    """Speed in knots and course in degrees, as reports have them, not rounded."""
    return {"sog_kn": np.hypot(v_east, v_north) / KN_M_S, "cog_deg": np.degrees(np.arctan2(v_east, v_north)) % 360.0}


def at(data, seconds, segments=None):
    tracks = build_tracks(data)
    seconds = np.atleast_1d(np.asarray(seconds, float))
    segments = np.zeros(len(seconds), np.int64) if segments is None else segments
    return place(tracks, segments, T0_US + np.round(seconds * 1e6).astype(np.int64))


# ------------------------------------------------------------------------------------------ segments


@pytest.mark.parametrize(("gap_h", "segments"), [(7.99, 1), (8.01, 2)])
def test_a_long_pause_splits(gap_h, segments):
    tracks = build_tracks(table(s=[0, 60, 60 + gap_h * 3600], east=[0, 10, 20], sog_kn=0.1))
    assert len(tracks) == segments
    assert tracks.segment.tolist() == list(range(segments))


@pytest.mark.parametrize(("knots", "segments"), [(59.0, 1), (61.0, 2)])
def test_an_impossible_speed_splits(knots, segments):
    east = knots * KN_M_S * 600.0
    assert len(build_tracks(table(s=[0, 600, 1200], east=[0, east, east], sog_kn=5.0))) == segments


@pytest.mark.parametrize(("jump_m", "segments"), [(990.0, 1), (1010.0, 2)])
def test_a_short_step_is_no_jump_however_fast(jump_m, segments):
    assert len(build_tracks(table(s=[0, 1], east=[0, jump_m], sog_kn=5.0))) == segments


def two_ships(apart_m, reports, every_s=60.0):
    """One MMSI, reports in turn from two ships that sail side by side."""
    s = np.arange(reports) * every_s
    return table(s=s, east=5.0 * s, north=np.where(np.arange(reports) % 2, apart_m, 0.0), **velocity(5.0, 0.0))


def test_two_ships_with_one_mmsi_come_apart():
    tracks = build_tracks(two_ships(30_000.0, 20))
    assert (len(tracks), tracks.mmsi.tolist(), tracks.segment.tolist()) == (2, [441000001] * 2, [0, 1])
    assert np.diff(tracks.start).tolist() == [10, 10]
    for segment in (0, 1):
        rows = slice(*tracks.start[segment : segment + 2])
        north = offset_m(LON, LAT, tracks.lon[rows], tracks.lat[rows])[1]
        np.testing.assert_allclose(north, 30_000.0 * segment, atol=40.0)
        assert np.all(np.diff(tracks.time_us[rows]) == 120_000_000)
    assert tracks.two_places.all()


@pytest.mark.parametrize(
    ("data", "twice"),
    [
        (two_ships(30_000.0, 4), True),  # three times to and fro
        (two_ships(5_000.0, 20), True),  # nearer by, but for long
        (two_ships(5_000.0, 8), False),  # nearer by and briefly
        (two_ships(900.0, 40), False),  # no jump at all
        (table(s=[0, 60, 120, 180, 240], north=[0, 0, 50_000, 0, 0], sog_kn=3.0), False),  # one stray report
        (table(s=[0, 60, 120, 180], north=[0, 0, 50_000, 50_000], sog_kn=3.0), False),  # gone there, not in two places
    ],
)
def test_two_places_at_once(data, twice):
    assert build_tracks(data).two_places.any() == twice


def test_ships_do_not_mix_and_their_order_does_not_matter():
    rng = np.random.default_rng(0)
    n = 300
    mmsi = rng.integers(441000000, 441000020, n)
    data = table(
        mmsi=mmsi, s=rng.uniform(0, 7200, n), east=rng.uniform(0, 100, n), sog_kn=rng.uniform(0, 1, n), cog_deg=9.0
    )
    shuffled = AisData(reports=data.reports.sample(fraction=1.0, shuffle=True, seed=1))
    one, other = build_tracks(data), build_tracks(shuffled)
    for name in ("time_us", "lon", "lat", "start", "mmsi", "sog_kn", "innovation_sum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.mmsi.tolist() == sorted(set(mmsi.tolist()))
    owner = np.repeat(one.mmsi, np.diff(one.start))
    np.testing.assert_array_equal(owner, data.reports["mmsi"].to_numpy())


def test_last_known_static_values_hold():
    data = table(
        s=[0, 60, 120], name=["OLD", "NEW", None], length_m=[np.nan, 90.0, np.nan], imo=[9074729, 0, 0], sog_kn=1.0
    )
    data = AisData(reports=data.reports.with_columns(pl.col("imo").replace(0, None)))
    tracks = build_tracks(data)
    assert (tracks.name.tolist(), tracks.length_m.tolist(), tracks.imo.tolist()) == (["NEW"], [90.0], [9074729])


def test_no_reports_no_tracks():
    tracks = build_tracks(AisData.empty())
    assert len(tracks) == 0
    assert len(place(tracks, np.empty(0, np.int64), np.empty(0, np.int64)).lon) == 0


def test_more_than_a_season_at_once_is_refused():
    with pytest.raises(ValueError, match="200 days"):
        build_tracks(table(s=[0, 201 * 86400.0], sog_kn=1.0))


# ------------------------------------------------------------------------------------------ places


def test_hermite_is_exact_on_cubic_motion():
    def cubic(t):
        t = np.asarray(t, float) / 600.0
        return 3000 * t - 1500 * t**2 + 700 * t**3, 1000 * t + 900 * t**2 - 400 * t**3

    def speed(t):
        t = np.asarray(t, float) / 600.0
        return (3000 - 3000 * t + 2100 * t**2) / 600.0, (1000 + 1800 * t - 1200 * t**2) / 600.0

    east, north = cubic([0, 600])
    data = table(s=[0, 600], east=east, north=north, **velocity(*speed([0, 600])))
    asked = np.array([0.0, 1.0, 150.0, 300.0, 517.0, 600.0])
    found = at(data, asked)
    assert found.placed.all()
    np.testing.assert_allclose(offset_m(LON, LAT, found.lon, found.lat), cubic(asked), atol=0.5)
    np.testing.assert_allclose([found.east_m_s, found.north_m_s], speed(asked), atol=2e-3)


def conditioned(t, span, ends, velocities, q):
    """Mean and variance at t of integrated white acceleration, given both ends' places and velocities where not NaN.

    By the Gaussian rule with a wide prior on the first velocity: an oracle that knows no Hermite curve.
    """

    def covariance(a, b):
        s = min(a, b)
        place_place = s**2 * (3 * max(a, b) - s) / 6
        place_speed = s**2 / 2 if a <= b else a * b - b**2 / 2  # cov(x(a), v(b))
        speed_place = s**2 / 2 if b <= a else a * b - a**2 / 2
        return q * np.array([[place_place, place_speed], [speed_place, s]])

    def joint(a, b):
        wide = 1e6 * np.outer([a, 1.0], [b, 1.0])
        return covariance(a, b) + wide

    seen = [(span, 0, ends[1] - ends[0])]
    seen += [(moment, 1, v) for moment, v in zip((0.0, span), velocities, strict=True) if np.isfinite(v)]
    k = np.array([[joint(a, b)[i, j] for b, j, _ in seen] for a, i, _ in seen])
    c = np.array([joint(t, b)[0, j] for b, j, _ in seen])
    solved = np.linalg.solve(k + 1e-7 * np.eye(len(k)), np.column_stack([[v for _, _, v in seen], c]))
    return ends[0] + c @ solved[:, 0], joint(t, t)[0, 0] - c @ solved[:, 1]


@pytest.mark.parametrize("known", [(True, True), (True, False), (False, True), (False, False)])
def test_place_and_spread_are_those_of_nearly_constant_velocity(known):
    span, ends, speeds = 900.0, (0.0, 4000.0), (6.0, 2.0)
    told = [v if k else np.nan for v, k in zip(speeds, known, strict=True)]
    data = table(
        s=[0, span], east=ends, sog_kn=[v / KN_M_S for v in told], cog_deg=[90.0 if k else np.nan for k in known]
    )
    for t in (100.0, 450.0, 700.0):
        found = at(data, t)
        mean, variance = conditioned(t, span, ends, told, Q_PRIOR_M2_S3)
        east, north = offset_m(LON, LAT, found.lon, found.lat)
        assert east[0] == pytest.approx(mean, abs=3.0)
        assert north[0] == pytest.approx(0.0, abs=0.01)
        u = t / span
        weights = {(True, True): (u * (1 - u) ** 2, u**2 * (1 - u)), (False, False): (0.0, 0.0)}.get(known)
        if weights is None:
            near = u if known[0] else 1 - u
            weights = (near - near**2 * (3 - near) / 2, 0.0)
        from_speed = (SPEED_SIGMA_M_S * span) ** 2 * sum(w**2 for w in weights)
        assert found.var_north_m2[0] - GPS_SIGMA_M**2 - 100.0 - from_speed == pytest.approx(variance, rel=1e-3)


def test_spread_between_reports_is_the_design_formula():
    data = table(s=[0, 1200], east=[0, 6000], **velocity(5.0, 0.0), length_m=0.001)
    u = 0.25
    expected = Q_PRIOR_M2_S3 * 1200**3 * u**3 * (1 - u) ** 3 / 3
    expected += (SPEED_SIGMA_M_S * 1200) ** 2 * ((u * (1 - u) ** 2) ** 2 + (u**2 * (1 - u)) ** 2) + GPS_SIGMA_M**2
    found = at(data, 300)
    assert found.var_north_m2[0] == pytest.approx(expected, rel=1e-5)
    assert found.var_east_m2[0] == pytest.approx(expected + (TIME_SIGMA_S * 5.0) ** 2, rel=1e-3)


@pytest.mark.parametrize("side", [1, -1])
def test_dead_reckoning_goes_straight_and_widens(side):
    data = table(s=[0, 60], east=[0, 300], north=[0, 180], **velocity(5.0, 3.0), length_m=0.001)
    dt = 600.0
    found = at(data, 60 + dt if side > 0 else -dt)
    east, north = offset_m(LON, LAT, found.lon, found.lat)
    start = np.array([300.0, 180.0]) if side > 0 else np.zeros(2)
    np.testing.assert_allclose([east[0], north[0]], start + side * dt * np.array([5.0, 3.0]), atol=1.0)
    variance = Q_PRIOR_M2_S3 * dt**3 / 3 + (SPEED_SIGMA_M_S * dt) ** 2 + GPS_SIGMA_M**2
    assert found.var_north_m2[0] == pytest.approx(variance + (TIME_SIGMA_S * 3.0) ** 2, rel=1e-6)
    assert found.cov_east_north_m2[0] == pytest.approx(TIME_SIGMA_S**2 * 15.0, rel=1e-6)
    assert (found.bracketed[0], found.nearest_s[0]) == (False, -side * dt)


@pytest.mark.parametrize(("dt", "placed"), [(MAX_DEAD_RECKONING_S - 1, True), (MAX_DEAD_RECKONING_S + 1, False)])
def test_dead_reckoning_ends_after_fifteen_minutes(dt, placed):
    data = table(s=[0, 60], east=[0, 300], **velocity(5.0, 0.0))
    found = at(data, [60 + dt, -dt])
    assert found.placed.tolist() == [placed, placed]
    if not placed:  # then the nearest report is given
        np.testing.assert_allclose(offset_m(LON, LAT, found.lon, found.lat)[0], [300.0, 0.0], atol=0.1)


def test_without_a_speed_there_is_no_dead_reckoning():
    assert at(table(s=[0.0], sog_kn=np.nan), [0, 60]).placed.tolist() == [False, False]
    assert at(table(s=[0.0], sog_kn=5.0, cog_deg=np.nan), [60]).placed.tolist() == [False]
    assert at(table(s=[0.0], sog_kn=0.2, cog_deg=np.nan), [60]).placed.tolist() == [True]


def test_a_ship_at_anchor_stays_on_her_chain():
    data = table(s=[0, 6 * 3600], east=[0, 120], sog_kn=0.3, cog_deg=77.0)
    found = at(data, 3 * 3600)
    east, north = offset_m(LON, LAT, found.lon, found.lat)
    np.testing.assert_allclose([east[0], north[0]], [60.0, 0.0], atol=0.1)
    assert (found.east_m_s[0], found.north_m_s[0]) == (0.0, 0.0)
    assert found.sigma_m[0] == pytest.approx(np.sqrt(SWING_M**2 + 200.0), rel=1e-3)
    short = at(table(s=[0, 600], east=[0, 20], sog_kn=0.3, cog_deg=77.0), 300)
    assert short.sigma_m[0] ** 2 == pytest.approx(Q_STILL_M2_S3 * 600**3 / 48 + 200.0, rel=1e-3)
    left = at(table(s=[0, 6 * 3600], east=[0, 9000], sog_kn=0.3, cog_deg=77.0), 3 * 3600)  # sailed in between
    assert left.sigma_m[0] > 1000.0


@pytest.mark.parametrize("heading", [0.0, 90.0, 215.0])
def test_hull_centre_is_ahead_of_an_antenna_aft(heading):
    size = {"bow_m": 150.0, "stern_m": 30.0, "port_m": 10.0, "starboard_m": 16.0}
    found = at(table(s=[0, 60], sog_kn=0.0, heading_deg=heading, **size), 30)
    turn = np.radians(heading)
    east, north = offset_m(LON, LAT, found.lon, found.lat)
    np.testing.assert_allclose(east, 60.0 * np.sin(turn) + 3.0 * np.cos(turn), atol=0.05)
    np.testing.assert_allclose(north, 60.0 * np.cos(turn) - 3.0 * np.sin(turn), atol=0.05)
    assert found.sigma_m[0] == pytest.approx(GPS_SIGMA_M, rel=0.01)


def test_hull_centre_falls_back_on_course_and_then_on_doubt():
    size = {"bow_m": 150.0, "stern_m": 30.0, "port_m": 13.0, "starboard_m": 13.0}
    by_course = at(table(s=[0, 60], east=[0, 300], **velocity(5.0, 0.0), **size), 0)
    assert offset_m(LON, LAT, by_course.lon, by_course.lat)[0][0] == pytest.approx(60.0, abs=0.1)
    unknown = at(table(s=[0, 60], sog_kn=0.0, **size), 30)
    assert offset_m(LON, LAT, unknown.lon, unknown.lat)[0][0] == pytest.approx(0.0, abs=1e-6)
    assert unknown.var_east_m2[0] == pytest.approx(GPS_SIGMA_M**2 + 60.0**2 / 2, rel=0.01)
    only_size = {"bow_m": 0.0, "stern_m": 180.0, "port_m": 0.0, "starboard_m": 26.0}  # A = C = 0: no antenna's place
    length = at(table(s=[0, 60], sog_kn=0.0, heading_deg=0.0, **only_size), 30)
    assert length.var_east_m2[0] == pytest.approx(GPS_SIGMA_M**2 + 36.0**2, rel=0.01)


def test_places_across_the_antimeridian():
    lon, lat = moved(179.99, 10.0, np.array([0.0, 3000.0]), np.array([0.0, 0.0]))
    data = table(s=[0, 600], lon=lon, lat=lat, **velocity(5.0, 0.0))
    found = at(data, 300)
    assert offset_m(179.99, 10.0, found.lon, found.lat)[0][0] == pytest.approx(1500.0, abs=1.0)
    assert -180.0 <= found.lon[0] < 180.0


# ------------------------------------------------------------------------------------------ is the spread right?


def random_motion(ships, q, times, rng):
    """Places and velocities of ships whose velocity is disturbed by white acceleration; shape (2, ships, times)."""
    x, v = np.zeros((2, ships)), rng.normal(0.0, 3.0, (2, ships))
    places, speeds = [x], [v]
    for dt in np.diff(times):
        chol = np.linalg.cholesky(q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]))
        kick = np.einsum("ij,j...->i...", chol, rng.normal(size=(2, 2, ships)))
        x, v = x + v * dt + kick[0], v + kick[1]
        places.append(x)
        speeds.append(v)
    return np.stack(places, -1), np.stack(speeds, -1)


def inside_ellipse(found, east, north, level):
    e, n = offset_m(found.lon, found.lat, *moved(LON, LAT, east, north))
    determinant = found.var_east_m2 * found.var_north_m2 - found.cov_east_north_m2**2
    d2 = (found.var_north_m2 * e**2 - 2 * found.cov_east_north_m2 * e * n + found.var_east_m2 * n**2) / determinant
    return np.mean(d2 <= -2.0 * np.log(1.0 - level))


def moving_fleet(q, times, report, rng, ships=4000):
    places, speeds = random_motion(ships, q, times, rng)
    x, v = places[:, :, report], speeds[:, :, report]
    x = x + rng.normal(0.0, GPS_SIGMA_M, x.shape)
    v = v + rng.normal(0.0, SPEED_SIGMA_M_S, v.shape)
    mmsi = np.repeat(np.arange(441000000, 441000000 + ships), x.shape[2])
    return places, table(
        mmsi=mmsi,
        s=np.tile(times[report], ships),
        east=x[0].ravel(),
        north=x[1].ravel(),
        length_m=0.001,
        **velocity(v[0].ravel(), v[1].ravel()),
    )


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_ellipses_hold_as_many_true_places_as_they_say(level):
    times = np.array([0.0, 600.0, 1800.0])
    places, data = moving_fleet(Q_PRIOR_M2_S3, times, [0, 2], np.random.default_rng(5))
    ships = places.shape[1]
    found = at(data, np.full(ships, 600.0), np.arange(ships))
    assert inside_ellipse(found, *places[:, :, 1], level) == pytest.approx(level, abs=0.02)
    places, data = moving_fleet(Q_PRIOR_M2_S3, np.array([0.0, 800.0]), [0], np.random.default_rng(6))
    ahead = at(data, np.full(ships, 800.0), np.arange(ships))
    assert inside_ellipse(ahead, *places[:, :, 1], level) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("q", [1e-4, 1e-3, 3e-3])
def test_restless_and_steady_ships_are_told_apart(q):
    times = np.arange(0.0, 7201.0, 300.0)
    keep = [k for k in range(len(times)) if k not in (11, 12, 13)]  # twenty minutes hidden around the middle
    places, data = moving_fleet(q, times, keep, np.random.default_rng(7), ships=1000)
    found = at(data, np.full(1000, times[12]), np.arange(1000))
    from_speed = (SPEED_SIGMA_M_S * 1200.0 / 8.0) ** 2 * 2.0
    learnt = (np.median(found.var_north_m2) - GPS_SIGMA_M**2 - from_speed) * 192.0 / 1200.0**3
    assert q / 2.0 < learnt < 3.0 * q
    assert 0.85 < inside_ellipse(found, *places[:, :, 12], 0.9) < 0.995  # an estimated q: a little uneven


# ------------------------------------------------------------------------------------------ real tracks


@pytest.fixture(scope="module")
def kattegat(real_data):
    """One-minute tracks; speeds in the file are m/s (way made good over reported speed has median 1.00 then)."""
    frame = pl.read_parquet(real_data("ais/dma_kattegat_1min_2025-11.parquet"))
    frame = frame.sort("TrackID", "Segment_nr", "Timestamp")
    run = frame.select(pl.struct("TrackID", "Segment_nr").rank("dense")).to_series().cast(pl.UInt32) + 441000000
    columns = {
        "mmsi": run,
        "t": frame["Timestamp"].dt.replace_time_zone("UTC"),
        "lat": frame["Latitude"],
        "lon": frame["Longitude"],
        "sog_kn": frame["SOG"] / KN_M_S,
        "cog_deg": frame.select(pl.arctan2("COG_sin", "COG_cos").degrees() % 360.0).to_series(),
    }
    table = pl.DataFrame(columns).with_columns(
        pl.int_range(pl.len()).over("mmsi").alias("minute"), pl.lit("dma").alias("source")
    )
    empty = [pl.lit(None).alias(name) for name in SCHEMA if name not in table.columns]
    return table.with_columns(empty)


def held_out(frame, gap_min):
    """Errors at the middle of gaps, moving ships: by `place`, on the straight line; and places with true positions."""
    kept = frame.filter(pl.col("minute") % gap_min == 0)
    data = AisData(reports=kept.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()))
    asked = frame.filter((pl.col("minute") % gap_min == gap_min // 2) & (pl.col("sog_kn") > 2.0)).sort("mmsi", "t")
    tracks = build_tracks(data)
    whole, count = np.unique(tracks.mmsi, return_counts=True)
    assert (count > 1).sum() <= 3  # three have a jump of a kilometre within a minute
    asked = asked.filter(pl.col("mmsi").is_in(whole[count == 1].tolist()))
    segment = np.searchsorted(tracks.mmsi, asked["mmsi"].to_numpy())
    found = place(tracks, segment, asked["t"].dt.epoch("us").to_numpy())
    use = found.bracketed & (found.gap_s == gap_min * 60.0)
    lon, lat = asked["lon"].to_numpy(), asked["lat"].to_numpy()
    error = np.hypot(*offset_m(found.lon, found.lat, lon, lat))[use]
    first = tracks.rows_until(segment, asked["t"].dt.epoch("us").to_numpy())
    second = np.minimum(first + 1, len(tracks.lon) - 1)
    u = (gap_min // 2) / gap_min
    whole = offset_m(tracks.lon[first], tracks.lat[first], tracks.lon[second], tracks.lat[second])
    way = offset_m(tracks.lon[first], tracks.lat[first], lon, lat)
    straight = np.hypot(way[0] - u * whole[0], way[1] - u * whole[1])[use]
    return error, straight, found, use, lon, lat


@pytest.mark.parametrize(
    ("gap_min", "median_m", "p90_m"),  # the design note's table, section 3, with a tenth to a quarter of room
    [(2, 6, 25), (10, 18, 62), (30, 80, 350), (60, 290, 1150)],
)
def test_real_lane_is_placed_as_the_design_table_says(kattegat, gap_min, median_m, p90_m):
    error, straight, *_ = held_out(kattegat, gap_min)
    assert len(error) > 300
    assert np.median(error) < median_m
    assert np.quantile(error, 0.9) < p90_m
    assert np.median(error) < np.median(straight)
    assert np.quantile(error, 0.9) < np.quantile(straight, 0.9)


@pytest.mark.parametrize(("gap_min", "at_least"), [(10, 0.9), (30, 0.85)])
def test_real_lane_lies_within_the_ellipses(kattegat, gap_min, at_least):
    _, _, found, use, lon, lat = held_out(kattegat, gap_min)
    e, n = (part[use] for part in offset_m(found.lon, found.lat, lon, lat))
    ve, c, vn = (part[use] for part in (found.var_east_m2, found.cov_east_north_m2, found.var_north_m2))
    d2 = (vn * e**2 - 2 * c * e * n + ve * n**2) / (ve * vn - c**2)
    assert np.mean(d2 < 4.605) > at_least  # 90 % ellipse
    assert np.mean(d2 < 25.0) > 0.99  # the gate


def test_real_national_file_is_placed_in_no_time(real_data):
    data = read_marinecadastre(real_data("ais/marinecadastre_2022-01-03.csv.gz"))
    begun = time.perf_counter()
    tracks = build_tracks(data)
    image = int(datetime(2022, 1, 3, 0, 12, tzinfo=UTC).timestamp()) * 1_000_000
    found = place(tracks, np.arange(len(tracks)), np.full(len(tracks), image))
    assert time.perf_counter() - begun < 5.0  # takes .3 s
    assert len(np.unique(tracks.mmsi)) == data.vessel_count
    assert np.isfinite(found.lon).all()
    assert np.isfinite(found.sigma_m).all()
    assert found.placed.sum() > 9_000
    split = len(tracks) - len(np.unique(tracks.mmsi))
    assert split < 0.05 * data.vessel_count
    assert len(np.unique(tracks.mmsi[tracks.two_places])) <= 5
