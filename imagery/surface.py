"""What each pixel of a scene shows: sea, ground that the tide covers, land, cloud and its edge, or nothing.

Only `SEA` counts as observed water. Land is exact polygons; the rest is judged on means of 4 x 4 pixels, on blocks that
are fixed to the scene's first pixel, so the answer for a pixel never depends on the window that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from imagery.geometry import Geometry, Window, first_pixel, pixel_size_m
from imagery.land import Land, LandOnScene
from imagery.radiometry import linear_intensity
from imagery.scene import Scene
from imagery.sensors import measured_bands

BLOCK_PX = 4

# Quays, rocks and moored boats within this distance of mapped land or of tidal ground cannot be told from ships by
# position: the map errs by tens of metres, the scene by 10-20 m, and the shore moves with the tide.
SHORE_MARGIN_M = 200.0

# Nothing is sought on the three pixels along the land: its echo spreads over them (design note on plumes, 3.1).
_SHORE_PX = 3

_CELL_BLOCKS = 16  # 64 px: the side over which 'is there data' and 'how bright is water' are judged
_CELL_PX = _CELL_BLOCKS * BLOCK_PX

# A radar block counts as ground where it is 6 dB above the calmer water around it and from 10 dB below to 6 dB above
# the scene's land: wind can brighten water by 6 dB over a slick, but not to near the level of land at the same time,
# and ships are brighter than land. 16 pixels of 4.4 looks scatter by 0.6 dB. Own choices, made on Dublin's flats and
# the simulator's; tests/test_surface.py shows what they catch.
_GROUND_OVER_WATER = 4.0
_GROUND_OVER_LAND = (0.1, 4.0)
_WATER_QUANTILE = 25.0
_WATER_REACH_CELLS = 2
# Water is black in the short-wave infrared (B11) even when turbid (0.02 at most in the medians of real plumes), but
# glint and haze lift it everywhere at once: ground stands this much over the water around it. Without B11 the near
# infrared must do, where turbid water itself reaches 0.1.
_GROUND_SWIR_EXCESS = 0.05
_GROUND_NIR_EXCESS = 0.13
# Cloud is bright from the blue (MARIDA class means: 0.15 and more) to the short-wave infrared (0.93 of red; design note
# on plumes, 2.5: SW1 > 0.08), where glint and haze lift the whole scene. Mud and vegetation are darker in the blue,
# concrete is not: small works joined to the shore are not cloud.
_CLOUD_BLUE = 0.14
_CLOUD_SWIR = 0.08
_CLOUD_SWIR_EXCESS = 0.05  # over the clearest 5 % of the scene's water, which strong glint can lift to 0.10 (Cartagena)
_CLOUD_SWIR_MOST = 0.17  # where even the clearest water is under cloud
_CLOUD_AT_SHORE_KM2 = 0.25
_AROUND_PX = 512  # context for cloud margins, shores, and flats that are joined to the land outside the region
_CLOUD_MARGIN_M = 350.0  # haze, displaced bands, shadow, and the small puffs that keep a cloud company
_BROKEN_CLOUD_BLOCKS = 25  # 1 km: where cloud covers more than this share of that square, its gaps are not trusted
_BROKEN_CLOUD_SHARE = 0.4
_MAX_TIDAL_WIDTH_M = 6000.0
_BANK_GAP_M = 1000.0  # a bank that falls dry may lie this far off the shore
_EIGHT = np.ones((3, 3), bool)  # 120 m both ways: no ship fills that
_DATA_SHARE = 0.01  # share of unclipped pixels that proves that a cell holds data


class Surface(IntEnum):
    """Class of one pixel."""

    SEA = 0
    INTERTIDAL = 1
    NEAR_CLOUD = 2
    SHORE = 3
    LAND = 4
    CLOUD = 5
    NO_DATA = 6


# Objects are sought on these; what is found off the sea may not be a ship, and nothing found there means nothing.
SOUGHT = (Surface.SEA, Surface.INTERTIDAL, Surface.NEAR_CLOUD)


@dataclass(frozen=True, kw_only=True)
class SurfaceMap:
    """Surface classes of one scene.

    Attributes:
        window: pixels that the blocks and cells cover, from the corner of a cell; it may reach outside the scene.
        land: land polygons on the scene, None where no land is known.
        ground: (blocks, blocks) bool, True = tidal or unmapped ground joined to the shore.
        cloud: (blocks, blocks) bool, True = cloud.
        near_ground: (blocks, blocks) bool, True = within `SHORE_MARGIN_M` of such ground.
        near_cloud: (blocks, blocks) bool, True = so near a cloud, or in a gap of broken cloud, that a bright spot may
            be part of it.
        empty: (cells, cells) bool, True = no proof that this 64 px cell holds data at all.
    """

    window: Window
    land: LandOnScene | None
    ground: NDArray[np.bool_]
    cloud: NDArray[np.bool_]
    near_ground: NDArray[np.bool_]
    near_cloud: NDArray[np.bool_]
    empty: NDArray[np.bool_]

    def classes(self, window: Window, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Classes of the pixels of a window.

        Args:
            window: pixels wanted; outside the map's own window all is `Surface.NO_DATA` or land.
            valid: (height, width) bool, True = the sensor measured the pixel.

        Returns:
            (height, width) uint8 of `Surface`.
        """
        rows = np.arange(window.row, window.row + window.height)
        cols = np.arange(window.col, window.col + window.width)
        block_rows, block_cols = self._blocks(rows, cols)
        inside = np.ix_(block_rows, block_cols)
        cells = (inside[0] // _CELL_BLOCKS, inside[1] // _CELL_BLOCKS)
        known = np.outer(
            (rows >= self.window.row) & (rows < self.window.row + self.window.height),
            (cols >= self.window.col) & (cols < self.window.col + self.window.width),
        )
        out = np.full(window.shape_hw, Surface.SEA, np.uint8)
        out[self.ground[inside]] = Surface.INTERTIDAL
        out[self.near_cloud[inside]] = Surface.NEAR_CLOUD
        out[self.cloud[inside]] = Surface.CLOUD
        out[self.empty[cells] | ~valid | ~known] = Surface.NO_DATA
        if self.land is not None:
            around = window.padded(_SHORE_PX)
            land = self.land.mask(around)
            near = ndimage.binary_dilation(land, structure=_EIGHT, iterations=_SHORE_PX)
            core = window.slices_in(around)
            out[near[core] & (out != Surface.NO_DATA)] = Surface.SHORE
            out[land[core]] = Surface.LAND
        return out

    def unseen(self) -> SurfaceMap:
        """The same land, and nowhere proof of data: for a scene that nothing can be sought in."""
        return replace(self, empty=np.ones_like(self.empty))

    def _blocks(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the blocks that pixels lie in; the nearest where they lie outside the map's window."""
        row = np.clip(np.asarray(rows, np.int64) - self.window.row, 0, self.window.height - 1)
        col = np.clip(np.asarray(cols, np.int64) - self.window.col, 0, self.window.width - 1)
        return row // BLOCK_PX, col // BLOCK_PX

    def at(self, rows: ArrayLike, cols: ArrayLike, shore_distance_m: NDArray[np.float64]) -> NDArray[np.str_]:
        """Surface names (see `models.detections.Detections.surface`) at places, from shore distance and the blocks."""
        block_rows, block_cols = self._blocks(np.round(np.asarray(rows)), np.round(np.asarray(cols)))
        names = np.where(self.near_cloud[block_rows, block_cols], "near_cloud", "sea").astype("<U10")
        names[self.ground[block_rows, block_cols]] = "intertidal"
        at_shore = (shore_distance_m < SHORE_MARGIN_M) | self.near_ground[block_rows, block_cols]
        names[(names == "sea") & at_shore] = "shore"
        names[shore_distance_m < 0] = "land"
        return np.where(np.isnan(shore_distance_m) & (names == "sea"), "unknown", names)


def map_surface(scene: Scene, land: Land | None, region: Window | None = None) -> SurfaceMap:
    """Judge what a scene's pixels show.

    Args:
        scene: a radar or optical scene.
        land: land around it, None where unknown: then no ground can be joined to a shore.
        region: pixels that matter; what lies more than `_AROUND_PX` outside is not read and is `Surface.NO_DATA`. None
            takes the whole scene.

    Returns:
        Its surface map.
    """
    on_scene = land.on(scene.geometry) if land is not None else None
    blocks = _block_means(scene, on_scene, _whole_cells(scene.geometry, (region or scene.window).padded(_AROUND_PX)))
    cloud, near_cloud = _clouds(scene, blocks)
    bright = _is_ground(scene, blocks) & ~(cloud | near_cloud)
    # opened together with the land: a fringe along the shore stays, a ship at a quay does not
    extended = ndimage.binary_opening(bright | blocks.touches_land, structure=_EIGHT) & bright
    # what is not water in the short-wave infrared is ground wherever it lies; radar alone cannot tell squall from bank
    ground = extended if scene.sensor.kind == "optical" else _joined_to(blocks.touches_land, extended, _block_m(scene))
    return SurfaceMap(
        window=blocks.window,
        land=on_scene,
        ground=ground,
        cloud=cloud,
        near_ground=_within(ground, SHORE_MARGIN_M, scene),
        near_cloud=near_cloud,
        empty=~blocks.seen,
    )


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """Means over 4 x 4 pixels: brightness and blue of what is not land (NaN elsewhere); what blocks and cells hold."""

    window: Window
    bright: NDArray[np.float32]
    blue: NDArray[np.float32]
    measured: NDArray[np.bool_]  # blocks with a valid pixel
    seen: NDArray[np.bool_]  # cells with enough of them
    touches_land: NDArray[np.bool_]
    land_level: float


def _whole_cells(geometry: Geometry, window: Window) -> Window:
    """The window grown to whole cells, whose corners lie on the same ground however the scene was cut."""
    first_row, first_col = first_pixel(geometry)
    row = window.row - (window.row + first_row) % _CELL_PX
    col = window.col - (window.col + first_col) % _CELL_PX
    return Window(
        row=row,
        col=col,
        height=-(-(window.row + window.height - row) // _CELL_PX) * _CELL_PX,
        width=-(-(window.col + window.width - col) // _CELL_PX) * _CELL_PX,
    )


def _block_means(scene: Scene, land: LandOnScene | None, window: Window) -> _Blocks:
    """Read a window of whole cells once, in strips of one cell's height."""
    shape = (window.height // BLOCK_PX, window.width // BLOCK_PX)
    bright, blue = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    measured, touches_land = np.zeros(shape, bool), np.zeros(shape, bool)
    seen = np.zeros((window.height // _CELL_PX, window.width // _CELL_PX), bool)
    on_land_values = [np.empty(0, np.float32)]
    for cell_row in range(len(seen)):
        strip = Window(row=window.row + cell_row * _CELL_PX, col=window.col, height=_CELL_PX, width=window.width)
        into = slice(cell_row * _CELL_BLOCKS, (cell_row + 1) * _CELL_BLOCKS)
        on_land = land.mask(strip) if land is not None else np.zeros(strip.shape_hw, bool)
        touches_land[into] = _block_sum(on_land, BLOCK_PX) > 0
        if strip.intersection(scene.window) is None:
            continue
        pixels = scene.read(strip)
        valid = unclipped = pixels.measured
        if scene.clip_value is not None:
            unclipped = np.asarray(valid & (pixels.data > scene.clip_value).any(axis=0))
        seen[cell_row] = _block_sum(unclipped, _CELL_PX)[0] > _DATA_SHARE * np.maximum(
            _block_sum(valid, _CELL_PX)[0], 1
        )
        measured[into] = _block_sum(valid, BLOCK_PX) > 0
        value, blue_value = _brightness(scene, pixels.data)
        bright[into] = _block_mean(value, valid & ~on_land)
        blue[into] = _block_mean(blue_value, valid & ~on_land)
        land_means = _block_mean(value, valid & on_land)
        on_land_values.append(land_means[np.isfinite(land_means)])
    on_land_all = np.concatenate(on_land_values)
    return _Blocks(
        window=window,
        bright=bright,
        blue=blue,
        measured=measured,
        seen=seen,
        touches_land=touches_land,
        land_level=float(np.median(on_land_all)) if len(on_land_all) else np.inf,
    )


def _brightness(scene: Scene, data: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The band in which ground stands out, and blue (zeros for radar)."""
    if scene.sensor.kind == "sar":
        return linear_intensity(data[0], scene.unit), np.zeros_like(data[0])
    name = next((b for b in ("b11", "b08", "b04") if b in scene.bands), measured_bands(scene.bands)[-1])
    blue = data[scene.bands.index("b02")] if "b02" in scene.bands else np.zeros_like(data[0])
    return data[scene.bands.index(name)], blue


def _is_ground(scene: Scene, blocks: _Blocks) -> NDArray[np.bool_]:
    bright = np.nan_to_num(blocks.bright, nan=0.0)
    if scene.sensor.kind == "optical":
        excess = _GROUND_SWIR_EXCESS if "b11" in scene.bands else _GROUND_NIR_EXCESS
        return np.asarray(bright > excess + _water_level(blocks.bright))
    low, high = (factor * blocks.land_level for factor in _GROUND_OVER_LAND)
    return (bright > _GROUND_OVER_WATER * _water_level(blocks.bright)) & (bright > low) & (bright < high)


def _water_level(bright: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness of the calmer water of the 5 x 5 cells (3 km) around each block; infinite where there is none."""
    cells = (bright.shape[0] // _CELL_BLOCKS, bright.shape[1] // _CELL_BLOCKS)
    by_cell = bright.reshape(cells[0], _CELL_BLOCKS, cells[1], _CELL_BLOCKS).swapaxes(1, 2).reshape(*cells, -1)
    low = np.full(cells, np.nan, np.float32)
    has = np.isfinite(by_cell).mean(axis=2) > 0.1
    low[has] = np.nanmedian(by_cell[has], axis=1)
    reach = range(-_WATER_REACH_CELLS, _WATER_REACH_CELLS + 1)
    around = np.stack([_shifted(low, d_row, d_col) for d_row in reach for d_col in reach])
    level = np.full(cells, np.inf, np.float32)
    known = np.isfinite(around).any(axis=0)
    level[known] = np.nanpercentile(around[:, known], _WATER_QUANTILE, axis=0)
    return np.asarray(np.kron(level, np.ones((_CELL_BLOCKS, _CELL_BLOCKS), np.float32)), np.float32)


def _shifted(array: NDArray[np.float32], d_row: int, d_col: int) -> NDArray[np.float32]:
    margin = _WATER_REACH_CELLS
    padded = np.pad(array, margin, constant_values=np.nan)
    return padded[margin + d_row :, margin + d_col :][: array.shape[0], : array.shape[1]]


def _clouds(scene: Scene, blocks: _Blocks) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cloud, and the water near it or in the gaps of broken cloud; none in radar, or without blue."""
    none = np.zeros(blocks.bright.shape, bool)
    if scene.sensor.kind != "optical" or "b02" not in scene.bands:
        return none, none
    infrared = np.nan_to_num(blocks.bright, nan=0.0)
    known = blocks.bright[np.isfinite(blocks.bright)]
    clearest = float(np.percentile(known, 5.0)) if len(known) else 0.0
    threshold = min(max(_CLOUD_SWIR, clearest + _CLOUD_SWIR_EXCESS), _CLOUD_SWIR_MOST)
    thick = (np.nan_to_num(blocks.blue, nan=0.0) > _CLOUD_BLUE) & (infrared > threshold)
    labels, _ = ndimage.label(ndimage.binary_opening(thick, structure=_EIGHT), structure=_EIGHT)
    size_km2 = np.bincount(labels.ravel()) * (_block_m(scene) / 1000.0) ** 2
    at_shore = np.zeros(len(size_km2), bool)
    at_shore[np.unique(labels[ndimage.binary_dilation(blocks.touches_land, structure=_EIGHT)])] = True
    is_cloud = ~at_shore | (size_km2 > _CLOUD_AT_SHORE_KM2)
    is_cloud[0] = False
    core = is_cloud[labels]
    if not core.any():
        return none, none
    clouded, measured = (
        ndimage.uniform_filter(mask.astype(np.float64), _BROKEN_CLOUD_BLOCKS, mode="constant")
        for mask in (core, blocks.measured)
    )
    share = np.divide(clouded, measured, out=np.zeros_like(clouded), where=measured > 1e-9)
    cloud = ndimage.binary_dilation(core, structure=_EIGHT)
    near = ndimage.distance_transform_edt(~cloud) * _block_m(scene) <= _CLOUD_MARGIN_M
    return cloud, (near | (share > _BROKEN_CLOUD_SHARE)) & ~cloud


def _block_m(scene: Scene) -> float:
    return BLOCK_PX * float(np.sqrt(np.prod(pixel_size_m(scene.geometry))))


def _joined_to(land: NDArray[np.bool_], extended: NDArray[np.bool_], block_m: float) -> NDArray[np.bool_]:
    """Extended ground at the land or on banks before it, no farther out than tidal flats reach."""
    if not land.any():
        return np.zeros_like(extended)
    offshore_m = ndimage.distance_transform_edt(~land) * block_m
    labels, _ = ndimage.label(extended, structure=_EIGHT)
    near = np.unique(labels[extended & (offshore_m <= _BANK_GAP_M)])
    return np.asarray(np.isin(labels, near[near > 0]) & ~land & (offshore_m <= _MAX_TIDAL_WIDTH_M))


def _within(mask: NDArray[np.bool_], distance_m: float, scene: Scene) -> NDArray[np.bool_]:
    """Blocks no farther than a distance from the True ones."""
    if not mask.any():
        return np.zeros_like(mask)
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~mask) * _block_m(scene) <= distance_m
    return near


def _block_sum(mask: NDArray[np.bool_], block_px: int) -> NDArray[np.int64]:
    height, width = mask.shape
    blocks = mask.reshape(height // block_px, block_px, width // block_px, block_px)
    return np.asarray(blocks.sum(axis=(1, 3)))


def _block_mean(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    height, width = mask.shape
    shape = (height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    total = np.where(mask, values, np.float32(0.0)).reshape(shape).sum(axis=(1, 3), dtype=np.float64)
    count = _block_sum(mask, BLOCK_PX)
    mean = np.full(count.shape, np.nan, np.float32)
    np.divide(total, count, out=mean, where=count > 0, casting="unsafe")
    return mean
