"""Ground-range products from their parts: calibration, noise, place, time, border; against tables read by hand, the
range-Doppler equations and xarray-sentinel.
"""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio

from imagery.acquisition import azimuth_shift_m
from imagery.errors import AnnotationError, FetchError, RasterError
from imagery.geometry import GcpGrid, Window, offset_m
from imagery.products.grd_geolocation import gcp_grid, sea_level_lonlat
from imagery.products.sentinel1 import GrdPolarisation, grd_scene
from imagery.products.xml import parse_xml
from imagery.radiometry import linear_intensity
from imagery.scene import Provenance
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.surface import map_surface
from imagery.thermal_noise import with_thermal_noise
from imagery.tie_points import TiePointAcquisition, orbit_at, read_tie_points
from models.detector import detect
from offing.detectors import DetectorChoice, make_detector
from tests.safe_builder import (
    LOOKS,
    RadarModel,
    SafeProduct,
    Ship,
    digital_numbers,
    lut_at,
    noise_at,
    numbers,
    paint,
    write_measurement,
)
from tests.support import scene_of_array

SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
ALPS = "sar/safe/S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip"
ITALY = "sar/safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE.zip"
ANYWHERE = Provenance(source="test", ids=("x",))


@pytest.fixture(scope="module")
def sea(real_data):
    return SafeProduct(real_data(SEA))


@pytest.fixture(scope="module")
def italy(real_data):
    return SafeProduct(real_data(ITALY))


@pytest.fixture(scope="module")
def alps(real_data):
    return SafeProduct(real_data(ALPS))


def parts(product, band, measurement, **changes):
    return GrdPolarisation(
        **{
            "band": band,
            "measurement": str(measurement),
            "annotation": product.text("", band).encode(),
            "calibration": product.text("calibration-", band).encode(),
            "noise": product.text("noise-", band).encode(),
        }
        | changes
    )


def scene_of(*polarisations, **options):
    return grd_scene("a product", polarisations, provenance=ANYWHERE, **options)


def window(row, col, data):
    return Window(row=row, col=col, height=data.shape[0], width=data.shape[1])


# ------------------------------------------------------------------------------------------------ calibration, noise


@pytest.mark.parametrize(("name", "bands"), [("sea", ("vv", "vh")), ("italy", ("vv",))])
def test_sigma0_is_what_the_tables_say_by_hand(name, bands, request, tmp_path):
    product = request.getfixturevalue(name)
    rng = np.random.default_rng(0)
    height, width = RadarModel(product.text("", "vv")).shape_hw
    # the corners, across the sub-swath borders at 8456 and 17262 (sea) and 8890 (italy), and between vectors
    places = [(5000, 8420), (1340, 17240), (3330, 8870), (700, 8440), (height - 60, width - 80), (9000, 1234)]
    pieces = [(r, c, rng.integers(30, 4000, (60, 80)).astype(np.uint16)) for r, c in places]
    scene = scene_of(
        *(
            parts(product, b, write_measurement(tmp_path / f"{b}.tif", product.text("", b), pieces))
            for b in reversed(bands)
        )
    )
    assert (scene.bands, scene.unit, scene.sensor) == (bands, "sigma0", SENTINEL1_IW_GRD)
    for index, band in enumerate(bands):
        calibration, noise = product.text("calibration-", band), product.text("noise-", band)
        for row, col, numbers_there in pieces:
            pixels = scene.read(window(row, col, numbers_there))
            assert pixels.valid.all()
            for line in (row, row + 17, row + 59):
                where = np.arange(col, col + 80, dtype=float)
                gain = lut_at(calibration, "sigmaNought", "calibrationVector", line, where)
                power = noise_at(noise, line, where)
                expected = (numbers_there[line - row].astype(float) ** 2 - power) / gain**2
                got = pixels.data[index, line - row]
                np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * (power / gain**2).max())
                subtracted = scene.reader.noise_sigma0(window(row, col, numbers_there))[index, line - row]
                np.testing.assert_allclose(subtracted, power / gain**2, rtol=1e-6)


