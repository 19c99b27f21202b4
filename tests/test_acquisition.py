"""Acquisition geometry against real annotations, control points, STAC items and a range-Doppler solution."""

from __future__ import annotations

import dataclasses
import os
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod, Transformer
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import brentq, fsolve

from imagery.acquisition import (
    MODE_TIME_SIGMA_S,
    Acquisition,
    AcquisitionSample,
    StatedAcquisition,
    azimuth_shift_m,
    ecef_m,
    view,
)
from imagery.errors import AnnotationError, ImageryError
from imagery.orbit import SPECS
from imagery.orbit_model import OrbitModel
from imagery.tie_points import SPEED_OF_LIGHT_M_S, TiePointAcquisition

DATA = Path(os.environ.get("OFFING_DATA", Path(__file__).parents[1] / "../shared/data"))
SAFES = {"sea": "S1A_IW_GRDH_1SDV_20221014", "alps": "S1B_IW_GRDH_1SDV_20210401", "italy": "S1B_IW_GRDH_1SDV_20211223"}
TRACKS = {"sea": 46, "alps": 168, "italy": 22}  # relative orbits of absolute orbits S1A 45443, S1B 26269 and 30148
SPEC = SPECS["sentinel-1"]
SECOND = np.timedelta64(1, "s")
S1_ORBIT_S = 12 * 86400 / 175


@dataclass(frozen=True)
class ScatteredPlaces:
    """A geometry from tie points: a spline through longitudes and latitudes, optionally turned about the poles."""

    lines: NDArray[np.float64]
    pixels: NDArray[np.float64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    origin: tuple[float, float] = (0.0, 0.0)
    shape_hw: tuple[int, int] = (0, 0)
    east_deg: float = 0.0

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        row, col = np.asarray(rows, float) + self.origin[0], np.asarray(cols, float) + self.origin[1]
        lon = RectBivariateSpline(self.lines, self.pixels, self.lon)(row, col, grid=False) + self.east_deg
        lat = RectBivariateSpline(self.lines, self.pixels, self.lat)(row, col, grid=False)
        return (lon + 180.0) % 360.0 - 180.0, lat


@dataclass(frozen=True)
class Point:
    """A tiny north-up scene about a place."""

    lon: float
    lat: float
    shape_hw: tuple[int, int] = (3, 3)

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        row, col = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        return self.lon + (col - 1.0) * 1e-4, self.lat - (row - 1.0) * 1e-4


@lru_cache
def annotation(name: str) -> bytes:
    found = sorted((DATA / "sar/safe").glob(f"{SAFES[name]}*.zip"))
    if not found:
        pytest.skip(f"no Sentinel-1 SAFE of {name} below {DATA}: set OFFING_DATA")
    with zipfile.ZipFile(found[0]) as archive:
        inside = [n for n in archive.namelist() if re.search(r"/annotation/s1.*-vv-.*\.xml$", n)]
        return archive.read(inside[0])


def grid_text(name: str) -> str:
    return annotation(name).decode().split("<geolocationGridPointList")[1].split("</geolocationGridPointList")[0]


@lru_cache
def column(name: str, tag: str) -> NDArray[np.float64]:
    """Values of a tag in the tie-point grid, read by a regular expression: independent of the parser under test."""
    return np.array([float(x) for x in re.findall(f"<{tag}>([^<]+)</{tag}>", grid_text(name))])


@lru_cache
def tie_points(name: str) -> TiePointAcquisition:
    return TiePointAcquisition.from_annotation_xml(annotation(name))


@lru_cache
def places(name: str) -> ScatteredPlaces:
    lines, pixels = np.unique(column(name, "line")), np.unique(column(name, "pixel"))
    shape = (len(lines), len(pixels))
    lon, lat = column(name, "longitude").reshape(shape), column(name, "latitude").reshape(shape)
    return ScatteredPlaces(lines, pixels, lon, lat, shape_hw=(int(lines[-1]) + 1, int(pixels[-1]) + 1))


def centre_time(name: str) -> datetime:
    height, width = places(name).shape_hw
    return aware(tie_points(name).at((height - 1) / 2, (width - 1) / 2).time)


def aware(time: NDArray[np.datetime64]) -> datetime:
    moment = time.astype("datetime64[us]").item()
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=UTC)


def turn(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.abs((np.asarray(a) - np.asarray(b) + 180.0) % 360.0 - 180.0))


def seconds(a: NDArray[np.datetime64], b: NDArray[np.datetime64]) -> NDArray[np.float64]:
    return np.abs((a - b) / SECOND)


