"""Backscatter of the open sea for training chips: wind, swell, fronts, slicks, rain, texture, instrument noise.

Everything varies slowly and is made on coarse nodes, but for texture and slick filaments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagery.simulate.cmod import cmod5n, vh_of_wind
from imagery.simulate.fields import (
    Field,
    gamma_texture,
    gaussian_field,
    node_shape,
    power_law_field,
    upsampled,
)
from imagery.simulate.sar_look import Look

NODE_PX, FINE_PX = 16, 2
# Ranges of the texture: order of the K distribution, patchy in little wind; correlation along the wind (judgement after
# Ward, Tough and Watts 2013; held against an Irish Sea pass by scripts/campaign_clutter.py).
NU_RANGE, NU_CALM = (6.0, 60.0), 0.35
TEXTURE_M = (60.0, 300.0)
# Noise equivalent sigma0, dB: middle of a subswath and rise to its edges (S1 product specification: at most -22; the
# fall of looks with level over the Irish Sea says -23 to -26).
NOISE_DB, NOISE_EDGE_DB = (-29.0, -23.5), (0.5, 3.0)
# Many providers subtract the noise, which leaves dark water with far fewer looks than speckle has: 1.9 at -20 dB in a
# real Irish Sea pass instead of 4.4 (measured).
DENOISED_SHARE = 0.5
QUIETEST = 1e-5  # what denoised pixels are clipped to


@dataclass(frozen=True, kw_only=True)
class Sea:
    """The sea of one image.

    Attributes:
        wind_m_s: wind at 10 m.
        wind_from_deg: where it comes from, clockwise from image up.
        nu: order of the texture.
        texture_m: its correlation length along the wind.
        swell_share: relative modulation by swell; 0 for none.
        swell_m, swell_deg: its wavelength and direction.
        slick_db: what slicks take from VV; 0 for none.
        front_db: step of the backscatter across a wind front; 0 for none.
        rain: number of rain cells per 100 km2.
        gusts: relative standard deviation of the wind over kilometres.
        noise_db: noise equivalent sigma0 of VV and VH in the middle of the subswath.
        seam: the image crosses from one subswath to the next.
        denoised: thermal noise has been subtracted.
    """

    wind_m_s: float
    wind_from_deg: float
    nu: float
    texture_m: float
    swell_share: float
    swell_m: float
    swell_deg: float
    slick_db: float
    front_db: float
    rain: float
    gusts: float
    noise_db: tuple[float, float]
    seam: bool
    denoised: bool


def draw_sea(rng: np.random.Generator, kind: str) -> Sea:
    """A sea for a kind of chip: Rayleigh winds of mean 5.6 m/s, 1-2.5 m/s where little wind is the theme."""
    wind = float(np.clip(rng.rayleigh(4.5), 1.2, 16.0))
    if kind == "low_wind":
        wind = rng.uniform(1.0, 2.6)
    elif kind in ("rain", "front"):
        wind = max(wind, rng.uniform(3.0, 6.0))
    calm = wind < 7.0
    nu = np.exp(rng.uniform(*np.log(NU_RANGE))) * (NU_CALM + (1.0 - NU_CALM) * min(wind / 5.0, 1.0))
    floor = rng.uniform(*NOISE_DB)
    return Sea(
        wind_m_s=wind,
        wind_from_deg=rng.uniform(0.0, 360.0),
        nu=float(nu),
        texture_m=float(np.exp(rng.uniform(*np.log(TEXTURE_M)))),
        swell_share=rng.uniform(0.03, 0.22) if rng.random() < 0.35 else 0.0,
        swell_m=rng.uniform(90.0, 280.0),
        swell_deg=rng.uniform(0.0, 360.0),
        slick_db=rng.uniform(-10.0, -3.0) if calm and rng.random() < (0.8 if kind == "low_wind" else 0.3) else 0.0,
        front_db=rng.choice([-1.0, 1.0]) * rng.uniform(2.5, 8.0) if kind == "front" or rng.random() < 0.04 else 0.0,
        rain=rng.uniform(10.0, 60.0) if kind == "rain" else 0.0,
        gusts=rng.uniform(0.05, 0.14) * (1.0 + 2.0 * max(0.0, 1.0 - wind / 4.0)),
        noise_db=(floor, floor + rng.normal(-0.3, 0.5)),
        seam=kind == "seam" and bool(rng.random() < 0.6),
        denoised=bool(rng.random() < DENOISED_SHARE),
    )


def mean_sea(look: Look, sea: Sea, rng: np.random.Generator) -> Field:
    """Mean sigma0 of the sea with its texture, without noise, (2, h, w)."""
    shape = node_shape(look.shape_hw, NODE_PX)
    rows, cols = np.meshgrid(*(np.arange(n) * float(NODE_PX) for n in shape), indexing="ij")
    node_m = NODE_PX * look.pixel_size_m
    wind = sea.wind_m_s * (1.0 + sea.gusts * power_law_field(shape, rng, beta=3.0, longest_px=8000.0 / node_m))
    wind = np.clip(wind, 0.4, 25.0)
    vv = cmod5n(wind, sea.wind_from_deg - look.look_deg, look.incidence_at(rows, cols))
    vh = vh_of_wind(wind)
    gain_vv, gain_vh = _weather_db(look, sea, rng)
    out = np.empty((2, *look.shape_hw), np.float32)
    out[0] = upsampled((vv * 10.0 ** (0.1 * gain_vv)).astype(np.float32), NODE_PX, look.shape_hw)
    out[1] = upsampled((vh * 10.0 ** (0.1 * gain_vh)).astype(np.float32), NODE_PX, look.shape_hw)
    fine = _fine_structure(look, sea, rng)
    out[0] *= fine
    out[1] *= np.sqrt(fine)  # volume and wave-breaking echoes in VH follow the same waves less
    return out


def _weather_db(look: Look, sea: Sea, rng: np.random.Generator) -> tuple[Field, Field]:
    """Gain of both bands at the coarse nodes by fronts and rain."""
    shape = node_shape(look.shape_hw, NODE_PX)
    vv, vh = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    node_m = NODE_PX * look.pixel_size_m
    if sea.front_db:
        turn = rng.uniform(0.0, 2.0 * np.pi)
        y, x = (np.arange(n)[:, None] - rng.uniform(0.2, 0.8) * n for n in shape)
        line = (y * np.cos(turn) + x.T * np.sin(turn)) * node_m
        line = line + rng.uniform(80.0, 350.0) * power_law_field(shape, rng, beta=3.5, longest_px=3000.0 / node_m)
        side = 1.0 / (1.0 + np.exp(-np.clip(line / rng.uniform(40.0, 400.0), -30.0, 30.0)))
        vv, vh = vv + sea.front_db * side, vh + 0.6 * sea.front_db * side
    count = rng.poisson(sea.rain * look.shape_hw[0] * look.shape_hw[1] * (look.pixel_size_m / 1e4) ** 2)
    for _ in range(max(int(count), int(sea.rain > 0.0))):
        y, x = (np.arange(n)[:, None] - rng.uniform(-0.1, 1.1) * n for n in shape)
        away_m = np.hypot(y, x.T) * node_m
        size_m = rng.uniform(300.0, 1800.0)
        core = np.exp(-((away_m / size_m) ** 2)) * rng.uniform(-5.0, 7.0)  # damped by rain or brightened by splashes
        ring = np.exp(-(((away_m - rng.uniform(1.1, 1.8) * size_m) / (0.25 * size_m)) ** 2)) * rng.uniform(0.0, 6.0)
        patchy = 1.0 + 0.5 * power_law_field(shape, rng, beta=2.6, longest_px=size_m / node_m)
        vv = vv + (core + ring) * patchy
        vh = vh + (np.abs(core) * 0.9 + 0.6 * ring) * patchy
    return np.asarray(vv, np.float32), np.asarray(vh, np.float32)


def _fine_structure(look: Look, sea: Sea, rng: np.random.Generator) -> Field:
    """Texture, swell, wind streaks and slicks as a factor of VV, (h, w)."""
    step = FINE_PX if look.pixel_size_m <= 12.0 else 1
    node_m = step * look.pixel_size_m
    shape = node_shape(look.shape_hw, step)
    along = max(sea.texture_m / node_m, 0.7)
    texture = gaussian_field(shape, rng, along_px=along, across_px=max(along / 2.0, 0.6), angle_deg=sea.wind_from_deg)
    factor = gamma_texture(texture, sea.nu)
    if sea.swell_share and sea.swell_m > 3.0 * node_m:
        factor *= _swell(sea, node_m, shape, rng)
    if sea.slick_db:
        factor *= 10.0 ** (0.1 * sea.slick_db * _slicks(rng, shape, node_m))
    return upsampled(factor, step, look.shape_hw)


def _swell(sea: Sea, node_m: float, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Wave groups: a carrier whose amplitude and phase wander, mean 1."""
    sin, cos = np.sin(np.radians(sea.swell_deg)), np.cos(np.radians(sea.swell_deg))
    coarse = node_shape(shape, 8)
    crest_px = 4.0 * sea.swell_m / node_m / 8.0
    packet = [
        upsampled(
            gaussian_field(coarse, rng, along_px=max(crest_px, 0.8), across_px=max(crest_px / 2.0, 0.8), angle_deg=0.0),
            8,
            shape,
        )
        for _ in range(2)
    ]
    row, col = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    phase = (2.0 * np.pi * node_m / sea.swell_m * (col * sin - row * cos)).astype(np.float32)
    wave = packet[0] * np.cos(phase) + packet[1] * np.sin(phase)
    return np.asarray(np.maximum(1.0 + sea.swell_share * wave, 0.1), np.float32)


