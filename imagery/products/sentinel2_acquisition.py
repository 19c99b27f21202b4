"""When each pixel of a Sentinel-2 tile was seen, from what the product's XML says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from imagery.geometry import Grid, wrap_lon
from imagery.orbit_model import OrbitModel
from imagery.products.sentinel2 import states_mean_time
from imagery.products.sentinel2_metadata import ProductMetadata, TileMetadata

# One sigma of a tile's mean sensing time as the time of a place's pixel in the 10 m bands: the bands look 0 to 2.6 s
# apart, forward in one detector and backward in the next (ESA, Sentinel-2 Products Specification Document).
_SENSING_SIGMA_S = 1.0


def tile_acquisition(product: ProductMetadata, tile: TileMetadata) -> tuple[datetime, OrbitModel]:
    """Time of a tile and its acquisition geometry.

    From Level-1C baseline 02.07 on the tile's time is the mean over its pixels with data: that of the middle of their
    outline. Before, it is that of a larger piece of the pass; the relative orbit then dates the tile to some 10 s.

    Args:
        product: what the product's XML says.
        tile: what the tile's XML says.

    Returns:
        UTC time of the tile, aware, and the orbit's model through it.

    Raises:
        ImageryError: if the satellite cannot have seen the tile then from its orbit.
    """
    shared: dict[str, Any] = {
        "platform": "sentinel-2",
        "geometry": tile.grid,
        "relative_orbit": product.relative_orbit,
        "direction": product.direction,
    }
    height, width = tile.grid.shape_hw
    centre = ((height - 1) / 2.0, (width - 1) / 2.0)
    if states_mean_time(tile.level1_baseline or product.baseline):
        seen = OrbitModel(time=tile.sensing_time, time_sigma_s=_SENSING_SIGMA_S, **shared)
        late = seen.at(*(_middle(product, tile.grid) or centre)).time - seen.at(*centre).time
        late_s = float(late / np.timedelta64(1, "us")) / 1e6
        return tile.sensing_time, replace(seen, time=tile.sensing_time - timedelta(seconds=late_s))
    dated = OrbitModel(time=product.datatake_time, time_refers_to="datatake", **shared)
    return dated.at(*centre).time.astype("datetime64[us]").item().replace(tzinfo=UTC), dated


def _middle(product: ProductMetadata, grid: Grid) -> tuple[float, float] | None:
    """(row, col) of the middle of the pixels with data, None where their outline is not known."""
    if product.footprint is None:
        return None
    height, width = grid.shape_hw
    lon0 = float(grid.lonlat(height / 2.0, width / 2.0)[0])
    tile = Polygon([(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)])
    seen = []
    for part in product.footprint.geoms:
        lon, lat = np.asarray(part.exterior.coords).T
        row, col = grid.rowcol(lon0 + wrap_lon(lon - lon0), lat)
        seen.append(Polygon(np.column_stack([col, row])).buffer(0.0).intersection(tile))
    seen = [part for part in seen if part.area > 0.0]
    area = sum(part.area for part in seen)
    if not area:
        return None
    row, col = (sum(part.area * getattr(part.centroid, axis) for part in seen) / area for axis in ("y", "x"))
    return row, col
