import re
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer
from scipy.optimize import brentq, fsolve
from shapely.geometry import MultiPolygon, Polygon

from imagery.acquisition import AcquisitionSample
from imagery.geometry import Grid, Window
from imagery.land import Land
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2
from imagery.simulate import SimulatedSource
from imagery.surface import map_surface
from imagery.tie_points import TiePointAcquisition
from models.detector import detect
from models.ghosts import IW_PRF_HZ, Echoes, ambiguity_m, ghosts, land_echoes, subswath_weights
from offing.detectors import DetectorChoice, make_detector
from tests.support import UTM, scene_of_array

GEOD = Geod(ellps="WGS84")
LIGHT_M_S = 299_792_458.0
WAVELENGTH_M = LIGHT_M_S / 5.405000454334350e9  # carrier as annotated
PRODUCTS = (
    "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip",
    "sar/safe/S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip",
    "sar/safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE.zip",
)
GRID = Grid.from_crs("EPSG:32651", UTM, (40, 40))
NORTH_DEG = GEOD.inv(*GRID.lonlat(20, 20), *GRID.lonlat(0, 20))[0]  # true azimuth of grid north here


def sample(n, *, slant_m=820e3, incidence_deg=33.5, flight_deg=NORTH_DEG, speed_m_s=7590.0):
    """A right-looking pass with one geometry everywhere; flight direction at the targets, clockwise from north."""
    known = np.isfinite(slant_m)
    return AcquisitionSample(
        time=np.full(n, np.datetime64("2024-01-01", "us")),
        time_sigma_s=np.full(n, 0.6),
        incidence_deg=np.full(n, incidence_deg if known else np.nan),
        incidence_sigma_deg=np.full(n, 0.05 if known else np.inf),
        slant_range_m=np.full(n, slant_m),
        slant_range_sigma_m=np.full(n, 10.0 if known else np.inf),
        look_azimuth_deg=np.full(n, (flight_deg + 90.0) % 360.0 if known else np.nan),
        look_azimuth_sigma_deg=np.full(n, 0.02 if known else np.inf),
        heading_deg=np.full(n, (flight_deg + 2.0) % 360.0 if known else np.nan),
        platform_speed_m_s=np.full(n, speed_m_s if known else np.nan),
        source="constructed",
    )


@dataclass(frozen=True)
class OneGeometry:
    """The sample above, at any pixel."""

    source: str = "constructed"

    def at(self, rows, cols):
        shape = np.broadcast_shapes(np.shape(rows), np.shape(cols))
        one = sample(int(np.prod(shape)))
        return one if len(shape) == 1 else replace(one, time=one.time.reshape(shape))


def small_scene(sensor=SENTINEL1_IW_GRD, **options):
    bands = ("vv",) if sensor.kind == "sar" else ("b08",)
    unit = "sigma0" if sensor.kind == "sar" else "reflectance"
    data = np.full((1, *GRID.shape_hw), 0.01, np.float32)
    return scene_of_array(GRID, data, bands=bands, unit=unit, sensor=sensor, **options)


def spots(*places):
    """Echoes at (metres along grid north, metres along grid east, dB over the sea), 10 m pixels."""
    north, east, db = np.array(places, float).T
    return Echoes(row=-north / 10.0, col=east / 10.0, extent_m=np.full(len(db), 60.0), peak_ratio=10.0 ** (db / 10.0))


def distance_m(swath, *, slant_m=820e3, speed_m_s=7590.0, order=1):
    """Freeman's formula, written out."""
    return order * WAVELENGTH_M * slant_m * (1717.129, 1451.627, 1685.817)[swath] / (2.0 * speed_m_s)


def annotations(real_data):
    for name in PRODUCTS:
        with zipfile.ZipFile(real_data(name)) as archive:
            member = next(m for m in archive.namelist() if re.search(r"annotation/s1.-iw-grd-vv-[^/]*\.xml$", m))
            yield archive.read(member)


def test_frequencies_are_those_of_real_annotations(real_data):
    for xml in annotations(real_data):
        prf = [float(v) for v in re.findall(r"<prf>([^<]+)</prf>", xml.decode())]
        np.testing.assert_allclose(prf, IW_PRF_HZ, atol=1e-3)
        assert float(re.search(r"<radarFrequency>([^<]+)<", xml.decode())[1]) == pytest.approx(5.405e9, rel=1e-6)


