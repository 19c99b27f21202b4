"""The training loop: what it gives depends on recipe and data alone, not on interruptions or workers."""

import csv
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from models.errors import TrainingError
from models.train.images import Crop
from models.train.loop import CHECKPOINT, LOG, Crops, Recipe, learning_rate, train
from models.vessel.hulls import Hulls
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig
from tests.test_vessel_hulls import corners_of

RECIPE = Recipe(
    network=NetworkConfig(inputs=4, widths=(8, 12, 16), blocks=(1, 1, 1)),
    curve=InputCurve(kind="reflectance", bands=("b04", "b08"), full=1.0),
    bands=("b04", "b08"),
    steps=8,
    batch=2,
    warmup=2,
    hard_from=1.0,
    seed=5,
)


@dataclass(frozen=True)
class Ships:
    """One bright ship in each crop of 32 pixels."""

    level: float = 0.8

    def crop(self, rng):
        row, col = rng.uniform(8, 24, 2)
        values = rng.uniform(0, 0.1, (2, 32, 32)).astype(np.float32)
        values[:, int(row) - 2 : int(row) + 3, int(col) - 2 : int(col) + 3] = self.level
        return Crop(values=values, hulls=Hulls.of_corners(corners_of(row, col, 5, 4.5, 0)[None]))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder, recipe=RECIPE, source=Ships(), **more):
    return train(recipe, source, folder, **{"workers": 0, "save_every": 2, "watch_every": 2, **more})


def same_weights(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def rows_of(folder):
    with (folder / LOG).open(newline="") as opened:
        return list(csv.DictReader(opened))


class StopError(Exception):
    """Someone pulls the plug."""


def stop_at(step):
    def watch(now, net):
        if now == step:
            raise StopError
        return {"seen": now}

    return watch


def watch(step, net):
    return {"seen": step}


def sought_by(net):
    """A source that depends on the network that sought it."""
    return Ships(level=0.3 + 0.5 * float(torch.sigmoid(sum(p.sum() for p in net.parameters()))))


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(tmp_path):
    first = run(tmp_path / "a")
    assert same_weights(first, run(tmp_path / "b"))
    assert not same_weights(first, run(tmp_path / "c", replace(RECIPE, seed=6)))


@pytest.mark.parametrize("stopped", [2, 4, 6, 8])
@pytest.mark.parametrize("hard_from", [1.0, 0.5, 0.375])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path, stopped, hard_from):
    recipe = replace(RECIPE, hard_from=hard_from)
    whole = run(tmp_path / "whole", recipe, watch=watch, find_hard=sought_by)
    with pytest.raises(StopError):
        run(tmp_path / "cut", recipe, watch=stop_at(stopped), find_hard=sought_by)
    resumed = run(tmp_path / "cut", recipe, watch=watch, find_hard=sought_by)
    assert same_weights(whole, resumed)
    kept = [{k: v for k, v in row.items() if k != "crops_per_s"} for row in rows_of(tmp_path / "cut")]
    assert [row["step"] for row in kept] == ["2", "4", "6", "8"]
    assert kept == [{k: v for k, v in row.items() if k != "crops_per_s"} for row in rows_of(tmp_path / "whole")]


def test_a_run_stopped_twice_goes_on_to_the_same_weights(tmp_path):
    whole = run(tmp_path / "whole", replace(RECIPE, hard_from=0.25), find_hard=sought_by)
    for stopped in (6, 8):
        with pytest.raises(StopError):
            run(tmp_path / "cut", replace(RECIPE, hard_from=0.25), watch=stop_at(stopped), find_hard=sought_by)
    assert same_weights(whole, run(tmp_path / "cut", replace(RECIPE, hard_from=0.25), find_hard=sought_by))


