"""GeoTIFF and COG to `Scene` and back, exact: unit, mask, clip, time and provenance survive.

What a plain file says of itself is read in this order: offing's own tags, the ``UNIT`` tag, band descriptions and
scale/offset, the file's name. Anything that had to be assumed becomes a note in the scene's provenance.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from imagery.acquire import acquisition_for, from_json, to_json
from imagery.errors import RasterError
from imagery.files import file_sha256, replacing
from imagery.geometry import GcpGrid, Geometry, Grid, Window
from imagery.labels import SCENE_TAG, Labels, read_labels
from imagery.pixel_grid import PixelGrid, has_places
from imagery.scene import Pixels, Provenance, Scene
from imagery.sensors import SENSORS

_OPENING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class RasterFile:
    """One open-checked raster: where it lies, what it holds, how its numbers become values.

    Attributes:
        path: the file.
        sha256: hex digest of its bytes.
        geometry: its grid or its control points.
        labels: bands, unit, scale, time and sensor, read or assumed.
        alpha_index: 1-based band that is 0 where no pixel is valid, None where there is none.
        no_data: numbers that stand for no data, beside what the file states itself.
    """

    path: Path
    sha256: str
    geometry: Grid | GcpGrid | PixelGrid
    labels: Labels
    alpha_index: int | None = None
    no_data: tuple[float, ...] = ()

    def read(self, window: Window) -> Pixels:
        """Pixels of all known bands in a window inside the file."""
        opened = rasterio.open if has_places(self.geometry) else open_quietly
        with opened(self.path) as dataset:
            where = RasterioWindow(window.col, window.row, window.width, window.height)
            try:
                raw = dataset.read(list(self.labels.band_indexes), window=where)
                alpha = None if self.alpha_index is None else dataset.read(self.alpha_index, window=where)
            except RasterioError as error:
                raise RasterError(f"{self.path} cannot be read at {window}: {error}; fetch the file again") from error
            nodata = [dataset.nodatavals[i - 1] for i in self.labels.band_indexes]
        valid = self._valid(raw, nodata)
        return self._decode(raw, valid if alpha is None else valid & (alpha != 0))

    def _valid(self, raw: NDArray[Any], nodata: list[float | None]) -> NDArray[np.bool_]:
        valid = np.isfinite(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
        for band, value in enumerate(nodata):
            if value is not None and not np.isnan(value):
                valid[band] &= raw[band] != value
        if self.no_data:
            valid &= ~np.isin(raw.astype(np.float32), np.array(self.no_data, np.float32))
        return valid

    def _decode(self, raw: NDArray[Any], valid: NDArray[np.bool_]) -> Pixels:
        labels = self.labels
        if labels.scale == 1.0 and labels.offset == 0.0:
            data = raw.astype(np.float32)
        else:
            data = (raw * labels.scale + labels.offset).astype(np.float32)
        data[~valid] = np.nan
        return Pixels(data=data, valid=valid)


@contextmanager
def open_quietly(path: Path) -> Iterator[Any]:
    """An open rasterio dataset, without a warning where it has no georeference: `imagery.recognise` makes a note of it.

    Raises:
        rasterio.errors.RasterioError: if GDAL cannot open it.
    """
    with _OPENING, warnings.catch_warnings():  # filters are common to all threads
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path)
    with dataset:
        yield dataset


def open_raster(path: Path) -> RasterFile:
    """Check a raster file and read what it says of itself.

    Args:
        path: a GeoTIFF, COG or anything else that GDAL opens.

    Returns:
        The file, ready to be read in windows.

    Raises:
        RasterError: if it is missing, not a raster, has no bands, or has neither a CRS nor ground control points.
        UnitError: if no band is recognised or its unit cannot be told.
    """
    if not path.is_file():
        raise RasterError(f"{path} does not exist; give the path of a raster file")
    try:
        with rasterio.open(path) as dataset:
            if dataset.count == 0:
                raise RasterError(f"{path} has no bands; give a raster with at least one")
            geometry = file_geometry(dataset, path)
            labels = read_labels(dataset, path)
    except RasterioError as error:
        raise RasterError(f"{path} is not a raster that GDAL can open: {error}") from error
    return RasterFile(path=path, sha256=file_sha256(path), geometry=geometry, labels=labels)


def open_geotiff(path: Path) -> Scene:
    """One file as a scene.

    Args:
        path: the file.

    Returns:
        The scene; pixels are read when asked for.

    Raises:
        RasterError, UnitError: see `open_raster`; RasterError also where no pixel is valid.
    """
    raster = open_raster(path)
    check_has_pixels(raster)
    return scene_of(raster, scene_id=raster.labels.scene_id or path.stem)


def scene_of(raster: RasterFile, *, scene_id: str) -> Scene:
    """The scene that one raster file holds."""
    labels = raster.labels
    return Scene(
        id=scene_id,
        sensor=SENSORS[labels.sensor_name],
        bands=labels.bands,
        unit=labels.unit,
        geometry=raster.geometry,
        acquisition=from_json(labels.acquisition)
        if labels.acquisition is not None
        else acquisition_for(labels.sensor_name, labels.time, labels.time_sigma_s, raster.geometry),
        time=labels.time,
        reader=raster,
        clip_value=labels.clip_value,
        provenance=labels.provenance
        or Provenance(
            source="file",
            ids=(raster.path.name,),
            sha256=(raster.sha256,),
            attribution=labels.attribution,
            notes=labels.notes,
        ),
    )


def check_has_pixels(raster: RasterFile) -> None:
    """Refuse a file without one valid pixel: a detector would answer 'no ships', which nobody saw.

    Raises:
        RasterError: if all pixels are no data or NaN.
    """
    height, width = raster.geometry.shape_hw
    for row in range(0, height, 1024):
        strip = Window(row=row, col=0, height=min(1024, height - row), width=width)
        if raster.read(strip).valid.any():
            return
    raise RasterError(f"{raster.path} holds no valid pixel (all no-data or NaN); there is nothing to look at")


def write_geotiff(scene: Scene, path: Path) -> None:
    """Write a scene so that `open_geotiff` gives it back exactly.

    Affine scenes become Cloud-Optimised GeoTIFFs, control-point scenes tiled GeoTIFFs (a COG cannot hold points).
    Pixels are float32, NaN where not valid.

    Args:
        scene: what to write.
        path: where; replaced as a whole or not at all.

    Raises:
        RasterError: if the file cannot be written.
    """
    pixels = scene.read()
    profile: dict[str, Any] = {
        "dtype": "float32",
        "count": len(scene.bands),
        "height": scene.shape_hw[0],
        "width": scene.shape_hw[1],
        "nodata": float("nan"),
        "compress": "deflate",
        "predictor": 3,
    }
    profile |= georeference(scene.geometry)
    if isinstance(scene.geometry, Grid):
        profile |= {"driver": "COG", "blocksize": 512}
    else:
        profile |= {"driver": "GTiff", "tiled": True}
    with replacing(path) as partial:
        try:
            with rasterio.open(partial, "w", **profile) as dataset:
                dataset.write(pixels.data)
                dataset.descriptions = scene.bands
                dataset.update_tags(**{SCENE_TAG: json.dumps(_describe(scene)), "UNIT": scene.unit})
        except RasterioError as error:
            raise RasterError(f"{path} cannot be written: {error}") from error


def georeference(geometry: Geometry) -> dict[str, Any]:
    """A geometry as rasterio's options for a new file.

    Raises:
        RasterError: if it is neither a grid nor control points.
    """
    if isinstance(geometry, Grid):
        return {"crs": geometry.crs_wkt, "transform": geometry.transform}
    if isinstance(geometry, GcpGrid):
        return {"crs": "EPSG:4326", "gcps": _gcps(geometry)}
    raise RasterError(f"a geometry of type {type(geometry).__name__} cannot be written; give a Grid or a GcpGrid")


def file_geometry(dataset: Any, path: Path) -> Grid | GcpGrid:
    """Where the pixels of an open rasterio dataset lie.

    Raises:
        RasterError: if it has neither a coordinate reference system nor control points in degrees.
    """
    points, gcp_crs = dataset.gcps
    if dataset.crs is not None:
        return Grid(crs_wkt=dataset.crs.to_wkt(), transform=dataset.transform, shape_hw=(dataset.height, dataset.width))
    if points and gcp_crs is not None:
        if not gcp_crs.is_geographic:
            raise RasterError(f"{path} has ground control points in {gcp_crs}; give them in longitude and latitude")
        return GcpGrid(
            gcp_rows=tuple(p.row for p in points),
            gcp_cols=tuple(p.col for p in points),
            gcp_lon=tuple(p.x for p in points),
            gcp_lat=tuple(p.y for p in points),
            shape_hw=(dataset.height, dataset.width),
        )
    raise RasterError(
        f"{path} has no coordinate reference system and no ground control points; georeference it (gdal_translate "
        "-a_srs, -a_ullr or -gcp) before detecting in it"
    )


def _gcps(geometry: GcpGrid) -> list[GroundControlPoint]:
    rows = np.asarray(geometry.gcp_rows) - geometry.origin[0]
    cols = np.asarray(geometry.gcp_cols) - geometry.origin[1]
    points = zip(rows.tolist(), cols.tolist(), geometry.gcp_lon, geometry.gcp_lat, strict=True)
    return [GroundControlPoint(row=r, col=c, x=x, y=y) for r, c, x, y in points]


def _describe(scene: Scene) -> dict[str, Any]:
    provenance = scene.provenance
    return {
        "id": scene.id,
        "sensor": scene.sensor.name,
        "bands": scene.bands,
        "unit": scene.unit,
        "time": scene.time.isoformat() if scene.time else None,
        "clip_value": scene.clip_value,
        "acquisition": to_json(scene.acquisition, scene.shape_hw),
        "provenance": {
            "source": provenance.source,
            "ids": provenance.ids,
            "sha256": provenance.sha256,
            "attribution": provenance.attribution,
            "notes": provenance.notes,
            "missing": provenance.missing,
        },
    }
