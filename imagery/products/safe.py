"""Sentinel products in ESA's SAFE format, a folder or a zip of it, read without unpacking."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np
from shapely.geometry import MultiPolygon, Polygon

from imagery.errors import AnnotationError, RasterError
from imagery.files import file_sha256
from imagery.geometry import split_at_antimeridian, wrap_lon
from imagery.products.files import ProductFiles, open_product
from imagery.products.sentinel1 import POLARISATIONS, GrdPolarisation, grd_scene
from imagery.products.xml import parse_xml
from imagery.scene import Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2_L1C, SENTINEL2_L2A

MANIFEST = "manifest.safe"

_PRODUCT = re.compile(r"S[12][A-Z]_[A-Z0-9_]+$")
_IW_GRDH = re.compile(r"S1[A-Z]_IW_GRDH_1S")
_BAND = re.compile(rf"-({'|'.join(POLARISATIONS)})-")
_PARTS = {
    "s1Level1MeasurementSchema": "measurement",
    "s1Level1ProductSchema": "annotation",
    "s1Level1CalibrationSchema": "calibration",
    "s1Level1NoiseSchema": "noise",
}
_FETCH_AGAIN = "fetch the product again"


@dataclass(frozen=True, kw_only=True)
class SafeInfo:
    """What a product says of itself without its pixels.

    Attributes:
        name: product name, which is the id of its scene.
        sensor_name: key of `imagery.sensors.SENSORS`.
        time: UTC, aware; the middle of the acquisition.
        footprint: outline in degrees.
    """

    name: str
    sensor_name: str
    time: datetime
    footprint: MultiPolygon


def safe_info(path: Path) -> SafeInfo:
    """Name, time and outline of a product, from its manifest alone; no raster is opened.

    Args:
        path: a ``.SAFE`` folder, or a zip of one.

    Raises:
        RasterError: if it is no product that can be read, or holds no pixels.
        AnnotationError: if its manifest is hostile or damaged.
    """
    package, name = _package(path)
    if name.startswith("S2"):
        from imagery.products.sentinel2_safe import sentinel2_safe_info

        time, footprint = sentinel2_safe_info(path)
        sensor = SENTINEL2_L1C if "_MSIL1C_" in name else SENTINEL2_L2A
        return SafeInfo(name=name, sensor_name=sensor.name, time=time, footprint=footprint)
    _check_is_iw_grdh(name, path)
    manifest = _Manifest.of(package)
    _measured_bands(package, manifest)
    return SafeInfo(name=name, sensor_name=SENTINEL1_IW_GRD.name, time=manifest.time, footprint=manifest.footprint)


def open_safe(path: Path) -> Scene:
    """A product as a scene.

    Its provenance names the product; the checksum is that of the zip, or of a folder's manifest, which lists the
    checksums of the rest.

    Args:
        path: a ``.SAFE`` folder of Sentinel-1 IW GRDH or Sentinel-2, or a zip of one.

    Returns:
        The scene; pixels are read when asked for.

    Raises:
        RasterError: if it is no such product, or its pixels are missing.
        AnnotationError: if a file of it is hostile or damaged.
    """
    package, name = _package(path)
    if name.startswith("S2"):
        from imagery.products.sentinel2_safe import open_sentinel2_safe

        return open_sentinel2_safe(path)
    _check_is_iw_grdh(name, path)
    manifest = _Manifest.of(package)
    notes = []
    if package.is_zip:
        sha256 = file_sha256(path)
    else:
        sha256 = hashlib.sha256(package.read(MANIFEST)).hexdigest()
        notes.append("the checksum is that of the product's manifest")
    parts = _polarisations(package, manifest, notes)
    return grd_scene(
        name,
        parts,
        provenance=Provenance(
            source="safe",
            ids=(name,),
            sha256=(sha256,),
            attribution=f"Contains modified Copernicus Sentinel data {manifest.time.year}",
            notes=tuple(notes),
        ),
        fallback_time=manifest.time,
        fallback_time_sigma_s=0.1,
        ipf_version=manifest.ipf_version,
    )


def _package(path: Path) -> tuple[ProductFiles, str]:
    """The files of the product at a path, and its name without ``.SAFE``.

    Raises:
        RasterError: if there is none, or its name is none of Sentinel-1 or Sentinel-2.
    """
    package = open_product(path, re.escape(MANIFEST))
    folder = package.root.rstrip("/").rpartition("/")[2] or path.resolve().name
    name = folder.removesuffix(".SAFE")
    if not _PRODUCT.match(name):
        raise RasterError(f"{path} holds {name!r}, which is no name of a Sentinel-1 or Sentinel-2 product")
    return package, name


def _check_is_iw_grdh(name: str, path: Path) -> None:
    if not _IW_GRDH.match(name):
        raise RasterError(
            f"{path} holds {name}; of Sentinel-1, only IW ground-range products of 10 m (IW_GRDH) are read"
        )


def _polarisations(package: ProductFiles, manifest: _Manifest, notes: list[str]) -> list[GrdPolarisation]:
    """The parts that are there; a listed part that is not becomes a note.

    Raises:
        RasterError: if there are no pixels.
    """
    measured = _measured_bands(package, manifest)

    def content(kind: str, band: str) -> bytes | None:
        member = manifest.members.get((kind, band))
        if member is None:
            return None
        if member not in package.names:
            notes.append(f"the product lacks {member}, which its manifest lists")
            return None
        return package.read(member)

    for (kind, band), member in manifest.members.items():
        if kind == "measurement" and band not in measured:
            notes.append(f"the product lacks {member}, which its manifest lists: no {band}")
    return [
        GrdPolarisation(
            band=band,
            measurement=package.gdal_path(manifest.members["measurement", band]),
            annotation=content("annotation", band),
            calibration=content("calibration", band),
            noise=content("noise", band),
        )
        for band in measured
    ]


def _measured_bands(package: ProductFiles, manifest: _Manifest) -> list[str]:
    """Polarisations whose measurement is there.

    Raises:
        RasterError: if there is none.
    """
    listed = [band for band in POLARISATIONS if ("measurement", band) in manifest.members]
    there = [band for band in listed if manifest.members["measurement", band] in package.names]
    if not there:
        what = ", ".join(manifest.members["measurement", band] for band in listed) or "any measurement"
        raise RasterError(f"{package.path} holds no pixels: it lacks {what}; {_FETCH_AGAIN}")
    return there


# ---------------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """What a Sentinel-1 manifest says.

    Attributes:
        time: UTC, the middle of the acquisition.
        footprint: outline in degrees.
        members: path inside the product by kind of part (see `_PARTS`) and polarisation.
        ipf_version: version of ESA's processor, None if it does not say.
    """

    time: datetime
    footprint: MultiPolygon
    members: dict[tuple[str, str], str]
    ipf_version: float | None

    @classmethod
    def of(cls, package: ProductFiles) -> _Manifest:
        """Read the manifest of a product.

        Raises:
            RasterError, AnnotationError: if it is missing, hostile or damaged.
        """
        what = f"{MANIFEST} of {package.path}"
        root = parse_xml(package.read(MANIFEST), what)
        start, stop = (_time(root, name, what) for name in ("startTime", "stopTime"))
        return cls(
            time=start + (stop - start) / 2,
            footprint=_footprint(root, what),
            members=_members(root, what),
            ipf_version=_ipf_version(root),
        )


def _named(root: Element, name: str) -> list[Element]:
    """Elements of a name in any namespace, in the order of the document."""
    return [e for e in root.iter() if isinstance(e.tag, str) and e.tag.rpartition("}")[2] == name]


def _time(root: Element, name: str, what: str) -> datetime:
    texts = [e.text for e in _named(root, name)]
    try:
        time = datetime.fromisoformat((texts[0] or "").strip())
    except (IndexError, ValueError) as error:
        raise AnnotationError(f"{what} has no {name} that is a time; {_FETCH_AGAIN}") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _footprint(root: Element, what: str) -> MultiPolygon:
    """The outline: latitude,longitude pairs, the last not repeating the first."""
    texts = [e.text or "" for e in _named(root, "coordinates")]
    try:
        pairs = np.array([pair.split(",") for pair in texts[0].split()], dtype=float)
        lat, lon = pairs.T
        polygon = Polygon(np.column_stack([lon[0] + wrap_lon(lon - lon[0]), lat]))
    except (IndexError, ValueError) as error:
        raise AnnotationError(f"{what} has no footprint; {_FETCH_AGAIN}") from error
    if not (np.all(np.isfinite(pairs)) and np.all(np.abs(lat) <= 90.0) and polygon.is_valid and polygon.area > 0.0):
        raise AnnotationError(f"{what} has a footprint that is no outline on the Earth; {_FETCH_AGAIN}")
    return split_at_antimeridian(polygon)


def _members(root: Element, what: str) -> dict[tuple[str, str], str]:
    members: dict[tuple[str, str], str] = {}
    for entry in _named(root, "dataObject"):
        kind = _PARTS.get(entry.get("repID", ""))
        location = next(iter(_named(entry, "fileLocation")), None)
        if kind is None or location is None:
            continue
        href = location.get("href", "")
        inside = PurePosixPath(href)
        band = _BAND.search(inside.name)
        if inside.is_absolute() or ".." in inside.parts or "\\" in href or ":" in href:
            raise AnnotationError(f"{what} names a file outside the product, {href!r}, and was refused")
        if band is not None:
            members[kind, band[1]] = inside.as_posix()
    return members


def _ipf_version(root: Element) -> float | None:
    for software in _named(root, "software"):
        if software.get("name", "") == "Sentinel-1 IPF":
            try:
                return float(software.get("version", ""))
            except ValueError:
                return None
    return None
