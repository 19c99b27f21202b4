"""Random fields: Gaussian and power-law fields by FFT, gamma texture, and Sentinel-1 speckle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

Field = NDArray[np.float32]

# Amplitude point-spread function of IW GRD, in 10 m pixels, and the weights of its five range looks. They give
# intensity correlation rho(1) = .50, rho(2) = .06 and an equivalent number of looks of 4.40.
# Source: looks [.8, 1, 1.3, 1, .8] of ESA's IW processor raised to 1.92 so that ENL is 4.4 (S1-RS-MDA-52-7440).
SPECKLE_PSF_PX = 0.85
LOOK_WEIGHTS = np.array([0.8, 1.0, 1.3, 1.0, 0.8]) ** 1.92


def _frequencies(shape_hw: tuple[int, int]) -> tuple[tuple[int, int], Field, Field]:
    """FFT size >= shape, and frequencies in cycles per pixel along rows (n, 1) and columns (1, m)."""
    rows, cols = (fft.next_fast_len(n, real=True) for n in shape_hw)
    f_row = fft.fftfreq(rows).astype(np.float32)[:, None]
    f_col = fft.rfftfreq(cols).astype(np.float32)[None, :]
    return (rows, cols), f_row, f_col


def _filtered(shape_hw: tuple[int, int], size: tuple[int, int], amplitude: Field, rng: np.random.Generator) -> Field:
    white = rng.standard_normal(size, dtype=np.float32)
    field = fft.irfft2(fft.rfft2(white) * amplitude, s=size)
    return np.asarray(field[: shape_hw[0], : shape_hw[1]], np.float32)


def gaussian_field(
    shape_hw: tuple[int, int],
    rng: np.random.Generator,
    *,
    along_px: float,
    across_px: float | None = None,
    angle_deg: float = 0.0,
) -> Field:
    """A Gaussian field of mean 0, variance 1 and correlation exp(-(d / l)^2).

    Args:
        shape_hw: rows and columns.
        rng: random numbers.
        along_px: correlation length l along the long axis, pixels.
        across_px: correlation length across it; None means the same.
        angle_deg: direction of the long axis, degrees clockwise from up (decreasing row).

    Returns:
        (h, w) float32.
    """
    across_px = along_px if across_px is None else across_px
    size, f_row, f_col = _frequencies(shape_hw)
    sin, cos = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    f_along, f_across = f_col * sin - f_row * cos, f_col * cos + f_row * sin
    power = np.exp(-(np.pi**2) * ((along_px * f_along) ** 2 + (across_px * f_across) ** 2))
    return _filtered(shape_hw, size, np.sqrt(power / _mean_power(power, size)).astype(np.float32), rng)


def power_law_field(shape_hw: tuple[int, int], rng: np.random.Generator, *, beta: float, longest_px: float) -> Field:
    """A Gaussian field with spectrum (f0^2 + f^2)^(-beta / 2), brought to mean 0 and variance 1.

    Args:
        shape_hw: rows and columns.
        rng: random numbers.
        beta: slope of the two-dimensional power spectrum.
        longest_px: wavelength 1 / f0 beyond which the spectrum is flat, pixels.

    Returns:
        (h, w) float32; its own mean and variance are exactly 0 and 1.
    """
    size, f_row, f_col = _frequencies(shape_hw)
    power = (longest_px**-2.0 + f_row**2 + f_col**2) ** (-beta / 2.0)
    field = _filtered(shape_hw, size, np.sqrt(power / power.max()).astype(np.float32), rng)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _mean_power(half: Field, size: tuple[int, int]) -> float:
    """Mean over the whole spectrum of a function given on rfft's half of it."""
    weight = np.full(half.shape[1], 2.0)
    weight[0] = 1.0
    if size[1] % 2 == 0:
        weight[-1] = 1.0
    return float((half.sum(axis=0, dtype=np.float64) * weight).sum() / (size[0] * size[1]))


