"""A scene: pixels with a unit and a mask, where and when they were seen, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from imagery.acquisition import Acquisition
from imagery.errors import UnitError
from imagery.geometry import Geometry, Window
from imagery.sensors import Sensor

# ``intensity``, ``amplitude`` and ``dn8`` (grey levels 0 to 255 of an amplitude) are not calibrated.
Unit = Literal["sigma0", "sigma0_db", "gamma0", "intensity", "amplitude", "dn8", "reflectance"]
UNITS: tuple[str, ...] = get_args(Unit)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """A window of a scene in memory.

    Attributes:
        data: (bands, height, width) float32 in the scene's unit; NaN where not valid.
        valid: (bands, height, width) bool, True = the file holds a value for this pixel.
    """

    data: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        if self.data.ndim != 3 or self.data.shape != self.valid.shape:
            raise ValueError(
                "pixels need data and valid of one (bands, height, width) shape, got "
                f"{self.data.shape} and {self.valid.shape}"
            )

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(height, width) bool, True = the file holds a value for this pixel in some band."""
        return np.asarray(self.valid.any(axis=0))


class PixelReader(Protocol):
    """Anything that gives the pixels of a window that lies wholly inside the scene."""

    def read(self, window: Window) -> Pixels:
        """Pixels of all bands in the window."""
        ...


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a scene came from.

    Attributes:
        source: kind of source, such as ``folder`` or ``simulated``.
        ids: product or file names, in order.
        sha256: one hex digest per id, '' where it is not known; no entries where there is no file (a simulation).
        attribution: the credit the data's licence asks for, empty if none is known.
        notes: what was assumed on the way in, a sentence each.
        missing: parts that could not be had, a sentence each; their pixels are not valid.
    """

    source: str
    ids: tuple[str, ...]
    sha256: tuple[str, ...] = ()
    attribution: str = ""
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One acquisition of one sensor; pixels are read window by window.

    Attributes:
        id: unique name, stable between runs.
        sensor: what took it.
        bands: band names in the order of the data, such as ``("vv", "vh")``.
        unit: unit of the pixels.
        geometry: where each pixel lies.
        acquisition: time, incidence, slant range and look direction at any pixel, with uncertainties.
        time: UTC, aware; the middle of the scene. None where the file does not say.
        reader: gives the pixels.
        provenance: where it came from.
        clip_value: the lowest value of a scale that was cut off, in the scene's unit, or None. A pixel at it is at or
            below it, or was no data: the file cannot tell, so such a pixel alone never counts as observed.
    """

    id: str
    sensor: Sensor
    bands: tuple[str, ...]
    unit: Unit
    geometry: Geometry
    acquisition: Acquisition
    time: datetime | None
    reader: PixelReader
    provenance: Provenance
    clip_value: float | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown unit, no bands, or a time without a zone."""
        if self.unit not in UNITS:
            raise UnitError(f"scene {self.id} has unit {self.unit!r}; known units are {', '.join(UNITS)}")
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(f"scene {self.id} needs one or more different bands, got {self.bands}")
        if self.time is not None and self.time.tzinfo is None:
            raise ValueError(f"scene {self.id} needs an aware UTC time, got {self.time}")

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.geometry.shape_hw

    @property
    def window(self) -> Window:
        """The whole scene as a window."""
        return Window(row=0, col=0, height=self.shape_hw[0], width=self.shape_hw[1])

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window, which may reach outside the scene: there nothing is valid.

        Args:
            window: pixels wanted; None reads the whole scene.

        Returns:
            Pixels of shape (bands, window height, window width).
        """
        window = window or self.window
        shape = (len(self.bands), *window.shape_hw)
        inside = window.intersection(self.window)
        if inside == window:
            return self.reader.read(window)
        data = np.full(shape, np.nan, np.float32)
        valid = np.zeros(shape, bool)
        if inside is not None:
            part = self.reader.read(inside)
            rows, cols = inside.slices_in(window)
            data[:, rows, cols], valid[:, rows, cols] = part.data, part.valid
        return Pixels(data=data, valid=valid)


@dataclass(frozen=True, kw_only=True)
class MemoryReader:
    """Pixels that already lie in memory."""

    pixels: Pixels

    def read(self, window: Window) -> Pixels:
        """Pixels of a window inside the scene."""
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        return Pixels(data=self.pixels.data[:, rows, cols], valid=self.pixels.valid[:, rows, cols])
