"""Cross-check: each verdict given where it is due and not by a near miss, and right about real ships in numbers."""

import importlib.util
import itertools
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from scipy.spatial import cKDTree

from imagery.acquisition import AcquisitionSample, azimuth_shift_m
from imagery.geometry import moved, offset_m
from models.detections import Detections
from offing.ais import wording
from offing.ais.association import best_pairs, marginals
from offing.ais.candidates import GATE_D2, GATE_M, sphere_m
from offing.ais.cross_check import cross_check
from offing.ais.evidence import CLEAR_BY_FACTOR, CLEAR_BY_M
from offing.ais.identity import Station, imo_valid, length_plausible, stations
from offing.ais.placing import place
from offing.ais.reader import read_marinecadastre
from offing.ais.schema import SCHEMA, AisData
from offing.ais.tracks import KN_M_S, build_tracks
from offing.ais.verdict import VESSEL_STATE_MEANING, VesselState
from offing.status import DETECTION_STATUS_MEANING, DetectionStatus

T0 = datetime(2024, 3, 1, 9, 32, tzinfo=UTC)
T0_US = int(T0.timestamp()) * 1_000_000
LON, LAT = 125.7, 37.8
IMO = 9074729  # passes its check digit


def seen(places, *, length=60.0, s=0.0, sigma_m=15.0, sar=False, **columns):
    """Detections at (east, north) metres from (LON, LAT), ``s`` seconds after T0."""
    places = np.asarray(places, float).reshape(-1, 2)
    n = len(places)
    lon, lat = moved(LON, LAT, places[:, 0], places[:, 1])
    length = np.broadcast_to(np.asarray(length, float), n)
    blank = np.full(n, np.nan)
    full = {
        "id": np.array([f"scene/r{k}c0" for k in range(n)]),
        "scene_id": np.full(n, "scene"),
        "detector": np.full(n, "test"),
        "time": (T0_US + np.round(np.broadcast_to(s, n) * 1e6).astype(np.int64)).astype("datetime64[us]"),
        "time_sigma_s": np.zeros(n),
        "row": np.arange(n),
        "col": np.zeros(n),
        "lon": lon,
        "lat": lat,
        "var_east_m2": np.full(n, sigma_m**2),
        "cov_east_north_m2": np.zeros(n),
        "var_north_m2": np.full(n, sigma_m**2),
        "length_m": length,
        "length_low_m": length / 1.3,
        "length_high_m": length * 1.3,
        "kind": np.full(n, "vessel"),
        "probability": np.full(n, 0.9),
        "probability_calibrated": np.zeros(n, bool),
        "contrast_db": np.full(n, 15.0) if sar else blank,
        "shore_distance_m": np.full(n, 5000.0),
        "surface": np.full(n, "sea"),
        **dict.fromkeys(("width_m", "width_low_m", "width_high_m"), blank),
        **dict.fromkeys(("heading_deg", "heading_low_deg", "heading_high_deg"), blank),
        **columns,
    }
    return Detections(**full)


