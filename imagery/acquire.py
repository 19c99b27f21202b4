"""Which acquisition geometry a scene gets, and how it travels inside a GeoTIFF."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from imagery.acquisition import Acquisition, StatedAcquisition
from imagery.errors import AnnotationError
from imagery.geometry import Geometry
from imagery.orbit import Platform
from imagery.orbit_model import OrbitModel
from imagery.sensors import SENTINEL1_IW_GRD, SENTINEL2
from imagery.tie_points import TiePointAcquisition

_PLATFORMS: dict[str, Platform] = {SENTINEL1_IW_GRD.name: "sentinel-1", SENTINEL2.name: "sentinel-2"}
_VAGUE_S = 3600.0  # with a worse time than this the pass is not known, and the orbit says nothing of this scene
_ANGLES = ("slant_range_m", "incidence_deg", "look_azimuth_deg", "heading_deg", "platform_speed_m_s")
_TIE_POINTS_PER_SIDE = 11


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
    """An acquisition as plain values: tie points over the scene, or the stated time where it has no angles."""
    rows = np.linspace(-0.5, shape_hw[0] - 0.5, _TIE_POINTS_PER_SIDE)
    cols = np.linspace(-0.5, shape_hw[1] - 0.5, _TIE_POINTS_PER_SIDE)
    seen = acquisition.at(rows[:, None], cols[None, :])
    sigma_s = float(np.max(seen.time_sigma_s))
    known = not np.isnat(seen.time).any()
    stored: dict[str, Any] = {
        "source": acquisition.source,
        "time_sigma_s": sigma_s if np.isfinite(sigma_s) else None,
        "time": str(seen.time[0, 0]) if known else None,
    }
    if known and all(np.isfinite(getattr(seen, name)).all() for name in _ANGLES):
        stored |= {"rows": rows.tolist(), "cols": cols.tolist(), "times": seen.time.astype(str).tolist()}
        stored |= {name: getattr(seen, name).tolist() for name in _ANGLES}
        for name in ("incidence_sigma_deg", "slant_range_sigma_m", "look_azimuth_sigma_deg"):
            stored[name] = float(np.max(getattr(seen, name)))
    return stored


def from_json(stored: dict[str, Any]) -> Acquisition:
    """What `to_json` stored.

    Raises:
        AnnotationError: if a part is missing or damaged.
    """
    try:
        sigma_s = stored["time_sigma_s"]
        if "rows" in stored:
            return TiePointAcquisition(
                lines=np.asarray(stored["rows"], float),
                pixels=np.asarray(stored["cols"], float),
                time=np.asarray(stored["times"], "datetime64[us]"),
                time_sigma_s=float(sigma_s),
                source=str(stored["source"]),
                slant_range_m=np.asarray(stored["slant_range_m"], float),
                incidence_deg=np.asarray(stored["incidence_deg"], float),
                look_azimuth_deg=np.asarray(stored["look_azimuth_deg"], float),
                heading_deg=np.asarray(stored["heading_deg"], float),
                platform_speed_m_s=np.asarray(stored["platform_speed_m_s"], float),
                incidence_sigma_deg=float(stored["incidence_sigma_deg"]),
                slant_range_sigma_m=float(stored["slant_range_sigma_m"]),
                look_azimuth_sigma_deg=float(stored["look_azimuth_sigma_deg"]),
            )
        if stored["time"] is None:
            return StatedAcquisition()
        return StatedAcquisition(time=datetime.fromisoformat(stored["time"] + "+00:00"), time_sigma_s=float(sigma_s))
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"stored acquisition geometry is damaged: {error!r}") from error
