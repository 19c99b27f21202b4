"""Everything that the verdicts on one scene rest on, gathered once: tracks, candidates, the pairing, who was heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np

from imagery.acquisition import AcquisitionSample
from imagery.geometry import offset_m
from models.detections import Detections
from offing.ais.association import Association, associate
from offing.ais.candidates import GATE_M, Candidates, find_candidates
from offing.ais.coverage import COVERAGE_S, stations_heard
from offing.ais.identity import NEVER_A_SHIP, stations
from offing.ais.placing import place
from offing.ais.schema import AisData
from offing.ais.segments import MAX_GAP_S
from offing.ais.tracks import KN_M_S, IntArray, Tracks, build_tracks

# A match stands only if every other pairing of its ship or its object is clearly worse: at least so much farther.
# Reference: the held-back rule of Dark-Vessel-Study (design note, section 1): alternative >= max(d + 100 m, 1.5 d).
CLEAR_BY_M, CLEAR_BY_FACTOR = 100.0, 1.5
# ... and if it is probable: matched, and unreported, from .9 on (section 4).
MIN_PROBABILITY = 0.9
# A ship whose place is too loose to be matched still makes an object inside its 99 % ellipse ambiguous: chi-square
# with two degrees of freedom.
LOOSE_D2 = 9.21
# A ship not heard at the time may have gone at her last speed, or at this one: a usual trading speed's lower end.
REACH_KN = 10.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about one scene.

    Attributes:
        detections: all objects, n.
        rows: those to be judged; the others were set aside as fixed, on land or ghosts.
        view: how each was imaged, or None.
        time_us: times of the detections (of the scene, where there is none), microseconds since 1970 UTC.
        tracks: of all stations heard within eight hours, m.
        ships: indices of the tracks that may be ships'.
        pairs: candidates among ``rows`` and ``ships``.
        link: their pairing.
    """

    detections: Detections
    rows: IntArray
    view: AcquisitionSample | None
    time_us: IntArray
    tracks: Tracks
    ships: IntArray
    pairs: Candidates
    link: Association

    @property
    def middle_us(self) -> int:
        """The scene's time: the middle between its first and last detection."""
        return (int(self.time_us.min()) + int(self.time_us.max())) // 2

    def pairs_of(self, row: int) -> IntArray:
        """Rows of the candidates of one detection."""
        return np.arange(*np.searchsorted(self.pairs.detection, [row, row + 1]))

    def pairs_of_ship(self, ship: int) -> IntArray:
        """Rows of the candidates of one ship."""
        order, sorted_ships = self._by_ship
        low, high = np.searchsorted(sorted_ships, [ship, ship + 1])
        return order[low:high]

    @cached_property
    def _by_ship(self) -> tuple[IntArray, IntArray]:
        order = np.argsort(self.pairs.ship, kind="stable")
        return order, self.pairs.ship[order]

    def is_clear(self, pair: int) -> bool:
        """Whether a pairing is probable and every other one in the gate that size allows is clearly worse."""
        pairs = self.pairs
        rival = np.concatenate([self.pairs_of(int(pairs.detection[pair])), self.pairs_of_ship(int(pairs.ship[pair]))])
        rival = rival[(rival != pair) & pairs.in_gate[rival] & pairs.length_ok[rival]]
        distance = pairs.distance_m[pair]
        nearest = pairs.distance_m[rival].min(initial=np.inf)
        clear = nearest >= max(distance + CLEAR_BY_M, CLEAR_BY_FACTOR * distance)
        return bool(clear and self.link.probability[pair] >= MIN_PROBABILITY)

    def may_be(self, near: IntArray) -> IntArray:
        """Those of some pairs that keep an object from being called unreported, nearest first.

        Pairs in the gate, unless size speaks against them and the ship is another object; and ships too loosely
        placed to be matched.
        """
        pairs = self.pairs
        owner = self.link.pair_of_ship[pairs.ship[near]]
        elsewhere = (owner >= 0) & (owner != near)
        in_gate = pairs.in_gate[near] & (pairs.length_ok[near] | ~elsewhere)
        found = near[in_gate | (pairs.loose[near] & (pairs.d2[near] <= LOOSE_D2))]
        return np.asarray(found[np.argsort(pairs.distance_m[found], kind="stable")])

    def likely(self, near: IntArray) -> IntArray:
        """Those of some pairs that have any likelihood, likeliest first."""
        near = near[np.isfinite(self.pairs.llr[near])]
        return near[np.argsort(-self.link.probability[near], kind="stable")]

    def absent_near(self, row: int) -> IntArray:
        """Ships heard within the hour, not placeable at a detection's time, that may have come to its place."""
        where = place(self.tracks, self._absent, np.full(len(self._absent), self.time_us[row]))
        away = np.hypot(*offset_m(where.lon, where.lat, self.detections.lon[row], self.detections.lat[row]))
        speed = np.maximum(np.hypot(where.east_m_s, where.north_m_s), REACH_KN * KN_M_S)
        return self._absent[away <= speed * np.abs(where.nearest_s) + GATE_M]

    @cached_property
    def _absent(self) -> IntArray:
        where = place(self.tracks, self.ships, np.full(len(self.ships), self.middle_us))
        return self.ships[~where.placed & (np.abs(where.nearest_s) <= COVERAGE_S)]

    @cached_property
    def heard_around(self) -> dict[int, int]:
        """Stations received around each detection without a ship, apart from those that may be the object itself."""
        rows = self.rows[self.link.pair_of_detection[self.rows] < 0]
        counts = stations_heard(
            self.tracks,
            self.detections.lon[rows],
            self.detections.lat[rows],
            self.time_us[rows],
            [self.tracks.mmsi[self.absent_near(int(row))] for row in rows],
        )
        return dict(zip(rows.tolist(), counts.tolist(), strict=True))


def gather(
    detections: Detections,
    rows: IntArray,
    ais: AisData,
    view: AcquisitionSample | None,
    scene_time: datetime | None,
) -> Evidence:
    """Place, pair and associate.

    Args:
        detections: objects of one scene.
        rows: which of them are to be judged.
        ais: reports.
        view: how each detection was imaged, or None.
        scene_time: aware UTC; used where there is no detection.

    Returns:
        The evidence.

    Raises:
        ValueError: neither a detection nor a time.
    """
    time_us = detections.time.astype("datetime64[us]").astype(np.int64)
    known = ~np.isnat(detections.time)
    if known.any():
        time_us[~known] = np.median(time_us[known])
    else:
        if scene_time is None:
            raise ValueError("a scene without timed detections needs its time")
        time_us = np.full(max(len(time_us), 1), round(scene_time.timestamp() * 1e6))
    around = ais.between(_utc(int(time_us.min()), -MAX_GAP_S), _utc(int(time_us.max()), MAX_GAP_S))
    tracks = build_tracks(around)
    ships = np.flatnonzero(~np.isin(stations(tracks.mmsi), [word.value for word in NEVER_A_SHIP]))
    pairs = find_candidates(detections, rows, tracks, ships, view)
    return Evidence(
        detections=detections,
        rows=rows,
        view=view,
        time_us=time_us,
        tracks=tracks,
        ships=ships,
        pairs=pairs,
        link=associate(pairs, len(detections), len(tracks)),
    )


def _utc(time_us: int, offset_s: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us, seconds=offset_s)