def ship(mmsi, east, north, *, v=(0.0, 0.0), every_s=60.0, from_s=-600.0, to_s=600.0, length=60.0, **columns):
    """Reports of a ship that is at (east, north) at T0 and sails with v, in m/s."""
    s = np.arange(from_s, to_s + 1e-6, every_s)
    lon, lat = moved(LON, LAT, east + v[0] * s, north + v[1] * s)
    t = pl.Series("t", T0_US + np.round(s * 1e6).astype(np.int64)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    speed = np.hypot(*v) / KN_M_S
    values = {
        "mmsi": mmsi,
        "sog_kn": speed,
        "cog_deg": float(np.degrees(np.arctan2(*v)) % 360.0),
        "heading_deg": float(np.degrees(np.arctan2(*v)) % 360.0),
        "length_m": length,
        "bow_m": None if length is None else length / 2,
        "stern_m": None if length is None else length / 2,
        "port_m": 5.0,
        "starboard_m": 5.0,
        "source": "test",
        **columns,
    }
    frame = pl.DataFrame({"t": t, "lon": lon, "lat": lat}).with_columns(
        pl.lit(values.get(name)).alias(name) for name in SCHEMA if name not in ("t", "lon", "lat")
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def ais(*frames):
    return AisData(reports=pl.concat([pl.DataFrame(schema=SCHEMA), *frames]))


def bystander(mmsi=440000001, north=9000.0, **columns):
    """A ship far enough off to prove coverage and nothing else."""
    return ship(mmsi, 0.0, north, **columns)


def radar(n, incidence=38.0):
    """Sentinel-1 IW, descending pass looking west: R and V of its middle swath."""

    def column(value):
        return np.full(n, float(value))

    return AcquisitionSample(
        time=np.full(n, np.datetime64(T0_US, "us")),
        time_sigma_s=column(0.01),
        incidence_deg=column(incidence),
        incidence_sigma_deg=column(0.05),
        slant_range_m=column(850e3),
        slant_range_sigma_m=column(50),
        look_azimuth_deg=column(281.0),
        look_azimuth_sigma_deg=column(0.1),
        heading_deg=column(191.0),
        platform_speed_m_s=column(7590.0),
        source="test",
    )


def status_of(detections, data, view=None, **options):
    return cross_check(detections, data, view, **options).status.tolist()


# ------------------------------------------------------------------------------------------ each verdict


def test_one_ship_one_object_match():
    out = cross_check(seen([(10, -20)]), ais(ship(440123456, 0, 0, name="STELLA"), bystander()), None)
    assert out.status.tolist() == ["matched"]
    assert (out.mmsi[0], out.ais_name[0], out.ais_length_m[0]) == (440123456, "STELLA", 60.0)
    assert out.ais_distance_m[0] == pytest.approx(np.hypot(10, 20), abs=0.5)
    assert out.probability[0] > 0.99
    assert not out.probability_calibrated.any()
    assert (out.runner_up_mmsi[0], np.isnan(out.runner_up_distance_m[0])) == (0, True)
    assert "STELLA (MMSI 440123456) 22 m from here" in out.why[0]
    table = out.vessels
    assert table.mmsi.tolist() == [440000001, 440123456]
    assert table.state.tolist() == ["unseen", "seen"]
    assert table.detection_id.tolist() == ["", "scene/r0c0"]
    assert offset_m(LON, LAT, table.lon[1], table.lat[1])[0] == pytest.approx(0.0, abs=0.1)


def test_a_ship_beyond_the_gate_does_not_match():
    """Sigma is sqrt(10^2 + 15^2) = 18 m, and ten of them are 180 m."""
    assert status_of(seen([(170, 0)]), ais(ship(440123456, 0, 0), bystander())) == ["ambiguous"]
    out = cross_check(seen([(200, 0)]), ais(ship(440123456, 0, 0), bystander()), None)
    assert out.status.tolist() == ["dark_candidate"]
    assert (out.runner_up_mmsi[0], round(out.runner_up_distance_m[0])) == (440123456, 200)
    assert out.stations_heard.tolist() == [2]
    assert out.vessels.state.tolist() == ["unseen", "unseen"]
    assert "nearest is 200 m away (MMSI 440123456)" in out.why[0]
    assert "2 stations" in out.why[0]


def test_nobody_near_is_dark_only_with_coverage():
    assert status_of(seen([(0, 0)]), ais(bystander(north=19_900))) == ["dark_candidate"]
    assert status_of(seen([(0, 0)]), ais(bystander(north=20_100))) == ["no_coverage"]
    base = 4400001  # a coast station, which cannot be the object itself
    an_hour = {"from_s": -3600.0, "to_s": -3590.0, "every_s": 60.0}
    assert status_of(seen([(0, 0)]), ais(bystander(base, **an_hour))) == ["dark_candidate"]
    too_long = {"from_s": -3610.0, "to_s": -3605.0, "every_s": 60.0}
    assert status_of(seen([(0, 0)]), ais(bystander(base, **too_long))) == ["no_coverage"]


def test_no_coverage_says_that_silence_says_nothing():
    out = cross_check(seen([(0, 0)]), AisData.empty("a.csv"), None)
    assert out.status.tolist() == ["no_coverage"]
    assert "silence says nothing" in out.why[0]
    assert out.stations_heard.tolist() == [0]
    assert len(out.vessels) == 0


def test_no_ais_at_all_is_not_searched():
    out = cross_check(seen([(0, 0), (500, 0)]), None, None)
    assert out.status.tolist() == ["not_searched"] * 2
    assert np.isnan(out.probability).all()
    assert len(out.vessels) == 0


@pytest.mark.parametrize("mmsi", [4400001, 994401234, 111440001])
def test_base_stations_aids_and_aircraft_prove_coverage_but_match_nothing(mmsi):
    out = cross_check(seen([(5, 0)]), ais(ship(mmsi, 0, 0)), None)
    assert out.status.tolist() == ["dark_candidate"]
    assert len(out.vessels) == 0


@pytest.mark.parametrize("change", [{"kind": np.array(["fixed_structure"])}, {"surface": np.array(["land"])}])
def test_structures_and_land_are_set_aside(change):
    for data in (None, ais(ship(440123456, 0, 0), bystander())):
        out = cross_check(seen([(0, 0)], **change), data, None)
        assert out.status.tolist() == ["fixed_structure"]
        assert out.mmsi.tolist() == [0]
    assert dict(zip(out.vessels.mmsi.tolist(), out.vessels.state.tolist(), strict=True))[440123456] == "ambiguous"


@pytest.mark.parametrize("surface", ["shore", "intertidal", "near_cloud"])
def test_what_may_not_be_a_ship_is_never_called_unreported(surface):
    far = [ship(440000100 + i, 9000.0, 1000.0 * i) for i in range(5)]
    at_sea = cross_check(seen([(0, 0)]), ais(*far), None)
    assert at_sea.status.tolist() == ["dark_candidate"]
    checked = cross_check(seen([(0, 0)], surface=np.array([surface])), ais(*far), None)
    assert checked.status.tolist() == ["ambiguous"]
    assert wording.OFF_THE_SEA[surface].strip() in checked.why[0]


@pytest.mark.parametrize(("probability", "status"), [(0.49, "ambiguous"), (0.51, "dark_candidate")])
def test_what_is_more_likely_nothing_is_never_called_unreported(probability, status):
    far = [ship(440000100 + i, 9000.0, 1000.0 * i) for i in range(5)]
    checked = cross_check(seen([(0, 0)], probability=np.array([probability])), ais(*far), None)
    assert checked.status.tolist() == [status]
    assert ("It is weak" in checked.why[0]) == (status == "ambiguous")


@pytest.mark.parametrize("surface", ["sea", "intertidal", "unknown"])
def test_other_surfaces_are_judged(surface):
    assert status_of(seen([(0, 0)], surface=np.array([surface])), ais(ship(440123456, 0, 0))) == ["matched"]


def test_ghosts_and_objects_without_time_are_not_compared():
    data = ais(ship(440123456, 0, 0), bystander())
    out = cross_check(seen([(0, 0)], kind=np.array(["ghost"])), data, None)
    assert (out.status[0], "image of something" in out.why[0]) == ("ambiguous", True)
    assert status_of(seen([(0, 0)], kind=np.array(["ghost"])), None) == ["not_searched"]
    timeless = seen([(0, 0), (500, 0)])
    timeless.time[0] = np.datetime64("NaT")
    out = cross_check(timeless, data, None)
    assert out.status.tolist() == ["not_searched", "dark_candidate"]


# ------------------------------------------------------------------------------------------ ambiguity


def test_two_equally_near_ships_are_ambiguous():
    data = ais(ship(440000011, -30, 0), ship(440000022, 30, 0), bystander())
    out = cross_check(seen([(0, 0)]), data, None)
    assert (out.status[0], out.mmsi[0]) == ("ambiguous", 0)
    assert "440000011" in out.why[0]
    assert "440000022" in out.why[0]
    states = dict(zip(out.vessels.mmsi.tolist(), out.vessels.state.tolist(), strict=True))
    assert states == {440000001: "unseen", 440000011: "ambiguous", 440000022: "ambiguous"}


def test_a_second_ship_just_clearly_farther_leaves_the_match():
    """The rule asks for max(d + 100 m, 1.5 d)."""
    near = 20.0
    for far, status in ((near + CLEAR_BY_M - 2, "ambiguous"), (near + CLEAR_BY_M + 2, "matched")):
        data = ais(ship(440000011, -near, 0), ship(440000022, far, 0), bystander())
        assert status_of(seen([(0, 0)], sigma_m=40.0), data) == [status]
    near = 280.0  # from 200 m on the factor asks for more
    for far, status in ((CLEAR_BY_FACTOR * near - 8, "ambiguous"), (CLEAR_BY_FACTOR * near + 8, "matched")):
        data = ais(ship(440000011, -near, 0), ship(440000022, far, 0), bystander())
        assert cross_check(seen([(0, 0)], sigma_m=100.0), data, None).status.tolist() in ([status], ["ambiguous"])
    assert status_of(seen([(0, 0)], sigma_m=100.0), data) == ["ambiguous"]  # clear by metres, not by probability


def test_two_objects_near_one_ship_are_ambiguous():
    data = ais(ship(440000011, 0, 0), bystander())
    assert status_of(seen([(40, 0), (-40, 0)]), data) == ["ambiguous", "ambiguous"]


def test_a_left_over_object_inside_a_ships_gate_is_ambiguous_not_dark():
    data = ais(ship(440000011, 0, 0), bystander())
    assert status_of(seen([(0, 0), (85, 0)]), data) == ["ambiguous", "ambiguous"]
    assert status_of(seen([(0, 0), (0, 300)]), data) == ["matched", "dark_candidate"]


def test_dark_next_to_a_reporting_ship_is_found():
    out = cross_check(seen([(0, 10), (250, 0)]), ais(ship(440000011, 0, 0), bystander()), None)
    assert out.status.tolist() == ["matched", "dark_candidate"]
    assert out.mmsi.tolist() == [440000011, 0]


def test_a_raft_is_ambiguous_only_within_itself():
    raft = [(0, 0), (25, 0), (50, 0)]
    reports = [ship(440000010 + k, east + 5, north) for k, (east, north) in enumerate(raft)]
    alone = ship(440000099, 1500, 0)
    out = cross_check(seen([*raft, (1495, 10), (0, 2000)]), ais(*reports, alone, bystander()), None)
    assert out.status.tolist() == ["ambiguous"] * 3 + ["matched", "dark_candidate"]
    assert out.mmsi.tolist() == [0, 0, 0, 440000099, 0]
    assert "3 AIS ships" in out.why[1]
    assert "3 objects" in out.why[1]
    states = dict(zip(out.vessels.mmsi.tolist(), out.vessels.state.tolist(), strict=True))
    assert [states[440000010 + k] for k in range(3)] == ["ambiguous"] * 3
    assert states[440000099] == "seen"


def test_size_tells_a_boat_from_the_ship_beside_it():
    data = ais(ship(440000011, 0, 0, length=300.0), bystander())
    out = cross_check(seen([(5, 0), (60, 0)], length=[290.0, 12.0]), data, None)
    assert out.status.tolist() == ["matched", "dark_candidate"]
    assert "no duty to carry AIS" in out.why[1]


def test_a_loosely_placed_ship_makes_objects_ambiguous_and_is_never_matched():
    """Reports two hours apart: the place is known to some kilometres."""
    loose = ship(440000011, 0, 0, v=(5.0, 0.0), every_s=7200.0, from_s=-3600.0, to_s=3600.0, name="SLOW")
    out = cross_check(seen([(0, 400)]), ais(loose, bystander()), None)
    assert (out.status[0], out.mmsi[0]) == ("ambiguous", 0)
    assert "SLOW" in out.why[0]
    row = out.vessels.mmsi.tolist().index(440000011)
    assert (out.vessels.state[row], "gap of 2.0 h" in out.vessels.why[row]) == ("unplaced", True)
    assert np.isnan(out.vessels.sigma_m[row])
    assert status_of(seen([(0, 400)]), ais(ship(440000011, 0, 0, v=(5.0, 0.0)), bystander())) == ["dark_candidate"]


def test_a_ship_last_heard_long_ago_is_unplaced_and_mentioned():
    gone = ship(440000011, 0, 0, v=(5.0, 0.0), from_s=-3000.0, to_s=-1500.0, name="GONE")
    out = cross_check(seen([(0, 0)]), ais(gone, bystander()), None)
    assert out.status.tolist() == ["dark_candidate"]
    assert "GONE (MMSI 440000011)" in out.why[0]
    assert out.stations_heard.tolist() == [1]  # she may be the object: she does not count as another
    assert out.vessels.counts() == {"seen": 0, "unseen": 1, "unplaced": 1, "not_observed": 0, "ambiguous": 0}
    assert "25 min before the image" in out.vessels.why[1]
    assert status_of(seen([(0, 0)]), ais(gone)) == ["no_coverage"]
    recent = ship(440000011, 0, 0, v=(5.0, 0.0), from_s=-3000.0, to_s=-300.0)
    assert status_of(seen([(0, 0)]), ais(recent, bystander())) == ["matched"]


# ------------------------------------------------------------------------------------------ each object at its own time


def test_each_object_is_compared_at_its_own_time():
    """At 10 m/s a ship goes 250 m in 25 s: one shared time would miss one of the two."""
    first, second = ship(440000011, 0, 0, v=(10.0, 0.0)), ship(440000022, 0, 5000, v=(0.0, -10.0))
    detections = seen([(-125.0, 0), (0, 4875.0)], s=np.array([-12.5, 12.5]), sigma_m=10.0)
    data = ais(first, second, bystander())
    assert cross_check(detections, data, None).mmsi.tolist() == [440000011, 440000022]
    swapped = seen([(-125.0, 0), (0, 4875.0)], s=np.array([12.5, -12.5]), sigma_m=10.0)
    assert cross_check(swapped, data, None).mmsi.tolist() == [0, 0]


def test_unsure_time_widens_along_the_way_only():
    data = ais(ship(440000011, 0, 0, v=(10.0, 0.0)), bystander())
    beside, behind = seen([(0, 300)], sigma_m=10.0), seen([(-300, 0)], sigma_m=10.0)
    assert status_of(behind, data) == ["dark_candidate"]
    for detections in (beside, behind):
        detections.time_sigma_s[:] = 30.0
    assert status_of(behind, data) == ["matched"]
    assert status_of(beside, data) == ["dark_candidate"]


# ------------------------------------------------------------------------------------------ azimuth shift


def test_a_fast_ship_is_found_where_radar_shows_her():
    """8 m/s along the look direction: about 550 m along the flight, far beyond the gate without the shift."""
    look = np.radians(281.0)
    v = (8.0 * np.sin(look), 8.0 * np.cos(look))
    east, north = (float(part[0]) for part in azimuth_shift_m(radar(1), *v))
    assert 500.0 < np.hypot(east, north) < 600.0
    data = ais(ship(440000011, 0, 0, v=v), bystander())
    detections = seen([(east, north)], sar=True)
    out = cross_check(detections, data, radar(1))
    assert out.status.tolist() == ["matched"]
    assert out.azimuth_shift_m[0] == pytest.approx(np.hypot(east, north), rel=1e-3)
    assert out.ais_distance_m[0] < 2.0
    assert "azimuth shift of 5" in out.why[0]
    table = out.vessels
    assert offset_m(table.lon[1], table.lat[1], table.imaged_lon[1], table.imaged_lat[1])[0] == pytest.approx(
        east, abs=1
    )
    assert status_of(detections, data) == ["dark_candidate"]  # without a view: no shift
    assert status_of(detections, data, radar(1, incidence=np.nan)) == ["dark_candidate"]
    assert status_of(seen([(-east, -north)], sar=True), data, radar(1)) == ["dark_candidate"]  # to the wrong side


def test_a_ship_along_the_flight_is_not_shifted():
    flight = np.radians(191.0)
    v = (8.0 * np.sin(flight), 8.0 * np.cos(flight))
    out = cross_check(seen([(0, 0)], sar=True), ais(ship(440000011, 0, 0, v=v), bystander()), radar(1))
    assert (out.status[0], round(out.azimuth_shift_m[0], 3)) == ("matched", 0.0)


def test_view_must_be_aligned():
    with pytest.raises(ValueError, match="3 rows for 2 detections"):
        cross_check(seen([(0, 0), (9, 9)]), AisData.empty(), radar(3))


@pytest.mark.parametrize("column", ["lon", "lat", "var_east_m2", "cov_east_north_m2", "var_north_m2"])
def test_detections_without_place_or_covariance_are_refused(column):
    detections = seen([(0, 0), (9, 9)])
    getattr(detections, column)[1] = np.nan
    with pytest.raises(ValueError, match="scene/r1c0"):
        cross_check(detections, AisData.empty(), None)


# ------------------------------------------------------------------------------------------ doubtful identity


@pytest.mark.parametrize(
    ("mmsi", "columns", "says"),
    [
        (440123456, {"imo": IMO + 1}, "fails its check digit"),
        (123456789, {}, "not a valid ship's number"),
        (979999999, {}, "not a valid ship's number"),
        (970123456, {}, "number of a locating beacon"),
        (982123456, {}, "number of a craft of a parent ship"),
        (12345, {}, "not a valid ship's number"),
        (440123456, {"sog_kn": 70.0, "cog_deg": 90.0}, "reports 70 kn"),
        (440123456, {"length": 300.0}, "300 m does not fit the 46 to 78 m seen"),
        (440123456, {"length": 10.0}, "10 m does not fit the 46 to 78 m seen"),
    ],
)
def test_doubtful_identity(mmsi, columns, says):
    data = ais(ship(mmsi, 0, 0, every_s=10.0, **columns), bystander())
    out = cross_check(seen([(5, 5)]), data, None)
    assert out.status.tolist() == ["matched_identity_doubtful"]
    assert out.mmsi.tolist() == [mmsi]
    assert says in out.why[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"imo": IMO},
        {"imo": None},
        {"length": None},
        {"length": 110.0},
        {"length": 33.0},
        {"mmsi": 201000000},
        {"mmsi": 775999999},
        {"mmsi": 366123000},  # ending in 000 is common and no flag
    ],
)
def test_near_misses_of_doubt(columns):
    mmsi = columns.pop("mmsi", 440123456)
    assert status_of(seen([(5, 5)]), ais(ship(mmsi, 0, 0, **columns), bystander())) == ["matched"]


