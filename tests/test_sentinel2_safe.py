import hashlib
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from shapely import Point, box

from imagery.errors import AnnotationError, ImageryError, RasterError
from imagery.geometry import Window, footprint
from imagery.geotiff import open_geotiff, write_geotiff
from imagery.pictures import picture
from imagery.products.sentinel2 import ALL_BANDS, BANDS, RESOLUTION_M
from imagery.products.sentinel2_acquisition import tile_acquisition
from imagery.products.sentinel2_metadata import read_product_metadata, read_tile_metadata
from imagery.products.sentinel2_safe import open_sentinel2_safe, sentinel2_safe_info
from imagery.products.xml import parse_xml
from imagery.sensors import SENTINEL2_L1C, SENTINEL2_L2A, is_ancillary, measured_bands
from imagery.surface import map_surface
from models.detector import detect
from offing.detectors import DetectorChoice, make_detector
from tests.sentinel2_builder import NODES, SIDE_PX, Safe, angles_text, plane, write_manifest, zipped

ANGLES = ("sun_zenith_deg", "sun_azimuth_deg", "view_zenith_deg", "view_azimuth_deg")
AT_T29UNU = datetime(2022, 10, 5, 11, 56, 49, 581767, tzinfo=UTC)


def random_numbers(seed=0, *, low=900, high=4000):
    """Digital numbers of all eight bands at their own resolutions; the west edge of the tile has no data."""
    rng = np.random.default_rng(seed)
    numbers = {}
    for band in BANDS:
        side = SIDE_PX * 10 // RESOLUTION_M[band]
        numbers[band] = rng.integers(low, high, (side, side)).astype(np.uint16)
        numbers[band][:, : 600 // RESOLUTION_M[band]] = 0
    return numbers


def classes(seed=1):
    values = np.random.default_rng(seed).integers(1, 12, (SIDE_PX // 2, SIDE_PX // 2)).astype(np.uint8)
    values[:, :50] = 0  # beyond the western edge without reflectance as well
    return values


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """One sound product: its description, its folder and its zip."""
    folder = tmp_path_factory.mktemp("safe")
    safe = Safe(numbers=random_numbers(), scl=classes())
    root = safe.write(folder)
    return safe, root, zipped(root, folder / f"{safe.name}.zip")


def on_10_m(values, band):
    return np.kron(values, np.ones((RESOLUTION_M.get(band, 20) // 10,) * 2, values.dtype))


def test_reflectance_is_exact_at_10_and_20_m(product):
    safe, root, _ = product
    scene = open_sentinel2_safe(root)
    pixels = scene.read()
    assert scene.bands == (*BANDS, "scl", *ANGLES)
    assert (scene.unit, scene.sensor, scene.shape_hw) == ("reflectance", SENTINEL2_L2A, (SIDE_PX, SIDE_PX))
    for i, band in enumerate(BANDS):
        dn = on_10_m(safe.numbers[band].astype(float), band)
        expected = np.where(dn == 0, np.nan, (dn - 1000.0) / 10000.0)
        np.testing.assert_allclose(pixels.data[i], expected, atol=1e-7, rtol=0)
    scl = on_10_m(safe.scl.astype(float), "scl")
    seen = np.isfinite(pixels.data[: len(BANDS)]).any(axis=0)
    np.testing.assert_array_equal(pixels.data[len(BANDS)], np.where(seen, scl, np.nan))
    np.testing.assert_array_equal(pixels.valid, np.isfinite(pixels.data))
    assert (pixels.data[:8][pixels.valid[:8]] < 0.0).mean() > 0.02  # numbers from 900 on: negative ones are kept


def test_folder_and_zip_are_one_scene(product):
    _, root, archive = product
    one, other = open_sentinel2_safe(root), open_sentinel2_safe(archive)
    assert (one.id, one.bands, one.time, one.geometry) == (other.id, other.bands, other.time, other.geometry)
    assert one.provenance == other.provenance
    np.testing.assert_array_equal(one.read().data, other.read().data)
    assert sentinel2_safe_info(root) == sentinel2_safe_info(archive)


def test_a_zip_that_is_only_stored_reads_alike(product, tmp_path):
    _, root, archive = product
    stored = zipped(root, tmp_path / "stored.zip", compression=zipfile.ZIP_STORED)
    window = Window(row=201, col=99, height=77, width=301)
    one, other = (open_sentinel2_safe(path).read(window) for path in (archive, stored))
    np.testing.assert_array_equal(one.data, other.data)


def test_windows_equal_the_whole(product):
    scene = open_sentinel2_safe(product[2])
    whole = scene.read()
    rng = np.random.default_rng(5)
    for _ in range(25):
        row, col = rng.integers(-20, SIDE_PX - 1, 2)
        height, width = rng.integers(1, 300, 2)
        window = Window(row=int(row), col=int(col), height=int(height), width=int(width))
        part = scene.read(window)
        inside = window.intersection(scene.window)
        rows, cols = inside.slices_in(window)
        from_rows, from_cols = inside.slices_in(scene.window)
        np.testing.assert_array_equal(part.data[:, rows, cols], whole.data[:, from_rows, from_cols])
        assert part.valid.sum() == whole.valid[:, from_rows, from_cols].sum()


def test_many_threads_read_what_one_reads(product):
    scene = open_sentinel2_safe(product[2])
    windows = [Window(row=r, col=c, height=150, width=170) for r in range(0, 450, 50) for c in range(0, 400, 90)]
    alone = [scene.read(window).data for window in windows]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda window: scene.read(window).data, windows))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("level", "baseline", "offsets", "reflectance"),
    [
        ("L2A", "02.14", None, 0.12),
        ("L2A", "03.01", None, 0.12),
        ("L2A", "04.00", dict.fromkeys(ALL_BANDS, -1000), 0.02),
        ("L2A", "05.00", dict.fromkeys(ALL_BANDS, -1000), 0.02),
        ("L1C", "03.01", None, 0.12),
        ("L1C", "05.11", dict.fromkeys(ALL_BANDS, -1000), 0.02),
        # what the product states counts, band by band
        ("L2A", "06.00", dict.fromkeys(ALL_BANDS, -1000) | {"b03": -500}, 0.07),
        ("L2A", "99.99", dict.fromkeys(ALL_BANDS, -1000), 0.02),
        ("L2A", "99.99", None, 0.12),
    ],
)
def test_the_products_own_offset_is_used(tmp_path, level, baseline, offsets, reflectance):
    numbers = {band: np.full((SIDE_PX * 10 // RESOLUTION_M[band],) * 2, 1200, np.uint16) for band in ("b03", "b08")}
    safe = Safe(numbers=numbers, level=level, baseline=baseline, offsets=offsets, view=[], sun=None)
    scene = open_sentinel2_safe(safe.write(tmp_path))
    assert scene.sensor == (SENTINEL2_L1C if level == "L1C" else SENTINEL2_L2A)
    assert scene.bands == ("b03", "b08")
    np.testing.assert_allclose(scene.read().data[0], reflectance, atol=1e-7)
    assert f"Sentinel-2 {level}, processing baseline {baseline}" in scene.provenance.notes


def test_other_quantifications_scale_number_and_offset(tmp_path):
    numbers = {band: np.full((SIDE_PX,) * 2, 1200, np.uint16) for band in ("b03", "b08")}
    root = Safe(numbers=numbers, quantification="1000", offsets=None, baseline="01.02").write(tmp_path)
    np.testing.assert_allclose(open_sentinel2_safe(root).read().data[0], 1.2, atol=1e-6)


def test_saturated_numbers_have_no_value(tmp_path):
    numbers = random_numbers()
    numbers["b08"][300, 300] = 65535
    scene = open_sentinel2_safe(Safe(numbers=numbers).write(tmp_path))
    pixels = scene.read(Window(row=300, col=300, height=1, width=1))
    assert np.isnan(pixels.data[scene.bands.index("b08")]).all()
    assert pixels.valid[scene.bands.index("b03")].all()


def test_images_of_2017_with_their_prefix_are_found(tmp_path):
    root = Safe(numbers=random_numbers(), offsets=None, baseline="02.05", image_prefix="L2A_").write(tmp_path)
    assert measured_bands(open_sentinel2_safe(root).bands) == BANDS


def test_ancillary_bands_never_make_a_pixel_measured(product):
    scene = open_sentinel2_safe(product[1])
    pixels = scene.read()
    ancillary = [is_ancillary(band) for band in scene.bands]
    reflectance = pixels.valid[~np.array(ancillary)].any(axis=0)
    assert not reflectance[:, :60].any()
    assert reflectance[:, 60:].all()
    np.testing.assert_array_equal(pixels.measured, reflectance)
    assert not pixels.valid[ancillary][:, ~reflectance].any()
    assert pixels.valid[ancillary][:, reflectance].all()


def angles_of(tmp_path, **changed):
    scene = open_sentinel2_safe(Safe(numbers=random_numbers(), **changed).write(tmp_path))
    pixels = scene.read()
    return {band: pixels.data[scene.bands.index(band)] for band in ANGLES if band in scene.bands}


def test_angles_are_interpolated_as_by_hand(tmp_path):
    found = angles_of(tmp_path)
    # nodes are 100 pixels apart from the upper-left corner on; the centre of pixel 249 is 2.495 nodes in
    row, col = 249, 430
    i, j = 2.495, 4.305
    corners = [
        (
            (1 - 0.495 if a == 2 else 0.495) * (1 - 0.305 if b == 4 else 0.305),
            58.38 - 0.0448 * a - 0.0062 * b,
            171.9 - 0.0005 * a + 0.086 * b,
        )
        for a in (2, 3)
        for b in (4, 5)
    ]
    east = sum(w * np.sin(np.radians(z)) * np.sin(np.radians(a)) for w, z, a in corners)
    north = sum(w * np.sin(np.radians(z)) * np.cos(np.radians(a)) for w, z, a in corners)
    assert found["sun_zenith_deg"][row, col] == pytest.approx(np.degrees(np.arcsin(np.hypot(east, north))), abs=5e-6)
    assert found["sun_azimuth_deg"][row, col] == pytest.approx(np.degrees(np.arctan2(east, north)), abs=2e-5)
    # which is what plain angles give, but for the chord's sagitta
    assert found["sun_zenith_deg"][row, col] == pytest.approx(58.38 - 0.0448 * i - 0.0062 * j, abs=1e-4)
    assert found["sun_azimuth_deg"][row, col] == pytest.approx(171.9 - 0.0005 * i + 0.086 * j, abs=1e-4)
    assert found["view_zenith_deg"][row, col] == pytest.approx(5.5 + 0.12 * i - 0.08 * j, abs=1e-4)
    assert found["view_azimuth_deg"][row, col] == pytest.approx(281.4 + 0.16 * i + 0.05 * j, abs=1e-3)


def test_an_azimuth_passes_north_the_short_way(tmp_path):
    azimuth = (plane(357.0, 0.0, 1.0)) % 360.0
    found = angles_of(tmp_path, sun=(plane(40.0, 0.0, 0.0), azimuth))["sun_azimuth_deg"]
    expected = (357.0 + (np.arange(60, SIDE_PX) + 0.5) / 100.0) % 360.0
    np.testing.assert_allclose(found[10, 60:], expected, atol=1e-3)


def test_detectors_are_merged_and_edges_take_the_nearest_node(tmp_path):
    east, west = plane(6.0, 0.0, 0.0), plane(4.0, 0.0, 0.0)
    east[:, :4], west[:, 4:] = np.nan, np.nan  # node 4 on: one detector; nodes to 3: the other
    both = west.copy()
    west[:, 5:], both[:, 5:] = np.nan, np.nan
    both[:, :3] = np.nan  # a third sees node 3 as well
    nowhere = np.full((NODES, NODES), np.nan)
    view = [
        (7, 1, np.where(np.arange(NODES) == 6, np.nan, east), plane(100.0, 0.0, 0.0)),  # no node at the east edge
        (7, 2, west, plane(280.0, 0.0, 0.0)),
        (7, 3, both, plane(280.0, 0.0, 0.0)),
        (7, 4, nowhere, nowhere),
        (2, 1, plane(9.0, 0.0, 0.0), plane(9.0, 0.0, 0.0)),  # another band's
    ]
    found = angles_of(tmp_path, view=view)
    np.testing.assert_allclose(found["view_zenith_deg"][:, 60:300], 4.0, atol=1e-5)
    np.testing.assert_allclose(found["view_azimuth_deg"][:, 60:300], 280.0, atol=1e-4)
    np.testing.assert_allclose(found["view_zenith_deg"][:, 400:], 6.0, atol=1e-5)
    np.testing.assert_allclose(found["view_azimuth_deg"][:, 400:], 100.0, atol=1e-4)
    # between the detectors: opposite sides of the track, so the mean direction is nearer to the zenith than either
    half = found["view_zenith_deg"][5, 349]
    sines = [0.505 * np.sin(np.radians(4.0)), 0.495 * np.sin(np.radians(6.0))]
    assert half == pytest.approx(np.degrees(np.arcsin(abs(sines[0] - sines[1]))), abs=1e-4)


def test_angles_that_the_product_lacks_are_noted(tmp_path):
    scene = open_sentinel2_safe(Safe(numbers=random_numbers(), view=[], sun=None).write(tmp_path))
    assert scene.bands == BANDS
    assert {
        "the product does not give the sun angles",
        "the product does not give the view angles",
        "the product has no scene classification",
    } <= set(scene.provenance.notes)


def full_size(**changed):
    """The XML of a whole published tile, without pixels."""
    return replace(Safe(numbers={}, view=[], sun=None, side_px=10980, manifest=False), **changed)


# EXT_POS_LIST of the published products; the second tile is cut off by the swath's edge and lies across 180 degrees
T29UNU = (
    "53.24107326120979 -7.7604675 53.15694484444376 -7.8072205 53.01349658460144 -7.8864746 52.87000049253746 "
    "-7.966034 52.7264309729195 -8.044769 52.582712955548566 -8.122986 52.43900297306615 -8.200623 52.29525328478359 "
    "-8.277466 52.25776004518753 -8.297485 52.26254617895429 -9.000305 53.24962646775486 -9.000305 "
    "53.24107326120979 -7.7604675"
)
T01WCS = (
    "68.37248323563581 179.00590015953946 68.49533583637286 179.13783410571878 68.6346314314964 179.28891244235055 "
    "68.77411484036169 179.4402685062272 68.91321418508048 179.59490349384663 69.05258474536689 179.7497085246583 "
    "69.19156083320807 179.90820986863423 69.27071244812461 180 69.33034153837916 -179.93085 69.38226268289878 "
    "-179.86989 69.39446086298774 -179.297 68.41049258552269 -179.197 68.39350896261585 180 "
    "68.37248323563581 179.00590015953946"
)


def published_tile(**changed):
    """Grid, time and acquisition of a published tile, from its XML."""
    safe = full_size(**changed)
    product = read_product_metadata(parse_xml(safe.product_text().encode(), "product"), "product")
    tile = read_tile_metadata(parse_xml(safe.tile_text().encode(), "tile"), "tile")
    return tile.grid, *tile_acquisition(product, tile)


def test_the_time_is_the_tiles_own_and_agrees_with_the_orbit(tmp_path):
    root = full_size(footprint=T29UNU).write(tmp_path)
    time, outline = sentinel2_safe_info(root)
    assert time == AT_T29UNU  # the datatake began 2.6 min before
    assert outline.contains(Point(-8.9, 52.7))
    assert not outline.contains(Point(-7.8, 52.3))  # no pixels in the south-east of that tile


def test_before_baseline_02_07_the_orbit_dates_the_tile(tmp_path):
    # ESA dated this tile 11:56:49.6; from the datatake's start and the orbit alone the same must come out to 10 s
    changed = {"baseline": "02.06", "offsets": None, "sensing_time": "2022-10-05T11:54:07.000Z"}
    time, _ = sentinel2_safe_info(full_size(**changed).write(tmp_path))
    assert abs((time - AT_T29UNU).total_seconds()) < 10.0


def test_two_tiles_of_one_pass_agree_on_the_time_of_a_place():
    # Published: T01WCP whole, T01WCS 44 % covered; its sensing time is the mean over the covered part.
    shared = {
        "datatake_time": "2023-06-25T23:46:21.024Z",
        "relative_orbit": 73,
        "epsg": 32601,
        "ulx": 300000.0,
        "baseline": "05.09",
    }
    south_grid, _, south = published_tile(
        tile="01WCP", uly=7400040.0, sensing_time="2023-06-25T23:47:55.578328Z", **shared
    )
    north_grid, time, north = published_tile(
        tile="01WCS",
        uly=7700040.0,
        sensing_time="2023-06-25T23:47:14.463757Z",
        footprint=T01WCS,
        **shared,
    )
    assert time == datetime(2023, 6, 25, 23, 47, 14, 463757, tzinfo=UTC)
    place = north_grid.lonlat(5490.0, 5490.0)
    seconds = [
        model.at(*grid.rowcol(*place)).time.astype("datetime64[us]").astype(float) / 1e6
        for grid, model in ((south_grid, south), (north_grid, north))
    ]
    assert seconds[0] == pytest.approx(seconds[1], abs=0.3)  # 0.55 s if taken as the time of the tile's centre


def test_a_footprint_across_180_degrees_is_split(tmp_path):
    changed = {"tile": "01WCS", "epsg": 32601, "ulx": 300000.0, "uly": 7700040.0, "relative_orbit": 73}
    times = {"datatake_time": "2023-06-25T23:46:21.024Z", "sensing_time": "2023-06-25T23:47:14.463757Z"}
    root = full_size(footprint=T01WCS, **changed, **times).write(tmp_path)
    _, outline = sentinel2_safe_info(root)
    assert outline.intersects(Point(179.8, 68.8))
    assert outline.intersects(Point(-179.5, 68.8))
    assert not outline.intersects(box(-170.0, 60.0, 170.0, 75.0))


def test_without_a_footprint_the_outline_is_the_tile(tmp_path):
    root = full_size().write(tmp_path)
    grid = published_tile()[0]
    assert sentinel2_safe_info(root)[1] == footprint(grid)


def test_the_acquisition_agrees_with_the_published_viewing_angles():
    # MTD_TL.xml of T29UNU, band 2, detector 9, first node of the grid: zenith 5.54934, azimuth 281.37 degrees
    _, _, acquisition = published_tile(footprint=T29UNU)
    seen = acquisition.at(-0.5, -0.5)
    assert "relative orbit 23 as given" in acquisition.source
    assert float(seen.incidence_deg) == pytest.approx(5.54934, abs=2.0 * float(seen.incidence_sigma_deg))
    towards_satellite = (float(seen.look_azimuth_deg) + 180.0) % 360.0
    assert towards_satellite == pytest.approx(281.37, abs=2.0 * float(seen.look_azimuth_sigma_deg))
    assert float(seen.time_sigma_s) < 1.5


def test_an_orbit_that_does_not_see_the_tile_is_a_contradiction(tmp_path):
    with pytest.raises(AnnotationError, match="contradict each other"):
        sentinel2_safe_info(full_size(relative_orbit=100).write(tmp_path))


def test_provenance_names_every_file_that_was_read(product):
    safe, root, _ = product
    provenance = open_sentinel2_safe(root).provenance
    assert provenance.source == "safe"
    assert provenance.attribution == "Contains modified Copernicus Sentinel data 2022"
    assert provenance.ids == (
        safe.product_xml,
        f"{safe.granule}/MTD_TL.xml",
        *(safe.image(band) for band in BANDS),
        safe.image("scl"),
    )
    expected = tuple(hashlib.sha256((root / name).read_bytes()).hexdigest() for name in provenance.ids)
    assert provenance.sha256 == expected


@pytest.mark.parametrize(("absent", "told"), [(("b03",), "no B03 at"), (("b03", "b08"), "no B03 and no B08 at")])
def test_without_the_bands_that_find_ships_it_is_refused(tmp_path, absent, told):
    numbers = {band: dn for band, dn in random_numbers().items() if band not in absent}
    with pytest.raises(RasterError, match=told):
        open_sentinel2_safe(Safe(numbers=numbers).write(tmp_path))


def test_other_absent_bands_are_noted(tmp_path):
    numbers = {band: dn for band, dn in random_numbers().items() if band not in ("b05", "b12")}
    scene = open_sentinel2_safe(Safe(numbers=numbers).write(tmp_path))
    assert measured_bands(scene.bands) == ("b02", "b03", "b04", "b08", "b8a", "b11")
    assert any("no band b05, b12" in note for note in scene.provenance.notes)


def test_a_file_changed_on_the_way_is_refused(product, tmp_path):
    safe, root, _ = product
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    image = copy / safe.image("b08")
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 0xFF
    image.write_bytes(content)
    with pytest.raises(RasterError, match=r"B08_10m\.jp2 .* is not what the product's manifest says"):
        open_sentinel2_safe(copy)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95, 0.999])
def test_a_truncated_image_is_an_error_and_never_pixels(product, tmp_path, kept):
    safe, root, _ = product
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    (copy / "manifest.safe").unlink()
    image = copy / safe.image("b08")
    content = image.read_bytes()
    image.write_bytes(content[: int(len(content) * kept)])
    scene = open_sentinel2_safe(copy)
    assert any("could not be verified" in note for note in scene.provenance.notes)
    with pytest.raises(RasterError, match=r"B08_10m\.jp2 cannot be read at"):
        scene.read()


def test_a_truncated_zip_is_an_error(product, tmp_path):
    archive = product[2].read_bytes()
    short = tmp_path / "short.zip"
    short.write_bytes(archive[: len(archive) // 2])
    with pytest.raises(RasterError, match="not a whole zip"):
        open_sentinel2_safe(short)


def test_a_damaged_member_of_a_zip_is_an_error(product, tmp_path):
    safe, _, archive = product
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as whole:
        member = next(m for m in whole.infolist() if m.filename.endswith(safe.image("b08")))
    start = member.header_offset + 30 + len(member.filename)
    content[start + member.compress_size // 2] ^= 0xFF
    broken = tmp_path / "broken.zip"
    broken.write_bytes(content)
    with pytest.raises(RasterError, match=r"B08_10m\.jp2"):
        open_sentinel2_safe(broken)


def test_a_replaced_product_is_read_anew(tmp_path):
    for value in (1500, 2500):
        numbers = {band: np.full((SIDE_PX,) * 2, value, np.uint16) for band in ("b03", "b08")}
        root = Safe(numbers=numbers).write(tmp_path)
        read = open_sentinel2_safe(root).read(Window(row=0, col=0, height=2, width=2)).data[0]
        np.testing.assert_allclose(read, (value - 1000) / 10000, atol=1e-7)
        shutil.rmtree(root)


def test_files_beside_an_image_do_not_count(product, tmp_path):
    safe, root, _ = product
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    image = copy / safe.image("b03")
    moved = "<GeoTransform>0, 10, 0, 0, 0, -10</GeoTransform>"
    image.with_name(image.name + ".aux.xml").write_text(f"<PAMDataset>{moved}</PAMDataset>")
    image.with_suffix(".j2w").write_text("10\n0\n0\n-10\n5\n-5\n")
    np.testing.assert_array_equal(open_sentinel2_safe(copy).read().data, open_sentinel2_safe(root).read().data)


def test_an_image_off_its_grid_is_refused(tmp_path):
    numbers = random_numbers()
    numbers["b04"] = numbers["b04"][:300, :300]
    with pytest.raises(RasterError, match=r"B04_10m\.jp2 .* is not on the grid"):
        open_sentinel2_safe(Safe(numbers=numbers).write(tmp_path))


def rewritten(product, tmp_path, name, old, new):
    """A copy of the product with a text replaced and a manifest that agrees."""
    _, root, _ = product
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    text = (copy / name).read_text(encoding="utf-8")
    assert old in text
    (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    write_manifest(copy)
    return copy


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]>\n<n1:Level-2A_User_Product'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("<n1:Level-2A_User_Product", BOMB, "declares a DTD"),
        ("</n1:Level-2A_User_Product>", "", "not well-formed"),
        ("Level-2A</PROCESSING_LEVEL>", "Level-1B</PROCESSING_LEVEL>", "is of Level-1B"),
        ("<SENSING_ORBIT_NUMBER>23", "<SENSING_ORBIT_NUMBER>twenty", "SENSING_ORBIT_NUMBER"),
        ("2022-10-05T11:54:11.024Z</DATATAKE", "last week</DATATAKE", "no time"),
        ("BOA_QUANTIFICATION_VALUE", "X_QUANTIFICATION_VALUE", "has no BOA_QUANTIFICATION_VALUE"),
        ("BOA_ADD_OFFSET", "X_OFFSET", "baseline 04.00 but gives no BOA_ADD_OFFSET"),
        ('<BOA_ADD_OFFSET band_id="2">-1000</BOA_ADD_OFFSET>', "", "none for B03"),
        ('band_id="2"', 'band_id="13"', "which is no band"),
        ("DESCENDING", "SIDEWAYS", "SENSING_ORBIT_DIRECTION"),
    ],
)
def test_bad_product_metadata_is_refused_in_a_sentence(product, tmp_path, old, new, told):
    with pytest.raises(AnnotationError, match=told):
        open_sentinel2_safe(rewritten(product, tmp_path, "MTD_MSIL2A.xml", old, new))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("EPSG:32629", "EPSG:999999", "impossible grid"),
        ("<XDIM>10", "<XDIM>0", "impossible grid"),
        ('<Size resolution="10">', '<Size resolution="11">', "size and place of its 10 m pixels"),
        ("SENSING_TIME", "TIME", "has no SENSING_TIME"),
        ("58.38", "high", "damaged angle grid"),
        ("58.38 ", "", "damaged angle grid"),
        ('<ROW_STEP unit="m">1000', '<ROW_STEP unit="m">0', "of step"),
        ("Azimuth", "Bearing", "without Zenith or Azimuth"),
    ],
)
def test_bad_tile_metadata_is_refused_in_a_sentence(product, tmp_path, old, new, told):
    with pytest.raises(AnnotationError, match=told):
        open_sentinel2_safe(rewritten(product, tmp_path, f"{product[0].granule}/MTD_TL.xml", old, new))


def test_a_product_with_two_tiles_or_none_is_refused(product, tmp_path):
    safe, root, _ = product
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    shutil.copytree(copy / safe.granule, copy / f"{safe.granule}X")
    with pytest.raises(AnnotationError, match="holds 2 tiles"):
        sentinel2_safe_info(copy)
    shutil.rmtree(copy / "GRANULE")
    with pytest.raises(AnnotationError, match="holds 0 tiles"):
        sentinel2_safe_info(copy)


def test_the_old_format_is_refused_by_name(tmp_path):
    root = tmp_path / "S2A_OPER_PRD_MSIL1C_PDMC_20160929T193912_R051_V20160929T154622_20160929T154622.SAFE"
    root.mkdir()
    (root / "S2A_OPER_MTD_SAFL1C_PDMC_20160929T193912_R051_V20160929T154622_20160929T154622.xml").write_text("<x/>")
    with pytest.raises(AnnotationError, match="before 6 December 2016"):
        sentinel2_safe_info(root)


def test_what_is_no_product_is_refused(tmp_path):
    with pytest.raises(RasterError, match="does not exist"):
        sentinel2_safe_info(tmp_path / "gone.zip")
    with pytest.raises(RasterError, match="no such product"):
        sentinel2_safe_info(tmp_path)
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(RasterError, match="not a whole zip"):
        sentinel2_safe_info(tmp_path / "text.zip")


def test_zips_that_try_tricks_are_refused(product, tmp_path):
    safe, root, archive = product
    two = tmp_path / "two.zip"
    shutil.copy(archive, two)
    with zipfile.ZipFile(two, "a") as grown:
        grown.write(root / safe.product_xml, f"Other.SAFE/{safe.product_xml}")
    with pytest.raises(RasterError, match="holds 2 products"):
        sentinel2_safe_info(two)
    double = tmp_path / "double.zip"
    shutil.copy(archive, double)
    with zipfile.ZipFile(double, "a") as grown, pytest.warns(UserWarning, match="Duplicate name"):
        grown.writestr(f"{root.name}/{safe.product_xml}", "<other/>")
    with pytest.raises(RasterError, match="two files of one name"):
        sentinel2_safe_info(double)
    climbing = tmp_path / "climbing.zip"
    with zipfile.ZipFile(climbing, "w") as made:
        made.writestr(f"../{safe.product_xml}", safe.product_text())
    with pytest.raises(RasterError, match="no such product"):
        sentinel2_safe_info(climbing)


def test_encrypted_zips_are_refused(product, tmp_path):
    content = bytearray(product[2].read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 8] |= 0x1
    locked = tmp_path / "locked.zip"
    locked.write_bytes(content)
    with pytest.raises(RasterError, match="encrypted"):
        sentinel2_safe_info(locked)


def test_an_xml_larger_than_any_is_refused(product, tmp_path, monkeypatch):
    monkeypatch.setattr("imagery.products.files._MOST_TEXT_BYTES", 1000)
    with pytest.raises(AnnotationError, match="is larger than"):
        sentinel2_safe_info(product[1])


def test_every_refusal_is_an_imagery_error():
    assert issubclass(AnnotationError, ImageryError)
    assert issubclass(RasterError, ImageryError)


def sea_with_a_ship():
    """Water of 0.02 (0.005 in the infrared) with noise, and a hull of 4 x 14 pixels around (300.5, 406.5)."""
    rng = np.random.default_rng(7)
    numbers = {}
    for band in BANDS:
        repeat = RESOLUTION_M[band] // 10
        side = SIDE_PX // repeat
        mean = 1000 + (200 if band in ("b02", "b03", "b04") else 50)
        dn = np.rint(rng.normal(mean, 12.0, (side, side)))
        dn[299 // repeat : -(-303 // repeat), 400 // repeat : 414 // repeat] += 1500
        numbers[band] = dn.astype(np.uint16)
    return numbers


@pytest.mark.parametrize("class_there", [6, 9, 0])  # water, cloud, and what Sen2Cor could not tell
def test_the_detector_finds_a_ship_and_is_not_disturbed_by_extra_bands(tmp_path, class_there):
    scl = np.full((SIDE_PX // 2, SIDE_PX // 2), class_there, np.uint8)
    scene = open_sentinel2_safe(Safe(numbers=sea_with_a_ship(), scl=scl).write(tmp_path))
    found = detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, None), None)
    assert len(found.detections) == 1
    assert found.detections.row[0] == pytest.approx(300.5, abs=0.5)
    assert found.detections.col[0] == pytest.approx(406.5, abs=0.5)
    lon, lat = scene.geometry.lonlat(300.5, 406.5)
    assert found.detections.lon[0] == pytest.approx(float(lon), abs=1e-4)
    assert found.detections.lat[0] == pytest.approx(float(lat), abs=1e-4)
    late_s = (found.detections.time[0] - np.datetime64("2022-10-05T11:56:49.581767")) / np.timedelta64(1, "s")
    assert abs(late_s) < 1.0  # the cut-down tile is seen within a second


def test_a_scene_survives_being_written_as_a_geotiff(product, tmp_path):
    scene = open_sentinel2_safe(product[1])
    write_geotiff(scene, tmp_path / "scene.tif")
    again = open_geotiff(tmp_path / "scene.tif")
    assert (again.id, again.sensor, again.bands, again.unit, again.time) == (
        scene.id,
        scene.sensor,
        scene.bands,
        scene.unit,
        scene.time,
    )
    np.testing.assert_array_equal(again.read().data, scene.read().data)
    assert again.provenance == scene.provenance


def test_pictures_show_true_colour(product):
    scene = open_sentinel2_safe(product[1])
    assert picture(scene, scene.window).stretch.startswith("B04, B03, B02 from")


def test_angle_text_writes_missing_nodes_as_esa_does():
    assert "NaN" in angles_text(np.full((2, 2), np.nan), plane(0.0, 0.0, 1.0)[:2, :2])
