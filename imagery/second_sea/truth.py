"""What is known of a scene of the second simulator: pixels, ships, structures, ghosts and the clutter's own law."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
POLARISATIONS = ("VV", "VH")


@dataclass(frozen=True, kw_only=True)
class ShipTruth:
    """Ships, one entry per ship in every column; places are continuous, whole numbers at pixel centres.

    Attributes:
        row, col: (n,) centre of the hull as imaged, moved along the flight by the ship's own motion.
        true_row, true_col: (n,) centre of the hull where it is.
        length_m, width_m: (n,) overall length and beam.
        axis_deg: (n,) direction of the keel in [0, 180), clockwise from image up.
        heading_deg: (n,) direction of the bow in [0, 360), clockwise from image up.
        speed_m_s: (n,) speed along the heading.
        rcs_db: (n, 2) radar cross section in VV and VH, dB over a square metre, all scatterers together.
        shore_distance_m: (n,) distance of the imaged centre to the nearest land in the picture; infinite without land.
        moored: (n,) bool, True = made fast to a quay or to a ship that is.
    """

    row: FloatArray
    col: FloatArray
    true_row: FloatArray
    true_col: FloatArray
    length_m: FloatArray
    width_m: FloatArray
    axis_deg: FloatArray
    heading_deg: FloatArray
    speed_m_s: FloatArray
    rcs_db: FloatArray
    shore_distance_m: FloatArray
    moored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        sizes = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"the columns of a ship table need one length, got {sizes}")

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class Structures:
    """Fixed objects at sea that are no ships.

    Attributes:
        row, col: (n,) centre.
        kind: n names: 'turbine', 'platform', 'beacon', 'dolphin', 'raft' or 'stakes' (the middle of a row of stakes).
    """

    row: FloatArray
    col: FloatArray
    kind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class Ghosts:
    """Azimuth ambiguities that rise over the clutter.

    Attributes:
        row, col: (n,) centre of the ghost.
        source: n names of what cast it: 'ship 12', 'structure 3' (places in the tables) or 'land'.
        level_db: (n,) energy of the ghost over that of its source; for land, the ghost's peak over the clutter there.
    """

    row: FloatArray
    col: FloatArray
    source: tuple[str, ...]
    level_db: FloatArray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class EvaluationScene:
    """One simulated Sentinel-1 IW GRDH picture and everything that is true of it.

    Rows run against the flight of an ascending pass (row 0 is the last line taken), columns with range.

    Attributes:
        sigma0: (2, H, W) float32, linear sigma0 in VV and VH, thermal noise left in.
        polarisations: names of the two.
        land: (H, W) bool, True = land, quays and breakwaters; tidal flats count as sea.
        incidence_deg: (H, W) float32.
        pixel_size_m: side of a pixel on the ground.
        wind_m_s: mean wind speed at 10 m.
        kind: one of KINDS.
        seed: of every draw.
        ships, structures, ghosts: see there.
        clutter_mean: (2, H, W) float32, expected sigma0 without ships, structures and ambiguities: surface after the
            point spread function, noise floor, streaks, slicks, cells and floes.
        clutter_order: (2, H, W) float32, order nu of the texture where noise has diluted it: the texture's own variance
            times (1 - noise / mean)^2 is 1 / nu.
        clutter_family: 'K' (Gamma texture) or 'G0' (inverse Gamma texture of shape nu + 2, the same variance).
        enl: equivalent number of looks of the speckle at this pixel size.
    """

    sigma0: NDArray[np.float32]
    polarisations: tuple[str, str]
    land: NDArray[np.bool_]
    incidence_deg: NDArray[np.float32]
    pixel_size_m: float
    wind_m_s: float
    kind: str
    seed: int
    ships: ShipTruth
    structures: Structures
    ghosts: Ghosts
    clutter_mean: NDArray[np.float32]
    clutter_order: NDArray[np.float32]
    clutter_family: str
    enl: float

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.land.shape[0], self.land.shape[1]

    @property
    def water_km2(self) -> float:
        """Area of the picture that is not land."""
        return float(np.count_nonzero(~self.land)) * self.pixel_size_m**2 / 1e6