def at_sea_level(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lines and pixels of the tie points within 60 m of the ellipsoid: where the model's assumption holds."""
    low = np.abs(column(name, "height")) < 60.0
    return column(name, "line")[low], column(name, "pixel")[low]


# ------------------------------------------------------------------------------------------------- annotation


@pytest.mark.parametrize("name", SAFES)
def test_tie_points_come_back_exactly(name: str) -> None:
    sample = tie_points(name).at(column(name, "line"), column(name, "pixel"))
    times = np.array(re.findall("<azimuthTime>([^<]+)<", grid_text(name)), dtype="datetime64[us]")
    np.testing.assert_array_equal(sample.time, times)
    np.testing.assert_array_equal(sample.incidence_deg, column(name, "incidenceAngle"))
    np.testing.assert_array_equal(sample.slant_range_m, column(name, "slantRangeTime") * SPEED_OF_LIGHT_M_S / 2.0)
    assert sample.source == "annotation"
    assert np.all(sample.time_sigma_s == MODE_TIME_SIGMA_S["IW"])


@pytest.mark.parametrize("name", SAFES)
def test_orbit_and_tie_points_of_a_product_agree(name: str) -> None:
    """Range and zero Doppler from the state vectors, by pyproj, against the file's own numbers."""
    acquisition = tie_points(name)
    sample = acquisition.at(column(name, "line"), column(name, "pixel"))
    to_ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    target = np.stack(
        to_ecef.transform(column(name, "longitude"), column(name, "latitude"), column(name, "height")), axis=-1
    )
    np.testing.assert_allclose(
        target, ecef_m(column(name, "longitude"), column(name, "latitude"), column(name, "height")), atol=1e-3
    )
    heading = float(re.findall("<platformHeading>([^<]+)<", annotation(name).decode())[0]) % 360.0
    assert turn(sample.heading_deg, heading).max() < 0.2
    assert np.all(np.abs(sample.platform_speed_m_s - 7595.0) < 10.0)
    # Right-looking: the look direction is the heading plus 90 deg, less the convergence of the meridians.
    assert turn(sample.look_azimuth_deg, sample.heading_deg + 90.0).max() < 6.0
    # Along a line of the image the ground runs in the look direction, but for the tilt of the zero-Doppler plane.
    grid = places(name)
    azimuth, _, _ = Geod(ellps="WGS84").inv(grid.lon[4, 9], grid.lat[4, 9], grid.lon[4, 11], grid.lat[4, 11])
    assert turn(azimuth, acquisition.look_azimuth_deg[4, 10]) < 0.6


def test_viewing_angles_are_those_of_a_topocentric_frame() -> None:
    """PROJ's east, north, up at the target against `view`; incidence is from the ellipsoid's own vertical."""
    lon, lat, height = 15.0, 47.0, 120.0
    position, velocity = SPEC.state(25.0, 760.0)
    seen = view(lon, lat, height, position, velocity)
    enu = Transformer.from_pipeline(f"+proj=topocentric +ellps=WGS84 +lon_0={lon} +lat_0={lat} +h_0={height}")
    east, north, up = enu.transform(*position.tolist())
    np.testing.assert_allclose(seen.slant_range_m, np.sqrt(east**2 + north**2 + up**2), rtol=1e-12)
    np.testing.assert_allclose(seen.incidence_deg, np.degrees(np.arctan2(np.hypot(east, north), up)), atol=1e-9)
    np.testing.assert_allclose((seen.look_azimuth_deg + 180.0) % 360.0, np.degrees(np.arctan2(east, north)) % 360.0)
    to_lonlat = Transformer.from_crs(4978, 4979, always_xy=True)
    here, ahead = (to_lonlat.transform(*(position + velocity * s).tolist()) for s in (0.0, 0.1))
    azimuth, _, _ = Geod(ellps="WGS84").inv(here[0], here[1], ahead[0], ahead[1])
    assert turn(seen.heading_deg, azimuth) < 0.01


@pytest.mark.parametrize("name", SAFES)
def test_left_out_tie_points_are_interpolated(name: str) -> None:
    full = tie_points(name)
    names = ["time", "slant_range_m", "incidence_deg", "look_azimuth_deg", "heading_deg", "platform_speed_m_s"]
    rows = slice(None, None, 2) if name == "sea" else slice(None)  # on land the terrain steps from row to row
    thin = dataclasses.replace(
        full,
        lines=full.lines[rows],
        pixels=full.pixels[::2],
        **{n: getattr(full, n)[rows, ::2] for n in names},
    )
    sample = thin.at(full.lines[:, None], full.pixels)
    assert seconds(sample.time, full.time).max() < 1e-4
    assert np.abs(sample.slant_range_m - full.slant_range_m).max() < 1.0
    incidence_error = np.abs(sample.incidence_deg - full.incidence_deg)
    assert incidence_error.max() < (0.001 if name == "sea" else 0.2)  # terrain height moves a tie point's incidence
    assert turn(sample.look_azimuth_deg, full.look_azimuth_deg).max() < (0.001 if name == "sea" else 0.02)


def test_a_window_sees_the_product_from_its_offset() -> None:
    whole = tie_points("sea")
    part = TiePointAcquisition.from_annotation_xml(annotation("sea"), row_offset=1000, col_offset=2500)
    rows, cols = np.array([0.0, 700.25])[:, None], np.array([3.5, 9000.0, 12.0])
    one, other = part.at(rows, cols), whole.at(rows + 1000, cols + 2500)
    for field in dataclasses.fields(AcquisitionSample):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_beyond_half_a_cell_outside_nothing_is_claimed() -> None:
    acquisition = tie_points("sea")
    sample = acquisition.at([-0.5, 19487.5, -3000.0, np.nan, 30000.0], 500.0)
    assert np.isnat(sample.time).tolist() == [False, False, True, True, True]
    for value, sigma in (
        (sample.incidence_deg, sample.incidence_sigma_deg),
        (sample.slant_range_m, sample.slant_range_sigma_m),
        (sample.look_azimuth_deg, sample.look_azimuth_sigma_deg),
    ):
        assert np.isnan(value).tolist() == [False, False, True, True, True]
        assert np.isinf(sigma).tolist() == [False, False, True, True, True]
    np.testing.assert_allclose((sample.time[1] - sample.time[0]) / SECOND, 29.004878, atol=1e-5)


def test_look_directions_about_north_are_interpolated_through_north() -> None:
    shape = (2, 4)
    seconds_64 = (np.arange(8).reshape(shape) * 1_000_000).astype("timedelta64[us]")
    acquisition = TiePointAcquisition(
        lines=np.array([0.0, 10.0]),
        pixels=np.array([0.0, 10.0, 20.0, 30.0]),
        time=np.datetime64("2024-02-29T23:59:58", "us") + seconds_64,
        slant_range_m=np.full(shape, 9e5),
        incidence_deg=np.full(shape, 40.0),
        look_azimuth_deg=np.array([[358.0, 359.0, 0.0, 1.0]] * 2),
        heading_deg=np.full(shape, 269.0),
        platform_speed_m_s=np.full(shape, 7590.0),
    )
    sample = acquisition.at(5.0, [5.0, 15.0, 25.0])
    np.testing.assert_allclose(sample.look_azimuth_deg, [358.5, 359.5, 0.5], atol=1e-9)


def replaced(old: str, new: str, count: int = -1) -> bytes:
    text = annotation("sea").decode()
    assert old in text
    return text.replace(old, new, count).encode()


def broken(kind: str) -> bytes:
    match kind:
        case "no XML":
            return b"GIF89a"
        case "empty":
            return b""
        case "cut off":
            return annotation("sea")[:400_000]
        case "DTD":
            return b'<!DOCTYPE product [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><product>&b;</product>'
        case "foreign encoding":
            return b'<?xml version="1.0" encoding="no-such"?><product/>'
        case "no grid":
            return b"<product><adsHeader/></product>"
        case "missing field":
            return re.sub(rb"<incidenceAngle>[^<]+</incidenceAngle>", b"", annotation("sea"))
        case "one field missing":
            return replaced("<line>0</line>", "", 1)
        case "no number":
            return re.sub(rb"<latitude>[^<]+<", b"<latitude>north<", annotation("sea"), count=1)
        case "not finite":
            return re.sub(
                rb"<slantRangeTime>[^<]+</slantRangeTime>", b"<slantRangeTime>nan</slantRangeTime>", annotation("sea")
            )
        case "no time":
            return replaced("<azimuthTime>2022-10-14T20:51:26.966", "<azimuthTime>today ")
        case "hole":
            text = annotation("sea").decode()
            return re.sub(r"<geolocationGridPoint>.*?</geolocationGridPoint>", "", text, count=1, flags=re.S).encode()
        case "off the Earth":
            return re.sub(rb"<latitude>[^<]+<", b"<latitude>91.0<", annotation("sea"))
        case "no orbit":
            return replaced("<orbit>", "<orbits>").replace(b"</orbit>", b"</orbits>")
        case _:
            return replaced("<time>2022-10-14T20:5", "<time>2022-10-14T21:5")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no XML", "not well-formed"),
        ("empty", "not well-formed"),
        ("cut off", "not well-formed"),
        ("DTD", "refused"),
        ("foreign encoding", "not well-formed"),
        ("no grid", "has no line"),
        ("missing field", "no incidenceAngle in 231 of 231"),
        ("one field missing", "no line in 1 of 231"),
        ("no number", "latitude is not a number"),
        ("not finite", "slantRangeTime is not finite"),
        ("no time", "azimuthTime is not a time"),
        ("hole", "no whole grid: 230 points, 11 lines x 21"),
        ("off the Earth", "impossible latitudes"),
        ("no orbit", "has no time"),
        ("other orbit", "do not span"),
    ],
)
def test_bad_annotation_is_refused_in_a_sentence(kind: str, says: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(says)) as caught:
        TiePointAcquisition.from_annotation_xml(broken(kind))
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------- azimuth shift


