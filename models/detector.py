"""One scene in, detections out: tiles in parallel, one sparse table, one grouping over the whole scene."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from imagery.geometry import Window
from imagery.land import Land
from imagery.scene import Pixels, Scene
from imagery.surface import SOUGHT, SurfaceMap
from imagery.thermal_noise import with_thermal_noise
from imagery.tiling import Tile, tiles
from models.cfar import ALARM, GROW
from models.detections import Detections
from models.ghosts import Echoes, Ghosts, ghosts, land_echoes
from models.hot_pixels import Blobs, HotPixels, HullRules, blobs

# No ship afloat has been longer than 458 m (Seawise Giant); what is longer is ground, a causeway or a bank of fog.
LONGEST_SHIP_M = 460.0

# Sentinel-1: of AIS-matched, human-reviewed pairs, 10 % have a pixel extent of 4.1 and 90 % one of 1.4 times the true
# length or more (design note on AIS, section 4, measured): an 80 % interval of the length.
_SAR_EXTENT_OVER_LENGTH_HIGH = 4.1
_DOUBTFUL_SURFACES = ("shore", "intertidal", "land", "near_cloud")
_LEAST_DOUBTFUL = 0.1  # on those surfaces, objects below this probability are only counted
_TILE_PX = 1024
_MARGIN_PX = 64  # hulls that begin outside the region are measured whole

Progress = Callable[[int, int], None]


class PixelDetector(Protocol):
    """Judges pixels; the rest of the way to a detection is common to all detectors."""

    @property
    def name(self) -> str:
        """Name with everything its result depends on."""
        ...

    @property
    def halo_px(self) -> int:
        """How far around a pixel its judgement looks."""
        ...

    @property
    def rules(self) -> HullRules:
        """What makes one object of its hot pixels."""
        ...

    def prepare(self, scene: Scene, surface: SurfaceMap) -> PixelDetector:
        """This detector with what it must know of the whole scene; raises DetectorError if it does not fit it."""
        ...

    def hot(self, scene: Scene, pixels: Pixels, classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """(level, ratio) of each pixel of a padded window."""
        ...


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a detector returns for one scene.

    Attributes:
        detections: the objects.
        notes: what was set aside and why, a sentence each.
    """

    detections: Detections
    notes: tuple[str, ...]


@runtime_checkable
class SceneDetector(Protocol):
    """Finds objects its own way, not by pixels."""

    @property
    def name(self) -> str:
        """Name with everything its result depends on."""
        ...

    def find(
        self,
        scene: Scene,
        surface: SurfaceMap,
        land: Land | None,
        *,
        region: Window | None,
        tile_px: int | None,
        tile_origin: tuple[int, int],
        workers: int,
        progress: Progress | None,
    ) -> Found:
        """See `detect`."""
        ...


