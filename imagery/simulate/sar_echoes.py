"""Point scatterers in a radar image: main lobe, sidelobe cross, coherent looks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imagery.geometry import FloatArray
from imagery.simulate.fields import LOOK_WEIGHTS, Field
from imagery.simulate.sar_look import Look
from imagery.simulate.sar_speckle import PSF_M, _compiled

# Impulse response beyond the main lobe for a spectrum weighted by .75 + .25 cos, as in Sentinel-1 IW processing: its
# jump at the band's edge leaves sinc sidelobes of this amplitude that fall as 1 / x; the band fits the main lobe.
SIDELOBE_AMPLITUDE = 0.5 / 0.75
BAND_PER_PSF = 0.59  # band width times the main lobe's standard deviation
LONGEST_LOBE_PX = 90.0
BOX_PX = 0.41  # what averaging over a pixel adds to the lobe: sd of a box, times sqrt 2 for amplitudes
LOBES_PER_ECHO = 4  # only the strongest scatterers show theirs
VISIBLE_SHARE = 0.25  # of the background: sidelobes are followed down to there


@dataclass(frozen=True, kw_only=True)
class Echo:
    """Scatterers that are seen together.

    Attributes:
        rows, cols: places in pixels (k,).
        rcs_m2: cross-sections in VV (k,).
        vh_db: how far VH lies below VV.
        smear_m: standard deviation of blur along the flight, metres.
    """

    rows: FloatArray = field(repr=False)
    cols: FloatArray = field(repr=False)
    rcs_m2: FloatArray = field(repr=False)
    vh_db: float
    smear_m: float = 0.0


def paint(image: Field, look: Look, echo: Echo, background: float, rng: np.random.Generator) -> tuple[float, float]:
    """Add an echo to (2, h, w) linear sigma0 in place: per look a coherent sum of scatterers of random phases.

    Without sidelobes, sigma0 times the pixel's area sums up to the cross-section in the mean.

    Args:
        image: VV and VH.
        look: geometry.
        echo: what to paint.
        background: sigma0 in VV below which sidelobes may be left out.
        rng: random phases.

    Returns:
        Largest sigma0 of the echo alone in VV and VH; 0 where it lies wholly outside.
    """
    p = look.pixel_size_m
    across = PSF_M / p
    if look.averaged:
        across = float(np.hypot(across, BOX_PX))
    along = float(np.hypot(across, echo.smear_m / p))
    weights = (LOOK_WEIGHTS / LOOK_WEIGHTS.sum()).astype(np.float32)
    amplitude = np.sqrt(echo.rcs_m2 / (p**2 * np.pi * along * across))
    lobe = np.where(
        amplitude**2 * 0.002 > VISIBLE_SHARE * background,
        np.sqrt(amplitude**2 / (VISIBLE_SHARE * background)) * SIDELOBE_AMPLITUDE / (np.pi * BAND_PER_PSF / across),
        0.0,
    )
    if echo.smear_m > 0.7 * PSF_M:
        lobe = lobe * 0.5
    lobe = np.minimum(lobe, LONGEST_LOBE_PX)
    if lobe.size > LOBES_PER_ECHO:
        lobe[amplitude < np.partition(amplitude, -LOBES_PER_ECHO)[-LOBES_PER_ECHO]] = 0.0
    phases = rng.random((2 * weights.size, echo.rows.size), dtype=np.float32)
    reach = np.maximum(lobe, 4.0 * max(along, across)) + 1.0
    r0, c0 = int(np.floor((echo.rows - reach).min())), int(np.floor((echo.cols - reach).min()))
    r1, c1 = int(np.ceil((echo.rows + reach).max())) + 1, int(np.ceil((echo.cols + reach).max())) + 1
    r0, c0, r1, c1 = max(r0, 0), max(c0, 0), min(r1, image.shape[1]), min(c1, image.shape[2])
    if r0 >= r1 or c0 >= c1:
        return 0.0, 0.0
    angle = np.radians(look.flight_deg)
    peaks = _paint(
        image,
        (r0, r1, c0, c1),
        (np.asarray(echo.rows, float), np.asarray(echo.cols, float), amplitude, lobe),
        phases,
        weights,
        (float(along), float(across), float(np.sin(angle)), float(np.cos(angle))),
        float(10.0 ** (-0.1 * echo.vh_db)),
    )
    return float(peaks[0]), float(peaks[1])


@_compiled()
def _paint(image, box, scatterers, phases, weights, lobe_shape, vh_ratio):  # type: ignore[no-untyped-def]  # compiled
    """Add the echo inside the box of rows r0:r1 and columns c0:c1; peaks of the echo in both bands."""
    r0, r1, c0, c1 = box
    rows, cols, amplitudes, reaches = scatterers
    along, across, sin, cos = lobe_shape
    looks = weights.size
    channels = 2 * looks
    buffer = np.zeros((r1 - r0, c1 - c0, channels), np.complex64)
    wave = np.empty(channels, np.complex64)
    core = 4.0 * max(along, across)
    band_u, band_v = 0.59 / along, 0.59 / across
    for k in range(rows.size):
        for channel in range(channels):
            phase = 2.0 * np.pi * phases[channel, k]
            wave[channel] = amplitudes[k] * complex(np.cos(phase), np.sin(phase))
        reach = max(core, reaches[k])
        for row in range(max(r0, int(np.floor(rows[k] - reach))), min(r1, int(np.ceil(rows[k] + reach)) + 1)):
            for col in range(max(c0, int(np.floor(cols[k] - reach))), min(c1, int(np.ceil(cols[k] + reach)) + 1)):
                down, right = row - rows[k], col - cols[k]
                u, v = right * sin - down * cos, right * cos + down * sin
                near_u, near_v = abs(u) < core, abs(v) < core
                if not (near_u or near_v):
                    continue
                value = 0.0
                if near_u and near_v:
                    value += np.exp(-0.5 * (u / along) ** 2 - 0.5 * (v / across) ** 2)
                if reaches[k] > 0.0:
                    if abs(v) < 3.0 * across and abs(u) > 2.0 * along and abs(u) < reaches[k]:
                        x = np.pi * band_u * u
                        value += 0.667 * np.sin(x) / x * np.exp(-0.5 * (v / across) ** 2)
                    if abs(u) < 3.0 * along and abs(v) > 2.0 * across and abs(v) < reaches[k]:
                        x = np.pi * band_v * v
                        value += 0.667 * np.sin(x) / x * np.exp(-0.5 * (u / along) ** 2)
                if value != 0.0:
                    cell = buffer[row - r0, col - c0]
                    for channel in range(channels):
                        cell[channel] += np.float32(value) * wave[channel]
    peak_vv, peak_vh = np.float32(0.0), np.float32(0.0)
    for row in range(r1 - r0):
        for col in range(c1 - c0):
            vv, vh = np.float32(0.0), np.float32(0.0)
            for look in range(looks):
                one, other = buffer[row, col, look], buffer[row, col, looks + look]
                vv += weights[look] * (one.real**2 + one.imag**2)
                vh += weights[look] * (other.real**2 + other.imag**2)
            vh *= np.float32(vh_ratio)
            image[0, r0 + row, c0 + col] += vv
            image[1, r0 + row, c0 + col] += vh
            if vv > peak_vv:
                peak_vv = vv
            if vh > peak_vh:
                peak_vh = vh
    return peak_vv, peak_vh


@_compiled()
def _blots(image, rows, cols, levels, vh_ratio, psf_px):  # type: ignore[no-untyped-def]  # compiled
    """Add Gaussian spots to mean sigma0: level is the sum over pixels."""
    reach = int(np.ceil(3.0 * psf_px))
    norm = 1.0 / (np.pi * psf_px**2)
    for k in range(rows.size):
        for row in range(max(0, int(rows[k]) - reach), min(image.shape[1], int(rows[k]) + reach + 2)):
            for col in range(max(0, int(cols[k]) - reach), min(image.shape[2], int(cols[k]) + reach + 2)):
                value = levels[k] * norm * np.exp(-((row - rows[k]) ** 2 + (col - cols[k]) ** 2) / psf_px**2)
                image[0, row, col] += value
                image[1, row, col] += value * vh_ratio


def add_rough(mean: Field, look: Look, rows: FloatArray, cols: FloatArray, rcs_m2: FloatArray, vh_db: float) -> None:
    """Add many small scatterers to the mean sigma0 (2, h, w), in place; speckle will make them sparkle."""
    if rows.size:
        levels = np.asarray(rcs_m2, float) / look.pixel_size_m**2
        psf_px = max(PSF_M / look.pixel_size_m, 0.45)
        _blots(mean, np.asarray(rows, float), np.asarray(cols, float), levels, float(10.0 ** (-0.1 * vh_db)), psf_px)
