#!/usr/bin/env python3
"""Measure the CFAR's false-alarm rates at length: the tables behind the claims of `models.cfar`.

1. Realised over nominal rate on Gamma, K and G0 draws, plain and trimmed, clean and among ships: direct
   draws down to 1e-5, importance sampling below (the pixel under test from a tilted law with likelihood
   weights, its ring from the true one).
2. Look-weighted, correlated speckle: the factor to fit, and the rate before and after on other draws.
3. Correlated texture, where the ring's pixels are not independent draws: how far the rates drift.
4. Real sea: exceedance of Irish Sea water against Gamma, K and G0 fits that allow for its clipping.

Intervals are 95 % (Student) over independently drawn fields. About 25 minutes on one core in full.

    python scripts/campaign_cfar.py --out runs/cfar
    python scripts/campaign_cfar.py --fields 3 --only speckle
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage, stats

from models import clutter as cl
from models.cfar import ALARM, GROW, CfarConfig, alarm_margin, cfar, fit_threshold_factor

Floats = NDArray[np.float64]

LOOKS = 4.4
SIDE_PX = 2000
LATTICE = np.s_[20::41, 20::41]  # spacing over background_px: no test pixel lies in another's ring
CASES: tuple[tuple[cl.Clutter, cl.Clutter, float], ...] = (
    ("gamma", "gamma", 0.0),
    ("k", "gamma", 0.0),
    ("k", "k", 1 / 20),
    ("k", "k", 1 / 5),
    ("k", "k", 1 / 2),
    ("g0", "gamma", 0.0),
    ("g0", "g0", 1 / 15),
    ("g0", "g0", 1 / 5),
    ("g0", "g0", 1 / 3),
)
RATES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
DIRECT_TO = 1e-5


def law_name(clutter: cl.Clutter, heterogeneity: float) -> str:
    """E.g. `k nu 5`, `g0 alpha -3`."""
    if clutter == "gamma":
        return "gamma"
    return f"k nu {1 / heterogeneity:g}" if clutter == "k" else f"g0 alpha {-1 / heterogeneity:g}"


def true_factor(rate: float, clutter: cl.Clutter, heterogeneity: float) -> float:
    """Threshold over mean of the true law."""
    if clutter == "gamma":
        return float(cl.gamma_factor(rate, looks=LOOKS))
    if clutter == "k":
        return cl.k_factor(rate, looks=LOOKS, order=1 / heterogeneity)
    return cl.g0_factor(rate, looks=LOOKS, alpha=-1 / heterogeneity)


def interval(values: Iterable[float], nominal: float) -> str:
    """Mean of independent estimates over nominal, with its 95 % Student interval; flag beyond a factor 2."""
    sample = np.asarray(list(values)) / nominal
    half = stats.t.ppf(0.975, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size) if sample.size > 1 else 0
    mark = " " if 0.5 <= sample.mean() <= 2.0 else "!"
    return f"{sample.mean():7.2f} +-{half:5.2f}{mark}"


def paint_ships(rng: np.random.Generator, field: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """Paint 3 x 4 pixel ships of 10 to 25 dB over the mean into `field`; True where a ship is."""
    ships = np.zeros(field.shape, bool)
    for _ in range(int(share * field.size / 12)):
        row, col = (int(rng.integers(0, side - 4)) for side in field.shape)
        ships[row : row + 3, col : col + 4] = True
        field[row : row + 3, col : col + 4] = 10 ** rng.uniform(1.0, 2.5) * rng.standard_gamma(LOOKS, (3, 4)) / LOOKS
    return ships


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One field of independent clutter pixels, clean but for ships; `tail` marks tilted pixels."""

    field: NDArray[np.float32]
    sea: NDArray[np.bool_]
    tail: Floats | None  # importance weights of the lattice pixels


