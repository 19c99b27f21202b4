from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from affine import Affine

from imagery.aoi import AreaOfInterest
from imagery.errors import RasterError, SourceError
from imagery.fetchers.folder import FolderSource
from imagery.geometry import Window
from tests import sentinel2_builder
from tests.safe_builder import SafeProduct, write_measurement
from tests.support import UTM, write_tif

ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
WORLD = AreaOfInterest.from_bbox("world", -180, -85, 180, 85)


def cut(folder: Path, whole: np.ndarray, tile: int, *, time="20190512T093800Z", band="VV", transform=UTM):
    """Cut an array into tiles as files of one pass."""
    for row in range(0, whole.shape[0], tile):
        for col in range(0, whole.shape[1], tile):
            write_tif(
                folder / f"S1_{time}_{row}_{col}_{band}.tif",
                whole[row : row + tile, col : col + tile],
                transform=transform @ Affine.translation(col, row),
                tags={"UNIT": "sigma0"},
                descriptions=[band],
            )


def test_tiles_of_one_pass_are_one_scene(tmp_path):
    whole = np.random.default_rng(0).random((130, 170)).astype(np.float32)
    cut(tmp_path, whole, 50)
    source = FolderSource(tmp_path)
    (ref,) = source.search(WORLD, *ALWAYS)
    scene = source.fetch(ref, WORLD)
    assert scene.shape_hw == whole.shape
    np.testing.assert_array_equal(scene.read().data[0], whole)
    np.testing.assert_array_equal(scene.read(Window(row=45, col=95, height=10, width=10)).data[0], whole[45:55, 95:105])
    assert len(scene.provenance.ids) == len(scene.provenance.sha256) == 12
    assert not any("nearest" in note for note in scene.provenance.notes)
    lon, lat = rasterio.warp.transform("EPSG:32651", "EPSG:4326", [380005.0], [4199995.0])
    np.testing.assert_allclose(np.ravel(scene.geometry.lonlat(0, 0)), [lon[0], lat[0]], rtol=1e-12)


def test_polarisations_in_different_files_are_bands_of_one_scene(tmp_path):
    rng = np.random.default_rng(0)
    vv, vh = rng.random((2, 60, 60)).astype(np.float32)
    cut(tmp_path, vv, 60)
    cut(tmp_path, vh, 60, band="VH")
    source = FolderSource(tmp_path)
    (ref,) = source.search(WORLD, *ALWAYS)
    scene = source.fetch(ref, WORLD)
    pixels = scene.read()
    np.testing.assert_array_equal(pixels.data[scene.bands.index("vv")], vv)
    np.testing.assert_array_equal(pixels.data[scene.bands.index("vh")], vh)


def test_passes_twelve_hours_apart_stay_apart(tmp_path):
    whole = np.ones((40, 40), np.float32)
    cut(tmp_path, whole, 40, time="20190512T093800Z")
    cut(tmp_path, whole, 40, time="20190512T214700Z")
    refs = FolderSource(tmp_path).search(WORLD, *ALWAYS)
    assert [r.time.hour for r in refs] == [9, 21]


def test_search_is_half_open_and_knows_the_area(tmp_path):
    cut(tmp_path, np.ones((40, 40), np.float32), 40)
    source = FolderSource(tmp_path)
    time = datetime(2019, 5, 12, 9, 38, tzinfo=UTC)
    assert len(source.search(WORLD, time, time.replace(hour=10))) == 1
    assert source.search(WORLD, time.replace(hour=8), time) == []
    elsewhere = AreaOfInterest.from_bbox("elsewhere", 10, 10, 11, 11)
    assert source.search(elsewhere, *ALWAYS) == []


