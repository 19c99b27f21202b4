"""When and from where each pixel of a scene was seen.

AIS is compared with the image at a pixel's own time, and a radar shows a moving ship displaced along the
flight direction. Both need, per pixel, time, slant range, incidence, look direction and platform speed. Three
sources:

* `imagery.tie_points.TiePointAcquisition`: the tie points and orbit of a Sentinel-1 annotation file; the best.
* `imagery.orbit_model.OrbitModel`: a model of the orbit, for pixels that came without their annotation.
* `StatedAcquisition`: a time, or not even that.

Azimuths are degrees clockwise from true north. The Earth is the WGS 84 ellipsoid, positions and velocities
are Earth-fixed. Rows and columns are continuous, whole numbers at pixel centres, as in `imagery.geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.errors import ImageryError
from imagery.geometry import WGS84_A_M, WGS84_E2, FloatArray

TimeArray = NDArray[np.datetime64]

# A TOPS burst sees a target up to about 1 s before or after its zero-Doppler time: +-T/2 (1 - 1/alpha) for
# burst cycle T (IW 2.76 s, EW 3.04 s) and alpha = 1 + R k / V with antenna steering rate k (IW 0.98-1.59
# deg/s, EW about 2.4), uniform, so sigma = that / sqrt(3). De Zan & Monti Guarnieri 2006,
# doi:10.1109/TGRS.2006.873853; T and k from ESA, Sentinel-1 Product Specification S1-RS-MDA-52-7441. A
# stripmap beam dwells some 0.3 s to either side.
MODE_TIME_SIGMA_S = {"IW": 0.6, "EW": 0.75, "SM": 0.1}


@dataclass(frozen=True, kw_only=True, eq=False)
class AcquisitionSample:
    """Acquisition geometry at pixels; every array has the shape that rows and columns broadcast to.

    Attributes:
        time: UTC, datetime64[us]; NaT where unknown. For a radar, the zero-Doppler time.
        time_sigma_s: one sigma of the time at which the pixel was really seen, seconds; inf where unknown.
        incidence_deg: angle at the target between its vertical and the line to the platform.
        incidence_sigma_deg: its one sigma; inf where unknown (the value is then NaN), as in the other sigmas.
        slant_range_m: distance from platform to target.
        slant_range_sigma_m: its one sigma.
        look_azimuth_deg: direction at the target, in its horizontal plane, from the platform to the target.
        look_azimuth_sigma_deg: its one sigma.
        heading_deg: direction of the platform's Earth-fixed motion, seen at the point below the platform.
        platform_speed_m_s: Earth-fixed speed of the platform in its orbit (not of its ground point).
        source: where the numbers come from, and what was assumed.
    """

    time: TimeArray
    time_sigma_s: FloatArray
    incidence_deg: FloatArray
    incidence_sigma_deg: FloatArray
    slant_range_m: FloatArray
    slant_range_sigma_m: FloatArray
    look_azimuth_deg: FloatArray
    look_azimuth_sigma_deg: FloatArray
    heading_deg: FloatArray
    platform_speed_m_s: FloatArray
    source: str

    def __post_init__(self) -> None:
        """Give every field the shape of the time; refuse what cannot have it."""
        for field in fields(self):
            if field.name != "source":
                value = np.broadcast_to(np.asarray(getattr(self, field.name)), np.shape(self.time))
                object.__setattr__(self, field.name, value)


class Acquisition(Protocol):
    """Anything that knows when and from where the pixels of a scene were seen."""

    @property
    def source(self) -> str:
        """Where the numbers come from: annotation, orbit model, or not available."""
        ...

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """The geometry at continuous pixel positions that broadcast together."""
        ...


class Viewing(NamedTuple):
    """A target as seen from a platform; arrays, units as in `AcquisitionSample`."""

    slant_range_m: FloatArray
    incidence_deg: FloatArray
    look_azimuth_deg: FloatArray
    heading_deg: FloatArray
    platform_speed_m_s: FloatArray


def ecef_m(lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike = 0.0) -> FloatArray:
    """Earth-centred, Earth-fixed position of a place.

    Args:
        lon_deg: longitude, degrees.
        lat_deg: geodetic latitude, degrees.
        height_m: height above the WGS 84 ellipsoid, metres.

    Returns:
        Array (..., 3) of x, y, z in metres.

    Reference: IOGP 373-7-2 (EPSG Guidance Note 7-2), method 9602, geographic to geocentric.
    """
    lon, lat, height = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg), np.asarray(height_m, float))
    normal = WGS84_A_M / np.sqrt(1.0 - WGS84_E2 * np.sin(lat) ** 2)
    across = (normal + height) * np.cos(lat)
    polar = (normal * (1.0 - WGS84_E2) + height) * np.sin(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), polar], axis=-1)


def view(
    lon_deg: ArrayLike,
    lat_deg: ArrayLike,
    height_m: ArrayLike,
    position_m: FloatArray,
    velocity_m_s: FloatArray,
) -> Viewing:
    """How a platform sees places on the Earth.

    Args:
        lon_deg: longitudes of the targets, degrees.
        lat_deg: geodetic latitudes of the targets, degrees.
        height_m: heights of the targets above the ellipsoid, metres.
        position_m: (..., 3) Earth-fixed positions of the platform, metres.
        velocity_m_s: (..., 3) Earth-fixed velocities of the platform, m/s.

    Returns:
        Range, incidence from the ellipsoid's normal and look azimuth at the targets; heading below the
        platform.
    """
    lon, lat = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg))
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    sight = ecef_m(lon_deg, lat_deg, height_m) - position_m
    slant_range_m = np.linalg.norm(sight, axis=-1)
    cos_incidence = -np.sum(sight * up, axis=-1) / slant_range_m
    below = np.hypot(position_m[..., 0], position_m[..., 1])
    platform_lon = np.arctan2(position_m[..., 1], position_m[..., 0])
    platform_lat = np.arctan2(position_m[..., 2], below)  # geocentric: changes no azimuth by more than 1e-3 deg
    return Viewing(
        slant_range_m,
        np.degrees(np.arccos(np.clip(cos_incidence, -1.0, 1.0))),
        _azimuth_deg(sight, lon, lat),
        _azimuth_deg(velocity_m_s, platform_lon, platform_lat),
        np.linalg.norm(velocity_m_s, axis=-1),
    )


def _azimuth_deg(vector: FloatArray, lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Azimuth of an Earth-fixed vector (..., 3) at a place given in radians."""
    outward = vector[..., 0] * np.cos(lon) + vector[..., 1] * np.sin(lon)
    east = vector[..., 1] * np.cos(lon) - vector[..., 0] * np.sin(lon)
    north = vector[..., 2] * np.cos(lat) - outward * np.sin(lat)
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360.0)


