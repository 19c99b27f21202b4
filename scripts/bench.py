#!/usr/bin/env python3
"""Measure speed: one subcommand per subject, figures for this machine and this run.

Ratios are paired: every repeat runs all methods one after another, and the median of the repeats' ratios
is reported, so that a machine that is busy now and then does not decide the answer.

    python scripts/bench.py cfar
    python scripts/bench.py cfar --size 4096 --repeats 7 --json
    python scripts/bench.py scene --threads 2
    python scripts/bench.py fetch                 (needs nginx and the extra dev)
    python scripts/bench.py vessel                (with the extra fast and strait-observatory, where installed)
    python scripts/bench.py vessel --size 1024 --height 4000 --width 4000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage, stats
from shapely.geometry import MultiPolygon, Polygon

from imagery.geotiff import open_geotiff
from imagery.land import Land
from imagery.surface import map_surface
from models import clutter as cl
from models.cfar import CfarConfig, cfar, cfar_table
from models.detector import detect
from offing.detectors import DetectorChoice, make_detector

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


def bench_scene(args: argparse.Namespace) -> Report:
    """A whole Sentinel-1 GRD, 25,000 x 17,000 px in one polarisation, from disk to detections: time and peak memory.

    The file is made in a temporary folder (850 MB); the run is a process of its own, whose peak resident set is read
    from the operating system.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grd_vv.tif"
        _write_grd(path, (args.height, args.width))
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "detect-one", str(path), str(args.threads)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        seconds = time.perf_counter() - start
    found = json.loads(done.stdout)
    return {
        "subject": "scene",
        "shape": [args.height, args.width],
        "threads": args.threads,
        "detections": found["detections"],
        "seconds_in_all": round(seconds, 1),
        "seconds_surface": found["seconds_surface"],
        "seconds_detect": found["seconds_detect"],
        "peak_rss_gib": round(found["peak_kib"] / 2**20, 2),
    }


def bench_fetch(args: argparse.Namespace) -> Report:
    """See `scripts/bench_fetch.py`, which needs the servers of the tests."""
    import bench_fetch as subject

    return subject.bench_fetch(args, measure)


def bench_vessel(args: argparse.Namespace) -> Report:
    """See `scripts/bench_vessel.py`, which loads torch."""
    import bench_vessel as subject

    shape_hw = None if args.no_chain else (args.height, args.width)
    return subject.bench_vessel(args.size, args.repeats, args.threads, shape_hw)


def _write_grd(path: Path, shape_hw: tuple[int, int]) -> None:
    """Amplitudes as uint16 in blocks of 512, one patch of speckle over and over, with a ship in each."""
    rng = np.random.default_rng(0)
    patch = np.sqrt(cl.sample_clutter(rng, (1024, 1024), clutter="k", looks=4.4, heterogeneity=0.1)) * np.float32(50.0)
    patch[500:503, 480:500] = 2000.0
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": 1,
        "height": shape_hw[0],
        "width": shape_hw[1],
        "crs": "EPSG:32651",
        "transform": Affine(10, 0, 300000, 0, -10, 4300000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = ("VV",)
        dataset.update_tags(UNIT="amplitude", ACQUIRED="2019-05-12T09:38:00Z")
        for row in range(0, shape_hw[0], 1024):
            for col in range(0, shape_hw[1], 1024):
                height, width = min(1024, shape_hw[0] - row), min(1024, shape_hw[1] - col)
                part = patch[:height, :width].astype(np.uint16)
                dataset.write(part, 1, window=rasterio.windows.Window(col, row, width, height))


def detect_one(path: Path, threads: int) -> Report:
    """Detect in one file with land along its western edge, and report this process's peak memory."""
    scene = open_geotiff(path)
    height = scene.shape_hw[0]
    lon, lat = scene.geometry.lonlat([0, height, height, 0], [-500, -500, 500, 500])
    land = Land(polygons=MultiPolygon([Polygon(np.column_stack([lon, lat]))]), source="made up")
    start = time.perf_counter()
    surface = map_surface(scene, land)
    mapped = time.perf_counter()
    found = detect(scene, make_detector(DetectorChoice(name="cfar-trimmed"), scene), surface, land, workers=threads)
    return {
        "detections": len(found.detections),
        "seconds_surface": round(mapped - start, 1),
        "seconds_detect": round(time.perf_counter() - mapped, 1),
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
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
    if "results" not in report:
        return "\n".join(f"{name}: {value}" for name, value in report.items())
    windows = f"guard {report['guard_px']}, background {report['background_px']} px, " if "guard_px" in report else ""
    lines = [
        f"{report['subject']}: {report['unit']}, {report['shape'][0]} x {report['shape'][1]} px, {windows}"
        f"{report['repeats']} rounds",
        f"{report['machine']['processor']}, load {report['machine']['load_1min']}",
        f"{'method':<22}{'median':>10}{'best':>10}{'x ' + report['baseline']:>24}",
    ]
    for name, row in report["results"].items():
        lines.append(f"{name:<22}{row['median_mpx_s']:>10.2f}{row['best_mpx_s']:>10.2f}{row['ratio']:>24.2f}")
    for name in ("weights", "network_work_spared_by_cascade"):
        if name in report:
            lines.append(f"{name}: {report[name]}")
    for name, value in report.get("chain", {}).items():
        lines.append(f"chain, {name}: {value}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subjects = parser.add_subparsers(dest="subject", required=True)
    subject = subjects.add_parser("cfar", help="pixel CFAR, Mpx/s per method and against scipy")
    subject.add_argument("--size", type=int, default=3000, help="side of the square image, pixels")
    subject.set_defaults(run=bench_cfar)
    subject.add_argument("--repeats", type=int, default=5, help="rounds of all methods")
    subject = subjects.add_parser("scene", help="a whole GRD from disk: seconds and peak memory")
    subject.add_argument("--height", type=int, default=17_000, help="rows")
    subject.add_argument("--width", type=int, default=25_000, help="columns")
    subject.add_argument("--threads", type=int, default=2, help="threads of the detector")
    subject.set_defaults(run=bench_scene)
    subject = subjects.add_parser("fetch", help="windows of a COG over loopback, against plain rasterio and odc-stac")
    subject.add_argument("--size", type=int, default=6000, help="side of the square scene, pixels")
    subject.add_argument("--repeats", type=int, default=5, help="rounds of all methods")
    subject.set_defaults(run=bench_fetch)
    subject = subjects.add_parser("vessel", help="the vessel network in each engine, against others; a whole scene")
    subject.add_argument("--size", type=int, default=2048, help="side of the square scene in memory, pixels")
    subject.add_argument("--repeats", type=int, default=5, help="rounds of all methods")
    subject.add_argument("--height", type=int, default=17_000, help="rows of the scene on disk")
    subject.add_argument("--width", type=int, default=25_000, help="columns of the scene on disk")
    subject.add_argument("--threads", type=int, default=2, help="threads of the network")
    subject.add_argument("--no-chain", action="store_true", help="leave out the scene on disk")
    subject.set_defaults(run=bench_vessel)
    for each in subjects.choices.values():
        each.add_argument("--json", action="store_true", help="print JSON instead of a table")
    if argv is None and sys.argv[1:2] == ["detect-one"]:  # the process that bench_scene measures
        print(json.dumps(detect_one(Path(sys.argv[2]), int(sys.argv[3]))))
        return 0
    args = parser.parse_args(argv)
    report: Report = args.run(args) | {"machine": machine()}
    print(json.dumps(report, indent=2) if args.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
