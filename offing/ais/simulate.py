"""AIS made up from true tracks: what ships would send, what would be received, and the truth about both.

Most ships tell the truth; some are silent, for a season or for hours; a few send a place, a name or a length that is
not theirs. Reports come out as MarineCadastre has them: the first received in each minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from offing.ais.habits import Habits, Lie, Receiver, TrueVessel
from offing.ais.schema import SCHEMA, AisData
from offing.ais.tracks import FloatArray, IntArray
from offing.ais.transmit import SOURCE, Radio, heard, lies, radio_of, reports_of, rng_of, sends

__all__ = ["AisTruth", "Habits", "Lie", "Receiver", "Reporting", "TrueVessel", "broadcast"]


class Reporting(StrEnum):
    """What is true of a vessel's reports at a time."""

    HONEST = "honest"
    SILENT = "silent"
    LYING = "lying"
    OUT_OF_RANGE = "out_of_range"
    ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class AisTruth:
    """What the made-up AIS hides.

    Attributes:
        vessel_id: vessels (visits) in the order given, shape (n,).
        mmsi: their own numbers, shape (n,).
        mmsi_sent: the numbers that they send; 0 for those never sending, shape (n,).
        lie: a `Lie`, or '', shape (n,).
        length_sent_m: the lengths that they send, shape (n,).
        time: image times, datetime64[us], shape (k,).
        state: a `Reporting` for each vessel and time, shape (n, k).
    """

    vessel_id: NDArray[np.str_]
    mmsi: IntArray
    mmsi_sent: IntArray
    lie: NDArray[np.str_]
    length_sent_m: FloatArray
    time: NDArray[np.datetime64]
    state: NDArray[np.str_]


def broadcast(
    vessels: Sequence[TrueVessel],
    times: Iterable[Any],
    *,
    seed: int,
    habits: Habits | None = None,
    receivers: Sequence[Receiver] = (),
) -> tuple[AisData, AisTruth]:
    """Reports around image times, and the truth about them.

    Args:
        vessels: who is there.
        times: image times, aware datetimes or datetime64 in UTC.
        seed: decides every draw; a ship's habits depend on it and her MMSI alone, not on who else is there, except
            whose number a liar takes.
        habits: shares and errors; None for the defaults.
        receivers: shore stations; none given means that everything is heard.

    Returns:
        The reports, and the truth.

    Raises:
        ValueError: a time has no zone.
    """
    habits = habits or Habits()
    when = _image_times(times)
    present = np.array([np.isfinite(vessel.track.at(when)[0]) for vessel in vessels], bool)
    sound = np.array([sends(v, seed, habits) and not lies(v, seed, habits) for v in vessels], bool)

    def around(index: int) -> list[TrueVessel]:
        """Honest ships that are there at the same image times, or any honest ones."""
        usable = sound & np.array([vessel.mmsi != vessels[index].mmsi for vessel in vessels])
        together = usable & (present & present[index]).any(axis=1)
        chosen = np.flatnonzero(together if together.any() else usable)
        return sorted((vessels[k] for k in chosen.tolist()), key=lambda vessel: (vessel.mmsi, vessel.id))

    radios = [
        radio_of(vessel, partial(around, index), _seconds(when), seed, habits) for index, vessel in enumerate(vessels)
    ]
    parts = []
    for vessel, radio in zip(vessels, radios, strict=True):
        if radio is not None:
            rng = rng_of(seed, vessel.mmsi, f"messages {vessel.id}")
            parts.append(reports_of(vessel, radio, _seconds(when), habits, receivers, rng))
    columns = pl.concat([pl.DataFrame(schema=SCHEMA), *parts])
    data = AisData(reports=columns, sources=(SOURCE,))
    return data, _truth(vessels, radios, when, receivers)


def _truth(
    vessels: Sequence[TrueVessel],
    radios: Sequence[Radio | None],
    when: NDArray[np.datetime64],
    receivers: Sequence[Receiver],
) -> AisTruth:
    return AisTruth(
        vessel_id=np.array([vessel.id for vessel in vessels], dtype=str),
        mmsi=np.array([vessel.mmsi for vessel in vessels], np.int64),
        mmsi_sent=np.array([radio.mmsi if radio else 0 for radio in radios], np.int64),
        lie=np.array([radio.lie if radio else "" for radio in radios], dtype=str),
        length_sent_m=np.array([radio.length_m if radio else np.nan for radio in radios], float),
        time=when,
        state=np.array(
            [_states(v, r, when, receivers) for v, r in zip(vessels, radios, strict=True)], dtype=str
        ).reshape(len(vessels), len(when)),
    )


def _states(
    vessel: TrueVessel, radio: Radio | None, when: NDArray[np.datetime64], receivers: Sequence[Receiver]
) -> list[str]:
    """The truth about one vessel at each image time; silence comes before range, range before lies."""
    lon, lat, *_ = (np.asarray(part, float) for part in vessel.track.at(when))
    times = _seconds(when)
    within = heard(lon, lat, receivers)
    states = []
    for k in range(len(when)):
        if not np.isfinite(lon[k]):
            state = Reporting.ABSENT
        elif radio is None or bool(np.any((radio.off[:, 0] <= times[k]) & (times[k] <= radio.off[:, 1]))):
            state = Reporting.SILENT
        elif not within[k]:
            state = Reporting.OUT_OF_RANGE
        else:
            state = Reporting.LYING if radio.lie else Reporting.HONEST
        states.append(state.value)
    return states


def _image_times(times: Iterable[Any]) -> NDArray[np.datetime64]:
    """Different times in order, as datetime64[us]."""
    plain = []
    for time in times:
        if isinstance(time, datetime):
            if time.tzinfo is None:
                raise ValueError(f"image times must be aware, in UTC; got {time}")
            time = time.astimezone(UTC).replace(tzinfo=None)
        plain.append(time)
    return np.unique(np.array(plain, dtype="datetime64[us]"))


def _seconds(times: NDArray[np.datetime64]) -> FloatArray:
    return times.astype(np.int64) / 1e6
