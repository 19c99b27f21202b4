"""Small networks and made-up scenes for the tests of the vessel network."""

import numpy as np
import torch
from affine import Affine

from imagery.geometry import Grid
from imagery.surface import Surface
from models.vessel.inputs import InputCurve
from models.vessel.network import CHANNELS, STRIDE_PX, NetworkConfig, VesselNet
from tests.support import scene_of_array

SMALL = NetworkConfig(inputs=4, widths=(8, 12, 16), blocks=(1, 1, 1))
SAR = InputCurve(kind="sigma0_db", bands=("vv", "vh"), middle=(-17.0, -23.0))
HEAT_AND_LENGTH = InputCurve(kind="reflectance", bands=("b04", "b08"), full=1.0)


def talkative_net(config=SMALL, seed=0):
    """A network in evaluation mode with random weights and moments that sees hulls of many lengths everywhere."""
    torch.manual_seed(seed)
    net = VesselNet(config)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.8, 1.6)
                module.bias.normal_(0.0, 0.1)
    net = net.eval().requires_grad_(False)
    last = net.head[1]  # four outputs, one for each cell of stride 2, for every channel
    sea = SAR.network_input(dict(zip(SAR.bands, sar_sea((256, 256)).astype(np.float32), strict=True)))
    said = net(torch.from_numpy(sea)[None])[..., 40:-40, 40:-40]
    wanted_mean = torch.tensor([-5.0, 0.0, 0.0, 2.0, *[0.0] * (sum(CHANNELS.values()) - 4)])
    scale, mean, wanted_mean = (
        each.repeat_interleave(4) for each in (1.0 / said.std(dim=(0, 2, 3)), said.mean(dim=(0, 2, 3)), wanted_mean)
    )
    last.bias.copy_((last.bias - mean) * scale + wanted_mean)
    last.weight.mul_(scale[:, None, None, None])
    return net


def grid(shape_hw):
    return Grid.from_crs("EPSG:32651", Affine(10, 0, 384000, 0, -10, 4198400), shape_hw)


def sar_sea(shape_hw, *, seed=0, ships=(), missing=0.0, bands=("vv", "vh"), strength=100.0):
    """Gamma speckle of 4.4 looks, ships as bright (rows, cols) slices, and a share of pixels without data."""
    rng = np.random.default_rng(seed)
    data = rng.gamma(4.4, 0.01 / 4.4, (len(bands), *shape_hw))
    for rows, cols in ships:
        data[:, rows, cols] *= strength
    data[:, rng.random(shape_hw) < missing] = np.nan
    return data


def sar_scene(data, bands=("vv", "vh"), **more):
    return scene_of_array(grid(np.shape(data)[1:]), data, bands=bands, **more)


class AllSea:
    """A surface that is sea wherever there is data, save on land: a bool (h, w) of the scene."""

    def __init__(self, shape_hw, land=None):
        self.shape_hw, self.land = shape_hw, land

    def classes(self, window, valid):
        out = np.where(valid, Surface.SEA, Surface.NO_DATA).astype(np.uint8)
        if self.land is not None:
            rows = np.arange(window.row, window.row + window.height)
            cols = np.arange(window.col, window.col + window.width)
            around = np.pad(self.land, 1)[
                np.ix_(np.clip(rows, -1, self.shape_hw[0]) + 1, np.clip(cols, -1, self.shape_hw[1]) + 1)
            ]
            out[around] = Surface.LAND
        return out


class PlainEngine:
    """Says of each cell what its first pixel holds: the first band is the heat's logit, 20 x - 10, and the second ln
    length over ten; so a scene's peaks and hulls can be made up."""

    name, halo_px, step_px, batch_size = "plain", 0, 16, 3

    def batch(self, inputs):
        cells = inputs[:, :2, ::STRIDE_PX, ::STRIDE_PX]
        out = np.zeros((len(cells), sum(CHANNELS.values()), *cells.shape[2:]), np.float32)
        out[:, 0] = 20.0 * cells[:, 0] - 10.0
        out[:, 3] = 10.0 * cells[:, 1]
        return out

    def maps(self, inputs):
        return self.batch(inputs[None])[0]


def plain_scene(shape_hw, objects):
    """A scene for `PlainEngine` with objects (cell_row, cell_col, logit, length_px)."""
    data = np.zeros((2, *shape_hw), np.float32)
    for row, col, logit, length_px in objects:
        at = np.s_[STRIDE_PX * row : STRIDE_PX * (row + 1), STRIDE_PX * col : STRIDE_PX * (col + 1)]
        data[0][at] = (logit + 10.0) / 20.0
        data[1][at] = np.log(length_px) / 10.0
    return scene_of_array(grid(shape_hw), data, bands=("b04", "b08"), unit="reflectance")


def same(a, b):
    """Whether two `Peaks` are the same, bit for bit."""
    return len(a) == len(b) and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))
