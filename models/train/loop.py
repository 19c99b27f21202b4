"""The training loop: seeded, resumable at every checkpoint, its log a CSV file."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from imagery.files import replacing
from models.errors import TrainingError
from models.train.images import Source
from models.vessel.inputs import InputCurve
from models.vessel.loss import vessel_loss
from models.vessel.network import NetworkConfig, VesselNet
from models.vessel.targets import Targets, encode

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run, whole: the same recipe on the same data gives the same weights on the same machine.

    Attributes:
        network: the network.
        curve: its input.
        bands: the bands of the sources' crops, in their order.
        steps: of the optimiser.
        batch: crops in one step.
        learning_rate: AdamW's at its highest: it rises over `warmup` steps and falls as a cosine to a hundredth.
        weight_decay: AdamW's.
        warmup: steps.
        ema: share of the averaged weights that one step keeps.
        hard_from: share of the steps after which hard negatives are sought and shown; 1 = never.
        band_dropout: chance that a crop with several bands loses one of them.
        seed: of everything random.
    """

    network: NetworkConfig
    curve: InputCurve
    bands: tuple[str, ...]
    steps: int
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 200
    ema: float = 0.998
    hard_from: float = 0.5
    band_dropout: float = 0.3
    seed: int = 0


class Crops(Dataset[tuple[NDArray[np.float32], Targets]]):
    """Sample k of a run, made from (seed, k) alone: any worker count, and any resumption, sees the same crops."""

    def __init__(self, source: Source, recipe: Recipe, first: int, last: int) -> None:
        """Samples first to last, the last not among them."""
        self.source, self.recipe, self.first, self.count = source, recipe, first, last - first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Targets]:
        """(input, targets) of a crop."""
        rng = np.random.default_rng((self.recipe.seed, self.first + index))
        crop = self.source.crop(rng)
        bands = dict(zip(self.recipe.bands, crop.values, strict=True))
        if len(bands) > 1 and rng.random() < self.recipe.band_dropout:
            del bands[list(bands)[rng.integers(len(bands))]]
        valid = np.asarray(np.isfinite(crop.values).any(axis=0))
        height, width = valid.shape
        return self.recipe.curve.network_input(bands), encode(
            crop.hulls, (height, width), valid, hull_mask=crop.hull_mask, land=crop.land
        )


FindHard = Callable[[VesselNet], Source]
Watch = Callable[[int, VesselNet], dict[str, float]]