def draw(seed: int, clutter: cl.Clutter, heterogeneity: float, ships: float, target: float | None) -> Draw:
    """Draw a field; with a target ratio, the lattice pixels come from the tail around it."""
    rng = np.random.default_rng(seed)
    law = {"looks": LOOKS, "heterogeneity": heterogeneity}
    field = cl.sample_clutter(rng, (SIDE_PX, SIDE_PX), clutter=clutter, **law)
    sea = ~paint_ships(rng, field, ships)
    if target is None:
        return Draw(field=field, sea=sea, tail=None)
    shape = field[LATTICE].shape
    value, weight = cl.sample_tail(rng, math.prod(shape), clutter=clutter, target=target, **law)
    field[LATTICE] = value.reshape(shape)
    return Draw(field=field, sea=sea, tail=weight.reshape(shape))


def realised(config: CfarConfig, clutter: cl.Clutter, heterogeneity: float, ships: float, fields: int) -> list[str]:
    """Realised / nominal of the grow and the seed rate of one configuration."""
    levels = {GROW: config.grow_rate, ALARM: config.false_alarm_rate}
    values: dict[int, list[float]] = {level: [] for level in levels}
    target = true_factor(config.false_alarm_rate, clutter, heterogeneity)
    for k in range(fields):
        for direct in (True, False):
            wanted = [level for level, rate in levels.items() if (rate >= DIRECT_TO * 0.999) == direct]
            if not wanted:
                continue
            sample = draw(1000 + k, clutter, heterogeneity, ships, None if direct else target)
            found = cfar(sample.field, np.ones(sample.field.shape, bool), config, unit_intensity=1.0).level
            for level in wanted:
                if sample.tail is None:
                    values[level].append(float((found[sample.sea] >= level).mean()))
                else:
                    values[level].append(float((sample.tail * (found[LATTICE] >= level)).mean()))
    return [interval(values[level], rate) for level, rate in levels.items()]


def report_rates(fields: int) -> None:
    """Section 1."""
    print(f"\n1. Realised / nominal rate, {fields} fields of {SIDE_PX} x {SIDE_PX} px, guard 20, background 40 px;")
    print("   direct down to 1e-5, importance sampling below; ! = beyond a factor 2")
    print(f"{'detector':<15}{'clutter':<14}{'ships':>6}  " + "".join(f"{rate:<16.0e}" for rate in RATES))
    for trimmed in (False, True):
        for assumed, clutter, heterogeneity in CASES:
            for ships in (0.0, 0.01, 0.05) if trimmed else (0.0,):
                cells: list[str] = []
                for grow, seeds in zip(RATES[::2], RATES[1::2], strict=True):
                    config = CfarConfig(
                        clutter=assumed,
                        trimmed=trimmed,
                        false_alarm_rate=seeds,
                        grow_rate=grow,
                        correlation_area_px=1.0,
                    )
                    cells += realised(config, clutter, heterogeneity, ships, fields)
                name = assumed + ("-trimmed" if trimmed else "")
                print(f"{name:<15}{law_name(clutter, heterogeneity):<14}{ships:>6.0%}  " + "  ".join(cells), flush=True)


# ------------------------------------------------------------------------------------------------ speckle


def thresholds(field: NDArray[np.float32], config: CfarConfig) -> Floats:
    """Alarm threshold of every pixel whose ring is complete."""
    margin = alarm_margin(field, np.ones(field.shape, bool), config, unit_intensity=1.0)
    inside = np.s_[config.halo_px : -config.halo_px, config.halo_px : -config.halo_px]
    return np.asarray(field[inside] / margin[inside], np.float64).ravel()


def speckle_margins(seed: int, config: CfarConfig, tilt: float) -> tuple[Floats, Floats]:
    """Margins of tail pixels against the thresholds of an independent speckle field, and their weights.

    The guard box keeps a pixel's ring far outside its speckle's reach, so the two are independent.
    """
    rng = np.random.default_rng(seed)
    bound = thresholds(cl.look_weighted_speckle(rng, (1400, 1400)), config)
    bound = rng.permutation(bound)[:400_000]
    value, weight = cl.sample_look_weighted(rng, bound.size, tilt=tilt)
    return value / bound, weight


