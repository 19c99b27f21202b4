"""Splitting the reports of one MMSI where one ship cannot have made them all.

Reference: after the segmenter of Global Fishing Watch (gpsdio-segment, Apache-2), which keeps several segments open
at a time, so that two ships with one MMSI come out as two tracks and not as a zigzag.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import offset_m

# A pause after which nothing is known of the ship: GFW's max_hours.
MAX_GAP_S = 8 * 3600.0
# Nothing that floats and carries AIS goes faster; between two reports that is a jump only from 1 km on, as times
# are rounded to seconds and late (base rate of jumps: 53 of 10,615 US vessels; design note, section 6).
MAX_SPEED_M_S = 60.0 * 1852.0 / 3600.0
MIN_JUMP_M = 1000.0
# One MMSI in two places: far apart, and either several times to and fro or overlapping for long (section 6). Nearer
# by, both.
TWO_PLACES_FAR_M = 20_000.0
TWO_PLACES_ALTERNATIONS = 3
TWO_PLACES_OVERLAP_S = 600.0

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def segment(
    mmsi: NDArray[np.integer], time_us: IntArray, lon: FloatArray, lat: FloatArray
) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Which reports belong together.

    Args:
        mmsi: identifiers, sorted, shape (n,).
        time_us: microseconds, sorted within each MMSI, shape (n,).
        lon: degrees, shape (n,).
        lat: degrees, shape (n,).

    Returns:
        For the rows in their new order, the number of their segment, shape (n,), counted from 0 by (mmsi, first
        report); that order as indices, shape (n,); per segment, whether its MMSI was in two places at once.
    """
    n = len(mmsi)
    if n == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
    time_s = (time_us - time_us.min()) / 1e6
    change = np.concatenate([[True], mmsi[1:] != mmsi[:-1]])
    gap_s = np.diff(time_s, prepend=time_s[0])
    step_m = np.concatenate([[0.0], np.hypot(*offset_m(lon[:-1], lat[:-1], lon[1:], lat[1:]))])
    local = np.cumsum(~change & (gap_s > MAX_GAP_S))
    local -= np.maximum.accumulate(np.where(change, local, 0))  # numbered anew for each MMSI
    jump = ~change & (step_m > np.maximum(MIN_JUMP_M, MAX_SPEED_M_S * gap_s))
    twice = np.zeros(n, bool)
    starts = np.flatnonzero(change)
    ends = np.concatenate([starts[1:], [n]])
    for station in np.unique(np.searchsorted(starts, np.flatnonzero(jump), side="right") - 1):
        rows = slice(starts[station], ends[station])
        local[rows] = _untangled(time_s[rows], lon[rows], lat[rows])
        twice[rows] = _in_two_places(local[rows], time_s[rows], step_m[rows])
    order = np.lexsort((time_us, local, mmsi))
    new = np.concatenate([[True], (mmsi[order][1:] != mmsi[order][:-1]) | (np.diff(local[order]) != 0)])
    return np.cumsum(new) - 1, order, twice[order][new]


def _untangled(time_s: FloatArray, lon: FloatArray, lat: FloatArray) -> IntArray:
    """Segment numbers of one MMSI's reports, each joined to the nearest open segment that it can belong to."""
    last: list[int] = []  # the last report of each segment
    local = np.empty(len(time_s), np.int64)
    for row in range(len(time_s)):
        open_rows = np.array(last, dtype=np.int64)
        gap_s = time_s[row] - time_s[open_rows]
        away_m = np.hypot(*offset_m(lon[open_rows], lat[open_rows], lon[row], lat[row]))
        possible = (gap_s <= MAX_GAP_S) & (away_m <= np.maximum(MIN_JUMP_M, MAX_SPEED_M_S * gap_s))
        if possible.any():
            chosen = int(np.argmin(np.where(possible, away_m, np.inf)))
            last[chosen] = row
        else:
            chosen = len(last)
            last.append(row)
        local[row] = chosen
    return local


def _in_two_places(local: IntArray, time_s: FloatArray, step_m: FloatArray) -> bool:
    """Whether segments of one MMSI run side by side; a lone stray report is a fault of reception, no second ship."""
    count = np.bincount(local)
    tracks = count[local] >= 2
    local, time_s, step_m = local[tracks], time_s[tracks], step_m[tracks]
    if len(np.unique(local)) < 2:
        return False
    turns = np.concatenate([[False], local[1:] != local[:-1]])
    far, near = turns & (step_m > TWO_PLACES_FAR_M), turns & (step_m > MIN_JUMP_M)
    names = np.unique(local)
    first = np.array([time_s[local == name].min() for name in names])
    final = np.array([time_s[local == name].max() for name in names])
    by_start = np.argsort(first, kind="stable")
    first, final = first[by_start], final[by_start]
    overlap_s = np.max(np.minimum(np.maximum.accumulate(final)[:-1], final[1:]) - first[1:])
    often, long = far.sum() >= TWO_PLACES_ALTERNATIONS, overlap_s >= TWO_PLACES_OVERLAP_S
    return bool(often or (long and far.any()) or (long and near.sum() >= TWO_PLACES_ALTERNATIONS))
