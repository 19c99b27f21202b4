"""The network in torch: float32 on the CPU, the reference; bfloat16; CUDA."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.vessel.network import VesselNet


class TorchEngine:
    """float32 on the CPU: the reference that other engines are held to.

    Normalisation is folded into the convolutions before it, and every convolution is oneDNN's where torch has it:
    torch alone chooses a kernel by the size of the input and the number of threads, and its kernels round differently.
    """

    name = "torch"
    batch_size = 1  # a piece of a scene keeps all cores busy, and several in one call take no less time

    def __init__(self, net: VesselNet) -> None:
        """The network is copied."""
        self.halo_px, self.step_px = net.halo_px, net.deepest_stride_px
        self._net = self._prepared(net)

    def maps(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(c, h / 2, w / 2) output for one (k, h, w) input; h and w multiples of `step_px`."""
        return np.asarray(self.batch(inputs[np.newaxis])[0])

    def batch(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, c, h / 2, w / 2) output for n inputs (n, k, h, w) of one size; h and w multiples of `step_px`."""
        with torch.inference_mode():
            return np.asarray(self._run(torch.from_numpy(inputs)).numpy())

    def _prepared(self, net: VesselNet) -> nn.Module:
        out = folded(net)
        return _one_kernel(out) if torch.backends.mkldnn.is_available() else out  # type: ignore[no-untyped-call]

    def _run(self, inputs: Tensor) -> Tensor:
        out: Tensor = self._net(inputs.contiguous(memory_format=torch.channels_last))
        return out


class TorchBf16Engine(TorchEngine):
    """bfloat16 on the CPU: for CPUs that compute in it (`models.vessel.engines.computes_bf16`)."""

    name = "torch-bf16"

    def _prepared(self, net: VesselNet) -> nn.Module:
        return folded(net).to(torch.bfloat16)

    def _run(self, inputs: Tensor) -> Tensor:
        out: Tensor = self._net(inputs.to(torch.bfloat16, memory_format=torch.channels_last))
        return out.float()


class CudaEngine(TorchEngine):
    """float32 on a graphics card, without the shortened TensorFloat-32."""

    name = "cuda"
    batch_size = 8

    def _prepared(self, net: VesselNet) -> nn.Module:
        return folded(net).to("cuda")

    def _run(self, inputs: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            out: Tensor = self._net(inputs.to("cuda", memory_format=torch.channels_last))
        return out.cpu()


def folded(net: VesselNet) -> VesselNet:
    """A copy in evaluation mode whose batch normalisations are part of its convolutions."""
    out = copy.deepcopy(net).eval().requires_grad_(False)
    for module in out.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                convolution, norm = module[i], module[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i] = fuse_conv_bn_eval(convolution, norm)
                    module[i + 1] = nn.Identity()
    return out.to(memory_format=torch.channels_last)


class _OneDnnConvolution(nn.Module):
    """A convolution by oneDNN, whatever the sizes."""

    def __init__(self, of: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = of.weight, of.bias
        assert not isinstance(of.padding, str)  # nn.Conv2d also takes words for it
        self._padding, self._stride, self._dilation, self._groups = of.padding, of.stride, of.dilation, of.groups

    def forward(self, x: Tensor) -> Tensor:
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, self._padding, self._stride, self._dilation, self._groups
        )


def _one_kernel(module: nn.Module) -> nn.Module:
    """The module with every convolution within it replaced by `_OneDnnConvolution`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(module, name, _OneDnnConvolution(child))
        else:
            _one_kernel(child)
    return module
