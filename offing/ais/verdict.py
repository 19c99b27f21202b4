"""What a cross-check returns: a verdict per object seen, a state per ship heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offing.status import DetectionStatus

StrArray = NDArray[np.str_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


# Column types by the name of their annotation.
_DTYPES = {"StrArray": "U", "FloatArray": "f8", "IntArray": "i8", "BoolArray": "?"}


class VesselState(StrEnum):
    """What the image says about a ship that AIS places in it."""

    SEEN = "seen"
    UNSEEN = "unseen"
    UNPLACED = "unplaced"
    NOT_OBSERVED = "not_observed"
    AMBIGUOUS = "ambiguous"


VESSEL_STATE_MEANING: dict[VesselState, str] = {
    VesselState.SEEN: "An object was matched to this ship.",
    VesselState.UNSEEN: (
        "The ship's AIS places it on water that was observed, and no object lies there. Detectors miss ships, small "
        "ones often; reports may also be late or wrong."
    ),
    VesselState.UNPLACED: "Its reports are too far apart, or too long before or after the image, to say where it was.",
    VesselState.NOT_OBSERVED: "Its AIS places it where a ship could not have been seen.",
    VesselState.AMBIGUOUS: "An object lies where this ship should be, but it cannot be told whether it is this ship.",
}


class _Table:
    """Shared by tables of equally long columns."""

    def __post_init__(self) -> None:
        """Bring each column to its type; refuse columns of different lengths."""
        lengths = set()
        for column in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            dtype = _DTYPES.get(str(column.type))
            if dtype is None:
                continue
            values = np.asarray(getattr(self, column.name))
            values = values.astype(str) if dtype == "U" else values.astype(dtype)
            lengths.add(values.shape)
            object.__setattr__(self, column.name, values)
        if len(lengths) != 1 or len(next(iter(lengths))) != 1:
            raise ValueError(f"{type(self).__name__} needs columns of one length, got shapes {sorted(lengths)}")


@dataclass(frozen=True, kw_only=True)
class VesselTable(_Table):
    """Ships that AIS puts near the scene in time; one row per track, ordered by (mmsi, segment), columns of shape (m,).

    Attributes:
        mmsi: identifier as sent.
        segment: number of the track within its MMSI, in the eight hours on either side of the image.
        name: ship's name or ''.
        length_m: length by AIS, NaN if not given.
        state: a `VesselState`.
        lon, lat: where the hull's centre should be at image time, degrees; if unplaced, that of the nearest report.
        imaged_lon, imaged_lat: where it should appear in the image, azimuth shift included.
        sigma_m: one-sigma error of that place, per axis; NaN if unplaced.
        detection_id: the object matched to it, or ''.
        why: a plain sentence.
    """

    mmsi: IntArray
    segment: IntArray
    name: StrArray
    length_m: FloatArray
    state: StrArray
    lon: FloatArray
    lat: FloatArray
    imaged_lon: FloatArray
    imaged_lat: FloatArray
    sigma_m: FloatArray
    detection_id: StrArray
    why: StrArray

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.mmsi)

    def counts(self) -> dict[str, int]:
        """Number of tracks in each state, all states named."""
        return {state.value: int(np.sum(self.state == state.value)) for state in VesselState}

    @classmethod
    def empty(cls) -> VesselTable:
        """No rows."""
        return cls(**{column.name: np.empty(0, dtype=_DTYPES[str(column.type)]) for column in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class CrossCheck(_Table):
    """Verdicts on the objects of one scene; columns of shape (n,), rows aligned with the detections given.

    Attributes:
        detection_id: the detection's id.
        status: an `offing.status.DetectionStatus`.
        mmsi: the matched ship, 0 if none (ambiguous: 0).
        ais_name: her name or ''.
        ais_distance_m: from where the matched ship should be imaged to the object, metres; NaN if none.
        ais_length_m: her length by AIS, metres; NaN if none or not given.
        azimuth_shift_m: the SAR azimuth shift that was applied to her, metres; 0 if none.
        runner_up_mmsi: the nearest other ship within 3 km, matched ones elsewhere included; 0 if none.
        runner_up_distance_m: its distance, metres; NaN if none.
        stations_heard: stations received within 20 km and an hour, -1 where nothing depends on it and none was counted.
        probability: matched: that this ship is this object; dark candidate and no coverage: that no AIS ship is it;
            ambiguous: that some AIS ship is it; NaN for the others.
        probability_calibrated: True where that number was calibrated; in this version nowhere.
        why: a plain sentence with the numbers behind the verdict.
        vessels: the ships' side.
    """

    detection_id: StrArray
    status: StrArray
    mmsi: IntArray
    ais_name: StrArray
    ais_distance_m: FloatArray
    ais_length_m: FloatArray
    azimuth_shift_m: FloatArray
    runner_up_mmsi: IntArray
    runner_up_distance_m: FloatArray
    stations_heard: IntArray
    probability: FloatArray
    probability_calibrated: BoolArray
    why: StrArray
    vessels: VesselTable

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.detection_id)

    def counts(self) -> dict[str, int]:
        """Number of detections in each status, all statuses named."""
        return {status.value: int(np.sum(self.status == status.value)) for status in DetectionStatus}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of a `CrossCheck`, with its fields' meanings."""

    status: DetectionStatus
    why: str
    mmsi: int = 0
    ais_name: str = ""
    ais_distance_m: float = np.nan
    ais_length_m: float = np.nan
    azimuth_shift_m: float = 0.0
    runner_up_mmsi: int = 0
    runner_up_distance_m: float = np.nan
    stations_heard: int = -1
    probability: float = np.nan
    probability_calibrated: bool = False


def assembled(detection_id: StrArray, verdicts: Sequence[Verdict], vessels: VesselTable) -> CrossCheck:
    """The table of single verdicts, in their order."""
    columns: dict[str, Any] = {
        column.name: [getattr(verdict, column.name) for verdict in verdicts] for column in fields(Verdict)
    }
    return CrossCheck(detection_id=detection_id, vessels=vessels, **columns)
