"""Dredging plumes: puffs of fine sediment, released, carried by the current, spread and settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.geometry import FloatArray
from imagery.simulate.fields import Field
from imagery.simulate.frame import seconds
from imagery.simulate.ocean import Ocean
from imagery.simulate.tracks import Track

MEMORY_S = 5.0 * 3600.0  # a puff older than this is too thin to see
STEP_S = 15.0
OKUBO_M2 = 5.4e-7  # per-axis variance of Okubo's (1971) oceanic diffusion, m2 for t in s to the power 2.34
OKUBO_POWER = 2.34
WIND_DRIFT = 0.015  # surface water moves with 1-3 % of the wind


@dataclass(frozen=True, kw_only=True)
class Grains:
    """Optical properties of suspended sediment, per mass.

    Attributes:
        absorption_m2_g: absorption at 443 nm.
        slope_per_nm: decay of absorption with wavelength; dredged fines are spectrally flat.
        backscatter_m2_g: backscattering at 555 nm.
        backscatter_power: its decay with wavelength.

    Reference: ranges of Doxaran et al. 2026, Remote Sensing 18(9) 1428, and the literature they collect.
    """

    absorption_m2_g: float
    slope_per_nm: float
    backscatter_m2_g: float
    backscatter_power: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PlumeSource:
    """A dredger that spills fines while it works.

    Attributes:
        id: the vessel's visit id.
        track: where the vessel is.
        sessions_s: (n, 2) start and end of each spell of work, seconds since 1970 UTC.
        rate_kg_s: fines released.
        settling_m_s: settling speed of the fines.
        depth_m: layer over which they mix.
        sigma0_m: standard deviation of a puff at release.
        diffusion_m2_s: constant part of the horizontal diffusivity.
        grains: what they look like.

    Source of the ranges: fines .3-30 kg/s from 500-3000 m3/h of slurry and Duclos et al. 2013 (Seine), settling
    .1-1 mm/s from Smith and Friedrichs 2011.
    """

    id: str
    track: Track
    sessions_s: FloatArray
    rate_kg_s: float
    settling_m_s: float
    depth_m: float
    sigma0_m: float
    diffusion_m2_s: float
    grains: Grains

    def active(self, times: ArrayLike) -> NDArray[np.bool_]:
        """True at times (datetime64 UTC or aware datetime) when the dredger spills."""
        return self.working(seconds(times))

    def working(self, time_s: ArrayLike) -> NDArray[np.bool_]:
        """True at seconds since 1970 UTC when the dredger spills."""
        t = np.asarray(time_s, float)[..., None]
        return np.asarray(((t >= self.sessions_s[:, 0]) & (t < self.sessions_s[:, 1])).any(axis=-1))


class Puffs(NamedTuple):
    """Clouds of sediment at one time.

    Attributes:
        x_m, y_m: middles in the plane.
        sigma_m: standard deviations.
        peak_g_m3: concentrations in the middles.
    """

    x_m: FloatArray
    y_m: FloatArray
    sigma_m: FloatArray
    peak_g_m3: FloatArray


def spread_m(age_s: ArrayLike, sigma0_m: float, diffusion_m2_s: float) -> FloatArray:
    """Standard deviation of a puff: Fickian growth and Okubo's faster growth at scale, metres.

    Reference: Okubo 1971, Deep-Sea Research 18, 789-802.
    """
    t = np.asarray(age_s, float)
    return np.sqrt(sigma0_m**2 + 2.0 * diffusion_m2_s * t + OKUBO_M2 * t**OKUBO_POWER)


def puffs_at(source: PlumeSource, ocean: Ocean, time_s: float) -> Puffs:
    """Everything a source has in the water at a time.

    Args:
        source: the dredger.
        ocean: its current and wind.
        time_s: seconds since 1970 UTC.

    Returns:
        Puffs no older than `MEMORY_S`, one per `STEP_S` of work.
    """
    age = np.arange(STEP_S / 2.0, MEMORY_S, STEP_S)
    released = time_s - age
    east, north = (
        c + WIND_DRIFT * w for c, w in zip(ocean.current_m_s(released), ocean.wind_m_s(released), strict=True)
    )
    carried = [np.cumsum(v) * STEP_S - v * STEP_S / 2.0 for v in (east, north)]
    state = source.track.at_seconds(released)
    x, y = source.track.frame.xy_m(state.lon, state.lat)
    keep = source.working(released) & np.isfinite(x)
    sigma = spread_m(age, source.sigma0_m, source.diffusion_m2_s)
    mass_g = 1e3 * source.rate_kg_s * STEP_S * np.exp(-source.settling_m_s * age / source.depth_m)
    peak = mass_g / (2.0 * np.pi * source.depth_m * sigma**2)
    return Puffs((x + carried[0])[keep], (y + carried[1])[keep], sigma[keep], peak[keep])


def puff_field(
    shape_hw: tuple[int, int], rows: FloatArray, cols: FloatArray, sigma_px: FloatArray, peak: FloatArray
) -> Field:
    """Sum of round Gaussians on a pixel grid.

    Args:
        shape_hw: rows and columns.
        rows: middles in continuous pixels (n,).
        cols: the same for columns (n,).
        sigma_px: standard deviations in pixels (n,).
        peak: values in the middles (n,).

    Returns:
        (h, w) float32, each Gaussian cut at four standard deviations.
    """
    out = np.zeros(shape_hw, np.float32)
    for row, col, sigma, value in zip(rows, cols, sigma_px, peak, strict=True):
        reach = 4.0 * sigma
        r0, r1 = max(int(row - reach), 0), min(int(row + reach) + 2, shape_hw[0])
        c0, c1 = max(int(col - reach), 0), min(int(col + reach) + 2, shape_hw[1])
        if r0 >= r1 or c0 >= c1:
            continue
        down = value * np.exp(-0.5 * ((np.arange(r0, r1) - row) / sigma) ** 2)
        right = np.exp(-0.5 * ((np.arange(c0, c1) - col) / sigma) ** 2)
        out[r0:r1, c0:c1] += np.outer(down, right).astype(np.float32)
    return out
