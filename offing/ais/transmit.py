"""What one vessel's AIS sends, and what of it is received."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imagery.geometry import moved, offset_m
from offing.ais.habits import Habits, Lie, Receiver, TrueVessel
from offing.ais.schema import SCHEMA
from offing.ais.tracks import KN_M_S, FloatArray

# Class A is carried from 300 gross tonnage on (SOLAS V/19.2.4), a hull of about 45 m, and by all passenger ships.
CLASS_A_LENGTH_M = 45.0
# EU fishing vessels carry AIS from 15 m on (directive 2002/59/EC, article 6a); below, few do anywhere.
SMALL_LENGTH_M = 15.0
# Reporting intervals in seconds by speed in knots: (up to, seconds). ITU-R M.1371-5, annex 1, tables 1 and 2, steady
# course; ships at anchor and slower than 3 kn, or class B slower than 2 kn, report every three minutes.
INTERVALS_S: dict[str, tuple[tuple[float, float], ...]] = {
    "A": ((0.5, 180.0), (14.0, 10.0), (23.0, 6.0), (np.inf, 2.0)),
    "B": ((2.0, 180.0), (14.0, 30.0), (23.0, 15.0), (np.inf, 5.0)),
}
# Type of ship by kind (M.1371-5 table 53).
SHIP_TYPES = {
    "fishing": 30,
    "dredger": 33,
    "tug": 52,
    "patrol": 55,
    "passenger": 60,
    "cargo": 70,
    "barge": 70,
    "tanker": 80,
}
_BRIDGE_AFT = frozenset({"cargo", "tanker", "barge"})
_STEP_S = 30.0  # speed is looked up so often to find the reporting interval
SOURCE = "simulated"


@dataclass(frozen=True, kw_only=True)
class Radio:
    """One vessel's radio, all season: what it sends and when it is off."""

    ais_class: str
    mmsi: int
    name: str
    imo: int | None
    length_m: float
    offset_m: tuple[float, float] = (0.0, 0.0)
    lie: str = ""
    off: FloatArray  # silences as rows (from, to), seconds since 1970


