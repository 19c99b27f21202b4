"""The strict room: real data by OFFING_DATA or skipped with a reason; in CI a skipped real part is a failure."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("OFFING_DATA", ROOT.parent / "shared" / "data"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where every real part is required, as in CI, a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("OFFING_REQUIRE_REAL") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which OFFING_REQUIRE_REAL=1 forbids: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def real_data():
    """Gives the path of a file or folder of the real data, or skips."""

    def path(relative: str) -> Path:
        found = DATA / relative
        if not found.exists():
            pytest.skip(f"needs real data {relative} under OFFING_DATA (default ../shared/data)")
        return found

    return path


@pytest.fixture(scope="session")
def need():
    """Skips, with the reason, a test whose real part is not installed."""

    def check(present: bool, what: str) -> None:
        if not present:
            pytest.skip(f"needs {what}")

    return check
