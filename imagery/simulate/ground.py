"""The simulated ground on an image grid: what is land, how high it is, how its surface varies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio import features

from imagery.aoi import AreaOfInterest
from imagery.geometry import FloatArray, Grid, jacobian_m
from imagery.simulate.fields import Field, gaussian_field, node_shape, power_law_field, upsampled
from imagery.simulate.frame import seconds
from imagery.simulate.passes import ExactAcquisition, Orbit
from imagery.simulate.seeding import rng_for
from imagery.simulate.world import World

PIXEL_M = 10.0
NODE_PX = 5  # spacing of coarse nodes in pixels: 50 m, as the coast's own surface
TOWNS = 4
TOWN_POINTS = 60  # strong reflectors of a town: walls, tanks, cranes


def grid_of(area: AreaOfInterest) -> Grid:
    """The 10 m UTM grid around an area, aligned to whole tens of metres."""
    crs = CRS.from_epsg(area.utm_epsg)
    west, south, east, north = area.unwrapped.bounds
    t = np.linspace(0.0, 1.0, 21)
    side, across = west + t * (east - west), south + t * (north - south)
    lon = np.concatenate([side, side, np.full(21, west), np.full(21, east)])
    lat = np.concatenate([np.full(21, south), np.full(21, north), across, across])
    whole = Grid(crs_wkt=crs.to_wkt(), transform=Affine.scale(PIXEL_M, -PIXEL_M), shape_hw=(1, 1))
    rows, cols = whole.rowcol(lon, lat)
    first_row, first_col = int(np.floor(rows.min() + 0.5)), int(np.floor(cols.min() + 0.5))
    shape = int(np.ceil(rows.max() + 0.5)) - first_row, int(np.ceil(cols.max() + 0.5)) - first_col
    transform = whole.transform @ Affine.translation(first_col, first_row)
    return Grid(crs_wkt=crs.to_wkt(), transform=transform, shape_hw=shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """A world's ground on one grid; the same for every scene.

    Attributes:
        world: the truth.
        grid: the pixels.
    """

    world: World
    grid: Grid

    @cached_property
    def node_xy_m(self) -> tuple[FloatArray, FloatArray]:
        """Places of the coarse nodes in the world's plane."""
        rows, cols = (np.arange(n) * float(NODE_PX) for n in node_shape(self.grid.shape_hw, NODE_PX))
        return self.world.frame.xy_m(*self.grid.lonlat(rows[:, None], cols[None, :]))

    @cached_property
    def height_nodes_m(self) -> Field:
        """Height above mean sea level at the coarse nodes, metres."""
        return np.asarray(self.world.coast.height_m(*self.node_xy_m), np.float32)

    @cached_property
    def height_m(self) -> Field:
        """Height above mean sea level, (h, w), metres."""
        return self.full(self.height_nodes_m)

    def full(self, nodes: Field) -> Field:
        """Values at the coarse nodes brought to every pixel, (h, w)."""
        return upsampled(nodes, NODE_PX, self.grid.shape_hw)

    @cached_property
    def land(self) -> NDArray[np.bool_]:
        """(h, w), True = pixel middle on land."""

        def to_pixels(xy: FloatArray) -> FloatArray:
            rows, cols = self.grid.rowcol(*self.world.frame.lonlat(xy[:, 0], xy[:, 1]))
            return np.column_stack([cols + 0.5, rows + 0.5])

        polygons = shapely.transform(self.world.coast.land_plane, to_pixels)
        if polygons.is_empty:
            return np.zeros(self.grid.shape_hw, bool)
        return np.asarray(features.rasterize(polygons.geoms, self.grid.shape_hw, transform=Affine.identity()) == 1)

    @cached_property
    def pixels_per_m(self) -> FloatArray:
        """(2, 2): rows and columns per metre east and north, in the middle of the grid."""
        height, width = self.grid.shape_hw
        return np.asarray(np.linalg.inv(jacobian_m(self.grid, height / 2, width / 2)[0]))

    @cached_property
    def cover(self) -> Field:
        """What grows or stands on land, (h, w): a field of mean 0 and variance 1, patches of 30 m to 1 km."""
        rng = rng_for(self.world.seed, "cover")
        half = node_shape(self.grid.shape_hw, 2)
        fields = power_law_field(half, rng, beta=2.4, longest_px=60.0) + 0.6 * gaussian_field(half, rng, along_px=2.0)
        return upsampled((fields / np.hypot(1.0, 0.6)).astype(np.float32), 2, self.grid.shape_hw)

    def facing(self, azimuth_deg: float) -> Field:
        """Slope of the ground towards an azimuth, (h, w): rise over run, positive where it faces that way."""
        per_row, per_col = np.gradient(self.height_nodes_m, NODE_PX)
        east, north = (per_row * self.pixels_per_m[0, i] + per_col * self.pixels_per_m[1, i] for i in (0, 1))
        angle = np.radians(azimuth_deg)
        return self.full((-east * np.sin(angle) - north * np.cos(angle)).astype(np.float32))

    @cached_property
    def towns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows, columns and radar cross-sections (m2) of strong reflectors on land."""
        rng = rng_for(self.world.seed, "towns")
        rows, cols = np.nonzero(self.land)
        if not rows.size:
            return np.empty(0), np.empty(0), np.empty(0)
        chosen = np.repeat(rng.integers(rows.size, size=TOWNS), TOWN_POINTS)
        at = np.stack([rows[chosen], cols[chosen]]) + rng.normal(0.0, 35.0, (2, chosen.size))
        row, col = (np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in zip(at, self.grid.shape_hw, strict=True))
        rcs_m2 = 10.0 ** (0.1 * rng.normal(25.0, 6.0, chosen.size))
        kept = self.land[row, col]
        return at[0][kept], at[1][kept], rcs_m2[kept]


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One look of one satellite at the ground.

    Attributes:
        ground: what lies below.
        orbit: the pass.
        time: when the middle of the scene is seen.
        scene_id: name of the scene; it decides the scene's random numbers.
    """

    ground: Ground
    orbit: Orbit
    time: datetime
    scene_id: str

    @property
    def grid(self) -> Grid:
        """The scene's pixels."""
        return self.ground.grid

    @property
    def world(self) -> World:
        """The truth."""
        return self.ground.world

    @property
    def time_s(self) -> float:
        """When the middle of the scene is seen, seconds since 1970 UTC."""
        return float(seconds(self.time))

    @cached_property
    def acquisition(self) -> ExactAcquisition:
        """The scene's exact geometry."""
        return ExactAcquisition(geometry=self.grid, time=self.time, orbit=self.orbit)

    def rng(self, *labels: str | int) -> np.random.Generator:
        """Random numbers for one purpose of this scene."""
        return rng_for(self.world.seed, self.scene_id, *labels)

    def world_rng(self, *labels: str | int) -> np.random.Generator:
        """Random numbers for one purpose of this world, the same in all its scenes."""
        return rng_for(self.world.seed, *labels)

    @cached_property
    def exposed(self) -> NDArray[np.bool_]:
        """(h, w), True = tidal ground that lies dry."""
        level_m = float(self.world.ocean.level_m(self.time_s))
        return np.asarray((self.ground.height_m > level_m) & ~self.ground.land)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(h, w), True = seen. In a quarter of the scenes the swath ends within the grid, along the flight."""
        rng = self.rng("swath")
        height, width = self.grid.shape_hw
        seen = np.ones((height, width), bool)
        if rng.random() >= 0.25:
            return seen
        share, left = rng.uniform(0.02, 0.12), rng.random() < 0.5
        per_row = -np.tan(np.radians(self.orbit.heading_deg))  # columns that the edge moves per row down
        edge = (share if left else 1.0 - share) * width + per_row * (np.arange(height) - height / 2.0)
        return np.asarray((np.arange(width) >= edge[:, None]) == left)
