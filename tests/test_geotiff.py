import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio

from imagery.errors import RasterError, UnitError
from imagery.geometry import GcpGrid, Grid, Window
from imagery.geotiff import open_geotiff, open_raster, write_geotiff
from tests.support import UTM, noise_scene, write_tif

GRID = Grid.from_crs("EPSG:32651", UTM, (200, 300))
POINTS = GcpGrid(
    gcp_rows=(0.0, 0.0, 200.0, 200.0, 100.0),
    gcp_cols=(0.0, 300.0, 0.0, 300.0, 150.0),
    gcp_lon=(125.0, 125.03, 125.001, 125.0311, 125.0155),
    gcp_lat=(37.0, 36.999, 36.98, 36.979, 36.9896),
    shape_hw=(200, 300),
)


@pytest.mark.parametrize("geometry", [GRID, POINTS], ids=["affine", "points"])
def test_round_trip_is_exact(tmp_path, geometry):
    scene = noise_scene(geometry, clip_value=0.0025)
    path = tmp_path / "scene.tif"
    write_geotiff(scene, path)
    back = open_geotiff(path)
    got, want = back.read(), scene.read()
    np.testing.assert_array_equal(got.valid, want.valid)
    np.testing.assert_array_equal(got.data, want.data)  # bit for bit, NaN included
    assert (back.id, back.bands, back.unit, back.time, back.sensor) == (
        scene.id,
        scene.bands,
        scene.unit,
        scene.time,
        scene.sensor,
    )
    assert back.provenance == scene.provenance
    assert back.clip_value == scene.clip_value
    np.testing.assert_allclose(back.geometry.lonlat(3.25, 4.5), scene.geometry.lonlat(3.25, 4.5), rtol=1e-12)
    here, there = scene.acquisition.at([10, 150], [20, 200]), back.acquisition.at([10, 150], [20, 200])
    np.testing.assert_allclose(there.incidence_deg, here.incidence_deg, atol=1e-3)
    np.testing.assert_allclose(there.slant_range_m, here.slant_range_m, atol=5)
    assert np.abs((there.time - here.time) / np.timedelta64(1, "us")).max() <= 50
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_affine_scenes_are_cloud_optimised(tmp_path):
    path = tmp_path / "scene.tif"
    write_geotiff(noise_scene(GRID), path)
    with rasterio.open(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_windows_equal_the_whole(tmp_path):
    path = tmp_path / "scene.tif"
    write_geotiff(noise_scene(GRID), path)
    scene = open_geotiff(path)
    whole = scene.read()
    window = Window(row=-5, col=290, height=30, width=40)
    part = scene.read(window)
    np.testing.assert_array_equal(part.data[:, 5:, :10], whole.data[:, :25, 290:])
    assert not part.valid[:, :5].any()
    assert not part.valid[:, :, 10:].any()
    assert np.isnan(part.data[:, :5]).all()
    assert not scene.read(Window(row=1000, col=1000, height=3, width=3)).valid.any()


def test_a_failed_write_leaves_nothing(tmp_path):
    scene = noise_scene(GRID)

    class Broken:
        def read(self, window):
            raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError):
        write_geotiff(replace(scene, reader=Broken()), tmp_path / "scene.tif")
    assert list(tmp_path.iterdir()) == []


def test_formula_in_the_unit_tag(tmp_path):
    dn = np.array([[0, 51, 255]], np.uint8)
    path = write_tif(
        tmp_path / "a.tif", dn, descriptions=["VV"], tags={"UNIT": "dB = DN*25/255 - 25 (clipped to [-25, 0])"}
    )
    scene = open_geotiff(path)
    assert scene.unit == "sigma0_db"
    np.testing.assert_allclose(scene.read().data[0], [[-25.0, -20.0, 0.0]], atol=1e-6)
    assert scene.clip_value == -25.0
    assert scene.read().data[0, 0, 0] == scene.clip_value


@pytest.mark.parametrize(
    ("formula", "expected"), [("reflectance = DN / 10000", 0.12), ("reflectance = (DN - 1000)/10000", 0.02)]
)
def test_reflectance_formulas(tmp_path, formula, expected):
    data = np.full((2, 4, 4), 1200, np.uint16)
    path = write_tif(tmp_path / "a.tif", data, descriptions=["B03", "B8"], tags={"UNIT": formula})
    scene = open_geotiff(path)
    assert scene.bands == ("b03", "b08")
    np.testing.assert_allclose(scene.read().data, expected, rtol=1e-6)


