"""Clouds of an optical scene and the Sun above it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy import ndimage

from imagery.geometry import FloatArray
from imagery.simulate.fields import Field, node_shape, power_law_field, upsampled
from imagery.simulate.ground import View

CLOUD_STEP_PX = 4
CLOUD_PAD = 60  # nodes beyond the scene, from which shadows fall into it


@dataclass(frozen=True, kw_only=True)
class CloudLayer:
    """Clouds over a scene.

    Attributes:
        fraction: share of the sky that they were meant to cover.
        opacity: (h, w), 0 clear to 1 thick.
        shadow: (h, w), share of sunlight that they keep from the ground.
        brightness: (h, w), reflectance of thick cloud.
    """

    fraction: float
    opacity: Field
    shadow: Field
    brightness: Field


def sun_angles_deg(time: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Zenith angle and azimuth (clockwise from north) of the Sun, degrees, good to about a degree.

    Reference: Spencer 1971, Search 2(5) 172 (declination and equation of time as Fourier series).
    """
    day = time.timetuple().tm_yday - 1
    hour = time.hour + time.minute / 60.0 + time.second / 3600.0
    g = 2.0 * np.pi * (day + hour / 24.0) / 365.0
    declination = (
        0.006918 - 0.399912 * np.cos(g) + 0.070257 * np.sin(g) - 0.006758 * np.cos(2 * g) + 0.000907 * np.sin(2 * g)
    )
    minutes = 229.18 * (
        0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g) - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
    )
    hour_angle = np.radians(15.0 * (hour - 12.0 + minutes / 60.0) + lon)
    phi = np.radians(lat)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.sin(declination) * np.cos(phi) - np.cos(declination) * np.cos(hour_angle) * np.sin(phi)
    up = np.sin(declination) * np.sin(phi) + np.cos(declination) * np.cos(hour_angle) * np.cos(phi)
    return float(np.degrees(np.arccos(np.clip(up, -1.0, 1.0)))), float(np.degrees(np.arctan2(east, north)) % 360.0)


def shadow_px(view: View, height_m: float) -> FloatArray:
    """(row, col) displacement of the shadow of something at a height, at most 80 degrees of zenith angle."""
    zenith, azimuth = sun_angles_deg(view.time, view.world.frame.lon0, view.world.frame.lat0)
    reach_m = height_m * np.tan(np.radians(min(zenith, 80.0)))
    away = np.radians(azimuth + 180.0)
    return np.asarray(view.ground.pixels_per_m @ [reach_m * np.sin(away), reach_m * np.cos(away)])


def cloud_layer(view: View) -> CloudLayer:
    """The clouds of a scene: a third of the dates nearly clear, a third scattered, a third cloudy.

    Half to two thirds of summer days over the Yellow Sea have more than scattered cloud (judgement).
    """
    rng = view.rng("cloud")
    low, high = ((0.0, 0.03), (0.03, 0.4), (0.4, 0.97))[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    fraction = rng.uniform(low, high)
    height, width = node_shape(view.grid.shape_hw, CLOUD_STEP_PX)
    padded = (height + 2 * CLOUD_PAD, width + 2 * CLOUD_PAD)
    field = power_law_field(padded, rng, beta=3.2, longest_px=rng.uniform(60.0, 250.0))
    field = ndimage.gaussian_filter(field, 0.8)
    edge = np.quantile(field, 1.0 - fraction)
    thick = 1.0 - np.exp(-2.0 * np.clip(field - edge, 0.0, None))
    texture = power_law_field((height, width), rng, beta=3.0, longest_px=60.0)
    away = np.rint(shadow_px(view, rng.uniform(700.0, 1800.0)) / CLOUD_STEP_PX).astype(int)
    d_row, d_col = np.clip(away, -CLOUD_PAD, CLOUD_PAD)
    above = thick[CLOUD_PAD : CLOUD_PAD + height, CLOUD_PAD : CLOUD_PAD + width]
    first = CLOUD_PAD - d_row, CLOUD_PAD - d_col
    cast = thick[first[0] : first[0] + height, first[1] : first[1] + width]

    def full(nodes: Field) -> Field:
        return upsampled(np.asarray(nodes, np.float32), CLOUD_STEP_PX, view.grid.shape_hw)

    return CloudLayer(
        fraction=fraction,
        opacity=full(above),
        shadow=full(0.7 * cast),
        brightness=full(0.55 + 0.08 * texture),
    )
