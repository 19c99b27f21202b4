"""Pixels of a map grid whose bands lie far away, each in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from imagery.fetchers.remote import TILE_PX, RemoteFiles, in_parallel
from imagery.geometry import Window
from imagery.products.open_rasters import open_geotiff_only
from imagery.products.sentinel2_angles import AngleGrid
from imagery.scene import Pixels
from imagery.sensors import is_ancillary

_EXACT_IN_FLOAT32 = ("uint8", "int8", "uint16", "int16")  # read as float32 at once, without an array between
_SAMPLE_PX = 512


def open_band(path: str) -> Any:
    """A TIFF or a JPEG 2000 file; other formats can refer to files of this machine."""
    if path.partition("?")[0].lower().endswith(".jp2"):
        return rasterio.open(path, driver="JP2OpenJPEG")
    return open_geotiff_only(path)


@dataclass(frozen=True, kw_only=True)
class RemoteBand:
    """One band of a scene in one file.

    Attributes:
        band: its name.
        href: address as the catalogue has it.
        repeat: pixels of the scene along one side of a pixel of the file.
        scale, offset: value = number * scale + offset.
        invalid: numbers that are no values.
    """

    band: str
    href: str = field(repr=False)  # a catalogue may sign its addresses itself
    repeat: int = 1
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[float, ...] = ()

    def window_in_file(self, window: Window) -> Window:
        """The file's pixels that hold a window of the scene's."""
        row, col = window.row // self.repeat, window.col // self.repeat
        return Window(
            row=row,
            col=col,
            height=-(-(window.row + window.height) // self.repeat) - row,
            width=-(-(window.col + window.width) // self.repeat) - col,
        )

    def read(self, path: str, window: Window, into: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Write the values of a window of the scene, NaN where there is none.

        Args:
            path: where GDAL finds the file.
            window: of the scene.
            into: float32 of the window's shape.
            valid: bool of the same shape, to become True where there is a value.
        """
        part = self.window_in_file(window)
        where = RasterioWindow(part.col, part.row, part.width, part.height)
        with open_band(path) as file:
            is_exact = self.repeat == 1 and file.dtypes[0] in _EXACT_IN_FLOAT32
            numbers = file.read(1, window=where, out=into if is_exact else None)
        if self.repeat == 1:
            self._decode(numbers, into, valid)
            return
        values, known = np.empty(numbers.shape, np.float32), np.empty(numbers.shape, bool)
        self._decode(numbers, values, known)
        rows = np.arange(window.row, window.row + window.height) // self.repeat - part.row
        cols = np.arange(window.col, window.col + window.width) // self.repeat - part.col
        into[...], valid[...] = values[rows[:, None], cols], known[rows[:, None], cols]

    def sample(self, path: str) -> NDArray[np.float32]:
        """Values of the whole file at a low resolution, from its overviews."""
        with open_band(path) as file:
            numbers = file.read(1, out_shape=(min(_SAMPLE_PX, file.height), min(_SAMPLE_PX, file.width)))
        values = np.empty(numbers.shape, np.float32)
        self._decode(numbers, values, np.empty(numbers.shape, bool))
        return values

    def _decode(self, numbers: NDArray[Any], into: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Values of numbers, which may be the array to write to."""
        if self.invalid:
            np.not_equal(numbers, self.invalid[0], out=valid)
            for value in self.invalid[1:]:
                valid &= numbers != value
        else:
            valid[...] = True
        if numbers.dtype.kind == "f" and numbers is not into:
            valid &= np.isfinite(numbers)
        if self.scale != 1.0 or self.offset != 0.0:
            into[...] = numbers.astype(float) * self.scale + self.offset
        elif numbers is not into:
            into[...] = numbers
        if not valid.all():
            into[~valid] = np.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class RemoteGridReader:
    """Pixels of bands in files of their own, on the grid of the finest; coarser ones are repeated, never resampled.

    Attributes:
        files: how they are read.
        bands: those in the scene's unit, then the ancillary ones, in the scene's order.
        angles: directions whose zenith and azimuth are the last bands, in order.
    """

    files: RemoteFiles = field(repr=False)
    bands: tuple[RemoteBand, ...]
    angles: tuple[AngleGrid, ...] = field(default=(), repr=False)

    @property
    def tile_px(self) -> int:
        """Side of the tiles in which reading is cheapest."""
        return TILE_PX

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene.

        Where no band in the scene's unit is valid the ancillary ones are not valid either.

        Raises:
            FetchError, QuotaError, CredentialsError: see `RemoteFiles.use`.
        """
        data = np.empty((len(self.bands) + 2 * len(self.angles), *window.shape_hw), np.float32)
        valid = np.empty(data.shape, bool)

        def read_one(index: int) -> None:
            band = self.bands[index]
            self.files.use([band.href], lambda paths: band.read(paths[0], window, data[index], valid[index]))

        in_parallel(read_one, range(len(self.bands)))
        for index, angle in enumerate(angle for grid in self.angles for angle in grid.at(window)):
            data[len(self.bands) + index] = angle
        measured = sum(not is_ancillary(band.band) for band in self.bands)
        if measured < len(data):
            seen = valid[:measured].any(axis=0)
            data[measured:, ~seen] = np.nan
            valid[measured:] = np.isfinite(data[measured:])
        return Pixels(data=data, valid=valid)
