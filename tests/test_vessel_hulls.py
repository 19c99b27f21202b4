"""Hulls in pixels against rectangles and ellipses drawn by hand."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from models.vessel import hulls as module
from models.vessel.hulls import Hulls, half_extents, rectangle


def corners_of(row, col, length, width, axis_deg):
    """Corners (col, row) of a rectangle whose long side points axis_deg clockwise from up (row 0)."""
    a = np.radians(axis_deg)
    forward, right = np.array([np.sin(a), -np.cos(a)]), np.array([np.cos(a), np.sin(a)])
    return np.array(
        [[col, row] + s * length / 2 * forward + t * width / 2 * right for s, t in [(1, 1), (1, -1), (-1, -1), (-1, 1)]]
    )


def drawn_ellipse(length, width, axis_deg, *, per_px=40):
    """Half height and half width of an ellipse painted on a fine raster, in pixels."""
    reach = int(per_px * (length / 2 + 1))
    right, down = np.meshgrid(np.arange(-reach, reach + 1) / per_px, np.arange(-reach, reach + 1) / per_px)
    a = np.radians(axis_deg)
    forward, sideways = right * np.sin(a) - down * np.cos(a), right * np.cos(a) + down * np.sin(a)
    inside = (2 * forward / length) ** 2 + (2 * sideways / width) ** 2 <= 1
    return np.abs(down[inside]).max(), np.abs(right[inside]).max()


@pytest.mark.parametrize(
    ("corners", "axis_deg"),
    [
        ([[10, 0], [12, 0], [12, 20], [10, 20]], 0.0),  # up and down
        ([[0, 10], [20, 10], [20, 12], [0, 12]], 90.0),  # left and right
        ([[0, 20], [2, 22], [22, 2], [20, 0]], 45.0),  # from bottom left to top right
        ([[0, 2], [2, 0], [22, 20], [20, 22]], 135.0),  # from top left to bottom right
    ],
)
def test_an_axis_is_counted_clockwise_from_up(corners, axis_deg):
    found = Hulls.of_corners(np.array([corners], float))
    assert found.axis_deg[0] == pytest.approx(axis_deg, abs=1e-9)
    assert (found.row[0], found.col[0]) == (
        pytest.approx(np.mean(corners, 0)[1]),
        pytest.approx(np.mean(corners, 0)[0]),
    )


def test_a_rectangle_around_points_inside_it_and_its_corners_is_that_rectangle():
    rng = np.random.default_rng(1)
    for _ in range(60):
        row, col, axis = rng.uniform(-50, 50), rng.uniform(-50, 50), rng.uniform(0, 180)
        length = rng.uniform(4, 60)
        width = length * rng.uniform(0.1, 0.9)
        corners = corners_of(row, col, length, width, axis)
        inside = corners[0] + rng.random((30, 1)) * (corners[1] - corners[0])
        inside = inside + rng.random((30, 1)) * (corners[3] - corners[0])
        points = rng.permutation(np.concatenate([corners, inside]))
        found = Hulls.of_corners(rectangle(points)[None])
        np.testing.assert_allclose(
            [found.row[0], found.col[0], found.length_px[0], found.width_px[0]], [row, col, length, width], atol=1e-6
        )
        apart = (found.axis_deg[0] - axis + 90) % 180 - 90
        assert abs(apart) < 1e-4
        assert 0 <= found.axis_deg[0] < 180


def test_the_rectangle_has_the_least_area_of_all_turned_boxes():
    rng = np.random.default_rng(2)
    for _ in range(20):
        points = rng.normal(size=(12, 2)) * [9, 3]
        least = min(
            np.prod(np.ptp(points @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]), axis=0))
            for a in np.radians(np.arange(0, 90, 0.05))
        )
        area = shapely.Polygon(rectangle(points)).area
        assert least * 0.99 < area < least * 1.0001


def test_a_line_and_a_point_get_sides_of_a_pixel():
    line = Hulls.of_corners(rectangle(np.array([[3.0, 5.0], [13.0, 5.0]]))[None])
    assert line.width_px[0] == pytest.approx(1.0)
    assert line.length_px[0] == pytest.approx(11.0)
    assert (line.row[0], line.col[0], line.axis_deg[0]) == (pytest.approx(5), pytest.approx(8), pytest.approx(90))
    slanted = Hulls.of_corners(rectangle(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))[None])
    assert slanted.width_px[0] == pytest.approx(1.0)
    assert slanted.length_px[0] == pytest.approx(11.0)
    point = Hulls.of_corners(rectangle(np.array([[3.0, 5.0]]))[None])
    assert (point.length_px[0], point.width_px[0]) == (pytest.approx(1), pytest.approx(1))
    assert (point.row[0], point.col[0]) == (pytest.approx(5), pytest.approx(3))


def test_no_corners_give_no_hulls():
    assert len(Hulls.of_corners(np.empty((0, 4, 2)))) == 0


def test_taking_and_joining_keep_every_column_in_order():
    rng = np.random.default_rng(3)
    all_ = Hulls.of_corners(
        np.array([corners_of(*rng.uniform(0, 90, 2), 20, 5, a) for a in (10, 60, 150)]),
        ignored=np.array([False, True, False]),
    )
    joined = Hulls.concatenate([all_.take(np.array([2])), all_.take(np.array([True, True, False]))])
    for name in ("row", "col", "length_px", "width_px", "axis_deg", "kind", "ignored"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(all_, name)[[2, 0, 1]])
    assert np.isnan(joined.heading_deg).all()


@pytest.mark.parametrize("axis_deg", [0.0, 17.0, 45.0, 90.0, 120.0, 179.0])
def test_without_corners_the_box_is_that_of_a_drawn_ellipse(monkeypatch, axis_deg):
    monkeypatch.setattr(module, "CORNER_FILL", 0.0)
    twice = np.radians(2 * axis_deg)
    found = half_extents(*(np.array([v]) for v in (16.0, 5.0, np.cos(twice), np.sin(twice))))
    np.testing.assert_allclose(np.ravel(found), drawn_ellipse(16.0, 5.0, axis_deg), atol=0.03)


@pytest.mark.parametrize("axis_deg", [0.0, 17.0, 45.0, 90.0, 120.0, 179.0])
def test_with_full_corners_the_box_is_that_of_the_rectangle(monkeypatch, axis_deg):
    monkeypatch.setattr(module, "CORNER_FILL", 1.0)
    twice = np.radians(2 * axis_deg)
    down, right = half_extents(*(np.array([v]) for v in (16.0, 5.0, np.cos(twice), np.sin(twice))))
    box = affinity.rotate(shapely.box(-2.5, -8.0, 2.5, 8.0), axis_deg).bounds  # symmetric: either sense of turning
    assert (right[0], down[0]) == (pytest.approx(box[2]), pytest.approx(box[3]))


def test_the_box_of_real_fill_lies_between_ellipse_and_rectangle(monkeypatch):
    axis = np.radians(np.arange(1.0, 180.0))
    args = np.full(len(axis), 30.0), np.full(len(axis), 6.0), np.cos(2 * axis), np.sin(2 * axis)
    middle = half_extents(*args)
    monkeypatch.setattr(module, "CORNER_FILL", 0.0)
    least = half_extents(*args)
    monkeypatch.setattr(module, "CORNER_FILL", 1.0)
    most = half_extents(*args)
    for low, found, high in zip(least, middle, most, strict=True):
        assert (found >= low - 1e-12).all()
        assert (found <= high + 1e-12).all()


def test_where_the_axis_is_unknown_the_box_is_the_root_mean_square_over_all_axes(monkeypatch):
    monkeypatch.setattr(module, "CORNER_FILL", 0.0)
    axis = np.radians(np.arange(0.0, 180.0, 0.5))
    down, _ = half_extents(np.full(len(axis), 30.0), np.full(len(axis), 6.0), np.cos(2 * axis), np.sin(2 * axis))
    monkeypatch.undo()
    nothing = np.zeros(1)
    found_down, found_right = half_extents(np.array([30.0]), np.array([6.0]), nothing, nothing)
    assert found_down[0] == found_right[0] == pytest.approx(np.sqrt(np.mean(down**2)))
