"""The files of a product, in a folder or in a zip that is never unpacked, held against the product's own manifest."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from imagery.errors import AnnotationError, RasterError
from imagery.products.xml import parse_xml

# The largest XML of a SAFE product, a tile's metadata with its angles, is some 0.6 MB.
_MOST_TEXT_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_MANIFEST = "manifest.safe"
_ALGORITHMS = {"MD5": "md5", "SHA3-256": "sha3_256", "SHA-256": "sha256"}


@dataclass(frozen=True, kw_only=True)
class ProductFiles:
    """Where the files of one product lie.

    Attributes:
        path: the product's folder, or the zip that holds it.
        root: folder of the product inside the zip, with a slash at its end; empty for a folder.
        names: paths of its files below the product's folder, with forward slashes, sorted.
    """

    path: Path
    root: str
    names: tuple[str, ...]

    @property
    def is_zip(self) -> bool:
        """True where the product lies in a zip."""
        return self.path.is_file()

    def matching(self, pattern: str) -> list[re.Match[str]]:
        """Matches of the whole names of files, in order."""
        return [match for name in self.names if (match := re.fullmatch(pattern, name))]

    def read(self, name: str) -> bytes:
        """The bytes of a small file, such as an XML.

        Raises:
            AnnotationError: if it is absent, cannot be read, or is larger than any such file.
        """
        with self._open(name) as file:
            content = file.read(_MOST_TEXT_BYTES + 1)
        if len(content) > _MOST_TEXT_BYTES:
            raise AnnotationError(f"{name} of {self.path} is larger than {_MOST_TEXT_BYTES >> 20} MB and was refused")
        return content

    def gdal_path(self, name: str) -> str:
        """The path by which GDAL opens a file where it lies."""
        if self.is_zip:
            return f"/vsizip/{{{self.path.resolve()}}}/{self.root}{name}"
        return str(self.path / name)

    def verified_sha256(self, name: str) -> str:
        """Hex SHA-256 of a file that is as long and has the checksum that the manifest states, if it states them.

        Raises:
            RasterError: if the file is damaged.
        """
        size, algorithm, stated = self._manifest.get(name, (None, "", ""))
        sha256, other = hashlib.sha256(), hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        length = 0
        with self._open(name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                length += len(chunk)
                sha256.update(chunk)
                if other is not None:
                    other.update(chunk)
        if (size is not None and length != size) or (other is not None and other.hexdigest() != stated):
            raise RasterError(
                f"{name} of {self.path} is not what the product's manifest says ({length} bytes); fetch it again"
            )
        return sha256.hexdigest()

    @cached_property
    def _manifest(self) -> dict[str, tuple[int | None, str, str]]:
        """Size, algorithm and checksum by file name; empty where there is no manifest."""
        if _MANIFEST not in self.names:
            return {}
        known: dict[str, tuple[int | None, str, str]] = {}
        for stream in parse_xml(self.read(_MANIFEST), f"{_MANIFEST} of {self.path}").iter("byteStream"):
            location, checksum = stream.find("fileLocation"), stream.find("checksum")
            if location is None:
                continue
            algorithm = _ALGORITHMS.get(checksum.get("checksumName", "").upper(), "") if checksum is not None else ""
            size = stream.get("size", "")
            name = location.get("href", "").removeprefix("./")
            stated = (checksum.text or "").strip().lower() if checksum is not None else ""
            known[name] = (int(size) if size.isdecimal() else None, algorithm, stated)
        return known

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        if name not in self.names:
            raise AnnotationError(f"{self.path} has no {name}")
        try:
            if self.is_zip:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.root + name) as file:
                    yield file
            else:
                with (self.path / name).open("rb") as file:
                    yield file
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise RasterError(f"{name} of {self.path} cannot be read ({error}); fetch the product again") from error


def open_product(path: Path, marker: str) -> ProductFiles:
    """List the files of the product in a folder or a zip.

    Args:
        path: the product's folder or its zip.
        marker: pattern of the name of the one file that lies in the product's own folder, such as its metadata.

    Returns:
        Its files.

    Raises:
        RasterError: if there is no such product, more than one, or the zip is damaged or encrypted.
    """
    if path.is_dir():
        found = tuple(sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()))
    elif path.is_file():
        found = _zip_names(path)
    else:
        raise RasterError(f"{path} does not exist; give the product's folder or its zip")
    roots = [match[1] for name in found if (match := re.fullmatch(rf"((?:[^/]+/)*){marker}", name))]
    if path.is_dir():
        roots = [root for root in roots if not root]
    if len(roots) != 1:
        many = f"{len(roots)} products" if roots else "no such product"
        raise RasterError(f"{path} holds {many}: expected one file named like {marker.replace(chr(92), '')}")
    root = roots[0]
    names = tuple(name.removeprefix(root) for name in found if name.startswith(root))
    return ProductFiles(path=path, root=root, names=names)


def _zip_names(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise RasterError(f"{path} is not a whole zip ({error}); fetch it again") from error
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise RasterError(f"{path} holds two files of one name and was refused")
    if any(member.flag_bits & 0x1 for member in members):
        raise RasterError(f"{path} is encrypted; unpack it first")
    # nothing is ever unpacked, but GDAL resolves names: those that climb or are absolute are never asked for
    return tuple(sorted(n for n in names if not n.startswith("/") and ".." not in n.split("/") and "\\" not in n))
