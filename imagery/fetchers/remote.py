"""Windows of rasters far away, by HTTP ranges: bounded retries, and one clear sentence for each way it fails.

GDAL does the reading. It tells little of why a read failed, remembers a failed open for the life of the process, and
by default lets a missing tile pass; so each failure here is looked into with a request of one byte, the next try
forgets what GDAL remembers, and nothing that could not be read ever becomes zeros.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import rasterio
import requests
from rasterio.errors import RasterioError
from rasterio.session import Session

from imagery.errors import CredentialsError, FetchError, ImageryError, SourceError
from imagery.fetchers.retry import RetryPolicy, send
from imagery.fetchers.signing import Address, PlainSigner, Signer, without_query

T = TypeVar("T")
U = TypeVar("U")

TILE_PX = 2048  # a multiple of the blocks of all known archives (256, 512, 1024)
_READS = 3  # of a file whose server answers well: what fails so often is damaged
_MAX_DOWNLOAD_BYTES = 64 * 2**20  # annotation files have some MB
_AT_ONCE = 8  # files read at the same time; reading is waiting
_STALLED_BYTES_S = 1000  # slower than this for the read timeout counts as no answer


@dataclass(frozen=True, kw_only=True)
class RemoteFiles:
    """Files behind one signer, read with one policy.

    Attributes:
        signer: makes addresses readable.
        policy: how often, how long.
    """

    signer: Signer = field(default_factory=PlainSigner)
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    def use(self, hrefs: Sequence[str], work: Callable[[tuple[str, ...]], T]) -> T:
        """Let GDAL work on files until it goes well.

        Args:
            hrefs: addresses as the catalogue has them.
            work: opens and reads them; gets a GDAL path for each, and may be called again from the start.

        Returns:
            What the work gave.

        Raises:
            FetchError: a file is not there, damaged, of a wrong kind or not served in ranges, or its server does not
                answer.
            QuotaError: the server gives nothing more for now.
            CredentialsError: it refuses access.
            SourceError: what the work raised, if it was not for want of bytes.
        """
        forget, failed = False, ""
        for read in range(_READS):
            addresses = [self.signer.address(href) for href in hrefs]
            try:
                with _environment(addresses, self.policy, forget=forget or read > 1):
                    return work(tuple(address.path for address in addresses))
            except (RasterioError, ImageryError) as error:
                other = None if _for_want_of_bytes(error) else error
                failed = _told(error) if other is None else str(error)
            failed = _unsigned(failed, addresses, hrefs)
            if isinstance(other, SourceError):
                raise type(other)(failed)  # anew: neither its text nor its cause may hold a signature
            if other is not None:
                raise FetchError(f"{failed}; other scenes may be well")
            # An open that failed is what GDAL remembers; tiles that came before a failed read are worth keeping.
            forget = "Read failed" not in failed
            for href in hrefs:
                self._find_fault(href)
        names = ", ".join(without_query(href) for href in hrefs)
        raise FetchError(
            f"{names} cannot be read though the server answers: truncated or damaged ({failed}); other scenes may be "
            "well"
        )

    def download(self, href: str) -> bytes:
        """A small file as a whole.

        Raises:
            FetchError: it is not there, too large, or the server does not answer.
            QuotaError: the server gives nothing more for now.
            CredentialsError: it refuses access.
        """
        response = self._ask(href, {})
        if len(response.content) > _MAX_DOWNLOAD_BYTES:
            raise FetchError(
                f"{without_query(href)} has over {_MAX_DOWNLOAD_BYTES >> 20} MiB; that is no annotation file"
            )
        return response.content

    def _find_fault(self, href: str) -> None:
        """Wait until one byte of a file can be had; raise if it never will."""
        response = self._ask(href, {"Range": "bytes=0-0"}, stream=True)
        response.close()
        if response.status_code == 200:
            raise FetchError(
                f"{without_query(href)} comes from a server that sends whole files only (no byte ranges), so no window "
                "of it can be read; switch ranges on there, or download the file and use folder:DIR"
            )

    def _ask(self, href: str, headers: Mapping[str, str], *, stream: bool = False) -> requests.Response:
        """The answer to a GET; a refused signature is renewed once."""
        where = without_query(href)
        status = 0

        def ask() -> requests.Response:
            nonlocal status
            address = self.signer.address(href)
            response = requests.get(
                address.url, headers={**address.headers, **headers}, timeout=self.policy.timeout_s, stream=stream
            )
            status = response.status_code
            return response

        for last in (False, True):
            try:
                return send(ask, self.policy, where)
            except CredentialsError as error:
                if last or not self.signer.renew(href):
                    raise CredentialsError(without_query(str(error))) from None
            except FetchError as error:
                if status in (404, 410):
                    raise FetchError(
                        f"{where} is not there ({status}) although the catalogue lists it; other scenes may be well"
                    ) from None
                raise FetchError(without_query(str(error))) from None
        raise AssertionError("unreachable")


def in_parallel(work: Callable[[U], T], tasks: Sequence[U]) -> list[T]:
    """Do small pieces of remote work at the same time.

    The threads stay: GDAL keeps a connection, and its handshake, for each. A task must not call this again.

    Returns:
        What each gave, in order; the first error in order is raised.
    """
    if len(tasks) < 2:
        return [work(task) for task in tasks]
    return list(_threads(os.getpid()).map(work, tasks))


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:
    """Of this process; a forked one has none of its parent's."""
    return ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="remote")


