"""Speckle of Sentinel-1 IW GRD at any pixel size, fast enough to train on.

Five range looks are averaged, each complex Gaussian noise seen through the point-spread function, as in
`imagery.simulate.fields.speckle`, whose statistics these draws share. Pixels that are averages of smaller ones hold
many looks: their speckle is nearly gamma distributed and is drawn as a point transform of a correlated Gaussian field.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import special

from imagery.geometry import FloatArray
from imagery.simulate.fields import LOOK_WEIGHTS, SPECKLE_PSF_PX, Field

NATIVE_PIXEL_M = 10.0
PSF_M = SPECKLE_PSF_PX * NATIVE_PIXEL_M
LOOKS = float(LOOK_WEIGHTS.sum() ** 2 / (LOOK_WEIGHTS**2).sum())  # 4.40
TABLE_SIZE, TABLE_REACH = 2048, 6.0  # of the point transform: entries, standard deviations


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """numba.njit for one thread, without the interpreter lock, cached on disk; sums may be reordered."""
    return numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=True, **options)  # type: ignore[no-any-return]  # numba has no types


def correlation(lag_m: float, pixel_size_m: float = NATIVE_PIXEL_M, *, averaged: bool = False) -> float:
    """Correlation of speckle intensity between two pixels along rows or columns.

    Args:
        lag_m: their distance, metres; a multiple of the pixel size.
        pixel_size_m: pixel size, metres.
        averaged: pixels are means of native 10 m pixels; the size must then be a multiple of 10 m.

    Returns:
        exp(-d^2 / (2 s^2)) for sampled pixels, s = 8.5 m; for averaged ones what follows from that.
    """
    if not averaged:
        return float(np.exp(-(lag_m**2) / (2.0 * PSF_M**2)))
    return _block_covariance(lag_m, pixel_size_m) / _block_covariance(0.0, pixel_size_m)


def looks(pixel_size_m: float = NATIVE_PIXEL_M, *, averaged: bool = False) -> float:
    """Equivalent number of looks: 4.4 as sampled, more where native pixels are averaged (7.8 at 20 m, 21 at 40 m)."""
    return LOOKS / _block_covariance(0.0, pixel_size_m) ** 2 if averaged else LOOKS


def _block_covariance(lag_m: float, pixel_size_m: float) -> float:
    """Covariance in one dimension of means over blocks of native pixels, for variance 1 of these."""
    count = round(pixel_size_m / NATIVE_PIXEL_M)
    at = np.arange(count) * NATIVE_PIXEL_M
    lags = lag_m + at[None, :] - at[:, None]
    return float(np.exp(-(lags**2) / (2.0 * PSF_M**2)).mean())


def draw_speckle(
    shape_hw: tuple[int, int], rng: np.random.Generator, pixel_size_m: float = NATIVE_PIXEL_M, *, averaged: bool = False
) -> Field:
    """Intensity speckle of mean 1.

    Args:
        shape_hw: rows and columns.
        rng: random numbers.
        pixel_size_m: pixel size, metres.
        averaged: pixels are means of native 10 m pixels rather than samples of them.

    Returns:
        (h, w) float32.
    """
    if averaged and pixel_size_m > NATIVE_PIXEL_M:
        return _averaged_speckle(shape_hw, rng, pixel_size_m)
    taps = _taps(PSF_M / pixel_size_m)
    weights = (LOOK_WEIGHTS / LOOK_WEIGHTS.sum() / 2.0).astype(np.float32)
    out = np.zeros(shape_hw, np.float32)
    pad = 2 * (taps.size - 1)
    for weight in weights.repeat(2):
        bits = _bits((shape_hw[0] + pad, shape_hw[1] + pad), rng)
        _add_squared(out, bits, taps, weight)
    return out


def _bits(shape_hw: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint64]:
    """64 fair coins for each two pixels, (h, ceil(w / 2)).

    The heads among a pixel's 32 are its noise: (heads - 16) / sqrt(8) has mean 0, variance 1 and kurtosis -1/16.
    Filtered and summed over ten components, moments of the intensity differ from those of Gaussian noise by 1 to 3 %,
    at a fifth of the time.
    """
    height, width = shape_hw
    half = (width + 1) // 2
    return rng.integers(0, 2**64, (height, half), dtype=np.uint64)


def _averaged_speckle(shape_hw: tuple[int, int], rng: np.random.Generator, pixel_size_m: float) -> Field:
    rho = min(correlation(pixel_size_m, pixel_size_m, averaged=True), 0.45)
    side = rho / (1.0 + np.sqrt(1.0 - 2.0 * rho**2)) if rho else 0.0  # of taps (side, 1, side), nearly
    taps = np.array([1.0, side], np.float32) / np.float32(np.sqrt(1.0 + 2.0 * side**2))
    white = rng.standard_normal((shape_hw[0] + 2, shape_hw[1] + 2), dtype=np.float32)
    out = np.empty(shape_hw, np.float32)
    _transformed(out, white, taps, _gamma_table(looks(pixel_size_m, averaged=True)))
    return out


@lru_cache(maxsize=32)
def _taps(psf_px: float) -> NDArray[np.float32]:
    """Half of a filter of unit energy, centre first, that gives the amplitudes the lobe's correlation at lag one.

    A Gaussian where pixels sample it well; three taps solved for that correlation where they do not.
    """
    if psf_px > 0.6:
        taps = np.exp(-(np.arange(3) ** 2) / (2.0 * psf_px**2))
    else:
        rho = np.exp(-1.0 / (4.0 * psf_px**2))
        taps = np.array([1.0, (1.0 - np.sqrt(1.0 - 2.0 * rho**2)) / (2.0 * rho)])
    return np.asarray(taps / np.sqrt(taps[0] ** 2 + 2.0 * (taps[1:] ** 2).sum()), np.float32)


@lru_cache(maxsize=32)
def _gamma_table(shape: float) -> FloatArray:
    z = np.linspace(-TABLE_REACH, TABLE_REACH, TABLE_SIZE)
    return np.asarray(special.gammaincinv(shape, special.ndtr(z)) / shape)


@_compiled()
def _add_squared(out: Field, bits: NDArray[np.uint64], taps: Field, weight: float) -> None:
    """Add weight times the square of the filtered noise; the noise reaches a filter radius beyond on each side."""
    height, width = out.shape
    reach = taps.size - 1
    ring = np.empty((2 * reach + 1, width), np.float32)
    half = bits.shape[1]
    source = np.empty(2 * half, np.float32)
    scale = np.float32(1.0 / np.sqrt(8.0))
    for row in range(height + 2 * reach):
        coins, line = bits[row], ring[row % (2 * reach + 1)]
        for at in range(half):
            x = coins[at]  # the classical parallel count of ones, here of both 32-bit halves at once
            x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
            x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
            x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            x = x + (x >> np.uint64(8))
            x = x + (x >> np.uint64(16))
            source[at] = (np.float32(np.int32(x & np.uint64(0x3F))) - np.float32(16.0)) * scale
            source[half + at] = (
                np.float32(np.int32((x >> np.uint64(32)) & np.uint64(0x3F))) - np.float32(16.0)
            ) * scale
        for col in range(width):
            line[col] = taps[0] * source[col + reach]
        for k in range(1, reach + 1):
            for col in range(width):
                line[col] += taps[k] * (source[col + reach - k] + source[col + reach + k])
        if row < 2 * reach:
            continue
        target, middle = out[row - 2 * reach], row - reach
        centre = ring[middle % (2 * reach + 1)]
        if reach == 2:
            a, b = ring[(middle - 1) % 5], ring[(middle + 1) % 5]
            c, d = ring[(middle - 2) % 5], ring[(middle + 2) % 5]
            for col in range(width):
                value = taps[0] * centre[col] + taps[1] * (a[col] + b[col]) + taps[2] * (c[col] + d[col])
                target[col] += weight * value * value
        else:
            a, b = ring[(middle - 1) % 3], ring[(middle + 1) % 3]
            for col in range(width):
                value = taps[0] * centre[col] + taps[1] * (a[col] + b[col])
                target[col] += weight * value * value


@_compiled()
def _transformed(out: Field, white: Field, taps: Field, table: FloatArray) -> None:
    """Filter with (taps[1], taps[0], taps[1]) both ways and look the result up in the table."""
    height, width = out.shape
    scale = (table.size - 1) / (2.0 * TABLE_REACH)
    for row in range(height):
        for col in range(width):
            middle = taps[0] * white[row + 1, col + 1] + taps[1] * (white[row + 1, col] + white[row + 1, col + 2])
            upper = taps[0] * white[row, col + 1] + taps[1] * (white[row, col] + white[row, col + 2])
            lower = taps[0] * white[row + 2, col + 1] + taps[1] * (white[row + 2, col] + white[row + 2, col + 2])
            value = taps[0] * middle + taps[1] * (upper + lower)
            at = min(max((value + TABLE_REACH) * scale, 0.0), table.size - 1.001)
            low = int(at)
            out[row, col] = table[low] + (at - low) * (table[low + 1] - table[low])