def test_shift_per_speed_is_the_table_of_the_design() -> None:
    """K = R sin(incidence) / V in seconds; 10 kn across the track is 258 to 463 m."""
    sample = tie_points("sea").at(9000.0, np.linspace(0.0, 25116.0, 200))
    delay_s = sample.slant_range_m * np.sin(np.radians(sample.incidence_deg)) / sample.platform_speed_m_s
    for incidence, table_s in ((33.0, 58.0), (38.0, 69.0), (43.0, 82.0), (46.0, 90.0)):
        assert abs(np.interp(incidence, sample.incidence_deg, delay_s) - table_s) < 1.0
    nearer = SPEC.seen(0.146, *steep_place(29.0))
    k_s = nearer.slant_range_m * np.sin(np.radians(nearer.incidence_deg)) / nearer.platform_speed_m_s
    assert abs(k_s - 50.0) < 1.0


def steep_place(incidence_deg: float) -> tuple[float, float, float]:
    """A place east of the ascending track of relative orbit 1 at some incidence, and its zero-Doppler time."""

    def excess(lon: float) -> float:
        track_s = float(SPEC.abeam_s(0.146, lon, 10.0, 160.0))
        return float(SPEC.seen(0.146, lon, 10.0, track_s).incidence_deg) - incidence_deg

    lon = brentq(excess, 0.0, 10.0)
    return lon, 10.0, float(SPEC.abeam_s(0.146, lon, 10.0, 160.0))


