"""Fixed structures in a simulated sea: a field of fishing stakes, beacons, a platform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagery.geometry import FloatArray
from imagery.simulate.seeding import rng_for
from imagery.simulate.voyages import Pilot

# Kind: size in metres and radar cross-section in dB m2 (judgement: a steel platform returns like a large ship, a
# row of stakes or a beacon like a boat of 30-50 m).
KINDS = {"stakes": (40.0, 26.0), "beacon": (12.0, 27.0), "platform": (45.0, 36.0)}
STAKE_ROWS = 5
STAKE_SPACING_M = 160.0


@dataclass(frozen=True, kw_only=True)
class FixedStructure:
    """Something built that stays the whole season.

    Attributes:
        id: unique in a world.
        kind: ``stakes``, ``beacon`` or ``platform``.
        lon, lat: its middle, degrees.
        size_m: its larger side.
        rcs_m2: radar cross-section in VV, mean over scenes.
    """

    id: str
    kind: str
    lon: float
    lat: float
    size_m: float
    rcs_m2: float


def build_structures(seed: int, pilot: Pilot, berths: list[FloatArray]) -> tuple[FixedStructure, ...]:
    """One row of stakes, two beacons and one platform, away from where ships lie.

    Args:
        seed: the world's seed.
        pilot: knows the water.
        berths: places in the plane to keep 800 m away from.
    """
    rng = rng_for(seed, "structures")
    places: list[tuple[str, FloatArray]] = []
    for kind in ("platform", "beacon", "beacon", "stakes"):
        place = pilot.place_inside(rng, "small", 1500.0)
        for _ in range(200):
            if all(np.hypot(*(place - other)) > 800.0 for other in berths):
                break
            place = pilot.place_inside(rng, "small", 1500.0)
        direction = rng.uniform(0.0, 2.0 * np.pi)
        step = STAKE_SPACING_M * np.array([np.sin(direction), np.cos(direction)])
        places += [(kind, place + k * step) for k in range(STAKE_ROWS if kind == "stakes" else 1)]
    structures = []
    for number, (kind, (x, y)) in enumerate(places):
        size_m, rcs_db = KINDS[kind]
        lon, lat = pilot.frame.lonlat(x, y)
        rcs_m2 = 10.0 ** (0.1 * (rcs_db + rng.normal(0.0, 1.5)))
        structures.append(
            FixedStructure(
                id=f"{kind}-{number}", kind=kind, lon=float(lon), lat=float(lat), size_m=size_m, rcs_m2=rcs_m2
            )
        )
    return tuple(structures)