def test_subswaths_and_offsets_of_real_products(real_data):
    for xml in annotations(real_data):
        seen = TiePointAcquisition.from_annotation_xml(xml)
        for merge in re.findall(r"<swathMerge>.*?</swathMerge>", xml.decode(), re.DOTALL):
            swath = int(re.search(r"<swath>IW(\d)</swath>", merge)[1]) - 1
            first = int(re.search(r"<firstRangeSample>(\d+)<", merge)[1])
            last = int(re.search(r"<lastRangeSample>(\d+)<", merge)[1])
            line = int(re.search(r"<firstAzimuthLine>(\d+)<", merge)[1])
            at = seen.at(np.full(50, line), np.linspace(first + 400, last - 400, 50))
            assert (subswath_weights(at).argmax(axis=1) == swath).all()
            offsets = ambiguity_m(at)[:, swath]
            assert offsets.min() > 4300.0
            assert round(offsets.max() / 1e3, 1) <= 5.9


@pytest.mark.parametrize(
    ("off_nadir_deg", "swath", "window_deg"),
    [(30.5, 0, (0.359, 0.367)), (34.5, 1, (0.304, 0.312)), (38.5, 2, (0.355, 0.363))],
)
def test_offsets_are_those_of_five_years_of_real_ghosts(off_nadir_deg, swath, window_deg):
    """Windows around the pile-up of pairs in GFW's Sentinel-1 detections, as angles over their flat-Earth range."""
    radius, height = 6371e3, 700e3
    off_nadir = np.radians(off_nadir_deg)
    incidence = np.arcsin((radius + height) / radius * np.sin(off_nadir))
    arc = incidence - off_nadir
    slant = radius * np.sin(arc) / np.sin(off_nadir)
    seen = sample(1, slant_m=slant, incidence_deg=np.degrees(incidence))
    assert subswath_weights(seen)[0, swath] > 0.99
    flat_range = np.hypot(radius * arc, height)
    assert window_deg[0] < np.degrees(np.arctan2(ambiguity_m(seen)[0, swath], flat_range)) < window_deg[1]


@dataclass(frozen=True)
class TwoBody:
    """A satellite on a Kepler circle about a turning Earth; shares no code with the package."""

    latitude_argument: float
    radius_m: float = 7_071_000.0

    def position(self, t):
        rate = np.sqrt(3.986004418e14 / self.radius_m**3)
        u, tilt, spin = self.latitude_argument + rate * t, np.radians(98.18), -7.292115e-5 * t
        x, y, z = np.cos(u), np.sin(u) * np.cos(tilt), np.sin(u) * np.sin(tilt)
        return self.radius_m * np.array([x * np.cos(spin) - y * np.sin(spin), x * np.sin(spin) + y * np.cos(spin), z])

    def velocity(self, t):
        return self.position(t + 0.5) - self.position(t - 0.5)


TO_ECEF = Transformer.from_crs(4979, 4978, always_xy=True)
TO_LONLAT = Transformer.from_crs(4978, 4979, always_xy=True)


def place(lonlat):
    return np.array(TO_ECEF.transform(lonlat[0], lonlat[1], 0.0))


def doppler_hz(satellite, where, t):
    sight = where - satellite.position(t)
    return 2.0 / WAVELENGTH_M * float(sight @ satellite.velocity(t)) / float(np.linalg.norm(sight))


def focused(satellite, slant_m, frequency_hz, t, guess):
    """The place that has a range and a Doppler frequency at an instant."""

    def miss(lonlat):
        where = place(lonlat)
        range_miss = float(np.linalg.norm(where - satellite.position(t))) - slant_m
        return [(doppler_hz(satellite, where, t) - frequency_hz) / 100.0, range_miss / 1e3]

    return fsolve(miss, np.asarray(guess), xtol=1e-12)


