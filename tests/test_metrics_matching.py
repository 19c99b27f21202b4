import itertools

import numpy as np
import pytest
import shapely
from scipy.spatial.distance import cdist

from models.chip_detections import ChipDetections
from models.metrics.matching import (
    best_threshold,
    match_centres,
    match_distances,
    match_with_low_confidence,
    precision_recall_f1,
)
from models.metrics.outlines import PixelOutline, PolygonOutline, bounds_xywh, distances_px, oriented_size


def square(left, top, side):
    return PolygonOutline.of_box([left, top, side, side])


def star(rng, centre, radius, corners=9):
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    return centre + (radius * rng.uniform(0.3, 1.0, corners))[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def test_distance_to_polygons_is_that_of_shapely():
    rng = np.random.default_rng(0)
    outlines = [PolygonOutline(rings=(star(rng, rng.uniform(10, 90, 2), 20),)) for _ in range(20)]
    x, y = rng.uniform(0, 100, (2, 500))
    found = distances_px(x, y, outlines, reach_px=7.0)
    for m, outline in enumerate(outlines):
        polygon = shapely.Polygon(outline.rings[0])
        assert polygon.is_valid
        wanted = shapely.distance(polygon, shapely.points(x, y))
        near = wanted <= 7.0
        assert np.abs(found[near, m] - wanted[near]).max() < 1e-9
        assert np.isinf(found[~near, m]).all()


def test_distance_to_pixels_and_to_several_rings_is_that_of_shapely():
    rng = np.random.default_rng(1)
    row, col = np.nonzero(rng.random((12, 15)) < 0.2)
    squares = shapely.union_all(shapely.box(col, row, col + 1, row + 1))
    x, y = rng.uniform(-4, 18, (2, 400))
    wanted = shapely.distance(squares, shapely.points(x, y))
    assert np.abs(PixelOutline(row=row, col=col).distance_px(x, y) - wanted).max() < 1e-9
    rings = (star(rng, np.array([3.0, 3.0]), 4), star(rng, np.array([12.0, 9.0]), 5))
    both = shapely.MultiPolygon([shapely.Polygon(ring) for ring in rings])
    wanted = shapely.distance(both, shapely.points(x, y))
    assert np.abs(PolygonOutline(rings=rings).distance_px(x, y) - wanted).max() < 1e-9


def test_size_and_axis_are_those_of_the_smallest_rectangle():
    rng = np.random.default_rng(2)
    for _ in range(50):
        points = rng.normal(size=(12, 2)) * [10, 3]
        length, width, _ = oriented_size(points)
        rectangle = shapely.minimum_rotated_rectangle(shapely.MultiPoint(points))
        edges = np.hypot(*np.diff(shapely.get_coordinates(rectangle), axis=0).T)
        assert length * width == pytest.approx(rectangle.area, rel=1e-6)
        assert (length, width) == pytest.approx((max(edges[:2]), min(edges[:2])), rel=1e-6)
    for axis in (0.0, 30.0, 90.0, 135.0, 179.0):
        along = np.array([np.sin(np.radians(axis)), -np.cos(np.radians(axis))])  # y down: up is -y
        across = np.array([-along[1], along[0]])
        corners = np.array([s * 20 * along + t * 4 * across for s in (-1, 1) for t in (-1, 1)])
        assert oriented_size(corners + np.array([50, 60])) == pytest.approx((40, 8, axis), abs=1e-6)
    assert oriented_size(np.array([[0.0, 0.0], [3.0, 4.0]]))[:2] == pytest.approx((5, 0))
    assert bounds_xywh(np.array([[1.0, 2.0], [4.0, 8.0]])).tolist() == [1, 2, 3, 6]


def test_a_centre_counts_up_to_three_pixels_outside_the_outline():
    ship = [square(10, 10, 4)]  # x and y in 10..14; a pixel's centre is at its number + 0.5
    inside = match_centres([11.5], [16.49], [1.0], ship)
    assert inside.counts == (1, 0, 0)
    outside = match_centres([11.5], [16.51], [1.0], ship)
    assert outside.counts == (0, 1, 1)
    corner = match_centres([15.5], [15.5], [1.0], ship)  # 2 px right of it and 2 px below: 2.83 px off
    assert corner.counts == (1, 0, 0)


def test_each_ship_is_taken_once_by_the_surest():
    ships = [square(0, 0, 10), square(30, 0, 10)]
    pairs = match_centres([5, 4, 5, 5], [5, 5, 35, 20], [0.5, 0.9, 0.2, 0.7], ships)
    assert pairs.truth_of.tolist() == [-1, 0, 1, -1]
    assert pairs.counts == (2, 2, 0)


def test_ties_go_to_the_first_row_then_column_whatever_the_order_given():
    ships = [square(0, 0, 10)]
    places = [(5.0, 5.0), (4.0, 7.0), (4.0, 6.0)]
    for order in itertools.permutations(places):
        row, col = zip(*order, strict=True)
        taken = match_centres(row, col, [0.5] * 3, ships).is_true
        assert order[int(np.flatnonzero(taken)[0])] == (4.0, 6.0)


def test_between_two_ships_a_detection_takes_the_one_it_lies_in():
    ships = [square(0, 0, 10), square(11, 0, 10)]
    pairs = match_centres([5, 5], [11.5, 9.5], [0.9, 0.8], ships)  # the second centre lies 1 px from ship 1
    assert pairs.truth_of.tolist() == [1, 0]
    overlapping = [square(0, 0, 20), square(8, 8, 4)]
    assert match_centres([9.5], [9.5], [1.0], overlapping).truth_of.tolist() == [0]  # (10, 10): middle of both
    assert match_centres([10.5], [10.5], [1.0], overlapping).truth_of.tolist() == [0]
    assert match_centres([9.0], [11.0], [1.0], [square(0, 0, 40), square(8, 8, 4)]).truth_of.tolist() == [1]


def test_what_lies_on_an_ignored_object_alone_counts_neither_way():
    ships = [square(0, 0, 10), square(30, 0, 30)]
    pairs = match_centres([5, 5, 6, 90], [5, 40, 45, 90], [0.9, 0.8, 0.7, 0.6], ships, ignored=[False, True])
    assert pairs.counts == (1, 1, 0)
    assert pairs.neutral.tolist() == [False, True, True, False]
    assert pairs.is_found.tolist() == [True, False]


def test_nothing_found_or_nothing_there():
    assert match_centres([], [], [], [square(0, 0, 5)]).counts == (0, 0, 1)
    assert match_centres([1.0], [1.0], [1.0], []).counts == (0, 1, 0)
    assert match_distances(np.empty((0, 3))).counts == (0, 0, 3)
    assert match_distances(np.empty((2, 0))).counts == (0, 2, 0)


def test_a_threshold_after_matching_gives_what_matching_after_it_gives():
    rng = np.random.default_rng(3)
    ships = [square(*rng.uniform(0, 100, 2), 12) for _ in range(12)]
    row, col, score = rng.uniform(0, 110, 60), rng.uniform(0, 110, 60), rng.integers(0, 9, 60) / 9.0
    everything = match_centres(row, col, score, ships)
    for threshold in (0.2, 0.5, 0.8):
        keep = score >= threshold
        assert (match_centres(row[keep], col[keep], score[keep], ships).truth_of == everything.truth_of[keep]).all()


def test_distance_matching_is_the_cheapest_of_all_assignments():
    rng = np.random.default_rng(4)
    for _ in range(30):
        distance = rng.uniform(0, 400, (4, 4))
        capped = np.where(distance > 200, 9999999 * 10.0, distance)
        wanted = min(itertools.permutations(range(4)), key=lambda p: capped[range(4), p].sum())
        pairs = match_distances(distance)
        expected = [c if distance[r, c] < 200 else -1 for r, c in enumerate(wanted)]
        assert pairs.truth_of.tolist() == expected
    assert match_distances(np.array([[200.0]])).counts == (0, 1, 1)  # must be closer than the tolerance
    assert match_distances(np.array([[199.99]])).counts == (1, 0, 0)


def test_hungarian_gives_up_the_nearest_pair_where_that_finds_more():
    found, truth = np.array([[0.0, 0.0], [150.0, 0.0]]), np.array([[120.0, 0.0], [310.0, 0.0]])
    pairs = match_distances(cdist(found, truth))  # greedy by distance would take (1, 0) and leave the first without
    assert pairs.truth_of.tolist() == [0, 1]


def test_detections_of_low_confidence_labels_are_set_aside():
    # Labels on a line: LOW at 0, HIGH at 500 and 1000; detections at 10 (LOW), 520 (HIGH), 3000 (nothing).
    truth = np.array([[0.0, 0.0], [500.0, 0.0], [1000.0, 0.0]])
    found = np.array([[10.0, 0.0], [520.0, 0.0], [3000.0, 0.0]])
    pairs = match_with_low_confidence(cdist(found, truth), [True, False, False])
    assert pairs.counts == (1, 1, 1)
    assert pairs.neutral.tolist() == [True, False, False]
    assert pairs.truth_of.tolist() == [-1, 1, -1]
    # A detection between LOW and HIGH goes with the cheaper one first, and is then lost to the other.
    between = match_with_low_confidence(np.array([[80.0, 90.0]]), [True, False])
    assert between.counts == (0, 0, 1)
    assert between.neutral.all()


def test_precision_recall_and_f1_of_nothing_are_not_numbers():
    precision, recall, f1 = precision_recall_f1([3, 0, 0, 0], [1, 0, 2, 0], [2, 4, 0, 0])
    assert precision.tolist()[:1] == [0.75]
    assert recall.tolist()[:2] == [0.6, 0.0]
    assert f1.tolist()[:3] == [pytest.approx(2 * 0.75 * 0.6 / 1.35), 0.0, 0.0]
    assert np.isnan([precision[1], recall[2], f1[3]]).all()


def test_best_threshold_beats_every_other():
    rng = np.random.default_rng(5)
    for _ in range(100):
        n = int(rng.integers(1, 40))
        score, true = rng.integers(0, 8, n) / 8.0, rng.random(n) < 0.5
        n_truth = int(true.sum() + rng.integers(0, 6))
        threshold, f1 = best_threshold(score, true, n_truth)
        every = {t: 2 * (true & (score >= t)).sum() / ((score >= t).sum() + n_truth) for t in np.unique(score).tolist()}
        if not true.any():
            assert (threshold, f1) == (np.inf, 0.0)
        else:
            assert f1 == max(every.values())
            assert threshold == max(t for t, value in every.items() if value == f1)
    assert best_threshold([], [], 3) == (np.inf, 0.0)
    with pytest.raises(ValueError, match="cannot be"):
        best_threshold([0.5], [True], 0)


def test_chip_detections_refuse_what_does_not_fit():
    chip = ChipDetections.empty()
    assert len(chip) == 0
    assert chip.centre_xy.shape == (0, 2)
    good = {
        "row": [2.0],
        "col": [3.0],
        "score": [0.5],
        "box_xywh": [[1, 1, 4, 4]],
        "oriented": np.full((1, 5), np.nan),
        "is_vessel": [True],
    }
    assert ChipDetections(**good).centre_xy.tolist() == [[3.5, 2.5]]
    with pytest.raises(ValueError, match="box_xywh"):
        ChipDetections(**good | {"box_xywh": [[1, 1, 4]]})
    with pytest.raises(ValueError, match="finite"):
        ChipDetections(**good | {"score": [np.nan]})


def test_the_best_threshold_of_a_sparser_sea_is_that_of_images_with_fewer_ships():
    rng = np.random.default_rng(8)
    true = rng.random(4000) < 0.5
    score = rng.normal(2.0 * true, 1.0)
    sparse = ~true | (np.cumsum(true) % 10 == 0)  # every tenth ship, and every false alarm
    weighted, f1 = best_threshold(score, true, 2200, object_weight=0.1)
    counted, f1_there = best_threshold(score[sparse], true[sparse], 220)
    assert weighted == pytest.approx(counted, abs=0.25)
    assert f1 == pytest.approx(f1_there, abs=0.03)
    assert weighted > best_threshold(score, true, 2200)[0] + 0.3
