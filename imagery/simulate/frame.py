"""The simulator's own plane and clock: metres east and north of a middle, seconds since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from imagery.aoi import AreaOfInterest
from imagery.errors import AreaError
from imagery.geometry import FloatArray, metres_per_degree, wrap_lon

# The plane stretches east-west by tan(lat) per radian of latitude away from its middle: 0.3 % at 25 km in Korea.
MAX_SIDE_M = 60_000.0
MAX_LATITUDE_DEG = 75.0


@dataclass(frozen=True, kw_only=True)
class LocalFrame:
    """Degrees mapped linearly to metres around a middle.

    Attributes:
        lon0, lat0: the middle, degrees.
        half_east_m, half_north_m: half the sides of the area's bounding box, metres.
    """

    lon0: float
    lat0: float
    half_east_m: float
    half_north_m: float

    @classmethod
    def of_area(cls, area: AreaOfInterest) -> LocalFrame:
        """The frame around the middle of an area's bounding box.

        Raises:
            AreaError: if the area is too large or too near a pole to be simulated in one plane.
        """
        west, south, east, north = area.unwrapped.bounds
        lat0 = (south + north) / 2.0
        lon_m, lat_m = (float(v) for v in metres_per_degree(lat0))
        width_m, height_m = (east - west) * lon_m, (north - south) * lat_m
        if max(width_m, height_m) > MAX_SIDE_M or abs(lat0) > MAX_LATITUDE_DEG:
            raise AreaError(
                f"area {area.name!r} is {width_m / 1e3:.0f} x {height_m / 1e3:.0f} km at latitude {lat0:.1f}; scenes "
                f"are simulated for areas of at most {MAX_SIDE_M / 1e3:.0f} km a side within "
                f"{MAX_LATITUDE_DEG:.0f} degrees of the equator: give a smaller area"
            )
        lon0 = float(wrap_lon((west + east) / 2.0))
        return cls(lon0=lon0, lat0=lat0, half_east_m=width_m / 2.0, half_north_m=height_m / 2.0)

    @cached_property
    def scale_m(self) -> tuple[float, float]:
        """Metres per degree of longitude and of latitude in the middle."""
        lon_m, lat_m = metres_per_degree(self.lat0)
        return float(lon_m), float(lat_m)

    def lonlat(self, x_m: ArrayLike, y_m: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Degrees of places in the plane."""
        lon_m, lat_m = self.scale_m
        return wrap_lon(self.lon0 + np.asarray(x_m, float) / lon_m), self.lat0 + np.asarray(y_m, float) / lat_m

    def xy_m(self, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Metres east and north in the plane of places in degrees."""
        lon_m, lat_m = self.scale_m
        return wrap_lon(np.asarray(lon, float) - self.lon0) * lon_m, (np.asarray(lat, float) - self.lat0) * lat_m

    def to_degrees(self, geometry: BaseGeometry) -> BaseGeometry:
        """A shape in the plane, in degrees that run on past 180 where it crosses the antimeridian."""
        lon_m, lat_m = self.scale_m
        return shapely.transform(geometry, lambda xy: xy / [lon_m, lat_m] + [self.lon0, self.lat0])


def seconds(times: ArrayLike | datetime) -> FloatArray:
    """Seconds since 1970 UTC of aware datetimes or datetime64.

    Raises:
        ValueError: for a datetime without a zone.
    """
    if isinstance(times, datetime):
        if times.tzinfo is None:
            raise ValueError(f"a time needs a zone, got {times}")
        return np.asarray(times.timestamp(), float)
    return np.asarray(times, "datetime64[us]").astype(np.int64) / 1e6


def datetime64(time_s: ArrayLike) -> NDArray[np.datetime64]:
    """datetime64[us] of seconds since 1970 UTC."""
    return np.round(np.asarray(time_s, float) * 1e6).astype(np.int64).astype("datetime64[us]")


def utc(time_s: float) -> datetime:
    """Aware UTC datetime of seconds since 1970."""
    return datetime.fromtimestamp(time_s, UTC)
