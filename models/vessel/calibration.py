"""From what the network says to frequencies: a temperature, then a rising curve per stratum; lengths with covered ends.

Everything here is fitted on images that the network was not trained on, and stored with its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

FloatArray = NDArray[np.float64]

EVERYWHERE = "all"
LENGTH_COVERAGE = 0.9
_LEAST_STRATUM = 150  # detections: fewer use the curve of all


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the network's numbers can be trusted.

    Attributes:
        temperature: logits are divided by it (Guo et al. 2017, ICML).
        curves: per stratum the knots of a rising curve from the tempered probability to the frequency of being an
            object, from isotonic regression (Zadrozny and Elkan 2002, KDD); `EVERYWHERE` is always there.
        length_factor: half-width of the interval of ln length that holds `LENGTH_COVERAGE` of true lengths, over the
            network's own standard deviation (split conformal prediction, Lei et al. 2018, JASA 113(523)); NaN where
            lengths were not calibrated.
        n: detections that it was fitted on.
    """

    temperature: float
    curves: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    length_factor: float
    n: int

    def probability(self, logit: FloatArray, stratum: NDArray[np.str_] | str = EVERYWHERE) -> FloatArray:
        """Probability that there is an object, (n,).

        Args:
            logit: of the network's heat.
            stratum: of each detection; one without a curve of its own has that of all.
        """
        tempered = expit(np.asarray(logit, float) / self.temperature)
        strata = np.broadcast_to(np.asarray(stratum, str), tempered.shape)
        out = np.interp(tempered, *self.curves[EVERYWHERE])
        for name, (x, y) in self.curves.items():
            mine = strata == name
            out[mine] = np.interp(tempered[mine], x, y)
        return np.asarray(out)

    def highest_probability(self, logit: FloatArray) -> FloatArray:
        """Probability in the stratum where it is highest, (n,)."""
        return np.asarray(np.max([self.probability(logit, name) for name in self.curves], axis=0))

    def length_interval_px(self, length_px: FloatArray, log_length_sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(low, high) ends that cover `LENGTH_COVERAGE` of true lengths; 0 and infinity where not calibrated."""
        if np.isnan(self.length_factor):
            return np.zeros_like(length_px), np.full_like(length_px, np.inf)
        factor = np.exp(self.length_factor * log_length_sigma)
        return length_px / factor, length_px * factor

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "temperature": self.temperature,
            "curves": {name: {"from": list(x), "to": list(y)} for name, (x, y) in self.curves.items()},
            "length_factor": None if np.isnan(self.length_factor) else self.length_factor,
            "n": self.n,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """What `as_dict` gave."""
        factor = stored["length_factor"]
        return cls(
            temperature=float(stored["temperature"]),
            curves={name: (tuple(c["from"]), tuple(c["to"])) for name, c in stored["curves"].items()},
            length_factor=np.nan if factor is None else float(factor),
            n=int(stored["n"]),
        )


def stratum(*, near_shore: bool, present: Sequence[str], of: Sequence[str]) -> str:
    """Name of a stratum: ``shore`` or ``offshore``, and the bands that are present where some are missing."""
    place = "shore" if near_shore else "offshore"
    return place if len(present) == len(of) else f"{place} {'+'.join(present)}"


def strata(near_shore: NDArray[np.bool_], *, present: Sequence[str], of: Sequence[str]) -> NDArray[np.str_]:
    """Names of the strata of several detections of one scene, (n,), see `stratum`."""
    return np.where(near_shore, *(stratum(near_shore=near, present=present, of=of) for near in (True, False)))


def _through_steps(x: FloatArray, fitted: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of a strictly rising line through the middles of isotonic regression's steps, from 0 to 1.

    Steps would tie detections that the network ranks (centred isotonic regression, Oron and Flournoy 2017, Stat.
    Biopharm. Res. 9(3)). No finite sample proves certainty: the ends are those of the rule of succession.
    """
    # Neighbouring steps of one frequency can differ in their last bit; they are one step.
    levels, step = np.unique(fitted.round(12), return_inverse=True)
    middles = np.bincount(step, weights=x) / np.bincount(step)
    floor = 1.0 / (len(x) + 2.0)
    inside = (levels > floor) & (levels < 1.0 - floor) & (middles > 0.0) & (middles < 1.0)
    return (0.0, *middles[inside].tolist(), 1.0), (floor, *levels[inside].tolist(), 1.0 - floor)


def fit_calibration(
    logit: FloatArray,
    is_object: NDArray[np.bool_],
    stratum: NDArray[np.str_],
    *,
    log_length_error: FloatArray,
    log_length_sigma: FloatArray,
    object_weight: float = 1.0,
) -> Calibration:
    """Calibration from detections on images that the network has not seen.

    Args:
        logit: (n,) of every detection, also weak ones.
        is_object: (n,) whether it met an object.
        stratum: (n,) such as ``offshore``; one with fewer than 150 detections gets no curve of its own.
        log_length_error: (m,) ln of said over true length of those that met one of known length.
        log_length_sigma: (m,) the network's standard deviation of each.
        object_weight: how many times denser objects lie where the network will be used than in these images: a
            detection that met one counts so much, one that met none counts 1 (Saerens et al. 2002, Neural Comput. 14).
    """
    from sklearn.isotonic import IsotonicRegression

    target = is_object.astype(float)
    weight = np.where(is_object, object_weight, 1.0)

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logit / np.exp(log_temperature)
        return float(np.mean(weight * (np.logaddexp(0.0, scaled) - target * scaled)))

    best = minimize_scalar(negative_log_likelihood, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    temperature = float(np.exp(best.x))
    tempered = expit(logit / temperature)
    curves = {}
    for name in (EVERYWHERE, *np.unique(stratum).tolist()):
        mine = np.ones(len(logit), bool) if name == EVERYWHERE else stratum == name
        if name != EVERYWHERE and mine.sum() < _LEAST_STRATUM:
            continue
        fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        fitted.fit(tempered[mine], target[mine], sample_weight=weight[mine])
        curves[name] = _through_steps(tempered[mine], fitted.predict(tempered[mine]))
    scores = np.sort(np.abs(log_length_error) / log_length_sigma)
    rank = int(np.ceil((len(scores) + 1) * LENGTH_COVERAGE))
    factor = float(scores[rank - 1]) if rank <= len(scores) else np.nan
    return Calibration(temperature=temperature, curves=curves, length_factor=factor, n=len(logit))
