import hashlib
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from imagery.acquisition import StatedAcquisition
from imagery.aoi import AreaOfInterest
from imagery.errors import CredentialsError, FetchError, QuotaError, RasterError, SourceError
from imagery.fetchers.base import Cost
from imagery.fetchers.cache import CachedFetcher
from imagery.fetchers.cache.locks import Lease, alone, alone_at_once
from imagery.fetchers.cache.store import TileStore
from imagery.fetchers.fake import FakeFetcher
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import GcpGrid, Grid, Window, footprint
from imagery.geotiff import open_geotiff
from imagery.scene import MemoryReader, Pixels
from imagery.thermal_noise import with_thermal_noise
from tests import kill_fetch
from tests.fetcher_contract import ALWAYS, check_fetcher
from tests.support import UTM, noise_scene

SHAPE_HW = (200, 330)
GRID = Grid.from_crs("EPSG:32651", UTM, SHAPE_HW)
FIJI = Grid.from_crs("EPSG:4326", Affine(1e-4, 0, 179.98, 0, -1e-4, -16.5), SHAPE_HW)
POINTS = GcpGrid(
    gcp_rows=(0.0, 0.0, 200.0, 200.0, 100.0),
    gcp_cols=(0.0, 330.0, 0.0, 330.0, 165.0),
    gcp_lon=(125.0, 125.033, 125.001, 125.0341, 125.017),
    gcp_lat=(37.0, 36.999, 36.98, 36.979, 36.9896),
    shape_hw=SHAPE_HW,
)
ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 30.0


def whole(geometry):
    west, south, east, north = AreaOfInterest(name="a", polygon=footprint(geometry)).unwrapped.bounds
    return AreaOfInterest.from_bbox("whole", west, south, east if east <= 180 else east - 360, north)


def scene_named(name, *, hours=0, seed=0, geometry=GRID):
    scene = noise_scene(geometry, seed=seed)
    when = scene.time + timedelta(hours=hours)
    return replace(scene, id=name, time=when, acquisition=StatedAcquisition(time=when, time_sigma_s=1.0))


@dataclass
class Bench:
    """A fake source before a store in a folder."""

    folder: Path
    scenes: list = field(default_factory=lambda: [scene_named("one")])
    tile_px: int = 100
    limit_bytes: int = 10**9
    workers: int = 4
    failures: dict = field(default_factory=dict)

    def __post_init__(self):
        self.fake = FakeFetcher(scenes=self.scenes, tile_px=self.tile_px, failures=self.failures)
        self.store = TileStore(folder=self.folder, limit_bytes=self.limit_bytes)
        self.told = []
        self.cached = CachedFetcher(
            inner=self.fake, store=self.store, workers=self.workers, progress=lambda *done: self.told.append(done)
        )

    def fetch(self, name="one", area=None):
        area = area or whole(self.scenes[0].geometry)
        ref = next(r for r in self.cached.search(area, *ALWAYS) if r.id == name)
        return self.cached.fetch(ref, area)

    def cost(self, area=None):
        area = area or whole(self.scenes[0].geometry)
        return self.cached.cost(self.cached.search(area, *ALWAYS)[0], area)

    @property
    def home(self):
        return self.store.scene("fake", "one").path


def same(pixels, expected):
    np.testing.assert_array_equal(pixels.valid, expected.valid)
    np.testing.assert_array_equal(pixels.data, expected.data)


def tile_files(folder):
    return sorted(folder.rglob("*.tif"))


def size_of(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and p.name != ".total")


