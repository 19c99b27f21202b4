"""What Landsat Collection 2 products of Landsat 5, 7, 8 and 9 are: assets, reflectance, pixel quality, time.

Nothing here reads a file. Bands carry the names of the Sentinel-2 bands at about their wavelengths (see
`imagery.sensors`), so that the detectors find them.

References: USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619; Landsat 4-7 likewise, LSDS-1618;
Landsat Collection 2 Level-1 data format control books, LSDS-1822, LSDS-1414, LSDS-1415.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.acquisition import StatedAcquisition
from imagery.errors import AnnotationError, UnitError
from imagery.sensors import LANDSAT_OLI, LANDSAT_OLI_L1, LANDSAT_TM, LANDSAT_TM_L1, Sensor

Level = Literal["L1", "L2"]

ATTRIBUTION = "Landsat data courtesy of the U.S. Geological Survey"

# Scene band, STAC common name, and number of the band of TM and ETM+ and of OLI.
_BANDS: tuple[tuple[str, str, int, int], ...] = (
    ("b02", "blue", 1, 2),
    ("b03", "green", 2, 3),
    ("b04", "red", 3, 4),
    ("b08", "nir08", 4, 5),
    ("b11", "swir16", 5, 6),
    ("b12", "swir22", 7, 7),
)
QA_BAND = "qa_pixel"

# Level-2 surface reflectance (LSDS-1619, table 6-1): 0 is fill. Values below 7273, negative reflectance, occur over
# water and are kept.
LEVEL2_SCALE, LEVEL2_OFFSET = 0.0000275, -0.2
FILL_DN = 0
SATURATED_DN = 65535

_FLAGS = ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "snow", "clear", "water")  # bits 0 to 7
_CONFIDENCES = ("cloud", "cloud_shadow", "snow", "cirrus")  # bits 8-9, 10-11, 12-13, 14-15
_FILL_BIT = 0x1

# A scene of about 180 km is swept in some 27 s (ground speed 6.7 km/s); its stated time is that of its centre: uniform
# over 27 s has a standard deviation of 27 / sqrt(12).
SCENE_SIGMA_S = 8.0
_DAY_SIGMA_S = 86400.0 / math.sqrt(12.0)

_PLATFORM = re.compile(r"landsat[-_ ]?([5789])", re.IGNORECASE)
_CORRECTION = re.compile(r"(?<![A-Z0-9])L([12])(?:TP|GT|GS|SP|SR)(?![A-Z0-9])")


@dataclass(frozen=True, kw_only=True)
class LandsatAsset:
    """Where a band is and how its numbers become values.

    Attributes:
        key: of the asset in the STAC item.
        scale, offset: value = number * scale + offset; 1 and 0 for the pixel quality.
    """

    key: str
    scale: float = 1.0
    offset: float = 0.0


def landsat_sensor(properties: Mapping[str, Any], assets: Mapping[str, Mapping[str, Any]] | None = None) -> Sensor:
    """The sensor and level of a STAC item.

    Args:
        properties: of the item; ``platform`` as ``landsat-8`` or ``LANDSAT_8``.
        assets: of the item, whose addresses tell the level where the properties do not.

    Returns:
        One of `imagery.sensors.LANDSAT_OLI`, `LANDSAT_TM` and their Level-1 likes.

    Raises:
        UnitError: if it is no Landsat 5, 7, 8 or 9, or its level cannot be told.
    """
    is_oli = _mission(properties) >= 8
    if _level(properties, assets or {}) == "L1":
        return LANDSAT_OLI_L1 if is_oli else LANDSAT_TM_L1
    return LANDSAT_OLI if is_oli else LANDSAT_TM


def landsat_assets(
    properties: Mapping[str, Any],
    assets: Mapping[str, Mapping[str, Any]],
    mtl: Mapping[str, str] | None = None,
) -> dict[str, LandsatAsset]:
    """The assets of a STAC item that offing reads, by scene band.

    Earth Search, Planetary Computer and the USGS name assets by common names (``blue`` ... ``swir22``, ``qa_pixel``);
    older USGS items by file (``SR_B2``, ``B2``), which means another band in TM than in OLI.

    Args:
        properties: of the item.
        assets: of the item, as JSON.
        mtl: of a Level-1 scene, as `parse_mtl` gives it: its reflectance depends on it.

    Returns:
        `LandsatAsset` by band (b02, b03, b04, b08, b11, b12, qa_pixel), in that order; absent bands are left out.

    Raises:
        UnitError: if it is no Landsat 5, 7, 8 or 9, or it is Level-1 and ``mtl`` is not given.
        AnnotationError: if ``mtl`` lacks a number.
    """
    is_oli = _mission(properties) >= 8
    level = _level(properties, assets)
    if level == "L1" and mtl is None:
        raise UnitError("a Landsat Level-1 scene becomes reflectance only with its MTL file; give it, or take Level-2")
    found = {}
    for band, common, tm, oli in _BANDS:
        number = oli if is_oli else tm
        key = _key(assets, (common, f"SR_B{number}", f"B{number}"))
        if key is not None:
            scale, offset = (
                toa_scaling(mtl, number) if level == "L1" and mtl is not None else _level2_scaling(assets[key])
            )
            found[band] = LandsatAsset(key=key, scale=scale, offset=offset)
    key = _key(assets, ("qa_pixel", "QA_PIXEL", "qa"))
    if key is not None:
        found[QA_BAND] = LandsatAsset(key=key)
    return found


def toa_scaling(mtl: Mapping[str, str], band_number: int) -> tuple[float, float]:
    """Scale and offset that make top-of-atmosphere reflectance of Level-1 numbers.

    reflectance = (REFLECTANCE_MULT * DN + REFLECTANCE_ADD) / sin(SUN_ELEVATION), with the elevation at the scene's
    centre (USGS, Using the USGS Landsat Level-1 Data Product); 90 km away it is up to 1 degree off.

    Args:
        mtl: as `parse_mtl` gives it.
        band_number: of the sensor.

    Returns:
        (scale, offset): reflectance = DN * scale + offset.

    Raises:
        AnnotationError: if a number is missing, or the sun was below the horizon.
    """
    mult, add, elevation_deg = (
        _mtl_number(mtl, key)
        for key in (f"REFLECTANCE_MULT_BAND_{band_number}", f"REFLECTANCE_ADD_BAND_{band_number}", "SUN_ELEVATION")
    )
    if elevation_deg <= 0.0:
        raise AnnotationError(f"the MTL file has a SUN_ELEVATION of {elevation_deg} degrees: at night nothing reflects")
    sine = math.sin(math.radians(elevation_deg))
    return mult / sine, add / sine


def parse_mtl(text: str) -> dict[str, str]:
    """Keys and values of an MTL file, as text (``KEY = value``) or JSON; groups are left out.

    Level-2 files repeat Level-1 keys in a group of their own; of a repeated key the first value counts.

    Raises:
        AnnotationError: if it is neither.
    """
    values: dict[str, str] = {}
    if text.lstrip().startswith("{"):
        try:
            _flatten(json.loads(text), values)
        except json.JSONDecodeError as error:
            raise AnnotationError(f"the MTL file is not well-formed JSON: {error}") from error
    else:
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip() not in ("GROUP", "END_GROUP"):
                values.setdefault(key.strip(), value.strip().strip('"'))
    if not values:
        raise AnnotationError("the MTL file holds no KEY = value")
    return values


def decode(dn: ArrayLike, scale: float, offset: float) -> NDArray[np.float32]:
    """Reflectance from the numbers of a product.

    Args:
        dn: numbers as stored, any shape.
        scale: reflectance per number.
        offset: reflectance added to it.

    Returns:
        float32 of the same shape; NaN where the number is fill (outside the scene, and the stripes of Landsat 7 since
        its scan line corrector failed in 2003) or saturated at 16 bits. Negative reflectance is kept.
    """
    numbers = np.asarray(dn)
    values = (numbers * scale + offset).astype(np.float32)
    values[(numbers == FILL_DN) | (numbers == SATURATED_DN)] = np.nan
    return values


def decode_qa_pixel(qa: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """The flags of the pixel quality band.

    Args:
        qa: the band's numbers, or a scene's ``qa_pixel`` band, NaN where it is not valid: that is fill.

    Returns:
        Boolean arrays by flag: fill, dilated_cloud, cirrus (never set in TM and ETM+), cloud, cloud_shadow, snow,
        clear, water. All but fill are False in fill.

    Reference: LSDS-1619, table 6-2.
    """
    bits = _bits(qa)
    fill = (bits & _FILL_BIT) != 0
    return {"fill": fill} | {
        flag: ((bits >> place) & 1 != 0) & ~fill for place, flag in enumerate(_FLAGS) if flag != "fill"
    }


def qa_confidence(qa: ArrayLike, what: str) -> NDArray[np.uint8]:
    """Confidence in a flag of the pixel quality band: 0 not determined, 1 low, 2 medium, 3 high.

    Args:
        qa: as in `decode_qa_pixel`.
        what: cloud, cloud_shadow, snow or cirrus; the middle ones are never medium.

    Raises:
        ValueError: if there is no confidence in that.
    """
    if what not in _CONFIDENCES:
        raise ValueError(f"pixel quality has no confidence in {what!r}, only in {', '.join(_CONFIDENCES)}")
    return np.asarray((_bits(qa) >> (8 + 2 * _CONFIDENCES.index(what))) & 3, np.uint8)


def landsat_acquisition(properties: Mapping[str, Any], mtl: Mapping[str, str] | None = None) -> StatedAcquisition:
    """When a scene was taken; no orbit is modelled, so no angles.

    Args:
        properties: of the STAC item; ``datetime`` is that of the scene's centre. Items of the USGS up to 2021 hold a
            date there, at midnight: then the middle of that day, with its deviation, unless ``mtl`` knows better.
        mtl: as `parse_mtl` gives it, None where not at hand.

    Returns:
        The scene centre's time with `SCENE_SIGMA_S`, or a whole day's.

    Raises:
        AnnotationError: if there is no time.
    """
    stated = str(properties.get("datetime") or "")
    if mtl is not None and {"DATE_ACQUIRED", "SCENE_CENTER_TIME"} <= set(mtl):
        stated = f"{mtl['DATE_ACQUIRED']}T{mtl['SCENE_CENTER_TIME'].rstrip('Z')[:15]}+00:00"
    try:
        time = datetime.fromisoformat(stated)
    except ValueError as error:
        raise AnnotationError(f"the Landsat scene states no time, but {stated!r}") from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if (time.hour, time.minute, time.second, time.microsecond) == (0, 0, 0, 0):
        return StatedAcquisition(time=time.replace(hour=12), time_sigma_s=_DAY_SIGMA_S)
    return StatedAcquisition(time=time, time_sigma_s=SCENE_SIGMA_S)


def landsat_notes(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """What must be said of a scene's place: only Tier 1 is registered to 12 m."""
    tier = str(properties.get("landsat:collection_category", ""))
    if tier in ("", "T1"):
        return ()
    return (f"Landsat tier {tier}: its place may be off by more than the 12 m of Tier 1",)


