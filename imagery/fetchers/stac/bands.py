"""Which asset of a STAC item is which band, and how its numbers become values; a table of the providers' names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from imagery.errors import SourceError
from imagery.fetchers.stac.items import StacItem
from imagery.fetchers.stac.search import Json
from imagery.labels import SAR_BANDS
from imagery.products.landsat import FILL_DN, QA_BAND, landsat_assets
from imagery.products.landsat import SATURATED_DN as LANDSAT_SATURATED_DN
from imagery.products.sentinel2 import BANDS, NO_DATA_DN, RESOLUTION_M, SATURATED_DN, stac_reflectance_scaling
from imagery.products.sentinel2_safe import NEEDED_BANDS
from imagery.scene import UNITS, Unit
from imagery.sensors import is_ancillary

# Names of Earth Search v1 (stactools-sentinel2); all others name bands as ESA does.
_COMMON = {
    "coastal": "b01",
    "blue": "b02",
    "green": "b03",
    "red": "b04",
    "rededge1": "b05",
    "rededge2": "b06",
    "rededge3": "b07",
    "nir": "b08",
    "nir08": "b8a",
    "nir09": "b09",
    "cirrus": "b10",
    "swir16": "b11",
    "swir22": "b12",
}
_ESA = re.compile(r"(B0?[1-9]|B1[0-2]|B8A|SCL)(?:_(10|20|60)m)?", re.IGNORECASE)  # Copernicus Data Space: B02_10m
_SCL_M = 20
_UNIT_WORDS = {"db": "sigma0_db", "power": "intensity"}
# Copernicus Data Space, Earth Search and Planetary Computer (stactools-sentinel1); then the plain words.
_GRD_XML = {"annotation": ("schema-product-", "product-"), "calibration": ("schema-calibration-", "calibration-")}
_GRD_XML |= {"noise": ("schema-noise-", "noise-")}


@dataclass(frozen=True, kw_only=True)
class BandAsset:
    """One band of an item and where it lies.

    Attributes:
        band: as `imagery.scene.Scene` names it.
        href: address as the catalogue has it.
        scale, offset: value = number * scale + offset; None where the file itself must tell.
        invalid: numbers that are no values.
        unit: of the values, None where the file itself must tell.
    """

    band: str
    href: str = field(repr=False)
    scale: float | None = None
    offset: float | None = None
    invalid: tuple[float, ...] = ()
    unit: Unit | None = None


def measured_assets(item: StacItem, mtl: Mapping[str, str] | None = None) -> tuple[BandAsset, ...]:
    """The bands of an item in the scene's unit, in the sensor's order.

    Args:
        item: the item.
        mtl: content of the file at `mtl_href`, for an item that has one to be read.

    Raises:
        SourceError: if it has none that can be used, or not those without which no ship is found.
        UnitError: if nothing tells the scale of a reflectance.
        AnnotationError: if ``mtl`` lacks a number.
    """
    name = f"{item.collection}/{item.ref.id}"
    if item.mission == "sentinel-1":
        found = {band: asset for band, asset in _by_band(item, _sar_band) if band in SAR_BANDS}
        if not found:
            listed = ", ".join(sorted(item.assets)) or "none"
            raise SourceError(f"{name} has no asset vv, vh, hh or hv; it has {listed}")
        default: Unit | None = "intensity" if is_terrain_corrected(item) else None
        return tuple(_sar_asset(band, found[band], default) for band in SAR_BANDS if band in found)
    if item.mission == "landsat":
        bands = tuple(
            BandAsset(
                band=band,
                href=item.assets[each.key]["href"],
                scale=each.scale,
                offset=each.offset,
                invalid=(FILL_DN, LANDSAT_SATURATED_DN),
                unit="reflectance",
            )
            for band, each in landsat_assets(item.properties, item.assets, mtl).items()
            if not is_ancillary(band)
        )
    else:
        optical = {band: asset for band, asset in _by_band(item, _optical_band) if band in BANDS}
        bands = tuple(_reflectance_asset(item, band, optical[band]) for band in BANDS if band in optical)
    if missing := sorted({*NEEDED_BANDS} - {each.band for each in bands}):
        raise SourceError(f"{name} has no band {' and no '.join(missing)}, without which no ship is found")
    return bands


def check_usable(item: StacItem) -> None:
    """Refuse an item that can be no scene, as far as can be told without its files.

    Raises:
        SourceError, UnitError: see `measured_assets`.
    """
    if mtl_is_needed(item):
        if mtl_href(item) is None:
            raise SourceError(f"{item.collection}/{item.ref.id} is Level-1 and has no MTL file, which holds its scale")
        return
    measured_assets(item)


def is_terrain_corrected(item: StacItem) -> bool:
    """Whether an item is of radiometrically terrain corrected radar: linear gamma0 (Planetary Computer)."""
    return item.mission == "sentinel-1" and "rtc" in item.collection.lower()


def mtl_is_needed(item: StacItem) -> bool:
    """Whether the scale of an item's numbers stands only in its MTL file: Landsat Level-1."""
    return item.mission == "landsat" and item.sensor.reflectance == "top of atmosphere"


def mtl_href(item: StacItem) -> str | None:
    """Address of the MTL file of a Landsat scene, None where the item has none."""
    keys = {key.lower(): key for key in item.assets}
    found = next((keys[name] for name in ("mtl.json", "mtl.txt", "mtl") if name in keys), None)
    return None if found is None else str(item.assets[found]["href"])


