"""How one visit runs: waypoints over clear water, smoothed into tracks of everyone in the group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from imagery.geometry import FloatArray
from imagery.simulate.coast import LOWEST_M, Coast
from imagery.simulate.fleet import Group
from imagery.simulate.frame import LocalFrame
from imagery.simulate.ocean import Ocean
from imagery.simulate.seeding import rng_for
from imagery.simulate.tracks import Track, holding_share, smoothed_path

EDGE_M = 2_500.0  # ships come from and go to this far outside the area
UNDER_KEEL_M = {"large": 4.5, "small": 1.2}  # water kept at the lowest tide
SHORE_M = {"large": 500.0, "small": 300.0}  # distance kept from land
CHECK_M = 100.0  # spacing at which a way is checked
GATES_PER_SIDE = 14
TRIES = 30
# A ship at anchor turns when the current does; this much current turns it most of the way (judgement).
TURNING_M_S = 0.1
SETTLING_S = 900.0  # time from stopping to lying as the current has it
CHAIN_M = 15.0  # horizontal scope of the chain


@dataclass(frozen=True, kw_only=True, eq=False)
class Berth:
    """Where a group lies or works.

    Attributes:
        place_m: the middle of its ground in the plane, (2,).
        gates_m: places outside the area that a straight clear line joins with it, (n, 2).
    """

    place_m: FloatArray
    gates_m: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A visit before smoothing.

    Attributes:
        way_s: times of the waypoints, seconds since 1970 UTC.
        way_m: their places in the plane, (n, 2).
        hold_s: (start, end) of the stay at anchor; two equal times for none.
    """

    way_s: FloatArray
    way_m: FloatArray
    hold_s: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pilot:
    """Knows the water and plans visits.

    Attributes:
        seed: the world's seed.
        frame, coast, ocean: the world.
    """

    seed: int
    frame: LocalFrame
    coast: Coast
    ocean: Ocean

    @cached_property
    def _water(self) -> dict[str, NDArray[np.bool_]]:
        return {
            size: self.coast.navigable_nodes(LOWEST_M - keel_m, SHORE_M[size]) for size, keel_m in UNDER_KEEL_M.items()
        }

    def navigable(self, places_m: FloatArray, size: str) -> NDArray[np.bool_]:
        """True where a ``large`` or ``small`` ship has water and distance to land at any tide.

        Args:
            places_m: (..., 2) in the plane.
            size: key of `UNDER_KEEL_M`.
        """
        return self.coast.nearest(self._water[size], places_m[..., 0], places_m[..., 1])

    def clear(self, way_m: FloatArray, size: str) -> NDArray[np.bool_]:
        """True for polylines that stay in navigable water.

        Args:
            way_m: (..., points, 2) in the plane.
            size: key of `UNDER_KEEL_M`.
        """
        starts, ends = way_m[..., :-1, None, :], way_m[..., 1:, None, :]
        longest_m = float(np.hypot(*np.moveaxis(ends - starts, -1, 0)).max(initial=0.0))
        t = np.linspace(0.0, 1.0, max(int(longest_m / CHECK_M), 1) + 1)[:, None]
        return np.asarray(self.navigable(starts + t * (ends - starts), size).all(axis=(-2, -1)))

    def place_inside(self, rng: np.random.Generator, size: str, inset_m: float) -> FloatArray:
        """A random navigable place within the box, at least ``inset_m`` from its sides; any place if there is none."""
        half = np.array([self.frame.half_east_m, self.frame.half_north_m])
        places = rng.uniform(-1.0, 1.0, (200, 2)) * np.maximum(half - inset_m, half / 4.0)
        return np.asarray(places[np.argmax(self.navigable(places, size))])

    @cached_property
    def _gates(self) -> FloatArray:
        """Places (n, 2) on the rectangle `EDGE_M` outside the area, through which ships come and go."""
        half = np.array([self.frame.half_east_m, self.frame.half_north_m]) + EDGE_M
        t = np.linspace(-1.0, 1.0, GATES_PER_SIDE, endpoint=False) + 1.0 / GATES_PER_SIDE
        side = np.ones_like(t)
        unit = np.concatenate([np.column_stack(c) for c in ((t, side), (t, -side), (side, t), (-side, t))])
        return np.asarray(unit * half)

    def open_gates(self, place_m: FloatArray, size: str) -> FloatArray:
        """Gates (n, 2) that a straight line over navigable water joins with a place."""
        way = np.stack([np.broadcast_to(place_m, self._gates.shape), self._gates], axis=1)
        return np.asarray(self._gates[self.clear(way, size)])

    @cached_property
    def _lanes(self) -> FloatArray:
        """Pairs of gates (n, 2, 2) joined by straight clear lines, most of each within the area."""
        first, second = np.nonzero(~np.eye(len(self._gates), dtype=bool))
        pairs = np.stack([self._gates[first], self._gates[second]], axis=1)
        half = np.array([self.frame.half_east_m, self.frame.half_north_m])
        along = pairs[:, :1] + np.linspace(0.0, 1.0, 41)[:, None] * (pairs[:, 1:] - pairs[:, :1])
        inside = (np.abs(along) < half).all(axis=-1).mean(axis=-1)
        long_enough = np.hypot(*(pairs[:, 1] - pairs[:, 0]).T) >= half.sum() / 2.0
        pairs = pairs[(inside >= 0.8 * half.min() / (half.min() + EDGE_M)) & long_enough]
        return np.asarray(pairs[self.clear(pairs, "large")])

    def plan(self, group: Group, visit: int, berth: Berth) -> Plan | None:
        """Waypoints of a visit, or None if no clear way was found.

        Args:
            group: who comes.
            visit: number of the visit's slot, any integer.
            berth: the group's ground.
        """
        rng = rng_for(self.seed, "plan", group.id, visit)
        behaviour = group.role.behaviour
        slot_s = group.phase_s + visit * group.cycle_s
        size = "small" if behaviour == "fish" else "large"
        for _ in range(TRIES):
            if behaviour == "transit":
                plan = self._transit(group, slot_s, rng)
            elif len(berth.gates_m):
                site = berth.place_m + rng.normal(0.0, 1200.0 if behaviour == "fish" else 60.0, 2)
                way_in, way_out = berth.gates_m[rng.integers(len(berth.gates_m), size=2)]
                make = self._fishing if behaviour == "fish" else self._anchoring
                plan = make(group, slot_s, np.stack([way_in, site, way_out]), rng)
            else:
                return None
            if plan and plan.way_s[-1] <= slot_s + group.cycle_s and self.clear(plan.way_m, size):
                return plan
        return None

    def _transit(self, group: Group, slot_s: float, rng: np.random.Generator) -> Plan | None:
        if not len(self._lanes):
            return None
        start, end = self._lanes[rng.integers(len(self._lanes))] + rng.normal(0.0, 300.0, (2, 2))
        bend = (start + end) / 2.0 + rng.normal(0.0, 0.04, 2) * np.hypot(*(end - start))
        way = np.stack([start, bend, end])
        times = _times(way, rng.uniform(*group.role.speed_m_s))
        start_s = slot_s + rng.uniform(0.0, max(group.cycle_s - times[-1], 0.0))
        return Plan(way_s=start_s + times, way_m=way, hold_s=(start_s, start_s))

    def _anchoring(self, group: Group, slot_s: float, way: FloatArray, rng: np.random.Generator) -> Plan:
        """In to the site (the middle of ``way``), a stay, and out."""
        speed = rng.uniform(*group.role.speed_m_s)
        way = way[[0, 1, 1, 2]]
        stay_s = rng.uniform(*group.role.stay) * group.cycle_s
        times = _times(way, speed)
        times[2:] += stay_s
        start_s = slot_s + rng.uniform(0.0, max(group.cycle_s - times[-1], 0.0))
        return Plan(way_s=start_s + times, way_m=way, hold_s=(start_s + times[1], start_s + times[2]))

    def _fishing(self, group: Group, slot_s: float, way: FloatArray, rng: np.random.Generator) -> Plan:
        """Out to the ground (the middle of ``way``), towing round and round over it, and home."""
        stay_s = rng.uniform(*group.role.stay) * group.cycle_s
        tow_m_s, lap_m, side_m = rng.uniform(0.7, 2.0), rng.uniform(1200.0, 3000.0), rng.uniform(500.0, 900.0)
        inward, homeward = (_unit(way[k + 1] - way[k]) for k in (0, 1))
        turn = rng.uniform(-1.0, 1.0)
        ahead = inward * np.cos(turn) + np.array([inward[1], -inward[0]]) * np.sin(turn)
        aside = np.array([ahead[1], -ahead[0]]) * (1.0 if rng.random() < 0.5 else -1.0)
        corners = np.array([[0.0, 0.0], [lap_m, 0.0], [lap_m, side_m], [0.0, side_m]]) @ np.stack([ahead, aside])
        legs = max(int(stay_s * tow_m_s / (lap_m + side_m) * 2.0), 4)
        tow = way[1] + np.resize(corners, (legs + 1, 2)) + np.cumsum(rng.normal(0.0, 40.0, (legs + 1, 2)), axis=0)
        last = [float(_unit(tow[k] - tow[k - 1]) @ homeward) for k in range(legs - 3, legs + 1)]
        tow = tow[: legs - 3 + int(np.argmax(last)) + 1]  # home from the corner that needs the least turn
        speed = rng.uniform(*group.role.speed_m_s)
        way = np.vstack([way[0], tow, way[2]])
        times = _times(way, np.concatenate([[speed], np.full(len(tow) - 1, tow_m_s), [speed]]))
        start_s = slot_s + rng.uniform(0.0, max(group.cycle_s - times[-1], 0.0))
        return Plan(way_s=start_s + times, way_m=way, hold_s=(start_s, start_s))

    def tracks(self, group: Group, visit: int, plan: Plan) -> tuple[Track, ...]:
        """Smooth tracks of all ships of the group on a planned visit."""
        rng = rng_for(self.seed, "track", group.id, visit)
        knots = _knots(plan)
        place, velocity = smoothed_path(knots, plan.way_s, plan.way_m)
        hold = holding_share(knots, *plan.hold_s)
        along = self.ocean.along_current_m_s(knots)
        raft = group.role.behaviour == "raft"  # held by several anchors, bow to the flood or to the ebb
        turned = 180.0 * ndtr(along / TURNING_M_S) if not raft else 3.0 * along + 180.0 * (rng.random() < 0.5)
        bow_deg = self.ocean.current_axis_deg + turned + rng.normal(0.0, 5.0)
        bow = np.stack([np.sin(np.radians(bow_deg)), np.cos(np.radians(bow_deg))], axis=1)
        radius_m = 5.0 if raft else CHAIN_M + 0.3 * group.ships[0].length_m
        place = place - hold[:, None] * radius_m * bow
        heading_deg = _heading_deg(knots, plan, velocity, bow_deg)
        heading = np.radians(heading_deg)
        ahead = np.stack([np.sin(heading), np.cos(heading)], axis=1)
        starboard = np.stack([np.cos(heading), -np.sin(heading)], axis=1)
        tracks = []
        for forward_m, right_m in group.offsets_m:
            own = place + forward_m * ahead + right_m * starboard
            tracks.append(
                Track(
                    frame=self.frame,
                    time_s=knots,
                    x_m=own[:, 0],
                    y_m=own[:, 1],
                    heading_deg=np.degrees(heading),
                )
            )
        return tuple(tracks)


