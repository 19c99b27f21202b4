"""Which acquisition geometry a scene gets, and how it is stored beside its pixels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from imagery.acquisition import Acquisition, StatedAcquisition
from imagery.errors import AnnotationError, RasterError
from imagery.geometry import GcpGrid, Geometry, Grid
from imagery.ground_acquisition import AnnotatedGround
from imagery.orbit import Platform
from imagery.orbit_model import OrbitModel
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2, SENTINEL2_L1C, SENTINEL2_L2A
from imagery.stored_geometry import geometry_from_json, geometry_to_json
from imagery.tie_points import TiePointAcquisition

_PLATFORMS: dict[str, Platform] = {
    SENTINEL1_IW_GRD.name: "sentinel-1",
    **{sensor.name: "sentinel-2" for sensor in (SENTINEL2, SENTINEL2_L1C, SENTINEL2_L2A)},
}
_VAGUE_S = 3600.0  # with a worse time than this the pass is not known, and the orbit says nothing of this scene
_ANGLES = ("slant_range_m", "incidence_deg", "look_azimuth_deg", "heading_deg", "platform_speed_m_s")
_TIE_POINTS_PER_SIDE = 33  # 8 km apart in a scene of 250 km
_TIE_POINT_ARRAYS = ("lines", "pixels", *_ANGLES)
_TIE_POINT_NUMBERS = (
    "row_offset",
    "col_offset",
    "time_sigma_s",
    "incidence_sigma_deg",
    "slant_range_sigma_m",
    "look_azimuth_sigma_deg",
)
_ORBIT_VALUES = (
    "platform",
    "time_sigma_s",
    "time_refers_to",
    "direction",
    "relative_orbit",
    "near_incidence_deg",
)


def acquisition_for(
    sensor_name: str, time: datetime | None, time_sigma_s: float, geometry: Geometry
) -> StatedAcquisition | OrbitModel:
    """The best that place and time alone allow: an orbit model, or only the stated time.

    Args:
        sensor_name: key of `imagery.sensors.SENSORS`.
        time: UTC, aware, None if unknown.
        time_sigma_s: its one-sigma error, seconds.
        geometry: where the scene lies.

    Returns:
        The acquisition; its ``source`` says what it is.

    Raises:
        ImageryError: if the satellite cannot have been there then.
    """
    platform = _PLATFORMS.get(sensor_name)
    if time is None:
        return StatedAcquisition()
    if platform is None or time_sigma_s > _VAGUE_S:
        return StatedAcquisition(time=time, time_sigma_s=time_sigma_s)
    return OrbitModel(platform=platform, geometry=geometry, time=time, time_sigma_s=time_sigma_s)


def to_json(acquisition: Acquisition, shape_hw: tuple[int, int]) -> dict[str, Any]:
    """An acquisition as plain values, exact where it is one of `imagery`'s own kinds.

    Any other is sampled at 33 x 33 tie points over the scene: over 250 km of sea it errs by less than 1e-3 s and 1e-3
    deg. One that is not known all over the scene keeps its time alone, and its ``source`` says so.

    Args:
        acquisition: what to store.
        shape_hw: (height, width) of its scene in pixels.
    """
    if isinstance(acquisition, StatedAcquisition):
        time = acquisition.time.isoformat() if acquisition.time else None
        return {"kind": "stated", "time": time, "time_sigma_s": float(acquisition.time_sigma_s)}
    if isinstance(acquisition, OrbitModel) and isinstance(acquisition.geometry, Grid | GcpGrid):
        swath_deg = acquisition.incidence_range_deg
        return {
            "kind": "orbit_model",
            "geometry": geometry_to_json(acquisition.geometry),
            "time": acquisition.time.isoformat(),
            "incidence_range_deg": None if swath_deg is None else list(swath_deg),
        } | {name: getattr(acquisition, name) for name in _ORBIT_VALUES}
    if isinstance(acquisition, TiePointAcquisition):
        return _tie_points_to_json(acquisition)
    if isinstance(acquisition, AnnotatedGround) and isinstance(acquisition.geometry, Grid | GcpGrid):
        products = [[geometry_to_json(grid), _tie_points_to_json(points)] for grid, points in acquisition.products]
        return {
            "kind": "annotated_ground",
            "geometry": geometry_to_json(acquisition.geometry),
            "products": products,
            "time_sigma_s": max(points.time_sigma_s for _, points in acquisition.products),
        }
    return to_json(_sampled(acquisition, shape_hw), shape_hw)


def _tie_points_to_json(points: TiePointAcquisition) -> dict[str, Any]:
    return (
        {"kind": "tie_points", "time": points.time.astype(str).tolist(), "source": points.source}
        | {name: np.asarray(getattr(points, name), float).tolist() for name in _TIE_POINT_ARRAYS}
        | {name: float(getattr(points, name)) for name in _TIE_POINT_NUMBERS}
    )


def _tie_points(stored: dict[str, Any]) -> TiePointAcquisition:
    values: dict[str, Any] = {name: np.asarray(stored[name], float) for name in _TIE_POINT_ARRAYS}
    values |= {name: float(stored[name]) for name in _TIE_POINT_NUMBERS}
    time = np.asarray(stored["time"], "datetime64[us]")
    return TiePointAcquisition(time=time, source=str(stored["source"]), **values)


def _sampled(acquisition: Acquisition, shape_hw: tuple[int, int]) -> TiePointAcquisition | StatedAcquisition:
    rows = np.linspace(-0.5, shape_hw[0] - 0.5, _TIE_POINTS_PER_SIDE)
    cols = np.linspace(-0.5, shape_hw[1] - 0.5, _TIE_POINTS_PER_SIDE)
    seen = acquisition.at(rows[:, None], cols[None, :])
    known = ~np.isnat(seen.time)
    if known.all() and all(np.isfinite(getattr(seen, name)).all() for name in _ANGLES):
        return TiePointAcquisition(
            lines=rows,
            pixels=cols,
            time=seen.time.astype("datetime64[us]"),
            time_sigma_s=float(np.max(seen.time_sigma_s)),
            source=acquisition.source,
            incidence_sigma_deg=float(np.max(seen.incidence_sigma_deg)),
            slant_range_sigma_m=float(np.max(seen.slant_range_sigma_m)),
            look_azimuth_sigma_deg=float(np.max(seen.look_azimuth_sigma_deg)),
            **{name: getattr(seen, name) for name in _ANGLES},
        )
    if not known.any():
        return StatedAcquisition()
    first, last = seen.time[known].min(), seen.time[known].max()
    middle = (first + (last - first) / 2).astype("datetime64[us]").item().replace(tzinfo=UTC)
    span_s = float((last - first) / np.timedelta64(1, "s"))
    sigma_s = float(np.hypot(np.max(seen.time_sigma_s[known]), span_s / np.sqrt(12.0)))
    return StatedAcquisition(time=middle, time_sigma_s=sigma_s)


def from_json(stored: dict[str, Any]) -> Acquisition:
    """What `to_json` stored.

    Raises:
        AnnotationError: if a part is missing or damaged.
    """
    values: dict[str, Any]
    try:
        if stored["kind"] == "stated":
            time = datetime.fromisoformat(stored["time"]) if stored["time"] is not None else None
            return StatedAcquisition(time=time, time_sigma_s=float(stored["time_sigma_s"]))
        if stored["kind"] == "orbit_model":
            values = {name: stored[name] for name in _ORBIT_VALUES}
            swath_deg = stored["incidence_range_deg"]
            return OrbitModel(
                geometry=geometry_from_json(stored["geometry"]),
                time=datetime.fromisoformat(stored["time"]),
                incidence_range_deg=None if swath_deg is None else tuple(swath_deg),
                **values,
            )
        if stored["kind"] == "annotated_ground":
            products = [(geometry_from_json(grid), _tie_points(points)) for grid, points in stored["products"]]
            sliced = tuple((grid, points) for grid, points in products if isinstance(grid, GcpGrid))
            return AnnotatedGround(geometry=geometry_from_json(stored["geometry"]), products=sliced)
        if stored["kind"] == "tie_points":
            return _tie_points(stored)
        raise ValueError(f"kind {stored['kind']!r}")
    except (KeyError, TypeError, ValueError, RasterError) as error:
        raise AnnotationError(f"stored acquisition geometry is damaged: {error!r}") from error
