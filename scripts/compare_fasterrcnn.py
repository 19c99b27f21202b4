#!/usr/bin/env python3
"""Train torchvision's Faster R-CNN R50-FPN from scratch on SSDD: a comparator for the vessel network, never shipped.

    python scripts/compare_fasterrcnn.py --data DATA --out runs/fasterrcnn --threads 2

It is given what the ``sar-chip`` recipe gives our network: the same training images, crops and augmentation, the same
held-out slice for its threshold, and no pre-trained weights. The same command again goes on from the last checkpoint.
The folder of the run holds the checkpoint, log.csv, the detections on the validation images as COCO results
(val_results.json, every score), and their scores at the threshold that is best on the held-out slice (scores.json). Our
own evaluation reads the results:

    python scripts/evaluate_vessel.py --coco val.json --detector coco-results:runs/fasterrcnn/val_results.json

Training from scratch needs normalisation that is trained too, in the backbone and in the pyramid, and a long schedule
(He, Girshick & Dollar 2019, "Rethinking ImageNet pre-training", arXiv:1811.08883); hence BatchNorm in both, nothing
frozen. The detector is that of Ren et al. 2015 (arXiv:1506.01497) with the pyramid of Lin et al. 2017
(arXiv:1612.03144) as torchvision builds it; only anchors, sampling counts and image size differ, see `build_network`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from imagery.errors import ImageryError
from imagery.files import replacing
from models.chip_detections import ChipDetections
from models.errors import ModelError, TrainingError
from models.metrics.average_precision import MAX_DETECTIONS
from models.metrics.chips import Scores, match_chip, score_chips
from models.metrics.coco import CocoImage, CocoTruth, read_coco, results_entries
from models.metrics.matching import best_threshold
from models.train.images import Crop, LabelledImage, Source
from models.train.recipes import Job, sar_chip
from models.train.sampler import ImageSource
from models.vessel.hulls import half_extents

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
RESULTS = "val_results.json"
SCORES = "scores.json"

IMAGE_MEAN, IMAGE_STD = 0.151, 0.159  # of 0..1; measured over SSDD's training images
ANCHOR_SIDES_PX = ((8, 11), (16, 23), (32, 45), (64, 91), (128, 181))  # a level each; SSDD's ships: 6 to 232 px
ANCHOR_RATIOS = (0.33, 0.5, 1.0, 2.0, 3.0)  # height over width; of SSDD's boxes 98 % lie between .2 and 4.3
LEAST_SCORE = 0.01  # AP50 looks at weak detections too
LARGEST_GRADIENT = 5.0

Target = dict[str, Tensor]
Watch = Callable[[int, nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run, whole: the same settings on the same data give the same weights on the same machine and threads.

    Attributes:
        steps: of the optimiser.
        batch: crops in one step.
        side_px: of a crop.
        learning_rate: AdamW's at its highest: it rises over `warmup` steps and falls as a cosine to a hundredth.
        weight_decay: AdamW's; biases and normalisation are left alone.
        warmup: steps.
        seed: of everything random.
        drawn_from: the source of the crops in words, so that a run does not go on with other crops than it began with.
    """

    steps: int
    batch: int = 8
    side_px: int = 256
    learning_rate: float = 3e-4
    weight_decay: float = 0.05
    warmup: int = 300
    seed: int = 0
    drawn_from: str = ""


class NativeSize(GeneralizedRCNNTransform):  # type: ignore[misc]  # torchvision ships no types
    """Normalises and pads, but leaves images at their size."""

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """The same image and target."""
        return image, target


