"""CFAR: equal to a brute-force ring, realised false-alarm rates, tile invariance, real water."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import uniform_filter

from models import clutter as cl
from models._cfar_kernels import MAX_BACKGROUND_PX
from models.cfar import (
    CfarConfig,
    alarm_margin,
    cfar,
    cfar_table,
    fit_threshold_factor,
    union_levels,
)

SMALL = {"guard_px": 2, "background_px": 7, "correlation_area_px": 1.0, "min_ring_fraction": 0.4}
LOOSE = {"false_alarm_rate": 1e-3, "grow_rate": 2e-2}
KINDS = [(c, t) for c in ("gamma", "k", "g0") for t in (False, True)]


# ------------------------------------------------------------------------------------------ brute force


def ring_sums(values, config):
    """Sum of int64 values over the ring of every pixel, outside counting as 0: one slice per pixel."""
    outer, guard = 2 * config.background_px + 1, 2 * config.guard_px + 1
    padded = np.pad(values, config.background_px)
    whole = sliding_window_view(padded, (outer, outer)).sum(axis=(2, 3))
    inset = config.background_px - config.guard_px
    inner = padded[inset : padded.shape[0] - inset, inset : padded.shape[1] - inset]
    return whole - sliding_window_view(inner, (guard, guard)).sum(axis=(2, 3))


def interpolated(table, *positions):
    """Multilinear interpolation by summing over the corners of the cell."""
    value = 0.0
    for corner in np.ndindex((2,) * len(positions)):
        weight, index = 1.0, []
        for axis, (bit, position) in enumerate(zip(corner, positions, strict=True)):
            size = table.shape[axis]
            at = min(max(position, 0.0), size - 1.0)
            node = min(int(at), max(size - 2, 0))
            share = at - node
            weight *= share if bit else 1.0 - share
            index.append(min(node + bit, size - 1))
        value += weight * table[tuple(index)]
    return value


def brute_force(intensity, valid, config, unit):
    """The detector as its docstring says it, in numpy and Python, on whole arrays."""
    usable = valid & np.isfinite(intensity) & (intensity >= 0)
    in_units = np.where(usable, intensity, 0).astype(np.float32) * np.float32(1 / unit)
    amplitude = np.floor(np.minimum(np.sqrt(in_units) * np.float32(1024), np.float32(32767)) + np.float32(0.5))
    amplitude = amplitude.astype(np.int64)
    kept, earlier = usable, None
    for _ in range(2 if config.trimmed else 0):
        count, power = ring_sums(kept.astype(np.int64), config), ring_sums(kept * amplitude**2, config)
        earlier = power / np.maximum(count, 1)
        enough = count >= math.ceil(0.05 * config.ring_px)
        kept = kept & enough & (amplitude**2 * count <= config.cutoff_ratio * power)
    count, power = ring_sums(kept.astype(np.int64), config), ring_sums(kept * amplitude**2, config)
    roots = ring_sums(kept * amplitude, config)
    scale = np.float64(np.float32(1 / unit)) * 1024 * 1024
    table = cfar_table(config)
    level = np.full(intensity.shape, 255, np.uint8)
    ratio = np.full(intensity.shape, np.nan, np.float32)
    for i, j in zip(*np.nonzero(usable & (count >= config.least_ring_px) & (power > 0)), strict=True):
        n, total = int(count[i, j]), float(power[i, j])
        value = float(intensity[i, j]) * scale * n / total
        ratio[i, j] = value
        level[i, j] = 0
        count_at = (1 / n - table.count_axis[0]) / table.count_axis[1]
        cutoff_at = texture_at = 0.0
        if config.trimmed:
            used = config.cutoff_ratio * float(earlier[i, j]) * n / total
            cutoff_at = math.sqrt(max(math.log(used) - table.cutoff_axis[0], 0)) / table.cutoff_axis[1]
        if config.clutter != "gamma":
            half = float(roots[i, j]) ** 2 / (n * total)
            texture_at = math.sqrt(max(table.texture_axis[0] - math.log(half), 0)) / table.texture_axis[1]
        for step in range(2):
            bound = interpolated(table.log_factor[step], count_at, cutoff_at, texture_at)
            if value > 0 and math.log(value) > bound + table.log_by_count[step, n]:
                level[i, j] = step + 1
    return level, ratio


def messy_scene(seed=0, shape=(64, 83)):
    """K clutter with ships, a bright area beyond the ceiling, holes, a no-data wedge, NaN, inf, negatives."""
    rng = np.random.default_rng(seed)
    x = cl.sample_clutter(rng, shape, clutter="k", looks=4.4, heterogeneity=0.2) * np.float32(0.02)
    x[rng.random(shape) < 0.02] *= 40
    x[5:16, -23:-8] *= 1e5
    x[9:13, 10:16] = np.nan
    x[14, 20:23], x[15, 20] = np.inf, -np.inf
    x[17, 4:8] = -0.01
    x[2:6, :8] = 0.0
    valid = rng.random(shape) > 0.03
    valid[np.add.outer(np.arange(shape[0]), -np.arange(shape[1])) > 35] = False
    return x.astype(np.float32), valid


@pytest.mark.parametrize(("clutter", "trimmed"), KINDS)
def test_equal_to_brute_force(clutter, trimmed):
    config = CfarConfig(clutter=clutter, trimmed=trimmed, **SMALL, **LOOSE)
    intensity, valid = messy_scene()
    got = cfar(intensity, valid, config, unit_intensity=0.015)
    level, ratio = brute_force(intensity, valid, config, 0.015)
    np.testing.assert_array_equal(got.level, level)
    np.testing.assert_array_equal(got.ratio, ratio)
    assert {0, 1, 2, 255} == set(np.unique(level))


@pytest.mark.parametrize(("guard", "background", "fraction"), [(0, 1, 0.6), (3, 8, 0.2), (1, 60, 0.02)])
def test_equal_to_brute_force_for_other_windows(guard, background, fraction):
    config = CfarConfig(
        clutter="gamma",
        trimmed=True,
        guard_px=guard,
        background_px=background,
        min_ring_fraction=fraction,
        correlation_area_px=1.0,
        **LOOSE,
    )
    intensity, valid = messy_scene(1, (20, 41))
    got = cfar(intensity, valid, config, unit_intensity=1.0)
    level, ratio = brute_force(intensity, valid, config, 1.0)
    np.testing.assert_array_equal(got.level, level)
    np.testing.assert_array_equal(got.ratio, ratio)


@pytest.mark.parametrize(("clutter", "trimmed"), KINDS)
def test_a_tile_with_its_halo_reproduces_the_scene(clutter, trimmed):
    """Bit for bit, for crops anywhere, of any size, C order or not, and across the kernel's column blocks."""
    config = CfarConfig(clutter=clutter, trimmed=trimmed, **SMALL, **LOOSE)
    intensity, valid = messy_scene(2, (150, 2300))
    whole = cfar(intensity, valid, config, unit_intensity=0.02)
    halo = config.halo_px
    for row, col, height, width in ((60, 1000, 7, 50), (21, 33, 100, 1), (70, 2040, 11, 90), (halo, halo, 3, 300)):
        cut = np.s_[row - halo : row + height + halo, col - halo : col + width + halo]
        tile = cfar(intensity[cut], valid[cut], config, unit_intensity=0.02)
        core = np.s_[halo : halo + height, halo : halo + width]
        np.testing.assert_array_equal(tile.level[core], whole.level[row : row + height, col : col + width])
        np.testing.assert_array_equal(tile.ratio[core], whole.ratio[row : row + height, col : col + width])


