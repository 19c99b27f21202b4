"""The lattice of tiles: bit-equal for everyone, once per place, across zone borders and the antimeridian."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from shapely.geometry import MultiPolygon, box

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError
from imagery.utm_tiles import Tile, TileLattice, UtmZone


def outline(west, south, east, north):
    return AreaOfInterest.from_bbox("area", west, south, east, north).polygon


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (-180.0, 10.0, 32601),
        (179.999, 10.0, 32660),
        (180.0, 10.0, 32601),
        (47.999, -5.0, 32738),
        (48.0, -5.0, 32739),
        (125.999, 37.8, 32651),
        (126.0, 37.8, 32652),
        (5.0, 60.0, 32631),  # Bergen: maps would say 32
    ],
)
def test_a_place_has_the_zone_of_the_grid(lon, lat, epsg):
    zone = UtmZone.of_place(lon, lat)
    assert zone.epsg == epsg
    assert UtmZone.of_epsg(epsg) == zone


def test_zones_agree_with_the_database_of_pyproj():
    for number in range(1, 61):
        for south in (False, True):
            zone = UtmZone(number=number, south=south)
            assert CRS.from_epsg(zone.epsg).utm_zone == f"{number}{'S' if south else 'N'}"


def test_an_outline_across_the_antimeridian_has_the_zone_of_its_middle():
    assert UtmZone.of_outline(outline(178.0, -20.0, -175.0, -15.0)) == UtmZone(number=1, south=True)
    assert UtmZone.of_outline(outline(172.0, 60.0, -177.0, 65.0)) == UtmZone(number=60, south=False)


def test_a_zone_that_is_none_is_refused():
    with pytest.raises(ValueError, match="1 to 60"):
        UtmZone(number=61, south=False)


@pytest.mark.parametrize("south", [False, True])
def test_corners_are_multiples_of_the_side_from_the_zones_origin(south):
    lattice = TileLattice(zone=UtmZone(number=51, south=south), tile_px=2500)
    grid = lattice.grid([Tile(12, 167), Tile(14, 165)])
    assert grid.transform == Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_200_000.0)
    assert grid.shape_hw == (7500, 7500)
    assert CRS.from_wkt(grid.crs_wkt).to_epsg() == (32751 if south else 32651)


def test_touching_is_not_sharing_ground():
    lattice = TileLattice(zone=UtmZone(number=51, south=False), tile_px=100)
    assert lattice.tiles_meeting(box(5000.0, 7000.0, 6000.0, 8000.0)) == {Tile(5, 7)}
    assert lattice.tiles_meeting(box(5000.0, 7000.0, 6000.1, 8000.0)) == {Tile(5, 7), Tile(6, 7)}
    assert lattice.tiles_meeting(MultiPolygon()) == frozenset()


def test_a_region_with_a_hole_has_no_tile_in_the_hole():
    lattice = TileLattice(zone=UtmZone(number=51, south=False), tile_px=100)
    ring = box(0.0, 0.0, 5000.0, 5000.0) - box(900.0, 900.0, 4100.0, 4100.0)
    everything = {Tile(i, j) for i in range(5) for j in range(5)}
    assert lattice.tiles_meeting(ring) == everything - {Tile(i, j) for i in range(1, 4) for j in range(1, 4)}


def test_no_tiles_no_grid():
    with pytest.raises(AreaError, match="does not meet"):
        TileLattice(zone=UtmZone(number=1, south=False), tile_px=100).grid([])


def test_metres_are_those_of_pyproj():
    corners = shapely.get_coordinates(UtmZone(number=51, south=False).metres(outline(125.0, 37.0, 125.01, 37.01)))
    expected = Transformer.from_crs(4326, 32651, always_xy=True).transform(125.0, 37.0)
    assert np.hypot(*(corners - expected).T).min() < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    border=st.sampled_from([48.0, 126.0, -180.0, 0.0]),
    lat=st.floats(-70.0, 70.0),
    width=st.floats(0.02, 0.4),
    shift=st.floats(-0.9, 0.9),
)
def test_every_place_of_an_area_on_a_zone_border_is_in_exactly_one_tile(border, lat, width, shift):
    west = float((border + shift * width - width / 2 + 180.0) % 360.0 - 180.0)
    east = float((west + width + 180.0) % 360.0 - 180.0)
    polygon = outline(west, lat, east, lat + width / 2)
    zone = UtmZone.of_outline(polygon)
    lattice = TileLattice(zone=zone, tile_px=100)
    region = zone.metres(polygon)
    tiles = lattice.tiles_meeting(region)
    boxes = [shapely.box(t.east, t.north, t.east + 1, t.north + 1) for t in tiles]
    boxes = [shapely.transform(box, lambda xy: xy * 1000.0) for box in boxes]
    assert shapely.union_all(boxes).area == pytest.approx(1e6 * len(tiles))  # none overlaps another
    assert region.difference(shapely.union_all(boxes)).area < 1e-3  # none is missing
    lon = west + np.linspace(0.001, 0.999, 7) * width
    to_utm = Transformer.from_crs(4326, zone.epsg, always_xy=True)
    x, y = to_utm.transform((lon + 180.0) % 360.0 - 180.0, np.full(7, lat + width / 4))
    assert {Tile(int(e), int(n)) for e, n in zip(x // 1000.0, y // 1000.0, strict=True)} <= tiles


@settings(max_examples=30, deadline=None)
@given(lat=st.floats(-75.0, 75.0), zones=st.integers(1, 59))
def test_areas_across_the_antimeridian_equal_a_copy_shifted_by_whole_zones(lat, zones):
    there = outline(179.7, lat, -179.8, lat + 0.2)
    west, east = ((lon + 6.0 * zones + 180.0) % 360.0 - 180.0 for lon in (179.7, -179.8))
    here = outline(west, lat, east, lat + 0.2)
    first, second = UtmZone.of_outline(there), UtmZone.of_outline(here)
    assert (first.number + zones - 1) % 60 + 1 == second.number
    regions = [first.metres(there), second.metres(here)]
    assert regions[0].symmetric_difference(regions[1]).area < 1e-5 * regions[1].area  # chords of a parallel, 0.2 m deep
    found = [TileLattice(zone=z, tile_px=64).tiles_meeting(r) for z, r in zip((first, second), regions, strict=True)]
    for tile in found[0] ^ found[1]:  # met by such a chord alone
        whole = shapely.box(
            tile.east * 640.0, tile.north * 640.0, tile.east * 640.0 + 640.0, tile.north * 640.0 + 640.0
        )
        assert max(whole.intersection(region).area for region in regions) < 0.5 * 640.0


def test_two_areas_share_tiles_to_the_last_bit():
    zone = UtmZone(number=51, south=False)
    lattice = TileLattice(zone=zone, tile_px=300)
    one = lattice.grid(lattice.tiles_meeting(zone.metres(outline(125.3, 37.2, 125.6, 37.5))))
    other = lattice.grid(lattice.tiles_meeting(zone.metres(outline(125.5, 37.4, 126.4, 37.9))))
    offset_m = other.transform.c - one.transform.c, other.transform.f - one.transform.f
    assert all(value % 3000.0 == 0.0 for value in offset_m)
    assert one.crs_wkt == other.crs_wkt
