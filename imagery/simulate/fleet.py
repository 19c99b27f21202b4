"""The ships that work in a simulated area: who they are, which lie together, and how often they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imagery.simulate.identity import (
    IMO_FROM_GT,
    gross_tonnage,
    imo_number,
    mmsi_number,
    ship_name,
)
from imagery.simulate.seeding import rng_for
from imagery.simulate.tracks import Track

Behaviour = Literal["anchor", "raft", "transit", "fish"]

# Length distribution of the vessels in xView3's validation labels: 5/25/50/75/95 % = 14/22/41/90/179 m
# (Paolo et al. 2022, arXiv 2206.00897; the ends are ours).
LENGTH_SHARE = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
LENGTH_M = (9.0, 14.0, 22.0, 41.0, 90.0, 179.0, 230.0)

# Length over width by kind, near the medians of AIS registers (judgement: barges and dredgers are beamy).
SLENDERNESS = {"dredger": 4.6, "barge": 4.2, "fishing": 4.3, "tug": 3.4, "patrol": 5.5, "passenger": 5.5}


@dataclass(frozen=True, kw_only=True)
class Ship:
    """A hull with its papers.

    Attributes:
        kind: what it is, such as ``cargo`` or ``dredger``.
        length_m, width_m: hull, metres.
        mmsi: maritime mobile service identity.
        imo: IMO number, None below 300 gross tonnage.
        name: as AIS would carry it.
    """

    kind: str
    length_m: float
    width_m: float
    mmsi: int
    imo: int | None
    name: str


@dataclass(frozen=True, kw_only=True)
class SimulatedVessel:
    """One visit of one ship to the area.

    Attributes:
        id: ship and visit, unique in a world.
        ship: the hull; the same MMSI comes again on other visits, never twice at once.
        group: those that move as one (a raft, a pair) carry the same name.
        track: where it is while it is there.
    """

    id: str
    ship: Ship
    group: str
    track: Track

    @property
    def kind(self) -> str:
        """What it is, such as ``cargo``."""
        return self.ship.kind

    @property
    def length_m(self) -> float:
        """Length of the hull, metres."""
        return self.ship.length_m

    @property
    def width_m(self) -> float:
        """Width of the hull, metres."""
        return self.ship.width_m

    @property
    def mmsi(self) -> int:
        """Maritime mobile service identity."""
        return self.ship.mmsi

    @property
    def imo(self) -> int | None:
        """IMO number, None for a small ship."""
        return self.ship.imo

    @property
    def name(self) -> str:
        """The ship's name."""
        return self.ship.name


@dataclass(frozen=True, kw_only=True)
class Role:
    """One way of working in the area.

    Attributes:
        name: prefix of ids.
        groups: how many groups of ships work like this.
        members: per ship of a group its possible kinds and its range of shares in the length distribution.
        last_member_p: probability that the last member is there at all.
        behaviour: how a visit runs.
        cycle_h: range of the time from one visit to the next, hours.
        stay: range of the share of the cycle spent on the ground; not used in transit.
        speed_m_s: range of the speed under way (fishing: of the passage to the ground).
        gap_m: range of the water between neighbouring hulls of a group.
    """

    name: str
    groups: int
    members: tuple[tuple[tuple[str, ...], tuple[float, float]], ...]
    last_member_p: float = 1.0
    behaviour: Behaviour
    cycle_h: tuple[float, float]
    stay: tuple[float, float] = (0.0, 0.0)
    speed_m_s: tuple[float, float]
    gap_m: tuple[float, float] = (0.0, 0.0)


