import csv
import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.chip_detections import ChipDetections
from models.errors import TrainingError
from models.metrics.coco import read_coco
from models.train.images import Crop
from models.vessel.hulls import Hulls
from tests.conftest import ROOT

SIDE = 64


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script, evaluate_vessel = load_script("compare_fasterrcnn"), load_script("evaluate_vessel")
SETTINGS = script.Settings(steps=2, batch=2, side_px=SIDE)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run_folder(tmp_path):
    """A run's folder, without the half gigabyte of its checkpoint once the test is over."""
    yield tmp_path / "run"
    for checkpoint in tmp_path.rglob("*.pt"):
        checkpoint.unlink()


@pytest.fixture
def data(tmp_path):
    """Constructed: bright rectangles on dark noise, 20 training and 3 validation images, and a tile without ships."""
    folder = tmp_path / "data"
    ssdd, empty = folder / "sar" / "ssdd", folder / "sar" / "ls_ssdd_sample"
    for path in (ssdd / "images", ssdd / "sea_masks", empty):
        path.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(path, pixels):
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    for split, first, count in (("train", 1, 20), ("val", 101, 3)):
        images, annotations = [], []
        for number in range(first, first + count):
            pixels = rng.integers(0, 60, (SIDE, SIDE))
            left, top = (int(v) for v in rng.integers(10, 40, 2))
            pixels[top : top + 6, left : left + 14] = 230
            write(ssdd / "images" / f"{number}.png", pixels)
            write(ssdd / "sea_masks" / f"{number}.png", np.full((SIDE, SIDE), 255))
            images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
            images[-1] |= {"scene_group": number, "land_fraction": 0.0 if number % 2 else 0.5}
            box = [left, top, 14, 6]
            corners = [left, top, left + 14, top, left + 14, top + 6, left, top + 6]
            annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box, "area": 84})
            annotations[-1] |= {"iscrowd": 0, "segmentation": [corners]}
        content = {"info": {"data_kind": "constructed"}, "categories": [{"id": 1, "name": "ship"}]}
        (ssdd / f"{split}.json").write_text(json.dumps(content | {"images": images, "annotations": annotations}))
    write(empty / "tile.jpg", rng.integers(0, 60, (SIDE, SIDE)))
    (empty / "tile.xml").write_text("<annotation></annotation>")
    return folder


class Drawn:
    """Noise with one ship; stops the run once so many crops are made."""

    def __init__(self, last=None):
        self.left = last

    def crop(self, rng):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        return Crop(values=rng.uniform(0, 255, (1, SIDE, SIDE)).astype(np.float32), hulls=hulls([32, 20, 12, 6, 90]))


def hulls(*rows, ignored=None):
    """Of (col, row, length, width, axis)."""
    col, row, length, width, axis = np.array(rows, float).reshape(-1, 5).T
    return Hulls(
        row=row,
        col=col,
        length_px=length,
        width_px=width,
        axis_deg=axis,
        heading_deg=np.full(len(col), np.nan),
        kind=np.zeros(len(col), np.int64),
        ignored=np.zeros(len(col), bool) if ignored is None else np.array(ignored),
    )


def test_it_is_torchvisions_r50_fpn_with_every_weight_trained_and_every_normalisation_learning():
    net = script.build_network()
    kinds = [type(module).__name__ for module in net.modules()]
    assert kinds.count("Bottleneck") == 3 + 4 + 6 + 3  # He et al. 2016, table 1
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert "FrozenBatchNorm2d" not in kinds
    assert kinds.count("BatchNorm2d") == 53 + 8  # of ResNet-50, and of the pyramid's four laterals and four outputs


def test_images_keep_their_size_in_training_and_use():
    transform = script.build_network().transform
    for training in (True, False):
        images, _ = transform.train(training)([torch.zeros(3, 50, 70)])
        assert images.image_sizes == [(50, 70)]


def test_boxes_of_upright_hulls_are_their_rectangles_and_are_cut_at_the_edge():
    drawn = hulls([20, 10, 12, 6, 90], [30, 40, 10, 4, 0], [60, 30, 12, 6, 90])
    _, target = script.sample_of(Crop(values=np.zeros((1, SIDE, SIDE), np.float32), hulls=drawn))
    # A hull about pixel centre (20, 10) spans 20.5 - 6 .. 20.5 + 6 where the first pixel covers [0, 1].
    expected = [[14.5, 7.5, 26.5, 13.5], [28.5, 35.5, 32.5, 45.5], [54.5, 27.5, 64.0, 33.5]]
    np.testing.assert_allclose(target["boxes"].numpy(), expected, atol=0.05)
    assert target["labels"].tolist() == [1, 1, 1]


