"""What fetching an area would take, told before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from imagery.fetchers.base import Cost, SceneRef
from offing.areas import AreaConfig, Period, search_bounds
from offing.errors import ConfigError
from offing.sources import is_remote, open_source, public_name, skipped_by

# A free account of the Copernicus Data Space, per month (documentation.dataspace.copernicus.eu, Quotas): 10,000
# processing units and 10,000 requests, 300 requests a minute.
FREE_MONTHLY_UNITS = 10_000.0
_REQUESTS_PER_MIN = 300.0
# Transfer rate that the minutes assume; nobody's line is known in advance.
_ASSUMED_MB_S = 2.5


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """The scenes of one sensor in one month.

    Attributes:
        sensor: its name.
        month: ``YYYY-MM``.
        scenes: how many.
        cost: what fetching them takes; what is already kept is not counted.
    """

    sensor: str
    month: str
    scenes: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What fetching an area takes.

    Attributes:
        area, source: what was asked.
        period: the dates.
        rows: by sensor and month.
        monthly_units: processing units that the account has in a month.
        is_remote: False where everything lies on this machine.
        skipped: a sentence for each scene that the source lists and cannot give.
    """

    area: str
    source: str
    period: Period | None
    rows: tuple[PlanRow, ...]
    monthly_units: float
    is_remote: bool
    skipped: tuple[str, ...] = ()

    @property
    def total(self) -> Cost:
        """All rows together."""
        return sum((row.cost for row in self.rows), start=Cost())

    @property
    def scenes(self) -> int:
        """Scenes in all."""
        return sum(row.scenes for row in self.rows)

    @property
    def quota_share(self) -> float:
        """Share of the month's processing units; above 1 is more than a month has."""
        return self.total.processing_units / self.monthly_units

    @property
    def minutes(self) -> float:
        """Estimated time: the slower of the line (at an assumed rate) and the service's request limit."""
        total = self.total
        return max(total.bytes / 1e6 / _ASSUMED_MB_S / 60.0, total.requests / _REQUESTS_PER_MIN)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        total = self.total
        return {
            "area": self.area,
            "source": self.source,
            "remote": self.is_remote,
            "skipped": list(self.skipped),
            "scenes": self.scenes,
            "rows": [{"sensor": r.sensor, "month": r.month, "scenes": r.scenes, **_numbers(r.cost)} for r in self.rows],
            **_numbers(total),
            "monthly_quota_share": round(self.quota_share, 4),
            "minutes": round(self.minutes, 1),
        }

    def as_text(self) -> str:
        """A table for people."""
        if not self.is_remote:
            lines = [f"{self.area}: {self.scenes} scene(s), all on this machine; nothing to fetch"]
            return "\n".join([*lines, *(f"  {r.month}  {r.sensor}: {r.scenes}" for r in self.rows)])
        head = f"{'month':<8} {'sensor':<22} {'scenes':>6} {'tiles':>6} {'requests':>8} {'MB':>9} {'units':>8}"
        lines = [f"{self.area}, source {self.source}; what is already kept is not counted", head]
        for r in self.rows:
            c = r.cost
            lines.append(
                f"{r.month:<8} {r.sensor:<22} {r.scenes:>6} {c.tiles:>6} {c.requests:>8} {c.bytes / 1e6:>9.0f} "
                f"{c.processing_units:>8.1f}"
            )
        t = self.total
        lines.append(
            f"{'in all':<31} {self.scenes:>6} {t.tiles:>6} {t.requests:>8} {t.bytes / 1e6:>9.0f} "
            f"{t.processing_units:>8.1f}"
        )
        if t.processing_units:
            lines.append(
                f"that is {100 * self.quota_share:.1f} % of {self.monthly_units:,.0f} processing units a month"
            )
        lines += [f"skipped: {text}" for text in self.skipped]
        lines.append(f"about {self.minutes:.0f} minutes at {_ASSUMED_MB_S * 8:.0f} Mbit/s")
        return "\n".join(lines)


def plan(
    config: AreaConfig, period: Period | None, source_text: str, monthly_units: float = FREE_MONTHLY_UNITS
) -> Plan:
    """Tell what fetching an area takes: one search, no pixels.

    Args:
        config: the area.
        period: the dates; a source far away needs them.
        source_text: see `offing.sources.open_source`.
        monthly_units: processing units that the account has in a month.

    Raises:
        ConfigError: if dates are missing or the quota is not positive.
        ImageryError: if the source cannot be searched.
    """
    if not monthly_units > 0:
        raise ConfigError(f"a monthly quota of {monthly_units:g} processing units is none; give a positive number")
    source = open_source(source_text, config.area, period)
    refs = source.search(config.area, *search_bounds(period, needed=is_remote(source)))

    def key(ref: SceneRef) -> tuple[str, str]:
        return f"{ref.time:%Y-%m}", ref.sensor_name

    rows = []
    for (month, sensor), group in groupby(sorted(refs, key=key), key=key):
        mine = list(group)
        costs = (source.cost(ref, config.area) for ref in mine) if is_remote(source) else ()
        rows.append(PlanRow(sensor=sensor, month=month, scenes=len(mine), cost=sum(costs, start=Cost())))
    return Plan(
        area=config.area.name,
        source=public_name(source_text),
        period=period,
        rows=tuple(rows),
        monthly_units=monthly_units,
        is_remote=is_remote(source),
        skipped=skipped_by(source),
    )


def _numbers(cost: Cost) -> dict[str, Any]:
    return {
        "tiles": cost.tiles,
        "requests": cost.requests,
        "bytes": cost.bytes,
        "processing_units": round(cost.processing_units, 2),
    }