def gamma_texture(gaussian: Field, nu: float) -> Field:
    """A field of gamma marginals from a Gaussian one: mean 1, variance 1 / nu.

    Sea clutter is speckle times such a texture, which makes it K distributed.

    Args:
        gaussian: field of mean 0 and variance 1.
        nu: shape parameter; large is homogeneous.

    Reference: Ward, Tough and Watts 2013, Sea Clutter, 2nd ed., section 5.2 (point transform of a Gaussian field).
    """
    z = np.linspace(-5.0, 5.0, 801)
    table = special.gammaincinv(nu, special.ndtr(z)) / nu
    return np.asarray(np.interp(gaussian, z, table), np.float32)


def upsampled(nodes: Field, step_px: int, shape_hw: tuple[int, int]) -> Field:
    """Bilinear values at every pixel from values at every ``step_px``-th pixel.

    Args:
        nodes: (ceil((h - 1) / step) + 1, ceil((w - 1) / step) + 1); node j lies on pixel j * step.
        step_px: spacing of the nodes in pixels.
        shape_hw: (h, w) wanted.
    """
    out = np.asarray(nodes, np.float32)
    for axis, size in enumerate(shape_hw):
        at = np.arange(size) / step_px
        low = np.minimum(at.astype(int), out.shape[axis] - 2)
        weight = (at - low).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        lower = out.take(low, axis=axis)
        out = out.take(low + 1, axis=axis)
        out -= lower
        out *= weight
        out += lower
    return out


def node_shape(shape_hw: tuple[int, int], step_px: int) -> tuple[int, int]:
    """Rows and columns of the nodes that `upsampled` needs."""
    rows, cols = (max(-(-(n - 1) // step_px), 1) + 1 for n in shape_hw)
    return rows, cols


def speckle(shape_hw: tuple[int, int], rng: np.random.Generator, block_rows: int = 32) -> Field:
    """Intensity speckle of Sentinel-1 IW GRD: mean 1, ENL 4.4, correlated between neighbours.

    Five looks, each the squared modulus of complex Gaussian noise seen through a Gaussian point-spread function,
    are averaged with `LOOK_WEIGHTS`.

    Args:
        shape_hw: rows and columns.
        rng: random numbers.
        block_rows: rows made at a time, for the cache's sake; the result does not depend on it.

    Returns:
        (h, w) float32.
    """
    taps = np.exp(-(np.arange(3) ** 2) / (2.0 * SPECKLE_PSF_PX**2))
    taps = (taps / np.sqrt(taps[0] ** 2 + 2.0 * (taps[1:] ** 2).sum())).astype(np.float32)
    weights = np.repeat(LOOK_WEIGHTS / LOOK_WEIGHTS.sum() / 2.0, 2).astype(np.float32)
    height, width = shape_hw
    out = np.empty(shape_hw, np.float32)
    tail = _blurred(rng.standard_normal((4, weights.size, width + 4), dtype=np.float32), taps, axis=2)
    for row in range(0, height, block_rows):
        rows = min(block_rows, height - row)
        fresh = rng.standard_normal((rows, weights.size, width + 4), dtype=np.float32)
        block = np.concatenate([tail, _blurred(fresh, taps, axis=2)])
        tail = block[-4:]
        looks = _blurred(block, taps, axis=0)
        np.square(looks, out=looks)
        np.einsum("rlc,l->rc", looks, weights, out=out[row : row + rows])
    return out


def _blurred(values: Field, taps: Field, axis: int) -> Field:
    """Symmetric five-tap filter; the axis loses two samples at either end."""
    size = values.shape[axis]

    def part(start: int) -> Field:
        index = [slice(None)] * values.ndim
        index[axis] = slice(start, size - 4 + start)
        return values[tuple(index)]

    out = part(1) + part(3)
    out *= taps[1]
    outer = part(0) + part(4)
    outer *= taps[2]
    out += outer
    np.multiply(part(2), taps[0], out=outer)
    out += outer
    return out
