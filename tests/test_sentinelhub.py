"""The Sentinel Hub source against a stand-in over TLS that checks every request against the providers' OpenAPI."""

import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
import shapely
from affine import Affine
from scipy.interpolate import RectBivariateSpline
from shapely.geometry import box, mapping

from imagery.acquire import acquisition_for
from imagery.aoi import AreaOfInterest
from imagery.errors import CredentialsError, FetchError, NoAnswerError, QuotaError, SourceError
from imagery.fetchers.base import SceneRef
from imagery.fetchers.cache import CachedFetcher
from imagery.fetchers.cache.store import TileStore
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.sentinelhub import CDSE, COMMERCIAL, Deployment, SentinelHubSource, deployment_from_environment
from imagery.fetchers.sentinelhub.client import Pacer
from imagery.fetchers.sentinelhub.encoding import optical, radar
from imagery.fetchers.sentinelhub.source import processing_units
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import Grid, Window, offset_m
from imagery.ground_acquisition import annotated_ground
from imagery.products.sentinel2 import BANDS
from imagery.scene import Pixels, Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2
from imagery.simulate import SimulatedSource
from imagery.surface import map_surface
from imagery.thermal_noise import with_thermal_noise
from imagery.utm_tiles import UtmZone
from models.detector import detect
from offing.detectors import DetectorChoice, make_detector
from tests.fetcher_contract import check_fetcher
from tests.safe_builder import RadarModel, SafeProduct, Ship, digital_numbers, lut_at, noise_at, paint
from tests.servers.sentinelhub import (
    CLIENT_ID,
    CLIENT_SECRET,
    QUOTA,
    TOKEN_PATH,
    Entry,
    Failure,
    code_of,
    entries_of,
    serving,
    specs_present,
    why_invalid,
)
from tests.support import scene_of_array

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NOON = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
MAY = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC)
BAY = AreaOfInterest.from_bbox("part of the bay", 125.62, 37.75, 125.71, 37.82)
SEA = box(125.0, 37.0, 126.0, 38.0)
SPOT = AreaOfInterest.from_bbox("spot", 125.30, 37.40, 125.32, 37.42)
SAFE = "S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8"
DARK = "S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B"


