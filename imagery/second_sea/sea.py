"""The open sea: wind with its streaks and lulls through CMOD5.N, swell, slicks, rain cells and ice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imagery.second_sea import fields
from imagery.second_sea.canvas import Canvas, rotated_coordinates
from imagery.second_sea.viewing import Swath
from imagery.second_sea.wind import MIN_WIND_M_S, cmod5n, vh_sea

# Orders of K clutter in C-band sea scenes run from about 1 in patchy seas to over 50 in even ones: Ward, Tough and
# Watts 2013, Sea Clutter, 2nd edition; at 20 m resolution the middle of the range is the common case.
ORDER_RANGE = (3.0, 60.0)
_WIND_NODES = np.linspace(MIN_WIND_M_S, 30.0, 240)


def open_sea(rng: np.random.Generator, view: Swath, rows: int, wind_m_s: float) -> Canvas:
    """A canvas of sea alone."""
    shape_hw = rows, len(view.incidence_deg)
    from_deg = float(rng.uniform(0.0, 360.0))
    wind = _wind_field(rng, shape_hw, wind_m_s, from_deg)
    sigma = np.stack([_vv_of_wind(wind, view, from_deg), vh_sea(_WIND_NODES)[_node(wind)]]).astype(np.float32)
    for factor in (_swell(rng, shape_hw), _slicks(rng, shape_hw, wind_m_s, from_deg), _rain(rng, shape_hw)):
        sigma *= factor
    order = float(np.exp(rng.uniform(*np.log(ORDER_RANGE))))
    return Canvas(
        view=view,
        wind_m_s=wind_m_s,
        wind_from_deg=from_deg,
        sigma=sigma,
        order=np.full(shape_hw, order, np.float32),
        land=np.zeros(shape_hw, bool),
    )


def _wind_field(
    rng: np.random.Generator, shape_hw: tuple[int, int], wind_m_s: float, from_deg: float
) -> NDArray[np.float32]:
    """Wind speed with slow change, streaks along the wind 0.5-1.5 km apart, and lulls when it blows lightly."""
    slow = fields.gaussian(rng, shape_hw, (500.0, 350.0), from_deg)
    gusts = fields.fractal(rng, shape_hw, 1.5, 250.0)
    apart_px = rng.uniform(50.0, 150.0)
    streaks = fields.gaussian(rng, shape_hw, (apart_px * 4.0, apart_px / 4.5), from_deg + rng.normal(0.0, 8.0))
    streaky = rng.uniform(0.01, 0.07)
    wind = wind_m_s * np.exp(rng.uniform(0.03, 0.12) * slow + rng.uniform(0.02, 0.05) * gusts + streaky * streaks)
    if rng.random() < np.interp(wind_m_s, (3.0, 8.0), (0.9, 0.1)):
        lull = fields.fractal(rng, shape_hw, 2.0, 500.0)
        level = rng.uniform(0.6, 1.6)
        wind *= 1.0 - rng.uniform(0.4, 0.9) * fields.smoothstep(lull, level, level + 0.5)
    return np.asarray(wind, np.float32)


def _node(wind: NDArray[np.float32]) -> NDArray[np.intp]:
    step = _WIND_NODES[1] - _WIND_NODES[0]
    return np.asarray(np.clip((wind - MIN_WIND_M_S) / step + 0.5, 0, len(_WIND_NODES) - 1), np.intp)


def _vv_of_wind(wind: NDArray[np.float32], view: Swath, from_deg: float) -> NDArray[np.float32]:
    """CMOD5.N by a table of wind and column; the look is towards growing columns, 90 degrees from image up."""
    table = cmod5n(_WIND_NODES[:, None], from_deg - 90.0, view.incidence_deg[None, :]).astype(np.float32)
    step = np.float32(_WIND_NODES[1] - _WIND_NODES[0])
    place = np.clip((wind - np.float32(MIN_WIND_M_S)) / step, 0.0, len(_WIND_NODES) - 1.001)
    low = place.astype(np.intp)
    cols = np.broadcast_to(np.arange(wind.shape[1]), wind.shape)
    part = place - low
    return np.asarray(table[low, cols] * (1.0 - part) + table[low + 1, cols] * part)


def _swell(rng: np.random.Generator, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Tilt modulation by swell of 100-350 m; waves along the range show most."""
    axis_deg = rng.uniform(0.0, 180.0)
    depth = rng.uniform(0.02, 0.3) * (0.3 + 0.7 * abs(np.sin(np.radians(axis_deg))))
    waves = fields.swell(rng, shape_hw, rng.uniform(10.0, 35.0), axis_deg, rng.uniform(0.08, 0.2))
    return np.asarray(np.exp(np.float32(depth) * waves - np.float32(0.5 * depth**2)))


