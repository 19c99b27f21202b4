"""Acquisition geometry for pixels without their annotation: place and time name the track, `imagery.orbit` the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagery.acquisition import AcquisitionSample, Viewing, add_seconds, utc64
from imagery.errors import ImageryError
from imagery.geometry import WGS84_A_M, FloatArray
from imagery.orbit import SOLAR_DAY_S, SPECS, Direction, OrbitSpec, Platform, off_nadir_deg

TimeReference = Literal["centre", "start", "stop", "datatake"]

TRACK_INCIDENCE_SIGMA_DEG = 0.1  # 1 km across track is 0.07 deg; node longitudes scatter by 0.3 km
SWATH_EDGE_SIGMA_DEG = 0.6  # near edges of real products begin 1.2 to 1.8 deg inside the nominal swath
NEAR_INCIDENCE_SIGMA_DEG = 0.2  # the border of a scene with blank corners is not quite its near range
LOOK_SIGMA_DEG = 0.05
HEIGHT_SIGMA_M = 250.0
SWATH_MARGIN_DEG = 1.0  # how far outside the swath's nominal incidences a scene's centre may lie
MIN_NODE_TOLERANCE_S = 60.0  # a tile's stated time need not be that of its centre
MAX_DATATAKE_S = 45.0 * 60.0  # longer than any of either mission (Sentinel-2 images for at most 40 min per orbit)


class LonLatGeometry(Protocol):
    """The part of `imagery.geometry.Geometry` that the model needs."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(height, width) of the scene in pixels."""
        ...

    def lonlat(self, rows: FloatArray, cols: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude in degrees of continuous pixel positions."""
        ...


class _Track(NamedTuple):
    """The pass that took the scene."""

    node_deg: float
    direction: Direction
    incidence_sigma_deg: float  # for want of knowing the track
    side_known: bool
    note: str


@dataclass(frozen=True, kw_only=True, eq=False)
class OrbitModel:
    """Acquisition geometry of a Sentinel-1 or Sentinel-2 scene from its place and time.

    Targets are taken to lie on the ellipsoid (sea level, to some 50 m). The platform stands where the target
    is at right angles to its Earth-fixed velocity: zero Doppler, to which Sentinel-1 products are processed.
    The look direction of a Sentinel-2 scene whose track is unknown is NaN, as either side of the track may
    have seen it.

    Attributes:
        platform: the mission.
        geometry: where the scene's pixels lie.
        time: UTC, aware.
        time_sigma_s: one sigma of ``time``, seconds; where only the date is known, noon and 6.9 h (24 h / sqrt(12)).
        time_refers_to: what ``time`` is the time of: the scene's centre, its first or last seen pixel, or the
            start of the datatake, minutes earlier (the time in Sentinel-2 product names and in some
            catalogues). With "datatake" the scene's own time is that of its relative orbit, which must be
            given.
        direction: of the pass; None infers it.
        relative_orbit: number of the track if known (``sat:relative_orbit`` in STAC); None infers it.
        near_incidence_deg: smallest incidence on the scene's border if known (Sentinel-1); beats the track.
        incidence_range_deg: incidences of the swath's near and far edge; None takes IW (29.1 to 46.0) or MSI.

    Raises:
        ImageryError: arguments that are not possible, or that contradict each other.
    """

    platform: Platform
    geometry: LonLatGeometry
    time: datetime
    time_sigma_s: float = 1.0
    time_refers_to: TimeReference = "centre"
    direction: Direction | None = None
    relative_orbit: int | None = None
    near_incidence_deg: float | None = None
    incidence_range_deg: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse what is not possible, and solve for the pass at once."""
        for name, value, known in (
            ("platform", self.platform, get_args(Platform)),
            ("time_refers_to", self.time_refers_to, get_args(TimeReference)),
            ("direction", self.direction, (None, *get_args(Direction))),
        ):
            if value not in known:
                raise ImageryError(f"orbit model: {name} {value!r} is none of {known}")
        if not 0.0 <= self.time_sigma_s < np.inf:
            raise ImageryError(f"orbit model: time sigma must be finite seconds, got {self.time_sigma_s}")
        if self.relative_orbit is not None and not 1 <= self.relative_orbit <= self._spec.revolutions:
            raise ImageryError(
                f"orbit model: relative orbit {self.relative_orbit} is not 1 to {self._spec.revolutions}"
            )
        if self.time_refers_to == "datatake" and self.relative_orbit is None:
            raise ImageryError("orbit model: a datatake's start dates a scene only with its relative orbit")
        if self.near_incidence_deg is not None and not (self._spec.right_looking and 0 < self.near_incidence_deg < 80):
            raise ImageryError("orbit model: a near incidence is for Sentinel-1, and between 0 and 80 deg")
        if not 0.0 <= self._swath_deg[0] < self._swath_deg[1] < 80.0:
            raise ImageryError(f"orbit model: {self._swath_deg} deg is no range of incidences of a swath")
        if not np.all(np.isfinite(self._centre)):
            raise ImageryError("orbit model: the geometry gives no place for the scene's centre")
        _ = self._reference

    @property
    def source(self) -> str:
        """Says that it is a model, and what was assumed."""
        track = self._track
        text = f"orbit model: {self.platform} {track.direction}, {track.note}; targets at sea level"
        return text + ("" if self._reference[2] == self.time_sigma_s else "; time from the orbit's mean local time")

    def at(self, rows: ArrayLike, cols: ArrayLike) -> AcquisitionSample:
        """The geometry at continuous pixel positions of the scene, which broadcast together."""
        row, col = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        spec, track = self._spec, self._track
        lon, lat = self.geometry.lonlat(row, col)
        lon, lat = (np.where(np.isfinite(lon) & np.isfinite(lat), degrees, np.nan) for degrees in (lon, lat))
        track_s = spec.abeam_s(track.node_deg, lon, lat, self._centre_s)
        seen = spec.seen(track.node_deg, lon, lat, track_s)
        time, time_track_s, time_sigma_s = self._reference
        incidence_sigma_deg = np.hypot(track.incidence_sigma_deg, spec.incidence_sigma_deg)
        range_sigma_m = np.hypot(_range_rate_m(seen) * np.radians(incidence_sigma_deg), 1.5 * HEIGHT_SIGMA_M)
        # Fore and aft of the zero-Doppler plane (Sentinel-2 only) the same error turns the look direction.
        turn_deg = np.degrees(np.arctan2(spec.incidence_sigma_deg, seen.incidence_deg))
        look_sigma_deg = np.hypot(LOOK_SIGMA_DEG, self._per_incidence[1] * track.incidence_sigma_deg)

        def sigma(value: ArrayLike) -> FloatArray:
            return np.where(np.isfinite(track_s), value, np.inf)

        return AcquisitionSample(
            time=add_seconds(time, track_s - time_track_s),
            time_sigma_s=sigma(np.hypot(time_sigma_s, spec.time_sigma_s)),
            incidence_deg=seen.incidence_deg,
            incidence_sigma_deg=sigma(incidence_sigma_deg),
            slant_range_m=seen.slant_range_m,
            slant_range_sigma_m=sigma(range_sigma_m),
            look_azimuth_deg=seen.look_azimuth_deg if track.side_known else np.full(row.shape, np.nan),
            look_azimuth_sigma_deg=sigma(np.hypot(turn_deg, look_sigma_deg) if track.side_known else np.inf),
            heading_deg=seen.heading_deg,
            platform_speed_m_s=seen.platform_speed_m_s,
            source=self.source,
        )

    @property
    def _spec(self) -> OrbitSpec:
        return SPECS[self.platform]

    @property
    def _swath_deg(self) -> tuple[float, float]:
        return self.incidence_range_deg or self._spec.incidence_range_deg

    @property
    def _directions(self) -> tuple[Direction, ...]:
        """Directions that the pass can have; Sentinel-2 images on its descending, sunlit half only."""
        if self.direction is not None:
            return (self.direction,)
        return ("ascending", "descending") if self._spec.right_looking else ("descending",)

    @cached_property
    def _centre(self) -> tuple[float, float]:
        """Longitude and latitude of the scene's centre, degrees."""
        height, width = self.geometry.shape_hw
        lon, lat = self.geometry.lonlat(np.array([(height - 1) / 2]), np.array([(width - 1) / 2]))
        return float(lon[0]), float(lat[0])

    @cached_property
    def _border(self) -> tuple[FloatArray, FloatArray]:
        """Longitudes and latitudes of pixels along the scene's border, those without a place left out."""
        height, width = self.geometry.shape_hw
        row, col = np.meshgrid(np.linspace(0, height - 1, 9), np.linspace(0, width - 1, 9), indexing="ij")
        edge = np.ones((9, 9), bool)
        edge[1:-1, 1:-1] = False
        lon, lat = self.geometry.lonlat(row[edge], col[edge])
        known = np.isfinite(lon) & np.isfinite(lat)
        return (lon[known], lat[known]) if np.any(known) else (np.array(self._centre[:1]), np.array(self._centre[1:]))

    @cached_property
    def _utc_h(self) -> float:
        time = utc64(self.time)
        return float((time - time.astype("datetime64[D]")) / np.timedelta64(1, "h"))

    def _late_s(self, node_deg: float, track_s: float) -> float:
        """Seconds, within half a day, by which the stated time is later than a pass at the mean time of its node."""
        late_h = self._utc_h - track_s / 3600.0 + node_deg / 15.0 - self._spec.node_local_time_h
        return ((late_h + 12.0) % 24.0 - 12.0) * 3600.0

    @cached_property
    def _track(self) -> _Track:
        """The pass: by its number, by the local time of its node, or anywhere in the swath."""
        track = self._numbered() if self.relative_orbit is not None else self._inferred() or self._anywhere()
        if self.near_incidence_deg is None:
            return track
        node_deg = self._node_seeing(track.direction, self.near_incidence_deg, *self._border, share=0.0)
        note = f"smallest incidence {self.near_incidence_deg:g} deg as given"
        return _Track(node_deg, track.direction, NEAR_INCIDENCE_SIGMA_DEG, True, note)

    def _numbered(self) -> _Track:
        """The track of the given relative orbit."""
        passes = self._passes(np.array([self.relative_orbit]))
        where = f"relative orbit {self.relative_orbit}"
        if not passes:
            lon, lat = self._centre
            raise ImageryError(f"orbit model: {self.platform} does not see {lat:.3f} N {lon:.3f} E from {where}")
        miss_s, _, direction, node_deg = passes[0]
        if self.time_refers_to != "datatake" and miss_s > self._spec.tracks_apart_s / 2.0 + 3.0 * self.time_sigma_s:
            raise ImageryError(
                f"orbit model: {self.platform} passes on {where} {miss_s / 60.0:.0f} min from {self.time}; "
                "is that the start of the datatake?"
            )
        return _Track(node_deg, direction, TRACK_INCIDENCE_SIGMA_DEG, True, f"{where} as given")

    def _inferred(self) -> _Track | None:
        """The track whose node's local time fits the scene's time; None where that singles none out."""
        spec = self._spec
        sigma_s = float(np.hypot(self.time_sigma_s, spec.node_time_sigma_s))
        if 3.0 * sigma_s > spec.tracks_apart_s / 2.0:
            return None
        passes = self._passes(np.arange(1, spec.revolutions + 1))
        if not passes or passes[0][0] > max(4.0 * sigma_s, MIN_NODE_TOLERANCE_S):
            return None
        miss_s, number, direction, node_deg = passes[0]
        note = f"relative orbit {number} inferred from place and time (node {miss_s:.0f} s off its mean time)"
        return _Track(node_deg, direction, TRACK_INCIDENCE_SIGMA_DEG, True, note)

    def _passes(self, numbers: NDArray[np.int_]) -> list[tuple[float, int, Direction, float]]:
        """(miss in s, relative orbit, direction, node in deg) of passes that see the centre, best first."""
        spec, (lon, lat), (low, high) = self._spec, self._centre, self._swath_deg
        nodes = spec.node_deg(numbers)
        found: list[tuple[float, int, Direction, float]] = []
        for direction in self._directions:
            guess_s = spec.overhead_s(lat, direction)
            track_s = spec.abeam_s(nodes, lon, lat, guess_s)
            seen = spec.seen(nodes, lon, lat, track_s)
            fits = np.abs(seen.incidence_deg - (low + high) / 2.0) < (high - low) / 2.0 + SWATH_MARGIN_DEG
            # Not a solution on the other half of the orbit, which the other guess finds.
            fits &= np.abs(track_s - guess_s) * spec.rate_rad_s < np.pi / 2.0
            fits &= (np.cos(spec.rate_rad_s * track_s) > 0.0) == (direction == "ascending")
            if spec.right_looking:
                fits &= off_nadir_deg(seen) > 0.0
            for k in np.flatnonzero(fits):
                miss_s = abs(self._late_s(float(nodes[k]), float(track_s[k])))
                found.append((miss_s, int(numbers[k]), direction, float(nodes[k])))
        return sorted(found)

    def _anywhere(self) -> _Track:
        """A track with the scene's centre in the middle of the swath, and a sigma for all other places."""
        low, high = self._swath_deg
        direction = self._directions[0] if len(self._directions) == 1 else self._direction_by_local_time()
        node_deg = self._node_seeing(direction, (low + high) / 2.0, *self._centre)
        free_deg, edge_deg = high - low, 0.0
        if self._spec.right_looking:  # all of the scene lies in the swath: a wide one has little room
            border = self._seen_from(node_deg, direction, *self._border)
            free_deg = max(0.0, free_deg - float(np.ptp(border.incidence_deg)))
            edge_deg = SWATH_EDGE_SIGMA_DEG
            node_deg = self._node_seeing(direction, (low + high) / 2.0, *self._border)
        sigma_deg = float(np.hypot(free_deg / np.sqrt(12.0), edge_deg))
        how = "as given" if self.direction else "inferred from local solar time"
        note = f"direction {how}, place in the swath unknown, taken about {(low + high) / 2:.1f} deg incidence"
        return _Track(node_deg, direction, sigma_deg, self._spec.right_looking, note)

    def _direction_by_local_time(self) -> Direction:
        """Ascending where the local solar time is nearer to that of the ascending node than to 12 h later."""
        if self.time_sigma_s > 3.0 * 3600.0:
            raise ImageryError("orbit model: the time is too vague to tell the direction of the pass; give it")
        after_node_h = (self._utc_h + self._centre[0] / 15.0 - self._spec.node_local_time_h) % 24.0
        return "descending" if 6.0 < after_node_h < 18.0 else "ascending"

    def _seen_from(self, node_deg: float, direction: Direction, lon: ArrayLike, lat: ArrayLike) -> Viewing:
        guess_s = self._spec.overhead_s(self._centre[1], direction)
        return self._spec.seen(node_deg, lon, lat, self._spec.abeam_s(node_deg, lon, lat, guess_s))

    def _node_seeing(
        self, direction: Direction, incidence_deg: float, lon: ArrayLike, lat: ArrayLike, share: float = 0.5
    ) -> float:
        """Node longitude from which the signed incidences of places lie about a given one (secant steps).

        The given one lies ``share`` of the way from the smallest to the largest of them.
        """

        def about_deg(node_deg: float) -> float:
            signed = off_nadir_deg(self._seen_from(node_deg, direction, lon, lat))
            return float((1.0 - share) * np.min(signed) + share * np.max(signed))

        position, _ = self._spec.state(0.0, self._spec.overhead_s(self._centre[1], direction))
        node_deg = self._centre[0] - float(np.degrees(np.arctan2(position[1], position[0])))  # centre at the nadir
        step_deg = 0.01
        for _ in range(30):
            here_deg = about_deg(node_deg)
            slope = (about_deg(node_deg + step_deg) - here_deg) / step_deg
            change_deg = float(np.clip((incidence_deg - here_deg) / slope, -3.0, 3.0))
            node_deg += change_deg
            if abs(change_deg) < 1e-7:
                break
        return node_deg

    @cached_property
    def _centre_s(self) -> float:
        """Seconds after the node at which the scene's centre is abeam."""
        track, (lon, lat) = self._track, self._centre
        return float(self._spec.abeam_s(track.node_deg, lon, lat, self._spec.overhead_s(lat, track.direction)))

    @cached_property
    def _per_incidence(self) -> tuple[float, float]:
        """Change of node longitude and of look direction with incidence at the centre, as the track moves sideways."""
        track, step_deg = self._track, 0.05
        here, beside = (self._seen_from(track.node_deg + d, track.direction, *self._centre) for d in (0.0, step_deg))
        tilt_deg = float(off_nadir_deg(beside) - off_nadir_deg(here))
        turn_deg = float((beside.look_azimuth_deg - here.look_azimuth_deg + 90.0) % 180.0 - 90.0)  # either side
        return step_deg / tilt_deg, turn_deg / tilt_deg

    @cached_property
    def _reference(self) -> tuple[np.datetime64, float, float]:
        """A UTC instant, the same in seconds after the node, and the one sigma of their match, seconds.

        The local time of the node dates the scene where its own time is vaguer, or is that of a datatake.
        """
        spec, track, time = self._spec, self._track, utc64(self.time)
        late_s = self._late_s(track.node_deg, self._centre_s)
        node_sigma_s = self._per_incidence[0] * track.incidence_sigma_deg * SOLAR_DAY_S / 360.0
        orbit_sigma_s = float(np.hypot(spec.node_time_sigma_s, node_sigma_s))
        fits = abs(late_s) < 3.0 * np.hypot(orbit_sigma_s, self.time_sigma_s)
        if self.time_refers_to == "datatake":
            if not -MAX_DATATAKE_S < late_s < spec.tracks_apart_s / 2.0:
                raise ImageryError(
                    f"orbit model: relative orbit {self.relative_orbit} passes {-late_s / 60.0:.0f} min after "
                    f"{self.time}, so no datatake that saw the scene began then"
                )
        elif self.time_sigma_s < orbit_sigma_s or not fits:
            if self.time_refers_to == "centre":
                return time, self._centre_s, self.time_sigma_s
            track_s = spec.abeam_s(track.node_deg, *self._border, self._centre_s)
            edge_s = np.min(track_s) if self.time_refers_to == "start" else np.max(track_s)
            return time, float(edge_s), self.time_sigma_s
        return time - np.timedelta64(round(late_s * 1e6), "us"), self._centre_s, orbit_sigma_s


def _range_rate_m(seen: Viewing) -> FloatArray:
    """Change of slant range per radian of incidence, metres, at one height above a sphere.

    Derivative of R(theta) = sqrt(rs^2 - a^2 sin^2 theta) - a cos theta, written with R itself.
    """
    theta = np.radians(seen.incidence_deg)
    across = WGS84_A_M * np.sin(theta)
    return across * seen.slant_range_m / (seen.slant_range_m + WGS84_A_M * np.cos(theta))
