"""A sieve before the network: where a radar sea is plainly empty, the network need not look.

The scene is cut into squares of 64 x 64 pixels, counted from its first pixel. A CFAR detector that alarms more readily
than one that has to decide alone marks the squares with a bright pixel in or near them; a square is also marked where
the CFAR detector cannot judge (along land, in data of zero power, in squalls so uneven that it would take a ship for
sea): 'not tested' is never 'nothing there'. Marks do not depend on how a scene is cut into windows, and what the
network says in a marked square is what it says in a pass over the whole scene, so a cascade can lose ships but not move
any. Only a merge at the edge of what is marked may miss a stronger peak beyond it.

The network is given pieces of two by two squares. Its halo makes such a piece cost eight times its own area, and larger
ones cost more: a lone ship takes 0.17 Mpx in pieces of 128 pixels, 0.38 Mpx in pieces of 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.geometry import Window
from imagery.radiometry import linear_intensity
from imagery.scene import Pixels, Scene
from imagery.surface import SurfaceMap
from imagery.tiling import Tile, tiles
from models.cfar import ALARM, UNTESTABLE, CfarConfig, cfar
from models.detector import testable
from models.errors import DetectorError
from models.sar_cfar import SarCfar

SQUARE_PX = 64
PIECE_PX = 2 * SQUARE_PX
# How near its centre a ship's brightest pixel lies: half of the longest ship, 400 m, and a little, at 10 m.
NEAR_PX = 24
# Where the sea is so uneven that a pixel this far over its surroundings is no alarm, the detector is blind, not sure.
BLIND_FROM_DB = 12.0
# Three times the rate of a detector that decides alone; at xView3's density false alarms are then half of the work.
SIEVE = CfarConfig(clutter="k", trimmed=True, false_alarm_rate=3e-7, grow_rate=3e-7)


@dataclass(frozen=True, kw_only=True)
class Sieve:
    """Marks the squares of one scene that the network has to look at; `prepare` makes it.

    Attributes:
        config: of the CFAR detector, with the scene's looks.
        unit_intensity: per band, the scene's typical sea intensity.
    """

    config: CfarConfig
    unit_intensity: tuple[float, ...]

    @classmethod
    def prepare(cls, scene: Scene, surface: SurfaceMap, config: CfarConfig = SIEVE) -> Sieve:
        """Take looks and typical intensity from the scene.

        Raises:
            DetectorError: if the scene is not radar, or its dark water was cut off at a floor.
            NoWaterError: if it shows no sea.
        """
        if scene.clip_value is not None:
            raise DetectorError(
                f"scene {scene.id} was cut off at {scene.clip_value:g}, below which a cascade cannot tell empty sea; "
                "run without one"
            )
        ready = SarCfar(kind="cascade", config=config).prepare(scene, surface)
        assert ready.unit_intensity is not None  # prepare has just set it
        return cls(config=ready.config, unit_intensity=ready.unit_intensity)

    @property
    def halo_px(self) -> int:
        """Pixels around a square that its mark depends on."""
        return NEAR_PX + self.config.halo_px

    def marked(
        self, scene: Scene, pixels: Pixels, classes: NDArray[np.uint8], sought: NDArray[np.bool_], tile: Tile
    ) -> NDArray[np.bool_]:
        """The sought pixels that lie in marked squares.

        Args:
            scene: the scene.
            pixels: of the tile's padded window, whose halo is `halo_px` or more.
            classes: (h, w) surface classes of the same window.
            sought: (h, w) pixels of the same window where a ship may lie.
            tile: its core is made of whole squares.
        """
        water = testable(classes)
        alarm, judged = np.zeros(sought.shape, bool), np.zeros(sought.shape, bool)
        for band, unit in enumerate(self.unit_intensity):
            intensity = linear_intensity(pixels.data[band], scene.unit)
            tested = cfar(intensity, pixels.valid[band] & water, self.config, unit_intensity=unit)
            alarm |= (tested.level == ALARM) | (tested.ratio > 10.0 ** (BLIND_FROM_DB / 10.0))
            judged |= tested.level != UNTESTABLE
        unjudged = sought & pixels.measured & ~judged
        out = np.zeros(sought.shape, bool)
        for each in tiles(tile.core, tile_px=SQUARE_PX, halo_px=NEAR_PX):
            core = each.core.slices_in(tile.padded)
            if alarm[each.padded.slices_in(tile.padded)].any() or unjudged[core].any():
                out[core] = sought[core]
        return out


def pieces(tile: Tile, sought: NDArray[np.bool_], *, halo_px: int) -> list[Tile]:
    """Pieces, all of one size, whose cores hold every sought pixel of a tile's core; cores may overlap.

    Args:
        tile: its core is made of whole squares.
        sought: (h, w) pixels of its padded window.
        halo_px: of the pieces.
    """
    rows, cols = tile.core.slices_in(tile.padded)
    shape = (tile.core.height // SQUARE_PX, SQUARE_PX, tile.core.width // SQUARE_PX, SQUARE_PX)
    out = []
    for row, col in cover(np.asarray(sought[rows, cols].reshape(shape).any(axis=(1, 3)))):
        core = Window(
            row=tile.core.row + row * SQUARE_PX, col=tile.core.col + col * SQUARE_PX, height=PIECE_PX, width=PIECE_PX
        )
        out.append(Tile(core=core, padded=core.padded(halo_px)))
    return out


def cover(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First (row, col) of blocks of two by two that hold all marked squares; column -1 is possible.

    In reading order, each beside or on the square that asks for it, wherever it holds more that are not held yet.
    """
    left = np.pad(marked, 1)
    out = []
    for row, col in np.argwhere(left).tolist():
        if not left[row, col]:
            continue
        first = max((col, col - 1), key=lambda start: left[row : row + 2, start : start + 2].sum())
        left[row : row + 2, first : first + 2] = False
        out.append((row - 1, first - 1))
    return out


@dataclass(kw_only=True)
class Work:
    """Pixels that went through the network, its halos included, and that would have without a sieve."""

    seen_px: int = 0
    whole_px: int = 0

    @property
    def times_less(self) -> float:
        """How many times less the network had to do."""
        return self.whole_px / self.seen_px if self.seen_px else float("inf")

    def add(self, whole_px: int, pieces_px: Sequence[int]) -> None:
        """One window more: the pixels of all of it, and of its pieces that were looked at."""
        self.whole_px += whole_px
        self.seen_px += sum(pieces_px)