@dataclass(frozen=True)
class TwoBody:
    """A satellite on a Kepler circle about a turning Earth; shares no code with the package."""

    ascending: bool
    radius_m: float = 7_071_000.0

    def position(self, t: float) -> NDArray[np.float64]:
        rate = np.sqrt(3.986004418e14 / self.radius_m**3)
        u = (0.6 if self.ascending else np.pi - 0.6) + rate * t
        tilt, spin = np.radians(98.18), -7.292115e-5 * t
        x, y, z = np.cos(u), np.sin(u) * np.cos(tilt), np.sin(u) * np.sin(tilt)
        turned = [x * np.cos(spin) - y * np.sin(spin), x * np.sin(spin) + y * np.cos(spin), z]
        return self.radius_m * np.array(turned)

    def velocity(self, t: float) -> NDArray[np.float64]:
        return (self.position(t + 0.5) - self.position(t - 0.5)) / 1.0


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("course_deg", [0.0, 50.0, 90.0, 200.0, 283.0])
@pytest.mark.parametrize("slant_m", [8.0e5, 9.4e5])
def test_shift_agrees_with_range_and_doppler_of_a_moving_target(
    ascending: bool, course_deg: float, slant_m: float
) -> None:
    """Image a ship at 10 m/s: find where a point at rest has its range and its time of closest approach."""
    satellite = TwoBody(ascending)
    to_ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    geod = Geod(ellps="WGS84")

    def place(lonlat: ArrayLike) -> NDArray[np.float64]:
        lon, lat = np.asarray(lonlat)
        return np.array(to_ecef.transform(lon, lat, 0.0))

    def range_rate(where: NDArray[np.float64], v: NDArray[np.float64], t: float) -> float:
        sight = where - satellite.position(t)
        return float(sight @ (v - satellite.velocity(t)) / np.linalg.norm(sight))

    below = Transformer.from_crs(4978, 4979, always_xy=True).transform(*satellite.position(0.0))
    ahead = Transformer.from_crs(4978, 4979, always_xy=True).transform(*satellite.position(1.0))
    heading, _, _ = geod.inv(below[0], below[1], ahead[0], ahead[1])

    def image_of(target_range_m: float, guess: ArrayLike) -> NDArray[np.float64]:
        """The resting place at zero Doppler at t = 0 and the given range."""

        def miss(lonlat: NDArray[np.float64]) -> list[float]:
            where = place(lonlat)
            return [
                range_rate(where, np.zeros(3), 0.0),
                float(np.linalg.norm(where - satellite.position(0.0)) - target_range_m) / 1e3,
            ]

        return np.asarray(fsolve(miss, np.asarray(guess), xtol=1e-12))

    start = geod.fwd(below[0], below[1], heading + 90.0, 4.5e5)[:2]
    image = image_of(slant_m, start)
    # The ship is where its range is the same and its range rate, at its speed, is zero at the same instant.
    speed = 10.0

    def ship_velocity(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat, _ = geod.fwd(lonlat[0], lonlat[1], course_deg, speed)
        return place((lon, lat)) - place(lonlat)

    def ship_miss(lonlat: NDArray[np.float64]) -> list[float]:
        where = place(lonlat)
        slant = float(np.linalg.norm(where - satellite.position(0.0)))
        return [range_rate(where, ship_velocity(lonlat), 0.0), (slant - slant_m) / 1e3]

    ship = np.asarray(fsolve(ship_miss, image, xtol=1e-12))
    azimuth, _, distance = geod.inv(ship[0], ship[1], image[0], image[1])
    true_east, true_north = distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))

    lon, lat = np.radians(image)
    sight = place(image) - satellite.position(0.0)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    look = np.degrees(np.arctan2(sight @ east, sight @ np.cross(up, east)))
    incidence = np.degrees(np.arccos(-sight @ up / np.linalg.norm(sight)))
    sample = sample_of(incidence, slant_m, look % 360.0, heading % 360.0, np.linalg.norm(satellite.velocity(0.0)))
    course = np.radians(course_deg)
    got = azimuth_shift_m(sample, speed * np.sin(course), speed * np.cos(course))
    assert np.hypot(got[0] - true_east, got[1] - true_north) < 0.002 * 900.0
    if course_deg in (50.0, 90.0):
        assert true_north < -300.0, "a ship with an eastward component is displaced southward on both passes"


