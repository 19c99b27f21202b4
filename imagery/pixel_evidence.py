"""What the numbers of a raster show of their unit: levels, zeros, and the shape of radar speckle.

Radar speckle tells a power from its square root by its log-cumulants (Nicolas 2002, Traitement du Signal 19(3);
translation arXiv:1602.07400): with L looks the logarithm of an intensity has variance psi'(L) and third cumulant
psi''(L), so that r = -k3 / k2^2 is about 1; that of an amplitude has psi'(L) / 4 and psi''(L) / 8, so that r is about
2. Texture of the sea adds to both cumulants and lowers r, to a half of that at the least where it is Gamma too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

_SIDE_PX = 64  # of a sample window
_BLOCK_PX = 16  # over which cumulants are taken: what varies more slowly is not speckle
_WINDOWS_PER_SIDE = 14
_WHOLE_PX = 2_000_000  # an image of no more pixels is looked at whole
_MOST_LEVELS = 4096

FloatArray = NDArray[np.float64]


def sample(dataset: Any, indexes: tuple[int, ...], alpha: int | None) -> NDArray[np.float32]:
    """Pixels from all over a raster, as its bands hold them.

    Args:
        dataset: an open rasterio dataset.
        indexes: 1-based bands.
        alpha: band that is 0 where there is no data, or None.

    Returns:
        (bands, windows, 64, 64) float32; NaN beyond the edge and where the file states no data.
    """
    height, width = dataset.height, dataset.width
    if height * width <= _WHOLE_PX:
        corners = [(r, c) for r in range(0, height, _SIDE_PX) for c in range(0, width, _SIDE_PX)]
        whole = _read(dataset, indexes, alpha, (0, 0), (height, width))
        windows = [whole[:, r : r + _SIDE_PX, c : c + _SIDE_PX] for r, c in corners]
    else:
        rows, cols = (
            np.unique(np.linspace(0, max(n - _SIDE_PX, 0), _WINDOWS_PER_SIDE).astype(int)) for n in (height, width)
        )
        side = (min(_SIDE_PX, height), min(_SIDE_PX, width))
        windows = [_read(dataset, indexes, alpha, (r, c), side) for r in rows.tolist() for c in cols.tolist()]
    out = np.full((len(indexes), len(windows), _SIDE_PX, _SIDE_PX), np.nan, np.float32)
    for i, part in enumerate(windows):
        out[:, i, : part.shape[1], : part.shape[2]] = part
    return out


def _read(
    dataset: Any, indexes: tuple[int, ...], alpha: int | None, corner: tuple[int, int], side: tuple[int, int]
) -> NDArray[np.float32]:
    window = RasterioWindow(corner[1], corner[0], side[1], side[0])
    raw = dataset.read(list(indexes), window=window)
    data: NDArray[np.float32] = raw.astype(np.float32)
    for band, index in enumerate(indexes):
        nodata = dataset.nodatavals[index - 1]
        if nodata is not None and not np.isnan(nodata):
            data[band][raw[band] == nodata] = np.nan
    if alpha is not None:
        data[:, dataset.read(alpha, window=window) == 0] = np.nan
    data[~np.isfinite(data)] = np.nan
    return data


@dataclass(frozen=True, kw_only=True)
class Speckle:
    """Log-cumulants of the calmer quarter of the sample's windows.

    Attributes:
        log_variance: k2 of the natural logarithm of the values.
        ratio: r = -k3 / k2^2.
        ratio_error: one-sigma error of the ratio.
    """

    log_variance: float
    ratio: float
    ratio_error: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a sample of one band shows.

    Attributes:
        median, highest, lowest: of the valid values; NaN where there are none.
        below_minus_1: share of values below -1, which no power and no amplitude has.
        negative: share of values below 0.
        zeros: share of values that are exactly 0.
        solid_zeros: True where blocks of 16 x 16 pixels are 0 throughout, as no speckle is.
        levels: number of different values, at most 4096.
        whole: True where all values are whole numbers.
        speckle: shape of the speckle; None where it cannot be measured.
    """

    median: float
    highest: float
    lowest: float
    below_minus_1: float
    negative: float
    zeros: float
    solid_zeros: bool
    levels: int
    whole: bool
    speckle: Speckle | None


