"""Sentinel-1 as archives deliver it, COGs with control points and annotation beside them, all the way through score."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from pyproj import Geod
from shapely.geometry import Polygon, box, mapping

from tests.safe_builder import COL, ROW, SafeProduct, SimulatedSea, simulated_sea, write_measurement
from tests.stac_builder import bare_item, collection

pytest_plugins = ["tests.servers.nginx", "tests.servers.stac"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
BANDS = ("vv", "vh")
DATES = ("--from", "2022-10-14", "--to", "2022-10-14")
TILE_PX, BLOCK_PX = 2048, 1024
MARGIN_PX = 100.0  # 1 km around the area is fetched with it
FAR_BLOCK = 3  # row and column of a block that holds numbers far from the area, which nobody needs
MOST_MEMORY_KIB = 1.5 * 2**20
MOST_CPU_S = 30.0  # each takes 5 to 10
WGS84 = Geod(ellps="WGS84")

# The kernel's own highest mark of this program alone: `getrusage` would count the process that started it.
CODE = """
import sys, time
from pathlib import Path
told = Path(sys.argv.pop(1))
from offing.cli import app
try:
    app()
finally:
    peak_kib = next(l.split()[1] for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
    told.write_text(f"{peak_kib} {time.process_time()}")
"""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One product twice: zipped in a folder, and as an item over files of a server.

    Attributes:
        home: holds area.toml and the folder ``scenes`` with the zipped product.
        product: its real parts.
        sea: what was simulated in it.
        folder: the server's folder with the COGs and XML files.
        item: the STAC item.
    """

    home: Path
    product: SafeProduct
    sea: SimulatedSea
    folder: Path
    item: dict


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a score wrote, and what it took."""

    facts: dict
    table: gpd.GeoDataFrame
    tiles: gpd.GeoDataFrame
    peak_kib: float
    cpu_s: float

    @property
    def notes(self):
        (scene,) = self.facts["scenes"]
        return scene["notes"]


@pytest.fixture(scope="module")
def archive(real_data, nginx, tmp_path_factory):
    home = tmp_path_factory.mktemp("archive")
    product = SafeProduct(real_data(SEA))
    sea = simulated_sea(product)
    west, south, east, north = sea.bbox
    land = {"type": "Feature", "properties": {}, "geometry": mapping(box(0, 0, 1, 1))}
    (home / "land.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [land]}))
    (home / "area.toml").write_text(
        f'name = "patch"\nbbox = [{west}, {south}, {east}, {north}]\nland = "land.geojson"\n'
    )
    files = {}
    far = np.random.default_rng(5).integers(40, 400, (BLOCK_PX, BLOCK_PX)).astype(np.uint16)
    for band in BANDS:
        pieces = [(ROW, COL, sea.patches[band]), (FAR_BLOCK * BLOCK_PX, FAR_BLOCK * BLOCK_PX, far)]
        files[band] = write_measurement(home / f"{band}.tiff", product.text("", band), pieces)
    (home / "scenes").mkdir()
    inside = {product.measurement(band): path for band, path in files.items()}
    product.write_zip(home / "scenes" / f"{product.folder}.zip", inside)
    folder = nginx.root / "far-grd"
    for band, path in files.items():
        export_grd(product, band, path, folder)
    return Archive(home=home, product=product, sea=sea, folder=folder, item=grd_item(product, f"{nginx.plain}/far-grd"))


def export_grd(product, band, measurement, folder):
    """One polarisation as Copernicus Data Space and Earth Search serve it: a COG of numbers with GCPs, and its XML."""
    tables = folder / "annotation" / "calibration"
    tables.mkdir(parents=True, exist_ok=True)
    with rasterio.open(measurement, "r+") as dataset:
        dataset.nodata = 0
    options = {"BLOCKSIZE": BLOCK_PX, "COMPRESS": "ZSTD", "LEVEL": 1, "SPARSE_OK": True, "NUM_THREADS": 2}
    cog = folder / f"iw-{band}.tif"
    rasterio.shutil.copy(measurement, cog, driver="COG", OVERVIEW_RESAMPLING="NEAREST", **options)
    with rasterio.open(cog) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.crs is None
        assert dataset.transform.is_identity
        assert len(dataset.gcps[0]) > 100
    (tables.parent / f"iw-{band}.xml").write_text(product.text("", band))
    for kind in ("calibration-", "noise-"):
        (tables / f"{kind}iw-{band}.xml").write_text(product.text(kind, band))


def grd_item(product, base):
    """The item of both archives; outline and times are those of the product's manifest."""
    manifest = product.members[f"{product.folder}/manifest.safe"].decode()
    corners = re.search(r"coordinates>([^<]+)<", manifest)[1].split()
    outline = Polygon([tuple(map(float, corner.split(",")))[::-1] for corner in corners])
    start, end = (re.search(rf"{side}Time>([^<]+)<", manifest)[1] + "Z" for side in ("start", "stop"))
    assets = {}
    for band in BANDS:
        assets[band] = {"href": f"{base}/iw-{band}.tif", "roles": ["data"]}
        assets[f"schema-product-{band}"] = {"href": f"{base}/annotation/iw-{band}.xml"}
        for kind in ("calibration", "noise"):
            assets[f"schema-{kind}-{band}"] = {"href": f"{base}/annotation/calibration/{kind}-iw-{band}.xml"}
    times = {"start_datetime": start, "end_datetime": end}
    return {**bare_item(product.name, outline, assets=assets, **times, datetime=start)}


def score(archive, source, out, told, env=None):
    """Score in a process of its own, as a user does."""
    command = ["score", archive.home / "area.toml", "--source", source, *DATES, "--out", out, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, (told, *command))],
        cwd=archive.home,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak_kib, cpu_s = map(float, told.read_text().split())
    return Run(
        facts=json.loads(done.stdout),
        table=gpd.read_parquet(out / "detections.parquet"),
        tiles=gpd.read_parquet(out / "tiles.parquet"),
        peak_kib=peak_kib,
        cpu_s=cpu_s,
    )