def test_nothing_beyond_the_halo_matters():
    config = CfarConfig(clutter="k", trimmed=True, **SMALL, **LOOSE)
    halo, rng = config.halo_px, np.random.default_rng(4)
    intensity, valid = messy_scene(3, (2 * halo + 1, 2 * halo + 1))
    alone = cfar(intensity, valid, config, unit_intensity=0.02)
    around = rng.exponential(5.0, (4 * halo, 4 * halo)).astype(np.float32)
    mask = np.ones(around.shape, bool)
    here = np.s_[halo : 3 * halo + 1, halo : 3 * halo + 1]
    around[here], mask[here] = intensity, valid
    within = cfar(around, mask, config, unit_intensity=0.02)
    assert within.level[2 * halo, 2 * halo] == alone.level[halo, halo]
    assert within.ratio[2 * halo, 2 * halo] == alone.ratio[halo, halo]


def test_threads_do_not_disturb_each_other():
    config = CfarConfig(clutter="k", trimmed=True, **SMALL, **LOOSE)
    scenes = [messy_scene(seed, (200, 300)) for seed in range(4)]
    alone = [cfar(x, v, config, unit_intensity=0.02).level for x, v in scenes]
    together = [np.empty(0)] * 4

    def work(k):
        together[k] = cfar(*scenes[k], config, unit_intensity=0.02).level

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------------------------- exact small statements


