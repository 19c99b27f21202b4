"""How the second simulator's satellite sees: angles and ranges over the swath, subswaths, ambiguities, noise floor.

Pictures lie as a map of an ascending pass does: the satellite flies towards row 0 and looks to its right, so range
grows with the column and a heading is counted clockwise from image up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

EARTH_RADIUS_M = 6371.0e3
ORBIT_HEIGHT_M = 693.0e3  # mean, ESA Sentinel-1 mission page
ORBIT_SPEED_M_S = 7590.0  # Earth-fixed speed of Sentinel-1 in orbit
FOOTPRINT_SPEED_M_S = 6850.0  # of the beam on the ground: orbit speed times Earth radius over orbit radius
WAVELENGTH_M = 299_792_458.0 / 5.405e9  # Sentinel-1 centre frequency 5.405 GHz

# Pulse repetition frequencies of IW1, IW2, IW3 from product annotation, Hz; the incidences at which a merged GRD goes
# over from one subswath to the next lie in the overlaps 34.8-36.6 and 40.0-41.9 degrees (ESA acquisition modes page).
PRF_HZ = (1717.13, 1451.63, 1685.82)
SUBSWATH_EDGES_DEG = (29.16, 36.2, 41.4, 46.0)
BURST_PERIOD_M = 18_700.0  # 2.75 s between bursts of one subswath at the footprint's speed


@dataclass(frozen=True, kw_only=True)
class Swath:
    """What each column of a picture sees.

    Attributes:
        incidence_deg: (columns,) incidence angle, degrees.
        slant_range_m: (columns,) slant range, metres.
        subswath: (columns,) 0, 1, 2 for IW1, IW2, IW3.
    """

    incidence_deg: FloatArray
    slant_range_m: FloatArray
    subswath: NDArray[np.intp]

    @property
    def shift_s(self) -> FloatArray:
        """(columns,) metres along the flight per m/s of range speed, R / V.

        Reference: Raney 1971, IEEE Trans. AES 7(3), doi:10.1109/TAES.1971.310292.
        """
        return self.slant_range_m / ORBIT_SPEED_M_S

    @property
    def ambiguity_m(self) -> FloatArray:
        """(columns,) distance along the flight of the first azimuth ambiguity on the ground, metres.

        The time is wavelength R PRF / (2 V_r^2) with V_r^2 = orbit speed times footprint speed, and the footprint
        covers it. Reference: Freeman 1993, Int. J. Remote Sensing / CSA notes on azimuth ambiguities; Cumming and
        Wong 2005, Digital Processing of SAR Data, section 5.4.
        """
        prf_hz = np.asarray(PRF_HZ)[self.subswath]
        return np.asarray(WAVELENGTH_M * self.slant_range_m * prf_hz / (2.0 * ORBIT_SPEED_M_S))


def swath(near_incidence_deg: float, columns: int, pixel_m: float) -> Swath:
    """Angles and ranges of a row of ground-range pixels over a spherical Earth.

    Args:
        near_incidence_deg: incidence at the first column, degrees.
        columns: number of columns.
        pixel_m: ground distance between columns, metres.
    """
    orbit_m = EARTH_RADIUS_M + ORBIT_HEIGHT_M
    near = np.radians(near_incidence_deg)
    centre_angle = near - np.arcsin(EARTH_RADIUS_M / orbit_m * np.sin(near))
    angle = centre_angle + np.arange(columns) * pixel_m / EARTH_RADIUS_M
    slant_m = np.sqrt(EARTH_RADIUS_M**2 + orbit_m**2 - 2.0 * EARTH_RADIUS_M * orbit_m * np.cos(angle))
    incidence_deg = np.degrees(np.arcsin(orbit_m * np.sin(angle) / slant_m))
    subswath = np.clip(np.searchsorted(SUBSWATH_EDGES_DEG[1:3], incidence_deg, side="right"), 0, 2)
    return Swath(incidence_deg=incidence_deg, slant_range_m=slant_m, subswath=subswath)


def azimuth_shift_m(shift_s: ArrayLike, incidence_deg: ArrayLike, away_m_s: ArrayLike) -> FloatArray:
    """Displacement along the flight of a target that moves away over the ground, metres, negative = against it.

    Args:
        shift_s: R / V, seconds.
        incidence_deg: incidence at the target, degrees.
        away_m_s: its ground speed away from the radar, m/s.

    Returns:
        -(R / V) v sin(incidence); Raney 1971, doi:10.1109/TAES.1971.310292.
    """
    return np.asarray(-np.asarray(shift_s) * np.asarray(away_m_s) * np.sin(np.radians(incidence_deg)))


def noise_floor(rng: np.random.Generator, view: Swath, rows: int, pixel_m: float) -> NDArray[np.float32]:
    """Noise-equivalent sigma0 of VV and VH, linear, thermal noise left in.

    The specification is -22 dB at worst; in-orbit values run from about -24 dB at the ends of IW1 down to -30 dB
    (ESA Sentinel-1 performance reports). Each subswath has its own beam, hence a trough and a step at its end; each
    has its own bursts, hence a scallop along the flight of a few tenths of a dB.

    Returns:
        (2, rows, columns) float32.
    """
    edges = np.asarray(SUBSWATH_EDGES_DEG)
    low, high = edges[view.subswath], edges[view.subswath + 1]
    off_beam = np.clip(2.0 * (view.incidence_deg - low) / (high - low) - 1.0, -1.2, 1.2)
    along_m = np.arange(rows)[:, None] * pixel_m
    floors = []
    for _ in range(2):
        trough_db = np.array([-27.0, -27.8, -28.4]) + rng.normal(0.0, 0.6, 3)
        rise_db, scallop_db = rng.uniform(2.0, 4.0, 3), rng.uniform(0.1, 0.6, 3)
        phase_m = rng.uniform(0.0, BURST_PERIOD_M, 3)
        burst = ((along_m + phase_m[view.subswath]) / BURST_PERIOD_M) % 1.0
        level_db = trough_db[view.subswath] + rise_db[view.subswath] * off_beam**2
        floors.append(10.0 ** ((level_db + scallop_db[view.subswath] * (2.0 * burst - 1.0) ** 2) / 10.0))
    return np.stack(floors).astype(np.float32)