def test_uneven_grids_lose_no_pixel_and_leave_no_seam(tmp_path):
    """Two tiles side by side with pixels of 10 and 12 m: every file pixel appears, and no mosaic pixel is empty."""
    rng = np.random.default_rng(0)
    left, right = rng.random((60, 50)).astype(np.float32), rng.random((50, 40)).astype(np.float32)
    write_tif(
        tmp_path / "S1_20190512T093800Z_0_VV.tif", left, transform=UTM, tags={"UNIT": "sigma0"}, descriptions=["VV"]
    )
    write_tif(
        tmp_path / "S1_20190512T093800Z_1_VV.tif",
        right,
        transform=Affine(12, 0, 380500, 0, -12, 4200000),
        tags={"UNIT": "sigma0"},
        descriptions=["VV"],
    )
    source = FolderSource(tmp_path)
    (ref,) = source.search(WORLD, *ALWAYS)
    scene = source.fetch(ref, WORLD)
    pixels = scene.read()
    assert pixels.valid.all()
    np.testing.assert_array_equal(pixels.data[0][:60, :50], left)
    assert set(np.unique(right)) == set(np.unique(pixels.data[0][:, 50:]))
    assert any("nearest neighbour" in note for note in scene.provenance.notes)
    # oracle: the file pixel under each mosaic centre, by rasterio
    with rasterio.open(tmp_path / "S1_20190512T093800Z_1_VV.tif") as dataset:
        x = [380000 + 10 * (c + 0.5) for c in range(50, 98)]
        expected = [v[0] for v in dataset.sample([(xx, 4200000 - 10 * 20.5) for xx in x])]
    np.testing.assert_array_equal(pixels.data[0][20, 50:98], expected)


def test_overlap_takes_the_first_valid_pixel(tmp_path):
    a, b = np.full((20, 20), 1, np.float32), np.full((20, 20), 2, np.float32)
    a[5, 5] = np.nan
    for name, data in (("a", a), ("b", b)):
        write_tif(
            tmp_path / f"{name}_20190512T093800Z.tif", data, transform=UTM, tags={"UNIT": "sigma0"}, descriptions=["VV"]
        )
    source = FolderSource(tmp_path)
    scene = source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD)
    data = scene.read().data[0]
    assert data[5, 5] == 2
    assert (np.delete(data.ravel(), 5 * 20 + 5) == 1).all()


def test_what_cannot_be_used_is_named(tmp_path):
    cut(tmp_path, np.ones((40, 40), np.float32), 40)
    (tmp_path / "broken.tif").write_text("no raster")
    write_tif(tmp_path / "undated_vv.tif", np.ones((4, 4), np.float32), transform=UTM)
    source = FolderSource(tmp_path)
    assert len(source.search(WORLD, *ALWAYS)) == 1
    assert sorted(Path(text.split()[0]).name for text in source.skipped) == ["broken.tif", "undated_vv.tif"]


def test_folders_without_scenes_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is not a folder"):
        FolderSource(tmp_path / "absent")
    with pytest.raises(SourceError, match="no GeoTIFF"):
        FolderSource(tmp_path).search(WORLD, *ALWAYS)


def test_units_that_differ_within_a_pass_stay_apart(tmp_path):
    for unit in ("sigma0", "amplitude"):
        write_tif(
            tmp_path / f"{unit}_20190512T093800Z.tif",
            np.ones((9, 9), np.float32),
            transform=UTM,
            tags={"UNIT": unit},
            descriptions=["VV"],
        )
    assert len(FolderSource(tmp_path).search(WORLD, *ALWAYS)) == 2


def test_rotated_tiles_are_refused(tmp_path):
    turned = UTM @ Affine.rotation(10)
    for i in range(2):
        write_tif(
            tmp_path / f"{i}_20190512T093800Z.tif",
            np.ones((9, 9), np.float32),
            transform=turned,
            tags={"UNIT": "sigma0"},
            descriptions=["VV"],
        )
    source = FolderSource(tmp_path)
    with pytest.raises(RasterError, match="not north-up"):
        source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD)


def test_irish_sea_is_one_seamless_scene(real_data):
    source = FolderSource(real_data("sar/irish_sea"))
    (ref,) = source.search(WORLD, *ALWAYS)
    scene = source.fetch(ref, WORLD)
    assert len(scene.provenance.ids) == 18
    assert scene.read(Window(row=0, col=0, height=4, width=scene.shape_hw[1])).valid.all()
    # every mosaic pixel is the file pixel under its centre: sample places all over, across seams too
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, scene.shape_hw[0], 200), rng.integers(0, scene.shape_hw[1], 200)
    lon, lat = scene.geometry.lonlat(rows, cols)
    for row, col, x, y in zip(rows, cols, lon, lat, strict=True):
        got = scene.read(Window(row=int(row), col=int(col), height=1, width=1)).data[0, 0, 0]
        for name in scene.provenance.ids:
            with rasterio.open(source.folder / name) as dataset:
                if dataset.bounds.left <= x < dataset.bounds.right and dataset.bounds.bottom < y <= dataset.bounds.top:
                    dn = int(next(dataset.sample([(x, y)]))[0])
                    assert got == pytest.approx(dn * 25 / 255 - 25, abs=1e-5)