def test_holes_do_not_bias_the_mean():
    config = CfarConfig(clutter="gamma", trimmed=False, **SMALL, **LOOSE)
    intensity = np.full((31, 31), 2.0, np.float32)
    valid = np.random.default_rng(5).random((31, 31)) > 0.4
    valid[15, 15] = True
    got = cfar(np.where(valid, intensity, np.float32(1e6)), valid, config, unit_intensity=2.0)
    assert got.level[15, 15] == 0
    assert got.ratio[15, 15] == pytest.approx(1.0, abs=1e-6)


def test_the_threshold_of_a_flat_ring_is_the_exact_factor():
    config = CfarConfig(clutter="gamma", trimmed=False, **SMALL, false_alarm_rate=1e-6, grow_rate=1e-3)
    for rate, level in ((1e-3, 1), (1e-6, 2)):
        factor = float(cl.gamma_factor(rate, looks=config.looks, background_px=config.ring_px))
        for ratio, expected in ((factor * (1 - 1e-6), level - 1), (factor * (1 + 1e-6), level)):
            intensity = np.ones((15, 15), np.float32)
            intensity[7, 7] = ratio
            assert cfar(intensity, intensity > 0, config, unit_intensity=1.0).level[7, 7] == expected
            margin = alarm_margin(intensity, intensity > 0, config, unit_intensity=1.0)[7, 7]
            alarm = float(cl.gamma_factor(1e-6, looks=config.looks, background_px=config.ring_px))
            assert margin == pytest.approx(ratio / alarm, rel=1e-6)


def test_threshold_factor_multiplies_the_threshold():
    intensity, valid = messy_scene(6)
    plain = CfarConfig(clutter="k", trimmed=True, **SMALL, **LOOSE)
    scaled = replace(plain, threshold_factor=1.3)
    margin = alarm_margin(intensity, valid, plain, unit_intensity=0.02)
    np.testing.assert_allclose(
        alarm_margin(intensity, valid, scaled, unit_intensity=0.02), margin / np.float32(1.3), rtol=1e-5
    )
    level = cfar(intensity, valid, plain, unit_intensity=0.02).level
    np.testing.assert_array_equal(level == 2, margin > 1)


def test_too_empty_rings_and_empty_power_are_untestable():
    config = CfarConfig(clutter="gamma", trimmed=False, guard_px=2, background_px=7, min_ring_fraction=0.5, **LOOSE)
    intensity = np.ones((40, 40), np.float32)
    got = cfar(intensity, intensity > 0, config, unit_intensity=1.0)
    assert got.level[0, 0] == 255
    assert np.isnan(got.ratio[0, 0])
    assert (got.level[8:-8, 8:-8] == 0).all()
    dark = cfar(intensity * 0, intensity > 0, config, unit_intensity=1.0)
    assert (dark.level == 255).all()
    nothing = cfar(intensity, intensity < 0, config, unit_intensity=1.0)
    assert (nothing.level == 255).all()
    assert np.isnan(nothing.ratio).all()


