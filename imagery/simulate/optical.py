"""A Sentinel-2 L2A scene of the simulated world: turbid water, plumes, ships, ground and clouds as reflectance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imagery.simulate.clouds import CloudLayer
from imagery.simulate.fields import Field, node_shape, power_law_field, upsampled
from imagery.simulate.ground import NODE_PX, View
from imagery.simulate.optical_ships import PSF_PX, add_ships
from imagery.simulate.plume import Grains, puff_field, puffs_at
from imagery.simulate.truth import SceneTruth
from imagery.simulate.watercolour import CDOM_443_PER_M, NATURAL_GRAINS, water_reflectance

BANDS = ("b02", "b03", "b04", "b08", "b11")
# Ground: reflectance of vegetation, bare or built-up ground, and wet mud in each band (shapes of the USGS spectral
# library v7, rounded).
VEGETATION = (0.030, 0.060, 0.040, 0.300, 0.170)
BARE = (0.085, 0.115, 0.150, 0.230, 0.300)
MUD = (0.070, 0.090, 0.110, 0.120, 0.070)
# Cloud in each band relative to the visible: darker in the short-wave infrared, where ice and water absorb.
CLOUD = (1.0, 1.0, 1.0, 1.02, 0.72)
SHADOW_SKYLIGHT = (0.45, 0.40, 0.35, 0.25, 0.15)  # diffuse share of the light, which reaches into shadow
# Suspended matter: background of a muddy coast 6-20 g/m3 in the median, log-normal with these spreads between
# scenes and in space; the tide stirs by up to half (usual ranges: coastal 5-30 g/m3, macrotidal 30-300; judgement).
BACKGROUND_G_M3 = (6.0, 20.0)
SCENE_SD, SPACE_SD, TIDE_LOG = 0.15, 0.25, 0.35
SHOAL_LOG, SHOAL_M = 1.2, 4.0  # shallow water is muddier: log factor on the flats, and its scale in depth
# Noise of L2A over water (red .0013 within dates after the grey part, .0047 between dates): white, correlated, and
# a grey offset per scene from haze and glint.
NOISE_WHITE, NOISE_SMOOTH, OFFSET_SD = 0.0007, 0.0008, 0.0035
WHITECAP = 3.84e-6  # share of whitecaps 3.84e-6 U10^3.41 (Monahan and O'Muircheartaigh 1980, J. Phys. Oceanogr.)
WHITECAP_POWER, WHITECAP_REFLECTANCE, WHITECAP_COVER = 3.41, 0.22, 0.05


def plume_excess(view: View) -> list[tuple[Field, Grains]]:
    """Suspended matter of each dredging plume above the background.

    Returns:
        Per source (h, w) float32 in g/m3, and its grains; nothing on land or dry ground.
    """
    pixel_m = 1.0 / np.sqrt(abs(np.linalg.det(view.ground.pixels_per_m)))
    water = ~(view.ground.land | view.exposed)
    plumes = []
    for source in view.world.plume_sources(view.time):
        puffs = puffs_at(source, view.world.ocean, view.time_s)
        rows, cols = view.grid.rowcol(*view.world.frame.lonlat(puffs.x_m, puffs.y_m))
        field = puff_field(view.grid.shape_hw, rows, cols, puffs.sigma_m / pixel_m, puffs.peak_g_m3)
        plumes.append((field * water, source.grains))
    return plumes


def background_g_m3(view: View) -> Field:
    """Natural suspended matter, (h, w), g/m3: a log-normal field, muddier on shoals and when the tide stirs."""
    fixed = view.world_rng("background")
    median = np.exp(fixed.uniform(*np.log(BACKGROUND_G_M3)))
    rng = view.rng("background")
    nodes = node_shape(view.grid.shape_hw, NODE_PX)
    lasting = power_law_field(nodes, fixed, beta=3.4, longest_px=200.0)
    today = power_law_field(nodes, rng, beta=3.2, longest_px=120.0)
    tide = float(view.world.ocean.stirring(view.time_s))
    depth_m = float(view.world.ocean.level_m(view.time_s)) - view.ground.height_nodes_m
    shoal = SHOAL_LOG * np.exp(-np.maximum(depth_m, 0.0) / SHOAL_M)
    log = SPACE_SD * (0.7 * lasting + 0.7 * today) + shoal + TIDE_LOG * tide + SCENE_SD * rng.standard_normal()
    return view.ground.full(np.asarray(median * np.exp(log), np.float32))


def render_optical(view: View, truth: SceneTruth, clouds: CloudLayer) -> Field:
    """Pixels of an optical scene.

    Args:
        view: the look.
        truth: the vessels and structures to paint, from `scene_truth`.
        clouds: what hangs over the scene, from `cloud_layer`.

    Returns:
        (5, h, w) float32 reflectance in the order of `BANDS`, negative values kept; everywhere, also where
        ``view.valid`` is False.
    """
    rng = view.rng("optical")
    natural = background_g_m3(view)
    plumes = plume_excess(view)
    cdom = CDOM_443_PER_M * np.exp(0.2 * rng.standard_normal())
    foam = _whitecaps(view, rng)
    on_ground = view.ground.land | view.exposed
    out = np.empty((len(BANDS), *view.grid.shape_hw), np.float32)
    box = _plume_box([field for field, _ in plumes])
    for band, name in enumerate(BANDS):
        out[band] = water_reflectance(name, [(natural, NATURAL_GRAINS)], cdom)
        if box is not None:
            inside = [(field[box], grains) for field, grains in plumes]
            out[band][box] = water_reflectance(name, [(natural[box], NATURAL_GRAINS), *inside], cdom)
        out[band] += foam * (0.25 if name == "b11" else 1.0)
        out[band][on_ground] = _ground(view, band)[on_ground]
    add_ships(out, view, truth)
    for band in range(len(BANDS)):
        out[band] *= 1.0 - clouds.shadow * (1.0 - SHADOW_SKYLIGHT[band])
        out[band] += clouds.opacity * (clouds.brightness * CLOUD[band] - out[band])
    _add_noise(out, view, rng)
    return out


def _plume_box(fields: list[Field]) -> tuple[slice, slice] | None:
    """The pixels that any plume reaches."""
    touched: NDArray[np.bool_] | None = None
    for field in fields:
        touched = field > 0.01 if touched is None else touched | (field > 0.01)
    if touched is None or not touched.any():
        return None
    rows, cols = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _ground(view: View, band: int) -> Field:
    """Reflectance of dry ground: vegetation and bare ground mixed by the cover field, lit by slope, and mud."""
    bare = np.clip(0.35 + 0.3 * view.ground.cover, 0.0, 1.0)
    land = VEGETATION[band] + bare * np.float32(BARE[band] - VEGETATION[band])
    mud = np.float32(MUD[band]) * (1.0 + 0.12 * view.ground.cover)
    return np.asarray(np.where(view.ground.land, land, mud), np.float32)


def _whitecaps(view: View, rng: np.random.Generator) -> Field:
    """Reflectance of whitecaps, (h, w): few pixels, more in strong wind, none that covers more than half a pixel."""
    wind = float(np.hypot(*view.world.ocean.wind_m_s(view.time_s)))
    share = WHITECAP * wind**WHITECAP_POWER
    foam = np.zeros(view.grid.shape_hw, np.float32)
    count = rng.poisson(min(share / WHITECAP_COVER, 0.05) * foam.size)
    at = rng.integers(foam.size, size=count)
    foam.ravel()[at] = WHITECAP_REFLECTANCE * rng.exponential(WHITECAP_COVER, count).clip(max=0.5)
    return np.asarray(ndimage.gaussian_filter(foam, PSF_PX["fine"], truncate=3.0), np.float32)


def _add_noise(out: Field, view: View, rng: np.random.Generator) -> None:
    shape = view.grid.shape_hw
    grey = np.float32(abs(rng.normal(0.0, OFFSET_SD)))
    haze = power_law_field(node_shape(shape, NODE_PX), rng, beta=3.0, longest_px=100.0)
    grey_field = upsampled(haze * np.float32(NOISE_SMOOTH) + grey, NODE_PX, shape)
    for band in range(out.shape[0]):
        out[band] += grey_field
        noise = rng.standard_normal(shape, dtype=np.float32)
        noise *= np.float32(NOISE_WHITE)
        out[band] += noise
