"""A Sentinel-2 SAFE product, in a folder or a zip, as a scene on the tile's 10 m grid.

A 20 m pixel is repeated in its four 10 m pixels: no value is invented, and none is lost. Ancillary bands follow the
reflectances: the scene classification of Level-2A, and the angles of sun and satellite.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow
from shapely.geometry import MultiPolygon

from imagery.errors import AnnotationError, ImageryError, RasterError
from imagery.geometry import Grid, Window, footprint
from imagery.orbit_model import OrbitModel
from imagery.products.files import ProductFiles, open_product
from imagery.products.sentinel2 import BANDS, LEVEL_SENSORS, RESOLUTION_M, decode
from imagery.products.sentinel2_acquisition import tile_acquisition
from imagery.products.sentinel2_angles import AngleGrid
from imagery.products.sentinel2_metadata import ProductMetadata, TileMetadata, read_product_metadata, read_tile_metadata
from imagery.products.xml import parse_xml
from imagery.scene import Pixels, Provenance, Scene

NEEDED_BANDS = ("b03", "b08")  # without them no ship is found

_PRODUCT_XML = r"MTD_MSIL(?:1C|2[Aa])\.xml"
_OLD_PRODUCT_XML = r"S2[A-D]_(?:OPER|USER)_MTD_\w+\.xml"
_IMAGE = (
    r"(?P<granule>GRANULE/[^/]+/)IMG_DATA/(?:R(?P<folder_m>10|20|60)m/)?(?:L2A_)?T\w{5}_\d{8}T\d{6}_(?P<band>B\d[0-9A]|SCL)"
    r"(?:_(?P<name_m>10|20|60)m)?\.jp2"
)
_MOST_OPEN = 32  # JPEG 2000 files that stay open, over all scenes


@dataclass(frozen=True, kw_only=True)
class SafeImage:
    """One JPEG 2000 file of a product.

    Attributes:
        path: as GDAL opens it.
        sha256: hex digest of its bytes.
        repeat: 10 m pixels along one side of its pixel.
    """

    path: str
    sha256: str
    repeat: int

    def read(self, window: Window) -> NDArray[Any]:
        """Numbers in a window of 10 m pixels.

        Raises:
            RasterError: if they cannot be read whole.
        """
        first_row, first_col = window.row // self.repeat, window.col // self.repeat
        height = -(-(window.row + window.height) // self.repeat) - first_row
        width = -(-(window.col + window.width) // self.repeat) - first_col
        try:
            numbers = _open_image(self.path, self.sha256).read(RasterioWindow(first_col, first_row, width, height))
        except RasterioError as error:
            raise RasterError(f"{self.path} cannot be read at {window}: {error}; fetch the product again") from error
        if self.repeat == 1:
            return numbers
        fine = numbers.repeat(self.repeat, axis=0).repeat(self.repeat, axis=1)
        row, col = window.row - first_row * self.repeat, window.col - first_col * self.repeat
        return fine[row : row + window.height, col : col + window.width]


class _OpenImage:
    """A dataset that stays open, so that blocks once decoded are found again in GDAL's cache; one thread at a time."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        with _strict():
            self.dataset = rasterio.open(path, driver="JP2OpenJPEG")

    def read(self, window: RasterioWindow) -> NDArray[Any]:
        with self._lock, _strict():
            return np.asarray(self.dataset.read(1, window=window))


