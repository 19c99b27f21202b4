"""Which water of an area a scene could show a ship on, by tile; an empty tile without this number means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from imagery.aoi import AreaOfInterest
from imagery.fetchers.base import SceneRef
from imagery.geometry import Window, dense_rowcol, split_at_antimeridian, wrap_lon
from imagery.land import Land
from imagery.scene import Scene
from imagery.surface import Surface, SurfaceMap
from offing.status import WaterState

TILE_M = 2000.0
_STEP_M = 100.0  # places judged: 400 in a tile, so a share is good to about 2.5 %
_FIRST_M = 45.0  # from the tile's corner: on pixel centres of the 10 m lattices, not on corners, where rounding decides

_SEEN_BEFORE = "counted in another scene of the same pass"
_REASONS = {
    Surface.INTERTIDAL: "ground that the tide covers",
    Surface.SHORE: "along the shore",
    Surface.NEAR_CLOUD: "edge of cloud",
    Surface.CLOUD: "cloud",
    Surface.NO_DATA: "outside the image, no data or clipped values",
}


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """Squares of `TILE_M` on the area's UTM grid: the same on every date, from whatever scene.

    Attributes:
        epsg: UTM zone.
        tile: (n,) number of the tile that each place belongs to.
        lon, lat: (n,) places every 100 m inside the area.
        corners: (tiles, 2) row and column of each tile, counted from the zone's origin.
        names: tile names, zone and south-west corner in km.
        squares: tile outlines in degrees, split at the antimeridian.
        area_km2: surface of the area inside each tile.
    """

    epsg: int
    tile: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    corners: NDArray[np.int64]
    names: tuple[str, ...]
    squares: tuple[shapely.Polygon | shapely.MultiPolygon, ...]
    area_km2: NDArray[np.float64]

    def tile_of(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
        """Number of the tile that each place lies in, -1 where none of the area's does."""
        to_utm = Transformer.from_crs(4326, self.epsg, always_xy=True)
        x, y = (np.atleast_1d(v) for v in to_utm.transform(np.asarray(lon, float), np.asarray(lat, float)))
        number = {(int(row), int(col)): i for i, (row, col) in enumerate(self.corners)}
        keys = zip(np.floor(y / TILE_M).astype(int).tolist(), np.floor(x / TILE_M).astype(int).tolist(), strict=True)
        return np.array([number.get(key, -1) for key in keys], np.int64)


def tile_grid(area: AreaOfInterest) -> TileGrid:
    """Cut an area into tiles."""
    to_utm = Transformer.from_crs(4326, area.utm_epsg, always_xy=True)
    outline = shapely.transform(
        shapely.segmentize(area.unwrapped, 0.05), lambda xy: np.column_stack(to_utm.transform(xy[:, 0], xy[:, 1]))
    )
    west, south, east, north = outline.bounds
    xs = np.arange(np.floor(west / TILE_M) * TILE_M + _FIRST_M, east, _STEP_M)
    ys = np.arange(np.floor(south / TILE_M) * TILE_M + _FIRST_M, north, _STEP_M)
    x, y = (a.ravel() for a in np.meshgrid(xs, ys))
    inside = shapely.contains_xy(outline, x, y)
    x, y = x[inside], y[inside]
    key = np.column_stack([np.floor(y / TILE_M), np.floor(x / TILE_M)]).astype(np.int64)
    corners, tile = np.unique(key, axis=0, return_inverse=True)
    lon, lat = to_utm.transform(x, y, direction="INVERSE")
    squares = []
    for row, col in corners:
        ring = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * TILE_M + [col * TILE_M, row * TILE_M]
        ring_lon, ring_lat = to_utm.transform(ring[:, 0], ring[:, 1], direction="INVERSE")
        ring_lon = ring_lon[0] + wrap_lon(ring_lon - ring_lon[0])
        parts = split_at_antimeridian(shapely.Polygon(np.column_stack([ring_lon, ring_lat])))
        squares.append(parts.geoms[0] if len(parts.geoms) == 1 else parts)
    return TileGrid(
        epsg=area.utm_epsg,
        tile=tile.ravel(),
        corners=corners,
        lon=np.asarray(lon),
        lat=np.asarray(lat),
        names=tuple(f"{area.utm_epsg}_{col * 2}_{row * 2}" for row, col in corners),
        squares=tuple(squares),
        area_km2=np.asarray(np.bincount(tile.ravel(), minlength=len(corners)) * _STEP_M**2 / 1e6, np.float64),
    )