def sample_of(
    incidence: ArrayLike, slant_m: ArrayLike, look: ArrayLike, heading: ArrayLike, speed: ArrayLike
) -> AcquisitionSample:
    none = np.zeros(())
    return AcquisitionSample(
        time=np.array(np.datetime64("2024-01-01", "us")),
        time_sigma_s=none,
        incidence_deg=np.asarray(incidence, float),
        incidence_sigma_deg=none,
        slant_range_m=np.asarray(slant_m, float),
        slant_range_sigma_m=none,
        look_azimuth_deg=np.asarray(look, float),
        look_azimuth_sigma_deg=none,
        heading_deg=np.asarray(heading, float),
        platform_speed_m_s=np.asarray(speed, float),
        source="made for a test",
    )


def test_shift_of_a_left_looking_radar_and_of_ships_along_the_track() -> None:
    left = sample_of(40.0, 9e5, 270.0, 0.0, 7500.0)  # flying north, looking west
    east, north = azimuth_shift_m(left, -10.0, 0.0)  # away from the radar: against the flight
    np.testing.assert_allclose([east, north], [0.0, -1200.0 * np.sin(np.radians(40.0))], atol=1e-9)
    right = sample_of(40.0, 9e5, 90.0, 0.0, 7500.0)
    np.testing.assert_allclose(azimuth_shift_m(right, 0.0, 12.0), [0.0, 0.0], atol=1e-9)
    sample = tie_points("sea").at(100.0, [100.0, 9000.0])
    assert azimuth_shift_m(sample, np.zeros((3, 1)), 5.0)[1].shape == (3, 2)


# ------------------------------------------------------------------------------------------------ orbit model


@pytest.mark.parametrize("name", SAFES)
@pytest.mark.parametrize("given", ["time", "relative orbit", "start", "stop", "near incidence"])
def test_model_against_annotation_within_its_sigmas(name: str, given: str) -> None:
    truth = tie_points(name)
    moments = {"start": (aware(truth.time.min()), "start"), "stop": (aware(truth.time.max()), "stop")}
    time, refers = moments.get(given, (centre_time(name), "centre"))
    model = OrbitModel(
        platform="sentinel-1",
        geometry=places(name),
        time=time,
        time_refers_to="start" if refers == "start" else "stop" if refers == "stop" else "centre",
        relative_orbit=TRACKS[name] if given == "relative orbit" else None,
        near_incidence_deg=float(truth.incidence_deg.min()) if given == "near incidence" else None,
    )
    assert model.source.startswith("orbit model: sentinel-1 descending")
    if given != "near incidence":
        assert f"relative orbit {TRACKS[name]} " in model.source
    lines, pixels = at_sea_level(name)
    real, got = truth.at(lines, pixels), model.at(lines, pixels)
    assert len(lines) > 2
    assert seconds(got.time, real.time).max() < 0.05
    assert np.all(seconds(got.time, real.time) < got.time_sigma_s)
    assert np.all(np.abs(got.incidence_deg - real.incidence_deg) < got.incidence_sigma_deg)
    assert np.all(np.abs(got.slant_range_m - real.slant_range_m) < got.slant_range_sigma_m)
    assert np.all(turn(got.look_azimuth_deg, real.look_azimuth_deg) < got.look_azimuth_sigma_deg)
    assert got.incidence_sigma_deg.max() <= 0.2
    assert turn(got.heading_deg, real.heading_deg).max() < 0.02
    assert np.abs(got.platform_speed_m_s - real.platform_speed_m_s).max() < 5.0


@pytest.mark.parametrize("name", SAFES)
def test_unknown_place_in_the_swath_is_covered_by_the_sigmas(name: str) -> None:
    """The date alone, and a crop anywhere in the swath: the middle is taken, the truth lies within 2 sigma."""
    truth, whole = tie_points(name), places(name)
    noon = centre_time(name).replace(hour=12, minute=0, second=0, microsecond=0)
    misses = []
    for col in range(0, 24000, 2000):
        crop = dataclasses.replace(whole, origin=(8000.0, float(col)), shape_hw=(1000, 1000))
        model = OrbitModel(
            platform="sentinel-1", geometry=crop, time=noon, time_sigma_s=24_942.0, direction="descending"
        )
        assert "place in the swath unknown" in model.source
        assert "direction as given" in model.source
        got, real = model.at(499.5, 499.5), truth.at(8499.5, col + 499.5)
        assert 4.0 < got.incidence_sigma_deg < 5.0
        misses.append(
            [
                abs(got.incidence_deg - real.incidence_deg) / got.incidence_sigma_deg,
                abs(got.slant_range_m - real.slant_range_m) / got.slant_range_sigma_m,
                turn(got.look_azimuth_deg, real.look_azimuth_deg) / got.look_azimuth_sigma_deg,
                seconds(got.time, real.time) / got.time_sigma_s,
            ]
        )
    assert np.max(misses) < 2.0
    assert np.sqrt(np.mean(np.square(misses), axis=0)).min() > 0.4  # and the sigmas are not idle either
    # The whole swath leaves little room.
    model = OrbitModel(platform="sentinel-1", geometry=whole, time=noon, time_sigma_s=24_942.0, direction="descending")
    middle = ((whole.shape_hw[0] - 1) / 2, (whole.shape_hw[1] - 1) / 2)
    got, real = model.at(*middle), truth.at(*middle)
    assert abs(got.incidence_deg - real.incidence_deg) < 2.0 * got.incidence_sigma_deg < 1.5
    assert seconds(got.time, real.time) < 2.0 * got.time_sigma_s < 100.0


