"""Reflectance of turbid water from what absorbs and scatters light in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imagery.simulate.fields import Field
from imagery.simulate.plume import Grains

# Sentinel-2A band centres, nm (ESA, S2 spectral response functions v3.0).
WAVELENGTH_NM = {"b02": 492.4, "b03": 559.8, "b04": 664.6, "b08": 832.8, "b8a": 864.7, "b11": 1613.7}
# Absorption of pure water averaged over the band, 1/m (Water Optical Properties Processor v3, Roettgers et al.;
# b11: order of magnitude of Segelstein 1981: nothing comes back).
WATER_ABSORPTION_PER_M = {
    "b02": 0.0211,
    "b03": 0.0650,
    "b04": 0.4146,
    "b08": 3.526,
    "b8a": 5.130,
    "b11": 650.0,
}
# Natural suspended matter of a muddy coast and dissolved organic matter (middle of the usual coastal ranges).
NATURAL_GRAINS = Grains(absorption_m2_g=0.035, slope_per_nm=0.011, backscatter_m2_g=0.0105, backscatter_power=0.6)
CDOM_443_PER_M = 0.15
CDOM_SLOPE_PER_NM = 0.015


def backscatter_of_water_per_m(wavelength_nm: float) -> float:
    """Backscattering of pure sea water, 1/m: half of Morel's (1974) scattering .00288 (500 / wavelength)^4.32."""
    return float(0.00144 * (500.0 / wavelength_nm) ** 4.32)


def water_reflectance(
    band: str, suspended: list[tuple[ArrayLike, Grains]], cdom_443_per_m: float = CDOM_443_PER_M
) -> Field:
    """Water-leaving reflectance of a band.

    Args:
        band: key of `WAVELENGTH_NM`.
        suspended: pairs of concentration in g/m3 and the grains it consists of; absorption and backscattering add
            up, reflectance does not.
        cdom_443_per_m: absorption of dissolved matter at 443 nm, 1/m.

    Returns:
        Pi times the remote-sensing reflectance, float32.

    Reference: Gordon et al. 1988, J. Geophys. Res. 93, 10909 (rrs = .0895 u + .1247 u^2, Lee et al. 1999);
    rho = pi .52 rrs / (1 - 1.7 rrs) through the surface (Lee et al. 2002).
    """
    nm = WAVELENGTH_NM[band]
    absorbed = WATER_ABSORPTION_PER_M[band] + cdom_443_per_m * np.exp(-CDOM_SLOPE_PER_NM * (nm - 443.0))
    scattered = backscatter_of_water_per_m(nm)
    a, bb = np.asarray(absorbed, np.float32), np.asarray(scattered, np.float32)
    for concentration, grains in suspended:
        c = np.asarray(concentration, np.float32)
        a = a + c * np.float32(grains.absorption_m2_g * np.exp(-grains.slope_per_nm * (nm - 443.0)))
        bb = bb + c * np.float32(grains.backscatter_m2_g * (555.0 / nm) ** grains.backscatter_power)
    u = bb / (a + bb)
    rrs = u * (np.float32(0.0895) + np.float32(0.1247) * u)
    return np.asarray(np.float32(np.pi * 0.52) * rrs / (1 - np.float32(1.7) * rrs), np.float32)
