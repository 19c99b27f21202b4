"""Where a ship was at a given instant, and how surely: between two reports, or shortly before or after one.

Mean: the cubic through both reports with their reported velocities (Hermite); where a velocity is missing, the curve
of least acceleration without it. Spread: that of nearly constant velocity with white acceleration of density q, given
both reports: q T^3 u^3 (1-u)^3 / 3 per axis, with T the gap and u the fraction of it; past one report q dt^3 / 3.

Reference: Bar-Shalom, Li and Kirubarajan 2001, Estimation with Applications to Tracking and Navigation, section 6.2;
measured on real AIS in offing's AIS design note, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import moved, offset_m
from offing.ais.tracks import GPS_SIGMA_M, SPEED_SIGMA_M_S, Tracks

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# A ship is carried on past its last report, or back before its first, by so much and no more (section 3).
MAX_DEAD_RECKONING_S = 900.0
# q in m2/s3 (section 3): still ships 1e-5; moving ones are expected at 1e-3 (between an open lane's 1.5e-4 and a
# harbour's 1e-2) and then learnt from two hours of their own reports, the expectation weighing as much as four axes.
Q_STILL_M2_S3 = 1e-5
Q_PRIOR_M2_S3 = 1e-3
Q_PRIOR_WEIGHT = 4.0
Q_WINDOW_S = 7200.0
Q_RANGE_M2_S3 = (5e-5, 5e-2)  # the fitted extremes of section 3, with a factor of two to five
# Other errors (section 3), besides those of place and speed: time 2 s; hull centre .2 of the length where the antenna's
# place is not known, and the same of a 50 m ship where not even the length is.
TIME_SIGMA_S = 2.0
CENTRE_SIGMA_LENGTHS = 0.2
CENTRE_SIGMA_UNKNOWN_M = 10.0
# A ship still at both reports and moved less than this between them stayed on her anchor: the radius of a swinging
# circle, chain and hull (seldom more in less than 50 m of water).
SWING_M = 300.0


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Places of hull centres, one per asked (segment, time); all arrays have shape (k,).

    Attributes:
        placed: True where a place can be told; elsewhere lon and lat are those of the nearest report.
        bracketed: True where reports on both sides were used.
        lon, lat: degrees.
        east_m_s, north_m_s: velocity over ground.
        var_east_m2, cov_east_north_m2, var_north_m2: covariance of the place.
        heading_deg: direction of the bow, NaN if unknown.
        nearest_s: time of the nearest report minus the time asked for, seconds.
        gap_s: seconds between the reports on both sides, NaN where there is only one side.
    """

    placed: BoolArray
    bracketed: BoolArray
    lon: FloatArray
    lat: FloatArray
    east_m_s: FloatArray
    north_m_s: FloatArray
    var_east_m2: FloatArray
    cov_east_north_m2: FloatArray
    var_north_m2: FloatArray
    heading_deg: FloatArray
    nearest_s: FloatArray
    gap_s: FloatArray

    @property
    def sigma_m(self) -> FloatArray:
        """One-sigma error per axis, the mean of both, metres."""
        return np.asarray(np.sqrt((self.var_east_m2 + self.var_north_m2) / 2.0))


def place(tracks: Tracks, segments: IntArray, time_us: IntArray) -> Placement:
    """Where ships were.

    Args:
        tracks: the tracks.
        segments: indices of segments, shape (k,).
        time_us: an instant for each, microseconds since 1970 UTC, shape (k,).

    Returns:
        One place per pair.
    """
    before = tracks.rows_until(segments, time_us)
    has_before = before >= tracks.start[segments]
    has_after = before + 1 < tracks.start[segments + 1]
    first = np.where(has_before, before, before + 1)
    second = np.where(has_after, before + 1, before)
    span = (tracks.time_us[second] - tracks.time_us[first]) / 1e6
    since = (time_us - tracks.time_us[first]) / 1e6
    bracketed = has_before & has_after & (span > 0)
    q = _acceleration(tracks, segments, time_us)
    east, north, v_east, v_north, variance = np.where(
        bracketed, _between(tracks, first, second, span, since, q), _beyond(tracks, first, second, since, q)
    )
    placed = bracketed | ((np.abs(since) <= MAX_DEAD_RECKONING_S) & tracks.velocity_known[first])
    nearest = np.where(bracketed & (since > span / 2), second, first)
    east, north = np.where(placed, east, 0.0), np.where(placed, north, 0.0)
    ahead, right, centre_variance = _hull_centre(tracks, segments, nearest)
    lon, lat = moved(tracks.lon[first], tracks.lat[first], east + ahead, north + right)
    base = variance + GPS_SIGMA_M**2 + centre_variance
    return Placement(
        placed=placed,
        bracketed=bracketed,
        lon=lon,
        lat=lat,
        east_m_s=v_east,
        north_m_s=v_north,
        var_east_m2=base + (TIME_SIGMA_S * v_east) ** 2,
        cov_east_north_m2=TIME_SIGMA_S**2 * v_east * v_north,
        var_north_m2=base + (TIME_SIGMA_S * v_north) ** 2,
        heading_deg=tracks.heading_deg[nearest],
        nearest_s=(tracks.time_us[nearest] - time_us) / 1e6,
        gap_s=np.where(bracketed, span, np.nan),
    )


