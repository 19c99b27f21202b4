import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod, Transformer

from imagery.errors import RasterError
from imagery.geometry import (
    GcpGrid,
    Grid,
    Window,
    dense_rowcol,
    footprint,
    jacobian_m,
    metres_per_degree,
    moved,
    offset_m,
    pixel_size_m,
)

GEOD = Geod(ellps="WGS84")
UTM = Grid.from_crs("EPSG:32651", Affine(10, 0, 380000, 0, -10, 4200000), (2000, 1500))
ROTATED = Grid.from_crs(
    "EPSG:32651", Affine.translation(380000, 4200000) @ Affine.rotation(-12) @ Affine.scale(10, -10), (400, 300)
)
DEGREES = Grid.from_crs("EPSG:4326", Affine(1e-4, 0, 179.9, 0, -1e-4, 10.0), (500, 3000))  # runs past 180


@pytest.mark.parametrize("grid", [UTM, ROTATED, DEGREES], ids=["utm", "rotated", "past 180"])
def test_there_and_back(grid):
    rng = np.random.default_rng(1)
    rows, cols = rng.uniform(-5, 400, 50), rng.uniform(-5, 290, 50)
    back = grid.rowcol(*grid.lonlat(rows, cols))
    np.testing.assert_allclose(back, [rows, cols], atol=1e-6)


def test_pixel_centres_are_where_rasterio_has_them(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=30,
        height=40,
        count=1,
        dtype="uint8",
        crs="EPSG:32651",
        transform=ROTATED.transform,
    ) as dataset:
        x, y = dataset.xy([3, 20], [4, 25])
    lonlat = Transformer.from_crs(32651, 4326, always_xy=True).transform(x, y)
    np.testing.assert_allclose(ROTATED.lonlat([3, 20], [4, 25]), lonlat, atol=1e-12)


def test_longitudes_come_out_within_180():
    lon, _ = DEGREES.lonlat(0, [0, 2999])
    assert lon[0] > 179
    assert lon[1] < -179


def test_crop_is_the_same_ground():
    window = Window(row=100, col=50, height=10, width=20)
    np.testing.assert_allclose(UTM.crop(window).lonlat(3, 4), UTM.lonlat(103, 54), rtol=1e-14)
    assert UTM.crop(window).shape_hw == (10, 20)


@pytest.mark.parametrize("lat", [-60.0, 0.0, 36.8, 71.0])
def test_degree_lengths_against_geodesics(lat):
    lon_m, lat_m = metres_per_degree(lat)
    assert lon_m == pytest.approx(GEOD.inv(10, lat, 10 + 1e-3, lat)[2] * 1e3, rel=1e-6)
    assert lat_m == pytest.approx(GEOD.inv(10, lat - 5e-4, 10, lat + 5e-4)[2] * 1e3, rel=1e-6)


def test_offset_and_moved_against_geodesics():
    rng = np.random.default_rng(2)
    for _ in range(20):
        lon, lat, azimuth, distance = (
            rng.uniform(-180, 180),
            rng.uniform(-65, 65),
            rng.uniform(0, 360),
            rng.uniform(1, 20000),
        )
        lon2, lat2, _ = GEOD.fwd(lon, lat, azimuth, distance)
        east, north = offset_m(lon, lat, lon2, lat2)
        assert np.hypot(east, north) == pytest.approx(distance, rel=1e-3)
        back = moved(lon, lat, east, north)
        assert GEOD.inv(*back, lon2, lat2)[2] < 1e-3 * distance


def test_web_mercator_pixels_shrink_with_latitude():
    # 37 degrees north: a 10 m pixel of EPSG:3857 covers 10 cos(lat) metres of ground (times the ellipsoid's small part)
    grid = Grid.from_crs("EPSG:3857", Affine(10, 0, 340000, 0, -10, 4410000), (100, 100))
    _, lat = grid.lonlat(50, 50)
    size = pixel_size_m(grid)
    for got in size:
        assert got == pytest.approx(10 * np.cos(np.radians(float(lat))), rel=4e-3)


def test_jacobian_of_a_rotated_grid():
    jacobian = jacobian_m(ROTATED, [100], [100])[0]
    assert np.hypot(*jacobian[:, 0]) == pytest.approx(10, rel=1e-3)
    lon, lat = ROTATED.lonlat(100, 100)
    lon2, lat2 = ROTATED.lonlat(100, 110)
    azimuth, _, distance = GEOD.inv(lon, lat, lon2, lat2)
    east, north = jacobian[:, 1] * 10
    assert np.degrees(np.arctan2(east, north)) % 360 == pytest.approx(azimuth % 360, abs=0.01)
    assert np.hypot(east, north) == pytest.approx(distance, rel=1e-4)


def warped_scene(lon0=125.0, n=15):
    """A GRD-like scene: control points of a smooth, curved, rotated map."""

    def truth(rows, cols):
        u, v = np.asarray(rows) / 1000.0, np.asarray(cols) / 1000.0
        lon = lon0 + 0.113 * v - 0.021 * u + 4e-4 * u * v + 3e-4 * v * v + 2e-5 * np.sin(0.8 * v)
        lat = 37.0 - 0.088 * u - 0.017 * v + 2e-4 * u * u - 1e-4 * u * v
        return lon, lat

    rows, cols = (a.ravel() for a in np.meshgrid(np.linspace(0, 4000, n), np.linspace(0, 6000, n), indexing="ij"))
    lon, lat = truth(rows, cols)
    grid = GcpGrid(
        gcp_rows=tuple(rows),
        gcp_cols=tuple(cols),
        gcp_lon=tuple((lon + 180) % 360 - 180),
        gcp_lat=tuple(lat),
        shape_hw=(4000, 6000),
    )
    return grid, truth