def test_a_run_that_is_finished_is_not_trained_further(tmp_path):
    first = run(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    assert same_weights(first, run(tmp_path, watch=stop_at(8)))
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_crops_made_by_another_process_are_the_same(tmp_path):
    assert same_weights(run(tmp_path / "own"), run(tmp_path / "other", workers=1))


def test_hard_negatives_are_sought_once_with_the_averaged_network(tmp_path):
    calls = []

    def find(net):
        calls.append(net)
        assert not net.training
        return Ships(level=0.2)

    run(tmp_path, replace(RECIPE, hard_from=0.5), find_hard=find)
    assert len(calls) == 1
    calls.clear()
    run(tmp_path / "never", replace(RECIPE, hard_from=1.0), find_hard=find)
    assert not calls


def test_the_source_after_the_hard_round_is_the_new_one(tmp_path):
    plain = run(tmp_path / "plain", replace(RECIPE, hard_from=0.5), find_hard=lambda net: Ships())
    other = run(tmp_path / "other", replace(RECIPE, hard_from=0.5), find_hard=lambda net: Ships(level=0.2))
    assert same_weights(plain, run(tmp_path / "none", replace(RECIPE, hard_from=0.5)))
    assert not same_weights(plain, other)


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 10}, {"learning_rate": 1e-4}, {"bands": ("b08", "b04")}])
def test_a_folder_of_another_recipe_is_refused(tmp_path, change):
    run(tmp_path, replace(RECIPE, steps=2))
    with pytest.raises(TrainingError, match="another recipe") as caught:
        run(tmp_path, replace(RECIPE, **change))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ .* lower the learning rate") as caught:
        run(tmp_path, replace(RECIPE, learning_rate=1e20, warmup=1, steps=30))
    assert "\n" not in str(caught.value)


def test_logged_losses_are_means_over_the_steps_since_the_row_before(tmp_path):
    every = run(tmp_path / "every", replace(RECIPE, steps=5), save_every=1)
    rare = run(tmp_path / "rare", replace(RECIPE, steps=5), save_every=3)
    assert same_weights(every, rare)
    each = np.array([float(row["heat"]) for row in rows_of(tmp_path / "every")])
    found = [float(row["heat"]) for row in rows_of(tmp_path / "rare")]
    np.testing.assert_allclose(found, [each[:3].mean(), each[3:].mean()], atol=2e-4)


def test_learning_makes_the_loss_smaller(tmp_path):
    run(tmp_path, replace(RECIPE, steps=120, warmup=10, learning_rate=1e-2), save_every=20)
    heat = [float(row["heat"]) for row in rows_of(tmp_path)]
    assert heat[-1] < 0.6 * heat[0]


def test_the_learning_rate_rises_and_falls_as_a_cosine():
    recipe = replace(RECIPE, steps=1000, warmup=100, learning_rate=1.0)
    rate = np.array([learning_rate(recipe, s) for s in range(1000)])
    np.testing.assert_allclose(rate[:100], np.arange(1, 101) / 100)
    assert rate[100] == pytest.approx(1.0)
    assert rate[550] == pytest.approx((1 + 0.01) / 2)
    assert rate[-1] == pytest.approx(0.01, abs=1e-4)
    assert (np.diff(rate[100:]) < 0).all()


def test_crop_k_is_the_same_from_wherever_one_starts_counting():
    whole, later = Crops(Ships(), RECIPE, 0, 20), Crops(Ships(), RECIPE, 12, 20)
    assert (len(whole), len(later)) == (20, 8)
    for k in range(8):
        for a, b in zip(
            [whole[12 + k][0], *vars(whole[12 + k][1]).values()],
            [later[k][0], *vars(later[k][1]).values()],
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


def test_bands_are_dropped_as_often_as_asked_and_never_all():
    dropped = []
    crops = Crops(Ships(), replace(RECIPE, band_dropout=0.4), 0, 300)
    for k in range(300):
        masks = crops[k][0][2:]
        assert masks.any()
        dropped.append(not masks.any(axis=(1, 2)).all())
    assert np.mean(dropped) == pytest.approx(0.4, abs=0.09)
    assert all(Crops(Ships(), replace(RECIPE, band_dropout=0.0), 0, 50)[k][0][2:].all() for k in range(50))


def test_the_average_follows_the_weights(tmp_path):
    """After one step the average keeps 2 / 11 of the first weights; after many, `ema`."""
    start = run(tmp_path / "start", replace(RECIPE, steps=0))
    one = run(tmp_path / "one", replace(RECIPE, steps=1))
    stepped = torch.load(tmp_path / "one" / CHECKPOINT, weights_only=True)["net"]
    for name, value in one.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, start.state_dict()[name] * 2 / 11 + stepped[name] * 9 / 11)
