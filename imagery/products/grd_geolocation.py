"""Where the pixels of a Sentinel-1 ground-range product lie at sea level.

Line and pixel of an annotation's tie points count samples: 0 is the centre of the first one, which is at the product's
first azimuth and slant range time (the tie points' own times and ranges agree with that to 0.02 px on average). ESA
writes the same numbers into the control points of the measurement TIFF, declared as pixel-is-area, so that GDAL takes
them for pixel corners, half a pixel away from where they are. Here they become what `imagery.geometry.GcpGrid` has:
corner based, hence 0.5 larger.

Tie points lie on the terrain. A place 1800 m high is imaged 2 km nearer to the radar than the sea beneath it, and a
spline through it would drag the sea beside the coast along. With the orbit known, each point is put where the same line
and pixel see the ellipsoid, which is how the processor treats the sea (tie points at sea have height 0, whatever the
geoid). Where there is land, the conversion from slant to ground range also changes with the mean height of the terrain
along the image, once a second, while tie points come every three: there the annotation's conversions give further
points.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.polynomial.polynomial import polyval

from imagery.acquisition import add_seconds, ecef_m
from imagery.errors import AnnotationError, RasterError
from imagery.geometry import FloatArray, GcpGrid, wrap_lon
from imagery.products.xml import number, number_list
from imagery.tie_points import TiePoints, orbit_at, read_times

_SECOND = np.timedelta64(1, "s")
_SAME_LINE = 4.0  # conversions come once a second, to a few lines

_SAME_PX = 0.02
_SAME_DEG = 2e-6  # 0.2 m
_LEVEL_M = 5.0


def gcp_grid(root: Element, points: TiePoints, shape_hw: tuple[int, int]) -> GcpGrid:
    """The geometry of a product from its annotation, at sea level (height 0 of the ellipsoid).

    Args:
        root: root element of the annotation.
        points: its tie points.
        shape_hw: (height, width) of the product in pixels.

    Returns:
        The geometry of the whole product.

    Raises:
        AnnotationError: if orbit, tie points and range conversions contradict each other.
    """
    if np.abs(points.height_m).max() > _LEVEL_M:
        points = _at_every_conversion(root, points)
    lon, lat = sea_level_lonlat(points)
    rows, cols = np.meshgrid(points.lines + 0.5, points.pixels + 0.5, indexing="ij")
    return GcpGrid(
        gcp_rows=tuple(rows.ravel().tolist()),
        gcp_cols=tuple(cols.ravel().tolist()),
        gcp_lon=tuple(lon.ravel().tolist()),
        gcp_lat=tuple(lat.ravel().tolist()),
        shape_hw=shape_hw,
    )


def _at_every_conversion(root: Element, points: TiePoints) -> TiePoints:
    """Points at every conversion from ground to slant range, from which the tie points were made.

    A conversion is annotated with a time that lies some 60 lines after the block of lines that it is for; tie points
    lie at the starts of such blocks and have the very slant ranges of the conversion nearest to them.
    """
    what = "the annotation"
    image = root.find("./imageAnnotation/imageInformation")
    conversions = root.findall("./coordinateConversion/coordinateConversionList/coordinateConversion")
    if image is None or not conversions:
        raise AnnotationError(f"{what} has no conversion from slant to ground range")
    seconds = (read_times(conversions, "azimuthTime") - read_times([image], "productFirstLineUtcTime")) / _SECOND
    labelled = seconds / number(image, "azimuthTimeInterval", what)
    nearest = np.abs(labelled[:, None] - points.lines).argmin(axis=0)
    lines = labelled - np.median(labelled[nearest] - points.lines)
    inside = (lines > points.lines[0] - 1.0) & (lines < points.lines[-1] + 1.0)
    ground_m = points.pixels * number(image, "rangePixelSpacing", what)
    slant_m: FloatArray = np.stack(
        [
            polyval(ground_m - number(c, "gr0", what), number_list(c, "grsrCoefficients", what))
            for c, used in zip(conversions, inside, strict=True)
            if used
        ]
    )
    lines = lines[inside]
    # the first and the last line belong to their own blocks, which may start before them
    ends = [k for k in (0, -1) if np.abs(lines - points.lines[k]).min() > _SAME_LINE]
    lines = np.concatenate([lines, points.lines[ends]])
    order = np.argsort(lines)
    lines, slant_m = lines[order], np.concatenate([slant_m, points.slant_range_m[ends]])[order]

    def along(values: FloatArray) -> FloatArray:
        return np.stack([np.interp(lines, points.lines, values[:, k]) for k in range(values.shape[1])], axis=1)

    start = points.time.flat[0]
    time = add_seconds(start, along((points.time - start) / _SECOND))
    position_m, velocity_m_s = orbit_at(root.findall("./generalAnnotation/orbitList/orbit"), time)
    lon0 = points.lon.flat[0]
    return TiePoints(
        lines=lines,
        pixels=points.pixels,
        time=time,
        lon=lon0 + along(wrap_lon(points.lon - lon0)),
        lat=along(points.lat),
        height_m=along(points.height_m),
        slant_range_m=slant_m,
        incidence_deg=along(points.incidence_deg),
        position_m=position_m,
        velocity_m_s=velocity_m_s,
        mode=points.mode,
    )


def sea_level_lonlat(points: TiePoints) -> tuple[FloatArray, FloatArray]:
    """Where the ellipsoid is seen at the tie points' times and slant ranges.

    Newton steps on (range, Doppler) = (slant range, 0) from the annotated places.

    Args:
        points: the annotation's tie points.

    Returns:
        (lon, lat) in degrees, each (n, m).

    Raises:
        AnnotationError: if there is no such place near the annotated one.

    Reference: Curlander & McDonough 1991, Synthetic Aperture Radar, section 8.2 (range-Doppler location).
    """
    along = points.velocity_m_s / np.linalg.norm(points.velocity_m_s, axis=-1, keepdims=True)

    def miss(lon: FloatArray, lat: FloatArray) -> FloatArray:
        """(n, m, 2) metres: range and along-track distance from the zero-Doppler plane."""
        sight = ecef_m(lon, lat) - points.position_m
        return np.stack(
            [np.linalg.norm(sight, axis=-1) - points.slant_range_m, np.sum(sight * along, axis=-1)], axis=-1
        )

    lon, lat = points.lon, points.lat
    step_deg = 1e-4
    for _ in range(8):
        now = miss(lon, lat)
        slopes = [(miss(lon + step_deg, lat) - now) / step_deg, (miss(lon, lat + step_deg) - now) / step_deg]
        moves = np.linalg.solve(np.stack(slopes, axis=-1), -now[..., None])[..., 0]
        lon, lat = lon + moves[..., 0], lat + moves[..., 1]
    # 9 km of height at 29 degrees of incidence are 16 km of ground; nearer than 0.25 degrees of latitude at any rate
    if not np.all(np.abs(miss(lon, lat)) < 0.01) or np.any(np.abs(lat - points.lat) > 0.25):
        raise AnnotationError("the annotation's orbit and tie points contradict each other; fetch the product again")
    return wrap_lon(lon), lat


def measured_gcps(dataset: Any, path: str) -> GcpGrid | None:
    """The control points of a measurement TIFF.

    Args:
        dataset: the open rasterio dataset.
        path: its path, for messages.

    Returns:
        The geometry, None where the file has no control points.

    Raises:
        RasterError: if they are not in degrees.
    """
    points, crs = dataset.gcps
    if not points:
        return None
    if crs is not None and not crs.is_geographic:
        raise RasterError(f"{path} has ground control points in {crs}; a level-1 product has them in degrees")
    rows, cols = np.array([p.row for p in points]), np.array([p.col for p in points])
    shift = 0.5 if np.all(np.abs(np.concatenate([rows, cols]) % 1.0) < _SAME_PX) else 0.0
    return GcpGrid(
        gcp_rows=tuple((rows + shift).tolist()),
        gcp_cols=tuple((cols + shift).tolist()),
        gcp_lon=tuple(p.x for p in points),
        gcp_lat=tuple(p.y for p in points),
        shape_hw=(dataset.height, dataset.width),
    )


def highest_m(dataset: Any) -> float:
    """Largest height of a measurement's control points above or below the ellipsoid, 0 where they are level."""
    highest = max((abs(p.z or 0.0) for p in dataset.gcps[0]), default=0.0)
    return highest if highest > _LEVEL_M else 0.0


def check_same(measured: GcpGrid, points: TiePoints, path: str) -> None:
    """Refuse control points of a measurement that are not its annotation's tie points.

    Raises:
        AnnotationError: if they differ by more than 0.02 px or 0.2 m.
    """
    rows, cols = np.asarray(measured.gcp_rows) - 0.5, np.asarray(measured.gcp_cols) - 0.5
    line = np.searchsorted(points.lines, rows - _SAME_PX).clip(0, len(points.lines) - 1)
    pixel = np.searchsorted(points.pixels, cols - _SAME_PX).clip(0, len(points.pixels) - 1)
    apart_px = np.maximum(np.abs(points.lines[line] - rows), np.abs(points.pixels[pixel] - cols))
    apart_deg = np.maximum(
        np.abs(wrap_lon(points.lon[line, pixel] - np.asarray(measured.gcp_lon))),
        np.abs(points.lat[line, pixel] - np.asarray(measured.gcp_lat)),
    )
    if np.any(apart_px > _SAME_PX) or np.any(apart_deg > _SAME_DEG):
        raise AnnotationError(
            f"{path} has control points {apart_px.max():.3g} px and {apart_deg.max():.3g} degrees away from its "
            "annotation's: they belong to different products"
        )