@pytest.fixture(scope="module")
def runs(archive, rustac, nginx, tmp_path_factory):
    """Scores by name (``folder``; ``first`` and ``second`` over STAC), the requests of the latter two, their cache."""
    home = tmp_path_factory.mktemp("runs")
    source = f"stac:{rustac([archive.item], [collection('sentinel-1-grd')])}"
    env = {"OFFING_CACHE": str(home / "cache")}
    requests = []

    def far(name):
        before = len(asked(nginx))
        run = score(archive, source, home / name, home / f"{name}.took", env)
        requests.append(asked(nginx)[before:])
        return run

    with ThreadPoolExecutor(1) as beside:  # most of a score's start is one thread's work
        folder = beside.submit(
            score, archive, f"folder:{archive.home / 'scenes'}", home / "folder", home / "folder.took"
        )
        found = {"first": far("first"), "second": far("second"), "folder": folder.result()}
    return found, requests, home / "cache"


def asked(nginx):
    """(method, path, first byte, last byte) of requests for the product's files; 0 and None where no range is named."""
    found = []
    for method, _, path, span in nginx.requests(nginx.plain):
        if path.startswith("/far-grd/"):
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", span)
            found.append((method, path, *(map(int, match.groups()) if match else (0, None))))
    return found


def assert_same(run, expected):
    assert run.facts["counts"] == expected.facts["counts"]
    assert len(run.table) == len(expected.table)
    order = ["lat", "lon"]
    pairs = zip(run.table.sort_values(order).itertuples(), expected.table.sort_values(order).itertuples(), strict=True)
    for a, b in pairs:
        assert WGS84.inv(a.lon, a.lat, b.lon, b.lat)[2] < 0.2
        assert abs((a.time - b.time).total_seconds()) < 1e-3
        for name in ("length_m", "length_low_m", "length_high_m", "width_m", "contrast_db", "probability"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-4, nan_ok=True), name
        assert (a.status, a.kind, a.surface) == (b.status, b.kind, b.surface)
    left, right = (each.tiles.sort_values("tile_id") for each in (run, expected))
    assert left["tile_id"].tolist() == right["tile_id"].tolist()
    np.testing.assert_allclose(left["observed_km2"], right["observed_km2"], atol=1e-9)


def test_findings_are_those_of_the_zipped_product(runs):
    found, _, _ = runs
    for name in ("first", "second"):
        assert_same(found[name], found["folder"])
    for run in found.values():
        assert "acquisition geometry: annotation" in run.notes
        assert run.facts["scenes"][0]["missing"] == []
        assert not any("no noise" in note or "no calibration" in note for note in run.notes)


def test_every_ship_is_found_where_the_radar_shows_it_and_nothing_else(archive, runs):
    first = runs[0]["first"]
    ships, model = archive.sea.ships_inside, archive.sea.model
    assert len(ships) >= 10
    assert len(first.table) == len(ships)
    for ship in ships:
        shown = model.lonlat(*model.line_pixel(ship.lon, ship.lat, ship.east_m_s, ship.north_m_s))
        apart_m = [
            WGS84.inv(*shown, lon, lat)[2] for lon, lat in zip(first.table["lon"], first.table["lat"], strict=True)
        ]
        assert min(apart_m) < 20.0


def test_the_cache_holds_the_tiles_of_the_area_alone_with_their_noise(archive, runs):
    _, _, cache = runs
    west, south, east, north = archive.sea.bbox
    corners = np.array([archive.sea.model.line_pixel(lon, lat) for lon in (west, east) for lat in (south, north)])
    first = (corners.min(axis=0) - MARGIN_PX) // TILE_PX
    last = (corners.max(axis=0) + MARGIN_PX) // TILE_PX
    stored = sorted(cache.rglob("*.tif"))
    assert len(stored) == np.prod(last - first + 1) == 4  # of 130
    for path in stored:
        with rasterio.open(path) as dataset:
            assert dataset.descriptions == ("vv", "vh", "noise_vv", "noise_vh")
            assert dataset.shape == (TILE_PX, TILE_PX)


def test_a_block_far_from_the_area_is_never_asked_for(archive, runs):
    _, (first, _), _ = runs
    for band in BANDS:
        with rasterio.open(archive.folder / f"iw-{band}.tif") as dataset:
            begin, size = (
                int(dataset.get_tag_item(f"BLOCK_{what}_{FAR_BLOCK}_{FAR_BLOCK}", "TIFF", 1))
                for what in ("OFFSET", "SIZE")
            )
        spans = [
            (low, high) for method, path, low, high in first if (method, path) == ("GET", f"/far-grd/iw-{band}.tif")
        ]
        assert all(high is not None for _, high in spans)  # parts only, never the whole
        middle = begin + size // 2
        assert size > 2 * BLOCK_PX**2 / 3
        assert not any(low <= middle <= high for low, high in spans)
        assert len(spans) < 40
    xml = sorted(path for _, path, *_ in first if path.endswith(".xml"))
    assert len(xml) == len(set(xml)) == 3 * len(BANDS)


def test_a_second_run_asks_the_archive_for_nothing(runs):
    _, (first, second), _ = runs
    assert first
    assert second == []


def test_time_and_memory_stay_sane(runs):
    for run in runs[0].values():
        assert run.peak_kib < MOST_MEMORY_KIB
        assert run.cpu_s < MOST_CPU_S
