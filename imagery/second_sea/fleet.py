"""Where ships lie: alone, in pairs, in rafts, at quays, with the neighbour distances of real labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imagery.second_sea.canvas import Canvas, Quay
from imagery.second_sea.fields import shore_distance_px
from imagery.second_sea.optics import NATIVE_PIXEL_M
from imagery.second_sea.ships import Ship, beam_m, draw_lengths, draw_speed_m_s

FloatArray = NDArray[np.float64]

# Share of objects with a neighbour nearer than 100 and 200 m in the xView3 validation labels (measured on the labels
# of Paolo et al. 2022, arXiv:2206.00897).
NEAR_SHARE = {100.0: 0.135, 200.0: 0.27}
_SINGLE_APART_M = 230.0


@dataclass(frozen=True, kw_only=True)
class FleetPlan:
    """What sort of ships a kind of scene has.

    Attributes:
        per_1000_km2: usual density over water.
        length_tilt: over 1 longer than usual, under 1 shorter.
        anchored: share of the free ships that lie at anchor, heads to one direction.
        moored: share of all ships that go to quays while berths last.
        shore_scale_m: free ships crowd to the shore over this distance; infinite = anywhere.
    """

    per_1000_km2: float
    length_tilt: float = 1.0
    anchored: float = 0.0
    moored: float = 0.0
    shore_scale_m: float = np.inf


def draw_fleet(rng: np.random.Generator, canvas: Canvas, plan: FleetPlan, per_1000_km2: float | None) -> list[Ship]:
    """All ships of a scene; their `row` is where they appear.

    Args:
        rng: source of the draws.
        canvas: land, quays and wind.
        plan: the kind's habits.
        per_1000_km2: mean number over 1000 km2 of water; None draws it within a factor of two of the plan's.
    """
    water_km2 = np.count_nonzero(~canvas.land) * NATIVE_PIXEL_M**2 / 1e6
    density = plan.per_1000_km2 * np.exp(rng.uniform(-0.7, 0.7)) if per_1000_km2 is None else per_1000_km2
    count = int(rng.poisson(density * water_km2 / 1000.0))
    ships = _moored(rng, canvas, round(plan.moored * count), plan)
    return ships + _free(rng, canvas, count - len(ships), plan, ships)


def _ship(
    row: float, col: float, length_m: float, width_m: float, heading_deg: float, speed_m_s: float, moored: bool
) -> Ship:
    return Ship(
        row=float(row),
        col=float(col),
        length_m=float(length_m),
        width_m=float(width_m),
        heading_deg=float(heading_deg % 360.0),
        speed_m_s=float(speed_m_s),
        moored=moored,
    )


def _draw_beam(rng: np.random.Generator, length_m: float) -> float:
    return float(beam_m(length_m) * rng.lognormal(0.0, 0.08))


def _moored(rng: np.random.Generator, canvas: Canvas, count: int, plan: FleetPlan) -> list[Ship]:
    """Ships end to end along the quays, some with a second one outside."""
    ships: list[Ship] = []
    for index in rng.permutation(len(canvas.quays)):
        quay = canvas.quays[index]
        side = np.subtract(quay.end, quay.start)
        quay_m = float(np.hypot(*side)) * NATIVE_PIXEL_M
        at_m = rng.uniform(0.0, 40.0)
        while len(ships) < count:
            length = float(draw_lengths(rng, 1, plan.length_tilt)[0])
            if at_m + length > quay_m:
                break
            if rng.random() < 0.7:
                ships += _berth(rng, canvas, quay, (at_m + length / 2.0) / quay_m, length)
            at_m += length * rng.uniform(1.05, 1.3) + rng.exponential(20.0)
    return ships[:count]


def _berth(rng: np.random.Generator, canvas: Canvas, quay: Quay, part: float, length_m: float) -> list[Ship]:
    side = np.subtract(quay.end, quay.start)
    heading = float(np.degrees(np.arctan2(side[1], -side[0]))) + 180.0 * rng.integers(2)
    ships: list[Ship] = []
    off_m = 3.0
    for _ in range(1 + int(rng.random() < (0.3 if length_m < 60.0 else 0.05))):
        width = _draw_beam(rng, length_m)
        off_m += width / 2.0
        row, col = np.add(quay.start, part * side) + np.multiply(quay.outward, off_m / NATIVE_PIXEL_M)
        off_m += width / 2.0 + 1.0
        ship = _ship(row, col, length_m, width, heading, 0.0, True)
        if not _afloat(canvas, ship):
            break
        ships.append(ship)
        length_m *= rng.uniform(0.7, 1.1)
    return ships


def _afloat(canvas: Canvas, ship: Ship, clear: NDArray[np.float32] | None = None) -> bool:
    """Whether both ends of the hull and its middle lie on water in the picture, and clear of land where asked."""
    angle = np.radians(ship.heading_deg)
    half = 0.45 * ship.length_m / NATIVE_PIXEL_M
    for part in (-half, 0.0, half):
        row, col = ship.row - part * np.cos(angle), ship.col + part * np.sin(angle)
        if part == 0.0 and not (1 <= row < canvas.shape_hw[0] - 2 and 1 <= col < canvas.shape_hw[1] - 2):
            return False
        inside = 0 <= round(row) < canvas.shape_hw[0] and 0 <= round(col) < canvas.shape_hw[1]
        if inside and canvas.land[round(row), round(col)]:
            return False
        if inside and clear is not None and clear[round(row), round(col)] * NATIVE_PIXEL_M < ship.width_m / 2.0 + 15.0:
            return False
    return True


def _free(rng: np.random.Generator, canvas: Canvas, count: int, plan: FleetPlan, taken: list[Ship]) -> list[Ship]:
    """Ships off the quays: the stated shares in pairs nearer than 100 and 200 m, the others farther from all."""
    clear = shore_distance_px(canvas.land)
    step = 4
    coarse = clear[::step, ::step].astype(float).ravel() * NATIVE_PIXEL_M
    near = np.exp(-coarse / plan.shore_scale_m) if np.isfinite(plan.shore_scale_m) else 1.0
    weight = np.where(coarse > 30.0, 0.12 + near, 0.0)
    if count <= 0 or not weight.any():
        return []
    total = np.cumsum(weight)
    heads_deg = float(rng.uniform(0.0, 360.0))
    ships: list[Ship] = []
    share_near, share_next = NEAR_SHARE[100.0], NEAR_SHARE[200.0] - NEAR_SHARE[100.0]
    for _ in range(60 * count):
        if len(ships) >= count:
            break
        cell = int(np.searchsorted(total, rng.random() * total[-1]))
        row, col = np.divmod(cell, -(-canvas.shape_hw[1] // step))
        at = row * step + rng.uniform(0.0, step - 1.0), col * step + rng.uniform(0.0, step - 1.0)
        at = min(at[0], canvas.shape_hw[0] - 1.0), min(at[1], canvas.shape_hw[1] - 1.0)
        # A pair gives two ships their neighbour, so a share s of ships in pairs is a share s / (2 - s) of the draws.
        draw = rng.random() * (1.0 - (share_near + share_next) / 2.0)
        group = [_draw_free(rng, plan, at, heads_deg)]
        if draw < share_near / 2.0:
            group = _group(rng, group[0], 100.0)
        elif draw < (share_near + share_next) / 2.0:
            group = _group(rng, group[0], 200.0)
        if canvas.flats is not None and canvas.flats[round(at[0]), round(at[1])]:
            if rng.random() < 0.6:
                continue
            group = [replace(ship, speed_m_s=0.0) for ship in group]  # aground till the tide comes
        if _fits(canvas, group, ships + taken, clear):
            ships += group
    return ships[:count]


def _draw_free(rng: np.random.Generator, plan: FleetPlan, at: tuple[float, float], heads_deg: float) -> Ship:
    length = float(draw_lengths(rng, 1, plan.length_tilt)[0])
    if rng.random() < plan.anchored:
        heading, speed = heads_deg + rng.normal(0.0, 12.0), 0.0
    else:
        heading, speed = rng.uniform(0.0, 360.0), draw_speed_m_s(rng, length)
    return _ship(*at, length, _draw_beam(rng, length), heading, speed, False)


def _group(rng: np.random.Generator, first: Ship, within_m: float) -> list[Ship]:
    """The first ship and its companions, drawn again until no hull cuts into another."""
    for _ in range(20):
        group = [first, *_companions(rng, first, within_m)]
        if all(_hulls_apart(a, b) for i, a in enumerate(group) for b in group[i + 1 :]):
            return group
    return group


def _companions(rng: np.random.Generator, first: Ship, within_m: float) -> list[Ship]:
    """Ships beside the first: fast alongside (a fifth of the near ones, at times three), or in company."""
    if within_m == 100.0 and rng.random() < 0.2 and first.speed_m_s < 3.0:
        ships, off_m = [], first.width_m / 2.0
        for _ in range(1 + int(rng.random() < 0.2)):
            length = float(np.clip(first.length_m * rng.uniform(0.6, 1.1), 9.0, 380.0))
            width = _draw_beam(rng, length)
            off_m += width / 2.0 + 2.0
            place = _beside(first, first.heading_deg + 90.0, off_m)
            off_m += width / 2.0
            ships.append(_ship(*place, length, width, first.heading_deg, first.speed_m_s, False))
        return ships
    length = float(np.clip(first.length_m * rng.lognormal(0.0, 0.35), 9.0, 380.0))
    width = _draw_beam(rng, length)
    heading = first.heading_deg + rng.normal(0.0, 15.0)
    # Labels nearer than about 60 m are seldom told apart by their makers: 5 % of them lie within 70 m, 13 % in 100 m.
    apart_m = rng.uniform(55.0, 99.0) if within_m == 100.0 else rng.uniform(101.0, 199.0)
    place = _beside(first, rng.uniform(0.0, 360.0), apart_m)
    return [_ship(*place, length, width, heading, first.speed_m_s, False)]


def _beside(first: Ship, bearing_deg: float, apart_m: float) -> tuple[float, float]:
    angle, apart_px = np.radians(bearing_deg), apart_m / NATIVE_PIXEL_M
    return first.row - apart_px * np.cos(angle), first.col + apart_px * np.sin(angle)


def _hulls_apart(first: Ship, second: Ship) -> bool:
    """Whether two hulls, taken as chains of discs along their keels, keep clear of each other."""
    keels = []
    for ship in (first, second):
        angle = np.radians(ship.heading_deg)
        part = np.linspace(-0.5, 0.5, 9) * max(ship.length_m - ship.width_m, 0.0) / NATIVE_PIXEL_M
        keels.append(np.stack([ship.row - part * np.cos(angle), ship.col + part * np.sin(angle)], -1))
    gap = np.linalg.norm(keels[0][:, None] - keels[1][None], axis=-1).min() * NATIVE_PIXEL_M
    return bool(gap > (first.width_m + second.width_m) / 2.0)


def _fits(canvas: Canvas, group: list[Ship], others: list[Ship], clear: NDArray[np.float32]) -> bool:
    """Whether a group lies on clear water, apart from all others, and none in it cuts into another's hull."""
    if not all(_afloat(canvas, ship, clear) for ship in group):
        return False
    if any(not _hulls_apart(a, b) for i, a in enumerate(group) for b in group[i + 1 :]):
        return False
    if not others:
        return True
    places = np.array([(ship.row, ship.col) for ship in others])
    for ship in group:
        apart_m = np.hypot(places[:, 0] - ship.row, places[:, 1] - ship.col) * NATIVE_PIXEL_M
        needed_m = _SINGLE_APART_M + 0.5 * ship.length_m * (ship.length_m > 150.0)
        if apart_m.min() < needed_m:
            return False
    return True