@pytest.mark.parametrize("geometry", [GRID, POINTS, FIJI], ids=["affine", "points", "across 180"])
def test_a_cached_scene_is_the_source_s_own(tmp_path, geometry):
    scene = replace(noise_scene(geometry, clip_value=0.0025), id="one")
    got = Bench(tmp_path, [scene]).fetch()
    same(got.read(), scene.read())
    window = Window(row=-5, col=90, height=130, width=300)
    same(got.read(window), scene.read(window))
    for name in ("id", "sensor", "bands", "unit", "geometry", "time", "clip_value"):
        assert getattr(got, name) == getattr(scene, name)
    here, there = scene.acquisition.at([3, 150], [5, 200]), got.acquisition.at([3, 150], [5, 200])
    for name in ("time", "incidence_deg", "slant_range_m", "look_azimuth_deg", "time_sigma_s"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
    assert got.provenance.ids[:2] == scene.provenance.ids
    assert got.provenance.missing == ()
    for name, digest in list(zip(got.provenance.ids, got.provenance.sha256, strict=True))[2:]:
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("geometry", [GRID, POINTS, FIJI], ids=["affine", "points", "across 180"])
def test_the_cache_holds_to_the_contract_cold_and_warm(tmp_path, geometry):
    scenes = [scene_named("later", geometry=geometry), scene_named("earlier", hours=-12, seed=1, geometry=geometry)]
    for _ in range(2):
        bench = Bench(tmp_path, scenes)
        elsewhere = AreaOfInterest.from_bbox("elsewhere", 10, 10, 11, 11)
        check_fetcher(bench.cached, whole(geometry), elsewhere=elsewhere, at_least=2)


def test_a_second_fetch_asks_nobody(tmp_path):
    first = Bench(tmp_path)
    expected = first.fetch()
    assert len(first.fake.reads) == len(set(first.fake.reads)) == 8
    second = Bench(tmp_path, workers=1)
    got = second.fetch()
    assert (second.fake.fetched, second.fake.reads) == ([], [])
    same(got.read(), expected.read())
    assert got.provenance == expected.provenance


def test_each_tile_is_a_file_that_any_viewer_opens(tmp_path):
    bench = Bench(tmp_path)
    scene, got = bench.scenes[0], bench.fetch()
    seen = []
    for name in got.provenance.ids[2:]:
        with rasterio.open(tmp_path / name) as dataset:
            assert dataset.crs.to_epsg() == 32651
            assert dataset.descriptions == ("vv", "vh")
            col, row = ~UTM @ (dataset.bounds.left, dataset.bounds.top)
            window = Window(row=round(row), col=round(col), height=dataset.height, width=dataset.width)
            np.testing.assert_array_equal(dataset.read(), scene.read(window).data)
            seen.append(window)
        tile = open_geotiff(tmp_path / name)
        assert (tile.bands, tile.unit, tile.time) == (scene.bands, scene.unit, scene.time)
    assert seen == list(wanted_tiles(GRID, 100, whole(GRID)))


def part(bench, first_col, last_col):
    """An area over some columns of the scene."""
    lon, lat = bench.scenes[0].geometry.lonlat([190, 10], [first_col, last_col])
    return AreaOfInterest.from_bbox("part", float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1]))


def test_only_tiles_near_the_area_are_fetched_and_the_rest_is_not_observed(tmp_path):
    geometry = Grid.from_crs("EPSG:32651", UTM, (200, 1000))
    bench = Bench(tmp_path, [scene_named("one", geometry=geometry)])
    got = bench.fetch(area=part(bench, 20, 60))
    assert {w.col for _, w in bench.fake.reads} == {0, 100}  # 60 + 100 px of margin
    same(
        got.read(Window(row=0, col=0, height=200, width=200)),
        bench.scenes[0].read(Window(row=0, col=0, height=200, width=200)),
    )
    assert not got.read(Window(row=0, col=200, height=200, width=800)).valid.any()


class Cropping(FakeFetcher):
    """A source that gives, as Sentinel Hub does, only the tiles of a global grid around the area."""

    def fetch(self, ref, area):
        scene = super().fetch(ref, area)
        windows = wanted_tiles(scene.geometry, self.tile_px, area)
        first = min(w.row for w in windows), min(w.col for w in windows)
        last = max(w.row + w.height for w in windows), max(w.col + w.width for w in windows)
        window = Window(row=first[0], col=first[1], height=last[0] - first[0], width=last[1] - first[1])
        geometry = scene.geometry.crop(window)
        if isinstance(geometry, Grid):  # made anew from numbers of its own, as a server would
            x, y = geometry.transform @ (0, 0)
            a, e = geometry.transform.a, geometry.transform.e
            geometry = replace(geometry, transform=Affine(a, 0, round(x / a) * a, 0, e, round(y / e) * e))
        reader = Shifted(scene=scene, window=window)
        return replace(scene, geometry=geometry, reader=reader)