def test_sea_darker_than_the_noise_has_its_right_mean(sea, tmp_path):
    row, col, sigma0 = 9000, 9000, 10**-3.0
    numbers_there = digital_numbers(sea, "vh", np.full((1000, 1000), sigma0), row, col, seed=3)
    scene = scene_of(
        parts(sea, "vh", write_measurement(tmp_path / "vh.tif", sea.text("", "vh"), [(row, col, numbers_there)]))
    )
    values = scene.read(window(row, col, numbers_there)).data[0].astype(float)
    noise = scene.reader.noise_sigma0(window(row, col, numbers_there)).mean()
    assert noise > 2 * sigma0
    # 1e6 speckled pixels of signal and noise; rounding of the digital numbers adds 1/12 of a unit to each power
    scatter = (sigma0 + noise) / np.sqrt(LOOKS * values.size)
    assert values.mean() == pytest.approx(sigma0, abs=5 * scatter + 1 / 12 / 600**2)
    assert (values < 0).mean() > 0.3
    clamped = linear_intensity(values.astype(np.float32), "sigma0")
    np.testing.assert_array_equal(clamped, np.maximum(values.astype(np.float32), 0))
    assert np.isnan(linear_intensity(np.array([np.nan], np.float32), "sigma0")).all()


def test_calibration_and_noise_are_those_of_xarray_sentinel(sea, italy, tmp_path):
    xarray_sentinel = pytest.importorskip("xarray_sentinel")
    for product, band in ((sea, "VH"), (italy, "VV")):
        folder = product.unpack(tmp_path)
        lut = xarray_sentinel.open_sentinel1_dataset(folder, group=f"IW/{band}/calibration")
        height, width = RadarModel(product.text("", band.lower())).shape_hw
        lines = [k for k in lut.line.values.tolist() if 0 <= k < height]
        rows = lines[3], lines[-3]
        pieces = [(r, 0, np.full((1, width), 500, np.uint16)) for r in rows]
        path = write_measurement(tmp_path / f"{band}.tif", product.text("", band.lower()), pieces)
        # without noise the calibration stands alone; its nodes and the points between them
        bare = scene_of(parts(product, band.lower(), path, noise=None))
        assert any("thermal noise is in sigma0" in note for note in bare.provenance.notes)
        everywhere = np.arange(width)
        for row, (_, _, there) in zip(rows, pieces, strict=True):
            gain = lut.sigmaNought.sel(line=row).interp(pixel=everywhere, kwargs={"fill_value": "extrapolate"})
            got = bare.read(window(row, 0, there)).data[0, 0]
            known = everywhere <= int(lut.pixel.max())
            np.testing.assert_allclose(got[known], (500 / gain.values[known]) ** 2, rtol=1e-6)
    # only this product has noise vectors of one length, which xarray-sentinel needs
    ranges = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV/noise_range").noiseRangeLut
    along = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV/noise_azimuth").noiseAzimuthLut
    line = 4008
    scene = scene_of(parts(italy, "vv", path))
    there = Window(row=line, col=0, height=1, width=8890)  # the first sub-swath: the only block it reads
    gain = lut.sigmaNought.interp(line=line, pixel=np.arange(8890)).values
    power = ranges.sel(line=line).interp(pixel=np.arange(8890)).values * float(along.interp(line=line))
    np.testing.assert_allclose(scene.reader.noise_sigma0(there)[0, 0], power / gain**2, rtol=1e-5)


def test_detectors_get_speckle_of_known_looks_when_the_noise_is_put_back(sea, tmp_path):
    """81 boats of 20 to 40 m on dark water: with the noise in it the speckle is the sensor's, and they are found."""
    row, col, side = 9700, 7800, 1400
    model = RadarModel(sea.text("", "vv"))
    rng = np.random.default_rng(4)
    places = np.linspace(100, side - 100, 9)
    boats = [
        Ship(*model.lonlat(row + r, col + c), float(rng.uniform(20, 40)), float(rng.uniform(0, 180)))
        for r in places
        for c in places
    ]
    polarisations = []
    for k, (band, water, hull) in enumerate((("vv", 10**-2.2, 0.06), ("vh", 10**-3.0, 0.02))):
        clean = paint(model, boats, row, col, (side, side), water, hull)
        patch = digital_numbers(sea, band, clean, row, col, seed=k + 9)
        path = write_measurement(tmp_path / f"{band}.tif", sea.text("", band), [(row, col, patch)])
        polarisations.append(parts(sea, band, path))
    scene = scene_of(*polarisations)
    noisy = with_thermal_noise(scene)
    corner = Window(row=row, col=col, height=90, width=90)  # water only
    values = noisy.read(corner).data.astype(float)
    assert (values > 0).all()
    looks = values.mean(axis=(1, 2)) ** 2 / values.var(axis=(1, 2))
    np.testing.assert_allclose(looks, LOOKS, rtol=0.1)
    region = Window(row=row, col=col, height=side, width=side)
    part = scene_of_array(scene.geometry.crop(region), noisy.read(region).data, bands=scene.bands)
    found = detect(part, make_detector(DetectorChoice(), part), map_surface(part, None), None, workers=2)
    lon, lat = found.detections.lon, found.detections.lat
    near = [np.hypot(*offset_m(b.lon, b.lat, lon, lat)).min() < 60 for b in boats]
    assert sum(near) >= 73  # nine in ten
    assert len(lon) <= sum(near) + 1
    # a scene that was not denoised is left alone
    bare = scene_of(*(replace(p, calibration=None) for p in polarisations))
    assert with_thermal_noise(bare) is bare


