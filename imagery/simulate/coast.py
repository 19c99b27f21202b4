"""Land, tidal flats and water depth of a simulated coast, from one seeded surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio import features
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from imagery.geometry import FloatArray, split_at_antimeridian
from imagery.simulate.fields import Field, power_law_field
from imagery.simulate.frame import LocalFrame
from imagery.simulate.ocean import HIGHEST_TIDE_M
from imagery.simulate.seeding import rng_for

STEP_M = 50.0  # spacing of the surface's nodes
MARGIN_M = 4_000.0  # how far the surface reaches beyond the area's bounding box
LAND_M = HIGHEST_TIDE_M + 0.4  # the shore: what no tide reaches, above mean sea level
LOWEST_M = -HIGHEST_TIDE_M  # foot of the tidal flats
MIN_ISLAND_M2 = 30_000.0


@dataclass(frozen=True, kw_only=True)
class Coast:
    """A coast with a bay, islands and tidal flats.

    Attributes:
        seed: the world's seed.
        frame: the plane it lies in.
    """

    seed: int
    frame: LocalFrame

    @cached_property
    def _nodes(self) -> tuple[FloatArray, FloatArray]:
        """Coordinates of the surface's nodes: x rising with columns, y falling with rows."""
        half_x, half_y = self.frame.half_east_m + MARGIN_M, self.frame.half_north_m + MARGIN_M
        return np.arange(-half_x, half_x + STEP_M, STEP_M), np.arange(half_y, -half_y - STEP_M, -STEP_M)

    @cached_property
    def surface_m(self) -> Field:
        """Height of ground or sea bed above mean sea level at the nodes, (h, w), metres.

        A ramp towards a seeded side plus a power-law field, bent so that a seeded 10-20 % of the box is land and
        5-8 % tidal flats.
        """
        rng = rng_for(self.seed, "coast")
        x, y = self._nodes
        side = np.radians(rng.uniform(0.0, 360.0))
        ramp = x[None, :] * np.sin(side) / self.frame.half_east_m + y[:, None] * np.cos(side) / self.frame.half_north_m
        longest_px = 1.2 * max(self.frame.half_east_m, self.frame.half_north_m) / STEP_M
        rough = power_law_field((y.size, x.size), rng, beta=3.6, longest_px=longest_px)
        raw = ramp + 0.55 * rough
        inside = raw[np.ix_(np.abs(y) < self.frame.half_north_m, np.abs(x) < self.frame.half_east_m)]
        land, flats = rng.uniform(0.11, 0.19), rng.uniform(0.05, 0.08)
        at = np.quantile(inside, [0.0, 0.5, 1.0 - land - flats, 1.0 - land, 1.0])
        heights = [-24.0, -13.0, LOWEST_M, LAND_M, 160.0]
        return np.asarray(np.interp(raw, at, heights), np.float32)

    def height_m(self, x_m: ArrayLike, y_m: ArrayLike) -> FloatArray:
        """Height above mean sea level at places of the plane, metres; beyond the surface its edge goes on."""
        return self._sampled(self.surface_m, x_m, y_m)

    def offshore_m(self, x_m: ArrayLike, y_m: ArrayLike) -> FloatArray:
        """Distance to land, metres, good to half a node; 0 on land."""
        return self._sampled(self._distance_m, x_m, y_m)

    def _sampled(self, nodes: Field, x_m: ArrayLike, y_m: ArrayLike) -> FloatArray:
        x, y = self._nodes
        col = (np.asarray(x_m, float) - x[0]) / STEP_M
        row = (y[0] - np.asarray(y_m, float)) / STEP_M
        return np.asarray(ndimage.map_coordinates(nodes, np.stack([row, col]), order=1, mode="nearest"), float)

    @cached_property
    def _distance_m(self) -> Field:
        x, y = self._nodes
        transform = Affine.translation(x[0] - STEP_M / 2, y[0] + STEP_M / 2) @ Affine.scale(STEP_M, -STEP_M)
        land = features.rasterize(self.land_plane.geoms, (y.size, x.size), transform=transform, all_touched=True)
        if not land.any():
            return np.full(land.shape, np.inf, np.float32)
        return np.asarray(ndimage.distance_transform_edt(land == 0) * STEP_M, np.float32)

    @cached_property
    def land_plane(self) -> MultiPolygon:
        """Land never covered by the tide, in the plane."""
        return self._above(LAND_M)

    @cached_property
    def land(self) -> MultiPolygon:
        """Land never covered by the tide, in degrees, reaching a little beyond the area."""
        return self._in_degrees(self.land_plane)

    def exposed(self, level_m: float) -> MultiPolygon:
        """Tidal ground that lies dry at a sea level (metres above the mean), in degrees, land left out."""
        return self._in_degrees(self._above(level_m).difference(self.land_plane))

    def _in_degrees(self, plane: BaseGeometry) -> MultiPolygon:
        return split_at_antimeridian(shapely.make_valid(self.frame.to_degrees(plane)))

    def _above(self, level_m: float) -> MultiPolygon:
        """Outline, in the plane, of the ground above a level."""
        fine = ndimage.zoom(self.surface_m, 2, order=1, grid_mode=True, mode="nearest") > level_m
        x, y = self._nodes
        step = STEP_M / 2
        transform = Affine.translation(x[0] - step, y[0] + step) @ Affine.scale(step, -step)
        found = features.shapes(fine.astype(np.uint8), mask=fine, transform=transform)
        return _smoothed([shape(geometry) for geometry, _ in found])

    def navigable_nodes(self, deepest_m: float, shore_m: float) -> NDArray[np.bool_]:
        """True at nodes whose ground lies at or below ``deepest_m`` and at least ``shore_m`` from land."""
        return (self.surface_m <= deepest_m) & (self._distance_m >= shore_m)

    def nearest(self, nodes: NDArray[np.bool_], x_m: ArrayLike, y_m: ArrayLike) -> NDArray[np.bool_]:
        """Values of the nodes nearest to places of the plane; beyond the surface its edge goes on."""
        x, y = self._nodes
        col = np.clip(np.rint((np.asarray(x_m, float) - x[0]) / STEP_M).astype(int), 0, x.size - 1)
        row = np.clip(np.rint((y[0] - np.asarray(y_m, float)) / STEP_M).astype(int), 0, y.size - 1)
        return np.asarray(nodes[row, col])


def _smoothed(polygons: list[Polygon]) -> MultiPolygon:
    """Pixel outlines without their stairs and without specks."""
    merged = shapely.union_all([p for p in polygons if p.area >= MIN_ISLAND_M2])
    rounded = shapely.simplify(merged, STEP_M / 2).buffer(STEP_M, quad_segs=3).buffer(-1.6 * STEP_M, quad_segs=3)
    rounded = rounded.buffer(0.6 * STEP_M, quad_segs=3)
    parts = shapely.get_parts(shapely.make_valid(rounded))
    return MultiPolygon([p for p in parts if isinstance(p, Polygon) and p.area >= MIN_ISLAND_M2])