def build_network() -> nn.Module:
    """Faster R-CNN R50-FPN for one class, random weights.

    Apart from torchvision's own: BatchNorm that is trained; two anchor sides per octave, small; images at their own
    size; and, for crops with few ships, 128 regions an image sampled for the box head instead of 512, out of 500
    proposals instead of 2000.
    """
    body = resnet50(weights=None, norm_layer=nn.BatchNorm2d, zero_init_residual=True)
    backbone = BackboneWithFPN(
        body,
        return_layers={f"layer{k + 1}": str(k) for k in range(4)},
        in_channels_list=[256, 512, 1024, 2048],
        out_channels=256,
        norm_layer=nn.BatchNorm2d,
    )
    net: nn.Module = FasterRCNN(
        backbone,
        num_classes=2,  # the first is the background
        rpn_anchor_generator=AnchorGenerator(ANCHOR_SIDES_PX, (ANCHOR_RATIOS,) * len(ANCHOR_SIDES_PX)),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        rpn_post_nms_top_n_test=500,
        box_batch_size_per_image=128,
        box_score_thresh=LEAST_SCORE,
        box_detections_per_img=MAX_DETECTIONS,
    )
    # The sizes are those that `NativeSize` does not look at.
    net.transform = NativeSize(min_size=1, max_size=1, image_mean=[IMAGE_MEAN] * 3, image_std=[IMAGE_STD] * 3)
    return net.to(memory_format=torch.channels_last)


def network_input(grey: NDArray[Any]) -> Tensor:
    """8-bit grey (h, w), NaN where there is nothing, as (3, h, w) in 0..1; nothing becomes the mean."""
    values = np.asarray(grey, np.float32) / np.float32(255.0)
    filled = np.where(np.isfinite(values), values, np.float32(IMAGE_MEAN))
    return torch.from_numpy(filled).expand(3, -1, -1)


