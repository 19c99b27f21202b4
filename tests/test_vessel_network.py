"""The network: what it is made of, what comes out, and how far it looks."""

import numpy as np
import pytest
import torch
from torch import nn

from models.vessel.network import CHANNELS, STRIDE_PX, NetworkConfig, VesselNet
from tests.vessel_nets import SMALL, talkative_net

CONFIGS = {
    "small": SMALL,
    "iw": NetworkConfig(inputs=4, widths=(32, 64, 96), blocks=(1, 2, 2)),
    "many blocks": NetworkConfig(inputs=2, widths=(6, 8, 8), blocks=(2, 1, 2)),
    "shallow": NetworkConfig(inputs=2, widths=(6, 8), blocks=(1, 2)),
    "coarse": NetworkConfig(inputs=2, widths=(6, 8), blocks=(1, 1), pixel_px=2),
    "coarser": NetworkConfig(inputs=2, widths=(6, 8), blocks=(2, 1), pixel_px=3),
    "deep": NetworkConfig(inputs=2, widths=(3, 4, 5, 6), blocks=(1, 1, 1, 1)),
}


def all_positive(config):
    """The network with positive weights and no normalisation: every path from input to output counts."""
    net = VesselNet(config).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0.01, 0.02)
    return net


def measured_reach_px(config):
    """How far the farthest input lies that any channel of an output depends on, over all places in a deepest cell."""
    net = all_positive(config)
    step = net.deepest_stride_px
    side = 2 * net.halo_px + 2 * step
    reach, first, each = 0, side // 2 // step * step // STRIDE_PX, step // STRIDE_PX
    for cell in (first, first + each // 2 - 1, first + each - 1):
        image = torch.ones(1, config.inputs, side, side, requires_grad=True)
        net(image)[0, :, cell, cell].sum().backward()
        for axis in (2, 3):
            touched = np.flatnonzero(image.grad[0].abs().sum(dim=(0, 4 - axis)))
            reach = max(reach, STRIDE_PX * cell - touched[0], touched[-1] - (STRIDE_PX * cell + 1))
            assert touched[0] > 0, "the image must be larger than the reach"
            assert touched[-1] < side - 1
    return int(reach)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_input_beyond_the_halo_matters_and_the_halo_is_no_wider_than_a_deepest_cell_more(name):
    net = VesselNet(CONFIGS[name])
    reach = measured_reach_px(CONFIGS[name])
    assert reach <= net.halo_px <= reach + net.deepest_stride_px
    assert net.halo_px % net.deepest_stride_px == 0


def test_an_input_beyond_the_halo_changes_no_bit_and_one_within_does():
    net = talkative_net()
    image = torch.rand(1, 4, 256, 256, generator=torch.Generator().manual_seed(1))
    cell = 128 // STRIDE_PX
    before = net(image)[0, :, cell, cell]
    outside, inside = image.clone(), image.clone()
    outside[:, :, : 128 - net.halo_px] = 1.0
    outside[:, :, :, 130 + net.halo_px :] = 0.0
    inside[:, :, 120:124] = 1.0
    assert torch.equal(net(outside)[0, :, cell, cell], before)
    assert not torch.equal(net(inside)[0, :, cell, cell], before)


def test_nothing_in_it_looks_at_more_than_its_neighbourhood():
    kinds = {type(m) for m in VesselNet(SMALL).modules() if not list(m.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.PixelShuffle, nn.AvgPool2d}


def test_all_channels_come_out_at_a_stride_of_two():
    out = talkative_net()(torch.zeros(2, 4, 64, 96))
    assert out.shape == (2, sum(CHANNELS.values()), 32, 48)


def test_the_network_for_whole_scenes_has_about_half_a_million_parameters():
    n = sum(p.numel() for p in VesselNet(CONFIGS["iw"]).parameters())
    assert 450_000 < n < 600_000