def test_ignored_hulls_and_missing_pixels_become_the_mean_and_no_target():
    values = np.full((1, SIDE, SIDE), 255, np.float32)
    values[0, :, :5] = np.nan
    drawn = hulls([60, 30, 8, 6, 90], ignored=[True])
    image, target = script.sample_of(Crop(values=values, hulls=drawn))
    blank = np.zeros((SIDE, SIDE), bool)
    blank[:, :5] = True
    blank[27:34, 56:64] = True  # rows 27.5 to 33.5, columns 56.5 to 64.5 of [0, 64]
    np.testing.assert_allclose(image.numpy(), np.broadcast_to(np.where(blank, script.IMAGE_MEAN, 1.0), image.shape))
    assert target["boxes"].shape == (0, 4)


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_weights(run_folder):
    whole = script.train(SETTINGS, Drawn(), run_folder / "whole", save_every=1).state_dict()
    stopped = run_folder / "stopped"
    with pytest.raises(KeyboardInterrupt):
        script.train(SETTINGS, Drawn(last=2), stopped, save_every=1)
    resumed = script.train(SETTINGS, Drawn(), stopped, save_every=1).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with (stopped / script.LOG).open() as opened:
        assert [int(row["step"]) for row in csv.DictReader(opened)] == [1, 2]
    with pytest.raises(TrainingError, match="other settings"):
        script.train(replace(SETTINGS, seed=1), Drawn(), stopped)


def test_a_row_of_the_log_replaces_what_came_later_and_joins_what_came_with_it(tmp_path):
    path = tmp_path / "log.csv"
    for row in ({"step": 1, "a": 1}, {"step": 2, "a": 2}, {"step": 3, "a": 3}, {"step": 2, "b": 5}):
        script.log(path, row)
    with path.open() as opened:
        assert list(csv.DictReader(opened)) == [{"step": "1", "a": "1", "b": ""}, {"step": "2", "a": "2", "b": "5"}]


def test_the_threshold_lies_where_f1_of_the_labelled_images_is_best(data):
    (image, *_) = read_coco(data / "sar" / "ssdd" / "val.json").images
    left, top, width, height = image.box_xywh[0]
    col = np.array([left + width / 2, 2.0, 2.0]) - 0.5
    row = np.array([top + height / 2, 2.0, 2.0]) - 0.5
    found = ChipDetections(
        row=row,
        col=col,
        score=np.array([0.4, 0.7, 0.1]),
        box_xywh=np.tile(image.box_xywh[0], (3, 1)),
        oriented=np.full((3, 5), np.nan),
        is_vessel=np.ones(3, bool),
    )
    assert script.threshold_on([image], [found]) == 0.4  # F1 2/3 there, 0 above, 1/2 below
    assert script.threshold_on([image], [ChipDetections.empty()]) == np.inf


def test_two_steps_on_constructed_images_write_results_that_the_evaluation_reads(data, run_folder, capsys):
    arguments = ["--data", data, "--out", run_folder, "--steps", 2, "--batch", 2, "--side", SIDE, "--threads", 1]
    assert script.main([str(a) for a in arguments]) == 0
    scores = json.loads((run_folder / script.SCORES).read_text())
    coco = data / "sar" / "ssdd" / "val.json"
    results = f"coco-results:{run_folder / script.RESULTS}"
    capsys.readouterr()
    threshold = [] if scores["threshold"] is None else ["--threshold", str(scores["threshold"])]
    assert evaluate_vessel.main(["--coco", str(coco), "--detector", results, "--json", *threshold]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n_images"], report["n_ships"], report["data_kind"]) == (3, 3, "constructed")
    assert report["n_detections_all"] == len(json.loads((run_folder / script.RESULTS).read_text()))
    assert scores["ap50"] == pytest.approx(report["ap50"], abs=1e-4)
    if threshold:
        assert scores["f1"] == pytest.approx(report["f1"], abs=1e-4)
    with (run_folder / script.LOG).open() as opened:
        (row,) = csv.DictReader(opened)
    assert row["step"] == "2"
    assert {"crops_per_s", "loss_classifier", "loss_objectness", "ap50"} <= row.keys()


def test_data_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert script.main(["--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
