"""The vessel detector on a scene: peaks become detections with places, hulls in metres and probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from imagery.geometry import Window, jacobian_m, pixel_size_m
from imagery.land import Land
from imagery.radiometry import linear_intensity
from imagery.scene import Scene
from imagery.sensors import SENTINEL1_IW_GRD, measured_bands
from imagery.surface import SurfaceMap
from models.detections import Detections
from models.detector import Found, Progress
from models.errors import NoWaterError, WeightsError
from models.ghosts import Echoes, ghosts, land_echoes
from models.vessel.bands import check_fits
from models.vessel.calibration import EVERYWHERE, Calibration, strata
from models.vessel.cascade import SQUARE_PX, Sieve, Work
from models.vessel.decode import LEAST_LOGIT, Peaks
from models.vessel.detectability import NEAR_SHORE_M
from models.vessel.detector import VesselDetector
from models.vessel.engines import DEFAULT, engine_of, make_engine
from models.vessel.network import CLASSES
from models.vessel.scene import TILE_PX, scene_peaks
from models.vessel.shrunk import ShrunkEngine
from models.vessel.symmetry import SymmetricEngine

FloatArray = NDArray[np.float64]

LEAST_PROBABILITY = 0.1  # weaker ones are not listed
# Below this length a Sentinel-1 echo tells no more than 'small': its point response alone is 20 m wide.
SMALL_BELOW_M = 40.0
_OPTICAL_UNIT = 0.01  # of the contrast of an optical detection, see `Detections.contrast_db`
_BLOCK_PX = 256  # detections so near each other are looked at in one read
_CONTRAST_PX, _RING_PX = 3, 12  # peak within, background from beyond the first to the second


@dataclass(frozen=True, kw_only=True)
class VesselSearch:
    """A vessel detector at work on scenes: a `models.detector.SceneDetector`.

    Attributes:
        detector: the network and its record.
        engine: see `models.vessel.engines.make_engine`.
        cascade: skip what a loose CFAR finds to be empty radar sea, see `models.vessel.cascade`.
    """

    detector: VesselDetector
    engine: str = DEFAULT
    cascade: bool = False

    @property
    def name(self) -> str:
        """Name with everything the result depends on."""
        engine = engine_of(self.engine)
        return ":".join(
            (self.detector.name, *(() if engine == DEFAULT else (engine,)), *(("cascade",) if self.cascade else ()))
        )

    def find(
        self,
        scene: Scene,
        surface: SurfaceMap,
        land: Land | None,
        *,
        region: Window | None = None,
        tile_px: int | None = None,
        tile_origin: tuple[int, int] = (0, 0),
        workers: int = 1,
        progress: Progress | None = None,
    ) -> Found:
        """See `models.detector.detect`, which calls this; the scene has its thermal noise back by then.

        Raises:
            WeightsError: if the scene's unit, bands or pixel size are not what the network was trained on.
            NoWaterError: if the scene shows no water to seek in.
            DetectorError: if a cascade is asked for and cannot judge such a scene, or the engine is not to be had.
        """
        record = self.detector.record
        check_fits(scene, record.curve)
        self._check_pixel_size(scene)
        engine = make_engine(self.engine, self.detector.net)
        if record.symmetric:
            engine = SymmetricEngine(engine)
        if record.shrink > 1:
            engine = ShrunkEngine(engine, record.shrink)
        step_px = math.lcm(SQUARE_PX, engine.step_px)
        work = Work()
        with _threads(workers):
            found = scene_peaks(
                scene,
                engine,
                record.curve,
                surface,
                hull_share=record.hull_share,
                least_logit=LEAST_LOGIT,
                region=region,
                tile_px=tile_px or TILE_PX // step_px * step_px,
                tile_origin=tile_origin,
                sieve=Sieve.prepare(scene, surface) if self.cascade else None,
                work=work,
                progress=progress,
            )
        if work.whole_px == 0:
            raise NoWaterError(f"scene {scene.id} shows no open water; nothing can be sought in it")
        # Most peaks are too weak anywhere: only for the others is it worth asking how far the shore is.
        found = found.take(record.calibration.highest_probability(found.logit) >= LEAST_PROBABILITY)
        probability = record.calibration.probability(found.logit, _strata(scene, record.curve.bands, land, found))
        listed = np.flatnonzero(probability >= LEAST_PROBABILITY)
        listed = listed[np.lexsort((found.col[listed], found.row[listed]))]
        return self._describe(scene, surface, land, region, found.take(listed), probability[listed])

    def _check_pixel_size(self, scene: Scene) -> None:
        limits = self.detector.record.pixel_size_m
        if limits is None:
            return
        size = max(pixel_size_m(scene.geometry))
        if not limits[0] <= size <= limits[1]:
            raise WeightsError(
                f"scene {scene.id} has pixels of {size:.1f} m, the weights {self.detector.record.name} were trained on "
                f"{limits[0]:g} to {limits[1]:g} m: resample the scene, or use another detector"
            )

    def _describe(
        self,
        scene: Scene,
        surface: SurfaceMap,
        land: Land | None,
        region: Window | None,
        found: Peaks,
        probability: FloatArray,
    ) -> Found:
        n = len(found)
        row, col = found.row, found.col
        lon, lat = scene.geometry.lonlat(row, col) if n else (np.empty(0), np.empty(0))
        seen = scene.acquisition.at(row, col)
        shore = land.shore_distance_m(lon, lat) if land is not None and n else np.full(n, np.nan)
        hull = _hulls_m(scene, found, self.detector.record.calibration)
        contrast = _contrast(scene, found)
        echoes = Echoes(row=row, col=col, extent_m=hull.length_m, peak_ratio=contrast)
        spread = ghosts(scene, echoes, seen, land_echoes(scene, surface, echoes, seen, sought=region))
        kind = np.array(CLASSES)[found.kind_logit.argmax(axis=1)] if n else np.empty(0, str)
        variance = scene.sensor.geolocation_sigma_m**2 + hull.pixel_m**2 / 12.0
        detections = Detections(
            id=np.array([f"{scene.id}/r{r:.1f}c{c:.1f}" for r, c in zip(row, col, strict=True)], dtype=str),
            scene_id=np.full(n, scene.id),
            detector=np.full(n, self.name),
            time=seen.time,
            time_sigma_s=seen.time_sigma_s,
            row=row,
            col=col,
            lon=lon,
            lat=lat,
            var_east_m2=variance,
            cov_east_north_m2=np.zeros(n),
            var_north_m2=variance,
            length_m=hull.length_m,
            length_low_m=hull.length_low_m,
            length_high_m=hull.length_high_m,
            width_m=hull.width_m,
            width_low_m=hull.width_low_m,
            width_high_m=hull.width_high_m,
            heading_deg=hull.axis_deg,
            heading_low_deg=hull.axis_deg - hull.axis_error_deg,
            heading_high_deg=hull.axis_deg + hull.axis_error_deg,
            kind=np.where(spread.is_ghost, "ghost", kind),
            probability=probability,
            probability_calibrated=np.ones(n, bool),
            contrast_db=10.0 * np.log10(np.maximum(contrast, 1e-12)),
            shore_distance_m=shore,
            surface=surface.at(row, col, shore),
        )
        return Found(detections=detections, notes=spread.notes)


@dataclass(frozen=True, kw_only=True)
class _Hulls:
    """Hulls on the ground, (n,) each."""

    length_m: FloatArray
    length_low_m: FloatArray
    length_high_m: FloatArray
    width_m: FloatArray
    width_low_m: FloatArray
    width_high_m: FloatArray
    axis_deg: FloatArray
    axis_error_deg: FloatArray
    pixel_m: FloatArray


def _hulls_m(scene: Scene, found: Peaks, calibration: Calibration) -> _Hulls:
    """Sizes in metres and axes from north; an optical width is as sure, in proportion, as the length.

    A Sentinel-1 echo is as wide as its point response at least: the width is an upper bound. Its length below
    `SMALL_BELOW_M` is a class, 'small', whose interval is all of it.
    """
    jacobian = jacobian_m(scene.geometry, found.row, found.col) if len(found) else np.empty((0, 2, 2))
    angle = np.radians(found.axis_deg)
    along = np.einsum("nij,nj->ni", jacobian, np.column_stack([-np.cos(angle), np.sin(angle)]))
    across = np.einsum("nij,nj->ni", jacobian, np.column_stack([np.sin(angle), np.cos(angle)]))
    along_m, across_m = np.hypot(*along.T), np.hypot(*across.T)
    low, high = calibration.length_interval_px(found.length_px, found.log_length_sigma)
    length, low, high = found.length_px * along_m, low * along_m, high * along_m
    width = found.width_px * across_m
    width_low, width_high = width * low / length, width * high / length
    if scene.sensor.name == SENTINEL1_IW_GRD.name:
        small = length < SMALL_BELOW_M
        low, high = np.where(small, 0.0, low), np.where(small, np.maximum(high, SMALL_BELOW_M), high)
        width_low, width_high = np.zeros_like(width), width
    # A doubled-angle vector of length r, as a mean of directions, has a circular spread of sqrt(-2 ln r) (Mardia and
    # Jupp 2000, Directional Statistics, 2.3.4); half of it is the axis's, and 1.645 of that hold 90 %.
    sure = np.clip(np.hypot(found.cos_2axis, found.sin_2axis), 1e-3, 0.9999)
    return _Hulls(
        length_m=length,
        length_low_m=low,
        length_high_m=high,
        width_m=width,
        width_low_m=width_low,
        width_high_m=width_high,
        axis_deg=np.degrees(np.arctan2(along[:, 0], along[:, 1])) % 180.0,
        axis_error_deg=np.minimum(1.645 * np.degrees(np.sqrt(-2.0 * np.log(sure))) / 2.0, 90.0),
        pixel_m=np.sqrt(along_m * across_m),
    )


def _strata(scene: Scene, bands: Sequence[str], land: Land | None, found: Peaks) -> NDArray[np.str_]:
    """Of the calibration: whether land is near, where that is known, and which of the network's bands there are."""
    if land is None or not len(found):
        return np.full(len(found), EVERYWHERE)
    near = land.shore_distance_m(*scene.geometry.lonlat(found.row, found.col)) < NEAR_SHORE_M
    present = [band for band in bands if band in scene.bands]
    return strata(near, present=present, of=bands)


