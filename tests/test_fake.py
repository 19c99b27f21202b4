from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod

from imagery.acquisition import StatedAcquisition
from imagery.aoi import AreaOfInterest
from imagery.errors import FetchError, QuotaError, SourceError
from imagery.fetchers.fake import FakeFetcher
from imagery.fetchers.wanted import wanted_tiles
from imagery.geometry import GcpGrid, Grid, Window, footprint
from tests.fetcher_contract import ALWAYS, check_fetcher
from tests.support import UTM, noise_scene

GEOD = Geod(ellps="WGS84")
GRID = Grid.from_crs("EPSG:32651", UTM, (600, 900))
FIJI = Grid.from_crs("EPSG:4326", Affine(1e-4, 0, 179.96, 0, -1e-4, -16.5), (600, 900))


def around(geometry, part=1.0):
    """An area that holds a scene, or its western part."""
    west, south, east, north = AreaOfInterest(name="a", polygon=footprint(geometry)).unwrapped.bounds
    east = west + part * (east - west)
    return AreaOfInterest.from_bbox("around", west, south, east if east <= 180 else east - 360, north)


def two_passes(geometry):
    later = replace(noise_scene(geometry), id="later")
    time = later.time - timedelta(hours=12)
    earlier = replace(noise_scene(geometry, seed=1), id="earlier", time=time, acquisition=StatedAcquisition(time=time))
    return [later, earlier]


@pytest.mark.parametrize("geometry", [GRID, FIJI], ids=["utm", "across 180"])
def test_the_fake_holds_to_the_contract(geometry):
    fake = FakeFetcher(scenes=two_passes(geometry))
    refs = check_fetcher(
        fake, around(geometry), elsewhere=AreaOfInterest.from_bbox("elsewhere", 10, 10, 11, 11), at_least=2
    )
    assert [r.id for r in refs] == ["earlier", "later"]


def test_a_single_error_is_raised_always_and_a_sequence_once_each():
    scene = noise_scene(GRID)
    fake = FakeFetcher(
        scenes=[scene],
        failures={scene.id: [FetchError("away")], (scene.id, 300, 300): QuotaError("spent")},
    )
    (ref,) = fake.search(around(GRID), *ALWAYS)
    with pytest.raises(FetchError, match="away"):
        fake.fetch(ref, around(GRID))
    got = fake.fetch(ref, around(GRID))
    for _ in range(3):
        with pytest.raises(QuotaError, match="spent"):
            got.read(Window(row=256, col=256, height=256, width=256))
    tile = Window(row=0, col=0, height=256, width=256)
    np.testing.assert_array_equal(got.read(tile).data, scene.read(tile).data)
    assert fake.fetched == [scene.id, scene.id]
    assert (fake.count(scene.id), fake.count(scene.id, tile)) == (4, 1)


def test_scenes_that_cannot_be_told_apart_are_refused():
    scene = noise_scene(GRID)
    with pytest.raises(ValueError, match="a scene"):
        FakeFetcher(scenes=[scene, scene])
    with pytest.raises(ValueError, match="a scene"):
        FakeFetcher(scenes=[replace(scene, time=None)])


def test_cost_counts_the_tiles_near_the_area():
    scene = noise_scene(GRID)
    fake = FakeFetcher(scenes=[scene], tile_px=300)
    (ref,) = fake.search(around(GRID), *ALWAYS)
    cost = fake.cost(ref, around(GRID))
    assert (cost.tiles, cost.requests, cost.bytes) == (6, 6, 600 * 900 * 2 * 4)
    with pytest.raises(SourceError, match="nowhere"):
        fake.cost(replace(ref, id="nowhere"), around(GRID))


def points_of(grid):
    """The grid's map as 25 control points."""
    height, width = grid.shape_hw
    rows, cols = (v.ravel() for v in np.meshgrid(np.linspace(0, height, 5), np.linspace(0, width, 5), indexing="ij"))
    lon, lat = grid.lonlat(rows - 0.5, cols - 0.5)
    parts = (tuple(v.tolist()) for v in (rows, cols, lon, lat))
    return GcpGrid(**dict(zip(("gcp_rows", "gcp_cols", "gcp_lon", "gcp_lat"), parts, strict=True)), shape_hw=(600, 900))


def far_m(area, lon, lat):
    """Distances in metres from places to an area that is a triangle or box: to the nearest of many of its points."""
    ring = shapely.get_coordinates(shapely.segmentize(area.polygon, 5e-4))
    nearest = np.full(lon.shape, np.inf)
    for x, y in ring:
        *_, distance = GEOD.inv(np.full(lon.shape, x), np.full(lon.shape, y), lon, lat)
        nearest = np.minimum(nearest, distance)
    return np.where(area.contains(lon, lat), 0.0, nearest)


@pytest.mark.parametrize(
    "geometry",
    [
        GRID,
        points_of(GRID),
        FIJI,
        points_of(FIJI),
        Grid.from_crs("EPSG:32660", UTM @ Affine.translation(34600, 0), (600, 900)),
    ],
    ids=["utm", "points", "degrees across 180", "points across 180", "utm beyond its zone"],
)
@pytest.mark.parametrize("tile_px", [100, 128, 2500])
def test_wanted_tiles_are_those_within_a_kilometre(geometry, tile_px):
    """Against geodesic distances of pixels: none nearer than 1 km is left out, none beyond 1.2 km is taken."""
    lon, lat = geometry.lonlat([200, 240, 330], [330, 480, 300])
    outline = shapely.Polygon(np.stack([np.where(lon < 0, lon + 360, lon), lat], axis=-1))
    area = AreaOfInterest.from_wkt("triangle", shapely.orient_polygons(outline).wkt)
    wanted = set(wanted_tiles(geometry, tile_px, area))
    for row in range(0, 600, tile_px):
        for col in range(0, 900, tile_px):
            tile = Window(row=row, col=col, height=min(tile_px, 600 - row), width=min(tile_px, 900 - col))
            rows = np.linspace(row - 0.5, row + tile.height - 0.5, tile.height // 25 + 2)
            cols = np.linspace(col - 0.5, col + tile.width - 0.5, tile.width // 25 + 2)
            nearest = far_m(area, *geometry.lonlat(rows[:, None], cols[None, :])).min()
            if nearest < 990.0:
                assert tile in wanted
            elif nearest > 1200.0:
                assert tile not in wanted
    assert list(wanted_tiles(geometry, tile_px, area)) == sorted(wanted, key=lambda w: (w.row, w.col))


def test_across_180_the_same_tiles_are_wanted_as_of_a_shifted_copy():
    shifted = Grid.from_crs("EPSG:4326", Affine.translation(-100, 0) @ FIJI.transform, FIJI.shape_hw)
    area, copy = (AreaOfInterest.from_bbox("a", w, -16.54, e, -16.52) for w, e in ((179.99, -179.99), (79.99, 80.01)))
    assert wanted_tiles(FIJI, 64, area) == wanted_tiles(shifted, 64, copy)
    assert 0 < len(wanted_tiles(FIJI, 64, area)) < len(wanted_tiles(FIJI, 64, around(FIJI)))


def test_a_tile_whose_place_is_unknown_is_wanted():
    class Partly:
        shape_hw = (200, 200)

        def lonlat(self, rows, cols):
            lon, lat = GRID.lonlat(rows, cols)
            return np.where(rows < 99, np.nan, lon), lat

    area = AreaOfInterest.from_bbox("elsewhere", 10, 10, 11, 11)
    assert wanted_tiles(Partly(), 100, area) == (
        Window(row=0, col=0, height=100, width=100),
        Window(row=0, col=100, height=100, width=100),
    )
