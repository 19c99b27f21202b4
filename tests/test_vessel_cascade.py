"""The cascade: where it looks it sees what the whole pass sees, and it looks wherever it cannot tell."""

import csv
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.geometry import Window
from imagery.sensors import SENTINEL2
from imagery.surface import map_surface
from imagery.tiling import Tile
from models.cfar import CfarConfig
from models.errors import DetectorError
from models.vessel.cascade import NEAR_PX, PIECE_PX, SIEVE, SQUARE_PX, Sieve, Work, cover, pieces
from models.vessel.engines import make_engine
from models.vessel.network import STRIDE_PX
from models.vessel.scene import TILE_PX, scene_peaks
from tests.vessel_nets import SAR, AllSea, same, sar_scene, sar_sea, talkative_net

SHAPE = (1000, 1200)
SHIPS = [(slice(100, 103), slice(100, 108)), (slice(700, 703), slice(763, 767))]  # the second near a corner of cores


@pytest.fixture(scope="module")
def engine():
    return make_engine("torch", talkative_net())


@pytest.fixture(scope="module")
def scene():
    return sar_scene(sar_sea(SHAPE, ships=SHIPS))


@pytest.fixture(scope="module")
def sieve(scene):
    return Sieve.prepare(scene, map_surface(scene, None))


def find(scene, engine, **how):
    surface = how.pop("surface", AllSea(SHAPE))
    return scene_peaks(scene, engine, SAR, surface, **{"hull_share": 0.0, "least_logit": -4.6} | how)


def squares_of(found):
    place = np.column_stack([found.cell_row, found.cell_col]) * STRIDE_PX // SQUARE_PX
    return {tuple(square) for square in place.tolist()}


