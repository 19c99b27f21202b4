"""Reports to tracks: one per ship, split where one ship cannot have made both reports.

A track is a stretch of rows in flat arrays; there is no object per ship.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imagery.geometry import offset_m
from offing.ais.schema import AisData
from offing.ais.segments import segment

KN_M_S = 1852.0 / 3600.0  # one knot, by definition
# Below this a ship is held to be still: AIS speeds at anchor scatter up to about half a knot (design note, section 3).
STILL_KN = 0.5

# Accelerations (the nearly-constant-velocity model's q, m2/s3) are learnt from each ship's own reports: one left out,
# predicted from neighbours at least four minutes away on each side (nearer ones show only the GPS's noise: 10 m
# against sqrt(q T^3 / 192) = 9 m at q = 1.5e-4 and T = 8 min) and at most 40 minutes apart.
INNOVATION_MIN_S, INNOVATION_MAX_SPAN_S = 240.0, 2400.0
# Errors of a report, one sigma per axis (section 3): place 10 m, speed .3 kn.
GPS_SIGMA_M = 10.0
SPEED_SIGMA_M_S = 0.3 * KN_M_S

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Tracks of many ships; n reports ordered by (mmsi, segment, time), m segments.

    Attributes:
        time_us: time of each report, microseconds since 1970 UTC, shape (n,).
        lon, lat: antenna's place in degrees, shape (n,).
        east_m_s, north_m_s: reported velocity, zero where it is not known, shape (n,).
        velocity_known: True where speed and course were both reported, or the ship is still, shape (n,).
        still: True where the reported speed is below `STILL_KN`, shape (n,).
        heading_deg: reported heading, else the course of a ship above 2 kn, else NaN, shape (n,).
        sog_kn: reported speed, NaN where not reported, shape (n,).
        start: first row of each segment, and n at the end, shape (m + 1,).
        mmsi: identifier of each segment, shape (m,).
        segment: number of the segment within its MMSI, by first report, shape (m,).
        name, imo, length_m, width_m, ais_class: the segment's last reported values; '', 0 or NaN if none, shape (m,).
        ahead_m, right_m: from antenna to hull centre, toward the bow and to starboard; NaN if unknown, shape (m,).
        two_places: True where this MMSI was heard from two places at once, shape (m,).
        innovation_sum, innovation_weight: running sums over the rows of weighted squared prediction errors per unit
            of their factor (m2/s3), and of the weights, shape (n + 1,).
    """

    time_us: IntArray
    lon: FloatArray
    lat: FloatArray
    east_m_s: FloatArray
    north_m_s: FloatArray
    velocity_known: NDArray[np.bool_]
    still: NDArray[np.bool_]
    heading_deg: FloatArray
    sog_kn: FloatArray
    start: IntArray
    mmsi: IntArray
    segment: IntArray
    name: NDArray[np.str_]
    imo: IntArray
    length_m: FloatArray
    width_m: FloatArray
    ais_class: NDArray[np.str_]
    ahead_m: FloatArray
    right_m: FloatArray
    two_places: NDArray[np.bool_]
    innovation_sum: FloatArray
    innovation_weight: FloatArray

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.mmsi)

    def rows_until(self, segments: IntArray, time_us: IntArray) -> IntArray:
        """Row of the last report of each segment at or before a time; one before its first row where there is none.

        Args:
            segments: indices of segments, shape (k,).
            time_us: microseconds since 1970 UTC, shape (k,).

        Returns:
            Rows, shape (k,).
        """
        return np.searchsorted(self._keys, _key(segments, time_us, self._origin_us), side="right") - 1

    @cached_property
    def _origin_us(self) -> int:
        return int(self.time_us.min()) if len(self.time_us) else 0

    @cached_property
    def _keys(self) -> IntArray:
        owner = np.repeat(np.arange(len(self)), np.diff(self.start))
        return _key(owner, self.time_us, self._origin_us)


def _key(segments: IntArray, time_us: IntArray, origin_us: int) -> IntArray:
    """One sortable number of segment and time: 2^44 us are 203 days, 2^19 segments."""
    return segments * 2**44 + np.clip(time_us - origin_us, -1, 2**44 - 2)


def build_tracks(data: AisData) -> Tracks:
    """Tracks of all stations in a table, of whatever kind (`offing.ais.identity` tells ships from others).

    Args:
        data: reports; at most half a year of them.

    Returns:
        Segments in the order of (mmsi, first report).

    Raises:
        ValueError: the reports span more than 200 days.
    """
    table = data.reports
    time_us = table["t"].dt.epoch("us").to_numpy()
    if len(time_us) and np.ptp(time_us) > 200 * 86400e6:
        raise ValueError("tracks are built from at most 200 days of reports; choose those around the image first")
    owner, order, two_places = segment(
        table["mmsi"].to_numpy(), time_us, table["lon"].to_numpy(), table["lat"].to_numpy()
    )
    table, time_us = table[order], time_us[order]
    start = np.concatenate([np.flatnonzero(np.diff(owner, prepend=-1)), [len(owner)]])
    mmsi = table["mmsi"].to_numpy()[start[:-1]].astype(np.int64)
    first_of_mmsi = np.searchsorted(mmsi, mmsi)
    motion = _motion(table)
    squares, weights = _innovations(time_us, table["lon"].to_numpy(), table["lat"].to_numpy(), motion, owner)
    return Tracks(
        time_us=time_us,
        lon=table["lon"].to_numpy(),
        lat=table["lat"].to_numpy(),
        start=start,
        mmsi=mmsi,
        segment=np.arange(len(mmsi)) - first_of_mmsi,
        two_places=two_places,
        innovation_sum=np.concatenate([[0.0], np.cumsum(squares)]),
        innovation_weight=np.concatenate([[0.0], np.cumsum(weights)]),
        **motion,
        **_static(table, owner),
    )