# Scenes whose pixels are known at every place


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Values that depend on the place alone, in whole steps of the encoding."""

    grid: Grid
    bands: tuple[str, ...]
    salt: int = 0

    def read(self, window: Window) -> Pixels:
        rows, cols = np.indices(window.shape_hw)
        east = (self.grid.transform.c / 10).__round__() + window.col + cols
        north = (self.grid.transform.f / 10).__round__() - window.row - rows
        data = np.stack([steps(east, north, self.salt + number) for number in range(len(self.bands))])
        values = (10.0 ** ((-30.0 + 0.002 * data) / 10.0)).astype(np.float32)
        return Pixels(data=values, valid=np.ones(values.shape, bool))


def steps(east, north, salt):
    return (east * 7919 + north * 104729 + salt * 15485863) % 15000


def pattern_scene(outline, at, *, bands=("vv", "vh"), salt=0, epsg=None):
    """A radar scene over the bounds of an outline in degrees, nothing of it in memory."""
    zone = UtmZone.of_epsg(epsg) if epsg else UtmZone.of_outline(outline)
    west, south, east, north = (round(v / 10.0) * 10.0 for v in zone.metres(outline).bounds)
    shape = round((north - south) / 10), round((east - west) / 10)
    grid = Grid.from_crs(f"EPSG:{zone.epsg}", Affine(10, 0, west, 0, -10, north), shape)
    return Scene(
        id=f"pattern {salt}",
        sensor=SENTINEL1_IW_GRD,
        bands=bands,
        unit="sigma0",
        geometry=grid,
        acquisition=acquisition_for(SENTINEL1_IW_GRD.name, at, 1.0, grid),
        time=at,
        reader=Pattern(grid=grid, bands=bands, salt=salt),
        provenance=Provenance(source="test", ids=("x",)),
    )


def area(west, south, east, north):
    return AreaOfInterest.from_bbox("area", west, south, east, north)


def radar_product(
    start,
    outline,
    *,
    mission="S1A",
    polarisation="DV",
    orbit=27294,
    datatake="0313E2",
    direction="ascending",
    timeliness="Fast24h",
    end="ABCD",
    scene=None,
    seconds=25,
):
    stop = start + timedelta(seconds=seconds)
    stamp = "%Y%m%dT%H%M%S"
    name = f"{mission}_IW_GRDH_1S{polarisation}_{start:{stamp}}_{stop:{stamp}}_{orbit:06d}_{datatake}_{end}"
    properties = {"sat:orbit_state": direction, "sar:instrument_mode": "IW", "s1:polarization": polarisation}
    properties |= {"s1:resolution": "HIGH", "s1:timeliness": timeliness}
    return Entry(
        id=name,
        collection="sentinel-1-grd",
        time=start,
        geometry=mapping(outline),
        properties=properties,
        scene=scene,
    )


def optical_product(sensed, outline, tile, *, level="L2A", baseline="0208", made="20190513T060000", scene=None):
    name = f"S2B_MSI{level}_20190513T021609_N{baseline}_R003_T{tile}_{made}"
    return Entry(id=name, collection=f"sentinel-2-{level.lower()}", time=sensed, geometry=mapping(outline), scene=scene)


@pytest.fixture(scope="session")
def simulated():
    """Two radar passes and an optical one over the bay, half a day apart."""
    span = datetime(2019, 5, 10, tzinfo=UTC), datetime(2019, 5, 15, tzinfo=UTC)
    season = SimulatedSource(area=BAY, seed=5, start=span[0], end=span[1])
    return [season.fetch(ref, BAY) for ref in season.search(BAY, *span)]


@pytest.fixture
def waits():
    return []


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Starts stand-ins and points the environment at the last one; validating where the descriptions are there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("OFFING_CREDENTIALS", str(tmp_path / "none.toml"))
    (tmp_path / "home").mkdir()
    with ExitStack() as stack:

        def start(entries=(), **options):
            ca_file = tmp_path / "ca.pem"
            server = stack.enter_context(serving(entries, ca_file=ca_file, validate=specs_present(), **options))
            for name, value in server.environment(ca_file).items():
                monkeypatch.setenv(name, value)
            return server

        yield start


@pytest.fixture
def source(waits):
    """Makes sources that retry without waiting and read small tiles."""

    def make(**changes):
        policy = RetryPolicy(
            attempts=4, first_wait_s=0.5, retry_after_unit="ms", timeout_s=(5.0, 5.0), sleep=waits.append
        )
        return replace(SentinelHubSource.from_environment(), **{"policy": policy, "tile_px": 256} | changes)

    return make


def only_scene(source, where=SPOT, span=MAY):
    (ref,) = source.search(where, *span)
    return source.fetch(ref, where)


def expected(scene, geometry, window):
    """What `Pattern` holds under a window of a fetched scene."""
    part = geometry.crop(window)
    col, row = ~scene.geometry.transform @ (part.transform.c, part.transform.f)
    return scene.read(Window(row=round(row), col=round(col), height=window.height, width=window.width))


# The seam


def test_it_obeys_the_contract_of_every_fetcher(stand_in, source, simulated):
    stand_in(entries_of(simulated))
    refs = check_fetcher(source(), BAY, span=MAY, elsewhere=area(-30.0, 40.0, -29.9, 40.1), at_least=3)
    assert [ref.sensor_name for ref in refs] == ["sentinel-1-iw-grd", "sentinel-1-iw-grd", "sentinel-2"]


def test_an_area_across_the_antimeridian_obeys_the_contract(stand_in, source):
    outline = area(178.5, -18.5, -179.0, -17.0).polygon
    scene = pattern_scene(outline, NOON)
    stand_in([radar_product(NOON, outline, scene=scene)])
    check_fetcher(source(), area(179.9, -17.8, -179.9, -17.7), span=MAY)


def test_behind_the_cache_nothing_is_fetched_twice(stand_in, source, tmp_path):
    server = stand_in([radar_product(NOON, SEA, scene=pattern_scene(SEA, NOON))])
    store = TileStore(folder=tmp_path / "cache", limit_bytes=10**9)
    cached = CachedFetcher(inner=source(), store=store)
    (ref,) = cached.search(SPOT, *MAY)
    scene = cached.fetch(ref, SPOT)
    asked = len(server.of("process"))
    assert asked == source().cost(ref, SPOT).requests > 1
    again = CachedFetcher(inner=source(), store=store).fetch(ref, SPOT)
    wider = area(125.29, 37.40, 125.32, 37.42)
    cached.fetch(*cached.search(wider, *MAY), wider)
    np.testing.assert_array_equal(again.read().data, scene.read().data)
    asked_for = [tuple(request.body["input"]["bounds"]["bbox"]) for request in server.of("process")]
    assert len(asked_for) == len(set(asked_for))
    assert CLIENT_SECRET not in "".join(str(path) for path in store.folder.rglob("*"))
    assert not any(CLIENT_SECRET.encode() in path.read_bytes() for path in store.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("number", [0, 1])
def test_radar_comes_through_within_half_a_step(stand_in, source, simulated, number):
    stand_in(entries_of(simulated))
    seen = simulated[number]
    where = source()
    scene = where.fetch(where.search(BAY, *MAY)[number], BAY)
    pixels, truth = scene.read(), expected(seen, scene.geometry, scene.window)
    assert scene.unit == "sigma0"
    assert scene.bands == ("vv", "vh")
    np.testing.assert_array_equal(pixels.valid, truth.valid)
    assert 0.3 < pixels.valid.mean() < 0.9
    loud = truth.valid & (truth.data > 1e-8)
    np.testing.assert_allclose(pixels.data[loud], truth.data[loud], rtol=10**0.0001 - 1 + 1e-6)
    silent = truth.valid & ~loud
    assert (pixels.data[silent] <= 1.0005e-8).all()


def test_optical_comes_through_with_angles_and_classes(stand_in, source, simulated):
    stand_in(entries_of(simulated))
    where = source()
    scene = where.fetch(where.search(BAY, *MAY)[2], BAY)
    pixels, truth = scene.read(), expected(simulated[2], scene.geometry, scene.window)
    assert scene.bands[: len(BANDS)] == BANDS
    seen = truth.valid.all(axis=0)
    for name in simulated[2].bands:
        ours, theirs = pixels.data[scene.bands.index(name)], truth.data[simulated[2].bands.index(name)]
        np.testing.assert_allclose(ours[seen], theirs[seen], atol=5.1e-5)
    np.testing.assert_array_equal(pixels.valid, np.broadcast_to(seen, pixels.valid.shape))
    for name, value in {"scl": 6.0, "sun_zenith_deg": 31.5, "sun_azimuth_deg": 142.25, "view_zenith_deg": 6.0}.items():
        np.testing.assert_allclose(pixels.data[scene.bands.index(name)][seen], value, atol=1e-5)
    np.testing.assert_allclose(pixels.data[scene.bands.index("view_azimuth_deg")][seen], 104.5, atol=1e-5)


def test_reflectance_below_zero_survives_and_saturation_has_no_value():
    raw = np.zeros((optical(classified=True).raw_bands, 1, 4), np.uint16)
    raw[0] = [[0, 700, 1000, 65535]]
    raw[-1] = 1
    pixels = optical(classified=True).decode(raw)
    np.testing.assert_allclose(pixels.data[0, 0, :3], [-0.1, -0.03, 0.0], atol=1e-7)
    assert pixels.valid[0].tolist() == [[True, True, True, False]]
    raw[-1] = 0
    assert not optical(classified=True).decode(raw).valid.any()


def test_validity_comes_from_the_data_mask_alone():
    raw = np.array([[[0, 0, 5]], [[0, 7, 7]], [[1, 0, 1]]], np.uint16)
    pixels = radar(("vv", "vh")).decode(raw)
    assert pixels.valid.tolist() == [[[True, False, True]], [[True, False, True]]]
    assert pixels.data[0, 0, 0] == 0.0
    assert np.isnan(pixels.data[:, 0, 1]).all()
    np.testing.assert_allclose(pixels.data[0, 0, 2], 10 ** ((-80 + 5 * 0.002) / 10), rtol=1e-6)


@pytest.mark.parametrize("encoding", [radar(("vv", "vh")), radar(("vv",)), optical(classified=True)])
def test_the_evalscript_run_by_node_gives_the_codes_that_are_decoded(need, encoding):
    need(shutil.which("node") is not None, "node, to run evalscripts")
    inputs = re.findall(r'"(\w+)"', re.search(r"bands: \[([^\]]*)\]", encoding.evalscript)[1])
    values = [0.0, -1e-3, 1e-9, 1.000001e-8, 0.0123456, 0.5, 3.75, 1000.0, 1e9]
    samples = [{name: value for name in inputs if name != "dataMask"} | {"dataMask": 1} for value in values]
    angles = {"sunAzimuthAngles": 359.996, "viewAzimuthMean": -10.5, "viewZenithMean": None, "SCL": 11}
    samples.append({name: angles.get(name, 0.25) for name in inputs} | {"dataMask": 0})
    script = encoding.evalscript + (
        "\nconst samples = JSON.parse(process.argv[1]);"
        "for (const s of samples) for (const k in s) if (s[k] === null) s[k] = NaN;"
        "console.log(JSON.stringify({setup: setup(), out: samples.map(evaluatePixel)}));"
    )
    done = subprocess.run(["node", "-e", script, json.dumps(samples)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["setup"]["output"] == {"bands": encoding.raw_bands, "sampleType": "UINT16"}
    codes = np.array(told["out"], float)
    assert codes.shape == (len(samples), encoding.raw_bands)
    for column, name in enumerate(inputs):
        given = np.array([np.nan if s[name] is None else s[name] for s in samples], float)
        np.testing.assert_array_equal(np.clip(np.floor(codes[:, column] + 0.5), 0, 65535), code_of(name, given), name)


# Requests


@pytest.mark.parametrize("style", ["api/v1", "service/v1"])
def test_every_request_is_valid_by_both_providers_descriptions(stand_in, source, simulated, need, style):
    need(specs_present(), "the providers' OpenAPI descriptions under OFFING_SPECS (default ../shared/specs)")
    single = radar_product(NOON + timedelta(days=3), SEA, polarisation="SV", orbit=1, datatake="00000A")
    raw = optical_product(NOON + timedelta(days=9), SEA, "51SYB", level="L1C")
    server = stand_in([*entries_of(simulated), replace(single, scene=None), raw])
    where = source(collections=("sentinel-1-grd", "sentinel-2-l2a", "sentinel-2-l1c"))
    where = replace(where, deployment=replace(where.deployment, path_style=style))
    refs = where.search(BAY, *MAY)
    assert len(refs) == 5
    for ref in refs:
        scene = where.fetch(ref, BAY)
        scene.read(Window(row=0, col=0, height=300, width=20))
    assert len(server.of("process")) == 10
    for service in ("catalogue", "process"):
        paths = {"api/v1": "/api/v1/", "service/v1": "/v1"}
        for request in server.of(service):
            assert paths[style] in request.path
            assert request.path.startswith("/api/v1") == (style == "api/v1")
            for each in ("api/v1", "service/v1"):
                assert why_invalid(service, each, request.body) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["output"].update(width=2501),
        lambda body: body["output"].update(wdth=10),
        lambda body: body["input"]["data"][0]["processing"].update(backCoeff="SIGMA0"),
        lambda body: body["input"]["data"][0]["dataFilter"].update(orbitDirection="ascending"),
        lambda body: body["input"]["data"][0]["dataFilter"].update(timerange={}),
        lambda body: body["input"]["data"][0].update(type="sentinel-1"),
        lambda body: body["output"]["responses"][0].update(identifier="other"),
        lambda body: body.pop("evalscript"),
    ],
)
def test_the_oracle_refuses_requests_that_are_wrong(stand_in, source, need, spoil):
    need(specs_present(), "the providers' OpenAPI descriptions under OFFING_SPECS (default ../shared/specs)")
    server = stand_in([radar_product(NOON, SEA)])
    only_scene(source()).read(Window(row=0, col=0, height=8, width=8))
    body = server.of("process")[0].body
    assert why_invalid("process", "api/v1", body) == ""
    spoil(body)
    assert why_invalid("process", "api/v1", body) != ""
    assert why_invalid("process", "service/v1", body) != ""


def test_a_tile_of_the_scene_is_one_request_for_its_very_bounds(stand_in, source):
    scene = pattern_scene(SEA, NOON)
    server = stand_in([radar_product(NOON, SEA, scene=scene)])
    fetched = only_scene(source())
    assert fetched.reader.tile_px == 256
    assert all(side % 256 == 0 for side in fetched.shape_hw)
    tile = Window(row=256, col=0, height=256, width=256)
    pixels = fetched.read(tile)
    (request,) = server.of("process")
    transform = fetched.geometry.crop(tile).transform
    assert request.body["input"]["bounds"]["bbox"] == [
        transform.c,
        transform.f - 2560.0,
        transform.c + 2560.0,
        transform.f,
    ]
    assert transform.c % 2560.0 == transform.f % 2560.0 == 0.0
    assert (request.body["output"]["width"], request.body["output"]["height"]) == (256, 256)
    np.testing.assert_allclose(pixels.data, expected(scene, fetched.geometry, tile).data, rtol=1e-6)


def test_what_was_not_seen_is_not_asked_for_and_not_valid(stand_in, source):
    outline = box(125.0, 37.0, 125.305, 37.405)
    scene = pattern_scene(outline, NOON)
    server = stand_in([radar_product(NOON, outline, scene=scene)])
    fetched = only_scene(source(tile_px=512), area(125.15, 37.25, 125.35, 37.45))
    spots = [fetched.geometry.rowcol(lon, lat) for lon, lat in ((125.25, 37.3), (125.34, 37.44))]
    windows = [Window(row=int(row), col=int(col), height=40, width=40) for row, col in spots]
    assert fetched.read(windows[0]).valid.all()
    assert len(server.of("process")) == 1
    assert not fetched.read(windows[1]).valid.any()
    assert len(server.of("process")) == 1


# Passes


def test_two_passes_of_one_day_are_two_scenes_half_a_day_apart(stand_in, source):
    morning, evening = datetime(2019, 5, 12, 2, 40, tzinfo=UTC), datetime(2019, 5, 12, 14, 40, tzinfo=UTC)
    passes = {
        "descending": radar_product(
            morning,
            SEA,
            direction="descending",
            orbit=27290,
            datatake="0313C0",
            scene=pattern_scene(SEA, morning, salt=3),
        ),
        "ascending": radar_product(evening, SEA, scene=pattern_scene(SEA, evening, salt=9)),
    }
    server = stand_in(passes.values())
    where = source()
    refs = where.search(SPOT, datetime(2019, 5, 12, tzinfo=UTC), datetime(2019, 5, 13, tzinfo=UTC))
    assert [ref.time for ref in refs] == [t + timedelta(seconds=12.5) for t in (morning, evening)]
    tile = Window(row=0, col=0, height=256, width=256)
    for ref, (direction, product) in zip(refs, passes.items(), strict=True):
        fetched = where.fetch(ref, SPOT)
        truth = expected(product.scene, fetched.geometry, tile)
        np.testing.assert_allclose(fetched.read(tile).data, truth.data, rtol=1e-6)
        (data,) = server.of("process")[-1].body["input"]["data"]
        assert data["dataFilter"]["orbitDirection"] == direction.upper()
        span = [datetime.fromisoformat(data["dataFilter"]["timeRange"][side]) for side in ("from", "to")]
        assert span == [product.time - timedelta(seconds=60), product.time + timedelta(seconds=85)]
        assert fetched.acquisition.at(0, 0).source.startswith(f"orbit model: sentinel-1 {direction}")
        assert data["processing"] == {"backCoeff": "SIGMA0_ELLIPSOID", "orthorectify": False}


def test_a_pass_over_midnight_is_one_scene_of_the_day_of_its_middle(stand_in, source):
    start = datetime(2019, 5, 12, 23, 59, 40, tzinfo=UTC)
    south, north = box(125.0, 36.0, 126.0, 37.4), box(125.0, 37.4, 126.0, 38.9)
    stand_in([radar_product(start, south), radar_product(start + timedelta(seconds=25), north, end="EF01")])
    days = [datetime(2019, 5, day, tzinfo=UTC) for day in (12, 13, 14)]
    where = area(125.3, 37.3, 125.4, 37.5)
    found = [source().search(where, *span) for span in (days[:2], days[1:], (days[0], days[2]))]
    assert [len(refs) for refs in found] == [0, 1, 1]
    assert found[1] == found[2]
    assert found[1][0].time == start + timedelta(seconds=25)


def test_slices_of_a_pass_are_one_scene_without_a_seam(stand_in, source):
    outlines = [box(125.0, 36.0 + 1.4 * n, 126.0, 37.4 + 1.4 * n) for n in range(3)]
    whole = pattern_scene(shapely.union_all(outlines), NOON)
    times = [NOON + timedelta(seconds=25 * n) for n in range(3)]
    cut = []
    for outline in outlines:  # each slice holds its own ground alone
        part = pattern_scene(outline, NOON)
        cut.append(replace(part, reader=Pattern(grid=part.geometry, bands=("vv", "vh"))))
    products = [
        radar_product(t, o, end=f"000{n}", scene=s)
        for n, (t, o, s) in enumerate(zip(times, outlines, cut, strict=True))
    ]
    server = stand_in(products)
    where = source()
    border = area(125.3, 37.38, 125.32, 37.42)
    (ref,) = where.search(border, *MAY)
    assert ref.id == "S1A_IW_GRDH_1SDV_027294_0313E2"
    assert ref.time == NOON + timedelta(seconds=25)
    scene = where.fetch(ref, border)
    assert scene.provenance.ids == (products[0].id, products[1].id)
    assert scene.provenance.attribution == "Contains modified Copernicus Sentinel data 2019"
    pixels, truth = scene.read(), expected(whole, scene.geometry, scene.window)
    assert pixels.valid.all()
    np.testing.assert_allclose(pixels.data, truth.data, rtol=1e-6)
    (inside,) = where.search(area(125.3, 36.5, 125.32, 36.52), *MAY)
    assert inside.id == ref.id
    assert "timeliness" in server.of("process")[0].body["input"]["data"][0]["dataFilter"]


def test_the_better_processing_of_a_slice_counts_and_is_asked_for(stand_in, source):
    quick = radar_product(
        NOON + timedelta(seconds=2), SEA, timeliness="NRT3h", end="0001", scene=pattern_scene(SEA, NOON, salt=1)
    )
    careful = radar_product(NOON, SEA, timeliness="Fast24h", end="0002", scene=pattern_scene(SEA, NOON, salt=2))
    server = stand_in([quick, careful])
    scene = only_scene(source())
    assert scene.provenance.ids == (careful.id,)
    tile = Window(row=0, col=0, height=64, width=64)
    np.testing.assert_allclose(scene.read(tile).data, expected(careful.scene, scene.geometry, tile).data, rtol=1e-6)
    assert server.of("process")[0].body["input"]["data"][0]["dataFilter"]["timeliness"] == "Fast24h"


def test_a_datatake_that_follows_at_once_stays_a_scene_of_its_own(stand_in, source):
    first, second = box(125.0, 36.0, 126.0, 37.41), box(125.0, 37.41, 126.0, 38.9)
    later = NOON + timedelta(seconds=40)
    products = [
        radar_product(NOON, first, scene=pattern_scene(first, NOON, salt=1)),
        radar_product(later, second, datatake="0313E3", scene=pattern_scene(second, later, salt=2)),
    ]
    server = stand_in(products)
    where = source()
    refs = where.search(SPOT, *MAY)
    assert [ref.id for ref in refs] == ["S1A_IW_GRDH_1SDV_027294_0313E2", "S1A_IW_GRDH_1SDV_027294_0313E3"]
    for ref, product in zip(refs, products, strict=True):
        scene = where.fetch(ref, SPOT)
        pixels, own = scene.read(), expected(product.scene, scene.geometry, scene.window)
        assert pixels.valid.any()
        assert not (pixels.valid & ~own.valid).any()
        np.testing.assert_allclose(pixels.data[pixels.valid], own.data[pixels.valid], rtol=1e-6)
    spans = {tuple(r.body["input"]["data"][0]["dataFilter"]["timeRange"].values()) for r in server.of("process")}
    assert spans == {("2019-05-12T09:37:00Z", "2019-05-12T09:38:20Z"), ("2019-05-12T09:38:20Z", "2019-05-12T09:40:05Z")}


def test_two_runs_of_one_datatake_far_apart_are_two_scenes(stand_in, source):
    south, north = box(125.0, 20.0, 126.0, 21.4), box(125.0, 37.0, 126.0, 38.4)
    stand_in([radar_product(NOON, south), radar_product(NOON + timedelta(minutes=4), north, end="0002")])
    polygon = shapely.union_all([area(125.3, 20.5, 125.4, 20.6).polygon, SPOT.polygon])
    refs = source().search(AreaOfInterest(name="both", polygon=polygon), *MAY)
    assert [ref.id for ref in refs] == ["S1A_IW_GRDH_1SDV_027294_0313E2", "S1A_IW_GRDH_1SDV_027294_0313E2_094200"]
    assert refs[1].time - refs[0].time == timedelta(minutes=4)


def test_single_polarisation_and_other_modes(stand_in, source):
    single = radar_product(NOON, SEA, polarisation="SV", scene=pattern_scene(SEA, NOON, bands=("vv",)))
    wide = Entry(
        id="S1A_EW_GRDM_1SDH_20190512T093800_20190512T093900_027294_0313E9_ABCD",
        collection="sentinel-1-grd",
        time=NOON,
        geometry=mapping(SEA),
        properties={"sat:orbit_state": "ascending"},
    )
    server = stand_in([single, wide])
    scene = only_scene(source())
    assert scene.bands == ("vv",)
    tile = Window(row=0, col=0, height=50, width=60)
    np.testing.assert_allclose(scene.read(tile).data, expected(single.scene, scene.geometry, tile).data, rtol=1e-6)
    assert server.of("process")[0].body["input"]["data"][0]["dataFilter"]["polarization"] == "SV"


def test_optical_tiles_of_a_datatake_are_one_scene_in_the_zone_of_most(stand_in, source):
    sensed = datetime(2019, 5, 13, 2, 25, 3, tzinfo=UTC)
    tiles = [("52SBH", 125.6, 126.9), ("51SYB", 125.2, 126.5), ("51SYC", 125.2, 126.5)]
    products = [
        optical_product(sensed + timedelta(seconds=3 * n), box(w, 37.0, e, 38.0), tile)
        for n, (tile, w, e) in enumerate(tiles)
    ]
    again = optical_product(sensed, box(125.2, 37.0, 126.5, 38.0), "51SYB", baseline="0500", made="20230101T000000")
    stand_in([*products, again])
    scene = only_scene(source(), area(126.2, 37.4, 126.25, 37.45))
    assert scene.id == "S2B_MSIL2A_20190513T021609_R003"
    assert scene.sensor == SENTINEL2
    assert scene.provenance.ids == (products[0].id, again.id, products[2].id)
    assert rasterio.crs.CRS.from_wkt(scene.geometry.crs_wkt).to_epsg() == 32651


def test_level_1c_fills_in_where_there_is_no_level_2a(stand_in, source):
    sensed = datetime(2019, 5, 13, 2, 25, 3, tzinfo=UTC)
    both = ("sentinel-2-l2a", "sentinel-2-l1c")
    server = stand_in([optical_product(sensed, SEA, "51SYB", level="L1C")])
    (ref,) = source(collections=both).search(SPOT, *MAY)
    assert ref.id == "S2B_MSIL1C_20190513T021609_R003"
    assert "scl" not in source(collections=both).fetch(ref, SPOT).bands
    server.entries.append(optical_product(sensed, SEA, "51SYB"))
    (ref,) = source(collections=both).search(SPOT, *MAY)
    assert ref.id == "S2B_MSIL2A_20190513T021609_R003"


def test_all_pages_are_read(stand_in, source):
    days = [NOON + timedelta(days=n) for n in range(7)]
    server = stand_in([radar_product(t, SEA, orbit=100 + n) for n, t in enumerate(days)], page=2)
    refs = source(collections=("sentinel-1-grd",)).search(SPOT, *MAY)
    assert [ref.time - timedelta(seconds=12.5) for ref in refs] == days
    assert [request.body.get("next") for request in server.of("catalogue")] == [None, 2, 4, 6]
    assert {request.body["limit"] for request in server.of("catalogue")} == {100}


# Places


@pytest.mark.parametrize("border", [48.0, 126.0])
def test_a_scene_on_a_zone_border_has_one_zone_and_every_tile_once(stand_in, source, border):
    outline = box(border - 1.4, 12.0, border + 1.0, 13.5)
    scene = pattern_scene(outline, NOON)
    server = stand_in([radar_product(NOON, outline, scene=scene)])
    fetched = only_scene(source(), area(border - 0.05, 12.5, border + 0.05, 12.55))
    assert rasterio.crs.CRS.from_wkt(fetched.geometry.crs_wkt) == rasterio.crs.CRS.from_wkt(scene.geometry.crs_wkt)
    pixels, truth = fetched.read(), expected(scene, fetched.geometry, fetched.window)
    assert pixels.valid.all()
    np.testing.assert_allclose(pixels.data, truth.data, rtol=1e-6)
    boxes = [tuple(request.body["input"]["bounds"]["bbox"]) for request in server.of("process")]
    assert len(boxes) == len(set(boxes))
    assert shapely.union_all([box(*b) for b in boxes]).area == pytest.approx(sum(box(*b).area for b in boxes))


@pytest.mark.parametrize(
    ("west", "south", "east", "north"), [(178.9, -18.4, -179.3, -17.2), (179.1, 64.9, -177.0, 66.1)]
)
def test_the_antimeridian_equals_a_copy_shifted_by_whole_zones(stand_in, source, west, south, east, north):
    """Fiji and the Bering Strait, outlines written as three catalogues would, and 126 degrees further west."""
    here = area(west - 126.0, south, east + 234.0, north).polygon
    there = area(west, south, east, north).polygon
    around = [(west - 360.0, south), (east, south), (east, north), (west - 360.0, north)]
    wrapped = shapely.Polygon([(lon if lon >= -180 else lon + 360, lat) for lon, lat in around])
    beyond = box(west, south, east + 360.0, north)
    middle = (west + east + 360.0) / 2
    results = []
    for outline, shift in ((here, -126.0), (there, 0.0), (wrapped, 0.0), (beyond, 0.0)):
        scene = pattern_scene(there if shift == 0.0 else here, NOON)
        stand_in([radar_product(NOON, outline, scene=scene)])
        sides = [(middle + d + shift + 180.0) % 360.0 - 180.0 for d in (-0.02, 0.03)]
        lat = (south + north) / 2
        fetched = only_scene(source(), area(sides[0], lat, sides[1], lat + 0.03))
        pixels = fetched.read()
        assert pixels.valid.all()
        results.append((fetched.geometry.transform, fetched.shape_hw, pixels.data))
    for transform, shape, data in results[1:]:
        assert transform == results[0][0]
        assert shape == results[0][1]
        np.testing.assert_array_equal(data, results[0][2])


def test_two_areas_get_the_same_tiles_to_the_last_bit(stand_in, source):
    stand_in([radar_product(NOON, SEA, scene=pattern_scene(SEA, NOON))])
    one, other = only_scene(source(), SPOT), only_scene(source(), area(125.31, 37.41, 125.4, 37.5))
    col, row = ~one.geometry.transform @ (other.geometry.transform.c, other.geometry.transform.f)
    assert col % 256 == row % 256 == 0
    shared = other.window.intersection(
        Window(row=-int(row), col=-int(col), height=one.shape_hw[0], width=one.shape_hw[1])
    )
    in_one = Window(row=shared.row + int(row), col=shared.col + int(col), height=shared.height, width=shared.width)
    assert one.geometry.crop(in_one) == other.geometry.crop(shared)
    np.testing.assert_array_equal(one.read(in_one).data, other.read(shared).data)


# Failures


def tiff(shape, dtype="uint16"):
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=shape[0],
            height=shape[1],
            width=shape[2],
            dtype=dtype,
            crs="EPSG:32651",
            transform=Affine(10, 0, 0, 0, -10, 0),
        ) as dataset:
            dataset.write(np.ones(shape, dtype))
        return bytes(memory.read())


PASSING = {
    "429 in milliseconds": (Failure(status=429, headers={"Retry-After": "3398"}), [3.398]),
    "429 in few milliseconds": (Failure(status=429, headers={"Retry-After": "2"}), [0.5]),
    "429 without a time": (Failure(status=429), [0.5]),
    "503": (Failure(status=503, body="<html>busy</html>"), [0.5]),
    "500": (Failure(status=500, body={"error": {"code": "RENDERER_EXCEPTION", "message": "oops"}}), [0.5]),
    "truncated": (Failure(cut=0.6), [0.5]),
    "nothing": (Failure(cut=0.0), [0.5]),
    "empty 200": (Failure(status=200), [0.5]),
    "garbage 200": (Failure(status=200, body=b"\x00garbage" * 50), [0.5]),
    "HTML 200": (Failure(status=200, body="<html>please log in</html>"), [0.5]),
    "a tile of other size": (Failure(status=200, body=tiff((3, 31, 32))), [0.5]),
    "a tile of other bands": (Failure(status=200, body=tiff((2, 32, 32))), [0.5]),
    "a tile of other numbers": (Failure(status=200, body=tiff((3, 32, 32), "uint8")), [0.5]),
    "half a TIFF": (Failure(status=200, body=tiff((3, 32, 32))[:700]), [0.5]),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(stand_in, source, waits, name):
    failure, waited = PASSING[name]
    scene = pattern_scene(SEA, NOON)
    server = stand_in([radar_product(NOON, SEA, scene=scene)])
    fetched = only_scene(source())
    waits.clear()
    server.fail("process", failure)
    tile = Window(row=0, col=0, height=32, width=32)
    np.testing.assert_allclose(fetched.read(tile).data, expected(scene, fetched.geometry, tile).data, rtol=1e-6)
    assert waits == waited
    assert len(server.of("process")) == 2


@pytest.mark.parametrize("name", ["503", "truncated", "garbage 200", "a tile of other size", "429 in milliseconds"])
def test_what_does_not_pass_is_a_fetch_error(stand_in, source, waits, name):
    failure = PASSING[name][0]
    server = stand_in([radar_product(NOON, SEA)])
    fetched = only_scene(source())
    server.fail("process", *[failure] * 4)
    with pytest.raises(FetchError, match="no answer in 4 tries"):
        fetched.read(Window(row=0, col=0, height=32, width=32))
    assert len(server.of("process")) == 4


def test_a_date_to_retry_after_is_waited_for(stand_in, source, waits):
    server = stand_in([radar_product(NOON, SEA)])
    fetched = only_scene(source())
    waits.clear()
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.fail("process", Failure(status=429, headers={"Retry-After": then}))
    fetched.read(Window(row=0, col=0, height=8, width=8))
    assert len(waits) == 1
    assert 30.0 < waits[0] <= 41.0


def test_a_server_that_says_nothing_is_asked_again(stand_in, source, waits):
    server = stand_in([radar_product(NOON, SEA)])
    where = source(policy=RetryPolicy(attempts=2, first_wait_s=0.1, timeout_s=(5.0, 0.6), sleep=waits.append))
    fetched = only_scene(where)
    waits.clear()
    server.fail("process", Failure(silent=True))
    fetched.read(Window(row=0, col=0, height=8, width=8))
    assert waits == [0.1]
    server.stopping.set()


def test_a_spent_quota_ends_it_at_once(stand_in, source):
    server = stand_in([radar_product(NOON, SEA)])
    fetched = only_scene(source())
    tile = Window(row=0, col=0, height=8, width=8)
    server.fail("process", QUOTA, Failure(status=429, headers={"Retry-After": "3600000"}))
    for _ in range(2):
        with pytest.raises(QuotaError, match=r"What was fetched is kept"):
            fetched.read(tile)
    assert len(server.of("process")) == 2
    fetched.read(tile)


@pytest.mark.parametrize(("status", "error"), [(400, FetchError), (404, FetchError), (403, CredentialsError)])
def test_a_refusal_is_not_repeated_and_says_why(stand_in, source, waits, status, error):
    server = stand_in([radar_product(NOON, SEA)])
    fetched = only_scene(source())
    waits.clear()
    server.fail("process", Failure(status=status, body={"error": {"code": "SOME_CODE", "message": "because"}}))
    with pytest.raises(error, match=f"{status}: SOME_CODE because"):
        fetched.read(Window(row=0, col=0, height=8, width=8))
    assert waits == []


def test_failures_of_the_catalogue(stand_in, source, waits):
    server = stand_in([radar_product(NOON, SEA)])
    where = source(collections=("sentinel-1-grd",))
    server.fail("catalogue", Failure(status=429, headers={"Retry-After": "700"}), Failure(status=200, body="[]"))
    assert len(where.search(SPOT, *MAY)) == 1
    assert waits == [0.7, 1.0]
    server.fail("catalogue", Failure(status=200, body={"features": [{"id": "x"}], "context": {}}))
    with pytest.raises(FetchError, match="no list of products"):
        where.search(SPOT, *MAY)
    server.fail("catalogue", Failure(status=200, body={"features": []}))
    with pytest.raises(FetchError, match="no list of products"):
        where.search(SPOT, *MAY)
    server.fail("catalogue", Failure(status=400, body={"code": "IllegalCollection", "description": "no such thing"}))
    with pytest.raises(FetchError, match="IllegalCollection no such thing"):
        where.search(SPOT, *MAY)


def test_products_without_outline_or_name_are_left_out_and_told(stand_in, source):
    good = optical_product(NOON, SPOT.polygon, "51SYB")
    server = stand_in([good, replace(good, id="unnamed")])
    where = source()
    assert len(where.search(SPOT, *MAY)) == 1
    assert where.skipped == ("unnamed does not name its datatake and tile",)
    nowhere = {"id": good.id, "geometry": None, "properties": {"datetime": "2019-05-12T09:38:00Z"}}
    server.fail("catalogue", None, Failure(status=200, body={"features": [nowhere], "context": {}}))
    assert where.search(SPOT, *MAY) == []
    assert "has no outline" in where.skipped[1]


# Tokens


def test_one_token_serves_all_sources_and_threads_of_a_process(stand_in, source):
    server = stand_in([radar_product(NOON, SEA)], token_life_s=30.0)  # shorter than the library's 120 s
    scenes = [only_scene(source()) for _ in range(2)]
    tiles = [Window(row=8 * n, col=0, height=8, width=8) for n in range(10)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: scenes[n % 2].read(tiles[n]), range(10)))
    assert len(server.of("process")) == 10
    assert len(server.of("token")) == 1


def test_a_token_that_ends_on_the_way_is_renewed_once(stand_in, source, waits):
    server = stand_in([radar_product(NOON, SEA)])
    scene = only_scene(source())
    server.expire_tokens()
    scene.read(Window(row=0, col=0, height=8, width=8))
    assert len(server.of("token")) == 2
    server.expire_tokens()
    tiles = [Window(row=8 * n, col=0, height=8, width=8) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(scene.read, tiles))
    assert len(server.of("token")) == 3
    refused = Failure(status=401, body={"error": {"code": "COMMON_UNAUTHORIZED", "message": "no"}})
    server.fail("process", refused, refused)
    with pytest.raises(CredentialsError, match="COMMON_UNAUTHORIZED"):
        scene.read(tiles[0])
    assert len(server.of("token")) == 4


def test_a_token_at_the_end_of_its_life_is_replaced_before_it_is_used(stand_in, source):
    server = stand_in([radar_product(NOON, SEA)], token_life_s=0.0)
    server.fail("token", *[None] * 3)
    with pytest.raises(CredentialsError):
        source().search(SPOT, *MAY)
    assert 1 < len(server.of("token")) < 5


def test_the_token_service_may_fail_for_a_while(stand_in, source, waits):
    server = stand_in([radar_product(NOON, SEA)])
    server.fail(
        "token",
        Failure(status=503),
        Failure(status=200, body="<html>"),
        Failure(status=200, body={"access_token": "a.b.c"}),
    )
    assert len(source().search(SPOT, *MAY)) == 1
    assert waits == [0.5, 1.0, 2.0]
    assert len(server.of("token")) == 4


def test_a_token_service_that_stays_away_is_a_fetch_error(stand_in, source):
    server = stand_in([])
    server.fail("token", *[Failure(status=503)] * 4)
    with pytest.raises(FetchError, match=r"the token service 127\.0\.0\.1 gave no answer"):
        source().search(SPOT, *MAY)


def test_a_token_tells_its_own_end_where_the_answer_does_not(stand_in, source):
    server = stand_in([radar_product(NOON, SEA)])
    token = server.new_token()
    server.fail("token", Failure(status=200, body={"access_token": token["access_token"]}))
    source().search(SPOT, *MAY)
    source().search(SPOT, *MAY)
    assert len(server.of("token")) == 1


def test_wrong_and_missing_credentials_are_told(stand_in, source, monkeypatch):
    stand_in([])
    monkeypatch.setenv("SH_CLIENT_SECRET", "PLANTED-wrong-77")
    with pytest.raises(CredentialsError, match="invalid_client") as refused:
        source().search(SPOT, *MAY)
    assert "PLANTED" not in str(refused.value)
    monkeypatch.delenv("SH_CLIENT_SECRET")
    with pytest.raises(CredentialsError, match="sentinelhub needs SH_CLIENT_SECRET"):
        source().search(SPOT, *MAY)


def planted(text):
    return CLIENT_SECRET in text or CLIENT_SECRET[-4:] in text or "Bearer e" in text


def test_no_secret_in_logs_reprs_exceptions_pickles_or_files(stand_in, source, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    for name in ("sentinelhub", "requests_oauthlib", "oauthlib", "urllib3"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    server = stand_in([radar_product(NOON, SEA)])
    where = source()
    scene = only_scene(where)
    scene.read(Window(row=0, col=0, height=8, width=8))
    client = scene.reader.client
    session = client.get_session()
    seen = [where, scene, scene.reader, client, client.config, session, client.usage, vars(where), vars(scene)]
    token = session.access_token()
    for thing in seen:
        for text in (repr(thing), str(thing)):
            assert not planted(text)
            assert token not in text
    server.fail("process", Failure(status=400, body="no"), *[Failure(status=500, body="down")] * 4)
    for _ in range(2):
        with pytest.raises(FetchError) as error:
            scene.read(Window(row=0, col=0, height=8, width=8))
        raised = error.value
        while raised is not None:
            assert not planted(repr(raised))
            raised = raised.__cause__ or raised.__context__
    assert "sentinelhub" in caplog.text or "urllib3" in caplog.text
    assert not planted(caplog.text)
    assert token not in caplog.text
    for thing in (where, client, client.config, session, scene):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    with pytest.raises(TypeError):
        client.config.save()
    assert not list((tmp_path / "home").rglob("*"))
    assert CLIENT_SECRET not in where.identity


def test_a_netrc_entry_takes_the_place_of_no_token(stand_in, source, tmp_path):
    stand_in([radar_product(NOON, SEA)])
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    assert len(source().search(SPOT, *MAY)) == 1


# Cost


# Units per tile of 2500 x 2500 px in VV and VH by the providers' pricing, to three digits.
@pytest.mark.parametrize(
    ("options", "units"),
    [
        ({}, 15.9),
        ({"orthorectified": True}, 31.8),
        ({"floating_point": True}, 31.8),
        ({"floating_point": True, "orthorectified": True}, 63.6),
        ({"floating_point": True, "terrain_corrected": True, "speckle_filtered": True}, 159.0),
    ],
)
def test_processing_units_are_those_of_the_price_list(options, units):
    assert processing_units(2500, 2500, 2, **options) == pytest.approx(units, rel=2e-3)


def test_small_requests_have_a_least_price():
    assert processing_units(512, 512, 3) == 1.0
    assert processing_units(1, 1, 1) == 0.005
    assert processing_units(10, 10, 12) == pytest.approx(0.04)


def test_cost_needs_no_network_and_no_credentials(monkeypatch):
    monkeypatch.setattr(requests, "request", None)
    monkeypatch.delenv("SH_CLIENT_ID", raising=False)
    outline = shapely.MultiPolygon([box(120.0, 36.0, 126.0, 39.0)])
    ref = SceneRef(id="S1A_IW_GRDH_1SDV_027294_0313E2", sensor_name=SENTINEL1_IW_GRD.name, time=NOON, footprint=outline)
    # 150 km x 150 km of zone 51, a kilometre inside whole tiles
    corners = Grid.from_crs("EPSG:32651", Affine(1, 0, 326_500, 0, -1, 4_248_500), (147_000, 147_000))
    lon, lat = corners.lonlat([0, 0, 147_000, 147_000], [0, 147_000, 147_000, 0])
    where = AreaOfInterest.from_wkt("area", shapely.Polygon(np.column_stack([lon, lat])).wkt)
    source = SentinelHubSource(tile_px=2500)
    cost = source.cost(ref, where)
    assert (cost.tiles, cost.requests) == (36, 36)
    assert cost.processing_units == pytest.approx(36 * 15.9, rel=2e-3)
    assert cost.bytes == 36 * 2500 * 2500 * 3 * 2
    optical_ref = replace(ref, id="S2B_MSIL2A_20190513T021609_R003", sensor_name=SENTINEL2.name)
    assert source.cost(optical_ref, where).processing_units == pytest.approx(36 * 103.3, rel=2e-3)
    assert SentinelHubSource().cost(ref, where).processing_units == pytest.approx(36 * 15.9, rel=2e-3)
    far = area(10.0, 10.0, 10.1, 10.1)
    assert source.cost(ref, far).requests == 0


def test_the_cost_is_what_reading_the_areas_tiles_takes(stand_in, source, simulated):
    server = stand_in(entries_of(simulated))
    where, part = source(), area(125.65, 37.77, 125.68, 37.8)
    for ref in where.search(part, *MAY):
        cost = where.cost(ref, part)
        scene = where.fetch(ref, part)
        before, spent = len(server.of("process")), where.usage.processing_units
        for window in wanted_tiles(scene.geometry, 256, part):
            scene.read(window)
        assert len(server.of("process")) - before == cost.requests == cost.tiles
        assert where.usage.processing_units - spent == pytest.approx(cost.processing_units)


def test_no_more_than_so_many_requests_in_any_minute():
    now_s, sent_s = [0.0], []

    def sleep(wait_s):
        now_s[0] += wait_s

    pacer = Pacer(5, clock=lambda: now_s[0])
    for _ in range(23):
        pacer.wait(sleep)
        sent_s.append(now_s[0])
        now_s[0] += 0.3
    assert all(later - earlier > 59.999 for earlier, later in zip(sent_s, sent_s[5:], strict=False))
    assert sent_s[4] < 2.0  # nobody waits before the limit is reached


# Annotation


@pytest.fixture(scope="session")
def annotation(real_data):
    """Annotation files of a real product, and its outline."""
    with zipfile.ZipFile(real_data(f"sar/safe/{SAFE}.SAFE.zip")) as archive:
        names = [n for n in archive.namelist() if "/annotation/s1b" in n]
        files = {Path(name).name: archive.read(name) for name in names}
    vv = next(body for name, body in files.items() if "-vv-" in name)
    points = [
        [float(v) for v in re.findall(rf"<{key}>([^<]*)</{key}>", vv.decode())] for key in ("longitude", "latitude")
    ]
    outline = shapely.MultiPoint(np.column_stack(points)).convex_hull
    return files, outline, vv


def real_product(annotation):
    start = datetime(2021, 4, 1, 5, 26, 23, tzinfo=UTC)
    return Entry(
        id=f"{SAFE}_COG.SAFE",
        collection="sentinel-1-grd",
        time=start,
        geometry=mapping(annotation[1]),
        properties={"sat:orbit_state": "descending", "s1:timeliness": "Fast24h"},
    )


def middle_of(outline):
    lon, lat = outline.centroid.x, outline.centroid.y
    return area(lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05)


OCTOBER = datetime(2022, 10, 1, tzinfo=UTC), datetime(2022, 11, 1, tzinfo=UTC)
APRIL = datetime(2021, 4, 1, tzinfo=UTC), datetime(2021, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("redirected", [False, True])
def test_times_and_angles_come_from_the_products_annotation(stand_in, source, annotation, redirected):
    server = stand_in([real_product(annotation)], annotations={f"{SAFE}.SAFE": annotation[0]})
    server.redirect_files_to = server.base_url if redirected else ""
    where = middle_of(annotation[1])
    scene = only_scene(source(), where, APRIL)
    assert "annotation" in scene.acquisition.source
    (note,) = scene.provenance.notes  # this product lacks the tables
    assert "has no calibration of vv): faint vessels may be missed" in note
    assert with_thermal_noise(scene) is scene
    truth = annotated_ground(scene.geometry, [annotation[2]])
    rows, cols = np.array([0.0, 100.0, 500.0]), np.array([3.0, 700.0, 20.0])
    seen, known = scene.acquisition.at(rows, cols), truth.at(rows, cols)
    np.testing.assert_array_equal(seen.time, known.time)
    np.testing.assert_array_equal(seen.incidence_deg, known.incidence_deg)
    span = np.datetime64("2021-04-01T05:26:23"), np.datetime64("2021-04-01T05:26:49")
    assert ((span[0] < seen.time) & (seen.time < span[1])).all()


def test_without_annotation_the_orbit_is_modelled_and_says_so(stand_in, source, annotation, caplog):
    server = stand_in([real_product(annotation)])
    where = middle_of(annotation[1])
    scene = only_scene(source(), where, APRIL)
    note, other = scene.provenance.notes
    assert "subtracted thermal noise and how much is not known (no annotation): faint vessels may be missed" in other
    assert re.match(rf"no annotation \(the product catalogue of .* has no {SAFE}", note)
    assert "modelled from the orbit" in note
    assert note in caplog.text
    truth = annotated_ground(scene.geometry, [annotation[2]])
    rows, cols = (np.linspace(0, side - 1, 5) for side in scene.shape_hw)
    modelled, known = (a.at(rows[:, None], cols) for a in (scene.acquisition, truth))
    assert np.abs(modelled.incidence_deg - known.incidence_deg).max() < 0.3
    assert np.abs((modelled.time - known.time) / np.timedelta64(1, "s")).max() < 1.5
    assert np.abs(modelled.look_azimuth_deg - known.look_azimuth_deg).max() < 0.3
    assert len(server.of("products")) == 1


def test_refused_annotation_is_not_asked_for_again(stand_in, source, annotation):
    server = stand_in([real_product(annotation)], annotations={f"{SAFE}.SAFE": annotation[0]})
    refused = Failure(status=403, body={"detail": "this client may not"})
    server.fail("products", None, refused)
    where = source()
    (ref,) = where.search(middle_of(annotation[1]), *APRIL)
    notes = {where.fetch(ref, middle_of(annotation[1])).provenance.notes for _ in range(3)}
    assert len(notes) == 1
    assert "this client may not" in next(iter(notes))[0]
    assert len(server.of("products")) == 2


def test_annotation_that_will_not_come_whole_leaves_the_scene_for_later(stand_in, source, annotation):
    server = stand_in([real_product(annotation)], annotations={f"{SAFE}.SAFE": annotation[0]})
    server.fail("products", None, None, Failure(cut=0.5), Failure(status=200, body="<html></html>"))
    where = middle_of(annotation[1])
    assert "annotation" in only_scene(source(), where, APRIL).acquisition.source
    server.fail("products", None, None, *[Failure(status=200, body="<html></html>")] * 4)
    with pytest.raises(NoAnswerError, match="no answer in 4 tries"):
        only_scene(source(), where, APRIL)
    server.fail("products", None, QUOTA)
    with pytest.raises(QuotaError):
        only_scene(source(), where, APRIL)
    assert "annotation" in only_scene(source(), where, APRIL).acquisition.source


def test_the_token_goes_to_no_other_host(stand_in, source, annotation):
    server = stand_in([real_product(annotation)], annotations={f"{SAFE}.SAFE": annotation[0]})
    server.redirect_files_to = server.base_url.replace("127.0.0.1", "localhost")
    scene = only_scene(source(), middle_of(annotation[1]), APRIL)
    assert "refuses access" in scene.provenance.notes[0]
    files = [request for request in server.of("products") if request.path.startswith("/files/")]
    assert files
    assert {request.headers["had-token"] for request in files} == {"False"}


def test_a_deployment_without_product_files_says_so(stand_in, source, annotation):
    stand_in([real_product(annotation)])
    where = source()
    bare = replace(where.deployment, product_catalogue_url=None, product_download_url=None, name="bare")
    scene = only_scene(replace(where, deployment=bare), middle_of(annotation[1]), APRIL)
    assert "bare gives no single files of products" in scene.provenance.notes[0]


# Thermal noise


@dataclass(frozen=True, kw_only=True)
class NoisySea:
    """A product as the service would show it, noise subtracted and on a map, and what is in it.

    Attributes:
        entry: the product in the catalogue.
        files: what lies below ``annotation``.
        boats: of 20 to 40 m.
        where: an area with all of them.
        noise: (2, h, w) sigma0 on the map of `entry.scene`, by tables read by hand.
    """

    entry: Entry
    files: dict[str, bytes]
    boats: list[Ship]
    where: AreaOfInterest
    noise: np.ndarray


@pytest.fixture(scope="session")
def noisy_sea(real_data):
    """81 boats on dark water, within a real product's speckle and noise, across the border of two sub-swaths."""
    product = SafeProduct(real_data(f"sar/safe/{DARK}.SAFE.zip"))
    model = RadarModel(product.text("", "vv"))
    row, col, side = 9700, 7800, 1150
    rng = np.random.default_rng(4)
    places = np.linspace(130, side - 130, 9)
    boats = [
        Ship(*model.lonlat(row + r, col + c), float(rng.uniform(20, 40)), float(rng.uniform(0, 180)))
        for r in places
        for c in places
    ]
    corners = np.array([model.lonlat(row + r, col + c) for r in (0, side - 1) for c in (0, side - 1)])
    outline = shapely.MultiPoint(corners).convex_hull
    zone = UtmZone.of_outline(outline)
    west, south, east, north = (round(v / 10.0) * 10 for v in zone.metres(outline).bounds)
    grid = Grid.from_crs(
        f"EPSG:{zone.epsg}", Affine(10, 0, west, 0, -10, north), ((north - south) // 10, (east - west) // 10)
    )
    # each map pixel shows the sample nearest to it
    nodes = [np.linspace(0, n - 1, 9) for n in grid.shape_hw]
    at = np.array([[model.line_pixel(*map(float, grid.lonlat(r, c))) for c in nodes[1]] for r in nodes[0]])
    lines, pixels = (
        np.rint(RectBivariateSpline(*nodes, at[..., k])(*map(np.arange, grid.shape_hw)) - first).astype(int)
        for k, first in enumerate((row, col))
    )
    inside = (lines >= 0) & (lines < side) & (pixels >= 0) & (pixels < side)
    lines, pixels = np.clip(lines, 0, side - 1), np.clip(pixels, 0, side - 1)
    shown, noises = [], []
    here = np.arange(col, col + side, dtype=float)
    for k, (band, water, hull) in enumerate((("vv", 10**-2.2, 0.06), ("vh", 10**-3.0, 0.02))):
        clean = paint(model, boats, row, col, (side, side), water, hull)
        power = digital_numbers(product, band, clean, row, col, seed=k + 9).astype(float) ** 2
        texts = product.text("noise-", band), product.text("calibration-", band)
        noise = np.stack([noise_at(texts[0], line, here) for line in range(row, row + side, 25)]).repeat(25, axis=0)
        gain = lut_at(texts[1], "sigmaNought", "calibrationVector", row + side / 2, here)
        shown.append(np.where(inside, ((power - noise) / gain**2)[lines, pixels], np.nan))
        noises.append((noise / gain**2)[lines, pixels])
    scene = scene_of_array(grid, np.stack(shown), bands=("vv", "vh"))
    start = datetime(2022, 10, 14, 20, 51, 26, tzinfo=UTC)
    return NoisySea(
        entry=Entry(
            id=DARK,
            collection="sentinel-1-grd",
            time=start,
            geometry=mapping(outline),
            properties={
                "sat:orbit_state": "descending",
                "sar:instrument_mode": "IW",
                "s1:polarization": "DV",
                "s1:resolution": "HIGH",
                "s1:timeliness": "Fast24h",
            },
            scene=scene,
        ),
        files={
            Path(name).name: body
            for name, body in product.members.items()
            if "/annotation/" in name and "/rfi/" not in name
        },
        boats=boats,
        where=area(*np.ravel([op([(b.lon, b.lat) for b in boats], axis=0) for op in (np.min, np.max)])),
        noise=np.where(inside, np.stack(noises), np.nan),
    )


def boats_found(scene, boats):
    """How many of the boats a detector finds, and how many objects it reports."""
    found = detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, None), None, workers=2).detections
    near = [np.hypot(*offset_m(b.lon, b.lat, found.lon, found.lat)).min(initial=np.inf) < 60 for b in boats]
    return sum(near), len(found.lon)


