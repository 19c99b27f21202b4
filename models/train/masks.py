"""Scenes whose vessels are labelled by an instance mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from scipy import ndimage
from skimage.measure import find_contours

from imagery.geotiff import open_geotiff
from models.errors import TrainingError
from models.train.images import LabelledImage

_LEAST_NDWI = 0.05  # McFeeters 1996 (Int. J. Remote Sensing 17(7)): above zero is water; a little more keeps quays out


def read_masked(raster: Path, instances: Path, bands: tuple[str, ...], group: str = "") -> LabelledImage:
    """One reflectance scene with its labelled vessels.

    Args:
        raster: a scene that `imagery.geotiff.open_geotiff` reads.
        instances: raster of the same shape: 0 background, each vessel its own number.
        bands: wanted, in this order.
        group: see `LabelledImage`.

    Raises:
        TrainingError: if the two do not fit each other, or a band is missing.
        ImageryError: if the scene cannot be read.
    """
    scene = open_geotiff(raster)
    if missing := [b for b in bands if b not in scene.bands]:
        raise TrainingError(f"{raster} has no band {', '.join(missing)}; it has {', '.join(scene.bands)}")
    pixels = scene.read()
    values = pixels.data[[scene.bands.index(b) for b in bands]]
    try:
        with rasterio.open(instances) as dataset:
            labels = dataset.read(1)
    except RasterioError as error:
        raise TrainingError(f"{instances} is not a raster that GDAL can open: {error}") from error
    if labels.shape != values.shape[1:]:
        raise TrainingError(
            f"{instances} has shape {labels.shape}, {raster} has {values.shape[1:]}: give masks of its grid"
        )
    return LabelledImage(
        name=raster.name,
        values=values,
        outlines=outlines_of(labels),
        sea=_water(values, bands, labels > 0),
        group=group,
    )


def labelled_scenes(folder: Path) -> list[tuple[Path, Path]]:
    """Each scene NAME.tif of a folder, in order of names, with its instances, NAME_vessels.tif."""
    scenes = sorted(p for p in folder.glob("*.tif") if not p.stem.endswith("_vessels"))
    return [(path, path.with_name(f"{path.stem}_vessels.tif")) for path in scenes]


def outlines_of(labels: NDArray[np.integer]) -> tuple[NDArray[np.float64], ...]:
    """The outline (k, 2) of each instance in (col, row), in order of their numbers."""
    out = []
    for number in np.unique(labels[labels > 0]):
        contours = find_contours(np.pad(labels == number, 1).astype(float), 0.5)  # type: ignore[no-untyped-call]
        longest = max(contours, key=len)
        out.append(longest[:, ::-1] - 1.0)
    return tuple(out)


def _water(values: NDArray[np.float32], bands: tuple[str, ...], vessels: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Where a ship may be pasted: water by NDWI, without its small spots; None without green and near infrared."""
    if not {"b03", "b08"} <= set(bands):
        return None
    green, infrared = (np.nan_to_num(values[bands.index(b)]) for b in ("b03", "b08"))
    water = (green - infrared) > _LEAST_NDWI * np.maximum(green + infrared, 1e-6)
    return np.asarray(ndimage.binary_opening(water, iterations=2) & ~vessels)
