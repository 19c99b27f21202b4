"""The commands as a user runs them: what they print, what they write, and one sentence for bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from typer.testing import CliRunner

from imagery.fetchers.cache import CachedFetcher, TileStore
from imagery.fetchers.fake import FakeFetcher
from imagery.fetchers.stac import StacSource
from imagery.geotiff import open_geotiff
from offing.areas import load_area
from offing.cli import app
from offing.score import ScoreSettings
from offing.sources import public_name
from tests.support import UTM, write_tif

ROOT = Path(__file__).resolve().parent.parent


def offing(*args, cwd=None):
    """Run the command in a process of its own, as a user does."""
    code = "from offing.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def sea_with_ships(path, ships=((80, 100, 12), (150, 40, 8)), **tags):
    """A radar file: speckle, and bright hulls at (row, col, pixels)."""
    data = np.random.default_rng(0).gamma(4.4, 0.01 / 4.4, (256, 256)).astype(np.float32)
    for row, col, length in ships:
        data[row : row + 2, col : col + length] = 3.0
    return write_tif(
        path, data, descriptions=["VV"], tags={"UNIT": "sigma0", "ACQUIRED": "2019-05-12T09:38:00Z", **tags}
    )


def test_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("plan", "fetch", "score", "detect", "demo", "doctor"):
        assert command in result.stdout


def test_detect_writes_geojson_that_geopandas_opens_at_the_right_place(tmp_path):
    path = sea_with_ships(tmp_path / "vv.tif")
    code, out, _ = offing("detect", path, "--json", cwd=tmp_path)
    assert code == 0
    answer = json.loads(out)
    assert len(answer["detections"]) == 2
    assert answer["calibrated"] is False
    table = gpd.read_file(tmp_path / "vv.detections.geojson")
    assert table.crs.to_epsg() == 4326
    places = table.to_crs(32651).geometry
    x, y = UTM @ (100 + 6, 80 + 1)
    assert min(np.hypot(places.x - x, places.y - y)) < 10


@pytest.fixture
def no_land(monkeypatch):
    """Without the extra 'land', whose world map takes seconds to load."""
    monkeypatch.setattr("offing.detect_file.osm_land_if_installed", lambda area: None)


def test_detect_takes_every_detector_and_says_that_land_is_missing(tmp_path, no_land):
    path = sea_with_ships(tmp_path / "vv.tif")
    for detector in ("cfar-k", "cfar-gamma", "cfar-g0", "cfar-trimmed"):
        args = ["detect", path, "--detector", detector, "--json", "--out", tmp_path / f"{detector}.geojson"]
        result = CliRunner().invoke(app, [str(a) for a in args])
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        assert len(answer["detections"]) == 2, detector
        assert any("offing[land]" in note for note in answer["notes"])
        assert {d["surface"] for d in answer["detections"]} == {"unknown"}


def test_doctor():
    code, out, _ = offing("doctor", "--json")
    assert code == 0
    assert json.loads(out)["packages"]["rasterio"]


def test_doctor_never_shows_a_secret(monkeypatch):
    monkeypatch.setenv("SH_CLIENT_SECRET", "planted-secret-7")
    for args in (["doctor"], ["doctor", "--json"]):
        result = CliRunner().invoke(app, args)
        assert "planted-secret-7" not in result.output
        assert "SH_CLIENT_SECRET" in result.output


@pytest.mark.parametrize(
    "address", ["stac:https://me:planted-7@host.example/v1?token=planted-8#a", "stac:ftp://me:planted-7@x"]
)
def test_a_password_in_an_address_is_not_repeated(address):
    assert "planted" not in public_name(address)
    settings = ScoreSettings(config=load_area("haeju"), period=None, source=address, ais=None)
    assert "planted" not in repr(settings)
    if "https" in address:
        assert public_name(address) == "stac:https://host.example/v1#a"
        assert "planted" not in repr(StacSource(url=address.removeprefix("stac:")))
    else:
        result = CliRunner().invoke(app, ["plan", "haeju", "--source", address])
        assert result.exit_code == 2
        assert "planted" not in result.output


def test_what_a_far_source_skips_is_told(tmp_path, monkeypatch):
    """A source that lists scenes it cannot give: each command says so, and none says that there is nothing."""
    inner = FakeFetcher(scenes=[])
    object.__setattr__(inner, "skipped", ("item X has no assets",))
    store = TileStore(folder=tmp_path / "cache", limit_bytes=10**9)
    source = CachedFetcher(inner=inner, store=store)
    for module in ("plan", "fetch", "score"):
        monkeypatch.setattr(f"offing.{module}.open_source", lambda *args: source)
    result = CliRunner().invoke(app, ["plan", "haeju", *MAY])
    assert result.exit_code == 0
    assert "item X has no assets" in result.output
    for command in ("fetch", "score"):
        args = [command, "haeju", *MAY, "--source", "stac:https://host.example/v1"]
        result = CliRunner().invoke(app, [*args, "--out", str(tmp_path / "run")] if command == "score" else args)
        assert result.exit_code == 2, result.output
        assert "no scene" in result.stderr
        assert "item X has no assets" in result.stderr


def test_a_scene_that_a_far_source_skips_leaves_the_run_partial(tmp_path, monkeypatch, no_land):
    monkeypatch.setattr("offing.score.open_land", lambda config, source: None)
    scene = open_geotiff(sea_with_ships(tmp_path / "vv.tif"))
    inner = FakeFetcher(scenes=[scene])
    object.__setattr__(inner, "skipped", ("item X has no assets",))
    source = CachedFetcher(inner=inner, store=TileStore(folder=tmp_path / "cache", limit_bytes=10**9))
    monkeypatch.setattr("offing.score.open_source", lambda *args: source)
    args = ["score", str(toml(tmp_path, GOOD)), *MAY, "--source", "stac:https://host.example/v1", "--json"]
    result = CliRunner().invoke(app, [*args, "--out", str(tmp_path / "run")])
    assert result.exit_code == 3, result.output
    answer = json.loads(result.stdout)
    assert answer["counts"] == {"not_searched": 2}
    assert "skipped: item X has no assets" in answer["notes"]


def toml(tmp_path, text):
    path = tmp_path / "area.toml"
    path.write_text(text)
    return path


GOOD = 'name = "x"\nbbox = [121.60, 37.90, 121.70, 37.95]\n'


MAY = ["--from", "2019-05-01", "--to", "2019-05-31"]


def bad_input(tmp_path):
    """(arguments, words) of commands that a person could type."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    sea_with_ships(folder / "vv.tif")
    good = toml(tmp_path, GOOD)
    source = f"folder:{folder}"
    ais = tmp_path / "ais.csv"
    ais.write_text("MMSI,BaseDateTime,LAT\n1,2019-05-12T09:00:00,37.9\n")
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "file").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.doc").write_text("")
    return [
        (["detect", tmp_path / "absent.tif"], "does not exist"),
        (["detect", tmp_path / "text.tif"], "not a raster"),
        (["detect", folder / "vv.tif", "--out", tmp_path / "no" / "x.geojson"], "no folder"),
        (["detect", folder / "vv.tif", "--detector", "bright-target"], "needs optical reflectance"),
        (["score", "atlantis"], "no area or file"),
        (["score", good, "--source", "magic"], "no source"),
        (["score", good], "needs dates"),
        (["score", good, "--source", "stac:"], "no source"),
        (["score", good, "--source", "stac:ftp://x"], "no source"),
        (["plan", good, "--source", "sentinelhub#sentinel-9"], "no collection"),
        (["plan", good, "--source", source, "--monthly-units", "0"], "positive number"),
        (["fetch", good, *MAY], "SH_CLIENT_ID"),
        (["score", good, "--source", f"folder:{tmp_path / 'absent'}"], "not a folder"),
        (["score", good, "--source", source, "--from", "2019-05-02", "--to", "2019-05-01"], "ends before it starts"),
        (["score", good, "--source", source, "--from", "2019-05-02"], "both --from and --to"),
        (["score", good, "--source", source, "--from", "2018-01-01", "--to", "2018-01-02"], "no scene"),
        (["score", good, "--source", source, "--ais", tmp_path / "absent.csv"], "absent.csv"),
        (["score", good, "--source", source, "--ais", ais], "LON"),
        (["score", good, "--source", source, "--out", tmp_path / "file"], "is a file"),
        (["score", good, "--source", source, "--out", other], "not a run of offing"),
        (["score", good, "--source", source, "--out", tmp_path / "file" / "run"], "cannot be written"),
    ]


