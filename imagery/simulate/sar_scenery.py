"""What else a radar image of the sea shows and no ship is: ice, stake nets and rafts, interference, ghosts of towns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagery.simulate.fields import Field, node_shape, power_law_field, upsampled
from imagery.simulate.sar_coast import Frame, Shore
from imagery.simulate.sar_echoes import add_rough
from imagery.simulate.sar_look import Look

ICE_STEP_PX = 2
# Level of sea ice in VV and what VH lies below, dB: smooth young ice to deformed ice (usual C band range; judgement).
ICE_DB, ICE_VH_DB, RIDGE_DB = (-21.0, -11.0), (8.0, 13.0), (3.0, 9.0)
FARM_DBSM = (-2.0, 14.0)  # of one buoy, stake or float
TOWN_GHOST_DBSM = (8.0, 17.0)


def add_ice(mean: Field, look: Look, rng: np.random.Generator, water: NDArray[np.bool_]) -> None:
    """Cover part of the water of (2, h, w) with floes, leads, brash and ridges, in place."""
    shape = node_shape(look.shape_hw, ICE_STEP_PX)
    px = 1.0 / (ICE_STEP_PX * look.pixel_size_m)
    cover = power_law_field(shape, rng, beta=rng.uniform(2.4, 3.2), longest_px=rng.uniform(400.0, 3000.0) * px)
    floe = np.clip((cover - np.quantile(cover, 1.0 - rng.uniform(0.3, 0.95))) / 0.08, 0.0, 1.0)
    level = rng.uniform(*ICE_DB) + rng.uniform(0.5, 2.5) * power_law_field(
        shape, rng, beta=2.6, longest_px=rng.uniform(150.0, 800.0) * px
    )
    strain = power_law_field(shape, rng, beta=3.2, longest_px=rng.uniform(500.0, 2500.0) * px)
    level += rng.uniform(*RIDGE_DB) * np.exp(-((strain / 0.03) ** 2))
    share = upsampled(floe.astype(np.float32), ICE_STEP_PX, look.shape_hw) * water
    vv = np.exp(upsampled((level * np.log(10.0) / 10.0).astype(np.float32), ICE_STEP_PX, look.shape_hw))
    mean[0] += share * (vv - mean[0])
    mean[1] += share * (vv * np.float32(10.0 ** (-0.1 * rng.uniform(*ICE_VH_DB))) - mean[1])


def add_farms(mean: Field, look: Look, rng: np.random.Generator, shore: Shore) -> None:
    """Rectangles of longlines, rafts or stake nets in (2, h, w), in place; water between them is calmer."""
    height, width = look.shape_hw
    area = height * width * (look.pixel_size_m / 2560.0) ** 2
    turn = rng.uniform(0.0, 180.0)
    for _ in range(1 + rng.poisson(4.0 * area)):
        frame = Frame(
            row=rng.uniform(0.0, height),
            col=rng.uniform(0.0, width),
            out_deg=turn + rng.choice([0.0, 90.0]) + rng.normal(0.0, 3.0),
            pixel_size_m=look.pixel_size_m,
        )
        half_u, half_v = rng.uniform(60.0, 600.0), rng.uniform(40.0, 350.0)
        inside = np.zeros(look.shape_hw, bool)
        frame.fill(inside, (-half_u, half_u), (-half_v, half_v), True)
        inside &= ~shore.land
        mean[:, inside] *= np.float32(rng.uniform(0.5, 1.0))
        lines = np.arange(-half_v, half_v, rng.uniform(20.0, 110.0))
        spots = np.arange(-half_u, half_u, rng.uniform(10.0, 60.0))
        u, v = (part.ravel() for part in np.meshgrid(spots, lines))
        kept = rng.random(u.size) < rng.uniform(0.6, 1.0)
        rows, cols = frame.rowcol(
            u[kept] + rng.normal(0.0, 3.0, kept.sum()), v[kept] + rng.normal(0.0, 3.0, kept.sum())
        )
        level = rng.uniform(*FARM_DBSM) + 4.0 * rng.standard_normal(rows.size)
        at_row, at_col = np.rint(rows).astype(int), np.rint(cols).astype(int)
        wet = (at_row >= 0) & (at_row < height) & (at_col >= 0) & (at_col < width)
        wet[wet] &= ~shore.land[at_row[wet], at_col[wet]]
        rcs = 10.0 ** (0.1 * level)
        add_rough(mean, look, rows[wet], cols[wet], rcs[wet], rng.uniform(5.0, 9.0))


def add_interference(mean: Field, look: Look, rng: np.random.Generator) -> None:
    """Radio interference in (2, h, w), in place: stripes along range, lasting some azimuth lines, often more in VH."""
    row, col = np.arange(look.shape_hw[0])[:, None], np.arange(look.shape_hw[1])[None, :]
    along, across = look.along_across_px(row, col)
    size_m = max(look.shape_hw) * look.pixel_size_m
    for _ in range(int(rng.integers(1, 4)) * max(1, round(size_m / 5000.0))):
        at, half = rng.uniform(-0.5, 0.5) * size_m, np.exp(rng.uniform(np.log(15.0), np.log(900.0)))
        distance = np.abs(along * look.pixel_size_m - at)
        stripe = np.exp(-((distance / half) ** rng.choice([2.0, 6.0])))
        period, wide = rng.uniform(300.0, 6000.0), rng.uniform(0.3, 3.0) * size_m
        beat = 0.5 + 0.5 * np.cos(2.0 * np.pi * across * look.pixel_size_m / period + rng.uniform(0.0, 6.3))
        fade = np.exp(-(((across * look.pixel_size_m - rng.uniform(-0.5, 0.5) * size_m) / wide) ** 2))
        lines = np.exp(0.6 * rng.standard_normal(4096)).astype(np.float32)  # bursts differ from line to line
        ragged = lines[np.rint(along).astype(int) % lines.size]
        level = 10.0 ** (0.1 * rng.uniform(-27.0, -12.0))
        stripe = (level * stripe * fade * ragged * (1.0 - rng.uniform(0.0, 1.0) * beat)).astype(np.float32)
        mean[0] += np.float32(rng.uniform(0.2, 1.0)) * stripe
        mean[1] += np.float32(rng.uniform(0.5, 1.5)) * stripe


def add_land_ghosts(mean: Field, look: Look, rng: np.random.Generator) -> None:
    """The ambiguity of a coast beyond the image, in (2, h, w), in place: a faint veil, smeared sparks of its towns."""
    shape = node_shape(look.shape_hw, 8)
    px = 1.0 / (8.0 * look.pixel_size_m)
    veil = power_law_field(shape, rng, beta=3.0, longest_px=4000.0 * px)
    share = np.clip((veil - rng.uniform(-0.2, 1.0)) / 0.6, 0.0, 1.0)
    level = 10.0 ** (0.1 * rng.uniform(-38.0, -29.0))
    faint = upsampled((share * level).astype(np.float32), 8, look.shape_hw)
    mean[0] += faint
    mean[1] += np.float32(0.3) * faint
    count = rng.poisson(30.0 * look.shape_hw[0] * look.shape_hw[1] * (look.pixel_size_m / 1e3) ** 2)
    rows, cols = (rng.uniform(0.0, n - 1.0, count) for n in look.shape_hw)
    kept = share[(rows / 8).astype(int), (cols / 8).astype(int)] * 0.5 > rng.random(count)
    rcs = 10.0 ** (0.1 * (rng.uniform(*TOWN_GHOST_DBSM) + 4.0 * rng.standard_normal(count)))
    smear = np.linspace(-1.5, 1.5, 4)[:, None] * 14.0
    d_row, d_col = look.rowcol_step(smear, look.flight_deg)
    spread_rows, spread_cols = rows[kept] + d_row, cols[kept] + d_col
    add_rough(mean, look, spread_rows.ravel(), spread_cols.ravel(), np.tile(rcs[kept] / 4.0, 4), 6.0)


def no_data(look: Look, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where the image has no pixels: beyond one or two straight edges along or across the flight."""
    row, col = np.arange(look.shape_hw[0])[:, None], np.arange(look.shape_hw[1])[None, :]
    along, across = look.along_across_px(row, col)
    gone = np.zeros(look.shape_hw, bool)
    for axis in (along, across)[:: int(rng.choice([-1, 1]))][: int(rng.integers(1, 3))]:
        reach = rng.uniform(0.0, 0.45) * max(look.shape_hw)
        gone |= axis > reach if rng.random() < 0.5 else axis < -reach
    return gone
