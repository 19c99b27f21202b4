"""Arrows go one way, torch loads only when a network runs, and the packages are not shadowed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {"imagery": {"imagery"}, "models": {"imagery", "models"}, "offing": {"imagery", "models", "offing"}}
OURS = set(ALLOWED)


def imports_of(path: Path) -> set[str]:
    tops = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            tops.add(node.module.partition(".")[0])
    return tops


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_arrows_go_one_way(package):
    wrong = {str(p.relative_to(ROOT)): imports_of(p) & OURS - ALLOWED[package] for p in modules(package)}
    assert not {path: tops for path, tops in wrong.items() if tops}


def test_ais_knows_no_pixels():
    for path in modules("offing/ais"):
        text = path.read_text(encoding="utf-8")
        for banned in ("imagery.scene", "imagery.geotiff", "rasterio", "models.detector", "models.cfar"):
            assert f"from {banned}" not in text, path
            assert f"import {banned}" not in text, path


def test_tests_have_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def run_elsewhere(code: str, tmp_path: Path) -> str:
    """Run code in a fresh interpreter from a foreign folder, with only installed packages or the root on its path."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_imports_do_not_load_torch(tmp_path):
    code = (
        "import imagery, models, offing, sys; print(sorted({'torch', 'torchvision', 'sentinelhub'} & set(sys.modules)))"
    )
    assert run_elsewhere(code, tmp_path) == "[]"


def test_help_loads_nothing_heavy(tmp_path):
    code = (
        "import offing.cli, sys; "
        "print(sorted({'torch', 'numpy', 'rasterio', 'geopandas', 'polars', 'numba'} & set(sys.modules)))"
    )
    assert run_elsewhere(code, tmp_path) == "[]"


def test_packages_are_ours(tmp_path):
    code = "import imagery, models, offing; print(imagery.__file__, models.__file__, offing.__file__)"
    for path in run_elsewhere(code, tmp_path).split():
        assert Path(path).resolve().is_relative_to(ROOT)
