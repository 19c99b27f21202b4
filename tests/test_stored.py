"""Geometry and acquisition as plain values: exact to the last bit after a turn through JSON text."""

import json
import zipfile
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from imagery.acquire import from_json, to_json
from imagery.acquisition import AcquisitionSample, StatedAcquisition
from imagery.errors import AnnotationError, RasterError, SourceError
from imagery.fetchers.cache.header import header_to_json, scene_from_json
from imagery.geometry import GcpGrid, Grid, Window
from imagery.ground_acquisition import AnnotatedGround, annotated_ground
from imagery.orbit_model import OrbitModel
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.stored_geometry import geometry_from_json, geometry_to_json
from imagery.tie_points import TiePointAcquisition
from tests.support import UTM, noise_scene

TIME = datetime(2019, 5, 12, 9, 38, 0, 123456, tzinfo=UTC)
GRID = Grid.from_crs("EPSG:32651", UTM, (200, 300))
POINTS = GcpGrid(
    gcp_rows=(0.0, 0.0, 200.0, 200.0, 100.1),
    gcp_cols=(0.0, 300.0, 0.0, 300.0, 150.0),
    gcp_lon=(125.0, 125.03, 125.001, 125.0311, 125.0155),
    gcp_lat=(37.0, 36.999, 36.98, 36.979, 1 / 3),
    shape_hw=(200, 300),
)
HATTERAS = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
SEA_SIZE = (19488, 25117)  # lines and pixels of the product above


def through_text(values):
    return json.loads(json.dumps(values))


def annotation(path):
    with zipfile.ZipFile(path) as product:
        name = next(n for n in sorted(product.namelist()) if "/annotation/s1" in n and n.endswith(".xml"))
        return product.read(name)


def same_samples(one, other, rows, cols):
    for field in fields(AcquisitionSample):
        a, b = getattr(one.at(rows, cols), field.name), getattr(other.at(rows, cols), field.name)
        np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize(
    "geometry",
    [
        GRID,
        GRID.crop(Window(row=-7, col=13, height=50, width=60)),
        Grid.from_crs("EPSG:4326", UTM.translation(0.1, 1 / 3) @ UTM.scale(1e-4 / 3, -1e-4 / 7), (5, 7)),
        POINTS,
        POINTS.crop(Window(row=3, col=4, height=5, width=6)),
    ],
    ids=["utm", "window", "thirds of degrees", "points", "window of points"],
)
def test_geometry_comes_back_equal(geometry):
    assert geometry_from_json(through_text(geometry_to_json(geometry))) == geometry


@pytest.mark.parametrize(
    "damage", [{"kind": "grid"}, {"transform": [1, 2]}, {"shape_hw": [0, 5]}, {"transform": ["x"] * 6}, {"shape_hw": 3}]
)
def test_damaged_geometry_is_refused(damage):
    stored = {**geometry_to_json(GRID), **damage} if "kind" not in damage else damage
    with pytest.raises(RasterError):
        geometry_from_json(stored)


def test_unknown_geometry_is_refused():
    class Other:
        shape_hw = (1, 1)

    with pytest.raises(RasterError, match="Other"):
        geometry_to_json(Other())


@pytest.mark.parametrize(
    "acquisition",
    [
        StatedAcquisition(time=TIME, time_sigma_s=0.1),
        StatedAcquisition(),
        OrbitModel(platform="sentinel-1", geometry=GRID, time=TIME, time_sigma_s=0.3),
        OrbitModel(
            platform="sentinel-1",
            geometry=POINTS.crop(Window(row=3, col=4, height=50, width=60)),
            time=TIME,
            direction="ascending",
            near_incidence_deg=31.7,
            incidence_range_deg=(30.0, 45.9),
            time_refers_to="start",
        ),
    ],
    ids=["stated", "unknown", "orbit model", "orbit model with all that is known"],
)
def test_acquisition_comes_back_exactly(acquisition):
    back = from_json(through_text(to_json(acquisition, GRID.shape_hw)))
    assert type(back) is type(acquisition)
    for field in fields(acquisition):
        assert getattr(back, field.name) == getattr(acquisition, field.name)
    assert back.source == acquisition.source
    same_samples(back, acquisition, [[0.0], [77.3]], [[1.0, 250.2]])


def test_tie_points_come_back_exactly(real_data):
    points = TiePointAcquisition.from_annotation_xml(
        annotation(real_data(HATTERAS)), row_offset=512.0, col_offset=-3.25
    )
    back = from_json(through_text(to_json(points, SEA_SIZE)))
    for field in fields(TiePointAcquisition):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(points, field.name), err_msg=field.name)
    rng = np.random.default_rng(0)
    same_samples(back, points, rng.uniform(-2000, 22000, 500), rng.uniform(-2000, 27000, 500))