class _Keys(Session):  # type: ignore[misc]  # rasterio ships no types
    """S3 keys for GDAL; rasterio's own session would need boto3."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)

    def get_credential_options(self) -> dict[str, str]:
        return self._secrets


def _environment(addresses: Sequence[Address], policy: RetryPolicy, *, forget: bool) -> rasterio.Env:
    """GDAL's configuration for reading the addresses, https://gdal.org/en/stable/user/configoptions.html."""
    connect_s, read_s = policy.timeout_s
    options: dict[str, object] = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the folder, no search for .aux.xml and .ovr
        # A tile index that is read late, and cannot be, passes for that of a sparse file: zeros without an error.
        "GTIFF_USE_DEFER_STRILE_LOADING": "NO",
        "GDAL_INGESTED_BYTES_AT_OPEN": 32768,  # the tile index of a scene in one request
        "GDAL_NUM_THREADS": "1",  # in threads of its own GDAL finds damage where rasterio does not hear of it
        "GDAL_HTTP_MULTIPLEX": "YES",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_HTTP_MAX_RETRY": policy.attempts - 1,  # by default none (odc-stac#144)
        "GDAL_HTTP_RETRY_DELAY": policy.first_wait_s,
        "GDAL_HTTP_CONNECTTIMEOUT": max(1, round(connect_s)),
        "GDAL_HTTP_LOW_SPEED_TIME": max(1, round(read_s)),
        "GDAL_HTTP_LOW_SPEED_LIMIT": _STALLED_BYTES_S,
    }
    if forget:
        options["CPL_VSIL_CURL_NON_CACHED"] = "/vsicurl/http:/vsis3/"
    secrets: dict[str, str] = {}
    for address in addresses:
        options |= address.options
        secrets |= address.secrets
    return rasterio.Env(session=_Keys(secrets), **options)


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and what caused it."""
    found: list[BaseException] = []
    while error is not None and all(error is not each for each in found):
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _for_want_of_bytes(error: BaseException) -> bool:
    return any(isinstance(each, RasterioError) for each in _chain(error))


def _told(error: BaseException) -> str:
    """What GDAL said, nearest the cause last."""
    return "; ".join(dict.fromkeys(str(each) for each in _chain(error) if isinstance(each, RasterioError)))


def _unsigned(text: str, addresses: Sequence[Address], hrefs: Sequence[str]) -> str:
    """A text with the catalogue's addresses in place of those that were read."""
    for address, href in zip(addresses, hrefs, strict=True):
        text = text.replace(address.path, href).replace(address.url, href)
    return without_query(text)
