"""Ships and structures in a radar scene: scatterers along the hull, seen through the point-spread function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagery.geometry import FloatArray
from imagery.simulate.fields import LOOK_WEIGHTS, SPECKLE_PSF_PX, Field
from imagery.simulate.ground import PIXEL_M, View
from imagery.simulate.sar_look import PRF_HZ, WAVELENGTH_M
from imagery.simulate.seeding import rng_for
from imagery.simulate.truth import SceneTruth

# Radar cross-section of a ship in m2: .08 L^(7/3) (Vachon et al. 1997, Can. J. Remote Sensing 23(1); their factor
# .78 + .11 incidence, 6-8 dB here, is left out: with it boats of 20 m would outshine what detection rates of real
# scenes allow), log-normal with this standard deviation between ships and looks.
RCS_FACTOR, RCS_POWER, RCS_SD_DB = 0.08, 7.0 / 3.0, 5.0
# Boats below 40 m are partly of wood or plastic: up to this much less at 15 m, none from 40 m (judgement: brings the
# share of 25 m boats seen near the half that AIS-matched real scenes give).
SMALL_HULL_DB, SMALL_HULL_M = 14.0, (15.0, 40.0)
VH_BELOW_DB = (6.0, 10.0)
# Azimuth ambiguities: this far below the ship, smeared. Incidence where one subswath's data gives way to the next's
# (annotation of real products).
SUBSWATH_JOINTS_DEG = (36.42, 41.73)
GHOST_DB, GHOST_PSF_PX = -25.0, 1.6
GHOST_FROM_M2 = 3000.0  # weaker ships leave no ghost above the sea
SMEAR_S = 0.25  # along-track blur of a moving ship, metres per m/s (look-to-look motion and acceleration)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Point scatterers in pixel coordinates.

    Attributes:
        rows, cols: places (k,).
        rcs_m2: cross-sections in VV (k,).
        vh_db: what VH lies below VV.
        smear_px: standard deviation of each look's displacement (row, col).
    """

    rows: FloatArray
    cols: FloatArray
    rcs_m2: FloatArray
    vh_db: float
    smear_px: tuple[float, float] = (0.0, 0.0)


def ship_rcs_m2(length_m: float) -> float:
    """Mean radar cross-section of a ship, m2."""
    return float(RCS_FACTOR * length_m**RCS_POWER)


def add_targets(image: Field, view: View, truth: SceneTruth) -> None:
    """Paint all vessels, fixed structures and towns onto (2, h, w) linear sigma0, in place."""
    rows, cols = view.grid.rowcol(truth.apparent_lon, truth.apparent_lat)
    for number, vessel in enumerate(truth.vessels):
        rng = view.rng("ship", vessel.id)
        target = _ship(view, truth, number, (float(rows[number]), float(cols[number])), rng)
        _paint(image, target, rng)
        if target.rcs_m2.sum() > GHOST_FROM_M2:
            for ghost in _ghosts(view, target, truth.lon[number], truth.lat[number]):
                _paint(image, ghost, rng, GHOST_PSF_PX)
    for structure in truth.structures:
        rng = view.rng("structure", structure.id)
        row, col = view.grid.rowcol(structure.lon, structure.lat)
        layout = rng_for(view.world.seed, "layout", structure.id)
        spread = structure.size_m / PIXEL_M / 2.0 * layout.uniform(-1.0, 1.0, (2, 6))
        share = layout.dirichlet(np.ones(6)) * 10.0 ** (0.1 * rng.normal(0.0, 1.0))
        _paint(
            image,
            Target(rows=row + spread[0], cols=col + spread[1], rcs_m2=structure.rcs_m2 * share, vh_db=7.0),
            rng,
        )
    rng = view.rng("towns")
    for row, col, rcs_m2 in zip(*view.ground.towns, strict=True):
        _paint(
            image,
            Target(rows=np.array([row]), cols=np.array([col]), rcs_m2=np.array([rcs_m2]), vh_db=8.0),
            rng,
        )


