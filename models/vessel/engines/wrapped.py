"""What engines that ask another engine have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vessel.engines import Engine


@dataclass(frozen=True)
class WrappedEngine(ABC):
    """An engine that asks another, one input at a time.

    Attributes:
        engine: the other.
    """

    engine: Engine

    batch_size = 1

    @property
    def name(self) -> str:
        """The other's."""
        return self.engine.name

    @property
    def halo_px(self) -> int:
        """The other's."""
        return self.engine.halo_px

    @property
    def step_px(self) -> int:
        """The other's."""
        return self.engine.step_px

    @abstractmethod
    def maps(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""

    def batch(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""
        return np.stack([self.maps(each) for each in inputs])
