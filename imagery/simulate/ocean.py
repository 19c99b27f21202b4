"""Tide, tidal current and wind of a simulated sea: functions of time only, the same whenever they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from imagery.geometry import FloatArray
from imagery.simulate.seeding import rng_for

# Periods in seconds of the principal lunar and solar semidiurnal tides; together they make the 14.77 d spring-neap
# cycle (Pugh and Woodworth 2014, Sea-Level Science, table 4.1).
M2_S = 12.4206012 * 3600.0
S2_S = 12.0 * 3600.0
# Amplitudes of a macrotidal west coast of Korea, rounded (Incheon M2 2.9 m, S2 1.1 m; less further north-west).
M2_AMPLITUDE_M = 2.3
S2_AMPLITUDE_M = 0.9
HIGHEST_TIDE_M = M2_AMPLITUDE_M + S2_AMPLITUDE_M
# Wind: two Gaussian components of this standard deviation give Rayleigh speeds of mean 5 m/s, as is common over
# shelf seas in summer (judgement).
WIND_COMPONENT_SD_M_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Ocean:
    """The sea's state in time, uniform over the area.

    Attributes:
        seed: the world's seed.
    """

    seed: int

    @cached_property
    def _tide(self) -> tuple[float, float, float, float, float]:
        """Phases of M2 and S2 in radians, M2 current amplitude m/s, axis in degrees, ratio of the minor axis."""
        rng = rng_for(self.seed, "tide")
        m2_phase, s2_phase = rng.uniform(0.0, 2.0 * np.pi, 2)
        return m2_phase, s2_phase, rng.uniform(0.45, 0.7), rng.uniform(0.0, 180.0), rng.uniform(0.05, 0.2)

    @property
    def current_axis_deg(self) -> float:
        """Direction of the flood, degrees clockwise from north."""
        return self._tide[3]

    def level_m(self, time_s: ArrayLike) -> FloatArray:
        """Sea level above its mean, metres."""
        t = np.asarray(time_s, float)
        m2_phase, s2_phase, *_ = self._tide
        m2 = M2_AMPLITUDE_M * np.cos(2.0 * np.pi * t / M2_S - m2_phase)
        return m2 + S2_AMPLITUDE_M * np.cos(2.0 * np.pi * t / S2_S - s2_phase)

    def along_current_m_s(self, time_s: ArrayLike) -> FloatArray:
        """Current along its axis, m/s, positive on the flood: a standing wave, slack at high and low water."""
        t = np.asarray(time_s, float)
        m2_phase, s2_phase, amplitude, _, _ = self._tide
        ratio = S2_AMPLITUDE_M / M2_AMPLITUDE_M
        m2 = np.sin(2.0 * np.pi * t / M2_S - m2_phase)
        return -amplitude * (m2 + ratio * np.sin(2.0 * np.pi * t / S2_S - s2_phase))

    def current_m_s(self, time_s: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Current to the east and to the north, m/s: an ellipse run through once per tide."""
        _, _, amplitude, axis_deg, minor = self._tide
        along = self.along_current_m_s(time_s)
        across = minor * amplitude * self.level_m(time_s) / M2_AMPLITUDE_M
        sin, cos = np.sin(np.radians(axis_deg)), np.cos(np.radians(axis_deg))
        return along * sin + across * cos, along * cos - across * sin

    def stirring(self, time_s: ArrayLike) -> FloatArray:
        """How much more the bed is stirred than on a mean tide, a number near -1..1, lagging the current by 1 h."""
        lagged = self.along_current_m_s(np.asarray(time_s, float) - 3600.0)
        return np.abs(lagged) / self._tide[2] - 2.0 / np.pi

    @cached_property
    def _wind(self) -> tuple[FloatArray, FloatArray]:
        """Periods in seconds and phases of the wind's two components, shapes (2, 12)."""
        rng = rng_for(self.seed, "wind")
        periods_h = np.exp(rng.uniform(np.log(15.0), np.log(240.0), (2, 12)))
        return periods_h * 3600.0, rng.uniform(0.0, 2.0 * np.pi, (2, 12))

    def wind_m_s(self, time_s: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Wind at 10 m: the velocity to the east and to the north with which the air moves, m/s."""
        t = np.asarray(time_s, float)[..., None]
        periods, phases = self._wind
        amplitude = WIND_COMPONENT_SD_M_S * np.sqrt(2.0 / periods.shape[1])
        east, north = (amplitude * np.cos(2 * np.pi * t / periods[i] + phases[i]).sum(axis=-1) for i in (0, 1))
        return east, north
