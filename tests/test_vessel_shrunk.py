"""Shrunk images: what the network sees in them comes back in the image's own pixels, for chips as for tiled scenes."""

import numpy as np
import pytest
import torch

from models.vessel.chip import find_peaks
from models.vessel.decode import LEAST_LOGIT, merge, peaks
from models.vessel.engines import make_engine
from models.vessel.network import STRIDE_PX
from models.vessel.scene import scene_peaks
from models.vessel.shrunk import ShrunkEngine, through_shrunk
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


def enlarged(values, shrink):
    return np.repeat(np.repeat(values, shrink, axis=-2), shrink, axis=-1)


@pytest.mark.parametrize("shrink", [2, 3])
def test_objects_of_an_enlarged_image_come_back_enlarged(shrink):
    rng = np.random.default_rng(0)
    small = np.zeros((2, 48, 64), np.float32)
    cells = [(3, 4), (10, 20), (20, 28), (20, 8)]
    for row, col in cells:
        small[0, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2] = rng.uniform(0.6, 0.9)
        small[1, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2] = 0.2
    engine = PlainEngine()
    whole = slice(0, 24 * shrink), slice(0, 32 * shrink)
    maps = through_shrunk(engine.maps, enlarged(small, shrink), shrink)
    found = peaks(maps, whole, least_logit=0.0)
    direct = peaks(engine.maps(small), (slice(0, 24), slice(0, 32)), least_logit=0.0)
    assert len(found) == len(direct) == len(cells)
    np.testing.assert_allclose(found.row, shrink * direct.row + (shrink - 1) / 2, atol=1e-5)
    np.testing.assert_allclose(found.col, shrink * direct.col + (shrink - 1) / 2, atol=1e-5)
    np.testing.assert_allclose(found.length_px, shrink * direct.length_px, rtol=1e-5)
    np.testing.assert_allclose(found.width_px, shrink * direct.width_px, rtol=1e-5)
    np.testing.assert_array_equal(found.logit, direct.logit)


def test_a_real_network_finds_in_shrunk_pixels_what_it_finds_in_their_means():
    net = talkative_net()
    values = sar_sea((192, 256)).astype(np.float32)
    means = values.reshape(2, 96, 2, 128, 2).mean(axis=(2, 4))
    inputs = SAR.network_input(dict(zip(SAR.bands, values, strict=True)))

    def ask(seen):
        with torch.inference_mode():
            return net(torch.from_numpy(seen)[None])[0].numpy()

    whole = slice(0, 96), slice(0, 128)
    found = peaks(through_shrunk(ask, inputs, 2), whole, least_logit=LEAST_LOGIT)
    seen = inputs.reshape(4, 96, 2, 128, 2).mean(axis=(2, 4))
    direct = peaks(ask(seen), (slice(0, 48), slice(0, 64)), least_logit=LEAST_LOGIT)
    assert len(direct) > 20
    np.testing.assert_array_equal(found.logit, direct.logit)
    np.testing.assert_allclose(found.row, 2 * direct.row + 0.5, atol=1e-4)
    assert means.shape == (2, 96, 128)


def test_one_time_smaller_is_the_image_itself():
    inputs = np.random.default_rng(1).random((2, 32, 32)).astype(np.float32)
    engine = PlainEngine()
    np.testing.assert_array_equal(through_shrunk(engine.maps, inputs, 1), engine.maps(inputs))


def test_a_scene_has_the_same_peaks_however_it_is_cut():
    engine = ShrunkEngine(make_engine("torch", talkative_net()), 2)
    assert engine.step_px == 32
    scene = sar_scene(sar_sea((333, 410), missing=0.01))
    options = {"hull_share": 0.8, "least_logit": LEAST_LOGIT}
    whole = scene_peaks(scene, engine, SAR, AllSea((333, 410)), tile_px=512, **options)
    assert len(whole) > 50
    for tile_px, origin in ((64, (0, 0)), (96, (32, 64)), (256, (0, 96))):
        cut = scene_peaks(scene, engine, SAR, AllSea((333, 410)), tile_px=tile_px, tile_origin=origin, **options)
        assert same(cut, whole)


def test_a_scene_of_plain_answers_gives_its_objects_where_they_are():
    scene = plain_scene((128, 160), [])
    data = scene.read().data.copy()
    for row, col in ((8, 12), (40, 60)):
        data[0, 2 * row : 2 * row + 4, 2 * col : 2 * col + 4] = 0.8
        data[1, 2 * row : 2 * row + 4, 2 * col : 2 * col + 4] = np.log(10.0) / 10.0
    bands = dict(zip(HEAT_AND_LENGTH.bands, data, strict=True))
    inputs = HEAT_AND_LENGTH.network_input(bands)
    maps = through_shrunk(PlainEngine().maps, inputs, 2)
    found = merge(peaks(maps, (slice(0, 64), slice(0, 80)), least_logit=0.0), 0.8)
    np.testing.assert_allclose(found.row, [2 * 8 + 1.5, 2 * 40 + 1.5], atol=1e-5)
    np.testing.assert_allclose(found.length_px, 20.0, rtol=1e-4)
    assert STRIDE_PX == 2


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_chip_of_any_size_is_padded_to_whole_windows(symmetric):
    values = sar_sea((77, 131)).astype(np.float32)
    bands = dict(zip(SAR.bands, values, strict=True))
    found = find_peaks(talkative_net(), SAR, bands, hull_share=0.8, symmetric=symmetric, shrink=2, least_logit=-50.0)
    assert len(found)
    assert (found.cell_row >= 0).all()
    assert (found.cell_row < 39).all()
    assert (found.cell_col < 66).all()
