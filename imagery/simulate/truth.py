"""What a simulated scene truly shows: every vessel with its true place and its place in the image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from imagery.acquisition import azimuth_shift_m
from imagery.geometry import FloatArray, moved
from imagery.simulate.fleet import SimulatedVessel
from imagery.simulate.ground import View
from imagery.simulate.plume import PlumeSource
from imagery.simulate.structures import FixedStructure

NEAR_PX = 150.0  # a vessel this far outside the grid may still show within it: a displaced ship, a wake
_AROUND = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneTruth:
    """Truth of one scene, one entry per vessel in or near it, ordered by id.

    Attributes:
        scene_id: the scene.
        vessels: who is there (n).
        time_s: when each is seen, seconds since 1970 UTC (n,).
        lon, lat: true middle of the hull at that time, degrees (n,).
        apparent_lon, apparent_lat: where the image shows it; a radar displaces what moves across its track.
        speed_m_s, course_deg, heading_deg: motion over ground (n,).
        cloud: opacity of the cloud above, 0..1 (n,); 0 for radar.
        visible: True where the image shows the place: inside the area and the valid pixels, not on land, and
            cloud below one half (n,).
        structures: what is fixed in the sea.
        plumes: dredgers whose plume is in the water.
        spilling: True where such a dredger spills at the time of the scene.
    """

    scene_id: str
    vessels: tuple[SimulatedVessel, ...]
    time_s: FloatArray
    lon: FloatArray
    lat: FloatArray
    apparent_lon: FloatArray
    apparent_lat: FloatArray
    speed_m_s: FloatArray
    course_deg: FloatArray
    heading_deg: FloatArray
    cloud: FloatArray
    visible: NDArray[np.bool_]
    structures: tuple[FixedStructure, ...]
    plumes: tuple[PlumeSource, ...]
    spilling: NDArray[np.bool_]

    @property
    def id(self) -> tuple[str, ...]:
        """Ids of the vessels' visits."""
        return tuple(vessel.id for vessel in self.vessels)

    @property
    def kind(self) -> tuple[str, ...]:
        """Kinds of the vessels."""
        return tuple(vessel.kind for vessel in self.vessels)

    @property
    def mmsi(self) -> NDArray[np.int64]:
        """MMSI of the vessels (n,)."""
        return np.array([vessel.mmsi for vessel in self.vessels], np.int64)

    @property
    def length_m(self) -> FloatArray:
        """Lengths of the hulls, metres (n,)."""
        return np.array([vessel.length_m for vessel in self.vessels], float)

    @property
    def width_m(self) -> FloatArray:
        """Widths of the hulls, metres (n,)."""
        return np.array([vessel.width_m for vessel in self.vessels], float)


def scene_truth(view: View, cloud: NDArray[np.float32] | None = None) -> SceneTruth:
    """Everyone in or near a scene, each at the moment when the satellite passes it.

    Args:
        view: the look.
        cloud: (h, w) opacity of the cloud, None for a clear sky or for radar.
    """
    around = (view.time - _AROUND, view.time + _AROUND)
    vessels, columns = [], []
    for vessel in view.world.vessels(*around):
        time_s = view.time_s
        for _ in range(2):  # the time at which a moving ship is seen depends on where it then is
            state = vessel.track.at_seconds(time_s)
            time_s = float(view.acquisition.time_s(state.lon, state.lat))
        state = vessel.track.at_seconds(time_s)
        if np.isfinite(state.lon):
            vessels.append(vessel)
            columns.append([time_s, *map(float, state)])
    time, lon, lat, speed, course, heading = np.array(columns, float).reshape(-1, 6).T
    apparent = _apparent(view, lon, lat, speed, course)
    rows, cols = view.grid.rowcol(*apparent)
    height, width = view.grid.shape_hw
    near = (np.abs(rows - height / 2) < height / 2 + NEAR_PX) & (np.abs(cols - width / 2) < width / 2 + NEAR_PX)
    above = _at(cloud, rows, cols, 0.0) if cloud is not None else np.zeros(near.shape)
    seen = _at(view.valid & ~view.ground.land, rows, cols, False).astype(bool)
    visible = seen & view.world.area.contains(*apparent) & (above < 0.5)
    plumes = tuple(view.world.plume_sources(view.time))
    return SceneTruth(
        scene_id=view.scene_id,
        vessels=tuple(v for v, kept in zip(vessels, near, strict=True) if kept),
        time_s=time[near],
        lon=lon[near],
        lat=lat[near],
        apparent_lon=apparent[0][near],
        apparent_lat=apparent[1][near],
        speed_m_s=speed[near],
        course_deg=course[near],
        heading_deg=heading[near],
        cloud=above[near],
        visible=visible[near],
        structures=view.world.structures,
        plumes=plumes,
        spilling=np.array([bool(source.working(view.time_s)) for source in plumes], bool),
    )


def _apparent(
    view: View, lon: FloatArray, lat: FloatArray, speed: FloatArray, course: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Where the image shows things that move."""
    if view.orbit.sensor.kind != "sar":
        return lon, lat
    sample = view.acquisition.at_lonlat(lon, lat)
    east, north = speed * np.sin(np.radians(course)), speed * np.cos(np.radians(course))
    return moved(lon, lat, *azimuth_shift_m(sample, east, north))


def _at(image: NDArray[np.generic], rows: FloatArray, cols: FloatArray, outside: float) -> FloatArray:
    """Nearest pixel of an image, ``outside`` beyond it."""
    row, col = np.rint(rows).astype(int), np.rint(cols).astype(int)
    inside = (row >= 0) & (row < image.shape[0]) & (col >= 0) & (col < image.shape[1])
    out = np.full(row.shape, outside, float)
    out[inside] = image[row[inside], col[inside]]
    return out
