"""Ships: sizes, radar cross sections, scatterers on a hull, motion in the picture, wakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.second_sea.canvas import Canvas, place_at, rotated_coordinates
from imagery.second_sea.optics import NATIVE_PIXEL_M, Echoes

FloatArray = NDArray[np.float64]

# Lengths of the xView3 validation vessels at 5, 25, 50, 75 and 95 %: 14, 22, 41, 90, 179 m (measured on the labels of
# Paolo et al. 2022, arXiv:2206.00897); the ends are theirs too (10 m, and the longest ships afloat cut at 400 m).
_LENGTH_AT = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99, 1.0)
_LENGTH_M = (9.0, 14.0, 22.0, 41.0, 90.0, 179.0, 230.0, 380.0)
KNOT_M_S = 1852.0 / 3600.0


@dataclass(frozen=True, kw_only=True)
class Ship:
    """One ship before it is imaged; places in native pixels, `row` and `col` where it appears.

    Attributes as in `imagery.second_sea.truth.ShipTruth`.
    """

    row: float
    col: float
    length_m: float
    width_m: float
    heading_deg: float
    speed_m_s: float
    moored: bool


def draw_lengths(rng: np.random.Generator, count: int, tilt: float = 1.0) -> FloatArray:
    """Lengths in metres by the xView3 quantiles, log-linear between them.

    Args:
        rng: source of the draws.
        count: how many.
        tilt: over 1 favours long ships, under 1 short ones: quantile levels are drawn as u^(1 / tilt).
    """
    level = rng.random(count) ** (1.0 / tilt)
    return np.asarray(np.exp(np.interp(level, _LENGTH_AT, np.log(_LENGTH_M))))


def beam_m(length_m: ArrayLike) -> FloatArray:
    """Usual beam: length over 4 up to 30 m, over 4 + .025 (L - 30) up to 130 m, over 6.5 beyond.

    Reference: Watson and Gilfillan 1976, Some ship design methods, Trans. RINA 119.
    """
    length = np.asarray(length_m, float)
    return np.asarray(length / np.clip(4.0 + 0.025 * (length - 30.0), 4.0, 6.5))


def mean_rcs_m2(length_m: ArrayLike, incidence_deg: ArrayLike) -> FloatArray:
    """Usual radar cross section at C band: .08 L^(7/3) (.78 + .11 incidence), square metres.

    Reference: Vachon, Campbell, Bjerkelund, Dobson and Rey 1997, Ship detection by the RADARSAT SAR, Canadian Journal
    of Remote Sensing 23(1), doi:10.1080/07038992.1997.10874677 (HH, like-polarised return of a ship taken as equal).
    """
    return np.asarray(0.08 * np.asarray(length_m, float) ** (7.0 / 3.0) * (0.78 + 0.11 * np.asarray(incidence_deg)))


def draw_rcs_db(rng: np.random.Generator, length_m: float, incidence_deg: float, heading_deg: float) -> FloatArray:
    """(2,) radar cross section of one ship in VV and VH, dBsm.

    Vachon's ships were of steel and over 20 m. Spread 4 dB (5.5 for boats); two boats of five are of wood or plastic
    and return 8 dB less (assumed; small boats of 5-15 m give some 1-100 m2: Williams, Cramp and Curtis 1978, IEE
    Conf. Publ. 155); a side turned square to the look adds up to 4 dB. VH lies 8 dB lower with a spread of 2.5 dB.
    """
    boat = float(np.interp(length_m, (20.0, 40.0), (1.0, 0.0)))
    level_db = 10.0 * np.log10(mean_rcs_m2(length_m, incidence_deg)) + rng.normal(0.0, 4.0 + 1.5 * boat)
    level_db -= 8.0 * (rng.random() < 0.4 * boat)
    level_db += 4.0 * np.exp(-((np.sin(np.radians(heading_deg)) / 0.1) ** 2)) * rng.random()
    return np.array([level_db, level_db - rng.normal(8.0, 2.5)])


def draw_speed_m_s(rng: np.random.Generator, length_m: float) -> float:
    """0-20 kn: a quarter lie still or drift, boats fish or steam, ships keep their service speed."""
    if rng.random() < 0.25:
        return float(rng.uniform(0.0, 0.4))
    if length_m < 40.0:
        knots = rng.uniform(1.5, 4.5) if rng.random() < 0.5 else rng.normal(8.0, 2.0)
    else:
        knots = rng.normal(11.5, 3.5)
    return float(np.clip(knots, 0.5, 20.0) * KNOT_M_S)


def echoes_of(rng: np.random.Generator, ship: Ship, rcs_db: FloatArray, canvas: Canvas) -> Echoes:
    """The ship's scatterers: deck and hull of many weak ones, superstructure of few strong ones that lean to the radar.

    The number grows with length; weights are log-normal on the deck, and a draw of build decides whether one end
    (bridge), both, or the whole length dominates. Rolling and heaving spread echoes along the flight by R / V times
    the spread of range speeds.
    """
    column = int(np.clip(round(ship.col), 0, len(canvas.view.incidence_deg) - 1))
    half_l, half_w = ship.length_m / NATIVE_PIXEL_M / 2.0, ship.width_m / NATIVE_PIXEL_M / 2.0
    deck = int(np.clip(4.0 + ship.length_m / 5.0, 5, 60))
    along = rng.uniform(-1.0, 1.0, deck)
    taper = np.minimum(1.0, 2.5 * (1.0 - np.abs(along)) + 0.15 * (along < 0.0))
    across = rng.uniform(-1.0, 1.0, deck) * taper
    weight = rng.lognormal(0.0, 1.3, deck)
    weight /= weight.sum()
    tower = int(rng.integers(1, 5))
    build = rng.random()
    if build < 0.5:  # bridge aft
        where, share = rng.normal(-0.7, 0.08, tower), rng.uniform(0.3, 0.7)
    elif build < 0.65:  # bridge forward
        where, share = rng.normal(0.6, 0.1, tower), rng.uniform(0.3, 0.7)
    elif build < 0.8:  # one corner that outshines all
        where, share = rng.normal(rng.choice([-0.8, 0.8]), 0.03, tower), rng.uniform(0.75, 0.95)
    else:  # cranes, masts, gear
        where, share = rng.uniform(-0.85, 0.85, tower), rng.uniform(0.2, 0.6)
    peak = rng.exponential(1.0, tower) + 0.1
    weight = np.concatenate([(1.0 - share) * weight, share * peak / peak.sum()])
    along = np.concatenate([along, np.clip(where, -0.95, 0.95)]) * half_l
    across = np.concatenate([across, rng.uniform(-0.5, 0.5, tower)]) * half_w
    height_m = np.concatenate(
        [np.full(deck, 0.02 * ship.length_m), rng.uniform(0.3, 1.0, tower) * 0.12 * ship.length_m]
    )
    rows, cols = place_at((ship.row, ship.col), ship.heading_deg, along, across)
    lean_m = np.clip(height_m, 0.0, 40.0) / np.tan(np.radians(canvas.view.incidence_deg[column]))
    sway_m_s = 0.02 + (0.0 if ship.moored else 0.012 * canvas.wind_m_s * np.sqrt(30.0 / max(ship.length_m, 15.0)))
    sway_px = canvas.view.shift_s[column] * sway_m_s / NATIVE_PIXEL_M
    cross_db = rng.normal(0.0, 3.0, len(weight))
    cross = weight * 10.0 ** (cross_db / 10.0)
    vv, vh = 10.0 ** (rcs_db / 10.0)
    return Echoes(
        rows=rows + rng.normal(0.0, sway_px, len(rows)),
        cols=cols - (lean_m - lean_m.mean()) / NATIVE_PIXEL_M,
        rcs_m2=np.stack([vv * weight, vh * cross / cross.sum()]),
    )


def add_wake(rng: np.random.Generator, canvas: Canvas, ship: Ship, true_row: float) -> None:
    """The dark turbulent trail behind a ship under way, from its true place, often with one bright arm.

    Seen below some 8 m/s of wind; 1-3 km long and opening slowly (Lyden et al. 1988, doi:10.1029/JC093iC10p12293).
    """
    if (
        ship.speed_m_s < 4.0
        or ship.length_m < 35.0
        or rng.random() > np.interp(canvas.wind_m_s, (3.0, 9.0), (0.8, 0.1))
    ):
        return
    reach = float(np.clip(ship.speed_m_s * rng.uniform(15.0, 40.0), 60.0, 350.0))
    top, left = max(0, int(true_row - reach)), max(0, int(ship.col - reach))
    rows, cols = slice(top, max(top, int(true_row + reach))), slice(left, max(left, int(ship.col + reach)))
    water = ~canvas.land[rows, cols]
    if water.size == 0:
        return
    along, across = rotated_coordinates(water.shape, (true_row - top, ship.col - left), ship.heading_deg)
    behind = np.maximum(-along, 0.0)
    half = ship.width_m / NATIVE_PIXEL_M * 0.6 + 0.25 * behind**0.4
    fade = np.exp(-behind / (0.45 * reach)) * (along < 0.0)
    gain_db = -rng.uniform(1.5, 5.0) * fade * np.exp(-((across / half) ** 2))
    if rng.random() < 0.4:  # the arm of a narrow V wake
        side = across - rng.choice([-1.0, 1.0]) * np.tan(np.radians(rng.uniform(2.0, 6.0))) * behind
        gain_db = gain_db + rng.uniform(1.0, 3.0) * fade * np.exp(-((side / 1.0) ** 2))
    canvas.sigma[:, rows, cols] *= np.where(water, 10.0 ** (gain_db / 10.0), 1.0).astype(np.float32)
