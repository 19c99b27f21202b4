"""Where a simulated vessel is at any time: a smooth track with the speed and course that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.special import ndtr

from imagery.geometry import FloatArray, metres_per_degree
from imagery.simulate.frame import LocalFrame, seconds

SMOOTH_S = 150.0  # how gradually a ship turns and changes speed, standard deviation of the smoothing in time


class TrackState(NamedTuple):
    """A vessel's motion; NaN at times when it is not there.

    Attributes:
        lon, lat: middle of the hull, degrees.
        speed_m_s: speed over ground.
        course_deg: course over ground, clockwise from true north, [0, 360).
        heading_deg: where the bow points, clockwise from true north, [0, 360).
    """

    lon: FloatArray
    lat: FloatArray
    speed_m_s: FloatArray
    course_deg: FloatArray
    heading_deg: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A stay in or passage through the area: cubic splines through knots, twice continuously differentiable.

    Attributes:
        frame: plane of the knots.
        time_s: times of the knots, seconds since 1970 UTC, rising.
        x_m, y_m: places of the knots in the plane.
        heading_deg: headings at the knots, unwrapped.
    """

    frame: LocalFrame
    time_s: FloatArray
    x_m: FloatArray
    y_m: FloatArray
    heading_deg: FloatArray

    @property
    def arrival_s(self) -> float:
        """Time from which the vessel is there, seconds since 1970 UTC."""
        return float(self.time_s[0])

    @property
    def departure_s(self) -> float:
        """Time from which the vessel is gone, seconds since 1970 UTC."""
        return float(self.time_s[-1])

    @cached_property
    def _spline(self) -> CubicSpline:
        return CubicSpline(self.time_s - self.time_s[0], np.column_stack([self.x_m, self.y_m, self.heading_deg]))

    def at(self, times: ArrayLike) -> TrackState:
        """The vessel's motion.

        Args:
            times: datetime64 (UTC) or an aware datetime, any shape.

        Returns:
            Arrays of that shape, NaN before arrival and from departure on.
        """
        return self.at_seconds(seconds(times))

    def at_seconds(self, time_s: ArrayLike) -> TrackState:
        """The vessel's motion at seconds since 1970 UTC."""
        t = np.asarray(time_s, float)
        t = np.where((t >= self.arrival_s) & (t < self.departure_s), t - self.arrival_s, np.nan)
        x, y, heading = np.moveaxis(self._spline(t), -1, 0)
        vx, vy, _ = np.moveaxis(self._spline(t, 1), -1, 0)
        lon, lat = self.frame.lonlat(x, y)
        here, middle = metres_per_degree(lat), self.frame.scale_m
        east, north = vx * here[0] / middle[0], vy * here[1] / middle[1]
        course = np.degrees(np.arctan2(east, north)) % 360.0
        return TrackState(lon, lat, np.hypot(east, north), course, heading % 360.0)


def smoothed_path(
    knots_s: FloatArray, way_s: FloatArray, way_m: FloatArray, smooth_s: float = SMOOTH_S
) -> tuple[FloatArray, FloatArray]:
    """Motion from waypoint to waypoint at even speeds, convolved with a Gaussian in time.

    Args:
        knots_s: times wanted (n,).
        way_s: times of the waypoints (m,), rising.
        way_m: places of the waypoints (m, 2).
        smooth_s: standard deviation of the Gaussian, seconds.

    Returns:
        Places (n, 2) and velocities (n, 2), exact: each change of velocity becomes a Gaussian integral in time.
    """
    speeds = np.diff(way_m, axis=0) / np.diff(way_s)[:, None]
    changes = np.diff(speeds, axis=0)
    since = knots_s[:, None] - way_s[None, 1:-1]
    share = ndtr(since / smooth_s)
    ramp = since * share + smooth_s / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * (since / smooth_s) ** 2)
    places = way_m[0] + (knots_s - way_s[0])[:, None] * speeds[0] + ramp @ changes
    return places, speeds[0] + share @ changes


def holding_share(knots_s: FloatArray, start_s: float, end_s: float, smooth_s: float = SMOOTH_S) -> FloatArray:
    """How much a vessel lies still, 0..1, for a hold between two times."""
    return np.asarray(ndtr((knots_s - start_s) / smooth_s) - ndtr((knots_s - end_s) / smooth_s), float)