@dataclass(frozen=True, kw_only=True)
class Shifted:
    scene: object
    window: Window

    @property
    def tile_px(self):
        return self.scene.reader.tile_px

    def read(self, window):
        return self.scene.reader.read(
            replace(window, row=window.row + self.window.row, col=window.col + self.window.col)
        )


@pytest.mark.parametrize(
    "geometry",
    [
        Grid.from_crs("EPSG:32651", UTM, (200, 1000)),
        Grid.from_crs(
            "EPSG:4326", Affine(7e-4 / 9, 0, 300001 * (7e-4 / 9), 0, -1e-3 / 11, 30007 * (1e-3 / 11)), (200, 1000)
        ),
        replace(
            POINTS,
            shape_hw=(200, 1000),
            gcp_lon=(125.0, 125.1, 125.001, 125.101, 125.05),
            gcp_cols=(0.0, 1000.0, 0.0, 1000.0, 500.0),
        ),
    ],
    ids=["utm", "odd fractions of degrees", "points"],
)
def test_areas_that_overlap_share_their_tiles(tmp_path, geometry):
    fake = Cropping(scenes=[scene_named("one", geometry=geometry)], tile_px=100)
    cached = CachedFetcher(inner=fake, store=TileStore(folder=tmp_path, limit_bytes=10**9))
    bench = Bench(tmp_path, fake.scenes)
    (ref,) = cached.search(whole(geometry), *ALWAYS)
    cached.fetch(ref, part(bench, 120, 500))
    before = set(fake.reads)
    area = part(bench, 350, 800)
    got = cached.fetch(ref, area)
    assert len(fake.reads) == len(set(fake.reads))
    assert set(fake.reads) - before
    assert before & {("one", w) for w in wanted_tiles(geometry, 100, area)}
    row, col = (round(float(v)) for v in got.geometry.rowcol(*geometry.lonlat(100, 550)))
    same(
        got.read(Window(row=row, col=col, height=9, width=9)),
        fake.scenes[0].read(Window(row=100, col=550, height=9, width=9)),
    )


def poisoned(home, kind):
    """Spoil one of the tiles of a scene in a certain way; its key."""
    path = tile_files(home)[2]
    sidecar, other = path.with_suffix(".json"), tile_files(home)[3]
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage of the same size":
        path.write_bytes(b"<html>" + os.urandom(len(content) - 6))
    elif kind == "one bit":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif kind == "gone":
        path.unlink()
    elif kind == "garbage with a digest that fits":
        about = json.loads(sidecar.read_text())
        path.write_bytes(b"no raster")
        sidecar.write_text(json.dumps({**about, "bytes": 9, "sha256": hashlib.sha256(b"no raster").hexdigest()}))
    elif kind == "another shape with a digest that fits":
        about = json.loads(sidecar.read_text())
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=3, width=3, dtype="uint8", crs="EPSG:4326", transform=UTM
        ) as dataset:
            dataset.write(np.ones((1, 3, 3), np.uint8))
        content = path.read_bytes()
        sidecar.write_text(json.dumps({**about, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}))
    elif kind == "sidecar missing":
        sidecar.unlink()
    elif kind == "sidecar broken":
        sidecar.write_text('{"sha256": "')
    elif kind == "sidecar empty":
        sidecar.write_text("")
    elif kind == "sidecar of another kind":
        sidecar.write_text("[1, 2]")
    elif kind == "sidecar of another tile":
        sidecar.write_bytes(other.with_suffix(".json").read_bytes())
    elif kind == "another tile":
        sidecar.write_bytes(other.with_suffix(".json").read_bytes())
        path.write_bytes(other.read_bytes())
    return path.stem


@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "empty",
        "garbage of the same size",
        "one bit",
        "gone",
        "garbage with a digest that fits",
        "another shape with a digest that fits",
        "sidecar missing",
        "sidecar broken",
        "sidecar empty",
        "sidecar of another kind",
        "sidecar of another tile",
        "another tile",
    ],
)
def test_poisoned_tiles_are_fetched_again_and_no_other(tmp_path, caplog, kind):
    Bench(tmp_path).fetch()
    key = poisoned(Bench(tmp_path).home, kind)
    bench = Bench(tmp_path)
    same(bench.fetch().read(), bench.scenes[0].read())
    assert len(bench.fake.reads) == 1
    assert kind == "sidecar missing" or key in caplog.text
    again = Bench(tmp_path)
    again.fetch()
    assert again.fake.reads == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"header": {}, "sha256": "0"}', None])
