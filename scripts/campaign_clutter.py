#!/usr/bin/env python3
"""Hold the simulated radar clutter against a real Sentinel-1 pass over the Irish Sea.

The real tiles are 8-bit decibels from -25 to 0: what is darker is clipped. Simulated seas of the same levels go
through the same clipping, and both through the same estimators, which count clipped pixels as 'at most -25 dB':

* looks (ENL) of 24 x 24 pixel patches by level: gamma law by censored maximum likelihood;
* K order of 96 x 96 pixel patches at 4.4 looks, likewise;
* correlation of the decibels between neighbours, in patches with less than a tenth clipped;
* share of pixels 6 and 9 dB above their patch's mean: what a detector's false alarms come from.

The simulated seas come twice: with their thermal noise, and with it subtracted, as the provider of the real tiles
seems to have done. Columns c2 to c5 set the simulator's ranges, c0 and c1 are a check. Patches with land or bright
objects are left out.

    python scripts/campaign_clutter.py --data ../shared/data/sar/irish_sea
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from imagery.simulate.sar_clutter import QUIETEST, draw_sea, mean_sea, noise_floor
from imagery.simulate.sar_look import draw_look
from imagery.simulate.sar_speckle import draw_speckle
from models import clutter

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

DB_PER_DN, LOWEST_DB = 25.0 / 255.0, -25.0
SMALL_PX, LARGE_PX = 24, 96
MOST_CLIPPED, LITTLE_CLIPPED = 0.6, 0.1
BRIGHTEST_DN = 205  # -4.9 dB: land or an object
LEVELS_DB = (6.0, 9.0)
LOOKS = 4.4
SHAPES = {"looks": np.geomspace(0.6, 12.0, 28), "order": np.geomspace(0.7, 200.0, 28)}
RATIOS = np.geomspace(1e-3, 1e3, 600)  # over the mean
BIN_DN = 8
LEVEL_BINS_DB = (-25.0, -23.0, -21.0, -19.0, -17.0, -14.0)


@dataclass(kw_only=True)
class Found:
    """Estimates of one set of images."""

    level_db: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    order: list[float] = field(default_factory=list)
    correlation: list[tuple[float, float, float, float]] = field(default_factory=list)
    above: list[tuple[float, float]] = field(default_factory=list)


def linear(dn: Bytes | Floats) -> Floats:
    """Sigma0 of digital numbers."""
    return np.asarray(10.0 ** (0.1 * (np.asarray(dn, float) * DB_PER_DN + LOWEST_DB)))


@lru_cache(maxsize=2)
def _survival(law: str) -> Floats:
    """Probability to exceed each of `RATIOS` for each of `SHAPES`."""
    if law == "looks":
        return np.stack([clutter.gamma_survival(RATIOS, looks=shape) for shape in SHAPES[law]])
    return np.stack([clutter.k_survival(RATIOS, looks=LOOKS, order=shape) for shape in SHAPES[law]])


def censored_fit(dn: Bytes, law: str) -> tuple[float, float]:
    """Mean sigma0 and either the looks of a gamma law or the order of a K law, by binned maximum likelihood on a grid.

    Args:
        dn: a patch.
        law: key of `SHAPES`.

    Returns:
        (mean, shape).
    """
    counts = np.bincount(dn.ravel(), minlength=256).astype(float)
    edges = linear(np.arange(0.5, 256.0, BIN_DN))
    binned = np.concatenate([[counts[0]], np.add.reduceat(counts[1:], np.arange(0, 255, BIN_DN))])
    means = max(float(linear(dn.astype(float)).mean()), 1e-4) * np.geomspace(0.3, 1.6, 41)
    at = np.log(edges[None, :] / means[:, None])
    step = np.log(RATIOS[1] / RATIOS[0])
    place = np.clip((at - np.log(RATIOS[0])) / step, 0.0, RATIOS.size - 1.001)
    low = place.astype(int)
    table = _survival(law)
    beyond = table[:, low] + (place - low) * (table[:, low + 1] - table[:, low])
    ones = np.ones((*beyond.shape[:2], 1))
    share = -np.diff(np.concatenate([ones, beyond, 0.0 * ones], axis=2), axis=2)
    likelihood = np.log(np.maximum(share, 1e-12)) @ binned
    shape, mean = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
    return float(means[mean]), float(SHAPES[law][shape])


def patches(dn: Bytes, side: int, rng: np.random.Generator, most: int) -> Iterator[Bytes]:
    """Sea patches in random order: not too much clipped, nothing bright, no filled border."""
    rows, cols = (np.arange(0, size - side, side) for size in dn.shape)
    places = rng.permutation(np.array([(r, c) for r in rows for c in cols]))
    given = 0
    for row, col in places:
        part = dn[row : row + side, col : col + side]
        if (part == 0).mean() > MOST_CLIPPED or (part > BRIGHTEST_DN).any() or np.median(part) > 150:
            continue
        if (part == 0).all(axis=0).any() or (part == 0).all(axis=1).any():
            continue
        yield part
        given += 1
        if given == most:
            return


def correlation(part: Bytes) -> tuple[float, float, float, float]:
    """Correlation of decibels one and two pixels down and one and two to the right."""
    d = part - part.mean()

    def at(rows: int, cols: int) -> float:
        a, b = d[rows:, cols:], d[: d.shape[0] - rows, : d.shape[1] - cols]
        return float((a * b).mean() / (d * d).mean())

    return at(1, 0), at(2, 0), at(0, 1), at(0, 2)


def study(images: list[Bytes], rng: np.random.Generator, most: int) -> Found:
    """All estimates of a set of images."""
    found = Found()
    for dn in images:
        for part in patches(dn, SMALL_PX, rng, most * 2):
            mean, shape = censored_fit(part, "looks")
            found.level_db.append(10.0 * np.log10(mean))
            found.looks.append(shape)
            if (part == 0).mean() < LITTLE_CLIPPED:
                found.correlation.append(correlation(part))
        for part in patches(dn, LARGE_PX, rng, most):
            mean, shape = censored_fit(part, "order")
            found.order.append(shape)
            share = tuple(float((linear(part) > mean * 10.0 ** (0.1 * level)).mean()) for level in LEVELS_DB)
            found.above.append((share[0], share[1]))
    return found


def real(folder: Path, columns: str) -> list[Bytes]:
    """Real tiles of some columns."""
    tiles = []
    for path in sorted(folder.glob("*_c?_r?.tif")):
        if path.stem[-4] in columns:
            with rasterio.open(path) as data:
                tiles.append(data.read(1))
    return tiles


def simulated(levels_db: list[float], count: int, *, denoised: bool) -> list[Bytes]:
    """Simulated seas without objects, at levels drawn from the real ones over a physical noise floor, clipped alike."""
    images = []
    for seed in range(count):
        rng = np.random.default_rng([seed, 11])
        look = draw_look(rng, (384, 384), 10.0)
        sea = replace(draw_sea(rng, str(rng.choice(["open_sea", "open_sea", "low_wind", "front"]))), seam=False)
        mean, floor = mean_sea(look, sea, rng)[0], noise_floor(look, sea, rng)[0]
        level = 10.0 ** (0.1 * rng.choice(levels_db))
        mean *= np.float32((level if denoised else max(level - float(floor.mean()), 1e-4)) / np.median(mean))
        sigma0 = (mean + floor) * draw_speckle(look.shape_hw, rng)
        if denoised:
            sigma0 -= floor
        dn = np.rint((10.0 * np.log10(np.maximum(sigma0, QUIETEST)) - LOWEST_DB) / DB_PER_DN)
        images.append(np.clip(dn, 0, 255).astype(np.uint8))
    return images


def quantiles(values: list[float] | Floats, form: str) -> str:
    """10, 25, 50, 75 and 90 %."""
    if len(values) == 0:
        return "none"
    return " ".join(format(v, form) for v in np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9]))


def report(name: str, found: Found) -> None:
    """Print one set's estimates."""
    print(f"\n{name}")
    print(f"  level of {len(found.level_db)} small patches, dB     {quantiles(found.level_db, '7.1f')}")
    level, looks = np.array(found.level_db), np.array(found.looks)
    for low, high in pairwise(LEVEL_BINS_DB):
        there = (level >= low) & (level < high)
        if there.sum() >= 5:
            print(f"  looks of {there.sum()} patches of {low:.0f} to {high:.0f} dB   {quantiles(looks[there], '7.2f')}")
    print(f"  K order of {len(found.order)} large patches          {quantiles(found.order, '7.1f')}")
    if found.correlation:
        middle = np.median(found.correlation, axis=0)
        print(
            f"  correlation of dB ({len(found.correlation)} patches)   down 1, 2: {middle[0]:.2f} {middle[1]:.2f}",
            end="",
        )
        print(f"   right 1, 2: {middle[2]:.2f} {middle[3]:.2f}")
    above = np.array(found.above)
    for k, over_db in enumerate(LEVELS_DB):
        gamma = float(clutter.gamma_survival(10.0 ** (0.1 * over_db), looks=LOOKS))
        print(f"  share {over_db:.0f} dB over the mean: {above[:, k].mean():.1e} (gamma law of 4.4 looks: {gamma:.1e})")


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sar/irish_sea"))
    parser.add_argument("--patches", type=int, default=40, help="large patches per image")
    parser.add_argument("--seas", type=int, default=60, help="simulated seas of 384 x 384 pixels")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print("10, 25, 50, 75, 90 % of patches")
    tuning = study(real(options.data, "2345"), rng, options.patches)
    report("real, columns c2-c5 (set the ranges)", tuning)
    report("real, columns c0-c1 (check)", study(real(options.data, "01"), rng, options.patches))
    for denoised in (False, True):
        seas = simulated(tuning.level_db, options.seas, denoised=denoised)
        name = "subtracted" if denoised else "left in"
        report(f"simulated, noise {name}, at the levels of c2-c5", study(seas, rng, max(options.patches // 8, 2)))


if __name__ == "__main__":
    main()
