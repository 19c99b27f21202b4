"""scripts/train_vessel.py as a user runs it, on a tiny constructed COCO set."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.train import recipes
from models.vessel.detector import load_detector
from models.vessel.network import NetworkConfig
from models.vessel.weights import load_weights
from tests.test_vessel_hulls import corners_of

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_vessel.py"
VOC = "<annotation><filename>{}</filename>{}</annotation>"


def coco(images, group_prefix):
    """Annotations of images (name, outlines)."""
    data = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "ship"}]}
    for i, (name, outlines) in enumerate(images):
        data["images"].append(
            {"id": i, "file_name": name, "height": 64, "width": 64, "scene_group": f"{group_prefix}{i // 2}"}
        )
        for outline in outlines:
            low, high = outline.min(axis=0), outline.max(axis=0)
            data["annotations"].append(
                {
                    "id": len(data["annotations"]),
                    "image_id": i,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "area": float(np.prod(high - low)),
                    "segmentation": [outline.ravel().tolist()],
                }
            )
    return data


def paint(folder, name, rng):
    """A chip of dark sea with one bright ship; its outline in COCO's coordinates."""
    outline = corners_of(rng.uniform(22, 42), rng.uniform(22, 42), 16, 6, rng.uniform(0, 180)) + 0.5
    rows, cols = np.indices((64, 64))
    offset = np.stack([cols + 0.5, rows + 0.5], axis=-1) - outline.mean(axis=0)
    along = (outline[0] - outline[3]) / np.linalg.norm(outline[0] - outline[3])
    inside = (np.abs(offset @ along) < 8) & (np.abs(offset @ [-along[1], along[0]]) < 3)
    grey = np.where(inside, 230, rng.uniform(5, 40, (64, 64))).astype(np.uint8)
    Image.fromarray(grey).save(folder / name)
    return outline


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder laid out as the sar-chip recipe wants it: 24 training chips of 12 scenes, 4 for validation."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    ssdd, empty = root / "sar" / "ssdd", root / "sar" / "ls_ssdd_sample"
    for folder in (ssdd / "images", ssdd / "sea_masks", empty):
        folder.mkdir(parents=True)
    for part, count in (("train", 24), ("val", 4)):
        images = []
        for k in range(count):
            name = f"{part}{k}.png"
            images.append((name, [paint(ssdd / "images", name, rng)]))
            sea = np.full((64, 64), 255, np.uint8)
            sea[:, 60:] = 0 if k % 2 else 255
            Image.fromarray(sea).save(ssdd / "sea_masks" / name)
        (ssdd / f"{part}.json").write_text(json.dumps(coco(images, part)))
    for name, ships in (("calm", ""), ("busy", "<object><name>ship</name></object>")):
        Image.fromarray(rng.uniform(5, 40, (64, 64)).astype(np.uint8)).save(empty / f"{name}.jpg")
        (empty / f"{name}.xml").write_text(VOC.format(name, ships))
    return root


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("train_vessel", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script, monkeypatch, capsys, *words):
    """(exit status, standard output, standard error)."""
    monkeypatch.setattr(sys, "argv", ["train_vessel.py", *map(str, words)])
    try:
        status = script.main()
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def small(job):
    """The job with a network and crops that take no time."""
    network = NetworkConfig(inputs=2, widths=(8, 12, 16), blocks=(1, 1, 1))
    recipe = replace(job.recipe, network=network, batch=4, steps=60, warmup=5, learning_rate=5e-3)
    return replace(job, recipe=recipe, source=replace(job.source, side_px=48))


