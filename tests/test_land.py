import importlib.util
import json

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import MultiPolygon, box, mapping

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError, SourceError
from imagery.geometry import Grid, Window
from imagery.land import SHORE_LIMIT_M, Land, check_has_water, geojson_land, osm_land

GEOD = Geod(ellps="WGS84")
GRID = Grid.from_crs("EPSG:32651", Affine(10, 0, 380000, 0, -10, 4200000), (300, 400))
LON, LAT = (float(v) for v in GRID.lonlat(150, 200))
SQUARE = Land(polygons=MultiPolygon([box(LON, LAT, LON + 0.01, LAT + 0.01)]), source="test")


def test_distance_against_geodesics():
    # due west of the western edge's middle: the nearest shore is straight east
    for distance in (50.0, 3000.0, 12000.0):
        lon, lat, _ = GEOD.fwd(LON, LAT + 0.005, 270.0, distance)
        assert SQUARE.shore_distance_m(lon, lat)[0] == pytest.approx(distance, rel=5e-3)
    inside = SQUARE.shore_distance_m(LON + 0.001, LAT + 0.005)[0]
    assert inside == pytest.approx(-GEOD.inv(LON, LAT + 0.005, LON + 0.001, LAT + 0.005)[2], rel=5e-3)


def test_distance_is_at_least_when_land_is_far():
    assert SQUARE.shore_distance_m(LON - 1.0, LAT)[0] == SHORE_LIMIT_M
    empty = Land(polygons=MultiPolygon(), source="none near")
    assert empty.shore_distance_m([1.0, 2.0], [3.0, 4.0]).tolist() == [SHORE_LIMIT_M] * 2


def test_mask_holds_the_pixels_whose_centre_is_on_land():
    mask = SQUARE.on(GRID).mask(Window(row=0, col=0, height=300, width=400))
    rows, cols = np.mgrid[0:300, 0:400]
    lon, lat = GRID.lonlat(rows, cols)
    expected = shapely.contains_xy(SQUARE.polygons, lon, lat)
    # an edge that runs along a row of centres may fall to either side by rounding; none does so here
    np.testing.assert_array_equal(mask, expected)


@settings(max_examples=30, deadline=None)
@example(row=0, col=0, height=80, width=80)
@given(row=st.integers(-40, 290), col=st.integers(-40, 390), height=st.integers(1, 90), width=st.integers(1, 90))
def test_mask_does_not_depend_on_the_window(row, col, height, width):
    on_scene = SQUARE.on(GRID)
    whole_window = Window(row=-50, col=-50, height=500, width=600)
    whole = on_scene.mask(whole_window)
    window = Window(row=row, col=col, height=height, width=width)
    np.testing.assert_array_equal(on_scene.mask(window), whole[window.slices_in(whole_window)])


def test_geojson_land(tmp_path):
    path = tmp_path / "land.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(SQUARE.polygons)}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    area = AreaOfInterest.from_bbox("a", LON - 0.1, LAT - 0.1, LON + 0.1, LAT + 0.1)
    assert geojson_land(path, area).polygons.equals(SQUARE.polygons)
    far = AreaOfInterest.from_bbox("far", LON + 10, LAT, LON + 11, LAT + 1)
    assert geojson_land(path, far).polygons.is_empty
    path.write_text("{}")
    with pytest.raises(SourceError, match=r"land\.geojson"):
        geojson_land(path, area)


def test_an_area_on_land_only_is_refused():
    inland = AreaOfInterest.from_bbox("inland", LON + 0.002, LAT + 0.002, LON + 0.004, LAT + 0.004)
    with pytest.raises(AreaError, match="lies on land only"):
        check_has_water(inland, SQUARE)
    coast = AreaOfInterest.from_bbox("coast", LON - 0.002, LAT, LON + 0.004, LAT + 0.004)
    check_has_water(coast, SQUARE)


def test_osm_land_equals_the_polygons_extracted_before(need, real_data):
    need(importlib.util.find_spec("roaring_landmask") is not None, "the extra 'land'")
    extract = geojson_land(
        real_data("land/osm_haeju.geojson"), AreaOfInterest.from_bbox("haeju", 125.60, 37.72, 125.84, 37.94)
    )
    ours = osm_land(AreaOfInterest.from_bbox("haeju", 125.60, 37.72, 125.84, 37.94))
    frame = box(125.45, 37.6, 126.0, 38.05)
    a, b = (shapely.intersection(shapely.make_valid(x.polygons), frame) for x in (extract, ours))
    assert shapely.area(shapely.symmetric_difference(a, b)) < 1e-4 * shapely.area(a)
    # the design note's checks: this point is land, the area is mostly water
    assert ours.shore_distance_m(125.7, 37.9)[0] < 0