def _mission(properties: Mapping[str, Any]) -> int:
    platform = str(properties.get("platform", properties.get("eo:platform", "")))
    match = _PLATFORM.fullmatch(platform)
    if match is None:
        raise UnitError(f"platform {platform!r} is none that offing reads: landsat-5, landsat-7, landsat-8, landsat-9")
    return int(match[1])


def _level(properties: Mapping[str, Any], assets: Mapping[str, Mapping[str, Any]]) -> Level:
    """From ``landsat:correction`` (L2SP, L1TP), or the product's name in an address."""
    hrefs = (str(asset.get("href", "")) for asset in assets.values())
    for text in (str(properties.get("landsat:correction", "")), str(properties.get("landsat:product_id", "")), *hrefs):
        if match := _CORRECTION.search(text.replace("_", " ").replace("/", " ")):
            return "L1" if match[1] == "1" else "L2"
    raise UnitError(
        "the Landsat scene does not say its level (landsat:correction, or L2SP or L1TP in the names of its files)"
    )


def _key(assets: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in assets), None)


def _level2_scaling(asset: Mapping[str, Any]) -> tuple[float, float]:
    """The asset's own scale and offset where it states both, else those of Collection 2."""
    bands = asset.get("raster:bands") or asset.get("bands") or [{}]
    band = bands[0] if isinstance(bands, list) and isinstance(bands[0], Mapping) else {}
    stated = [
        next((float(place[k]) for place in (band, asset) for k in (f"raster:{key}", key) if k in place), None)
        for key in ("scale", "offset")
    ]
    if stated[0] is None or stated[1] is None or stated[0] == 1.0:
        return LEVEL2_SCALE, LEVEL2_OFFSET
    return stated[0], stated[1]


def _mtl_number(mtl: Mapping[str, str], key: str) -> float:
    try:
        value = float(mtl[key])
    except (KeyError, ValueError) as error:
        raise AnnotationError(f"the MTL file has no number {key}") from error
    if not math.isfinite(value):
        raise AnnotationError(f"the MTL file has a {key} that is not finite")
    return value


def _flatten(values: Mapping[str, Any], into: dict[str, str]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            _flatten(value, into)
        else:
            into.setdefault(key, str(value))


def _bits(qa: ArrayLike) -> NDArray[np.uint16]:
    numbers = np.asarray(qa)
    if numbers.dtype.kind == "f":
        numbers = np.where(np.isfinite(numbers), numbers, _FILL_BIT)
    return numbers.astype(np.uint16)
