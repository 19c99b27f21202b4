"""Compiled inner loops of `models.cfar`: exact running sums over a square ring, in one pass.

Numbers. Every background pixel becomes an integer amplitude
`a = round(1024 sqrt(x / unit_intensity))`, clipped at 32767, that is just under 1024 units of intensity
(+30 dB); -1 marks a pixel that is absent (no data, outside the array, censored). Its intensity is a^2. One
int64 carries a pixel count and an intensity sum together, count * 2^46 + sum of a^2: exact for rings of up
to 255 x 255 pixels (a^2 < 2^30, fewer than 2^16 of them). Integer sums do not depend on the order of
summation, so a result depends on the pixels under the window and on nothing else.

Walk. A column block of the image streams through from top to bottom. `_push` adds a row to two vertical
box sums per column (outer box, guard box) and drops the row that leaves; `_slide` turns them into the
sums of the ring around every pixel of the row `background` rows back. Trimmed detection chains three
such stages, each fed with the rows that the one before has censored, so the halo is three half-widths.
Only pixels above the loosest threshold go on to the estimate of texture and the table of factors.

The vertical loops and `_slide`'s first loop vectorise; slices instead of index arithmetic keep them so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

AMPLITUDE_STEPS = 1024.0
"""Integer amplitude of a pixel of exactly `unit_intensity`."""

AMPLITUDE_CEILING = 32767.0
"""Largest integer amplitude: background pixels count as at most (32767 / 1024)^2 = 1023.9 units."""

MAX_BACKGROUND_PX = 127
"""Largest half-width of the outer box for which the packed sums are exact."""

_SHIFT = 46
_ONE = np.int64(1) << _SHIFT
_SUM_MASK = _ONE - 1

QUIET, GROW, ALARM, UNTESTABLE = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(255)


def _jit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """numba.njit for one thread, without the interpreter lock, cached on disk; 0 / 0 is NaN as in numpy."""
    return numba.njit(nogil=True, cache=True, error_model="numpy", **options)  # type: ignore[no-any-return]  # numba has no types


@_jit(inline="always")
def _packed(amplitude: Any) -> Any:
    """Count and intensity of one pixel as one number; 0 for an absent pixel."""
    wide = np.int64(amplitude)
    return wide * wide + _ONE if wide >= 0 else np.int64(0)


@_jit(inline="always")
def _usable(value: Any, valid: Any) -> Any:
    """Whether an intensity is data: valid, not NaN, not negative, finite."""
    return valid and value >= np.float32(0.0) and value < np.float32(np.inf)


@_jit()
def _quantise(intensity: Any, valid: Any, per_unit: Any, out: Any) -> None:
    """One row of float32 intensities to integer amplitudes, int16; -1: absent."""
    for j in range(intensity.size):
        value = intensity[j]
        amplitude = np.sqrt(max(value * per_unit, np.float32(0.0))) * np.float32(AMPLITUDE_STEPS)
        amplitude = min(amplitude, np.float32(AMPLITUDE_CEILING)) + np.float32(0.5)
        out[j] = np.int16(amplitude) if _usable(value, valid[j]) else np.int16(-1)


@_jit()
def _push(rows: Any, i: int, guard: int, background: int, new: Any, outer: Any, inner: Any) -> None:
    """Enter row i: update the box sums per column for the centre row i - background; keep the row."""
    height = 2 * background + 1
    leaving = rows[i % height]
    guard_new = rows[(i - background + guard) % height]
    guard_old = rows[(i - background - guard - 1) % height]
    for j in range(new.size):
        inner[j] += _packed(guard_new[j]) - _packed(guard_old[j])
        outer[j] += _packed(new[j]) - _packed(leaving[j])
        leaving[j] = new[j]


@_jit()
def _push_amplitude(rows: Any, i: int, guard: int, background: int, new: Any, outer: Any, inner: Any) -> None:
    """As `_push`, before it, for int32 sums of amplitudes (for the half moment)."""
    height = 2 * background + 1
    leaving = rows[i % height]
    guard_new = rows[(i - background + guard) % height]
    guard_old = rows[(i - background - guard - 1) % height]
    zero = np.int32(0)
    for j in range(new.size):
        inner[j] += max(np.int32(guard_new[j]), zero) - max(np.int32(guard_old[j]), zero)
        outer[j] += max(np.int32(new[j]), zero) - max(np.int32(leaving[j]), zero)


@_jit()
def _slide(outer: Any, inner: Any, guard: int, background: int, margin: int, ring: Any) -> None:
    """Box sums per column to ring sums, for the columns [margin, width - margin); margin >= background."""
    width = ring.size
    total = np.int64(0)
    for j in range(margin - background, margin + background + 1):
        total += outer[j]
    for j in range(margin - guard, margin + guard + 1):
        total -= inner[j]
    ring[margin] = total
    change = ring[margin + 1 : width - margin]
    outer_in = outer[margin + 1 + background : width - margin + background]
    outer_out = outer[margin - background : width - margin - background - 1]
    inner_in = inner[margin + 1 + guard : width - margin + guard]
    inner_out = inner[margin - guard : width - margin - guard - 1]
    for j in range(change.size):
        change[j] = (outer_in[j] - outer_out[j]) - (inner_in[j] - inner_out[j])
    for j in range(change.size):
        total += change[j]
        change[j] = total


@_jit()
def _censor(ring: Any, centre: Any, cutoff: float, least: int, kept: Any, mean: Any) -> None:
    """Keep the amplitudes of a row that are below cutoff * the mean of their own ring; note that mean.

    A pixel whose ring holds fewer than `least` pixels cannot be screened and is dropped: that does not
    look at its value, so it biases nothing.
    """
    for j in range(ring.size):
        count = ring[j] >> _SHIFT
        total = ring[j] & _SUM_MASK
        amplitude = np.int64(centre[j])
        keep = count >= least and np.float64(amplitude * amplitude * count) <= cutoff * np.float64(total)
        kept[j] = centre[j] if keep else np.int16(-1)
        mean[j] = np.float32(np.float64(total) / np.float64(max(count, np.int64(1))))


@_jit()
def _compare(intensity: Any, valid: Any, ring: Any, least: int, per_unit: float, ratio: Any, level: Any) -> None:
    """Ratio of a row's pixels to their ring mean; quiet or untestable, nothing tested yet."""
    for j in range(intensity.size):
        count = ring[j] >> _SHIFT
        total = ring[j] & _SUM_MASK
        testable = _usable(intensity[j], valid[j]) and count >= least and total > 0
        value = np.float64(intensity[j]) * per_unit * np.float64(count) / np.float64(total)
        ratio[j] = np.float32(value) if testable else np.float32(np.nan)
        level[j] = QUIET if testable else UNTESTABLE