def test_faint_boats_are_found_with_the_noise_put_back(stand_in, source, noisy_sea):
    stand_in([noisy_sea.entry], annotations={f"{DARK}.SAFE": noisy_sea.files})
    scene = only_scene(source(tile_px=640), noisy_sea.where, OCTOBER)
    assert scene.provenance.notes == ()
    bare = scene_of_array(scene.geometry, scene.read().data, bands=scene.bands)
    assert (bare.read().data == 0.0).mean() > 0.02  # what the service cannot say
    (with_noise, reported), (without, _) = (boats_found(s, noisy_sea.boats) for s in (scene, bare))
    assert with_noise >= 0.9 * len(noisy_sea.boats)
    assert reported <= with_noise + 2
    assert without < 0.5 * with_noise


def test_the_noise_of_a_scene_is_that_of_its_products_tables(stand_in, source, noisy_sea, tmp_path):
    server = stand_in([noisy_sea.entry], annotations={f"{DARK}.SAFE": noisy_sea.files})
    remote = only_scene(source(tile_px=640), noisy_sea.where, OCTOBER)
    # look up, list two folders, fetch annotation, and two tables of two polarisations
    assert len(server.of("products")) == 8
    truth = expected(
        scene_of_array(noisy_sea.entry.scene.geometry, noisy_sea.noise, bands=("vv", "vh")),
        remote.geometry,
        remote.window,
    )
    known = truth.valid
    off = remote.reader.noise_sigma0(remote.window)[known] / truth.data[known] - 1
    assert known.mean() > 0.2
    assert (np.abs(off) < 0.01).mean() > 0.97  # the rest lies at the border of sub-swaths
    noisy, bare = with_thermal_noise(remote).read(), remote.read()
    np.testing.assert_array_equal(noisy.data, bare.data + remote.reader.noise_sigma0(remote.window))
    # and the cache keeps it
    cached = CachedFetcher(inner=source(tile_px=640), store=TileStore(folder=tmp_path / "cache", limit_bytes=10**9))
    (ref,) = cached.search(noisy_sea.where, *OCTOBER)
    cached.fetch(ref, noisy_sea.where)
    asked = len(server.recorded)
    stored = cached.fetch(ref, noisy_sea.where)
    kept = with_thermal_noise(stored).read()
    assert len(server.recorded) == asked
    there = kept.valid
    assert there.mean() > 0.2
    np.testing.assert_array_equal(kept.data[there], noisy.data[there])


