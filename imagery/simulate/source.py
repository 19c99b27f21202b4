"""A source of simulated scenes: the same seam as real archives, and the truth besides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.errors import SourceError
from imagery.fetchers.base import SceneRef
from imagery.geometry import footprint
from imagery.scene import MemoryReader, Pixels, Provenance, Scene, Unit
from imagery.sensors import Kind
from imagery.simulate.clouds import cloud_layer
from imagery.simulate.fields import Field
from imagery.simulate.frame import seconds
from imagery.simulate.ground import Ground, View, grid_of
from imagery.simulate.optical import plume_excess, render_optical
from imagery.simulate.passes import ORBITS, Orbit, passes
from imagery.simulate.sar import render_sar
from imagery.simulate.truth import SceneTruth, scene_truth
from imagery.simulate.world import HAEJU, World

NOTE = "simulated, not an observation"


@dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """Sentinel-1 and Sentinel-2 scenes of a simulated world, and what is truly in them.

    Every scene is a function of (area, seed, dredging_from) and its id alone.

    Attributes:
        area: where.
        seed: integer >= 0 that decides the world.
        start, end: scenes exist with start <= time < end, aware UTC.
        dredging_from: no dredger comes before this time; None for every season.
    """

    area: AreaOfInterest = HAEJU
    seed: int = 0
    start: datetime
    end: datetime
    dredging_from: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a span that holds no time, times without a zone, and what `World` refuses."""
        if not seconds(self.start) < seconds(self.end):
            raise ValueError(f"a simulated season needs start < end, got {self.start} and {self.end}")
        World(area=self.area, seed=self.seed, dredging_from=self.dredging_from)

    @cached_property
    def world(self) -> World:
        """The truth, whether a scene shows it or not."""
        return World(area=self.area, seed=self.seed, dredging_from=self.dredging_from)

    @property
    def land(self) -> MultiPolygon:
        """Land in degrees, reaching a little beyond the area."""
        return self.world.land

    def intertidal(self, time: datetime | None = None) -> MultiPolygon:
        """Tidal ground in degrees that lies dry at a time; for None at the lowest tide."""
        return self.world.intertidal(time)

    def search(self, area: AreaOfInterest, start: datetime, end: datetime) -> list[SceneRef]:
        """Scenes that touch the area with start <= time < end, ordered by (time, id)."""
        if seconds(end) <= seconds(start) or not self._footprint.intersects(area.polygon):
            return []
        first, last = max(start, self.start), min(end, self.end)
        refs = [self._ref(orbit, time) for orbit in ORBITS for time in passes(orbit, first, last)]
        return sorted(refs, key=lambda ref: (ref.time, ref.id))

    def fetch(self, ref: SceneRef, area: AreaOfInterest | None = None) -> Scene:
        """The scene, rendered whole into memory, whatever the area.

        Raises:
            SourceError: if the season has no scene of that id.
        """
        view = self.view(ref)
        if view.orbit.sensor.kind == "sar":
            data = render_sar(view, scene_truth(view))
        else:
            clouds = cloud_layer(view)
            data = render_optical(view, scene_truth(view, clouds.opacity), clouds)
        data[:, ~view.valid] = np.nan
        pixels = Pixels(data=data, valid=np.broadcast_to(view.valid, data.shape))
        return Scene(
            id=view.scene_id,
            sensor=view.orbit.sensor,
            bands=view.orbit.sensor.bands,
            unit=_UNITS[view.orbit.sensor.kind],
            geometry=view.grid,
            acquisition=view.acquisition,
            time=view.time,
            reader=MemoryReader(pixels=pixels),
            provenance=Provenance(source="simulated", ids=(f"{view.scene_id} of seed {self.seed}",), notes=(NOTE,)),
        )

    def truth(self, scene: SceneRef | Scene) -> SceneTruth:
        """What a scene truly shows.

        Raises:
            SourceError: if the season has no scene of that id.
        """
        view = self.view(scene)
        return scene_truth(view, None if view.orbit.sensor.kind == "sar" else cloud_layer(view).opacity)

    def plume_excess_g_m3(self, scene: SceneRef | Scene) -> Field:
        """Suspended matter of all dredging plumes above the background at the time of a scene.

        Returns:
            (h, w) float32 in g/m3, under cloud and outside valid pixels too; 0 on dry ground.

        Raises:
            SourceError: if the season has no scene of that id.
        """
        view = self.view(scene)
        total = np.zeros(view.grid.shape_hw, np.float32)
        for field, _ in plume_excess(view):
            total += field
        return total

    def view(self, scene: SceneRef | Scene) -> View:
        """The look that a scene is: its pass, time and ground.

        Raises:
            SourceError: if the season has no scene of that id.
        """
        if scene.time is not None and self.start <= scene.time < self.end:
            for orbit in ORBITS:
                for time in passes(orbit, scene.time, min(scene.time + orbit.every, self.end)):
                    if scene.id == _scene_id(orbit, time):
                        return View(ground=self._ground, orbit=orbit, time=time, scene_id=scene.id)
        raise SourceError(
            f"the simulated season from {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d} has no scene {scene.id!r}; "
            "take references from search()"
        )

    @cached_property
    def _ground(self) -> Ground:
        return Ground(world=self.world, grid=grid_of(self.area))

    @cached_property
    def _footprint(self) -> MultiPolygon:
        return footprint(self._ground.grid)

    def _ref(self, orbit: Orbit, time: datetime) -> SceneRef:
        return SceneRef(id=_scene_id(orbit, time), sensor_name=orbit.sensor.name, time=time, footprint=self._footprint)


_UNITS: dict[Kind, Unit] = {"sar": "sigma0", "optical": "reflectance"}


def _scene_id(orbit: Orbit, time: datetime) -> str:
    return f"SIM-{orbit.label}-{time:%Y%m%dT%H%M%SZ}"