def class_assets(item: StacItem) -> tuple[BandAsset, ...]:
    """Ancillary bands of an item that lie in files; every number of theirs says something, also "no data"."""
    if item.mission == "sentinel-2":
        found = dict(_by_band(item, _optical_band))
        if "scl" in found:
            return (BandAsset(band="scl", href=found["scl"]["href"], scale=1.0, offset=0.0),)
    if item.mission == "landsat":
        key = next((key for key in item.assets if key.lower() == QA_BAND), None)
        if key is not None:
            href = item.assets[key]["href"]
            return (BandAsset(band=QA_BAND, href=href, scale=1.0, offset=0.0),)
    return ()


def grd_xml_hrefs(item: StacItem, band: str) -> dict[str, str]:
    """Addresses of the annotation, calibration and noise of one polarisation, those that the item has.

    Items of both large archives made before stactools-sentinel1 0.6 name the report of radio interference
    (``annotation/rfi/rfi-iw-vv.xml``) as the annotation, for scenes since 2022; the annotation lies beside the folder
    of the calibration, under the same name without ``rfi-``.
    """
    keys = {key.lower(): key for key in item.assets}
    found: dict[str, str] = {}
    for part, prefixes in _GRD_XML.items():
        key = next((keys[f"{prefix}{band}"] for prefix in prefixes if f"{prefix}{band}" in keys), None)
        if key is not None:
            found[part] = str(item.assets[key]["href"])
    folder, _, file = found.get("annotation", "").rpartition("/")
    if file.startswith("rfi-"):
        above = found["calibration"].rsplit("/", 2)[0] if "calibration" in found else folder.removesuffix("/rfi")
        found["annotation"] = f"{above}/{file.removeprefix('rfi-')}"
    return found


def granule_href(item: StacItem) -> str | None:
    """Address of the metadata of a Sentinel-2 tile (MTD_TL.xml), None where the item has none."""
    for key in ("granule_metadata", "granule-metadata"):
        if key in item.assets:
            return str(item.assets[key]["href"])
    return None


def _by_band(item: StacItem, name: Any) -> Iterator[tuple[str, Json]]:
    """(band, asset), of several assets of one band the one that is best."""
    best: dict[str, tuple[int, Json]] = {}
    for key, asset in item.assets.items():
        known = name(key, asset)
        if known is not None and (known[0] not in best or known[1] < best[known[0]][0]):
            best[known[0]] = known[1], asset
    yield from ((band, asset) for band, (_, asset) in best.items())


def _sar_band(key: str, asset: Json) -> tuple[str, int] | None:
    """Band and rank of an asset of Sentinel-1; less is better."""
    for rank, text in enumerate((key, *_stated_names(asset))):
        if text.strip().lower() in SAR_BANDS:
            return text.strip().lower(), rank
    return None


def _optical_band(key: str, asset: Json) -> tuple[str, int] | None:
    """Band and rank of an asset of Sentinel-2: at its own pixel size first, then any other."""
    for text in (key, *(_stated_names(asset) if "data" in (asset.get("roles") or ()) else ())):
        if band := _COMMON.get(text.strip().lower()):
            return band, 0
        if match := _ESA.fullmatch(text.strip()):
            band = _esa_name(match[1])
            own_m = _SCL_M if band == "scl" else RESOLUTION_M[band]
            return band, abs(int(match[2]) - own_m) if match[2] else 0
    return None


def _esa_name(text: str) -> str:
    name = text.lower()
    return f"b{int(name[1:]):02d}" if name[1:].isdecimal() else name


def _stated_names(asset: Json) -> Iterator[str]:
    for key in ("bands", "eo:bands"):
        bands = asset.get(key)
        if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], Mapping):
            yield str(bands[0].get("name") or "")


def _sar_asset(band: str, asset: Json, default: Unit | None) -> BandAsset:
    """A radar band, with what its item states of the numbers, or else what all of its kind are."""
    stated = _stated(asset)
    unit = _unit(stated.get("unit")) or default
    return BandAsset(
        band=band,
        href=asset["href"],
        scale=_number(stated.get("scale")),
        offset=_number(stated.get("offset")),
        invalid=tuple(_nodata(stated)),
        unit=unit,
    )


def _reflectance_asset(item: StacItem, band: str, asset: Json) -> BandAsset:
    scale, offset = stac_reflectance_scaling(item.properties, asset)
    return BandAsset(
        band=band,
        href=asset["href"],
        scale=scale,
        offset=offset,
        invalid=(NO_DATA_DN, SATURATED_DN),
        unit="reflectance",
    )


def _stated(asset: Json) -> dict[str, Any]:
    """Scale, offset, unit and nodata of an asset's one band: raster extension 1 and 2, STAC 1.0 and 1.1."""
    stated: dict[str, Any] = {}
    for key in ("bands", "raster:bands"):
        bands = asset.get(key)
        places: Iterable[Any] = bands[:1] if isinstance(bands, list) else ()
        for place in (*places, asset):
            if isinstance(place, Mapping):
                for name in ("scale", "offset", "unit", "nodata"):
                    for field in (f"raster:{name}", name):
                        if place.get(field) is not None:
                            stated.setdefault(name, place[field])
    return stated


def _unit(text: object) -> Unit | None:
    if not isinstance(text, str):
        return None
    word = text.strip().lower()
    word = _UNIT_WORDS.get(word, word)
    return cast("Unit", word) if word in UNITS else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _nodata(stated: Mapping[str, Any]) -> Iterator[float]:
    """The no-data number; "nan", as JSON has it, needs no mention."""
    value = _number(stated.get("nodata"))
    if value is not None and value == value:
        yield value
