"""Hulls in a scene: the same bits for any tiling, threads and area; peaks and merge against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from imagery.geometry import Window
from models.errors import WeightsError
from models.vessel.decode import (
    FARTHEST_CELLS,
    LEAST_MERGE_PX,
    Peaks,
    longest_reach_px,
    merge,
    merge_part,
    peaks,
)
from models.vessel.engines import make_engine
from models.vessel.network import CHANNELS, STRIDE_PX
from models.vessel.scene import ALONG_WATER_PX, scene_peaks, within
from tests.vessel_nets import (
    HEAT_AND_LENGTH,
    SAR,
    AllSea,
    PlainEngine,
    plain_scene,
    same,
    sar_scene,
    sar_sea,
    talkative_net,
)

SHAPE = (620, 700)  # not whole windows of 16
LEAST, SHARE = -4.6, 0.5


@pytest.fixture(scope="module")
def net():
    return talkative_net()


@pytest.fixture(scope="module")
def scene():
    data = sar_sea(SHAPE, ships=[(slice(r, r + 3), slice(c, c + 9)) for r, c in ((80, 90), (255, 250), (511, 600))])
    data[:, 300:420, 300:460] = np.nan
    data[1, :, 500:] = np.nan  # one band ends
    data[:, np.random.default_rng(1).random(SHAPE) < 0.02] = np.nan
    return sar_scene(data)


@pytest.fixture(scope="module")
def land():
    shore = np.zeros(SHAPE, bool)
    shore[:200, 400:] = True
    return shore


def find(scene, net, surface, **how):
    engine = how.pop("engine", None) or make_engine("torch", net)
    return scene_peaks(scene, engine, SAR, surface, **{"hull_share": SHARE, "least_logit": LEAST} | how)


@pytest.fixture(scope="module")
def whole(scene, net, land):
    return find(scene, net, AllSea(SHAPE, land), tile_px=2048)


# ---------------------------------------------------------------------------------------------- one answer


def test_there_is_something_to_compare(whole):
    assert len(whole) > 100
    assert np.ptp(np.log(whole.length_px)) > 0.5


@pytest.mark.parametrize("how", [(256, (0, 0)), (512, (-80, 48)), (1024, (336, 16))])
def test_tiles_and_their_origin_change_no_bit(scene, net, land, whole, how):
    tile_px, origin = how
    assert same(find(scene, net, AllSea(SHAPE, land), tile_px=tile_px, tile_origin=origin), whole)


def test_the_number_of_threads_changes_no_bit(scene, net, land, whole):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert same(find(scene, net, AllSea(SHAPE, land), tile_px=512), whole)
    finally:
        torch.set_num_threads(before)


def test_the_whole_scene_in_one_piece_through_the_bare_network_agrees(scene, net, land, whole):
    pad = net.halo_px
    down, right = (-n % 16 for n in SHAPE)
    pixels = scene.read()
    inputs = SAR.network_input(dict(zip(("vv", "vh"), pixels.data, strict=True)))
    with torch.inference_mode():
        maps = net(torch.from_numpy(np.pad(inputs, ((0, 0), (pad, pad + down), (pad, pad + right))))[None])[0].numpy()
    skip = pad // STRIDE_PX
    heat = maps[0]
    # a peak is the largest of its 3 x 3 cells (random heat has no ties)
    top = (ndimage.maximum_filter(heat, 3) == heat) & (heat >= LEAST)
    rows, cols = np.nonzero(top[skip : skip + 310, skip : skip + 350])
    water = ~np.isnan(pixels.data).all(axis=0) & ~land
    near = ndimage.binary_dilation(water, np.ones((3, 3)), iterations=ALONG_WATER_PX)[::2, ::2]
    cells = {(r, c) for r, c in zip(rows.tolist(), cols.tolist(), strict=True) if near[r, c]}
    unmerged = find(scene, net, AllSea(SHAPE, land), hull_share=0.0)  # merges within four pixels only
    assert set(zip(unmerged.cell_row.tolist(), unmerged.cell_col.tolist(), strict=True)) <= cells
    expected = heat[whole.cell_row + skip, whole.cell_col + skip]
    np.testing.assert_allclose(whole.logit, expected, atol=1e-4)
    # merging within four pixels, two cells, thins random maps
    assert len(cells) >= len(unmerged) > 0.4 * len(cells)


AREAS = [
    Window(row=250, col=240, height=40, width=50),
    Window(row=0, col=0, height=77, width=91),
    Window(row=-40, col=601, height=333, width=400),
    Window(row=619, col=699, height=1, width=1),
]


@pytest.mark.parametrize("area", AREAS)
def test_an_area_s_answer_is_the_scene_s_cut_to_it(scene, net, land, whole, area):
    inside = (
        (whole.row >= area.row - 0.5)
        & (whole.row < area.row + area.height - 0.5)
        & (whole.col >= area.col - 0.5)
        & (whole.col < area.col + area.width - 0.5)
    )
    assert same(find(scene, net, AllSea(SHAPE, land), region=area, tile_px=256), whole.take(inside))


def test_an_area_off_the_scene_holds_nothing(scene, net):
    assert len(find(scene, net, AllSea(SHAPE), region=Window(row=5000, col=0, height=10, width=10))) == 0


# --------------------------------------------------------------------------------------- made-up objects


def plain(shape_hw, objects, **how):
    surface = how.pop("surface", AllSea(shape_hw))
    how = {"hull_share": 0.5, "least_logit": -4.6} | how
    return scene_peaks(plain_scene(shape_hw, objects), PlainEngine(), HEAT_AND_LENGTH, surface, **how)


def cells(found):
    return list(zip(found.cell_row.tolist(), found.cell_col.tolist(), strict=True))


def test_objects_are_found_where_they_are_in_reading_order():
    objects = [(100, 7, 3.0, 20.0), (3, 90, 2.0, 8.0), (3, 4, -1.0, 12.0)]
    found = plain((320, 320), objects, tile_px=64)
    assert cells(found) == [(3, 4), (3, 90), (100, 7)]
    np.testing.assert_allclose(found.row, np.array([3, 3, 100]) * 2 + 0.5)
    np.testing.assert_allclose(found.length_px, [12.0, 8.0, 20.0], rtol=1e-5)
    np.testing.assert_allclose(found.logit, [-1.0, 2.0, 3.0], atol=1e-5)


def test_a_hull_outside_an_area_takes_a_peak_inside_as_in_the_whole_scene():
    # The long hull lies 200 px above the peak; its axis points up, its inner ellipse is 250 px long.
    objects = [(100, 300, 5.0, 1000.0), (200, 300, 1.0, 4.0), (205, 330, 1.0, 4.0)]
    area = Window(row=396, col=500, height=100, width=300)
    assert cells(plain((1200, 1000), objects)) == [(100, 300), (205, 330)]
    assert cells(plain((1200, 1000), objects, region=area, tile_px=128)) == [(205, 330)]


@pytest.mark.parametrize("links", [4, 5, 6, 7])
def test_a_chain_of_hulls_is_followed_as_far_as_it_decides(links):
    # Each takes the next if it was not taken itself: whether the last, in the area, stays depends on the first.
    objects = [(100 * (k + 1), 20, 9.0 - k, 900.0) for k in range(links)]
    last = objects[-1]
    area = Window(row=2 * last[0] - 4, col=20, height=40, width=40)
    whole = plain((2400, 64), objects)
    assert cells(whole) == [o[:2] for o in objects[::2]]
    steps = []
    found = plain((2400, 64), objects, region=area, tile_px=64, progress=lambda done, _: steps.append(done))
    assert cells(found) == [o[:2] for o in objects[::2] if o is last]
    assert steps.count(1) > 1, "the first search could not tell"


def test_ships_are_sought_on_water_and_five_pixels_beyond():
    land = np.zeros((160, 160), bool)
    land[:, 80:] = True
    objects = [(10, 39, 3.0, 4.0), (20, 42, 3.0, 4.0), (30, 43, 3.0, 4.0), (40, 60, 3.0, 4.0)]
    assert cells(plain((160, 160), objects, surface=AllSea((160, 160), land))) == [(10, 39), (20, 42)]


def test_a_scene_without_data_holds_nothing(net):
    nothing = sar_scene(np.full((2, 64, 80), np.nan))
    found = find(nothing, net, AllSea((64, 80)))
    assert len(found) == 0
    assert found.kind_logit.shape == (0, 3)


def test_a_quiet_scene_holds_nothing():
    assert len(plain((64, 64), [])) == 0


def test_a_scene_at_its_edges_shows_peaks_in_its_corners():
    objects = [(0, 0, 2.0, 4.0), (0, 34, 2.0, 4.0), (29, 0, 2.0, 4.0), (29, 34, 2.0, 4.0)]
    assert cells(plain((60, 70), objects, tile_px=32)) == [o[:2] for o in objects]


def test_windows_that_do_not_fit_the_network_are_refused(scene, net):
    with pytest.raises(ValueError, match="multiples of 16"):
        find(scene, net, AllSea(SHAPE), tile_px=100)
    with pytest.raises(ValueError, match="multiples of 16"):
        find(scene, net, AllSea(SHAPE), tile_origin=(0, 8))


def test_progress_is_told_window_by_window():
    steps = []
    plain((100, 100), [], tile_px=64, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@given(
    mask=st.integers(1, 12).flatmap(
        lambda w: st.lists(st.lists(st.booleans(), min_size=w, max_size=w), min_size=1, max_size=12)
    ),
    reach=st.integers(1, 6),
)
@settings(max_examples=50, deadline=None)
def test_within_is_a_square_dilation(mask, reach):
    mask = np.array(mask)
    expected = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=reach)
    assert np.array_equal(within(mask, reach), expected)


# ------------------------------------------------------------------------------------------------- peaks


def maps_of(heat):
    maps = np.zeros((sum(CHANNELS.values()), *np.shape(heat)), np.float32)
    maps[0] = heat
    return maps


@given(
    heat=st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
        lambda hw: st.lists(
            st.lists(st.integers(-6, 3), min_size=hw[1], max_size=hw[1]), min_size=hw[0], max_size=hw[0]
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_a_peak_is_above_its_neighbours_or_first_of_equals(heat):
    heat = np.array(heat, float)
    height, width = heat.shape
    expected = []
    for r in range(height):
        for c in range(width):
            around = [
                (i, j)
                for i in range(max(r - 1, 0), min(r + 2, height))
                for j in range(max(c - 1, 0), min(c + 2, width))
                if (i, j) != (r, c)
            ]
            beaten = any(heat[n] > heat[r, c] or (heat[n] == heat[r, c] and n < (r, c)) for n in around)
            if heat[r, c] >= -4.6 and not beaten:
                expected.append((r, c))
    assert cells(peaks(maps_of(heat), (slice(0, height), slice(0, width)))) == expected


def test_a_plateau_is_one_peak_its_first_cell():
    heat = np.full((9, 9), -9.0)
    heat[3:6, 2:7] = 1.5
    assert cells(peaks(maps_of(heat), (slice(0, 9), slice(0, 9)))) == [(3, 2)]


def test_a_plateau_across_two_cores_belongs_to_one():
    heat = np.full((8, 12), -9.0)
    heat[3, 4:8] = 0.0
    left, right = (peaks(maps_of(heat), (slice(0, 8), cols)) for cols in (slice(1, 6), slice(6, 11)))
    assert cells(left) == [(3, 4)]
    assert cells(right) == []


def test_cells_are_counted_from_the_origin():
    heat = np.full((6, 6), -9.0)
    heat[2, 3] = 0.0
    found = peaks(maps_of(heat), (slice(0, 6), slice(0, 6)), origin=(-4, 100))
    assert cells(found) == [(-2, 103)]
    assert (found.row[0], found.col[0]) == (-3.5, 206.5)


def test_a_centre_never_lies_far_from_its_peak():
    maps = maps_of(np.full((3, 3), -9.0))
    maps[0, 1, 1], maps[1, 1, 1], maps[2, 1, 1] = 0.0, 1e6, -1e6
    found = peaks(maps, (slice(0, 3), slice(0, 3)))
    assert (found.row[0], found.col[0]) == ((1 + FARTHEST_CELLS) * 2 + 0.5, (1 - FARTHEST_CELLS) * 2 + 0.5)


def test_a_network_that_says_nan_is_refused():
    heat = np.zeros((4, 4))
    heat[0, 3] = np.nan
    with pytest.raises(WeightsError, match="NaN"):
        peaks(maps_of(heat), (slice(1, 2), slice(1, 2)))


# ------------------------------------------------------------------------------------------------- merge


def some_peaks(rng, n, *, spread_px=40.0, levels=6):
    """Crowded peaks with many equal logits, each in a cell of its own."""
    cell = rng.choice(400, n, replace=False)
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    zero = np.zeros(n)
    width_px, length_px = np.sort(rng.uniform(1.0, 60.0, (2, n)), axis=0)
    return Peaks(
        row=rng.uniform(0.0, spread_px, n),
        col=rng.uniform(0.0, spread_px, n),
        cell_row=cell // 20,
        cell_col=cell % 20,
        logit=rng.integers(0, levels, n).astype(float),
        length_px=length_px,
        width_px=width_px,
        log_length_sigma=zero,
        cos_2axis=np.cos(angle),
        sin_2axis=np.sin(angle),
        cos_heading=zero,
        sin_heading=zero,
        kind_logit=np.zeros((n, 3)),
    )


def brute_merge(found, share):
    """Cells that stay: every pair, in plain Python."""
    order = sorted(range(len(found)), key=lambda i: (-found.logit[i], found.cell_row[i], found.cell_col[i]))
    kept = []
    for j in order:
        for i in kept:
            angle = np.arctan2(found.sin_2axis[i], found.cos_2axis[i]) / 2.0
            down, right = found.row[j] - found.row[i], found.col[j] - found.col[i]
            forward = right * np.sin(angle) - down * np.cos(angle)
            sideways = right * np.cos(angle) + down * np.sin(angle)
            a, b = (max(share * s[i] / 2.0, LEAST_MERGE_PX) for s in (found.length_px, found.width_px))
            if (forward / a) ** 2 + (sideways / b) ** 2 <= 1.0:
                break
        else:
            kept.append(j)
    return sorted((int(found.cell_row[i]), int(found.cell_col[i])) for i in kept)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), share=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_merge_is_the_greedy_one_and_no_order_matters(seed, n, share):
    rng = np.random.default_rng(seed)
    found = some_peaks(rng, n)
    merged = merge(found, share)
    assert cells(merged) == brute_merge(found, share)
    assert same(merge(found.take(rng.permutation(n)), share), merged)


def test_two_peaks_at_exactly_the_reach_are_one():
    found = some_peaks(np.random.default_rng(0), 2)
    on_circle = np.array([[0.0, 0.0], [3.2, 2.4]])  # 4 px apart
    ends = {"row": on_circle[:, 0], "col": on_circle[:, 1], "length_px": np.ones(2), "width_px": np.ones(2)}
    found = Peaks(**{**vars(found), **ends})
    assert len(merge(found, 0.5)) == len(brute_merge(found, 0.5))


@given(seed=st.integers(0, 2**32 - 1), cut=st.floats(5.0, 60.0))
@settings(max_examples=60, deadline=None)
def test_what_a_part_is_sure_of_holds_for_the_whole(seed, cut):
    found = some_peaks(np.random.default_rng(seed), 40, spread_px=80.0)
    share = 0.5
    part = found.take(found.col < cut)
    reach_px = share * 60.0 / 2.0  # the longest hull here
    kept, is_open = merge_part(part, share, part.col >= cut - reach_px)
    whole, here = set(brute_merge(found, share)), set(cells(part))
    assert set(cells(kept.take(~is_open))) <= whole
    assert whole & here <= set(cells(kept))


def test_the_reach_is_what_the_longest_hull_and_the_farthest_centre_make_it():
    assert longest_reach_px(0.5) == pytest.approx(250.0 + 32.0 * np.sqrt(2.0))
    assert longest_reach_px(0.0) == pytest.approx(4.0 + 32.0 * np.sqrt(2.0))
