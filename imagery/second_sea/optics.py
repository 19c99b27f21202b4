"""The radar as an optical system: point spread function, looks, speckle, and scatterers summed as complex echoes.

One look is u = sqrt(texture) (h * sqrt(mean) z) + sum_i a_i h(x - x_i): white circular noise z through the same
Hamming-weighted band as the point scatterers. The picture is the mean of |u|^2 over five overlapping looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

FloatArray = NDArray[np.float64]

NATIVE_PIXEL_M = 10.0
RESOLUTION_M = (22.6, 20.3)  # along the flight, across it: ESA, Sentinel-1 Product Definition, S1-RS-MDA-52-7440
HAMMING = 0.75  # coefficient of the IW2 processing window, both axes (IW product annotation)
LOOKS = 5  # in range, one in azimuth
ENL = 4.4  # ESA, Sentinel-1 Product Definition
# Neighbouring looks share a part of the band: echoes correlated by r give ENL = 5^2 / (5 + 8 r^2).
LOOK_CORRELATION = float(np.sqrt((LOOKS**2 / ENL - LOOKS) / (2.0 * (LOOKS - 1))))
_LOOK_STEP = 0.75  # distance between the centres of neighbouring looks, in look bandwidths
_MARGIN_PX = 16


def _response(place: ArrayLike, band: float) -> FloatArray:
    """Inverse transform of the Hamming window over a band of ``band`` cycles per pixel, energy 1."""
    x = np.asarray(place, float) * band
    peak = HAMMING * np.sinc(x) + 0.5 * (1.0 - HAMMING) * (np.sinc(x + 1.0) + np.sinc(x - 1.0))
    return np.asarray(peak * np.sqrt(band / (HAMMING**2 + 0.5 * (1.0 - HAMMING) ** 2)))


@cache
def bands() -> tuple[float, float]:
    """Bandwidths along rows and columns, cycles per native pixel, that give the stated resolutions at -3 dB."""

    def short(half_width: float) -> float:
        return float(_response(half_width, 1.0) ** 2 / _response(0.0, 1.0) ** 2 - 0.5)

    width = 2.0 * brentq(short, 0.1, 1.0)
    return width * NATIVE_PIXEL_M / RESOLUTION_M[0], width * NATIVE_PIXEL_M / RESOLUTION_M[1]


def response(place_px: ArrayLike, axis: int) -> FloatArray:
    """Amplitude of a point echo at a distance from it, native pixels; squares over whole pixels add up to 1."""
    return _response(place_px, bands()[axis])


def _window(shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Spectral gain that white noise of variance 1 leaves with variance 1."""
    sides = []
    for axis, size in enumerate(shape_hw):
        band = bands()[axis]
        frequency = scipy.fft.fftfreq(size)
        weight = HAMMING + (1.0 - HAMMING) * np.cos(2.0 * np.pi * frequency / band)
        weight = np.where(np.abs(frequency) <= band / 2.0, weight, 0.0)
        sides.append(weight / np.sqrt(np.mean(weight**2)))
    return np.asarray(np.outer(*sides), np.float32)


def echo_correlation(lag_px: ArrayLike, axis: int) -> FloatArray:
    """Correlation coefficient of the complex echo at a lag along an axis, native pixels; its square is speckle's."""
    frequency = np.linspace(-0.5, 0.5, 4001) * bands()[axis]
    power = (HAMMING + (1.0 - HAMMING) * np.cos(2.0 * np.pi * frequency / bands()[axis])) ** 2
    lag = np.asarray(lag_px, float)
    waves = np.cos(2.0 * np.pi * np.multiply.outer(lag, frequency))
    return np.asarray((waves * power).sum(-1) / power.sum())


@cache
def speckle_weights(width_px: float) -> tuple[float, ...]:
    """Weights of the independent exponential variables that speckle's box mean is the sum of; they add up to 1.

    The looks and the pixels of a box are correlated circular echoes, so that their mean power is a Hermitian form,
    and its law is that of a weighted sum of exponentials with the eigenvalues as weights.

    Args:
        width_px: side of the box, native pixels; 1 or less is a pixel by itself.

    Reference: Goodman 2007, Speckle Phenomena in Optics, section 3.3.
    """
    width = max(width_px, 1.0)
    whole = int(width)
    cover = np.append(np.ones(whole), width - whole) / width
    cover = cover[cover > 1e-9]
    place = np.arange(len(cover))
    looks = np.eye(LOOKS) + LOOK_CORRELATION * (np.eye(LOOKS, k=1) + np.eye(LOOKS, k=-1))
    weights = np.linalg.eigvalsh(looks) / LOOKS
    for axis in (0, 1):
        shared = np.sqrt(np.outer(cover, cover)) * echo_correlation(np.subtract.outer(place, place), axis)
        weights = np.outer(weights, np.clip(np.linalg.eigvalsh(shared), 0.0, None)).ravel()
    weights = weights[weights > 1e-5 * weights.max()]
    return tuple(np.sort(weights / weights.sum())[::-1].tolist())


def enl_after_averaging(width_px: float) -> float:
    """Equivalent number of looks, mean^2 / variance, of a box mean ``width_px`` native pixels a side."""
    return float(1.0 / np.sum(np.square(speckle_weights(width_px))))


