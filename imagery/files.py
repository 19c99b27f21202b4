"""Files that are whole or absent, and their checksums."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file as a whole or not at all.

    Args:
        path: the file that shall exist afterwards.

    Yields:
        A path in the same folder to write to, of a hidden file that begins with ``.NAME.``; on success it is flushed to
        disk and renamed to ``path``, and the folder is flushed, so that it lasts through a power cut; on any exception
        it is removed.

    Raises:
        OSError: as the system reports it, when the folder cannot be written to or is full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{path.suffix}")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))  # the kernel applies the umask
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
