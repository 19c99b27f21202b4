"""Small pictures of scenes for people; their stretch is stated, the numbers stay in the data."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import downscale_local_mean

from imagery.geometry import Window
from imagery.radiometry import linear_intensity
from imagery.scene import Scene

_STRIP_PX = 512


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a window of a scene.

    Attributes:
        jpeg: the encoded picture; pixels without data are dark blue.
        shape_hw: its size in picture pixels.
        window: the scene pixels that it shows.
        factor: scene pixels per picture pixel.
        stretch: how values became grey or colour, in words.
    """

    jpeg: bytes
    shape_hw: tuple[int, int]
    window: Window
    factor: int
    stretch: str


def picture(scene: Scene, window: Window, *, max_side_px: int = 1100) -> Picture:
    """Draw a window of a scene, averaged down to a size that fits a page.

    Args:
        scene: the scene.
        window: pixels to show.
        max_side_px: longest side of the picture.

    Returns:
        The picture: radar as grey in dB, optical as true colour.
    """
    factor = max(1, -(-max(window.shape_hw) // max_side_px))
    names = ("b04", "b03", "b02") if {"b04", "b03", "b02"} <= set(scene.bands) else scene.bands[:1]
    means = _averaged(scene, window, [scene.bands.index(n) for n in names], factor)
    known = np.isfinite(means).all(axis=0)
    if scene.sensor.kind == "sar":
        shown = 10.0 * np.log10(np.maximum(means, 1e-12))
        unit, gamma = "dB", 1.0
    else:
        shown, unit, gamma = means, "reflectance", 1.0 / 1.8
    low, high = np.percentile(shown[:, known], [1.0, 99.7]) if known.any() else (0.0, 1.0)
    scaled = np.clip((shown - low) / max(high - low, 1e-9), 0.0, 1.0) ** gamma
    grey = np.nan_to_num(scaled * 255.0).astype(np.uint8)
    rgb = np.stack([grey[0], grey[len(grey) // 2], grey[-1]], axis=-1)
    rgb[~known] = (16, 24, 48)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=80)
    return Picture(
        jpeg=buffer.getvalue(),
        shape_hw=(rgb.shape[0], rgb.shape[1]),
        window=window,
        factor=factor,
        stretch=(
            f"{', '.join(n.upper() for n in names)} from {low:.3g} to {high:.3g} {unit}, "
            f"mean of {factor} x {factor} pixels"
        ),
    )


def _averaged(scene: Scene, window: Window, bands: list[int], factor: int) -> NDArray[np.float64]:
    """(bands, h, w) means over factor x factor pixels, NaN where none is valid; read in strips."""
    strips = []
    step = factor * max(1, _STRIP_PX // factor)
    for row in range(0, window.height, step):
        height = min(step, window.height - row)
        pixels = scene.read(Window(row=window.row + row, col=window.col, height=height, width=window.width))
        data = pixels.data[bands]
        if scene.sensor.kind == "sar":
            data = linear_intensity(data, scene.unit)
        valid = pixels.valid[bands]
        weight = _block_mean(valid.astype(float), factor)
        total = _block_mean(np.where(valid, data, 0.0).astype(float), factor)
        mean = np.full(total.shape, np.nan)
        np.divide(total, weight, out=mean, where=weight > 0)
        strips.append(mean)
    return np.concatenate(strips, axis=1)


def _block_mean(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """(bands, h, w) means over factor x factor pixels; zeros fill what sticks out."""
    # scikit-image annotates none of its functions
    return np.asarray(downscale_local_mean(values, (1, factor, factor)))  # type: ignore[no-untyped-call]
