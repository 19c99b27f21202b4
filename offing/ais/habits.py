"""Who sends AIS, and how ships and stations behave: the settings of `offing.ais.simulate`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Lie(StrEnum):
    """What a lying vessel misstates."""

    OFFSET = "offset"
    CLONE = "clone"
    LENGTH = "length"


class TrueTrack(Protocol):
    """Where a vessel is."""

    def at(self, times: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Longitude, latitude, speed in m/s, course and heading in degrees at datetime64 times; NaN if not there."""
        ...


class TrueVessel(Protocol):
    """A vessel as the simulated world has it (`imagery.simulate.fleet.SimulatedVessel`)."""

    @property
    def id(self) -> str: ...  # noqa: D102  # attributes say what they are
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def length_m(self) -> float: ...  # noqa: D102
    @property
    def width_m(self) -> float: ...  # noqa: D102
    @property
    def mmsi(self) -> int: ...  # noqa: D102
    @property
    def imo(self) -> int | None: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def track(self) -> TrueTrack: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A shore station: its place in degrees and how far it hears, metres."""

    lon: float
    lat: float
    range_m: float


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How ships and stations behave. The shares are ours, to make a season with every case in it, not measured ones.

    Attributes:
        window_s: reports are made within so much of each image time.
        silent_share: of ships with AIS, those that never send.
        quiet_share: of the others, those that fall silent for hours around a tenth of the image times.
        quiet_h: shortest and longest such silence, hours.
        lying_share: of ships that send, those that misstate something, all season.
        small_carry_share: of ships under 15 m, those with AIS.
        loss_share: of messages within range, those not received.
        thin_s: of the messages received in such a span the first is kept.
        position_sigma_m: GPS noise per axis (design note, section 3).
        velocity_sigma_m_s: noise of speed over ground per axis.
        heading_sigma_deg: noise of a gyro compass.
        time_sigma_s: error of a report's time.
        offset_m: least and greatest shift of a false place.
    """

    window_s: float = 3600.0
    silent_share: float = 0.06
    quiet_share: float = 0.3
    quiet_h: tuple[float, float] = (2.0, 12.0)
    lying_share: float = 0.06
    small_carry_share: float = 0.1
    loss_share: float = 0.2
    thin_s: float = 60.0
    position_sigma_m: float = 10.0
    velocity_sigma_m_s: float = 0.05
    heading_sigma_deg: float = 1.0
    time_sigma_s: float = 0.5
    offset_m: tuple[float, float] = (5000.0, 50_000.0)