def _slicks(
    rng: np.random.Generator, shape_hw: tuple[int, int], wind_m_s: float, from_deg: float
) -> NDArray[np.float32]:
    """Films that damp VV by 4-12 dB in bent threads, below 7 m/s: above, wind breaks them up; VH loses half as much."""
    factor = np.ones((2, *shape_hw), np.float32)
    if rng.random() > np.interp(wind_m_s, (2.0, 7.5), (0.8, 0.0)):
        return factor
    field = fields.fractal(rng, shape_hw, rng.uniform(1.7, 2.1), 400.0)
    where = fields.gaussian(rng, shape_hw, (250.0, 150.0), from_deg)
    thread = np.exp(-((field / rng.uniform(0.02, 0.1)) ** 2)) * fields.smoothstep(where, 0.2, 1.0)
    loss_db = rng.uniform(4.0, 12.0)
    factor[0] = 10.0 ** (-loss_db * thread / 10.0)
    factor[1] = 10.0 ** (-0.5 * loss_db * thread / 10.0)
    return factor


def _rain(rng: np.random.Generator, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Cells of 1-5 km: a ring roughened by the downdraft's front, damped inside, in VH brighter by splash and rain."""
    factor = np.ones((2, *shape_hw), np.float32)
    if rng.random() > 0.25:
        return factor
    ragged = fields.fractal(rng, shape_hw, 1.8, 80.0)
    for _ in range(int(rng.integers(1, 5))):
        origin = rng.uniform(0, shape_hw[0]), rng.uniform(0, shape_hw[1])
        along, across = rotated_coordinates(shape_hw, origin, rng.uniform(0.0, 180.0))
        radius_px = rng.uniform(50.0, 250.0)
        out = np.hypot(along, across / rng.uniform(0.6, 1.0)) / radius_px * np.exp(0.15 * ragged)
        ring = np.exp(-(((out - 1.0) / 0.18) ** 2))
        core = np.exp(-((out / 0.55) ** 2))
        factor[0] *= 10.0 ** ((rng.uniform(1.0, 4.0) * ring - rng.uniform(-1.0, 5.0) * core) / 10.0)
        factor[1] *= 10.0 ** ((rng.uniform(0.5, 2.0) * ring + rng.uniform(1.0, 7.0) * core) / 10.0)
    return factor


def add_ice(rng: np.random.Generator, canvas: Canvas) -> None:
    """Drifting floes of young ice between leads, with bright rims, up to an ice edge.

    First-year ice at C band lies about -17 to -9 dB in VV and 7-12 dB lower in VH; leads and new ice fall to the
    noise floor (Dierking 2013, Oceanography 26(2), doi:10.5670/oceanog.2013.33).
    """
    rows, cols = canvas.shape_hw
    step = 2
    bend = [10.0 * fields.fractal(rng, (rows // step + 1, cols // step + 1), 1.8, 40.0) for _ in range(2)]
    grid = np.stack(np.meshgrid(np.arange(0, rows + 1, step), np.arange(0, cols + 1, step), indexing="ij"), -1)
    grid = grid[: bend[0].shape[0], : bend[0].shape[1]]
    bent = grid + np.stack([bend[0][: grid.shape[0], : grid.shape[1]], bend[1][: grid.shape[0], : grid.shape[1]]], -1)
    # Floes of many sizes: seeds crowd where a slow field is high.
    crowd = np.exp(0.9 * fields.fractal(rng, canvas.shape_hw, 1.6, 400.0)).ravel().astype(np.float64)
    count = max(8, int(rows * cols / rng.uniform(35.0, 90.0) ** 2))
    picks = rng.choice(rows * cols, size=count, p=crowd / crowd.sum())
    seeds = np.stack(np.divmod(picks, cols), -1) + rng.uniform(-0.5, 0.5, (count, 2))
    near, floe = cKDTree(seeds).query(bent.reshape(-1, 2), k=2)
    rim = fields.enlarged((near[:, 1] - near[:, 0]).reshape(grid.shape[:2]).astype(np.float32), step, canvas.shape_hw)
    floe_of = np.kron(floe[:, 0].reshape(grid.shape[:2]), np.ones((step, step), np.intp))[:rows, :cols]
    pack = fields.fractal(rng, canvas.shape_hw, 1.9, 700.0)
    kept = pack > np.quantile(pack, rng.uniform(0.1, 0.5))
    thick = rng.random(count) < rng.uniform(0.6, 0.95)
    lead_px = rng.uniform(2.0, 7.0)
    ice = kept & ~canvas.land & thick[floe_of] & (rim > lead_px * (0.6 + 0.5 * rng.random(count))[floe_of])
    mixed = kept & ~canvas.land & ~ice
    grain = fields.fractal(rng, canvas.shape_hw, 1.2, 60.0)
    level_db = rng.normal(-13.5, 1.0) + rng.normal(0.0, 1.6, count)[floe_of] + 0.8 * grain
    level_db = level_db + 4.0 * np.exp(-(((rim - lead_px) / 2.5) ** 2))
    incidence_db = -0.25 * (canvas.view.incidence_deg - 38.0)[None, :]
    ratio_db = 9.0 + rng.normal(0.0, 1.0, count)[floe_of]
    canvas.sigma[0][ice] = 10.0 ** ((level_db + incidence_db)[ice] / 10.0)
    canvas.sigma[1][ice] = 10.0 ** ((level_db + incidence_db - ratio_db)[ice] / 10.0)
    canvas.sigma[:, mixed] *= np.float32(10.0 ** (rng.uniform(-9.0, -2.0) / 10.0))
    canvas.order[ice] = float(rng.uniform(6.0, 20.0))
