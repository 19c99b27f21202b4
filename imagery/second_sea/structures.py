"""Fixed objects at sea: wind farms, platforms, rafts of aquaculture and rows of stakes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.second_sea import fields
from imagery.second_sea.canvas import Canvas, place_at, rotated_coordinates
from imagery.second_sea.optics import Echoes

FloatArray = NDArray[np.float64]


def add_farm(rng: np.random.Generator, canvas: Canvas) -> None:
    """Turbines on a skewed grid 600-1200 m apart with gaps, and a substation.

    A tower and its foundation return some 25-36 dBsm; the blades' Doppler spreads a part along the flight.
    """
    rows, cols = canvas.shape_hw
    axis_deg, skew = float(rng.uniform(0.0, 180.0)), rng.uniform(-0.4, 0.4)
    step = rng.uniform(60.0, 120.0), rng.uniform(60.0, 120.0)
    origin = rng.uniform(0.35, 0.65) * rows, rng.uniform(0.35, 0.65) * cols
    size = int(rng.integers(5, 12)), int(rng.integers(4, 9))
    for i in range(-(size[0] // 2), size[0] - size[0] // 2):
        for j in range(-(size[1] // 2), size[1] - size[1] // 2):
            along = np.array(i * step[0] + skew * j * step[1] + rng.normal(0.0, 1.0))
            row, col = place_at(origin, axis_deg, along, np.array(j * step[1] + rng.normal(0.0, 1.0)))
            if rng.random() < 0.93 and canvas.is_water(float(row), float(col)):
                canvas.add_structure(float(row), float(col), "turbine", _turbine(rng, float(row), float(col)))
    if canvas.is_water(*origin):
        at = origin[0] + 0.5 * step[0], origin[1] + 0.2 * step[1]
        canvas.add_structure(*at, "platform", _platform(rng, *at))


def _turbine(rng: np.random.Generator, row: float, col: float) -> Echoes:
    total = 10.0 ** (rng.normal(30.0, 3.0) / 10.0)
    blades = int(rng.integers(2, 8))
    rows = np.concatenate([row + rng.normal(0.0, 0.3, 3), row + rng.normal(0.0, 6.0, blades)])
    cols = np.concatenate([col + rng.normal(-0.5, 0.7, 3), col + rng.normal(-2.0, 2.0, blades)])
    weight = np.concatenate([rng.exponential(1.0, 3), rng.exponential(0.05, blades)])
    vv = total * weight / weight.sum()
    return Echoes(rows=rows, cols=cols, rcs_m2=np.stack([vv, vv * 10.0 ** (-rng.uniform(0.7, 1.6, len(vv)))]))


def _platform(rng: np.random.Generator, row: float, col: float) -> Echoes:
    count, half = int(rng.integers(6, 25)), rng.uniform(1.0, 4.5)
    vv = rng.exponential(1.0, count) ** 1.5
    vv *= 10.0 ** (rng.normal(40.0, 4.0) / 10.0) / vv.sum()
    return Echoes(
        rows=row + rng.uniform(-half, half, count),
        cols=col + rng.uniform(-half, half, count),
        rcs_m2=np.stack([vv, vv * 10.0 ** (-rng.uniform(0.4, 1.1, count))]),
    )


def add_platforms(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Platforms and light towers anywhere in open water."""
    for _ in range(count):
        at = float(rng.uniform(0, canvas.shape_hw[0] - 1)), float(rng.uniform(0, canvas.shape_hw[1] - 1))
        if canvas.is_water(*at):
            canvas.add_structure(*at, "platform", _platform(rng, *at))


