"""Crops: pixels and labels move together, however they are turned, mirrored and scaled."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from skimage.draw import polygon2mask

from models.train.coco import read_empty_chips
from models.train.images import LabelledImage, Similarity, split_groups, take_crop
from models.train.mixture import Mixture
from models.train.recipes import Fold
from tests.test_vessel_hulls import corners_of

SHAPE = (96, 128)


def image_with(*outlines, values=None, **more):
    values = np.zeros((1, *SHAPE), np.float32) if values is None else values
    return LabelledImage(name="made", values=values, outlines=tuple(np.asarray(o, float) for o in outlines), **more)


def dot(col, row, sigma=1.6):
    rows, cols = np.indices(SHAPE)
    return np.exp(-0.5 * ((rows - row) ** 2 + (cols - col) ** 2) / sigma**2).astype(np.float32)[None]


def centroid_xy(values):
    weight = np.nan_to_num(values[0]).astype(float)
    rows, cols = np.indices(weight.shape)
    return np.array([(weight * cols).sum(), (weight * rows).sum()]) / weight.sum()


def shifted(centre_xy, side_px, matrix=((1.0, 0.0), (0.0, 1.0))):
    return Similarity(matrix=np.array(matrix), centre_xy=np.asarray(centre_xy, float), side_px=side_px)


@pytest.mark.parametrize("quarter_turns", [True, False])
def test_a_dot_moves_to_where_its_place_moves(quarter_turns):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        place = rng.uniform([50, 40], [70, 55])
        warp = Similarity.drawn(
            rng, place + rng.uniform(-8, 8, 2), 64, scale=(1 / 1.5, 1.5), turn_deg=10.0, quarter_turns=quarter_turns
        )
        found = centroid_xy(warp.image(dot(*place)))
        np.testing.assert_allclose(found, warp.points(place[None])[0], atol=0.03)
        turn = np.degrees(np.arctan2(warp.matrix[1, 1], warp.matrix[0, 1])) - 90
        seen.add((round(turn / 90) % 4, np.linalg.det(warp.matrix) > 0))
    assert len(seen) == (8 if quarter_turns else 4)
    if not quarter_turns:
        assert {t for t, _ in seen} == {0, 2}


def test_magnification_stays_within_its_bounds_and_mirrors_keep_shape():
    rng = np.random.default_rng(1)
    factors = []
    for _ in range(300):
        warp = Similarity.drawn(rng, np.array([9.0, 9.0]), 32, scale=(1 / 1.5, 1.5), turn_deg=10.0, quarter_turns=True)
        np.testing.assert_allclose(
            warp.matrix @ warp.matrix.T, np.eye(2) * (warp.matrix @ warp.matrix.T)[0, 0], atol=1e-9
        )
        factors.append(np.sqrt(abs(np.linalg.det(warp.matrix))))
    assert 1 / 1.5 <= min(factors) < 0.75
    assert 1.4 < max(factors) <= 1.5
    assert np.median(factors) == pytest.approx(1.0, abs=0.06)


def test_a_whole_shift_copies_pixels_and_leaves_the_outside_without_data():
    values = np.random.default_rng(2).random((2, *SHAPE)).astype(np.float32)
    values[0, 30, 40] = np.nan
    crop = shifted((15.5, 7.5), 32).image(values)  # the crop's pixel (0, 0) is the image's column 0, row -8
    assert np.isnan(crop[:, :8]).all()
    np.testing.assert_allclose(crop[:, 8:], values[:, :24, :32], atol=1e-5)
    around = shifted((40.25, 30.25), 8).image(values)
    lost = np.isnan(around[0])
    assert lost.sum() == 4  # bilinear: the four that touch the pixel without data
    assert not np.isnan(around[1]).any()


def test_labels_lie_on_the_painted_ship_after_any_warp():
    rng = np.random.default_rng(3)
    for _ in range(25):
        outline = corners_of(
            rng.uniform(44, 52), rng.uniform(60, 68), rng.uniform(18, 30), rng.uniform(6, 10), rng.uniform(0, 180)
        )
        fine = 4  # painted four times finer, then averaged: soft edges as in a real image
        mask = polygon2mask((SHAPE[0] * fine, SHAPE[1] * fine), (outline[:, ::-1] + 0.5) * fine - 0.5)
        painted = mask.reshape(SHAPE[0], fine, SHAPE[1], fine).mean(axis=(1, 3), dtype=np.float32)[None]
        warp = Similarity.drawn(rng, outline.mean(axis=0), 80, scale=(1 / 1.5, 1.5), turn_deg=10, quarter_turns=True)
        crop = take_crop(image_with(outline, values=painted), warp)
        assert len(crop.hulls) == 1
        assert not crop.hulls.ignored[0]
        centre = centroid_xy(crop.values)
        np.testing.assert_allclose([crop.hulls.col[0], crop.hulls.row[0]], centre, atol=0.15)
        assert crop.hulls.length_px[0] * crop.hulls.width_px[0] == pytest.approx(np.nansum(crop.values), rel=0.05)
        weight = np.nan_to_num(crop.values[0])[..., None]
        offsets = np.stack(np.indices((80, 80))[::-1], axis=-1) - centre
        along = np.linalg.eigh(np.einsum("ijk,ijl->kl", offsets * weight, offsets))[1][:, 1]
        axis = np.degrees(np.arctan2(along[0], -along[1]))
        assert abs((axis - crop.hulls.axis_deg[0] + 90) % 180 - 90) < 1.5


def test_the_masks_of_a_crop_move_with_its_pixels():
    rng = np.random.default_rng(3)
    outline = np.array([[40.0, 30.0], [90.0, 30.0], [90.0, 50.0], [40.0, 50.0]])
    painted = np.zeros((1, *SHAPE), np.float32)
    painted[0, 30:51, 40:91] = 1.0
    sea = np.ones(SHAPE, bool)
    sea[:, 100:] = False
    image = image_with(outline, values=np.concatenate([painted, ~sea[None]]).astype(np.float32), sea=sea)
    for _ in range(20):
        warp = Similarity.drawn(
            rng, np.array([70.0, 45.0]), 96, scale=(1 / 1.5, 1.5), turn_deg=30.0, quarter_turns=True
        )
        crop = take_crop(image, warp)
        known = np.isfinite(crop.values[0])
        sure = known & (np.abs(crop.values[0] - 0.5) > 0.49)
        assert (crop.hull_mask[sure] == (crop.values[0][sure] > 0.5)).mean() > 0.995
        unsure = take_crop(replace(image, ignored=(True,)), warp)
        np.testing.assert_array_equal(np.isnan(unsure.hull_mask), crop.hull_mask == 1.0)
        np.testing.assert_array_equal(np.isfinite(crop.land), known)
        np.testing.assert_allclose(crop.land[known], crop.values[1][known], atol=1e-6)


def test_a_ship_cut_by_the_edge_is_labelled_as_far_as_it_is_seen():
    # 40 px long, along the columns, from column 20.5 to 60.5; the crop's last pixel is the image's column 47
    outline = [[20.5, 29.5], [60.5, 29.5], [60.5, 35.5], [20.5, 35.5]]
    hulls = take_crop(image_with(outline), shifted((31.5, 31.5), 32)).hulls  # columns 16 to 47
    assert len(hulls) == 1
    assert not hulls.ignored[0]
    assert hulls.length_px[0] == pytest.approx(47.5 - 20.5)
    assert hulls.width_px[0] == pytest.approx(6)
    assert hulls.axis_deg[0] == pytest.approx(90)
    assert (hulls.row[0], hulls.col[0]) == (pytest.approx(32.5 - 16), pytest.approx((20.5 + 47.5) / 2 - 16))


@pytest.mark.parametrize(("seen", "ignored"), [(0.35, False), (0.25, True)])
def test_a_ship_of_which_little_is_seen_is_ignored(seen, ignored):
    left = 47.5 - 40 * seen
    outline = [[left, 29.5], [left + 40, 29.5], [left + 40, 35.5], [left, 35.5]]
    hulls = take_crop(image_with(outline), shifted((31.5, 31.5), 32)).hulls
    assert hulls.ignored.tolist() == [ignored]


def test_ships_outside_the_crop_are_no_labels():
    far = [[100, 80], [120, 80], [120, 84], [100, 84]]
    beside_the_corner = [[46, 60], [60, 46], [62, 48], [48, 62]]  # its box meets the crop's, the ship does not
    hulls = take_crop(image_with(far, beside_the_corner), shifted((31.5, 31.5), 32)).hulls
    assert len(hulls) == 0


def test_every_cut_label_lies_inside_the_crop():
    rng = np.random.default_rng(4)
    inside = shapely.box(-0.5, -0.5, 31.5, 31.5).buffer(1e-6)
    for _ in range(200):
        outline = corners_of(*rng.uniform(20, 76, 2), rng.uniform(5, 50), rng.uniform(1, 5), rng.uniform(0, 180))
        warp = Similarity.drawn(rng, rng.uniform(30, 60, 2), 32, scale=(1 / 1.5, 1.5), turn_deg=10, quarter_turns=True)
        hulls = take_crop(image_with(outline), warp).hulls
        assert all(inside.contains(shapely.Point(c, r)) for r, c in zip(hulls.row, hulls.col, strict=True))
        assert (hulls.length_px >= hulls.width_px).all()


def grouped(rng, n):
    """Images of 60 groups with 0 to 6 ships each."""
    ship = np.array([[1.0, 1], [5, 1], [5, 3]])
    return [
        LabelledImage(
            name=str(i),
            values=np.zeros((1, 4, 4), np.float32),
            outlines=(ship,) * int(rng.integers(7)),
            group=f"g{rng.integers(60)}",
        )
        for i in range(n)
    ]


def ships(images):
    return sum(len(i.outlines) for i in images)


def test_two_parts_share_no_group_and_lose_no_image():
    images = grouped(np.random.default_rng(5), 300)
    for seed in range(10):
        larger, smaller = split_groups(images, 0.1, seed)
        assert not {i.group for i in larger} & {i.group for i in smaller}
        assert sorted(int(i.name) for i in [*larger, *smaller]) == list(range(300))
        assert 0.07 < ships(smaller) / ships(images) <= 0.1
        again = split_groups(images, 0.1, seed)
        assert [i.name for i in again[1]] == [i.name for i in smaller]
    assert len({tuple(i.name for i in split_groups(images, 0.1, s)[1]) for s in range(5)}) == 5


@pytest.mark.parametrize("count", [2, 5, 8])
def test_folds_share_no_group_and_together_are_everything(count):
    images = grouped(np.random.default_rng(6), 300)
    left_out = []
    for index in range(count):
        kept, out = Fold(index=index, count=count).without(images)
        assert not {i.group for i in kept} & {i.group for i in out}
        assert len(kept) + len(out) == 300
        left_out += [i.name for i in out]
        assert ships(out) == pytest.approx(ships(images) / count, rel=0.25)
    assert sorted(map(int, left_out)) == list(range(300))


def test_folds_do_not_depend_on_the_order_of_images():
    images = grouped(np.random.default_rng(7), 100)
    one = {i.name for i in Fold(index=1, count=5).without(images)[1]}
    assert one == {i.name for i in Fold(index=1, count=5).without(images[::-1])[1]}


def test_a_mixture_takes_its_sources_in_their_shares():
    class Named:
        def __init__(self, name):
            self.name = name

        def crop(self, rng):
            return self.name

    mixture = Mixture(sources=[Named("a"), Named("b")], shares=[0.2, 0.8])
    drawn = [mixture.crop(np.random.default_rng(k)) for k in range(2000)]
    assert drawn.count("a") / 2000 == pytest.approx(0.2, abs=0.03)


def test_a_file_that_is_no_image_is_refused_in_one_sentence(tmp_path):
    from models.errors import TrainingError

    (tmp_path / "x.jpg").write_bytes(b"no image")
    for path in (tmp_path / "x.jpg", tmp_path / "y.jpg"):
        with pytest.raises(TrainingError, match=path.name):
            read_empty_chips([path])
