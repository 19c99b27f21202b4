"""The network in OpenVINO: the faster float32 on most CPUs, and bfloat16 where the CPU has it.

OpenVINO reports its use to Google Analytics, when it is imported and with every model that it converts, unless its user
has opted out. Whoever looks for ships did not ask for that: it is imported here without its reporter, the package
``openvino_telemetry``, for whose absence it has a stub.
"""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.vessel.engines.torch_engines import folded
from models.vessel.network import VesselNet


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Within, importing a module that is not loaded yet fails as if it were not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # how the import system marks it
    try:
        yield
    finally:
        sys.modules.pop(module)


with _without("openvino_telemetry"):
    import openvino as ov

_COMPILED = 2  # a row of windows has two shapes, its last one being cut; each compiled model holds its own memory


class OpenVinoEngine:
    """float32 or bfloat16 on the CPU, compiled once for each shape of input; the last shapes are kept."""

    batch_size = 1  # compiled for one number of inputs

    def __init__(self, net: VesselNet, *, bf16: bool = False) -> None:
        """The network is copied; threads are as many as torch is set to use now."""
        self.name = "openvino-bf16" if bf16 else "openvino"
        self.halo_px, self.step_px = net.halo_px, net.deepest_stride_px
        self._net = folded(net)
        self._core = ov.Core()
        self._settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        }
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def maps(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(c, h / 2, w / 2) output for one (k, h, w) input; h and w multiples of `step_px`."""
        return np.asarray(self.batch(inputs[np.newaxis])[0])

    def batch(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, c, h / 2, w / 2) output for n inputs (n, k, h, w) of one size; h and w multiples of `step_px`."""
        request = self._request(inputs.shape)
        request.infer([np.ascontiguousarray(inputs)], share_inputs=True)
        return np.array(request.get_output_tensor(0).data)  # a copy: the tensor is the next call's too

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The compiled model for a shape, ready to be asked."""
        if shape not in self._compiled:
            while len(self._compiled) >= _COMPILED:
                self._compiled.popitem(last=False)
            example = torch.zeros((1, shape[1], 32, 32))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch's, of the tracing that OpenVINO does
                model = ov.convert_model(self._net, example_input=example, input=[ov.PartialShape(list(shape))])
            self._compiled[shape] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        self._compiled.move_to_end(shape)
        return self._compiled[shape]
