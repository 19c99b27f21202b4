"""Ships, structures and their ghosts in a training chip: where they lie, how they echo, what wake they draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagery.geometry import FloatArray
from imagery.simulate.fields import Field
from imagery.simulate.sar_coast import Shore
from imagery.simulate.sar_echoes import Echo
from imagery.simulate.sar_look import Look, ambiguity_m, azimuth_shift_m
from imagery.simulate.sar_targets import SMALL_HULL_DB, ship_rcs_m2

# Quantiles of the lengths of vessels of high and medium confidence in xView3's validation labels (Paolo et al. 2022,
# arXiv 2206.00897; statistics only).
LENGTH_AT = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
LENGTH_M = (8.0, 10.8, 14.7, 16.5, 23.9, 52.8, 108.7, 160.8, 185.0, 229.5, 400.0)
# Length over breadth: broad boats, slender ships (fit to the usual classes; judgement).
SLENDER_AT_M, SLENDER = (8.0, 15.0, 50.0, 150.0, 300.0), (2.8, 3.3, 4.8, 6.3, 6.4)
RCS_SD_DB = 5.5
# Share of the loss of wooden and plastic hulls by length: with it .18, .39, .66, .90 and .99 of ships of 15, 25, 35, 50
# and 80 m stand 9 dB over the sea; AIS-matched real scenes detect .25, .55, .72, .86 and .93.
HULL_LOSS_AT_M, HULL_LOSS = (15.0, 30.0, 45.0, 90.0), (1.0, 0.9, 0.6, 0.0)
VH_BELOW_DB = (6.0, 10.0)
UNSEEN_DB, GHOST_DB, GHOST_SPREAD_DB = 3.5, -25.0, 3.0
GHOST_SMEAR_M = 14.0
SMEAR_S = 0.25  # along-track blur per speed, metres per m/s


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something to paint, with its label; an echo without a label is clutter.

    Attributes:
        echo: scatterers.
        row, col: apparent centre.
        length_m, width_m: size; NaN for a ghost.
        axis_deg: direction of the long axis, clockwise from image up, [0, 180).
        heading_deg: of a moving ship; NaN at rest.
        speed_m_s: over ground.
        shift_m: how far the echo is displaced along the flight direction.
        kind: 'vessel', 'fixed_structure' or 'ghost'.
    """

    echo: Echo
    row: float
    col: float
    length_m: float
    width_m: float
    axis_deg: float
    heading_deg: float
    speed_m_s: float
    shift_m: float
    kind: str


def draw_length_m(rng: np.random.Generator) -> float:
    """A ship's length as in xView3's labels."""
    return float(np.interp(rng.random(), LENGTH_AT, LENGTH_M))


