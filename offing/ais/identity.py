"""What a station is by its number, and what about its words does not hold together."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.geometry import offset_m
from offing.ais.tracks import KN_M_S, IntArray, Tracks

# Maritime identification digits in use, ITU-R M.585-9 and the ITU's MID table: 201 (Albania) to 775 (Venezuela).
MID_RANGE = (201, 775)
# Speeds: nothing that floats and carries AIS reports more than 60 kn; reported speed and way made good differ by less
# than 8.6 kn in 99.9 % of reports, so for five minutes on end it is no chance (design note, section 6).
MAX_SPEED_KN = 60.0
SPEED_MISMATCH_KN = 8.6
SPEED_MISMATCH_MIN_S = 300.0
# Way made good is told from steps in which 10 m of GPS noise at each end are less than 1 kn, and which are not gaps.
_STEP_S = (30.0, 1200.0)
_SPEED_WINDOW_S = 1800.0
# Length heard against length seen: doubtful where it lies outside the seen interval by more than this factor. The
# SAR factor is three standard deviations of ln(seen / AIS) = .43 to .49 (Sentinel-1 and RADARSAT-2, section 4); an
# optical hull is outlined at 10 m pixels, so that half as long again is already two pixels on a 40 m hull.
LENGTH_FACTOR_SAR = 3.8
LENGTH_FACTOR_OPTICAL = 1.5
# Never doubted for length where both are short: below this a pixel and a rounding make any ratio.
LENGTH_SURE_M = 15.0


class Station(StrEnum):
    """What an MMSI stands for."""

    SHIP = "ship"
    BASE_STATION = "base station"
    AID_TO_NAVIGATION = "aid to navigation"
    AIRCRAFT = "search and rescue aircraft"
    BEACON = "locating beacon"
    AUXILIARY = "craft of a parent ship"
    INVALID = "not a valid MMSI"


# Stations that can be heard, and so prove coverage, but are no floating hull to be matched.
NEVER_A_SHIP = (Station.BASE_STATION, Station.AID_TO_NAVIGATION, Station.AIRCRAFT)


def _mid_ok(mid: IntArray) -> NDArray[np.bool_]:
    return (mid >= MID_RANGE[0]) & (mid <= MID_RANGE[1])


def stations(mmsi: ArrayLike) -> NDArray[np.str_]:
    """What kind of station each MMSI belongs to, a `Station` value per number.

    Args:
        mmsi: identifiers as numbers (leading zeros lost), shape (n,).

    Returns:
        Words, shape (n,).

    Reference: ITU-R M.585-9, annexes 1 and 2: MIDxxxxxx ship, 00MIDxxxx coast station, 111MIDaxx aircraft,
    99MIDaxxx aid to navigation, 98MIDxxxx craft of a parent ship, 970, 972 and 974 locating devices.
    """
    number = np.asarray(mmsi, np.int64)
    nine = (number >= 10**8) & (number < 10**9)
    conditions = [
        nine & _mid_ok(number // 10**6),
        (number < 10**7) & _mid_ok(number // 10**4),
        nine & (number // 10**7 == 99),
        nine & (number // 10**6 == 111),
        nine & np.isin(number // 10**6, (970, 972, 974)),
        nine & (number // 10**7 == 98),
    ]
    words = [
        Station.SHIP,
        Station.BASE_STATION,
        Station.AID_TO_NAVIGATION,
        Station.AIRCRAFT,
        Station.BEACON,
        Station.AUXILIARY,
    ]
    return np.select(conditions, [np.array(word.value) for word in words], np.array(Station.INVALID.value))


def imo_valid(imo: ArrayLike) -> NDArray[np.bool_]:
    """Whether IMO numbers have seven digits and pass their check digit (sum of the first six times 7 to 2, mod 10).

    Args:
        imo: numbers, shape (n,); 0 means that none was sent, and is False here.

    Returns:
        True where valid, shape (n,).

    Reference: IMO resolution A.1117(30), annex, paragraph 3; base rate of bad ones 2.3 % (design note, section 6).
    """
    number = np.asarray(imo, np.int64)
    digits = (number[..., None] // 10 ** np.arange(6, -1, -1)) % 10
    check = (digits[..., :6] * np.arange(7, 1, -1)).sum(axis=-1) % 10
    return np.asarray((number >= 10**6) & (number < 10**7) & (check == digits[..., 6]), bool)


def length_plausible(ais_m: ArrayLike, low_m: ArrayLike, high_m: ArrayLike, factor: ArrayLike) -> NDArray[np.bool_]:
    """Whether a length heard can belong to a hull seen; True where either is not known.

    Args:
        ais_m: length by AIS, metres, NaN if unknown.
        low_m: lower end of the seen length, metres, NaN if unknown.
        high_m: upper end, metres.
        factor: how far outside the interval the AIS length may lie, as a ratio.

    Returns:
        True where plausible, in the common shape.
    """
    ais, low, high = np.asarray(ais_m, float), np.asarray(low_m, float), np.asarray(high_m, float)
    too_long = ais > np.maximum(high * factor, LENGTH_SURE_M)
    too_short = ais < np.where(low <= LENGTH_SURE_M, 0.0, low / factor)
    return np.asarray(~(too_long | too_short))


def doubts(tracks: Tracks, segment: int, time_us: int) -> list[str]:
    """What a ship says of itself that cannot be so, apart from its length.

    Args:
        tracks: the tracks.
        segment: index of the ship's segment.
        time_us: instant of the image, microseconds since 1970 UTC.

    Returns:
        Plain clauses, empty where nothing is doubtful.
    """
    found = []
    mmsi, imo = int(tracks.mmsi[segment]), int(tracks.imo[segment])
    station = str(stations([mmsi])[0])
    if station != Station.SHIP:
        found.append(f"MMSI {mmsi} is {_article(station)}")
    if imo and not imo_valid([imo])[0]:
        found.append(f"IMO number {imo} fails its check digit")
    if tracks.two_places[segment]:
        found.append(f"MMSI {mmsi} was heard from two places at once")
    return found + _speed_doubts(tracks, segment, time_us)


def _article(station: str) -> str:
    if station == Station.INVALID:
        return "not a valid ship's number"
    return f"the number of {'an' if station[0] in 'aeiou' else 'a'} {station}, not of a ship"


def _speed_doubts(tracks: Tracks, segment: int, time_us: int) -> list[str]:
    """Speeds that no ship makes, or that its own positions contradict, within half an hour of the image."""
    rows = np.arange(tracks.start[segment], tracks.start[segment + 1])
    rows = rows[np.abs(tracks.time_us[rows] - time_us) <= _SPEED_WINDOW_S * 1e6]
    if not len(rows):
        return []
    fastest = np.nan_to_num(tracks.sog_kn[rows]).max()
    if fastest > MAX_SPEED_KN:
        return [f"it reports {fastest:.0f} kn"]
    _, a_minute = np.unique(tracks.time_us[rows] // 60_000_000, return_index=True)
    first, second = rows[a_minute][:-1], rows[a_minute][1:]
    step_s = (tracks.time_us[second] - tracks.time_us[first]) / 1e6
    use = (step_s >= _STEP_S[0]) & (step_s <= _STEP_S[1]) & np.isfinite(tracks.sog_kn[first] + tracks.sog_kn[second])
    first, second, step_s = first[use], second[use], step_s[use]
    if step_s.sum() < SPEED_MISMATCH_MIN_S:
        return []
    way = np.hypot(*offset_m(tracks.lon[first], tracks.lat[first], tracks.lon[second], tracks.lat[second]))
    made_kn = way / step_s / KN_M_S
    told_kn = (tracks.sog_kn[first] + tracks.sog_kn[second]) / 2.0
    if np.median(np.abs(made_kn - told_kn)) <= SPEED_MISMATCH_KN:
        return []
    return [f"it reports {np.median(told_kn):.1f} kn while its positions make {np.median(made_kn):.1f} kn"]