def test_a_scene_across_the_antimeridian_is_a_turned_copy() -> None:
    """Another track of the same cycle is the same orbit, turned about the poles and later by whole orbits."""
    base = places("sea")
    later = 144  # relative orbit 46 + 144 - 175 = 15: the scene comes to lie about 180 E
    turned = dataclasses.replace(base, east_deg=-later * S1_ORBIT_S * 360.0 / 86400.0)
    lon, _ = turned.lonlat(np.zeros(3), np.array([0.0, 12000.0, 25000.0]))
    assert lon.min() < -178.0
    assert lon.max() > 178.0
    time = centre_time("sea")
    one = OrbitModel(platform="sentinel-1", geometry=base, time=time)
    other = OrbitModel(platform="sentinel-1", geometry=turned, time=time + timedelta(seconds=later * S1_ORBIT_S))
    assert "relative orbit 15 " in other.source
    rows, cols = np.linspace(0.0, 19000.0, 5)[:, None], np.linspace(0.0, 25000.0, 7)
    here, there = one.at(rows, cols), other.at(rows, cols)
    np.testing.assert_allclose(there.incidence_deg, here.incidence_deg, atol=1e-6)
    np.testing.assert_allclose(there.slant_range_m, here.slant_range_m, atol=0.1)
    np.testing.assert_allclose(there.look_azimuth_deg, here.look_azimuth_deg, atol=1e-6)
    np.testing.assert_allclose((there.time - here.time) / SECOND, later * S1_ORBIT_S, atol=1e-5)


def test_model_on_an_ascending_pass_of_another_year() -> None:
    """Control points alone judge: rows of a product are zero-Doppler lines, its first column has one slant range."""
    path = DATA / "sar/grd_hatteras_20x/iw-vv.tiff"
    if not path.exists():
        pytest.skip(f"no decimated Sentinel-1 scene at {path}: set OFFING_DATA")
    import rasterio

    with rasterio.open(path) as source:
        gcps = source.gcps[0]
    grid = np.array([(p.row, p.col, p.x, p.y) for p in gcps]).reshape(11, 21, 4)
    geometry = ScatteredPlaces(grid[:, 0, 0], grid[0, :, 1], grid[..., 2], grid[..., 3], shape_hw=(969, 1274))
    model = OrbitModel(platform="sentinel-1", geometry=geometry, time=datetime(2020, 11, 21, 22, 58, 30, tzinfo=UTC))
    assert "ascending, relative orbit 106 inferred" in model.source
    sample = model.at(grid[..., 0], grid[..., 1])
    assert np.ptp((sample.time - sample.time[0, 0]) / SECOND, axis=1).max() < 0.01
    assert np.ptp(sample.slant_range_m[:, 0]) < 30.0
    assert np.all(np.abs(sample.incidence_deg[:, [0, -1]] - [30.7, 46.0]) < 0.15)
    assert np.all(turn(sample.look_azimuth_deg, sample.heading_deg + 90.0) < 6.0)
    east, north = azimuth_shift_m(sample, 5.0, 0.0)
    assert np.all(north < -200.0)
    assert np.all(np.abs(east) < np.abs(north))


# Mean view angles of real items of the Copernicus Data Space STAC catalogue (sentinel-2-l2a, 2026-06-28, tiles 29UNU
# and 29UNT): footprint centre, datatake start, relative orbit, view:incidence_angle, view:azimuth (to the platform).
S2_ITEMS = [
    (-8.459, 52.744, datetime(2026, 6, 28, 11, 54, 21, tzinfo=UTC), 23, 9.229, 289.887),
    (-8.724, 51.916, datetime(2026, 6, 28, 11, 54, 21, tzinfo=UTC), 23, 10.384, 291.078),
    (-8.187, 52.751, datetime(2026, 6, 28, 11, 43, 49, tzinfo=UTC), 123, 3.224, 138.301),
]


