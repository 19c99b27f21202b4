#!/usr/bin/env python3
"""Measure speed: one subcommand per subject, figures for this machine and this run.

Ratios are paired: every repeat runs all methods one after another, and the median of the repeats' ratios
is reported, so that a machine that is busy now and then does not decide the answer.

    python scripts/bench.py cfar
    python scripts/bench.py cfar --size 4096 --repeats 7 --json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from models import clutter as cl
from models.cfar import CfarConfig, cfar, cfar_table

Report = dict[str, Any]


def two_parameter_cfar(intensity: NDArray[np.float32], *, guard_px: int, background_px: int) -> NDArray[np.bool_]:
    """Textbook comparator: x > mean + norm.isf(P) * sigma of a square ring, by scipy.ndimage.uniform_filter.

    Generous to scipy: no mask and no counts, float32 throughout; it costs four filters.

    Args:
        intensity: float32 (h, w), linear.
        guard_px: half-width of the guard box, pixels.
        background_px: half-width of the outer box, pixels.

    Returns:
        Alarms, bool (h, w).
    """
    outer, guard = 2 * background_px + 1, 2 * guard_px + 1
    pixels = outer**2 - guard**2

    def ring_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = ndimage.uniform_filter(values, outer, mode="constant")
        inner = ndimage.uniform_filter(values, guard, mode="constant")
        return np.asarray((whole * np.float32(outer**2) - inner * np.float32(guard**2)) / np.float32(pixels))

    mean = ring_mean(intensity)
    variance = ring_mean(intensity * intensity) - mean * mean
    k = np.float32(stats.norm.isf(1e-7))
    return np.asarray(intensity > mean + k * np.sqrt(np.maximum(variance, np.float32(0.0))))


def measure(methods: dict[str, Callable[[], object]], *, baseline: str, pixels: int, repeats: int) -> Report:
    """Time the methods in turn, `repeats` times, on one thread.

    Args:
        methods: name to call.
        baseline: name of the method that ratios are against.
        pixels: pixels each call handles.
        repeats: rounds.

    Returns:
        Per method: median and best Mpx/s, median ratio of speeds to the baseline in the same round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, call in methods.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {
            "median_mpx_s": pixels / statistics.median(taken) / 1e6,
            "best_mpx_s": pixels / min(taken) / 1e6,
            "ratio": statistics.median(b / t for b, t in zip(seconds[baseline], taken, strict=True)),
        }
        for name, taken in seconds.items()
    }


def bench_cfar(args: argparse.Namespace) -> Report:
    """Pixel CFAR per method on K clutter (nu 5) with ships and a no-data wedge, default windows."""
    rng = np.random.default_rng(0)
    shape = (args.size, args.size)
    intensity = cl.sample_clutter(rng, shape, clutter="k", looks=4.4, heterogeneity=0.2) * np.float32(0.01)
    for row, col in rng.integers(0, args.size - 12, (args.size * args.size // 20_000, 2)):
        intensity[row : row + 3, col : col + 12] *= np.float32(100.0)
    valid = np.add.outer(np.arange(args.size), np.arange(args.size)) > args.size // 4
    methods: dict[str, Callable[[], object]] = {}
    for clutter in ("gamma", "k", "g0"):
        for trimmed in (False, True):
            config = CfarConfig(clutter=clutter, trimmed=trimmed)
            cfar_table(config)
            cfar(intensity[:64], valid[:64], config, unit_intensity=0.01)  # compile, or load the compiled code
            methods[f"{clutter}{'-trimmed' if trimmed else ''}"] = lambda config=config: cfar(  # type: ignore[misc]
                intensity, valid, config, unit_intensity=0.01
            )
    windows = CfarConfig()
    baseline = "scipy-two-parameter"
    methods[baseline] = lambda: two_parameter_cfar(
        intensity, guard_px=windows.guard_px, background_px=windows.background_px
    )
    results = measure(methods, baseline=baseline, pixels=intensity.size, repeats=args.repeats)
    return {
        "subject": "cfar",
        "unit": "Mpx/s per core and polarisation",
        "shape": list(shape),
        "guard_px": windows.guard_px,
        "background_px": windows.background_px,
        "repeats": args.repeats,
        "baseline": baseline,
        "results": results,
    }


def machine() -> Report:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def table(report: Report) -> str:
    """Report as text."""
    lines = [
        f"{report['subject']}: {report['unit']}, {report['shape'][0]} x {report['shape'][1]} px, "
        f"guard {report['guard_px']}, background {report['background_px']} px, {report['repeats']} rounds",
        f"{report['machine']['processor']}, load {report['machine']['load_1min']}",
        f"{'method':<22}{'median':>10}{'best':>10}{'x ' + report['baseline']:>24}",
    ]
    for name, row in report["results"].items():
        lines.append(f"{name:<22}{row['median_mpx_s']:>10.1f}{row['best_mpx_s']:>10.1f}{row['ratio']:>24.1f}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subjects = parser.add_subparsers(dest="subject", required=True)
    subject = subjects.add_parser("cfar", help="pixel CFAR, Mpx/s per method and against scipy")
    subject.add_argument("--size", type=int, default=3000, help="side of the square image, pixels")
    subject.set_defaults(run=bench_cfar)
    for each in subjects.choices.values():
        each.add_argument("--repeats", type=int, default=5, help="rounds of all methods")
        each.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    report: Report = args.run(args) | {"machine": machine()}
    print(json.dumps(report, indent=2) if args.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
