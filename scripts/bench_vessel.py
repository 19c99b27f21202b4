"""Speed of the vessel network: `scripts/bench.py vessel`.

Side by side in every round, per Mpx of scene and on one synthetic sea (K clutter with ships as dense as in xView3's
validation scenes): the network in each engine this machine has, from pixels in memory to merged peaks; the same behind
the cascade; torchvision's Faster R-CNN R50-FPN on one window, which nothing is resized in; strait-observatory (PyPI) on
the VV band. Then the whole chain in a process of its own: a two-band GeoTIFF of 16-bit numbers, read in windows, set to
sigma0, surface mapped, and searched; seconds and peak memory.

Weights: the shipped ones for Sentinel-1 IW; where there are none, random ones of the same size, and the report says so.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
import torch
from affine import Affine
from numpy.typing import NDArray

from imagery.acquire import acquisition_for
from imagery.geometry import Grid
from imagery.geotiff import open_geotiff
from imagery.scene import MemoryReader, Pixels, Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.surface import SurfaceMap, map_surface
from models import clutter as cl
from models.vessel.cascade import Sieve, Work
from models.vessel.decode import LEAST_LOGIT
from models.vessel.engines import FASTEST, Engine, engine_report, make_engine
from models.vessel.inputs import InputCurve
from models.vessel.network import NetworkConfig, VesselNet
from models.vessel.scene import TILE_PX, scene_peaks
from models.vessel.weights import SHIPPED, load_weights

Report = dict[str, Any]

SHIPS_PER_MPX = 384 / 655  # xView3 validation: objects in a scene, on average
DB_STEP, DB_FLOOR = 0.01, -60.0  # sigma0 in dB = number in the file * step + floor
PATCH_PX = 2048
BASELINE = "faster-rcnn-r50-fpn"
_UTM = Affine(10, 0, 300000, 0, -10, 4300000)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A network with its input and what it is."""

    net: VesselNet
    curve: InputCurve
    hull_share: float
    said: str


def weights() -> Weights:
    """The shipped weights for Sentinel-1 IW, or random ones of their size."""
    path = SHIPPED / "sar-iw.safetensors"
    if path.is_file():
        net, record = load_weights(path)
        return Weights(net=net, curve=record.curve, hull_share=record.hull_share, said=f"sar-iw {record.sha256[:8]}")
    torch.manual_seed(0)
    net = VesselNet(NetworkConfig(inputs=4, widths=(32, 64, 96), blocks=(1, 2, 2))).eval().requires_grad_(False)
    net.get_parameter("head.1.bias")[0] -= 4.0  # as quiet as a trained one
    curve = InputCurve(kind="sigma0_db", bands=("vv", "vh"), middle=(-17.0, -23.0))
    return Weights(net=net, curve=curve, hull_share=0.5, said="random weights: sar-iw is not there yet")


def sea(shape_hw: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    """(2, h, w) sigma0 of VV at -18 dB and VH at -26 dB: K clutter with ships 20 dB over it."""
    rng = np.random.default_rng(seed)
    levels = np.array([10**-1.8, 10**-2.6], np.float32)[:, None, None]
    bands = [cl.sample_clutter(rng, shape_hw, clutter="k", looks=4.4, heterogeneity=0.1) for _ in levels]
    data = np.stack(bands).astype(np.float32) * levels
    for _ in range(round(SHIPS_PER_MPX * shape_hw[0] * shape_hw[1] / 1e6)):
        row, col = (int(rng.integers(0, n - 12)) for n in shape_hw)
        data[:, row : row + 3, col : col + 9] *= np.float32(100.0)
    return data


def scene_of(data: NDArray[np.float32]) -> Scene:
    """The sea as a scene in memory."""
    grid = Grid.from_crs("EPSG:32651", _UTM, data.shape[1:])
    return Scene(
        id="synthetic",
        sensor=SENTINEL1_IW_GRD,
        bands=("vv", "vh"),
        unit="sigma0",
        geometry=grid,
        acquisition=acquisition_for(SENTINEL1_IW_GRD.name, None, np.inf, grid),
        time=None,
        reader=MemoryReader(pixels=Pixels(data=data, valid=np.isfinite(data))),
        provenance=Provenance(source="simulated", ids=("synthetic",)),
    )


def search(
    scene: Scene,
    surface: SurfaceMap,
    given: Weights,
    engine: Engine,
    sieve: Sieve | None = None,
    work: Work | None = None,
) -> int:
    """Number of peaks in a scene."""
    found = scene_peaks(
        scene,
        engine,
        given.curve,
        surface,
        hull_share=given.hull_share,
        least_logit=LEAST_LOGIT,
        sieve=sieve,
        work=work,
    )
    return len(found)


def faster_rcnn(side_px: int) -> Callable[[], object]:
    """Faster R-CNN R50-FPN of torchvision with two classes and random weights on one window, not resized."""
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=side_px, max_size=side_px
    ).eval()
    image = torch.rand(3, side_px, side_px)

    def run() -> object:
        with torch.inference_mode():
            return model([image])

    return run


def strait(data: NDArray[np.float32]) -> Callable[[], object]:
    """strait-observatory's trimmed CFAR, balanced, on the VV band."""
    from strait.detect import detect_vessels  # type: ignore[import-untyped]

    land = np.zeros(data.shape[1:], bool)

    def run() -> object:
        return detect_vessels([data[0]], ["20190512"], land, shape=data.shape[1:])

    return run