def test_empty_arrays_are_no_error():
    for shape in ((0, 5), (5, 0)):
        got = cfar(np.zeros(shape, np.float32), np.zeros(shape, bool), CfarConfig(), unit_intensity=1.0)
        assert got.level.shape == got.ratio.shape == shape


def test_union_takes_the_highest_testable_level():
    vv = np.array([0, 1, 2, 255, 255, 0, 255], np.uint8)
    vh = np.array([1, 0, 255, 2, 255, 0, 0], np.uint8)
    expected = np.array([1, 1, 2, 2, 255, 0, 0], np.uint8)
    np.testing.assert_array_equal(union_levels(vv, vh), expected)
    np.testing.assert_array_equal(union_levels(vh, vv), expected)
    np.testing.assert_array_equal(union_levels(vv), vv)


def test_union_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="at least one"):
        union_levels()
    with pytest.raises(ValueError, match=r"uint8 arrays of one shape.*\(2,\).*\(3,\)"):
        union_levels(np.zeros(2, np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="float64"):
        union_levels(np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clutter": "weibull"}, "'gamma', 'k' or 'g0', not 'weibull'"),
        ({"false_alarm_rate": 0.0}, "false_alarm_rate must be in"),
        ({"false_alarm_rate": float("nan")}, "false_alarm_rate must be in"),
        ({"grow_rate": 1e-9}, "grow_rate must be in"),
        ({"looks": 0.0}, "looks must be in"),
        ({"guard_px": 40}, "guard_px < background_px <= 127, not guard_px=40, background_px=40"),
        ({"guard_px": -1}, "0 <= guard_px"),
        ({"background_px": MAX_BACKGROUND_PX + 1}, "background_px=128"),
        ({"correlation_area_px": 0.5}, "correlation_area_px must be at least 1"),
        ({"min_ring_fraction": 0.0}, "min_ring_fraction must be in"),
        ({"threshold_factor": -1.0}, "threshold_factor must be in"),
        ({"guard_px": 3, "background_px": 6}, "'k' needs 64 effective background pixels"),
    ],
)
def test_bad_configurations_say_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        CfarConfig(**change)


def test_bad_images_say_what_is_wrong():
    image, mask, config = np.ones((9, 9), np.float32), np.ones((9, 9), bool), CfarConfig()
    with pytest.raises(ValueError, match="float32"):
        cfar(image.astype(np.float64), mask, config, unit_intensity=1.0)
    with pytest.raises(ValueError, match=r"bool \(9, 9\)"):
        cfar(image, mask[1:], config, unit_intensity=1.0)
    for unit in (0.0, -1.0, float("nan"), float("inf"), 1e-60):
        with pytest.raises(ValueError, match="unit_intensity must be positive"):
            cfar(image, mask, config, unit_intensity=unit)


def test_halo_is_what_the_detector_reads():
    assert CfarConfig(trimmed=False).halo_px == 40
    assert CfarConfig(trimmed=True).halo_px == 120


# ---------------------------------------------------------------------------------- false-alarm rates

SIDE = 2000
WINDOW = {"guard_px": 20, "background_px": 40, "correlation_area_px": 1.0}  # draws are independent pixels
CASES = [
    ("gamma", "gamma", 0.0),
    ("k", "gamma", 0.0),
    ("k", "k", 1 / 2),
    ("k", "k", 1 / 5),
    ("k", "k", 1 / 20),
    ("g0", "g0", 1 / 3),
    ("g0", "g0", 1 / 5),
    ("g0", "g0", 1 / 15),
]


