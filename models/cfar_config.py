"""What the CFAR detector of `models.cfar` assumes and how often it may err."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models import _cfar_kernels as kernels
from models import clutter as cl

CENSOR_RATE = 1e-4
"""Probability with which the provisional threshold censors a pixel of homogeneous clutter: 5.8 dB over
the mean at 4.4 looks. It is a fixed multiple of the mean for every family: one that adapted to the
estimated texture would open up exactly where ships inflate that estimate."""

_MIN_EFFECTIVE_PX = {"gamma": 4.0, "k": 64.0, "g0": 64.0}


@dataclass(frozen=True, kw_only=True)
class CfarConfig:
    """What the detector assumes and how often it may err.

    The defaults are for Sentinel-1 IW GRDH on its 10 m grid: guard box 410 m across (longer than the
    longest ship; SNAP uses 500 m), background out to 400 m on every side (SNAP 400 m, Global Fishing
    Watch 200-600 m), 4.4 looks (ESA product specification), speckle correlated over 4.5 pixels
    (`clutter.speckle_correlation_area_px`), 1e-7 per pixel (SUMO's tables; about 40 false alarms in a
    full scene of 4e8 pixels before pixels are grouped).

    Attributes:
        clutter: family assumed of the sea.
        trimmed: censor ring pixels above a provisional threshold and re-estimate, twice.
        false_alarm_rate: probability per clutter pixel of level 2 (seeds).
        grow_rate: looser probability per clutter pixel of level >= 1 (may extend a hull around a seed).
        looks: equivalent number of looks.
        guard_px: half-width of the square guard box, pixels; 0 leaves out the pixel itself only.
        background_px: half-width of the square outer box, pixels, at most 127.
        correlation_area_px: speckle correlation area A, pixels; N_eff = N / A.
        min_ring_fraction: a ring with less than this share of its pixels in use is untestable.
        threshold_factor: multiplies both thresholds, for clutter outside the families
            (`fit_threshold_factor`), no unit; fitted for the seeds it leaves the grow rate a little low.
    """

    clutter: cl.Clutter = "k"
    trimmed: bool = True
    false_alarm_rate: float = 1e-7
    grow_rate: float = 1e-4
    looks: float = 4.4
    guard_px: int = 20
    background_px: int = 40
    correlation_area_px: float = 4.54
    min_ring_fraction: float = 0.2
    threshold_factor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside the formulas' domain, saying which and why."""
        if self.clutter not in ("gamma", "k", "g0"):
            raise ValueError(f"clutter must be 'gamma', 'k' or 'g0', not {self.clutter!r}")
        if not 1e-12 <= self.false_alarm_rate <= 0.1:
            raise ValueError(f"false_alarm_rate must be in [1e-12, 0.1], not {self.false_alarm_rate}")
        if not self.false_alarm_rate <= self.grow_rate <= 0.1:
            raise ValueError(
                f"grow_rate must be in [false_alarm_rate, 0.1] = [{self.false_alarm_rate}, 0.1], not {self.grow_rate}"
            )
        if not 0.5 <= self.looks <= 1000.0:
            raise ValueError(f"looks must be in [0.5, 1000], not {self.looks}")
        if not 0 <= self.guard_px < self.background_px <= kernels.MAX_BACKGROUND_PX:
            raise ValueError(
                f"need 0 <= guard_px < background_px <= {kernels.MAX_BACKGROUND_PX}, "
                f"not guard_px={self.guard_px}, background_px={self.background_px}"
            )
        if not 1.0 <= self.correlation_area_px < math.inf:
            raise ValueError(f"correlation_area_px must be at least 1, not {self.correlation_area_px}")
        if not 0.0 < self.min_ring_fraction <= 1.0:
            raise ValueError(f"min_ring_fraction must be in (0, 1], not {self.min_ring_fraction}")
        if not 0.1 <= self.threshold_factor <= 10.0:
            raise ValueError(f"threshold_factor must be in [0.1, 10], not {self.threshold_factor}")
        effective = self.least_ring_px / self.correlation_area_px
        if effective < _MIN_EFFECTIVE_PX[self.clutter]:
            raise ValueError(
                f"clutter={self.clutter!r} needs {_MIN_EFFECTIVE_PX[self.clutter]:.0f} effective background "
                f"pixels, but min_ring_fraction allows {effective:.1f} ({self.least_ring_px} pixels / "
                f"correlation area {self.correlation_area_px}): widen background_px or raise "
                "min_ring_fraction"
            )

    @property
    def ring_px(self) -> int:
        """Pixels in a complete ring."""
        return (2 * self.background_px + 1) ** 2 - (2 * self.guard_px + 1) ** 2

    @property
    def least_ring_px(self) -> int:
        """Pixels a ring needs for its pixel to be testable."""
        return max(1, math.ceil(self.min_ring_fraction * self.ring_px))

    @property
    def halo_px(self) -> int:
        """Pixels around a pixel that its result depends on: one half-width, or three when trimmed."""
        return self.background_px * (3 if self.trimmed else 1)

    @property
    def cutoff_ratio(self) -> float:
        """Provisional censoring threshold / ring mean, no unit; inf if not trimmed."""
        if not self.trimmed:
            return math.inf
        return float(cl.gamma_factor(CENSOR_RATE, looks=self.looks))
