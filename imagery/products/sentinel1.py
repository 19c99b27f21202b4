"""A Sentinel-1 ground-range product (IW GRDH) as a scene: calibrated, thermal noise removed, located at sea level.

The parts may lie in a SAFE folder, in a zip, or far away: a measurement is whatever rasterio opens, the rest is XML.
sigma0 = (DN^2 - noise) / sigmaNought^2, the tables interpolated as `imagery.products.grd_luts` says. It is not cut off
at zero: where the sea is as dark as the noise, half of its pixels come out negative, and only so their mean is right.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from imagery.acquire import acquisition_for
from imagery.acquisition import Acquisition
from imagery.errors import AnnotationError, FetchError, ImageryError, RasterError
from imagery.geometry import FloatArray, GcpGrid, Window
from imagery.products.grd_border import BorderMask, find_border
from imagery.products.grd_geolocation import check_same, gcp_grid, highest_m, measured_gcps
from imagery.products.grd_luts import NOISE_BLOCKS_SINCE_IPF, Lut, NoiseLut, read_calibration, read_noise
from imagery.products.open_rasters import kept_open, open_geotiff_only
from imagery.products.xml import number, parse_xml
from imagery.scene import Pixels, Provenance, Scene
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.tie_points import TiePointAcquisition, read_tie_points, read_times

POLARISATIONS = ("vv", "vh", "hh", "hv")

_IW_GRDH_SPACING_M = 10.0
_STRIP_PX = 256  # rows decoded at a time: bounds what reading takes beyond the pixels asked for
_BLOCK_CACHE_MB = 256  # GDAL's own default is a twentieth of the machine's memory; two rows of blocks fit in this
_REMOTE = ("http://", "https://", "s3://", "/vsicurl", "/vsis3")
_IPF_TAG = "Sentinel-1 IPF "


@dataclass(frozen=True, kw_only=True)
class GrdPolarisation:
    """The parts of one polarisation of a product.

    Attributes:
        band: ``vv``, ``vh``, ``hh`` or ``hv``.
        measurement: what rasterio opens: a path, ``/vsizip/{...}``, an ``https`` or ``s3`` address.
        annotation: content of ``annotation/*.xml``, None where it cannot be had.
        calibration: content of ``annotation/calibration/calibration-*.xml``, likewise.
        noise: content of ``annotation/calibration/noise-*.xml``, likewise.
    """

    band: str
    measurement: str
    annotation: bytes | None = None
    calibration: bytes | None = None
    noise: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown polarisation."""
        if self.band not in POLARISATIONS:
            raise ValueError(f"a polarisation is one of {', '.join(POLARISATIONS)}, got {self.band!r}")


def grd_scene(
    scene_id: str,
    polarisations: Sequence[GrdPolarisation],
    *,
    provenance: Provenance,
    fallback_time: datetime | None = None,
    fallback_time_sigma_s: float = 1.0,
    ipf_version: float | None = None,
) -> Scene:
    """A product as a scene with one band per polarisation, the co-polarised one first.

    Args:
        scene_id: unique name, stable between runs.
        polarisations: one or two.
        provenance: where it came from; notes on what was missing are added.
        fallback_time: UTC of the middle of the product, for one without annotation.
        fallback_time_sigma_s: its one-sigma error, seconds.
        ipf_version: version of ESA's processor, such as 3.52; None takes it from the measurement, if it says.

    Returns:
        The scene in ``sigma0``, or in ``amplitude`` where calibration is missing.

    Raises:
        RasterError: if a measurement cannot be read or is of another kind or shape.
        FetchError: likewise, for one that is far away.
        AnnotationError: if a file is hostile, damaged or of another product.
    """
    parts = sorted(polarisations, key=lambda p: POLARISATIONS.index(p.band))
    if not parts or len({p.band for p in parts}) != len(parts):
        raise ValueError(f"scene {scene_id} needs one or more different polarisations")
    measured = [_look_at(p.measurement) for p in parts]
    shape_hw = measured[0].shape_hw
    for part, other in zip(parts, measured, strict=True):
        if other.shape_hw != shape_hw:
            raise RasterError(
                f"{part.measurement} has {other.shape_hw[0]} x {other.shape_hw[1]} pixels, {parts[0].measurement} "
                f"{shape_hw[0]} x {shape_hw[1]}; the polarisations of a product have one size: fetch it again"
            )
    headers = [_read_header(p, shape_hw, scene_id) for p in parts]
    notes: list[str] = []
    located = _locate(parts, headers, measured, fallback_time, fallback_time_sigma_s, notes)
    if ipf_version is None:
        ipf_version = next((m.ipf_version for m in measured if m.ipf_version is not None), None)
    calibrated = all(p.calibration is not None for p in parts)
    if not calibrated:
        notes.append("no calibration annotation: pixels are uncalibrated amplitudes, with thermal noise in them")
    bands = tuple(
        _band(p, h, m, calibrated, ipf_version, notes) for p, h, m in zip(parts, headers, measured, strict=True)
    )
    reader = GrdReader(bands=bands, shape_hw=shape_hw, has_border_noise=_has_border_noise(bands, ipf_version, notes))
    return Scene(
        id=scene_id,
        sensor=SENTINEL1_IW_GRD,
        bands=tuple(p.band for p in parts),
        unit="sigma0" if calibrated else "amplitude",
        geometry=located.geometry,
        acquisition=located.acquisition,
        time=located.time,
        reader=reader,
        provenance=Provenance(
            source=provenance.source,
            ids=provenance.ids,
            sha256=provenance.sha256,
            attribution=provenance.attribution,
            notes=(*provenance.notes, *dict.fromkeys(notes)),
        ),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class GrdBand:
    """How the digital numbers of one polarisation become values.

    Attributes:
        measurement: see `GrdPolarisation`.
        nodata: the number that the file declares as no data, besides 0.
        calibration: sigmaNought; None leaves amplitudes.
        noise: thermal noise to subtract; None where there is none, or none known.
        noise_was_removed: True = the processor subtracted it, so that a zero inside the image is a measurement.
    """

    measurement: str
    nodata: float | None
    calibration: Lut | None
    noise: NoiseLut | None
    noise_was_removed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class GrdReader:
    """Pixels of a product, read in windows; the tables stay as small as they are.

    A pixel that holds thermal noise is never zero (one in 1e14 at the noise of IW), so a zero was not measured.

    Attributes:
        bands: one per polarisation.
        shape_hw: (height, width) in pixels.
        has_border_noise: True = the frame without measurements must be found, see `imagery.products.grd_border`.
    """

    bands: tuple[GrdBand, ...]
    shape_hw: tuple[int, int]
    has_border_noise: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _found: list[BorderMask] = field(default_factory=list, repr=False)

    def read(self, window: Window) -> Pixels:
        """Pixels of all bands in a window inside the product.

        Raises:
            RasterError: if the measurement cannot be read there.
            FetchError: likewise, for one that is far away.
        """
        data = np.empty((len(self.bands), *window.shape_hw), np.float32)
        valid = np.empty(data.shape, bool)
        border = self._border()
        for index, band in enumerate(self.bands):
            for strip in _strips(window):
                into = strip.slices_in(window)
                numbers = self._numbers(band, strip)
                seen = np.ones(numbers.shape, bool) if band.noise_was_removed else numbers != 0
                if band.nodata is not None:
                    seen &= numbers != band.nodata
                if border is not None:
                    seen &= ~border.outside(strip)
                valid[index][into] = seen
                data[index][into] = np.where(seen, _values(band, numbers, strip), np.nan) if seen.any() else np.nan
        return Pixels(data=data, valid=valid)

    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        """The thermal noise that `read` subtracts.

        Args:
            window: pixels wanted, inside the product.

        Returns:
            (bands, height, width) float32 in sigma0; zeros where none is subtracted.
        """
        out = np.zeros((len(self.bands), *window.shape_hw), np.float32)
        for index, band in enumerate(self.bands):
            if band.noise is None or band.calibration is None:
                continue
            for strip in _strips(window):
                rows, cols = _axes(strip)
                noise = band.noise.at(rows, cols) / band.calibration.at(rows, cols) ** 2
                out[index][strip.slices_in(window)] = noise
        return out

    def _numbers(self, band: GrdBand, window: Window) -> NDArray[Any]:
        try:
            with rasterio.Env(GDAL_CACHEMAX=_BLOCK_CACHE_MB):
                dataset = kept_open(self, band.measurement)
                where = RasterioWindow(window.col, window.row, window.width, window.height)
                return np.asarray(dataset.read(1, window=where))
        except RasterioError as error:
            raise _unreadable(band.measurement, error) from error

    def _border(self) -> BorderMask | None:
        """The frame without measurements, found at the first reading; the first band's serves all."""
        if not self.has_border_noise:
            return None
        with self._lock:
            if not self._found:
                band = self.bands[0]
                self._found.append(
                    find_border(
                        self.shape_hw,
                        lambda window: self._numbers(band, window).astype(float) ** 2,
                        None if band.noise is None else band.noise.at,
                    )
                )
            return self._found[0]


def _strips(window: Window) -> list[Window]:
    ends = range(window.row, window.row + window.height, _STRIP_PX)
    return [
        Window(row=row, col=window.col, height=min(_STRIP_PX, window.row + window.height - row), width=window.width)
        for row in ends
    ]


def _axes(window: Window) -> tuple[FloatArray, FloatArray]:
    """Lines (h,) and pixels (w,) of a window."""
    rows = np.arange(window.row, window.row + window.height, dtype=float)
    return rows, np.arange(window.col, window.col + window.width, dtype=float)


def _values(band: GrdBand, numbers: NDArray[Any], window: Window) -> NDArray[np.float32]:
    if band.calibration is None:
        return numbers.astype(np.float32)
    rows, cols = _axes(window)
    power = numbers.astype(float)
    power *= power
    if band.noise is not None:
        power -= band.noise.at(rows, cols)
    power /= np.square(band.calibration.at(rows, cols))
    return power.astype(np.float32)


def _band(
    part: GrdPolarisation,
    header: _Header | None,
    measured: _Measured,
    calibrated: bool,
    ipf_version: float | None,
    notes: list[str],
) -> GrdBand:
    """The tables of one polarisation; what is missing is noted."""
    removed = header is not None and header.noise_was_removed
    calibration, noise = None, None
    if calibrated and part.calibration is not None:
        calibration = read_calibration(part.calibration, measured.shape_hw)
        if part.noise is not None and not removed:
            noise = read_noise(part.noise, measured.shape_hw, ipf_version=ipf_version, calibration=part.calibration)
        if noise is None and not removed:
            why = (
                "no noise annotation" if part.noise is None else "its noise annotation gives no power that can be used"
            )
            notes.append(f"{part.band}: {why}; thermal noise is in sigma0")
    return GrdBand(
        measurement=part.measurement,
        nodata=measured.nodata,
        calibration=calibration,
        noise=noise,
        noise_was_removed=removed,
    )


def _has_border_noise(bands: tuple[GrdBand, ...], ipf_version: float | None, notes: list[str]) -> bool:
    """True where zeros alone do not tell what was measured, and the frame can be found."""
    first = bands[0]
    if first.noise_was_removed:
        return True
    is_old = ipf_version < NOISE_BLOCKS_SINCE_IPF if ipf_version is not None else _is_old_format(first)
    if is_old and first.noise is None:
        notes.append(
            f"the processor (IPF {ipf_version:g}) left noise in the empty frame of the image, and without usable noise "
            "annotation it was not masked"
        )
    return is_old and first.noise is not None


def _is_old_format(band: GrdBand) -> bool:
    """True where the noise annotation has no blocks along azimuth."""
    return band.noise is not None and not band.noise.blocks


# --------------------------------------------------------------------------------------------------- what the parts say


class _Measured(NamedTuple):
    """What a measurement says of itself."""

    shape_hw: tuple[int, int]
    nodata: float | None
    gcps: GcpGrid | None
    highest_gcp_m: float
    ipf_version: float | None


class _Header(NamedTuple):
    """What an annotation says of its product."""

    root: Element
    noise_was_removed: bool


class _Located(NamedTuple):
    geometry: GcpGrid
    acquisition: Acquisition
    time: datetime | None


def _look_at(path: str) -> _Measured:
    try:
        with open_geotiff_only(path) as dataset:
            if dataset.count != 1 or dataset.dtypes[0] != "uint16":
                raise RasterError(
                    f"{path} has {dataset.count} band(s) of {dataset.dtypes[0]}; a ground-range measurement has one of "
                    "uint16"
                )
            software = dataset.tags().get("TIFFTAG_SOFTWARE", "")
            return _Measured(
                (dataset.height, dataset.width),
                dataset.nodatavals[0],
                measured_gcps(dataset, path),
                highest_m(dataset),
                _ipf_version(software),
            )
    except RasterioError as error:
        raise _unreadable(path, error) from error


def _ipf_version(software: str) -> float | None:
    """Processor version in the tag that the IPF writes, such as ``Sentinel-1 IPF 003.31``."""
    if not software.startswith(_IPF_TAG):
        return None
    try:
        return float(software.removeprefix(_IPF_TAG))
    except ValueError:
        return None


def _unreadable(path: str, error: Exception) -> ImageryError:
    if path.startswith(_REMOTE):
        return FetchError(f"{path} cannot be read: {error}")
    return RasterError(f"{path} cannot be read: {error}; fetch the product again")


def _read_header(part: GrdPolarisation, shape_hw: tuple[int, int], scene_id: str) -> _Header | None:
    """Check that an annotation is of an IW GRDH image of this size.

    Raises:
        RasterError: if it is not.
    """
    if part.annotation is None:
        return None
    what = "the annotation"
    root = parse_xml(part.annotation, what)
    mode, kind = (root.findtext(f"./adsHeader/{name}", "").strip().upper() for name in ("mode", "productType"))
    image = root.find("./imageAnnotation/imageInformation")
    if image is None:
        raise AnnotationError(f"{what} of {scene_id} describes no image; give annotation/*.xml of a level-1 product")
    spacing_m = number(image, "rangePixelSpacing", what)
    if mode != "IW" or kind != "GRD" or abs(spacing_m - _IW_GRDH_SPACING_M) > 0.01:
        raise RasterError(
            f"{scene_id} is a Sentinel-1 {mode} {kind} product with pixels of {spacing_m:g} m; only IW GRD of 10 m "
            "(IW_GRDH) is read"
        )
    lines, samples = (int(number(image, name, what)) for name in ("numberOfLines", "numberOfSamples"))
    if (lines, samples) != shape_hw:
        raise RasterError(
            f"{part.measurement} has {shape_hw[0]} x {shape_hw[1]} pixels, its annotation says {lines} x {samples}; "
            "fetch the product again"
        )
    removed = root.findtext("./imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed", "")
    return _Header(root, removed.strip().lower() == "true")


def _locate(
    parts: Sequence[GrdPolarisation],
    headers: Sequence[_Header | None],
    measured: Sequence[_Measured],
    fallback_time: datetime | None,
    fallback_time_sigma_s: float,
    notes: list[str],
) -> _Located:
    """Place and time of the pixels, from the first annotation, else from control points and the stated time.

    Raises:
        AnnotationError: if control points and annotation are of different products.
        RasterError: if there are neither.
    """
    shape_hw = measured[0].shape_hw
    header = next((h for h in headers if h is not None), None)
    if header is not None:
        points = read_tie_points(header.root)
        for part, other in zip(parts, measured, strict=True):
            if other.gcps is not None:
                check_same(other.gcps, points, part.measurement)
        first, last = (_stated_time(header.root, name) for name in ("startTime", "stopTime"))
        acquisition = TiePointAcquisition.from_tie_points(points)
        return _Located(gcp_grid(header.root, points, shape_hw), acquisition, first + (last - first) / 2)
    geometry = next((m.gcps for m in measured if m.gcps is not None), None)
    if geometry is None:
        raise RasterError(
            f"{parts[0].measurement} has neither ground control points nor an annotation; nothing says where it lies"
        )
    highest = max(m.highest_gcp_m for m in measured)
    notes.append("no annotation: times and angles come from a model of the orbit")
    if highest:
        notes.append(
            f"no annotation: control points lie up to {highest:.0f} m above sea level, so that places near high ground "
            "are wrong by up to twice that"
        )
    acquisition_model = acquisition_for(SENTINEL1_IW_GRD.name, fallback_time, fallback_time_sigma_s, geometry)
    return _Located(geometry, acquisition_model, fallback_time)


def _stated_time(root: Element, name: str) -> datetime:
    header = root.find("./adsHeader")
    if header is None:
        raise AnnotationError("the annotation has no header; fetch the product again")
    moment: datetime = read_times([header], name)[0].item()
    return moment.replace(tzinfo=UTC)
