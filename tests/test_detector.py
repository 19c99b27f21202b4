import numpy as np
import pytest
from pyproj import Geod

from imagery.geometry import Grid, Window
from imagery.simulate import SimulatedSource
from imagery.surface import map_surface
from models.cfar import CfarConfig
from models.detector import detect
from models.errors import DetectorError
from models.sar_cfar import SarCfar
from offing.areas import Period
from offing.detectors import DETECTORS, DetectorChoice, make_detector
from tests.support import UTM, scene_of_array

GRID = Grid.from_crs("EPSG:32651", UTM, (700, 900))
SHIPS = [(80, 100, 0, 20), (80, 400, 90, 6), (300, 511, 45, 25), (513, 255, 90, 12), (620, 880, 0, 4), (2, 3, 90, 5)]


def sea(seed=0, bands=2):
    return np.random.default_rng(seed).gamma(4.4, 0.01 / 4.4, (bands, *GRID.shape_hw)).astype(np.float32)


def with_ships(data, ships=SHIPS, level=2.0):
    """Paint hulls two pixels wide at (row, col, grid heading, pixels)."""
    for row, col, heading, length in ships:
        for step in np.linspace(-length / 2, length / 2, 4 * length):
            r = round(row - step * np.cos(np.radians(heading)))
            c = round(col + step * np.sin(np.radians(heading)))
            data[:, max(r, 0) : r + 2, max(c, 0) : c + 2] = level
    return data


def find(data, kind="cfar-trimmed", *, region=None, **options):
    scene = scene_of_array(GRID, data, bands=("vv", "vh")[: len(data)])
    return detect(
        scene, make_detector(DetectorChoice(name=kind), scene), map_surface(scene, None), None, region=region, **options
    ).detections


@pytest.mark.parametrize("kind", [d for d in DETECTORS if d.startswith("cfar")])
def test_every_cfar_finds_the_ships_and_little_else(kind):
    found = find(with_ships(sea()), kind)
    for row, col, _, _ in SHIPS:
        assert np.hypot(found.row - row, found.col - col).min() < 3
    assert len(found) <= len(SHIPS) + 1
    quiet = find(sea(1), kind)
    assert len(quiet) <= 1  # 1.3e6 pixels at 1e-7


def test_positions_lengths_and_headings():
    found = find(with_ships(sea()))
    order = [int(np.hypot(found.row - r, found.col - c).argmin()) for r, c, _, _ in SHIPS[:4]]
    geod = Geod(ellps="WGS84")
    for i, (row, col, heading, length) in zip(order, SHIPS[:4], strict=True):
        lon, lat = GRID.lonlat(row + 0.5, col + 0.5)
        assert geod.inv(lon, lat, found.lon[i], found.lat[i])[2] < 8
        assert found.length_low_m[i] <= 10 * (length + 2) <= found.length_high_m[i] + 10
        # grid north differs from true north by the meridian's convergence here
        north = geod.inv(*GRID.lonlat(row, col), *GRID.lonlat(row - 50, col))[0]
        assert abs((found.heading_deg[i] - heading - north + 90) % 180 - 90) < 8
    assert (found.probability_calibrated == False).all()  # noqa: E712  # an array
    assert (found.length_low_m <= found.length_m).all()
    assert (found.length_m <= found.length_high_m).all()


@pytest.fixture(scope="module")
def season():
    """A simulated scene with coast, no data and ships: as real as a test may be without data."""
    from datetime import UTC, datetime

    period = Period(start=datetime(2019, 5, 10, tzinfo=UTC), end=datetime(2019, 5, 14, tzinfo=UTC))
    source = SimulatedSource(seed=11, start=period.start, end=period.end)
    refs = [r for r in source.search(source.area, period.start, period.end) if r.sensor_name.startswith("sentinel-1")]
    scene = source.fetch(refs[-1])
    from imagery.land import Land

    land = Land(polygons=source.land, source="simulated")
    return scene, land, map_surface(scene, land)


@pytest.fixture(scope="module")
def whole(season):
    scene, land, surface = season
    return detect(scene, make_detector(DetectorChoice(), scene), surface, land, tile_px=4096).detections


@pytest.mark.parametrize(
    ("tile_px", "origin", "workers"),
    [
        (256, (0, 0), 2),
        (512, (0, 0), 1),
        (2048, (0, 0), 2),
        (256, (101, 37), 1),
        (512, (-77, 401), 2),
        (2048, (999, 1234), 1),
    ],
)
def test_tiles_origin_and_workers_do_not_matter(season, whole, tile_px, origin, workers):
    scene, land, surface = season
    cut = detect(
        scene,
        make_detector(DetectorChoice(), scene),
        surface,
        land,
        tile_px=tile_px,
        tile_origin=origin,
        workers=workers,
    ).detections
    assert len(whole) > 20
    for name in whole.columns():
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name), err_msg=name)


