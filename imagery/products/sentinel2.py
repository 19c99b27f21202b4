"""What Sentinel-2 products are: bands, names, tiles, and how their numbers become reflectance.

Nothing here reads a file; the SAFE reader, the STAC source and the Sentinel Hub source share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.errors import UnitError
from imagery.sensors import SENTINEL2_L1C, SENTINEL2_L2A, Sensor

Level = Literal["L1C", "L2A"]

# Native pixel size in metres (ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, section 1).
RESOLUTION_M: Mapping[str, int] = {
    "b01": 60,
    "b02": 10,
    "b03": 10,
    "b04": 10,
    "b05": 20,
    "b06": 20,
    "b07": 20,
    "b08": 10,
    "b8a": 20,
    "b09": 60,
    "b10": 60,
    "b11": 20,
    "b12": 20,
}

# All bands in the order of the band_id of product metadata: 0 is B01, 8 is B8A, 12 is B12.
ALL_BANDS: tuple[str, ...] = tuple(RESOLUTION_M)

# The bands that offing reads: ships need b03, b08, b11; plumes the others as well.
BANDS: tuple[str, ...] = ("b02", "b03", "b04", "b05", "b08", "b8a", "b11", "b12")

# The sensor of each level: a detector that needs surface reflectance asks `Sensor.reflectance`.
LEVEL_SENSORS: Mapping[Level, Sensor] = {"L1C": SENTINEL2_L1C, "L2A": SENTINEL2_L2A}

# Classes of the scene classification of Level-2A (ESA, Products Specification Document, Scene_Classification_List).
SCL_NO_DATA = 0
SCL_CLASSES: Mapping[int, str] = {
    SCL_NO_DATA: "no data",
    1: "saturated or defective",
    2: "dark area",
    3: "cloud shadow",
    4: "vegetation",
    5: "not vegetated",
    6: "water",
    7: "unclassified",
    8: "cloud, medium probability",
    9: "cloud, high probability",
    10: "thin cirrus",
    11: "snow or ice",
}

# Special values of every reflectance band: no data, and saturated (SPECIAL_VALUE_INDEX in the product metadata). Of a
# saturated pixel only a lower bound is known, so it has no value either.
NO_DATA_DN = 0
SATURATED_DN = 65535

QUANTIFICATION = 10000.0
# Added to the numbers of Level-1C and Level-2A before they are divided, from baseline 04.00 on: RADIO_ADD_OFFSET and
# BOA_ADD_OFFSET, one per band, all -1000 so far (ESA, "Copernicus Sentinel-2: Major Products Upgrade Upcoming", 2021;
# OPT-MPC, forum.step.esa.int/t/35431; Products Specification Document from issue 14.9 on). Routine since 25 January
# 2022, but the date of a scene tells nothing: Collection 1 (05.00 and above) covers the years from 2015 on.
ADD_OFFSET_DN = -1000.0
_FIRST_BASELINE_WITH_OFFSET = (4, 0)
_FIRST_BASELINE_WITH_MEAN_TIME = (2, 7)
# Sen2Cor run by a user writes this baseline, with or without the offset of its input.
_USER_BASELINE = (99, 99)

_BASELINE = re.compile(r"N?(\d{1,2})\.(\d{1,2})|N?(\d{2})(\d{2})")
_TILE = re.compile(r"T?(0?[1-9]|[1-5]\d|60)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")

_T = r"(?P<tile>\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])"
_NAMES = tuple(
    re.compile(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])")
    for name in (
        # product, since 6 December 2016; Planetary Computer leaves out the baseline
        rf"(?P<mission>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<datatake>\d{{8}}T\d{{6}})(?:_N(?P<baseline>\d{{4}}))?"
        rf"_R(?P<orbit>\d{{3}})_T{_T}_\d{{8}}T\d{{6}}",
        # product of many tiles, before
        r"(?P<mission>S2[A-D])_(?:OPER|USER)_PRD_MSI(?P<level>L1C|L2A)_\w{4}_\d{8}T\d{6}_R(?P<orbit>\d{3})"
        r"_V(?P<datatake>\d{8}T\d{6})_\d{8}T\d{6}",
        # granule, long and short
        rf"(?P<mission>S2[A-D])_(?:OPER|USER)_MSI_(?P<level>L1C|L2A)_TL_\w{{4}}_\d{{8}}T\d{{6}}_A(?P<absolute>\d{{6}})"
        rf"_T{_T}(?:_N(?P<baseline>\d{{2}}\.\d{{2}}))?",
        rf"(?P<level>L1C|L2A)_T{_T}_A(?P<absolute>\d{{6}})_\d{{8}}T\d{{6}}",
        # items of Earth Search, first collection and Collection 1
        rf"(?P<mission>S2[A-D])_{_T}_\d{{8}}_\d+_(?P<level>L1C|L2A)",
        rf"(?P<mission>S2[A-D])_T{_T}_\d{{8}}T\d{{6}}_(?P<level>L1C|L2A)",
    )
)


@dataclass(frozen=True, kw_only=True)
class Sentinel2Id:
    """What the name of a product, a granule or a catalogue item says; None where it does not say.

    Attributes:
        level: processing level.
        mission: satellite, such as ``S2A``.
        datatake_time: UTC start of the datatake, up to 40 minutes before the tile was seen.
        baseline: processing baseline as in the metadata, such as ``05.11``.
        relative_orbit: 1 to 143.
        absolute_orbit: number of the orbit since launch.
        mgrs_tile: tile, such as ``33UXP``.
    """

    level: Level
    mission: str | None = None
    datatake_time: datetime | None = None
    baseline: str | None = None
    relative_orbit: int | None = None
    absolute_orbit: int | None = None
    mgrs_tile: str | None = None


def parse_id(text: str) -> Sentinel2Id | None:
    """Read the first Sentinel-2 name in a text.

    Args:
        text: a name, with or without ``.SAFE`` or ``.zip``, or a path or address that holds one.

    Returns:
        What the name says, None where there is no such name.
    """
    matches = [found for pattern in _NAMES if (found := pattern.search(text))]
    if not matches:
        return None
    parts: dict[str, str | None] = min(matches, key=lambda match: match.start()).groupdict()
    time, baseline, orbit, absolute = (parts.get(name) for name in ("datatake", "baseline", "orbit", "absolute"))
    return Sentinel2Id(
        level=cast("Level", parts["level"]),
        mission=parts.get("mission"),
        datatake_time=datetime.strptime(time, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if time else None,
        baseline=f"{baseline[:2]}.{baseline[-2:]}" if baseline else None,
        relative_orbit=int(orbit) if orbit else None,
        absolute_orbit=int(absolute) if absolute else None,
        mgrs_tile=parts.get("tile"),
    )


def tile_epsg(mgrs_tile: str) -> int:
    """EPSG code of the UTM grid on which a tile is stored.

    Args:
        mgrs_tile: such as ``33UXP`` or ``T33UXP``: UTM zone, latitude band, square of 100 km.

    Returns:
        32601 to 32660 north of the equator (bands N to X), 32701 to 32760 south of it (C to M).

    Raises:
        UnitError: if it is not the name of a tile.
    """
    match = _TILE.fullmatch(mgrs_tile.upper())
    if match is None:
        raise UnitError(f"{mgrs_tile!r} is not the name of a Sentinel-2 tile, such as 33UXP")
    return (32600 if match[2] >= "N" else 32700) + int(match[1])


def reflectance_scaling(baseline: str, level: str, quantification: float = QUANTIFICATION) -> tuple[float, float]:
    """Scale and offset of ESA's products: reflectance = DN * scale + offset.

    Args:
        baseline: processing baseline, ``04.00`` as in metadata or ``N0400`` as in names.
        level: ``L1C`` (top of atmosphere) or ``L2A`` (surface); both have carried the same offset so far.
        quantification: QUANTIFICATION_VALUE of the product (1000 in some of 2015).

    Returns:
        (scale, offset): offset 0 before baseline 04.00, -1000 / quantification from it on.

    Raises:
        UnitError: if the baseline or level is none of ESA's, or is 99.99, whose offset only the product's own metadata
            tells.
    """
    if level not in ("L1C", "L2A"):
        raise UnitError(f"Sentinel-2 level {level!r} has no reflectance that offing knows; use L1C or L2A")
    number = _baseline_number(baseline)
    if number is None:
        raise UnitError(f"{baseline!r} is not a Sentinel-2 processing baseline such as 05.11 or N0511")
    if number == _USER_BASELINE:
        raise UnitError("processing baseline 99.99 (Sen2Cor run by a user) does not tell the offset; read the SAFE")
    offset = ADD_OFFSET_DN if number >= _FIRST_BASELINE_WITH_OFFSET else 0.0
    return 1.0 / quantification, offset / quantification


def has_offset(baseline: str) -> bool:
    """Whether ESA's products of a baseline carry the offset; False for what is no baseline or 99.99."""
    number = _baseline_number(baseline)
    return number is not None and _FIRST_BASELINE_WITH_OFFSET <= number < _USER_BASELINE


