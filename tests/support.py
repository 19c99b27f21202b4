"""Builders that several tests share."""

from datetime import UTC, datetime

import numpy as np
import rasterio
from affine import Affine

from imagery.acquire import acquisition_for
from imagery.scene import MemoryReader, Pixels, Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD

UTM = Affine(10, 0, 380000, 0, -10, 4200000)


def write_tif(path, data, *, descriptions=None, tags=None, crs="EPSG:32651", transform=UTM, nodata=None, **profile):
    """Write an array, (h, w) or (bands, h, w), as a plain GeoTIFF by someone else than offing."""
    data = np.asarray(data)
    data = data[np.newaxis] if data.ndim == 2 else data
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(data),
        height=data.shape[1],
        width=data.shape[2],
        dtype=data.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **profile,
    ) as dataset:
        dataset.write(data)
        if descriptions:
            dataset.descriptions = descriptions
        dataset.update_tags(**(tags or {}))
    return path


def scene_of_array(
    geometry,
    data,
    *,
    bands=("vv",),
    unit="sigma0",
    sensor=SENTINEL1_IW_GRD,
    valid=None,
    clip_value=None,
    name="a scene",
):
    """A scene in memory from (bands, h, w) values."""
    data = np.array(data, np.float32)
    valid = np.isfinite(data) if valid is None else valid
    data[~valid] = np.nan
    time = datetime(2019, 5, 12, 9, 38, 0, 123456, tzinfo=UTC)
    return Scene(
        id=name,
        sensor=sensor,
        bands=bands,
        unit=unit,
        geometry=geometry,
        acquisition=acquisition_for(sensor.name, time, 0.5, geometry),
        time=time,
        reader=MemoryReader(pixels=Pixels(data=data, valid=valid)),
        clip_value=clip_value,
        provenance=Provenance(source="test", ids=("x", "y"), sha256=("1", "2"), attribution="me", notes=("made up",)),
    )


def noise_scene(geometry, *, bands=("vv", "vh"), unit="sigma0", clip_value=None, seed=0):
    """Speckle with a tenth of the pixels missing."""
    rng = np.random.default_rng(seed)
    data = rng.gamma(4.4, 0.01, (len(bands), *geometry.shape_hw)).astype(np.float32)
    valid = rng.random(data.shape) > 0.1
    return scene_of_array(geometry, data, bands=bands, unit=unit, valid=valid, clip_value=clip_value)