ROLES_KM2 = 517.0  # the box off Haeju
_MERCHANT = ("cargo", "cargo", "cargo", "tanker", "tanker")
ROLES = (
    Role(name="anchored", groups=11, members=((_MERCHANT, (0.74, 0.998)),), behaviour="anchor",
         cycle_h=(120, 290), stay=(0.5, 0.8), speed_m_s=(4, 6)),
    Role(name="coaster", groups=10, members=((("cargo", "tug", "passenger", "patrol"), (0.2, 0.6)),),
         behaviour="anchor", cycle_h=(40, 90), stay=(0.35, 0.6), speed_m_s=(3, 6)),
    Role(name="pair", groups=2, members=((("tanker", "cargo"), (0.6, 0.9)), (("tanker", "cargo"), (0.4, 0.75))),
         behaviour="anchor", cycle_h=(100, 200), stay=(0.6, 0.8), speed_m_s=(3, 5), gap_m=(45, 95)),
    Role(name="raft", groups=6, members=((("dredger",), (0.62, 0.86)), (("barge",), (0.5, 0.75)),
         (("barge",), (0.5, 0.75))), last_member_p=0.5, behaviour="raft",
         cycle_h=(70, 160), stay=(0.6, 0.85), speed_m_s=(2, 3.5), gap_m=(1, 16)),
    Role(name="transit", groups=70, members=(((*_MERCHANT, "passenger", "tug"), (0.36, 0.998)),),
         behaviour="transit", cycle_h=(8, 26), speed_m_s=(3, 9)),
    Role(name="fisher", groups=30, members=((("fishing",), (0.01, 0.38)),), behaviour="fish",
         cycle_h=(24, 24), stay=(0.3, 0.6), speed_m_s=(3, 5)),
    Role(name="trawlers", groups=5, members=((("fishing",), (0.2, 0.38)), (("fishing",), (0.2, 0.38))),
         behaviour="fish", cycle_h=(24, 24), stay=(0.35, 0.6), speed_m_s=(3, 5), gap_m=(55, 110)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Group:
    """Ships that always come together.

    Attributes:
        id: role and number.
        role: how they work.
        ships: the hulls; the first leads.
        offsets_m: per ship, metres ahead and to starboard of the leader.
        cycle_s: seconds from the start of one visit's slot to the next.
        phase_s: when slot 0 starts, seconds since 1970 UTC.
    """

    id: str
    role: Role
    ships: tuple[Ship, ...]
    offsets_m: tuple[tuple[float, float], ...]
    cycle_s: float
    phase_s: float


def length_of_share(share: float) -> float:
    """Length in metres below which a share (0..1) of vessels lies: log-linear between xView3's quantiles."""
    return float(np.exp(np.interp(share, LENGTH_SHARE, np.log(LENGTH_M))))


def build_fleet(seed: int, area_km2: float) -> tuple[Group, ...]:
    """All groups of a world, in a fixed order, with unique MMSI and IMO numbers.

    Args:
        seed: the world's seed.
        area_km2: surface of the area; the roles' numbers are for `ROLES_KM2`, others in proportion (.15-2.5 fold).
    """
    scale = min(max(area_km2 / ROLES_KM2, 0.15), 2.5)
    rng = rng_for(seed, "fleet")
    taken: set[int] = set()
    groups = []
    for role in ROLES:
        count = max(round(role.groups * scale), 1)
        for number in range(count):
            last = rng.random() < role.last_member_p
            members = role.members if last else role.members[:-1]
            ships = []
            for place, (kinds, shares) in enumerate(members):
                # Spread evenly over the range, so that every world has small and large ones.
                spread = (number + place * 0.5 + rng.random()) / count % 1.0
                length_m = length_of_share(shares[0] + spread * (shares[1] - shares[0]))
                ships.append(_ship(str(rng.choice(kinds)), length_m, rng, taken))
            cycle_s = rng.uniform(*role.cycle_h) * 3600.0
            groups.append(
                Group(
                    id=f"{role.name}-{number:02d}",
                    role=role,
                    ships=tuple(ships),
                    offsets_m=_abreast(ships, role, rng),
                    cycle_s=cycle_s,
                    phase_s=rng.uniform(0.0, cycle_s),
                )
            )
    return tuple(groups)


def _ship(kind: str, length_m: float, rng: np.random.Generator, taken: set[int]) -> Ship:
    slenderness = SLENDERNESS.get(kind, 6.3) * rng.uniform(0.9, 1.1)
    width_m = max(length_m / slenderness, 2.6)
    mmsi = mmsi_number(kind, rng)
    while mmsi in taken:
        mmsi = mmsi_number(kind, rng)
    imo = imo_number(int(rng.integers(700_000, 990_000)))
    while imo in taken:
        imo = imo_number(int(rng.integers(700_000, 990_000)))
    taken.update((mmsi, imo))
    large = gross_tonnage(length_m, width_m) >= IMO_FROM_GT
    name = ship_name(kind, rng)
    return Ship(kind=kind, length_m=length_m, width_m=width_m, mmsi=mmsi, imo=imo if large else None, name=name)


def _abreast(ships: list[Ship], role: Role, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Places beside the leader: second to starboard, third to port, hulls parallel with the role's gap between."""
    offsets = [(0.0, 0.0)]
    for place, ship in enumerate(ships[1:]):
        across = (ships[0].width_m + ship.width_m) / 2.0 + rng.uniform(*role.gap_m)
        along = rng.uniform(-0.15, 0.15) * ships[0].length_m
        offsets.append((along, across if place % 2 == 0 else -across))
    return tuple(offsets)