def true_factor(rate, clutter, heterogeneity):
    if clutter == "gamma":
        return float(cl.gamma_factor(rate, looks=4.4))
    if clutter == "k":
        return cl.k_factor(rate, looks=4.4, order=1 / heterogeneity)
    return cl.g0_factor(rate, looks=4.4, alpha=-1 / heterogeneity)


def tail_field(seed, clutter, heterogeneity, rate, side=1500):
    """A clutter field with tilted pixels on a lattice wide enough that none is in another's ring.

    Returns the field, the lattice (slices) and the pixels' importance weights.
    """
    rng = np.random.default_rng(seed)
    field = cl.sample_clutter(rng, (side, side), clutter=clutter, looks=4.4, heterogeneity=heterogeneity)
    lattice = np.s_[20::41, 20::41]
    factor = true_factor(rate, clutter, heterogeneity)
    shape = field[lattice].shape
    value, weight = cl.sample_tail(
        rng, math.prod(shape), clutter=clutter, looks=4.4, heterogeneity=heterogeneity, target=factor
    )
    field[lattice] = value.reshape(shape)
    return field, lattice, weight.reshape(shape)


@pytest.mark.parametrize(("assumed", "clutter", "heterogeneity"), CASES)
@pytest.mark.parametrize("trimmed", [False, True])
def test_realised_rates_by_direct_draws(assumed, clutter, heterogeneity, trimmed):
    rng = np.random.default_rng(101)
    field = cl.sample_clutter(rng, (SIDE, SIDE), clutter=clutter, looks=4.4, heterogeneity=heterogeneity)
    valid = np.ones(field.shape, bool)
    for seeds, grow in ((1e-4, 1e-3), (1e-5, 1e-4)):
        config = CfarConfig(clutter=assumed, trimmed=trimmed, false_alarm_rate=seeds, grow_rate=grow, **WINDOW)
        level = cfar(field, valid, config, unit_intensity=1.0).level
        assert (level != 255).all()
        assert 0.5 < (level == 2).mean() / seeds < 2.0
        assert 0.5 < (level >= 1).mean() / grow < 2.0


@pytest.mark.parametrize(("assumed", "clutter", "heterogeneity"), CASES)
@pytest.mark.parametrize("trimmed", [False, True])
def test_realised_rates_by_importance_sampling(assumed, clutter, heterogeneity, trimmed):
    for seeds, grow in ((1e-7, 1e-6), (1e-8, 1e-8)):
        field, lattice, weight = tail_field(102, clutter, heterogeneity, seeds)
        config = CfarConfig(clutter=assumed, trimmed=trimmed, false_alarm_rate=seeds, grow_rate=grow, **WINDOW)
        level = cfar(field, np.ones(field.shape, bool), config, unit_intensity=1.0).level[lattice]
        assert 0.5 < (weight * (level == 2)).mean() / seeds < 2.0
        assert 0.5 < (weight * (level >= 1)).mean() / grow < 2.0


def with_ships(field, share, seed, lattice=None):
    """Paint 3 x 4 pixel ships of 10 to 25 dB over the mean until they cover `share` of the pixels."""
    rng = np.random.default_rng(seed)
    ships = np.zeros(field.shape, bool)
    painted = field.copy()
    for _ in range(int(share * field.size / 12)):
        row, col = (int(rng.integers(0, side - 4)) for side in field.shape)
        here = np.s_[row : row + 3, col : col + 4]
        ships[here] = True
        painted[here] = 10 ** rng.uniform(1.0, 2.5) * rng.standard_gamma(4.4, (3, 4)) / 4.4
    if lattice is not None:
        painted[lattice] = field[lattice]
    return painted, ships


