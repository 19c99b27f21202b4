"""Acquisition geometry for pixels on a map grid, from the annotations of the products that they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.acquisition import AcquisitionSample
from imagery.errors import AnnotationError
from imagery.geometry import FloatArray, GcpGrid, Geometry
from imagery.products.grd_geolocation import gcp_grid
from imagery.products.xml import number, parse_xml
from imagery.tie_points import TiePointAcquisition, read_tie_points


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedGround:
    """Map pixels seen through one or more slices of a pass.

    A map pixel has a place, the place a line and pixel in the slice that holds it, and these the slice's own times,
    ranges and angles. A place in no slice takes the nearest one, which answers up to half a cell of its tie points
    outside (see `TiePointAcquisition`): beyond that all is NaN with infinite sigma.

    Attributes:
        geometry: the map grid.
        products: geometry and acquisition of each slice; the first of two that hold a place counts.
    """

    geometry: Geometry
    products: tuple[tuple[GcpGrid, TiePointAcquisition], ...]

    def __post_init__(self) -> None:
        """Refuse to know nothing."""
        if not self.products:
            raise AnnotationError("map pixels need the annotation of one product or more, got none")

    @property
    def source(self) -> str:
        """Says that the numbers are those of the annotation."""
        sources = dict.fromkeys(acquisition.source for _, acquisition in self.products)
        count = len(self.products)
        return " and ".join(sources) + (f" of {count} slices" if count > 1 else "") + ", found by place"

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """The geometry at continuous pixel positions of the map grid, which broadcast together."""
        lon, lat = self.geometry.lonlat(rows, cols)
        samples, away_px = [], []
        for grid, acquisition in self.products:
            row, col = rowcol_where_known(grid, lon, lat)
            samples.append(acquisition.at(row, col))
            away_px.append(outside_px(grid.shape_hw, row, col))
        nearest = nearest_slice(away_px)
        chosen = {
            field.name: np.choose(nearest, [getattr(sample, field.name) for sample in samples])
            for field in fields(AcquisitionSample)
            if field.name != "source"
        }
        return AcquisitionSample(**chosen, source=self.source)


def annotated_ground(geometry: Geometry, annotations: Sequence[bytes]) -> AnnotatedGround:
    """Acquisition geometry of a map grid from annotation files.

    Args:
        geometry: the map grid.
        annotations: content of ``annotation/*.xml`` of each slice of the pass, one polarisation each.

    Returns:
        The acquisition.

    Raises:
        AnnotationError: if there is none, or one is hostile or damaged.
    """
    return AnnotatedGround(geometry=geometry, products=tuple(_product(xml) for xml in annotations))


def _product(xml: bytes) -> tuple[GcpGrid, TiePointAcquisition]:
    what = "the annotation"
    root = parse_xml(xml, what)
    points = read_tie_points(root)
    image = root.find("./imageAnnotation/imageInformation")
    if image is None:
        raise AnnotationError(f"{what} describes no image; give annotation/*.xml of a level-1 product")
    lines, samples = (int(number(image, name, what)) for name in ("numberOfLines", "numberOfSamples"))
    if min(lines, samples) < 1:
        raise AnnotationError(f"{what} describes an image of {lines} x {samples} pixels")
    return gcp_grid(root, points, (lines, samples)), TiePointAcquisition.from_tie_points(points)


def rowcol_where_known(grid: GcpGrid, lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Continuous line and pixel of places in degrees in a slice, or beyond it; NaN where a place is not finite."""
    known = np.isfinite(lon) & np.isfinite(lat)
    row, col = grid.rowcol(np.where(known, lon, grid.gcp_lon[0]), np.where(known, lat, grid.gcp_lat[0]))
    return np.where(known, row, np.nan), np.where(known, col, np.nan)


def outside_px(shape_hw: tuple[int, int], row: FloatArray, col: FloatArray) -> FloatArray:
    """How far positions lie outside an image, in pixels; 0 inside, NaN where a position is."""
    beyond = [
        np.maximum(0.0, np.maximum(-0.5 - value, value - (size - 0.5)))
        for value, size in zip((row, col), shape_hw, strict=True)
    ]
    return np.asarray(np.hypot(*beyond))


def nearest_slice(away_px: Sequence[FloatArray]) -> NDArray[np.intp]:
    """Which slice answers for each place.

    Args:
        away_px: how far the places lie outside each slice, from `outside_px`.

    Returns:
        Index of the nearest slice, the first of two that hold a place; 0 where a place is not known.
    """
    return np.asarray(np.argmin(np.nan_to_num(np.stack(away_px), nan=0.0), axis=0))