@pytest.fixture
def quick(monkeypatch):
    whole = recipes.RECIPES["sar-chip"]
    monkeypatch.setitem(recipes.RECIPES, "sar-chip", lambda data, fold: small(whole(data, fold)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_help_says_what_there_is():
    out = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    for word in ("--recipe", "sar-chip", "optical", "--data", "--out", "--fold", "--seed"):
        assert word in out


@pytest.mark.parametrize("words", ["5/5", "7/5", "x", "1", "-1/5", "0/0", "1/", "1.5/5"])
def test_a_bad_fold_is_refused(script, monkeypatch, capsys, tmp_path, words):
    status, _, err = run(
        script, monkeypatch, capsys, "--recipe", "sar-chip", "--data", tmp_path, "--out", tmp_path, f"--fold={words}"
    )
    assert status == 2
    assert "not a fold such as 0/5" in err


def test_an_unknown_recipe_is_refused(script, monkeypatch, capsys, tmp_path):
    status, _, err = run(script, monkeypatch, capsys, "--recipe", "sonar", "--data", tmp_path, "--out", tmp_path)
    assert status == 2
    assert "sonar" in err


@pytest.mark.parametrize("recipe", ["sar-chip", "optical"])
def test_missing_data_is_refused_in_one_sentence_before_anything_is_written(
    script, monkeypatch, capsys, tmp_path, recipe
):
    out = tmp_path / "run"
    status, _, err = run(script, monkeypatch, capsys, "--recipe", recipe, "--data", tmp_path / "none", "--out", out)
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith("train_vessel: ")
    assert str(tmp_path / "none") in err
    assert not out.exists()


def test_a_missing_image_is_refused_in_one_sentence(script, monkeypatch, capsys, tmp_path, data):
    ssdd = tmp_path / "sar" / "ssdd"
    (ssdd / "images").mkdir(parents=True)
    for part in ("train", "val"):
        (ssdd / f"{part}.json").write_text((data / "sar" / "ssdd" / f"{part}.json").read_text())
    status, _, err = run(
        script, monkeypatch, capsys, "--recipe", "sar-chip", "--data", tmp_path, "--out", tmp_path / "run"
    )
    assert status == 2
    assert "train0.png" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("quick")
def test_a_run_gives_weights_that_find_the_ships(script, monkeypatch, capsys, tmp_path, data):
    words = ("--recipe", "sar-chip", "--data", data, "--out", tmp_path, "--workers", 0)
    status, out, err = run(script, monkeypatch, capsys, *words)
    assert (status, err) == (0, "")
    path = tmp_path / "sar-chip.safetensors"
    assert f"{path}: threshold" in out
    _, record = load_weights(path)
    assert record.name == "sar-chip"
    assert record.curve.bands == ("grey",)
    assert 0 < record.threshold < 1
    assert record.pixel_size_m is None
    assert {d["licence"] for d in record.data} == {"Apache-2.0"}
    assert load_detector(path, "sar-chip").record == record
    assert (tmp_path / "log.csv").read_text().count("\n") == 2  # a header, and the row of the end

    before = path.read_bytes()
    status, again, err = run(script, monkeypatch, capsys, *words)  # the same command once more: nothing left to train
    assert (status, err) == (0, "")
    assert path.read_bytes() == before
    assert record.sha256 in again

    status, _, err = run(script, monkeypatch, capsys, *words, "--seed", 1)
    assert status == 2
    assert "another recipe" in err


@pytest.mark.usefixtures("quick")
def test_another_fold_does_not_go_on_with_the_run_of_the_first(script, monkeypatch, capsys, tmp_path, data):
    words = ("--recipe", "sar-chip", "--data", data, "--out", tmp_path, "--workers", 0, "--steps", 30)
    assert run(script, monkeypatch, capsys, *words, "--fold", "0/3")[0] == 0
    status, _, err = run(script, monkeypatch, capsys, *words, "--fold", "1/3")
    assert status == 2
    assert str(tmp_path) in err


def test_a_fold_trains_on_none_of_the_scenes_it_is_judged_on(data):
    for index in range(3):
        job = recipes.sar_chip(data, recipes.Fold(index=index, count=3))
        trained = {i.group for i in job.source.images if i.outlines}
        assert not trained & {i.group for i in job.held_out}
        assert len(trained | {i.group for i in job.held_out}) == 12


def test_images_with_ships_of_the_empty_tiles_are_left_out(data):
    job = recipes.sar_chip(data, None)
    names = {i.name for i in job.source.images}
    assert "calm.jpg" in names
    assert "busy.jpg" not in names
    assert all(i.outlines for i in job.held_out)
    assert len(job.held_out) > 0


def test_too_few_scenes_to_hold_some_out_are_refused_before_training(script, monkeypatch, capsys, tmp_path, data):
    root = tmp_path / "data"
    ssdd = root / "sar" / "ssdd"
    ssdd.mkdir(parents=True)
    for name in ("images", "sea_masks", "val.json"):
        (ssdd / name).symlink_to(data / "sar" / "ssdd" / name)
    (root / "sar" / "ls_ssdd_sample").symlink_to(data / "sar" / "ls_ssdd_sample")
    few = json.loads((data / "sar" / "ssdd" / "train.json").read_text())
    few["images"] = few["images"][:4]
    few["annotations"] = [a for a in few["annotations"] if a["image_id"] < 4]
    (ssdd / "train.json").write_text(json.dumps(few))
    status, _, err = run(
        script, monkeypatch, capsys, "--recipe", "sar-chip", "--data", root, "--out", tmp_path / "run", "--steps", 1
    )
    assert status == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
