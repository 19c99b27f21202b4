"""Locks between processes that end with the process, however it ends (POSIX ``flock``).

A lock file may be removed by whoever holds it alone; therefore a lock counts only while its file is still in place.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Lease:
    """A share in a folder: while it lives, nobody holds the folder alone.

    It ends with `close`, with the object, or with the process.
    """

    def __init__(self, lock_file: Path, tidy: Callable[[], None] | None = None) -> None:
        """Wait for a share.

        Args:
            lock_file: the folder's lock file; made, with its folder, where it is missing.
            tidy: called first where nobody else has a share.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._lock_file = lock_file
        if tidy is not None:
            with alone_at_once(lock_file) as free:
                if free:
                    tidy()
        handle = _locked(lock_file, fcntl.LOCK_SH)
        assert handle is not None  # it waited
        self._close = weakref.finalize(self, os.close, handle)

    def close(self) -> None:
        """Give the share back."""
        self._close()

    def __reduce__(self) -> tuple[type[Lease], tuple[Path]]:
        return Lease, (self._lock_file,)  # another process takes a share of its own


@contextmanager
def alone(lock_file: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, holds the lock; its file is removed afterwards.

    Raises:
        OSError: the folder cannot be written to.
    """
    handle = _locked(lock_file, fcntl.LOCK_EX)
    assert handle is not None  # it waited
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def alone_at_once(lock_file: Path) -> Iterator[bool]:
    """Hold a folder alone if nobody has a share in it; gives False, without waiting, where somebody has."""
    handle = _locked(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _locked(lock_file: Path, operation: int) -> int | None:
    """Handle of a locked file that is in place; None where it would have to wait and must not."""
    while True:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(lock_file, os.O_CREAT | os.O_RDWR, 0o666)
        except FileNotFoundError:  # the folder was removed this very moment
            continue
        try:
            fcntl.flock(handle, operation)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        if _in_place(handle, lock_file):
            return handle
        os.close(handle)


def _in_place(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
