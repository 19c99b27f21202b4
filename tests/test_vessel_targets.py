"""Targets, and the way back: maps that say exactly what the targets say decode to the labelled hulls."""

import numpy as np
import pytest

from models.vessel.decode import merge, peaks
from models.vessel.hulls import Hulls
from models.vessel.network import CHANNELS, STRIDE_PX
from models.vessel.targets import encode

START = dict(zip(CHANNELS, np.cumsum([0, *CHANNELS.values()])[:-1].tolist(), strict=True))


def hulls(*rows, heading_deg=np.nan, kind=0, ignored=False):
    """Hulls of (row, col, length_px, width_px, axis_deg)."""
    row, col, length, width, axis = np.reshape(np.array(rows, float), (-1, 5)).T
    n = len(row)
    return Hulls(
        row=row,
        col=col,
        length_px=length,
        width_px=width,
        axis_deg=axis,
        heading_deg=np.broadcast_to(np.asarray(heading_deg, float), n),
        kind=np.broadcast_to(np.asarray(kind, np.int64), n),
        ignored=np.broadcast_to(np.asarray(ignored), n),
    )


def perfect_maps(targets):
    """Maps (c, h, w) of a network that has learnt its targets to the letter."""
    maps = np.zeros((sum(CHANNELS.values()), *targets.heat.shape))
    with np.errstate(divide="ignore"):
        maps[0] = np.clip(np.log(targets.heat) - np.log1p(-targets.heat.astype(float)), -20.0, 20.0)
    at = (slice(None), *targets.cells.T)
    said = targets.hulls.T.astype(float)
    for name, values in {
        "offset": said[0:2] / STRIDE_PX,
        "log_length": said[2:3],
        "log_width": said[3:4],
        "axis": said[4:6],
        "direction": np.stack([np.cos(said[6]), np.sin(said[6])]),
        "kind": 9.0 * (np.arange(CHANNELS["kind"])[:, None] == said[7]),
    }.items():
        maps[START[name] : START[name] + CHANNELS[name]][at] = values
    return maps


def decoded(labels, shape_hw, *, least_logit=19.0, hull_share=0.8, valid=None):
    maps = perfect_maps(encode(labels, shape_hw, valid))
    whole = slice(0, maps.shape[1]), slice(0, maps.shape[2])
    return merge(peaks(maps, whole, least_logit=least_logit), hull_share)


def assert_same(found, labels):
    order = np.lexsort((found.col, found.row)), np.lexsort((labels.col, labels.row))
    found, labels = found.take(order[0]), labels.take(order[1])
    assert len(found) == len(labels)
    for name in ("row", "col", "length_px", "width_px"):
        np.testing.assert_allclose(getattr(found, name), getattr(labels, name), atol=1e-3, err_msg=name)
    apart = (found.axis_deg - labels.axis_deg + 90) % 180 - 90
    np.testing.assert_allclose(apart, 0, atol=1e-3)


def scattered(rng, n, side):
    """Hulls whose rectangles keep clear of one another."""
    step = side // n
    grid = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2)
    place = (grid + 0.5) * step + rng.uniform(-8, 8, (n * n, 2))
    length = np.exp(rng.uniform(np.log(2.0), np.log(40.0), n * n))
    width = np.maximum(length * rng.uniform(0.1, 0.6, n * n), 1.0)
    return hulls(*np.column_stack([place, length, width, rng.uniform(0, 180, n * n)]))


def test_maps_that_say_the_targets_decode_to_the_hulls():
    for seed in range(5):
        labels = scattered(np.random.default_rng(seed), 6, 384)
        assert_same(decoded(labels, (384, 384)), labels)


def test_hulls_come_back_wherever_their_centre_lies_in_a_pixel():
    for shift in np.linspace(-0.5, 2.5, 25):
        labels = hulls((30.0 + shift, 31.0 - shift, 18, 5, 33), (30.0, 90.0 + shift, 3, 2, 120))
        assert_same(decoded(labels, (64, 128)), labels)


def test_hulls_at_the_borders_come_back():
    labels = hulls(
        (-0.5, -0.5, 12, 4, 135),
        (-0.4, 40.0, 30, 6, 90),
        (63.49, 20.0, 8, 3, 0),
        (31, 63.49, 40, 7, 10),
        (63, 63, 2, 1, 5),
    )
    assert_same(decoded(labels, (64, 64)), labels)


def test_centres_outside_the_image_are_left_out():
    labels = hulls((-0.6, 20, 12, 4, 0), (63.5, 20, 12, 4, 0), (20, 63.6, 12, 4, 0), (20, -9, 40, 4, 90))
    targets = encode(labels, (64, 64))
    assert targets.heat.max() == 0
    assert len(targets.cells) == len(targets.hulls) == len(targets.weight) == 0
    assert targets.counted.all()


# A peak needs eight lower neighbours: centres must be two cells apart in row or column. Four pixels along either are
# always enough; at 45 degrees that takes 5.66 between the centres.
@pytest.mark.parametrize(("axis_deg", "apart_px"), [(0.0, 4.5), (90.0, 4.5), (20.0, 4.5), (30.0, 4.7), (135.0, 5.7)])
def test_two_ships_alongside_each_other_stay_two(axis_deg, apart_px):
    a = np.radians(axis_deg)
    for first in np.random.default_rng(4).uniform(40, 42, (20, 2)):
        second = first + apart_px * np.array([np.sin(a), np.cos(a)])  # (row, col), across the axis
        labels = hulls((*first, 30, 4, axis_deg), (*second, 26, 3.5, axis_deg))
        assert_same(decoded(labels, (96, 96)), labels)