@dataclass(frozen=True)
class Pass:
    """A source, what it casts, and how its place is imaged, all from range and Doppler."""

    satellite: TwoBody
    slant_m: float

    def source(self):
        below, ahead = (TO_LONLAT.transform(*self.satellite.position(t))[:2] for t in (0.0, 1.0))
        heading = GEOD.inv(*below, *ahead)[0]
        guess = GEOD.fwd(*below, heading + 90.0, 4.5e5)[:2]
        return focused(self.satellite, self.slant_m, 0.0, 0.0, guess), heading

    def ghost(self, order, prf_hz, own_doppler_hz):
        """Where the source shows up as a ghost that is seen at a Doppler frequency of its own."""
        source, _ = self.source()
        where = place(source)
        t = brentq(
            lambda t: doppler_hz(self.satellite, where, t) - own_doppler_hz - order * prf_hz, -6.0, 6.0, xtol=1e-12
        )
        slant = float(np.linalg.norm(where - self.satellite.position(t)))
        return focused(self.satellite, slant, own_doppler_hz, t, source)

    def seen(self, n):
        source, heading = self.source()
        sight = place(source) - self.satellite.position(0.0)
        lon, lat = np.radians(source)
        up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        look = np.degrees(np.arctan2(sight @ east, sight @ np.cross(up, east)))
        return replace(
            sample(
                n,
                slant_m=self.slant_m,
                incidence_deg=np.degrees(np.arccos(-sight @ up / np.linalg.norm(sight))),
                flight_deg=look - 90.0,
                speed_m_s=np.linalg.norm(self.satellite.velocity(0.0)),
            ),
            heading_deg=np.full(n, heading % 360.0),
        )


PASSES = [Pass(TwoBody(u), slant) for u in (0.6, 1.25, np.pi - 1.1) for slant in (8.2e5, 8.7e5, 9.4e5)]


@pytest.mark.parametrize("seen_from", PASSES)
def test_ghosts_of_the_range_doppler_equations_are_flagged(seen_from):
    seen = seen_from.seen(3)
    swath = int(subswath_weights(seen)[0].argmax())
    source, heading = seen_from.source()
    grid = Grid.from_crs("EPSG:4326", Affine(1e-4, 0.0, source[0], 0.0, -1e-4, source[1]), (100, 100))
    scene = scene_of_array(grid, np.full((1, 100, 100), 0.01))
    for own_doppler_hz in (-2000.0, 0.0, 2000.0):
        pair = [seen_from.ghost(order, IW_PRF_HZ[swath], own_doppler_hz) for order in (-1, 1)]
        for lonlat in pair:
            distance = GEOD.inv(*source, *lonlat)[2]
            assert distance == pytest.approx(ambiguity_m(seen)[0, swath], rel=3e-3)
        row, col = grid.rowcol(*np.array([source, *pair]).T)
        found = Echoes(row=row, col=col, extent_m=np.full(3, 50.0), peak_ratio=np.array([5e4, 50.0, 70.0]))
        out = ghosts(scene, found, seen)
        assert out.is_ghost.tolist() == [False, True, True]
        assert out.cause.tolist() == ["", "azimuth_ambiguity", "azimuth_ambiguity"]
        np.testing.assert_array_equal(out.source_row[1:], row[0])
        np.testing.assert_array_equal(out.source_col[1:], col[0])
        assert out.p_ghost[0] == 0.0
        assert (out.p_ghost[1:] > 0.9).all()
    if seen_from.satellite.latitude_argument == 1.25:  # the heading below the platform would miss the ghost here
        off_deg = abs((seen.look_azimuth_deg[0] - 90.0 - heading + 180.0) % 360.0 - 180.0)
        assert off_deg > 4.0


def test_ghosts_on_both_sides_are_flagged_and_ships_elsewhere_are_not():
    d = distance_m(0)
    found = spots(
        (0, 0, 45),
        (d, 0, 15),
        (-d, 0, 18),
        (3200, 0, 15),  # at the distance of no ambiguity
        (d - 500, 0, 15),
        (d, 450, 15),  # across the track
        (0, d, 15),  # as far, but in range
        (distance_m(1), 0, 15),  # where another subswath's would be
        (2500, 0, 15),  # half way: an older table has 2.4 km
        (d + 60, 60, 32),  # too bright
    )
    out = ghosts(small_scene(), found, sample(len(found)))
    assert out.is_ghost.tolist() == [False, True, True] + [False] * 7
    assert out.p_ghost[1:3].min() > 0.9
    assert out.p_ghost[3:].max() < 0.1
    np.testing.assert_array_equal(out.source_row, [np.nan, 0.0, 0.0, *[np.nan] * 7])
    assert out.notes == ()


