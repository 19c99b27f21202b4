"""`offing detect` on plain rasters: what it writes of an image without a georeference, and its options."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from offing.cli import app
from tests.support import write_tif
from tests.test_recognise import coast, f4, sea

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SHIPS = ((80, 100, 12), (150, 40, 8))  # row, column, length in pixels


@pytest.fixture
def detect(tmp_path, monkeypatch):
    """Runs the command without the world's land, and gives exit code, answer and error."""
    monkeypatch.setattr("offing.detect_file.osm_land_if_installed", lambda area: None)

    def run(path, *options):
        args = ["detect", path, "--detector", "cfar-k", "--json", "--out", tmp_path / "out.geojson", *options]
        result = CliRunner().invoke(app, [str(a) for a in args])
        return result.exit_code, json.loads(result.stdout) if result.exit_code == 0 else None, result.stderr

    return run


def ships(convert):
    sigma0 = sea(np.random.default_rng(0), -20.0, ships=0)
    for row, col, length in SHIPS:
        sigma0[row : row + 3, col : col + length] = 3.0
    return convert(sigma0)


def grey(sigma0):
    return np.clip(140 * np.sqrt(sigma0), 0, 255).astype(np.uint8)


def test_an_image_without_a_place_gives_rows_columns_and_lengths_in_pixels(tmp_path, detect):
    path = write_tif(tmp_path / "chip.tif", ships(grey), crs=None, transform=None)
    code, answer, error = detect(path)
    assert code == 0, error
    assert answer["read_as"] == {"sensor": "sar", "bands": ["vv"], "unit": "dn8"}
    assert any("no georeference" in note for note in answer["notes"])
    found = sorted((d["row"], d["col"], d["length_px"]) for d in answer["detections"])
    for (row, col, length), (got_row, got_col, got_length) in zip(SHIPS, found, strict=True):
        assert (got_row, got_col) == pytest.approx((row + 1, col + (length - 1) / 2), abs=1.0)
        assert got_length == pytest.approx(length, abs=2.5)
    written = json.loads((tmp_path / "out.geojson").read_text())
    assert "not longitude and latitude" in written["note"]
    points = [f["geometry"]["coordinates"] for f in written["features"]]
    assert sorted(points, key=lambda p: p[1]) == [[col, row] for row, col, _ in found]
    properties = written["features"][0]["properties"]
    assert {"length_px", "var_east_px2", "row", "col"} <= set(properties)
    assert not {"lon", "lat", "length_m"} & set(properties)


def test_a_pixel_size_turns_lengths_into_metres(tmp_path, detect):
    path = write_tif(tmp_path / "chip.tif", ships(grey), crs=None, transform=None)
    _, in_pixels, _ = detect(path)
    code, in_metres, error = detect(path, "--pixel-size", "10")
    assert code == 0, error
    lengths = [d["length_m"] for d in in_metres["detections"]]
    assert lengths == pytest.approx([10 * d["length_px"] for d in in_pixels["detections"]], rel=1e-3)


@pytest.mark.parametrize("convert", [f4, lambda s: f4(10 * np.log10(s)), lambda s: f4(400 * np.sqrt(s)), grey])
def test_the_same_ships_are_found_in_every_unit(tmp_path, detect, convert):
    code, answer, error = detect(write_tif(tmp_path / "image.tif", ships(convert)))
    assert code == 0, error
    assert len(answer["detections"]) == len(SHIPS)
    assert all(np.isfinite([d["lon"], d["lat"]]).all() for d in answer["detections"])


def test_options_reach_the_file_and_wrong_ones_are_one_sentence(tmp_path, detect):
    path = write_tif(tmp_path / "image.tif", ships(lambda s: f4(np.sqrt(s))))
    code, answer, _ = detect(path, "--unit", "amplitude", "--bands", "hh", "--sensor", "sar")
    assert code == 0
    assert answer["read_as"] == {"sensor": "sentinel-1-iw-grd", "bands": ["hh"], "unit": "amplitude"}
    folder = tmp_path / "product.SAFE"
    folder.mkdir()
    for file, options, words in [
        (path, [], "--unit"),
        (path, ["--unit", "db"], "as --unit says"),
        (path, ["--bands", "VV,VH"], "--bands"),
        (path, ["--pixel-size", "20"], "--pixel-size"),
        (path, ["--sensor", "optical"], "--bands"),
        (folder, ["--unit", "db"], "leave out --unit"),
    ]:
        code, _, error = detect(file, *options)
        assert code == 2, (options, error)
        last = error.strip().splitlines()[-1]
        assert last.startswith("offing: ")
        assert words in last


def test_a_scene_that_is_all_land_by_the_map_is_refused(tmp_path, detect, monkeypatch):
    from shapely import MultiPolygon, box

    from imagery.land import Land

    monkeypatch.setattr(
        "offing.detect_file.osm_land_if_installed",
        lambda area: Land(polygons=MultiPolygon([box(110, 30, 140, 45)]), source="test"),
    )
    optical = write_tif(
        tmp_path / "image.tif", f4(coast(np.random.default_rng(1))), descriptions=["B2", "B3", "B4", "B8"]
    )
    for path in (optical, write_tif(tmp_path / "vv.tif", ships(f4))):
        code, _, error = detect(path)
        assert code == 2
        assert "no open water" in error
