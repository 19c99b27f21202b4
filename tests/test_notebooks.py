"""Notebooks run from top to bottom as plain scripts."""

import runpy
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_notebook(path, monkeypatch):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    names = runpy.run_path(str(path))
    assert len(names["table"]) > 10
    plt.close("all")