def ship(
    look: Look,
    rng: np.random.Generator,
    place: tuple[float, float],
    heading_deg: float,
    *,
    length_m: float | None = None,
    speed_m_s: float = 0.0,
) -> Target:
    """A ship.

    Args:
        look: geometry.
        rng: random numbers.
        place: (row, col) where it truly is; a moving one is seen displaced.
        heading_deg: where its bow points, clockwise from image up.
        length_m: None draws it.
        speed_m_s: over ground.

    Returns:
        Its echo: .08 L^(7/3) m2 with a log-normal spread, less for boats of wood or plastic, on 3 to 30 scatterers,
        of which the superstructure may hold half.
    """
    length = draw_length_m(rng) if length_m is None else length_m
    width = length / float(np.interp(length, SLENDER_AT_M, SLENDER)) * float(np.exp(rng.normal(0.0, 0.12)))
    shift = float(azimuth_shift_m(speed_m_s, heading_deg - look.look_deg, float(look.incidence_at(place[0], place[1]))))
    step = look.rowcol_step(shift, look.flight_deg)
    row, col = place[0] + float(step[0]), place[1] + float(step[1])
    count = int(np.clip(3 + length / 8.0, 3, 30))
    along, across = rng.uniform(-0.5, 0.5, count) * length, rng.uniform(-0.5, 0.5, count) * width
    along[:2] = (0.46 * length, -0.46 * length)  # bow and stern echo, or the length could not be seen
    share = rng.gamma(rng.uniform(0.4, 1.5), size=count) + 0.02
    share /= share.sum()
    if rng.random() < 0.25:
        share *= 0.5
        along[2], share[2] = -0.38 * length, share[2] + 0.5
    rows, cols = _turned(look, row, col, heading_deg, along, across)
    loss_db = rng.uniform(0.0, SMALL_HULL_DB) * float(np.interp(length, HULL_LOSS_AT_M, HULL_LOSS))
    total = ship_rcs_m2(length) * 10.0 ** (0.1 * (rng.normal(0.0, RCS_SD_DB) - loss_db))
    rolling_m = abs(rng.normal(0.0, 4.0)) if length < 60.0 else 0.0
    return Target(
        echo=Echo(
            rows=rows,
            cols=cols,
            rcs_m2=total * share,
            vh_db=rng.uniform(*VH_BELOW_DB),
            smear_m=float(np.hypot(SMEAR_S * speed_m_s * 2.0 * rng.random(), rolling_m)),
        ),
        row=row,
        col=col,
        length_m=length,
        width_m=width,
        axis_deg=heading_deg % 180.0,
        heading_deg=heading_deg % 360.0 if speed_m_s > 0.0 else np.nan,
        speed_m_s=speed_m_s,
        shift_m=shift,
        kind="vessel",
    )


def structure(
    look: Look, rng: np.random.Generator, place: tuple[float, float], size_m: float, rcs_dbsm: float
) -> Target:
    """A platform, turbine or beacon: up to eight strong scatterers on a square, no motion, no clear axis."""
    count = int(np.clip(size_m / 8.0, 2, 8))
    side, turn = rng.uniform(0.6, 1.0), rng.uniform(0.0, 180.0)
    along, across = rng.uniform(-0.5, 0.5, count) * size_m, rng.uniform(-0.5, 0.5, count) * size_m * side
    rows, cols = _turned(look, place[0], place[1], turn, along, across)
    rcs = rng.dirichlet(np.ones(count)) * 10.0 ** (0.1 * rcs_dbsm)
    return Target(
        echo=Echo(rows=rows, cols=cols, rcs_m2=rcs, vh_db=rng.uniform(5.0, 10.0)),
        row=place[0],
        col=place[1],
        length_m=size_m,
        width_m=size_m * side,
        axis_deg=turn % 180.0,
        heading_deg=np.nan,
        speed_m_s=0.0,
        shift_m=0.0,
        kind="fixed_structure",
    )