def report_speckle(fields: int) -> None:
    """Section 2."""
    weights = cl.look_weights()
    looks, area = cl.equivalent_looks(weights), cl.speckle_correlation_area_px()
    print(f"\n2. Look-weighted speckle (5 looks, {looks:.2f} equivalent, correlation area {area:.2f} px): fitted")
    print("   factor, and realised / nominal before and after it, on fields the fit has not seen")
    print(f"{'detector':<15}{'rate':<10}{'factor':<10}{'before':<18}{'after':<18}{'direct, after':<18}")
    for clutter in ("gamma", "k", "g0"):
        for trimmed in (False, True):
            for rate in RATES:
                config = CfarConfig(
                    clutter=clutter,
                    trimmed=trimmed,
                    false_alarm_rate=rate,
                    grow_rate=max(rate, 1e-4),
                    looks=looks,
                    correlation_area_px=area,
                )
                tilt = max(1.0, 0.6 * float(cl.gamma_factor(rate, looks=looks)))
                seen = [speckle_margins(2000 + k, config, tilt) for k in range(fields)]
                factor = fit_threshold_factor(
                    np.concatenate([m for m, _ in seen]),
                    false_alarm_rate=rate,
                    importance=np.concatenate([w for _, w in seen]),
                )
                fitted = replace(config, threshold_factor=factor)
                new = range(3000, 3000 + fields)
                before, after = (
                    interval([float((w * (m > 1)).mean()) for m, w in (speckle_margins(k, c, tilt) for k in new)], rate)
                    for c in (config, fitted)
                )
                direct = ""
                if rate >= DIRECT_TO * 0.999:
                    direct = interval(
                        [
                            float((cfar(x, x >= 0, fitted, unit_intensity=1.0).level == ALARM).mean())
                            for x in (cl.look_weighted_speckle(np.random.default_rng(k), (1400, 1400)) for k in new)
                        ],
                        rate,
                    )
                name = clutter + ("-trimmed" if trimmed else "")
                print(f"{name:<15}{rate:<10.0e}{factor:<10.4f}{before:<18}{after:<18}{direct:<18}", flush=True)


# ------------------------------------------------------------------------------------------------ texture


def report_texture(fields: int) -> None:
    """Section 3."""
    print("\n3. Gamma speckle on K texture (nu 5) correlated as exp(-d^2 / (2 l^2)): realised / nominal, direct;")
    print("   the ring mean follows texture longer than itself, and its estimate of nu has fewer independent samples")
    rates = (1e-3, 1e-4, 1e-5, 1e-6)
    print(f"{'detector':<15}{'l, px':<8}" + "".join(f"{rate:<16.0e}" for rate in rates))
    for trimmed in (False, True):
        for length in (0.0, 2.0, 10.0, 30.0):
            cells = []
            for grow, seeds in zip(rates[::2], rates[1::2], strict=True):
                config = CfarConfig(
                    clutter="k", trimmed=trimmed, false_alarm_rate=seeds, grow_rate=grow, correlation_area_px=1.0
                )
                levels = [
                    cfar(x, x >= 0, config, unit_intensity=1.0).level
                    for x in (correlated_k(4000 + k, 5.0, length) for k in range(fields))
                ]
                cells += [interval([float((level >= GROW).mean()) for level in levels], grow)]
                cells += [interval([float((level == ALARM).mean()) for level in levels], seeds)]
            print(f"{'k' + ('-trimmed' if trimmed else ''):<15}{length:<8g}" + "  ".join(cells), flush=True)


def correlated_k(seed: int, order: float, length_px: float) -> NDArray[np.float32]:
    """K clutter whose texture is a Gaussian field of the given correlation length mapped to Gamma quantiles."""
    rng = np.random.default_rng(seed)
    field = rng.standard_normal((SIDE_PX, SIDE_PX), dtype=np.float32)
    if length_px > 0:
        field = ndimage.gaussian_filter(field, length_px / math.sqrt(2.0), mode="wrap")
        field /= field.std()
    at = np.linspace(-6.0, 6.0, 2001)
    texture = np.interp(field, at, stats.gamma.isf(stats.norm.sf(at), order) / order).astype(np.float32)
    return np.asarray(texture * cl.sample_clutter(rng, field.shape, clutter="gamma", looks=LOOKS))


# --------------------------------------------------------------------------------------------------- real

