"""The vessel search on constructed scenes: places, metres, axes and flags against a grid whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer

from imagery.geometry import Grid, Window
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2
from imagery.surface import map_surface
from models.errors import WeightsError
from models.vessel import search as module
from models.vessel.calibration import Calibration
from models.vessel.decode import Peaks
from models.vessel.detector import VesselDetector
from models.vessel.engines import EngineStatus
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig, VesselNet
from models.vessel.search import LEAST_PROBABILITY, VesselSearch
from models.vessel.weights import WeightsRecord
from tests.support import scene_of_array
from tests.vessel_nets import HEAT_AND_LENGTH, AllSea, PlainEngine, plain_scene

SAR = InputCurve(kind="sigma0_db", bands=("vv", "vh"), middle=(-17.0, -23.0))
SHAPE = (96, 112)
# near the central meridian of zone 51, where a metre of the map is 0.9996 of one on the ground and north is up
TALL = Affine(10.0, 0, 500_000, 0, -20.0, 4_200_000)


class Sea(AllSea):
    """Sea everywhere."""

    def at(self, rows, cols, shore_distance_m):
        return np.full(len(rows), "sea")


def detector(curve=SAR, pixel_size_m=(8.0, 25.0), length_factor=2.0):
    record = WeightsRecord(
        name="made-up",
        sha256="0123456789abcdef",
        network=NetworkConfig(inputs=curve.channels, widths=(8, 12, 16), blocks=(1, 1, 1)),
        curve=curve,
        pixel_size_m=pixel_size_m,
        threshold=0.5,
        hull_share=0.8,
        symmetric=False,
        shrink=1,
        calibration=Calibration(
            temperature=1.0, curves={"all": ((0.0, 1.0), (0.0, 1.0))}, length_factor=length_factor, n=9
        ),
        detectability=None,
        data=(),
        scores={},
    )
    net = VesselNet(record.network).eval()
    return VesselDetector(net=net, record=record)


def peaks_of(*rows, sure=1.0, kind=0):
    """Peaks of (row, col, logit, length_px, width_px, axis_deg)."""
    row, col, logit, length, width, axis = np.array(rows, float).T
    n = len(row)
    twice = np.radians(2 * axis)
    return Peaks(
        row=row,
        col=col,
        cell_row=np.round(row / 2).astype(np.int64),
        cell_col=np.round(col / 2).astype(np.int64),
        logit=logit,
        length_px=length,
        width_px=width,
        log_length_sigma=np.full(n, 0.1),
        cos_2axis=sure * np.cos(twice),
        sin_2axis=sure * np.sin(twice),
        cos_heading=np.zeros(n),
        sin_heading=np.zeros(n),
        kind_logit=np.eye(3)[np.broadcast_to(kind, n)],
    )


def radar(transform=TALL, shape_hw=SHAPE, *, ships=(), sensor=SENTINEL1_IW_GRD, crs="EPSG:32651", **more):
    data = np.random.default_rng(0).gamma(4.4, 0.01 / 4.4, (2, *shape_hw))
    for row, col in ships:
        data[:, row, col] = 5.0
    grid = Grid.from_crs(crs, transform, shape_hw)
    return scene_of_array(grid, data, bands=("vv", "vh"), sensor=sensor, **more)


def described(monkeypatch, peaks, scene, **more):
    def peaks_of_scene(scene, *args, work, **kwargs):
        work.whole_px = scene.shape_hw[0] * scene.shape_hw[1]
        return peaks

    monkeypatch.setattr(module, "scene_peaks", peaks_of_scene)
    return VesselSearch(detector=detector(**more)).find(scene, Sea(scene.shape_hw), None).detections


def test_places_are_those_of_the_grid(monkeypatch):
    found = described(monkeypatch, peaks_of((10.25, 20.5, 3, 6, 2, 0), (60.0, 90.0, 3, 6, 2, 0)), radar())
    np.testing.assert_allclose([found.row, found.col], [[10.25, 60], [20.5, 90]])
    to_degrees = Transformer.from_crs("EPSG:32651", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(500_000 + 10 * (found.col + 0.5), 4_200_000 - 20 * (found.row + 0.5))
    np.testing.assert_allclose([found.lon, found.lat], [lon, lat], atol=1e-9)
    assert found.id.tolist() == ["a scene/r10.2c20.5", "a scene/r60.0c90.0"]


@pytest.mark.parametrize("axis_deg", [0.0, 30.0, 90.0, 120.0, 165.0])
def test_lengths_and_axes_are_those_on_the_ground_also_where_pixels_are_not_square(monkeypatch, axis_deg):
    length_px = 9.0
    found = described(monkeypatch, peaks_of((40, 50, 3, length_px, 3, axis_deg)), radar())
    a = np.radians(axis_deg)
    ends = [(40 - s * length_px / 2 * np.cos(a), 50 + s * length_px / 2 * np.sin(a)) for s in (-1, 1)]
    to_degrees = Transformer.from_crs("EPSG:32651", "EPSG:4326", always_xy=True)
    lonlat = [to_degrees.transform(500_000 + 10 * (c + 0.5), 4_200_000 - 20 * (r + 0.5)) for r, c in ends]
    azimuth, _, length_m = Geod(ellps="WGS84").inv(*lonlat[0], *lonlat[1])
    assert found.length_m[0] == pytest.approx(length_m, rel=2e-3)
    assert abs((found.heading_deg[0] - azimuth + 90) % 180 - 90) < 0.05
    assert 0 <= found.heading_deg[0] < 180


def test_axes_count_from_true_north_where_the_grid_is_turned(monkeypatch):
    turned = Affine.translation(500_000, 4_200_000) @ Affine.rotation(-25.0) @ Affine.scale(10.0, -10.0)
    found = described(monkeypatch, peaks_of((40, 50, 3, 9, 3, 0.0), (60, 20, 3, 9, 3, 70.0)), radar(turned))
    np.testing.assert_allclose(found.heading_deg, [25.0, 95.0], atol=0.05)
    assert found.length_m[0] == pytest.approx(90, rel=2e-3)


def test_the_width_of_a_radar_echo_is_an_upper_bound(monkeypatch):
    square = Affine(10.0, 0, 500_000, 0, -10.0, 4_200_000)
    found = described(monkeypatch, peaks_of((40, 50, 3, 9, 3.5, 30.0)), radar(square))
    assert found.width_low_m[0] == 0
    assert found.width_m[0] == found.width_high_m[0] == pytest.approx(35, rel=2e-3)


def test_small_ships_of_sentinel_1_have_no_length_but_a_class(monkeypatch):
    square = Affine(10.0, 0, 500_000, 0, -10.0, 4_200_000)
    peaks = peaks_of((20, 20, 3, 2.0, 1, 0), (40, 50, 3, 3.8, 2, 0), (60, 80, 3, 4.2, 2, 0), (80, 20, 3, 20, 3, 0))
    found = described(monkeypatch, peaks, radar(square))
    assert found.length_low_m[:2].tolist() == [0, 0]
    np.testing.assert_allclose(found.length_high_m[:2], [40, 38 * np.exp(0.2)], rtol=2e-3)
    np.testing.assert_allclose(found.length_low_m[2:], np.array([42, 200]) * np.exp(-0.2), rtol=2e-3)
    np.testing.assert_allclose(found.length_high_m[2:], np.array([42, 200]) * np.exp(0.2), rtol=2e-3)


def test_small_ships_of_another_sensor_keep_their_interval(monkeypatch):
    square = Affine(10.0, 0, 500_000, 0, -10.0, 4_200_000)
    other = replace(SENTINEL1_IW_GRD, name="another-radar")
    found = described(monkeypatch, peaks_of((40, 50, 3, 2.0, 1, 0)), radar(square, sensor=other))
    assert found.length_low_m[0] == pytest.approx(20 * np.exp(-0.2), rel=2e-3)


def test_an_unsure_axis_has_a_wide_interval(monkeypatch):
    widths = []
    for sure in (1.0, 0.9, 0.5, 1e-6):
        found = described(monkeypatch, peaks_of((40, 50, 3, 9, 3, 60.0), sure=sure), radar())
        widths.append(found.heading_high_deg[0] - found.heading_low_deg[0])
    assert widths == sorted(widths)
    assert widths[0] < 4
    assert widths[-1] == pytest.approx(180)
    # von Mises doubled angles, mean length .9: nine of ten axes lie in the interval
    twice = np.random.default_rng(0).vonmises(0, 5.3, 200_000)  # A(5.3) = .9
    assert np.abs(np.exp(1j * twice).mean()) == pytest.approx(0.9, abs=0.005)
    covered = (np.abs(np.degrees(twice) / 2) <= widths[1] / 2).mean()
    assert covered == pytest.approx(0.9, abs=0.02)


def test_probabilities_are_those_of_the_calibration_and_weak_ones_are_not_listed(monkeypatch):
    logit = np.array([-2.5, -2.0, 0.0, 2.0])
    rows = [(20 * i + 10, 20, value, 9, 3, 0) for i, value in enumerate(logit)]
    found = described(monkeypatch, peaks_of(*rows), radar())
    assert LEAST_PROBABILITY == 0.1
    np.testing.assert_allclose(found.probability, 1 / (1 + np.exp(-logit[1:])), rtol=1e-6)
    assert found.probability_calibrated.all()
    assert set(found.detector) == {"cnn-made-up:01234567"}


def test_contrast_is_the_peak_over_the_sea_around_it(monkeypatch):
    found = described(monkeypatch, peaks_of((40, 50, 3, 9, 3, 0), (70, 90, 3, 9, 3, 0)), radar(ships=[(40, 51)]))
    sea = np.median(np.random.default_rng(1).gamma(4.4, 0.01 / 4.4, 100_000))
    assert found.contrast_db[0] == pytest.approx(10 * np.log10(5.0 / sea), abs=0.4)
    assert found.contrast_db[1] < 8


def test_a_detection_at_the_scenes_corner_is_described_too(monkeypatch):
    found = described(monkeypatch, peaks_of((-0.4, -0.4, 3, 9, 3, 0), (95.4, 111.4, 3, 9, 3, 0)), radar())
    assert len(found) == 2
    for column in ("lon", "lat", "length_m", "contrast_db", "heading_deg"):
        assert np.isfinite(getattr(found, column)).all()


def test_kinds_are_the_networks_own(monkeypatch):
    peaks = peaks_of((20, 20, 3, 9, 3, 0), (50, 60, 3, 9, 3, 0), (80, 100, 3, 9, 3, 0), kind=[0, 1, 2])
    assert described(monkeypatch, peaks, radar()).kind.tolist() == ["vessel", "fixed_structure", "ghost"]


def test_nothing_found_is_an_empty_table(monkeypatch):
    assert len(described(monkeypatch, Peaks.empty(), radar())) == 0
    weak = described(monkeypatch, peaks_of((20, 20, -4.0, 9, 3, 0)), radar())
    assert len(weak) == 0


@pytest.mark.parametrize(("size_m", "fits"), [(7.0, False), (8.5, True), (24.0, True), (40.0, False)])
def test_a_pixel_size_that_was_not_trained_on_is_refused(monkeypatch, size_m, fits):
    scene = radar(Affine(size_m, 0, 500_000, 0, -size_m, 4_200_000), name="pass-3")
    if fits:
        assert len(described(monkeypatch, peaks_of((40, 50, 3, 9, 3, 0)), scene)) == 1
        return
    with pytest.raises(WeightsError, match=rf"pass-3 has pixels of {size_m:.1f} m.*8 to 25 m") as caught:
        described(monkeypatch, Peaks.empty(), scene)
    assert "\n" not in str(caught.value)


def test_a_wrong_unit_is_refused(monkeypatch):
    with pytest.raises(WeightsError, match="pass-3 is in amplitude"):
        described(monkeypatch, Peaks.empty(), radar(unit="amplitude", name="pass-3"))


def optical(*objects):
    scene = plain_scene((96, 96), objects)
    return replace(scene, sensor=SENTINEL2)


def test_a_network_whose_answer_is_known_is_followed_through_the_scene(monkeypatch):
    monkeypatch.setattr(module, "make_engine", lambda name, net: PlainEngine())
    scene = optical((10, 12, 4.0, 9.0), (30, 40, 6.0, 20.0), (44, 5, -6.0, 9.0))
    look = VesselSearch(detector=detector(HEAT_AND_LENGTH))
    found = look.find(scene, Sea((96, 96)), None).detections
    np.testing.assert_allclose(found.row, [20.5, 60.5], atol=1e-6)
    np.testing.assert_allclose(found.col, [24.5, 80.5], atol=1e-6)
    np.testing.assert_allclose(found.length_m, [90, 200], rtol=2e-3)
    np.testing.assert_allclose(found.probability, 1 / (1 + np.exp([-4.0, -6.0])), rtol=1e-4)
    for region, expected in [
        (Window(row=0, col=0, height=40, width=96), [20.5]),
        (Window(row=22, col=0, height=74, width=96), [60.5]),
        (Window(row=20, col=24, height=42, width=58), [20.5, 60.5]),
        (Window(row=62, col=0, height=20, width=20), []),
    ]:
        for tile_px in (16, 48, None):
            part = look.find(scene, Sea((96, 96)), None, region=region, tile_px=tile_px).detections
            assert part.row.tolist() == expected


def test_rows_come_in_the_order_that_every_detector_gives(monkeypatch):
    peaks = peaks_of((22.4, 60, 3, 9, 3, 0), (21.9, 90, 3, 9, 3, 0), (21.9, 20, 3, 9, 3, 0))
    found = described(monkeypatch, peaks, radar())
    assert list(zip(found.row, found.col, strict=True)) == sorted(zip(found.row, found.col, strict=True))


class Coast:
    """Land everywhere west of a longitude: distances are made up."""

    def __init__(self, lon):
        self.lon = lon

    def shore_distance_m(self, lon, lat):
        return np.where(np.asarray(lon) < self.lon, 100.0, 9000.0)


def test_near_the_shore_the_shores_calibration_counts_and_without_land_that_of_all(monkeypatch):
    peaks = peaks_of((40, 20, 1.0, 9, 3, 0), (40, 90, 1.0, 9, 3, 0))
    scene = radar()
    levels = {"all": 0.5, "shore": 0.3, "offshore": 0.7}
    made = detector()
    flat = Calibration(
        temperature=1.0, curves={n: ((0.0, 1.0), (p, p)) for n, p in levels.items()}, length_factor=2.0, n=9
    )
    made = replace(made, record=replace(made.record, calibration=flat))

    def peaks_of_scene(scene, *args, work, **kwargs):
        work.whole_px = 1
        return peaks

    monkeypatch.setattr(module, "scene_peaks", peaks_of_scene)
    look = VesselSearch(detector=made)
    middle = float(scene.geometry.lonlat(40.0, 55.0)[0])
    assert look.find(scene, Sea(SHAPE), Coast(middle)).detections.probability.tolist() == [0.3, 0.7]
    assert look.find(scene, Sea(SHAPE), None).detections.probability.tolist() == [0.5, 0.5]


def test_contrasts_do_not_depend_on_what_else_is_looked_at(monkeypatch):
    shape_hw = (600, 560)
    rng = np.random.default_rng(2)
    places = [(int(r), int(c)) for r, c in rng.integers(0, 560, (40, 2))]
    scene = radar(shape_hw=shape_hw, ships=places[::2])
    rows = [(r + 0.3, c - 0.2, 3, 9, 3, 0) for r, c in places]
    together = described(monkeypatch, peaks_of(*rows), scene)
    alone = [described(monkeypatch, peaks_of(row), scene).contrast_db[0] for row in sorted(rows)]
    np.testing.assert_array_equal(together.contrast_db, alone)


def test_the_name_says_what_runs_the_network(monkeypatch):
    made = detector()
    assert VesselSearch(detector=made).name == "cnn-made-up:01234567"
    assert VesselSearch(detector=made, cascade=True).name == "cnn-made-up:01234567:cascade"
    monkeypatch.setattr("models.vessel.engines.status", lambda name: EngineStatus(name, name == "openvino", ""))
    assert VesselSearch(detector=made, engine="fastest", cascade=True).name == "cnn-made-up:01234567:openvino:cascade"


def test_a_cascade_asks_the_sieve_and_finds_the_ship(monkeypatch):
    monkeypatch.setattr(module, "make_engine", lambda name, net: PlainEngine())
    asked = []
    whole = module.scene_peaks

    def seen(*args, sieve, **kwargs):
        asked.append(sieve)
        return whole(*args, sieve=sieve, **kwargs)

    monkeypatch.setattr(module, "scene_peaks", seen)
    data = np.random.default_rng(0).gamma(4.4, 0.01 / 4.4, (2, 512, 512))
    data[:, 200:203, 300:303] = 5.0
    square = Grid.from_crs("EPSG:32651", Affine(10.0, 0, 500_000, 0, -10.0, 4_200_000), (512, 512))
    scene = scene_of_array(square, data, bands=("vv", "vh"), sensor=SENTINEL1_IW_GRD)
    VesselSearch(detector=detector(), cascade=True).find(scene, map_surface(scene, None), None)
    VesselSearch(detector=detector()).find(scene, Sea((512, 512)), None)
    assert asked[0] is not None
    assert asked[1] is None