@pytest.mark.parametrize("band", ["vv", "vh"])
@pytest.mark.parametrize("kind", ["calibration", "noise"])
def test_without_a_table_of_noise_the_scene_says_what_is_missed(stand_in, source, noisy_sea, caplog, kind, band):
    files = {n: b for n, b in noisy_sea.files.items() if not (n.startswith(kind) and f"-{band}-" in n)}
    stand_in([noisy_sea.entry], annotations={f"{DARK}.SAFE": files})
    scene = only_scene(source(), noisy_sea.where, OCTOBER)
    assert "annotation" in scene.acquisition.source
    (note,) = scene.provenance.notes
    assert f"has no {kind} of {band}): faint vessels may be missed" in note
    assert note in caplog.text
    assert with_thermal_noise(scene) is scene


def test_refused_tables_are_not_asked_for_again(stand_in, source, noisy_sea):
    server = stand_in([noisy_sea.entry], annotations={f"{DARK}.SAFE": noisy_sea.files})
    server.fail("products", None, None, None, None, Failure(status=403, body={"detail": "this client may not"}))
    where = source()
    (ref,) = where.search(noisy_sea.where, *OCTOBER)
    scenes = [where.fetch(ref, noisy_sea.where) for _ in range(3)]
    assert all("annotation" in scene.acquisition.source for scene in scenes)
    assert all("this client may not" in scene.provenance.notes[0] for scene in scenes)
    assert len({scene.provenance.notes for scene in scenes}) == 1
    assert len(server.of("products")) == 5 + 3 + 3