def sample_of(crop: Crop) -> tuple[Tensor, Target]:
    """Input and target of a crop: the upright boxes of its hulls, x = col + 0.5, cut at its edges.

    The losses know nothing that is neither ship nor background: hulls to be ignored are blanked, like the outside.
    """
    hulls = crop.hulls
    side_h, side_w = crop.values.shape[1:]
    axis = np.radians(hulls.axis_deg)
    half_h, half_w = half_extents(hulls.length_px, hulls.width_px, np.cos(2.0 * axis), np.sin(2.0 * axis))
    x, y = hulls.col + 0.5, hulls.row + 0.5
    boxes = np.column_stack([x - half_w, y - half_h, x + half_w, y + half_h]).reshape(-1, 4)
    boxes = np.clip(boxes, 0.0, [side_w, side_h, side_w, side_h])
    grey = crop.values[0].copy()
    for left, top, right, bottom in boxes[hulls.ignored]:
        grey[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = np.nan
    wide = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 1.0
    kept = torch.from_numpy(boxes[~hulls.ignored & wide].astype(np.float32))
    return network_input(grey), {"boxes": kept, "labels": torch.ones(len(kept), dtype=torch.int64)}


def batch_of(source: Source, settings: Settings, step: int) -> tuple[list[Tensor], list[Target]]:
    """The crops of one step; crop k of a run is made from (seed, k) alone, so a resumed run sees the same."""
    first = step * settings.batch
    crops = (source.crop(np.random.default_rng((settings.seed, first + k))) for k in range(settings.batch))
    images, targets = zip(*(sample_of(crop) for crop in crops), strict=True)
    return list(images), list(targets)


def train(
    settings: Settings,
    source: Source,
    folder: Path,
    *,
    watch: Watch | None = None,
    watch_every: int = 1000,
    save_every: int = 100,
) -> nn.Module:
    """Train, from the start or from where a run in this folder stopped.

    Args:
        settings: what to do.
        source: crops.
        folder: of the run: its checkpoint and log.
        watch: called with (step, network) every `watch_every` steps and at the end; its numbers go to the log.
        watch_every: steps.
        save_every: steps between checkpoints and rows of the log.

    Returns:
        The network, in evaluation mode.

    Raises:
        TrainingError: if the folder holds a run of other settings, or the loss is no longer a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    net = build_network()
    optimiser = make_optimiser(net, settings)
    step = resume(folder, settings, net, optimiser)
    totals: dict[str, float] = {}
    began, first = time.monotonic(), step
    while step < settings.steps:
        images, targets = batch_of(source, settings, step)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, step)
        torch.manual_seed(settings.seed + (step << 16))  # anchors and regions are sampled at random
        net.train()
        losses = net(images, targets)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} at step {step} in {folder}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        step += 1
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + float(value.detach())
        ends, watches = step == settings.steps, step % watch_every == 0 or step == settings.steps
        if step % save_every == 0 or watches:
            row: dict[str, float] = {"step": step, "learning_rate": round(learning_rate(settings, step - 1), 9)}
            row |= {name: round(value / (step - first), 4) for name, value in totals.items()}
            row["crops_per_s"] = round((step - first) * settings.batch / (time.monotonic() - began), 3)
            save(folder, settings, step, net, optimiser)
            if watch is not None and watches and not ends:
                row |= watch(step, net.eval())
            log(folder / LOG, row)
            print(" ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
            totals, began, first = {}, time.monotonic(), step
    if watch is not None:  # the end, also of a run that had been trained and not yet judged
        log(folder / LOG, {"step": settings.steps, **watch(settings.steps, net.eval())})
    return net.eval()


def learning_rate(settings: Settings, step: int) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


def make_optimiser(net: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW; no decay for biases and normalisation (one-dimensional parameters)."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def resume(folder: Path, settings: Settings, net: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Bring network and optimiser to where a run stopped; the steps it had done, 0 where there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    stored = torch.load(path, weights_only=True)
    if stored["settings"] != asdict(settings):
        raise TrainingError(f"{folder} holds a run of other settings or crops; give another folder, or remove it")
    net.load_state_dict(stored["net"])
    optimiser.load_state_dict(stored["optimiser"])
    return int(stored["step"])


def save(folder: Path, settings: Settings, step: int, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write the checkpoint, whole or not at all."""
    states = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
    with replacing(folder / CHECKPOINT) as partial:
        torch.save({"settings": asdict(settings), "step": step, **states}, partial)


def log(path: Path, row: dict[str, float]) -> None:
    """Add a row; rows of later steps than it are gone, a row of the same step gains what is new."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as opened:
            rows = [r for r in csv.DictReader(opened) if int(r["step"]) <= row["step"]]
    if rows and int(rows[-1]["step"]) == row["step"]:
        row = rows.pop() | row
    rows.append(row)
    columns = list(dict.fromkeys(name for r in rows for name in r))
    with replacing(path) as partial, partial.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerows(rows)


@torch.no_grad()
def find(net: nn.Module, image: LabelledImage) -> ChipDetections:
    """What a network in evaluation mode finds in an image: boxes and scores, no hulls."""
    (found,) = net([network_input(image.values[0])])
    boxes = found["boxes"].numpy().astype(np.float64)
    n = len(boxes)
    return ChipDetections(
        row=(boxes[:, 1] + boxes[:, 3]) / 2.0 - 0.5,
        col=(boxes[:, 0] + boxes[:, 2]) / 2.0 - 0.5,
        score=found["scores"].numpy(),
        box_xywh=np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).reshape(-1, 4),
        oriented=np.full((n, 5), np.nan),
        is_vessel=np.ones(n, bool),
    )


def threshold_on(images: Sequence[CocoImage], found: Sequence[ChipDetections]) -> float:
    """The score that is best for F1 on labelled images; infinite where no ship was found."""
    pairs = [match_chip(image, chip) for image, chip in zip(images, found, strict=True)]
    counted = np.concatenate([~pair.neutral for pair in pairs])
    score = np.concatenate([chip.score for chip in found])[counted]
    is_true = np.concatenate([pair.is_true for pair in pairs])[counted]
    return best_threshold(score, is_true, sum(int(pair.scored.sum()) for pair in pairs))[0]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Chooses the threshold on the held-out slice, scores the validation images, and writes both down.

    Attributes:
        job: held-out and validation images.
        held_out: truth of the held-out images, in their order.
        validation: truth of the validation images, in their order.
        folder: of the run.
    """

    job: Job
    held_out: Sequence[CocoImage]
    validation: CocoTruth
    folder: Path

    @classmethod
    def of(cls, job: Job, data: Path, folder: Path) -> Judge:
        """With the truth that belongs to a job's images."""
        by_name = {image.file_name: image for image in read_coco(data / "sar" / "ssdd" / "train.json").images}
        return cls(
            job=job,
            held_out=[by_name[image.name] for image in job.held_out],
            validation=read_coco(data / "sar" / "ssdd" / "val.json"),
            folder=folder,
        )

    def __call__(self, step: int, net: nn.Module) -> dict[str, float]:
        """See `Watch`."""
        began = time.monotonic()
        threshold = threshold_on(self.held_out, [find(net, image) for image in self.job.held_out])
        found = [find(net, image) for image in self.job.validation]
        truth = self.validation
        report = score_chips(truth.images, found, threshold, n_resamples=0)
        parts = {"": report.overall, "offshore_": report.offshore, "inshore_": report.inshore}
        row = {"threshold": threshold}
        for name, part in parts.items():
            row |= {f"{name}{key}": value for key, value in numbers(part)}
        entries = [
            entry
            for image, chip in zip(truth.images, found, strict=True)
            for entry in results_entries(image.id, truth.category_id, chip)
        ]
        write_json(self.folder / RESULTS, entries)
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        write_json(self.folder / SCORES, {"step": step, "data": str(truth.path), "data_kind": truth.data_kind} | finite)
        print(f"step {step}, validation, {time.monotonic() - began:.0f} s: {finite}", flush=True)
        return row


def numbers(part: Scores | None) -> Iterator[tuple[str, float]]:
    """Scores by name; none of images that there are not."""
    if part is not None:
        yield from ((key, round(float(getattr(part, key)), 4)) for key in ("f1", "precision", "recall", "ap50"))


def write_json(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def describe(source: ImageSource) -> str:
    """How many images and ships a source draws from, and how."""
    ships = sum(len(image.outlines) for image in source.images)
    told = {f.name: getattr(source, f.name) for f in fields(source) if f.init and f.name not in ("images", "relight")}
    return f"{len(source.images)} images, {ships} ships, {told}"


def positive(text: str) -> int:
    """A whole number of one or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and judge; 0 when scores and results are written, 2 and one sentence where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=positive, default=4000, help="of the optimiser (default: 4000)")
    parser.add_argument("--batch", type=positive, default=8, help="crops in a step (default: 8)")
    parser.add_argument("--side", type=positive, default=256, help="of a crop, pixels (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=positive, help="of the processor (default: as torch finds)")
    parser.add_argument("--save-every", type=positive, default=100, help="steps between checkpoints (default: 100)")
    parser.add_argument("--watch-every", type=positive, default=1000, help="steps between scores (default: 1000)")
    args = parser.parse_args(argv)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    try:
        job = sar_chip(args.data, None)
        assert isinstance(job.source, ImageSource)
        source = replace(job.source, side_px=args.side)
        words = describe(source)
        train(
            Settings(steps=args.steps, batch=args.batch, side_px=args.side, seed=args.seed, drawn_from=words),
            source,
            args.out,
            watch=Judge.of(job, args.data, args.out),
            watch_every=args.watch_every,
            save_every=args.save_every,
        )
    except (ImageryError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    threshold = json.loads((args.out / SCORES).read_text(encoding="utf-8"))["threshold"]
    if threshold is None:
        print("no ship of the held-out slice was found, so no threshold could be chosen; train for more steps")
    else:
        coco = args.data / "sar" / "ssdd" / "val.json"
        print(f"evaluate_vessel.py --coco {coco} --detector coco-results:{args.out / RESULTS} --threshold {threshold}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