def evidence_of(windows: NDArray[np.float32]) -> Evidence:
    """What one band shows.

    Args:
        windows: (windows, 64, 64), NaN = no data, see `sample`.
    """
    values = windows[np.isfinite(windows)]
    if not values.size:
        nan = float("nan")
        none: dict[str, Any] = dict.fromkeys(("below_minus_1", "negative", "zeros"), 0.0)
        return Evidence(
            median=nan, highest=nan, lowest=nan, solid_zeros=False, levels=0, whole=False, speckle=None, **none
        )
    return Evidence(
        median=float(np.median(values)),
        highest=float(values.max()),
        lowest=float(values.min()),
        below_minus_1=float((values < -1.0).mean()),
        negative=float((values < 0.0).mean()),
        zeros=float((values == 0.0).mean()),
        solid_zeros=bool((_blocks(windows) == 0.0).all(axis=-1).any()),
        levels=min(len(np.unique(values)), _MOST_LEVELS),
        whole=bool((values == np.round(values)).all()),
        speckle=_speckle(windows),
    )


def without(windows: NDArray[np.float32], *no_data: float) -> NDArray[np.float32]:
    """The sample with some values taken for no data."""
    return np.where(np.isin(windows, np.array(no_data, np.float32)), np.float32(np.nan), windows)


def block_means(windows: NDArray[np.float32]) -> FloatArray:
    """Means over 16 x 16 pixels of the blocks that are valid throughout, shape (blocks,)."""
    means = _blocks(windows).astype(float).mean(axis=-1)
    return np.asarray(means[np.isfinite(means)], float)


def _blocks(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(windows, 16, 256): the 16 blocks of each window."""
    per_side = _SIDE_PX // _BLOCK_PX
    cut = windows.reshape(-1, per_side, _BLOCK_PX, per_side, _BLOCK_PX).swapaxes(2, 3)
    return cut.reshape(-1, per_side**2, _BLOCK_PX**2)


def _speckle(windows: NDArray[np.float32]) -> Speckle | None:
    """Cumulants within blocks (unbiased, Fisher's k-statistics), their means over each window, the calmer quarter.

    Windows with a ship or a coast spread widely and are not among the calmer ones.
    """
    blocks = _blocks(windows).astype(float)
    whole = np.asarray((blocks > 0.0).all(axis=-1))
    logs = np.log(np.where(whole[..., np.newaxis], blocks, 1.0))
    n = float(logs.shape[-1])
    deviation = logs - logs.mean(axis=-1, keepdims=True)
    k2 = (deviation**2).sum(axis=-1) / (n - 1.0)
    k3 = (deviation**3).sum(axis=-1) * n / ((n - 1.0) * (n - 2.0))
    count = whole.sum(axis=1)
    usable = count >= whole.shape[1] // 2
    k2, k3 = (np.where(whole, k, 0.0).sum(axis=1)[usable] / count[usable] for k in (k2, k3))
    calm = np.argsort(k2, kind="stable")[: max(len(k2) // 4, min(len(k2), 4))]
    if len(calm) < 4 or not (k2[calm] > 0.0).all():
        return None
    ratios = -k3[calm] / k2[calm] ** 2
    low, high = np.percentile(ratios, [25.0, 75.0])
    log_variance = float(np.median(k2[calm]))
    scatter = (high - low) / 1.349 * np.sqrt(np.pi / 2.0 / len(calm))  # of a median
    # a few windows may agree by chance: at least what the error of a skewness, sqrt(6 / N), makes of it
    least = np.sqrt(6.0 / (len(calm) * _SIDE_PX**2 * log_variance))
    return Speckle(log_variance=log_variance, ratio=float(np.median(ratios)), ratio_error=float(max(scatter, least)))