def radio_of(
    vessel: TrueVessel, around: Callable[[], Sequence[TrueVessel]], times_s: FloatArray, seed: int, habits: Habits
) -> Radio | None:
    """What a vessel does with her AIS, or None where she has none or never sends.

    Args:
        vessel: whose.
        around: gives the ships whose number she may take.
        times_s: image times, seconds since 1970 UTC.
        seed: decides every draw.
        habits: shares and errors.

    Returns:
        Her radio.
    """
    if not sends(vessel, seed, habits):
        return None
    rng = rng_of(seed, vessel.mmsi, "habits")
    big = vessel.length_m >= CLASS_A_LENGTH_M or vessel.kind == "passenger"
    off = np.empty((0, 2))
    if rng.random() < habits.quiet_share and len(times_s):
        around_s = rng.choice(times_s, max(1, len(times_s) // 10), replace=False)
        length = rng.uniform(*habits.quiet_h, len(around_s)) * 3600.0
        start = around_s - rng.random(len(around_s)) * length
        off = np.column_stack([start, start + length])
    own: dict[str, Any] = {"mmsi": vessel.mmsi, "name": vessel.name, "imo": vessel.imo, "length_m": vessel.length_m}
    if lies(vessel, seed, habits):
        own |= _lie(vessel, around, rng_of(seed, vessel.mmsi, "lie").random(4), habits)
    return Radio(ais_class="A" if big else "B", off=off, **own)


def _lie(
    vessel: TrueVessel, around: Callable[[], Sequence[TrueVessel]], draw: FloatArray, habits: Habits
) -> dict[str, Any]:
    """What a liar misstates: another's number, a length, or (also where there is no other) her place."""
    lie = list(Lie)[int(draw[0] * len(Lie))]
    victims = around() if lie is Lie.CLONE else ()
    if victims:
        victim = victims[int(draw[1] * len(victims))]
        return {"mmsi": victim.mmsi, "name": victim.name, "imo": victim.imo, "lie": lie.value}
    if lie is Lie.LENGTH:  # eight times or a tenth: no detector errs by so much
        false_m = min(8.0 * vessel.length_m, 400.0) if vessel.length_m < 60.0 else 0.1 * vessel.length_m
        return {"length_m": false_m, "lie": lie.value}
    far = habits.offset_m[0] + draw[2] * (habits.offset_m[1] - habits.offset_m[0])
    turn = 2.0 * np.pi * draw[3]
    return {"offset_m": (far * np.sin(turn), far * np.cos(turn)), "lie": Lie.OFFSET.value}


def lies(vessel: TrueVessel, seed: int, habits: Habits) -> bool:
    """Whether a vessel, if she sends, misstates something."""
    return bool(rng_of(seed, vessel.mmsi, "honesty").random() < habits.lying_share)


def sends(vessel: TrueVessel, seed: int, habits: Habits) -> bool:
    """Whether a vessel ever sends."""
    carries, silent = rng_of(seed, vessel.mmsi, "carriage").random(2)
    if vessel.mmsi <= 0 or silent < habits.silent_share:
        return False
    return bool(vessel.length_m >= SMALL_LENGTH_M or carries < habits.small_carry_share)


def reports_of(
    vessel: TrueVessel,
    radio: Radio,
    times_s: FloatArray,
    habits: Habits,
    receivers: Sequence[Receiver],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """What is received of one vessel."""
    sent_s = _message_times(vessel, radio, times_s, habits, rng)
    sent_s = sent_s[rng.random(len(sent_s)) >= habits.loss_share]
    _, first = np.unique(sent_s // habits.thin_s, return_index=True)
    sent_s = sent_s[first]
    lon, lat, speed, course, heading = (np.asarray(part, float) for part in vessel.track.at(time64(sent_s)))
    kept = np.isfinite(lon) & np.isfinite(lat) & heard(lon, lat, receivers)
    sent_s, lon, lat, speed, course, heading = (part[kept] for part in (sent_s, lon, lat, speed, course, heading))
    n = len(sent_s)
    bow, port = _antenna(vessel)
    ahead, right = bow - vessel.length_m / 2.0, vessel.width_m / 2.0 - port  # from the antenna to the hull's centre
    turn = np.radians(heading)
    noise = rng.normal(0.0, habits.position_sigma_m, (2, n))
    east = radio.offset_m[0] - ahead * np.sin(turn) - right * np.cos(turn) + noise[0]
    north = radio.offset_m[1] - ahead * np.cos(turn) + right * np.sin(turn) + noise[1]
    lon, lat = moved(lon, lat, east, north)
    v_east = speed * np.sin(np.radians(course)) + rng.normal(0.0, habits.velocity_sigma_m_s, n)
    v_north = speed * np.cos(np.radians(course)) + rng.normal(0.0, habits.velocity_sigma_m_s, n)
    stamped = np.round(sent_s + rng.normal(0.0, habits.time_sigma_s, n))
    gyro = np.round(heading + rng.normal(0.0, habits.heading_sigma_deg, n)) % 360.0
    status = np.where(speed < 0.3, 1.0, 7.0 if vessel.kind == "fishing" else 0.0)
    moving = {
        "t": pl.Series(time64(stamped)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        "lat": np.round(lat * 600_000.0) / 600_000.0,  # AIS counts 1e-4 of a minute
        "lon": np.round(lon * 600_000.0) / 600_000.0,
        "sog_kn": np.round(np.hypot(v_east, v_north) / KN_M_S, 1),
        "cog_deg": np.round(np.degrees(np.arctan2(v_east, v_north)) % 360.0, 1) % 360.0,
        "heading_deg": gyro if radio.ais_class == "A" else np.full(n, np.nan),
        "nav_status": status if radio.ais_class == "A" else np.full(n, np.nan),  # class B has none
    }
    return _table(moving, _said(vessel, radio, bow, port))


def _said(vessel: TrueVessel, radio: Radio, bow_m: float, port_m: float) -> dict[str, Any]:
    """The static part of the reports."""
    scale = radio.length_m / vessel.length_m
    return {
        "mmsi": radio.mmsi,
        "ais_class": radio.ais_class,
        "imo": radio.imo or None,
        "name": radio.name or None,
        "ship_type": SHIP_TYPES.get(vessel.kind, 90),
        "bow_m": float(round(bow_m * scale)),
        "stern_m": float(round(radio.length_m) - round(bow_m * scale)),
        "port_m": float(round(port_m)),
        "starboard_m": float(round(vessel.width_m) - round(port_m)),
        "length_m": float(round(radio.length_m)),
        "width_m": float(round(vessel.width_m)),
        "source": SOURCE,
    }


def _message_times(
    vessel: TrueVessel, radio: Radio, times_s: FloatArray, habits: Habits, rng: np.random.Generator
) -> FloatArray:
    """Times of sending, seconds since 1970: within the windows, at the intervals that speed asks for."""
    found = [np.empty(0)]
    here, gone = getattr(vessel.track, "arrival_s", -np.inf), getattr(vessel.track, "departure_s", np.inf)
    for start, end in _windows(
        times_s[(times_s + habits.window_s > here) & (times_s - habits.window_s < gone)], habits.window_s
    ):
        step = np.arange(start, end + _STEP_S, _STEP_S)
        _, _, speed, _, _ = vessel.track.at(time64(step))
        speed_kn = np.nan_to_num(np.asarray(speed, float)) / KN_M_S
        limits, intervals = zip(*INTERVALS_S[radio.ais_class], strict=True)
        rate = 1.0 / np.asarray(intervals)[np.searchsorted(limits, speed_kn, side="left")]
        sent = np.concatenate([[0.0], np.cumsum(rate[:-1] * _STEP_S)])
        number = np.arange(rng.random(), sent[-1])
        found.append(np.interp(number, sent, step))
    sent_s = np.concatenate(found)
    for begin, finish in radio.off:
        sent_s = sent_s[(sent_s < begin) | (sent_s > finish)]
    return sent_s


def _windows(times_s: FloatArray, half_s: float) -> list[tuple[float, float]]:
    """The spans around image times, those that touch joined."""
    joined: list[tuple[float, float]] = []
    for time in np.sort(times_s).tolist():
        if joined and time - half_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], time + half_s)
        else:
            joined.append((time - half_s, time + half_s))
    return joined


def heard(lon: FloatArray, lat: FloatArray, receivers: Sequence[Receiver]) -> NDArray[np.bool_]:
    """Whether any station hears a place; everywhere where there is none."""
    within = np.full(np.shape(lon), not receivers)
    for station in receivers:
        within |= np.hypot(*offset_m(station.lon, station.lat, lon, lat)) <= station.range_m
    return within


def _antenna(vessel: TrueVessel) -> tuple[float, float]:
    """Metres from the antenna to bow and port side: on the bridge, aft in cargo ships, a little off the middle."""
    aft = 0.85 if vessel.kind in _BRIDGE_AFT else 0.4
    return aft * vessel.length_m, 0.45 * vessel.width_m


def _table(moving: dict[str, Any], fixed: dict[str, Any]) -> pl.DataFrame:
    """Columns that vary and values that do not, as the canonical table."""
    frame = pl.DataFrame(moving, nan_to_null=True).with_columns(
        pl.lit(value).alias(name) for name, value in fixed.items()
    )
    missing = [pl.lit(None).alias(name) for name in SCHEMA if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def time64(seconds: FloatArray) -> NDArray[np.datetime64]:
    """Seconds since 1970 UTC as datetime64[us]."""
    return np.round(np.asarray(seconds) * 1e6).astype(np.int64).astype("datetime64[us]")


def rng_of(seed: int, mmsi: int, purpose: str) -> np.random.Generator:
    """Draws for one ship and purpose, whatever else is drawn."""
    return np.random.default_rng([seed, max(mmsi, 0), zlib.crc32(purpose.encode())])
