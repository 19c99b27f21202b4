"""The vessel network: a small U-Net, fully convolutional and without any global statistic.

Every output depends on the input within `VesselNet.halo_px` of it and on nothing else (batch normalisation uses stored
moments, no squeeze-and-excitation, no group or instance normalisation), so a scene cut into tiles with that halo gives
the same numbers as the scene in one piece.

Source of the shape: CenterNet (Zhou et al. 2019, arXiv:1904.07850), objects as points, with the encoder's residual
blocks of He et al. 2016 (CVPR) and the top-down path of Lin et al. 2017 (CVPR).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDE_PX = 2  # of the output; strict 3x3 peaks then keep 99.95 % of xView3's objects apart (stride 4: 97.7 %)
CLASSES = ("vessel", "fixed_structure", "ghost")
# Output channels in order. Lengths are natural logarithms of pixels; the axis is a vector whose direction is twice the
# angle and whose length, at most 1, says how sure it is; the direction points to the bow.
CHANNELS = {"heat": 1, "offset": 2, "log_length": 1, "log_length_var": 1, "log_width": 1, "axis": 2, "direction": 2}
CHANNELS |= {"kind": len(CLASSES)}
# Of each cell: is it part of a hull, is it land. Nothing is read from them: they teach what a centre alone does not,
# where a hull ends and what lies around it.
CHANNELS |= {"hull": 1, "land": 1}
CHANNEL_SLICES = {
    name: slice(end - size, end)
    for (name, size), end in zip(CHANNELS.items(), accumulate(CHANNELS.values()), strict=True)
}
_STEM = 16  # channels where most of the time goes
_HEAD = 64
_RARE = -4.6  # bias of the heat: one cell in a hundred, so that training starts calm (Lin et al. 2017, RetinaNet)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What the network is made of.

    Attributes:
        inputs: input channels, see `models.vessel.inputs`.
        widths: channels of each stage, at strides 4, 8, 16 and so on of its own pixels.
        blocks: residual blocks of each, one at least.
        pixel_px: side of its own pixels: it first takes the mean of so many by so many. 2 where ships are so many
            pixels long that what is around them is seen better from farther away.
    """

    inputs: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    pixel_px: int = 1

    def __post_init__(self) -> None:
        """Refuse stages that cannot be."""
        if len(self.widths) != len(self.blocks) or min(self.blocks, default=0) < 1:
            raise ValueError(f"each stage needs a block at least, not widths {self.widths}, blocks {self.blocks}")


class VesselNet(nn.Module):
    """(n, inputs, h, w) float to (n, sum of `CHANNELS`, h / 2, w / 2) float; h, w multiples of `deepest_stride_px`."""

    def __init__(self, config: NetworkConfig) -> None:
        """Build it with random weights, from torch's own generator."""
        super().__init__()
        self.config = config
        widths = config.widths
        self.pixels = nn.AvgPool2d(config.pixel_px)
        self.stem = _conv(config.inputs, _STEM, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(_Residual(before, width, stride=2), *(_Residual(width, width) for _ in range(blocks - 1)))
            for before, width, blocks in zip((_STEM, *widths), widths, config.blocks, strict=False)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairwise(widths))
        self.merges = nn.ModuleList(_conv(a, a) for a in widths[:-1])
        # The cells of stride 2 in one of the first stage (Shi et al. 2016, CVPR).
        finer = 2 * config.pixel_px
        last = nn.Conv2d(_HEAD, finer**2 * sum(CHANNELS.values()), 1)
        self.head = nn.Sequential(_conv(widths[0], _HEAD), last, nn.PixelShuffle(finer))
        assert last.bias is not None
        nn.init.constant_(last.bias[: finer**2], _RARE)

    def forward(self, x: Tensor) -> Tensor:
        """All channels, see `CHANNELS`."""
        x = self.stem(self.pixels(x))
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        for lateral, merge, skip in zip(
            reversed(self.laterals), reversed(self.merges), reversed(skips[:-1]), strict=True
        ):
            x = merge(skip + interpolate(lateral(x), scale_factor=2.0, mode="nearest"))
        maps: Tensor = self.head(x)
        return maps

    @property
    def deepest_stride_px(self) -> int:
        """Windows start and end on multiples of this."""
        return self._stem_px << len(self.config.widths)

    @property
    def _stem_px(self) -> int:
        """Stride of the stem."""
        return 2 * self.config.pixel_px

    @property
    def halo_px(self) -> int:
        """How far an output looks into the input, rounded up to whole windows of the deepest stride."""
        stem, own = self._stem_px, self.config.pixel_px
        reach = own  # the stem
        for stage, blocks in enumerate(self.config.blocks):
            before, step = stem << stage, 2 * stem << stage
            reach += before + step * (2 * blocks - 1)  # a stage's first convolution works at the stride before it
        reach += sum(2 * stem << stage for stage in range(len(self.merges)))
        reach += 2 * stem  # the head
        # Nearest neighbour: a deepest cell serves all that it covers, its cells of stride 2 the more so.
        reach += self.deepest_stride_px - STRIDE_PX
        return -(-reach // self.deepest_stride_px) * self.deepest_stride_px


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride=stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
