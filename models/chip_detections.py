"""What a detector finds in one image chip, in pixels: the seam between detectors and scores."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ChipDetections:
    """Objects found in one image; every array has n rows, in any order.

    Two conventions meet here. ``row`` and ``col`` are whole numbers at pixel centres, as everywhere in this project.
    Boxes are in COCO's coordinates, where the first pixel covers [0, 1]: x = col + 0.5, y = row + 0.5.

    Attributes:
        row, col: (n,) float64, the object's centre, pixels.
        score: (n,) float64, the higher the surer; a probability where the detector is calibrated.
        box_xywh: (n, 4) float64, horizontal box (left, top, width, height), pixels.
        oriented: (n, 5) float64, hull (centre x, centre y, length, width, axis): pixels, and degrees clockwise from
            the image's up in [0, 180); NaN where the detector does not say.
        is_vessel: (n,) bool, False: the detector takes it for something else (a fixed structure, a ghost).
    """

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    score: NDArray[np.float64]
    box_xywh: NDArray[np.float64]
    oriented: NDArray[np.float64]
    is_vessel: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Bring each array to its type; refuse arrays of different lengths and numbers that are not finite."""
        n = len(np.atleast_1d(self.row))
        for column in fields(self):
            shape = {"box_xywh": (n, 4), "oriented": (n, 5)}.get(column.name, (n,))
            values = np.asarray(getattr(self, column.name), bool if column.name == "is_vessel" else float)
            if values.shape != shape:
                raise ValueError(f"{column.name} has shape {values.shape}; expected {shape}")
            if column.name != "oriented" and not np.isfinite(values).all():
                raise ValueError(f"{column.name} holds numbers that are not finite")
            object.__setattr__(self, column.name, values)

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.row)

    @property
    def centre_xy(self) -> NDArray[np.float64]:
        """(n, 2) centres in COCO's coordinates."""
        return np.column_stack([self.col + 0.5, self.row + 0.5])

    @classmethod
    def empty(cls) -> ChipDetections:
        """No objects."""
        none = np.empty(0)
        return cls(
            row=none,
            col=none,
            score=none,
            box_xywh=np.empty((0, 4)),
            oriented=np.empty((0, 5)),
            is_vessel=np.empty(0, bool),
        )

    def take(self, rows: NDArray[Any]) -> ChipDetections:
        """The objects named by an index array or a mask."""
        return ChipDetections(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})