def as_old_format(noise, lines=None):
    """A noise file as processors before IPF 2.90 wrote it: one list of vectors, nothing along azimuth."""
    text = re.sub(r"<noiseAzimuthVectorList.*</noiseAzimuthVectorList>", "", noise, flags=re.S)
    text = text.replace("noiseRangeVectorList", "noiseVectorList").replace("noiseRangeVector", "noiseVector")
    return text.replace("noiseRangeLut", "noiseLut")


@pytest.mark.parametrize(("ipf", "dn_power"), [(2.84, None), (2.45, 2), (2.32, 1)])
def test_noise_tables_of_old_processors_have_their_own_scale(ipf, dn_power, italy, tmp_path):
    """From IPF 2.50 on DN^2; before, times 75088.7 and dn or dn^2 (ESA MPC-0243)."""
    noise, calibration = as_old_format(italy.text("noise-", "vv")), italy.text("calibration-", "vv")
    path = write_measurement(tmp_path / "vv.tif", italy.text("", "vv"))
    scene = scene_of(parts(italy, "vv", path, noise=noise.encode()), ipf_version=ipf)
    scale = 1.0 if dn_power is None else 75088.7 * numbers(calibration, "dn")[0][0] ** dn_power
    where = np.arange(7000, 7050, dtype=float)
    power = scale * lut_at(noise, "noiseLut", "noiseVector", 5000, where)
    gain = lut_at(calibration, "sigmaNought", "calibrationVector", 5000, where)
    got = scene.reader.noise_sigma0(Window(row=5000, col=7000, height=1, width=50))[0, 0]
    np.testing.assert_allclose(got, power / gain**2, rtol=1e-6)
    unknown = scene_of(
        parts(
            italy,
            "vv",
            write_measurement(tmp_path / "unsaid.tif", italy.text("", "vv"), software=""),
            noise=noise.encode(),
        )
    )
    assert any("thermal noise is in sigma0" in note for note in unknown.provenance.notes)


def test_what_is_missing_is_said(sea, tmp_path):
    path = write_measurement(tmp_path / "vv.tif", sea.text("", "vv"), [(100, 100, np.full((9, 9), 321, np.uint16))])
    bare = scene_of(parts(sea, "vv", path, calibration=None))
    assert bare.unit == "amplitude"
    assert (bare.read(Window(row=100, col=100, height=9, width=9)).data == 321).all()
    assert any("no calibration annotation" in note for note in bare.provenance.notes)
    time = datetime(2022, 10, 14, 20, 51, 41, tzinfo=UTC)
    placed = scene_of(parts(sea, "vv", path, annotation=None), fallback_time=time)
    assert placed.time == time
    assert "model" in placed.acquisition.source
    assert any("no annotation" in note for note in placed.provenance.notes)
    whole = scene_of(parts(sea, "vv", path))
    assert whole.provenance.notes == ()
    # without annotation the same places, from the measurement's control points: ESA's sit half a pixel off GDAL's
    rows, cols = [10.0, 9000.5, 19000.0], [25.0, 12000.0, 25000.0]
    np.testing.assert_allclose(placed.geometry.lonlat(rows, cols), whole.geometry.lonlat(rows, cols), atol=1e-6)