def azimuth_shift_m(
    sample: AcquisitionSample, velocity_east_m_s: ArrayLike, velocity_north_m_s: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Where a radar shows a moving target, relative to where it is at the pixel's zero-Doppler time.

    A target moving away from the radar at ground speed v along the look direction is imaged where a target at
    rest has the same range and range rate, -(R / V) v sin(incidence) along the flight: against it, for v > 0.
    The displacement keeps the range, so it lies at right angles to the look direction at the target.

    Args:
        sample: geometry at the targets.
        velocity_east_m_s: eastward speed over ground, broadcasting with the sample.
        velocity_north_m_s: northward speed over ground.

    Returns:
        (east_m, north_m): image position minus true position, metres; NaN where the sample has no angles.

    Reference: Raney 1971, IEEE Trans. AES 7(3), doi:10.1109/TAES.1971.310292. R / V with the platform's
    Earth-fixed speed in orbit holds for a curved, turning Earth; the tests solve the range-Doppler equations.
    """
    look = np.radians(sample.look_azimuth_deg)
    away_m_s = np.asarray(velocity_east_m_s) * np.sin(look) + np.asarray(velocity_north_m_s) * np.cos(look)
    # Flight direction at the target: square to the look direction, on the side of the heading.
    right = np.sin(look - np.radians(sample.heading_deg)) > 0.0
    flight = look - np.where(right, np.pi / 2.0, -np.pi / 2.0)
    delay_s = sample.slant_range_m * np.sin(np.radians(sample.incidence_deg)) / sample.platform_speed_m_s
    return -delay_s * away_m_s * np.sin(flight), -delay_s * away_m_s * np.cos(flight)


def utc64(time: datetime) -> np.datetime64:
    """An aware time as UTC numpy datetime64[us].

    Raises:
        ImageryError: the time has no zone.
    """
    if time.tzinfo is None:
        raise ImageryError(f"time {time} has no zone: give an aware UTC time")
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def add_seconds(start: np.datetime64, seconds: FloatArray) -> TimeArray:
    """``start`` plus seconds as datetime64[us]; NaT where seconds are not finite."""
    known = np.isfinite(seconds)
    micros = np.rint(np.where(known, seconds, 0.0) * 1e6).astype("timedelta64[us]")
    return np.where(known, start + micros, np.datetime64("NaT", "us"))


@dataclass(frozen=True, kw_only=True)
class StatedAcquisition:
    """One time for the whole scene and nothing about angles: a plain GeoTIFF.

    Attributes:
        time: UTC, aware; None where the file does not say.
        time_sigma_s: one sigma of the time over the scene, seconds (ignored without a time).
    """

    time: datetime | None = None
    time_sigma_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse a time without a zone and a sigma that is not positive."""
        if self.time is not None:
            utc64(self.time)
        if not self.time_sigma_s > 0.0:
            raise ImageryError(f"time sigma must be positive seconds, got {self.time_sigma_s}")

    @property
    def source(self) -> str:
        """Says that all but the time is not available."""
        if self.time is None:
            return "time, angles, range and speed not available"
        return f"time as stated (sigma {self.time_sigma_s:g} s); angles, range and speed not available"

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """The stated time at every pixel; angles, range and speed NaN with infinite sigma."""
        shape = np.broadcast_shapes(np.shape(rows), np.shape(cols))
        known = self.time is not None
        time = utc64(self.time) if self.time is not None else np.datetime64("NaT", "us")
        nan, inf = np.full(shape, np.nan), np.full(shape, np.inf)
        return AcquisitionSample(
            time=np.full(shape, time),
            time_sigma_s=np.full(shape, self.time_sigma_s if known else np.inf),
            incidence_deg=nan,
            incidence_sigma_deg=inf,
            slant_range_m=nan,
            slant_range_sigma_m=inf,
            look_azimuth_deg=nan,
            look_azimuth_sigma_deg=inf,
            heading_deg=nan,
            platform_speed_m_s=nan,
            source=self.source,
        )
