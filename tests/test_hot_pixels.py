from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from imagery.geometry import Grid, pixel_size_m
from models.cfar import ALARM, GROW
from models.hot_pixels import HotPixels, HullRules
from models.hot_pixels import blobs as blobs_by

RULES = HullRules(min_pixels=1, max_breadth_m=1e9, hull_share=0.02, part=False)


def blobs(hot, grid, **rules):
    return blobs_by(hot, grid, replace(RULES, **rules))


# an equidistant grid in the middle of its projection: true metres, axes along north and east
AEQD = CRS.from_proj4("+proj=aeqd +lat_0=37 +lon_0=125 +datum=WGS84").to_wkt()
GRID = Grid(crs_wkt=AEQD, transform=Affine(10, 0, -2000, 0, -10, 2000), shape_hw=(400, 400))


def painted(mask, level=ALARM, ratio=10.0):
    row, col = np.nonzero(mask)
    return HotPixels(row=row, col=col, level=np.full(len(row), level, np.uint8), ratio=np.full(len(row), ratio))


def rectangle(heading_deg, length_m, width_m, grid=GRID, centre=(200.0, 200.0)):
    """Pixels whose centre lies in a rectangle given in ground metres."""
    size = pixel_size_m(grid)
    rows, cols = np.mgrid[0 : grid.shape_hw[0], 0 : grid.shape_hw[1]]
    north, east = -(rows - centre[0]) * size[0], (cols - centre[1]) * size[1]
    h = np.radians(heading_deg)
    along, across = north * np.cos(h) + east * np.sin(h), east * np.cos(h) - north * np.sin(h)
    return (np.abs(along) <= length_m / 2) & (np.abs(across) <= width_m / 2)


@pytest.mark.parametrize("heading", [0, 30, 45, 90, 120, 179])
def test_a_painted_hull_is_measured(heading):
    found = blobs(painted(rectangle(heading, 300, 60)), GRID)
    assert len(found) == 1
    assert found.row[0] == pytest.approx(200, abs=0.2)
    assert found.col[0] == pytest.approx(200, abs=0.2)
    assert found.extent_m[0] == pytest.approx(300, abs=15)
    assert found.breadth_m[0] == pytest.approx(60, abs=15)
    assert abs((found.axis_deg[0] - heading + 90) % 180 - 90) < 2.0  # the painted edge is a staircase of 10 m
    assert found.axis_sigma_deg[0] < 2.0


def test_web_mercator_lengths_are_true_metres():
    grid = Grid.from_crs("EPSG:3857", Affine(10, 0, 340000, 0, -10, 4410000), (400, 400))  # 36.8 N
    found = blobs(painted(rectangle(20, 300, 40, grid)), grid)
    assert found.extent_m[0] == pytest.approx(300, abs=12)  # in pixels of 10 m it would read 375


def test_a_single_pixel_has_no_axis():
    mask = np.zeros(GRID.shape_hw, bool)
    mask[7, 9] = True
    found = blobs(painted(mask), GRID)
    assert (found.row[0], found.col[0]) == (7, 9)
    assert found.extent_m[0] == pytest.approx(10, rel=0.01)
    assert found.axis_sigma_deg[0] == 90


def test_growth_needs_an_alarm():
    mask = np.zeros(GRID.shape_hw, bool)
    mask[10:13, 10:13] = True
    assert len(blobs(painted(mask, GROW), GRID)) == 0
    seed = np.zeros_like(mask)
    seed[11, 11] = True
    both = HotPixels.concatenate([painted(mask & ~seed, GROW), painted(seed)])
    found = blobs(both, GRID)
    assert found.pixels.tolist() == [9]


def test_one_dark_pixel_does_not_split_a_hull_but_two_do():
    mask = np.zeros(GRID.shape_hw, bool)
    mask[5, [5, 7]] = True
    assert len(blobs(painted(mask), GRID)) == 1
    mask[:] = False
    mask[5, [5, 8]] = True
    assert len(blobs(painted(mask), GRID)) == 2


def test_order_of_parts_does_not_matter():
    rng = np.random.default_rng(0)
    mask = rng.random(GRID.shape_hw) > 0.97
    hot = painted(mask)
    order = rng.permutation(len(hot))
    cut = np.array_split(order, 7)
    parts = [HotPixels(row=hot.row[i], col=hot.col[i], level=hot.level[i], ratio=hot.ratio[i]) for i in cut]
    a, b = blobs(hot, GRID), blobs(HotPixels.concatenate(parts), GRID)
    for name in ("row", "col", "extent_m", "axis_deg", "pixels"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_groups_are_those_of_scikit_image():
    from skimage.measure import label
    from skimage.morphology import dilation, footprint_rectangle

    mask = np.random.default_rng(1).random(GRID.shape_hw) > 0.98
    # oracle: linking pixels within 2 px (Chebyshev) = 8-connected components after a 3 x 3 dilation... of the gaps:
    # two pixels within 2 px have touching or overlapping 3 x 3 neighbourhoods only up to distance 3, so use 2 x 2
    grown = dilation(mask, footprint_rectangle((2, 2)))
    labels = label(grown, connectivity=2)
    expected = len(np.unique(labels[mask]))
    assert len(blobs(painted(mask), GRID)) == expected


def test_nothing_is_nothing():
    assert len(blobs(HotPixels.concatenate([]), GRID)) == 0


def test_two_ships_in_one_plume_part_and_one_ship_of_bright_points_does_not():
    plume = np.zeros(GRID.shape_hw, bool)
    plume[50:60, 50:90] = True
    ships = np.zeros_like(plume)
    ships[54:56, 55:62] = ships[54:56, 75:82] = True
    hot = HotPixels.concatenate([painted(plume & ~ships, GROW, ratio=1.0), painted(ships, ratio=20.0)])
    assert len(blobs(hot, GRID, hull_share=0.15, part=True)) == 2
    assert len(blobs(hot, GRID, hull_share=0.15, part=False)) == 1
    assert blobs(hot, GRID, hull_share=0.01).extent_m[0] == pytest.approx(400, abs=15)
