"""Keeping a tile store below its size: what was used longest ago goes first, what a process uses stays."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imagery.fetchers.cache.locks import alone, alone_at_once

_log = logging.getLogger(__name__)

SCENE_LOCK = ".lock"
HEADER_PREFIX = "header-"
_SCENE = re.compile(r".+-[0-9a-f]{16}")
_TILE = re.compile(r"([0-9a-f]{64})\.")
_UNFINISHED = re.compile(rf"\.({HEADER_PREFIX})?[0-9a-f]{{64}}\.")  # and the locks of tiles
_TOTAL = ".total"  # bytes in the store as last reckoned; where it errs, it errs upwards, and is then counted anew
_told: set[Path] = set()


@dataclass(frozen=True, kw_only=True, order=True)
class _Item:
    """Files of a scene that are removed together; none where only its folder is left."""

    used_ns: int
    scene: Path
    paths: tuple[Path, ...]


@contextmanager
def room(folder: Path, limit_bytes: int, size: int) -> Iterator[None]:
    """Hold the store alone, with so much room made, while files are written to it.

    Args:
        folder: the store's folder.
        limit_bytes: size of all its files together.
        size: bytes about to be written.

    Raises:
        OSError: the folder cannot be written to.
    """
    with alone(folder / ".room.lock"):
        total = _noted_total(folder)
        if total is None or total + size > limit_bytes:
            total = _evict(folder, limit_bytes - size)
            if total + size > limit_bytes and folder not in _told:
                _told.add(folder)
                _log.warning(
                    "the cache %s grows beyond its limit of %.3g GB, since all that is in it is being used; set "
                    "OFFING_CACHE_GB higher, or fetch a smaller area",
                    folder,
                    limit_bytes / 1e9,
                )
        (folder / _TOTAL).write_text(str(total + size))
        yield


def remove_leftovers(scene: Path) -> None:
    """Remove what killed processes left in a scene's folder, which the caller must hold alone."""
    names = {entry.name for entry in os.scandir(scene)}
    for name in sorted(names):
        tile = _TILE.match(name)
        orphan = tile is not None and f"{tile[1]}.json" not in names
        if orphan or _UNFINISHED.match(name):
            (scene / name).unlink(missing_ok=True)


def _noted_total(folder: Path) -> int | None:
    try:
        return int((folder / _TOTAL).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _evict(folder: Path, target: int) -> int:
    """Remove the oldest items that nobody uses until the rest is no larger than the target; the size of the rest."""
    items, total = _survey(folder)
    busy: set[Path] = set()
    for item in items:
        if total <= target:
            break
        if item.scene in busy:
            continue
        with alone_at_once(item.scene / SCENE_LOCK) as free:
            if not free:
                busy.add(item.scene)
                continue
            total -= _remove(item.paths) + _remove_if_empty(item.scene)
    return total


def _remove(paths: Iterable[Path]) -> int:
    """Remove files; the bytes that went."""
    size = 0
    for path in paths:
        with suppress(FileNotFoundError):
            size_of_one = path.stat().st_size
            path.unlink()
            size += size_of_one
    return size


def _remove_if_empty(scene: Path) -> int:
    """Remove a folder that has no tile any more, and its headers; the bytes of these."""
    names = {entry.name for entry in os.scandir(scene)}
    if any(_TILE.match(name) for name in names):
        return 0
    headers = {name for name in names if name.startswith(HEADER_PREFIX)}
    size = _remove(scene / name for name in headers)
    if names - headers == {SCENE_LOCK}:
        (scene / SCENE_LOCK).unlink()
        scene.rmdir()
    return size


def _survey(folder: Path) -> tuple[list[_Item], int]:
    """Tiles and unfinished files, the longest unused first, and the size of all; headers go with the last tile."""
    items, total = [], 0
    for scene in (Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)):
        if not _SCENE.fullmatch(scene.name):
            continue
        groups = _groups(scene)
        total += sum(stat.st_size for parts in groups.values() for stat in parts.values())
        if len(groups) > 1:
            groups.pop(HEADER_PREFIX, None)
        for parts in groups.values() or [{}]:
            paths = sorted(parts, key=lambda path: (path.suffix != ".json", path))  # the sidecar first: it is touched
            used_ns = (parts[paths[0]] if paths else scene.stat()).st_mtime_ns
            items.append(_Item(used_ns=used_ns, scene=scene, paths=tuple(paths)))
    return sorted(items), total


def _groups(scene: Path) -> dict[str, dict[Path, os.stat_result]]:
    """A scene's files that are ours and count, by what they belong to."""
    groups: dict[str, dict[Path, os.stat_result]] = defaultdict(dict)
    for entry in os.scandir(scene):
        if entry.name.endswith(".lock"):
            continue
        if tile := _TILE.match(entry.name):
            name = tile[1]
        elif entry.name.startswith(HEADER_PREFIX):
            name = HEADER_PREFIX
        elif _UNFINISHED.match(entry.name):
            name = entry.name
        else:
            continue
        with suppress(FileNotFoundError):  # an unfinished file may get its name meanwhile
            groups[name][Path(entry.path)] = entry.stat()
    return {name: parts for name, parts in groups.items() if parts}
