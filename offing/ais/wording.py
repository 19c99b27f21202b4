"""Why a verdict is what it is, in one or two plain sentences with the numbers. They accuse nobody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.detections import Detections
from offing.ais.evidence import Evidence
from offing.ais.tracks import IntArray, Tracks

NOT_SEARCHED = "No AIS was given for this scene."
FIXED = "It stays at one place over many dates: a structure, not a ship under way."
ON_LAND = "It stands on land."
NO_TIME = "It was not compared with AIS: the time at which it was imaged is not known."
GHOST = "The detector takes it for an image of something brighter that lies elsewhere; it was not compared with AIS."
# By surface: why an object that no AIS explains is still not called unreported.
OFF_THE_SEA = {
    "shore": " It lies within 200 m of the shore, where it may be a quay, a rock or a moored boat.",
    "intertidal": " It lies on ground that the tide covers, where it may not be a ship.",
    "near_cloud": " It lies at the edge of a cloud and may be part of it.",
}
# Ships from 300 gross tonnage on international voyages must carry class A AIS (SOLAS V/19.2.4); that is a hull of 40
# to 45 m.
_DUTY_LENGTH_M = 45.0
_NAMED = 3  # ships named in one sentence


def metres(value: float) -> str:
    """A distance for reading: 34 m, 1.2 km."""
    return f"{value:.0f} m" if value < 1000.0 else f"{value / 1000.0:.1f} km"


def minutes(seconds: float) -> str:
    """A span of time for reading: 40 s, 22 min, 3.5 h."""
    seconds = abs(seconds)
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def ship_name(tracks: Tracks, ship: int) -> str:
    """A ship for reading: NAME (MMSI 123456789)."""
    name = str(tracks.name[ship])
    return f"{name} (MMSI {tracks.mmsi[ship]})" if name else f"MMSI {tracks.mmsi[ship]}"


def counted(number: int, noun: str) -> str:
    """1 ship, 2 ships."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def matched(evidence: Evidence, pair: int, runner_up: int, away_m: float, doubts: Sequence[str]) -> str:
    """Of a match, and of what is doubtful about the ship's words."""
    pairs = evidence.pairs
    shift = pairs.shift_m[pair]
    shifted = f", her azimuth shift of {metres(shift)} included" if shift >= 1.0 else ""
    other = f"the next AIS ship is {metres(away_m)} away (MMSI {runner_up})" if runner_up else "no other is within 3 km"
    sentence = (
        f"AIS has {ship_name(evidence.tracks, pairs.ship[pair])} {metres(pairs.distance_m[pair])} from here when this "
        f"was imaged ({np.sqrt(pairs.d2[pair]):.1f} sigma{shifted}); {other}."
    )
    return f"{sentence} But {'; '.join(doubts)}." if doubts else sentence


def length_doubt(ais_m: float, detections: Detections, row: int) -> str:
    """A clause on a length that cannot be."""
    low, high = detections.length_low_m[row], detections.length_high_m[row]
    return f"its AIS length of {ais_m:.0f} m does not fit the {low:.0f} to {high:.0f} m seen"


def weak(detections: Detections, row: int) -> str:
    """Of an object that may be none."""
    return f" It is weak: the detector gives it {detections.probability[row]:.2f} of being an object at all."


def ambiguous(evidence: Evidence, near: IntArray) -> str:
    """Of objects and ships that cannot be told apart; ``near`` are the pairs in question, nearest first."""
    pairs, tracks = evidence.pairs, evidence.tracks
    share = np.concatenate([evidence.pairs_of_ship(int(ship)) for ship in np.unique(pairs.ship[near])])
    objects = len(np.unique(pairs.detection[share[pairs.in_gate[share] | pairs.loose[share]]]))
    told = ", ".join(
        f"{ship_name(tracks, pairs.ship[pair])} at {metres(pairs.distance_m[pair])}, give or take "
        f"{metres(pairs.sigma_m[pair])}"
        for pair in near[:_NAMED]
    )
    more = f" and {len(near) - _NAMED} more" if len(near) > _NAMED else ""
    seen = f"{counted(max(objects, 1), 'object')} seen near"
    if len(near) > 1:
        return (
            f"It may be one of {len(near)} AIS ships expected here ({told}{more}), with {seen}; which is which is open."
        )
    if objects > 1:
        return f"It may be the AIS ship {told}; of {seen} it cannot be told which is that ship."
    return f"It may be the AIS ship {told}, but that fits too poorly to be sure."


def unexplained(evidence: Evidence, row: int, runner_up: int, away_m: float, heard: int) -> str:
    """Of an object that no AIS ship explains."""
    nearest = f"the nearest is {metres(away_m)} away (MMSI {runner_up})" if runner_up else "none within 3 km"
    if heard:
        around = f"AIS from {counted(heard, 'station')} was received within 20 km and one hour"
    else:
        around = "no AIS from others was received within 20 km and one hour either, so silence says nothing"
    caveats = _absent(evidence, row) + _duty(evidence, row, heard)
    return f"No AIS ship was expected here ({nearest}), and {around}.{caveats}"


def _absent(evidence: Evidence, row: int) -> str:
    absent = evidence.absent_near(row)
    if not len(absent):
        return ""
    named = ", ".join(ship_name(evidence.tracks, int(ship)) for ship in absent[:_NAMED])
    more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    return f" It may be a ship whose reports stopped or began within the hour: {named}{more}."


def _duty(evidence: Evidence, row: int, heard: int) -> str:
    length = evidence.detections.length_m[row]
    if not heard or length >= _DUTY_LENGTH_M:
        return ""
    return " Craft of this size often have no duty to carry AIS."
