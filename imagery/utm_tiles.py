"""One lattice of square tiles per UTM zone, the same for everyone who asks.

A tile's corners are whole multiples of its side from the zone's own origin, so two areas that share ground share its
tiles to the last bit, and no ground is in two tiles. A scene is laid in one zone, also where it crosses the zone's
border or the antimeridian: the projection goes on there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry import MultiPolygon

from imagery.errors import AreaError
from imagery.geometry import Grid, wrap_lon

PIXEL_M = 10.0
_SEGMENT_DEG = 0.05  # an edge straight in degrees bends by less than 10 m between places so far apart, at 80 deg


class Tile(NamedTuple):
    """A tile by its place on the lattice: sides eastward and northward from the zone's origin."""

    east: int
    north: int


@dataclass(frozen=True, kw_only=True)
class UtmZone:
    """A UTM zone without the exceptions for Norway and Svalbard, which are for maps.

    Attributes:
        number: 1 to 60.
        south: True for the southern hemisphere's false northing.

    Reference: NGA.STND.0037, The Universal Grids (2014), section 7.
    """

    number: int
    south: bool

    def __post_init__(self) -> None:
        """Refuse a zone that is none."""
        if not 1 <= self.number <= 60:
            raise ValueError(f"a UTM zone has a number from 1 to 60, got {self.number}")

    @classmethod
    def of_place(cls, lon: float, lat: float) -> UtmZone:
        """The zone of a place in degrees."""
        number = math.floor((float(wrap_lon(lon)) + 180.0) / 6.0) + 1
        return cls(number=number, south=lat < 0.0)

    @classmethod
    def of_outline(cls, outline: MultiPolygon) -> UtmZone:
        """The zone of the middle of an outline in degrees, which may be split at the antimeridian."""
        west, _, east, _ = outline.bounds
        if east - west > 180.0:
            outline = shapely.transform(outline, lambda xy: xy + [[360.0, 0.0]] * (xy[:, :1] < 0.0))
        middle = outline.centroid
        return cls.of_place(middle.x, middle.y)

    @classmethod
    def of_epsg(cls, epsg: int) -> UtmZone:
        """The zone of an EPSG code, 32601 to 32660 or 32701 to 32760."""
        return cls(number=epsg % 100, south=epsg // 100 == 327)

    @property
    def epsg(self) -> int:
        """EPSG code of WGS 84 / UTM in this zone."""
        return (32700 if self.south else 32600) + self.number

    def metres(self, outline: MultiPolygon) -> shapely.Geometry:
        """An outline in degrees brought to eastings and northings of this zone."""
        transformer = _to_utm(self.epsg)
        fine = shapely.segmentize(shapely.make_valid(outline), _SEGMENT_DEG)

        def project(lonlat: np.ndarray) -> np.ndarray:
            return np.column_stack(transformer.transform(lonlat[:, 0], lonlat[:, 1]))

        return shapely.make_valid(shapely.transform(fine, project))


@dataclass(frozen=True, kw_only=True)
class TileLattice:
    """The tiles of a zone.

    Attributes:
        zone: the zone.
        tile_px: side of a tile in pixels of 10 m.
    """

    zone: UtmZone
    tile_px: int

    def __post_init__(self) -> None:
        """Refuse tiles without pixels."""
        if self.tile_px < 1:
            raise ValueError(f"a tile needs a positive side in pixels, got {self.tile_px}")

    @property
    def tile_m(self) -> float:
        """Side of a tile in metres."""
        return self.tile_px * PIXEL_M

    def tiles_meeting(self, region_m: shapely.Geometry) -> frozenset[Tile]:
        """Tiles that share ground with a region given in the zone's metres; touching is not enough."""
        if region_m.is_empty:
            return frozenset()
        west, south, east, north = (edge / self.tile_m for edge in region_m.bounds)
        columns = np.arange(math.floor(west), math.ceil(east))
        rows = np.arange(math.floor(south), math.ceil(north))
        columns, rows = (grid.ravel() for grid in np.meshgrid(columns, rows))
        boxes = shapely.box(*(side * self.tile_m for side in (columns, rows, columns + 1, rows + 1)))
        shapely.prepare(region_m)
        met = shapely.intersects(region_m, boxes) & ~shapely.touches(region_m, boxes)
        return frozenset(Tile(int(c), int(r)) for c, r in zip(columns[met], rows[met], strict=True))

    def grid(self, tiles: Iterable[Tile]) -> Grid:
        """The smallest grid of whole tiles that holds all of these.

        Raises:
            AreaError: there are none.
        """
        places = list(tiles)
        if not places:
            raise AreaError("no tile is wanted, so there is no grid; the area does not meet the scene")
        east, north = [t.east for t in places], [t.north for t in places]
        left_m, top_m = min(east) * self.tile_m, (max(north) + 1) * self.tile_m
        return Grid(
            crs_wkt=_wkt(self.zone.epsg),
            transform=Affine(PIXEL_M, 0.0, left_m, 0.0, -PIXEL_M, top_m),
            shape_hw=((max(north) - min(north) + 1) * self.tile_px, (max(east) - min(east) + 1) * self.tile_px),
        )


@lru_cache(maxsize=16)
def _to_utm(epsg: int) -> Transformer:
    return Transformer.from_crs(CRS.from_epsg(4326), CRS.from_epsg(epsg), always_xy=True)


@lru_cache(maxsize=16)
def _wkt(epsg: int) -> str:
    return str(CRS.from_epsg(epsg).to_wkt())
