"""How likely a ship is found: by its length, how bright the sea around it is, and whether land is near.

'No ship was found there' weighs only as much as a ship there would have been found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

FloatArray = NDArray[np.float64]

NEAR_SHORE_M = 2000.0  # as xView3 counts it (Paolo et al. 2022, arXiv:2206.00897)
_TYPICAL_LENGTH_M, _TYPICAL_SEA_DB = 50.0, -17.0
SEA_FROM_PX, SEA_TO_PX = 12, 48  # the ring around a place whose median is the sea's brightness there


@dataclass(frozen=True, kw_only=True)
class Detectability:
    """A logistic curve in ln length, sea brightness and nearness of land, under a ceiling.

    Attributes:
        ceiling: probability of the largest ships.
        at_50_m: logit, under the ceiling, of 50 m on a sea of -17 dB far from land.
        per_ln_length: its rise with ln length.
        per_db: its rise with the sea's brightness, mostly negative.
        near_shore: its change within `NEAR_SHORE_M` of land.
        length_m: (least, most) that it was fitted on; beyond, the nearest of these counts.
        sea_db: (least, most), likewise.
        n: ships that it was fitted on.
    """

    ceiling: float
    at_50_m: float
    per_ln_length: float
    per_db: float
    near_shore: float
    length_m: tuple[float, float]
    sea_db: tuple[float, float]
    n: int

    def probability(self, length_m: ArrayLike, sea_db: ArrayLike, near_shore: ArrayLike) -> FloatArray:
        """Probability that a ship is detected at the record's threshold.

        Args:
            length_m: its length.
            sea_db: see `sea_level_db`.
            near_shore: True within `NEAR_SHORE_M` of land.
        """
        length = np.clip(np.asarray(length_m, float), *self.length_m)
        sea = np.clip(np.asarray(sea_db, float), *self.sea_db)
        theta = np.array([self.at_50_m, self.per_ln_length, self.per_db, self.near_shore])
        return self.ceiling * _curve(theta, length, sea, near_shore)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Detectability:
        """What `as_dict` gave, through JSON."""
        return cls(**{**stored, "length_m": tuple(stored["length_m"]), "sea_db": tuple(stored["sea_db"])})


def fit_detectability(
    length_m: FloatArray, sea_db: FloatArray, near_shore: NDArray[np.bool_], is_found: NDArray[np.bool_]
) -> Detectability:
    """The curve of greatest likelihood.

    Args:
        length_m: (n,) of every ship that was there, also of those that nobody could see.
        sea_db: (n,) see `sea_level_db`.
        near_shore: (n,).
        is_found: (n,).
    """
    found = is_found.astype(float)

    def negative_log_likelihood(theta: FloatArray) -> float:
        p = np.clip(expit(theta[4]) * _curve(theta[:4], length_m, sea_db, near_shore), 1e-9, 1.0 - 1e-9)
        prior = 0.5 * float(np.sum((theta[:4] / 5.0) ** 2))  # weak: a stratum without ships leaves its slope at zero
        return float(-np.sum(found * np.log(p) + (1.0 - found) * np.log1p(-p))) + prior

    start = np.array([1.0, 1.0, 0.0, 0.0, logit(0.97)])
    best = minimize(
        negative_log_likelihood, start, method="L-BFGS-B", bounds=[(None, None)] * 4 + [(0.0, logit(0.999))]
    )
    at_50_m, per_ln_length, per_db, shore, ceiling = best.x.tolist()
    return Detectability(
        ceiling=float(expit(ceiling)),
        at_50_m=at_50_m,
        per_ln_length=per_ln_length,
        per_db=per_db,
        near_shore=shore,
        length_m=(float(length_m.min()), float(length_m.max())),
        sea_db=(float(sea_db.min()), float(sea_db.max())),
        n=len(length_m),
    )


def sea_level_db(
    intensity: NDArray[np.float32], is_water: NDArray[np.bool_], row: FloatArray, col: FloatArray
) -> FloatArray:
    """Median backscatter of the water around places, in dB; NaN where there is none.

    Args:
        intensity: (h, w) linear sigma0 of the co-polarised band, NaN where there is no data.
        is_water: (h, w).
        row: (n,) pixels.
        col: (n,) pixels.
    """
    height, width = intensity.shape
    offset = np.arange(-SEA_TO_PX, SEA_TO_PX + 1)
    ring = np.hypot(offset[:, None], offset) >= SEA_FROM_PX
    out = np.full(len(row), np.nan)
    for i, (r, c) in enumerate(np.round(np.column_stack([row, col])).astype(int).tolist()):
        top, left = max(r - SEA_TO_PX, 0), max(c - SEA_TO_PX, 0)
        part = np.s_[top : max(min(r + SEA_TO_PX + 1, height), top), left : max(min(c + SEA_TO_PX + 1, width), left)]
        around = intensity[part]
        keep = ring[top - r + SEA_TO_PX :, left - c + SEA_TO_PX :][: around.shape[0], : around.shape[1]]
        values = around[keep & is_water[part] & np.isfinite(around)]
        if values.size:
            out[i] = 10.0 * np.log10(max(float(np.median(values)), 1e-9))
    return out


def _curve(theta: FloatArray, length_m: ArrayLike, sea_db: ArrayLike, near_shore: ArrayLike) -> FloatArray:
    at_50_m, per_ln_length, per_db, shore = theta
    return np.asarray(
        expit(
            at_50_m
            + per_ln_length * np.log(np.asarray(length_m, float) / _TYPICAL_LENGTH_M)
            + per_db * (np.asarray(sea_db, float) - _TYPICAL_SEA_DB)
            + shore * np.asarray(near_shore, float)
        )
    )
