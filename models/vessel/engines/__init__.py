"""What runs the network: the engines there are, which of them this machine has, and why it lacks the others.

`torch` is the reference and the default: its answer does not depend, bit for bit, on how a scene is cut, on the number
of threads or on what else is in a batch. `openvino` gives the same peaks with scores within 1e-3 (tested). bfloat16
keeps 8 bits of every number: it is offered where the CPU computes in it, and never taken unless asked for.

Nothing here loads torch or OpenVINO before an engine is made.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import DetectorError

if TYPE_CHECKING:
    from models.vessel.network import VesselNet

NAMES = ("torch", "torch-bf16", "openvino", "openvino-bf16", "cuda")
DEFAULT = "torch"
FASTEST = "fastest"  # a name that stands for the first of these that is available
_BY_SPEED = ("cuda", "openvino-bf16", "torch-bf16", "openvino", "torch")


class Engine(Protocol):
    """Runs the network."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        ...

    @property
    def halo_px(self) -> int:
        """See `models.vessel.network.VesselNet.halo_px`."""
        ...

    @property
    def step_px(self) -> int:
        """See `models.vessel.network.VesselNet.deepest_stride_px`."""
        ...

    @property
    def batch_size(self) -> int:
        """Inputs of one size that it best gets together."""
        ...

    def maps(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(c, h / 2, w / 2) output for one (k, h, w) input; h and w multiples of `step_px`."""
        ...

    def batch(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, c, h / 2, w / 2) output for n inputs (n, k, h, w) of one size; h and w multiples of `step_px`."""
        ...


class EngineStatus(NamedTuple):
    """Whether an engine can run here.

    Attributes:
        name: one of `NAMES`.
        available: whether `make_engine` would give it.
        why: what it is, or what is missing and how to get it; one clause, no full stop.
    """

    name: str
    available: bool
    why: str


def engine_report() -> list[EngineStatus]:
    """Every engine, in the order of `NAMES`, as this machine has it."""
    return [status(name) for name in NAMES]


def status(name: str) -> EngineStatus:
    """One engine as this machine has it.

    Raises:
        DetectorError: if there is no engine of that name.
    """
    lacking_bf16 = "" if computes_bf16(cpu_features()) else _NO_BF16
    lacking_openvino = "" if find_spec("openvino") is not None else _NO_OPENVINO
    match name:
        case "torch":
            lacking = ""
        case "torch-bf16":
            lacking = lacking_bf16
        case "openvino":
            lacking = lacking_openvino
        case "openvino-bf16":
            lacking = lacking_openvino or lacking_bf16
        case "cuda":
            lacking = _lacking_cuda()
        case _:
            raise DetectorError(f"there is no engine {name!r}; there are {', '.join((*NAMES, FASTEST))}")
    return EngineStatus(name, not lacking, lacking or _WHAT[name])


def engine_of(name: str) -> str:
    """One of `NAMES`: the name itself, or what `FASTEST` stands for on this machine."""
    return next(each for each in _BY_SPEED if status(each).available) if name == FASTEST else name


def make_engine(name: str, net: VesselNet) -> Engine:
    """The network in an engine.

    Args:
        name: one of `NAMES`, or `FASTEST`.
        net: the network; it is copied. CPU engines use as many threads as torch is set to (`torch.set_num_threads`).

    Raises:
        DetectorError: if there is no such engine, or this machine cannot run it; the sentence says why.
    """
    name = engine_of(name)
    found = status(name)
    if not found.available:
        raise DetectorError(f"engine {name} cannot run here: {found.why}; {DEFAULT} always can")
    if name.startswith("openvino"):
        from models.vessel.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(net, bf16=name.endswith("bf16"))
    from models.vessel.engines.torch_engines import CudaEngine, TorchBf16Engine, TorchEngine

    return {"torch": TorchEngine, "torch-bf16": TorchBf16Engine, "cuda": CudaEngine}[name](net)


def cpu_features() -> Mapping[str, bool]:
    """Instruction sets of this CPU that the operating system lets programs use, by LLVM's names."""
    from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]

    return dict(get_host_cpu_features())


def computes_bf16(features: Mapping[str, bool]) -> bool:
    """Whether a CPU multiplies bfloat16 itself, by AMX or AVX512-BF16.

    Others emulate it, 7 to 10 times slower than they compute in float32 (measured).
    """
    return features.get("amx-bf16", False) or features.get("avx512bf16", False)


def _lacking_cuda() -> str:
    """What CUDA lacks, '' where it is there; torch is loaded only if there is a driver."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver"
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds no CUDA device it can use"


_WHAT = {
    "torch": "float32 on the CPU; the reference, the same bits for any tiling and any number of threads",
    "torch-bf16": "this CPU computes in bfloat16; scores differ from the reference's in the second decimal",
    "openvino": "float32 on the CPU; the same peaks, scores within 1e-3 of the reference's",
    "openvino-bf16": "this CPU computes in bfloat16; scores differ from the reference's in the second decimal",
    "cuda": "float32 on the graphics card",
}
_NO_BF16 = "this CPU has neither AMX nor AVX512-BF16, so bfloat16 would be slower than float32"
_NO_OPENVINO = "not installed: pip install 'offing[fast]'"