def test_radar_lengths_may_differ_much_more():
    data = ais(ship(440123456, 0, 0, length=170.0), bystander())
    assert status_of(seen([(5, 5)]), data) == ["matched_identity_doubtful"]
    assert status_of(seen([(5, 5)], sar=True), data, radar(1)) == ["matched"]
    data = ais(ship(440123456, 0, 0, length=400.0), bystander())
    assert status_of(seen([(5, 5)], sar=True), data, radar(1)) == ["matched_identity_doubtful"]


def test_one_mmsi_in_two_places_is_doubtful_in_both():
    here, there = ship(440123456, 0, 0), ship(440123456, 0, 30_000, from_s=-570.0)
    out = cross_check(seen([(0, 5), (0, 30_005)]), ais(here, there, bystander()), None)
    assert out.status.tolist() == ["matched_identity_doubtful"] * 2
    assert out.mmsi.tolist() == [440123456] * 2
    assert "two places at once" in out.why[0]
    assert out.vessels.segment[out.vessels.mmsi == 440123456].tolist() == [0, 1]
    once = ship(440123456, 0, 30_000, from_s=-570.0, to_s=-570.0)  # one stray report
    assert status_of(seen([(0, 5)]), ais(here, once, bystander())) == ["matched"]


def test_positions_that_contradict_the_speed_are_doubtful():
    moving = {"v": (8.0, 0.0)}
    data = ais(ship(440123456, 0, 0, **moving, sog_kn=0.2), bystander())
    assert "0.2 kn while its positions make 15.6 kn" in cross_check(seen([(0, 0)]), data, None).why[0]
    data = ais(ship(440123456, 0, 0, **moving, sog_kn=8.0 / KN_M_S - 8.0), bystander())
    assert status_of(seen([(0, 0)]), data) == ["matched"]