def test_a_zero_was_not_measured_unless_the_processor_took_the_noise_away(sea, tmp_path):
    data = np.full((64, 64), 200, np.uint16)
    data[30:33, 30:33] = 0
    annotation = sea.text("", "vv")
    path = write_measurement(tmp_path / "vv.tif", annotation, [(640, 640, data)])
    valid = scene_of(parts(sea, "vv", path)).read(Window(row=640, col=640, height=64, width=64)).valid[0]
    np.testing.assert_array_equal(valid, data > 0)
    flag = "thermalNoiseCorrectionPerformed>"
    changed = annotation.replace(f"{flag}false", f"{flag}true").encode()
    denoised = scene_of(parts(sea, "vv", path, annotation=changed))
    pixels = denoised.read(Window(row=640, col=640, height=64, width=64))
    assert pixels.valid.all()
    assert (pixels.data[0, 30:33, 30:33] == 0).all()
    gain = lut_at(sea.text("calibration-", "vv"), "sigmaNought", "calibrationVector", 640, np.array([640.0]))
    assert pixels.data[0, 0, 0] == pytest.approx((200 / gain[0]) ** 2, rel=1e-6)
    assert not denoised.read(Window(row=0, col=0, height=64, width=64)).valid.any()


def test_border_noise_of_old_processors_is_no_data_and_the_sea_beside_it_is_not(italy, tmp_path):
    """A corner of a product: 203 lines and up to 330 pixels of low values, then calm sea, dark as VV ever is."""
    rng = np.random.default_rng(5)
    row, col, size = 0, 0, 1024
    sea = digital_numbers(italy, "vv", np.full((size, size), 10**-2.6), row, col, seed=1)
    edge = (250 + 80 * np.sin(np.arange(size) / 150)).astype(int)
    frame = (np.arange(size)[:, None] < 203) | (np.arange(size) < edge[:, None])
    sea[frame] = np.abs(rng.normal(0, 9, frame.sum())).astype(np.uint16)
    sea[300, 3] = 400  # a single bright sample in the frame does not make it sea
    sea[600:604, 600:604] = 2  # a dark hole inside the sea is seen
    path = write_measurement(tmp_path / "vv.tif", italy.text("", "vv"), [(row, col, sea)])
    noise = as_old_format(italy.text("noise-", "vv")).encode()
    old = scene_of(parts(italy, "vv", path, noise=noise), ipf_version=2.84)
    valid = old.read(window(row, col, sea)).valid[0]
    assert not valid[frame].any()
    far = np.zeros_like(frame)
    far[203 + 32 :, :] = True
    far &= np.arange(size) >= edge[:, None] + 48
    far[-48:, :] = far[:, -48:] = False  # the sea ends there, in zeros
    assert valid[far].all()
    assert far.mean() > 0.4
    new = scene_of(parts(italy, "vv", path))
    np.testing.assert_array_equal(new.read(window(row, col, sea)).valid[0], sea > 0)
    bare = scene_of(parts(italy, "vv", path, noise=None), ipf_version=2.84)
    assert any("it was not masked" in note for note in bare.provenance.notes)


# ---------------------------------------------------------------------------------------------------- place and time


def test_pixels_lie_where_range_and_doppler_put_them(sea, italy, alps):
    """Samples count from their centres: half a pixel of error would show. Land shifts the product's own range grid."""
    rng = np.random.default_rng(0)
    for product, typical_px, most_px in ((sea, 0.02, 0.25), (italy, 0.25, 2.0), (alps, 0.5, 4.0)):
        model = RadarModel(product.text("", "vv"))
        root = parse_xml(product.text("", "vv").encode(), "x")
        grid = gcp_grid(root, read_tie_points(root), model.shape_hw)
        rows, cols = (rng.uniform(0, n - 1, 40) for n in model.shape_hw)
        lon, lat = grid.lonlat(rows, cols)
        line, pixel = np.transpose([model.line_pixel(*place) for place in zip(lon, lat, strict=True)])
        # along the track the annotation itself lies up to 0.18 lines beside its own line times
        assert np.abs(np.median(line - rows)) < 0.1
        assert np.abs(line - rows).max() < (0.3 if product is sea else 0.6)
        assert np.median(np.abs(pixel - cols)) < typical_px
        assert np.abs(pixel - cols).max() < most_px
        back = grid.rowcol(lon, lat)
        np.testing.assert_allclose(back, (rows, cols), atol=1e-4)