def states_mean_time(baseline: str) -> bool:
    """Whether a tile's SENSING_TIME is the mean time of its pixels: from Level-1C baseline 02.07 on.

    Reference: ESA, Sentinel-2 MSI technical guide, "Processing Baseline", 02.07 of 6 November 2018.
    """
    number = _baseline_number(baseline)
    return number is not None and _FIRST_BASELINE_WITH_MEAN_TIME <= number < _USER_BASELINE


def decode(dn: ArrayLike, scale: float, offset: float) -> NDArray[np.float32]:
    """Reflectance from the numbers of a product.

    Args:
        dn: numbers as stored, any shape.
        scale: reflectance per number.
        offset: reflectance added to it.

    Returns:
        float32 of the same shape; NaN where the number says no data or saturated. Dark water may be negative: it is
        noise around a small value, and is kept.
    """
    numbers = np.asarray(dn)
    values = (numbers * scale + offset).astype(np.float32)
    values[(numbers == NO_DATA_DN) | (numbers == SATURATED_DN)] = np.nan
    return values


def stac_reflectance_scaling(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> tuple[float, float]:
    """Scale and offset of one reflectance asset of a STAC item, whoever serves it.

    Rules, the first that applies:

    1. Floating-point pixels are reflectance already, unless the asset states otherwise.
    2. Earth Search's COGs with ``earthsearch:boa_offset_applied`` true (``sentinel:boa_offset_applied`` in v0) have had
       the offset added, although their ``raster:bands`` goes on stating -0.1: no offset. Its ``-jp2`` assets are ESA's
       own files, for which the flag means nothing (Element84/earth-search#23, cirrus-geo/cirrus-earth-search#21, #33).
    3. A baseline before 04.00 has no offset, whatever the asset states.
    4. What the asset states: ``raster:scale`` and ``raster:offset`` (raster extension 2, STAC 1.1: Copernicus Data
       Space, Earth Search v2) on the asset or its band, or ``raster:bands`` (raster extension 1: Earth Search v1). A
       scale of 1 with integer pixels is what tools write when they do not know, and states nothing.
    5. ESA's rule by baseline: Planetary Computer serves ESA's numbers and states no scale (microsoft/PlanetaryComputer
       #134).

    Args:
        properties: of the item.
        asset: one of its assets, as JSON.

    Returns:
        (scale, offset): reflectance = DN * scale + offset.

    Raises:
        UnitError: if nothing tells the offset; a guess would be wrong by 0.1, more than most water reflects.
    """
    stated = _stated_scaling(asset)
    if _data_type(asset).startswith("float"):
        return stated.get("scale", 1.0), stated.get("offset", 0.0)
    if stated.get("scale") == 1.0:
        stated = {}
    scale = stated.get("scale", 1.0 / QUANTIFICATION)
    if _offset_flag(properties) is True and not _is_jp2(asset):
        return scale, 0.0
    baseline = _stac_baseline(properties, asset)
    if baseline is not None and baseline < _FIRST_BASELINE_WITH_OFFSET:
        return scale, 0.0
    if "offset" in stated:
        return scale, stated["offset"]
    if baseline is None or baseline == _USER_BASELINE:
        raise UnitError(
            f"the STAC item of {asset.get('href', 'an asset')} states neither raster:offset nor an ESA processing "
            "baseline (s2:processing_baseline, processing:version), so its reflectance is open by 0.1; use a catalogue "
            "that states one of them"
        )
    return scale, ADD_OFFSET_DN / QUANTIFICATION


def offset_is_doubtful(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> bool:
    """Whether the offset that an item states has been seen to be wrong for others of its kind.

    Earth Search marks some COGs of baselines from 04.00 on as if the offset was still in their numbers although it is
    not (Element84/earth-search#66, #71); their metadata do not differ. Look at pixels: `offset_taken_twice`.

    Args:
        properties: of the item.
        asset: one of its reflectance assets, as JSON.

    Returns:
        True where the pixels must confirm what `stac_reflectance_scaling` gave.
    """
    baseline = _stac_baseline(properties, asset)
    late = baseline is not None and baseline >= _FIRST_BASELINE_WITH_OFFSET
    return late and _offset_flag(properties) is False and not _is_jp2(asset)


def offset_taken_twice(reflectance: ArrayLike) -> bool:
    """Whether pixels show that the offset was subtracted from numbers that no longer held it.

    Right reflectance goes below zero by noise and over-corrected haze, by 0.02 at most; taken twice, all that is darker
    than 0.07 in truth, water and woods in the visible, lies under -0.03.

    Args:
        reflectance: of b02, b03 or b04 over a sample of the scene; NaN where not valid.

    Returns:
        True if over 1 % of the valid pixels are below -0.03. Under thick cloud nothing shows.
    """
    values = np.asarray(reflectance)
    values = values[np.isfinite(values)]
    return bool(len(values) and np.mean(values < -0.03) > 0.01)


def _baseline_number(text: str) -> tuple[int, int] | None:
    """(4, 0) of 04.00, 4.0, N04.00 or N0400."""
    match = _BASELINE.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1] or match[3]), int(match[2] or match[4])