def _turned(
    look: Look, row: float, col: float, heading_deg: float, along_m: FloatArray, across_m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    ahead, aside = look.rowcol_step(along_m, heading_deg), look.rowcol_step(across_m, heading_deg + 90.0)
    return row + ahead[0] + aside[0], col + ahead[1] + aside[1]


def ghost_of(look: Look, rng: np.random.Generator, source: Target, order: int) -> Target:
    """The azimuth ambiguity of a target: weaker, smeared, thousands of metres along the flight."""
    away_m = float(ambiguity_m(float(look.incidence_at(source.row, source.col)), look.subswath, order))
    d_row, d_col = (float(v) for v in look.rowcol_step(away_m, look.flight_deg))
    level = 10.0 ** (0.1 * (GHOST_DB + rng.normal(0.0, GHOST_SPREAD_DB) - 5.0 * (abs(order) - 1)))
    echo = source.echo
    return Target(
        echo=Echo(
            rows=echo.rows + d_row,
            cols=echo.cols + d_col,
            rcs_m2=echo.rcs_m2 * level,
            vh_db=echo.vh_db,
            smear_m=GHOST_SMEAR_M * abs(order),
        ),
        row=source.row + d_row,
        col=source.col + d_col,
        length_m=np.nan,
        width_m=np.nan,
        axis_deg=source.axis_deg,
        heading_deg=np.nan,
        speed_m_s=0.0,
        shift_m=away_m,
        kind="ghost",
    )


def at_sea(look: Look, rng: np.random.Generator, shore: Shore, expected: float, *, crowd: float) -> list[Target]:
    """Ships in open water, alone, in company or rafted.

    Args:
        look: geometry.
        rng: random numbers.
        shore: where water is.
        expected: mean number of groups.
        crowd: share of groups of two to six.

    Returns:
        Targets; 45 % of lone ships lie still.
    """
    targets: list[Target] = []
    current_deg = rng.uniform(0.0, 360.0)  # at anchor all head the same way
    for _ in range(rng.poisson(expected)):
        place = _free_water(look, rng, shore)
        if place is None:
            continue
        if rng.random() < crowd:
            targets += _company(look, rng, place, current_deg)
            continue
        moving = rng.random() < 0.55
        heading = rng.uniform(0.0, 360.0) if moving else current_deg + rng.normal(0.0, 12.0)
        speed = float(np.clip(rng.gamma(4.0, 1.4), 1.0, 13.0)) if moving else 0.0
        targets.append(ship(look, rng, place, heading, speed_m_s=speed))
    return targets


def _company(look: Look, rng: np.random.Generator, place: tuple[float, float], heading: float) -> list[Target]:
    """Ships alongside each other (rafts, transfers), or boats fishing or anchored 60-400 m apart."""
    count = int(rng.choice([2, 3, 4, 6], p=[0.6, 0.2, 0.12, 0.08]))
    lengths = draw_length_m(rng) * np.exp(rng.normal(0.0, 0.35, count))
    if rng.random() < 0.5:
        lengths, side = np.clip(lengths[: min(count, 4)], 10.0, 330.0), 0.0
        out = []
        for length in lengths:
            half = 0.5 * length / float(np.interp(length, SLENDER_AT_M, SLENDER))
            side += half + rng.uniform(1.0, 8.0)
            d_row, d_col = look.rowcol_step(side, heading + 90.0)
            e_row, e_col = look.rowcol_step(rng.normal(0.0, 0.08) * length, heading)
            spot = (place[0] + float(d_row + e_row), place[1] + float(d_col + e_col))
            out.append(ship(look, rng, spot, heading + rng.choice([0.0, 180.0]), length_m=float(length)))
            side += half
        return out
    spacing_m = np.exp(rng.uniform(np.log(50.0), np.log(400.0)))
    out = []
    for length in np.clip(lengths, 8.0, 330.0):
        away = rng.normal(0.0, 1.0, 2) * max(spacing_m, 0.8 * float(length)) / look.pixel_size_m
        spot = (place[0] + float(away[0]), place[1] + float(away[1]))
        out.append(ship(look, rng, spot, heading + rng.normal(0.0, 20.0), length_m=float(length)))
    return out


def at_berth(look: Look, rng: np.random.Generator, shore: Shore) -> list[Target]:
    """Ships along quays and jetties, some with a second one outside."""
    targets: list[Target] = []
    for row, col, out_deg, room_m in shore.berths:
        length = float(np.clip(room_m * rng.uniform(0.6, 0.95), 9.0, 330.0))
        off_m = rng.uniform(2.0, 9.0)
        for _ in range(1 + int(rng.random() < 0.15)):
            half = 0.5 * length / float(np.interp(length, SLENDER_AT_M, SLENDER))
            d_row, d_col = look.rowcol_step(off_m + half, out_deg)
            spot = (row + float(d_row), col + float(d_col))
            if _wet(shore, *spot):
                heading = out_deg + 90.0 + rng.choice([0.0, 180.0])
                targets.append(ship(look, rng, spot, heading, length_m=length))
            off_m += 2.0 * half + rng.uniform(2.0, 6.0)
    return targets


def _turbines(look: Look, rng: np.random.Generator, shore: Shore) -> list[Target]:
    """Turbines on a skewed grid that may end within the image, all of one make."""
    pitch_m, turn = rng.uniform(450.0, 1300.0), rng.uniform(0.0, 90.0)
    squeeze, skew = rng.uniform(0.6, 1.0), rng.uniform(-0.4, 0.4)
    reach = int(np.hypot(*look.shape_hw) * look.pixel_size_m / pitch_m / squeeze) + 1
    size_m, rcs_dbsm = rng.uniform(8.0, 30.0), rng.uniform(23.0, 36.0)
    first, edge_m = rng.uniform(0.0, 1.0, 2), rng.uniform(-0.5, 1.0) * look.shape_hw[0] * look.pixel_size_m
    out = []
    for i in range(-reach, reach):
        for j in range(-reach, reach):
            u_m, v_m = (i + first[0] + skew * j) * pitch_m, (j + first[1]) * pitch_m * squeeze
            d_row, d_col = look.rowcol_step(np.array([u_m, v_m]), np.array([turn, turn + 90.0]))
            place = look.shape_hw[0] / 2.0 + float(d_row.sum()), look.shape_hw[1] / 2.0 + float(d_col.sum())
            if v_m < edge_m and _wet(shore, *place):
                out.append(structure(look, rng, place, size_m, rcs_dbsm + rng.normal(0.0, 3.0)))
    return out


def structures(look: Look, rng: np.random.Generator, shore: Shore, kind: str) -> list[Target]:
    """Turbines in rows, platforms, beacons."""
    out = _turbines(look, rng, shore) if kind == "wind_farm" else []
    area = look.shape_hw[0] * look.shape_hw[1] * (look.pixel_size_m / 2560.0) ** 2
    mean = {"platforms": 3.0, "open_sea": 0.05, "coast": 0.3, "harbour": 0.3, "tidal_flat": 0.3}.get(kind, 0.05)
    for _ in range(rng.poisson(mean * area)):
        place = _free_water(look, rng, shore)
        if place is None:
            continue
        if kind == "platforms" and rng.random() < 0.7:
            out.append(structure(look, rng, place, rng.uniform(25.0, 130.0), rng.uniform(33.0, 52.0)))
        else:
            out.append(structure(look, rng, place, rng.uniform(4.0, 20.0), rng.uniform(14.0, 30.0)))
    return out


def distant_ghosts(look: Look, rng: np.random.Generator, shore: Shore, expected: float) -> list[Target]:
    """Ghosts in the image of large ships and works beyond it."""
    out = []
    for _ in range(rng.poisson(expected)):
        place = _free_water(look, rng, shore)
        if place is None:
            continue
        length = rng.uniform(90.0, 350.0)
        order = int(rng.choice([-1, 1]))
        at_place = ship(look, rng, place, rng.uniform(0.0, 360.0), length_m=length)
        away_m = float(ambiguity_m(float(look.incidence_at(*place)), look.subswath, order))
        d_row, d_col = (float(v) for v in look.rowcol_step(-away_m, look.flight_deg))
        inside = 0 <= place[0] + d_row < look.shape_hw[0] and 0 <= place[1] + d_col < look.shape_hw[1]
        if inside:
            continue  # ships inside cast their own
        bright = 10.0 ** rng.uniform(0.0, 1.1)  # of the largest, or of works and bridges
        source = Target(
            echo=Echo(
                rows=at_place.echo.rows + d_row,
                cols=at_place.echo.cols + d_col,
                rcs_m2=at_place.echo.rcs_m2 * bright,
                vh_db=at_place.echo.vh_db,
            ),
            row=at_place.row + d_row,
            col=at_place.col + d_col,
            length_m=length,
            width_m=at_place.width_m,
            axis_deg=at_place.axis_deg,
            heading_deg=np.nan,
            speed_m_s=0.0,
            shift_m=0.0,
            kind="vessel",
        )
        out.append(ghost_of(look, rng, source, order))
    return out


def draw_wakes(mean: Field, look: Look, rng: np.random.Generator, targets: list[Target], wind_m_s: float) -> list[bool]:
    """Wakes into the mean sea (2, h, w), in place, behind where ships truly are; says which can be seen.

    Dark turbulent trails, one or two bright Kelvin arms; none in strong wind (Lyden et al. 1988, J. Geophys. Res.
    93(C10) 12293, doi:10.1029/JC093iC10p12293, on which parts appear; levels are judgement).
    """
    seen = []
    for target in targets:
        fast, calm = target.speed_m_s > 2.5, wind_m_s < 9.0
        if not (fast and calm and target.length_m > 12.0 and rng.random() < 0.55):
            seen.append(False)
            continue
        d_row, d_col = look.rowcol_step(-target.shift_m, look.flight_deg)
        stern = look.rowcol_step(0.5 * target.length_m, target.heading_deg + 180.0)
        start = target.row + float(d_row + stern[0]), target.col + float(d_col + stern[1])
        reach_m = target.speed_m_s * rng.uniform(60.0, 500.0)
        trail_db = rng.uniform(-7.0, -2.0) if rng.random() < 0.85 else rng.uniform(1.0, 3.0)
        width_m = max(1.2 * target.width_m, 14.0)
        _add_line(mean, look, start, target.heading_deg + 180.0, reach_m, (width_m, 0.012), trail_db)
        if rng.random() < 0.45:
            half_deg = rng.uniform(3.0, 19.5)
            for side in (-1.0, 1.0)[: int(rng.integers(1, 3))]:
                arm_deg = target.heading_deg + 180.0 + side * half_deg
                _add_line(mean, look, start, arm_deg, 0.5 * reach_m, (12.0, 0.0), rng.uniform(1.0, 4.5))
        seen.append(True)
    return seen


def _add_line(
    mean: Field,
    look: Look,
    start: tuple[float, float],
    direction_deg: float,
    reach_m: float,
    width_m: tuple[float, float],
    level_db: float,
) -> None:
    """Multiply by a line that widens (half-width, rise per metre) and fades."""
    p = look.pixel_size_m
    d_row, d_col = (float(v) for v in look.rowcol_step(reach_m, direction_deg))
    pad = 3.0 * (width_m[0] + width_m[1] * reach_m) / p
    ends_row, ends_col = (start[0], start[0] + d_row), (start[1], start[1] + d_col)
    r0, r1 = max(int(min(ends_row) - pad), 0), min(int(max(ends_row) + pad) + 1, mean.shape[1])
    c0, c1 = max(int(min(ends_col) - pad), 0), min(int(max(ends_col) + pad) + 1, mean.shape[2])
    if r0 >= r1 or c0 >= c1:
        return
    down = (np.arange(r0, r1, dtype=np.float32)[:, None] - np.float32(start[0])) * np.float32(p)
    right = (np.arange(c0, c1, dtype=np.float32)[None, :] - np.float32(start[1])) * np.float32(p)
    sin, cos = np.float32(np.sin(np.radians(direction_deg))), np.float32(np.cos(np.radians(direction_deg)))
    u, v = right * sin - down * cos, right * cos + down * sin
    on = (u > 0.0) & (u < reach_m)
    width = np.float32(width_m[0]) + np.float32(width_m[1]) * np.maximum(u, 0.0)
    left = np.maximum(1.0 - u / np.float32(reach_m), 0.0)
    share = np.exp(-((v / width) ** 2)) * on * left**0.7
    gain = np.exp(np.float32(np.log(10.0) / 10.0 * level_db) * share)
    mean[0, r0:r1, c0:c1] *= gain
    mean[1, r0:r1, c0:c1] *= np.sqrt(gain)


def _wet(shore: Shore, row: float, col: float) -> bool:
    """Whether a place within the image is water; beyond it, it is not known and counts as dry."""
    r, c = round(row), round(col)
    height, width = shore.land.shape
    return 0 <= r < height and 0 <= c < width and not shore.land[r, c] and not shore.flats[r, c]


def _free_water(look: Look, rng: np.random.Generator, shore: Shore) -> tuple[float, float] | None:
    """A random place in water; None if sixteen tries find none."""
    for _ in range(16):
        row, col = rng.uniform(-0.5, look.shape_hw[0] - 0.5), rng.uniform(-0.5, look.shape_hw[1] - 0.5)
        if _wet(shore, row, col):
            return float(row), float(col)
    return None