# Rectangles (rows, columns) of open water, chosen by eye on the 18 pictures: no land, islands or swath edge
# inside, at least 1 km from the nearest coast. Slicks, internal waves and a few ships do lie in them.
WATER = {
    "c0_r1": (slice(50, 500), slice(900, 1650)),
    "c0_r2": (slice(250, 1350), slice(900, 1650)),
    "c1_r2": (slice(0, 1100), slice(0, 1800)),
    "c5_r2": (slice(50, 700), slice(1000, 1440)),
}
BLOCK_PX = 64
CLIPPED_SHARE = 0.15  # a block with a larger share of DN 0 says too little about its mean
SPECKLE_FACTOR = 1.09  # section 2, K trimmed at 1e-6
SHIP_RATIO = 10.0  # a block holding a pixel brighter than this many means holds a ship
DN_DB = 25.0 / 255.0  # decibels per DN
EDGES_DB = (np.arange(1, 256) - 0.5) * DN_DB - 25.0  # lower edges of DN 1..255


@dataclass(frozen=True, kw_only=True)
class Law:
    """One law of a pixel: a family on signal plus thermal noise, from which the product took the noise's mean."""

    family: cl.Clutter
    looks: float = LOOKS
    heterogeneity: float = 0.0
    noise_db: float = -math.inf

    def above(self, intensity_db: NDArray[np.floating], mean_db: NDArray[np.floating]) -> Floats:
        """P(x > intensity), x = (mean + noise) * ratio - noise; arrays broadcast, dB."""
        noise, mean = 10 ** (self.noise_db / 10.0), 10 ** (mean_db / 10.0)
        ratio = (10 ** (intensity_db / 10.0) + noise) / (mean + noise)
        return cl.survival(ratio, clutter=self.family, looks=self.looks, heterogeneity=self.heterogeneity)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Maximum-likelihood fit of a set of laws to every block."""

    laws: list[Law]
    mean_db: Floats  # (blocks,)
    choice: NDArray[np.intp]  # (blocks,) index into laws
    log_likelihood: float  # all blocks


def data_folder() -> Path:
    """OFFING_DATA, default ../shared/data beside the repository."""
    root = Path(__file__).resolve().parent.parent
    return Path(os.environ.get("OFFING_DATA", root.parent / "shared" / "data"))


def water_counts(folder: Path) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Histograms of DN (blocks, 256) of usable blocks, and how many were left out and why."""
    kept, tally = [], {"blocks": 0, "too clipped": 0, "with ships": 0}
    for tile, window in WATER.items():
        with rasterio.open(next(iter(folder.glob(f"*_{tile}.tif")))) as source:
            dn = source.read(1)[window]
        height, width = (side // BLOCK_PX * BLOCK_PX for side in dn.shape)
        blocks = dn[:height, :width].reshape(height // BLOCK_PX, BLOCK_PX, -1, BLOCK_PX).swapaxes(1, 2)
        for block in blocks.reshape(-1, BLOCK_PX * BLOCK_PX):
            tally["blocks"] += 1
            linear = 10 ** ((block * DN_DB - 25.0) / 10.0)
            if (block == 0).mean() > CLIPPED_SHARE:
                tally["too clipped"] += 1
            elif linear.max() > SHIP_RATIO * linear.mean():
                tally["with ships"] += 1
            else:
                kept.append(np.bincount(block, minlength=256))
    return np.array(kept), tally


def fit(counts: NDArray[np.int64], laws: list[Law]) -> Fit:
    """Interval-censored maximum likelihood over the laws and a grid of means, block by block.

    Every DN is the interval of intensities that rounds to it; DN 0 is everything below -25 dB + half a
    step, which is the left censoring; DN 255 everything above.
    """
    means_db = np.arange(-24.0, -14.0, 0.05)
    blocks = np.arange(len(counts))
    best = np.full(len(counts), -np.inf)
    mean_db, choice = np.zeros(len(counts)), np.zeros(len(counts), np.intp)
    for index, law in enumerate(laws):
        above = law.above(EDGES_DB[None, :], means_db[:, None])
        padded = np.concatenate([np.ones((means_db.size, 1)), above, np.zeros((means_db.size, 1))], axis=1)
        log_probability = np.log(np.maximum(padded[:, :-1] - padded[:, 1:], 1e-14))
        likelihood = counts @ log_probability.T
        at = likelihood.argmax(axis=1)
        better = likelihood[blocks, at] > best
        best[better] = likelihood[blocks, at][better]
        mean_db[better], choice[better] = means_db[at[better]], index
    return Fit(laws=laws, mean_db=mean_db, choice=choice, log_likelihood=float(best.sum()))


def fits_of(counts: NDArray[np.int64]) -> dict[str, Fit]:
    """All families, printed as they are fitted; the removed noise is one number for all blocks."""
    grid = [0.0, *np.geomspace(0.004, 0.5, 23)]
    plain = Law(family="gamma")
    noises = [replace(plain, noise_db=level) for level in np.arange(-28.0, -20.0, 0.25)]
    noise = max(noises, key=lambda law: fit(counts, [law]).log_likelihood).noise_db
    families = {
        "gamma L 4.4": [plain],
        "gamma L free": [Law(family="gamma", looks=looks) for looks in np.arange(1.5, 8.01, 0.1)],
        "K L 4.4": [Law(family="k", heterogeneity=h) for h in grid],
        "G0 L 4.4": [Law(family="g0", heterogeneity=h) for h in grid],
        f"gamma {noise:.2f} dB": [replace(plain, noise_db=noise)],
        f"K {noise:.2f} dB": [Law(family="k", heterogeneity=h, noise_db=noise) for h in grid],
    }
    fits = {}
    for name, laws in families.items():
        fits[name] = found = fit(counts, laws)
        chosen = [laws[k] for k in found.choice]
        shapes = [law.looks if "free" in name else law.heterogeneity for law in chosen]
        quartiles = np.percentile(shapes, [25, 50, 75]).round(3)
        print(f"   {name:<16} ln L {found.log_likelihood:12.0f}   shape quartiles {quartiles}")
    return fits


def report_real(out: Path | None) -> None:
    """Section 4."""
    folder = data_folder() / "sar" / "irish_sea"
    if not folder.is_dir():
        print(f"\n4. skipped: no {folder} (set OFFING_DATA)")
        return
    counts, tally = water_counts(folder)
    print(f"\n4. Irish Sea, Sentinel-1 IW VV 2023-06-15: {len(counts)} of {tally['blocks']} blocks of {BLOCK_PX} px,")
    print(f"   open water ({tally['too clipped']} over {CLIPPED_SHARE:.0%} clipped, {tally['with ships']} with ships);")
    print("   interval-censored fits per block; shape = looks ('free') or heterogeneity 1/nu, -1/alpha;")
    print("   '.. dB': L 4.4 and thermal noise of that level, whose mean the product has subtracted")
    fits = fits_of(counts)
    thresholds_db = np.arange(0.0, 10.0, 0.1)
    reference = max(fits.values(), key=lambda each: each.log_likelihood).mean_db
    pixels = int(counts.sum())
    # A DN is above a threshold when the lower edge of its interval is: thresholds are moved to such edges.
    edge = np.ceil((reference[:, None] + thresholds_db + 25.0) / DN_DB + 0.5).astype(int).clip(1, 255)
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    empirical = np.take_along_axis(above, edge, axis=1).sum(axis=0) / pixels
    curves = {}
    for name, found in fits.items():
        curve = np.zeros(thresholds_db.size)
        for index, law in enumerate(found.laws):
            mine = found.choice == index
            if mine.any():
                curve += law.above(EDGES_DB[edge[mine] - 1], found.mean_db[mine, None]).sum(axis=0) / len(counts)
        curves[name] = curve
    print(f"   {'dB':<6}{'pixels':>8}{'share':>10}" + "".join(f"{name:>16}" for name in curves) + "  (fit / share)")
    for k in range(0, thresholds_db.size, 5):
        if empirical[k] * pixels >= 5:
            row = "".join(f"{curve[k] / empirical[k]:>16.2f}" for curve in curves.values())
            print(f"   {thresholds_db[k]:<6.1f}{empirical[k] * pixels:>8.0f}{empirical[k]:>10.2e}{row}")
    noise_db = next(law.noise_db for each in fits.values() for law in each.laws if math.isfinite(law.noise_db))
    report_real_alarms(folder, noise_db)
    if out is not None:
        draw_exceedance(out / "irish_sea_exceedance.png", thresholds_db, empirical, curves, pixels)


def report_real_alarms(folder: Path, noise_db: float) -> None:
    """Alarm rates of the detectors on the same water, as it is and with the removed noise added back."""
    print("   alarms / nominal on the same rectangles where under 15 % of the ring is clipped (ships are in it):")
    rates = (1e-3, 1e-4, 1e-5, 1e-6)
    print(f"   {'detector':<16}{'intensity':<24}" + "".join(f"{rate:<10.0e}" for rate in rates))
    clutters: tuple[cl.Clutter, ...] = ("gamma", "k", "g0")
    for clutter in clutters:
        for trimmed, noise, factor in (
            (False, 0.0, 1.0),
            (True, 0.0, 1.0),
            (True, 10 ** (noise_db / 10), 1.0),
            (True, 10 ** (noise_db / 10), SPECKLE_FACTOR),
        ):
            cells = []
            for grow, seeds in zip(rates[::2], rates[1::2], strict=True):
                config = CfarConfig(
                    clutter=clutter,
                    trimmed=trimmed,
                    false_alarm_rate=seeds,
                    grow_rate=grow,
                    threshold_factor=factor,
                )
                found, tested = np.zeros(2), 0
                for tile, window in WATER.items():
                    with rasterio.open(next(iter(folder.glob(f"*_{tile}.tif")))) as source:
                        dn = source.read(1)[window]
                    intensity = (10 ** ((dn * DN_DB - 25.0) / 10.0) + noise).astype(np.float32)
                    level = cfar(intensity, np.ones(dn.shape, bool), config, unit_intensity=0.01).level
                    side = 2 * config.background_px + 1
                    seen = ndimage.uniform_filter((dn == 0).astype(np.float32), side) < CLIPPED_SHARE
                    found += [(level[seen] >= GROW).sum(), (level[seen] == ALARM).sum()]
                    tested += int(seen.sum())
                cells += [found[0] / tested / grow, found[1] / tested / seeds]
            name = clutter + ("-trimmed" if trimmed else "")
            what = (f"plus {noise_db:.2f} dB" if noise else "as it is") + (f", x {factor:g}" if factor != 1 else "")
            print(f"   {name:<16}{what:<24}" + "".join(f"{cell:<10.2f}" for cell in cells) + f"{tested} px")


def draw_exceedance(
    path: Path, thresholds_db: Floats, empirical: Floats, curves: dict[str, Floats], pixels: int
) -> None:
    """Exceedance curves, empirical with its Poisson band, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    seen = empirical > 0
    number = empirical[seen] * pixels
    low, high = stats.chi2.ppf(0.025, 2 * number) / 2 / pixels, stats.chi2.ppf(0.975, 2 * number + 2) / 2 / pixels
    axes.fill_between(thresholds_db[seen], low, high, color="0.8", label="95 % Poisson band")
    axes.semilogy(thresholds_db[seen], empirical[seen], "k.", markersize=4, label=f"Irish Sea water, {pixels:,} px")
    for (name, curve), style in zip(curves.items(), ("C0:", "C0--", "C1--", "C2--", "C3-", "C1-"), strict=True):
        axes.semilogy(thresholds_db, curve, style, label=f"{name}, fitted per block")
    axes.set_xlabel("threshold over the block mean, dB")
    axes.set_ylabel("share of pixels above")
    axes.set_ylim(1e-8, 1)
    axes.set_xlim(0, 10)
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title(
        "Sentinel-1 IW VV, 2023-06-15, 64-pixel blocks of open water\n(modified Copernicus Sentinel data 2023)"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"   drew {path}")


def main(argv: list[str] | None = None) -> int:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the exceedance plot; without it nothing is drawn")
    parser.add_argument("--fields", type=int, default=8, help="independent fields per figure")
    parser.add_argument("--only", choices=("rates", "speckle", "texture", "real"), help="one section")
    args = parser.parse_args(argv)
    sections: dict[str, Callable[[], None]] = {
        "rates": lambda: report_rates(args.fields),
        "speckle": lambda: report_speckle(args.fields),
        "texture": lambda: report_texture(args.fields),
        "real": lambda: report_real(args.out),
    }
    for name, run in sections.items():
        if args.only in (None, name):
            run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