def test_poisoned_headers_are_fetched_again(tmp_path, damage):
    Bench(tmp_path).fetch()
    (header,) = Bench(tmp_path).home.glob("header-*.json")
    if damage is None:
        damage = header.read_bytes().replace(b"4200000", b"4300000")
    header.write_bytes(damage)
    bench = Bench(tmp_path)
    got = bench.fetch()
    assert bench.fake.fetched == ["one"]
    assert bench.fake.reads == []
    assert got.geometry == GRID
    same(got.read(), bench.scenes[0].read())


def test_a_header_of_another_version_is_fetched_again(tmp_path):
    """Whole by its digest, but with a sensor that this version does not know."""
    bench = Bench(tmp_path)
    bench.fetch()
    folder = bench.store.scene("fake", "one")
    (path,) = bench.home.glob("header-*.json")
    key = path.stem.removeprefix("header-")
    stored = folder.header(key)
    stored["scene"]["sensor"] = "sentinel-9"
    folder.put_header(key, stored)
    assert Bench(tmp_path).cost() == bench.fake.cost(bench.cached.search(whole(GRID), *ALWAYS)[0], whole(GRID))
    again = Bench(tmp_path)
    again.fetch()
    assert (again.fake.fetched, again.fake.reads) == (["one"], [])


def test_a_tile_without_data_is_kept_as_such(tmp_path):
    scene = scene_named("one")
    pixels = scene.read()
    pixels.valid[:, :100, :100] = False
    pixels.data[:, :100, :100] = np.nan
    scene = replace(scene, reader=MemoryReader(pixels=pixels))
    Bench(tmp_path, [scene]).fetch()
    bench = Bench(tmp_path, [scene])
    got = bench.fetch()
    assert bench.fake.reads == []
    assert not got.read(Window(row=0, col=0, height=100, width=100)).valid.any()
    assert got.provenance.missing == ()


class Denoised(MemoryReader):
    """Pixels whose noise is known: it grows with the column."""

    def noise_sigma0(self, window):
        cols = np.arange(window.col, window.col + window.width, dtype=np.float32)
        return np.broadcast_to(1e-3 * (1 + cols), (2, *window.shape_hw)).astype(np.float32)


def test_noise_that_the_source_knows_is_kept_for_the_detectors(tmp_path):
    quiet = scene_named("denoised")
    scene = replace(quiet, reader=Denoised(pixels=quiet.read()))
    inner = FakeFetcher(scenes=[scene], tile_px=128)
    store = TileStore(folder=tmp_path, limit_bytes=10**9)
    fetcher = CachedFetcher(inner=inner, store=store)
    (ref,) = fetcher.search(whole(GRID), *ALWAYS)
    for _ in range(2):  # fresh, and from the store
        stored = fetcher.fetch(ref, whole(GRID))
        np.testing.assert_array_equal(stored.read().data, scene.read().data)
        noisy = with_thermal_noise(stored).read()
        np.testing.assert_array_equal(noisy.data, scene.read().data + scene.reader.noise_sigma0(scene.window))
        np.testing.assert_array_equal(noisy.valid, scene.read().valid)
    assert len(inner.fetched) == 1
    plain = CachedFetcher(inner=FakeFetcher(scenes=[quiet], identity="plain"), store=store).fetch(ref, whole(GRID))
    assert with_thermal_noise(plain) is plain