def marked_squares(scene, sieve):
    """(rows, cols) bool of a scene of sea."""
    core = Window(row=0, col=0, height=-(-scene.shape_hw[0] // 64) * 64, width=-(-scene.shape_hw[1] // 64) * 64)
    tile = Tile(core=core, padded=core.padded(sieve.halo_px))
    pixels = scene.read(tile.padded)
    classes = AllSea(scene.shape_hw).classes(tile.padded, pixels.measured)
    marked = sieve.marked(scene, pixels, classes, pixels.measured, tile)[core.slices_in(tile.padded)]
    return marked.reshape(core.height // 64, 64, core.width // 64, 64).any(axis=(1, 3))


def squares_near(ships):
    return {
        (row // SQUARE_PX, col // SQUARE_PX)
        for rows, cols in ships
        for row in range(rows.start - NEAR_PX, rows.stop + NEAR_PX)
        for col in range(cols.start - NEAR_PX, cols.stop + NEAR_PX)
    }


@pytest.fixture(scope="module")
def sieved(scene, engine, sieve):
    return find(scene, engine, sieve=sieve, tile_px=512)


def test_only_squares_with_ships_in_or_near_them_are_looked_at(sieved):
    assert squares_of(sieved) == squares_near(SHIPS)
    assert len(squares_near(SHIPS)) > 3


def test_what_it_sees_is_what_the_whole_pass_sees_there(scene, engine, sieved):
    whole = find(scene, engine)
    place = np.column_stack([whole.cell_row, whole.cell_col]) * STRIDE_PX // SQUARE_PX
    inside = np.array([tuple(square) in squares_of(sieved) for square in place.tolist()])
    # at a square's edge a stronger peak across it may have taken one: compare those further in than the merge's reach
    at = np.column_stack([whole.row, whole.col]) % SQUARE_PX
    expected = whole.take(inside & ((at > 8) & (at < SQUARE_PX - 8)).all(axis=1))
    rows = {cell: i for i, cell in enumerate(zip(sieved.cell_row.tolist(), sieved.cell_col.tolist(), strict=True))}
    cells = zip(expected.cell_row.tolist(), expected.cell_col.tolist(), strict=True)
    assert len(expected) > 20
    assert same(sieved.take(np.array([rows[cell] for cell in cells])), expected)


@pytest.mark.parametrize(("tile_px", "origin"), [(256, (0, 0)), (2048, (0, 0)), (512, (320, -64))])
def test_tiles_change_no_bit(scene, engine, sieve, sieved, tile_px, origin):
    assert same(find(scene, engine, sieve=sieve, tile_px=tile_px, tile_origin=origin), sieved)


def test_an_area_s_answer_is_the_scene_s_cut_to_it(scene, engine, sieve, sieved):
    area = Window(row=690, col=700, height=60, width=80)
    inside = (sieved.row >= 689.5) & (sieved.row < 749.5) & (sieved.col >= 699.5) & (sieved.col < 779.5)
    assert inside.any()
    assert same(find(scene, engine, sieve=sieve, region=area), sieved.take(inside))


def test_work_is_counted_with_its_halos(scene, engine, sieve):
    work, halo = Work(), engine.halo_px + 16
    find(scene, engine, sieve=sieve, tile_px=2048, work=work)
    assert work.whole_px == (1024 + 2 * halo) * (1216 + 2 * halo)  # of whole squares
    # the first ship's surroundings fit in two by two squares, the second's too
    assert work.seen_px == 2 * (PIECE_PX + 2 * halo) ** 2
    assert work.times_less == work.whole_px / work.seen_px


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 0.5))
@settings(max_examples=40, deadline=None)
def test_pieces_hold_every_sought_pixel_and_only_as_many_as_squares(seed, share):
    core = Window(row=-128, col=320, height=320, width=448)
    tile = Tile(core=core, padded=core.padded(80))
    marks = np.random.default_rng(seed).random((5, 7)) < share
    sought = np.zeros(tile.padded.shape_hw, bool)
    sought[80:-80, 80:-80] = np.kron(marks, np.ones((SQUARE_PX, SQUARE_PX), bool))
    held = np.zeros_like(sought)
    cut = pieces(tile, sought, halo_px=16)
    for piece in cut:
        assert piece.core.shape_hw == (PIECE_PX, PIECE_PX)
        assert piece.padded == piece.core.padded(16)
        assert piece.core.row % SQUARE_PX == piece.core.col % SQUARE_PX == 0
        held[piece.core.slices_in(tile.padded)] = True
    assert not (sought & ~held).any()
    assert marks.sum() / 4 <= len(cut) <= marks.sum()


def test_where_most_squares_are_marked_the_whole_window_is_looked_at_once_with_the_same_answer(engine):
    ships = [(slice(r, r + 3), slice(c, c + 6)) for r in range(60, 500, 120) for c in range(60, 500, 120)]
    scene = sar_scene(sar_sea((512, 512), ships=ships))
    work, surface = Work(), AllSea((512, 512))
    sieve = Sieve.prepare(scene, map_surface(scene, None))
    found = find(scene, engine, surface=surface, sieve=sieve, work=work)
    assert work.seen_px == work.whole_px
    assert squares_of(found) == squares_near(ships)
    assert same(found, find(scene, engine, surface=surface, sieve=sieve, tile_px=192))


def test_the_shore_is_always_looked_at(scene, engine, sieve):
    land = np.zeros(SHAPE, bool)
    land[:, :300] = True
    found = find(scene, engine, surface=AllSea(SHAPE, land), sieve=sieve)
    assert {(r, 4) for r in range(15)} <= squares_of(found)
    assert not squares_of(found) - {(r, 4) for r in range(16)} - squares_near(SHIPS[1:])


def test_water_that_cannot_be_tested_is_looked_at(sieve):
    data = sar_sea(SHAPE)
    data[:, 512:768, 512:768] = 0.0  # thermal noise subtracted to nothing: a ring of zero power tells nothing
    assert marked_squares(sar_scene(data), sieve)[9:11, 9:11].all()


def test_a_squall_too_uneven_to_judge_is_looked_at(sieve):
    data = sar_sea(SHAPE)
    squall = np.random.default_rng(3).gamma(0.3, 1.0 / 0.3, (256, 256))  # texture of order 0.3: far from any calm sea
    data[:, 512:768, 512:768] *= squall
    assert marked_squares(sar_scene(data), sieve)[9:11, 9:11].all()


@pytest.mark.parametrize("seed", range(3))
def test_no_pixel_twelve_decibels_over_its_surroundings_is_passed_by(sieve, seed):
    data = sar_sea((640, 640), seed=seed)
    rng = np.random.default_rng(seed)
    rows, cols = (rng.integers(0, 640, 12) for _ in range(2))
    data[0, rows, cols] = 0.01 * 10.0**1.25
    assert marked_squares(sar_scene(data), sieve)[rows // SQUARE_PX, cols // SQUARE_PX].all()


def test_pixels_without_data_are_not_looked_at(engine, sieve):
    data = sar_sea(SHAPE)
    data[:, :, 600:] = np.nan
    assert len(find(sar_scene(data), engine, sieve=sieve)) == 0


def test_a_scene_cut_off_at_a_floor_is_refused():
    scene = sar_scene(sar_sea((200, 200)), clip_value=0.003)
    with pytest.raises(DetectorError, match=r"cut off at 0.003, below which a cascade cannot tell empty sea"):
        Sieve.prepare(scene, map_surface(scene, None))


def test_an_optical_scene_is_refused():
    scene = sar_scene(sar_sea((200, 200)), bands=("b04", "b08"), unit="reflectance", sensor=SENTINEL2)
    with pytest.raises(DetectorError, match="cascade needs a radar scene"):
        Sieve.prepare(scene, map_surface(scene, None))


def test_windows_that_would_cut_a_square_are_refused(scene, engine, sieve):
    with pytest.raises(ValueError, match="multiples of 64"):
        find(scene, engine, sieve=sieve, tile_px=336)


def test_at_the_density_of_xview3_the_network_has_a_fifth_of_the_work_or_less(real_data):
    """Real places of objects, each an alarm, and false alarms as many as the sieve is set to raise in two bands."""
    places = defaultdict(list)
    with real_data("tables/xview3_validation_labels.csv").open() as lines:
        for row in csv.DictReader(lines):
            if row["confidence"] in ("HIGH", "MEDIUM"):
                places[row["scene_id"]].append((int(row["detect_scene_row"]), int(row["detect_scene_column"])))
    scene_px, n_mean = 655e6, 384  # of all 50 scenes; 25 are here
    per_object, halo = [], 128 + 16  # the default network's
    for scene in places.values():
        at = np.array(scene)
        near = np.concatenate([at + np.array([a, b]) for a in (-NEAR_PX, NEAR_PX) for b in (-NEAR_PX, NEAR_PX)])
        marked = np.zeros((500, 600), bool)
        marked[tuple((near // SQUARE_PX).T)] = True
        per_object.append(len(cover(marked)) / len(at))
    false_alarms = 2 * SIEVE.false_alarm_rate * scene_px
    seen = (np.mean(per_object) * n_mean + false_alarms) * (PIECE_PX + 2 * halo) ** 2
    assert scene_px * ((TILE_PX + 2 * halo) / TILE_PX) ** 2 / seen > 5.0


def test_the_sieve_alarms_more_readily_than_a_detector_that_decides():
    assert SIEVE.false_alarm_rate > CfarConfig().false_alarm_rate