def test_imo_check_digit():
    assert imo_valid([9074729, 9074728, 0, 907472, 90747290]).tolist() == [True, False, False, False, False]


def test_stations_by_number():
    numbers = {
        366999618: Station.SHIP,
        200999999: Station.INVALID,
        776000000: Station.INVALID,
        3669123: Station.BASE_STATION,
        1234567: Station.INVALID,
        993661234: Station.AID_TO_NAVIGATION,
        111366001: Station.AIRCRAFT,
        970012345: Station.BEACON,
        972012345: Station.BEACON,
        974012345: Station.BEACON,
        971012345: Station.INVALID,
        983661234: Station.AUXILIARY,
        0: Station.INVALID,
        1072215160: Station.INVALID,
    }
    assert stations(list(numbers)).tolist() == [word.value for word in numbers.values()]


def test_length_plausible_does_not_judge_what_is_not_known():
    nan = np.nan
    assert length_plausible([nan, 50, 50], [20, nan, 20], [30, nan, 40], 1.5).tolist() == [True, True, True]
    assert length_plausible([14, 16], [4, 4], [6, 6], 1.5).tolist() == [True, False]


# ------------------------------------------------------------------------------------------ the ships' side


def test_unseen_only_where_it_could_have_been_seen():
    data = ais(ship(440000011, 0, 0), ship(440000022, 4000, 0))
    asked = []

    def west_half(lon, lat):
        asked.append((lon, lat))
        return offset_m(LON, LAT, lon, lat)[0] < 2000.0

    out = cross_check(seen([(0, 9000)]), data, None, observed=west_half)
    assert out.vessels.state.tolist() == ["unseen", "not_observed"]
    assert len(asked) == 5  # the place and one sigma to each side
    assert cross_check(seen([(0, 9000)]), data, None).vessels.state.tolist() == ["unseen", "unseen"]
    edge = ais(ship(440000011, 1995, 0))
    assert cross_check(seen([(0, 9000)]), edge, None, observed=west_half).vessels.state.tolist() == ["not_observed"]