def test_tie_points_at_sea_stay_and_those_on_mountains_come_down(sea, italy):
    points = read_tie_points(parse_xml(sea.text("", "vv").encode(), "x"))
    apart = np.hypot(*offset_m(points.lon, points.lat, *sea_level_lonlat(points)))
    assert apart.max() < 0.03
    points = read_tie_points(parse_xml(italy.text("", "vv").encode(), "x"))
    apart = np.hypot(*offset_m(points.lon, points.lat, *sea_level_lonlat(points)))
    level = np.abs(points.height_m) < 1.0
    assert level.sum() > 20
    assert apart[level].max() < 0.03
    # foreshortening: height over the tangent of the incidence, on a sphere; 3 % covers the curve of the Earth
    expected = points.height_m / np.tan(np.radians(points.incidence_deg))
    np.testing.assert_allclose(apart[~level], expected[~level], rtol=0.03, atol=1.0)


def left_out_m(rows, cols, lon, lat, chosen=slice(None)):
    """Distance of control points from where the others put them, and whether they lie inside the grid."""
    errors = []
    for k in np.arange(len(rows))[chosen]:
        kept = np.arange(len(rows)) != k
        grid = GcpGrid(
            gcp_rows=tuple(rows[kept]),
            gcp_cols=tuple(cols[kept]),
            gcp_lon=tuple(lon[kept]),
            gcp_lat=tuple(lat[kept]),
            shape_hw=(10, 10),
        )
        errors.append(np.hypot(*offset_m(lon[k], lat[k], *grid.lonlat(rows[k] - 0.5, cols[k] - 0.5))))
    inside = (rows > rows.min()) & (rows < rows.max()) & (cols > cols.min()) & (cols < cols.max())
    return np.array(errors), inside[chosen]


def test_a_control_point_left_out_is_found_within_a_pixel(sea, real_data):
    root = parse_xml(sea.text("", "vv").encode(), "x")
    grid = gcp_grid(root, read_tie_points(root), RadarModel(sea.text("", "vv")).shape_hw)
    with rasterio.open(real_data("sar/grd_hatteras_20x/iw-vv.tiff")) as dataset:
        points, _ = dataset.gcps
        scale = 25480 / points[-1].col  # the full product has 25,481 samples
    hatteras = [[p.row * scale for p in points], [p.col * scale for p in points]]
    hatteras += [[p.x for p in points], [p.y for p in points]]
    for columns in (hatteras, [grid.gcp_rows, grid.gcp_cols, grid.gcp_lon, grid.gcp_lat]):
        errors, inside = left_out_m(*map(np.asarray, columns))
        assert errors[inside].max() < 10.0
        assert np.median(errors[inside]) < 0.5
        # beside the edge the spline extrapolates over a whole cell (13 km x 20 km) when the point is gone
        assert errors[~inside].max() < 60.0


def test_a_control_point_left_out_of_a_land_product_is_off_by_the_steps_of_its_range_grid(italy, alps):
    """Once a second the processor moves its range grid with the mean height of the land: the spline cannot know a step.

    Through the annotated tie points, on mountains, the same takes hundreds of metres (up to 690 and 1360).
    """
    for product in (italy, alps):
        root = parse_xml(product.text("", "vv").encode(), "x")
        grid = gcp_grid(root, read_tie_points(root), RadarModel(product.text("", "vv")).shape_hw)
        columns = map(np.asarray, (grid.gcp_rows, grid.gcp_cols, grid.gcp_lon, grid.gcp_lat))
        errors, inside = left_out_m(*columns, chosen=slice(0, None, 13))
        assert inside.sum() > 25
        assert np.median(errors[inside]) < 11.0
        assert errors[inside].max() < 45.0


def test_annotation_lines_left_out_are_interpolated(sea):
    points = read_tie_points(parse_xml(sea.text("", "vv").encode(), "x"))
    kept = np.arange(0, len(points.lines), 2)
    thin = replace(
        points,
        lines=points.lines[kept],
        **{
            name: getattr(points, name)[kept]
            for name in ("time", "lon", "lat", "height_m", "slant_range_m", "incidence_deg", "position_m")
        },
        velocity_m_s=points.velocity_m_s[kept],
    )
    left = np.setdiff1d(np.arange(len(points.lines)), kept)
    seen = TiePointAcquisition.from_tie_points(thin).at(points.lines[left][:, None], points.pixels)
    assert np.abs(seen.incidence_deg - points.incidence_deg[left]).max() < 1e-3
    assert np.abs((seen.time - points.time[left]) / np.timedelta64(1, "s")).max() < 1e-3


