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
_TWO_52 = 2.0**52
_TWO_52_BITS = np.int64(0x4330000000000000)  # float64 bit pattern of 2^52

_SCAN_PX = 128  # candidates are looked for in runs of this many pixels

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
    return valid & (value >= np.float32(0.0)) & (value < np.float32(np.inf))


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
def _ring_sum(outer: Any, inner: Any, guard: int, background: int, at: int) -> Any:
    """Ring sum around one column from box sums per column."""
    total = np.int64(0)
    for j in range(at - background, at + background + 1):
        total += outer[j]
    for j in range(at - guard, at + guard + 1):
        total -= inner[j]
    return total


@_jit()
def _slide(outer: Any, inner: Any, guard: int, background: int, margin: int, ring: Any) -> None:
    """Box sums per column to ring sums, for the columns [margin, width - margin); margin >= background."""
    width = ring.size
    total = _ring_sum(outer, inner, guard, background, margin)
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
def _unpack(ring: Any, count: Any, total: Any) -> None:
    """Split packed sums into the bit patterns of two float64 numbers, each plus 2^52.

    Or-ing an integer below 2^52 into the mantissa of 2^52 converts it exactly, and unlike a conversion
    of int64 it vectorises on AVX2. Readers view the arrays as float64 and subtract `_TWO_52`.
    """
    for j in range(ring.size):
        count[j] = (ring[j] >> _SHIFT) | _TWO_52_BITS
        total[j] = (ring[j] & _SUM_MASK) | _TWO_52_BITS


@_jit()
def _censor(count: Any, total: Any, centre: Any, cutoff: float, least: float, kept: Any) -> None:
    """Keep the amplitudes of a row that are below cutoff * the mean of their own ring.

    A pixel whose ring holds fewer than `least` pixels cannot be screened and is dropped: that does not
    look at its value, so it biases nothing.
    """
    for j in range(centre.size):
        pixels = count[j] - _TWO_52
        amplitude = np.float64(centre[j])
        keep = (pixels >= least) & (amplitude * amplitude * pixels <= cutoff * (total[j] - _TWO_52))
        kept[j] = centre[j] if keep else np.int16(-1)


@_jit()
def _compare(
    intensity: Any, valid: Any, count: Any, total: Any, least: float, scale: float, ratio: Any, level: Any
) -> None:
    """Ratio of a row's pixels to their ring mean; quiet or untestable, nothing tested yet."""
    for j in range(ratio.size):
        pixels, power = count[j] - _TWO_52, total[j] - _TWO_52
        per_mean = scale * pixels / power if (pixels >= least) & (power > 0.0) else np.nan
        ratio[j] = np.float32(np.float64(intensity[j]) * per_mean)
    for j in range(ratio.size):
        ratio[j] = ratio[j] if _usable(intensity[j], valid[j]) else np.float32(np.nan)
    for j in range(ratio.size):
        level[j] = UNTESTABLE if np.isnan(ratio[j]) else QUIET


@_jit()
def _any_above(values: Any, bound: float) -> bool:
    """Whether any value exceeds the bound; no early exit, so that it vectorises."""
    found = 0
    for j in range(values.size):
        found += values[j] > bound
    return found > 0


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
        earlier = np.zeros((background + 2, block), np.int64)  # last row: scratch of the first stage
        count_bits, total_bits = np.zeros(block, np.int64), np.zeros(block, np.int64)
        counts, totals = count_bits.view(np.float64), total_bits.view(np.float64)
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
                slot = centre % (background + 1) if stage == stages - 2 else background + 1
                _slide(outer[stage], inner[stage], guard, background, margin, earlier[slot])
                _unpack(earlier[slot], count_bits, total_bits)
                fresh[:] = np.int16(-1)
                inside = slice(margin, block - margin)
                seen = rows[stage, centre % window]
                _censor(counts[inside], totals[inside], seen[inside], cutoff, least_screen, fresh[inside])
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
            _unpack(ring, count_bits, total_bits)
            inside = slice(halo, block - halo)
            x_row = intensity[centre, start:stop]
            ratio_row, level_row = ratio[centre, start:stop], level[centre, start:stop]
            _compare(
                x_row, valid[centre, start:stop], counts[inside], totals[inside], least, scale, ratio_row, level_row
            )
            before = earlier[centre % (background + 1)]
            for first in range(0, ratio_row.size, _SCAN_PX):
                if not _any_above(ratio_row[first : first + _SCAN_PX], candidate_ratio):
                    continue
                for j in range(first, min(first + _SCAN_PX, ratio_row.size)):
                    if not ratio_row[j] > candidate_ratio:
                        continue
                    at = j + halo
                    pixels, total = ring[at] >> _SHIFT, np.float64(ring[at] & _SUM_MASK)
                    count = np.float64(pixels)
                    cutoff_at = texture_at = 0.0
                    if stages > 1:
                        mean_before = np.float64(before[at] & _SUM_MASK) / np.float64(before[at] >> _SHIFT)
                        used = math.log(cutoff * mean_before * count / total)
                        cutoff_at = math.sqrt(max(used - cutoff_axis[0], 0.0)) / cutoff_axis[1]
                    if with_texture:
                        amplitude = np.float64(_ring_sum(outer_amplitude, inner_amplitude, guard, background, at))
                        half = math.log(amplitude * amplitude / (count * total))
                        texture_at = math.sqrt(max(texture_axis[0] - half, 0.0)) / texture_axis[1]
                    count_at = (1.0 / count - count_axis[0]) / count_axis[1]
                    log_ratio = math.log(np.float64(x_row[j]) * scale * count / total)
                    for step in range(2):
                        bound = log_by_count[step, pixels] + _log_factor(table[step], count_at, cutoff_at, texture_at)
                        if log_ratio > bound:
                            level_row[j] = GROW if step == 0 else ALARM
                        if step == 1 and as_margin:
                            ratio_row[j] = np.float32(math.exp(log_ratio - bound))
