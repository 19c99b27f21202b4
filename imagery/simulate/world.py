"""The truth of a simulated season: coast, sea, ships, structures and plumes, all from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.geometry import FloatArray
from imagery.simulate.coast import Coast
from imagery.simulate.dredging import plume_source
from imagery.simulate.fleet import Group, SimulatedVessel, build_fleet
from imagery.simulate.frame import LocalFrame, seconds, utc
from imagery.simulate.ocean import HIGHEST_TIDE_M, Ocean
from imagery.simulate.plume import MEMORY_S, PlumeSource
from imagery.simulate.seeding import rng_for
from imagery.simulate.structures import FixedStructure, build_structures
from imagery.simulate.voyages import Berth, Pilot, Plan

# Sand dredging rests from November to February, as the reports on Haeju have it (C4ADS 2020: plumes March to August).
DREDGING_MONTHS = range(3, 11)
VISITS_KEPT = 4096
HAEJU = AreaOfInterest.from_bbox("Haeju, simulated", 125.60, 37.72, 125.84, 37.94)


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that is there, whether an image sees it or not.

    Attributes:
        area: where; the same seed elsewhere is another world.
        seed: integer >= 0 that decides everything.
        dredging_from: no dredger comes before this time; None for every season.
    """

    area: AreaOfInterest = HAEJU
    seed: int = 0
    dredging_from: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a seed that no generator takes, a time without a zone, an area too large."""
        if self.seed < 0:
            raise ValueError(f"a world's seed must be >= 0, got {self.seed}")
        if self.dredging_from is not None:
            seconds(self.dredging_from)
        LocalFrame.of_area(self.area)

    @cached_property
    def frame(self) -> LocalFrame:
        """The plane in which the world is made."""
        return LocalFrame.of_area(self.area)

    @cached_property
    def coast(self) -> Coast:
        """Land, tidal flats and depth."""
        return Coast(seed=self.seed, frame=self.frame)

    @cached_property
    def ocean(self) -> Ocean:
        """Tide, current and wind."""
        return Ocean(seed=self.seed)

    @cached_property
    def fleet(self) -> tuple[Group, ...]:
        """All ships that ever come, in their groups."""
        return build_fleet(self.seed, self.area.area_km2)

    @property
    def land(self) -> MultiPolygon:
        """Land in degrees, reaching a little beyond the area."""
        return self.coast.land

    def intertidal(self, time: datetime | None = None) -> MultiPolygon:
        """Tidal ground in degrees: what lies dry at ``time``, or, for None, at the lowest tide."""
        level_m = -HIGHEST_TIDE_M if time is None else float(self.ocean.level_m(seconds(time)))
        return self.coast.exposed(level_m)

    @cached_property
    def pilot(self) -> Pilot:
        """Plans the ships' visits."""
        return Pilot(seed=self.seed, frame=self.frame, coast=self.coast, ocean=self.ocean)

    @cached_property
    def _berths(self) -> dict[str, Berth]:
        """Ground of each group in the plane: anchorages 500 m apart, a dredging ground, fishing grounds."""
        rng = rng_for(self.seed, "berths")
        centres = {
            "anchor": self.pilot.place_inside(rng, "large", 3500.0),
            "raft": self.pilot.place_inside(rng, "large", 5000.0),
        }
        berths: dict[str, Berth] = {}
        for group in self.fleet:
            berths[group.id] = self._berth(
                group, centres.get(group.role.behaviour), [b.place_m for b in berths.values()], rng
            )
        return berths

    def _berth(
        self, group: Group, centre: FloatArray | None, others: list[FloatArray], rng: np.random.Generator
    ) -> Berth:
        """Ground with room and at least three ways out; the search widens until there is one."""
        size = "small" if group.role.behaviour == "fish" else "large"
        apart_m = 0.0 if group.role.behaviour in ("fish", "transit") else 600.0
        place = self.pilot.place_inside(rng, size, 1500.0)
        half = np.array([self.frame.half_east_m, self.frame.half_north_m])
        for attempt in range(200):
            if centre is not None:
                place = centre + rng.normal(0.0, 1800.0 + 25.0 * attempt, 2)
            free = all(np.hypot(*(place - other)) >= apart_m for other in others)
            if (np.abs(place) < half - 400.0).all() and free:
                gates = self.pilot.open_gates(place, size)
                if len(gates) >= 3:
                    return Berth(place_m=place, gates_m=gates)
            if centre is None:
                place = self.pilot.place_inside(rng, size, 1500.0)
        return Berth(place_m=place, gates_m=np.empty((0, 2)))

    def vessels(self, start: datetime, end: datetime) -> list[SimulatedVessel]:
        """Visits that overlap [start, end), ordered by id."""
        return self._vessels(float(seconds(start)), float(seconds(end)))

    def present(self, time: datetime) -> list[SimulatedVessel]:
        """Visits under way at a time, ordered by id."""
        return self._vessels(float(seconds(time)), float(seconds(time)) + 1e-6)

    def _vessels(self, start_s: float, end_s: float) -> list[SimulatedVessel]:
        found: list[SimulatedVessel] = []
        for group in self.fleet:
            for visit in self._slots(group, start_s, end_s):
                plan = self._plan(group, visit)
                if plan is not None and plan.way_s[0] < end_s and start_s < plan.way_s[-1]:
                    found += self._visit(group, visit, plan)
        return sorted(found, key=lambda vessel: vessel.id)

    def _slots(self, group: Group, start_s: float, end_s: float) -> range:
        """Numbers of the visits that may overlap a span: a visit stays within its slot."""
        return range(int((start_s - group.phase_s) // group.cycle_s), int((end_s - group.phase_s) // group.cycle_s) + 1)

    @cached_property
    def _plans(self) -> dict[tuple[str, int], Plan | None]:
        return {}

    @cached_property
    def _visits(self) -> dict[tuple[str, int], tuple[SimulatedVessel, ...]]:
        return {}

    def _plan(self, group: Group, visit: int) -> Plan | None:
        """When and where a group comes in one slot; made once, and again if many others were asked for since."""
        key = (group.id, visit)
        if key not in self._plans:
            if len(self._plans) >= VISITS_KEPT:
                self._plans.clear()
            comes = group.role.behaviour != "raft" or self._dredging_at(group.phase_s + visit * group.cycle_s)
            self._plans[key] = self.pilot.plan(group, visit, self._berths[group.id]) if comes else None
        return self._plans[key]

    def _visit(self, group: Group, visit: int, plan: Plan) -> tuple[SimulatedVessel, ...]:
        """Everyone in the group on one visit; made once, as above."""
        key = (group.id, visit)
        if key not in self._visits:
            if len(self._visits) >= VISITS_KEPT:
                self._visits.clear()
            tracks = self.pilot.tracks(group, visit, plan)
            self._visits[key] = tuple(
                SimulatedVessel(id=f"{group.id}{'abc'[place]}.{visit}", ship=ship, group=group.id, track=track)
                for place, (ship, track) in enumerate(zip(group.ships, tracks, strict=True))
            )
        return self._visits[key]

    def _dredging_at(self, time_s: float) -> bool:
        late_enough = self.dredging_from is None or time_s >= float(seconds(self.dredging_from))
        return late_enough and utc(time_s).month in DREDGING_MONTHS

    @cached_property
    def structures(self) -> tuple[FixedStructure, ...]:
        """What is built in the sea and stays."""
        return build_structures(self.seed, self.pilot, [berth.place_m for berth in self._berths.values()])

    def plume_sources(self, time: datetime) -> list[PlumeSource]:
        """Dredgers whose plume is in the water at a time, ordered by id; ``active`` tells who spills right then."""
        end_s = float(seconds(time))
        vessels = [v for v in self._vessels(end_s - MEMORY_S, end_s + 1e-6) if v.kind == "dredger"]
        sources = [plume_source(self.seed, vessel) for vessel in vessels]
        recent = [((s.sessions_s[:, 0] <= end_s) & (s.sessions_s[:, 1] > end_s - MEMORY_S)).any() for s in sources]
        return [source for source, spilled in zip(sources, recent, strict=True) if spilled]