def test_map_pixels_seen_through_an_annotation_come_back_exactly(real_data):
    (_, product), *_ = annotated_ground(GRID, [annotation(real_data(HATTERAS))]).products
    slices = annotated_ground(GRID, [annotation(real_data(HATTERAS))] * 2).products
    lon, lat = slices[0][0].lonlat(9000.0, 12000.0)
    zone = 32600 + int((float(lon) + 180) // 6) + 1
    probe = Grid.from_crs(f"EPSG:{zone}", UTM, (10, 10))
    row, col = probe.rowcol(lon, lat)
    grid = probe.crop(Window(row=int(row), col=int(col), height=3000, width=3000))
    ground = AnnotatedGround(geometry=grid, products=slices)
    back = from_json(through_text(to_json(ground, grid.shape_hw)))
    assert isinstance(back, AnnotatedGround)
    assert back.source == ground.source
    rows, cols = np.linspace(0, 2999, 9)[:, None], np.linspace(0, 2999, 9)[None]
    assert np.isfinite(ground.at(rows, cols).incidence_deg).all()
    same_samples(back, ground, rows, cols)
    assert product.source in back.source


class Wrapped:
    """An acquisition of a kind that nobody knows."""

    def __init__(self, inner):
        self.inner, self.source = inner, inner.source

    def at(self, rows, cols):
        return self.inner.at(rows, cols)


def test_an_unknown_kind_is_sampled_closely_enough(real_data):
    """Over a real scene of 250 km of sea: time within 1e-3 s, incidence within 1e-3 deg."""
    points = TiePointAcquisition.from_annotation_xml(annotation(real_data(HATTERAS)))
    back = from_json(through_text(to_json(Wrapped(points), SEA_SIZE)))
    rng = np.random.default_rng(0)
    rows, cols = rng.uniform(-0.5, SEA_SIZE[0] - 0.5, 5000), rng.uniform(-0.5, SEA_SIZE[1] - 0.5, 5000)
    here, there = points.at(rows, cols), back.at(rows, cols)
    assert np.abs((there.time - here.time) / np.timedelta64(1, "us")).max() < 1e3
    np.testing.assert_allclose(there.incidence_deg, here.incidence_deg, atol=1e-3, rtol=0)
    np.testing.assert_allclose(there.slant_range_m, here.slant_range_m, atol=1.0, rtol=0)
    assert back.source == points.source


def test_what_is_not_known_all_over_keeps_its_time_alone_and_says_so(real_data):
    points = TiePointAcquisition.from_annotation_xml(annotation(real_data(HATTERAS)))
    back = from_json(through_text(to_json(Wrapped(points), (60000, SEA_SIZE[1]))))
    assert isinstance(back, StatedAcquisition)
    assert "angles, range and speed not available" in back.source
    seen = points.at(np.linspace(0, SEA_SIZE[0], 50), 0.0).time
    assert seen.min() < np.datetime64(back.time.replace(tzinfo=None), "us") < seen.max()
    assert back.time_sigma_s == pytest.approx((seen.max() - seen.min()) / np.timedelta64(1, "s") / np.sqrt(12), rel=0.1)
    assert isinstance(from_json(to_json(Wrapped(StatedAcquisition()), (9, 9))), StatedAcquisition)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"kind": "other"},
        {"kind": "stated", "time": "noon"},
        {"kind": "orbit_model"},
        {"kind": "tie_points", "time": [[1]]},
        {"kind": "annotated_ground", "products": 3},
    ],
)
def test_damaged_acquisition_is_refused(stored):
    with pytest.raises(AnnotationError, match="damaged"):
        from_json(stored)


@pytest.mark.parametrize("geometry", [GRID, POINTS], ids=["affine", "points"])
def test_all_of_a_scene_but_its_pixels_comes_back(geometry):
    scene = noise_scene(geometry, clip_value=0.0025)
    scene = replace(scene, provenance=replace(scene.provenance, missing=("a tile",)))
    back = scene_from_json(through_text(header_to_json(scene)), scene.reader)
    for field in fields(scene):
        if field.name != "acquisition":
            assert getattr(back, field.name) == getattr(scene, field.name)
    same_samples(back.acquisition, scene.acquisition, [3.0, 150.0], [7.0, 200.0])


def test_damaged_or_strange_headers_are_refused():
    scene = noise_scene(GRID)
    with pytest.raises(SourceError, match="unknown sensor"):
        header_to_json(replace(scene, sensor=replace(SENTINEL1_IW_GRD, looks=3.0)))
    stored = header_to_json(scene)
    for damage in (
        {"sensor": "none"},
        {"unit": "furlong"},
        {"provenance": {"colour": 1}},
        {"geometry": {}},
        {"time": 3},
    ):
        with pytest.raises(SourceError, match="damaged"):
            scene_from_json({**stored, **damage}, scene.reader)
