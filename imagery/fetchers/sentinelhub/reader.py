"""Pixels of a pass from Sentinel Hub, block by block, and the thermal noise that the service took from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from imagery.fetchers.sentinelhub.catalogue import Pass
from imagery.fetchers.sentinelhub.client import Client
from imagery.fetchers.sentinelhub.encoding import Encoding
from imagery.fetchers.sentinelhub.process import process_request, raw_pixels
from imagery.geometry import Grid, Window
from imagery.map_noise import MapNoise
from imagery.scene import Pixels


@dataclass(frozen=True, kw_only=True)
class ProcessReader:
    """Pixels of one pass on its part of the lattice, one request for each block of at most a tile's side.

    Attributes:
        client: sends the requests.
        look: the pass.
        encoding: how its pixels travel.
        grid: the scene's.
        coverage_m: what was seen, in metres of the zone; elsewhere nothing is asked for and nothing is valid.
        tile_px: side of the tiles, counted from the scene's first pixel, which are those of the lattice.
    """

    client: Client
    look: Pass
    encoding: Encoding
    grid: Grid
    coverage_m: shapely.Geometry = field(repr=False)
    tile_px: int

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene.

        Raises:
            FetchError, QuotaError, CredentialsError: see `Fetcher`.
        """
        shape = (len(self.encoding.bands), *window.shape_hw)
        data, valid = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
        for block in _blocks(window, self.tile_px):
            if meets(self.grid, block, self.coverage_m):
                part = self._block(block)
                rows, cols = block.slices_in(window)
                data[:, rows, cols], valid[:, rows, cols] = part.data, part.valid
        return Pixels(data=data, valid=valid)

    def _block(self, block: Window) -> Pixels:
        request = process_request(self.client, self.look, self.encoding, self.grid.crop(block), self.look.zone.epsg)
        return self.encoding.decode(raw_pixels(self.client, request, (self.encoding.raw_bands, *block.shape_hw)))

    def with_noise(self, noise: MapNoise) -> DenoisedProcessReader:
        """This reader, knowing the thermal noise that the service subtracted."""
        return DenoisedProcessReader(**{f.name: getattr(self, f.name) for f in fields(self)}, noise=noise)


@dataclass(frozen=True, kw_only=True)
class DenoisedProcessReader(ProcessReader):
    """Pixels from which thermal noise was subtracted, and the noise: see `imagery.thermal_noise`.

    Power below zero after the subtraction does not come through: the encoding has no code for it, and the service may
    cut it off before that. With the noise put back, such a pixel shows the mean noise where the radar measured less.
    Whatever is brighter, each boat that can be found among it, is as the radar measured it; only the mean of dark water
    rises: at 4.4 looks by 0.74 dB where there is nothing but noise, by 0.07 dB where water and noise are alike, and by
    0.01 dB where water is twice the noise (expectation of max(P, noise) for P of a gamma distribution). A threshold on
    the ratio to the mean rises as much: it raises no false alarm, and costs the faintest boats that much contrast.

    Attributes:
        noise: the noise on the scene's grid.
    """

    noise: MapNoise

    def noise_sigma0(self, window: Window) -> NDArray[np.float32]:
        """(bands, height, width) of the noise that was subtracted, in sigma0; zeros far outside the products."""
        return self.noise.sigma0(window)


def meets(grid: Grid, window: Window, coverage_m: shapely.Geometry) -> bool:
    """Whether a window of a grid shares ground with what was seen, given in the grid's metres."""
    left, top = grid.transform @ (window.col, window.row)
    right, bottom = grid.transform @ (window.col + window.width, window.row + window.height)
    return bool(shapely.box(left, bottom, right, top).intersects(coverage_m))


def _blocks(window: Window, side: int) -> Sequence[Window]:
    return [
        Window(row=row, col=col, height=min(side, bottom - row), width=min(side, right - col))
        for bottom, right in [(window.row + window.height, window.col + window.width)]
        for row in range(window.row, bottom, side)
        for col in range(window.col, right, side)
    ]
