"""Backscatter of a wind-roughened sea at C band: CMOD5.N for VV and a wind-speed line for VH."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Coefficients c1..c28 of CMOD5.N: Hersbach 2010, J. Atmos. Oceanic Technol. 27, doi:10.1175/2009JTECHO698.1.
# fmt: off
_C = (
    np.nan,
    -0.6878, -0.7957, 0.3380, -0.1728, 0.0, 0.0040, 0.1103, 0.0159, 6.7329, 2.7713, -2.2885, 0.4971, -0.7250, 0.0450,
    0.0066, 0.3222, 0.0120, 22.7000, 2.0813, 3.0, 8.3659, -3.3428, 1.3236, 6.2437, 2.3893, 0.3249, 4.1590, 1.6930,
)
# fmt: on
MIN_WIND_M_S = 0.3  # below it the model has no data and falls without end


def cmod5n(wind_m_s: ArrayLike, relative_deg: ArrayLike, incidence_deg: ArrayLike) -> FloatArray:
    """VV sigma0 of the sea, linear.

    Args:
        wind_m_s: equivalent neutral wind speed at 10 m, m/s.
        relative_deg: wind direction relative to the look, 0 = the wind blows towards the radar (upwind), degrees.
        incidence_deg: incidence angle, degrees.

    Reference: Hersbach 2010, doi:10.1175/2009JTECHO698.1, in the form of Hersbach, Stoffelen and de Haan 2007,
    doi:10.1029/2006JC003743.
    """
    c = _C
    v = np.maximum(np.asarray(wind_m_s, float), MIN_WIND_M_S)
    phi = np.radians(np.asarray(relative_deg, float))
    x = (np.asarray(incidence_deg, float) - 40.0) / 25.0
    a0 = c[1] + c[2] * x + c[3] * x**2 + c[4] * x**3
    a1 = c[5] + c[6] * x
    a2 = c[7] + c[8] * x
    gamma = c[9] + c[10] * x + c[11] * x**2
    s0 = c[12] + c[13] * x
    s = a2 * v
    a3 = 1.0 / (1.0 + np.exp(-np.maximum(s, s0)))
    a3 = np.where(s < s0, a3 * (np.maximum(s, 1e-9) / s0) ** (s0 * (1.0 - a3)), a3)
    b0 = a3**gamma * 10.0 ** (a0 + a1 * v)
    b1 = c[14] * (1.0 + x) - c[15] * v * (0.5 + x - np.tanh(4.0 * (x + c[16] + c[17] * v)))
    b1 = b1 / (1.0 + np.exp(0.34 * (v - c[18])))
    v0 = c[21] + c[22] * x + c[23] * x**2
    d1 = c[24] + c[25] * x + c[26] * x**2
    d2 = c[27] + c[28] * x
    y0, n = c[19], c[20]
    v2 = v / v0 + 1.0
    v2 = np.where(v2 < y0, y0 - (y0 - 1.0) / n + (v2 - 1.0) ** n / (n * (y0 - 1.0) ** (n - 1.0)), v2)
    b2 = (d2 * v2 - d1) * np.exp(-v2)
    return np.asarray(b0 * (1.0 + b1 * np.cos(phi) + b2 * np.cos(2.0 * phi)) ** 1.6)


def vh_sea(wind_m_s: ArrayLike) -> FloatArray:
    """VH sigma0 of the sea, linear: .580 U10 - 35.652 dB whatever the angle.

    Reference: Vachon and Wolfe 2011, IEEE GRSL 8(3), doi:10.1109/LGRS.2010.2085417 (C band, RADARSAT-2).
    """
    return np.asarray(10.0 ** ((0.580 * np.asarray(wind_m_s, float) - 35.652) / 10.0))
