import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagery.geometry import Window
from imagery.tiling import tiles


@given(
    row=st.integers(-50, 50),
    col=st.integers(-50, 50),
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    tile_px=st.integers(1, 64),
    origin=st.tuples(st.integers(-70, 70), st.integers(-70, 70)),
)
def test_every_pixel_has_one_owner(row, col, height, width, tile_px, origin):
    region = Window(row=row, col=col, height=height, width=width)
    owners = np.zeros(region.shape_hw, int)
    for tile in tiles(region, tile_px=tile_px, halo_px=3, origin=origin):
        owners[tile.core.slices_in(region)] += 1
        assert tile.padded == tile.core.padded(3)
        assert max(tile.core.shape_hw) <= tile_px
    assert (owners == 1).all()


def test_tiles_start_at_the_origin():
    corners = {
        (t.core.row, t.core.col)
        for t in tiles(Window(row=0, col=0, height=10, width=10), tile_px=8, halo_px=0, origin=(3, 5))
    }
    assert corners == {(0, 0), (0, 5), (3, 0), (3, 5)}


def test_bad_tiles_are_refused():
    with pytest.raises(ValueError, match="tile_px > 0"):
        next(tiles(Window(row=0, col=0, height=1, width=1), tile_px=0, halo_px=1))
