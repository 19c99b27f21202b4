"""Acquisition geometry between tie points, such as those of a Sentinel-1 annotation file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.acquisition import MODE_TIME_SIGMA_S, AcquisitionSample, TimeArray, add_seconds, utc64, view
from imagery.errors import AnnotationError
from imagery.geometry import FloatArray, wrap_lon
from imagery.products.xml import parse_xml

SPEED_OF_LIGHT_M_S = 299_792_458.0  # exact, SI

# The annotation's incidence angle is taken from the geocentric vertical (reproduced to 1e-6 deg from its own
# orbit in three products); the ellipsoid's vertical differs by up to 0.04 deg there. Slant range:
# interpolation over sea errs by < 0.1 m, the atmosphere adds 3 m, the changing terrain height of a land scene
# some tens of metres.
ANNOTATION_INCIDENCE_SIGMA_DEG = 0.04
ANNOTATION_RANGE_SIGMA_M = 10.0
ANNOTATION_LOOK_SIGMA_DEG = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class TiePoints:
    """What a Sentinel-1 annotation says of its geolocation grid, and where the platform was at each point.

    Attributes:
        lines: (n,) image lines, rising; whole numbers at pixel centres.
        pixels: (m,) image samples, rising, likewise.
        time: (n, m) UTC zero-Doppler times, datetime64[us].
        lon, lat: (n, m) degrees, WGS 84.
        height_m: (n, m) height of the terrain that the point was put on, above the ellipsoid.
        slant_range_m: (n, m) half of c times the two-way delay.
        incidence_deg: (n, m) degrees.
        position_m, velocity_m_s: (n, m, 3) Earth-fixed state of the platform at the points' times.
        mode: acquisition mode, such as ``IW``.
    """

    lines: FloatArray
    pixels: FloatArray
    time: TimeArray
    lon: FloatArray
    lat: FloatArray
    height_m: FloatArray
    slant_range_m: FloatArray
    incidence_deg: FloatArray
    position_m: FloatArray
    velocity_m_s: FloatArray
    mode: str


def read_tie_points(root: Element) -> TiePoints:
    """Tie points and orbit of a Sentinel-1 level-1 annotation (``annotation/*.xml`` of a SAFE).

    Args:
        root: root element of the file, from `imagery.products.xml.parse_xml`.

    Raises:
        AnnotationError: if it has no whole tie-point grid, or no orbit that spans it.
    """
    points = root.findall("./geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    grid = _sorted_grid(_numbers(points, "line"), _numbers(points, "pixel"))
    time = read_times(points, "azimuthTime")[grid.order]
    lon, lat, height, delay_s, incidence_deg = (
        _numbers(points, name)[grid.order]
        for name in ("longitude", "latitude", "height", "slantRangeTime", "incidenceAngle")
    )
    if np.any(np.abs(lat) > 90.0) or np.any(np.abs(lon) > 360.0):
        raise AnnotationError("the annotation's tie points hold impossible latitudes or longitudes")
    position_m, velocity_m_s = orbit_at(root.findall("./generalAnnotation/orbitList/orbit"), time)
    return TiePoints(
        lines=grid.lines,
        pixels=grid.pixels,
        time=time,
        lon=lon,
        lat=lat,
        height_m=height,
        slant_range_m=delay_s * SPEED_OF_LIGHT_M_S / 2.0,
        incidence_deg=incidence_deg,
        position_m=position_m,
        velocity_m_s=velocity_m_s,
        mode=root.findtext("./adsHeader/mode", "").strip().upper(),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TiePointAcquisition:
    """Geometry interpolated between the tie points of a product.

    Exact at the tie points; cubic (four-point Lagrange) along columns, where slant range and incidence curve,
    and linear along rows, where over sea nothing curves and over land the terrain steps. Up to half a cell
    outside the grid the same polynomials go on; beyond that all is NaN with infinite sigma.

    Attributes:
        lines: (n,) rows of the tie points in the whole product, rising, n >= 2.
        pixels: (m,) columns of the tie points in the whole product, rising, m >= 2.
        time: (n, m) UTC zero-Doppler times, datetime64[us].
        slant_range_m: (n, m) metres.
        incidence_deg: (n, m) degrees.
        look_azimuth_deg: (n, m) degrees.
        heading_deg: (n, m) degrees.
        platform_speed_m_s: (n, m) Earth-fixed speed in orbit, m/s.
        row_offset: row of the product that is row 0 of the scene, for a scene cut from the product.
        col_offset: likewise for columns.
        time_sigma_s: how far from the zero-Doppler time a pixel was really seen; see `MODE_TIME_SIGMA_S`.
        incidence_sigma_deg, slant_range_sigma_m, look_azimuth_sigma_deg: one-sigma errors at any pixel.
        source: where the tie points came from.
    """

    lines: FloatArray
    pixels: FloatArray
    time: TimeArray
    slant_range_m: FloatArray
    incidence_deg: FloatArray
    look_azimuth_deg: FloatArray
    heading_deg: FloatArray
    platform_speed_m_s: FloatArray
    row_offset: float = 0.0
    col_offset: float = 0.0
    time_sigma_s: float = MODE_TIME_SIGMA_S["IW"]
    incidence_sigma_deg: float = ANNOTATION_INCIDENCE_SIGMA_DEG
    slant_range_sigma_m: float = ANNOTATION_RANGE_SIGMA_M
    look_azimuth_sigma_deg: float = ANNOTATION_LOOK_SIGMA_DEG
    source: str = "annotation"

    def __post_init__(self) -> None:
        """Refuse a grid that cannot be interpolated, and impossible values."""
        shape = (len(self.lines), len(self.pixels))
        for name, axis in (("lines", self.lines), ("pixels", self.pixels)):
            if len(axis) < 2 or not np.all(np.diff(axis) > 0.0):
                raise AnnotationError(f"tie-point {name} must be two or more rising numbers, got {len(axis)}")
        for name in (
            "time",
            "slant_range_m",
            "incidence_deg",
            "look_azimuth_deg",
            "heading_deg",
            "platform_speed_m_s",
        ):
            values = getattr(self, name)
            if values.shape != shape:
                raise AnnotationError(f"tie-point {name} has shape {values.shape}, the grid is {shape}")
            if not np.all(np.isfinite(values)):
                raise AnnotationError(f"tie-point {name} holds values that are not finite")
        if not (np.all(self.slant_range_m > 0.0) and np.all(np.abs(self.incidence_deg - 45.0) < 45.0)):
            raise AnnotationError("tie points need positive slant ranges and incidence angles between 0 and 90 deg")

    @classmethod
    def from_annotation_xml(
        cls, xml: bytes, *, row_offset: float = 0.0, col_offset: float = 0.0
    ) -> TiePointAcquisition:
        """Tie points and orbit of a Sentinel-1 level-1 annotation file (``annotation/*.xml`` of a SAFE).

        Times, slant ranges (half of c times the two-way delay) and incidences are the file's own; look
        direction, heading and speed come from its state vectors at the tie points' times.

        Args:
            xml: content of the file. DTDs and entities are refused.
            row_offset: see the class.
            col_offset: see the class.

        Returns:
            The acquisition of the product, or of the window that starts at the offsets.

        Raises:
            AnnotationError: not XML, hostile, or without a whole tie-point grid and orbit.
        """
        points = read_tie_points(parse_xml(xml, "the annotation"))
        return cls.from_tie_points(points, row_offset=row_offset, col_offset=col_offset)

    @classmethod
    def from_tie_points(
        cls, points: TiePoints, *, row_offset: float = 0.0, col_offset: float = 0.0
    ) -> TiePointAcquisition:
        """Likewise from tie points that were read already."""
        seen = view(points.lon, points.lat, points.height_m, points.position_m, points.velocity_m_s)
        return cls(
            lines=points.lines,
            pixels=points.pixels,
            time=points.time,
            slant_range_m=points.slant_range_m,
            incidence_deg=points.incidence_deg,
            look_azimuth_deg=seen.look_azimuth_deg,
            heading_deg=seen.heading_deg,
            platform_speed_m_s=seen.platform_speed_m_s,
            row_offset=row_offset,
            col_offset=col_offset,
            time_sigma_s=MODE_TIME_SIGMA_S.get(points.mode, max(MODE_TIME_SIGMA_S.values())),
        )

    @cached_property
    def _values(self) -> FloatArray:
        """(n, m, 6): seconds since the first tie point, then the other five; azimuths unwrapped."""
        seconds = (self.time - self.time.flat[0]) / np.timedelta64(1, "s")
        look, heading = (
            azimuth.flat[0] + wrap_lon(azimuth - azimuth.flat[0])
            for azimuth in (self.look_azimuth_deg, self.heading_deg)
        )
        parts = [seconds, self.slant_range_m, self.incidence_deg, look, heading, self.platform_speed_m_s]
        return np.stack(parts, axis=-1)

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """The geometry at continuous pixel positions of the scene, which broadcast together."""
        row, col = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        line, pixel = row + self.row_offset, col + self.col_offset
        inside = _near(line, self.lines) & _near(pixel, self.pixels)
        values = _interpolate(self.lines, self.pixels, self._values, line, pixel)
        values = np.where(inside[..., None], values, np.nan)
        seconds, slant_range, incidence, look, heading, speed = np.moveaxis(values, -1, 0)

        def sigma(value: float) -> FloatArray:
            return np.where(inside, value, np.inf)

        return AcquisitionSample(
            time=add_seconds(self.time.flat[0], seconds),
            time_sigma_s=sigma(self.time_sigma_s),
            incidence_deg=incidence,
            incidence_sigma_deg=sigma(self.incidence_sigma_deg),
            slant_range_m=slant_range,
            slant_range_sigma_m=sigma(self.slant_range_sigma_m),
            look_azimuth_deg=look % 360.0,
            look_azimuth_sigma_deg=sigma(self.look_azimuth_sigma_deg),
            heading_deg=heading % 360.0,
            platform_speed_m_s=speed,
            source=self.source,
        )


def _near(place: FloatArray, nodes: FloatArray) -> NDArray[np.bool_]:
    """True where a place lies within the nodes or at most half a cell outside (False for NaN)."""
    before, after = (nodes[1] - nodes[0]) / 2.0, (nodes[-1] - nodes[-2]) / 2.0
    inside: NDArray[np.bool_] = (place >= nodes[0] - before) & (place <= nodes[-1] + after)
    return inside


def _interpolate(
    lines: FloatArray, pixels: FloatArray, values: FloatArray, line: FloatArray, pixel: FloatArray
) -> FloatArray:
    """Values (n, m, k) of a grid at places: linear along lines, four-point Lagrange along pixels."""
    upper = np.clip(np.searchsorted(lines, line, side="right") - 1, 0, len(lines) - 2)
    below = (line - lines[upper]) / (lines[upper + 1] - lines[upper])
    count = min(4, len(pixels))
    first = np.clip(np.searchsorted(pixels, pixel, side="right") - count // 2, 0, len(pixels) - count)
    nodes = pixels[first[..., None] + np.arange(count)]
    result = np.zeros((*line.shape, values.shape[-1]))
    for k in range(count):
        others = np.delete(nodes, k, axis=-1)
        weight = np.prod((pixel[..., None] - others) / (nodes[..., k, None] - others), axis=-1)
        near, far = values[upper, first + k], values[upper + 1, first + k]
        result += weight[..., None] * ((1.0 - below)[..., None] * near + below[..., None] * far)
    return result


class _GridOrder(NamedTuple):
    lines: FloatArray
    pixels: FloatArray
    order: NDArray[np.intp]  # (n, m) index of each grid point in the file's list


def _sorted_grid(line: FloatArray, pixel: FloatArray) -> _GridOrder:
    """Lines, pixels and the place in the list of every point of a rectangular tie-point grid."""
    lines, pixels = np.unique(line), np.unique(pixel)
    shape = (len(lines), len(pixels))
    pairs = np.unique(np.stack([line, pixel]), axis=1)
    if line.size == 0 or pairs.shape[1] != line.size or line.size != shape[0] * shape[1]:
        raise AnnotationError(
            f"the annotation's tie points are no whole grid: {line.size} points, "
            f"{shape[0]} lines x {shape[1]} pixels expected"
        )
    return _GridOrder(lines, pixels, np.lexsort((pixel, line)).reshape(shape))


def _texts(elements: list[Element], path: str) -> list[str]:
    """Text at a path below every element."""
    found = [element.findtext(path) for element in elements]
    if not found or None in found:
        raise AnnotationError(f"the annotation has no {path} in {found.count(None)} of {len(found)} places it belongs")
    return [text.strip() for text in found if text is not None]


def _numbers(elements: list[Element], path: str) -> FloatArray:
    """Numbers at a path below every element."""
    texts = _texts(elements, path)
    try:
        values = np.array([float(text) for text in texts])
    except ValueError as error:
        raise AnnotationError(f"the annotation's {path} is not a number: {error}") from error
    if not np.all(np.isfinite(values)):
        raise AnnotationError(f"the annotation's {path} is not finite everywhere")
    return values


def read_times(elements: list[Element], path: str) -> TimeArray:
    """UTC times at a path below every element, datetime64[us]."""
    texts = _texts(elements, path)
    try:
        times = [datetime.fromisoformat(text) for text in texts]
        return np.array([utc64(time if time.tzinfo else time.replace(tzinfo=UTC)) for time in times])
    except (ValueError, OverflowError) as error:
        raise AnnotationError(f"the annotation's {path} is not a time: {error}") from error


def orbit_at(orbit: list[Element], time: TimeArray) -> tuple[FloatArray, FloatArray]:
    """Earth-fixed platform position (m) and velocity (m/s), each (..., 3), at times within the state vectors.

    Cubic Hermite between vectors: over the 10 s of Sentinel-1 it errs by h^4 n^4 r / 384 = 0.3 mm.
    """
    vector_time = read_times(orbit, "time")
    position, velocity = (
        np.stack([_numbers(orbit, f"{name}/{axis}") for axis in "xyz"], axis=-1) for name in ("position", "velocity")
    )
    knots = (vector_time - vector_time[0]) / np.timedelta64(1, "s")
    t = (time - vector_time[0]) / np.timedelta64(1, "s")
    if len(knots) < 2 or not np.all(np.diff(knots) > 0.0) or t.min() < knots[0] or t.max() > knots[-1]:
        raise AnnotationError(f"the annotation's {len(knots)} orbit state vectors do not span its tie points in time")
    i = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, len(knots) - 2)
    step = (knots[i + 1] - knots[i])[..., None]
    u = (t - knots[i])[..., None] / step
    chord = (position[i + 1] - position[i]) / step
    start, end = velocity[i], velocity[i + 1]
    bend = start + end - 2.0 * chord
    slope = 3.0 * chord - 2.0 * start - end
    at = position[i] + step * u * (start + u * (slope + u * bend))
    return at, start + u * (2.0 * slope + 3.0 * u * bend)
