"""Engines: which there are and why not, the reference bit for bit, the others close to it."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from models.errors import DetectorError
from models.vessel import engines
from models.vessel.engines import FASTEST, NAMES, EngineStatus, computes_bf16, engine_report, make_engine, status
from models.vessel.engines.torch_engines import TorchBf16Engine, folded
from models.vessel.network import STRIDE_PX
from models.vessel.scene import scene_peaks
from tests.conftest import ROOT
from tests.vessel_nets import SAR, AllSea, sar_scene, sar_sea, talkative_net

SAPPHIRE_RAPIDS = {"avx2": True, "avx512f": True, "avx512bf16": True, "amx-bf16": True}
MILAN = {"avx2": True, "avx512f": False, "avx512bf16": False, "amx-bf16": False}


@pytest.fixture(scope="module")
def net():
    return talkative_net()


def image(side, seed=0, n=1):
    return np.random.default_rng(seed).random((n, 4, side, side), np.float32)


# ------------------------------------------------------------------------------------------- which there are


def test_the_reference_is_always_there():
    assert [row.name for row in engine_report()] == list(NAMES)
    assert status("torch").available
    assert all(row.why and not row.why.endswith(".") for row in engine_report())


def test_bfloat16_needs_a_cpu_that_computes_in_it(monkeypatch, net):
    assert computes_bf16(SAPPHIRE_RAPIDS)
    assert computes_bf16({"avx512bf16": True})  # Zen 4
    assert not computes_bf16(MILAN)
    monkeypatch.setattr(engines, "cpu_features", lambda: MILAN)
    with pytest.raises(DetectorError, match=r"^engine torch-bf16 cannot run here: this CPU has neither AMX nor"):
        make_engine("torch-bf16", net)
    monkeypatch.setattr(engines, "cpu_features", lambda: SAPPHIRE_RAPIDS)
    assert make_engine("torch-bf16", net).name == "torch-bf16"


def test_openvino_that_is_not_installed_names_the_extra(monkeypatch, net):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert status("openvino") == EngineStatus("openvino", False, "not installed: pip install 'offing[fast]'")
    with pytest.raises(DetectorError, match=r"openvino cannot run here: not installed: pip install 'offing\[fast\]'"):
        make_engine("openvino", net)


def test_an_engine_that_does_not_exist_is_refused(net):
    with pytest.raises(DetectorError, match="there is no engine 'tpu'; there are torch, "):
        make_engine("tpu", net)


def test_the_fastest_is_the_first_that_is_there(monkeypatch, net):
    monkeypatch.setattr(engines, "status", lambda name: EngineStatus(name, name == "torch", "made up"))
    assert make_engine(FASTEST, net).name == "torch"
    monkeypatch.setattr(engines, "status", lambda name: EngineStatus(name, name in ("torch", "torch-bf16"), "made up"))
    assert make_engine(FASTEST, net).name == "torch-bf16"


def test_a_report_loads_neither_torch_nor_openvino_where_there_is_no_driver(tmp_path):
    code = (
        "import ctypes, json, sys\n"
        "def none(name): raise OSError(name)\n"
        "ctypes.CDLL, before = none, ctypes.CDLL\n"
        "from models.vessel.engines import _lacking_cuda, engine_report\n"
        "cuda = _lacking_cuda()\n"
        "ctypes.CDLL = before\n"
        "import models.vessel.engines as e\n"
        "e._lacking_cuda = lambda: cuda\n"
        "rows = engine_report()\n"
        "print(json.dumps([[list(r) for r in rows], sorted({'torch', 'openvino'} & set(sys.modules))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    rows, loaded = json.loads(done.stdout)
    assert loaded == []
    assert rows[-1] == ["cuda", False, "no NVIDIA driver"]


# ----------------------------------------------------------------------------------------------- the reference


def test_folding_the_normalisation_changes_rounding_only(net):
    x = torch.from_numpy(image(96))
    with torch.inference_mode():
        np.testing.assert_allclose(folded(net)(x).numpy(), net(x).numpy(), atol=1e-4)
        np.testing.assert_allclose(make_engine("torch", net).batch(x.numpy()), net(x).numpy(), atol=1e-4)


def test_no_bit_depends_on_the_window_its_batch_or_the_threads(net):
    # torch left to itself takes another kernel below 20,480 numbers and for 1 x 1 convolutions on one thread.
    engine, halo = make_engine("torch", net), net.halo_px
    whole = image(544)
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(engine.batch(whole))
            for first, side in ((0, 16), (96, 48), (48, 208), (176, 128)):
                cut = np.s_[..., first : first + side + 2 * halo, first : first + side + 2 * halo]
                part = engine.maps(whole[0][cut])
                both = engine.batch(np.concatenate([whole[cut] * 0.5, whole[cut]]))
                inner = np.s_[..., halo // 2 : (halo + side) // 2, halo // 2 : (halo + side) // 2]
                at = (first + halo) // STRIDE_PX
                expected = answers[0][0][:, at : at + side // 2, at : at + side // 2]
                assert np.array_equal(part[inner], expected)
                assert np.array_equal(both[1][inner], expected)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*answers)


# -------------------------------------------------------------------------------------------------- the others


def found_by(engine, scene, **how):
    surface = AllSea(scene.shape_hw)
    return scene_peaks(scene, engine, SAR, surface, hull_share=0.5, least_logit=-4.6, **how)


@pytest.fixture(scope="module")
def scene():
    return sar_scene(sar_sea((400, 500), missing=0.02))


# Where there is no GPU there is nothing to test: what `make_engine` then says is tested above.
OTHERS = ["openvino", *(["cuda"] if status("cuda").available else [])]


@pytest.mark.parametrize("name", OTHERS)
def test_another_engine_sees_the_same_peaks_with_scores_within_a_thousandth(name, net, scene, need):
    need(status(name).available, f"engine {name}: {status(name).why}")
    reference, other = (found_by(make_engine(each, net), scene, tile_px=256) for each in ("torch", name))
    assert len(reference) > 50
    assert np.array_equal(other.cell_row, reference.cell_row)
    assert np.array_equal(other.cell_col, reference.cell_col)
    score, expected = (1.0 / (1.0 + np.exp(-found.logit)) for found in (other, reference))
    assert np.abs(score - expected).max() < 1e-3
    np.testing.assert_allclose(other.length_px, reference.length_px, rtol=1e-3)
    np.testing.assert_allclose(other.row, reference.row, atol=1e-2)


def test_openvino_keeps_its_last_two_shapes_and_its_answers_apart(net, need):
    need(find_spec("openvino") is not None, "the extra fast")
    engine = make_engine("openvino", net)
    first = engine.batch(image(64))
    kept = first.copy()
    for side in (96, 128):
        engine.batch(image(side))
    assert np.array_equal(first, kept)
    assert sorted(shape[-1] for shape in engine._compiled) == [96, 128]
    assert np.array_equal(engine.batch(image(64)), kept)


def test_openvino_reports_its_use_to_nobody(need):
    need(find_spec("openvino") is not None, "the extra fast")
    code = (
        "import sys, torch\n"
        "from models.vessel.engines import make_engine\n"
        "from models.vessel.network import NetworkConfig, VesselNet\n"
        "net = VesselNet(NetworkConfig(inputs=2, widths=(8, 9, 10), blocks=(1, 1, 1)))\n"
        "make_engine('openvino', net).maps(torch.zeros(2, 32, 32).numpy())\n"
        "import openvino.tools.ovc.telemetry_utils as used\n"
        "print(used.tm.__name__, 'openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]


def test_bfloat16_says_nearly_what_the_reference_says(net):
    # emulated where the CPU has none: slow, but the same numbers
    x = image(64)
    reference, coarse = make_engine("torch", net).maps(x[0]), TorchBf16Engine(net).maps(x[0])
    assert coarse.dtype == np.float32
    difference = np.abs(coarse - reference)[0]
    assert 0.0 < difference.max() < 0.3  # logits of spread 1 from numbers of 8 bits
    assert np.median(difference) < 0.05
