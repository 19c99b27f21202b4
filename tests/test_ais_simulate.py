"""Made-up AIS: reports as the standard and the sea would have them, and a truth that the cross-check finds again."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from imagery.geometry import moved, offset_m
from models.detections import Detections
from offing.ais.cross_check import cross_check
from offing.ais.reader import read_marinecadastre, write_marinecadastre
from offing.ais.simulate import Habits, Receiver, broadcast
from offing.ais.tracks import KN_M_S

T0 = datetime(2024, 3, 1, 9, 32, tzinfo=UTC)
LON, LAT = 125.7, 37.8
HONEST = Habits(silent_share=0.0, quiet_share=0.0, lying_share=0.0, loss_share=0.0)
EVERY = replace(HONEST, thin_s=0.5, time_sigma_s=0.0)


@dataclass(frozen=True)
class StraightTrack:
    """At (east, north) at T0, sailing with v_east and v_north; gone outside ``there``."""

    east: float
    north: float
    v: tuple[float, float]
    heading: float
    there: tuple[float, float] = (-1e9, 1e9)

    def at(self, times):
        s = (np.asarray(times, "datetime64[us]") - np.datetime64(T0.replace(tzinfo=None), "us")).astype(float) / 1e6
        gone = np.where((s >= self.there[0]) & (s < self.there[1]), 0.0, np.nan)
        lon, lat = moved(LON, LAT, self.east + self.v[0] * s + gone, self.north + self.v[1] * s + gone)
        course = np.degrees(np.arctan2(*self.v)) % 360.0
        return lon, lat, np.hypot(*self.v) + gone, course + gone, self.heading + gone


@dataclass(frozen=True)
class Vessel:
    id: str
    mmsi: int
    track: StraightTrack
    kind: str = "cargo"
    length_m: float = 120.0
    width_m: float = 20.0
    imo: int | None = 9074729
    name: str = "STELLA"


def vessel(mmsi=440123456, east=0.0, north=0.0, v=(5.0, 0.0), heading=None, there=(-1e9, 1e9), **fields):
    heading = np.degrees(np.arctan2(*v)) % 360.0 if heading is None else heading
    return Vessel(
        id=fields.pop("id", f"v{mmsi}"), mmsi=mmsi, track=StraightTrack(east, north, v, heading, there), **fields
    )


def fleet(n, **fields):
    """Ships three kilometres apart."""
    side = int(np.ceil(np.sqrt(n)))
    return [
        vessel(440100000 + k, 3000.0 * (k % side), 3000.0 * (k // side), name=f"SHIP {k}", **fields) for k in range(n)
    ]


def seconds(data):
    return data.reports["t"].dt.epoch("us").to_numpy() / 1e6 - T0.timestamp()


# ------------------------------------------------------------------------------------------ what an honest ship sends


@pytest.mark.parametrize(
    ("knots", "length_m", "interval_s"),  # ITU-R M.1371-5, annex 1, tables 1 and 2
    [
        (0.0, 120, 180),
        (10.0, 120, 10),
        (20.0, 120, 6),
        (25.0, 120, 2),
        (1.0, 30, 180),
        (10.0, 30, 30),
        (18.0, 30, 15),
        (25.0, 30, 5),
    ],
)
def test_reporting_interval(knots, length_m, interval_s):
    data, _ = broadcast([vessel(v=(knots * KN_M_S, 0.0), length_m=length_m)], [T0], seed=1, habits=EVERY)
    assert data.reports["ais_class"].unique().to_list() == ["A" if length_m > 45 else "B"]
    steps = np.diff(seconds(data))
    assert np.median(steps) == interval_s
    assert np.abs(steps - interval_s).max() <= 1.0  # whole seconds
    assert len(data) == pytest.approx(7200 / interval_s, abs=1)


def test_reports_lie_within_an_hour_of_images_and_windows_join():
    times = [T0, T0 + timedelta(minutes=90), T0 + timedelta(days=2)]
    data, truth = broadcast([vessel(v=(0.0, 0.0))], times, seed=1, habits=EVERY)
    s = seconds(data)
    first, second = s[s < 40_000], s[s >= 40_000]
    assert first.min() >= -3600
    assert first.max() <= 90 * 60 + 3600
    assert np.diff(first).max() <= 181  # no hole and no doubling where two windows overlap
    assert len(second) == pytest.approx(40, abs=1)
    assert truth.state.shape == (1, 3)


def test_one_report_a_minute_and_some_lost():
    data, _ = broadcast([vessel()], [T0], seed=1, habits=replace(HONEST, loss_share=0.0))
    minute = data.reports["t"].dt.truncate("1m")
    assert len(data) == pytest.approx(120, abs=2)
    assert minute.n_unique() >= len(data) - 4  # stamps jitter by half a second
    lossy, _ = broadcast(fleet(40, v=(0.0, 0.0)), [T0], seed=1, habits=replace(EVERY, loss_share=0.3))
    assert len(lossy) == pytest.approx(40 * 40 * 0.7, rel=0.06)


@pytest.mark.parametrize(("kind", "heading"), [("cargo", 90.0), ("cargo", 0.0), ("tug", 217.0)])
def test_position_is_that_of_the_antenna_with_ten_metres_of_noise(kind, heading):
    ship = vessel(v=(0.0, 0.0), heading=heading, kind=kind, length_m=200.0, width_m=30.0)
    data, _ = broadcast([ship], [T0 + timedelta(days=k) for k in range(20)], seed=2, habits=EVERY)
    table = data.reports
    bow, stern = table["bow_m"][0], table["stern_m"][0]
    port, starboard = table["port_m"][0], table["starboard_m"][0]
    assert (bow + stern, port + starboard) == (200.0, 30.0)
    assert (table["length_m"][0], table["width_m"][0]) == (200.0, 30.0)
    turn = np.radians(heading)
    ahead, right = (bow - stern) / 2, (starboard - port) / 2
    east, north = offset_m(LON, LAT, table["lon"].to_numpy(), table["lat"].to_numpy())
    centre = [ahead * np.sin(turn) + right * np.cos(turn), ahead * np.cos(turn) - right * np.sin(turn)]
    np.testing.assert_allclose([np.mean(east) + centre[0], np.mean(north) + centre[1]], 0.0, atol=2.0)
    assert np.std(east) == pytest.approx(10.0, rel=0.1)


def test_values_are_counted_as_ais_counts_them():
    table = broadcast([vessel(v=(3.0, 2.0))], [T0], seed=3, habits=HONEST)[0].reports
    for name, step in (("sog_kn", 0.1), ("cog_deg", 0.1), ("heading_deg", 1.0)):
        counts = table[name].to_numpy() / step
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    assert table["cog_deg"].is_between(0.0, 359.95).all()
    assert table["heading_deg"].is_between(0.0, 359.0).all()
    assert table["sog_kn"].mean() == pytest.approx(np.hypot(3, 2) / KN_M_S, abs=0.05)
    assert (table["t"].dt.microsecond() == 0).all()
    small = broadcast([vessel(length_m=30.0)], [T0], seed=3, habits=HONEST)[0].reports
    assert small["heading_deg"].null_count() == len(small)  # class B without a compass


def test_a_ship_that_is_not_there_sends_nothing():
    data, truth = broadcast([vessel(there=(-600.0, 300.0))], [T0, T0 + timedelta(hours=3)], seed=1, habits=EVERY)
    assert (seconds(data).min() >= -600, seconds(data).max() < 300) == (True, True)
    assert truth.state.tolist() == [["honest", "absent"]]


def test_reports_survive_the_real_reader(tmp_path):
    data, _ = broadcast(fleet(12), [T0], seed=4)
    write_marinecadastre(data, tmp_path / "season.csv.gz")
    again = read_marinecadastre(tmp_path / "season.csv.gz")
    assert (dict(again.dropped), len(again)) == ({}, len(data))
    for name in ("mmsi", "t", "sog_kn", "cog_deg", "heading_deg", "name", "imo", "length_m", "ais_class"):
        assert again.reports[name].equals(data.reports[name]), name
    for name in ("lon", "lat"):
        np.testing.assert_allclose(again.reports[name], data.reports[name], atol=5.1e-6)


# ------------------------------------------------------------------------------------------ silence, range, lies


def test_silent_ships_are_never_heard_and_their_share_is_kept():
    ships = fleet(300)
    data, truth = broadcast(ships, [T0], seed=5, habits=replace(HONEST, silent_share=0.2, thin_s=600.0))
    heard = np.isin(truth.mmsi, data.reports["mmsi"].unique().to_numpy())
    np.testing.assert_array_equal(heard, truth.state[:, 0] == "honest")
    np.testing.assert_array_equal(truth.mmsi_sent == 0, truth.state[:, 0] == "silent")
    assert np.mean(~heard) == pytest.approx(0.2, abs=0.06)


def test_most_small_boats_have_no_ais():
    boats = fleet(200, length_m=12.0, width_m=4.0, kind="fishing")
    _, truth = broadcast(boats, [T0], seed=6, habits=replace(HONEST, thin_s=600.0))
    assert np.mean(truth.state == "silent") == pytest.approx(0.9, abs=0.06)
    bigger = [replace(boat, length_m=16.0) for boat in boats]
    _, truth = broadcast(bigger, [T0], seed=6, habits=replace(HONEST, thin_s=600.0))
    assert np.all(truth.state == "honest")


def test_a_quiet_ship_is_silent_for_hours_around_an_image():
    times = [T0 + timedelta(days=3 * k) for k in range(20)]
    habits = replace(HONEST, quiet_share=1.0, quiet_h=(2.0, 3.0))
    data, truth = broadcast(fleet(10, v=(0.0, 0.0)), times, seed=7, habits=habits)
    assert (truth.state == "silent").sum() == 20  # a tenth of the image times of each ship
    assert (truth.state == "honest").sum() == 180
    report_s = data.reports["t"].dt.epoch("us").to_numpy() / 1e6
    for row, column in zip(*np.nonzero(truth.state == "silent"), strict=True):
        image_s = truth.time[column].astype(np.int64) / 1e6
        mine = report_s[data.reports["mmsi"].to_numpy() == truth.mmsi[row]]
        before, after = mine[mine < image_s], mine[mine > image_s]
        gap = after.min(initial=image_s + 1e9) - before.max(initial=image_s - 1e9)
        assert gap > 3600.0


def test_nothing_is_heard_beyond_the_range():
    station = Receiver(lon=LON, lat=LAT, range_m=20_000.0)
    ships = [vessel(440000001, 0.0, 19_500.0, v=(0.0, 0.0)), vessel(440000002, 0.0, 20_500.0, v=(0.0, 0.0))]
    data, truth = broadcast(ships, [T0], seed=8, habits=EVERY, receivers=[station])
    assert truth.state[:, 0].tolist() == ["honest", "out_of_range"]
    assert data.reports["mmsi"].unique().to_list() == [440000001]
    both, truth = broadcast(ships, [T0], seed=8, habits=EVERY, receivers=[station, replace(station, range_m=30_000.0)])
    assert truth.state[:, 0].tolist() == ["honest", "honest"]
    assert both.vessel_count == 2
    leaving = vessel(440000003, 0.0, 19_000.0, v=(0.0, 5.0))
    data, _ = broadcast([leaving], [T0], seed=8, habits=EVERY, receivers=[station])
    assert seconds(data).max() == pytest.approx(200.0, abs=15.0)  # the last thousand metres at 5 m/s


@pytest.fixture(scope="module")
def liars():
    ships = fleet(120)
    habits = replace(HONEST, lying_share=0.5, thin_s=300.0)
    data, truth = broadcast(ships, [T0], seed=9, habits=habits)
    return ships, data, truth


def reports_of(data, mmsi):
    return data.reports.filter(pl.col("mmsi") == mmsi)


def test_liars_have_their_share_and_each_way(liars):
    _, _, truth = liars
    assert np.mean(truth.state == "lying") == pytest.approx(0.5, abs=0.12)
    assert set(truth.lie.tolist()) == {"", "offset", "clone", "length"}
    np.testing.assert_array_equal(truth.state[:, 0] == "lying", truth.lie != "")


def test_each_lie_is_what_it_says(liars):
    ships, data, truth = liars
    for k, ship in enumerate(ships):
        lon, lat, *_ = ship.track.at(np.array([T0.replace(tzinfo=None)], "datetime64[us]"))
        sent = reports_of(data, int(truth.mmsi_sent[k]))
        near = sent.filter((pl.col("t") - T0).dt.total_seconds().abs() < 300)
        away = np.hypot(*offset_m(lon, lat, near["lon"].to_numpy(), near["lat"].to_numpy()))
        if truth.lie[k] == "offset":
            assert away.min() > 2500.0  # 5 to 50 km, less five minutes of way
            assert away.max() < 53_000.0
            continue
        if np.sum(truth.mmsi_sent == truth.mmsi_sent[k]) == 1:
            assert away.max() < 1700.0  # where it says it is, give or take five minutes of way
        assert (truth.mmsi_sent[k] != ship.mmsi) == (truth.lie[k] == "clone")
        assert (abs(truth.length_sent_m[k] - ship.length_m) > 50.0) == (truth.lie[k] == "length")
        if truth.lie[k] == "clone":
            victim = truth.mmsi.tolist().index(int(truth.mmsi_sent[k]))
            assert (truth.state[victim, 0], ships[victim].name) == ("honest", sent["name"][0])
            assert ship.mmsi not in truth.mmsi_sent


def test_same_seed_same_reports_and_others_do_not_disturb():
    ships = fleet(20)
    one, truth = broadcast(ships, [T0], seed=11)
    other, again = broadcast(ships, [T0], seed=11)
    assert one.reports.equals(other.reports)
    np.testing.assert_array_equal(truth.state, again.state)
    turned, _ = broadcast(ships[::-1], [T0], seed=11)
    assert one.reports.equals(turned.reports)
    assert not one.reports.equals(broadcast(ships, [T0], seed=12)[0].reports)
    alone, _ = broadcast(ships[:1], [T0], seed=11, habits=HONEST)
    together, _ = broadcast(ships, [T0], seed=11, habits=HONEST)
    assert reports_of(together, ships[0].mmsi).equals(alone.reports)


def test_a_ships_habits_last_over_her_visits():
    visits = [replace(ship, id=f"{ship.id}/{n}") for ship in fleet(60) for n in range(2)]
    _, truth = broadcast(visits, [T0], seed=13, habits=replace(HONEST, silent_share=0.5, lying_share=0.5, thin_s=900.0))
    pairs = truth.state[:, 0].reshape(60, 2)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    assert {"silent", "honest", "lying"} == set(pairs.ravel().tolist())


def test_naive_times_are_refused_and_none_are_allowed():
    with pytest.raises(ValueError, match="aware"):
        broadcast(fleet(1), [datetime(2024, 3, 1)], seed=1)  # the naive time is the point
    data, truth = broadcast(fleet(2), [], seed=1)
    assert (len(data), truth.state.shape) == (0, (2, 0))
    data, truth = broadcast([], [T0], seed=1)
    assert (len(data), truth.state.shape) == (0, (0, 1))


# ------------------------------------------------------------------------------------------ the way back


def objects(ships):
    """A detection of each ship's hull, 15 m off, at T0."""
    places = np.array(
        [
            [float(x[0]) for x in ship.track.at(np.array([T0.replace(tzinfo=None)], "datetime64[us]"))[:2]]
            for ship in ships
        ]
    )
    n = len(ships)
    rng = np.random.default_rng(0)
    lon, lat = moved(places[:, 0], places[:, 1], *rng.normal(0.0, 10.0, (2, n)))
    length, blank = np.array([ship.length_m for ship in ships]), np.full(n, np.nan)
    return Detections(
        id=np.array([f"s/r{k}c0" for k in range(n)]),
        scene_id=np.full(n, "s"),
        detector=np.full(n, "test"),
        time=np.full(n, np.datetime64(T0.replace(tzinfo=None), "us")),
        time_sigma_s=np.zeros(n),
        row=np.arange(n),
        col=np.zeros(n),
        lon=lon,
        lat=lat,
        var_east_m2=np.full(n, 100.0),
        cov_east_north_m2=np.zeros(n),
        var_north_m2=np.full(n, 100.0),
        length_m=length,
        length_low_m=length / 1.3,
        length_high_m=length * 1.3,
        kind=np.full(n, "vessel"),
        probability=np.full(n, 0.9),
        probability_calibrated=np.zeros(n, bool),
        contrast_db=blank,
        shore_distance_m=blank,
        surface=np.full(n, "sea"),
        **{f"{name}_m": blank for name in ("width", "width_low", "width_high")},
        **{f"{name}_deg": blank for name in ("heading", "heading_low", "heading_high")},
    )


