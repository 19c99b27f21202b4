"""Crops of labelled images with ships pasted in: every label lies on bright pixels, and every bright ship has one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from skimage.draw import polygon2mask

from models.train.images import LabelledImage
from models.train.light import relit_chip, relit_reflectance, relit_sigma0
from models.train.sampler import ImageSource
from tests.test_vessel_hulls import corners_of

SHAPE = (128, 160)
SEA, LAND, SHIP = 20.0, 80.0, 250.0
BRIGHT = 110.0  # a ship pasted at its faintest is brighter, land at its brightest is not


def painted(seed, *, coast=True, n_ships=3):
    """An image of flat sea with bright ships, its right part land."""
    rng = np.random.default_rng(seed)
    values = np.full((1, *SHAPE), SEA, np.float32)
    sea = np.ones(SHAPE, bool)
    if coast:
        sea[:, 110:] = False
        values[0][~sea] = LAND
    outlines, taken = [], np.zeros(SHAPE, bool)
    while len(outlines) < n_ships:
        outline = corners_of(
            rng.uniform(20, 108), rng.uniform(20, 90), rng.uniform(12, 30), rng.uniform(4, 8), rng.uniform(0, 180)
        )
        mask = polygon2mask(SHAPE, outline[:, ::-1])
        if not (taken & mask).any():
            values[0][mask] = SHIP
            outlines.append(outline)
            taken |= binary_dilation(mask, iterations=9)
    return LabelledImage(name=str(seed), values=values, outlines=tuple(outlines), sea=sea, group=str(seed))


def unchanged(values, rng):
    return values


def source_of(**more):
    return ImageSource(images=[painted(s, coast=s % 2 == 0) for s in range(4)], relight=unchanged, side_px=64, **more)


def mask_of(outline):
    return polygon2mask(SHAPE, outline[:, ::-1])


@pytest.mark.parametrize("quarter_turns", [True, False])
def test_the_outline_of_a_pasted_ship_lies_on_its_bright_pixels(quarter_turns):
    source = source_of(quarter_turns=quarter_turns)
    pasted = 0
    for seed in range(60):
        before = source.images[seed % 4]
        image = source._with_pasted(before, np.random.default_rng(seed))
        assert image.outlines[: len(before.outlines)] == before.outlines
        bright = image.values[0] > BRIGHT
        labelled = np.zeros(SHAPE, bool)
        for outline in image.outlines:
            mask = mask_of(outline)
            assert bright[mask].mean() > 0.9
            labelled |= mask
        assert not (bright & ~binary_dilation(labelled, np.ones((3, 3)), iterations=1)).any()
        pasted += len(image.outlines) - len(before.outlines)
    assert pasted > 60


def test_a_pasted_ship_lies_neither_on_land_nor_on_another_ship():
    source = source_of()
    near_land = 0
    for seed in range(80):
        before = source.images[2 * (seed % 2)]
        image = source._with_pasted(before, np.random.default_rng(seed))
        masks = [mask_of(o) for o in image.outlines]
        for i in range(len(before.outlines), len(masks)):
            others = np.any(masks[:i], axis=0)
            # a twenty-fifth of its pixels and of a rim of one pixel may touch: ships lie alongside each other and quays
            room = 0.04 * binary_dilation(masks[i], np.ones((3, 3))).sum()
            assert (masks[i] & (others | ~image.sea)).sum() <= room
            near_land += (binary_dilation(masks[i], iterations=12) & ~image.sea).any()
    assert near_land > 20


def test_pasting_leaves_the_image_that_it_was_given_alone():
    source = source_of()
    before = [i.values.copy() for i in source.images]
    for seed in range(10):
        source._with_pasted(source.images[0], np.random.default_rng(seed))
    for image, values in zip(source.images, before, strict=True):
        np.testing.assert_array_equal(image.values, values)


def test_pasting_beside_pixels_without_data_loses_no_others():
    source = source_of()
    holed = source.images[1].values.copy()
    holed[0, ::7, ::9] = np.nan
    holed[0, :, :30] = np.nan
    image = replace(source.images[1], values=holed)
    pasted = 0
    for seed in range(30):
        found = source._with_pasted(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.isnan(found.values), np.isnan(holed))
        pasted += len(found.outlines) - len(image.outlines)
    assert pasted > 5


def test_ships_without_a_pixel_of_their_own_are_not_pasted():
    thin = np.array([[20.2, 30.2], [40.2, 30.2], [40.2, 30.8], [20.2, 30.8]])  # between two rows of pixel centres
    image = replace(painted(1, coast=False, n_ships=0), outlines=(thin,))
    source = ImageSource(images=[image], relight=unchanged, side_px=64)
    for seed in range(10):
        found = source._with_pasted(image, np.random.default_rng(seed)) if source._bank else image
        assert len(found.outlines) == 1


def test_ships_at_the_images_edge_are_not_pasted_elsewhere():
    cut = np.array([[0.0, 30.0], [20.0, 30.0], [20.0, 36.0], [0.0, 36.0]])
    image = replace(painted(1, coast=False, n_ships=0), outlines=(cut,))
    assert not ImageSource(images=[image], relight=unchanged)._bank


def test_a_crop_is_made_of_its_random_numbers_alone():
    first, second = source_of(), source_of()
    for seed in range(15):
        one = first.crop(np.random.default_rng(seed))
        first.crop(np.random.default_rng(999))  # what was drawn before does not matter
        other = second.crop(np.random.default_rng(seed))
        np.testing.assert_array_equal(one.values, other.values)
        for name in ("row", "col", "length_px", "axis_deg", "ignored"):
            np.testing.assert_array_equal(getattr(one.hulls, name), getattr(other.hulls, name))
    assert not np.array_equal(first.crop(np.random.default_rng(0)).values, first.crop(np.random.default_rng(1)).values)


def test_labels_of_crops_lie_on_ships():
    source = source_of(paste_share=0.7)
    on, n = 0, 0
    for seed in range(120):
        crop = source.crop(np.random.default_rng(seed))
        assert crop.values.shape == (1, 64, 64)
        hulls = crop.hulls.take(~crop.hulls.ignored)
        rows, cols = np.round(hulls.row).astype(int), np.round(hulls.col).astype(int)
        keep = (rows >= 1) & (rows < 63) & (cols >= 1) & (cols < 63)
        on += (np.nan_to_num(crop.values[0])[rows[keep], cols[keep]] > BRIGHT).sum()
        n += keep.sum()
    assert n > 100
    assert on / n > 0.97  # a sliver's centre may fall on its soft edge


def test_most_crops_show_an_object_and_hard_places_are_shown():
    empty = replace(painted(1, coast=False, n_ships=0), name="empty")
    source = ImageSource(
        images=[painted(3, coast=False), empty],
        relight=unchanged,
        side_px=64,
        scale=(1.0, 1.0),
        paste_share=0.0,
        object_share=1.0,
    )
    shows = [bool(len(source.crop(np.random.default_rng(s)).hulls)) for s in range(200)]
    assert 0.4 < np.mean(shows) < 0.65  # half of the images have ships, each crop of those shows one
    marked = empty.values.copy()
    marked[0, 60:64, 70:74] = 99.0
    hard = ImageSource(
        images=[painted(3, coast=False), replace(empty, values=marked)],
        relight=unchanged,
        side_px=64,
        scale=(1.0, 1.0),
        paste_share=0.0,
        hard_xy=((1, 72.0, 62.0),),
        hard_share=1.0,
    )
    for seed in range(30):
        values = hard.crop(np.random.default_rng(seed)).values
        assert (np.abs(values - 99.0) < 1).any()


def test_images_with_land_come_as_often_as_asked():
    wet, dry = painted(1, coast=False, n_ships=0), painted(2, coast=True, n_ships=0)
    source = ImageSource(
        images=[wet, dry], relight=unchanged, side_px=128, scale=(1.0, 1.0), paste_share=0.0, land_factor=3.0
    )
    coastal = [np.nanmax(source.crop(np.random.default_rng(s)).values) > 50 for s in range(200)]
    assert np.mean(coastal) == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize(("relit", "top"), [(relit_chip, 255.0), (relit_sigma0, np.inf), (relit_reflectance, np.inf)])
def test_new_light_keeps_shape_type_and_missing_pixels(relit, top):
    values = np.random.default_rng(0).uniform(0.01, 0.9, (2, 20, 24)).astype(np.float32)
    values *= 255 if top == 255 else 1
    values[0, 3, 4] = values[1, 5, 6] = np.nan
    missing, before = np.isnan(values), values.copy()
    for seed in range(40):
        found = relit(values, np.random.default_rng(seed))
        assert found.dtype == np.float32
        assert found.shape == values.shape
        np.testing.assert_array_equal(np.isnan(found), missing)
        assert np.nanmax(found) <= top
        np.testing.assert_array_equal(relit(values, np.random.default_rng(seed)), found)
    np.testing.assert_array_equal(values, before)


def test_radar_gains_stay_within_two_decibels_in_the_mean():
    values = np.full((2, 64, 64), 0.05, np.float32)
    gains = [10 * np.log10(relit_sigma0(values, np.random.default_rng(s)).mean(axis=(1, 2)) / 0.05) for s in range(60)]
    assert np.min(gains) > -2.2
    assert np.max(gains) < 2.7  # noise of up to -25 dB comes on top
