"""The verdict on each object of a scene: whose ship it is, or that no AIS explains it, or that this cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from imagery.acquisition import AcquisitionSample
from models.detections import Detections
from offing.ais import wording
from offing.ais.evidence import MIN_PROBABILITY, Evidence, gather
from offing.ais.identity import doubts
from offing.ais.schema import AisData
from offing.ais.tracks import FloatArray
from offing.ais.verdict import CrossCheck, Verdict, VesselTable, assembled
from offing.ais.vessels import vessel_table
from offing.status import DetectionStatus

# What more likely is no object than one accuses nobody: it stays ambiguous.
MIN_OBJECT_PROBABILITY = 0.5

Observed = Callable[[FloatArray, FloatArray], NDArray[np.bool_]]


def cross_check(
    detections: Detections,
    ais: AisData | None,
    view: AcquisitionSample | None,
    *,
    observed: Observed | None = None,
    scene_time: datetime | None = None,
) -> CrossCheck:
    """Compare the objects of one scene with AIS.

    Args:
        detections: objects of one scene; each is compared at its own time.
        ais: reports around that time; None where no AIS was looked for. An empty table means that none was received.
        view: how each detection was imaged, rows aligned with ``detections``. None, or a NaN incidence, for sensors
            without an azimuth shift.
        observed: tells for longitudes and latitudes in degrees, shape (k,), whether a ship there could have been
            seen; None where every place counts as observed.
        scene_time: time of the scene, aware UTC; needed for the ships' side only where there is no detection.

    Returns:
        A verdict per detection, in their order, and the state of each ship.

    Raises:
        ValueError: ``view`` is not aligned with ``detections``, or a detection has no place or no covariance.
    """
    _refuse_unplaced(detections)
    if view is not None and len(view.incidence_deg) != len(detections):
        raise ValueError(f"view has {len(view.incidence_deg)} rows for {len(detections)} detections")
    verdicts: list[Verdict | None] = [_set_aside(detections, row) for row in range(len(detections))]
    if ais is None:
        silent = Verdict(status=DetectionStatus.NOT_SEARCHED, why=wording.NOT_SEARCHED)
        fixed = [v if v and v.status == DetectionStatus.FIXED_STRUCTURE else silent for v in verdicts]
        return assembled(detections.id, fixed, VesselTable.empty())
    if np.isnat(detections.time).all() and scene_time is None:
        return assembled(detections.id, [verdict for verdict in verdicts if verdict], VesselTable.empty())
    rows = np.array([row for row, verdict in enumerate(verdicts) if verdict is None], np.int64)
    evidence = gather(detections, rows, ais, view, scene_time)
    judged = {int(row): _judge(evidence, int(row)) for row in rows}
    complete = [verdict or judged[row] for row, verdict in enumerate(verdicts)]
    return assembled(detections.id, complete, vessel_table(evidence, complete, observed))


def _refuse_unplaced(detections: Detections) -> None:
    """A place or covariance that is not a number would look like 'no ship near' and so like an unreported ship."""
    variance = np.minimum(detections.var_east_m2, detections.var_north_m2)
    known = np.isfinite(detections.lon + detections.lat + detections.cov_east_north_m2 + variance) & (variance >= 0)
    if not known.all():
        raise ValueError(f"detection {detections.id[~known][0]} has no place, or no covariance of it")


def _set_aside(detections: Detections, row: int) -> Verdict | None:
    """The verdict on what is no ship whatever AIS says, or None."""
    if detections.kind[row] == "fixed_structure":
        return Verdict(status=DetectionStatus.FIXED_STRUCTURE, why=wording.FIXED)
    if detections.surface[row] == "land":
        return Verdict(status=DetectionStatus.FIXED_STRUCTURE, why=wording.ON_LAND)
    if np.isnat(detections.time[row]):
        return Verdict(status=DetectionStatus.NOT_SEARCHED, why=wording.NO_TIME)
    if detections.kind[row] == "ghost":
        return Verdict(status=DetectionStatus.AMBIGUOUS, why=wording.GHOST)
    return None


def _judge(evidence: Evidence, row: int) -> Verdict:
    """The verdict on one detection."""
    pair = int(evidence.link.pair_of_detection[row])
    if pair >= 0 and evidence.is_clear(pair):
        return _matched(evidence, row, pair)
    near = evidence.pairs_of(row)
    may_be = evidence.may_be(near)
    unexplained = float(evidence.link.unexplained[row])
    runner_up, away = _nearest(evidence, near)
    if len(may_be) or unexplained < MIN_PROBABILITY:
        return Verdict(
            status=DetectionStatus.AMBIGUOUS,
            why=wording.ambiguous(evidence, may_be if len(may_be) else evidence.likely(near)),
            probability=1.0 - unexplained,
            runner_up_mmsi=runner_up,
            runner_up_distance_m=away,
        )
    heard = evidence.heard_around[row]
    status = DetectionStatus.DARK_CANDIDATE if heard else DetectionStatus.NO_COVERAGE
    doubt = wording.OFF_THE_SEA.get(str(evidence.detections.surface[row]), "")
    if evidence.detections.probability[row] < MIN_OBJECT_PROBABILITY:
        doubt += wording.weak(evidence.detections, row)
    return Verdict(
        status=DetectionStatus.AMBIGUOUS if doubt else status,
        why=wording.unexplained(evidence, row, runner_up, away, heard) + doubt,
        probability=unexplained,
        stations_heard=heard,
        runner_up_mmsi=runner_up,
        runner_up_distance_m=away,
    )


def _matched(evidence: Evidence, row: int, pair: int) -> Verdict:
    tracks, pairs = evidence.tracks, evidence.pairs
    ship = int(pairs.ship[pair])
    doubtful = doubts(tracks, ship, int(evidence.time_us[row]))
    if not pairs.length_ok[pair]:
        doubtful.append(wording.length_doubt(float(tracks.length_m[ship]), evidence.detections, row))
    near = evidence.pairs_of(row)
    runner_up, away = _nearest(evidence, near[near != pair])
    return Verdict(
        status=DetectionStatus.MATCHED_IDENTITY_DOUBTFUL if doubtful else DetectionStatus.MATCHED,
        why=wording.matched(evidence, pair, runner_up, away, doubtful),
        mmsi=int(tracks.mmsi[ship]),
        ais_name=str(tracks.name[ship]),
        ais_distance_m=float(pairs.distance_m[pair]),
        ais_length_m=float(tracks.length_m[ship]),
        azimuth_shift_m=float(pairs.shift_m[pair]),
        probability=float(evidence.link.probability[pair]),
        runner_up_mmsi=runner_up,
        runner_up_distance_m=away,
    )


def _nearest(evidence: Evidence, near: NDArray[np.int64]) -> tuple[int, float]:
    """MMSI and distance of the nearest ship that could be placed, or 0 and NaN."""
    near = near[~evidence.pairs.loose[near]]
    if not len(near):
        return 0, np.nan
    best = near[np.argmin(evidence.pairs.distance_m[near])]
    return int(evidence.tracks.mmsi[evidence.pairs.ship[best]]), float(evidence.pairs.distance_m[best])