def test_each_hull_weighs_one_however_many_cells_learn_it():
    labels = scattered(np.random.default_rng(7), 6, 384)
    targets = encode(labels, (384, 384))
    place = targets.cells * STRIDE_PX + (STRIDE_PX - 1) / 2 + targets.hulls[:, :2]
    mine = np.hypot(place[:, None, 0] - labels.row, place[:, None, 1] - labels.col).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(mine, weights=targets.weight), 1.0, atol=1e-5)
    assert len(mine) > len(labels)


def test_the_bump_is_a_gaussian_along_the_hulls_axes():
    row, col, length, width, axis = 40.3, 37.8, 60.0, 30.0, 25.0
    heat = encode(hulls((row, col, length, width, axis)), (80, 80)).heat
    a = np.radians(axis)
    for i, j in [(20, 18), (16, 20), (24, 22), (20, 24)]:
        offset = np.array([2 * j + 0.5 - col, 2 * i + 0.5 - row])
        forward, right = offset @ [np.sin(a), -np.cos(a)], offset @ [np.cos(a), np.sin(a)]
        centre = (i, j) == (int((row + 0.5) // 2), int((col + 0.5) // 2))
        expected = 1.0 if centre else np.exp(-0.5 * ((forward / 10.2) ** 2 + (right / 5.1) ** 2))
        assert heat[i, j] == pytest.approx(expected, abs=1e-6)
    assert (heat == 1.0).sum() == 1


def test_ignored_hulls_are_neither_object_nor_background():
    labels = hulls(
        (30, 30, 20, 5, 0), (30, 100, 24, 5, 0), (90, 100, np.nan, np.nan, np.nan), ignored=[False, True, True]
    )
    targets = encode(labels, (128, 128))
    assert_same(decoded(labels, (128, 128)), labels.take(np.array([0])))
    rows, cols = np.indices((64, 64)) * 2 + 0.5
    for row, col, radius in [(30, 100, 12.0), (90, 100, 4.0)]:
        within = np.hypot(rows - row, cols - col) <= radius
        assert not targets.counted[within].any()
        assert targets.heat[within].max() == 0
    assert targets.counted.sum() == 64 * 64 - sum(
        (np.hypot(rows - r, cols - 100) <= s).sum() for r, s in [(30, 12.0), (90, 4.0)]
    )


def test_a_hull_of_unknown_length_is_found_at_its_place_and_its_size_left_open():
    labels = hulls((30.2, 41.7, np.nan, np.nan, np.nan))
    targets = encode(labels, (64, 96))
    assert np.isfinite(targets.hulls[:, :2]).all()
    assert np.isnan(targets.hulls[:, 2:7]).all()
    found = decoded(labels, (64, 96))
    assert (found.row[0], found.col[0]) == (pytest.approx(30.2, abs=1e-3), pytest.approx(41.7, abs=1e-3))


def test_heading_and_kind_come_back():
    labels = hulls(
        (20, 20, 20, 5, 30), (20, 60, 20, 5, 30), (60, 40, 9, 8, 0), heading_deg=[30, 210, np.nan], kind=[0, 2, 1]
    )
    maps = perfect_maps(encode(labels, (80, 80)))
    found = peaks(np.nan_to_num(maps), (slice(0, 40), slice(0, 40)), least_logit=19.0)
    order = np.lexsort((found.col, found.row))
    heading = np.degrees(np.arctan2(found.sin_heading, found.cos_heading))[order] % 360
    np.testing.assert_allclose(heading[:2], [30, 210], atol=1e-3)
    np.testing.assert_array_equal(found.kind_logit.argmax(axis=1)[order], [0, 2, 1])


def test_cells_without_any_valid_pixel_are_not_counted_and_teach_nothing():
    valid = np.ones((64, 64), bool)
    valid[:, :31] = False
    valid[10, 5] = True  # one pixel of the cell (5, 2)
    labels = hulls((30, 12, 20, 5, 0), (30, 50, 20, 5, 0))
    targets = encode(labels, (64, 64), valid)
    expected = np.zeros((32, 32), bool)
    expected[:, 15:] = True  # column 15 holds the pixels 30 and 31
    expected[5, 2] = True
    np.testing.assert_array_equal(targets.counted, expected)
    assert targets.counted[tuple(targets.cells.T)].all()
    np.testing.assert_allclose(targets.weight.sum(), 1.0, atol=1e-6)


def test_an_image_without_hulls_has_empty_targets():
    targets = encode(hulls(), (32, 48))
    assert targets.heat.shape == targets.counted.shape == (16, 24)
    assert targets.hulls.shape == (0, 8)


def test_each_cell_knows_what_share_of_it_is_hull_and_land():
    hull_mask = np.zeros((16, 16), np.float32)
    hull_mask[3:6, 4:8] = 1.0
    hull_mask[12, 12] = np.nan
    land = np.zeros((16, 16), np.float32)
    land[:, 13:] = 1.0
    land[0, 0] = np.nan
    valid = np.ones((16, 16), bool)
    valid[8:10, 0:2] = False
    dense = encode(hulls(), (16, 16), valid, hull_mask=hull_mask, land=land).dense
    for i in range(8):
        for j in range(8):
            cell = np.s_[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            known = valid[cell].any()
            expected = (hull_mask[cell].mean(), land[cell].mean()) if known else (np.nan, np.nan)
            np.testing.assert_array_equal(dense[:, i, j], np.float32(expected))


def test_what_is_not_said_of_hulls_and_land_is_not_known():
    assert np.isnan(encode(hulls((8, 8, 6, 2, 0)), (16, 16)).dense).all()
