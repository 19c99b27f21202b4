"""Land polygons: where they come from, how they fall on a scene's pixels, how far the shore is."""

from __future__ import annotations

import importlib.util
import json
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.features import rasterize
from shapely.geometry import MultiPolygon, Polygon, shape

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError, SourceError
from imagery.geometry import FloatArray, Geometry, Window, metres_per_degree, wrap_lon

SHORE_LIMIT_M = 20_000.0  # land farther off than this is not loaded: a distance of 20 km means 'at least'

# rasterio silences a warning of its own around each call by changing the process's filters, which is not safe in
# threads.
_ONE_AT_A_TIME = threading.Lock()

_NO_LAND_HELP = (
    "install it with `pip install 'offing[land]'`, or name a GeoJSON of land polygons in the area file (land = ...)"
)


@dataclass(frozen=True, kw_only=True)
class Land:
    """Land around an area.

    Attributes:
        polygons: land in degrees, complete within `SHORE_LIMIT_M` of the area it was loaded for.
        source: where they come from.
        attribution: the credit that their licence asks for.
    """

    polygons: MultiPolygon
    source: str
    attribution: str = ""

    @cached_property
    def _frame(self) -> tuple[float, float, float]:
        """Middle longitude, and metres per degree there: a plane for distances, true within 0.5 % over 1 degree."""
        west, south, east, north = self.polygons.bounds
        lon_m, lat_m = metres_per_degree((south + north) / 2.0)
        return (west + east) / 2.0, float(lon_m), float(lat_m)

    @cached_property
    def _plane(self) -> MultiPolygon:
        lon0, lon_m, lat_m = self._frame
        plane = shapely.transform(
            self.polygons, lambda xy: np.column_stack([wrap_lon(xy[:, 0] - lon0) * lon_m, xy[:, 1] * lat_m])
        )
        shapely.prepare(plane)
        return plane

    def shore_distance_m(self, lon: ArrayLike, lat: ArrayLike) -> FloatArray:
        """Metres to the nearest shore, negative on land, `SHORE_LIMIT_M` where none is that near."""
        lon, lat = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
        if self.polygons.is_empty:
            return np.full(lon.shape, SHORE_LIMIT_M)
        lon0, lon_m, lat_m = self._frame
        points = shapely.points(wrap_lon(lon - lon0) * lon_m, lat * lat_m)
        sign = np.where(shapely.contains(self._plane, points), -1.0, 1.0)
        distance = shapely.distance(self._plane.boundary, points)
        return np.asarray(sign * np.minimum(distance, SHORE_LIMIT_M))

    def on(self, geometry: Geometry) -> LandOnScene:
        """The land in a scene's pixel coordinates."""
        if self.polygons.is_empty:
            return LandOnScene(polygons=())

        def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            rows, cols = geometry.rowcol(xy[:, 0], xy[:, 1])
            # whole multiples of 2^-12 px: subtracting a window's corner is then exact, whatever the window
            return np.round(np.column_stack([cols + 0.5, rows + 0.5]) * 4096.0) / 4096.0

        height, width = geometry.shape_hw
        frame = shapely.box(-4096, -4096, width + 4096, height + 4096)
        parts = [shapely.transform(p, to_pixels) for p in self.polygons.geoms]
        return LandOnScene(polygons=tuple(p for p in parts if p.intersects(frame)))


@dataclass(frozen=True, kw_only=True)
class LandOnScene:
    """Land polygons in pixel coordinates of one scene: x = col + 0.5, y = row + 0.5."""

    polygons: tuple[Polygon, ...]

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """(height, width) bool, True = the pixel's centre lies on land."""
        col, row = window.col, window.row
        frame = shapely.box(col, row, col + window.width, row + window.height)
        touching = [p for p in self.polygons if p.intersects(frame)]
        if not touching:
            return np.zeros(window.shape_hw, bool)
        with _ONE_AT_A_TIME:
            mask = rasterize(touching, out_shape=window.shape_hw, transform=Affine.translation(col, row), dtype="uint8")
        return np.asarray(mask, bool)


def osm_land(area: AreaOfInterest) -> Land:
    """OpenStreetMap land polygons around an area, from the data inside the package roaring-landmask.

    Only its exact polygons are used: its bitmap cuts about 460 m blocks out of the shore.

    Raises:
        SourceError: if the optional extra ``land`` is not installed.
    """
    if importlib.util.find_spec("roaring_landmask") is None:
        raise SourceError(f"OpenStreetMap land polygons are not installed; {_NO_LAND_HELP}")
    from roaring_landmask import LandmaskProvider, Shapes

    world = shapely.from_wkb(Shapes.wkb(LandmaskProvider.Osm))
    return Land(
        polygons=_around(shapely.get_parts(world), area),
        source="OpenStreetMap land polygons (roaring-landmask)",
        attribution="land: (c) OpenStreetMap contributors, ODbL 1.0",
    )


def geojson_land(path: Path, area: AreaOfInterest) -> Land:
    """Land polygons from a GeoJSON file.

    Raises:
        SourceError: if the file is missing or holds no polygons.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        geometries = [shape(f["geometry"]) for f in loaded["features"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is not a GeoJSON FeatureCollection of land polygons: {error}") from error
    parts = np.array([p for g in geometries for p in shapely.get_parts(g) if isinstance(p, Polygon)])
    return Land(polygons=_around(parts, area), source=path.name)


def check_has_water(area: AreaOfInterest, land: Land) -> None:
    """Refuse an area that lies on land only.

    Raises:
        AreaError: if less than 0.1 % of the area is water.
    """
    water = shapely.difference(area.polygon, land.polygons)
    if water.area < 1e-3 * area.polygon.area:
        west, south, east, north = area.bounds
        raise AreaError(
            f"area {area.name!r} ({west}, {south}, {east}, {north}) lies on land only by {land.source}; "
            "move it to water"
        )


def _around(polygons: NDArray[np.object_], area: AreaOfInterest) -> MultiPolygon:
    """The parts of polygons within `SHORE_LIMIT_M` of the area's box, whole across the antimeridian."""
    kept: list[Polygon] = []
    for part in area.polygon.geoms:
        west, south, east, north = part.bounds
        lon_m, lat_m = metres_per_degree(max(abs(south), abs(north)))
        dx, dy = SHORE_LIMIT_M / float(lon_m), SHORE_LIMIT_M / float(lat_m)
        bounds = (west - dx, south - dy, east + dx, north + dy)
        near = polygons[shapely.intersects(shapely.box(*shapely.bounds(polygons).T), shapely.box(*bounds))]
        clipped = shapely.clip_by_rect(shapely.make_valid(near), *bounds)
        kept += [p for g in clipped for p in shapely.get_parts(g) if isinstance(p, Polygon)]
    merged = shapely.union_all(kept) if kept else MultiPolygon()
    return MultiPolygon([p for p in shapely.get_parts(merged) if isinstance(p, Polygon)])
