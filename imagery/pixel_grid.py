"""The geometry of an image without a georeference: rows and columns, and nowhere a place on the earth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike

from imagery.geometry import FloatArray, Geometry, Grid, Window


@dataclass(frozen=True, kw_only=True)
class PixelGrid:
    """Pixels without a place.

    Attributes:
        shape_hw: (height, width) in pixels.
        pixel_m: side of a pixel in metres where somebody says so; None where nobody knows.
    """

    shape_hw: tuple[int, int]
    pixel_m: float | None = None

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Not a number: nobody knows where the pixels lie."""
        shape = np.broadcast_shapes(np.shape(rows), np.shape(cols))
        return np.full(shape, np.nan), np.full(shape, np.nan)

    def rowcol(self, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Not a number, for the same reason."""
        return self.lonlat(lon, lat)

    def crop(self, window: Window) -> PixelGrid:
        """The geometry of a window."""
        return PixelGrid(shape_hw=window.shape_hw, pixel_m=self.pixel_m)

    def plane(self) -> Grid:
        """A stand-in to measure on, whose places mean nothing: square pixels, the image's top to the north.

        Lengths on it are in metres where ``pixel_m`` is known; else a pixel is one metre, so that they are in pixels.
        It lies about the origin of a transverse Mercator projection, whose scale is 1 there to 1e-5 within 28 km.
        """
        side = self.pixel_m or 1.0
        height, width = self.shape_hw
        transform = Affine(side, 0.0, -side * (width // 2), 0.0, -side, side * (height // 2))
        return Grid.from_crs("+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +datum=WGS84 +units=m", transform, self.shape_hw)


def has_places(geometry: Geometry) -> bool:
    """Whether a scene's pixels have places on the earth."""
    return not isinstance(geometry, PixelGrid)
