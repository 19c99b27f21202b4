"""Several sources of crops as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.train.images import Crop, Source


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Crops of several sources in fixed shares.

    Attributes:
        sources: all of the same bands and crop size.
        shares: of each, adding up to 1.
    """

    sources: Sequence[Source]
    shares: Sequence[float]

    def crop(self, rng: np.random.Generator) -> Crop:
        """See `Source`."""
        return self.sources[rng.choice(len(self.sources), p=self.shares)].crop(rng)
