"""Which ship could be which object: pairs near enough, with their distance and likelihood.

Each ship is placed at the object's own instant, moved by the azimuth shift that a moving ship has in SAR, and compared
within the joint covariance of track, shift and detection.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imagery.acquisition import AcquisitionSample, azimuth_shift_m
from imagery.geometry import moved, offset_m
from models.detections import Detections
from offing.ais.identity import LENGTH_FACTOR_OPTICAL, LENGTH_FACTOR_SAR, length_plausible
from offing.ais.placing import Placement, place
from offing.ais.tracks import KN_M_S, FloatArray, IntArray, Tracks

# The gate: a pair is possible within five standard deviations and 3 km (design note, section 4: prune at d2 > 25,
# search radius 3 km). Real positions have tails: of US coastal tracks with 10 minutes hidden, 2 % lie beyond it.
GATE_D2 = 25.0
GATE_M = 3000.0
# Pairs outside the gate still count against calling an object unreported, out to ten standard deviations. Measured on
# US positions with 10 minutes hidden: without them 96 % of such calls offshore are right, out to here all, and no cut
# at all finds 3 % fewer of the ships without AIS.
TAIL_D2 = 100.0
# A ship whose place is known no better than this fills the gate by itself (3 km = 3 sigma): it is not placed.
MAX_PLACED_SIGMA_M = 1000.0
# Azimuth shift: .1 of it, and speed across the beam known to .3 kn (section 3).
SHIFT_SIGMA_SHARE = 0.1
SHIFT_SPEED_SIGMA_M_S = 0.3 * KN_M_S
# R sin(incidence) / V reaches 90 s at the far edge of Sentinel-1 IW (section 3): 100 s bounds the search only.
_SHIFT_BOUND_S = 100.0
# ln(seen length / AIS length) scatters by .43 to .49 in SAR (section 4); .2 for optical hulls is our estimate.
LENGTH_LN_SIGMA_SAR, LENGTH_LN_SIGMA_OPTICAL = 0.45, 0.2
# Lengths of ships without AIS: ln normal around 40 m (section 4, prototype).
UNKNOWN_LENGTH_M, UNKNOWN_LN_SIGMA = 40.0, 0.9
# Share of ships that state a length not theirs (our estimate), so that such a ship is still found where she is.
WRONG_LENGTH_SHARE = 0.02
# Tracks have heavier tails than a normal curve: Student's t with four degrees of freedom fits (section 3).
_T_DEGREES = 4.0
# Probability that a ship with AIS in clear water is detected: section 4's table at about 60 m.
DETECTION_PROBABILITY = 0.9
# Objects without AIS: a quarter of all objects within 3 km (section 4, prototype).
UNKNOWN_SHARE = 0.25
# A detection whose time has no known error is taken to be right within ten minutes.
_MAX_TIME_SIGMA_S = 600.0
_EARTH_M = 6_371_000.0  # mean radius, for neighbour searches only


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Pairs of a detection and a ship within `GATE_M` of each other, ordered by (detection, ship); shape (p,) each.

    Attributes:
        detection: row of the detection.
        ship: index of the ship's segment in the tracks.
        distance_m: from where the ship should be imaged to where the object was.
        d2: squared distance in standard deviations of the joint covariance.
        sigma_m: one-sigma error per axis of that covariance, metres.
        shift_m: azimuth shift that was applied, metres.
        length_ok: False where the AIS length cannot be that of the object.
        loose: True where the ship's place is too uncertain to be matched at all.
        llr: log of (this ship is this object) over (the object has no AIS, and the ship was not detected); minus
            infinity beyond `TAIL_D2`.
    """

    detection: IntArray
    ship: IntArray
    distance_m: FloatArray
    d2: FloatArray
    sigma_m: FloatArray
    shift_m: FloatArray
    length_ok: NDArray[np.bool_]
    loose: NDArray[np.bool_]
    llr: FloatArray

    @cached_property
    def in_gate(self) -> NDArray[np.bool_]:
        """Pairs that may be matched."""
        return np.asarray((self.d2 <= GATE_D2) & ~self.loose)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.detection)

    def take(self, rows: NDArray[np.generic]) -> Candidates:
        """The pairs named by an index array or a mask."""
        return Candidates(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})