def test_tiles_without_noise_do_not_mix_with_those_that_have_it(tmp_path):
    """The source could not tell the noise at first, and can when a larger area is asked for."""
    quiet = scene_named("denoised")
    scene = replace(quiet, reader=Denoised(pixels=quiet.read()))
    store = TileStore(folder=tmp_path, limit_bytes=10**9)
    west, south, east, north = whole(GRID).bounds
    part = AreaOfInterest.from_bbox("part", west, south, west + (east - west) / 9, north)
    silent, telling = (CachedFetcher(inner=FakeFetcher(scenes=[s], tile_px=128), store=store) for s in (quiet, scene))
    (ref,) = silent.search(part, *ALWAYS)
    assert with_thermal_noise(silent.fetch(ref, part)).reader is not None
    noisy = with_thermal_noise(telling.fetch(ref, whole(GRID))).read()
    np.testing.assert_array_equal(noisy.data, scene.read().data + scene.reader.noise_sigma0(scene.window))


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_tiles_that_cannot_be_had_are_not_observed_and_told(tmp_path, workers):
    failures = {("one", 5, 150): [FetchError("404 at the archive")], ("one", 150, 250): [FetchError("truncated")]}
    bench = Bench(tmp_path, workers=workers, failures=failures)
    got, expected = bench.fetch(), bench.scenes[0].read()
    lost = np.zeros(SHAPE_HW, bool)
    lost[:100, 100:200] = lost[100:, 200:300] = True
    valid = expected.valid & ~lost
    same(got.read(), Pixels(data=np.where(valid, expected.data, np.float32(np.nan)), valid=valid))
    assert got.provenance.missing == ("2 of 8 tiles could not be had and are not observed: 404 at the archive",)
    assert bench.told == [("one", done, 8) for done in range(1, 9)]
    bench.fake.reads.clear()
    mended = bench.fetch()
    assert {(w.row, w.col) for _, w in bench.fake.reads} == {(0, 100), (100, 200)}
    same(mended.read(), expected)
    assert mended.provenance.missing == ()


def test_a_scene_of_which_nothing_can_be_had_is_an_error(tmp_path):
    failures = {("one", row, col): FetchError("gone") for row in (0, 100) for col in (0, 100, 200, 300)}
    bench = Bench(tmp_path, failures=failures)
    with pytest.raises(FetchError, match="none of its 8 tiles could be had: gone"):
        bench.fetch()
    assert tile_files(tmp_path) == []


def test_a_scene_that_cannot_be_had_is_an_error_unless_part_of_it_is_stored(tmp_path):
    with pytest.raises(FetchError, match="away"):
        Bench(tmp_path, failures={"one": FetchError("away")}).fetch()
    Bench(tmp_path, failures={("one", 0, 0): FetchError("gone")}).fetch()
    bench = Bench(tmp_path, failures={"one": FetchError("away")})
    got = bench.fetch()
    assert got.provenance.missing == ("1 of 8 tiles could not be had and are not observed: away",)
    assert bench.fake.fetched == ["one"]


@pytest.mark.parametrize("error", [QuotaError, CredentialsError, SourceError])
def test_a_spent_quota_stops_and_the_next_run_goes_on(tmp_path, error):
    bench = Bench(tmp_path, workers=2, failures={("one", 150, 50): [error("no more")]})
    with pytest.raises(error, match="no more"):
        bench.fetch()
    asked = set(bench.fake.reads)
    assert len(asked) < 8  # the rest was not tried
    kept = len(tile_files(tmp_path))
    assert len(asked) - 1 == kept > 0
    bench.fake.reads.clear()
    same(bench.fetch().read(), bench.scenes[0].read())
    assert len(bench.fake.reads) == 8 - kept


def test_unknown_scenes_and_areas_that_miss_are_told(tmp_path):
    bench = Bench(tmp_path)
    (ref,) = bench.cached.search(whole(GRID), *ALWAYS)
    with pytest.raises(SourceError, match="nowhere"):
        bench.cached.fetch(replace(ref, id="nowhere"), whole(GRID))
    with pytest.raises(FetchError, match="no pixels in or near 'elsewhere'"):
        bench.cached.fetch(ref, AreaOfInterest.from_bbox("elsewhere", 10, 10, 11, 11))


def test_a_source_that_breaks_the_seam_is_told(tmp_path):
    scene = scene_named("one")

    class Plain(FakeFetcher):
        def fetch(self, ref, area):
            return scene

    cached = CachedFetcher(inner=Plain(scenes=[scene]), store=TileStore(folder=tmp_path, limit_bytes=10**9))
    (ref,) = cached.search(whole(GRID), *ALWAYS)
    with pytest.raises(SourceError, match="RemoteFetcher"):
        cached.fetch(ref, whole(GRID))


