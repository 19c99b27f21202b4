"""Tiles kept on disk: whole or absent, checked on every use, the oldest thrown out first.

Layout: a folder per source and scene; in it, per tile, ``KEY.tif`` and ``KEY.json``, its sidecar. The sidecar is
written last: with it, and only with it, the tile is there. Names that begin with a dot are locks and unfinished files.
Several processes of one machine may use one store: see `imagery.fetchers.cache.locks`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagery.errors import RasterError, SourceError
from imagery.fetchers.cache.eviction import HEADER_PREFIX, SCENE_LOCK, remove_leftovers, room
from imagery.fetchers.cache.locks import Lease, alone
from imagery.fetchers.cache.tile_file import describe_tile, digest
from imagery.files import file_sha256, replacing

_log = logging.getLogger(__name__)

FOLDER_VARIABLE = "OFFING_CACHE"
LIMIT_VARIABLE = "OFFING_CACHE_GB"
DEFAULT_LIMIT_GB = 50.0
_LAYOUT = 1  # a change of what is stored makes old entries unknown, and the size limit clears them away


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tile on disk.

    Attributes:
        path: its GeoTIFF.
        sha256: hex digest of the file's bytes.
    """

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TileStore:
    """A folder of tiles with a size limit.

    Attributes:
        folder: where; made when something is stored.
        limit_bytes: size of all files together beyond which the tiles used longest ago are removed. Tiles of a scene
            that a living process uses stay.
    """

    folder: Path
    limit_bytes: int

    def __post_init__(self) -> None:
        """Refuse a limit that holds nothing."""
        if self.limit_bytes <= 0:
            raise SourceError(
                f"the cache {self.folder} has a size limit of {self.limit_bytes} bytes; give a larger one"
            )

    @classmethod
    def default(cls, environ: Mapping[str, str] | None = None) -> TileStore:
        """``$OFFING_CACHE``, else ``offing`` in the user's cache folder; at most ``$OFFING_CACHE_GB`` or 50 GB.

        Args:
            environ: the environment; None takes the process's own.

        Raises:
            SourceError: if ``$OFFING_CACHE_GB`` is not a positive number.
        """
        environ = os.environ if environ is None else environ
        caches = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        text = environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT_GB)
        try:
            limit_bytes = int(float(text) * 1e9)
        except (ValueError, OverflowError):
            limit_bytes = 0
        if limit_bytes <= 0:
            raise SourceError(f"{LIMIT_VARIABLE} is {text!r}; give the size limit of the cache in GB, such as 50")
        return cls(folder=Path(environ.get(FOLDER_VARIABLE) or caches / "offing"), limit_bytes=limit_bytes)

    def scene(self, identity: str, scene_id: str) -> SceneFolder:
        """Where the tiles of a scene lie, or would lie.

        Args:
            identity: see `imagery.fetchers.base.RemoteFetcher`; it is written down, so no secret may be in it.
            scene_id: the scene's id.
        """
        readable = re.sub(r"[^A-Za-z0-9._-]+", "_", scene_id)[:100].strip("._") or "scene"
        name = f"{readable}-{digest([_LAYOUT, identity, scene_id])[:16]}"
        return SceneFolder(store=self, path=self.folder / name, identity=identity, scene_id=scene_id)


