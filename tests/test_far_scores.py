"""The same pixels from a folder, from Sentinel Hub and from STAC APIs give the same findings."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import mapping

from imagery.aoi import AreaOfInterest
from imagery.geotiff import write_geotiff
from imagery.scene import MemoryReader, Pixels
from imagery.simulate import SimulatedSource
from tests.servers.sentinelhub import QUOTA, Failure, entries_of, serving, specs_present
from tests.stac_builder import collection, export_scene

pytest_plugins = ["tests.servers.nginx", "tests.servers.stac"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

AREA = AreaOfInterest.from_bbox("creek", 125.60, 37.68, 125.72, 37.75)
START, END = datetime(2019, 5, 10, tzinfo=UTC), datetime(2019, 5, 16, tzinfo=UTC)
DATES = ["--from", "2019-05-10", "--to", "2019-05-15"]


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """Simulated scenes whose values are whole steps of Sentinel Hub's codes, and an area file with their coast."""
    home = tmp_path_factory.mktemp("season")
    source = SimulatedSource(area=AREA, seed=5, start=START, end=END)
    scenes = [in_steps(source.fetch(ref)) for ref in source.search(AREA, START, END)]
    assert {s.sensor.kind for s in scenes} == {"sar", "optical"}
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(source.land)}
    (home / "land.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    west, south, east, north = AREA.bounds
    (home / "area.toml").write_text(
        f'name = "creek"\nbbox = [{west}, {south}, {east}, {north}]\nland = "land.geojson"\n'
    )
    (home / "scenes").mkdir()
    for scene in scenes:
        write_geotiff(scene, home / "scenes" / f"{scene.id}.tif")
    return home, scenes


def in_steps(scene):
    """Radar in steps of 0.002 dB, reflectance in steps of 1e-4: what no encoding of the far services changes."""
    pixels = scene.read()
    data = pixels.data.astype(float)
    with np.errstate(divide="ignore"):
        steps = 10.0 ** (np.round(10.0 * np.log10(data) / 0.002) * 0.0002) if scene.unit == "sigma0" else data.round(4)
    return replace(scene, reader=MemoryReader(pixels=Pixels(data=steps.astype(np.float32), valid=pixels.valid)))


def offing(*args, env, cwd):
    """Run the command in a process of its own, as a user does."""
    code = "from offing.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def score(home, source, out, env, code=0):
    """Score the area and read what was written."""
    args = ["score", home / "area.toml", "--source", source, *DATES, "--out", out, "--json"]
    got, text, errors = offing(*args, env=env, cwd=home)
    assert got == code, errors
    return json.loads(text), gpd.read_parquet(out / "detections.parquet"), gpd.read_parquet(out / "tiles.parquet")


@pytest.fixture(scope="module")
def from_folder(season, tmp_path_factory):
    home, _ = season
    return score(home, f"folder:{home / 'scenes'}", tmp_path_factory.mktemp("run") / "run", {})


def assert_same(found, expected):
    """Findings at the same instants and places, of the same size and surety; and the same water observed."""
    facts, table, tiles = found
    expected_facts, expected_table, expected_tiles = expected
    assert facts["counts"] == expected_facts["counts"]
    assert len(table) == len(expected_table) > 10
    pairs = (
        t.assign(minute=t["time"].dt.round("min")).sort_values(["minute", "lat", "lon"]).itertuples()
        for t in (table, expected_table)
    )
    for a, b in zip(*pairs, strict=True):
        assert abs((a.time - b.time).total_seconds()) < 2.0
        assert abs(a.lon - b.lon) < 2e-6
        assert abs(a.lat - b.lat) < 2e-6
        for name in ("length_m", "width_m", "contrast_db", "probability", "shore_distance_m", "length_high_m"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=2e-3, abs=2e-3, nan_ok=True), name
        assert (a.status, a.kind, a.surface) == (b.status, b.kind, b.surface)
    key = ["tile_id", "time"]
    left, right = (t.assign(time=t["time"].dt.round("min")).sort_values(key) for t in (tiles, expected_tiles))
    assert left["tile_id"].tolist() == right["tile_id"].tolist()
    np.testing.assert_allclose(left["observed_km2"], right["observed_km2"], atol=1e-9)


def test_sentinel_hub(season, from_folder, need, tmp_path):
    need(specs_present(), "the providers' OpenAPI descriptions")
    home, scenes = season
    with serving(entries_of(scenes), ca_file=tmp_path / "ca.pem") as server:
        env = {**server.environment(tmp_path / "ca.pem"), "OFFING_CACHE": str(tmp_path / "cache")}
        code, text, _ = offing("plan", home / "area.toml", *DATES, "--json", env=env, cwd=home)
        planned = json.loads(text)
        assert code == 0
        assert planned["scenes"] == len(scenes)
        assert not server.of("process")  # a plan spends nothing

        args = ["score", home / "area.toml", *DATES, "--limit", "0.5", "--out", tmp_path / "never"]
        code, _, errors = offing(*args, env=env, cwd=home)
        assert code == 2
        assert "processing units" in errors.splitlines()[-1]
        assert not server.of("process")

        found = score(home, "sentinelhub", tmp_path / "run", env)
        assert len(server.of("process")) == planned["requests"]
        assert_same(found, from_folder)
        again = score(home, "sentinelhub", tmp_path / "again", env)
        assert len(server.of("process")) == planned["requests"]  # nothing is fetched twice
        assert_same(again, from_folder)
        code, text, _ = offing("plan", home / "area.toml", *DATES, "--json", env=env, cwd=home)
        assert json.loads(text)["processing_units"] == 0
        secret = env["SH_CLIENT_SECRET"]
    for path in [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "ca.pem"]:
        assert secret.encode() not in path.read_bytes(), path


def test_a_spent_quota_stops_and_the_next_run_goes_on(season, tmp_path):
    home, scenes = season
    with serving(entries_of(scenes), ca_file=tmp_path / "ca.pem", validate=False) as server:
        env = {**server.environment(tmp_path / "ca.pem"), "OFFING_CACHE": str(tmp_path / "cache")}
        server.fail("process", None, *[QUOTA] * 50)
        code, text, _ = offing("fetch", home / "area.toml", *DATES, "--json", env=env, cwd=home)
        summary = json.loads(text)
        assert code == 3
        assert "quota is spent" in summary["stopped"]
        assert summary["scenes"][-1]["state"] == "not_asked"
        server.failures.clear()
        asked = len(server.of("process"))
        code, text, _ = offing("fetch", home / "area.toml", *DATES, "--json", env=env, cwd=home)
        assert code == 0
        assert json.loads(text)["whole"] == len(scenes)
        first_time = {json.dumps(r.body, sort_keys=True) for r in server.of("process")}
        assert len(first_time) == len(server.of("process")) - asked + 1  # the one that had come is not asked for again


def test_a_scene_that_cannot_be_had_is_not_observed(season, tmp_path):
    home, scenes = season
    with serving(entries_of(scenes), ca_file=tmp_path / "ca.pem", validate=False) as server:
        env = {**server.environment(tmp_path / "ca.pem"), "OFFING_CACHE": str(tmp_path / "cache")}
        wrong = Failure(
            status=400, body={"error": {"status": 400, "message": "no data here", "code": "RENDERER_EXCEPTION"}}
        )
        count = json.loads(offing("plan", home / "area.toml", *DATES, "--json", env=env, cwd=home)[1])["rows"]
        tiles_per_scene = count[0]["tiles"] // count[0]["scenes"]
        server.fail("process", *[wrong] * tiles_per_scene)
        facts, table, tiles = score(home, "sentinelhub", tmp_path / "run", env, code=3)
    (missed,) = facts["missed_scenes"]
    assert "RENDERER_EXCEPTION" in missed["why"]
    rows = tiles[tiles["scene_id"] == missed["id"]]
    assert set(rows["state"]) == {"not_observed"}
    assert (rows["observed_km2"] == 0).all()
    assert missed["id"] not in set(table["scene_id"])


def test_stac_apis(season, from_folder, nginx, stac_api, tmp_path):
    home, scenes = season
    items = [export_scene(scene, nginx.root, nginx.plain, form="float") for scene in scenes]
    url = stac_api(items, [collection("sentinel-1-grd"), collection("sentinel-2-l2a")])
    env = {"OFFING_CACHE": str(tmp_path / "cache")}
    assert_same(score(home, f"stac:{url}", tmp_path / "run", env), from_folder)
    # a file that is gone and one that is cut short: holes, not an empty sea
    radar = next(item for item in items if item["collection"] == "sentinel-1-grd")
    folder = nginx.root / radar["id"]
    files = sorted(folder.glob("*.tif"))
    whole = [f.read_bytes() for f in files]
    for file, content in zip(files, whole, strict=True):
        file.write_bytes(content[: len(content) // 3])
    try:
        facts, table, tiles = score(
            home, f"stac:{url}", tmp_path / "cut", {"OFFING_CACHE": str(tmp_path / "other")}, code=3
        )
    finally:
        for file, content in zip(files, whole, strict=True):
            file.write_bytes(content)
    rows = tiles[tiles["scene_id"] == radar["id"]]
    assert (rows["observed_km2"] == 0).all()
    assert radar["id"] not in set(table["scene_id"])
    assert any("could not be had" in note for note in facts["notes"])
