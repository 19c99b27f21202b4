"""Cutting a scene into windows with a halo, each pixel owned by exactly one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imagery.geometry import Window


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One piece of a scene.

    Attributes:
        core: the pixels this tile owns; cores of one tiling cover the region once, without overlap.
        padded: the core and its halo, to be read (it may leave the scene: outside is no data).
    """

    core: Window
    padded: Window


def tiles(region: Window, *, tile_px: int, halo_px: int, origin: tuple[int, int] = (0, 0)) -> Iterator[Tile]:
    """Cut a region into tiles, row by row.

    Args:
        region: the pixels to cover.
        tile_px: side of a core in pixels; cores at the region's edge are smaller.
        halo_px: pixels around a core that its result may depend on.
        origin: (row, col) through which tile boundaries pass; results must not depend on it.

    Yields:
        Tiles in row-major order.

    Raises:
        ValueError: if the tile has no pixels or the halo is negative.
    """
    if tile_px <= 0 or halo_px < 0:
        raise ValueError(f"tiles need tile_px > 0 and halo_px >= 0, got {tile_px} and {halo_px}")
    first_row = region.row - (region.row - origin[0]) % tile_px
    first_col = region.col - (region.col - origin[1]) % tile_px
    for row in range(first_row, region.row + region.height, tile_px):
        for col in range(first_col, region.col + region.width, tile_px):
            core = Window(row=row, col=col, height=tile_px, width=tile_px).intersection(region)
            assert core is not None  # the loop starts and ends on tiles that touch the region
            yield Tile(core=core, padded=core.padded(halo_px))