def test_orbit_and_grid_are_those_of_xarray_sentinel(sea, italy, tmp_path):
    xarray_sentinel = pytest.importorskip("xarray_sentinel")
    for product in (sea, italy):
        folder = product.unpack(tmp_path)
        root = parse_xml(product.text("", "vv").encode(), "x")
        points = read_tie_points(root)
        orbit = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV/orbit")
        times = orbit.azimuth_time.values.astype("datetime64[us]")
        position, velocity = orbit_at(root.findall("./generalAnnotation/orbitList/orbit"), times)
        np.testing.assert_allclose(position, orbit.position.values.T, rtol=1e-12)
        np.testing.assert_allclose(velocity, orbit.velocity.values.T, rtol=1e-12)
        grid = xarray_sentinel.open_sentinel1_dataset(folder, group="IW/VV/gcp")
        np.testing.assert_array_equal(points.lon, grid.longitude.values)
        np.testing.assert_array_equal(points.lat, grid.latitude.values)
        np.testing.assert_array_equal(points.incidence_deg, grid.incidenceAngle.values)
    root = parse_xml(sea.text("", "vv").encode(), "x")
    geometry = gcp_grid(root, read_tie_points(root), (19488, 25117))
    oracle = xarray_sentinel.open_sentinel1_dataset(
        tmp_path / sea.folder, group="IW/VV/gcp"
    )  # its tie points, through our spline, at the centres of their samples
    lon, lat = geometry.lonlat(oracle.line.values[:, None], oracle.pixel.values)
    assert np.hypot(*offset_m(oracle.longitude.values, oracle.latitude.values, lon, lat)).max() < 0.05


def test_a_moving_ship_is_displaced_by_the_annotation_s_own_geometry(sea, tmp_path):
    scene = scene_of(parts(sea, "vv", write_measurement(tmp_path / "vv.tif", sea.text("", "vv"))))
    assert scene.acquisition.source == "annotation"
    start, stop = (datetime.fromisoformat(f"2022-10-14T20:51:{s}+00:00") for s in ("26.965862", "55.969252"))
    assert scene.time == start + (stop - start) / 2
    model = RadarModel(sea.text("", "vv"))
    for row, col, east, north in ((3000, 4000, 8.0, 2.0), (15000, 23000, -5.0, 7.0)):
        lon, lat = model.lonlat(row, col)
        line, pixel = model.line_pixel(lon, lat, east, north)
        assert abs(line - row) > 5
        shown = scene.geometry.lonlat(line, pixel)
        true = scene.geometry.lonlat(row, col)
        moved = np.array(offset_m(*true, *shown))
        predicted = np.array(azimuth_shift_m(scene.acquisition.at(row, col), east, north))
        assert np.hypot(*(moved - predicted)) < 1.0


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("annotation", lambda t: t.replace("<mode>IW<", "<mode>EW<"), "only IW GRD of 10 m"),
        ("annotation", lambda t: t.replace("<productType>GRD<", "<productType>SLC<"), "only IW GRD of 10 m"),
        ("annotation", lambda t: "<!DOCTYPE a [<!ENTITY b 'c'>]>" + t[t.index("<product>") :], "DTD"),
        ("annotation", lambda t: t[:5000], "not well-formed"),
        ("annotation", lambda t: t.replace("<numberOfLines>19488<", "<numberOfLines>19000<"), "annotation says 19000"),
        ("annotation", lambda t: t.replace("longitude>1.35", "longitude>1.36"), "different products"),
        ("calibration", lambda t: "<!DOCTYPE a [<!ENTITY b 'c'>]>" + t[t.index("<calibration>") :], "DTD"),
        ("calibration", lambda t: t.replace("6.616124e+02", "-1"), "not positive"),
        ("calibration", lambda t: t.replace("6.616124e+02", "one"), "not a list of numbers"),
        ("calibration", lambda t: t.replace("<line>672<", "<line>0<"), "do not rise"),
        ("calibration", lambda t: re.sub(r" 25\d\d\d|(?<= )2[0-4]\d\d\d", "", t), "values of sigmaNought"),
        (
            "noise",
            lambda t: t.replace("<noiseRangeLut", "<other").replace("</noiseRangeLut", "</other"),
            "noiseRangeLut",
        ),
        ("noise", lambda t: re.sub(r"<line>\d{4,}</line>", "<line>-1</line>", t), "do not rise"),
    ],
)
def test_damaged_and_hostile_annotations_are_refused_in_a_sentence(name, change, says, sea, tmp_path):
    good = parts(sea, "vv", write_measurement(tmp_path / "vv.tif", sea.text("", "vv")))
    bad = change(getattr(good, name).decode()).encode()
    assert bad != getattr(good, name)
    with pytest.raises((AnnotationError, RasterError), match=says) as caught:
        scene_of(replace(good, **{name: bad}))
    assert "\n" not in str(caught.value)


