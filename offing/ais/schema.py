"""The one table of AIS reports that everything else works on, whatever file it came from.

One row is one position report. Static data (name, size) stand in the same row, as far as the source gave them.
Codes that mean 'not available' (latitude 91, longitude 181, speed 102.3, course 360, heading 511, IMO 0, sizes 0)
never enter: they are null. Reference: ITU-R M.1371-5, annex 8, tables 45 to 48.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table.

    Attributes:
        name: its name, with the unit at the end.
        dtype: its Polars type.
        nullable: False where a report without it is dropped by every reader.
        meaning: what stands in it.
    """

    name: str
    dtype: pl.DataType
    nullable: bool = True
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column(name="mmsi", dtype=pl.UInt32(), nullable=False, meaning="identifier as sent, valid or not"),
    Column(name="t", dtype=pl.Datetime("us", "UTC"), nullable=False, meaning="time of the position, UTC"),
    Column(name="lat", dtype=pl.Float64(), nullable=False, meaning="degrees north, WGS 84, of the AIS antenna"),
    Column(name="lon", dtype=pl.Float64(), nullable=False, meaning="degrees east, WGS 84, of the AIS antenna"),
    Column(name="sog_kn", dtype=pl.Float64(), meaning="speed over ground, knots"),
    Column(name="cog_deg", dtype=pl.Float64(), meaning="course over ground, degrees, like the heading"),
    Column(
        name="heading_deg", dtype=pl.Float64(), meaning="where the bow points, degrees clockwise from north, [0, 360)"
    ),
    Column(name="nav_status", dtype=pl.UInt8(), meaning="navigational status 0..14 (M.1371-5 table 45); 15 is null"),
    Column(name="ais_class", dtype=pl.String(), meaning="'A' or 'B'"),
    Column(name="imo", dtype=pl.UInt32(), meaning="IMO number as sent, check digit not tested"),
    Column(name="name", dtype=pl.String(), meaning="ship's name"),
    Column(name="callsign", dtype=pl.String(), meaning="radio call sign"),
    Column(name="ship_type", dtype=pl.UInt16(), meaning="type of ship and cargo (M.1371-5 table 53)"),
    Column(name="bow_m", dtype=pl.Float64(), meaning="A: antenna to bow, metres"),
    Column(name="stern_m", dtype=pl.Float64(), meaning="B: antenna to stern, metres"),
    Column(name="port_m", dtype=pl.Float64(), meaning="C: antenna to port side, metres"),
    Column(name="starboard_m", dtype=pl.Float64(), meaning="D: antenna to starboard side, metres"),
    Column(name="length_m", dtype=pl.Float64(), meaning="length over all, metres (A + B where those are known)"),
    Column(name="width_m", dtype=pl.Float64(), meaning="beam, metres (C + D where those are known)"),
    Column(name="draught_m", dtype=pl.Float64(), meaning="draught, metres"),
    Column(name="source", dtype=pl.String(), nullable=False, meaning="file or service it came from"),
)

SCHEMA: dict[str, pl.DataType] = {column.name: column.dtype for column in COLUMNS}

# The same report heard by two stations, or written twice (offing's AIS design note, section 2).
DUPLICATE_KEY = ("mmsi", "t", "lat", "lon", "sog_kn", "cog_deg")


@dataclass(frozen=True, kw_only=True)
class AisData:
    """AIS reports in the table of `COLUMNS`, with an account of what was left out on the way.

    Attributes:
        reports: the table, sorted by (mmsi, t).
        dropped: number of rows of the source that are not in the table, by reason.
        notes: plain sentences about what was repaired or is missing, one per finding.
        sources: files or services that were read, also those that held no report.
    """

    reports: pl.DataFrame
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse another table; sort it."""
        if dict(self.reports.schema) != SCHEMA:
            got = ", ".join(f"{name} {dtype}" for name, dtype in self.reports.schema.items())
            raise ValueError(f"an AIS table has the columns of offing.ais.schema.COLUMNS in order; got {got}")
        for column in COLUMNS:
            if not column.nullable and self.reports[column.name].null_count():
                raise ValueError(f"column {column.name} must not hold nulls")
        ordered = self.reports.sort("mmsi", "t", "lon", "lat", "sog_kn", "cog_deg", "source", maintain_order=True)
        object.__setattr__(self, "reports", ordered)

    def __len__(self) -> int:
        """Number of reports."""
        return self.reports.height

    @property
    def vessel_count(self) -> int:
        """Number of different MMSIs."""
        return self.reports["mmsi"].n_unique()

    @classmethod
    def empty(cls, source: str = "") -> AisData:
        """No reports: 'we looked and nothing was there', which differs from having no AIS at all."""
        return cls(reports=pl.DataFrame(schema=SCHEMA), sources=(source,) if source else ())

    @classmethod
    def concatenate(cls, parts: Iterable[AisData]) -> AisData:
        """All reports of all parts; a report in two of them is kept once and counted as a duplicate."""
        parts = list(parts)
        if not parts:
            return cls.empty()
        dropped: dict[str, int] = {}
        for part in parts:
            for reason, count in part.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        joined = pl.concat([part.reports for part in parts])
        unique = joined.unique(subset=list(DUPLICATE_KEY), keep="first", maintain_order=True)
        if joined.height > unique.height:
            dropped["duplicate"] = dropped.get("duplicate", 0) + joined.height - unique.height
        return cls(
            reports=unique,
            dropped=dropped,
            notes=tuple(note for part in parts for note in part.notes),
            sources=tuple(source for part in parts for source in part.sources),
        )

    def between(self, start: datetime, end: datetime) -> AisData:
        """The reports with start <= t <= end (aware UTC); the account of what was dropped stays that of the whole."""
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("times must be aware, in UTC")
        return AisData(
            reports=self.reports.filter(pl.col("t").is_between(start, end)),
            dropped=self.dropped,
            notes=self.notes,
            sources=self.sources,
        )