def detect(
    scene: Scene,
    detector: PixelDetector | SceneDetector,
    surface: SurfaceMap,
    land: Land | None,
    *,
    region: Window | None = None,
    tile_px: int | None = None,
    tile_origin: tuple[int, int] = (0, 0),
    workers: int = 1,
    progress: Progress | None = None,
) -> Found:
    """Find the objects of a scene.

    The result does not depend on tile_px, tile_origin or workers.

    Args:
        scene: the scene.
        detector: a judge of pixels, or one that knows its own way.
        surface: what its pixels show; nothing is sought on land, cloud or no data.
        land: land polygons for shore distances, None where unknown.
        region: pixels in which objects' centres must lie; None = all.
        tile_px: side of a tile in pixels; None leaves it to the detector.
        tile_origin: (row, col) through which tile boundaries pass.
        workers: threads.
        progress: called with (tiles done, tiles in all).

    Returns:
        The detections, ordered by (row, col).

    Raises:
        DetectorError: if the detector does not fit the scene.
        NoWaterError: if the scene shows no open water.
    """
    scene = with_thermal_noise(scene)
    if isinstance(detector, SceneDetector):
        return detector.find(
            scene,
            surface,
            land,
            region=region,
            tile_px=tile_px,
            tile_origin=tile_origin,
            workers=workers,
            progress=progress,
        )
    ready = detector.prepare(scene, surface)
    region = region or scene.window
    sought = region.padded(_MARGIN_PX).intersection(scene.window) or scene.window
    cut = list(tiles(sought, tile_px=tile_px or _TILE_PX, halo_px=ready.halo_px, origin=tile_origin))

    def one(tile: Tile) -> HotPixels:
        return _hot_in_tile(scene, ready, surface, tile)

    parts = []
    with ThreadPoolExecutor(workers) as pool:
        for done, part in enumerate(pool.map(one, cut), start=1):
            parts.append(part)
            if progress is not None:
                progress(done, len(cut))
    found = blobs(HotPixels.concatenate(parts), scene.geometry, ready.rules)
    inside = (
        (found.row >= region.row - 0.5)
        & (found.row < region.row + region.height - 0.5)
        & (found.col >= region.col - 0.5)
        & (found.col < region.col + region.width - 0.5)
    )
    inside &= found.pixels >= ready.rules.min_pixels
    too_large = (found.extent_m > LONGEST_SHIP_M) | (found.breadth_m > ready.rules.max_breadth_m)
    notes = []
    if n := int((inside & too_large).sum()):
        limits = f"{LONGEST_SHIP_M:.0f} m long or {ready.rules.max_breadth_m:.0f} m broad"
        notes.append(f"{n} bright regions larger than any ship (over {limits}) were set aside")
    rows = np.flatnonzero(inside & ~too_large)
    images = _ghosts(scene, found, surface, rows, sought)
    notes.extend(images.notes)
    detections = _describe(scene, ready, found, images.is_ghost, surface, land, rows)
    doubtful = np.isin(detections.surface, _DOUBTFUL_SURFACES) & (detections.probability < _LEAST_DOUBTFUL)
    if n := int(doubtful.sum()):
        notes.append(f"{n} weak bright spots at the shore, on tidal ground or near cloud were set aside")
    return Found(detections=detections.take(~doubtful), notes=tuple(notes))