def test_observed_is_asked_where_radar_would_show_her():
    look = np.radians(281.0)
    v = (8.0 * np.sin(look), 8.0 * np.cos(look))
    north = float(azimuth_shift_m(radar(1), *v)[1][0])
    data = ais(ship(440000011, 0, 0, v=v))

    def near_the_shifted_place(lon, lat):
        return np.abs(offset_m(LON, LAT, lon, lat)[1] - north) < 200.0

    out = cross_check(seen([(0, 9000)], sar=True), data, radar(1), observed=near_the_shifted_place)
    assert out.vessels.state.tolist() == ["unseen"]


def test_a_scene_without_detections_still_tells_of_the_ships():
    data = ais(ship(440000011, 0, 0), ship(440000022, 0, 4000, from_s=-3000.0, to_s=-1000.0))
    out = cross_check(Detections.empty(), data, None, scene_time=T0)
    assert (len(out), out.vessels.state.tolist()) == (0, ["unseen", "unplaced"])
    assert len(cross_check(Detections.empty(), data, None).vessels) == 0
    assert len(cross_check(Detections.empty(), None, None, scene_time=T0).vessels) == 0


def test_ships_heard_long_before_or_after_are_not_listed():
    data = ais(ship(440000011, 0, 0, from_s=-8.1 * 3600, to_s=-8.05 * 3600), bystander())
    assert cross_check(seen([(0, 0)]), data, None).vessels.mmsi.tolist() == [440000001]


