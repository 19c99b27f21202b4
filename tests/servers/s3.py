"""moto's S3 server: a bucket over loopback HTTP.

PYTEST_DONT_REWRITE, since it may be imported before pytest loads it (``pytest_plugins`` of a test module).
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from tests.servers.process import HOST, answers, free_port, running


@dataclass(frozen=True, kw_only=True)
class S3:
    """A running S3 server.

    Attributes:
        endpoint: its address, with http.
        bucket: a bucket that is there.
    """

    endpoint: str
    bucket: str

    def put(self, key: str, file: Path, *, public: bool = False) -> str:
        """Store a file, readable with any key, or also without; gives its s3:// address."""
        headers = {"x-amz-acl": "public-read"} if public else {}
        url = f"{self.endpoint}/{self.bucket}/{key}"
        answer = requests.put(url, data=file.read_bytes(), headers=headers, timeout=30.0)
        answer.raise_for_status()
        return f"s3://{self.bucket}/{key}"


@pytest.fixture(scope="session")
def s3(need, tmp_path_factory):
    """moto's S3 with an empty bucket, for the whole session."""
    need(find_spec("moto") is not None, "moto (pip install 'moto[server]')")
    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", port]
    with running(command, tmp_path_factory.mktemp("s3") / "moto.log", ready=answers(endpoint)):
        requests.put(f"{endpoint}/eodata", timeout=30.0).raise_for_status()
        yield S3(endpoint=endpoint, bucket="eodata")