def add_aquaculture(rng: np.random.Generator, canvas: Canvas, blocks: int) -> None:
    """Blocks of raft grids and of stake rows in the shallows, with calmer water in them."""
    shore_px = fields.shore_distance_px(canvas.land)
    near = np.flatnonzero((shore_px > 12.0) & (shore_px < 350.0))
    if len(near) == 0:
        near = np.flatnonzero(~canvas.land)
    if len(near) == 0:
        return
    common_deg = float(rng.uniform(0.0, 180.0))
    for _ in range(blocks):
        row, col = np.divmod(int(rng.choice(near)), canvas.shape_hw[1])
        axis_deg = common_deg + float(rng.normal(0.0, 12.0))
        half = rng.uniform(15.0, 60.0), rng.uniform(12.0, 45.0)
        along, across = rotated_coordinates(canvas.shape_hw, (float(row), float(col)), axis_deg)
        inside = (np.abs(along) < half[0]) & (np.abs(across) < half[1]) & ~canvas.land
        canvas.sigma[:, inside] *= np.float32(10.0 ** (rng.uniform(-3.5, 0.0) / 10.0))
        paint = _rafts if rng.random() < 0.55 else _stakes
        paint(rng, canvas, (float(row), float(col)), axis_deg, half)


def _rafts(
    rng: np.random.Generator, canvas: Canvas, origin: tuple[float, float], axis_deg: float, half: tuple[float, float]
) -> None:
    """Rafts of 10-25 x 3-6 m in rows, each a handful of scatterers, 10-21 dBsm in all."""
    step = rng.uniform(4.0, 9.0), rng.uniform(3.0, 7.0)
    level_db = rng.uniform(10.0, 21.0)
    grid = np.meshgrid(np.arange(-half[0], half[0], step[0]), np.arange(-half[1], half[1], step[1]), indexing="ij")
    along, across = (axis.ravel() + rng.normal(0.0, 0.25, axis.size) for axis in grid)
    rows, cols = place_at(origin, axis_deg, along, across)
    kept = np.array([canvas.is_water(r, c) for r, c in zip(rows, cols, strict=True)], bool) & (
        rng.random(len(rows)) < 0.88
    )
    if not kept.any():
        return
    rows, cols = rows[kept], cols[kept]
    points = 4
    offset = np.linspace(-0.9, 0.9, points)
    d_row, d_col = place_at((0.0, 0.0), axis_deg, offset, np.zeros(points))
    vv = 10.0 ** (level_db / 10.0) / points * rng.exponential(1.0, (len(rows), points)).ravel()
    echoes = Echoes(
        rows=(rows[:, None] + d_row).ravel(),
        cols=(cols[:, None] + d_col).ravel(),
        rcs_m2=np.stack([vv, vv * 10.0 ** (-rng.uniform(0.8, 1.5, len(vv)))]),
    )
    place = len(canvas.echoes)
    canvas.echoes.append(echoes)
    canvas.structures += [(float(r), float(c), "raft", place) for r, c in zip(rows, cols, strict=True)]


def _stakes(
    rng: np.random.Generator, canvas: Canvas, origin: tuple[float, float], axis_deg: float, half: tuple[float, float]
) -> None:
    """Rows of poles 5-10 m apart with nets between them, -1..9 dBsm a pole."""
    level_db = rng.uniform(-1.0, 9.0)
    rows_of, cols_of, weights = [], [], []
    for across in np.arange(-half[1], half[1], rng.uniform(5.0, 14.0)):
        reach = half[0] * rng.uniform(0.5, 1.0)
        along = np.arange(-reach, reach, rng.uniform(0.5, 1.0))
        bend = across + 0.6 * np.cumsum(rng.normal(0.0, 0.1, len(along)))
        rows, cols = place_at(origin, axis_deg, along, bend)
        kept = np.array([canvas.is_water(r, c) for r, c in zip(rows, cols, strict=True)], bool)
        if not kept.any():
            continue
        rows_of.append(rows[kept])
        cols_of.append(cols[kept])
        weights.append(rng.exponential(1.0, np.count_nonzero(kept)))
        canvas.structures.append((float(rows[kept].mean()), float(cols[kept].mean()), "stakes", len(canvas.echoes)))
    if rows_of:
        vv = 10.0 ** (level_db / 10.0) * np.concatenate(weights)
        vh = vv * 10.0 ** (-rng.uniform(0.6, 1.3, len(vv)))
        canvas.echoes.append(
            Echoes(rows=np.concatenate(rows_of), cols=np.concatenate(cols_of), rcs_m2=np.stack([vv, vh]))
        )
