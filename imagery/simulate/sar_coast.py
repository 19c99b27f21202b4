"""Land beside the sea in a training chip: shores, fields, towns, harbours with berths, tidal flats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import FloatArray
from imagery.simulate.fields import Field, node_shape, power_law_field, upsampled
from imagery.simulate.sar_look import Look

STEP_PX = 4
Mask = NDArray[np.bool_]
# Mean sigma0 in VV and what VH lies below, dB (C band, ranges of Ulaby and Dobson 1989, Handbook of Radar Scattering
# Statistics for Terrain; judgement within them).
LAND_DB, LAND_VH_DB = (-12.0, -7.5), (5.5, 8.0)
MUD_DB, MUD_VH_DB = (-19.0, -11.0), (8.0, 11.0)
STILL_WATER_DB = (-24.0, -16.0)
TOWN_DB = (3.0, 8.0)  # above the land around
# Corner reflectors of a town: density per km2 and cross-section, log-normal (judgement from the look of real scenes).
TOWN_POINTS_PER_KM2, TOWN_RCS_DBSM, TOWN_RCS_SD_DB = 260.0, 24.0, 6.0
BREAKWATER_DBSM = (12.0, 22.0)  # of every 10 m of rubble or caissons


@dataclass(kw_only=True)
class Shore:
    """What is not open water.

    Attributes:
        land: (h, w) True on ground that no tide reaches, quays and broad piers among it.
        flats: (h, w) True on tidal ground lying dry.
        berths: places along quays: (row, col, direction of the water beside it, metres of room).
        rough: small scatterers of towns, rubble and rocks: (row, col, m2), (n, 3).
        bright: strong ones, such as cranes and sheds: (row, col, m2), (n, 3).
    """

    land: Mask
    flats: Mask
    berths: list[tuple[float, float, float, float]] = field(default_factory=list)
    rough: list[FloatArray] = field(default_factory=list)
    bright: list[FloatArray] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Coordinates of a place on the shore: u along it, v out to sea, metres."""

    row: float
    col: float
    out_deg: float
    pixel_size_m: float

    def rowcol(self, u_m: FloatArray | float, v_m: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Pixel coordinates of places."""
        sin, cos = np.sin(np.radians(self.out_deg)), np.cos(np.radians(self.out_deg))
        u, v = np.asarray(u_m, float) / self.pixel_size_m, np.asarray(v_m, float) / self.pixel_size_m
        return self.row - v * cos + u * sin, self.col + v * sin + u * cos

    def fill(self, mask: Mask, u_m: tuple[float, float], v_m: tuple[float, float], value: bool) -> None:
        """Set a rectangle of a mask."""
        rows, cols = self.rowcol(np.array(u_m)[[0, 0, 1, 1]], np.array(v_m)[[0, 1, 0, 1]])
        r0, r1 = max(int(rows.min()), 0), min(int(rows.max()) + 2, mask.shape[0])
        c0, c1 = max(int(cols.min()), 0), min(int(cols.max()) + 2, mask.shape[1])
        if r0 >= r1 or c0 >= c1:
            return
        down = ((np.arange(r0, r1)[:, None] - self.row) * self.pixel_size_m).astype(np.float32)
        right = ((np.arange(c0, c1)[None, :] - self.col) * self.pixel_size_m).astype(np.float32)
        sin, cos = np.float32(np.sin(np.radians(self.out_deg))), np.float32(np.cos(np.radians(self.out_deg)))
        u, v = right * cos + down * sin, right * sin - down * cos
        mask[r0:r1, c0:c1][(u >= u_m[0]) & (u <= u_m[1]) & (v >= v_m[0]) & (v <= v_m[1])] = value


def draw_shore(look: Look, rng: np.random.Generator, kind: str) -> tuple[Shore, Field]:
    """Ground of a chip and its height at every fourth pixel (without unit, 0 at the shore)."""
    height = _height(look, rng, kind)
    land = upsampled(height, STEP_PX, look.shape_hw) > 0.0
    flats = np.zeros(look.shape_hw, bool)
    if kind == "tidal_flat":
        reach = rng.uniform(0.15, 0.6)
        creeks = power_law_field(height.shape, rng, beta=3.4, longest_px=1200.0 / (STEP_PX * look.pixel_size_m))
        dry = (height > -reach) & (np.abs(creeks) > rng.uniform(0.04, 0.15))
        flats = (upsampled(dry.astype(np.float32), STEP_PX, look.shape_hw) > 0.5) & ~land
    shore = Shore(land=land, flats=flats)
    area_km2 = land.size * (look.pixel_size_m / 1e3) ** 2
    if kind == "harbour":
        for _ in range(max(1, round(area_km2 / 30.0))):
            _add_harbour(shore, height, look, rng)
    if kind in ("harbour", "coast") and rng.random() < 0.4:
        _add_jetty(shore, height, look, rng)
    _add_rocks(shore, height, look, rng)
    return shore, height


def _height(look: Look, rng: np.random.Generator, kind: str) -> Field:
    """A ramp towards one side plus a power-law field, cut so that a drawn share is land."""
    shape = node_shape(look.shape_hw, STEP_PX)
    side = rng.uniform(0.0, 2.0 * np.pi)
    down, right = np.linspace(-1.0, 1.0, shape[0])[:, None], np.linspace(-1.0, 1.0, shape[1])[None, :]
    longest_px = rng.uniform(0.4, 1.2) * 6000.0 / (STEP_PX * look.pixel_size_m)
    rough = power_law_field(shape, rng, beta=rng.uniform(3.0, 4.2), longest_px=longest_px)
    islands = rng.random() < 0.2
    height = rng.uniform(0.1 if islands else 0.8, 2.0) * (down * np.cos(side) + right * np.sin(side)) + 0.5 * rough
    share = rng.uniform(0.05, 0.3) if islands else rng.uniform(0.1, 0.6)
    return np.asarray(height - np.quantile(height, 1.0 - share), np.float32)


def _shore_frame(height: Field, look: Look, rng: np.random.Generator) -> Frame | None:
    """A random place on the shore; None where there is none."""
    edge = np.argwhere((height[:-1, :-1] > 0.0) & ((height[1:, :-1] <= 0.0) | (height[:-1, 1:] <= 0.0)))
    if edge.size == 0:
        return None
    row, col = edge[rng.integers(len(edge))]
    r0, r1 = max(row - 4, 0), min(row + 5, height.shape[0])
    c0, c1 = max(col - 4, 0), min(col + 5, height.shape[1])
    d_row, d_col = (part.mean() for part in np.gradient(height[r0:r1, c0:c1]))
    out_deg = float(np.degrees(np.arctan2(-d_col, d_row)))
    return Frame(row=row * STEP_PX, col=col * STEP_PX, out_deg=out_deg, pixel_size_m=look.pixel_size_m)


def _add_harbour(shore: Shore, height: Field, look: Look, rng: np.random.Generator) -> None:
    """A straight quay with finger piers or a basin cut into the land, berths along every edge, sheds and cranes."""
    frame = _shore_frame(height, look, rng)
    if frame is None:
        return
    half, face = rng.uniform(200.0, 900.0), rng.uniform(-60.0, 120.0)
    depth = rng.uniform(120.0, 500.0)
    frame.fill(shore.land, (-half, half), (face - 300.0, face), True)
    frame.fill(shore.land, (-half - 60.0, half + 60.0), (face, face + depth + 250.0), False)
    edges = []  # (u, v) of both ends and the side on which water lies
    fingers = rng.random() < 0.7
    at, last = -half + rng.uniform(0.0, 120.0), -half
    while fingers and at < half - 60.0:
        width, length = rng.uniform(20.0, 120.0), depth * rng.uniform(0.6, 1.0)
        frame.fill(shore.land, (at, at + width), (face - 1.0, face + length), True)
        edges += [((at, face + 15.0), (at, face + length), (-1.0, 0.0))]
        edges += [((at + width, face + 15.0), (at + width, face + length), (1.0, 0.0))]
        edges += [((last, face), (at, face), (0.0, 1.0))]
        last = at + width
        at = last + rng.uniform(90.0, 350.0)
    edges += [((last, face), (half, face), (0.0, 1.0))]
    for start, end, out in edges:
        _add_quay(shore, frame, start, end, out, rng)
    if rng.random() < 0.6:
        _add_breakwater(shore, frame, half, face + depth, rng)


def _add_quay(
    shore: Shore,
    frame: Frame,
    start: tuple[float, float],
    end: tuple[float, float],
    out: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Berths one after the other along an edge, and what stands on it."""
    span = np.subtract(end, start)
    length = float(np.hypot(*span))
    if length < 20.0:
        return
    ahead = span / length
    out_deg = (frame.out_deg + 90.0 - float(np.degrees(np.arctan2(out[1], out[0])))) % 360.0
    at = rng.uniform(0.0, 30.0)
    while at < length - 12.0:
        room = min(rng.uniform(15.0, 320.0), length - at)
        if rng.random() < 0.45:
            u, v = np.asarray(start) + ahead * (at + room / 2.0)
            row, col = frame.rowcol(u, v)
            shore.berths.append((float(row), float(col), out_deg, room))
        at += room + rng.uniform(5.0, 60.0)
    count = rng.poisson(length / 60.0)
    along, back = rng.uniform(0.0, length, count), rng.uniform(3.0, 25.0, count)
    u = start[0] + ahead[0] * along - out[0] * back
    v = start[1] + ahead[1] * along - out[1] * back
    rows, cols = frame.rowcol(u, v)
    rcs = 10.0 ** (0.1 * rng.normal(29.0, 6.0, count))
    shore.bright.append(np.column_stack([rows, cols, rcs]))


def _add_breakwater(shore: Shore, frame: Frame, half: float, out_m: float, rng: np.random.Generator) -> None:
    """One or two arms of rubble around the harbour."""
    for side in (-1.0, 1.0)[: int(rng.integers(1, 3))]:
        reach = out_m + rng.uniform(60.0, 400.0)
        corner = side * (half + rng.uniform(20.0, 200.0))
        way = np.array([[corner, -50.0], [corner * rng.uniform(0.9, 1.1), reach * 0.6], [side * half * 0.25, reach]])
        shore.rough.append(_rubble(frame, way, rng))


def _rubble(frame: Frame, way_m: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Scatterers along a broken line."""
    legs = np.hypot(*np.diff(way_m, axis=0).T)
    at = np.arange(0.0, legs.sum(), 8.0)
    known = np.concatenate([[0.0], np.cumsum(legs)])
    u, v = (np.interp(at, known, way_m[:, k]) + rng.normal(0.0, 3.0, at.size) for k in (0, 1))
    rows, cols = frame.rowcol(u, v)
    level = rng.uniform(*BREAKWATER_DBSM) + 3.0 * rng.standard_normal(at.size)
    return np.column_stack([rows, cols, 10.0 ** (0.1 * level)])


def _add_jetty(shore: Shore, height: Field, look: Look, rng: np.random.Generator) -> None:
    """A thin pier or mole on its own, perhaps with a head at which tankers berth."""
    frame = _shore_frame(height, look, rng)
    if frame is None:
        return
    length, bend = rng.uniform(150.0, 1500.0), rng.normal(0.0, 60.0)
    shore.rough.append(_rubble(frame, np.array([[0.0, -30.0], [bend, length]]), rng))
    if rng.random() < 0.5:
        head = rng.uniform(40.0, 150.0)
        shore.rough.append(_rubble(frame, np.array([[bend - head, length], [bend + head, length]]), rng))
        row, col = frame.rowcol(bend, length)
        shore.berths.append((float(row), float(col), frame.out_deg, 2.5 * head))


def _add_rocks(shore: Shore, height: Field, look: Look, rng: np.random.Generator) -> None:
    """Rocks before the shore: a few lines or clusters of small scatterers, some as bright as a boat."""
    for _ in range(rng.poisson(1.5)):
        frame = _shore_frame(height, look, rng)
        if frame is None:
            return
        count = int(rng.integers(1, 25))
        away = rng.uniform(10.0, 500.0)
        rows, cols = frame.rowcol(rng.normal(0.0, 80.0, count), away + rng.normal(0.0, 30.0, count))
        shore.rough.append(np.column_stack([rows, cols, 10.0 ** (0.1 * rng.normal(15.0, 5.0, count))]))


def paint_ground(mean: Field, shore: Shore, height: Field, look: Look, rng: np.random.Generator) -> None:
    """Put the mean backscatter of ground into (2, h, w), in place; town scatterers join ``shore``."""
    land = shore.land
    if shore.flats.any():
        mud = rng.uniform(*MUD_DB) + 1.5 * _smooth(look, rng, 2.8, 600.0)
        mean[0][shore.flats] = 10.0 ** (0.1 * mud[shore.flats])
        mean[1][shore.flats] = 10.0 ** (0.1 * (mud[shore.flats] - rng.uniform(*MUD_VH_DB)))
    if not land.any():
        return
    town = power_law_field(height.shape, rng, beta=2.8, longest_px=2500.0 / (STEP_PX * look.pixel_size_m))
    town = np.clip((town - rng.uniform(-0.3, 1.8)) / 0.5, 0.0, 1.0)
    level = rng.uniform(*LAND_DB) + _parcels(look, rng) + 1.2 * _smooth(look, rng, 2.2, 400.0)
    level += upsampled((rng.uniform(*TOWN_DB) * town).astype(np.float32), STEP_PX, look.shape_hw)
    level += _relief_db(height, look, rng)
    mean[0][land] = 10.0 ** (0.1 * level[land])
    mean[1][land] = 10.0 ** (0.1 * (level[land] - rng.uniform(*LAND_VH_DB)))
    area_km2 = land.size * (look.pixel_size_m / 1e3) ** 2
    rows, cols = (rng.uniform(0.0, n - 1.0, int(TOWN_POINTS_PER_KM2 * area_km2)) for n in look.shape_hw)
    built = town[(rows / STEP_PX).astype(int), (cols / STEP_PX).astype(int)] + 0.04 > rng.random(rows.size)
    built &= land[rows.astype(int), cols.astype(int)]
    rcs = 10.0 ** (0.1 * rng.normal(TOWN_RCS_DBSM, TOWN_RCS_SD_DB, rows.size))
    points = np.column_stack([rows, cols, rcs])[built]
    strong = points[:, 2] > 10.0**3.7
    shore.bright.append(points[strong])
    shore.rough.append(points[~strong])


def _smooth(look: Look, rng: np.random.Generator, beta: float, longest_m: float) -> Field:
    shape = node_shape(look.shape_hw, STEP_PX)
    nodes = power_law_field(shape, rng, beta=beta, longest_px=longest_m / (STEP_PX * look.pixel_size_m))
    return upsampled(nodes, STEP_PX, look.shape_hw)


def _parcels(look: Look, rng: np.random.Generator) -> Field:
    """Fields as cells of a warped, turned grid, each with its own level; some are ponds or runways, dB."""
    size_px = rng.uniform(100.0, 600.0) / look.pixel_size_m
    turn = rng.uniform(0.0, np.pi / 2.0)
    row = np.arange(look.shape_hw[0], dtype=np.float32)[:, None]
    col = np.arange(look.shape_hw[1], dtype=np.float32)[None, :]
    warp = _smooth(look, rng, 3.5, 3000.0) * np.float32(0.4)
    u = ((row * np.cos(turn) + col * np.sin(turn)) / size_px).astype(np.float32) + warp
    v = ((col * np.cos(turn) - row * np.sin(turn)) / (size_px * rng.uniform(0.6, 2.0))).astype(np.float32) - warp
    table = rng.normal(0.0, rng.uniform(0.8, 2.6), (64, 64)).astype(np.float32)
    table[rng.random(table.shape) < 0.02] = rng.uniform(-12.0, -7.0)
    return np.asarray(table[np.floor(u).astype(np.int32) & 63, np.floor(v).astype(np.int32) & 63], np.float32)


def _relief_db(height: Field, look: Look, rng: np.random.Generator) -> Field:
    """Slopes towards the radar are brighter."""
    d_row, d_col = np.gradient(height)
    sin, cos = np.sin(np.radians(look.look_deg)), np.cos(np.radians(look.look_deg))
    facing = d_col * sin - d_row * cos  # rising away from the radar
    spread = float(np.std(facing)) + 1e-9
    gain = np.clip(rng.uniform(0.5, 2.0) * facing / spread, -4.0, 6.0)
    return upsampled(gain.astype(np.float32), STEP_PX, look.shape_hw)