@pytest.mark.parametrize(("lon", "lat", "datatake", "track", "incidence", "azimuth"), S2_ITEMS)
def test_sentinel2_view_angles_of_catalogue_items(
    lon: float, lat: float, datatake: datetime, track: int, incidence: float, azimuth: float
) -> None:
    model = OrbitModel(
        platform="sentinel-2",
        geometry=Point(lon, lat),
        time=datatake,
        time_refers_to="datatake",
        relative_orbit=track,
    )
    sample = model.at(1, 1)
    assert abs(sample.incidence_deg - incidence) < 3.0 * sample.incidence_sigma_deg
    assert turn(sample.look_azimuth_deg + 180.0, azimuth) < 2.5 * sample.look_azimuth_sigma_deg
    assert 120.0 < (sample.time - np.datetime64(datatake.replace(tzinfo=None))) / SECOND < 200.0
    assert sample.time_sigma_s < 15.0
    with pytest.raises(ImageryError, match=r"relative orbit \d+ passes|is no"):
        OrbitModel(
            platform="sentinel-2",
            geometry=Point(lon, lat),
            time=datatake - timedelta(hours=2),
            time_refers_to="datatake",
            relative_orbit=track,
        )
    # The same place and the pass's own time name the track.
    found = OrbitModel(platform="sentinel-2", geometry=Point(lon, lat), time=aware(sample.time))
    assert f"relative orbit {track} inferred" in found.source
    np.testing.assert_allclose(found.at(1, 1).incidence_deg, sample.incidence_deg, atol=1e-3)


def test_sentinel2_without_a_track_claims_no_side() -> None:
    """A time that no track fits, here the start of a datatake: incidence within the swath, no look direction."""
    model = OrbitModel(
        platform="sentinel-2", geometry=Point(-0.2, 5.55), time=datetime(2024, 4, 7, 10, 5, 51, tzinfo=UTC)
    )
    sample = model.at(1, 1)
    assert "place in the swath unknown" in model.source
    assert abs(sample.incidence_deg - 5.95) < 0.01
    assert 3.4 < sample.incidence_sigma_deg < 3.6
    assert np.isnan(sample.look_azimuth_deg)
    assert np.isinf(sample.look_azimuth_sigma_deg)
    assert sample.time_sigma_s >= 0.75
    assert abs(sample.platform_speed_m_s - 7552.0) < 5.0


@pytest.mark.parametrize(("lat", "lon"), [(0.0, 10.0), (60.0, -150.0), (-45.0, 100.0), (74.0, 20.0), (-72.0, -60.0)])
@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_direction_and_look_side_follow_from_place_and_time(lat: float, lon: float, direction: str) -> None:
    """Put a target 38 deg off the track of a known orbit; the model finds the orbit, direction and side again."""
    nodes = SPEC.node_deg(np.arange(1, 176))
    guess_s = SPEC.overhead_s(lat, "ascending" if direction == "ascending" else "descending")
    track_s = SPEC.abeam_s(nodes, lon, lat, guess_s)
    seen = SPEC.seen(nodes, lon, lat, track_s)
    right = np.sin(np.radians(seen.look_azimuth_deg - seen.heading_deg)) > 0.0
    near = np.abs(track_s - guess_s) < S1_ORBIT_S / 4.0
    near &= (np.cos(SPEC.rate_rad_s * track_s) > 0.0) == (direction == "ascending")
    k = int(np.argmin(np.where(right & near, np.abs(seen.incidence_deg - 38.0), np.inf)))
    hour = (SPEC.node_local_time_h - nodes[k] / 15.0) % 24.0
    time = datetime(2023, 5, 5, tzinfo=UTC) + timedelta(hours=float(hour), seconds=float(track_s[k]))
    model = OrbitModel(platform="sentinel-1", geometry=Point(lon, lat), time=time)
    assert f"{direction}, relative orbit {k + 1} inferred" in model.source
    sample = model.at(1, 1)
    np.testing.assert_allclose(sample.incidence_deg, seen.incidence_deg[k], atol=1e-6)
    assert np.sin(np.radians(sample.look_azimuth_deg - sample.heading_deg)) > 0.9
    east_of_track = np.sin(np.radians(sample.look_azimuth_deg)) > 0.0
    assert east_of_track == (direction == "ascending")
    assert (np.cos(np.radians(sample.heading_deg)) > 0.0) == (direction == "ascending")
    left = int(np.argmin(np.where(~right & near, np.abs(seen.incidence_deg - 38.0), np.inf)))
    with pytest.raises(ImageryError, match="does not see"):
        OrbitModel(
            platform="sentinel-1",
            geometry=Point(lon, lat),
            time=time,
            time_sigma_s=40_000.0,
            relative_orbit=left + 1,
            direction="ascending" if direction == "ascending" else "descending",
        )
    vague = OrbitModel(platform="sentinel-1", geometry=Point(lon, lat), time=time, time_sigma_s=1000.0)
    assert f"{direction}, direction inferred from local solar time" in vague.source


def test_zero_doppler_is_perpendicular_and_velocity_is_the_derivative() -> None:
    t = np.linspace(-3000.0, 3000.0, 13)
    position, velocity = SPEC.state(12.0, t)
    finite = SPEC.state(12.0, t + 0.5)[0] - SPEC.state(12.0, t - 0.5)[0]
    np.testing.assert_allclose(velocity, finite, atol=2e-3)
    assert np.all(np.abs(np.linalg.norm(position, axis=-1) - 7_075_000.0) < 11_000.0)
    lon, lat = np.array([3.0, 5.0, np.nan]), np.array([[40.0], [45.0]])
    track_s = SPEC.abeam_s(12.0, lon, lat, 700.0)
    assert np.isnan(track_s[:, 2]).all()
    position, velocity = SPEC.state(12.0, track_s)
    along = np.sum((ecef_m(lon, lat) - position) * velocity, axis=-1) / np.linalg.norm(velocity, axis=-1)
    assert np.abs(along[:, :2]).max() < 1e-3
    np.testing.assert_allclose(SPEC.node_deg([1, 2, 15, 176]), [0.146, 335.460286, 14.546, 0.146], atol=1e-5)


