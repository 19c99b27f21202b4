"""Where a pixel lies on the ground: the only code that multiplies an affine or solves a spline.

Two owners of geometry share one face, `Geometry`: `Grid` (affine, any CRS) and `GcpGrid` (ground control
points, thin-plate spline). Detections are geolocated through them; pixels are never resampled.

Convention: ``row`` and ``col`` are continuous, whole numbers at pixel centres, so the upper-left corner of the
first pixel is (-0.5, -0.5). Longitudes come out in [-180, 180).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from rasterio.control import GroundControlPoint
from rasterio.transform import GCPTransformer
from shapely.geometry import MultiPolygon, Polygon
from shapely.ops import unary_union

from imagery.errors import RasterError

# WGS 84 (NIMA TR8350.2): semi-major axis in metres and first eccentricity squared.
WGS84_A_M = 6378137.0
WGS84_E2 = 6.69437999014e-3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of pixels, half-open: rows [row, row + height), columns [col, col + width)."""

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse a rectangle without pixels."""
        if self.height <= 0 or self.width <= 0:
            raise ValueError(f"a window needs positive height and width, got {self.height} x {self.width}")

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    def padded(self, margin_px: int) -> Window:
        """The window grown by ``margin_px`` on every side (it may leave the scene)."""
        return Window(
            row=self.row - margin_px,
            col=self.col - margin_px,
            height=self.height + 2 * margin_px,
            width=self.width + 2 * margin_px,
        )

    def intersection(self, other: Window) -> Window | None:
        """The pixels in both windows, or None where there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row + self.height, other.row + other.height) - row
        width = min(self.col + self.width, other.col + other.width) - col
        if height <= 0 or width <= 0:
            return None
        return Window(row=row, col=col, height=height, width=width)

    def slices_in(self, outer: Window) -> tuple[slice, slice]:
        """Row and column slices of this window inside an array that holds ``outer``."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


class Geometry(Protocol):
    """Pixel to ground and back, for one scene."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(height, width) of the scene in pixels."""
        ...

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude in degrees (WGS 84) of continuous pixel positions."""
        ...

    def rowcol(self, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Continuous (row, col) of places in degrees; outside the scene it extrapolates."""
        ...

    def crop(self, window: Window) -> Geometry:
        """The geometry of a window of this scene."""
        ...


@lru_cache(maxsize=64)
def _to_wgs84(wkt: str) -> Transformer:
    return Transformer.from_crs(CRS.from_wkt(wkt), CRS.from_epsg(4326), always_xy=True)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A regular grid: an affine transform in a coordinate reference system.

    Attributes:
        crs_wkt: coordinate reference system as WKT.
        transform: maps (col, row) of pixel *corners* to CRS coordinates, as GDAL and rasterio have it.
        shape_hw: (height, width) in pixels.
    """

    crs_wkt: str
    transform: Affine
    shape_hw: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse a grid that cannot be inverted."""
        if self.transform.determinant == 0:
            raise RasterError(f"the raster's transform {tuple(self.transform)[:6]} is degenerate")
        if min(self.shape_hw) <= 0:
            raise RasterError(f"the raster has no pixels: {self.shape_hw[0]} rows x {self.shape_hw[1]} columns")

    @classmethod
    def from_crs(cls, crs: str, transform: Affine, shape_hw: tuple[int, int]) -> Grid:
        """A grid from anything pyproj reads as a CRS, such as ``"EPSG:32651"``."""
        return cls(crs_wkt=CRS.from_user_input(crs).to_wkt(), transform=transform, shape_hw=shape_hw)

    @property
    def _transformer(self) -> Transformer:
        return _to_wgs84(self.crs_wkt)

    @cached_property
    def is_geographic(self) -> bool:
        """True where CRS coordinates are degrees of longitude and latitude."""
        return CRS.from_wkt(self.crs_wkt).is_geographic

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude in degrees of continuous pixel positions."""
        rows, cols = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        place: Any = (cols + 0.5, rows + 0.5)  # affine takes arrays, its types know numbers only
        x, y = self.transform @ place
        lon, lat = self._transformer.transform(x, y)
        return wrap_lon(lon), np.asarray(lat, float)

    def rowcol(self, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Continuous (row, col) of places in degrees."""
        lon, lat = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
        x, y = self._transformer.transform(lon, lat, direction="INVERSE")
        if self.is_geographic:  # a grid may run past 180: take the turn nearest to its own middle
            middle, _ = self.transform @ (self.shape_hw[1] / 2, self.shape_hw[0] / 2)
            x = middle + wrap_lon(np.asarray(x) - middle)
        col, row = (~self.transform) @ (np.asarray(x, float), np.asarray(y, float))
        return row - 0.5, col - 0.5

    def crop(self, window: Window) -> Grid:
        """The grid of a window (which may reach outside this grid)."""
        transform = self.transform @ Affine.translation(window.col, window.row)
        return Grid(crs_wkt=self.crs_wkt, transform=transform, shape_hw=window.shape_hw)


