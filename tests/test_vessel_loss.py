"""Losses against torchvision, numerical gradients, and the focal loss as CenterNet's paper has it."""

import math

import numpy as np
import pytest
import torch
from torchvision.ops import generalized_box_iou

from models.vessel.hulls import half_extents
from models.vessel.loss import WEIGHTS, _box, _focal, _generalised_iou, _hull_losses, split, vessel_loss
from models.vessel.network import CHANNELS, STRIDE_PX
from models.vessel.targets import encode
from tests.test_vessel_targets import hulls, perfect_maps, scattered

CHANNEL_COUNT = sum(CHANNELS.values())


def unknown_labels():
    """Every way of not knowing something of a hull."""
    return hulls(
        (12, 12, np.nan, np.nan, np.nan),
        (12, 44, 20, 5, np.nan),
        (44, 12, 20, np.nan, 40),
        (44, 44, np.nan, 5, 40),
        (28, 28, 20, 5, 40),
        heading_deg=[np.nan, 30, np.nan, np.nan, 40],
    )


def test_perfect_maps_cost_next_to_nothing():
    labels = scattered(np.random.default_rng(0), 4, 256)
    targets = encode(labels, (256, 256))
    maps = perfect_maps(targets)
    maps[0] = np.where(targets.heat == 1.0, 20.0, -20.0)
    losses = vessel_loss(torch.from_numpy(np.nan_to_num(maps))[None].float(), [targets])
    assert set(losses) == {*CHANNELS, "box"}
    for name in ("heat", "offset", "log_length", "log_width", "axis", "direction", "box"):
        assert 0 <= losses[name] + 1e-6 < 1e-4, name
    # the least of label smoothing .05 over three classes lies above zero; a network cannot go below it
    assert losses["kind"] < 0.2 * 0.4


def test_every_loss_grows_when_its_channel_errs():
    labels = hulls((30.3, 29.6, 24, 6, 40), (31.0, 90.2, 16, 5, 120), heading_deg=[40, 300])
    targets = encode(labels, (64, 128))
    perfect = np.nan_to_num(perfect_maps(targets))
    perfect[0] = np.where(targets.heat == 1.0, 20.0, -20.0)
    before = vessel_loss(torch.from_numpy(perfect)[None], [targets])
    start = dict(zip(CHANNELS, np.cumsum([0, *CHANNELS.values()])[:-1].tolist(), strict=True))
    for name, losing in {
        "heat": {"heat"},
        "offset": {"offset", "box"},
        "log_length": {"log_length", "log_length_var", "box"},
        "log_width": {"log_width", "box"},
        "axis": {"axis", "box"},
        "direction": {"direction"},
        "kind": {"kind"},
    }.items():
        wrong = perfect.copy()
        part = wrong[start[name] : start[name] + CHANNELS[name]]
        part[...] = -part if name in ("heat", "axis", "direction", "kind") else part + 0.4
        after = vessel_loss(torch.from_numpy(wrong)[None], [targets])
        assert {n for n in after if after[n] > before[n] + 1e-3} == losing, name


def test_the_focal_loss_is_that_of_the_paper():
    rng = np.random.default_rng(1)
    logit, heat = rng.normal(-2, 2, (2, 9, 9)), rng.random((2, 9, 9)) * 0.99
    heat[0, 3, 4] = heat[1, 8, 0] = heat[1, 2, 2] = 1.0
    counted = rng.random((2, 9, 9)) > 0.2
    total = 0.0
    for x, y, c in zip(logit.ravel(), heat.ravel(), counted.ravel(), strict=True):
        p = 1 / (1 + math.exp(-x))  # Zhou et al. 2019, eq. 1, alpha = 2, beta = 4
        if c:
            total -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    found = _focal(*(torch.from_numpy(a) for a in (logit, heat, counted)))
    assert float(found) == pytest.approx(total, rel=1e-9)


