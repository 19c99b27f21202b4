"""nginx over one folder: with byte ranges, without, rate limited, and asking for a signature.

PYTEST_DONT_REWRITE, since it may be imported before pytest loads it (``pytest_plugins`` of a test module).
"""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.process import HOST, answers, free_port, running

LIMIT_PER_S = 2
TOKENS = ".tokens"  # a folder beside the files: a signature is good while a file of its name lies there

_CONFIG = """
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_processes 1;
{user}
events {{ worker_connections 64; }}
http {{
    types {{ image/tiff tif; }}
    default_type application/octet-stream;
    log_format plain '$server_port $request_method $status $uri $http_range';
    access_log {home}/access.log plain;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    limit_req_zone $server_port zone=few:1m rate={limit}r/s;
    limit_req_status 429;
    root {root};
    server {{ listen {host}:{plain}; }}
    server {{ listen {host}:{no_ranges}; max_ranges 0; }}
    server {{ listen {host}:{limited}; limit_req zone=few; }}
    server {{
        listen {host}:{signed};
        if (!-f {root}/{tokens}/$arg_sig) {{ return 403; }}
    }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """A running nginx.

    Attributes:
        root: the folder that it serves.
        plain, no_ranges, limited, signed: addresses of the folder, without a slash at the end. `no_ranges` sends
            whole files only, `limited` answers two requests a second and 429 to others, `signed` wants ``?sig=NAME``
            with a file NAME in `tokens`.
        access_log: a line per request: port, method, status, path, range.
    """

    root: Path
    plain: str
    no_ranges: str
    limited: str
    signed: str
    tokens: Path
    access_log: Path

    def requests(self, base: str) -> list[list[str]]:
        """[method, status, path, range] of the requests that one address has had."""
        port = base.rpartition(":")[2]
        lines = [line.split(" ", 4) for line in self.access_log.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == port]


def program() -> str | None:
    """Where nginx lies."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@contextmanager
def serving(home: Path):
    """Run nginx over the empty folder ``home / "files"`` until the block ends."""
    root = home / "files"
    (root / TOKENS).mkdir(parents=True)
    ports = {name: free_port() for name in ("plain", "no_ranges", "limited", "signed")}
    config = home / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker could not read a private temporary folder
    config.write_text(
        _CONFIG.format(home=home, root=root, host=HOST, limit=LIMIT_PER_S, tokens=TOKENS, user=user, **ports)
    )
    addresses = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    command = [program(), "-p", home, "-e", home / "error.log", "-c", config]
    with running(command, home / "out.log", ready=answers(addresses["plain"])):
        yield Nginx(root=root, tokens=root / TOKENS, access_log=home / "access.log", **addresses)


@pytest.fixture(scope="session")
def nginx(need, tmp_path_factory):
    """nginx over an empty folder, for the whole session; each test puts its files into a folder of its own."""
    need(program() is not None, "nginx (apt-get install nginx-light)")
    with serving(tmp_path_factory.mktemp("nginx")) as server:
        yield server
