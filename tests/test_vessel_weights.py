"""Weights on disk: what is written is what is read, and anything else is refused in one sentence."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from imagery.files import file_sha256
from models.errors import WeightsError
from models.vessel.calibration import Calibration
from models.vessel.detector import load_detector
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig, VesselNet
from models.vessel.weights import SHIPPED, WeightsRecord, as_stored, load_weights, save_record, save_weights

CURVE = InputCurve(kind="sigma0_db", bands=("vv", "vh"), middle=(-17.0, -23.0))
CONFIG = NetworkConfig(inputs=4, widths=(8, 9, 10), blocks=(1, 1, 1))


def net_of(config=CONFIG, seed=0):
    torch.manual_seed(seed)
    net = VesselNet(config)
    for module in net.modules():  # moments as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 3.0)
            module.num_batches_tracked.fill_(4321)
    return net.eval()


def record_of(sha256, config=CONFIG):
    return WeightsRecord(
        name="tiny",
        sha256=sha256,
        network=config,
        curve=CURVE,
        pixel_size_m=(8.0, 22.5),
        threshold=0.375,
        hull_share=0.8,
        symmetric=False,
        shrink=1,
        calibration=Calibration(
            temperature=1.25, curves={"all": ((0.0, 0.3, 1.0), (0.01, 0.5, 0.99))}, length_factor=1.7, n=9
        ),
        detectability=None,
        data=({"name": "made up", "licence": "none", "citation": "none"},),
        scores={"f1": 0.5, "interval": [0.4, 0.6]},
    )


@pytest.fixture
def pair(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_record(record_of(save_weights(net_of(), path)), path)
    return path


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert path.stem in message
    return message


def test_what_is_written_is_read_back(pair):
    net, record = load_weights(pair)
    assert record == record_of(file_sha256(pair))
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    before = net_of().state_dict()
    for name, value in net.state_dict().items():
        expected = before[name].half().float() if before[name].is_floating_point() else before[name]
        assert torch.equal(value, expected), name
        assert value.dtype == before[name].dtype


def test_the_network_read_back_says_what_half_precision_of_its_numbers_says(pair):
    net, _ = load_weights(pair)
    halved = as_stored(net_of())
    x = torch.rand((1, 4, 64, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(net(x), halved.to(memory_format=torch.channels_last)(x))
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in halved.state_dict().items())


def test_writing_what_was_read_gives_the_same_file(pair, tmp_path):
    net, record = load_weights(pair)
    assert save_weights(net, tmp_path / "again.safetensors") == record.sha256


def test_a_record_without_pixel_size_or_calibrated_lengths_survives(pair):
    _, record = load_weights(pair)
    chip = replace(record, pixel_size_m=None, calibration=replace(record.calibration, length_factor=np.nan))
    save_record(chip, pair)
    _, again = load_weights(pair)
    assert again.pixel_size_m is None
    assert np.isnan(again.calibration.length_factor)
    json.loads(pair.with_suffix(".json").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_nothing_is_unpickled(pair, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("pickle was used")

    monkeypatch.setattr(pickle, "load", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(pickle, "Unpickler", never)
    monkeypatch.setattr(torch, "load", never)
    load_weights(pair)


def test_one_changed_byte_is_refused(pair):
    content = bytearray(pair.read_bytes())
    content[-3] ^= 1
    pair.write_bytes(content)
    assert "sha256" in refusal(pair)


def test_half_a_file_is_refused_also_where_its_record_says_so(pair):
    pair.write_bytes(pair.read_bytes()[: pair.stat().st_size // 2])
    assert "sha256" in refusal(pair)
    save_record(record_of(file_sha256(pair)), pair)
    refusal(pair)


@pytest.mark.parametrize("missing", [".safetensors", ".json"])
def test_a_missing_half_of_the_pair_is_named(pair, missing):
    pair.with_suffix(missing).unlink()
    assert f"tiny{missing} does not exist" in refusal(pair)


def test_weights_of_a_network_of_another_shape_are_refused(pair):
    other = replace(CONFIG, widths=(9, 10, 11), blocks=(1, 2, 2))
    save_record(record_of(file_sha256(pair), other), pair)
    refusal(pair)


def test_weights_of_a_network_with_more_blocks_are_refused(pair):
    save_record(record_of(file_sha256(pair), replace(CONFIG, blocks=(1, 2, 1))), pair)
    refusal(pair)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b'{"name": "tiny"}',
        b'{"network": [], "curve": {}, "pixel_size_m": null}',
    ],
)
def test_what_is_not_a_record_is_refused(pair, content):
    pair.with_suffix(".json").write_bytes(content)
    assert "not a record" in refusal(pair)


@pytest.mark.parametrize("field", ["calibration", "network", "curve", "data", "scores", "threshold"])
def test_a_record_without_one_of_its_fields_is_refused(pair, field):
    beside = pair.with_suffix(".json")
    record = json.loads(beside.read_text())
    del record[field]
    beside.write_text(json.dumps(record))
    assert "not a record" in refusal(pair)


@pytest.mark.parametrize("field", ["calibration", "network", "curve"])
def test_a_record_whose_part_is_a_list_is_refused(pair, field):
    beside = pair.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), field: ["?"]}))
    assert "not a record" in refusal(pair)


def test_a_detectors_name_changes_with_its_weights(pair, tmp_path):
    first = load_detector(pair, "sar-iw")
    second = tmp_path / "other.safetensors"
    save_record(record_of(save_weights(net_of(seed=1), second)), second)
    assert first.name != load_detector(second, "sar-iw").name
    assert first.name == load_detector(pair, "sar-chip").name
    assert first.threshold == 0.375


def test_the_shipped_weights_are_small_and_each_is_what_its_record_says(need):
    files = sorted(SHIPPED.glob("*.safetensors"))
    need(bool(files), "weights under models/vessel/weights")
    assert sum(f.stat().st_size for f in files) < 8_000_000
    for file in files:
        net, record = load_weights(file)
        assert record.sha256 == file_sha256(file)
        assert record.name == file.stem
        assert 0 < record.threshold < 1
        assert record.calibration.n > 0
        assert record.scores
        assert all({"name", "licence", "citation"} <= set(d) for d in record.data)
        assert net.config.inputs == record.curve.channels
