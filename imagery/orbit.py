"""A model of the Sentinel orbits: acquisition geometry for pixels that came without their annotation.

Both missions fly sun-synchronous repeat orbits that are kept within a few hundred metres of one fixed set of
ground tracks. A scene's place and time therefore name its track: among the tracks whose swath covers the
scene, neighbours pass 8 (Sentinel-1) or 10 (Sentinel-2) minutes apart in local solar time, while the time of
the node is kept to about a minute. The track gives the platform's position to about 1 km, and the rest is
geometry. Where the time is too vague for that, or no track fits, the swath position is unknown and the
uncertainties say so.

In a frame that turns with the Earth a sun-synchronous orbital plane turns once per mean solar day, westward;
so no sidereal time is needed. Against satellite state vectors (three Sentinel-1 products) and 20 sets of
NORAD elements propagated with SGP4 (2015-2026, both missions) the model errs by at most 0.3 km in height and
1.1 km across track.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from imagery.acquisition import MODE_TIME_SIGMA_S, Viewing, ecef_m, view
from imagery.geometry import WGS84_A_M, FloatArray

Platform = Literal["sentinel-1", "sentinel-2"]
Direction = Literal["ascending", "descending"]

EARTH_GM_M3_S2 = 3.986004418e14  # WGS 84, NIMA TR8350.2
EARTH_J2 = 1.08262668e-3  # EGM96
SOLAR_DAY_S = 86_400.0
# Eccentricity of the frozen orbit, perigee at the northernmost point: the value of the similar orbit of ERS
# (ESA/ESRIN, ERS-1 phase C: 0.001165), which the NORAD elements of both missions confirm.
FROZEN_ECCENTRICITY = 1.17e-3


@dataclass(frozen=True, kw_only=True)
class OrbitSpec:
    """A repeat orbit and the instrument on it.

    Attributes:
        name: mission.
        revolutions: orbits in one repeat cycle.
        cycle_days: length of the cycle, days.
        inclination_deg: mean inclination.
        first_node_deg: east longitude at which relative orbit 1 crosses the equator northward.
        node_local_time_h: mean local solar time of that crossing, hours.
        node_time_sigma_s: how far the local time strays, one sigma, seconds.
        right_looking: True for the side-looking radar, False for a swath about the nadir.
        incidence_range_deg: incidence at the near and far edge of the swath, from 0 for a nadir swath.
        time_sigma_s: how far the time at which a pixel is seen strays from the model's.
        incidence_sigma_deg: incidence error beyond that of the track.
    """

    name: Platform
    revolutions: int
    cycle_days: int
    inclination_deg: float
    first_node_deg: float
    node_local_time_h: float
    node_time_sigma_s: float
    right_looking: bool
    incidence_range_deg: tuple[float, float]
    time_sigma_s: float
    incidence_sigma_deg: float

    @cached_property
    def rate_rad_s(self) -> float:
        """Mean rate of the argument of latitude (nodal mean motion)."""
        return 2.0 * np.pi * self.revolutions / (self.cycle_days * SOLAR_DAY_S)

    @cached_property
    def semi_major_axis_m(self) -> float:
        """Mean semi-major axis whose nodal period under J2 is that of the repeat cycle.

        Reference: Kozai 1959, Astron. J. 64, 367 (secular terms), doi:10.1086/107958.
        """
        cos2 = np.cos(np.radians(self.inclination_deg)) ** 2
        axis_m = (EARTH_GM_M3_S2 / self.rate_rad_s**2) ** (1 / 3)
        for _ in range(5):
            drift = 0.75 * EARTH_J2 * (WGS84_A_M / axis_m) ** 2 * (8.0 * cos2 - 2.0)
            axis_m = (EARTH_GM_M3_S2 / (self.rate_rad_s / (1.0 + drift)) ** 2) ** (1 / 3)
        return float(axis_m)

    @property
    def tracks_apart_s(self) -> float:
        """Local solar time between neighbouring tracks over one place, seconds."""
        return SOLAR_DAY_S / self.revolutions

    def node_deg(self, relative_orbit: ArrayLike) -> FloatArray:
        """East longitude at which relative orbits (1 to ``revolutions``) cross the equator northward."""
        step = 360.0 * self.cycle_days / self.revolutions
        return np.asarray((self.first_node_deg - (np.asarray(relative_orbit) - 1.0) * step) % 360.0)

    def state(self, node_deg: ArrayLike, track_s: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Earth-fixed position and velocity on a frozen near-circular orbit, with the J2 terms of the radius.

        Args:
            node_deg: east longitude of the ascending node, degrees.
            track_s: seconds after the node.

        Returns:
            Positions in metres and velocities in m/s, each (..., 3).

        Reference: Kozai 1959, Astron. J. 64, 367 (short-period terms), doi:10.1086/107958.
        """
        node, t = np.broadcast_arrays(np.radians(node_deg), np.asarray(track_s, float))
        n, a, e = self.rate_rad_s, self.semi_major_axis_m, FROZEN_ECCENTRICITY
        m, tilt = n * t, np.radians(self.inclination_deg)
        spin_rad_s = 2.0 * np.pi / SOLAR_DAY_S
        j2_m = EARTH_J2 * WGS84_A_M**2 / a
        twice_m = j2_m / 4.0 * np.sin(tilt) ** 2
        radius = a * (1.0 - e * np.sin(m)) + 0.75 * j2_m * (1.0 - 3.0 * np.cos(tilt) ** 2) + twice_m * np.cos(2.0 * m)
        radius_rate = -n * (a * e * np.cos(m) + 2.0 * twice_m * np.sin(2.0 * m))
        u, u_rate = m - 2.0 * e * (np.cos(m) - 1.0), n * (1.0 + 2.0 * e * np.sin(m))
        outward = _plane_to_earth(np.cos(u), np.sin(u), tilt, node - spin_rad_s * t)
        onward = _plane_to_earth(-np.sin(u), np.cos(u), tilt, node - spin_rad_s * t)
        position = radius[..., None] * outward
        turning = spin_rad_s * np.stack([position[..., 1], -position[..., 0], 0.0 * radius], axis=-1)
        return position, radius_rate[..., None] * outward + (radius * u_rate)[..., None] * onward + turning

    def abeam_s(self, node_deg: ArrayLike, lon_deg: ArrayLike, lat_deg: ArrayLike, guess_s: ArrayLike) -> FloatArray:
        """Zero-Doppler times: when the platform has places at right angles to its Earth-fixed velocity.

        Newton steps on (target - platform) . velocity from a guess within a quarter of a revolution.

        Args:
            node_deg: east longitude of the ascending node, degrees.
            lon_deg: longitudes of places on the ellipsoid, degrees.
            lat_deg: geodetic latitudes, degrees.
            guess_s: first guess, seconds after the node.

        Returns:
            Seconds after the node; NaN for NaN places.
        """
        target = ecef_m(lon_deg, lat_deg)
        t = np.broadcast_to(np.asarray(guess_s, float), np.broadcast_shapes(np.shape(guess_s), target.shape[:-1]))
        for _ in range(12):
            position, velocity = self.state(node_deg, t)
            sight = target - position
            doppler = np.sum(sight * velocity, axis=-1)
            gravity = -(self.rate_rad_s**2) * position
            step = doppler / (np.sum(sight * gravity, axis=-1) - np.sum(velocity**2, axis=-1))
            t = t - step
            if not np.any(np.abs(step) > 1e-7):
                break
        return t

    def overhead_s(self, lat_deg: float, direction: Direction) -> float:
        """Seconds after the node at which the ground point reaches a latitude or comes nearest to it."""
        highest = np.sin(np.radians(self.inclination_deg))
        u = np.arcsin(np.clip(np.sin(np.radians(lat_deg)) / highest, -1.0, 1.0))
        return float((u if direction == "ascending" else np.pi - u) / self.rate_rad_s)

    def seen(self, node_deg: ArrayLike, lon_deg: ArrayLike, lat_deg: ArrayLike, track_s: ArrayLike) -> Viewing:
        """How the platform on a track sees places on the ellipsoid at seconds after the node."""
        return view(lon_deg, lat_deg, 0.0, *self.state(node_deg, track_s))