@dataclass(frozen=True, kw_only=True)
class GcpGrid:
    """A scene located by ground control points through a thin-plate spline.

    A polynomial through the 210 points of a Sentinel-1 GRD errs by up to 18 m; the spline passes through them.
    The pixel-from-place direction is GDAL's inverse spline refined by Newton steps, so both directions agree.

    Attributes:
        gcp_rows, gcp_cols: pixel positions of the points, corner based as GDAL has them, in the *uncropped* scene.
        gcp_lon, gcp_lat: degrees, WGS 84.
        shape_hw: (height, width) in pixels.
        origin: (row, col) of this geometry's first pixel in the uncropped scene.

    Reference: Bookstein 1989, IEEE TPAMI 11(6), doi:10.1109/34.24792.
    """

    gcp_rows: tuple[float, ...]
    gcp_cols: tuple[float, ...]
    gcp_lon: tuple[float, ...]
    gcp_lat: tuple[float, ...]
    shape_hw: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Refuse too few or uneven control points."""
        counts = {len(self.gcp_rows), len(self.gcp_cols), len(self.gcp_lon), len(self.gcp_lat)}
        if len(counts) != 1 or min(counts) < 4:
            raise RasterError(f"a spline needs 4 or more whole ground control points, got {sorted(counts)}")

    @cached_property
    def _spline(self) -> GCPTransformer:
        lon0 = self.gcp_lon[0]
        lon = lon0 + wrap_lon(np.asarray(self.gcp_lon) - lon0)  # one branch, also across 180
        points = zip(self.gcp_rows, self.gcp_cols, lon.tolist(), self.gcp_lat, strict=True)
        return GCPTransformer([GroundControlPoint(r, c, x, y) for r, c, x, y in points], tps=True)

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude in degrees of continuous pixel positions."""
        rows, cols = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        lon, lat = self._forward(rows, cols)
        return wrap_lon(lon), lat

    def _forward(self, rows: FloatArray, cols: FloatArray) -> tuple[FloatArray, FloatArray]:
        flat_rows = rows.ravel() + self.origin[0]
        flat_cols = cols.ravel() + self.origin[1]
        lon, lat = self._spline.xy(flat_rows, flat_cols, offset="center")
        return np.asarray(lon, float).reshape(rows.shape), np.asarray(lat, float).reshape(rows.shape)

    def rowcol(self, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Continuous (row, col) of places in degrees."""
        lon, lat = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
        lon = self.gcp_lon[0] + wrap_lon(lon - self.gcp_lon[0])
        rows, cols = self._spline.rowcol(lon.ravel(), lat.ravel(), op=lambda value: value)
        row = np.asarray(rows, float).reshape(lon.shape) - 0.5 - self.origin[0]
        col = np.asarray(cols, float).reshape(lon.shape) - 0.5 - self.origin[1]
        for _ in range(3):  # two steps reach 1e-6 px; the third costs little
            row, col = self._newton_step(row, col, lon, lat)
        return row, col

    def _newton_step(
        self, row: FloatArray, col: FloatArray, lon: FloatArray, lat: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        lon0, lat0 = self._forward(row, col)
        lon_r, lat_r = self._forward(row + 1.0, col)
        lon_c, lat_c = self._forward(row, col + 1.0)
        a, b, c, d = lon_r - lon0, lon_c - lon0, lat_r - lat0, lat_c - lat0
        determinant = a * d - b * c
        east, north = lon - lon0, lat - lat0
        return row + (d * east - b * north) / determinant, col + (a * north - c * east) / determinant

    def crop(self, window: Window) -> GcpGrid:
        """The geometry of a window; the control points stay those of the whole scene."""
        return GcpGrid(
            gcp_rows=self.gcp_rows,
            gcp_cols=self.gcp_cols,
            gcp_lon=self.gcp_lon,
            gcp_lat=self.gcp_lat,
            shape_hw=window.shape_hw,
            origin=(self.origin[0] + window.row, self.origin[1] + window.col),
        )


def first_pixel(geometry: Geometry) -> tuple[int, int]:
    """Where a scene's first pixel lies on a lattice that all pieces cut from the same product share: (row, col).

    A north-up `Grid` counts whole pixels from its projection's origin, a `GcpGrid` from the uncropped scene; a rotated
    grid has no such lattice and starts at (0, 0).
    """
    if isinstance(geometry, GcpGrid):
        return geometry.origin
    if isinstance(geometry, Grid) and geometry.transform.b == 0.0 == geometry.transform.d:
        return round(geometry.transform.f / geometry.transform.e), round(geometry.transform.c / geometry.transform.a)
    return 0, 0


_CELL_DEG = 0.005


def dense_rowcol(geometry: Geometry, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """`Geometry.rowcol` for very many places close together, where a fifth of a pixel is enough.

    A spline through 210 control points takes 0.1 ms for a place. Here it is asked only at the corners of the cells of
    0.005 degrees that hold places; between them, bilinear. A `Grid` answers exactly.

    Args:
        geometry: the scene's geometry.
        lon: degrees.
        lat: degrees, of the same shape.

    Returns:
        Continuous rows and columns.
    """
    if isinstance(geometry, Grid):
        return geometry.rowcol(lon, lat)
    lon, lat = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
    if lon.size == 0:
        return np.empty(lon.shape), np.empty(lon.shape)
    lon0 = float(lon.flat[0])
    x, y = (lon0 + wrap_lon(lon - lon0)).ravel() / _CELL_DEG, lat.ravel() / _CELL_DEG
    cell = np.stack([np.floor(x), np.floor(y)], axis=-1)
    corners = np.concatenate([cell + step for step in ([0, 0], [1, 0], [0, 1], [1, 1])])
    nodes, index = np.unique(corners, axis=0, return_inverse=True)
    at_node = np.stack(geometry.rowcol(nodes[:, 0] * _CELL_DEG, nodes[:, 1] * _CELL_DEG), axis=-1)
    sw, se, nw, ne = at_node[index.reshape(4, -1)]
    u, v = ((p - c)[:, np.newaxis] for p, c in ((x, cell[:, 0]), (y, cell[:, 1])))
    row, col = np.moveaxis((1 - v) * ((1 - u) * sw + u * se) + v * ((1 - u) * nw + u * ne), -1, 0)
    return row.reshape(lon.shape), col.reshape(lon.shape)


def wrap_lon(lon: ArrayLike) -> FloatArray:
    """Longitude, or a difference of two, in degrees brought into [-180, 180)."""
    return (np.asarray(lon, float) + 180.0) % 360.0 - 180.0


def metres_per_degree(lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Length of one degree of longitude and of latitude, in metres, on the WGS 84 ellipsoid.

    Reference: radii of curvature N = a / w and M = a (1 - e2) / w^3, w = sqrt(1 - e2 sin^2 lat)
    (Snyder 1987, USGS Professional Paper 1395, eq. 4-18 to 4-20).
    """
    phi = np.radians(np.asarray(lat, float))
    w = np.sqrt(1.0 - WGS84_E2 * np.sin(phi) ** 2)
    degree = np.pi / 180.0
    return degree * WGS84_A_M / w * np.cos(phi), degree * WGS84_A_M * (1.0 - WGS84_E2) / w**3


def offset_m(lon0: ArrayLike, lat0: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """East and north metres from (lon0, lat0) to (lon, lat); good to 1e-3 of the distance within 30 km."""
    mid = (np.asarray(lat0, float) + np.asarray(lat, float)) / 2.0
    lon_m, lat_m = metres_per_degree(mid)
    east = wrap_lon(np.asarray(lon, float) - np.asarray(lon0, float)) * lon_m
    return east, (np.asarray(lat, float) - np.asarray(lat0, float)) * lat_m


def moved(lon: ArrayLike, lat: ArrayLike, east_m: ArrayLike, north_m: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The place ``east_m``, ``north_m`` metres away; the inverse of `offset_m` to the same accuracy."""
    lat = np.asarray(lat, float)
    new_lat = lat + np.asarray(north_m, float) / metres_per_degree(lat)[1]
    lon_m, _ = metres_per_degree((lat + new_lat) / 2.0)
    return wrap_lon(np.asarray(lon, float) + np.asarray(east_m, float) / lon_m), new_lat


def jacobian_m(geometry: Geometry, rows: ArrayLike, cols: ArrayLike) -> FloatArray:
    """True ground metres per pixel around pixel positions.

    Args:
        geometry: the scene's geometry.
        rows: continuous rows, shape (n,).
        cols: continuous columns, shape (n,).

    Returns:
        Array (n, 2, 2): ``[[d_east/d_row, d_east/d_col], [d_north/d_row, d_north/d_col]]`` in metres, by central
        differences over two pixels. In EPSG:3857 at 37 N a '10 m' pixel comes out as 8 m, as it should.
    """
    rows, cols = np.broadcast_arrays(np.atleast_1d(np.asarray(rows, float)), np.atleast_1d(np.asarray(cols, float)))
    out = np.empty((*rows.shape, 2, 2))
    for axis, (d_row, d_col) in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        before = geometry.lonlat(rows - d_row, cols - d_col)
        after = geometry.lonlat(rows + d_row, cols + d_col)
        east, north = offset_m(*before, *after)
        out[..., 0, axis], out[..., 1, axis] = east / 2.0, north / 2.0
    return out


def pixel_size_m(geometry: Geometry) -> tuple[float, float]:
    """Ground size of the middle pixel: metres per row step and per column step."""
    height, width = geometry.shape_hw
    jacobian = jacobian_m(geometry, height / 2, width / 2)[0]
    return float(np.hypot(*jacobian[:, 0])), float(np.hypot(*jacobian[:, 1]))


def footprint(geometry: Geometry, points_per_side: int = 16) -> MultiPolygon:
    """Outline of the scene in degrees, split at the antimeridian.

    Args:
        geometry: the scene's geometry.
        points_per_side: places sampled along each side.

    Returns:
        A MultiPolygon within longitudes [-180, 180].
    """
    height, width = geometry.shape_hw
    t = np.linspace(0.0, 1.0, points_per_side, endpoint=False)
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    rows = np.concatenate([a[0] + (b[0] - a[0]) * t for a, b in pairwise(corners)])
    cols = np.concatenate([a[1] + (b[1] - a[1]) * t for a, b in pairwise(corners)])
    lon, lat = geometry.lonlat(rows * height - 0.5, cols * width - 0.5)
    lon = lon[0] + wrap_lon(lon - lon[0])
    return split_at_antimeridian(Polygon(np.column_stack([lon, lat])))


def split_at_antimeridian(polygon: Polygon | MultiPolygon) -> MultiPolygon:
    """A polygon whose longitudes run on past 180, brought back to [-180, 180] in whole parts."""
    from shapely import affinity, box

    parts = []
    for turn in (-360.0, 0.0, 360.0):
        part = polygon.intersection(box(-180.0 + turn, -90.0, 180.0 + turn, 90.0))
        if not part.is_empty and part.area > 0:
            parts.append(affinity.translate(part, xoff=-turn))
    merged = unary_union(parts)
    polygons = [g for g in getattr(merged, "geoms", [merged]) if isinstance(g, Polygon)]
    return MultiPolygon(polygons)
