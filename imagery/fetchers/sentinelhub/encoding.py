"""How pixels travel from Sentinel Hub: scripts that run there, and the decoding of what they return.

Everything travels as unsigned 16-bit integers, which cost half of floating point. The last band is always the service's
``dataMask``, and it alone says where there is data: a value of 0 is a measurement like any other.

Radar backscatter is coded in steps of 0.002 dB, so the error of rounding is at most 0.001 dB (2.3e-4 of the value, a
thousandth of the speckle). Power below zero, of which the subtraction of noise leaves much on dark water, becomes 0
(`imagery.fetchers.sentinelhub.reader.DenoisedProcessReader` says what that does to detection).

Reflectance is coded in the steps of the products themselves, 1/10000 with an offset of 0.1, so what they hold comes
through exact, negative values included. It is asked for as reflectance with ``harmonizeValues`` off: the service then
takes each tile's own offset, where raw numbers of tiles of different processing baselines would be mixed without a
trace (documentation.dataspace.copernicus.eu, Sentinel-2 L2A, Harmonize Values).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.products.sentinel2 import BANDS
from imagery.scene import Pixels, Unit
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2, Sensor

RawArray = NDArray[np.uint16]

LOWEST_DB = -80.0  # and below: code 0, decoded as no backscatter at all
STEP_DB = 0.002
REFLECTANCE_STEP = 1e-4
REFLECTANCE_OFFSET = -0.1
ANGLE_STEP_DEG = 0.01
SATURATED = 65535  # the end of the scale, and where the products' own code of a saturated pixel comes out
UNKNOWN_ANGLE = 65535

_RADAR_SCRIPT = """//VERSION=3
function setup() {
  return {
    input: [{bands: [%(inputs)s]}],
    output: {bands: %(count)d, sampleType: "UINT16"},
    mosaicking: "SIMPLE"
  };
}

// Linear power in steps of %(step)s dB above %(lowest)s dB; 0 at or below it.
function code(power) {
  if (!(power > 0)) return 0;
  const db = 10 * Math.log(power) / Math.LN10;
  return Math.min(65535, Math.max(0, Math.round((db - (%(lowest)s)) / %(step)s)));
}

function evaluatePixel(sample) {
  return [%(codes)s, sample.dataMask];
}
"""

_OPTICAL_SCRIPT = """//VERSION=3
function setup() {
  return {
    input: [{bands: [%(inputs)s], units: [%(units)s]}],
    output: {bands: %(count)d, sampleType: "UINT16"},
    mosaicking: "SIMPLE"
  };
}

// Reflectance in steps of 1/10000 above -0.1.
function code(reflectance) {
  return Math.min(65535, Math.max(0, Math.round(10000 * reflectance + 1000)));
}

// Degrees in hundredths, 0 to 36000; 65535 where not known.
function hundredths(degrees) {
  if (!isFinite(degrees)) return 65535;
  return Math.round(100 * (((degrees %% 360) + 360) %% 360));
}

function evaluatePixel(sample) {
  return [%(codes)s, sample.dataMask];
}
"""

# The service's names of the angles, in degrees, each one grid for all bands (a mean over them for the view).
_ANGLES: Mapping[str, str] = {
    "sun_zenith_deg": "sunZenithAngles",
    "sun_azimuth_deg": "sunAzimuthAngles",
    "view_zenith_deg": "viewZenithMean",
    "view_azimuth_deg": "viewAzimuthMean",
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One kind of pixels on their way.

    Attributes:
        sensor: what took them.
        unit: unit of the decoded pixels; ancillary bands have their own.
        bands: band names of the decoded pixels.
        evalscript: runs at the service and returns one code per band, and the data mask.
        decode: codes (bands + 1, h, w) to pixels.
    """

    sensor: Sensor
    unit: Unit
    bands: tuple[str, ...]
    evalscript: str
    decode: Callable[[RawArray], Pixels]

    @property
    def raw_bands(self) -> int:
        """Bands of the file that travels."""
        return len(self.bands) + 1


def radar(bands: tuple[str, ...]) -> Encoding:
    """Sentinel-1 backscatter.

    Args:
        bands: ``("vv", "vh")`` or ``("vv",)``.
    """
    names = [band.upper() for band in bands]
    script = _RADAR_SCRIPT % {
        "inputs": _quoted([*names, "dataMask"]),
        "count": len(bands) + 1,
        "codes": ", ".join(f"code(sample.{name})" for name in names),
        "lowest": f"{LOWEST_DB:g}",
        "step": f"{STEP_DB:g}",
    }
    return Encoding(sensor=SENTINEL1_IW_GRD, unit="sigma0", bands=bands, evalscript=script, decode=_decode_radar)


def optical(*, classified: bool) -> Encoding:
    """Sentinel-2 reflectance, scene classification and angles.

    Args:
        classified: whether there is a scene classification, as in Level-2A.
    """
    reflectance = [band.upper() for band in BANDS]
    extra = ["SCL"] if classified else []
    inputs = [*reflectance, *extra, *_ANGLES.values(), "dataMask"]
    units = ["REFLECTANCE"] * len(BANDS) + ["DN"] * len(extra) + ["DEGREES"] * len(_ANGLES) + ["DN"]
    codes = [f"code(sample.{name})" for name in reflectance] + [f"sample.{name}" for name in extra]
    codes += [f"hundredths(sample.{name})" for name in _ANGLES.values()]
    script = _OPTICAL_SCRIPT % {
        "inputs": _quoted(inputs),
        "units": _quoted(units),
        "count": len(inputs),
        "codes": ", ".join(codes),
    }
    return Encoding(
        sensor=SENTINEL2,
        unit="reflectance",
        bands=(*BANDS, *(name.lower() for name in extra), *_ANGLES),
        evalscript=script,
        decode=_decode_optical,
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _power_of_code() -> NDArray[np.float32]:
    power = 10.0 ** ((LOWEST_DB + STEP_DB * np.arange(65536)) / 10.0)
    power[0] = 0.0
    return power.astype(np.float32)


_POWER = _power_of_code()


def _decode_radar(raw: RawArray) -> Pixels:
    data = _POWER[raw[:-1]]
    valid = np.repeat(raw[-1:] != 0, len(data), axis=0)
    data[~valid] = np.nan
    return Pixels(data=data, valid=valid)


def _decode_optical(raw: RawArray) -> Pixels:
    count, angles = len(BANDS), len(_ANGLES)
    codes = raw[:-1]
    data = codes.astype(np.float32)
    for band in range(count):  # one by one: the whole in double precision is half a gigabyte
        data[band] = codes[band] * REFLECTANCE_STEP + REFLECTANCE_OFFSET
    for band in range(len(data) - angles, len(data)):
        data[band] = codes[band] * ANGLE_STEP_DEG
    valid = np.repeat(raw[-1:] != 0, len(data), axis=0)
    valid[:count] &= codes[:count] != SATURATED
    valid[-angles:] &= codes[-angles:] != UNKNOWN_ANGLE
    data[~valid] = np.nan
    return Pixels(data=data, valid=valid)