def _contrast(scene: Scene, found: Peaks) -> FloatArray:
    """How far each stands out, in the band where it does so most, (n,), at least 1.

    Radar: peak intensity over the median around it. Optical: the peak less that median, over 0.01 reflectance.
    """
    bands = [scene.bands.index(name) for name in measured_bands(scene.bands)]
    side = 2 * _RING_PX + 1
    distance = np.abs(np.arange(side) - _RING_PX)
    near = np.maximum(distance[:, None], distance) <= _CONTRAST_PX
    out = np.ones(len(found))
    at = np.round(np.column_stack([found.row, found.col])).astype(int)
    blocks, of = np.unique(at // _BLOCK_PX, axis=0, return_inverse=True)
    for number, (row, col) in enumerate((blocks * _BLOCK_PX - _RING_PX).tolist()):
        reach = _BLOCK_PX + 2 * _RING_PX
        block = scene.read(Window(row=row, col=col, height=reach, width=reach)).data[bands]
        for i in np.flatnonzero(of.ravel() == number):
            down, right = at[i] - _RING_PX - (row, col)
            out[i] = _contrast_of(scene, block[:, down : down + side, right : right + side], near)
    return out


def _contrast_of(scene: Scene, data: NDArray[np.float32], near: NDArray[np.bool_]) -> float:
    """Of the detection in the middle of a small window, see `_contrast`."""
    out = 1.0
    for band in linear_intensity(data, scene.unit) if scene.sensor.kind == "sar" else data:
        peak, around = (band[part & np.isfinite(band)] for part in (near, ~near))
        if not (peak.size and around.size):
            continue
        top, background = float(peak.max()), float(np.median(around))
        if scene.sensor.kind == "optical":
            out = max(out, (top - background) / _OPTICAL_UNIT)
        elif background > 0.0:
            out = max(out, top / background)
    return out


@contextmanager
def _threads(workers: int) -> Iterator[None]:
    """Torch with so many threads; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(workers, 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