def sphere_m(lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Places on a sphere in metres, shape (n, 3), for neighbour searches: straight distances, true to .5 %."""
    lam, phi = np.radians(lon), np.radians(lat)
    return _EARTH_M * np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def view_rows(view: AcquisitionSample | None, rows: IntArray) -> AcquisitionSample | None:
    """The acquisition of chosen detections."""
    if view is None:
        return None
    count = len(view.incidence_deg)
    columns: dict[str, Any] = {
        column.name: np.asarray(getattr(view, column.name))[rows]
        for column in fields(view)
        if isinstance(getattr(view, column.name), np.ndarray) and getattr(view, column.name).shape == (count,)
    }
    return replace(view, **columns)


def imaged(where: Placement, view: AcquisitionSample | None) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Where placed ships appear in the image, and how unsure the shift makes that.

    Args:
        where: true places, shape (k,).
        view: how the image was taken there, rows alike; None or a NaN incidence for no shift.

    Returns:
        Longitude and latitude in degrees; length of the shift, metres; its covariance, m2, shape (3, k): east,
        east-north, north.
    """
    nothing = np.zeros(len(where.lon))
    if view is None:
        return where.lon, where.lat, nothing, np.zeros((3, len(where.lon)))
    east, north = (np.asarray(part, float) for part in azimuth_shift_m(view, where.east_m_s, where.north_m_s))
    known = np.isfinite(east) & np.isfinite(north) & np.isfinite(view.incidence_deg)
    east, north = np.where(known, east, 0.0), np.where(known, north, 0.0)
    shift = np.hypot(east, north)
    incidence = np.radians(np.where(known, view.incidence_deg, 45.0))
    seconds = np.where(known, view.slant_range_m / view.platform_speed_m_s * np.sin(incidence), 0.0)
    share2 = (
        SHIFT_SIGMA_SHARE**2
        + (np.radians(_known_or_zero(view.incidence_sigma_deg)) / np.tan(incidence)) ** 2
        + _known_or_zero(view.slant_range_sigma_m / view.slant_range_m) ** 2
    )
    variance = share2 * shift**2 + (seconds * SHIFT_SPEED_SIGMA_M_S) ** 2
    look = np.radians(_known_or_zero(view.look_azimuth_deg))  # the shift lies at right angles to the look
    along = np.stack([np.cos(look) ** 2, -np.sin(look) * np.cos(look), np.sin(look) ** 2])
    lon, lat = moved(where.lon, where.lat, east, north)
    return lon, lat, shift, along * variance


def _known_or_zero(value: FloatArray) -> FloatArray:
    return np.where(np.isfinite(value), value, 0.0)


def find_candidates(
    detections: Detections, rows: IntArray, tracks: Tracks, ships: IntArray, view: AcquisitionSample | None
) -> Candidates:
    """All pairs within `GATE_M`.

    Args:
        detections: the objects of one scene.
        rows: which of them to pair, shape (n,).
        tracks: tracks of all stations.
        ships: which segments to pair, shape (m,).
        view: how each detection was imaged, rows aligned with ``detections``; None for no azimuth shift.

    Returns:
        The pairs.
    """
    time_us = detections.time.astype("datetime64[us]").astype(np.int64)
    detection, ship = _near(detections, rows, tracks, ships, time_us, view is not None)
    where = place(tracks, ship, time_us[detection])
    view_here = view_rows(view, detection)
    lon, lat, shift, shift_cov = imaged(where, view_here)
    east, north = offset_m(lon, lat, detections.lon[detection], detections.lat[detection])
    distance = np.hypot(east, north)
    var_e, cov, var_n = _joint_covariance(where, detections, detection, shift_cov)
    det = var_e * var_n - cov**2
    d2 = (var_n * east**2 - 2.0 * cov * east * north + var_e * north**2) / det
    sar = _is_sar(detections, view)[detection]
    ais_length = tracks.length_m[ship]
    low, high = detections.length_low_m[detection], detections.length_high_m[detection]
    length_ok = length_plausible(ais_length, low, high, np.where(sar, LENGTH_FACTOR_SAR, LENGTH_FACTOR_OPTICAL))
    position = -np.log(2 * np.pi) - 0.5 * np.log(det) - (_T_DEGREES / 2 + 1) * np.log1p(d2 / _T_DEGREES)
    llr = (
        position
        + _length_evidence(detections.length_m[detection], ais_length, sar)
        + np.log(DETECTION_PROBABILITY / (1.0 - DETECTION_PROBABILITY))
        - np.log(_unknown_density(detections, rows)[detection])
    )
    pairs = Candidates(
        detection=detection,
        ship=ship,
        distance_m=distance,
        d2=d2,
        sigma_m=np.sqrt((var_e + var_n) / 2.0),
        shift_m=shift,
        length_ok=length_ok,
        loose=np.sqrt((var_e + var_n) / 2.0) > MAX_PLACED_SIGMA_M,
        llr=np.where(d2 <= TAIL_D2, llr, -np.inf),
    )
    return pairs.take(where.placed & (distance <= GATE_M))


def _joint_covariance(
    where: Placement, detections: Detections, detection: IntArray, shift_cov: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """East, east-north and north covariance of track, detection, azimuth shift and the detection's time, m2."""
    late_s2 = np.minimum(np.nan_to_num(detections.time_sigma_s[detection]), _MAX_TIME_SIGMA_S) ** 2
    v_east, v_north = where.east_m_s, where.north_m_s
    return (
        where.var_east_m2 + detections.var_east_m2[detection] + shift_cov[0] + late_s2 * v_east**2,
        where.cov_east_north_m2 + detections.cov_east_north_m2[detection] + shift_cov[1] + late_s2 * v_east * v_north,
        where.var_north_m2 + detections.var_north_m2[detection] + shift_cov[2] + late_s2 * v_north**2,
    )


def _near(
    detections: Detections, rows: IntArray, tracks: Tracks, ships: IntArray, time_us: IntArray, sar: bool
) -> tuple[IntArray, IntArray]:
    """Pairs that may lie within the gate at some instant of the scene, ordered by (detection, ship)."""
    if not len(rows) or not len(ships):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    middle = int((time_us[rows].min() + time_us[rows].max()) // 2)
    half_s = (time_us[rows].max() - time_us[rows].min()) / 2e6
    where = place(tracks, ships, np.full(len(ships), middle))
    speed = np.hypot(where.east_m_s, where.north_m_s)
    reach = 1.02 * (GATE_M + speed * (half_s + (_SHIFT_BOUND_S if sar else 0.0))) + 100.0
    usable = where.placed | (np.abs(where.nearest_s) < 3600.0)
    tree = cKDTree(sphere_m(detections.lon[rows], detections.lat[rows]))
    found = tree.query_ball_point(sphere_m(where.lon, where.lat)[usable], reach[usable])
    ship = np.repeat(ships[usable], [len(near) for near in found])
    detection = rows[np.concatenate([np.asarray(near, np.int64) for near in found])] if len(ship) else ship
    order = np.lexsort((ship, detection))
    return detection[order].astype(np.int64), ship[order].astype(np.int64)


def _is_sar(detections: Detections, view: AcquisitionSample | None) -> NDArray[np.bool_]:
    """True for detections in radar images: only those have a contrast in dB, or an incidence angle."""
    sar = np.isfinite(detections.contrast_db)
    return sar if view is None else np.asarray(sar | np.isfinite(view.incidence_deg))


def _length_evidence(seen_m: FloatArray, ais_m: FloatArray, sar: NDArray[np.bool_]) -> FloatArray:
    """Log of how much better the AIS length explains the seen one than that of any ship; 0 where either is unknown."""
    sigma = np.where(sar, LENGTH_LN_SIGMA_SAR, LENGTH_LN_SIGMA_OPTICAL)
    known = (seen_m > 0) & (ais_m > 0)
    ln_seen, ln_ais = np.log(np.where(known, seen_m, 1.0)), np.log(np.where(known, ais_m, 1.0))
    same = -0.5 * ((ln_seen - ln_ais) / sigma) ** 2 - np.log(sigma)
    other = -0.5 * ((ln_seen - np.log(UNKNOWN_LENGTH_M)) / UNKNOWN_LN_SIGMA) ** 2 - np.log(UNKNOWN_LN_SIGMA)
    right, wrong = np.log(1.0 - WRONG_LENGTH_SHARE) + same - other, np.log(WRONG_LENGTH_SHARE)
    return np.where(known, np.logaddexp(right, wrong), 0.0)


def _unknown_density(detections: Detections, rows: IntArray) -> FloatArray:
    """Objects without AIS per m2 around each detection."""
    density = np.full(len(detections), 1.0)
    if len(rows):
        tree = cKDTree(sphere_m(detections.lon[rows], detections.lat[rows]))
        count = tree.query_ball_point(tree.data, GATE_M, return_length=True)
        density[rows] = UNKNOWN_SHARE * np.asarray(count, float) / (np.pi * GATE_M**2)
    return density