def _motion(table: pl.DataFrame) -> dict[str, Any]:
    """Velocity and heading of each report."""
    sog = table["sog_kn"].fill_null(np.nan).to_numpy()
    cog = table["cog_deg"].fill_null(np.nan).to_numpy()
    heading = table["heading_deg"].fill_null(np.nan).to_numpy()
    still = sog < STILL_KN
    known = np.isfinite(sog) & (np.isfinite(cog) | still)
    course = np.radians(np.nan_to_num(cog))
    speed = np.where(known & np.isfinite(cog), sog, 0.0) * KN_M_S
    # Above 2 kn hull and course differ by 16 degrees or less in 95 % of reports (design note, section 6).
    heading = np.where(np.isfinite(heading), heading, np.where(sog > 2.0, cog, np.nan))
    return {
        "east_m_s": speed * np.sin(course),
        "north_m_s": speed * np.cos(course),
        "velocity_known": known,
        "still": still,
        "heading_deg": heading,
        "sog_kn": sog,
    }


def _static(table: pl.DataFrame, owner: IntArray) -> dict[str, Any]:
    """Per segment: the last values that are not null, and where the hull's centre lies."""
    columns = ["name", "imo", "length_m", "width_m", "ais_class", "bow_m", "stern_m", "port_m", "starboard_m"]
    last = (
        table.select(columns)
        .with_columns(owner=pl.Series(owner, dtype=pl.Int64))
        .group_by("owner", maintain_order=True)
        .agg(pl.col(column).drop_nulls().last() for column in columns)
    )
    sizes = columns[2:4] + columns[5:]
    numbers = {column: last[column].cast(pl.Float64).fill_null(np.nan).to_numpy() for column in sizes}
    bow, stern, port, starboard = (numbers[column] for column in columns[5:])
    # A = C = 0 means that only the size is given, not the antenna's place (M.1371-5, figure 41).
    given = ~((np.nan_to_num(bow) == 0) & (np.nan_to_num(port) == 0))
    return {
        "name": last["name"].fill_null("").to_numpy().astype(str),
        "imo": last["imo"].cast(pl.Int64).fill_null(0).to_numpy(),
        "length_m": np.where(np.isfinite(numbers["length_m"]), numbers["length_m"], bow + stern),
        "width_m": np.where(np.isfinite(numbers["width_m"]), numbers["width_m"], port + starboard),
        "ais_class": last["ais_class"].fill_null("").to_numpy().astype(str),
        "ahead_m": np.where(given, (bow - stern) / 2.0, np.nan),
        "right_m": np.where(given, (starboard - port) / 2.0, np.nan),
    }


def _innovations(
    time_us: IntArray, lon: FloatArray, lat: FloatArray, motion: dict[str, Any], owner: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted squared errors of reports predicted from their neighbours, per unit of q, and the weights.

    Each axis of a report counts in proportion to the time it stands for, so that ten reports in four minutes weigh
    as much as one. Still ships and reports without velocity count nothing.
    """
    squares, weights = np.zeros(len(owner)), np.zeros(len(owner))
    if len(owner) < 3:
        return squares, weights
    origin, rows = int(time_us.min()), np.arange(len(owner))
    keys = _key(owner, time_us, origin)
    step = int(INNOVATION_MIN_S * 1e6)
    before = np.searchsorted(keys, _key(owner, time_us - step, origin), side="right") - 1
    after = np.minimum(np.searchsorted(keys, _key(owner, time_us + step, origin), side="left"), len(owner) - 1)
    use = (before >= 0) & (owner[before] == owner) & (owner[after] == owner) & (after > rows)
    for row in (before, after):
        use &= motion["velocity_known"][row] & ~motion["still"][row]
    rows = rows[use]
    before, after = before[use], after[use]
    span = (time_us[after] - time_us[before]) / 1e6
    u = (time_us[rows] - time_us[before]) / 1e6 / span
    east, north = offset_m(lon[before], lat[before], lon[after], lat[after])
    seen_east, seen_north = offset_m(lon[before], lat[before], lon[rows], lat[rows])
    by_first, by_second = span * u * (1 - u) ** 2, span * u**2 * (1 - u)  # weights of the velocities, seconds
    error2 = np.zeros(len(rows))
    for seen, whole, name in ((seen_east, east, "east_m_s"), (seen_north, north, "north_m_s")):
        velocity = motion[name]
        ends = velocity[before] * by_first - velocity[after] * by_second
        error2 += (seen - (u**2 * (3 - 2 * u) * whole + ends)) ** 2
    along = u**2 * (3 - 2 * u)
    noise2 = GPS_SIGMA_M**2 * (1 + along**2 + (1 - along) ** 2) + SPEED_SIGMA_M_S**2 * (by_first**2 + by_second**2)
    factor = span**3 * u**3 * (1 - u) ** 3 / 3.0
    near = np.clip((time_us[np.minimum(rows + 1, len(owner) - 1)] - time_us[rows - 1]) / 2e6, 0.0, INNOVATION_MIN_S)
    weight = np.where(span <= INNOVATION_MAX_SPAN_S, near / INNOVATION_MIN_S, 0.0)
    weights[rows] = 2.0 * weight
    squares[rows] = weight * np.maximum(error2 - 2.0 * noise2, 0.0) / factor
    return squares, weights