def _slicks(rng: np.random.Generator, shape: tuple[int, int], node_m: float) -> Field:
    """Share of film cover: patches drawn out by the current, and thin curved filaments."""
    step = 4
    coarse = node_shape(shape, step)
    px = 1.0 / (node_m * step)
    field = power_law_field(coarse, rng, beta=4.0, longest_px=rng.uniform(1500.0, 5000.0) * px)
    cover = np.zeros(coarse, np.float32)
    if rng.random() < 0.75:
        for level in rng.normal(0.0, 0.8, int(rng.integers(1, 4))):
            gone = power_law_field(coarse, rng, beta=3.5, longest_px=2500.0 * px) > rng.uniform(-0.5, 0.8)
            width = rng.uniform(0.03, 0.12)
            cover = np.maximum(cover, np.exp(-(((field - level) / width) ** 2)) * ~gone)
    if rng.random() < 0.5:
        film = gaussian_field(
            coarse, rng, along_px=1500.0 * px, across_px=350.0 * px + 0.5, angle_deg=rng.uniform(0.0, 180.0)
        )
        film = film + 0.25 * power_law_field(coarse, rng, beta=3.0, longest_px=600.0 * px)
        edge = np.quantile(film, 1.0 - rng.uniform(0.03, 0.35))
        cover = np.maximum(cover, np.clip((film - edge) / 0.3, 0.0, 1.0))
    return upsampled(cover.astype(np.float32), step, shape)