def _heading_deg(knots: FloatArray, plan: Plan, velocity: FloatArray, bow_deg: FloatArray) -> FloatArray:
    """Unwrapped headings: along the course under way; at anchor as the current has it, turning there once stopped."""
    if plan.hold_s[0] == plan.hold_s[1]:
        return np.asarray(np.degrees(np.unwrap(np.arctan2(velocity[:, 0], velocity[:, 1]))))
    into, out = (float(np.degrees(np.arctan2(*(plan.way_m[k + 1] - plan.way_m[k])))) for k in (0, 2))
    first, last = plan.hold_s[0] + SETTLING_S, plan.hold_s[1] - SETTLING_S
    at_first, at_last = np.interp([first, last], knots, bow_deg)
    turns = np.round((into - at_first) / 360.0)
    out += 360.0 * np.round((at_last + 360.0 * turns - out) / 360.0)
    heading = into + ndtr((knots - first) / (SETTLING_S / 3.0)) * (bow_deg + 360.0 * turns - into)
    return np.asarray(heading + ndtr((knots - last) / (SETTLING_S / 3.0)) * (out - heading))


def _unit(vector: FloatArray) -> FloatArray:
    """The direction of a vector (2,), length 1."""
    return np.asarray(vector / max(float(np.hypot(*vector)), 1e-9))


def _times(way_m: FloatArray, speed_m_s: float | FloatArray) -> FloatArray:
    """Times from 0 at which the waypoints are reached, seconds."""
    legs = np.hypot(*np.diff(way_m, axis=0).T) / speed_m_s
    return np.concatenate([[0.0], np.cumsum(legs)])


def _knots(plan: Plan) -> FloatArray:
    """A knot a minute under way and around both ends of a stay, every five minutes within it."""
    start, end = plan.way_s[0], plan.way_s[-1]
    every_minute = np.linspace(start, end, max(int((end - start) / 60.0), 8) + 1)
    inner = (every_minute > plan.hold_s[0] + 1200.0) & (every_minute < plan.hold_s[1] - 1200.0)
    return np.asarray(every_minute[~inner | (np.arange(every_minute.size) % 5 == 0)])