@_jit(inline="always")
def _cell(position: float, size: int) -> tuple[int, float]:
    """Lower node and fraction of a position on a uniform axis of `size` nodes, clamped to its ends."""
    if size == 1:
        return 0, 0.0
    clamped = min(max(position, 0.0), size - 1.0)
    node = min(int(clamped), size - 2)
    return node, clamped - node


@_jit()
def _log_factor(table: Any, count_at: float, cutoff_at: float, texture_at: float) -> float:
    """Trilinear interpolation in a table of log factors with axes (count, cutoff, texture)."""
    n0, n_share = _cell(count_at, table.shape[0])
    u0, u_share = _cell(cutoff_at, table.shape[1])
    s0, s_share = _cell(texture_at, table.shape[2])
    value = 0.0
    for dn in range(min(2, table.shape[0])):
        n_weight = n_share if dn == 1 else 1.0 - n_share
        for du in range(min(2, table.shape[1])):
            u_weight = u_share if du == 1 else 1.0 - u_share
            row = table[n0 + dn, u0 + du]
            if row.size == 1:
                value += n_weight * u_weight * row[0]
            else:
                value += n_weight * u_weight * ((1.0 - s_share) * row[s0] + s_share * row[s0 + 1])
    return value


@_jit()
def detect(
    intensity: NDArray[np.float32],
    valid: NDArray[np.bool_],
    per_unit: np.float32,
    guard: int,
    background: int,
    cutoff: float,
    least: int,
    least_screen: int,
    with_texture: bool,
    candidate_ratio: float,
    log_by_count: NDArray[np.float64],
    table: NDArray[np.float64],
    count_axis: NDArray[np.float64],
    cutoff_axis: NDArray[np.float64],
    texture_axis: NDArray[np.float64],
    as_margin: bool,
    block_px: int,
    level: NDArray[np.uint8],
    ratio: NDArray[np.float32],
) -> None:
    """Fill `level` and `ratio` (h, w).

    Args:
        intensity: (h, w) linear, C order.
        valid: (h, w) True: data.
        per_unit: 1 / unit_intensity.
        guard: half-width of the guard box, pixels.
        background: half-width of the outer box, pixels.
        cutoff: censoring threshold over the ring mean; inf: not trimmed, one stage instead of three.
        least: ring pixels needed to test a pixel.
        least_screen: ring pixels needed to screen a background pixel.
        with_texture: whether the table's texture axis is used (K, G0).
        candidate_ratio: below this ratio no entry of the tables alarms.
        log_by_count: (2, ring + 1) log factor (grow, alarm) by number of ring pixels.
        table: (2, counts, cutoffs, textures) log factor added to it.
        count_axis: origin and step of 1 / count.
        cutoff_axis: origin o and step of sqrt(ln(cutoff * earlier mean / last mean) - o).
        texture_axis: origin and step of sqrt(origin - ln half moment).
        as_margin: write x / alarm threshold into `ratio` instead of x / ring mean.
        block_px: columns per block.
        level: out.
        ratio: out.
    """
    height, width = intensity.shape
    stages = 1 if np.isinf(cutoff) else 3
    halo = stages * background
    window = 2 * background + 1
    scale = np.float64(per_unit) * AMPLITUDE_STEPS * AMPLITUDE_STEPS
    for start in range(0, width, block_px):
        stop = min(width, start + block_px)
        block = stop - start + 2 * halo
        rows = np.full((stages, window, block), np.int16(-1))
        outer = np.zeros((stages, block), np.int64)
        inner = np.zeros((stages, block), np.int64)
        outer_amplitude = np.zeros(block, np.int32)
        inner_amplitude = np.zeros(block, np.int32)
        ring = np.zeros(block, np.int64)
        means = np.zeros((background + 2, block), np.float32)  # last row: scratch of the first stage
        fresh = np.full(block, np.int16(-1))
        read_start = max(0, start - halo)
        read_stop = min(width, stop + halo)
        offset = read_start - (start - halo)
        for i in range(height + halo):
            fresh[:] = np.int16(-1)
            if i < height:
                target = fresh[offset : offset + read_stop - read_start]
                _quantise(intensity[i, read_start:read_stop], valid[i, read_start:read_stop], per_unit, target)
            centre = i
            for stage in range(stages - 1):
                _push(rows[stage], centre, guard, background, fresh, outer[stage], inner[stage])
                margin = (stage + 1) * background
                centre -= background
                if centre < 0:
                    break
                _slide(outer[stage], inner[stage], guard, background, margin, ring)
                fresh[:] = np.int16(-1)
                inside = slice(margin, block - margin)
                slot = centre % (background + 1) if stage == stages - 2 else background + 1
                _censor(
                    ring[inside],
                    rows[stage, centre % window][inside],
                    cutoff,
                    least_screen,
                    fresh[inside],
                    means[slot][inside],
                )
            if centre < 0:
                continue
            last = stages - 1
            if with_texture:
                _push_amplitude(rows[last], centre, guard, background, fresh, outer_amplitude, inner_amplitude)
            _push(rows[last], centre, guard, background, fresh, outer[last], inner[last])
            centre -= background
            if centre < 0:
                continue
            _slide(outer[last], inner[last], guard, background, halo, ring)
            ratio_row = ratio[centre, start:stop]
            level_row = level[centre, start:stop]
            _compare(
                intensity[centre, start:stop],
                valid[centre, start:stop],
                ring[halo : block - halo],
                least,
                scale,
                ratio_row,
                level_row,
            )
            earlier = means[centre % (background + 1)]
            for j in range(ratio_row.size):
                if not ratio_row[j] > candidate_ratio:
                    continue
                at = j + halo
                count = ring[at] >> _SHIFT
                total = np.float64(ring[at] & _SUM_MASK)
                exact = np.float64(intensity[centre, start + j]) * scale * np.float64(count) / total
                cutoff_at = 0.0
                if stages > 1:
                    used = cutoff * np.float64(earlier[at]) * np.float64(count) / total
                    cutoff_at = math.sqrt(max(math.log(used) - cutoff_axis[0], 0.0)) / cutoff_axis[1]
                texture_at = 0.0
                if with_texture:
                    amplitude = np.int64(0)
                    for k in range(at - background, at + background + 1):
                        amplitude += outer_amplitude[k]
                    for k in range(at - guard, at + guard + 1):
                        amplitude -= inner_amplitude[k]
                    half = np.float64(amplitude) * np.float64(amplitude) / (np.float64(count) * total)
                    texture_at = math.sqrt(max(texture_axis[0] - math.log(half), 0.0)) / texture_axis[1]
                count_at = (1.0 / np.float64(count) - count_axis[0]) / count_axis[1]
                log_ratio = math.log(exact)
                for step in range(2):
                    bound = log_by_count[step, count] + _log_factor(table[step], count_at, cutoff_at, texture_at)
                    if log_ratio > bound:
                        level_row[j] = GROW if step == 0 else ALARM
                    if step == 1 and as_margin:
                        ratio_row[j] = np.float32(math.exp(log_ratio - bound))