def test_a_region_gives_the_same_objects(season, whole):
    scene, land, surface = season
    region = Window(row=300, col=400, height=900, width=800)
    part = detect(scene, make_detector(DetectorChoice(), scene), surface, land, region=region).detections
    inside = (whole.row >= 299.5) & (whole.row < 1199.5) & (whole.col >= 399.5) & (whole.col < 1199.5)
    assert inside.sum() >= 5
    np.testing.assert_array_equal(part.id, whole.take(inside).id)
    np.testing.assert_array_equal(part.length_m, whole.take(inside).length_m)


def test_one_polarisation_is_enough():
    data = sea()
    data[0] = with_ships(data[:1])[0]
    data[1] = np.nan
    found = find(data)
    for row, col, _, _ in SHIPS:
        assert np.hypot(found.row - row, found.col - col).min() < 3


def test_sidelobes_of_a_bright_ship_are_ghosts_and_not_lost():
    data = sea(bands=1)
    data[0, 300:303, 300:320] = 60.0
    data[0, 300:302, 338:342] = 0.3  # 23 dB weaker, 180 m away
    data[0, 500:502, 500:504] = 0.3  # as weak, alone
    found = find(data)
    kinds = {(round(r / 100), round(c / 100)): k for r, c, k in zip(found.row, found.col, found.kind, strict=True)}
    assert kinds[3, 3] in ("vessel", "ghost")
    assert sorted(found.kind) == ["ghost", "vessel", "vessel"]
    assert found.kind[np.hypot(found.row - 500.5, found.col - 501.5).argmin()] == "vessel"


def test_clipped_water_gives_no_storm_of_alarms():
    rng = np.random.default_rng(3)
    texture = np.exp(rng.normal(0, 0.6, (90, 113))).repeat(8, 0).repeat(8, 1)[:700, :900]
    data = (sea(4, 1) * 0.5 * texture).astype(np.float32)
    floor = np.float32(0.01)
    clipped = np.maximum(data, floor)
    assert (clipped == floor).mean() > 0.7
    clipped[0, 200:202, 200:210] = 1.5
    scene = scene_of_array(GRID, clipped, clip_value=float(floor))
    found = detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, None), None).detections
    assert np.hypot(found.row - 200.5, found.col - 204.5).min() < 3
    assert len(found) <= 3


def test_what_is_larger_than_any_ship_is_set_aside_aloud():
    data = sea(bands=1)
    data[0, 100:400, 300:303] = 2.0  # a causeway of 3 km
    scene = scene_of_array(GRID, data)
    found = detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, None), None)
    assert len(found.detections) == 0
    assert "larger than any ship" in found.notes[0]


def test_refusals():
    nothing = np.full((1, *GRID.shape_hw), np.nan, np.float32)
    scene = scene_of_array(GRID, nothing)
    with pytest.raises(DetectorError, match="no open water"):
        detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, None), None)
    with pytest.raises(DetectorError, match="no detector"):
        make_detector(DetectorChoice(name="yolo"), scene)
    with pytest.raises(DetectorError, match="not prepared"):
        SarCfar(kind="x", config=CfarConfig()).hot(scene, scene.read(), np.zeros(GRID.shape_hw, np.uint8))


def test_empty_results_have_every_column():
    found = find(sea(2, 1))
    table = found.to_geopandas()
    assert set(found.columns()) < set(table.columns)
    assert table.crs.to_epsg() == 4326


def test_engine_and_cascade_belong_to_the_network():
    scene = scene_of_array(GRID, sea(bands=1))
    for choice in (DetectorChoice(name="cfar-k", cascade=True), DetectorChoice(engine="openvino")):
        with pytest.raises(DetectorError, match="has no engine and no cascade; leave them out"):
            make_detector(choice, scene)


@pytest.mark.parametrize("cascade", [False, True])
def test_the_network_that_ships_finds_a_plain_ship_on_a_calibrated_sea(cascade):
    data = sea(bands=2)
    data[:, 300:312, 400:403] = 3.0
    scene = scene_of_array(GRID, data, bands=("vv", "vh"))
    network = make_detector(DetectorChoice(name="cnn", cascade=cascade), scene)
    found = detect(scene, network, map_surface(scene, None), None).detections
    near = np.hypot(found.row - 305.5, found.col - 401.0) < 4
    assert near.sum() == 1
    assert found.probability[near][0] > 0.2
    assert found.probability_calibrated.all()
    assert 60 < found.length_m[near][0] < 240
    assert (found.probability[~near] < 0.2).all()
    assert network.name.startswith("cnn-sar-iw:")
