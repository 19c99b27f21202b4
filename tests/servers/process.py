"""A server process that a test starts on a free loopback port, waits for, and stops."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import requests

HOST = "127.0.0.1"
_STOP_S = 10.0


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command, log: Path, *, ready, deadline_s: float = 60.0, env=None, cwd=None, user=None):
    """Run a server until the block ends.

    Args:
        command: program and arguments.
        log: file that gets what it prints.
        ready: called with nothing until it gives something true.
        deadline_s: how long it may take to start.
        env: more environment.
        cwd: its working folder.
        user: who runs it; None for whoever runs the tests.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            **as_user(user),
        )
    try:
        give_up = time.monotonic() + deadline_s
        while not ready():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


def as_user(name: str | None) -> dict[str, object]:
    """What `subprocess` needs to run something as another user, which only root can."""
    return {"user": name, "group": name, "extra_groups": ()} if name else {}


def answers(url: str):
    """A `ready` that asks an address once; any answer but a server error will do."""

    def ask() -> bool:
        try:
            return requests.get(url, timeout=2.0).status_code < 500
        except (requests.ConnectionError, requests.Timeout):
            return False

    return ask