def train(
    recipe: Recipe,
    source: Source,
    folder: Path,
    *,
    find_hard: FindHard | None = None,
    watch: Watch | None = None,
    watch_every: int = 1000,
    save_every: int = 200,
    workers: int = 1,
    part: str = "",
) -> VesselNet:
    """Train, from the start or from where a run in this folder stopped.

    Args:
        recipe: what to do.
        source: crops.
        folder: of the run: its checkpoint and log.
        find_hard: gives the source to use from the hard-negative round on, made with the averaged network.
        watch: called with (step, averaged network) every `watch_every` steps and at the end; its numbers go to the log.
        watch_every: steps.
        save_every: steps between checkpoints.
        workers: processes that make crops; 0 = this one.
        part: names the part of the data that the source shows; a run of another part is not gone on with.

    Returns:
        The averaged network, in evaluation mode.

    Raises:
        TrainingError: if the folder holds a run of another recipe or part, or the loss is no longer a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    net = VesselNet(recipe.network).to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimiser = _optimiser(net, recipe)
    seeker = copy.deepcopy(average)  # the averaged network as it was when hard negatives were sought
    step = _resume(folder, recipe, part, net, average, seeker, optimiser)
    hard_step = min(int(recipe.hard_from * recipe.steps), recipe.steps)
    began, seen = time.monotonic(), 0
    while step < recipe.steps:
        if find_hard is not None and step >= hard_step:
            if step == hard_step:
                seeker.load_state_dict(average.state_dict())
            source, find_hard = find_hard(seeker), None
        until = hard_step if find_hard is not None and step < hard_step else recipe.steps
        totals: dict[str, float] = {}
        counted = 0
        for inputs, targets in _batches(source, recipe, step, until, workers):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(recipe, step)
            net.train()
            losses = vessel_loss(net(inputs), targets)
            loss = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is {loss.item()} at step {step} in {folder}; lower the learning rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimiser.step()
            step += 1
            seen += recipe.batch
            _follow(average, net, min(recipe.ema, (1.0 + step) / (10.0 + step)))
            counted += 1
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
            if step % save_every == 0 or step == recipe.steps:
                numbers = {name: round(value / counted, 4) for name, value in totals.items()}
                numbers["crops_per_s"] = round(seen / (time.monotonic() - began), 2)
                totals, counted = {}, 0
                if watch is not None and (step % watch_every == 0 or step == recipe.steps):
                    numbers |= watch(step, average)
                # The log first: stopped between the two, the run repeats these steps and writes the row anew.
                _log(folder / LOG, {"step": step, "learning_rate": learning_rate(recipe, step), **numbers})
                _save(folder, recipe, part, step, net, average, seeker, optimiser)
    return average


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


def _batches(
    source: Source, recipe: Recipe, step: int, until: int, workers: int
) -> Iterator[tuple[Tensor, Sequence[Targets]]]:
    crops = Crops(source, recipe, step * recipe.batch, until * recipe.batch)
    context = "fork" if workers else None
    loader = DataLoader(
        crops, batch_size=recipe.batch, num_workers=workers, collate_fn=_collate, multiprocessing_context=context
    )
    yield from loader


def _collate(samples: list[tuple[NDArray[np.float32], Targets]]) -> tuple[Tensor, list[Targets]]:
    inputs = torch.from_numpy(np.stack([s[0] for s in samples]))
    return inputs.to(memory_format=torch.channels_last), [s[1] for s in samples]


def _optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """No decay for biases and normalisation (one-dimensional parameters)."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    fresh = net.state_dict()
    for name, slow in average.state_dict().items():
        if slow.is_floating_point():
            slow.lerp_(fresh[name], 1.0 - keep)
        else:
            slow.copy_(fresh[name])


def _resume(
    folder: Path,
    recipe: Recipe,
    part: str,
    net: nn.Module,
    average: nn.Module,
    seeker: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> int:
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    stored = torch.load(path, weights_only=True)
    if stored["recipe"] != repr(asdict(recipe)):
        raise TrainingError(f"{folder} holds a run of another recipe; give another folder, or remove it")
    if stored.get("part", part) != part:
        raise TrainingError(
            f"{folder} holds a run on part {stored['part'] or 'all'!r} of the data; give another folder, or remove it"
        )
    net.load_state_dict(stored["net"])
    average.load_state_dict(stored["average"])
    seeker.load_state_dict(stored.get("seeker", stored["average"]))
    optimiser.load_state_dict(stored["optimiser"])
    return int(stored["step"])


def _save(
    folder: Path,
    recipe: Recipe,
    part: str,
    step: int,
    net: nn.Module,
    average: nn.Module,
    seeker: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    states: dict[str, Any] = {
        "net": net.state_dict(),
        "average": average.state_dict(),
        "seeker": seeker.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with replacing(folder / CHECKPOINT) as partial:
        torch.save({"recipe": repr(asdict(recipe)), "part": part, "step": step, **states}, partial)


def _log(path: Path, row: dict[str, float]) -> None:
    """Append a row; a new column makes the file anew with it."""
    rows = []
    if path.exists():
        with path.open(newline="") as opened:
            rows = [r for r in csv.DictReader(opened) if int(r["step"]) < row["step"]]
    columns = list(dict.fromkeys([*(k for r in rows for k in r), *row]))
    with replacing(path) as partial, partial.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerows([*rows, row])
