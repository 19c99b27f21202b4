"""Radar images of ships where no ship is: sidelobes beside a bright one, azimuth ambiguities far along its track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imagery.acquisition import AcquisitionSample
from imagery.geometry import offset_m
from imagery.scene import Scene
from models.hot_pixels import SIDELOBE_RATIO, Blobs

_SIDELOBE_REACH_M = 300.0  # from the edge of the bright hull

# Sentinel-1: carrier 5.405 GHz; pulse repetition frequencies of the IW subswaths (annotation of real products; the
# second and third as quoted in the design notes, unchecked).
_WAVELENGTH_M = 299_792_458.0 / 5.405e9
_IW_PRF_HZ = (1717.13, 1451.63, 1685.82)
# Ambiguities are 20-30 dB down and smeared; a source 20 dB brighter can cause one.
_AMBIGUITY_RATIO = 0.01
_AMBIGUITY_ALONG_M = 300.0
_AMBIGUITY_ACROSS_M = 150.0


def ghosts(scene: Scene, found: Blobs, seen: AcquisitionSample) -> NDArray[np.bool_]:
    """Which blobs of a radar scene may be images of brighter ones.

    Args:
        scene: the scene; in optical ones nothing is a ghost.
        found: its blobs, as far as they were sought: a source beyond the searched region is not known.
        seen: how each was imaged.

    Returns:
        (n,) bool.

    Reference: azimuth ambiguities lie at lambda R PRF / (2 V) along the track, V the Earth-fixed speed (Freeman 1993,
    IEEE TGRS 31(3), doi:10.1109/36.225527; the Earth's turning is in V). The subswath is unknown, so all three are
    tried.
    """
    ghost = np.zeros(len(found), bool)
    if scene.sensor.kind != "sar" or len(found) < 2:
        return ghost
    lon0, lat0 = (float(v) for v in scene.geometry.lonlat(0, 0))
    east, north = offset_m(lon0, lat0, *scene.geometry.lonlat(found.row, found.col))
    places = np.column_stack([east, north])
    reach = _SIDELOBE_REACH_M + float(found.extent_m.max()) / 2.0
    for a, b in cKDTree(places).query_pairs(reach):
        for weak, bright in ((a, b), (b, a)):
            apart = float(np.hypot(*(places[weak] - places[bright]))) - found.extent_m[bright] / 2.0
            if apart < _SIDELOBE_REACH_M and found.peak_ratio[weak] < SIDELOBE_RATIO * found.peak_ratio[bright]:
                ghost[weak] = True
    bright = np.flatnonzero(found.peak_ratio > found.peak_ratio.min() / _AMBIGUITY_RATIO)
    for source in bright[np.isfinite(seen.slant_range_m[bright]) & np.isfinite(seen.heading_deg[bright])]:
        ghost |= _ambiguities_of(int(source), places, found, seen)
    return ghost


def _ambiguities_of(
    source: int, places: NDArray[np.float64], found: Blobs, seen: AcquisitionSample
) -> NDArray[np.bool_]:
    heading = np.radians(seen.heading_deg[source])
    step = places - places[source]
    along = step[:, 0] * np.sin(heading) + step[:, 1] * np.cos(heading)
    across = step[:, 0] * np.cos(heading) - step[:, 1] * np.sin(heading)
    per_hz = _WAVELENGTH_M * seen.slant_range_m[source] / (2.0 * seen.platform_speed_m_s[source])
    near = [np.abs(np.abs(along) - per_hz * prf) < _AMBIGUITY_ALONG_M for prf in _IW_PRF_HZ]
    weak = found.peak_ratio < _AMBIGUITY_RATIO * found.peak_ratio[source]
    return np.asarray(np.any(near, axis=0) & (np.abs(across) < _AMBIGUITY_ACROSS_M) & weak)