def test_words_are_defined_and_accuse_nobody():
    assert set(VESSEL_STATE_MEANING) == set(VesselState)
    assert set(DETECTION_STATUS_MEANING) == set(DetectionStatus)
    data = ais(ship(440000011, 0, 0), ship(440000022, 40, 0), ship(123, 5000, 0), bystander())
    out = cross_check(seen([(0, 0), (5000, 0), (0, 4000)]), data, None)
    for text in [*out.why, *out.vessels.why, *VESSEL_STATE_MEANING.values()]:
        assert text.endswith(".")
        assert not any(word in text.lower() for word in ("illegal", "guilt", "crime", "suspicious", "nan"))


def test_same_input_same_output_whatever_the_order_of_reports():
    rng = np.random.default_rng(3)
    frames = [ship(440000100 + k, *rng.uniform(-4000, 4000, 2), v=tuple(rng.normal(0, 4, 2))) for k in range(30)]
    detections = seen(rng.uniform(-4000, 4000, (40, 2)), sar=True)
    one = cross_check(detections, ais(*frames), radar(40))
    other = cross_check(detections, ais(*frames[::-1]), radar(40))
    for name in ("status", "mmsi", "why", "probability", "runner_up_mmsi"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.vessels.why, other.vessels.why)
    turned = np.arange(40)[::-1]
    third = cross_check(detections.take(turned), ais(*frames), radar(40))
    np.testing.assert_array_equal(third.status[turned], one.status)


# ------------------------------------------------------------------------------------------ assignment


def every_pairing(count_i, count_j):
    """All one-to-one pairings, as tuples of the ship of each detection or -1."""
    for choice in itertools.product([-1, *range(count_j)], repeat=count_i):
        used = [j for j in choice if j >= 0]
        if len(used) == len(set(used)):
            yield choice


