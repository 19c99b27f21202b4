"""Evaluation scenes as files that ordinary tools read; both say that they are simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from imagery.geometry import Grid
from imagery.second_sea.truth import EvaluationScene

_CRS = "EPSG:32651"  # UTM zone 51 north
_CORNER_M = (400_000.0, 4_000_000.0)  # easting and northing of the upper-left corner: the middle of the Yellow Sea
_SIMULATED = "SIMULATED by imagery.second_sea: no satellite took this picture, and its place is arbitrary"


def scene_grid(scene: EvaluationScene) -> Grid:
    """The arbitrary place that files give a scene: north up, in the middle of the Yellow Sea."""
    side = scene.pixel_size_m
    return Grid.from_crs(_CRS, Affine(side, 0.0, _CORNER_M[0], 0.0, -side, _CORNER_M[1]), scene.shape_hw)


def write_geotiff(scene: EvaluationScene, path: str | Path) -> Path:
    """Write sigma0 (linear, float32) as a tiled, compressed GeoTIFF with bands VV and VH.

    Returns:
        The path written.
    """
    path = Path(path)
    grid = scene_grid(scene)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=scene.shape_hw[0],
        width=scene.shape_hw[1],
        count=2,
        dtype="float32",
        crs=_CRS,
        transform=grid.transform,
        nodata=float("nan"),
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=3,
    ) as dataset:
        dataset.write(scene.sigma0)
        dataset.descriptions = scene.polarisations
        dataset.units = ("linear sigma0", "linear sigma0")
        dataset.update_tags(
            PROVENANCE=_SIMULATED,
            UNIT="sigma0",
            KIND=scene.kind,
            SEED=str(scene.seed),
            WIND_M_S=f"{scene.wind_m_s:.3f}",
            INCIDENCE_DEG=f"{scene.incidence_deg[0, 0]:.3f} {scene.incidence_deg[0, -1]:.3f}",
        )
    return path


def truth_json(scene: EvaluationScene) -> str:
    """The scene's ships, structures and ghosts as JSON text, with the place that `write_geotiff` gives them.

    Infinite distances to a shore that the picture does not show are null.
    """
    grid = scene_grid(scene)
    return json.dumps(
        {
            "provenance": _SIMULATED,
            "kind": scene.kind,
            "seed": scene.seed,
            "shape_hw": list(scene.shape_hw),
            "pixel_size_m": scene.pixel_size_m,
            "wind_m_s": scene.wind_m_s,
            "ships": _records(grid, scene.ships),
            "structures": _records(grid, scene.structures),
            "ghosts": _records(grid, scene.ghosts),
        },
        allow_nan=False,
        indent=1,
    )


def _records(grid: Grid, table: Any) -> list[dict[str, Any]]:
    lon, lat = grid.lonlat(table.row, table.col)
    columns: dict[str, list[Any]] = {name: _plain(getattr(table, name)) for name in table.__dataclass_fields__}
    columns |= {"lon": lon.tolist(), "lat": lat.tolist()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: Any) -> list[Any]:
    if isinstance(column, tuple):
        return list(column)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        return [value if np.isfinite(value) else None for value in column.tolist()]
    return list(column.tolist())
