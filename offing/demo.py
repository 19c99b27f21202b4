"""The main job on a simulated season whose truth is known, and how well it went."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from imagery.geometry import offset_m
from imagery.simulate import SceneTruth, SimulatedSource
from offing.ais.reader import read_ais, write_marinecadastre
from offing.ais.simulate import AisTruth, Receiver, Reporting, broadcast
from offing.areas import Period, load_area
from offing.results import check_output, write_run
from offing.score import SceneProgress, SceneScore, ScoreSettings, score
from offing.status import DetectionStatus

SEASON = Period(start=datetime(2019, 4, 1, tzinfo=UTC), end=datetime(2019, 7, 1, tzinfo=UTC))
BIG_SHIP_M = 50.0
_ON_SHIP_M = 100.0  # a finding lies on a ship if it is this near to her middle, or within half her length
_RECEIVER_RANGE_M = 45_000.0  # a shore station high enough to hear the whole bay


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Findings against truth, summed over scenes.

    Attributes:
        big_ships: ships of `BIG_SHIP_M` and more that the images show (not under cloud, not outside, not on land).
        big_ships_found: of these, those with a finding on them; hulls of one raft may share one.
        big_ships_one_to_one: of these, those with a finding of their own (Hungarian assignment).
        dark_calls: findings called dark_candidate.
        dark_calls_right: of these, those on a ship that did not report where she was.
        dark_calls_on_honest: wrong ones on a ship that did report.
        dark_calls_on_nothing: wrong ones with no ship there (clutter, structures, cloud).
        dark_big_ships: big ships found that did not report where they were.
        dark_big_ships_called: of these, those with a dark_candidate on them.
    """

    big_ships: int = 0
    big_ships_found: int = 0
    big_ships_one_to_one: int = 0
    dark_calls: int = 0
    dark_calls_right: int = 0
    dark_calls_on_honest: int = 0
    dark_calls_on_nothing: int = 0
    dark_big_ships: int = 0
    dark_big_ships_called: int = 0

    @property
    def recall(self) -> float:
        """Share of big ships found."""
        return self.big_ships_found / self.big_ships if self.big_ships else float("nan")

    @property
    def dark_precision(self) -> float:
        """Share of dark calls that are right."""
        return self.dark_calls_right / self.dark_calls if self.dark_calls else float("nan")


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Attributes:
        seed: the season.
        scenes: number of scenes.
        tally: all scenes; by_sensor: the same per sensor.
        counts: findings by status.
        report: the page.
    """

    seed: int
    scenes: int
    tally: Tally
    by_sensor: dict[str, Tally]
    counts: dict[str, int]
    report: Path

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "simulated": True,
            "seed": self.seed,
            "scenes": self.scenes,
            "recall_big_ships": self.tally.recall,
            "dark_precision": self.tally.dark_precision,
            **asdict(self.tally),
            "by_sensor": {name: asdict(tally) for name, tally in self.by_sensor.items()},
            "counts": self.counts,
            "report": str(self.report),
        }

    def as_text(self) -> str:
        """A few lines for people."""
        lines = [f"Simulated season, seed {self.seed}: {self.scenes} scenes, {sum(self.counts.values())} findings."]
        lines += [f"  {status.replace('_', ' ')}: {n}" for status, n in self.counts.items()]
        lines.append("Against the truth of the simulation:")
        for name, t in {"all scenes": self.tally, **self.by_sensor}.items():
            lines.append(
                f"  {name}: {t.big_ships_found} of {t.big_ships} ships of {BIG_SHIP_M:.0f} m and more found (recall "
                f"{t.recall:.3f}; {t.big_ships_one_to_one} one to one); {t.dark_calls_right} of {t.dark_calls} dark "
                f"calls right (precision {t.dark_precision:.3f})"
            )
        lines.append(f"Report: {self.report}")
        return "\n".join(lines)


def run_demo(seed: int, out: Path, progress: SceneProgress | None = None) -> DemoResult:
    """Simulate a season, score it by the same path as real data, and compare with its truth.

    Args:
        seed: which season.
        out: folder of the run.
        progress: see `offing.score.score`.

    Returns:
        Counts against truth, and the report's path.

    Raises:
        OutputError: if the run cannot be written.
    """
    check_output(out)
    config = load_area("haeju")
    source = SimulatedSource(area=config.area, seed=seed, start=SEASON.start, end=SEASON.end)
    refs = source.search(config.area, SEASON.start, SEASON.end)
    truths = {ref.id: source.truth(ref) for ref in refs}
    vessels = sorted({v.id: v for truth in truths.values() for v in truth.vessels}.values(), key=lambda v: v.id)
    station = source.land.representative_point()
    data, radio = broadcast(
        vessels,
        [ref.time for ref in refs],
        seed=seed,
        receivers=[Receiver(lon=station.x, lat=station.y, range_m=_RECEIVER_RANGE_M)],
    )
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "ais_simulated.csv"
        write_marinecadastre(data, csv)
        ais = read_ais([csv])
        text = csv.read_bytes()
    settings = ScoreSettings(config=config, period=SEASON, source=f"simulated:{seed}", ais=ais)
    scored = score(settings, progress)
    times = {ref.id: np.datetime64(ref.time.replace(tzinfo=None), "us") for ref in refs}
    tallies = {s.scene.id: _compare(s, truths[s.scene.id], radio, times[s.scene.id]) for s in scored.scenes}
    sensors = sorted({s.scene.sensor.name for s in scored.scenes})
    result = DemoResult(
        seed=seed,
        scenes=len(scored.scenes),
        tally=_sum(list(tallies.values())),
        by_sensor={
            name: _sum([tallies[s.scene.id] for s in scored.scenes if s.scene.sensor.name == name]) for name in sensors
        },
        counts=scored.findings["status"].value_counts().sort_index().to_dict(),
        report=out / "report.html",
    )
    truth_json = json.dumps(result.as_dict(), indent=2).encode()
    write_run(scored, out, extra={"ais_simulated.csv": text, "against_truth.json": truth_json})
    return result


def _compare(scored: SceneScore, truth: SceneTruth, radio: AisTruth, time: np.datetime64) -> Tally:
    """One scene's findings against its truth."""
    findings = scored.findings[scored.findings["kind"] == "vessel"]
    distance = _distances_m(findings["lon"].to_numpy(), findings["lat"].to_numpy(), truth)
    on = distance <= np.maximum(_ON_SHIP_M, truth.length_m / 2.0)[np.newaxis, :]
    big = truth.visible & (truth.length_m >= BIG_SHIP_M)
    unreported = _unreported(truth, radio, time)
    dark = (findings["status"] == DetectionStatus.DARK_CANDIDATE.value).to_numpy()
    right = (on & unreported).any(axis=1)
    found = big & on.any(axis=0)
    rows, cols = linear_sum_assignment(np.where(on, distance, 1e6)) if on.size else (np.empty(0, int), np.empty(0, int))
    own = np.zeros(len(big), bool)
    own[cols[on[rows, cols]]] = True
    return Tally(
        big_ships=int(big.sum()),
        big_ships_found=int(found.sum()),
        big_ships_one_to_one=int((big & own).sum()),
        dark_calls=int(dark.sum()),
        dark_calls_right=int((dark & right).sum()),
        dark_calls_on_honest=int((dark & ~right & on.any(axis=1)).sum()),
        dark_calls_on_nothing=int((dark & ~on.any(axis=1)).sum()),
        dark_big_ships=int((found & unreported).sum()),
        dark_big_ships_called=int((found & unreported & on[dark].any(axis=0)).sum()),
    )


def _distances_m(lon: NDArray[np.float64], lat: NDArray[np.float64], truth: SceneTruth) -> NDArray[np.float64]:
    """(findings, vessels) metres from each finding to where the image shows each vessel."""
    east, north = offset_m(lon[:, None], lat[:, None], truth.apparent_lon[None, :], truth.apparent_lat[None, :])
    return np.asarray(np.hypot(east, north))


def _unreported(truth: SceneTruth, radio: AisTruth, time: np.datetime64) -> NDArray[np.bool_]:
    """Vessels that sent no true position at the image's time: silent, or lying about where they are."""
    row = {name: i for i, name in enumerate(radio.vessel_id.tolist())}
    column = int(np.flatnonzero(radio.time == time)[0])
    state = np.array([radio.state[row[v.id], column] for v in truth.vessels])
    lie = np.array([radio.lie[row[v.id]] for v in truth.vessels])
    elsewhere = (state == Reporting.LYING.value) & np.isin(lie, ["offset", "clone"])
    return np.asarray((state == Reporting.SILENT.value) | elsewhere)


def _sum(tallies: list[Tally]) -> Tally:
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(asdict(tally))
    return Tally(**total)