def _strict() -> Any:
    """GDAL settings under which a damaged JPEG 2000 file is an error, and no file beside it counts.

    With more than one thread, GDAL's decoders report a truncated or damaged codestream from threads of their own, where
    rasterio does not hear them, and the read returns whatever lay in memory (GDAL 3.10, rasterio 1.4).
    """
    return rasterio.Env(GDAL_NUM_THREADS="1", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO")


@lru_cache(maxsize=_MOST_OPEN)
def _open_image(path: str, sha256: str) -> _OpenImage:
    """The open dataset of a file; ``sha256`` tells it from another file that had its path before."""
    return _OpenImage(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class SafeReader:
    """The pixels of a product.

    Attributes:
        images: the reflectance bands, in the scene's order.
        scale: reflectance per digital number.
        offsets: reflectance to be added, one per band.
        scl: the scene classification, None where there is none.
        angles: directions whose zenith and azimuth are bands, in order.
    """

    images: tuple[SafeImage, ...]
    scale: float
    offsets: tuple[float, ...]
    scl: SafeImage | None
    angles: tuple[AngleGrid, ...]

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the tile.

        Where no reflectance is valid the ancillary bands are not valid either, so they never make a pixel measured.
        Where one is they are valid, so they never take a pixel away (a scene classification of 0 stays 0).
        """
        images = [*self.images, *([self.scl] if self.scl is not None else [])]
        with ThreadPoolExecutor(min(len(images), os.cpu_count() or 1)) as pool:  # decoding takes nearly all the time
            numbers = list(pool.map(lambda image: image.read(window), images))
        reflectance = [
            decode(dn, self.scale, offset) for dn, offset in zip(numbers[: len(self.images)], self.offsets, strict=True)
        ]
        seen = np.isfinite(reflectance).any(axis=0)
        ancillary = []
        if self.scl is not None:
            ancillary.append(numbers[-1].astype(np.float32))
        for grid in self.angles:
            ancillary += grid.at(window)
        data = np.stack([*reflectance, *(np.where(seen, band, np.float32(np.nan)) for band in ancillary)])
        return Pixels(data=data, valid=np.isfinite(data))


def open_sentinel2_safe(path: Path) -> Scene:
    """A Level-1C or Level-2A product as a scene.

    Bands, where the product has them: `imagery.products.sentinel2.BANDS`, then ``scl``, ``sun_zenith_deg``,
    ``sun_azimuth_deg``, ``view_zenith_deg`` and ``view_azimuth_deg`` (of band 8, the mean where detectors overlap).
    What is absent is named in the provenance's notes. All files that are read are first held against the product's
    manifest.

    Args:
        path: the ``.SAFE`` folder, or a zip of it, which is not unpacked.

    Returns:
        The scene; pixels are read when asked for, and may then raise RasterError.

    Raises:
        AnnotationError: if the XML is missing, hostile, incomplete, or of the format before 6 December 2016.
        RasterError: if the product is damaged or has not both of `NEEDED_BANDS`.
    """
    files, product, tile = _read_metadata(path)
    found = _find_images(files)
    absent = [band for band in BANDS if band not in found]
    if needed := [band.upper() for band in NEEDED_BANDS if band not in found]:
        raise RasterError(
            f"{path} has no {' and no '.join(needed)} at 10 m, without which no ship is found; fetch it again"
        )
    bands = tuple(band for band in BANDS if band in found)
    if unscaled := [band.upper() for band in bands if band not in product.offsets]:
        raise AnnotationError(f"{path} states offsets, but none for {', '.join(unscaled)}; fetch it again")
    notes = [f"Sentinel-2 {product.level}, processing baseline {product.baseline}"]
    if absent:
        notes.append(f"the product has no band {', '.join(absent)}: what needs it cannot be told")
    if product.level == "L2A" and "scl" not in found:
        notes.append("the product has no scene classification")
    angles = {"sun": tile.sun, "view": tile.view}
    notes += [f"the product does not give the {name} angles" for name, grid in angles.items() if grid is None]
    if "manifest.safe" not in files.names:
        notes.append("the product has no manifest, so its files could not be verified")
    used = [*files.matching(_PRODUCT_XML), *files.matching(r"GRANULE/[^/]+/MTD_TL\.xml")]
    names = [match[0] for match in used] + [found[band] for band in (*bands, *(["scl"] if "scl" in found else []))]
    sha256 = {name: files.verified_sha256(name) for name in names}
    images = {band: _image(files, found[band], band, sha256, tile.grid) for band in found if found[band] in sha256}
    ancillary = ["scl"] if "scl" in images else []
    for name, grid in angles.items():
        ancillary += [f"{name}_zenith_deg", f"{name}_azimuth_deg"] if grid is not None else []
    time, acquisition = _dated(product, tile, path)
    return Scene(
        id=product.name,
        sensor=LEVEL_SENSORS[product.level],
        bands=(*bands, *ancillary),
        unit="reflectance",
        geometry=tile.grid,
        acquisition=acquisition,
        time=time,
        reader=SafeReader(
            images=tuple(images[band] for band in bands),
            scale=product.scale,
            offsets=tuple(product.offsets[band] for band in bands),
            scl=images.get("scl"),
            angles=tuple(grid for grid in angles.values() if grid is not None),
        ),
        provenance=Provenance(
            source="safe",
            ids=tuple(names),
            sha256=tuple(sha256[name] for name in names),
            attribution=f"Contains modified Copernicus Sentinel data {time.year}",
            notes=tuple(notes),
        ),
    )


def sentinel2_safe_info(path: Path) -> tuple[datetime, MultiPolygon]:
    """When and where a product was taken, from its XML alone.

    Args:
        path: the ``.SAFE`` folder or a zip of it.

    Returns:
        The time of the scene that `open_sentinel2_safe` gives, and the outline of the pixels with data, in degrees.

    Raises:
        AnnotationError: as `open_sentinel2_safe`.
        RasterError: as `open_sentinel2_safe`.
    """
    _, product, tile = _read_metadata(path)
    time, _ = _dated(product, tile, path)
    return time, product.footprint or footprint(tile.grid)


def _read_metadata(path: Path) -> tuple[ProductFiles, ProductMetadata, TileMetadata]:
    try:
        files = open_product(path, _PRODUCT_XML)
    except RasterError:
        if _is_old_format(path):
            raise AnnotationError(
                f"{path} is of the SAFE format before 6 December 2016, which holds many tiles under other names; fetch "
                "its tiles as reprocessed in Collection 1 (baseline 05.00)"
            ) from None
        raise
    granules = [match[0] for match in files.matching(r"GRANULE/[^/]+/MTD_TL\.xml")]
    if len(granules) != 1:
        raise AnnotationError(f"{path} holds {len(granules)} tiles (GRANULE/*/MTD_TL.xml); expected one")
    (product_xml,) = (match[0] for match in files.matching(_PRODUCT_XML))
    what = {name: f"{name} of {path}" for name in (product_xml, granules[0])}
    product = read_product_metadata(parse_xml(files.read(product_xml), what[product_xml]), what[product_xml])
    tile = read_tile_metadata(parse_xml(files.read(granules[0]), what[granules[0]]), what[granules[0]])
    return files, product, tile


def _is_old_format(path: Path) -> bool:
    try:
        open_product(path, _OLD_PRODUCT_XML)
    except RasterError:
        return False
    return True


def _find_images(files: ProductFiles) -> dict[str, str]:
    """File of each band at its own resolution, and of the classification at 20 m, by band."""
    found: dict[str, str] = {}
    for match in files.matching(_IMAGE):
        band = match["band"].lower()
        own_m = 20 if band == "scl" else RESOLUTION_M.get(band)
        stated = {int(text) for text in (match["folder_m"], match["name_m"]) if text}
        if own_m is not None and stated <= {own_m}:
            found.setdefault(band, match[0])
    return found


def _image(files: ProductFiles, name: str, band: str, sha256: dict[str, str], grid: Grid) -> SafeImage:
    """A band's file, after a look at whether it lies on the tile's grid.

    Raises:
        RasterError: if it cannot be opened or lies elsewhere.
    """
    pixel_m = 20 if band == "scl" else RESOLUTION_M[band]
    repeat = pixel_m // 10
    image = SafeImage(path=files.gdal_path(name), sha256=sha256[name], repeat=repeat)
    try:
        dataset = _open_image(image.path, image.sha256).dataset
        shape_hw, transform, count = (dataset.height, dataset.width), dataset.transform, dataset.count
    except RasterioError as error:
        raise RasterError(
            f"{name} of {files.path} is no JPEG 2000 file that GDAL opens: {error}; fetch it again"
        ) from error
    expected = grid.transform @ Affine.scale(repeat)
    lies_there = np.allclose(tuple(transform), tuple(expected), atol=0.01)
    if count != 1 or not lies_there or (shape_hw[0] * repeat, shape_hw[1] * repeat) != grid.shape_hw:
        raise RasterError(
            f"{name} of {files.path} ({shape_hw[0]} x {shape_hw[1]} pixels) is not on the grid of its tile's metadata "
            f"({grid.shape_hw[0]} x {grid.shape_hw[1]} at 10 m); fetch it again"
        )
    return image


def _dated(product: ProductMetadata, tile: TileMetadata, path: Path) -> tuple[datetime, OrbitModel]:
    try:
        return tile_acquisition(product, tile)
    except ImageryError as error:
        raise AnnotationError(f"the metadata of {path} contradict each other: {error}") from error