def test_the_focal_loss_is_divided_by_the_number_of_objects():
    one, two = encode(hulls((20, 20, 9, 4, 0)), (48, 96)), encode(hulls((20, 20, 9, 4, 0), (20, 70, 9, 4, 0)), (48, 96))
    maps = torch.full((1, CHANNEL_COUNT, 24, 48), 0.0, dtype=torch.float64)
    for targets, n in ((one, 1), (two, 2)):
        total = _focal(
            maps[:, 0].float(), torch.from_numpy(targets.heat)[None], torch.from_numpy(targets.counted)[None]
        )
        assert float(vessel_loss(maps, [targets])["heat"]) == pytest.approx(float(total) / n, rel=1e-5)


def test_generalised_iou_is_torchvisions():
    rng = np.random.default_rng(2)
    low, size = torch.from_numpy(rng.uniform(-20, 20, (2, 400, 2))), torch.from_numpy(rng.uniform(0.5, 30, (2, 400, 2)))
    found = _generalised_iou((low[0], low[0] + size[0]), (low[1], low[1] + size[1]))
    boxes = [torch.cat([low[i], low[i] + size[i]], dim=1) for i in range(2)]
    expected = generalized_box_iou(boxes[0], boxes[1]).diagonal()
    torch.testing.assert_close(found, expected)
    assert (found < 0).any()
    assert (found > 0.3).any()


def test_the_box_in_the_loss_is_the_box_that_is_reported():
    rng = np.random.default_rng(3)
    length = rng.uniform(5, 60, 50)
    width, axis, centre = length * rng.uniform(0.2, 1, 50), rng.uniform(0, 2 * np.pi, 50), rng.normal(size=(50, 2))
    low, high = _box(
        *(
            torch.from_numpy(a)
            for a in (centre, np.log(length), np.log(width), np.column_stack([np.cos(axis), np.sin(axis)]))
        )
    )
    down, right = half_extents(length, width, np.cos(axis), np.sin(axis))
    np.testing.assert_allclose(low, centre - np.column_stack([down, right]))
    np.testing.assert_allclose(high, centre + np.column_stack([down, right]))


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(4)
    targets = encode(hulls((12.2, 13.1, 14, 5, 40), (14.0, 36.3, 9, 4, 110), heading_deg=[40, 110]), (24, 48))
    truth = torch.from_numpy(targets.hulls[:4]).double()
    n = len(truth)
    said = {name: torch.from_numpy(rng.normal(0.3, 0.2, (n, k))).requires_grad_() for name, k in CHANNELS.items()}
    said["log_length"] = torch.from_numpy(rng.normal(2.0, 0.2, (n, 1))).requires_grad_()
    said["log_width"] = torch.from_numpy(rng.normal(1.0, 0.2, (n, 1))).requires_grad_()
    names = list(said)

    def losses(*values):
        out = _hull_losses(dict(zip(names, values, strict=True)), truth)
        # the variance's loss cuts its own gradient to the length on purpose
        return tuple(value for name, value in out.items() if name != "log_length_var")

    assert torch.autograd.gradcheck(losses, tuple(said[n] for n in names))
    logit = torch.from_numpy(rng.normal(-2, 2, (1, 6, 6))).requires_grad_()
    heat = torch.from_numpy(np.where(rng.random((1, 6, 6)) > 0.9, 1.0, rng.random((1, 6, 6)) * 0.9))
    assert torch.autograd.gradcheck(lambda x: _focal(x, heat, torch.ones(1, 6, 6, dtype=torch.bool)), (logit,))


@pytest.mark.parametrize("fill", [0.0, 1e3, -1e3, "random"])
def test_gradients_are_numbers_whatever_is_not_known_and_whatever_the_network_says(fill):
    targets = encode(unknown_labels(), (64, 64))
    maps = torch.zeros(1, CHANNEL_COUNT, 32, 32) + (0.0 if fill == "random" else fill)
    if fill == "random":
        maps += 5 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    maps.requires_grad_()
    losses = vessel_loss(maps, [targets])
    assert all(torch.isfinite(v) for v in losses.values())
    sum(losses.values()).backward()
    assert torch.isfinite(maps.grad).all()


