"""Sentinel products in ESA's SAFE format, a folder or a zip of it, read without unpacking."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np
from shapely.geometry import MultiPolygon, Polygon

from imagery.errors import AnnotationError, RasterError
from imagery.files import file_sha256
from imagery.geometry import split_at_antimeridian, wrap_lon
from imagery.scene import Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2_L1C, SENTINEL2_L2A
from imagery.sentinel1 import POLARISATIONS, GrdPolarisation, grd_scene
from imagery.xml_documents import parse_xml

MANIFEST = "manifest.safe"

_MOST_XML_BYTES = 64 * 2**20  # the largest annotation of an IW product has 2 MB
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


@dataclass(frozen=True, kw_only=True)
class SafePackage:
    """The files of a product, in a folder or in a zip.

    Attributes:
        path: the folder, which holds the manifest, or the zip.
        folder: the product's folder inside the zip; None for a folder.
    """

    path: Path
    folder: str | None

    @classmethod
    def at(cls, path: Path) -> SafePackage:
        """Find the product at a path.

        Raises:
            RasterError: if there is none, or the zip is damaged.
        """
        if path.is_dir():
            if not (path / MANIFEST).is_file():
                raise RasterError(f"{path} has no {MANIFEST}; give the folder of a SAFE product")
            return cls(path=path, folder=None)
        if not path.is_file():
            raise RasterError(f"{path} does not exist; give a SAFE folder or a zip of one")
        names = _zip_sizes(path)
        folders = [n.removesuffix(f"/{MANIFEST}") for n in names if n.count("/") == 1 and n.endswith(f"/{MANIFEST}")]
        if len(folders) != 1:
            raise RasterError(f"{path} holds {len(folders)} SAFE products; give a zip with exactly one")
        return cls(path=path, folder=folders[0])

    @property
    def name(self) -> str:
        """Product name, without ``.SAFE``.

        Raises:
            RasterError: if it is no name of a Sentinel-1 or Sentinel-2 product.
        """
        name = (self.folder or self.path.resolve().name).removesuffix(".SAFE")
        if not _PRODUCT.match(name):
            raise RasterError(f"{self.path} holds {name!r}, which is no name of a Sentinel-1 or Sentinel-2 product")
        return name

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return _zip_sizes(self.path) if self.folder is not None else {}

    def has(self, member: str) -> bool:
        """True where the product holds this file."""
        if self.folder is not None:
            return f"{self.folder}/{member}" in self._sizes
        return (self.path / member).is_file()

    def read(self, member: str) -> bytes:
        """Content of a small file of the product.

        Raises:
            RasterError: if it is missing, damaged or too large to be what it claims.
        """
        if not self.has(member):
            raise RasterError(f"{self.path} has no {member}; {_FETCH_AGAIN}")
        if self.folder is not None:
            size = self._sizes[f"{self.folder}/{member}"]
        else:
            size = (self.path / member).stat().st_size
        if size > _MOST_XML_BYTES:
            raise RasterError(f"{member} of {self.path} has {size} bytes, too many for an annotation; {_FETCH_AGAIN}")
        try:
            if self.folder is None:
                return (self.path / member).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(f"{self.folder}/{member}")
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise RasterError(f"{member} of {self.path} cannot be read: {error}; {_FETCH_AGAIN}") from error

    def raster_path(self, member: str) -> str:
        """What rasterio opens for a raster of the product."""
        if self.folder is not None:
            return f"/vsizip/{{{self.path.resolve()}}}/{self.folder}/{member}"
        return str(self.path / member)


def safe_info(path: Path) -> SafeInfo:
    """Name, time and outline of a product, from its manifest alone; no raster is opened.

    Args:
        path: a ``.SAFE`` folder, or a zip of one.

    Raises:
        RasterError: if it is no product that can be read, or holds no pixels.
        AnnotationError: if its manifest is hostile or damaged.
    """
    package = SafePackage.at(path)
    if package.name.startswith("S2"):
        from imagery.sentinel2_safe import sentinel2_safe_info

        time, footprint = sentinel2_safe_info(path)
        sensor = SENTINEL2_L1C if "_MSIL1C_" in package.name else SENTINEL2_L2A
        return SafeInfo(name=package.name, sensor_name=sensor.name, time=time, footprint=footprint)
    _check_is_iw_grdh(package)
    manifest = _Manifest.of(package)
    _measured_bands(package, manifest)
    return SafeInfo(
        name=package.name, sensor_name=SENTINEL1_IW_GRD.name, time=manifest.time, footprint=manifest.footprint
    )


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
    package = SafePackage.at(path)
    if package.name.startswith("S2"):
        from imagery.sentinel2_safe import open_sentinel2_safe

        return open_sentinel2_safe(path)
    _check_is_iw_grdh(package)
    manifest = _Manifest.of(package)
    notes = []
    if package.folder is None:
        sha256 = hashlib.sha256(package.read(MANIFEST)).hexdigest()
        notes.append("the checksum is that of the product's manifest")
    else:
        sha256 = file_sha256(path)
    parts = _polarisations(package, manifest, notes)
    return grd_scene(
        package.name,
        parts,
        provenance=Provenance(
            source="safe",
            ids=(package.name,),
            sha256=(sha256,),
            attribution=f"Contains modified Copernicus Sentinel data {manifest.time.year}",
            notes=tuple(notes),
        ),
        fallback_time=manifest.time,
        fallback_time_sigma_s=0.1,
        ipf_version=manifest.ipf_version,
    )


def _check_is_iw_grdh(package: SafePackage) -> None:
    if not _IW_GRDH.match(package.name):
        raise RasterError(
            f"{package.path} holds {package.name}; of Sentinel-1, only IW ground-range products of 10 m (IW_GRDH) are "
            "read"
        )


def _polarisations(package: SafePackage, manifest: _Manifest, notes: list[str]) -> list[GrdPolarisation]:
    """The parts that are there; a listed part that is not becomes a note.

    Raises:
        RasterError: if there are no pixels.
    """
    measured = _measured_bands(package, manifest)

    def content(kind: str, band: str) -> bytes | None:
        member = manifest.members.get((kind, band))
        if member is None:
            return None
        if not package.has(member):
            notes.append(f"the product lacks {member}, which its manifest lists")
            return None
        return package.read(member)

    for (kind, band), member in manifest.members.items():
        if kind == "measurement" and band not in measured:
            notes.append(f"the product lacks {member}, which its manifest lists: no {band}")
    return [
        GrdPolarisation(
            band=band,
            measurement=package.raster_path(manifest.members["measurement", band]),
            annotation=content("annotation", band),
            calibration=content("calibration", band),
            noise=content("noise", band),
        )
        for band in measured
    ]


def _measured_bands(package: SafePackage, manifest: _Manifest) -> list[str]:
    """Polarisations whose measurement is there.

    Raises:
        RasterError: if there is none.
    """
    listed = [band for band in POLARISATIONS if ("measurement", band) in manifest.members]
    there = [band for band in listed if package.has(manifest.members["measurement", band])]
    if not there:
        what = ", ".join(manifest.members["measurement", band] for band in listed) or "any measurement"
        raise RasterError(f"{package.path} holds no pixels: it lacks {what}; {_FETCH_AGAIN}")
    return there


def _zip_sizes(path: Path) -> dict[str, int]:
    """Unpacked sizes of a zip's members by name.

    Raises:
        RasterError: if it is no whole zip.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {entry.filename: entry.file_size for entry in archive.infolist()}
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RasterError(f"{path} is not a whole zip file: {error}; {_FETCH_AGAIN}") from error


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
    def of(cls, package: SafePackage) -> _Manifest:
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
