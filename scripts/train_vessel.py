#!/usr/bin/env python3
"""Train the vessel network, or go on with a run that was stopped.

    python scripts/train_vessel.py --recipe sar-chip --data DATA --out runs/sar-chip
    python scripts/train_vessel.py --recipe sar-chip --data DATA --out runs/fold-0 --fold 0/5

The run's folder holds its checkpoint, its log (log.csv), and at the end its weights with their record. The same command
again goes on from the last checkpoint. Each recipe's data and settings stand in models/train/recipes.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from imagery.errors import ImageryError
from models.errors import ModelError, TrainingError
from models.train.finish import finish
from models.train.loop import train
from models.train.recipes import RECIPES, Fold, Job, is_inshore
from models.vessel.network import VesselNet
from models.vessel.weights import as_stored


def fold(text: str) -> Fold:
    """``2/5`` as a fold."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a fold such as 0/5")
    return Fold(index=int(index), count=int(count))


def main() -> int:
    """Parse, train, finish; 0 when the weights are written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; NAME.safetensors is written there")
    parser.add_argument("--fold", type=fold, help="leave this part of the scenes out, such as 0/5")
    parser.add_argument("--steps", type=int, help="of the optimiser (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that make crops")
    args = parser.parse_args()
    try:
        job = RECIPES[args.recipe](args.data, args.fold)
        recipe = replace(job.recipe, seed=args.seed, steps=args.steps or job.recipe.steps)
        job = replace(job, recipe=recipe)
        if not (job.held_out and job.validation):
            raise TrainingError(f"{args.data} holds too few scenes: none are left to calibrate or validate with")
        net = train(
            job.recipe,
            job.source,
            args.out,
            find_hard=job.find_hard,
            watch=lambda step, average: watch(job, step, average),
            workers=args.workers,
            part="" if args.fold is None else f"fold {args.fold.index}/{args.fold.count}",
        )
        record = finish(job, as_stored(net), args.out / f"{args.recipe}.safetensors")
    except (ModelError, ImageryError) as error:
        print(f"train_vessel: {error}", file=sys.stderr)
        return 2
    print(f"{args.out / args.recipe}.safetensors: threshold {record.threshold:.3f}, sha256 {record.sha256}")
    return 0


def watch(job: Job, step: int, net: VesselNet) -> dict[str, float]:
    """F1 on validation images, whole, offshore and inshore, each at its best threshold: to watch, not to report."""
    parts = {
        "validation": list(job.validation),
        "offshore": [i for i in job.validation if not is_inshore(i)],
        "inshore": [i for i in job.validation if is_inshore(i)],
    }
    scores = {n: job.judge(net, i, once=True).best_f1() for n, i in parts.items() if i}
    row = {f"{name}_{key}": value for name, score in scores.items() for key, value in score.items()}
    print(f"step {step}: {row}", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