def test_tables_of_another_product_are_refused(sea, italy, tmp_path):
    path = write_measurement(tmp_path / "vv.tif", italy.text("", "vv"))
    cut = re.sub(
        r"<calibrationVector>(?:(?!</calibrationVector>).)*<line>1\d{4}</line>.*?</calibrationVector>",
        "",
        italy.text("calibration-", "vv"),
        flags=re.S,
    )
    with pytest.raises(AnnotationError, match="belongs to another product"):
        scene_of(parts(italy, "vv", path, calibration=cut.encode()))


def test_measurements_of_another_kind_are_refused(sea, tmp_path):
    small = write_measurement(tmp_path / "small.tif", sea.text("", "vv"), shape_hw=(100, 100))
    with pytest.raises(RasterError, match="100 x 100 pixels, its annotation says 19488 x 25117"):
        scene_of(parts(sea, "vv", small))
    whole = write_measurement(tmp_path / "vv.tif", sea.text("", "vv"))
    with pytest.raises(RasterError, match="have one size"):
        scene_of(parts(sea, "vv", whole), parts(sea, "vh", small))
    vrt = tmp_path / "vrt.tif"
    vrt.write_text(f'<VRTDataset rasterXSize="9" rasterYSize="9"><SRS>{whole}</SRS></VRTDataset>')
    with pytest.raises(RasterError, match="cannot be read"):
        scene_of(parts(sea, "vv", vrt))
    with pytest.raises(FetchError, match="cannot be read"):
        scene_of(parts(sea, "vv", "/vsicurl/http://127.0.0.1:9/vv.tif"))
    nowhere = write_measurement(tmp_path / "nowhere.tif", sea.text("", "vv"), gcps=False)
    with pytest.raises(RasterError, match="nothing says where it lies"):
        scene_of(parts(sea, "vv", nowhere, annotation=None))
    with pytest.raises(ValueError, match="polarisation"):
        GrdPolarisation(band="hx", measurement=str(whole))


def test_a_damaged_measurement_is_an_error_when_read_not_an_empty_sea(sea, tmp_path):
    noise = np.random.default_rng(0).integers(1, 60000, (512, 2048)).astype(np.uint16)
    path = write_measurement(tmp_path / "vv.tif", sea.text("", "vv"), [(512, 512, noise)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RasterError, match=r"vv\.tif cannot be read"):
        scene_of(parts(sea, "vv", path)).read(window(512, 512, noise))


# ---------------------------------------------------------------------------------------------------------- memory


def test_windows_of_a_full_product_take_little_memory(italy, tmp_path):
    """16,705 x 26,102 pixels in two bands, read in windows of 2048 lines, every second one, in a process of its own."""
    annotation = italy.text("", "vv")
    height, width = RadarModel(annotation).shape_hw
    block = np.full((512, width), 150, np.uint16)
    pieces = ((r, 0, block[: min(512, height - r)]) for r in range(0, height, 512))
    path = write_measurement(tmp_path / "vv.tif", annotation, pieces)
    for kind, name in (("", "annotation"), ("calibration-", "calibration"), ("noise-", "noise")):
        (tmp_path / name).write_text(italy.text(kind, "vv"))
    code = """
import sys
from pathlib import Path
from imagery.geometry import Window
from imagery.scene import Provenance
from imagery.products.sentinel1 import GrdPolarisation, grd_scene
folder, measurement = Path(sys.argv[1]), sys.argv[2]
xml = {n: (folder / n).read_bytes() for n in ("annotation", "calibration", "noise")}
parts = [GrdPolarisation(band=b, measurement=measurement, **xml) for b in ("vv", "vh")]
scene = grd_scene("x", parts, provenance=Provenance(source="x", ids=("x",)))
height, width = scene.shape_hw
read = 0
for row in range(0, height - 2048, 4096):
    for col in range(0, width, 8192):
        w = min(8192, width - col)
        read += int(scene.read(Window(row=row, col=col, height=2048, width=w)).valid.sum())
assert read == 2 * 4 * 2048 * width, read
# the peak of this program alone: getrusage begins with that of the process that started it
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1024 * 1024  # KiB
