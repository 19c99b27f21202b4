import importlib.util
from datetime import UTC, datetime

import numpy as np
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon

from imagery.aoi import AreaOfInterest
from imagery.fetchers.folder import FolderSource
from imagery.geometry import Grid, Window
from imagery.land import Land, osm_land
from imagery.sensors import SENTINEL2
from imagery.surface import Surface, map_surface
from tests.support import UTM, scene_of_array

GRID = Grid.from_crs("EPSG:32651", Affine(10, 0, 384000, 0, -10, 4198400), (640, 640))  # from the corner of a cell


def coast(cols):
    """Land over the first columns of the scene."""
    corners = np.array([GRID.lonlat(r, c) for r, c in ((-5, -5), (-5, cols - 0.5), (645, cols - 0.5), (645, -5))])
    return Land(polygons=MultiPolygon([Polygon(corners)]), source="test")


def sea(seed=0, mean=0.01):
    return np.random.default_rng(seed).gamma(4.4, mean / 4.4, GRID.shape_hw).astype(np.float32)


def classes(scene, land):
    surface = map_surface(scene, land)
    return surface.classes(scene.window, scene.read().valid.any(axis=0)), surface


def test_open_sea_is_sea():
    got, _ = classes(scene_of_array(GRID, [sea()]), coast(100))
    assert (got[:, :99] == Surface.LAND).all()
    assert (got[:, 101:103] == Surface.SHORE).all()  # the coast crosses columns 99 and 100 at a slant
    assert (got[:, 105:] == Surface.SEA).all()


def test_bright_ground_joined_to_the_shore_is_tidal_and_ships_are_not():
    data = sea()
    data[:, :100] *= 20  # land is 13 dB over the water
    data[300:340, 220:260] *= 8  # a bank 400 m across, 400 m off the flat
    data[200:300, 100:180] *= 10  # a mud flat of 1000 x 800 m, 10 dB over the water
    data[400:403, 130:160] *= 300  # a ship of 300 m off the shore
    data[500:503, 100:130] *= 300  # a ship of 300 m at the shore
    data[100:160, 400:460] *= 10  # a squall at sea, not joined to land
    got, _ = classes(scene_of_array(GRID, [data]), coast(100))
    flat = got[204:296, 104:176]
    assert (flat == Surface.INTERTIDAL).mean() > 0.97
    assert (got[304:336, 224:256] == Surface.SEA).all()  # 1.2 km off the land: a squall could look like that
    for rows, cols in (
        (slice(400, 403), slice(130, 160)),
        (slice(500, 503), slice(104, 130)),
        (slice(100, 160), slice(400, 460)),
    ):
        assert (got[rows, cols] == Surface.SEA).all()


def test_a_bank_just_off_the_shore_is_tidal():
    data = sea()
    data[:, :100] *= 20
    data[300:340, 150:190] *= 8  # 500 m off the land
    got, _ = classes(scene_of_array(GRID, [data]), coast(100))
    assert (got[304:336, 154:186] == Surface.INTERTIDAL).mean() > 0.9


def test_without_land_nothing_is_tidal():
    data = sea()
    data[200:300, 100:180] *= 10
    got, surface = classes(scene_of_array(GRID, [data]), None)
    assert (got == Surface.SEA).all()
    assert surface.at([5], [5], np.array([np.nan])).tolist() == ["unknown"]


def test_no_data_is_not_sea():
    data = sea()
    data[:, 300:] = np.nan
    got, _ = classes(scene_of_array(GRID, [data]), coast(100))
    assert (got[:, 300:] == Surface.NO_DATA).all()


def test_clipped_water_counts_only_where_speckle_proves_data():
    floor = np.float32(0.01)
    dark = np.maximum(sea(1, mean=0.0055), floor)  # a few per cent of pixels stick out over the clip
    assert 0.01 < (dark > floor).mean() < 0.2
    data = dark.copy()
    data[:, 320:] = floor  # nothing at all sticks out: no data, or water too dark to tell
    got, _ = classes(scene_of_array(GRID, [data], clip_value=float(floor)), coast(100))
    assert (got[:, 128:320] == Surface.SEA).all()
    assert (got[:, 320:] == Surface.NO_DATA).all()


def optical(**painted):
    bands = {"b02": 0.05, "b03": 0.06, "b04": 0.05, "b08": 0.02, "b11": 0.005}
    rng = np.random.default_rng(2)
    data = np.stack([np.full(GRID.shape_hw, v) + rng.normal(0, 0.001, GRID.shape_hw) for v in bands.values()])
    for where, values in painted.values():
        for band, value in zip(range(5), values, strict=True):
            data[band][where] = value
    return scene_of_array(GRID, data, bands=tuple(bands), unit="reflectance", sensor=SENTINEL2)


def test_cloud_and_mud_are_told_apart_and_a_plume_is_water():
    scene = optical(
        cloud=((slice(300, 380), slice(300, 400)), (0.5, 0.5, 0.5, 0.5, 0.35)),
        mud=((slice(100, 200), slice(100, 200)), (0.07, 0.09, 0.11, 0.16, 0.15)),
        plume=((slice(450, 550), slice(100, 300)), (0.065, 0.10, 0.137, 0.085, 0.007)),  # MARIDA sediment-laden medians
        ship=((slice(250, 253), slice(250, 270)), (0.3, 0.3, 0.3, 0.35, 0.3)),
    )
    got, _ = classes(scene, coast(100))
    assert (got[304:376, 304:396] == Surface.CLOUD).all()
    assert (got[104:196, 104:196] == Surface.INTERTIDAL).all()
    assert (got[450:550, 104:300] == Surface.SEA).all()
    assert (got[250:253, 250:270] == Surface.SEA).all()


