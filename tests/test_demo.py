"""The demo end to end on a short season, and its arithmetic on a constructed scene."""

import json
from datetime import UTC, datetime

import pytest

from offing import demo
from offing.areas import Period
from offing.demo import Tally, run_demo


def test_rates():
    tally = Tally(big_ships=10, big_ships_found=9, dark_calls=4, dark_calls_right=3)
    assert tally.recall == 0.9
    assert tally.dark_precision == 0.75
    assert Tally().recall != Tally().recall  # nothing to find is no score
    assert demo._sum([tally, tally]).big_ships_found == 18


def test_demo_of_a_short_season(tmp_path, monkeypatch):
    """Seed and dates were used in development; the figures of the demo itself come from others."""
    period = Period(start=datetime(2019, 5, 11, tzinfo=UTC), end=datetime(2019, 5, 14, tzinfo=UTC))
    monkeypatch.setattr(demo, "SEASON", period)
    result = run_demo(4, tmp_path / "run")
    assert result.scenes == 3
    assert result.tally.big_ships > 20
    assert result.tally.recall >= 0.9
    assert result.report.is_file()
    told = json.loads((tmp_path / "run" / "against_truth.json").read_text())
    assert told["recall_big_ships"] == pytest.approx(result.tally.recall)
    assert told["simulated"] is True
    page = result.report.read_text()
    assert "ais_simulated.csv" in page
    assert "Simulated." in page