def test_a_table_that_will_not_come_whole_leaves_the_scene_for_later(stand_in, source, noisy_sea):
    server = stand_in([noisy_sea.entry], annotations={f"{DARK}.SAFE": noisy_sea.files})
    server.fail("products", *[None] * 4, Failure(cut=0.5), Failure(status=200, body="<html></html>"))
    assert only_scene(source(), noisy_sea.where, OCTOBER).provenance.notes == ()
    server.fail("products", *[None] * 4, *[Failure(status=200, body="<html></html>")] * 4)
    with pytest.raises(NoAnswerError, match="no answer in 4 tries"):
        only_scene(source(), noisy_sea.where, OCTOBER)
    scene = only_scene(source(), noisy_sea.where, OCTOBER)
    assert with_thermal_noise(scene) is not scene


def test_an_orbit_that_contradicts_the_name_is_noted(stand_in, source, simulated):
    stand_in(entries_of(simulated))
    where = source()
    scene = where.fetch(where.search(BAY, *MAY)[2], BAY)
    assert "relative orbit in the product's name is not used" in scene.provenance.notes[0]


# Places of the service


def test_deployments_know_their_addresses():
    assert CDSE.url("process") == "https://sh.dataspace.copernicus.eu/api/v1/process"
    assert CDSE.url("catalogue") == "https://sh.dataspace.copernicus.eu/api/v1/catalog/1.0.0"
    assert COMMERCIAL.url("process") == "https://services.sentinel-hub.com/process/v1"
    assert COMMERCIAL.url("catalogue") == "https://services.sentinel-hub.com/catalog/v1"
    assert deployment_from_environment({}) == CDSE
    named = {"SH_BASE_URL": COMMERCIAL.base_url + "/", "SH_TOKEN_URL": COMMERCIAL.token_url}
    assert deployment_from_environment(named) == COMMERCIAL


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SH_BASE_URL": "https://a.example"}, "SH_TOKEN_URL"),
        ({"SH_TOKEN_URL": "https://a.example"}, "SH_BASE_URL"),
        ({"SH_BASE_URL": "http://a.example", "SH_TOKEN_URL": "https://a.example/t"}, "not https"),
        ({"SH_BASE_URL": "https://a.example", "SH_TOKEN_URL": "https://me:PLANTED@a.example/t"}, "name or password"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(environ, said):
    with pytest.raises(SourceError, match=said) as error:
        deployment_from_environment(environ)
    assert "PLANTED" not in str(error.value)


def test_what_the_service_does_not_give_is_refused():
    with pytest.raises(SourceError, match="sentinel-3"):
        SentinelHubSource(collections=("sentinel-3-olci",))
    with pytest.raises(SourceError, match="2500"):
        SentinelHubSource(tile_px=2501)


def test_identity_tells_apart_what_gives_other_pixels():
    one = SentinelHubSource()
    other = Deployment(name="x", base_url="https://x.example", token_url="https://x.example/t")
    assert one.identity == SentinelHubSource(tile_px=100).identity
    assert one.identity != replace(one, deployment=other).identity


# The stand-in on its own


def test_the_stand_in_runs_as_a_process(tmp_path, monkeypatch, source):
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "tests.servers.sentinelhub", str(tmp_path), "--bbox", "125.62,37.75,125.71,37.82"]
    command += ["--seed", "5", "--from", "2019-05-12", "--to", "2019-05-13"]
    with subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) as server:
        told = tmp_path / "environment.json"
        deadline = time.monotonic() + 60.0
        while not told.exists() and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            for name, value in json.loads(told.read_text()).items():
                monkeypatch.setenv(name, value)
            assert os.environ["SH_CLIENT_ID"] == CLIENT_ID
            assert os.environ["SH_TOKEN_URL"].endswith(TOKEN_PATH)
            scene = only_scene(source(), BAY)
            assert scene.read(Window(row=600, col=500, height=32, width=32)).valid.all()
        finally:
            server.terminate()
    assert server.returncode == 0