def test_a_flight_the_other_way_casts_the_same_ghosts_and_one_across_none():
    d = distance_m(0)
    found = spots((0, 0, 45), (d, 0, 15), (-d, 0, 18))
    back = ghosts(small_scene(), found, sample(3, flight_deg=(NORTH_DEG + 180.0) % 360.0))
    assert back.is_ghost.tolist() == [False, True, True]
    turned = ghosts(small_scene(), found, sample(3, flight_deg=(NORTH_DEG + 90.0) % 360.0))
    assert not turned.is_ghost.any()


def test_each_subswath_has_its_own_distance():
    for swath, (incidence, slant) in enumerate([(33.5, 820e3), (39.0, 875e3), (44.0, 930e3)]):
        places = [(distance_m(k, slant_m=slant), 0, 15) for k in range(3)]
        out = ghosts(small_scene(), spots((0, 0, 45), *places), sample(4, slant_m=slant, incidence_deg=incidence))
        assert out.is_ghost[1 + swath]
        assert not out.is_ghost[1 + (1, 0, 1)[swath]]


def test_the_second_order_takes_a_very_bright_source():
    d = distance_m(0, order=2)
    across = 120.0  # its range error is four times the first's; incidence 33.5 deg, 820 km
    assert ghosts(small_scene(), spots((0, 0, 58), (d, across, 15)), sample(2)).is_ghost[1]


def test_probability_falls_with_misfit_with_level_and_in_a_crowd():
    d = distance_m(0)

    def p(north, east=0.0, db=17.0, crowd=()):
        found = spots((0, 0, 45), (north, east, db), *crowd)
        return ghosts(small_scene(), found, sample(len(found))).p_ghost[1]

    rng = np.random.default_rng(1)
    crowd = [(d + y, x, 20) for x, y in rng.uniform(-5000, 5000, (300, 2)) if np.hypot(x, y) > 500]
    along = [p(d + step) for step in (0, 150, 230, 300)]
    assert along == sorted(along, reverse=True)
    assert along[-1] == 0.0
    assert p(d, 30.0) > p(d, -190.0)
    assert p(d + 150, -100.0, 24.0) > p(d + 150, -100.0, 24.0, crowd)
    assert max(along) <= 1.0


def test_a_bright_spot_on_land_casts_a_ghost_without_being_a_candidate():
    d = distance_m(0)
    found, town = spots((d, 0, 15)), spots((0, 0, 45))
    assert not ghosts(small_scene(), found, sample(1)).is_ghost[0]
    out = ghosts(small_scene(), found, sample(1), town)
    assert out.cause.tolist() == ["azimuth_ambiguity"]
    assert (out.source_row[0], out.source_col[0]) == (town.row[0], town.col[0])


def test_without_geometry_no_ambiguity_is_flagged_and_that_is_said():
    d = distance_m(0)
    found = spots((0, 0, 45), (d, 0, 15), (0, 150, 20))
    out = ghosts(small_scene(), found, sample(3, slant_m=np.nan))
    assert out.is_ghost.tolist() == [False, False, True]
    assert out.cause[2] == "sidelobe"
    (note,) = out.notes
    assert "not judged for 3 of 3 objects: their slant range" in note
    seen = sample(3)
    half = replace(seen, slant_range_m=np.array([820e3, np.nan, 820e3]))
    assert "1 of 3 objects" in ghosts(small_scene(), found, half).notes[0]


def test_other_radars_have_no_known_frequency_and_that_is_said():
    scene = small_scene(sensor=replace(SENTINEL1_IW_GRD, name="another-sar"))
    out = ghosts(scene, spots((0, 0, 45), (distance_m(0), 0, 15)), sample(2))
    assert not out.is_ghost.any()
    assert "another-sar" in out.notes[0]


