"""One self-contained HTML page of a run: pictures, findings coloured by status, what could not be seen."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from offing.status import DETECTION_STATUS_MEANING, WATER_STATE_MEANING, DetectionStatus

if TYPE_CHECKING:
    from offing.score import SceneScore, Score

# Okabe and Ito's colours (jfly.uni-koeln.de/color), told apart by people with colour-blindness; shapes differ too.
_LOOK = {
    DetectionStatus.MATCHED: ("#0072b2", "circle"),
    DetectionStatus.MATCHED_IDENTITY_DOUBTFUL: ("#cc79a7", "diamond"),
    DetectionStatus.AMBIGUOUS: ("#f0e442", "square"),
    DetectionStatus.DARK_CANDIDATE: ("#d55e00", "triangle"),
    DetectionStatus.NO_COVERAGE: ("#56b4e9", "square"),
    DetectionStatus.NOT_SEARCHED: ("#e69f00", "circle"),
    DetectionStatus.FIXED_STRUCTURE: ("#999999", "cross"),
}


_READING_ORDER = (
    DetectionStatus.DARK_CANDIDATE,
    DetectionStatus.MATCHED_IDENTITY_DOUBTFUL,
    DetectionStatus.NO_COVERAGE,
    DetectionStatus.NOT_SEARCHED,
    DetectionStatus.AMBIGUOUS,
    DetectionStatus.MATCHED,
    DetectionStatus.FIXED_STRUCTURE,
)


_MOST_FILES = 12  # run.json lists them all


@dataclass(frozen=True, kw_only=True)
class _Marker:
    """A finding on a picture, in per cent of its width and height."""

    number: int
    x: float
    y: float
    status: str
    color: str
    shape: str


def render_report(score: Score) -> str:
    """The page as HTML text; it asks nothing of any host.

    Args:
        score: the run.

    Returns:
        HTML, with every text from outside (ship names, file names) escaped.
    """
    environment = Environment(loader=PackageLoader("offing"), autoescape=True, undefined=StrictUndefined)
    findings = _in_reading_order(score.findings)
    counts = findings["status"].value_counts()
    settings = score.settings
    return environment.get_template("report.html").render(
        area=settings.config.area,
        title=settings.config.title or settings.config.area.name,
        period=(settings.period.start, settings.period.end - timedelta(days=1)) if settings.period else None,
        simulated=settings.source.startswith("simulated"),
        source=settings.source.partition(":")[0],
        ais_sources=settings.ais.sources if settings.ais is not None else (),
        counts=[(s.value, int(counts.get(s.value, 0)), *_LOOK[s], DETECTION_STATUS_MEANING[s]) for s in _READING_ORDER],
        water_meaning=[(state.value, text) for state, text in WATER_STATE_MEANING.items()],
        scenes=[_scene(scored, findings) for scored in score.scenes],
        missed=[(f"{m.ref.time:%Y-%m-%d %H:%M:%S} UTC", m.ref.sensor_name, m.ref.id, m.why) for m in score.missed],
        rows=[_row(number, row) for number, row in enumerate(findings.itertuples(), start=1)],
        notes=score.notes,
        attributions=score.attributions,
    )


def _in_reading_order(findings: Any) -> Any:
    """What asks for a person first: by status, then the surest first, then by id."""
    rank = {status.value: i for i, status in enumerate(_READING_ORDER)}
    keyed = findings.assign(_rank=findings["status"].map(rank), _doubt=-findings["probability"])
    return keyed.sort_values(["_rank", "_doubt", "id"]).drop(columns=["_rank", "_doubt"]).reset_index(drop=True)


def _scene(scored: SceneScore, findings: Any) -> dict[str, Any]:
    scene, picture = scored.scene, scored.picture
    height, width = picture.window.height, picture.window.width
    mine = findings[findings["scene_id"] == scene.id]
    markers = [
        _Marker(
            number=int(i) + 1,
            x=100.0 * (row.col + 0.5 - picture.window.col) / width,
            y=100.0 * (row.row + 0.5 - picture.window.row) / height,
            status=row.status,
            color=_LOOK[DetectionStatus(row.status)][0],
            shape=_LOOK[DetectionStatus(row.status)][1],
        )
        for i, row in zip(mine.index, mine.itertuples(), strict=True)
    ]
    water, observed = float(scored.tiles["water_km2"].sum()), float(scored.tiles["observed_km2"].sum())
    unseen = scored.tiles[~scored.tiles["reason"].isin(["", "land"])]
    return {
        "id": scene.id,
        "sensor": scene.sensor.name,
        "time": f"{scene.time:%Y-%m-%d %H:%M:%S} UTC" if scene.time else "time unknown",
        "image": base64.b64encode(picture.jpeg).decode("ascii"),
        "shape_hw": picture.shape_hw,
        "stretch": picture.stretch,
        "markers": markers,
        "water_km2": water,
        "observed_km2": observed,
        "observed_share": observed / water if water else 0.0,
        "unseen_reasons": sorted(set(unseen["reason"])),
        "ais_unseen": int((scored.ais_vessels["state"] == "unseen").sum()),
        "ais_unplaced": int((scored.ais_vessels["state"] == "unplaced").sum()),
        "notes": scored.notes,
        "files": list(scene.provenance.ids[:_MOST_FILES]),
        "more_files": max(0, len(scene.provenance.ids) - _MOST_FILES),
    }


def _row(number: int, row: Any) -> dict[str, Any]:
    """A line of the table, every number rounded to what it is worth."""
    return {
        "number": number,
        "scene": row.scene_id,
        "time": f"{row.time:%Y-%m-%d %H:%M:%S}" if row.time == row.time else "unknown",
        "place": f"{row.lat:.5f}, {row.lon:.5f}",
        "status": row.status,
        "color": _LOOK[DetectionStatus(row.status)][0],
        "probability": f"{row.probability:.2f}",
        "calibrated": row.probability_calibrated,
        "length": f"{row.length_m:.0f} ({row.length_low_m:.0f}–{row.length_high_m:.0f})",
        "surface": row.surface,
        "shore": f"{row.shore_distance_m:.0f}" if np.isfinite(row.shore_distance_m) else "unknown",
        "ais": f"{row.ais_name or '(no name)'}, MMSI {row.mmsi}, {row.ais_distance_m:.0f} m" if row.mmsi else "",
        "why": row.why,
    }