def test_a_pass_without_any_measured_pixel_is_refused_whatever_its_number_of_files(tmp_path):
    whole = np.full((60, 60), np.nan, np.float32)
    cut(tmp_path, whole, 60)
    source = FolderSource(tmp_path)
    with pytest.raises(RasterError, match="holds no valid pixel"):
        source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD)
    for path in tmp_path.iterdir():
        path.unlink()
    cut(tmp_path, whole, 30)
    source = FolderSource(tmp_path)
    with pytest.raises(RasterError, match="holds no valid pixel"):
        source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD)
    whole[59, 59] = 1.0
    cut(tmp_path, whole, 30)
    source = FolderSource(tmp_path)
    assert source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD).read().valid.sum() == 1


SAFE = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"


def test_safe_products_stand_beside_geotiffs_and_each_is_listed_once(real_data, tmp_path):
    product = SafeProduct(real_data(SAFE))
    inside = product.measurement("vv")
    measured = write_measurement(
        tmp_path / "measurement.tiff", product.text("", "vv"), [(500, 600, np.full((64, 64), 99, np.uint16))]
    )
    folder = tmp_path / "season"
    folder.mkdir()
    cut(folder, np.ones((40, 40), np.float32), 40)
    product.write_zip(folder / f"{product.name}.zip", {inside: measured})
    (folder / "broken.SAFE.zip").write_bytes(real_data(SAFE).read_bytes()[:1000])
    (folder / "notes.txt").write_text("not a scene")
    (folder / "old.SAFE").mkdir()
    source = FolderSource(folder)
    first, second = source.search(WORLD, *ALWAYS)
    assert (second.id, second.sensor_name) == (product.name, "sentinel-1-iw-grd")
    assert first.time.year == 2019
    scene = source.fetch(second, WORLD)
    assert (scene.id, scene.time) == (second.id, second.time)
    assert scene.read(Window(row=500, col=600, height=64, width=64)).valid.all()
    assert len(source.skipped) == 2
    assert "broken.SAFE.zip is not a whole zip" in source.skipped[0]
    assert "old.SAFE holds no such product" in source.skipped[1]
    # the area and the dates hold for products too
    sea = AreaOfInterest.from_bbox("sea", 133.8, 7.2, 134.2, 7.6)
    assert [r.id for r in source.search(sea, *ALWAYS)] == [product.name]
    assert source.search(sea, second.time, second.time) == []
    # the same product as a folder: that one is taken, and the zip is named
    product.unpack(folder, {inside: measured})
    again = FolderSource(folder)
    assert [r.id for r in again.search(WORLD, *ALWAYS)] == [first.id, product.name]
    assert any("manifest" in note for note in again.fetch(second, WORLD).provenance.notes)
    assert any(f"{product.name}.zip holds the same product as" in text for text in again.skipped)


def test_safe_products_without_pixels_are_named(real_data, tmp_path):
    (tmp_path / "x.zip").symlink_to(real_data(SAFE))
    with pytest.raises(SourceError, match="holds no pixels"):
        FolderSource(tmp_path).search(WORLD, *ALWAYS)
    product = SafeProduct(real_data(SAFE))
    dark = write_measurement(tmp_path / "dark.tiff", product.text("", "vv"))
    folder = tmp_path / "dark"
    folder.mkdir()
    product.write_zip(folder / "x.zip", {product.measurement("vv"): dark})
    source = FolderSource(folder)
    with pytest.raises(RasterError, match=f"scene {product.name} of .* holds no valid pixel"):
        source.fetch(source.search(WORLD, *ALWAYS)[0], WORLD)


@pytest.mark.parametrize("zipped", [False, True])
def test_sentinel2_products_are_listed_by_their_level(zipped, tmp_path):
    product = sentinel2_builder.Safe(numbers={b: np.full((600, 600), 1500, np.uint16) for b in ("b03", "b08")})
    folder = tmp_path / "season"
    folder.mkdir()
    root = product.write(tmp_path if zipped else folder)
    if zipped:
        sentinel2_builder.zipped(root, folder / "any name.zip")
    source = FolderSource(folder)
    (ref,) = source.search(WORLD, *ALWAYS)
    assert (ref.id, ref.sensor_name) == (product.name, "sentinel-2-l2a")
    scene = source.fetch(ref, WORLD)
    assert (scene.id, scene.time, scene.sensor.name) == (ref.id, ref.time, ref.sensor_name)
    assert source.skipped == ()