def test_spline_passes_through_its_points():
    grid, _ = warped_scene()
    lon, lat = grid.lonlat(np.array(grid.gcp_rows) - 0.5, np.array(grid.gcp_cols) - 0.5)
    east, north = offset_m(np.array(grid.gcp_lon), np.array(grid.gcp_lat), lon, lat)
    assert np.hypot(east, north).max() < 0.01


@pytest.mark.parametrize("lon0", [125.0, 179.8])
def test_spline_between_its_points_and_back(lon0):
    grid, truth = warped_scene(lon0)
    rng = np.random.default_rng(3)
    rows, cols = rng.uniform(100, 3900, 40), rng.uniform(100, 5900, 40)
    lon, lat = grid.lonlat(rows, cols)
    expected = truth(rows + 0.5, cols + 0.5)
    east, north = offset_m(*expected, lon, lat)
    assert np.hypot(east, north).max() < 2.0  # a fifth of a pixel
    np.testing.assert_allclose(grid.rowcol(lon, lat), [rows, cols], atol=1e-4)
    assert np.all((lon >= -180) & (lon < 180))


def test_spline_crop():
    grid, _ = warped_scene()
    part = grid.crop(Window(row=1000, col=2000, height=50, width=60)).crop(Window(row=5, col=6, height=7, width=8))
    np.testing.assert_allclose(part.lonlat(1, 2), grid.lonlat(1006, 2008), rtol=1e-12)
    np.testing.assert_allclose(part.rowcol(*grid.lonlat(1006, 2008)), (1, 2), atol=1e-4)


@pytest.mark.parametrize("lon0", [125.0, 179.8])
def test_many_places_at_once_agree_with_one_by_one(lon0):
    spline, _ = warped_scene(lon0)
    rng = np.random.default_rng(4)
    lon, lat = spline.lonlat(rng.uniform(-500, 4500, (20, 50)), rng.uniform(-500, 6500, (20, 50)))
    np.testing.assert_allclose(dense_rowcol(spline, lon, lat), spline.rowcol(lon, lat), atol=0.2)
    assert dense_rowcol(spline, [], [])[0].shape == (0,)
    lon, lat = UTM.lonlat(rng.uniform(0, 100, 30), rng.uniform(0, 100, 30))
    np.testing.assert_array_equal(dense_rowcol(UTM, lon, lat), UTM.rowcol(lon, lat))


def test_real_control_points(real_data):
    """A real Sentinel-1 GRD, decimated: leave every second point out and predict it."""
    from imagery.geotiff import open_raster

    whole = open_raster(real_data("sar/grd_hatteras_20x/iw-vv.tiff")).geometry
    assert isinstance(whole, GcpGrid)
    keep = np.arange(0, len(whole.gcp_rows), 2)
    half = GcpGrid(
        **{
            name: tuple(np.array(getattr(whole, name))[keep]) for name in ("gcp_rows", "gcp_cols", "gcp_lon", "gcp_lat")
        },
        shape_hw=whole.shape_hw,
    )
    left_out = np.arange(1, len(whole.gcp_rows), 2)
    lon, lat = half.lonlat(np.array(whole.gcp_rows)[left_out] - 0.5, np.array(whole.gcp_cols)[left_out] - 0.5)
    east, north = offset_m(np.array(whole.gcp_lon)[left_out], np.array(whole.gcp_lat)[left_out], lon, lat)
    assert np.median(np.hypot(east, north)) < 10.0  # the scene's pixels are 200 m
    np.testing.assert_allclose(whole.rowcol(*whole.lonlat(400.0, 700.0)), (400.0, 700.0), atol=1e-4)


def test_footprint_splits_at_the_antimeridian():
    outline = footprint(DEGREES)
    assert len(outline.geoms) == 2
    assert outline.area == pytest.approx(0.05 * 0.3, rel=1e-6)
    assert footprint(UTM).area == pytest.approx(20000 * 15000 / np.prod(metres_per_degree(37.8)), rel=5e-3)


def test_degenerate_geometry_is_refused():
    with pytest.raises(RasterError, match="degenerate"):
        Grid.from_crs("EPSG:4326", Affine(0, 0, 0, 0, 0, 0), (5, 5))
    with pytest.raises(RasterError, match="4 or more"):
        GcpGrid(gcp_rows=(0.0,), gcp_cols=(0.0,), gcp_lon=(0.0,), gcp_lat=(0.0,), shape_hw=(5, 5))


def test_windows():
    window = Window(row=2, col=3, height=4, width=5)
    assert window.padded(1) == Window(row=1, col=2, height=6, width=7)
    assert window.intersection(Window(row=100, col=0, height=1, width=1)) is None
    array = np.arange(42).reshape(6, 7)
    assert array[window.slices_in(window.padded(1))].shape == (4, 5)
    with pytest.raises(ValueError, match="positive"):
        Window(row=0, col=0, height=0, width=1)