def test_an_optical_scene_and_an_empty_one_have_none():
    found = spots((0, 0, 45), (distance_m(0), 0, 15), (0, 150, 20))
    out = ghosts(small_scene(sensor=SENTINEL2), found, sample(3))
    assert not out.is_ghost.any()
    assert not out.p_ghost.any()
    assert out.notes == ()
    nothing = ghosts(small_scene(), found.take(np.zeros(3, bool)), sample(0))
    assert nothing.is_ghost.shape == nothing.p_ghost.shape == (0,)


def test_sidelobes_lie_on_the_arms_of_the_cross_near_the_hull():
    found = spots(
        (0, 0, 40),
        (0, 200, 18),  # range arm, 22 dB down
        (-250, 0, 15),  # azimuth arm
        (0, -200, 30),  # a ship of its own: 10 dB down
        (170, 170, 18),  # off the arms
        (-170, 170, 3),  # off the arms and 37 dB down
        (0, 360, 15),  # beyond reach
    )
    out = ghosts(small_scene(), found, sample(len(found)))
    assert out.is_ghost.tolist() == [False, True, True, False, False, True, False]
    assert set(out.cause) == {"", "sidelobe"}
    assert out.p_ghost[2] > out.p_ghost[1] > 0.5 > out.p_ghost[3]
    np.testing.assert_array_equal(out.source_row[out.is_ghost], 0.0)


COAST = Grid.from_crs("EPSG:32651", UTM, (1000, 300))
TOWN = (120, 150)
LAND_ROWS = 256


def coast_scene(town=100.0, land_level=0.1, land=True, ghost=True):
    """A sea with, to the north, land with a town and, where its ghost would be, a spot 15 dB over the sea."""
    rng = np.random.default_rng(5)
    data = rng.gamma(4.4, 0.003 / 4.4, (1, *COAST.shape_hw))
    if land:
        data[0, :LAND_ROWS] = rng.gamma(4.4, land_level / 4.4, (LAND_ROWS, 300))
    data[0, TOWN[0], TOWN[1]] = town
    if ghost:
        row = TOWN[0] + round(distance_m(0) / 10.0)
        data[0, row - 1 : row + 2, TOWN[1] - 1 : TOWN[1] + 3] = 0.003 * 30.0
    edge = [COAST.lonlat(r - 0.5, c - 0.5) for r, c in ((0, 0), (0, 300), (LAND_ROWS, 300), (LAND_ROWS, 0))]
    polygons = MultiPolygon([Polygon(edge)]) if land else MultiPolygon()
    scene = replace(scene_of_array(COAST, data), acquisition=OneGeometry())
    shore = Land(polygons=polygons, source="constructed")
    return scene, shore, map_surface(scene, shore)


def candidate():
    row = TOWN[0] + distance_m(0) / 10.0
    return Echoes(row=np.array([row]), col=np.array([150.5]), extent_m=np.array([40.0]), peak_ratio=np.array([30.0]))


def test_a_town_is_found_where_the_source_of_a_spot_would_lie():
    scene, _, surface = coast_scene()
    town = land_echoes(scene, surface, candidate(), sample(1))
    assert (town.row.tolist(), town.col.tolist()) == ([120.0], [150.0])
    assert town.peak_ratio[0] == pytest.approx(100.0 / 0.003, rel=0.2)
    assert ghosts(scene, candidate(), sample(1), town).is_ghost[0]


def test_a_band_without_values_does_not_hide_the_town():
    scene, _, surface = coast_scene()
    data = np.concatenate([scene.read().data, np.full((1, *COAST.shape_hw), np.nan, np.float32)])
    both = replace(scene_of_array(COAST, data, bands=("vv", "vh")), acquisition=OneGeometry())
    assert land_echoes(both, surface, candidate(), sample(1)).row.tolist() == [120.0]


def test_bright_ground_without_points_casts_no_spot():
    scene, _, surface = coast_scene(town=30.0, land_level=30.0)
    assert len(land_echoes(scene, surface, candidate(), sample(1))) == 0
    dim, _, surface = coast_scene(town=5.0)  # 32 dB over the sea, 17 dB over the spot
    assert len(land_echoes(dim, surface, candidate(), sample(1))) == 0


@dataclass(frozen=True)
class Closed:
    """A reader that must not be used."""

    def read(self, window):
        raise AssertionError(f"{window} was read")