def _stac_baseline(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> tuple[int, int] | None:
    """Baseline of an item, from its properties or a product's name in them.

    The datatake's identifier also ends in a baseline: that of the Level-1 processing, which may be older.
    """
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        if number := _baseline_number(str(properties.get(key, ""))):
            return number
    for name in _names(properties, asset):
        if (known := parse_id(name)) and known.baseline:
            return _baseline_number(known.baseline)
    return None


def _names(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> Iterator[str]:
    for key in ("s2:product_uri", "sentinel:product_id", "s2:granule_id", "title"):
        yield str(properties.get(key, ""))
    yield str(asset.get("href", ""))


def _offset_flag(properties: Mapping[str, Any]) -> bool | None:
    flag = properties.get("earthsearch:boa_offset_applied", properties.get("sentinel:boa_offset_applied"))
    return flag if isinstance(flag, bool) else None


def _is_jp2(asset: Mapping[str, Any]) -> bool:
    return str(asset.get("type", "")).startswith("image/jp2") or str(asset.get("href", "")).lower().endswith(".jp2")


def _first_bands(asset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The descriptions of an asset's one band, the nearest to it first."""
    for key in ("bands", "raster:bands"):
        bands = asset.get(key)
        if isinstance(bands, list) and bands and isinstance(bands[0], Mapping):
            yield bands[0]
    yield asset


def _stated_scaling(asset: Mapping[str, Any]) -> dict[str, float]:
    """What an asset states of ``scale`` and ``offset``, by these names."""
    stated: dict[str, float] = {}
    for band in _first_bands(asset):
        for key in ("scale", "offset"):
            for value in (band.get(f"raster:{key}"), band.get(key)):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    stated.setdefault(key, float(value))
    return stated


def _data_type(asset: Mapping[str, Any]) -> str:
    return next((str(band["data_type"]) for band in _first_bands(asset) if band.get("data_type")), "")