def test_bad_input_is_one_sentence_and_exit_2(tmp_path, no_land, monkeypatch):
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_BASE_URL", "SH_TOKEN_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OFFING_CREDENTIALS", str(tmp_path / "none.toml"))
    monkeypatch.setenv("OFFING_CACHE", str(tmp_path / "file" / "cache"))
    for args, words in bad_input(tmp_path):
        result = CliRunner().invoke(app, [str(a) for a in args])
        assert result.exit_code == 2, (args, result.output, result.exception)
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("offing: "), (args, result.stderr)
        assert words in last, (args, last)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"scenes", "area.toml", "ais.csv", "text.tif", "file", "other"}  # nothing half-written


def test_unknown_key_and_land_only_area(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    sea_with_ships(folder / "vv.tif")
    land = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[121, 37], [122, 37], [122, 38.5], [121, 38.5], [121, 37]]],
                },
            }
        ],
    }
    (tmp_path / "land.geojson").write_text(json.dumps(land))
    for text, words in (
        (GOOD + "colour = 1\n", "unknown key 'colour'"),
        (GOOD + 'land = "land.geojson"\n', "land only"),
    ):
        path = toml(tmp_path, text)
        result = CliRunner().invoke(
            app, ["score", str(path), "--source", f"folder:{folder}", "--out", str(tmp_path / "run")]
        )
        assert result.exit_code == 2
        assert words in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path, need):
    """A file system of 300 kB, mounted where the user may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False
    )
    need(done.returncode == 0, "the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def score_args(tmp_path, out):
    folder = tmp_path / "scenes"
    folder.mkdir(exist_ok=True)
    sea_with_ships(folder / "vv.tif")
    land = '{"type": "FeatureCollection", "features": []}'
    (tmp_path / "land.geojson").write_text(land)
    area = toml(tmp_path, GOOD + 'land = "land.geojson"\n')
    return ["score", str(area), "--source", f"folder:{folder}", "--out", str(out)]


def test_a_full_disk_leaves_nothing(tmp_path, small_disk):
    (small_disk / "filler").write_bytes(b"x" * 250_000)
    result = CliRunner().invoke(app, score_args(tmp_path, small_disk / "run"))
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert [p.name for p in small_disk.iterdir()] == ["filler"]


def test_a_read_only_folder(tmp_path, small_disk, no_land):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    result = CliRunner().invoke(app, score_args(tmp_path, small_disk / "run"))
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    target = str(small_disk / "x.geojson")
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "scenes" / "vv.tif"), "--out", target])
    assert result.exit_code == 2
    assert "x.geojson cannot be written" in result.stderr


def test_score_of_a_folder(tmp_path):
    args = score_args(tmp_path, tmp_path / "run")
    result = CliRunner().invoke(app, [*args, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["counts"] == {"not_searched": 2}
    run = tmp_path / "run"
    expected = {
        "detections.geojson",
        "detections.parquet",
        "tiles.parquet",
        "ais_vessels.parquet",
        "report.html",
        "run.json",
    }
    assert {p.name for p in run.iterdir()} == expected
    again = CliRunner().invoke(app, [*args, "--json"])
    assert again.exit_code == 0
    assert not list(tmp_path.glob(".run*"))
    points = gpd.read_parquet(run / "detections.parquet")
    assert (points.status == "not_searched").all()
    tiles = gpd.read_parquet(run / "tiles.parquet")
    assert set(tiles.state) == {"observed", "not_observed"}  # the area is larger than the image
    assert tiles.vessels.sum() == 2
    assert os.stat(run).st_mode & 0o777 == 0o755


def test_every_detector_and_engine_can_be_asked_for():
    from models.vessel.engines import FASTEST, NAMES
    from offing.cli import DetectorName, EngineName
    from offing.detectors import DETECTORS

    assert {each.value for each in DetectorName} == set(DETECTORS)
    assert {each.value for each in EngineName} == {*NAMES, FASTEST}
