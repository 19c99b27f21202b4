"""Crops and images of simulated sea: labels, masks, strata, and how crowded they are."""

import numpy as np
import pytest

from imagery.simulate.sar_chips import KINDS, vessel_chip
from models.train.simulated import SHIPS_PER_1000_KM2, WATERS, SimulatedSea, hulls_of, sea_stratum, watched_waters

SEEDS = range(70, 100)


@pytest.fixture(scope="module")
def waters():
    return watched_waters(SEEDS, 96)


def test_every_kind_of_chip_has_its_share_of_the_waters():
    assert set(WATERS) == set(KINDS)
    assert sum(WATERS.values()) == pytest.approx(1.0)


def test_every_third_image_lacks_vh_and_no_other(waters):
    lacking = [bool(np.isnan(image.values[1]).all()) for image in waters[0]]
    assert lacking == [k % 3 == 2 for k in range(len(SEEDS))]
    assert all(np.isfinite(image.values[0]).any() for image in waters[0])


def test_strata_are_named_by_land_and_by_what_bands_there_are(waters):
    for image in waters[0]:
        place = "offshore" if image.sea.all() else "shore"
        assert sea_stratum(image) == (f"{place} vv" if np.isnan(image.values[1]).all() else place)


def test_the_weight_brings_the_images_ships_to_the_density_of_watched_waters(waters):
    images, weight = waters
    ships = sum(not image.is_ignored(k) for image in images for k in range(len(image.outlines)))
    km2 = 0.0
    for seed, image in zip(SEEDS, images, strict=True):
        kind = str(np.random.default_rng(seed).choice(list(WATERS), p=list(WATERS.values())))
        pixel_m = vessel_chip(seed, shape_hw=(96, 96), kind=kind).pixel_size_m
        km2 += image.sea.sum() * pixel_m**2 / 1e6
    assert weight * ships / km2 * 1000.0 == pytest.approx(SHIPS_PER_1000_KM2)
    assert 0.0 < weight < 1.0


def test_the_same_seeds_give_the_same_images(waters):
    again, weight = watched_waters(SEEDS, 96)
    assert weight == waters[1]
    for one, other in zip(waters[0], again, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_hulls_are_masked_where_their_rectangles_lie_and_unknown_where_nobody_could_see_them():
    source = SimulatedSea(side_px=128)
    known = unknown = 0
    for seed in range(12):
        crop = source.crop(np.random.default_rng(seed))
        vessel = crop.hulls.take(crop.hulls.kind == 0)
        rows, cols = np.indices((128, 128))
        expected = np.zeros((128, 128), bool)
        for row, col, length, width, axis in zip(
            vessel.row, vessel.col, vessel.length_px, vessel.width_px, np.radians(vessel.axis_deg), strict=True
        ):
            along = (cols - col) * np.sin(axis) - (rows - row) * np.cos(axis)
            across = (cols - col) * np.cos(axis) + (rows - row) * np.sin(axis)
            expected |= (np.abs(along) < max(length, 1) / 2) & (np.abs(across) < max(width, 1) / 2)
        assert (expected != (crop.hull_mask != 0)).mean() < 2e-3  # pixels on an edge may fall to either side
        known += int((crop.hull_mask == 1).sum())
        unknown += int(np.isnan(crop.hull_mask).sum())
    assert known > 30
    assert unknown > 0


def test_labels_are_those_of_the_chip():
    chip = vessel_chip(11, shape_hw=(128, 128), pixel_size_m=20.0)
    hulls = hulls_of(chip)
    np.testing.assert_allclose(hulls.length_px * 20.0, chip.ships.length_m)
    assert len(hulls) == len(chip.ships)
