"""What a run found, in a few lines or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offing.results import manifest
from offing.score import Score


def as_dict(score: Score, report: Path) -> dict[str, Any]:
    """The run's manifest and the path of its report."""
    return {**manifest(score), "report": str(report)}


def as_text(score: Score, report: Path) -> str:
    """A few lines for people."""
    facts = manifest(score)
    water = sum(s["water_km2"] for s in (*facts["scenes"], *facts["missed_scenes"]))
    observed = sum(s["observed_km2"] for s in facts["scenes"])
    share = f"{100 * observed / water:.0f} %" if water else "none"
    lines = [
        f"{facts['area']}: {len(score.findings)} findings in {len(score.scenes)} scene(s); "
        f"{share} of the water observed" + (f"; {len(score.missed)} scene(s) could not be had" if score.missed else "")
    ]
    lines += [f"  {status.replace('_', ' ')}: {n}" for status, n in facts["counts"].items()]
    lines += [f"note: {note}" for note in facts["notes"]]
    lines.append(f"report: {report}")
    return "\n".join(lines)
