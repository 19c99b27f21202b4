"""Areas of interest: a named place on the Earth, safe across the antimeridian."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from antimeridian import fix_multi_polygon, fix_polygon
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod
from shapely.geometry import MultiPolygon, Polygon, box, shape

from imagery.errors import AreaError
from imagery.geometry import wrap_lon

_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, kw_only=True)
class AreaOfInterest:
    """A named area in degrees.

    Attributes:
        name: what people call it.
        polygon: longitudes in [-180, 180], split there where it crosses the antimeridian.
    """

    name: str
    polygon: MultiPolygon

    def __post_init__(self) -> None:
        """Refuse an area without surface or off the globe."""
        if self.polygon.is_empty or self.polygon.area == 0:
            raise AreaError(f"area {self.name!r} has no surface; give a polygon or W,S,E,N with W < E and S < N")
        west, south, east, north = self.polygon.bounds
        if west < -180 or east > 180 or south < -90 or north > 90:
            raise AreaError(
                f"area {self.name!r} has bounds {west}, {south}, {east}, {north}; longitudes must lie in -180..180 and "
                "latitudes in -90..90 (order is W,S,E,N, longitude first)"
            )

    @classmethod
    def from_bbox(cls, name: str, west: float, south: float, east: float, north: float) -> AreaOfInterest:
        """From W,S,E,N in degrees; W > E means that the box crosses the antimeridian.

        Raises:
            AreaError: if south >= north, west == east, or a value is off the globe.
        """
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90) or west == east:
            raise AreaError(
                f"area {name!r} has bounds {west},{south},{east},{north}; give W,S,E,N in degrees with S < N "
                "(W > E crosses the antimeridian)"
            )
        if west < east:
            return cls(name=name, polygon=MultiPolygon([box(west, south, east, north)]))
        parts = [box(a, south, b, north) for a, b in ((west, 180.0), (-180.0, east)) if a < b]
        return cls(name=name, polygon=MultiPolygon(parts))

    @classmethod
    def from_wkt(cls, name: str, wkt: str) -> AreaOfInterest:
        """From a WKT POLYGON or MULTIPOLYGON in degrees.

        Raises:
            AreaError: if the text is not such a geometry.
        """
        try:
            geometry = shapely.from_wkt(wkt)
        except shapely.errors.GEOSException as error:
            raise AreaError(f"area {name!r} is not readable WKT: {error}") from error
        return cls(name=name, polygon=_normalised(name, geometry))

    @classmethod
    def from_geojson(cls, name: str, geojson: str | Mapping[str, Any]) -> AreaOfInterest:
        """From GeoJSON: a Polygon, MultiPolygon, Feature or FeatureCollection, as text or as a mapping.

        Raises:
            AreaError: if it is not JSON or holds no polygon.
        """
        try:
            loaded = json.loads(geojson) if isinstance(geojson, str) else geojson
            features = loaded.get("features", [loaded])
            geometries = [shape(f.get("geometry", f)) for f in features]
        except (ValueError, AttributeError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
            raise AreaError(f"area {name!r} is not readable GeoJSON with polygons: {error}") from error
        parts = [p for g in geometries for p in _normalised(name, g).geoms]
        return cls(name=name, polygon=_multi(shapely.union_all(parts)))

    @cached_property
    def area_km2(self) -> float:
        """Surface on the WGS 84 ellipsoid, km2."""
        area_m2, _ = _GEOD.geometry_area_perimeter(shapely.force_2d(shapely.orient_polygons(self.polygon)))
        return abs(area_m2) / 1e6

    @cached_property
    def unwrapped(self) -> MultiPolygon:
        """The polygon with longitudes that run on past 180 where it crosses the antimeridian."""
        west, _, east, _ = self.polygon.bounds
        if east - west < 180:
            return self.polygon
        shifted = shapely.transform(self.polygon, lambda xy: xy + [[360.0, 0.0]] * (xy[:, :1] < 0))
        return _multi(shapely.union_all(list(shifted.geoms)))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees; west > east where it crosses the antimeridian."""
        west, south, east, north = self.unwrapped.bounds
        return west, south, east if east <= 180 else east - 360, north

    @cached_property
    def utm_epsg(self) -> int:
        """EPSG code of the UTM zone of the area's middle, Norway's and Svalbard's exceptions included; UPS near poles.

        Reference: NGA.STND.0037, The Universal Grids (2014), section 7.
        """
        middle = self.unwrapped.centroid
        lon, lat = float(wrap_lon(middle.x)), middle.y
        if lat >= 84 or lat < -80:
            return 32661 if lat > 0 else 32761
        zone = int((lon + 180) // 6) + 1
        if 56 <= lat < 64 and 3 <= lon < 12:
            zone = 32
        elif 72 <= lat < 84 and 0 <= lon < 42:
            zone = 31 if lon < 9 else 33 if lon < 21 else 35 if lon < 33 else 37
        return (32600 if lat >= 0 else 32700) + zone

    def contains(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """True for places, in degrees, inside the area."""
        return np.asarray(shapely.contains_xy(self.polygon, wrap_lon(lon), lat))


def _multi(geometry: shapely.Geometry) -> MultiPolygon:
    parts = shapely.get_parts(geometry)
    return MultiPolygon([p for p in parts if isinstance(p, Polygon)])


def _normalised(name: str, geometry: shapely.Geometry) -> MultiPolygon:
    """Polygons in [-180, 180], split at the antimeridian; anything else is refused."""
    if not isinstance(geometry, Polygon | MultiPolygon) or geometry.is_empty:
        raise AreaError(f"area {name!r} is a {geometry.geom_type}; give a polygon")
    if not geometry.is_valid:
        raise AreaError(f"area {name!r} is not a valid polygon: {shapely.is_valid_reason(geometry)}")
    flat = shapely.force_2d(geometry)
    west, _, east, _ = flat.bounds
    if west >= -180 and east <= 180 and east - west < 180:
        return _multi(flat)
    fix = fix_polygon if isinstance(flat, Polygon) else fix_multi_polygon
    # GeoJSON's edges are straight in longitude and latitude; people wind polygons either way
    fixed = fix(flat, great_circle=False, fix_winding=True)
    return _multi(fixed)