def _ship(view: View, truth: SceneTruth, number: int, place: tuple[float, float], rng: np.random.Generator) -> Target:
    """A ship's scatterers: 3-30 along the hull; in one ship of five the superstructure gives half of the echo."""
    vessel = truth.vessels[number]
    layout = rng_for(view.world.seed, "layout", vessel.mmsi)
    count = int(np.clip(3 + vessel.length_m / 8.0, 3, 30))
    along = layout.uniform(-0.5, 0.5, count) * vessel.length_m
    across = layout.uniform(-0.5, 0.5, count) * vessel.width_m
    share = layout.dirichlet(np.ones(count))
    if layout.random() < 0.2:
        share *= 0.5
        along[0], share[0] = -0.4 * vessel.length_m, share[0] + 0.5
    bow = np.radians(truth.heading_deg[number])
    east = along * np.sin(bow) + across * np.cos(bow)
    north = along * np.cos(bow) - across * np.sin(bow)
    d_row, d_col = view.ground.pixels_per_m @ np.stack([east, north])
    loss_db = layout.uniform(0.0, SMALL_HULL_DB) * np.interp(vessel.length_m, SMALL_HULL_M, (1.0, 0.0))
    total = ship_rcs_m2(vessel.length_m) * 10.0 ** (0.1 * (rng.normal(0.0, RCS_SD_DB) - loss_db))
    flight = np.radians(view.orbit.heading_deg)
    smear = view.ground.pixels_per_m @ [np.sin(flight), np.cos(flight)] * SMEAR_S * truth.speed_m_s[number]
    return Target(
        rows=place[0] + d_row,
        cols=place[1] + d_col,
        rcs_m2=total * share,
        vh_db=rng.uniform(*VH_BELOW_DB),
        smear_px=(float(smear[0]), float(smear[1])),
    )


def _ghosts(view: View, target: Target, lon: float, lat: float) -> list[Target]:
    """First azimuth ambiguities fore and aft of a bright ship."""
    sample = view.acquisition.at_lonlat(lon, lat)
    prf_hz = PRF_HZ[int(np.searchsorted(SUBSWATH_JOINTS_DEG, float(sample.incidence_deg)))]
    away_m = WAVELENGTH_M * float(sample.slant_range_m) * prf_hz / (2.0 * view.orbit.speed_m_s)
    flight = np.radians(view.orbit.heading_deg)
    d_row, d_col = view.ground.pixels_per_m @ [away_m * np.sin(flight), away_m * np.cos(flight)]
    rcs_m2 = target.rcs_m2 * 10.0 ** (0.1 * GHOST_DB)
    return [
        Target(rows=target.rows + k * d_row, cols=target.cols + k * d_col, rcs_m2=rcs_m2, vh_db=target.vh_db)
        for k in (-1.0, 1.0)
    ]


def _paint(image: Field, target: Target, rng: np.random.Generator, psf_px: float = SPECKLE_PSF_PX) -> None:
    """Add a target's echo to both bands: per look a coherent sum of scatterers with random phases.

    The sum of sigma0 times the pixel's area over all pixels is, in the mean, the cross-section.
    """
    reach = 5.0 * psf_px + 3.0 * float(np.hypot(*target.smear_px))
    r0, r1 = int(target.rows.min() - reach), int(target.rows.max() + reach) + 2
    c0, c1 = int(target.cols.min() - reach), int(target.cols.max() + reach) + 2
    _, height, width = image.shape
    if r1 <= 0 or c1 <= 0 or r0 >= height or c0 >= width:
        return
    weights = LOOK_WEIGHTS / LOOK_WEIGHTS.sum()
    amplitude = np.sqrt(target.rcs_m2 / (PIXEL_M**2 * np.pi * psf_px**2))
    inside = np.s_[max(r0, 0) : min(r1, height), max(c0, 0) : min(c1, width)]
    part = np.s_[max(-r0, 0) : r1 - r0 - max(r1 - height, 0), max(-c0, 0) : c1 - c0 - max(c1 - width, 0)]
    shifts = rng.standard_normal(weights.size)
    for band, below_db in enumerate((0.0, target.vh_db)):
        echo = np.zeros((r1 - r0, c1 - c0))
        for look, weight in enumerate(weights):
            rows, cols = (
                at + shifts[look] * smear for at, smear in zip((target.rows, target.cols), target.smear_px, strict=True)
            )
            down = np.exp(-((np.arange(r0, r1)[:, None] - rows) ** 2) / (2.0 * psf_px**2))
            right = np.exp(-((np.arange(c0, c1)[:, None] - cols) ** 2) / (2.0 * psf_px**2))
            phase = np.exp(2j * np.pi * rng.random(rows.size))
            echo += weight * np.abs((down * (amplitude * phase)) @ right.T) ** 2
        image[band][inside] += (10.0 ** (-0.1 * below_db) * echo[part]).astype(np.float32)
