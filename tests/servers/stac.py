"""STAC APIs over loopback: rustac in memory, and stac-fastapi-pgstac on a PostgreSQL of its own.

PYTEST_DONT_REWRITE, since it may be imported before pytest loads it (``pytest_plugins`` of a test module).
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import HOST, answers, as_user, free_port, running

Start = Callable[[Sequence[dict[str, Any]], Sequence[dict[str, Any]]], str]
_TEMPLATE = "pgstac_empty"


@pytest.fixture(scope="session")
def rustac(need, tmp_path_factory):
    """A function (items, collections) -> address of a rustac that serves them until the session ends."""
    program = Path(sys.executable).parent / "rustac"
    need(program.is_file(), "rustac (pip install rustac)")
    with contextlib.ExitStack() as servers:

        def start(items, collections):
            home = tmp_path_factory.mktemp("rustac")
            files = [_written(home / f"{each['id']}.json", each) for each in collections]
            if items:
                files.append(_written(home / "items.json", {"type": "FeatureCollection", "features": list(items)}))
            port = free_port()
            command = [program, "serve", "--addr", f"{HOST}:{port}", *files]
            url = f"http://{HOST}:{port}"
            servers.enter_context(running(command, home / "out.log", ready=answers(url)))
            return url

        yield start


@pytest.fixture(scope="session")
def pgstac(need, tmp_path_factory):
    """A function (items, collections) -> address of a stac-fastapi-pgstac that serves them until the session ends."""
    need(_bin() is not None, "PostgreSQL (apt-get install postgresql)")
    need(bool(list(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))), "PostGIS for PostgreSQL")
    need(find_spec("stac_fastapi") is not None and find_spec("pypgstac") is not None, "stac-fastapi-pgstac, pypgstac")
    with contextlib.ExitStack() as servers:
        cluster = servers.enter_context(_postgres())
        cluster.pypgstac(_TEMPLATE, "migrate")

        def start(items, collections):
            home = tmp_path_factory.mktemp("pgstac")
            database = f"{home.name}".replace("-", "_")
            cluster.create(database, template=_TEMPLATE)
            for table, rows in (("collections", collections), ("items", items)):
                if rows:
                    lines = home / f"{table}.ndjson"
                    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
                    cluster.pypgstac(database, "load", table, lines)
            port = free_port()
            command = [
                *(sys.executable, "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app"),
                *("--host", HOST, "--port", port),
            ]
            url = f"http://{HOST}:{port}"
            env = {**cluster.env(database), "DB_MAX_CONN_SIZE": "2"}
            log = home / "out.log"
            servers.enter_context(running(command, log, ready=answers(f"{url}/_mgmt/ping"), env=env, cwd=home))
            return url

        yield start


@pytest.fixture(scope="session", params=["rustac", "pgstac"])
def stac_api(request) -> Start:
    """Both, one after the other."""
    return request.getfixturevalue(request.param)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running PostgreSQL that trusts whoever connects over loopback."""

    bin: Path
    port: int

    def env(self, database: str) -> dict[str, str]:
        """Environment that leads clients to one of its databases."""
        return {
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": "none",
            "PGDATABASE": database,
        }

    def create(self, database: str, template: str = "template1") -> None:
        """A new database, a copy of another one."""
        sql = f'CREATE DATABASE "{database}" TEMPLATE "{template}"'
        _run([self.bin / "psql", "-q", "-c", sql], env=self.env("postgres"))

    def pypgstac(self, database: str, *arguments) -> None:
        """Run pypgstac on a database."""
        _run([Path(sys.executable).parent / "pypgstac", *arguments], env=self.env(database))


@contextlib.contextmanager
def _postgres():
    """A fresh cluster in a temporary folder; as root it runs as the user postgres, since it refuses root."""
    folder = Path(tempfile.mkdtemp(prefix="offing-pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user, user)
    bin_folder = _bin()
    assert bin_folder is not None
    cluster = Cluster(bin=bin_folder, port=free_port())
    data = folder / "data"
    try:
        initdb = [bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        _run(initdb, cwd=folder, user=user)
        settings = {
            "listen_addresses": HOST,
            "port": cluster.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 50,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        ready = [bin_folder / "pg_isready", "-q", "-h", HOST, "-p", str(cluster.port)]
        with running(
            [bin_folder / "postgres", "-D", data, *options],
            folder / "out.log",
            ready=lambda: subprocess.run(ready, check=False).returncode == 0,
            cwd=folder,
            user=user,
        ):
            cluster.create(_TEMPLATE)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bin() -> Path | None:
    """The folder of PostgreSQL's programs."""
    found = [Path(name).resolve() for name in [shutil.which("initdb")] if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return next((file.parent for file in found if (file.parent / "pg_isready").is_file()), None)


def _run(command, *, env=None, cwd=None, user=None) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        check=False,
        **as_user(user),
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")


def _written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path