def test_what_is_not_known_teaches_nothing():
    labels = unknown_labels().take(np.array([0]))
    targets = encode(labels, (64, 64))
    maps = torch.randn((1, CHANNEL_COUNT, 32, 32), generator=torch.Generator().manual_seed(1)).requires_grad_()
    sum(vessel_loss(maps, [targets]).values()).backward()
    gradient = split(maps.grad)
    for name in ("log_length", "log_length_var", "log_width", "axis", "direction"):
        assert not gradient[name].any(), name
    assert gradient["offset"].any()
    assert gradient["kind"].any()


def test_a_length_is_learnt_at_its_own_place_and_image_only():
    first, second = encode(hulls(), (32, 32)), encode(hulls((16, 16, 9, 4, 0)), (32, 32))
    maps = torch.randn((2, CHANNEL_COUNT, 16, 16), generator=torch.Generator().manual_seed(2)).requires_grad_()
    sum(vessel_loss(maps, [first, second]).values()).backward()
    length = split(maps.grad)["log_length"][:, 0]
    assert not length[0].any()
    taught = {tuple(cell) for cell in torch.nonzero(length[1]).tolist()}
    assert taught == {tuple(cell) for cell in second.cells.tolist()}
    for i, j in taught:
        assert np.hypot(i * STRIDE_PX + 0.5 - 16, j * STRIDE_PX + 0.5 - 16) < 3


def test_images_without_objects_or_known_land_cost_only_their_heat():
    empty = encode(hulls(), (32, 32))
    maps = torch.zeros((1, CHANNEL_COUNT, 16, 16)).requires_grad_()
    losses = vessel_loss(maps, [empty])
    assert {name for name, loss in losses.items() if float(loss.detach())} == {"heat"}
    assert float(losses["heat"].detach()) == pytest.approx(16 * 16 * 0.25 * math.log(2), rel=1e-5)


def test_the_stated_deviation_costs_least_where_it_is_the_error():
    truth = torch.zeros(1, 8, dtype=torch.float64)
    truth[:, 2] = 2.0
    error = 0.35
    costs = {}
    for log_var in np.linspace(-2.4, -1.8, 61):
        said = {name: torch.zeros((1, k), dtype=torch.float64) for name, k in CHANNELS.items()}
        said["log_length"] += 2.0 + error
        said["log_length_var"] += log_var
        costs[log_var] = float(_hull_losses(said, truth)["log_length_var"])
    assert math.exp(min(costs, key=costs.get) / 2) == pytest.approx(error, rel=0.01)


def test_hull_and_land_are_taught_by_cross_entropy_and_dice_where_they_are_known():
    land = np.full((32, 32), np.nan, np.float32)
    land[:, :16] = 0.0
    land[:, 8:12] = 1.0
    targets = encode(hulls(), (32, 32), land=land)
    maps = torch.randn((1, CHANNEL_COUNT, 16, 16), generator=torch.Generator().manual_seed(4)).requires_grad_()
    losses = vessel_loss(maps, [targets])
    logit = split(maps)["land"][0, 0, :, :8].detach().numpy().astype(float).ravel()
    p, y = 1.0 / (1.0 + np.exp(-logit)), np.tile([0, 0, 0, 0, 1, 1, 0, 0], 16).astype(float)
    entropy = -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))
    dice = 1.0 - (2.0 * (p * y).sum() + 1.0) / (p.sum() + y.sum() + 1.0)
    assert float(losses["land"].detach()) == pytest.approx(WEIGHTS["land"] * (entropy + dice), rel=1e-5)
    assert float(losses["hull"].detach()) == 0.0
    sum(losses.values()).backward()
    gradient = split(maps.grad)["land"][0, 0]
    assert (gradient[:, :8] != 0).all()
    assert not gradient[:, 8:].any()
