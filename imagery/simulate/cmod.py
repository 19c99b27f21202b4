"""Radar backscatter of the sea for a wind: CMOD5.N for VV, a line for VH."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imagery.geometry import FloatArray

# CMOD5.N coefficients c1..c28 (Hersbach 2008, ECMWF Technical Memorandum 554, table; as in xsarsea 2.1.2).
_C = np.array([
    np.nan, -0.6878, -0.7957, 0.3380, -0.1728, 0.0, 0.0040, 0.1103, 0.0159, 6.7329, 2.7713, -2.2885, 0.4971, -0.7250,
    0.0450, 0.0066, 0.3222, 0.0120, 22.7000, 2.0813, 3.0000, 8.3659, -3.3428, 1.3236, 6.2437, 2.3893, 0.3249, 4.1590,
    1.6930,
])  # fmt: skip


def cmod5n(wind_m_s: ArrayLike, angle_deg: ArrayLike, incidence_deg: ArrayLike) -> FloatArray:
    """C-band VV backscatter of the sea.

    Args:
        wind_m_s: wind speed at 10 m, > 0.
        angle_deg: where the wind comes from, less the look azimuth: 0 upwind, 180 downwind.
        incidence_deg: incidence angle, 18-58 degrees.

    Returns:
        sigma0, linear.

    Reference: Hersbach 2008, CMOD5.N: A C-band geophysical model function for equivalent neutral wind.
    """
    v = np.asarray(wind_m_s, float)
    phi = np.radians(np.asarray(angle_deg, float))
    x = (np.asarray(incidence_deg, float) - 40.0) / 25.0
    b0 = _b0(v, x)
    tanh = np.tanh(4.0 * (x + _C[16] + _C[17] * v))
    b1 = (_C[14] * (1.0 + x) - _C[15] * v * (0.5 + x - tanh)) / (1.0 + np.exp(0.34 * (v - _C[18])))
    b2 = _b2(v, x)
    return np.asarray(b0 * (1.0 + b1 * np.cos(phi) + b2 * np.cos(2.0 * phi)) ** 1.6, float)


def _b0(v: FloatArray, x: FloatArray) -> FloatArray:
    a0 = _C[1] + _C[2] * x + _C[3] * x**2 + _C[4] * x**3
    a1 = _C[5] + _C[6] * x
    a2 = _C[7] + _C[8] * x
    gamma = _C[9] + _C[10] * x + _C[11] * x**2
    s0 = _C[12] + _C[13] * x
    s = a2 * v
    a3 = 1.0 / (1.0 + np.exp(-np.maximum(s, s0)))
    a3 = np.where(s < s0, a3 * np.maximum(s / s0, 0.0) ** (s0 * (1.0 - a3)), a3)
    return np.asarray(a3**gamma * 10.0 ** (a0 + a1 * v), float)


def _b2(v: FloatArray, x: FloatArray) -> FloatArray:
    y0, n = _C[19], _C[20]
    v0 = _C[21] + _C[22] * x + _C[23] * x**2
    d1 = _C[24] + _C[25] * x + _C[26] * x**2
    d2 = _C[27] + _C[28] * x
    a, b = y0 - (y0 - 1.0) / n, 1.0 / (n * (y0 - 1.0) ** (n - 1.0))
    v2 = v / v0 + 1.0
    v2 = np.where(v2 < y0, a + b * (v2 - 1.0) ** n, v2)
    return np.asarray((d2 * v2 - d1) * np.exp(-v2), float)


def vh_of_wind(wind_m_s: ArrayLike) -> FloatArray:
    """C-band cross-polarised backscatter of the sea, linear sigma0: .580 U10 - 35.65 dB, whatever the angles.

    Reference: C-2PO, Zhang and Perrie 2012, Bull. Amer. Meteor. Soc. 93(4) 531, doi:10.1175/BAMS-D-11-00001.1
    (RADARSAT-2; coefficients not checked against the paper). Vachon and Wolfe 2011 find nearly the same line.
    """
    return np.asarray(10.0 ** (0.1 * (0.580 * np.asarray(wind_m_s, float) - 35.65)), float)