GOOD = {"platform": "sentinel-1", "geometry": Point(134.0, 7.6), "time": datetime(2022, 10, 14, 20, 51, 41, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"platform": "landsat-8"}, "platform 'landsat-8' is none of"),
        ({"direction": "up"}, "direction 'up' is none of"),
        ({"time_refers_to": "end"}, "time_refers_to 'end' is none of"),
        ({"time": datetime(2022, 10, 14, 20, 51)}, "has no zone"),
        ({"time_sigma_s": float("nan")}, "time sigma"),
        ({"relative_orbit": 176}, "is not 1 to 175"),
        ({"relative_orbit": 90}, "does not see 7.600 N 134.000 E"),
        ({"relative_orbit": 46, "time": datetime(2022, 10, 14, 9, 0, tzinfo=UTC)}, "passes on relative orbit 46"),
        ({"relative_orbit": 46, "direction": "ascending"}, "does not see"),
        ({"time_refers_to": "datatake"}, "only with its relative orbit"),
        ({"near_incidence_deg": 95.0}, "near incidence"),
        ({"platform": "sentinel-2", "near_incidence_deg": 5.0}, "near incidence"),
        ({"incidence_range_deg": (46.0, 29.1)}, "no range of incidences"),
        ({"time_sigma_s": 25_000.0}, "too vague to tell the direction"),
        ({"geometry": Point(float("nan"), 0.0)}, "no place for the scene's centre"),
    ],
)
def test_model_refuses_what_cannot_be(change: dict[str, object], says: str) -> None:
    with pytest.raises(ImageryError, match=re.escape(says)):
        OrbitModel(**(GOOD | change))  # type: ignore[arg-type]  # wrong types are the point


# -------------------------------------------------------------------------------------- shapes, stated time


def test_every_source_broadcasts_scalars_arrays_and_nothing() -> None:
    sources: list[Acquisition] = [
        tie_points("sea"),
        OrbitModel(platform="sentinel-1", geometry=places("sea"), time=centre_time("sea")),
        StatedAcquisition(time=datetime(2024, 1, 1, tzinfo=UTC)),
        StatedAcquisition(),
    ]
    for source in sources:
        for rows, cols, shape in (
            (3, 4.5, ()),
            ([1, 2, 3], 7, (3,)),
            (np.zeros((4, 1)), np.zeros(5), (4, 5)),
            ([], [], (0,)),
        ):
            sample = source.at(rows, cols)
            for field in dataclasses.fields(AcquisitionSample):
                value = getattr(sample, field.name)
                if field.name == "source":
                    assert value == source.source
                else:
                    assert isinstance(value, np.ndarray)
                    assert value.shape == shape
            assert sample.time.dtype == np.dtype("datetime64[us]")


def test_model_claims_nothing_where_the_geometry_gives_no_place() -> None:
    class Holed(Point):
        def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            lon, lat = super().lonlat(rows, cols)
            return np.where(np.asarray(rows, float) > 1.5, np.inf, lon), lat

    model = OrbitModel(
        platform="sentinel-1", geometry=Holed(134.0, 7.6), time=datetime(2022, 10, 14, 20, 51, 41, tzinfo=UTC)
    )
    sample = model.at([1.0, 2.0], 1.0)
    assert np.isnat(sample.time).tolist() == [False, True]
    assert np.isnan(sample.incidence_deg).tolist() == [False, True]
    assert np.isinf(sample.slant_range_sigma_m).tolist() == [False, True]


def test_a_stated_time_says_what_it_does_not_know() -> None:
    stated = StatedAcquisition(time=datetime(2024, 1, 1, 12, tzinfo=UTC), time_sigma_s=60.0)
    sample = stated.at([0, 1], 5)
    assert sample.time.tolist() == [datetime(2024, 1, 1, 12)] * 2
    assert sample.time_sigma_s.tolist() == [60.0, 60.0]
    assert np.isnan(sample.incidence_deg).all()
    assert np.isinf(sample.incidence_sigma_deg).all()
    assert "not available" in sample.source
    assert np.isnan(azimuth_shift_m(sample, 5.0, 0.0)).all()
    nothing = StatedAcquisition().at(0, 0)
    assert np.isnat(nothing.time)
    assert np.isinf(nothing.time_sigma_s)
    assert "not available" in nothing.source
    with pytest.raises(ImageryError, match="no zone"):
        StatedAcquisition(time=datetime(2024, 1, 1))
    with pytest.raises(ImageryError, match="sigma must be positive"):
        StatedAcquisition(time=datetime(2024, 1, 1, tzinfo=UTC), time_sigma_s=0.0)
