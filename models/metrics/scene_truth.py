"""True objects of a scene: GeoJSON points, a CSV of labels, or a raster of vessel instances."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from scipy import ndimage

from imagery.geometry import Geometry, Grid, jacobian_m
from imagery.scene import Scene
from models.metrics.errors import TruthError
from models.metrics.outlines import PixelOutline, oriented_size

FloatArray = NDArray[np.float64]

# Names under which a label's values are found, the first that is there.
_LON = ("lon", "longitude", "detect_lon")
_LAT = ("lat", "latitude", "detect_lat")
_LENGTH = ("length_m", "vessel_length_m", "length")
_AXIS = ("heading_deg", "axis_deg", "heading")
_CONFIDENCE = ("confidence",)
_SCENE = ("scene_id",)


@dataclass(frozen=True, kw_only=True)
class SceneTruth:
    """True objects of one scene, m of them.

    Attributes:
        path: the file.
        row, col: (m,) places in the scene, whole numbers at pixel centres.
        lon, lat: (m,) degrees.
        length_m: (m,) NaN where not known.
        axis_deg: (m,) hull axis, degrees clockwise from north in [0, 180), NaN where not known.
        is_low: (m,) bool, True: a doubtful label that is not scored.
        outlines: m outlines in scene pixels; None where only places are known.
        data_kind: what the file says of itself, such as ``real`` or ``simulated``; None where it does not.
    """

    path: Path
    row: FloatArray
    col: FloatArray
    lon: FloatArray
    lat: FloatArray
    length_m: FloatArray
    axis_deg: FloatArray
    is_low: NDArray[np.bool_]
    outlines: tuple[PixelOutline, ...] | None
    data_kind: str | None


def read_scene_truth(path: Path, scene: Scene) -> SceneTruth:
    """Read the true objects of a scene; places outside the scene are left out.

    Args:
        path: ``.geojson`` or ``.json`` (points with ``length_m`` etc.), ``.csv`` (columns lon, lat, length_m, or those
            of xView3), or a raster of instances on the scene's grid (0: no vessel).
        scene: the scene.

    Returns:
        The truth.

    Raises:
        TruthError: if the file is missing, cannot be read or does not belong to the scene.
    """
    if not path.is_file():
        raise TruthError(f"{path} does not exist; give the path of the scene's truth")
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return _of_geojson(path, scene)
    if suffix == ".csv":
        return _of_csv(path, scene)
    return _of_mask(path, scene)


def _of_geojson(path: Path, scene: Scene) -> SceneTruth:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = [_geojson_row(feature, path) for feature in data["features"]]
        kind = data.get("data_kind")
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TruthError(f"{path} is not JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise TruthError(f"{path} is not a GeoJSON FeatureCollection of points: {error!r}") from error
    return _of_rows(rows, path, scene, None if kind is None else str(kind))


def _geojson_row(feature: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if feature["geometry"]["type"] != "Point":
        raise TruthError(f"{path} holds a {feature['geometry']['type']}; a scene's truth needs points")
    lon, lat = feature["geometry"]["coordinates"][:2]
    return {**(feature.get("properties") or {}), "lon": lon, "lat": lat}


def _of_csv(path: Path, scene: Scene) -> SceneTruth:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"{path} is not a CSV file: {error}") from error
    scenes = {_first(row, _SCENE) for row in rows} - {None}
    if len(scenes) > 1:
        rows = [row for row in rows if _first(row, _SCENE) == scene.id]
        if not rows:
            raise TruthError(f"{path} holds labels of {len(scenes)} scenes, none of them named {scene.id}")
    kinds = {row.get("data_kind") for row in rows} - {None, ""}
    return _of_rows(rows, path, scene, str(kinds.pop()) if len(kinds) == 1 else None)


def _of_rows(rows: Sequence[Mapping[str, Any]], path: Path, scene: Scene, data_kind: str | None) -> SceneTruth:
    numbers = {
        name: np.array([_number(row, keys, path, needed=needed) for row in rows], np.float64)
        for name, keys, needed in (
            ("lon", _LON, True),
            ("lat", _LAT, True),
            ("length", _LENGTH, False),
            ("axis", _AXIS, False),
        )
    }
    low = np.array([str(_first(row, _CONFIDENCE)).upper() == "LOW" for row in rows], bool)
    row, col = scene.geometry.rowcol(numbers["lon"], numbers["lat"]) if rows else (np.empty(0), np.empty(0))
    height, width = scene.shape_hw
    inside = (row >= -0.5) & (row < height - 0.5) & (col >= -0.5) & (col < width - 0.5)
    if rows and not inside.any():
        raise TruthError(f"no object of {path} lies in {scene.id}; give the truth of this scene")
    length = numbers["length"][inside]
    return SceneTruth(
        path=path,
        row=row[inside],
        col=col[inside],
        lon=numbers["lon"][inside],
        lat=numbers["lat"][inside],
        length_m=np.where(length > 0, length, np.nan),
        axis_deg=numbers["axis"][inside] % 180.0,
        is_low=low[inside],
        outlines=None,
        data_kind=data_kind,
    )


def _of_mask(path: Path, scene: Scene) -> SceneTruth:
    try:
        with rasterio.open(path) as dataset:
            if dataset.count != 1 or np.dtype(dataset.dtypes[0]).kind not in "ui":
                raise TruthError(f"{path} needs one band of whole numbers, one for each vessel and 0 elsewhere")
            values = dataset.read(1)
            transform, crs, tags = dataset.transform, dataset.crs, dataset.tags()
    except RasterioError as error:
        raise TruthError(f"{path} is neither GeoJSON, CSV nor a raster that GDAL can open: {error}") from error
    if values.shape != scene.shape_hw:
        raise TruthError(f"{path} has {values.shape} pixels and {scene.id} {scene.shape_hw}; they need one grid")
    if isinstance(scene.geometry, Grid) and crs is not None:
        grid = Grid(crs_wkt=crs.to_wkt(), transform=transform, shape_hw=values.shape)
        if not _same_place(grid, scene.geometry):
            raise TruthError(f"{path} does not lie on the grid of {scene.id}; they need one grid")
    outlines = _instances(values)
    middle = np.array([(o.row.mean(), o.col.mean()) for o in outlines]).reshape(-1, 2)
    lon, lat = scene.geometry.lonlat(middle[:, 0], middle[:, 1]) if outlines else (np.empty(0), np.empty(0))
    hulls = np.array([_on_ground(o, scene.geometry) for o in outlines]).reshape(-1, 2)
    return SceneTruth(
        path=path,
        row=middle[:, 0],
        col=middle[:, 1],
        lon=lon,
        lat=lat,
        length_m=hulls[:, 0],
        axis_deg=hulls[:, 1],
        is_low=np.zeros(len(outlines), bool),
        outlines=outlines,
        data_kind=tags.get("DATA_KIND"),
    )


def _instances(values: NDArray[Any]) -> tuple[PixelOutline, ...]:
    """The pixels of each number above 0, by number."""
    numbers, index = np.unique(values, return_inverse=True)
    index = index.reshape(values.shape)
    outlines = []
    for i, slices in enumerate(ndimage.find_objects(index + 1)):
        if numbers[i] > 0:
            row, col = np.nonzero(index[slices] == i)
            outlines.append(PixelOutline(row=row + slices[0].start, col=col + slices[1].start))
    return tuple(outlines)


def _on_ground(outline: PixelOutline, geometry: Geometry) -> tuple[float, float]:
    """Length in metres and axis from north of an instance."""
    row, col = float(outline.row.mean()), float(outline.col.mean())
    jacobian = jacobian_m(geometry, row, col)[0]
    corners = outline.corners
    offsets = np.column_stack([corners[:, 1] - 0.5 - row, corners[:, 0] - 0.5 - col])
    east, north = jacobian @ offsets.T
    length, _, axis_deg = oriented_size(np.column_stack([east, -north]))  # y down: up is north
    return length, axis_deg


def _same_place(grid: Grid, other: Grid) -> bool:
    """Whether opposite corners fall on the same pixels, to a tenth."""
    height, width = grid.shape_hw
    rows, cols = np.array([0.0, height - 1.0]), np.array([0.0, width - 1.0])
    row, col = other.rowcol(*grid.lonlat(rows, cols))
    return bool(np.abs([row - rows, col - cols]).max() < 0.1)


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def _number(row: Mapping[str, Any], keys: Sequence[str], path: Path, *, needed: bool) -> float:
    value = _first(row, keys)
    if value is None:
        if needed:
            raise TruthError(f"{path}: an object has none of {', '.join(keys)}; each needs its place in degrees")
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TruthError(f"{path}: {keys[0]} is {value!r}, not a number") from error
