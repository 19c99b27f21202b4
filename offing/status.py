"""The words that offing uses for what it found, each with its written definition.

Reports print these definitions; later versions sharpen the mathematics behind them, not the words.
"""

from __future__ import annotations

from enum import StrEnum


class DetectionStatus(StrEnum):
    """What AIS says about an object seen in an image."""

    MATCHED = "matched"
    MATCHED_IDENTITY_DOUBTFUL = "matched_identity_doubtful"
    AMBIGUOUS = "ambiguous"
    DARK_CANDIDATE = "dark_candidate"
    NO_COVERAGE = "no_coverage"
    NOT_SEARCHED = "not_searched"
    FIXED_STRUCTURE = "fixed_structure"


class WaterState(StrEnum):
    """Whether a piece of water could have shown a ship."""

    OBSERVED = "observed"
    NOT_OBSERVED = "not_observed"


DETECTION_STATUS_MEANING: dict[DetectionStatus, str] = {
    DetectionStatus.MATCHED: (
        "One AIS track fits this object in place, time and size, and no other fits nearly as well."
    ),
    DetectionStatus.MATCHED_IDENTITY_DOUBTFUL: (
        "An AIS track fits this object in place and time, but what it says of itself (identifier, size, or being in "
        "one place at a time) does not hold together."
    ),
    DetectionStatus.AMBIGUOUS: (
        "AIS tracks are near enough that this object may be one of them, but which object belongs to which track "
        "cannot be told; or no track is near, but it may not be a ship at all (it is weak, or lies at the shore, on "
        "tidal ground or at a cloud's edge). It is neither matched nor unreported."
    ),
    DetectionStatus.DARK_CANDIDATE: (
        "No AIS report fits this object although AIS from other ships was received around it at that time. Small craft "
        "and ships with no duty to report are among these; it is a question, not a finding of guilt."
    ),
    DetectionStatus.NO_COVERAGE: (
        "No AIS report fits this object, and none was received around it either, so its silence says nothing."
    ),
    DetectionStatus.NOT_SEARCHED: "No AIS data was given for this time and place; nothing is known of its reports.",
    DetectionStatus.FIXED_STRUCTURE: (
        "The object stands on land or stays at one place over many dates: a structure, a wreck, a buoy or a craft that "
        "has not moved for weeks, not a ship under way."
    ),
}

WATER_STATE_MEANING: dict[WaterState, str] = {
    WaterState.OBSERVED: "The sensor measured this water and a detector could test it.",
    WaterState.NOT_OBSERVED: (
        "A ship here could not have been seen (outside the image, no data, clipped values, cloud, land or tidal "
        "ground); an empty place here does not mean that nothing was there."
    ),
}