def test_open_sea_costs_no_reading():
    scene, _, surface = coast_scene(land=False)
    assert len(land_echoes(replace(scene, reader=Closed()), surface, candidate(), sample(1))) == 0
    unknown = land_echoes(replace(scene, reader=Closed()), surface, candidate(), sample(1, slant_m=np.nan))
    assert len(unknown) == 0


def test_the_detector_flags_the_ghost_of_a_town():
    scene, land, surface = coast_scene()
    found = detect(scene, make_detector(DetectorChoice(), scene), surface, land)
    assert found.detections.kind.tolist() == ["ghost"]
    plain, land, surface = coast_scene(town=0.1)
    alone = detect(plain, make_detector(DetectorChoice(), plain), surface, land)
    assert alone.detections.kind.tolist() == ["vessel"]


def test_a_source_outside_the_region_is_looked_for():
    scene, _, _ = coast_scene(land=False)
    region = Window(row=500, col=0, height=400, width=300)
    surface = map_surface(scene, None, region)
    found = detect(scene, make_detector(DetectorChoice(), scene), surface, None, region=region)
    assert found.detections.kind.tolist() == ["ghost"]


def test_ghosts_that_the_simulator_paints_are_flagged_and_its_ships_are_not():
    start, end = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 5, 20, tzinfo=UTC)
    source = SimulatedSource(seed=11, start=start, end=end)
    refs = [r for r in source.search(source.area, start, end) if r.sensor_name.startswith("sentinel-1")]
    # all its ghosts lie at the distance of IW1: only the pass that sees the area at such an incidence will do
    scene = source.fetch(next(r for r in refs if source.view(r).orbit.incidence_deg < 36.0))
    truth, view = source.truth(scene), source.view(scene)
    row, col = scene.geometry.rowcol(truth.apparent_lon, truth.apparent_lat)
    geometry = scene.acquisition.at(row, col)
    flight = np.radians(view.orbit.heading_deg)
    away = distance_m(0, slant_m=geometry.slant_range_m, speed_m_s=view.orbit.speed_m_s)
    d_row, d_col = view.ground.pixels_per_m @ np.array([away * np.sin(flight), away * np.cos(flight)])
    ratios = [peak_ratio(scene, row + k * d_row, col + k * d_col) for k in (0, -1, 1)]
    ship = (ratios[0] > 10.0) & truth.visible
    # first ambiguities that rise 6 dB over the sea: speckle alone makes 3 to 5 dB of the largest of 25 pixels
    labelled = [ship & (ratio > 4.0) & (ratio * 100.0 < ratios[0]) for ratio in ratios[1:]]
    rows = np.concatenate([row[ship], *(row[m] + k * d_row[m] for m, k in zip(labelled, (-1, 1), strict=True))])
    cols = np.concatenate([col[ship], *(col[m] + k * d_col[m] for m, k in zip(labelled, (-1, 1), strict=True))])
    ratio = np.concatenate([ratios[0][ship], *(r[m] for m, r in zip(labelled, ratios[1:], strict=True))])
    found = Echoes(row=rows, col=cols, extent_m=np.full(len(rows), 100.0), peak_ratio=ratio)
    out = ghosts(scene, found, scene.acquisition.at(rows, cols))
    amb = out.cause == "azimuth_ambiguity"
    n = int(ship.sum())
    assert n > 20
    assert len(rows) - n >= 2
    assert amb[n:].all()
    assert not amb[:n].any()


def peak_ratio(scene, rows, cols):
    """Largest of 5 x 5 pixels over the median of 65 x 65, VV; 0 outside the scene."""
    out = np.zeros(len(rows))
    for i, (row, col) in enumerate(zip(np.round(rows), np.round(cols), strict=True)):
        around = Window(row=int(row) - 32, col=int(col) - 32, height=65, width=65)
        if around.intersection(scene.window) == around:
            data = scene.read(around).data[0]
            if np.isfinite(data).all():
                out[i] = data[30:35, 30:35].max() / np.median(data)
    return out


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        Echoes(row=np.zeros(2), col=np.zeros(2), extent_m=np.zeros(2), peak_ratio=np.zeros(1))
