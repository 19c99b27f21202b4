"""A Sentinel-1 IW GRD scene of the simulated world: VV and VH as linear sigma0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import FloatArray
from imagery.simulate.cmod import cmod5n, vh_of_wind
from imagery.simulate.fields import (
    Field,
    gamma_texture,
    gaussian_field,
    node_shape,
    power_law_field,
    speckle,
    upsampled,
)
from imagery.simulate.ground import NODE_PX, View
from imagery.simulate.sar_targets import add_targets
from imagery.simulate.truth import SceneTruth

TEXTURE_PX = 2  # texture is made on 20 m nodes and brought to 10 m
LEAST_WIND_M_S = 1.2
# Noise equivalent sigma0 in the middle of a sub-swath and how much it rises 60 km away, dB. S1 product
# specification: at most -22 dB; typical -24 to -30 dB. The noise is left in, as in a GRD without noise removal.
NOISE_DB = -27.5
NOISE_RISE_DB = 3.0
# Mean sigma0 of ground in VV and by how much VH lies below, dB (C band, vegetated land and wet mud; judgement
# from the usual ranges of Ulaby and Dobson 1989, Handbook of Radar Scattering Statistics for Terrain).
LAND_DB, LAND_VH_DB, LAND_SD_DB = -9.5, -6.5, 2.2
MUD_DB, MUD_VH_DB, MUD_SD_DB = -15.5, -9.0, 1.2


@dataclass(frozen=True, kw_only=True)
class SeaState:
    """The sea in one radar scene.

    Attributes:
        wind_m_s: mean wind speed at 10 m.
        wind_from_deg: where it comes from.
        nu: shape of the K distribution's texture; small is patchy.
        slick_share: share of the sea under slicks.
        slick_db: what a slick takes from VV.
    """

    wind_m_s: float
    wind_from_deg: float
    nu: float
    slick_share: float
    slick_db: float


def sea_state(view: View) -> SeaState:
    """Wind and roughness of a scene: patchier in light wind, as over real seas (nu 3-8 against 8-40)."""
    rng = view.rng("sea")
    east, north = (float(v) for v in view.world.ocean.wind_m_s(view.time_s))
    wind = max(float(np.hypot(east, north)), LEAST_WIND_M_S)
    nu = np.exp(rng.uniform(np.log(8.0), np.log(40.0))) * min(1.0, wind / 4.0)
    calm = wind < 7.0 and rng.random() < 0.6
    return SeaState(
        wind_m_s=wind,
        wind_from_deg=float(np.degrees(np.arctan2(-east, -north)) % 360.0),
        nu=float(nu),
        slick_share=rng.uniform(0.01, 0.07) if calm else 0.0,
        slick_db=rng.uniform(-9.0, -4.0),
    )


def render_sar(view: View, truth: SceneTruth) -> Field:
    """Pixels of a radar scene.

    Args:
        view: the look.
        truth: the vessels and structures to paint, from `scene_truth`.

    Returns:
        (2, h, w) float32, VV and VH, linear sigma0 with noise; everywhere, also where ``view.valid`` is False.
    """
    state = sea_state(view)
    noise = view.ground.full(_noise_nodes(view))
    out = np.empty((2, *view.grid.shape_hw), np.float32)
    texture = _texture(view, state)
    ground_db, on_ground = _ground_db(view)
    for band, name in enumerate(("vv", "vh")):
        mean = view.ground.full(_sea_nodes(view, state, name))
        mean *= texture
        below = np.where(view.ground.land, LAND_VH_DB, MUD_VH_DB)[on_ground] if name == "vh" else 0.0
        mean[on_ground] = 10.0 ** (0.1 * (ground_db[on_ground] + below))
        mean += noise
        mean *= speckle(view.grid.shape_hw, view.rng("speckle", name))
        out[band] = mean
    add_targets(out, view, truth)
    return out


def _node_geometry(view: View) -> tuple[FloatArray, FloatArray]:
    """Incidence and look azimuth at the coarse nodes, degrees."""
    rows, cols = (np.arange(n) * float(NODE_PX) for n in node_shape(view.grid.shape_hw, NODE_PX))
    sample = view.acquisition.at(*np.meshgrid(rows, cols, indexing="ij"))
    return sample.incidence_deg, sample.look_azimuth_deg


def _noise_nodes(view: View) -> Field:
    incidence, _ = _node_geometry(view)
    away = (incidence - view.orbit.incidence_deg) / 3.0  # a sub-swath spans about six degrees
    return np.asarray(10.0 ** (0.1 * (NOISE_DB + NOISE_RISE_DB * away**2)), np.float32)


def _sea_nodes(view: View, state: SeaState, band: str) -> Field:
    """Mean backscatter of the sea at the coarse nodes, without texture and noise."""
    rng = view.rng("wind")
    incidence, look = _node_geometry(view)
    gusts = power_law_field(incidence.shape, rng, beta=3.0, longest_px=6000.0 / (10.0 * NODE_PX))
    shelter = 1.0 - 0.35 * np.exp(np.minimum(view.ground.height_nodes_m, 0.0) / 6.0)  # lee and shoals
    wind = np.maximum(state.wind_m_s * shelter * (1.0 + 0.09 * gusts), 0.5)
    if band == "vh":
        return np.asarray(vh_of_wind(wind), np.float32)
    sigma0 = cmod5n(wind, state.wind_from_deg - look, incidence)
    if state.slick_share:
        film = gaussian_field(
            incidence.shape, rng, along_px=24.0, across_px=5.0, angle_deg=view.world.ocean.current_axis_deg
        )
        film = film + 0.25 * gaussian_field(incidence.shape, rng, along_px=3.0)
        edge = np.quantile(film, 1.0 - state.slick_share)
        sigma0 = sigma0 * 10.0 ** (0.1 * state.slick_db * np.clip((film - edge) / 0.15, 0.0, 1.0))
    return np.asarray(sigma0, np.float32)


def _texture(view: View, state: SeaState) -> Field:
    """Gamma texture of the sea, (h, w): correlated 100-300 m along the wind and half that across it."""
    rng = view.rng("texture")
    along_px = rng.uniform(5.0, 15.0)
    gaussian = gaussian_field(
        node_shape(view.grid.shape_hw, TEXTURE_PX),
        rng,
        along_px=along_px,
        across_px=along_px / 2.0,
        angle_deg=state.wind_from_deg,
    )
    return upsampled(gamma_texture(gaussian, state.nu), TEXTURE_PX, view.grid.shape_hw)


def _ground_db(view: View) -> tuple[Field, NDArray[np.bool_]]:
    """VV backscatter of ground in dB, and where there is ground; slopes towards the radar are brighter."""
    ground = view.ground
    on_ground = ground.land | view.exposed
    facing = ground.facing((view.orbit.heading_deg - 90.0) % 360.0)
    level = np.where(ground.land, LAND_DB, MUD_DB).astype(np.float32)
    level += np.where(ground.land, LAND_SD_DB, MUD_SD_DB).astype(np.float32) * ground.cover
    level += np.clip(30.0 * facing, -3.0, 4.0) * ground.land
    return level, on_ground