def _between(
    tracks: Tracks, first: IntArray, second: IntArray, span: FloatArray, since: FloatArray, q: FloatArray
) -> FloatArray:
    """East and north metres from the first report, velocity, and variance, inside a gap; shape (5, k)."""
    whole = offset_m(tracks.lon[first], tracks.lat[first], tracks.lon[second], tracks.lat[second])
    span = np.where(span > 0, span, 1.0)
    u = np.clip(since / span, 0.0, 1.0)
    at_anchor = tracks.still[first] & tracks.still[second] & (np.hypot(*whole) < SWING_M)
    known0, known1 = tracks.velocity_known[first] & ~at_anchor, tracks.velocity_known[second] & ~at_anchor
    which = [known0 & known1, known0, known1]
    w = 1.0 - u
    # Weights of the whole way, of span x first velocity and of span x second velocity; the same for the velocity.
    way = np.select(which, [u**2 * (3 - 2 * u), u**2 * (3 - u) / 2, 1 - w**2 * (3 - w) / 2], u)
    by0 = np.select(which[:2], [u * w**2, u - u**2 * (3 - u) / 2], 0.0)
    by1 = np.select(which, [-(u**2) * w, np.zeros_like(u), w**2 * (3 - w) / 2 - w], 0.0)
    d_way = np.select(which, [6 * u * w, 3 * u - 1.5 * u**2, 3 * w - 1.5 * w**2], 1.0)
    d_by0 = np.select(which[:2], [1 - 4 * u + 3 * u**2, 1 - 3 * u + 1.5 * u**2], 0.0)
    d_by1 = np.select(which, [3 * u**2 - 2 * u, np.zeros_like(u), 1 - 3 * w + 1.5 * w**2], 0.0)
    factor = np.select(
        which, [u**3 * w**3 / 3, u**3 * w**2 * (4 - u) / 12, w**3 * u**2 * (4 - w) / 12], u**2 * w**2 / 3
    )
    variance = q * span**3 * factor + (SPEED_SIGMA_M_S * span) ** 2 * (by0**2 + by1**2)
    variance = np.where(at_anchor, np.minimum(Q_STILL_M2_S3 * span**3 * factor, SWING_M**2), variance)
    places, speeds = [], []
    for along, velocity in zip(whole, (tracks.east_m_s, tracks.north_m_s), strict=True):
        places.append(way * along + span * (by0 * velocity[first] + by1 * velocity[second]))
        speed = d_way * along / span + d_by0 * velocity[first] + d_by1 * velocity[second]
        speeds.append(np.where(at_anchor, 0.0, speed))
    return np.stack([*places, *speeds, variance])


def _beyond(tracks: Tracks, first: IntArray, second: IntArray, since: FloatArray, q: FloatArray) -> FloatArray:
    """The same past the last report or before the first, at constant velocity; shape (5, k)."""
    still = tracks.still[first]
    v_east = np.where(still, 0.0, tracks.east_m_s[first])
    v_north = np.where(still, 0.0, tracks.north_m_s[first])
    speed_variance = np.where(still, 0.0, SPEED_SIGMA_M_S**2 * since**2)
    variance = np.where(still, Q_STILL_M2_S3, q) * np.abs(since) ** 3 / 3.0 + speed_variance
    return np.stack([v_east * since, v_north * since, v_east, v_north, variance])


def _acceleration(tracks: Tracks, segments: IntArray, time_us: IntArray) -> FloatArray:
    """Acceleration density q of each ship around an instant: expected, then moved by her own errors (inverse gamma)."""
    half = int(Q_WINDOW_S / 2 * 1e6)
    low = np.maximum(tracks.rows_until(segments, time_us - half) + 1, tracks.start[segments])
    high = tracks.rows_until(segments, time_us + half) + 1
    squares = tracks.innovation_sum[high] - tracks.innovation_sum[low]
    weight = tracks.innovation_weight[high] - tracks.innovation_weight[low]
    q = (Q_PRIOR_WEIGHT * Q_PRIOR_M2_S3 + squares) / (Q_PRIOR_WEIGHT + weight)
    return np.clip(q, *Q_RANGE_M2_S3)


def _hull_centre(tracks: Tracks, segments: IntArray, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """East and north metres from antenna to hull centre, and the variance of not knowing it."""
    heading = np.radians(tracks.heading_deg[rows])
    ahead, right = tracks.ahead_m[segments], tracks.right_m[segments]
    east = ahead * np.sin(heading) + right * np.cos(heading)
    north = ahead * np.cos(heading) - right * np.sin(heading)
    length = tracks.length_m[segments]
    unknown = np.where(np.isfinite(length), CENTRE_SIGMA_LENGTHS * length, CENTRE_SIGMA_UNKNOWN_M) ** 2
    known = np.isfinite(east) & np.isfinite(north)
    turned = np.isfinite(ahead) & np.isfinite(right) & ~known  # place on the hull known, heading not
    unknown = np.where(turned, (ahead**2 + right**2) / 2.0, unknown)
    return np.where(known, east, 0.0), np.where(known, north, 0.0), np.where(known, 0.0, unknown)