def test_pixels_of_another_shape_are_no_tile(tmp_path):
    class Short(FakeFetcher):
        def _read(self, scene, window):
            pixels = super()._read(scene, window)
            return Pixels(data=pixels.data[:, :-1], valid=pixels.valid[:, :-1])

    cached = CachedFetcher(
        inner=Short(scenes=[scene_named("one")]), store=TileStore(folder=tmp_path, limit_bytes=10**9)
    )
    (ref,) = cached.search(whole(GRID), *ALWAYS)
    with pytest.raises(FetchError, match="shape"):
        cached.fetch(ref, whole(GRID))


def test_cost_is_that_of_what_is_not_there(tmp_path):
    bench = Bench(tmp_path, failures={("one", 0, 0): [FetchError("gone")], ("one", 100, 300): [FetchError("gone")]})
    assert bench.cost().tiles == 8
    assert list(tmp_path.iterdir()) == []  # an estimate leaves no trace
    bench.fetch()
    cost = bench.cost()
    assert (cost.tiles, cost.requests) == (2, 2)
    assert cost.bytes == pytest.approx(2 * 4 * (100 * 100 + 100 * 30), abs=1)
    bench.fetch()
    assert bench.cost() == Cost()


def scenes_apart(count):
    return [scene_named(f"scene{i}", hours=12 * i, seed=i) for i in range(count)]


def names(folder):
    return sorted(p.name.split("-")[0] for p in folder.iterdir() if p.is_dir())


def test_what_was_used_longest_ago_goes_first(tmp_path):
    probe = Bench(tmp_path / "probe", scenes_apart(1))
    probe.fetch("scene0")
    one = size_of(tmp_path / "probe")
    bench = Bench(tmp_path / "store", scenes_apart(4), limit_bytes=int(3.2 * one))
    for name in ("scene0", "scene1", "scene2"):
        bench.fetch(name)
        assert size_of(bench.folder) <= bench.limit_bytes
    bench.fetch("scene0")  # used again: scene1 is now the oldest
    bench.fetch("scene3")
    assert size_of(bench.folder) <= bench.limit_bytes
    bench.fake.reads.clear()
    for name in ("scene0", "scene2", "scene3"):
        bench.fetch(name)
    assert bench.fake.reads == []
    assert names(bench.folder) == ["scene0", "scene1", "scene2", "scene3"] or "scene1" not in names(bench.folder)
    bench.fetch("scene1")
    assert bench.fake.reads  # part of it at least had gone


def test_a_scene_that_goes_leaves_no_folder(tmp_path):
    bench = Bench(tmp_path, scenes_apart(3), failures={"scene1": FetchError("away")})
    with pytest.raises(FetchError):
        bench.fetch("scene1")  # of which only the folder is left
    bench.fetch("scene0")
    small = Bench(tmp_path, scenes_apart(3), limit_bytes=int(1.01 * size_of(tmp_path)))
    small.fetch("scene2")
    assert names(tmp_path) == ["scene2"]


def test_a_scene_in_use_stays_and_the_limit_is_passed_aloud(tmp_path, caplog):
    bench = Bench(tmp_path, scenes_apart(3))
    used = bench.fetch("scene0")
    tight = Bench(tmp_path, scenes_apart(3), limit_bytes=int(1.05 * size_of(tmp_path)))
    also_used = tight.fetch("scene1")
    assert caplog.text.count("all that is in it is being used") == 1
    same(used.read(), bench.scenes[0].read())
    del also_used
    tight.fetch("scene2")
    assert names(tmp_path) == ["scene0", "scene2"]
    same(used.read(), bench.scenes[0].read())
    del used
    tight.fetch("scene1")
    assert "scene0" not in names(tmp_path)


HOLD = """
import sys, threading
from pathlib import Path
from imagery.fetchers.cache.locks import Lease
lease = Lease(Path(sys.argv[1]) / ".lock")
print("held", flush=True)
threading.Event().wait()
"""


def test_another_process_s_scene_stays_until_it_is_killed(tmp_path):
    bench = Bench(tmp_path, scenes_apart(2))
    bench.fetch("scene0")
    home = bench.store.scene("fake", "scene0").path
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        tight = Bench(tmp_path, scenes_apart(2), limit_bytes=int(1.05 * size_of(tmp_path)))
        tight.fetch("scene1")
        assert names(tmp_path) == ["scene0", "scene1"]
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    tight.fetch("scene0")
    tight.fetch("scene1")
    assert size_of(tmp_path) <= tight.limit_bytes