@pytest.mark.parametrize("text", ["dB = DN*DN", "dB = __import__('os')", "furlongs", "dB = DN/0", "reflectance = 3"])
def test_formulas_that_cannot_be_trusted(tmp_path, text):
    path = write_tif(tmp_path / "a.tif", np.ones((3, 3), np.uint8), descriptions=["VV"], tags={"UNIT": text})
    with pytest.raises(UnitError, match=r"a\.tif"):
        open_raster(path)


def test_optical_numbers_without_a_unit_are_refused(tmp_path):
    path = write_tif(tmp_path / "a.tif", np.ones((2, 3, 3), np.uint16), descriptions=["B03", "B08"])
    with pytest.raises(UnitError, match="set the UNIT tag"):
        open_raster(path)


@pytest.mark.parametrize(
    ("name", "tags", "expected", "sigma_s"),
    [
        ("S1_20230615T180704Z_c0.tif", {}, datetime(2023, 6, 15, 18, 7, 4, tzinfo=UTC), 5.0),
        ("a.tif", {"ACQUIRED": "2023-06-15T19:07:04+01:00"}, datetime(2023, 6, 15, 18, 7, 4, tzinfo=UTC), 5.0),
        ("a.tif", {"ACQUIRED_DATE": "2023-08-17"}, datetime(2023, 8, 17, 12, tzinfo=UTC), 86400 / 12**0.5),
        ("port_2023-08-17.tif", {}, datetime(2023, 8, 17, 12, tzinfo=UTC), 86400 / 12**0.5),
        ("a.tif", {"TIFFTAG_DATETIME": "2020:01:01 00:00:00"}, None, np.inf),  # when the file was made, not the image
    ],
)
def test_time(tmp_path, name, tags, expected, sigma_s):
    path = write_tif(tmp_path / name, np.ones((3, 3), np.float32), descriptions=["VV"], tags={"UNIT": "sigma0", **tags})
    labels = open_raster(path).labels
    assert labels.time == expected
    assert labels.time_sigma_s == pytest.approx(sigma_s)


def test_no_data_by_value_and_by_nan(tmp_path):
    data = np.array([[1.0, -9.0, np.nan, np.inf]], np.float32)
    pixels = open_geotiff(write_tif(tmp_path / "vv.tif", data, nodata=-9.0)).read()
    assert pixels.valid[0].tolist() == [[True, False, False, False]]
    assert np.isnan(pixels.data[0, 0, 1:]).all()


def test_amplitude_is_assumed_aloud(tmp_path):
    scene = open_geotiff(write_tif(tmp_path / "image.tif", np.ones((3, 3), np.float32)))
    assert scene.unit == "amplitude"
    assert any("assumed" in note for note in scene.provenance.notes)
    assert scene.bands == ("pan",)


def bad_files(folder):
    (folder / "text.tif").write_text("this is not a raster")
    (folder / "empty.tif").write_bytes(b"")
    write_tif(folder / "nocrs_vv.tif", np.ones((3, 3), np.float32), crs=None)
    write_tif(folder / "nodata_vv.tif", np.full((3, 3), 7, np.float32), nodata=7)
    write_tif(folder / "nan_vv.tif", np.full((3, 3), np.nan, np.float32))
    write_tif(folder / "bands.tif", np.ones((7, 3, 3), np.uint8))
    return {
        "missing.tif": "does not exist",
        "text.tif": "not a raster",
        "empty.tif": "not a raster",
        "nocrs_vv.tif": "no coordinate reference system",
        "nodata_vv.tif": "no valid pixel",
        "nan_vv.tif": "no valid pixel",
        "bands.tif": "do not say what they are",
    }


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bad_files_say_what_is_wrong(tmp_path):
    for name, words in bad_files(tmp_path).items():
        with pytest.raises(RasterError, match=words) as caught:
            open_geotiff(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_damaged_tag_is_refused(tmp_path):
    path = write_tif(tmp_path / "a.tif", np.ones((3, 3), np.float32), tags={"OFFING_SCENE": json.dumps({"id": "x"})})
    with pytest.raises(RasterError, match="damaged"):
        open_geotiff(path)


def test_a_truncated_file_is_not_an_empty_sea(tmp_path):
    path = write_tif(
        tmp_path / "vv.tif", np.random.default_rng(0).random((600, 600)).astype(np.float32), compress="deflate"
    )
    path.write_bytes(path.read_bytes()[:-200_000])
    with pytest.raises(RasterError, match=r"vv\.tif"):
        open_geotiff(path).read()