@pytest.mark.parametrize("share", [0.01, 0.05])
@pytest.mark.parametrize(("clutter", "heterogeneity"), [("gamma", 0.0), ("k", 1 / 5), ("g0", 1 / 5)])
def test_trimmed_keeps_its_rate_and_its_ships_among_ships(clutter, heterogeneity, share):
    field, lattice, weight = tail_field(103, clutter, heterogeneity, 1e-7)
    field, ships = with_ships(field, share, 104, lattice)
    config = CfarConfig(clutter=clutter, trimmed=True, false_alarm_rate=1e-7, grow_rate=1e-3, **WINDOW)
    valid = np.ones(field.shape, bool)
    level = cfar(field, valid, config, unit_intensity=1.0).level
    assert 0.5 < (weight * (level[lattice] == 2)).mean() / 1e-7 < 2.0
    sea = ~ships
    sea[lattice] = False
    assert 0.5 < (level[sea] >= 1).mean() / 1e-3 < 2.0

    clean = true_factor(1e-7, clutter, heterogeneity)
    bright = ships & (field > 1.4 * clean)
    bright[lattice] = False
    assert (level[bright] == 2).mean() > 0.99
    plain = cfar(field, valid, replace(config, trimmed=False), unit_intensity=1.0).level
    if share == 0.05:
        assert (plain[bright] == 2).mean() < 0.85


def test_rates_hold_beside_no_data():
    """In a comb of narrow swaths every ring is two thirds empty."""
    rng = np.random.default_rng(105)
    field = cl.sample_clutter(rng, (SIDE, SIDE), clutter="k", looks=4.4, heterogeneity=0.2)
    valid = np.broadcast_to(np.arange(SIDE) % 60 < 20, field.shape).copy()
    for clutter, trimmed in (("k", False), ("k", True), ("g0", True)):
        config = CfarConfig(
            clutter=clutter, trimmed=trimmed, false_alarm_rate=1e-5, grow_rate=1e-3, **WINDOW, min_ring_fraction=0.05
        )
        level = cfar(field, valid, config, unit_intensity=1.0).level
        assert ((level == 255) == ~valid).all()
        if clutter == "k":
            assert 0.5 < (level[valid] == 2).mean() / 1e-5 < 2.0
            assert 0.5 < (level[valid] >= 1).mean() / 1e-3 < 2.0


def test_rate_does_not_depend_on_the_unit_of_intensity():
    """From 30 dB under the unit to 10 dB over it the quantised ring still gives the same alarms."""
    rng = np.random.default_rng(106)
    field = cl.sample_clutter(rng, (700, 700), clutter="k", looks=4.4, heterogeneity=0.2)
    config = CfarConfig(clutter="k", trimmed=True, false_alarm_rate=1e-4, grow_rate=1e-2, **WINDOW)
    valid = np.ones(field.shape, bool)
    exact = cfar(field, valid, config, unit_intensity=1.0)
    for unit in (1e3, 1e-1):
        other = cfar(field, valid, config, unit_intensity=unit)
        np.testing.assert_allclose(other.ratio, exact.ratio, rtol=5e-3)
        assert (other.level != exact.level).mean() < 2e-4


def test_fitted_factor_restores_the_rate_of_look_weighted_speckle():
    """Fitted on some draws, checked on others; the plain Gamma threshold fails by a factor over 3."""
    config = CfarConfig(clutter="gamma", trimmed=False, false_alarm_rate=1e-6, grow_rate=1e-3)
    halo = config.halo_px

    def draws(seed, used):
        rng = np.random.default_rng(seed)
        field = cl.look_weighted_speckle(rng, (700, 700))
        margin = alarm_margin(field, field >= 0, used, unit_intensity=1.0)
        threshold = (field / margin)[halo:-halo, halo:-halo].ravel()
        value, weight = cl.sample_look_weighted(rng, threshold.size, tilt=3.0)
        return value / threshold, weight

    margin, weight = draws(107, config)
    assert 3.0 < (weight * (margin > 1)).mean() / 1e-6 < 7.0
    factor = fit_threshold_factor(margin, false_alarm_rate=1e-6, importance=weight)
    assert 1.05 < factor < 1.15
    margin, weight = draws(108, replace(config, threshold_factor=factor))
    assert 0.8 < (weight * (margin > 1)).mean() / 1e-6 < 1.25