def test_a_tile_larger_than_the_limit_is_told(tmp_path):
    with pytest.raises(SourceError, match=r"may hold; set OFFING_CACHE_GB higher"):
        Bench(tmp_path, limit_bytes=50_000).fetch()


def test_the_noted_size_is_checked_before_anything_goes(tmp_path):
    bench = Bench(tmp_path, scenes_apart(2))
    bench.fetch("scene0")
    assert int((tmp_path / ".total").read_text()) == size_of(tmp_path)
    for wrong in ("", "9" * 15, "x"):
        (tmp_path / ".total").write_text(wrong)
        bench.fetch("scene1")
        for path in tile_files(bench.store.scene("fake", "scene1").path):
            path.with_suffix(".json").unlink()
    bench.fetch("scene1")
    bench.fake.reads.clear()
    bench.fetch("scene0")
    assert bench.fake.reads == []


def test_strangers_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.tif").write_bytes(b"x" * 10_000)
    (tmp_path / "notes.txt").write_text("mine")
    bench = Bench(tmp_path, scenes_apart(2))
    bench.fetch("scene0")
    home = bench.store.scene("fake", "scene0").path
    (home / "readme.txt").write_text("mine too")
    (home / ".notes").mkdir()
    bench.fetch("scene0")
    tight = Bench(tmp_path, scenes_apart(2), limit_bytes=int(0.9 * size_of(home)))
    tight.fetch("scene1")
    assert tile_files(home) == []
    assert (home / "readme.txt").read_text() == "mine too"
    assert (home / ".notes").is_dir()
    assert (tmp_path / "holiday" / "photo.tif").stat().st_size == 10_000
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_leftovers_of_killed_processes_go_when_nobody_uses_the_scene(tmp_path):
    bench = Bench(tmp_path)
    used = bench.fetch()
    key = tile_files(bench.home)[0].stem
    leftovers = [bench.home / f".{key}.tif.0123.tif", bench.home / f".{key}.lock", bench.home / f"{'f' * 64}.tif"]
    for path in leftovers:
        path.write_bytes(b"half")
    bench.fetch()
    assert all(p.exists() for p in leftovers)  # their writer may be alive: the scene is in use
    del used
    bench.fetch()
    assert not any(p.exists() for p in leftovers)
    assert len(tile_files(bench.home)) == 8


def test_two_processes_fetch_each_tile_once(tmp_path):
    log, store = tmp_path / "reads.txt", tmp_path / "store"
    command = [sys.executable, kill_fetch.__file__, str(store), str(log)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=DEADLINE_S)[0].strip() for process in both]
    assert said == [kill_fetch.digest_of(kill_fetch.made_scene().read())] * 2
    assert len(kill_fetch.reads(log)) == len(set(kill_fetch.reads(log))) == 20
    assert len(kill_fetch.complete(store)) == 20


def test_threads_fetch_each_tile_once(tmp_path):
    benches = [Bench(tmp_path, workers=3) for _ in range(3)]
    got = [None] * 3

    def fetch(i):
        got[i] = benches[i].fetch()

    threads = [threading.Thread(target=fetch, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(b.fake.reads) for b in benches) == 8
    for scene in got:
        same(scene.read(), benches[0].scenes[0].read())


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_fetch_leaves_nothing_corrupt_and_nothing_is_fetched_twice(tmp_path, seed):
    kill_fetch.kill_once(tmp_path, seed)


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path):
    """The next holder must not hold a file that nobody else can find."""
    path = tmp_path / "here" / ".lock"
    order = []
    entered = threading.Event()

    def second():
        entered.set()
        with alone(path):
            order.append("second")
            assert path.exists()

    with alone(path):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait(DEADLINE_S)
        order.append("first")
    thread.join(DEADLINE_S)
    assert order == ["first", "second"]
    assert not path.exists()


def test_a_lease_ends_when_it_is_closed_or_gone(tmp_path):
    path = tmp_path / ".lock"
    one, other = Lease(path), Lease(path)
    one.close()
    one.close()
    with alone_at_once(path) as free:
        assert not free
    del other
    with alone_at_once(path) as free:
        assert free


