"""When simulated satellites pass, and the exact geometry of what they see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from imagery.acquisition import AcquisitionSample
from imagery.geometry import FloatArray, Geometry, offset_m
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2, Sensor
from imagery.simulate.frame import datetime64, seconds

EARTH_RADIUS_M = 6_371_000.0  # mean radius; the simulated Earth is locally a sphere


@dataclass(frozen=True, kw_only=True)
class Orbit:
    """One repeating pass over the area.

    Attributes:
        label: part of scene ids.
        sensor: what flies.
        first: one time of passing, UTC.
        every: repeat cycle.
        heading_deg: direction of flight over ground, clockwise from north.
        incidence_deg: incidence angle in the middle of the area; the sensor looks to the right.
        altitude_m: height above ground.
        speed_m_s: speed relative to the Earth.
    """

    label: str
    sensor: Sensor
    first: datetime
    every: timedelta
    heading_deg: float
    incidence_deg: float
    altitude_m: float
    speed_m_s: float


# Dawn-dusk passes of Sentinel-1 (693 km, 12 days, Earth-fixed 7.59 km/s) as over Korea: evening ascending, and
# morning descending (late evening UTC) the day before. Sentinel-2 (786 km, 5 days with two satellites) about 02:20.
# Headings: asin(cos 98.18 / cos 37.8) less the turn of the Earth. ESA Sentinel-1 and Sentinel-2 mission guides.
ORBITS = (
    Orbit(
        label="S1",
        sensor=SENTINEL1_IW_GRD,
        first=datetime(2019, 5, 12, 9, 38, tzinfo=UTC),
        every=timedelta(days=12),
        heading_deg=346.8,
        incidence_deg=38.5,
        altitude_m=693_000.0,
        speed_m_s=7590.0,
    ),
    Orbit(
        label="S1",
        sensor=SENTINEL1_IW_GRD,
        first=datetime(2019, 5, 11, 21, 47, tzinfo=UTC),
        every=timedelta(days=12),
        heading_deg=193.2,
        incidence_deg=34.0,
        altitude_m=693_000.0,
        speed_m_s=7590.0,
    ),
    Orbit(
        label="S2",
        sensor=SENTINEL2,
        first=datetime(2019, 5, 13, 2, 20, tzinfo=UTC),
        every=timedelta(days=5),
        heading_deg=194.8,
        incidence_deg=4.0,
        altitude_m=786_000.0,
        speed_m_s=7450.0,
    ),
)


def passes(orbit: Orbit, start: datetime, end: datetime) -> list[datetime]:
    """Times of passing with start <= time < end."""
    number = -((orbit.first - start) // orbit.every)
    times = []
    while (time := orbit.first + number * orbit.every) < end:
        if time >= start:
            times.append(time)
        number += 1
    return times


@dataclass(frozen=True, kw_only=True)
class ExactAcquisition:
    """Acquisition geometry known without error: a straight pass over a spherical Earth.

    Attributes:
        geometry: the scene's.
        time: when the middle of the scene is seen.
        orbit: the pass.
    """

    geometry: Geometry
    time: datetime
    orbit: Orbit

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return "simulated (exact)"

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """Time and geometry at continuous pixel positions.

        Args:
            rows: continuous rows, any shape.
            cols: continuous columns, the same shape.
        """
        return self._sample(*self.geometry.lonlat(rows, cols))

    def at_lonlat(self, lon: ArrayLike, lat: ArrayLike) -> AcquisitionSample:
        """Time and geometry at places in degrees."""
        return self._sample(np.asarray(lon, float), np.asarray(lat, float))

    def time_s(self, lon: ArrayLike, lat: ArrayLike) -> FloatArray:
        """When a place is seen, seconds since 1970 UTC."""
        along, _ = self._offsets(np.asarray(lon, float), np.asarray(lat, float))
        ground_speed = self.orbit.speed_m_s * EARTH_RADIUS_M / (EARTH_RADIUS_M + self.orbit.altitude_m)
        return np.asarray(seconds(self.time) + along / ground_speed, float)

    def _offsets(self, lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Metres along the flight and to its right from the middle of the scene."""
        height, width = self.geometry.shape_hw
        middle = self.geometry.lonlat((height - 1) / 2.0, (width - 1) / 2.0)
        east, north = offset_m(*middle, lon, lat)
        sin, cos = np.sin(np.radians(self.orbit.heading_deg)), np.cos(np.radians(self.orbit.heading_deg))
        return east * sin + north * cos, east * cos - north * sin

    def _sample(self, lon: FloatArray, lat: FloatArray) -> AcquisitionSample:
        _, right = self._offsets(lon, lat)
        to_satellite = (EARTH_RADIUS_M + self.orbit.altitude_m) / EARTH_RADIUS_M
        incidence0 = np.radians(self.orbit.incidence_deg)
        off_nadir0 = incidence0 - np.arcsin(np.sin(incidence0) / to_satellite)  # angle at the Earth's centre
        central = off_nadir0 + right / EARTH_RADIUS_M
        slant_m = EARTH_RADIUS_M * np.sqrt(1.0 + to_satellite**2 - 2.0 * to_satellite * np.cos(central))
        sin_incidence = EARTH_RADIUS_M * to_satellite * np.sin(central) / slant_m
        exact, full = np.zeros_like(slant_m), np.ones_like(slant_m)
        return AcquisitionSample(
            time=datetime64(self.time_s(lon, lat)),
            time_sigma_s=exact,
            incidence_deg=np.degrees(np.arcsin(sin_incidence)),
            incidence_sigma_deg=exact,
            slant_range_m=slant_m,
            slant_range_sigma_m=exact,
            look_azimuth_deg=full * ((self.orbit.heading_deg + 90.0) % 360.0),
            look_azimuth_sigma_deg=exact,
            heading_deg=full * self.orbit.heading_deg,
            platform_speed_m_s=full * self.orbit.speed_m_s,
            source=self.source,
        )
