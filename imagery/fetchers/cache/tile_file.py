"""One tile of a scene as a GeoTIFF that any viewer opens."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from imagery.errors import FetchError, RasterError
from imagery.geometry import Grid, Window
from imagery.geotiff import georeference
from imagery.scene import Pixels, Scene
from imagery.stored_geometry import geometry_to_json

# Deflate level 1 writes float32 speckle twice as fast as the default level 6, in 2 % more bytes.
_PROFILE = {
    "driver": "GTiff",
    "dtype": "float32",
    "compress": "deflate",
    "predictor": 3,
    "zlevel": 1,
    "tiled": True,
    "interleave": "band",
}


def tile_key(identity: str, scene: Scene, window: Window, *, has_noise: bool) -> str:
    """Name of a tile: a digest of its source, its scene and its place, the same whatever area asked for it.

    Args:
        identity: see `imagery.fetchers.base.RemoteFetcher`.
        scene: the scene, or the part of it that some area asked for.
        window: the tile's pixels in it.
        has_noise: True where the tile holds the noise that was subtracted; one without is another tile.
    """
    return digest([identity, scene.id, _place(scene.geometry.crop(window)), has_noise])


def digest(values: Any) -> str:
    """Hex SHA-256 of plain values as canonical JSON."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _place(geometry: Any) -> dict[str, Any]:
    """A geometry to a thousandth of a pixel: two ways of reckoning one grid differ in the last bits."""
    place = geometry_to_json(geometry)
    if isinstance(geometry, Grid):
        a, b, x, d, e, y = place["transform"]
        inverse = ~geometry.transform
        origin_px = inverse.a * x + inverse.b * y, inverse.d * x + inverse.e * y
        place["transform"] = [f"{v:.9g}" for v in (a, b, d, e)] + [round(1000.0 * v) for v in origin_px]
    return place


def encode_tile(scene: Scene, window: Window, pixels: Pixels, noise: NDArray[np.float32] | None = None) -> bytes:
    """A tile as the bytes of a GeoTIFF: float32 in the scene's unit, NaN where not valid.

    Args:
        scene: whose tile.
        window: the tile's pixels in it.
        pixels: their values.
        noise: thermal noise that was subtracted, of the same shape; stored as further bands. None where nobody knows.

    Raises:
        FetchError: if the pixels are not those of the window.
        RasterError: if the geometry cannot be written.
    """
    shape = (len(scene.bands), *window.shape_hw)
    if pixels.data.shape != shape:
        raise FetchError(f"scene {scene.id} gave pixels of shape {pixels.data.shape} where {shape} were asked for")
    data, names = np.where(pixels.valid, pixels.data, np.float32(np.nan)), scene.bands
    if noise is not None:
        data = np.concatenate([data, noise.astype(np.float32)])
        names = (*names, *(f"noise_{name}" for name in names))
    tags = {"UNIT": scene.unit, "SCENE": scene.id, "ACQUIRED": scene.time.isoformat() if scene.time else None}
    with rasterio.MemoryFile() as memory:
        with memory.open(
            **_PROFILE,
            **georeference(scene.geometry.crop(window)),
            count=len(names),
            height=shape[1],
            width=shape[2],
            nodata=float("nan"),
        ) as dataset:
            dataset.write(data)
            dataset.descriptions = names
            dataset.update_tags(**{name: text for name, text in tags.items() if text})
        return bytes(memory.read())


def describe_tile(file: Path | bytes) -> dict[str, Any]:
    """What a tile's file, or its bytes, is as plain values.

    Raises:
        RasterError: if it is not a raster.
    """
    try:
        with ExitStack() as stack:
            if isinstance(file, bytes):
                dataset = stack.enter_context(stack.enter_context(rasterio.MemoryFile(file)).open())
            else:
                dataset = stack.enter_context(rasterio.open(file))
            points, _ = dataset.gcps
            return {
                "shape": [dataset.count, dataset.height, dataset.width],
                "dtypes": list(dataset.dtypes),
                "crs": dataset.crs.to_string() if dataset.crs else None,
                "transform": list(dataset.transform)[:6],
                "control_points": len(points),
            }
    except RasterioError as error:
        raise RasterError(f"a tile is not a raster that GDAL can open: {error}") from error


def read_tile(path: Path, window: Window, bands: range) -> NDArray[np.float32]:
    """Bands of a window inside a tile's file, counted from 0; NaN where not valid.

    Raises:
        RasterError: if the file is gone or damaged.
    """
    try:
        with rasterio.open(path) as dataset:
            where = RasterioWindow(window.col, window.row, window.width, window.height)
            return np.asarray(dataset.read([band + 1 for band in bands], window=where), np.float32)
    except RasterioError as error:
        raise RasterError(f"{path} cannot be read ({error}); run the same command again") from error