@dataclass(frozen=True, kw_only=True)
class SceneFolder:
    """The stored part of one scene.

    Attributes:
        store: the store that it belongs to.
        path: its folder; may not exist yet.
        identity, scene_id: source and scene.
    """

    store: TileStore
    path: Path
    identity: str
    scene_id: str

    def lease(self) -> Lease:
        """Keep the folder from being cleared for as long as the lease lives; leftovers of killed processes go.

        Raises:
            SourceError: if the folder cannot be written to.
        """
        with self._writing():
            lease = Lease(self.path / SCENE_LOCK, tidy=lambda: remove_leftovers(self.path))
            with room(self.store.folder, self.store.limit_bytes, size=0):
                return lease  # whatever could not be cleared while it was in use has gone now

    def has(self, key: str) -> bool:
        """True where a tile seems to be there, by its sidecar and its size: a quick look for estimates."""
        try:
            about = json.loads(self._sidecar(key).read_bytes())
            return bool(self._tile(key).stat().st_size == about["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def tile(self, key: str, make: Callable[[], bytes]) -> Entry:
        """A tile, made where it is not there or damaged. Needs the lease.

        Where another process is making it, this one waits and takes what that one made.

        Args:
            key: see `imagery.fetchers.cache.tile_file.tile_key`.
            make: gives the bytes of its GeoTIFF.

        Raises:
            SourceError: if it cannot be stored.
            ImageryError: as ``make`` raises it.
        """
        found = self._checked(key)
        if isinstance(found, Entry):
            return found
        with self._claimed(key):
            found = self._checked(key)
            if isinstance(found, Entry):
                return found
            if found:
                _log.warning("tile %s of scene %s was damaged (%s) and is fetched again", key, self.scene_id, found)
            self._remove(key)
            return self._put_tile(key, make())

    def header(self, key: str) -> dict[str, Any] | None:
        """What `put_header` stored; None where there is nothing, or nothing whole."""
        path = self._header(key)
        try:
            stored = json.loads(path.read_bytes())
            if digest(stored["header"]) != stored["sha256"]:
                raise ValueError("digest differs")
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the header of scene %s was damaged (%s) and is fetched again", self.scene_id, error)
            return None
        header: dict[str, Any] = stored["header"]
        return header

    def put_header(self, key: str, header: dict[str, Any]) -> None:
        """Store plain values under a key. Needs the lease.

        Raises:
            SourceError: if they cannot be stored.
        """
        self._write({self._header(key): _json({"sha256": digest(header), **self._origin(), "header": header})})

    def _checked(self, key: str) -> Entry | str:
        """The tile; else what is wrong with it, empty where there is none."""
        path, sidecar = self._tile(key), self._sidecar(key)
        try:
            about = json.loads(sidecar.read_bytes())
            name, size, sha256, raster = (about[field] for field in ("tile", "bytes", "sha256", "raster"))
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError):
            return "its sidecar is not readable"
        try:
            if name != key:
                return "its sidecar is that of another tile"
            if path.stat().st_size != size:
                return f"{path.stat().st_size} bytes of {size}"
            if file_sha256(path) != sha256:
                return "its digest differs"
            if describe_tile(path) != raster:
                return "its raster differs from its sidecar"
            os.utime(sidecar)
        except (OSError, RasterError) as error:
            return f"not readable: {type(error).__name__}"
        return Entry(path=path, sha256=sha256)

    def _put_tile(self, key: str, content: bytes) -> Entry:
        sha256 = hashlib.sha256(content).hexdigest()
        about = {"tile": key, "bytes": len(content), "sha256": sha256, "raster": describe_tile(content)}
        about |= self._origin()
        path = self._tile(key)
        self._write({path: content, self._sidecar(key): _json(about)})
        return Entry(path=path, sha256=sha256)

    def _origin(self) -> dict[str, Any]:
        stored = datetime.now(UTC).isoformat(timespec="seconds")
        return {"source": self.identity, "scene": self.scene_id, "stored": stored}

    def _write(self, files: Mapping[Path, bytes]) -> None:
        """Write files one after the other, each whole or not at all, within the store's limit."""
        size = sum(len(content) for content in files.values())
        if size > self.store.limit_bytes:
            raise SourceError(
                f"a part of scene {self.scene_id} takes {size} bytes, more than the {self.store.limit_bytes} that the "
                f"cache {self.store.folder} may hold; set {LIMIT_VARIABLE} higher"
            )
        with self._writing(), room(self.store.folder, self.store.limit_bytes, size):
            for path, content in files.items():
                with replacing(path) as partial:
                    partial.write_bytes(content)

    def _remove(self, key: str) -> None:
        """Remove a tile that is damaged, and what a killed process left of it. Needs the claim."""
        leftovers = [p for p in self.path.glob(f".{key}.*") if p.suffix != ".lock"]
        with self._writing():
            for path in (self._sidecar(key), self._tile(key), *leftovers):
                path.unlink(missing_ok=True)

    @contextmanager
    def _claimed(self, name: str) -> Iterator[None]:
        with ExitStack() as stack:
            with self._writing():  # not the body: it talks to servers, whose errors are no matter of this disk
                stack.enter_context(alone(self.path / f".{name}.lock"))
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"the cache {self.store.folder} cannot be written to ({error.strerror or error}); free space there, or "
                f"set {FOLDER_VARIABLE} to another folder"
            ) from error

    def _tile(self, key: str) -> Path:
        return self.path / f"{key}.tif"

    def _sidecar(self, key: str) -> Path:
        return self.path / f"{key}.json"

    def _header(self, key: str) -> Path:
        return self.path / f"{HEADER_PREFIX}{key}.json"


def _json(values: Any) -> bytes:
    return json.dumps(values, indent=1).encode()
