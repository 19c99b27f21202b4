"""The ships' side of a cross-check: which of those that AIS places in the scene were seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imagery.geometry import moved
from offing.ais import wording
from offing.ais.candidates import MAX_PLACED_SIGMA_M, find_candidates, imaged, sphere_m, view_rows
from offing.ais.evidence import Evidence
from offing.ais.placing import Placement, place
from offing.ais.tracks import FloatArray, IntArray
from offing.ais.verdict import Verdict, VesselState, VesselTable

Observed = Callable[[FloatArray, FloatArray], NDArray[np.bool_]]


def vessel_table(evidence: Evidence, verdicts: Sequence[Verdict], observed: Observed | None) -> VesselTable:
    """The state of every ship heard within eight hours of the scene.

    Args:
        evidence: of the scene.
        verdicts: one per detection.
        observed: whether a ship at some place could have been seen; None for everywhere.

    Returns:
        One row per track, ordered by (mmsi, segment). Each is placed at the time and with the viewing geometry of the
        detection nearest to it.
    """
    tracks, ships = evidence.tracks, evidence.ships
    where, nearest, away_m = _where(evidence)
    view = view_rows(evidence.view, nearest) if len(evidence.detections) else None
    lon, lat, shift_m, shift_cov = imaged(where, view)
    sigma = np.sqrt(where.sigma_m**2 + (shift_cov[0] + shift_cov[2]) / 2.0)
    placed = where.placed & (where.sigma_m <= MAX_PLACED_SIGMA_M)
    seen = _seen_by(evidence, verdicts)
    unclear = _unclear(evidence)
    visible = placed & _visible(lon, lat, sigma, placed, observed)
    states, reasons, ids = [], [], []
    for k, ship in enumerate(ships.tolist()):
        row = seen.get(ship, -1)
        state = _state(row, bool(placed[k]), ship in unclear, bool(visible[k]))
        states.append(state.value)
        ids.append(str(evidence.detections.id[row]) if row >= 0 else "")
        reasons.append(_why(evidence, where, k, state, float(sigma[k]), float(away_m[k]), float(shift_m[k])))
    return VesselTable(
        mmsi=tracks.mmsi[ships],
        segment=tracks.segment[ships],
        name=tracks.name[ships],
        length_m=tracks.length_m[ships],
        state=np.array(states, dtype=str),
        lon=where.lon,
        lat=where.lat,
        imaged_lon=lon,
        imaged_lat=lat,
        sigma_m=np.where(placed, sigma, np.nan),
        detection_id=np.array(ids, dtype=str),
        why=np.array(reasons, dtype=str),
    )


def _where(evidence: Evidence) -> tuple[Placement, IntArray, FloatArray]:
    """Each ship at the time of the detection nearest to it; that detection, and how far off it was."""
    tracks, ships = evidence.tracks, evidence.ships
    middle = place(tracks, ships, np.full(len(ships), evidence.middle_us))
    if not len(evidence.detections):
        return middle, np.zeros(len(ships), np.int64), np.full(len(ships), np.inf)
    tree = cKDTree(sphere_m(evidence.detections.lon, evidence.detections.lat))
    _, nearest = tree.query(sphere_m(middle.lon, middle.lat)) if len(ships) else (0, np.empty(0, np.int64))
    nearest = np.asarray(nearest, np.int64)
    where = place(tracks, ships, evidence.time_us[nearest])
    lon, lat, _, _ = imaged(where, view_rows(evidence.view, nearest))
    away = tree.query(sphere_m(lon, lat))[0] if len(ships) else np.empty(0)
    return where, nearest, np.asarray(away, float)


def _seen_by(evidence: Evidence, verdicts: Sequence[Verdict]) -> dict[int, int]:
    """Ship to the detection that was matched to it."""
    pairs = evidence.link.pair_of_detection
    return {int(evidence.pairs.ship[pairs[row]]): row for row, verdict in enumerate(verdicts) if verdict.mmsi}


def _unclear(evidence: Evidence) -> set[int]:
    """Ships with an object in their gate: one that is judged, or one set aside as fixed, on land or a ghost."""
    pairs = evidence.pairs
    aside = np.setdiff1d(np.arange(len(evidence.detections)), evidence.rows)
    aside = aside[~np.isnat(evidence.detections.time[aside])]
    other = find_candidates(evidence.detections, aside, evidence.tracks, evidence.ships, evidence.view)
    taken = evidence.link.pair_of_detection[pairs.detection]
    free = pairs.in_gate & (pairs.length_ok | (taken < 0))
    return {*pairs.ship[free].tolist(), *other.ship[other.in_gate].tolist()}


def _visible(
    lon: FloatArray, lat: FloatArray, sigma_m: FloatArray, placed: NDArray[np.bool_], observed: Observed | None
) -> NDArray[np.bool_]:
    """Whether ships could have been seen: at their place and one sigma to each side."""
    visible = np.ones(len(lon), bool)
    if observed is None or not placed.any():
        return visible
    for east, north in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        near = moved(lon[placed], lat[placed], east * sigma_m[placed], north * sigma_m[placed])
        visible[placed] &= np.asarray(observed(*near), bool)
    return visible


def _state(row: int, placed: bool, unclear: bool, visible: bool) -> VesselState:
    if row >= 0:
        return VesselState.SEEN
    if not placed:
        return VesselState.UNPLACED
    if unclear:
        return VesselState.AMBIGUOUS
    return VesselState.UNSEEN if visible else VesselState.NOT_OBSERVED


def _why(
    evidence: Evidence, where: Placement, k: int, state: VesselState, sigma_m: float, away_m: float, shift_m: float
) -> str:
    ship = wording.ship_name(evidence.tracks, int(evidence.ships[k]))
    heard = wording.minutes(where.nearest_s[k])
    if state is VesselState.UNPLACED:
        side = "after" if where.nearest_s[k] > 0 else "before"
        if where.placed[k]:
            return f"{ship} reported with a gap of {wording.minutes(where.gap_s[k])}, too long to say where it was."
        return f"{ship} was heard {heard} {side} the image and not on its other side: too long to say where it was."
    shifted = f", {wording.metres(shift_m)} of azimuth shift included" if shift_m >= 1.0 else ""
    expected = f"AIS places {ship} here within {wording.metres(sigma_m)} (report {heard} away{shifted})"
    if state is VesselState.SEEN:
        return f"{expected}; an object was matched to it."
    if state is VesselState.AMBIGUOUS:
        return f"{expected}; an object lies {wording.metres(away_m)} off that may or may not be it."
    if state is VesselState.NOT_OBSERVED:
        return f"{expected}, where a ship could not have been seen."
    nearest = (
        f"the nearest object is {wording.metres(away_m)} off" if np.isfinite(away_m) else "nothing was found at all"
    )
    return f"{expected}, on water that was observed; {nearest}."
