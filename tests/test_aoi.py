import json

import numpy as np
import pytest
import shapely
from pyproj import Geod

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError

HAEJU = (125.60, 37.72, 125.84, 37.94)


def test_area_of_a_box_is_the_integral_over_the_ellipsoid():
    area = AreaOfInterest.from_bbox("haeju", *HAEJU)
    # oracle: zone between two parallels of the authalic sphere is not exact for a plain lon/lat box edge (a geodesic is
    # not a parallel), so split the box finely, where the two agree
    lons = np.linspace(HAEJU[0], HAEJU[2], 400)
    ring = [(x, HAEJU[1]) for x in lons] + [(x, HAEJU[3]) for x in lons[::-1]]
    expected, _ = Geod(ellps="WGS84").polygon_area_perimeter(*zip(*ring, strict=True))
    assert area.area_km2 == pytest.approx(abs(expected) / 1e6, rel=1e-5)


def test_area_against_a_closed_form():
    # zone area of an ellipsoid, Snyder 1987 eq. 3-12: a^2 (1-e2)/2 * dlon * [q(lat2) - q(lat1)]
    e2 = 0.00669437999014
    e = np.sqrt(e2)

    def q(lat):
        s = np.sin(np.radians(lat))
        return s / (1 - e2 * s * s) + np.log((1 + e * s) / (1 - e * s)) / (2 * e)

    west, south, east, north = HAEJU
    expected = 6378137.0**2 * (1 - e2) / 2 * np.radians(east - west) * (q(north) - q(south)) / 1e6
    assert AreaOfInterest.from_bbox("x", *HAEJU).area_km2 == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("shift", [0.0, 54.4, -305.6])
def test_area_does_not_depend_on_where_180_lies(shift):
    plain = AreaOfInterest.from_bbox("a", *HAEJU)
    west = (HAEJU[0] + shift + 180) % 360 - 180
    east = (HAEJU[2] + shift + 180) % 360 - 180
    moved = AreaOfInterest.from_bbox("b", west, HAEJU[1], east, HAEJU[3])
    assert moved.area_km2 == pytest.approx(plain.area_km2, rel=1e-9)


def test_box_across_the_antimeridian_is_two_parts():
    area = AreaOfInterest.from_bbox("fiji", 179.5, -17.0, -179.5, -16.0)
    assert len(area.polygon.geoms) == 2
    assert area.bounds == (179.5, -17.0, -179.5, -16.0)
    assert area.contains([179.9, -179.9, 0.0], [-16.5, -16.5, -16.5]).tolist() == [True, True, False]


def test_polygon_written_past_180_is_split():
    ring = [[179.5, -17], [180.5, -17], [180.5, -16], [179.5, -16], [179.5, -17]]
    area = AreaOfInterest.from_geojson("fiji", {"type": "Polygon", "coordinates": [ring]})
    same = AreaOfInterest.from_bbox("fiji", 179.5, -17.0, -179.5, -16.0)
    assert shapely.equals(area.polygon, same.polygon)


def test_wkt_and_geojson_and_features_agree():
    box = shapely.box(*HAEJU)
    a = AreaOfInterest.from_wkt("a", box.wkt)
    b = AreaOfInterest.from_geojson("b", json.dumps(shapely.geometry.mapping(box)))
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(box)}
    c = AreaOfInterest.from_geojson("c", {"type": "FeatureCollection", "features": [feature]})
    assert shapely.equals(a.polygon, b.polygon)
    assert shapely.equals(a.polygon, c.polygon)


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (125.7, 37.8, 32651),
        (5.0, 60.0, 32632),  # Norway
        (8.0, 60.0, 32632),
        (10.0, 75.0, 32633),  # Svalbard
        (-70.0, -33.0, 32719),
        (179.99, 10.0, 32660),
        (20.0, 86.0, 32661),
        (20.0, -85.0, 32761),
    ],
)
def test_utm_zone(lon, lat, epsg):
    area = AreaOfInterest.from_bbox("x", lon - 0.005, lat - 0.005, lon + 0.005, lat + 0.005)
    assert area.utm_epsg == epsg


def test_utm_zone_of_the_three_shipped_areas():
    from offing.areas import load_area

    for name in ("haeju", "west_sea", "zhoushan"):
        assert load_area(name).area.utm_epsg == 32651


@pytest.mark.parametrize(
    "bbox",
    [(1, 2, 1, 3), (1, 3, 2, 2), (-200, 0, 0, 1), (0, -91, 1, 0), (0, 0, 1, float("nan"))],
)
def test_bad_boxes_say_what_is_wrong(bbox):
    with pytest.raises(AreaError, match="W,S,E,N"):
        AreaOfInterest.from_bbox("bad", *bbox)


@pytest.mark.parametrize(
    "text", ["", "POINT (1 2)", "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))", "LINESTRING (0 0, 1 1)", "nonsense"]
)
def test_bad_wkt_is_refused(text):
    with pytest.raises(AreaError, match="bad"):
        AreaOfInterest.from_wkt("bad", text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"type": "Point", "coordinates": [1, 2]}', '{"features": []}', "null"]
)
def test_bad_geojson_is_refused(text):
    with pytest.raises(AreaError, match="bad"):
        AreaOfInterest.from_geojson("bad", text)


def test_which_way_a_polygon_is_wound_does_not_matter():
    corners = [(179, 10), (181, 10), (181, 11), (179, 11)]
    one, other = (
        AreaOfInterest.from_wkt("x", f"POLYGON (({', '.join(f'{x} {y}' for x, y in (*ring, ring[0]))}))")
        for ring in (corners, corners[::-1])
    )
    assert one.polygon.equals(other.polygon)
    assert one.bounds == (179, 10, -179, 11)