@pytest.mark.parametrize("case", range(40))
def test_assignment_is_the_best_of_all_pairings(case):
    rng = np.random.default_rng(case)
    i, j = np.nonzero(rng.random((rng.integers(1, 5), rng.integers(1, 6))) < 0.6)
    llr = rng.normal(1.0, 3.0, len(i))
    chosen = best_pairs(i, j, llr)
    value = {(a, b): w for a, b, w in zip(i.tolist(), j.tolist(), llr.tolist(), strict=True)}
    best = max(
        sum(value.get((a, b), -np.inf) for a, b in enumerate(choice) if b >= 0) for choice in every_pairing(4, 5)
    )
    assert llr[chosen].sum() == pytest.approx(max(best, 0.0))
    assert len(set(i[chosen].tolist())) == len(set(j[chosen].tolist())) == len(chosen)
    assert (llr[chosen] > 0).all()


@pytest.mark.parametrize("case", range(30))
def test_marginals_agree_with_enumeration(case):
    rng = np.random.default_rng(100 + case)
    i, j = np.nonzero(rng.random((3, 4)) < 0.5)
    llr = rng.normal(0.0, 2.0, len(i))
    value = {(a, b): w for a, b, w in zip(i.tolist(), j.tolist(), llr.tolist(), strict=True)}
    total, share = 0.0, np.zeros(len(i))
    for choice in every_pairing(3, 4):
        pairs = [(a, b) for a, b in enumerate(choice) if b >= 0]
        weight = np.exp(sum(value.get(pair, -np.inf) for pair in pairs))
        total += weight
        for pair in pairs:
            if pair in value:
                share[list(value).index(pair)] += weight
    found = marginals(i, j, llr)
    tree = len(i) <= len(set(i.tolist())) + len(set(j.tolist())) - 1 and len(set(i.tolist())) <= 1
    np.testing.assert_allclose(found, share / total, atol=1e-6 if tree else 0.06)


def test_marginals_are_exact_on_a_chain():
    i, j, llr = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 2]), np.array([1.0, 2.0, -1.0, 0.5, 3.0])
    value = dict(zip(zip(i.tolist(), j.tolist(), strict=True), llr.tolist(), strict=True))
    total, share = 0.0, np.zeros(5)
    for choice in every_pairing(3, 3):
        pairs = [(a, b) for a, b in enumerate(choice) if b >= 0]
        weight = np.exp(sum(value.get(pair, -np.inf) for pair in pairs))
        total += weight
        share += [weight * (pair in pairs) for pair in value]
    np.testing.assert_allclose(marginals(i, j, llr), share / total, rtol=1e-6)


def test_nothing_to_pair():
    none = np.empty(0, np.int64)
    assert len(best_pairs(none, none, np.empty(0))) == 0
    assert len(marginals(none, none, np.empty(0))) == 0


def test_gate_constants_are_those_of_the_design():
    assert (GATE_D2, GATE_M) == (25.0, 3000.0)


# ------------------------------------------------------------------------------------------ many real ships


@pytest.fixture(scope="module")
def national(real_data):
    """24 minutes of US waters, and of each ship the report nearest to 00:12 as the truth."""
    reports = read_marinecadastre(real_data("ais/marinecadastre_2022-01-03.csv.gz")).reports
    middle = datetime(2022, 1, 3, 0, 12, tzinfo=UTC)
    off = (pl.col("t") - pl.lit(middle)).dt.total_seconds().abs()
    reports = reports.with_columns(off.alias("off")).filter(pl.col("off") <= 720)
    truth = reports.sort("mmsi", "off", maintain_order=True).unique("mmsi", keep="first", maintain_order=True)
    told = pl.col("cog_deg").is_not_null() | (pl.col("sog_kn") < 0.5)
    truth = truth.filter((pl.col("off") <= 90) & pl.col("sog_kn").is_not_null() & told)
    return reports.drop("off"), truth.filter(pl.Series(stations(truth["mmsi"]) == "ship"))