@dataclass(frozen=True, kw_only=True)
class Look:
    """A scene and what its pixels lie on."""

    scene: Scene
    surface: SurfaceMap

    def at(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.uint8]:
        """`Surface` classes at places, read in one window around them; `Surface.NO_DATA` outside the scene."""
        rows, cols = (np.round(v).astype(np.int64) for v in dense_rowcol(self.scene.geometry, lon, lat))
        out = np.full(rows.shape, Surface.NO_DATA, np.uint8)
        height, width = self.scene.shape_hw
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        if not inside.any():
            return out
        r, c = rows[inside], cols[inside]
        window = Window(row=int(r.min()), col=int(c.min()), height=int(np.ptp(r)) + 1, width=int(np.ptp(c)) + 1)
        classes = self.surface.classes(window, self.scene.read(window).measured)
        out[inside] = classes[r - window.row, c - window.col]
        return out


def seen_by(looks: Sequence[Look], lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """True for places that one of the looks holds a pixel of, whatever it shows."""
    seen = np.zeros(np.shape(lon), bool)
    for look in looks:
        seen |= look.at(lon, lat) != Surface.NO_DATA
    return seen


def tile_table(look: Look, grid: TileGrid, earlier: Sequence[Look] = ()) -> gpd.GeoDataFrame:
    """Observability of every tile of an area in one scene.

    Args:
        look: the scene and its surface map.
        grid: the area's tiles.
        earlier: scenes of the same pass whose water is counted with them.

    Returns:
        A row per tile: tile_id, scene_id, sensor, date, time, area_km2, water_km2, observed_km2, observed_fraction (of
        the water; NaN on land only), state and reason (of the largest unobserved part), and its outline in EPSG:4326.
    """
    scene = look.scene
    n = len(grid.names)
    counts = np.zeros((n, len(Surface)), np.int64)
    before = np.zeros(n, np.int64)  # places of SEA that an earlier scene of the pass has counted
    for tile in range(n):
        mine = grid.tile == tile
        classes = look.at(grid.lon[mine], grid.lat[mine])
        counts[tile] = np.bincount(classes, minlength=len(Surface))
        if earlier:
            before[tile] = np.sum((classes == Surface.SEA) & seen_by(earlier, grid.lon[mine], grid.lat[mine]))
    total = np.maximum(counts.sum(axis=1), 1)
    water = total - counts[:, Surface.LAND]
    sea = counts[:, Surface.SEA] - before
    blocked = np.column_stack([counts[:, list(_REASONS)], before])
    worst = np.array([*_REASONS.values(), _SEEN_BEFORE], dtype=object)[blocked.argmax(axis=1)]
    reason = np.where(water == 0, "land", np.where(blocked.sum(axis=1) > 0, worst, ""))
    return _table(
        grid, scene.id, scene.sensor.name, scene.time, water_share=water / total, sea_share=sea / total, reason=reason
    )


def unseen_table(ref: SceneRef, grid: TileGrid, land: Land | None) -> gpd.GeoDataFrame:
    """The rows of `tile_table` for a scene that could not be had: no water of it was observed."""
    n = len(grid.names)
    on_land = shapely.contains_xy(land.polygons, grid.lon, grid.lat) if land else np.zeros(len(grid.lon), bool)
    places = np.maximum(np.bincount(grid.tile, minlength=n), 1)
    water_share = 1.0 - np.bincount(grid.tile, weights=on_land, minlength=n) / places
    reason = np.where(water_share == 0, "land", "the scene could not be had")
    return _table(
        grid, ref.id, ref.sensor_name, ref.time, water_share=water_share, sea_share=np.zeros(n), reason=reason
    )


def _table(
    grid: TileGrid,
    scene_id: str,
    sensor_name: str,
    time: datetime | None,
    *,
    water_share: NDArray[np.float64],
    sea_share: NDArray[np.float64],
    reason: NDArray[np.str_],
) -> gpd.GeoDataFrame:
    """A row per tile; shares are of the tile's places."""
    n = len(grid.names)
    observed = np.divide(sea_share, water_share, out=np.full(n, np.nan), where=water_share > 0)
    stamp = pd.Timestamp(time) if time else pd.NaT
    return gpd.GeoDataFrame(
        {
            "tile_id": grid.names,
            "scene_id": scene_id,
            "sensor": sensor_name,
            "date": time.date().isoformat() if time else "",
            "time": pd.Series([stamp] * n, dtype="datetime64[us, UTC]"),
            "area_km2": grid.area_km2,
            "water_km2": grid.area_km2 * water_share,
            "observed_km2": grid.area_km2 * sea_share,
            "observed_fraction": observed,
            "state": np.where(sea_share > 0, WaterState.OBSERVED.value, WaterState.NOT_OBSERVED.value),
            "reason": reason.astype(str),
        },
        geometry=list(grid.squares),
        crs="EPSG:4326",
    )
