"""Kill a fetch at a random instant, look at what it left, and fetch again. Run by the tests and by a campaign.

As a program it is the fetch that is killed: ``python tests/kill_fetch.py STORE_FOLDER LOG_FILE``. It prints the digest
of the pixels that it got.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from imagery.acquisition import StatedAcquisition
from imagery.aoi import AreaOfInterest
from imagery.fetchers.cache import CachedFetcher
from imagery.fetchers.cache.store import TileStore
from imagery.fetchers.cache.tile_file import tile_key
from imagery.fetchers.fake import FakeFetcher
from imagery.geometry import Grid
from imagery.scene import MemoryReader, Pixels, Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.tiling import tiles

ROOT = Path(__file__).resolve().parent.parent
TILE_PX = 96
SHAPE_HW = (4 * TILE_PX - 5, 5 * TILE_PX - 7)
WORKERS = 4
SOURCE_S = 0.01  # how long the source takes for a tile
DEADLINE_S = 60.0


def made_scene() -> Scene:
    """A scene of 20 tiles whose pixels follow from a seed; one tile has no data."""
    rng = np.random.default_rng(7)
    data = rng.gamma(4.4, 0.01, (2, *SHAPE_HW)).astype(np.float32)
    data[:, rng.random(SHAPE_HW) < 0.1] = np.nan
    data[:, TILE_PX : 2 * TILE_PX, :TILE_PX] = np.nan
    seen = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    return Scene(
        id="S1-killed",
        sensor=SENTINEL1_IW_GRD,
        bands=("vv", "vh"),
        unit="sigma0",
        geometry=Grid.from_crs("EPSG:32652", Affine(10, 0, 300000, 0, -10, 4200000), SHAPE_HW),
        acquisition=StatedAcquisition(time=seen, time_sigma_s=1.0),
        time=seen,
        reader=MemoryReader(pixels=Pixels(data=data, valid=~np.isnan(data))),
        provenance=Provenance(source="made", ids=("S1-killed",)),
    )


AREA = AreaOfInterest.from_bbox("all of it", 120.0, 30.0, 135.0, 45.0)


@dataclass(frozen=True, kw_only=True)
class LoggedReader:
    """A reader that takes its time and writes down each tile, in one write, before it reads it."""

    inner: object
    log: Path
    tile_px: int = TILE_PX

    def read(self, window):
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, f"{window.row} {window.col}\n".encode())
        os.close(handle)
        time.sleep(SOURCE_S)
        return self.inner.read(window)


@dataclass(frozen=True, kw_only=True)
class LoggedSource:
    """The made scene behind a `LoggedReader`."""

    log: Path
    fake: FakeFetcher
    identity: str = "killed"

    def search(self, area, start, end):
        return self.fake.search(area, start, end)

    def cost(self, ref, area):
        return self.fake.cost(ref, area)

    def fetch(self, ref, area):
        scene = self.fake.fetch(ref, area)
        return replace(scene, reader=LoggedReader(inner=scene.reader, log=self.log))


def fetch(folder: Path, log: Path) -> str:
    """Fetch the scene through a cache; the digest of its pixels."""
    fake = FakeFetcher(scenes=[made_scene()], tile_px=TILE_PX)
    cached = CachedFetcher(
        inner=LoggedSource(log=log, fake=fake), store=TileStore(folder=folder, limit_bytes=10**9), workers=WORKERS
    )
    (ref,) = cached.search(AREA, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    return digest_of(cached.fetch(ref, AREA).read())


def digest_of(pixels: Pixels) -> str:
    """Digest of pixels, NaN and all."""
    return hashlib.sha256(pixels.data.tobytes() + pixels.valid.tobytes()).hexdigest()


def reads(log: Path) -> list[str]:
    """The tiles that the source was asked for, in order."""
    return log.read_text().splitlines() if log.exists() else []


def complete(folder: Path) -> set[str]:
    """Tiles whose sidecar is there; fails where one of them is not whole. Checked with hashlib, json and rasterio."""
    scene = made_scene()
    home = TileStore(folder=folder, limit_bytes=1).scene("killed", scene.id).path
    whole = set()
    for tile in tiles(scene.window, tile_px=TILE_PX, halo_px=0):
        key = tile_key("killed", scene, tile.core, has_noise=False)
        if not (home / f"{key}.json").exists():
            continue
        about, path = json.loads((home / f"{key}.json").read_text()), home / f"{key}.tif"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"], f"{path} does not fit its sidecar"
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(), scene.read(tile.core).data)
        whole.add(f"{tile.core.row} {tile.core.col}")
    return whole


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What one kill showed.

    Attributes:
        reads_before: tiles asked for before the kill.
        complete: entries that were there after it.
        leftovers: unfinished files that it left.
        reads_after: tiles asked for by the fetch after it.
    """

    reads_before: int
    complete: int
    leftovers: int
    reads_after: int


def kill_once(folder: Path, seed: int) -> Killed:
    """Kill a fetch at an instant drawn from a seed, then hold the store to all that is promised.

    Raises:
        AssertionError: an entry is not whole, the next fetch gives other pixels or asks for a complete tile again, or a
            third one asks for anything.
    """
    rng = np.random.default_rng(seed)
    store, logs = folder / "store", [folder / f"reads-{run}.txt" for run in range(3)]
    after_reads, extra_s = int(rng.integers(0, 21)), float(rng.uniform(0.0, 0.02))
    child = subprocess.Popen(
        [sys.executable, __file__, str(store), str(logs[0])],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while len(reads(logs[0])) < after_reads and child.poll() is None:
            assert time.monotonic() < deadline, "the fetch did not get on"
            time.sleep(0.0005)
        time.sleep(extra_s)  # the random instant itself
    finally:
        child.kill()
        child.wait()
    before = complete(store)
    leftovers = [p for p in store.rglob(".*") if p.is_file() and p.suffix in (".tif", ".json")]
    expected = digest_of(made_scene().read())
    assert fetch(store, logs[1]) == expected, "the fetch after the kill gives other pixels"
    again = reads(logs[1])
    assert not before & set(again), f"tiles {before & set(again)} were complete and were fetched again"
    assert len(again) == len(set(again)), "a tile was fetched twice"
    assert len(complete(store)) == 20
    assert fetch(store, logs[2]) == expected
    assert reads(logs[2]) == [], "a complete scene was asked for again"
    assert not [p for p in store.rglob(".*") if p.suffix in (".tif", ".json")], "unfinished files were left"
    return Killed(
        reads_before=len(reads(logs[0])), complete=len(before), leftovers=len(leftovers), reads_after=len(again)
    )


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]), Path(sys.argv[2])))