def simulated_scene(national, hidden_min, seed):
    """A radar scene of these ships: 10 % without AIS, reports within half of ``hidden_min`` of the image withheld.

    Ships are detected as often as their length allows and shifted in azimuth; 25 m of noise, up to .3 lengths between
    antenna and centroid, 15 % clutter near ships. A ship of which no report is left counts as without AIS, too.
    Returns detections, AIS, view, and the true MMSI of each detection (0 without AIS, -1 clutter).
    """
    reports, truth = national
    rng = np.random.default_rng(seed)
    n = len(truth)
    silent = rng.random(n) < 0.10
    length = truth["length_m"].fill_null(15.0).to_numpy()
    detected = rng.random(n) < np.interp(length, [15, 25, 35, 50, 80, 120], [0.25, 0.55, 0.72, 0.86, 0.93, 0.96])
    joined = reports.join(truth.select("mmsi", at=pl.col("t"), silent=pl.Series(silent)), on="mmsi", how="left")
    apart = (joined["t"] - joined["at"]).dt.total_seconds().abs().fill_null(9999)
    kept = AisData(reports=reports.filter(~joined["silent"].fill_null(False) & (apart > hidden_min * 30.0)))
    silent |= ~np.isin(truth["mmsi"].to_numpy(), kept.reports["mmsi"].unique().to_numpy())
    speed, course = truth["sog_kn"].to_numpy() * KN_M_S, np.radians(truth["cog_deg"].fill_null(0.0).to_numpy())
    shift = azimuth_shift_m(radar(n), speed * np.sin(course), speed * np.cos(course))
    ahead = rng.uniform(-0.3, 0.3, n) * length
    noise = rng.normal(0.0, 25.0, (2, n))
    lon, lat = moved(
        truth["lon"].to_numpy(),
        truth["lat"].to_numpy(),
        shift[0] + ahead * np.sin(course) + noise[0],
        shift[1] + ahead * np.cos(course) + noise[1],
    )
    rows = np.flatnonzero(detected)
    clutter = rng.choice(rows, int(0.15 * len(rows)))
    turn, away = rng.uniform(0, 2 * np.pi, len(clutter)), rng.uniform(100, 3000, len(clutter))
    clutter_lon, clutter_lat = moved(lon[clutter], lat[clutter], away * np.sin(turn), away * np.cos(turn))
    source = np.concatenate([rows, clutter])
    hull = np.concatenate(
        [length[rows] * np.exp(rng.normal(0, 0.3, len(rows))), np.exp(rng.normal(3.7, 0.9, len(clutter)))]
    )
    columns = {
        "lon": np.concatenate([lon[rows], clutter_lon]),
        "lat": np.concatenate([lat[rows], clutter_lat]),
        "time": truth["t"].dt.epoch("us").to_numpy()[source].astype("datetime64[us]"),
        "length_low_m": hull * 0.6,
        "length_high_m": hull * 1.65,
    }
    detections = seen(np.zeros((len(source), 2)), length=hull, sigma_m=25.0, sar=True, **columns)
    mmsi = np.where(silent, 0, truth["mmsi"].to_numpy().astype(np.int64))
    return detections, kept, radar(len(source)), np.concatenate([mmsi[rows], np.full(len(clutter), -1)])


def nearest_neighbour_is_dark(detections, kept, reach_m=500.0):
    """The baseline: no AIS ship, placed at the object's time but not shifted, within 500 m."""
    tracks = build_tracks(kept)
    time_us = detections.time.astype(np.int64)
    where = place(tracks, np.arange(len(tracks)), np.full(len(tracks), int(np.median(time_us))))
    here, there = sphere_m(detections.lon, detections.lat), sphere_m(where.lon, where.lat)[where.placed]
    return cKDTree(there).query(here)[0] > reach_m


def precision_recall(called, dark, ships):
    called = called & ships
    return (called & dark).sum() / max(called.sum(), 1), (called & dark).sum() / (dark & ships).sum()


@pytest.fixture(scope="module")
def offshore(need):
    """Tells whether places are more than 1.3 km from land, by twelve points around them."""
    need(importlib.util.find_spec("roaring_landmask") is not None, "roaring-landmask (pip install 'offing[land]')")
    from roaring_landmask import RoaringLandmask

    mask = RoaringLandmask.new()

    def check(lon, lat):
        clear = ~mask.contains_many(lon, lat)
        for turn in np.radians(np.arange(0, 360, 30)):
            clear &= ~mask.contains_many(*moved(lon, lat, 1300 * np.sin(turn), 1300 * np.cos(turn)))
        return clear

    return check


@pytest.mark.parametrize(("hidden_min", "precision", "recall"), [(2, 0.99, 0.94), (10, 0.98, 0.94), (15, 0.95, 0.93)])
def test_dark_ships_among_real_ones_offshore(national, offshore, hidden_min, precision, recall):
    ours, theirs, wrong, matched = [], [], 0, 0
    for seed in range(2):
        detections, kept, view, true = simulated_scene(national, hidden_min, seed)
        out = cross_check(detections, kept, view)
        ships, dark = (true >= 0) & offshore(detections.lon, detections.lat), true == 0
        ours.append(precision_recall(np.isin(out.status, ["dark_candidate", "no_coverage"]), dark, ships))
        theirs.append(precision_recall(nearest_neighbour_is_dark(detections, kept), dark, ships))
        named = (out.mmsi > 0) & ships
        matched += named.sum()
        wrong += (named & (out.mmsi != true)).sum()
        sure = out.probability[np.isin(out.status, ["matched"]) & ships]
        assert sure.min() >= 0.9
    (our_precision, our_recall), (their_precision, _) = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    assert our_precision >= precision
    assert our_recall >= recall
    assert our_precision > their_precision + 0.1
    assert wrong / matched < 0.01


def test_dark_ships_among_real_ones_in_ports(national):
    """Rafts and berths: few calls, but right ones; the rest is ambiguous and says so."""
    detections, kept, view, true = simulated_scene(national, 10, 0)
    out = cross_check(detections, kept, view)
    ships, dark = true >= 0, true == 0
    precision, recall = precision_recall(np.isin(out.status, ["dark_candidate", "no_coverage"]), dark, ships)
    assert precision >= 0.95
    assert recall >= 0.4
    named = (out.mmsi > 0) & ships
    assert (out.mmsi != true)[named].mean() < 0.03
    assert (named & dark).sum() / (dark & ships).sum() < 0.10  # silent ships explained away by a neighbour
    assert sum(out.vessels.counts().values()) == len(out.vessels)
