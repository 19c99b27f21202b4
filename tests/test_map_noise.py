"""Thermal noise on a map grid against the products' tables, read by hand at the line and pixel that SciPy solves."""

import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from affine import Affine

from imagery.errors import AnnotationError
from imagery.geometry import Grid, Window
from imagery.ground_acquisition import annotated_ground
from imagery.map_noise import MapNoise, TableFiles, map_noise
from tests.safe_builder import RadarModel, SafeProduct, lut_at, noise_at

SEA = "sar/safe/S1A_IW_GRDH_1SDV_20221014T205126_20221014T205155_045443_056F2D_861B.SAFE.zip"
ITALY = "sar/safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE.zip"
ZONES = {SEA: "EPSG:32653", ITALY: "EPSG:32632"}
SEAM = 10080


@pytest.fixture(scope="module")
def product(real_data):
    made = {}
    return lambda name: made.setdefault(name, SafeProduct(real_data(name)))


def map_grid(model, name, line, pixel, shape_hw):
    """Pixels of 10 m whose middle lies near a line and pixel of a product."""
    away = Grid.from_crs(ZONES[name], Affine(10, 0, 0, 0, -10, 0), (1, 1))
    row, col = (round(float(v)) for v in away.rowcol(*model.lonlat(line, pixel)))
    corner = Affine(10, 0, (col - shape_hw[1] // 2) * 10, 0, -10, -(row - shape_hw[0] // 2) * 10)
    return Grid.from_crs(ZONES[name], corner, shape_hw)


def files_of(product, bands):
    return [
        TableFiles(calibration=product.text("calibration-", b).encode(), noise=product.text("noise-", b).encode())
        for b in bands
    ]


def noise_of(product, grid, bands=("vv", "vh")):
    slices = [part for part, _ in annotated_ground(grid, [product.text("", bands[0]).encode()]).products]
    return map_noise(grid, slices, [files_of(product, bands)])


def pixel_at(noise, row, col):
    return noise.sigma0(Window(row=int(row), col=int(col), height=1, width=1))[:, 0, 0]


def by_hand(product, band, line, pixel):
    """Noise in sigma0 at a line and pixel; the swath block is that of the nearest sample."""
    here = np.array([pixel])
    gain = lut_at(product.text("calibration-", band), "sigmaNought", "calibrationVector", line, here)
    text = product.text("noise-", band)
    # the block of the nearest sample, the tables at the place itself
    share = noise_at(text, np.rint(line), np.rint(here)) / lut_at(
        text, "noiseRangeLut", "noiseRangeVector", np.rint(line), np.rint(here)
    )
    return float((lut_at(text, "noiseRangeLut", "noiseRangeVector", line, here) * share / gain**2)[0])


@pytest.mark.parametrize(
    ("name", "bands", "borders"),
    [(SEA, ("vv", "vh"), (8455.5, 8535.5, 17261.5, 17344.5)), (ITALY, ("vv",), (8889.5, 17700.5))],
)
def test_noise_is_what_the_tables_say_where_the_pixel_lies(product, name, bands, borders):
    """Over the whole of two products; of one, steps of the terrain add control points."""
    made = product(name)
    model = RadarModel(made.text("", bands[0]))
    height, width = model.shape_hw
    grid = map_grid(model, name, height / 2, width / 2, (28000, 36000))
    noise = noise_of(made, grid, bands)
    rng = np.random.default_rng(0)
    errors = []
    for line, pixel in zip(rng.uniform(20, height - 20, 20), rng.uniform(20, width - 20, 20), strict=True):
        row, col = (round(float(v)) for v in grid.rowcol(*model.lonlat(line, pixel)))
        line, pixel = model.line_pixel(*map(float, grid.lonlat(row, col)))
        expected = [by_hand(made, band, line, pixel) for band in bands]
        if min(abs(pixel - border) for border in borders) > 12:
            errors.append(pixel_at(noise, row, col) / expected - 1)
    assert len(errors) >= 18
    assert np.abs(errors).max() < 2e-3


def test_beside_a_sub_swath_the_noise_is_between_that_of_either_side(product):
    sea = product(SEA)
    model = RadarModel(sea.text("", "vv"))
    grid = map_grid(model, SEA, 12000, 17261.5, (64, 64))
    noise = noise_of(sea, grid)
    across = noise.sigma0(Window(row=30, col=0, height=1, width=64))[:, 0]
    pixels = np.array([model.line_pixel(*map(float, grid.lonlat(30, c)))[1] for c in range(64)])
    sides = np.array([[by_hand(sea, b, 12000, p) for p in (17250.0, 17274.0)] for b in ("vv", "vh")])
    assert (np.abs(sides[:, 1] / sides[:, 0] - 1) > 0.1).all()
    for band, (before, after) in zip(across, sides, strict=True):
        np.testing.assert_allclose(band[pixels < 17249.5], before, rtol=0.02)
        np.testing.assert_allclose(band[pixels > 17273.5], after, rtol=0.02)
        assert (band > 0.98 * min(before, after)).all()
        assert (band < 1.02 * max(before, after)).all()


def cut(text, first, last):
    """Annotation or a table of the slice of a product from one line to another."""

    def moved(match):
        return match[1] + " ".join(str(int(v) - first) for v in match[2].split()) + "<"

    def kept(match):
        return match[0] if first <= int(re.search(r"<line>(\d+)<", match[0])[1]) <= last else ""

    text = re.sub(r"<geolocationGridPoint>.*?</geolocationGridPoint>", kept, text, flags=re.S)
    text = re.sub(r"(<(?:line|firstAzimuthLine|lastAzimuthLine)(?: count=\"\d+\")?>)([^<]+)<", moved, text)
    return re.sub("<numberOfLines>19488<", f"<numberOfLines>{last - first}<", text).encode()


def scaled(noise, factor):
    """A noise file with other powers."""

    def values(match):
        return match[1] + " ".join(str(float(v) * factor) for v in match[2].split()) + "<"

    return re.sub(r"(<noiseRangeLut count=\"\d+\">)([^<]+)<", values, noise.decode()).encode()


def test_each_of_two_slices_gives_the_noise_of_its_own_pixels(product):
    sea = product(SEA)
    model = RadarModel(sea.text("", "vv"))
    grid = map_grid(model, SEA, SEAM, 12000, (700, 700))
    ends = ((0, SEAM), (SEAM, 19487))
    grids = [annotated_ground(grid, [cut(sea.text("", "vv"), *end)]).products[0][0] for end in ends]
    tables = [
        [
            TableFiles(calibration=cut(sea.text("calibration-", b), *end), noise=cut(sea.text("noise-", b), *end))
            for b in ("vv", "vh")
        ]
        for end in ends
    ]
    whole = noise_of(sea, grid).sigma0(Window(row=0, col=0, height=700, width=700))
    both = map_noise(grid, grids, tables).sigma0(Window(row=0, col=0, height=700, width=700))
    np.testing.assert_allclose(both, whole, rtol=1e-3)
    tables[1] = [TableFiles(calibration=t.calibration, noise=scaled(t.noise, 2.0)) for t in tables[1]]
    nodes = np.linspace(0, 699, 8)
    lines = np.array([[model.line_pixel(*map(float, grid.lonlat(r, c)))[0] for c in nodes] for r in nodes])
    at = np.arange(700)
    lines = np.stack([np.interp(at, nodes, column) for column in lines.T], axis=1)
    lines = np.stack([np.interp(at, nodes, row) for row in lines])
    away = np.abs(lines - SEAM + 0.5) > 13
    factor = np.where(lines > SEAM - 0.5, 2.0, 1.0)[away]
    assert 0.2 < (factor == 2.0).mean() < 0.8
    for order in ([0, 1], [1, 0]):
        noise = map_noise(grid, [grids[k] for k in order], [tables[k] for k in order])
        seen = noise.sigma0(Window(row=0, col=0, height=700, width=700))
        np.testing.assert_allclose(seen[:, away], whole[:, away] * factor, rtol=1e-3)


def test_the_noise_of_a_slices_edge_goes_on_for_its_margin_and_no_farther(product):
    sea = product(SEA)
    model = RadarModel(sea.text("", "vv"))
    grid = map_grid(model, SEA, 12000, 25116, (1, 6000))
    noise = noise_of(sea, grid).sigma0(Window(row=0, col=0, height=1, width=6000))[:, 0]
    places = np.linspace(0, 5999, 40)
    pixels = np.interp(np.arange(6000), places, [model.line_pixel(*map(float, grid.lonlat(0.0, c)))[1] for c in places])
    assert (noise[:, pixels < 25116.5] > 0).all()
    edge = [by_hand(sea, band, 12000, 25116.0) for band in ("vv", "vh")]
    beyond = (pixels > 25116.5) & (pixels < 25116.5 + 150)
    np.testing.assert_allclose(noise[:, beyond], np.repeat([edge], beyond.sum(), axis=0).T, rtol=0.02)
    assert (noise[:, pixels > 25116.5 + 161] == 0).all()
    assert (pixels > 25300).sum() > 1000
    # nor in blocks that no slice comes near
    far = Grid(crs_wkt=grid.crs_wkt, transform=grid.transform @ Affine.translation(-9000, 0), shape_hw=(8, 8))
    assert not noise_of(sea, far).sigma0(Window(row=0, col=0, height=8, width=8)).any()


def test_a_pixel_has_the_same_noise_whatever_window_and_thread_asks(product):
    sea = product(SEA)
    model = RadarModel(sea.text("", "vv"))
    grid = map_grid(model, SEA, 1340, 17261, (1300, 1200))
    whole = noise_of(sea, grid).sigma0(Window(row=0, col=0, height=1300, width=1200))
    rng = np.random.default_rng(1)
    windows = [Window(row=511, col=511, height=2, width=2), Window(row=1299, col=1199, height=1, width=1)]
    for _ in range(20):
        row, col = (int(v) for v in rng.integers(0, (1299, 1199)))
        height, width = (int(v) for v in rng.integers(1, (1301 - row, 1201 - col)))
        windows.append(Window(row=row, col=col, height=height, width=width))
    shared = noise_of(sea, grid)
    with ThreadPoolExecutor(4) as pool:
        for window, got in zip(windows, pool.map(shared.sigma0, windows), strict=True):
            rows, cols = window.slices_in(Window(row=0, col=0, height=1300, width=1200))
            np.testing.assert_array_equal(got, whole[:, rows, cols])
    assert whole.dtype == np.float32


def test_a_tile_takes_little_memory(product):
    sea = product(SEA)
    noise = noise_of(sea, map_grid(RadarModel(sea.text("", "vv")), SEA, 9000, 9000, (2500, 2500)))
    tracemalloc.start()
    noise.sigma0(Window(row=1250, col=1250, height=1250, width=1250))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2 * 4 * 1250**2  # twice what it returns


def test_tables_that_cannot_be_used_are_refused(product):
    sea = product(SEA)
    grid = map_grid(RadarModel(sea.text("", "vv")), SEA, 9000, 9000, (8, 8))
    slices = [part for part, _ in annotated_ground(grid, [sea.text("", "vv").encode()]).products]
    (good,) = files_of(sea, ("vv",))
    old = re.sub(b"<noiseAzimuthVectorList.*</noiseAzimuthVectorList>", b"", good.noise, flags=re.S)
    old = old.replace(b"noiseRangeVector", b"noiseVector").replace(b"noiseRangeLut", b"noiseLut")
    for noise in (scaled(good.noise, 0.0), old):
        with pytest.raises(AnnotationError, match="no power that can be used"):
            map_noise(grid, slices, [[TableFiles(calibration=good.calibration, noise=noise)]])
    short = cut(good.calibration.decode(), 15000, 19487)
    with pytest.raises(AnnotationError, match="another product"):
        map_noise(grid, slices, [[TableFiles(calibration=short, noise=good.noise)]])
    hostile = b"<!DOCTYPE a [<!ENTITY b 'c'>]><noise/>"
    with pytest.raises(AnnotationError, match="DTD"):
        map_noise(grid, slices, [[TableFiles(calibration=good.calibration, noise=hostile)]])
    with pytest.raises(AnnotationError, match="same bands"):
        map_noise(grid, slices * 2, [[good], [good, good]])
    with pytest.raises(AnnotationError, match="same bands"):
        MapNoise(geometry=grid, slices=())
