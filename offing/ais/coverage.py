"""Whether silence means anything: was AIS from others received around a place at that time?"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from offing.ais.candidates import sphere_m
from offing.ais.tracks import FloatArray, IntArray, Tracks

# Reports within 20 km and one hour on either side (design note, section 5; 20 km is well inside the 40 nautical
# miles or so of a shore station, and about the horizon between two ships' antennas).
COVERAGE_M = 20_000.0
COVERAGE_S = 3600.0


def stations_heard(
    tracks: Tracks, lon: FloatArray, lat: FloatArray, time_us: IntArray, left_out: list[IntArray]
) -> IntArray:
    """How many different stations of any kind were received around places and times.

    Args:
        tracks: tracks of all stations, base stations and aids to navigation among them.
        lon: degrees, shape (n,).
        lat: degrees, shape (n,).
        time_us: microseconds since 1970 UTC, shape (n,).
        left_out: for each place, MMSIs that do not count, as they may be the object itself.

    Returns:
        Numbers of MMSIs, shape (n,).
    """
    count = np.zeros(len(lon), np.int64)
    if not len(lon):
        return count
    hour = int(COVERAGE_S * 1e6)
    near = (tracks.time_us >= time_us.min() - hour) & (tracks.time_us <= time_us.max() + hour)
    mmsi = np.repeat(tracks.mmsi, np.diff(tracks.start))[near]
    heard_us = tracks.time_us[near]
    if not len(mmsi):
        return count
    tree = cKDTree(sphere_m(tracks.lon[near], tracks.lat[near]))
    for row, rows in enumerate(tree.query_ball_point(sphere_m(lon, lat), COVERAGE_M)):
        rows = np.asarray(rows, np.int64)
        rows = rows[np.abs(heard_us[rows] - time_us[row]) <= hour]
        count[row] = len(np.setdiff1d(mmsi[rows], left_out[row]))
    return count
