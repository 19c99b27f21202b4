"""Acquisition geometry of map pixels against the product's own, for one slice and for two."""

import re
from dataclasses import fields

import numpy as np
import pytest
from affine import Affine

from imagery.acquisition import AcquisitionSample
from imagery.errors import AnnotationError
from imagery.geometry import Grid
from imagery.ground_acquisition import annotated_ground
from imagery.tie_points import TiePointAcquisition
from tests.safe_builder import RadarModel, SafeProduct

SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
UTM53 = "EPSG:32653"  # 133-137 E, in which the product lies
NUMBERS = [f.name for f in fields(AcquisitionSample) if f.name not in ("source", "time")]


@pytest.fixture(scope="module")
def annotation(real_data):
    return SafeProduct(real_data(SEA)).text("", "vv")


def map_grid(lon, lat, shape_hw=(200, 300)):
    """Pixels of 10 m whose middle lies near a place."""
    away = Grid.from_crs(UTM53, Affine(10, 0, 0, 0, -10, 0), (1, 1))
    row, col = away.rowcol(lon, lat)
    corner = Affine(10, 0, (float(col) - shape_hw[1] / 2) * 10, 0, -10, -(float(row) - shape_hw[0] / 2) * 10)
    return Grid.from_crs(UTM53, corner, shape_hw)


def cut(annotation, first, last):
    """The annotation of the slice of a product from one line of tie points to another."""

    def kept(match):
        line = int(match[1])
        return match[0].replace(f"<line>{line}<", f"<line>{line - first}<") if first <= line <= last else ""

    text = re.sub(
        r"<geolocationGridPoint>(?:(?!</geolocationGridPoint>).)*<line>(\d+)</line>.*?</geolocationGridPoint>",
        kept,
        annotation,
        flags=re.S,
    )
    return text.replace("<numberOfLines>19488<", f"<numberOfLines>{last - first}<").encode()


def check_same(got, expected, source):
    assert got.source == source
    assert np.abs((got.time - expected.time) / np.timedelta64(1, "s")).max() < 1e-4
    for name, tolerance in {
        "incidence_deg": 1e-4,
        "slant_range_m": 3.0,
        "look_azimuth_deg": 1e-3,
        "heading_deg": 1e-3,
        "platform_speed_m_s": 1e-3,
        "time_sigma_s": 0,
        "incidence_sigma_deg": 0,
    }.items():
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=0, atol=tolerance, err_msg=name)


def test_map_pixels_have_the_geometry_of_the_samples_that_see_them(annotation):
    model = RadarModel(annotation)
    lon, lat = model.lonlat(10300, 8900)
    ground = annotated_ground(map_grid(lon, lat), [annotation.encode()])
    rows, cols = np.array([0.0, 57.25, 199.0])[:, None], np.array([0.0, 140.5, 299.0])
    places = ground.geometry.lonlat(rows, cols)
    lines, pixels = np.transpose(
        [model.line_pixel(*place) for place in zip(*map(np.ravel, places), strict=True)]
    ).reshape(2, 3, 3)
    expected = TiePointAcquisition.from_annotation_xml(annotation.encode()).at(lines, pixels)
    check_same(ground.at(rows, cols), expected, "annotation, found by place")


def test_two_slices_are_the_whole(annotation):
    model = RadarModel(annotation)
    whole, first, second = cut(annotation, 0, 19487), cut(annotation, 0, 10080), cut(annotation, 10080, 19487)
    lon, lat = model.lonlat(10080, 12000)
    grid = map_grid(lon, lat, (600, 600))  # over the seam
    rows, cols = np.arange(0, 600, 60.0)[:, None], np.arange(0, 600, 60.0)
    expected = annotated_ground(grid, [whole]).at(rows, cols)
    for slices in ([first, second], [second, first]):
        check_same(annotated_ground(grid, slices).at(rows, cols), expected, "annotation of 2 slices, found by place")


def test_beyond_half_a_cell_outside_every_slice_nothing_is_claimed(annotation):
    model = RadarModel(annotation)
    line, pixel = 12000, 25116
    lon, lat = model.lonlat(line, pixel)
    ground = annotated_ground(map_grid(lon, lat, (2, 6000)), [annotation.encode()] * 2)
    cols = np.arange(0, 6000, 50.0)
    away = np.array([model.line_pixel(*map(float, ground.geometry.lonlat(0.0, c)))[1] - pixel for c in cols])
    seen = ground.at(0.0, cols)
    known = np.isfinite(seen.incidence_deg)
    assert known[away < 600].all()
    assert not known[away > 650].any()  # a cell has 1,256 pixels
    assert (away > 650).sum() > 10
    np.testing.assert_array_equal(np.isnat(seen.time), ~known)
    np.testing.assert_array_equal(np.isinf(seen.time_sigma_s), ~known)


def test_shapes_broadcast_and_unknown_places_stay_unknown(annotation):
    ground = annotated_ground(map_grid(134.0, 7.5), [annotation.encode()])
    assert ground.at(3.0, 4.0).incidence_deg.shape == ()
    assert ground.at(np.zeros((2, 1)), np.zeros(3)).time.shape == (2, 3)
    assert ground.at([], []).incidence_deg.shape == (0,)
    seen = ground.at([1.0, np.nan], [1.0, 1.0])
    assert np.isfinite(seen.incidence_deg).tolist() == [True, False]
    assert np.isinf(seen.incidence_sigma_deg).tolist() == [False, True]


def test_without_annotation_or_with_a_hostile_one_there_is_no_ground(annotation):
    grid = map_grid(134.0, 7.5)
    with pytest.raises(AnnotationError, match="got none"):
        annotated_ground(grid, [])
    with pytest.raises(AnnotationError, match="DTD"):
        annotated_ground(grid, [b"<!DOCTYPE a [<!ENTITY b 'c'>]><product/>"])
    with pytest.raises(AnnotationError, match="numberOfLines"):
        annotated_ground(grid, [annotation.replace("numberOfLines>", "n>").encode()])
