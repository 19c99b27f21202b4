"""Any raster to a `Scene`: what the file does not say of itself, its pixels tell, or it is refused with a remedy.

`imagery.geotiff.open_geotiff` reads what a file says; this module completes it first: which bands it holds, in which
unit, what stands for no data, and whether it has a place. Whatever was told by the pixels is a note in the provenance;
whatever the pixels contradict, or leave in doubt, is one sentence that names the option to give.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioError

from imagery.band_names import Bands, name_bands
from imagery.completed import Told
from imagery.errors import RasterError, UnitError
from imagery.files import file_sha256
from imagery.geometry import GcpGrid, Grid, pixel_size_m
from imagery.geotiff import RasterFile, check_has_pixels, file_geometry, open_quietly, scene_of
from imagery.hints import PIXEL_RANGE_M, Hints, band_name, units_meant
from imagery.labels import SCENE_TAG, read_labels
from imagery.pixel_evidence import sample
from imagery.pixel_grid import PixelGrid, has_places
from imagery.recognise_optical import tell_optical
from imagery.recognise_radar import tell_radar
from imagery.scene import Scene


def open_recognised(path: Path, hints: Hints | None = None) -> Scene:
    """One file as a scene, whatever wrote it.

    Args:
        path: a raster that GDAL opens: GeoTIFF, COG, TIFF, PNG, JPEG.
        hints: what the user says of it.

    Returns:
        The scene; pixels are read when asked for. Without a georeference its geometry is a `PixelGrid`.

    Raises:
        RasterError: if it is no raster, its bands cannot be told or stand in the wrong order, its pixels are not of 1
            to 60 m, or none is valid or water.
        UnitError: if its unit cannot be told, or is not the one that somebody says it is.
    """
    hints = hints or Hints()
    if not path.is_file():
        raise RasterError(f"{path} does not exist; give the path of a raster file")
    try:
        with open_quietly(path) as dataset:
            raster = _recognise(dataset, path, hints)
    except RasterioError as error:
        raise RasterError(f"{path} is not a raster that GDAL can open: {error}") from error
    check_has_pixels(raster)
    return scene_of(raster, scene_id=raster.labels.scene_id or path.stem)


def _recognise(dataset: Any, path: Path, hints: Hints) -> RasterFile:
    geometry = _place(dataset, path, hints)
    bands = name_bands(dataset, path, hints)
    told = _tell(dataset, path, hints, bands)
    labels = told.labels
    if not has_places(geometry):
        size = "in pixels" if hints.pixel_size_m is None else f"of pixels of {hints.pixel_size_m:g} m, as said"
        labels = replace(labels, notes=(*labels.notes, f"no georeference: places and lengths {size}"))
    return RasterFile(
        path=path,
        sha256=file_sha256(path),
        geometry=geometry,
        labels=labels,
        alpha_index=bands.alpha,
        no_data=told.no_data,
    )


def _tell(dataset: Any, path: Path, hints: Hints, bands: Bands) -> Told:
    """Labels of the file, from its own tag or from a look at its pixels."""
    if SCENE_TAG in dataset.tags():
        return _own(dataset, path, hints)
    windows = sample(dataset, tuple(bands.indexes.values()), bands.alpha)
    tell = tell_optical if bands.is_optical else tell_radar
    return tell(dataset, path, hints, bands, windows)


def _place(dataset: Any, path: Path, hints: Hints) -> Grid | GcpGrid | PixelGrid:
    """The file's geometry; refuses pixels of a size in which no ship can be found.

    Raises:
        RasterError: if pixels are not of 1 to 60 m, or `--pixel-size` is given for a file that says it itself.
    """
    if dataset.crs is None and not dataset.gcps[0]:
        return PixelGrid(shape_hw=(dataset.height, dataset.width), pixel_m=hints.pixel_size_m)
    geometry = file_geometry(dataset, path)
    sizes = pixel_size_m(geometry)
    low, high = PIXEL_RANGE_M
    if not all(0.99 * low <= size <= 1.01 * high for size in sizes):
        raise RasterError(
            f"{path} has pixels of {sizes[0]:.3g} x {sizes[1]:.3g} m on the ground, outside {low:g} to {high:g} m; "
            "resample it to 10 m (gdalwarp -tr 10 10), or mend its georeference (gdal_edit -a_srs, -a_ullr) if that "
            "is wrong"
        )
    if hints.pixel_size_m is not None and not all(abs(size / hints.pixel_size_m - 1.0) < 0.05 for size in sizes):
        raise RasterError(
            f"{path} has pixels of {sizes[0]:.3g} x {sizes[1]:.3g} m by its georeference, not {hints.pixel_size_m:g} "
            "m; leave out --pixel-size"
        )
    return geometry


def _own(dataset: Any, path: Path, hints: Hints) -> Told:
    """A file that offing wrote says everything itself.

    Raises:
        UnitError: if the user says another unit.
    """
    labels = read_labels(dataset, path)
    if hints.unit is not None and labels.unit not in units_meant(hints.unit):
        raise UnitError(f"{path} was written by offing in {labels.unit}; leave out --unit")
    if hints.bands is not None and tuple(map(band_name, hints.bands)) != labels.bands:
        raise RasterError(f"{path} was written by offing with bands {', '.join(labels.bands)}; leave out --bands")
    return Told(labels=labels)