def side_by_side(size: int, repeats: int, threads: int) -> Report:
    """Seconds per Mpx of all methods, and how many times faster than `BASELINE` in the same round."""
    torch.set_num_threads(threads)
    given, data = weights(), sea((size, size))
    scene = scene_of(data)
    surface = map_surface(scene, None)
    mpx, window_px = size * size / 1e6, min(size, 1024)
    methods: dict[str, tuple[float, Callable[[], object]]] = {}
    for status in engine_report():
        if status.available:
            engine = make_engine(status.name, given.net)
            methods[status.name] = mpx, lambda engine=engine: search(scene, surface, given, engine)  # type: ignore[misc]
    sieve, work = Sieve.prepare(scene, surface), Work()
    reference = make_engine("torch", given.net)
    methods["cascade, torch"] = mpx, lambda: search(scene, surface, given, reference, sieve, work)
    methods[BASELINE] = window_px**2 / 1e6, faster_rcnn(window_px)
    if find_spec("strait") is not None:
        methods["strait-observatory"] = mpx, strait(data)
    for _, call in methods.values():
        call()  # compile, or load the compiled code
    work.seen_px = work.whole_px = 0
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, (each_mpx, call) in methods.items():
            start = time.perf_counter()
            call()
            taken[name].append((time.perf_counter() - start) / each_mpx)
    return {
        "weights": given.said,
        "network_work_spared_by_cascade": round(work.times_less, 1),
        "results": {
            name: {
                "median_mpx_s": 1.0 / statistics.median(each),
                "best_mpx_s": 1.0 / min(each),
                "ratio": statistics.median(b / t for b, t in zip(taken[BASELINE], each, strict=True)),
            }
            for name, each in taken.items()
        },
    }


def write_grd(path: Path, shape_hw: tuple[int, int]) -> None:
    """VV and VH as 16-bit dB numbers in blocks of 512, one patch of sea over and over, with ships in each."""
    decibels = 10.0 * np.log10(np.maximum(sea((PATCH_PX, PATCH_PX)), np.float32(1e-6)))
    patch = np.round((decibels - DB_FLOOR) / DB_STEP).astype(np.uint16)
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": 2,
        "height": shape_hw[0],
        "width": shape_hw[1],
        "crs": "EPSG:32651",
        "transform": _UTM,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "BIGTIFF": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = ("VV", "VH")
        dataset.update_tags(UNIT=f"dB = DN * {DB_STEP} - {-DB_FLOOR}", ACQUIRED="2019-05-12T09:38:00Z")
        for row in range(0, shape_hw[0], PATCH_PX):
            for col in range(0, shape_hw[1], PATCH_PX):
                height, width = min(PATCH_PX, shape_hw[0] - row), min(PATCH_PX, shape_hw[1] - col)
                window = rasterio.windows.Window(col, row, width, height)
                dataset.write(patch[:, :height, :width], window=window)


def whole_chain(shape_hw: tuple[int, int], threads: int, engine: str) -> Report:
    """Read, calibrate and detect in one file, plain and behind the cascade, each in a process of its own."""
    out: Report = {"shape": list(shape_hw), "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grd_vv_vh.tif"
        write_grd(path, shape_hw)
        for name in dict.fromkeys(("torch", engine)):
            for cascade in (False, True):
                done = subprocess.run(
                    [sys.executable, __file__, str(path), str(threads), name, str(int(cascade))],
                    capture_output=True,
                    text=True,
                    check=True,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                        "OMP_NUM_THREADS": str(threads),
                    },
                )
                out[f"{name}, cascade" if cascade else name] = json.loads(done.stdout)
    return out


def detect_one(path: Path, threads: int, engine_name: str, *, cascade: bool) -> Report:
    """Search one file, and report this process's time and peak memory."""
    start = time.perf_counter()
    torch.set_num_threads(threads)
    given = weights()
    engine = make_engine(engine_name, given.net)
    scene = open_geotiff(path)
    opened = time.perf_counter()
    surface = map_surface(scene, None)
    mapped, cpu_before = time.perf_counter(), time.process_time()
    work = Work()
    sieve = Sieve.prepare(scene, surface) if cascade else None
    found = search(scene, surface, given, engine, sieve, work)
    return {
        "engine": engine.name,
        "peaks": found,
        "seconds_open": round(opened - start, 1),
        "seconds_surface": round(mapped - opened, 1),
        "seconds_detect": round(time.perf_counter() - mapped, 1),
        "network_work_spared": round(work.times_less, 1),
        "cpu_seconds_detect": round(time.process_time() - cpu_before, 1),
        "cpu_seconds_in_all": round(time.process_time(), 1),
        "peak_rss_gib": round(_peak_kib() / 2**20, 2),
    }


def _peak_kib() -> int:
    """Peak resident set of this process alone, KiB; getrusage starts from the size of the process that started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bench_vessel(size: int, repeats: int, threads: int, shape_hw: tuple[int, int] | None) -> Report:
    """Side by side, then the whole chain unless it is left out."""
    report: Report = {
        "subject": "vessel",
        "unit": f"Mpx/s of scene with {threads} threads, windows of {TILE_PX} px",
        "shape": [size, size],
        "repeats": repeats,
        "baseline": BASELINE,
        **side_by_side(size, repeats, threads),
    }
    if shape_hw is not None:
        fastest = make_engine(FASTEST, weights().net).name
        report["chain"] = whole_chain(shape_hw, threads, fastest)
    return report


if __name__ == "__main__":  # the process that whole_chain measures
    file, n, engine_asked, with_cascade = sys.argv[1:]
    print(json.dumps(detect_one(Path(file), int(n), engine_asked, cascade=with_cascade == "1")))
