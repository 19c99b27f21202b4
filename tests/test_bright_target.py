import importlib.util

import numpy as np
import pytest
from pyproj import Geod

from imagery.aoi import AreaOfInterest
from imagery.geometry import Grid, footprint, jacobian_m
from imagery.geotiff import open_geotiff
from imagery.land import osm_land
from imagery.sensors import SENTINEL2
from imagery.surface import map_surface
from models.bright_target import BrightTarget, _box_sum
from models.detector import detect
from models.errors import DetectorError
from tests.support import UTM, scene_of_array

GRID = Grid.from_crs("EPSG:32651", UTM, (300, 320))
BANDS = ("b02", "b03", "b04", "b08", "b11")


def water(seed=0):
    rng = np.random.default_rng(seed)
    level = np.array([0.05, 0.06, 0.05, 0.02, 0.005])[:, None, None]
    return (level + rng.normal(0, 0.0015, (5, *GRID.shape_hw))).astype(np.float32)


def run(data, **options):
    scene = scene_of_array(GRID, data, bands=BANDS, unit="reflectance", sensor=SENTINEL2)
    return detect(scene, BrightTarget(), map_surface(scene, None), None, **options).detections


def test_box_sum_is_the_plain_sum():
    values = np.random.default_rng(0).integers(0, 100, (20, 30))
    got = _box_sum(values, 3)
    for row, col in ((0, 0), (10, 15), (19, 29), (2, 28)):
        part = values[max(0, row - 3) : row + 4, max(0, col - 3) : col + 4]
        assert got[row, col] == part.sum()


def test_ships_are_found_and_measured_and_quiet_water_is_quiet():
    data = water()
    data[:, 100:102, 100:120] = 0.25
    data[:, 200:215, 50:52] = 0.25
    found = run(data)
    assert len(found) == 2
    by_row = found.take(np.argsort(found.row))
    np.testing.assert_allclose(by_row.row, [100.5, 207.0], atol=0.3)
    np.testing.assert_allclose(by_row.length_m, [200, 150], atol=21)
    for i in range(2):
        assert by_row.length_low_m[i] <= [200, 150][i] <= by_row.length_high_m[i]
    # grid north is not true north here: compare with the grid's own axis
    azimuth = Geod(ellps="WGS84").inv(*GRID.lonlat(100, 100), *GRID.lonlat(100, 120))[0] % 180
    assert abs((by_row.heading_deg[0] - azimuth + 90) % 180 - 90) < 2
    assert len(run(water(1))) == 0


def test_ships_in_a_turbid_plume_are_found_and_the_plume_is_not():
    data = water()
    rows, cols = np.mgrid[0:300, 0:320]
    plume = np.exp(-((rows - 150.0) ** 2 + (cols - 160.0) ** 2) / (2 * 30.0**2))
    for band, peak in enumerate((0.02, 0.05, 0.10, 0.08, 0.002)):
        data[band] += (peak * plume).astype(np.float32)
    data[:, 150:152, 150:165] = 0.3
    found = run(data)
    assert len(found) == 1
    assert found.row[0] == pytest.approx(150.5, abs=0.5)


@pytest.mark.parametrize("tile_px", [64, 100, 256])
def test_tiles_do_not_matter(tile_px):
    data = water()
    rng = np.random.default_rng(5)
    for row, col in rng.integers(5, 290, (40, 2)):
        data[:, row : row + 2, col : col + int(rng.integers(1, 15))] = 0.2
    whole = run(data, tile_px=1000)
    cut = run(data, tile_px=tile_px, tile_origin=(13, 7), workers=2)
    for name in whole.columns():
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def test_it_refuses_radar():
    scene = scene_of_array(GRID, [water()[0]])
    with pytest.raises(DetectorError, match="needs optical reflectance"):
        BrightTarget().prepare(scene, map_surface(scene, None))


@pytest.mark.parametrize("port", ["algiers_2023-08-17", "athens_2023-08-18"])
def test_training_ports(need, real_data, port):
    """Labelled open-water vessels of ports that the detector was made on: lengths are true metres, most are found."""
    need(importlib.util.find_spec("roaring_landmask") is not None, "the extra 'land'")
    scene = open_geotiff(real_data(f"optical/sen2ships/{port}.tif"))
    land = osm_land(AreaOfInterest(name=port, polygon=footprint(scene.geometry)))
    surface = map_surface(scene, land)
    found = detect(scene, BrightTarget(), surface, land).detections
    truth = _labelled(real_data(f"optical/sen2ships/{port}_vessels.tif"), scene, land)
    ships = truth[truth[:, 2] >= 50]
    near = [np.hypot(found.row - r, found.col - c).min(initial=np.inf) < 8 for r, c, _ in ships]
    assert np.mean(near) >= 0.8, f"{np.sum(near)} of {len(ships)}"
    pairs = [
        (length, found.length_m[np.argmin(np.hypot(found.row - r, found.col - c))])
        for (r, c, length), ok in zip(ships, near, strict=True)
        if ok
    ]
    ratio = np.median([got / length for length, got in pairs])
    assert 0.8 < ratio < 1.15  # EPSG:3857 pixels taken for 10 m would add 25 %


def _labelled(path, scene, land):
    """(row, col, length in metres) of labelled vessels 200 m or more off the shore; length: the label's diameter."""
    import rasterio
    from scipy.spatial.distance import pdist

    with rasterio.open(path) as dataset:
        ids = dataset.read(1)
    rows = []
    for i in np.unique(ids[ids > 0]):
        r, c = np.nonzero(ids == i)
        jacobian = jacobian_m(scene.geometry, r.mean(), c.mean())[0]
        points = np.column_stack([r, c]) @ jacobian.T
        pixel_m = np.hypot(*jacobian[:, 0])
        length = (pdist(points).max() if len(points) > 1 else 0.0) + pixel_m
        shore = land.shore_distance_m(*scene.geometry.lonlat(r.mean(), c.mean()))[0]
        if shore > 200:
            rows.append((r.mean(), c.mean(), length))
    return np.array(rows).reshape(-1, 3)


def test_a_dredger_is_found_in_the_plume_that_she_stirs_up():
    data = water()
    rows, cols = np.mgrid[0:300, 0:320]
    along, across = cols - 150.0, rows - 150.0
    plume = np.where(along > 0, np.exp(-np.maximum(along, 0) / 60.0 - across**2 / (2 * 8.0**2)), 0.0)
    for band, peak in enumerate(
        (0.01, 0.03, 0.06, 0.04, 0.001)
    ):  # brightest at her stern, and as bright as sediment gets
        data[band] += (peak * plume).astype(np.float32)
    data[:, 149:152, 140:151] = 0.35
    found = run(data)
    nearest = int(np.hypot(found.row - 150, found.col - 145).argmin())
    assert np.hypot(found.row[nearest] - 150, found.col[nearest] - 145) < 3
    assert 90 <= found.length_m[nearest] <= 150