def testable(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels in which objects are sought."""
    return np.isin(classes, SOUGHT)


def settings_name(kind: str, settings: object) -> str:
    """Detector name with a hash of its settings' repr."""
    return f"{kind}:{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"


def _hot_in_tile(scene: Scene, detector: PixelDetector, surface: SurfaceMap, tile: Tile) -> HotPixels:
    pixels = scene.read(tile.padded)
    classes = surface.classes(tile.padded, pixels.measured)
    core = tile.core.slices_in(tile.padded)
    if not testable(classes[core]).any():
        level, ratio = np.zeros((0, 0), np.uint8), np.zeros((0, 0))
    else:
        level, ratio = detector.hot(scene, pixels, classes)
        level, ratio = level[core], ratio[core]
    rows, cols = np.nonzero((level == GROW) | (level == ALARM))
    return HotPixels(
        row=rows + tile.core.row,
        col=cols + tile.core.col,
        level=level[rows, cols],
        ratio=ratio[rows, cols].astype(float),
    )


def _ghosts(scene: Scene, found: Blobs, surface: SurfaceMap, rows: NDArray[np.int64], sought: Window) -> Ghosts:
    """Which blobs are ghosts, of each other or, for those in some rows, of what was not searched."""
    spots = Echoes(row=found.row, col=found.col, extent_m=found.extent_m, peak_ratio=found.peak_ratio)
    asked = spots.take(rows)
    land = land_echoes(scene, surface, asked, scene.acquisition.at(asked.row, asked.col), sought=sought)
    return ghosts(scene, spots, scene.acquisition.at(spots.row, spots.col), land)


def _describe(
    scene: Scene,
    detector: PixelDetector,
    found: Blobs,
    ghost: NDArray[np.bool_],
    surface: SurfaceMap,
    land: Land | None,
    rows: NDArray[np.int64],
) -> Detections:
    """The columns of the detections that blobs make."""
    row, col = found.row[rows], found.col[rows]
    n = len(row)
    lon, lat = scene.geometry.lonlat(row, col) if n else (np.empty(0), np.empty(0))
    seen = scene.acquisition.at(found.row, found.col)
    shore = land.shore_distance_m(lon, lat) if land is not None and n else np.full(n, np.nan)
    length, width = (
        _hull_interval(scene, extent[rows], found.pixel_m[rows]) for extent in (found.extent_m, found.breadth_m)
    )
    axis, axis_error = found.axis_deg[rows], np.minimum(1.645 * found.axis_sigma_deg[rows], 90.0)
    contrast_db = 10.0 * np.log10(np.maximum(found.peak_ratio[rows], 1e-12))
    variance = scene.sensor.geolocation_sigma_m**2 + found.pixel_m[rows] ** 2 / 12.0
    return Detections(
        id=np.array([f"{scene.id}/r{r:.1f}c{c:.1f}" for r, c in zip(row, col, strict=True)], dtype=str),
        scene_id=np.full(n, scene.id),
        detector=np.full(n, detector.name),
        time=seen.time[rows],
        time_sigma_s=seen.time_sigma_s[rows],
        row=row,
        col=col,
        lon=lon,
        lat=lat,
        var_east_m2=variance,
        cov_east_north_m2=np.zeros(n),
        var_north_m2=variance,
        length_m=length[0],
        length_low_m=length[1],
        length_high_m=length[2],
        width_m=width[0],
        width_low_m=width[1],
        width_high_m=width[2],
        heading_deg=axis,
        heading_low_deg=axis - axis_error,
        heading_high_deg=axis + axis_error,
        kind=np.where(ghost[rows], "ghost", "vessel"),
        probability=_uncalibrated_probability(scene, contrast_db, found.extent_m[rows], found.breadth_m[rows]),
        probability_calibrated=np.zeros(n, bool),
        contrast_db=contrast_db,
        shore_distance_m=shore,
        surface=surface.at(row, col, shore),
    )


def _hull_interval(
    scene: Scene, extent_m: NDArray[np.float64], pixel_m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Hull size from the extent of a blob: (estimate, low, high) in metres.

    A point spreads over about one resolution cell, which is taken off. Radar interval: see
    `_SAR_EXTENT_OVER_LENGTH_HIGH` below, the extent itself above. Optical interval: one pixel at either end.
    """
    blur_m = max(scene.sensor.resolution_m) if scene.sensor.resolution_m and scene.sensor.kind == "sar" else 0.0
    size = np.maximum(extent_m - blur_m, pixel_m)
    if scene.sensor.kind == "sar":
        return size, extent_m / _SAR_EXTENT_OVER_LENGTH_HIGH, extent_m
    return size, np.maximum(extent_m - 2.0 * pixel_m, 0.0), extent_m + 2.0 * pixel_m


def _uncalibrated_probability(
    scene: Scene, contrast_db: NDArray[np.float64], extent_m: NDArray[np.float64], breadth_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A rising curve of contrast: an order of trust, not a frequency (hence `probability_calibrated` False).

    Even odds at 16 dB in radar, which the spikiest sea reaches once in 1e8 pixels (K clutter of order 1, 4.4 looks). In
    optical scenes at an excess of 0.15 (11.7 dB), which whitecaps within a pixel, thin cloud and drying banks stay
    below. What is broader than one hull (beam a sixth of the length, and two pixels of blur) must be twice as bright:
    puffs of cloud are broad, and so are rafts.
    """
    if scene.sensor.kind == "sar":
        return np.asarray(expit((contrast_db - 16.0) / 1.5))
    broad = breadth_m > np.maximum(0.25 * extent_m + 25.0, 45.0)
    return np.asarray(expit(contrast_db - np.where(broad, 14.7, 11.7)))
