"""Radar images of ships where no ship is: sidelobes beside a bright one, azimuth ambiguities far along its track.

A pulsed radar cannot tell Doppler frequencies apart that differ by its pulse repetition frequency (PRF). What lies
n lambda R PRF / (2 V) fore or aft of a place (R slant range, V the platform's Earth-fixed speed) leaks into it, though
weakened by the antenna's pattern (Freeman 1993, IEEE TGRS 31(3), doi:10.1109/36.225527): 4.3 to 5.9 km for Sentinel-1
IW. In five years of its detections ghosts pile up at just the angles that this gives (Paolo et al. 2024, Nature 625,
doi:10.1038/s41586-023-06825-8, notebook on ambiguities in GlobalFishingWatch/paper-industrial-activity).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtr

from imagery.acquisition import AcquisitionSample, ecef_m
from imagery.geometry import FloatArray, Window, moved, offset_m, pixel_size_m
from imagery.radiometry import linear_intensity
from imagery.scene import Scene
from imagery.sensors import SENTINEL1_IW_GRD
from imagery.surface import SOUGHT, SurfaceMap
from models.hot_pixels import SIDELOBE_RATIO

BoolArray = NDArray[np.bool_]

# Nothing less than this brighter casts an ambiguity that matters: those of Sentinel-1 are 20 dB down at the very least.
AMBIGUITY_RATIO = 100.0
ORDERS = (1, 2, 3)

# Carrier and pulse repetition frequencies of IW1, IW2 and IW3, the same to 1e-3 Hz in the annotations of three products
# of Sentinel-1A and 1B (2021 and 2022; tests/test_ghosts.py reads them). Incidences at which their swaths meet: 36.28
# to 36.58 and 41.66 to 41.84 deg in those; Paolo et al. split at off-nadir angles that come to 36.5 and 41.7 deg.
_WAVELENGTH_M = 299_792_458.0 / 5.405e9
IW_PRF_HZ = np.array([1717.129, 1451.627, 1685.817])
_IW_JOINT_INCIDENCE_DEG = np.array([36.42, 41.73])
_IW_JOINT_SIGMA_DEG = 0.15

# One sigma of where an ambiguity is found against where it should be, per axis: centroids of two spots of a resolution
# cell each, motion of the ship between bursts. Three make the 250 m window that is usual for this test.
_PLACE_SIGMA_M = 80.0
_MOST_SIGMAS = 3.0
# An ambiguity is focused with the range curvature of a wrong Doppler frequency. Seen d along the track from its zero
# Doppler a target is V / V_ground d^2 / (2 R) farther away, so a ghost whose own Doppler frequency is f lies
# V / V_ground d^2 / (2 R) (1 + 2 f / (n PRF)) too far. TOPS steering makes f anything within 2.3 kHz: antenna rates
# 0.98 to 1.59 deg/s, bursts 2.75 s apart (De Zan and Monti Guarnieri 2006, doi:10.1109/TGRS.2006.873853).
_ORBIT_OVER_GROUND_SPEED = 1.11
_TOPS_DOPPLER_HZ = 2300.0

# How far an ambiguity lies below its source. Sidelobes of a uniform aperture of length L, out and back, follow
# (sin x / x)^4, x = pi L n PRF / (2 V), and sin^4 is 3/8 in the mean: 27 to 30, 39 to 42 and 46 to 49 dB for n = 1, 2
# and 3. Errors of the antenna, steering and smear, and a ship's glitter, vary that; ESA states 34 dB for point targets.
_ANTENNA_M = 12.3
_LEVEL_SIGMA_DB = 5.0

# What else the object might be: a real one, of which xView3's validation labels count 384 to a scene of 65,500 km2 and
# the scene itself may show more. The level of a real one below a bright source's is anything within 40 dB.
_REAL_PER_M2 = 0.006e-6
_REAL_LEVEL_SPAN_DB = 40.0
_CROWD_RADIUS_M = 10_000.0

_SIDELOBE_REACH_M = 300.0  # from the edge of the bright hull
_SIDELOBE_SIGMA_DB = 3.0  # peaks of two spots of 4.4 looks, 2 dB each
_SIDELOBE_ARM_M = 45.0  # two resolution cells: half the breadth of the arms of the cross

# Sources on land are sought for the first two orders: the third would take one 60 dB above the sea.
_LAND_ORDERS = (1, 2)
# And only where their places are known this well along the track: a coast has so many bright points that, with the
# place in the swath unknown (some 200 m, and any subswath), one of them fits any weak ship.
_MOST_LAND_SIGMA_M = 2.0 * _PLACE_SIGMA_M
_CELL_PX = 256
_BLOCK_PX = 8
_SEA_PX = 32  # half side of the square around an object whose median is its sea
_LEAST_SEA_PX = 64
_POINT_RATIO = 10.0  # over the median of its cell: an evenly bright field casts an even veil, no spot
_LEAST_SUBSWATH_WEIGHT = 0.05


@dataclass(frozen=True, kw_only=True)
class Echoes:
    """Bright spots of a scene; columns have shape (n,).

    Attributes:
        row, col: scene pixels, which may lie outside the scene.
        extent_m: length of the spot on the ground, metres.
        peak_ratio: largest intensity over the mean of the background around it, linear.
    """

    row: FloatArray
    col: FloatArray
    extent_m: FloatArray
    peak_ratio: FloatArray

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if len({np.shape(getattr(self, f.name)) for f in fields(self)}) != 1 or np.ndim(self.row) != 1:
            raise ValueError("echoes need row, col, extent_m and peak_ratio of one shape (n,)")

    def __len__(self) -> int:
        """Number of spots."""
        return len(self.row)

    def take(self, rows: NDArray[np.int64] | BoolArray) -> Echoes:
        """The spots of a mask or of positions."""
        return Echoes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Ghosts:
    """Which of the objects are ghosts; columns have shape (n,).

    Attributes:
        is_ghost: True = more likely a ghost than not.
        cause: ``sidelobe``, ``azimuth_ambiguity``, or '' where it is no ghost.
        source_row, source_col: the spot that casts it, scene pixels; NaN where it is no ghost.
        p_ghost: probability, 0 to 1; see `ghosts`.
        notes: what could not be judged and why, a sentence each.
    """

    is_ghost: BoolArray
    cause: NDArray[np.str_]
    source_row: FloatArray
    source_col: FloatArray
    p_ghost: FloatArray
    notes: tuple[str, ...] = ()


def ghosts(scene: Scene, found: Echoes, seen: AcquisitionSample, others: Echoes | None = None) -> Ghosts:
    """Judge which objects of a radar scene are images of brighter ones.

    Azimuth ambiguity: an object is a ghost or real, and both come as a density per square metre and decibel. That of
    ghosts at its place and level is the sum over all sources at least `AMBIGUITY_RATIO` brighter, over orders 1 to 3
    and over the subswaths that its incidence allows, of normal densities of the misfits along the track, across it and
    in level. That of real ones is the scene's own (objects within 10 km) plus a mean of many scenes, spread over 40 dB.
    p_ghost is the share of the ghosts: the posterior for two Poisson processes, in which the chance to detect a spot of
    that level cancels out. Misfits of more than 3 sigma do not count.

    Sidelobe: p_ghost is the probability, given how much peaks scatter, that the object is more than 17 dB below an
    object whose hull ends within 300 m, or, off the two arms of its cross (range and azimuth), more than twice that, as
    the response is a product of both. It says what the level allows, not how common real neighbours are.

    Args:
        scene: the scene; in optical ones nothing is a ghost.
        found: its objects.
        seen: how each of them was imaged, (n,). Where slant range, speed or look direction is NaN no ambiguity is
            flagged, and the notes say so.
        others: bright spots that are no candidates, see `land_echoes`; they cast ambiguities only.

    Returns:
        A verdict on each object; the likelier cause where both are possible.
    """
    n = len(found)
    none = _Verdict(np.zeros(n), np.full(n, -1))
    if scene.sensor.kind != "sar" or n == 0:
        return _ghosts(none, none, found, ())
    sources = found if others is None else _concatenated(found, others)
    places = _Places.of(scene, sources)
    flight, look = _directions_rad(seen)
    side = _sidelobes(found, places, flight, look)
    if scene.sensor.name != SENTINEL1_IW_GRD.name:
        note = f"azimuth ambiguities not judged: the pulse repetition frequencies of {scene.sensor.name} are not known"
        return _ghosts(side, none, sources, (note,))
    expected = _expected(seen, ORDERS)
    known = np.isfinite(flight) & expected.known & places.known[:n]
    notes: tuple[str, ...] = ()
    if unknown := int((~known).sum()):
        what = "slant range, incidence, look direction or platform speed"
        notes = (f"azimuth ambiguities not judged for {unknown} of {n} objects: their {what} is not known",)
    vague = known & (expected.sigma_along_m[:, 0] > _MOST_LAND_SIGMA_M).all(axis=1)
    if others is not None and vague.any():
        count, why = f"{vague.sum()} of {n} objects", "their place in the swath is known too roughly"
        notes += (f"ghosts of sources on land and outside the region not judged for {count}: {why}",)
    return _ghosts(side, _ambiguities(found, sources, places, expected, flight, look, known), sources, notes)


def land_echoes(
    scene: Scene, surface: SurfaceMap, found: Echoes, seen: AcquisitionSample, *, sought: Window | None = None
) -> Echoes:
    """Bright points where nothing was sought (on land, outside the region) that could cast an ambiguity on an object.

    Looks only where a source of one of the objects would have to lie: two orders, fore and aft, one subswath or two,
    some 500 m each way. The 256 px cells there are read once each, in order, and only if they hold pixels that were not
    searched, so that open sea costs no reading and the worst case is one more reading of the scene; memory is that of
    one cell. Cells and 8 px blocks begin at the scene's first pixel, so the answer does not depend on how the scene was
    tiled. A source beyond the scene's edge stays unknown.

    Args:
        scene: the scene that the objects were found in, thermal noise included as there.
        surface: what its pixels show.
        found: its objects.
        seen: how each was imaged, (n,).
        sought: pixels that were searched; None = all.

    Returns:
        The largest pixels of their surroundings, in (row, col) order of the cells, with peak_ratio over the sea around
        the objects they may belong to (the band in which it is largest), so that it compares with the objects' own.
        Extent 0. None but for a Sentinel-1 IW scene whose geometry is known, to `_MOST_LAND_SIGMA_M` along the track.
    """
    nothing = Echoes(row=np.empty(0), col=np.empty(0), extent_m=np.empty(0), peak_ratio=np.empty(0))
    if scene.sensor.name != SENTINEL1_IW_GRD.name or len(found) == 0:
        return nothing
    sea: dict[int, FloatArray] = {}
    points = []
    for cell, numbers in _source_cells(scene, found, seen):
        unsought = ~_is_sought(surface, cell, np.ones(cell.shape_hw, bool), sought)
        if not unsought[(cell.intersection(scene.window) or cell).slices_in(cell)].any():
            continue
        for number in numbers:
            if number not in sea:
                sea[number] = _sea_level(scene, surface, sought, found.row[number], found.col[number])
        levels = np.array([sea[number] for number in numbers])
        known, bands = np.isfinite(levels).any(axis=1), np.isfinite(levels).any(axis=0)
        if known.any():
            level = np.full(len(bands), np.nan)
            level[bands] = np.nanmedian(levels[:, bands], axis=0)
            least = AMBIGUITY_RATIO * float(found.peak_ratio[numbers][known].min())
            points.append(_bright_points(scene, cell, unsought, level, least))
    if not points:
        return nothing
    rows, cols, ratio = np.concatenate(points, axis=1)
    return Echoes(row=rows, col=cols, extent_m=np.zeros(len(rows)), peak_ratio=ratio)


def ambiguity_m(seen: AcquisitionSample, order: int = 1) -> FloatArray:
    """Distance between a place and its azimuth ambiguities, for the PRFs of IW1, IW2 and IW3.

    Args:
        seen: how (n,) places are imaged.
        order: 1, 2 or 3.

    Returns:
        (n, 3) metres along the track, to either side; NaN where slant range or speed is.

    Reference: Freeman 1993, lambda R PRF / (2 V). With V the Earth-fixed speed in orbit it holds for a curved, turning
    Earth, as the Doppler rate is 2 V V_ground / (lambda R); the tests solve the range-Doppler equations.
    """
    per_hz = _WAVELENGTH_M * seen.slant_range_m / (2.0 * seen.platform_speed_m_s)
    return np.asarray(order * per_hz[:, None] * IW_PRF_HZ)


def subswath_weights(seen: AcquisitionSample) -> FloatArray:
    """Probability that (n,) places lie in IW1, IW2 and IW3, by their incidence: (n, 3); NaN where that is unknown."""
    sigma = np.hypot(seen.incidence_sigma_deg, _IW_JOINT_SIGMA_DEG)
    beyond = ndtr((seen.incidence_deg[:, None] - _IW_JOINT_INCIDENCE_DEG) / sigma[:, None])
    return np.column_stack([1.0 - beyond[:, 0], beyond[:, 0] - beyond[:, 1], beyond[:, 1]])


class _Verdict(NamedTuple):
    """Probability and likeliest source of each object; source -1 = none."""

    p: FloatArray
    source: NDArray[np.int64]


class _Places(NamedTuple):
    """Where spots lie."""

    lon: FloatArray
    lat: FloatArray
    ecef_m: FloatArray
    known: BoolArray

    @classmethod
    def of(cls, scene: Scene, spots: Echoes) -> _Places:
        lon, lat = scene.geometry.lonlat(spots.row, spots.col)
        known = np.isfinite(lon) & np.isfinite(lat)
        return cls(lon, lat, ecef_m(np.where(known, lon, 0.0), np.where(known, lat, 0.0)), known)

    def from_to(self, start: NDArray[np.int64], end: int) -> tuple[FloatArray, FloatArray]:
        """East and north metres from some places to another one."""
        return offset_m(self.lon[start], self.lat[start], self.lon[end], self.lat[end])


class _Expected(NamedTuple):
    """Ambiguities that (n,) places may be, each (n, orders, subswaths)."""

    along_m: FloatArray  # from the source, fore or aft
    away_m: FloatArray  # from the source, away from the radar
    sigma_along_m: FloatArray
    sigma_away_m: FloatArray
    level_db: FloatArray  # source over ghost
    weight: FloatArray  # of the subswath

    @property
    def known(self) -> BoolArray:
        """(n,) bool: all of it is known of the place."""
        return np.asarray(np.isfinite(np.stack(self)).all(axis=(0, 2, 3)))


def _expected(seen: AcquisitionSample, orders: tuple[int, ...]) -> _Expected:
    along = np.stack([ambiguity_m(seen, order) for order in orders], axis=1)
    doppler_hz = np.array(orders)[:, None] * IW_PRF_HZ
    slant, sine = seen.slant_range_m[:, None, None], np.sin(np.radians(seen.incidence_deg))[:, None, None]
    away = _ORBIT_OVER_GROUND_SPEED * along**2 / (2.0 * slant) / sine
    x = np.pi * _ANTENNA_M * doppler_hz / (2.0 * seen.platform_speed_m_s[:, None, None])
    range_error = np.where(np.isfinite(slant), seen.slant_range_sigma_m[:, None, None], 0.0) / slant
    return _Expected(
        along_m=along,
        away_m=away,
        sigma_along_m=np.hypot(_PLACE_SIGMA_M, along * range_error),
        sigma_away_m=np.hypot(_PLACE_SIGMA_M, away * 2.0 * _TOPS_DOPPLER_HZ / doppler_hz / np.sqrt(3.0)),
        level_db=40.0 * np.log10(x) - 10.0 * np.log10(3.0 / 8.0),
        weight=np.broadcast_to(subswath_weights(seen)[:, None, :], along.shape),
    )


def _directions_rad(seen: AcquisitionSample) -> tuple[FloatArray, FloatArray]:
    """Flight and look direction at the targets, clockwise from north.

    The flight direction there is square to the look direction: the heading is that below the platform, and at 60 N
    meridians turn by some 5 deg from there to a target.
    """
    look = np.radians(seen.look_azimuth_deg)
    right = np.sin(look - np.radians(seen.heading_deg)) > 0.0
    flight = look - np.where(right, np.pi / 2.0, -np.pi / 2.0)
    return np.where(np.isfinite(seen.heading_deg), flight, np.nan), look


def _ambiguities(
    found: Echoes,
    sources: Echoes,
    places: _Places,
    expected: _Expected,
    flight: FloatArray,
    look: FloatArray,
    known: BoolArray,
) -> _Verdict:
    p, source = np.zeros(len(found)), np.full(len(found), -1)
    candidates = np.flatnonzero(known)
    usable = np.flatnonzero(places.known)
    if not len(candidates):
        return _Verdict(p, source)
    tree = cKDTree(places.ecef_m[usable])
    crowd = cKDTree(places.ecef_m[candidates]).query_ball_point(
        places.ecef_m[candidates], _CROWD_RADIUS_M, return_length=True
    )
    for i, near_count in zip(candidates, crowd, strict=True):
        reach = float(expected.along_m[i].max()) + 2.0 * _MOST_SIGMAS * float(expected.sigma_away_m[i].max())
        near = usable[np.sort(np.asarray(tree.query_ball_point(places.ecef_m[i], reach), np.int64))]
        bright = near[sources.peak_ratio[near] >= AMBIGUITY_RATIO * max(float(found.peak_ratio[i]), 1e-12)]
        if not len(bright):
            continue
        east, north = places.from_to(bright, int(i))
        along = east * np.sin(flight[i]) + north * np.cos(flight[i])
        away = east * np.sin(look[i]) + north * np.cos(look[i])
        level_db = 10.0 * np.log10(sources.peak_ratio[bright] / max(float(found.peak_ratio[i]), 1e-12))
        density = _ghost_density(expected, int(i), along, away, level_db, sources.extent_m[bright])
        real = (near_count / (np.pi * _CROWD_RADIUS_M**2) + _REAL_PER_M2) / _REAL_LEVEL_SPAN_DB
        p[i] = density.sum() / (density.sum() + real)
        source[i] = bright[np.argmax(density)]
    return _Verdict(p, source)


def _ghost_density(
    expected: _Expected, i: int, along: FloatArray, away: FloatArray, level_db: FloatArray, extent_m: FloatArray
) -> FloatArray:
    """Ghosts per square metre and decibel that each of m sources casts where object i lies, at its level; (m,).

    The brightest scatterer, which casts the spot, lies anywhere on the source's hull.
    """
    on_hull = extent_m[:, None, None] / 6.0
    sigma_along, sigma_away = np.hypot(expected.sigma_along_m[i], on_hull), np.hypot(expected.sigma_away_m[i], on_hull)
    z_along = (np.abs(along)[:, None, None] - expected.along_m[i]) / sigma_along
    z_away = (away[:, None, None] - expected.away_m[i]) / sigma_away
    z_level = (level_db[:, None, None] - expected.level_db[i]) / _LEVEL_SIGMA_DB
    normal = np.exp(-0.5 * (z_along**2 + z_away**2 + z_level**2)) / (2.0 * np.pi) ** 1.5
    normal /= sigma_along * sigma_away * _LEVEL_SIGMA_DB
    near = (np.abs(z_along) <= _MOST_SIGMAS) & (np.abs(z_away) <= _MOST_SIGMAS)
    return np.asarray(np.where(near, expected.weight[i] * normal, 0.0).sum(axis=(1, 2)))


def _sidelobes(found: Echoes, places: _Places, flight: FloatArray, look: FloatArray) -> _Verdict:
    p, source = np.zeros(len(found)), np.full(len(found), -1)
    usable = np.flatnonzero(places.known[: len(found)])
    if len(usable) < 2:
        return _Verdict(p, source)
    tree = cKDTree(places.ecef_m[usable])
    ratio = np.maximum(found.peak_ratio, 1e-12)
    for bright in usable:
        half = float(found.extent_m[bright]) / 2.0
        near = usable[
            np.sort(np.asarray(tree.query_ball_point(places.ecef_m[bright], _SIDELOBE_REACH_M + half), np.int64))
        ]
        weak = near[ratio[near] < ratio[bright] * np.sqrt(SIDELOBE_RATIO)]
        if not len(weak):
            continue
        east, north = (-value for value in places.from_to(weak, int(bright)))
        along = np.abs(east * np.sin(flight[weak]) + north * np.cos(flight[weak]))
        away = np.abs(east * np.sin(look[weak]) + north * np.cos(look[weak]))
        off_arms = (along > half + _SIDELOBE_ARM_M) & (away > half + _SIDELOBE_ARM_M)  # False where NaN
        needed_db = -10.0 * np.log10(SIDELOBE_RATIO) * np.where(off_arms, 2.0, 1.0)
        below_db = 10.0 * np.log10(ratio[bright] / ratio[weak])
        chance = ndtr((below_db - needed_db) / _SIDELOBE_SIGMA_DB)
        better = chance > p[weak]
        p[weak[better]], source[weak[better]] = chance[better], bright
    return _Verdict(p, source)


def _ghosts(side: _Verdict, ambiguity: _Verdict, sources: Echoes, notes: tuple[str, ...]) -> Ghosts:
    likelier = ambiguity.p > side.p
    p = np.where(likelier, ambiguity.p, side.p)
    source = np.where(likelier, ambiguity.source, side.source)
    is_ghost = p > 0.5
    return Ghosts(
        is_ghost=is_ghost,
        cause=np.where(is_ghost, np.where(likelier, "azimuth_ambiguity", "sidelobe"), ""),
        source_row=np.where(is_ghost, sources.row[source], np.nan),
        source_col=np.where(is_ghost, sources.col[source], np.nan),
        p_ghost=p,
        notes=notes,
    )


def _concatenated(first: Echoes, second: Echoes) -> Echoes:
    names = [f.name for f in fields(Echoes)]
    return Echoes(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


def _source_cells(scene: Scene, found: Echoes, seen: AcquisitionSample) -> Iterator[tuple[Window, list[int]]]:
    """Cells in which sources would lie, in (row, col) order, each with the objects that they would be sources of."""
    wanted: dict[tuple[int, int], set[int]] = {}
    for number, window in _source_windows(scene, found, seen):
        inside = window.intersection(scene.window)
        if inside is None:
            continue
        for row in range(inside.row // _CELL_PX, (inside.row + inside.height - 1) // _CELL_PX + 1):
            for col in range(inside.col // _CELL_PX, (inside.col + inside.width - 1) // _CELL_PX + 1):
                wanted.setdefault((row, col), set()).add(number)
    for row, col in sorted(wanted):
        cell = Window(row=row * _CELL_PX, col=col * _CELL_PX, height=_CELL_PX, width=_CELL_PX)
        yield cell, sorted(wanted[row, col])


def _source_windows(scene: Scene, found: Echoes, seen: AcquisitionSample) -> Iterator[tuple[int, Window]]:
    """(object, window) of every place in which a source of the object would lie, three sigma each way."""
    lon, lat = scene.geometry.lonlat(found.row, found.col)
    flight, look = _directions_rad(seen)
    expected = _expected(seen, _LAND_ORDERS)
    pixel_m = min(pixel_size_m(scene.geometry))
    possible = (expected.weight > _LEAST_SUBSWATH_WEIGHT) & expected.known[:, None, None]
    possible &= (np.isfinite(flight) & np.isfinite(lon) & np.isfinite(lat))[:, None, None]
    possible &= expected.sigma_along_m <= _MOST_LAND_SIGMA_M
    number = np.nonzero(possible)[0]
    sigma = np.maximum(expected.sigma_along_m[possible], expected.sigma_away_m[possible])
    half = np.ceil(_MOST_SIGMAS * sigma / pixel_m).astype(int)
    for sign in (-1.0, 1.0):
        along, away = sign * expected.along_m[possible], -expected.away_m[possible]
        east = along * np.sin(flight[number]) + away * np.sin(look[number])
        north = along * np.cos(flight[number]) + away * np.cos(look[number])
        row, col = scene.geometry.rowcol(*moved(lon[number], lat[number], east, north))
        for i, r, c, h in zip(number.tolist(), row.tolist(), col.tolist(), half.tolist(), strict=True):
            if np.isfinite(r) and np.isfinite(c):
                yield i, Window(row=round(r) - h, col=round(c) - h, height=2 * h + 1, width=2 * h + 1)


def _is_sought(surface: SurfaceMap, window: Window, valid: BoolArray, sought: Window | None) -> BoolArray:
    searched = np.isin(surface.classes(window, valid), SOUGHT)
    if sought is not None:
        inside = np.zeros(window.shape_hw, bool)
        part = sought.intersection(window)
        if part is not None:
            inside[part.slices_in(window)] = True
        searched &= inside
    return np.asarray(searched)


def _sea_level(scene: Scene, surface: SurfaceMap, sought: Window | None, row: float, col: float) -> FloatArray:
    """Median intensity of the searched pixels around an object, per band; NaN where there are too few."""
    side = 2 * _SEA_PX + 1
    window = Window(row=round(row) - _SEA_PX, col=round(col) - _SEA_PX, height=side, width=side)
    pixels = scene.read(window)
    sea = _is_sought(surface, window, pixels.measured, sought)
    out = np.full(len(scene.bands), np.nan)
    for band, intensity in enumerate(linear_intensity(pixels.data, scene.unit)):
        values = intensity[sea & pixels.valid[band]]
        if len(values) >= _LEAST_SEA_PX and (median := float(np.median(values))) > 0.0:
            out[band] = median
    return out


def _bright_points(
    scene: Scene, cell: Window, unsought: BoolArray, sea: FloatArray, least_ratio: float
) -> NDArray[np.float64]:
    """(3, k) row, col and ratio of the brightest pixels of a cell's blocks that are at least so much over the sea."""
    pixels = scene.read(cell)
    usable = np.isfinite(sea)
    data = linear_intensity(pixels.data[usable], scene.unit) / sea[usable, None, None]
    ratio = np.where(pixels.valid[usable] & unsought, data, 0.0).max(axis=0)
    blocks = ratio.reshape(_CELL_PX // _BLOCK_PX, _BLOCK_PX, _CELL_PX // _BLOCK_PX, _BLOCK_PX).swapaxes(1, 2)
    blocks = blocks.reshape(*blocks.shape[:2], -1)
    peak = blocks.max(axis=2)
    seen = ratio[ratio > 0.0]
    usual = float(np.median(seen)) if seen.size else np.inf
    keep = (peak >= max(least_ratio, _POINT_RATIO * usual)) & (peak == ndimage.maximum_filter(peak, size=3))
    block_rows, block_cols = np.nonzero(keep)
    inside = blocks.argmax(axis=2)[keep]
    rows = cell.row + block_rows * _BLOCK_PX + inside // _BLOCK_PX
    cols = cell.col + block_cols * _BLOCK_PX + inside % _BLOCK_PX
    return np.array([rows, cols, peak[keep]], np.float64)
