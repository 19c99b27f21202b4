"""A scene's geometry as plain values for JSON and back, exact to the last bit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from affine import Affine

from imagery.errors import RasterError
from imagery.geometry import GcpGrid, Geometry, Grid


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """A grid or control points as plain values.

    Raises:
        RasterError: if it is neither.
    """
    if isinstance(geometry, Grid):
        return {
            "kind": "grid",
            "crs_wkt": geometry.crs_wkt,
            "transform": [float(value) for value in tuple(geometry.transform)[:6]],
            "shape_hw": [int(side) for side in geometry.shape_hw],
        }
    if isinstance(geometry, GcpGrid):
        return {"kind": "gcps"} | {name: list(values) for name, values in asdict(geometry).items()}
    raise RasterError(f"a geometry of type {type(geometry).__name__} cannot be stored; give a Grid or a GcpGrid")


def geometry_from_json(stored: dict[str, Any]) -> Grid | GcpGrid:
    """What `geometry_to_json` stored.

    Raises:
        RasterError: if a part is missing or damaged.
    """
    try:
        height, width = (int(side) for side in stored["shape_hw"])
        if stored["kind"] == "grid":
            transform = Affine(*(float(value) for value in stored["transform"]))
            return Grid(crs_wkt=str(stored["crs_wkt"]), transform=transform, shape_hw=(height, width))
        row, col = (int(place) for place in stored["origin"])
        rows, cols, lon, lat = (
            tuple(float(value) for value in stored[name]) for name in ("gcp_rows", "gcp_cols", "gcp_lon", "gcp_lat")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RasterError(f"a stored geometry is damaged: {error!r}") from error
    return GcpGrid(gcp_rows=rows, gcp_cols=cols, gcp_lon=lon, gcp_lat=lat, shape_hw=(height, width), origin=(row, col))