def _plane_to_earth(x: FloatArray, y: FloatArray, tilt: float, node: FloatArray) -> FloatArray:
    """Vectors of the orbital plane (x toward its node) in the Earth-fixed frame, node in radians."""
    y_level = y * np.cos(tilt)
    east = x * np.cos(node) - y_level * np.sin(node), x * np.sin(node) + y_level * np.cos(node)
    return np.stack([*east, y * np.sin(tilt)], axis=-1)


def off_nadir_deg(seen: Viewing) -> FloatArray:
    """Incidence with a sign: positive to the right of the track."""
    return seen.incidence_deg * np.sign(np.sin(np.radians(seen.look_azimuth_deg - seen.heading_deg)))


# Cycles: ESA, Sentinel-1 and Sentinel-2 user guides (175 orbits in 12 days, node 18:00; 143 in 10 days,
# descending node 10:30). Inclinations, node longitudes and node times: our means over 9 and 11 sets of NORAD
# elements, 2015-2026, all satellites (longitude scatter 0.003 and 0.007 deg, node time scatter 27 and 10 s);
# the three Sentinel-1 annotations give 0.147-0.152 deg and fix the numbering, "track 1 is the first east of
# Greenwich". Sentinel-2 swath 290 km, 20.6 deg field of view, up to 2.6 s between bands and detectors: ESA,
# Sentinel-2 User Handbook; those 2.6 s are +-10 km along track, up to 0.7 deg of incidence.
SPECS: dict[Platform, OrbitSpec] = {
    "sentinel-1": OrbitSpec(
        name="sentinel-1",
        revolutions=175,
        cycle_days=12,
        inclination_deg=98.183,
        first_node_deg=0.146,
        node_local_time_h=18.012,
        node_time_sigma_s=30.0,
        right_looking=True,
        incidence_range_deg=(29.1, 46.0),
        time_sigma_s=MODE_TIME_SIGMA_S["IW"],
        incidence_sigma_deg=0.0,
    ),
    "sentinel-2": OrbitSpec(
        name="sentinel-2",
        revolutions=143,
        cycle_days=10,
        inclination_deg=98.567,
        first_node_deg=0.993,
        node_local_time_h=22.503,
        node_time_sigma_s=10.0,
        right_looking=False,
        incidence_range_deg=(0.0, 11.9),
        time_sigma_s=0.75,
        incidence_sigma_deg=0.5,
    ),
}
