"""Speed of reading one scene over loopback HTTP: `scripts/bench.py fetch`.

nginx serves one two-band scene as COGs, rustac lists it. All of its tiles are read by plain rasterio (each file opened
once, numbers as they are; also as values and mask), by the STAC source (header, tiles, values and mask), and by
odc-stac (one load). Every call reads under addresses of its own, so that none profits from what GDAL keeps of another.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from imagery.aoi import AreaOfInterest
from imagery.fetchers.base import SceneRef
from imagery.fetchers.remote import TILE_PX
from imagery.fetchers.stac import StacSource
from imagery.geometry import Window
from imagery.tiling import tiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the servers of the tests

from tests.servers.nginx import program, serving
from tests.servers.process import HOST, answers, free_port, running
from tests.stac_builder import item_of_files, write_cog, write_items

Report = dict[str, Any]
Measure = Callable[..., Report]

BANDS = ("vv", "vh")
_BASELINE = "rasterio"
_GRID = Affine(10, 0, 300000, 0, -10, 4300000)
_TIME, _ORBIT = datetime(2023, 6, 11, 9, 48, tzinfo=UTC), 98  # a pass of Sentinel-1 over the place of the grid
_SPAN = (_TIME - timedelta(days=1), _TIME + timedelta(days=1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subject."""
    parser.add_argument("--size", type=int, default=6000, help="side of the square scene, pixels")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of all methods")


def bench_fetch(args: argparse.Namespace, measure: Measure) -> Report:
    """Read every tile of a scene over loopback.

    Args:
        args: see `add_arguments`.
        measure: times methods in turn, as `scripts/bench.py` has it.
    """
    missing = [name for name, found in {"nginx": program(), "rustac": _rustac()}.items() if found is None]
    if missing:
        raise SystemExit(f"this needs {' and '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder), args.size, 4 * (args.repeats + 1)) as copies:
        fresh = iter(copies)
        methods = {
            _BASELINE: lambda: _by_rasterio(next(fresh), args.size),
            "rasterio, masked float32": lambda: _by_rasterio(next(fresh), args.size, masked=True, out_dtype="float32"),
            "stac source": lambda: _by_source(next(fresh), args.size),
            "odc-stac": lambda: _by_odc(next(fresh), args.size),
        }
        sums = {name: sum(float(part.sum(dtype=float)) for part in method()) for name, method in methods.items()}
        if len(set(sums.values())) > 1:  # the first call, which loads libraries, is checked and not timed
            raise SystemExit(f"the methods read different pixels: {sums}")
        results = measure(methods, baseline=_BASELINE, pixels=len(BANDS) * args.size**2, repeats=args.repeats)
    return {
        "subject": "fetch",
        "unit": "Mpx/s over loopback, both polarisations",
        "shape": [args.size, args.size],
        "tile_px": TILE_PX,
        "repeats": args.repeats,
        "baseline": _BASELINE,
        "results": results,
    }


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The scene under addresses that one call alone reads."""

    source: StacSource
    ref: SceneRef
    item: dict[str, Any]
    hrefs: tuple[str, ...]


@contextmanager
def _served(folder: Path, size: int, count: int) -> Iterator[list[Copy]]:
    """The scene many times over, as hard links of one file."""
    rng = np.random.default_rng(0)
    amplitude = {band: np.sqrt(rng.gamma(4.4, 90.0, (size, size))).astype(np.uint16) + 1 for band in BANDS}
    with serving(folder) as nginx:
        files = {band: write_cog(folder / f"{band}.tif", data, transform=_GRID) for band, data in amplitude.items()}
        items = []
        for index in range(count):
            copy = nginx.root / str(index)
            copy.mkdir()
            linked = {band: copy / f"{band}.tif" for band in BANDS}
            for band, path in linked.items():
                path.hardlink_to(files[band])
            stated = {"scale": 1.0, "offset": 0.0, "unit": "amplitude", "nodata": 0}
            items.append(
                item_of_files(
                    f"copy-{index}",
                    linked,
                    nginx.plain,
                    root=nginx.root,
                    time=_TIME,
                    stated=stated,
                    sat__relative_orbit=_ORBIT,
                )
            )
        port = free_port()
        command = [
            *(_rustac(), "serve", "--create-collections", "--addr", f"{HOST}:{port}"),
            write_items(folder / "items.json", items),
        ]
        url = f"http://{HOST}:{port}"
        with running(command, folder / "rustac.log", ready=answers(url)):
            source = StacSource(url=url)
            area = AreaOfInterest.from_geojson("scene", items[0]["geometry"])
            refs = {ref.id: ref for ref in source.search(area, *_SPAN)}
            yield [
                Copy(
                    source=source,
                    ref=refs[item["id"]],
                    item=item,
                    hrefs=tuple(item["assets"][band]["href"] for band in BANDS),
                )
                for item in items
            ]


def _windows(size: int) -> Iterator[Window]:
    whole = Window(row=0, col=0, height=size, width=size)
    return (tile.core for tile in tiles(whole, tile_px=TILE_PX, halo_px=0))


def _by_rasterio(copy: Copy, size: int, **how: Any) -> list[NDArray[Any]]:
    parts = []
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        for href in copy.hrefs:
            with rasterio.open(href) as dataset:
                for w in _windows(size):
                    parts.append(dataset.read(1, window=RasterioWindow(w.col, w.row, w.width, w.height), **how))
    return parts


def _by_source(copy: Copy, size: int) -> list[NDArray[Any]]:
    scene = copy.source.fetch(copy.ref, AreaOfInterest(name="scene", polygon=copy.ref.footprint))
    return [scene.read(window).data for window in _windows(size)]


def _by_odc(copy: Copy, size: int) -> list[NDArray[Any]]:
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    geobox = GeoBox((size, size), _GRID, "EPSG:32651")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations in odc-geo
        item = pystac.Item.from_dict(copy.item)
        loaded = odc.stac.load([item], bands=list(BANDS), geobox=geobox, groupby="id", fail_on_error=True)
    return [loaded[band].values for band in BANDS]


def _rustac() -> str | None:
    path = Path(sys.executable).parent / "rustac"
    return str(path) if path.is_file() else None


def main() -> int:
    """Run on its own."""
    from bench import measure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    print(json.dumps(bench_fetch(parser.parse_args(), measure), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
