"""Detections of an image without a georeference: places in rows and columns, lengths in pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from imagery.pixel_grid import PixelGrid
from models.detections import Detections

_NOWHERE = ("lon", "lat")


def in_pixels(grid: PixelGrid | None) -> bool:
    """Whether lengths are in pixels: there is no georeference, and nobody said how large a pixel is."""
    return grid is not None and grid.pixel_m is None


def pixel_columns(found: Detections, grid: PixelGrid) -> dict[str, list[Any]]:
    """Columns with ``row`` and ``col`` for places; lengths named ``_px`` where they are in pixels."""
    names = ("id", "kind", "row", "col", "length_m", "length_low_m", "length_high_m", "probability", "surface")
    return {_name(name, grid): getattr(found, name).tolist() for name in names}


def write_pixel_geojson(found: Detections, grid: PixelGrid, path: Path) -> None:
    """Write points (column, row) of pixel centres as GeoJSON; a member ``note`` says that they are not places.

    Args:
        found: the detections.
        grid: geometry of their scene.
        path: where.
    """
    names = [name for name in Detections.columns() if name not in _NOWHERE]
    columns = {_name(name, grid): _plain(getattr(found, name)) for name in names}
    features = [
        {
            "type": "Feature",
            "properties": {name: values[i] for name, values in columns.items()},
            "geometry": {"type": "Point", "coordinates": [float(found.col[i]), float(found.row[i])]},
        }
        for i in range(len(found))
    ]
    size = "lengths in pixels" if grid.pixel_m is None else f"pixels of {grid.pixel_m:g} m as said by the user"
    whole = {
        "type": "FeatureCollection",
        "note": f"no georeference: points are column and row of pixel centres, not longitude and latitude; {size}",
        "features": features,
    }
    path.write_text(json.dumps(whole, allow_nan=False) + "\n", encoding="utf-8")


def _name(name: str, grid: PixelGrid) -> str:
    """``length_m`` as ``length_px``, ``var_east_m2`` as ``var_east_px2``."""
    if not in_pixels(grid):
        return name
    for metres, pixels in (("_m", "_px"), ("_m2", "_px2")):
        if name.endswith(metres):
            return name.removesuffix(metres) + pixels
    return name


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    """Values for JSON: what is not finite becomes null, times ISO 8601."""
    if values.dtype.kind == "M":
        return [None if np.isnat(t) else f"{t}Z" for t in values]
    if values.dtype.kind == "f":
        return [v if np.isfinite(v) else None for v in values.tolist()]
    return list(values.tolist())
