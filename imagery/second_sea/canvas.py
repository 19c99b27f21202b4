"""The scene while it is being made, on native 10 m pixels: surfaces first, then what stands and swims on them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imagery.second_sea.optics import Echoes
from imagery.second_sea.viewing import Swath

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Quay:
    """A straight berth, native pixels.

    Attributes:
        start, end: (row, col) of its ends.
        outward: (row, col) unit vector from the quay to the water.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    outward: tuple[float, float]


@dataclass(kw_only=True)
class Canvas:
    """Surfaces and objects of a scene in the making; the painters change it in place.

    Attributes:
        view: what each column sees.
        wind_m_s: mean wind speed.
        wind_from_deg: where it comes from, clockwise from image up.
        sigma: (2, rows, columns) mean sigma0 of the surface without noise, linear.
        order: (rows, columns) order nu of the surface's texture; few different values.
        land: (rows, columns) True = land.
        echoes: point scatterers of everything but ships.
        structures: (row, col, kind, place in ``echoes`` or None) of each.
        quays: berths.
        flats: (rows, columns) True = bare tidal flat, where a ship sits aground; None where there is none.
    """

    view: Swath
    wind_m_s: float
    wind_from_deg: float
    sigma: NDArray[np.float32]
    order: NDArray[np.float32]
    land: NDArray[np.bool_]
    echoes: list[Echoes] = field(default_factory=list)
    structures: list[tuple[float, float, str, int | None]] = field(default_factory=list)
    quays: list[Quay] = field(default_factory=list)
    flats: NDArray[np.bool_] | None = None

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.land.shape[0], self.land.shape[1]

    def set_land(self, where: NDArray[np.bool_], sigma_db: tuple[float, float], order: float) -> None:
        """Make pixels land of one brightness."""
        self.land[where] = True
        self.order[where] = order
        for polarisation, level_db in enumerate(sigma_db):
            self.sigma[polarisation][where] = 10.0 ** (level_db / 10.0)

    def add_structure(self, row: float, col: float, kind: str, echoes: Echoes | None) -> None:
        """Stand an object in the scene; without echoes of its own it is part of another's."""
        place = None
        if echoes is not None:
            place = len(self.echoes)
            self.echoes.append(echoes)
        self.structures.append((row, col, kind, place))

    def is_water(self, row: float, col: float) -> bool:
        """Whether a place lies in the picture and is not land."""
        inside = 0 <= round(row) < self.land.shape[0] and 0 <= round(col) < self.land.shape[1]
        return inside and not self.land[round(row), round(col)]


def rotated_coordinates(
    shape_hw: tuple[int, int], origin: tuple[float, float], axis_deg: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(along, across) of every pixel from an origin: along an axis clockwise from image up, and to its right."""
    angle = np.radians(axis_deg)
    rows = (np.arange(shape_hw[0]) - origin[0])[:, None].astype(np.float32)
    cols = (np.arange(shape_hw[1]) - origin[1])[None, :].astype(np.float32)
    along = -rows * np.float32(np.cos(angle)) + cols * np.float32(np.sin(angle))
    across = rows * np.float32(np.sin(angle)) + cols * np.float32(np.cos(angle))
    return along, across


def place_at(
    origin: tuple[float, float], axis_deg: float, along: FloatArray, across: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(row, col) of rotated coordinates: the inverse of `rotated_coordinates`."""
    angle = np.radians(axis_deg)
    rows = origin[0] - along * np.cos(angle) + across * np.sin(angle)
    cols = origin[1] + along * np.sin(angle) + across * np.cos(angle)
    return np.asarray(rows, float), np.asarray(cols, float)