def test_fitted_factor_is_a_quantile():
    margin = np.arange(1, 100_001) / 50_000
    assert fit_threshold_factor(margin, false_alarm_rate=0.01) == pytest.approx(1.98, abs=1e-4)
    with_gaps = np.where(np.arange(100_000) % 2, margin, np.nan)
    assert fit_threshold_factor(with_gaps, false_alarm_rate=0.01) == pytest.approx(1.98, abs=1e-4)


def test_fitted_factor_refuses_too_few_samples():
    with pytest.raises(ValueError, match="draw more samples, or tilted ones"):
        fit_threshold_factor(np.linspace(0, 2, 1000), false_alarm_rate=1e-6)
    with pytest.raises(ValueError, match="3 samples, importance 2"):
        fit_threshold_factor(np.ones(3), false_alarm_rate=0.1, importance=np.ones(2))


# ---------------------------------------------------------------------------------------------- real sea


# Rectangles of open water chosen by eye, with a ship found by looking at the picture.
WATER = (("c0_r1", (50, 500, 900, 1650), (373, 650)), ("c1_r2", (0, 1100, 0, 1800), (415, 1310)))


def irish_sea(folder, tile, window):
    """Pixels of a rectangle: linear intensity and where DN is 0, that is clipped at -25 dB."""
    with rasterio.open(next(iter(folder.glob(f"*_{tile}.tif")))) as source:
        dn = source.read(1)[window[0] : window[1], window[2] : window[3]]
    return (10 ** ((dn * (25 / 255) - 25) / 10)).astype(np.float32), dn == 0


def test_two_ships_on_the_real_irish_sea_and_little_else(real_data):
    folder = real_data("sar/irish_sea")
    config = CfarConfig(clutter="k", trimmed=True, false_alarm_rate=1e-7)
    for tile, window, ship in WATER:
        intensity, _ = irish_sea(folder, tile, window)
        level = cfar(intensity, np.ones(intensity.shape, bool), config, unit_intensity=0.01).level
        assert (level[ship[0] - 8 : ship[0] + 9, ship[1] - 8 : ship[1] + 9] == 2).any()
        assert (level == 2).mean() < 1e-4


def test_rates_on_the_real_irish_sea(real_data):
    """With the thermal noise that the product subtracted (fit: -23.75 dB) added back, and the speckle's factor.

    Both numbers are from scripts/campaign_cfar.py. As it is, the product's speckle looks like texture to the K
    detector, and 4.4-look Gamma alarms 20 times too often at 1e-4.
    """
    folder = real_data("sar/irish_sea")
    rates = {"false_alarm_rate": 1e-4, "grow_rate": 1e-3}
    found = {"k": np.zeros(2), "gamma": np.zeros(2)}
    tested = 0
    for tile, window, _ in WATER:
        intensity, clipped = irish_sea(folder, tile, window)
        calm = uniform_filter(clipped.astype(np.float32), 81) < 0.15
        tested += calm.sum()
        for clutter, noise, factor in (("k", 10**-2.375, 1.09), ("gamma", 0.0, 1.0)):
            config = CfarConfig(clutter=clutter, trimmed=True, threshold_factor=factor, **rates)
            level = cfar(intensity + np.float32(noise), calm | ~calm, config, unit_intensity=0.01).level[calm]
            found[clutter] += [(level >= 1).sum(), (level == 2).sum()]
    assert tested > 500_000
    assert np.all(np.abs(np.log2(found["k"] / tested / [1e-3, 1e-4])) < 1)
    assert np.all(found["gamma"] / tested / [1e-3, 1e-4] > [5, 12])
