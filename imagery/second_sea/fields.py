"""Random fields: correlated Gaussian, banded (swell) and fractal ones, and Gamma or inverse-Gamma texture."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage, stats

Field = NDArray[np.float32]


def _spectrum_axes(shape_hw: tuple[int, int]) -> tuple[Field, Field]:
    rows = scipy.fft.fftfreq(shape_hw[0])[:, None].astype(np.float32)
    cols = scipy.fft.rfftfreq(shape_hw[1])[None, :].astype(np.float32)
    return rows, cols


def _shaped(rng: np.random.Generator, shape_hw: tuple[int, int], gain: Field) -> Field:
    """White noise through a spectral gain, mean 0 and variance 1."""
    spectrum = scipy.fft.rfft2(rng.standard_normal(shape_hw, np.float32)) * gain
    field = scipy.fft.irfft2(spectrum, s=shape_hw)
    field -= field.mean(dtype=np.float64)
    return np.asarray(field / np.sqrt(np.mean(field**2, dtype=np.float64)), np.float32)


def gaussian(
    rng: np.random.Generator, shape_hw: tuple[int, int], length_px: tuple[float, float], axis_deg: float = 0.0
) -> Field:
    """A field with correlation exp(-d^2 / (2 length^2)), mean 0, variance 1.

    Args:
        rng: source of the draws.
        shape_hw: (rows, columns).
        length_px: correlation lengths along and across the axis, pixels.
        axis_deg: direction of the axis, clockwise from image up, degrees.
    """
    step = max(1, int(min(length_px) / 4.0))
    small = (max(8, -(-shape_hw[0] // step) + 2), max(8, -(-shape_hw[1] // step) + 2))
    along, across = _rotated(*_spectrum_axes(small), axis_deg)
    length = [value / step for value in length_px]
    gain = np.exp(-(np.pi**2) * ((length[0] * along) ** 2 + (length[1] * across) ** 2)).astype(np.float32)
    gain[0, 0] = 0.0
    if float(gain.sum()) < 1e-6:  # longer than the picture: its slowest wave
        gain[1, 0] = gain[0, 1] = 1.0
    return enlarged(_shaped(rng, small, gain), step, shape_hw)


def fractal(rng: np.random.Generator, shape_hw: tuple[int, int], slope: float, outer_px: float) -> Field:
    """A field whose amplitude falls as frequency^-slope above 1 / outer_px, mean 0, variance 1."""
    rows, cols = _spectrum_axes(shape_hw)
    gain = ((1.0 / outer_px) ** 2 + rows**2 + cols**2) ** (-slope / 2.0)
    gain[0, 0] = 0.0
    return _shaped(rng, shape_hw, gain.astype(np.float32))


def swell(
    rng: np.random.Generator, shape_hw: tuple[int, int], wavelength_px: float, axis_deg: float, spread: float
) -> Field:
    """Long-crested waves, mean 0, variance 1.

    Args:
        rng: source of the draws.
        shape_hw: (rows, columns).
        wavelength_px: from crest to crest, pixels.
        axis_deg: direction of travel, clockwise from image up.
        spread: one-sigma width of the spectral peak as a fraction of its wavenumber, in both directions.
    """
    along, across = _rotated(*_spectrum_axes(shape_hw), axis_deg)
    peak = 1.0 / wavelength_px
    width = spread * peak
    gain = np.exp(-((np.abs(along) - peak) ** 2 + across**2) / (2.0 * width**2))
    return _shaped(rng, shape_hw, gain.astype(np.float32))


def _rotated(rows: Field, cols: Field, axis_deg: float) -> tuple[Field, Field]:
    angle = np.radians(axis_deg)
    along = -rows * np.float32(np.cos(angle)) + cols * np.float32(np.sin(angle))
    across = rows * np.float32(np.sin(angle)) + cols * np.float32(np.cos(angle))
    return along, across


def enlarged(small: Field, step: int, shape_hw: tuple[int, int]) -> Field:
    """A field drawn at every ``step``-th pixel, bilinear between."""
    if step == 1:
        return small[: shape_hw[0], : shape_hw[1]]
    for axis, size in enumerate(shape_hw):
        place = np.arange(size, dtype=np.float32) / step
        low = np.minimum(place.astype(np.intp), small.shape[axis] - 2)
        part = (place - low).reshape((-1, 1) if axis == 0 else (1, -1)).astype(np.float32)
        small = np.take(small, low, axis) * (1.0 - part) + np.take(small, low + 1, axis) * part
    return small


def smoothstep(values: Field, low: float, high: float) -> Field:
    """0 below ``low``, 1 above ``high``, a smooth ramp between."""
    part = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(part * part * (3.0 - 2.0 * part), np.float32)


def texture(normal: Field, order: float, family: str) -> Field:
    """Texture of mean 1 made from a correlated standard normal field by its distribution function.

    Args:
        normal: standard normal values.
        order: nu of a Gamma texture (the K distribution), whose variance is 1 / nu. The inverse Gamma texture (G0)
            of the same order has shape nu + 2, and so the same variance.
        family: 'K' or 'G0'.
    """
    nodes = np.linspace(-6.0, 6.0, 1537)
    upper, lower = stats.norm.sf(nodes), stats.norm.cdf(nodes)
    law = stats.gamma(order, scale=1.0 / order) if family == "K" else stats.invgamma(order + 2.0, scale=order + 1.0)
    values = np.where(nodes < 0.0, law.ppf(lower), law.isf(upper))
    return np.asarray(np.interp(normal, nodes, values), np.float32)


def area_averaged(image: NDArray[np.float32], ratio: float, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Means over boxes of ``ratio`` pixels a side on the last two axes, edges weighted by what they cover."""
    for axis, size in ((-2, shape_hw[0]), (-1, shape_hw[1])):
        image = np.moveaxis(image, axis, -1)
        total = np.concatenate([np.zeros((*image.shape[:-1], 1)), np.cumsum(image, axis=-1, dtype=np.float64)], -1)
        edge = np.minimum(np.arange(size + 1) * ratio, image.shape[-1])
        low = np.minimum(edge.astype(np.intp), image.shape[-1] - 1)
        at_edge = total[..., low] + (edge - low) * (total[..., low + 1] - total[..., low])
        image = np.moveaxis((np.diff(at_edge, axis=-1) / ratio).astype(np.float32), -1, axis)
    return image


def shore_distance_px(land: NDArray[np.bool_]) -> Field:
    """(rows, columns) distance of each pixel to the nearest land pixel, pixels; infinite without land."""
    if not land.any():
        return np.full(land.shape, np.inf, np.float32)
    return np.asarray(ndimage.distance_transform_edt(~land), np.float32)