@settings(max_examples=25, deadline=None)
@given(row=st.integers(-20, 620), col=st.integers(-20, 620), height=st.integers(1, 80), width=st.integers(1, 80))
def test_classes_do_not_depend_on_the_window(row, col, height, width):
    scene, surface, whole = _CASE
    window = Window(row=row, col=col, height=height, width=width)
    got = surface.classes(window, scene.read(window).valid.any(axis=0))
    expected = np.full(window.shape_hw, Surface.NO_DATA)
    if inside := window.intersection(scene.window):
        expected[inside.slices_in(window)] = whole[inside.slices_in(scene.window)]
    # land reaches past the image
    on_land_outside = (got == Surface.LAND) & (expected == Surface.NO_DATA)
    np.testing.assert_array_equal(np.where(on_land_outside, Surface.NO_DATA, got), expected)


def _case():
    data = sea(3)
    data[:, :100] *= 20
    data[200:300, 100:180] *= 10
    data[:, 500:] = np.nan
    scene = scene_of_array(GRID, [data])
    got, surface = classes(scene, coast(100))
    return scene, surface, got


_CASE = _case()


def test_irish_sea(need, real_data):
    """Dublin's tidal flats are flagged, the open sea is not, and what is clipped or missing is not observed."""
    need(importlib.util.find_spec("roaring_landmask") is not None, "the extra 'land'")
    source = FolderSource(real_data("sar/irish_sea"))
    area = AreaOfInterest.from_bbox("irish sea", -6.168, 53.04, -4.577, 53.5)
    (ref,) = source.search(area, datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    scene = source.fetch(ref, area)
    surface = map_surface(scene, osm_land(area))

    def share(west, south, east, north, kind):
        (r0, r1), (c0, c1) = scene.geometry.rowcol([west, east], [north, south])
        window = Window(row=int(r0), col=int(c0), height=int(r1 - r0), width=int(c1 - c0))
        return (surface.classes(window, scene.read(window).valid.any(axis=0)) == kind).mean()

    assert share(-6.168, 53.20, -6.15, 53.22, Surface.LAND) > 0.95  # inland south of Dublin
    assert share(-5.95, 53.25, -5.85, 53.32, Surface.SEA) > 0.99  # Dublin Bay's mouth
    assert share(-5.2, 53.05, -5.0, 53.10, Surface.NO_DATA) > 0.99  # past the edge of the image


def test_a_region_is_judged_as_in_the_whole_scene():
    rng = np.random.default_rng(0)
    data = rng.gamma(4.4, 0.002 / 4.4, (1, 3000, 3100)).astype(np.float32)
    data[0, :, :1500] *= 50.0
    data[0, 900:1100, 2000:2040] = np.nan
    grid = Grid.from_crs("EPSG:32651", UTM, (3000, 3100))
    lon, lat = grid.lonlat([-100, 3100, 3100, -100], [-100, -100, 1400, 1400])
    land = Land(polygons=MultiPolygon([Polygon(np.column_stack([lon, lat]))]), source="made up")
    scene = scene_of_array(grid, data)
    region = Window(row=800, col=1300, height=700, width=900)
    whole, part = map_surface(scene, land), map_surface(scene, land, region)
    valid = np.isfinite(data[0])[region.slices_in(scene.window)]
    np.testing.assert_array_equal(part.classes(region, valid), whole.classes(region, valid))
    assert {Surface.SEA, Surface.INTERTIDAL, Surface.SHORE, Surface.LAND, Surface.NO_DATA} <= set(
        np.unique(part.classes(region, valid))
    )
    far = Window(row=2900, col=3000, height=50, width=50)
    assert (part.classes(far, np.ones((50, 50), bool)) == Surface.NO_DATA).all()


def test_how_a_scene_was_cut_does_not_matter():
    """Cloud in pieces, flats and a hole: a piece from any corner is judged as the same pixels of the whole are."""
    rng = np.random.default_rng(1)
    grid = Grid.from_crs("EPSG:32651", UTM, (1500, 1600))
    data = np.full((5, 1500, 1600), 0.02, np.float32) + rng.normal(0, 0.001, (5, 1500, 1600)).astype(np.float32)
    for row, col in rng.integers(0, 1400, (60, 2)):
        data[:, row : row + 40, col : col + 40] = 0.5
    data[:, 700:800, 700:900] = np.nan
    bands = SENTINEL2.bands
    whole = scene_of_array(grid, data, bands=bands, unit="reflectance", sensor=SENTINEL2)
    region = Window(row=450, col=500, height=500, width=550)
    cut = Window(row=37, col=93, height=1400, width=1490)
    part = scene_of_array(
        grid.crop(cut),
        data[(slice(None), *cut.slices_in(whole.window))],
        bands=bands,
        unit="reflectance",
        sensor=SENTINEL2,
    )
    shifted = Window(row=region.row - cut.row, col=region.col - cut.col, height=region.height, width=region.width)
    valid = np.isfinite(data[0])[region.slices_in(whole.window)]
    lon, lat = grid.lonlat([-1000, 3000, 3000, -1000], [-1000, -1000, 540, 540])
    land = Land(polygons=MultiPolygon([Polygon(np.column_stack([lon, lat]))]), source="made up")
    expected = map_surface(whole, land, region).classes(region, valid)
    np.testing.assert_array_equal(map_surface(part, land, shifted).classes(shifted, valid), expected)
    assert {Surface.SEA, Surface.CLOUD, Surface.NEAR_CLOUD, Surface.LAND, Surface.NO_DATA} <= set(np.unique(expected))