def blurred(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expected intensity of a rough surface after the point spread function, sidelobe spill and all."""
    tap = np.arange(-_MARGIN_PX, _MARGIN_PX + 1)
    for axis in (0, 1):
        weight = response(tap, axis) ** 2
        mean = _convolved(mean, (weight / weight.sum()).astype(np.float32), axis)
    return mean


def _convolved(image: NDArray[np.float32], taps: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    size = image.shape[axis]
    pad = [(0, 0), (0, 0)]
    pad[axis] = (_MARGIN_PX, _MARGIN_PX)
    padded = np.pad(image, pad, mode="edge")
    out = np.zeros_like(image)
    for lag, weight in enumerate(taps):
        out += weight * (padded[lag : lag + size] if axis == 0 else padded[:, lag : lag + size])
    return out


@dataclass(frozen=True, kw_only=True)
class Echoes:
    """Point scatterers that are summed together.

    Attributes:
        rows, cols: (n,) places, native pixels.
        rcs_m2: (2, n) radar cross sections in VV and VH, square metres.
    """

    rows: FloatArray
    cols: FloatArray
    rcs_m2: FloatArray

    def attenuated(self, level_db: float, rows: FloatArray, cols: FloatArray) -> Echoes:
        """The same scatterers elsewhere and weaker by ``-level_db``."""
        return Echoes(rows=rows, cols=cols, rcs_m2=self.rcs_m2 * 10.0 ** (level_db / 10.0))


@dataclass(frozen=True, kw_only=True)
class _Patch:
    """Echoes of one object made ready: a window of the picture and the response of each scatterer along its sides."""

    rows: slice
    cols: slice
    along: NDArray[np.complex64]
    across: NDArray[np.complex64]
    amplitude: FloatArray
    phase: FloatArray
    look_phase: FloatArray

    def of_look(self, look: int, polarisation: int) -> NDArray[np.complex64]:
        """(window rows, window columns) complex echo in one look."""
        turn = self.phase[polarisation] + look * self.look_phase
        echo = (self.amplitude[polarisation] * np.exp(1j * turn)).astype(np.complex64)
        return np.asarray((self.along * echo[:, None]).T @ self.across)


def _patch(rng: np.random.Generator, echoes: Echoes, shape_hw: tuple[int, int], floor: float) -> _Patch | None:
    """The echoes' window: out to where the sidelobes of the sum have fallen to a third of the noise floor."""
    energy = echoes.rcs_m2 / NATIVE_PIXEL_M**2
    peak = float(energy.sum(axis=1).max()) * float(response(0.0, 0) * response(0.0, 1)) ** 2
    band = min(bands())
    edge = (2.0 * HAMMING - 1.0) / HAMMING  # of the window; the sidelobes fall off as edge / (pi band distance)
    reach = int(np.clip(edge / (np.pi * band) * np.sqrt(peak / (0.3 * floor)), 8, 160))
    slices = []
    for place, size in ((echoes.rows, shape_hw[0]), (echoes.cols, shape_hw[1])):
        low, high = max(0, int(place.min()) - reach), min(size, int(place.max()) + reach + 2)
        if low >= high:
            return None
        slices.append(slice(low, high))
    along = response(np.arange(slices[0].start, slices[0].stop) - echoes.rows[:, None], 0)
    across = response(np.arange(slices[1].start, slices[1].stop) - echoes.cols[:, None], 1)
    return _Patch(
        rows=slices[0],
        cols=slices[1],
        along=along.astype(np.complex64),
        across=across.astype(np.complex64),
        amplitude=np.sqrt(energy),
        phase=rng.uniform(0.0, 2.0 * np.pi, energy.shape),
        look_phase=2.0 * np.pi * _LOOK_STEP * bands()[1] * echoes.cols,
    )


def imaged(
    rng: np.random.Generator,
    mean: NDArray[np.float32],
    texture: NDArray[np.float32],
    echoes: Sequence[Echoes],
    floor: float,
) -> NDArray[np.float32]:
    """The picture that the radar makes of rough surfaces and point scatterers.

    Args:
        rng: source of the draws.
        mean: (2, rows, columns) mean sigma0 of VV and VH with the noise floor, linear.
        texture: (2, rows, columns) what multiplies the intensity of the blurred clutter, mean 1.
        echoes: point scatterers, one entry per object.
        floor: a level of the noise, linear sigma0: weaker sidelobes are left out.

    Returns:
        (2, rows, columns) float32 sigma0, linear.
    """
    shape_hw = mean.shape[1], mean.shape[2]
    padded = tuple(scipy.fft.next_fast_len(size + 2 * _MARGIN_PX) for size in shape_hw)
    window = _window((padded[0], padded[1]))
    patches = [patch for one in echoes if (patch := _patch(rng, one, shape_hw, floor)) is not None]
    share = 0.5 * (1.0 + np.sqrt(1.0 - 4.0 * LOOK_CORRELATION**2))
    own, shared = np.float32(np.sqrt(share)), np.float32(np.sqrt(1.0 - share))
    inside = slice(_MARGIN_PX, _MARGIN_PX + shape_hw[0]), slice(_MARGIN_PX, _MARGIN_PX + shape_hw[1])
    picture = np.zeros(mean.shape, np.float32)
    for polarisation in range(2):
        width = [(_MARGIN_PX, padded[axis] - shape_hw[axis] - _MARGIN_PX) for axis in (0, 1)]
        root = np.pad(np.sqrt(mean[polarisation] / 2.0), width, mode="edge")
        amplitude = np.sqrt(texture[polarisation])
        following = _white(rng, root.shape)
        for look in range(LOOKS):
            noise, following = following, _white(rng, root.shape)
            spectrum = scipy.fft.fft2((own * noise + shared * following) * root, overwrite_x=True)
            spectrum *= window
            echo = scipy.fft.ifft2(spectrum, overwrite_x=True)[inside] * amplitude
            for patch in patches:
                echo[patch.rows, patch.cols] += patch.of_look(look, polarisation)
            picture[polarisation] += echo.real**2 + echo.imag**2
    return picture / np.float32(LOOKS)


def _white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Circular noise of variance 1 in the real and in the imaginary part."""
    return rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0]
