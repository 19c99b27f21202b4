"""The strict room: real data by OFFING_DATA or skipped with a reason; in CI a skipped real part is a failure."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("OFFING_DATA", ROOT.parent / "shared" / "data"))


def _absent(what: str) -> None:
    message = f"needs {what}"
    if os.environ.get("OFFING_REQUIRE_REAL") == "1":
        pytest.fail(f"{message}, and OFFING_REQUIRE_REAL=1 says that it must be here")
    pytest.skip(message)


@pytest.fixture(scope="session")
def real_data():
    """Gives the path of a file or folder of the real data, or skips."""

    def path(relative: str) -> Path:
        found = DATA / relative
        if not found.exists():
            _absent(f"real data {relative} under OFFING_DATA (default ../shared/data)")
        return found

    return path


@pytest.fixture(scope="session")
def need():
    """Skips, with the reason, a test whose real part is not installed."""

    def check(present: bool, what: str) -> None:
        if not present:
            _absent(what)

    return check