def test_cross_check_finds_the_truth_again(tmp_path):
    """Through the file and the real reader, ships three kilometres apart."""
    ships = fleet(150)
    habits = Habits(silent_share=0.15, lying_share=0.2, quiet_share=0.0)
    data, truth = broadcast(ships, [T0], seed=21, habits=habits)
    write_marinecadastre(data, tmp_path / "a.csv")
    out = cross_check(objects(ships), read_marinecadastre(tmp_path / "a.csv"), None)
    state, lie = truth.state[:, 0], truth.lie
    cloned = np.isin(truth.mmsi_sent, truth.mmsi_sent[lie == "clone"])  # the liar and her victim
    honest = (state == "honest") & ~cloned
    matched = out.status == "matched"
    # A false place may fall on another ship, reporting or silent, which then cannot be told from it; few do.
    assert np.mean(matched[honest]) > 0.95
    np.testing.assert_array_equal(out.mmsi[honest & matched], truth.mmsi[honest & matched])
    assert np.mean(out.status[state == "silent"] == "dark_candidate") > 0.9
    np.testing.assert_array_equal(out.status[lie == "length"], "matched_identity_doubtful")
    np.testing.assert_array_equal(out.status[lie == "offset"], "dark_candidate")
    np.testing.assert_array_equal(out.status[cloned], "matched_identity_doubtful")
    offsets = truth.mmsi_sent[lie == "offset"]
    states = dict(zip(out.vessels.mmsi.tolist(), out.vessels.state.tolist(), strict=True))
    assert sum(states[mmsi] == "unseen" for mmsi in offsets.tolist()) > 0.8 * len(offsets)


def test_simulated_world_fits(tmp_path):
    from imagery.simulate.world import World

    world = World(seed=3)
    times = [T0, T0 + timedelta(days=12)]
    vessels = {v.id: v for t in times for v in world.vessels(t - timedelta(hours=1), t + timedelta(hours=1))}
    ships = [vessels[name] for name in sorted(vessels)]
    data, truth = broadcast(ships, times, seed=1)
    assert {"honest", "silent", "absent"} <= set(truth.state.ravel().tolist())
    honest = np.any(truth.state == "honest", axis=1)
    heard = set(data.reports["mmsi"].unique().to_list())
    assert set(truth.mmsi[honest].tolist()) <= heard
    assert heard <= set(truth.mmsi.tolist())
    write_marinecadastre(data, tmp_path / "a.csv")
    assert len(read_marinecadastre(tmp_path / "a.csv")) == len(data)