def noise_floor(look: Look, sea: Sea, rng: np.random.Generator) -> Field:
    """Noise equivalent sigma0, (2, h, w): a valley per subswath, a step at the seam between two, weak scalloping."""
    shape = node_shape(look.shape_hw, NODE_PX)
    step = 1 if sea.seam else NODE_PX
    nodes = look.shape_hw if sea.seam else shape
    row, col = np.arange(nodes[0])[:, None] * float(step), np.arange(nodes[1])[None, :] * float(step)
    along, across = look.along_across_px(row, col)
    along_m, across_m = along * look.pixel_size_m, across * look.pixel_size_m
    middle_m = rng.uniform(-38_000.0, 38_000.0)
    rise = rng.uniform(*NOISE_EDGE_DB)
    valley = rise * np.minimum(((across_m - middle_m) / 40_000.0) ** 2, 1.5)
    if sea.seam:
        half_m = 0.35 * max(look.shape_hw) * look.pixel_size_m
        valley = valley + rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 4.0) * (across_m > rng.uniform(-half_m, half_m))
    scallop = 0.25 * np.cos(2.0 * np.pi * (along_m / 20_000.0 + rng.random()))
    out = np.empty((2, *look.shape_hw), np.float32)
    for band, level in enumerate(sea.noise_db):
        floor = (10.0 ** (0.1 * (level + valley + scallop))).astype(np.float32)
        out[band] = floor if sea.seam else upsampled(floor, NODE_PX, look.shape_hw)
    return out
