"""What the network sees of a scene's bands: fixed curves to 0..1, and for each band a mask of where it holds data.

No statistic of a tile or a scene enters: the same pixel looks the same wherever a window is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import WeightsError


@dataclass(frozen=True, kw_only=True)
class InputCurve:
    """How one sort of pixels becomes network input: 2 k channels for k bands, first values, then masks.

    Attributes:
        kind: ``sigma0_db``: logistic of dB, `slope` (dB - `middle`), as xView3's winner did it (BloodAxe, MIT licence);
            ``dn8``: DN / 255 of uncalibrated 8-bit chips; ``reflectance``: reflectance / `full`, clipped.
        bands: names in order; any may be absent from a scene, not all.
        middle: per band, dB.
        slope: per dB.
        full: reflectance that becomes 1.
    """

    kind: Literal["sigma0_db", "dn8", "reflectance"]
    bands: tuple[str, ...]
    middle: tuple[float, ...] = ()
    slope: float = 0.18
    full: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a curve in dB that lacks its middles."""
        if self.kind == "sigma0_db" and len(self.middle) != len(self.bands):
            raise ValueError(f"a curve in dB needs a middle for each of {self.bands}, not {self.middle}")

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 2 * len(self.bands)

    def network_input(self, bands: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """(2 k, h, w) float32 in 0..1.

        Args:
            bands: (h, w) per band name, NaN where there is no data: linear sigma0, DN or reflectance as `kind` says.

        Raises:
            WeightsError: if none of the bands is there.
        """
        present = [name for name in self.bands if name in bands]
        if not present:
            raise WeightsError(
                f"the scene has bands {', '.join(bands)}, the weights were trained on {', '.join(self.bands)}: give a "
                "scene with one of those, or other weights"
            )
        shape = bands[present[0]].shape
        out = np.zeros((self.channels, *shape), np.float32)
        for i, name in enumerate(self.bands):
            if name not in bands:
                continue
            valid = np.isfinite(bands[name])
            out[i] = np.where(valid, self._curve(np.where(valid, bands[name], 0.0), i), 0.0)
            out[len(self.bands) + i] = valid
        return out

    def _curve(self, values: NDArray[np.float32], band: int) -> NDArray[np.float32]:
        if self.kind == "dn8":
            return np.asarray(np.clip(values / np.float32(255.0), 0.0, 1.0), np.float32)
        if self.kind == "reflectance":
            return np.asarray(np.clip(values / np.float32(self.full), 0.0, 1.0), np.float32)
        # logistic(slope (10 log10 x - middle)) = x^k / (x^k + c^k), k = 10 slope / ln 10: one power instead of two.
        power = np.float32(10.0 * self.slope / np.log(10.0))
        raised = np.maximum(values, 0.0) ** power
        return np.asarray(raised / (raised + np.float32(10.0 ** (self.middle[band] / 10.0)) ** power), np.float32)
