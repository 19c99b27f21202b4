"""How a piece of a Sentinel-1 image looks at the sea: pixels, flight direction, incidence, what displaces echoes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from imagery.geometry import FloatArray

EARTH_M, HEIGHT_M = 6_371_000.0, 700_000.0
PLATFORM_M_S = 7_590.0  # Earth-fixed speed of Sentinel-1
WAVELENGTH_M = 299_792_458.0 / 5.405e9
# Pulse repetition frequencies (annotation of real products) and incidence spans of the IW subswaths, degrees
# (Sentinel-1 product specification: 29-46 in all, rounded at the seams).
PRF_HZ = (1717.13, 1451.63, 1685.82)
INCIDENCE_DEG = ((29.5, 36.5), (35.5, 41.5), (40.5, 46.0))


def slant_range_m(incidence_deg: ArrayLike) -> FloatArray:
    """Distance from the radar to a point on a spherical Earth, metres."""
    theta = np.radians(np.asarray(incidence_deg, float))
    orbit_m = EARTH_M + HEIGHT_M
    return np.asarray(np.sqrt(orbit_m**2 - (EARTH_M * np.sin(theta)) ** 2) - EARTH_M * np.cos(theta))


def ambiguity_m(incidence_deg: ArrayLike, subswath: int, order: int = 1) -> FloatArray:
    """How far along the flight direction the azimuth ambiguity of an echo lies, metres.

    Args:
        incidence_deg: incidence angle.
        subswath: 0, 1 or 2 for IW1, IW2, IW3.
        order: number of the ambiguity, negative behind.

    Reference: Freeman 1993, IEEE TGRS 31(3), doi:10.1109/36.225527: lambda R PRF / (2 V).
    """
    return order * WAVELENGTH_M * slant_range_m(incidence_deg) * PRF_HZ[subswath] / (2.0 * PLATFORM_M_S)


def azimuth_shift_m(speed_m_s: ArrayLike, off_look_deg: ArrayLike, incidence_deg: ArrayLike) -> FloatArray:
    """Displacement of a moving ship's echo along the flight direction, metres.

    Args:
        speed_m_s: speed over ground.
        off_look_deg: course less look azimuth; 0 sails straight away from the radar.
        incidence_deg: incidence angle.

    Returns:
        -R / V times the speed's component in the line of sight; away from the radar is backwards.

    Reference: Raney 1971, IEEE Trans. Aerosp. Electron. Syst. 7(3) 499, doi:10.1109/TAES.1971.310292.
    """
    away = np.asarray(speed_m_s, float) * np.cos(np.radians(off_look_deg)) * np.sin(np.radians(incidence_deg))
    return np.asarray(-slant_range_m(incidence_deg) / PLATFORM_M_S * away)


@dataclass(frozen=True, kw_only=True)
class Look:
    """Geometry of one image; directions are clockwise from image up.

    Attributes:
        shape_hw: rows and columns.
        pixel_size_m: pixel size.
        averaged: pixels are means of native ones, not samples.
        flight_deg: where the satellite flies; it looks to the right of that.
        incidence_deg: in the image's centre.
        subswath: 0, 1 or 2 for IW1 to IW3.
    """

    shape_hw: tuple[int, int]
    pixel_size_m: float
    averaged: bool
    flight_deg: float
    incidence_deg: float
    subswath: int

    @property
    def look_deg(self) -> float:
        """Where the radar looks."""
        return (self.flight_deg + 90.0) % 360.0

    def along_across_px(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Coordinates along flight and along the look, pixels from the centre."""
        row = np.asarray(rows, float) - (self.shape_hw[0] - 1) / 2.0
        col = np.asarray(cols, float) - (self.shape_hw[1] - 1) / 2.0
        sin, cos = np.sin(np.radians(self.flight_deg)), np.cos(np.radians(self.flight_deg))
        return np.asarray(col * sin - row * cos), np.asarray(col * cos + row * sin)

    def rowcol_step(self, distance_m: ArrayLike, direction_deg: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """(row, col) displacement of a distance in a direction."""
        px, angle = np.asarray(distance_m, float) / self.pixel_size_m, np.radians(direction_deg)
        return np.asarray(-px * np.cos(angle)), np.asarray(px * np.sin(angle))

    def incidence_at(self, rows: ArrayLike, cols: ArrayLike) -> FloatArray:
        """Incidence angle, degrees: rises with ground range as on a sphere, within 20-50."""
        _, across = self.along_across_px(rows, cols)
        return np.clip(self.incidence_deg + across * self.pixel_size_m * self._degrees_per_m, 20.0, 50.0)

    @cached_property
    def _degrees_per_m(self) -> float:
        theta = np.radians(self.incidence_deg)
        rise = np.cos(theta) / float(slant_range_m(self.incidence_deg)) + 1.0 / EARTH_M
        return float(np.degrees(rise))


def draw_look(rng: np.random.Generator, shape_hw: tuple[int, int], pixel_size_m: float | None) -> Look:
    """A random geometry: half in radar coordinates, half brought to north up; mostly 10 m pixels."""
    size = float(rng.choice([10.0, 10.0, 10.0, 20.0, 25.0, 40.0], p=[0.4, 0.2, 0.15, 0.15, 0.05, 0.05]))
    if pixel_size_m is not None:
        size = float(pixel_size_m)
    averaged = size > 10.0 and size % 10.0 == 0.0 and bool(rng.random() < 0.5)
    subswath = int(rng.integers(3))
    flight = rng.choice([0.0, 180.0]) if rng.random() < 0.5 else rng.choice([-12.0, 192.0]) + rng.normal(0.0, 2.5)
    return Look(
        shape_hw=shape_hw,
        pixel_size_m=size,
        averaged=averaged,
        flight_deg=float(flight) % 360.0,
        incidence_deg=rng.uniform(*INCIDENCE_DEG[subswath]),
        subswath=subswath,
    )