def test_a_scene_can_be_sent_to_another_process(tmp_path):
    got = Bench(tmp_path).fetch()
    sent = pickle.loads(pickle.dumps(got))
    lock = Bench(tmp_path).home / ".lock"
    same(sent.read(), got.read())
    del got
    with alone_at_once(lock) as free:
        assert not free  # the copy has a lease of its own
    del sent
    with alone_at_once(lock) as free:
        assert free


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError, match=r"file/cache cannot be written to \(Not a directory\); free space there, or"):
        Bench(tmp_path / "file" / "cache").fetch()


def test_a_full_disk_is_told_in_one_sentence_and_leaves_no_entry(tmp_path):
    """The kernel refuses to let files grow, as it does when the disk is full."""
    bench = Bench(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(SourceError, match=r"cannot be written to \(File too large\)"):
            bench.fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tile_files(tmp_path) == []
    assert not list(bench.home.glob(".*.tif"))
    same(bench.fetch().read(), bench.scenes[0].read())


def test_a_tile_that_vanishes_under_a_scene_is_told(tmp_path):
    bench = Bench(tmp_path)
    got = bench.fetch()
    for path in tile_files(tmp_path):
        path.unlink()
    with pytest.raises(RasterError, match="run the same command again"):
        got.read()


def test_the_default_store_follows_the_environment(tmp_path):
    home = TileStore.default({"XDG_CACHE_HOME": str(tmp_path)})
    assert (home.folder, home.limit_bytes) == (tmp_path / "offing", 50_000_000_000)
    chosen = TileStore.default({"OFFING_CACHE": str(tmp_path / "c"), "OFFING_CACHE_GB": "1.5"})
    assert (chosen.folder, chosen.limit_bytes) == (tmp_path / "c", 1_500_000_000)
    assert TileStore.default({}).folder == Path.home() / ".cache" / "offing"
    for text in ("much", "-3", "0", "nan", "inf"):
        with pytest.raises(SourceError, match="OFFING_CACHE_GB"):
            TileStore.default({"OFFING_CACHE_GB": text})


def test_scene_ids_make_safe_folder_names(tmp_path):
    store = TileStore(folder=tmp_path, limit_bytes=1)
    paths = [store.scene("s", i).path for i in ("../../etc/passwd", "a/b", "a_b", "..", "", "x" * 400, "é漢", ".lock")]
    assert all(p.parent == tmp_path for p in paths)
    assert all(len(p.name) < 130 and not p.name.startswith(".") for p in paths)
    assert len(set(paths)) == len(paths)
    assert store.scene("s", "a").path != store.scene("t", "a").path


def test_the_same_area_in_another_order_is_the_same_area(tmp_path):
    bench = Bench(tmp_path)
    bench.fetch()
    bench.fake.fetched.clear()
    area = whole(GRID)
    turned = replace(area, name="other", polygon=area.polygon.reverse())
    bench.fetch(area=turned)
    assert bench.fake.fetched == []


def test_no_secret_is_stored(tmp_path):
    """A source that holds a secret, and shows it in no identity, leaves none in the cache."""

    class Secretive(FakeFetcher):
        token = "s3cr3t-token"

    cached = CachedFetcher(
        inner=Secretive(scenes=[scene_named("one")]), store=TileStore(folder=tmp_path, limit_bytes=10**9)
    )
    (ref,) = cached.search(whole(GRID), *ALWAYS)
    cached.fetch(ref, whole(GRID))
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert files
    assert not any(b"s3cr3t" in p.read_bytes() for p in files)


def test_a_changed_scene_is_cut_anew(tmp_path):
    """The source gives another grid under the same id: the stored header yields, and no old tile is mixed in."""
    Bench(tmp_path, failures={("one", 0, 0): FetchError("gone")}).fetch()
    moved = replace(GRID, transform=Affine.translation(1005, 0) @ UTM)
    bench = Bench(tmp_path, [scene_named("one", seed=5, geometry=moved)])
    got = bench.fetch(area=whole(GRID))
    assert got.geometry == moved
    inside = Window(row=0, col=0, height=200, width=230)
    same(got.read(inside), bench.scenes[0].read(inside))
