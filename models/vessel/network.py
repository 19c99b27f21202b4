"""The vessel network: a small U-Net, fully convolutional and without any global statistic.

Every output depends on the input within `VesselNet.halo_px` of it and on nothing else (batch normalisation uses stored
moments, no squeeze-and-excitation, no group or instance normalisation), so a scene cut into tiles with that halo gives
the same numbers as the scene in one piece.

Source of the shape: CenterNet (Zhou et al. 2019, arXiv:1904.07850), objects as points, with the encoder's residual
blocks of He et al. 2016 (CVPR) and the top-down path of Lin et al. 2017 (CVPR).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDE_PX = 2  # of the output; strict 3x3 peaks then keep 99.95 % of xView3's objects apart (stride 4: 97.7 %)
CLASSES = ("vessel", "fixed_structure", "ghost")
# Output channels in order. Lengths are natural logarithms of pixels; the axis is a vector whose direction is twice the
# angle and whose length, at most 1, says how sure it is; the direction points to the bow.
CHANNELS = {"heat": 1, "offset": 2, "log_length": 1, "log_length_var": 1, "log_width": 1, "axis": 2, "direction": 2}
CHANNELS |= {"kind": len(CLASSES)}
_RARE = -4.6  # bias of the heat: one cell in a hundred, so that training starts calm (Lin et al. 2017, RetinaNet)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What the network is made of.

    Attributes:
        inputs: input channels, see `models.vessel.inputs`.
        widths: channels of each stage, at strides 2, 4, 8 and so on.
        blocks: residual blocks of each; none at the first leaves what the stem gives.
    """

    inputs: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse stages that cannot be."""
        if len(self.widths) != len(self.blocks) or min(self.blocks[1:], default=0) < 1 or min(self.blocks) < 0:
            raise ValueError(f"each stage but the first needs a block, not widths {self.widths}, blocks {self.blocks}")


class VesselNet(nn.Module):
    """(n, inputs, h, w) float to (n, sum of `CHANNELS`, h / 2, w / 2) float; h, w multiples of `deepest_stride_px`."""

    def __init__(self, config: NetworkConfig) -> None:
        """Build it with random weights, from torch's own generator."""
        super().__init__()
        self.config = config
        w2, *_ = widths = config.widths
        self.stem = _conv(config.inputs, w2, stride=2)
        before = (w2, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(_Residual(a if i == 0 else b, b, stride=2 if i == 0 and stage > 0 else 1) for i in range(n))
            )
            for stage, (a, b, n) in enumerate(zip(before, widths, config.blocks, strict=True))
        )
        self.laterals = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairwise(widths))
        self.merges = nn.ModuleList(_conv(a, a) for a in widths[:-1])
        last = nn.Conv2d(32, sum(CHANNELS.values()), 1)
        self.head = nn.Sequential(_conv(w2, 32), last)
        assert last.bias is not None
        nn.init.constant_(last.bias[:1], _RARE)

    def forward(self, x: Tensor) -> Tensor:
        """All channels, see `CHANNELS`."""
        x = self.stem(x)
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
        return STRIDE_PX << (len(self.config.widths) - 1)

    @property
    def halo_px(self) -> int:
        """How far an output looks into the input, rounded up to whole windows of the deepest stride."""
        reach = 1  # the stem
        for stage, blocks in enumerate(self.config.blocks):
            step = STRIDE_PX << stage
            before = max(step // 2, STRIDE_PX)  # a stage's first convolution works at the stride before it
            reach += before + step * (2 * blocks - 1) if blocks else 0
        reach += sum(STRIDE_PX << stage for stage in range(len(self.merges)))
        reach += STRIDE_PX  # the head
        reach += self.deepest_stride_px - STRIDE_PX  # nearest neighbour: a deepest cell serves all that it covers
        return -(-reach // self.deepest_stride_px) * self.deepest_stride_px


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
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
