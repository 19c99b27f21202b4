"""How addresses in a catalogue become addresses that may be read: SAS tokens, S3 keys, or nothing.

Signed addresses exist only in memory: a catalogue's own, unsigned address is what messages, identities and scenes hold,
and the loggers of the HTTP libraries are kept from telling queries.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Protocol
from urllib.parse import quote, urlsplit

import requests

from imagery.credentials import Credentials, Secret, read_credentials
from imagery.errors import CredentialsError, FetchError
from imagery.fetchers.retry import RetryPolicy, send

PLANETARY_COMPUTER = "planetarycomputer.microsoft.com"
_PLANETARY_COMPUTER_TOKENS = f"https://{PLANETARY_COMPUTER}/api/sas/v1/token"
_AZURE_BLOBS = ".blob.core.windows.net"

_QUERY = re.compile(r"\?[^\s'\"<>]*")
# What these log, at any level, can hold an address with its query.
_LOGGERS = ("rasterio", "rasterio._base", "rasterio._env", "rasterio._err", "rasterio._io", "urllib3.connectionpool")


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a file can be read right now; not shown, not kept.

    Attributes:
        path: for GDAL.
        url: for HTTP.
        headers: to be sent with the HTTP request.
        options: GDAL's configuration for this path, secrets apart.
        secrets: the secret part of that configuration.
    """

    path: str = field(repr=False)
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class Signer(Protocol):
    """What turns a catalogue's addresses into readable ones."""

    def address(self, href: str) -> Address:
        """Where a file can be read now.

        Raises:
            CredentialsError: credentials are missing or refused.
            FetchError: no signature can be had, or the address is of an unknown kind.
        """
        ...

    def renew(self, href: str) -> bool:
        """Forget the signature of an address that was refused; False where there is none to renew."""
        ...


@dataclass(frozen=True)
class PlainSigner:
    """Public files over HTTP, and those in S3.

    Attributes:
        s3: keys and endpoint of S3; None takes those of the environment when an ``s3://`` address comes.
    """

    s3: S3Access | None = None
    _buckets: dict[str, S3Access] = field(default_factory=dict, init=False, repr=False, compare=False)

    def address(self, href: str) -> Address:
        """Where a file can be read now."""
        parts = urlsplit(href)
        if parts.scheme == "s3":
            access = self.s3 or self._buckets.get(parts.netloc)
            if access is None:
                access = self._buckets[parts.netloc] = S3Access.of_bucket(parts.netloc)
            return access.address(parts.netloc, parts.path.lstrip("/"))
        if parts.scheme in ("http", "https"):
            if parts.query:
                hide_queries()
            return Address(path=f"/vsicurl/{href}", url=href)
        raise FetchError(f"{without_query(href)} is no address that can be read from afar; http(s):// and s3:// can")

    def renew(self, href: str) -> bool:
        """There is nothing to renew."""
        return False


@dataclass(frozen=True, kw_only=True)
class SasTokens:
    """Short-lived tokens of the Planetary Computer, one per collection, kept until three quarters of their life.

    Attributes:
        endpoint: address to which ``/{collection}`` is added.
        hosts: ends of the host names whose files want a token.
        key: subscription key, for higher limits; None does without.
        policy: how often a token is asked for.
        now: the present time; replaced in tests.

    Reference: https://planetarycomputer.microsoft.com/docs/concepts/sas/ (a token lives some 45 minutes).
    """

    endpoint: str = _PLANETARY_COMPUTER_TOKENS
    hosts: tuple[str, ...] = (_AZURE_BLOBS,)
    key: Secret | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)
    _kept: dict[str, tuple[Secret, datetime]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def token(self, collection: str) -> Secret:
        """A query string that opens the files of a collection.

        Raises:
            FetchError: the service gives none.
            CredentialsError: the service refuses the subscription key.
        """
        with self._lock:
            token, good_until = self._kept.get(collection, (None, None))
            if token is None or good_until is None or self.now() >= good_until:
                token, good_until = self._ask(collection)
                self._kept[collection] = token, good_until
            return token

    def forget(self, collection: str) -> None:
        """Ask for a new token next time."""
        with self._lock:
            self._kept.pop(collection, None)

    def _ask(self, collection: str) -> tuple[Secret, datetime]:
        where = f"the token service of {urlsplit(self.endpoint).hostname}"
        headers = {"Ocp-Apim-Subscription-Key": self.key.reveal()} if self.key else {}
        url = f"{self.endpoint}/{quote(collection, safe='')}"
        asked = self.now()
        answer = send(lambda: requests.get(url, headers=headers, timeout=self.policy.timeout_s), self.policy, where)
        try:
            said = answer.json()
            token, expiry = str(said["token"]), datetime.fromisoformat(said["msft:expiry"])
        except (ValueError, KeyError, TypeError):
            raise FetchError(f"{where} gave no token for {collection}; try again later") from None
        expiry = expiry if expiry.tzinfo else expiry.replace(tzinfo=UTC)
        return Secret(token), asked + 0.75 * (expiry - asked)


@dataclass(frozen=True, kw_only=True)
class SasSigner:
    """Files of one collection that want a token of `SasTokens`; all others as `PlainSigner` has them.

    Attributes:
        tokens: the tokens.
        collection: the collection that the files belong to.
        plain: for addresses that want none.
    """

    tokens: SasTokens
    collection: str
    plain: PlainSigner = field(default_factory=PlainSigner)

    def address(self, href: str) -> Address:
        """Where a file can be read now."""
        if not self._wants_token(href):
            return self.plain.address(href)
        hide_queries()
        signed = f"{href}?{self.tokens.token(self.collection).reveal()}"
        return Address(path=f"/vsicurl/{signed}", url=signed)

    def renew(self, href: str) -> bool:
        """Forget the collection's token."""
        if self._wants_token(href):
            self.tokens.forget(self.collection)
            return True
        return False

    def _wants_token(self, href: str) -> bool:
        parts = urlsplit(href)
        return (
            parts.scheme in ("http", "https") and not parts.query and (parts.hostname or "").endswith(self.tokens.hosts)
        )


# Buckets whose place is known; all others lie where AWS_S3_ENDPOINT and AWS_REGION say, or else at AWS in us-east-1.
_ENDPOINTS = {"eodata": "eodata.dataspace.copernicus.eu"}  # documentation.dataspace.copernicus.eu/APIs/S3.html
# At AWS; whoever reads them pays (registry.opendata.aws/sentinel-1, /sentinel-2, /usgs-landsat).
_PAID_REGIONS = {
    "sentinel-s1-l1c": "eu-central-1",
    "sentinel-s2-l1c": "eu-central-1",
    "sentinel-s2-l2a": "eu-central-1",
    "usgs-landsat": "us-west-2",
}
_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """Where buckets lie, and the keys that open them.

    Attributes:
        endpoint: host, with its port if it has one.
        https: whether it speaks TLS.
        virtual_hosting: whether the bucket stands before the host, or else first in the path.
        region: name of the region, part of every signature.
        key_id, key, session_token: the keys; no ``key_id`` reads without a signature.
        requester_pays: whether the account of the keys pays for what is read.
    """

    endpoint: str = "s3.amazonaws.com"
    https: bool = True
    virtual_hosting: bool = True
    region: str = "us-east-1"
    key_id: Secret | None = None
    key: Secret | None = None
    session_token: Secret | None = None
    requester_pays: bool = False

    @classmethod
    def of_bucket(
        cls, bucket: str, credentials: Credentials | None = None, environ: Mapping[str, str] | None = None
    ) -> S3Access:
        """What GDAL's own variables say of a bucket, with what is known of public ones.

        Args:
            bucket: name of the bucket.
            credentials: the keys; None takes those of `read_credentials`.
            environ: ``AWS_S3_ENDPOINT`` (with or without ``http://``), ``AWS_REGION``, ``AWS_HTTPS``,
                ``AWS_VIRTUAL_HOSTING``, ``AWS_NO_SIGN_REQUEST`` and ``AWS_REQUEST_PAYER``; None takes the process's
                own.

        Raises:
            CredentialsError: there are no keys, and ``AWS_NO_SIGN_REQUEST`` does not say that none are wanted; or
                reading costs money, and ``AWS_REQUEST_PAYER`` does not agree to it.
        """
        environ = os.environ if environ is None else environ
        named = environ.get("AWS_S3_ENDPOINT") or _ENDPOINTS.get(bucket, "")
        endpoint = urlsplit(named if "://" in named else f"//{named}")
        at_aws = not named
        region = (
            environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _PAID_REGIONS.get(bucket, "us-east-1")
        )
        access = cls(
            endpoint=endpoint.netloc or f"s3.{region}.amazonaws.com",
            https=_yes(environ.get("AWS_HTTPS"), default=endpoint.scheme != "http"),
            virtual_hosting=_yes(environ.get("AWS_VIRTUAL_HOSTING"), default=at_aws),
            region=region,
            requester_pays=environ.get("AWS_REQUEST_PAYER") == "requester",
        )
        if at_aws and bucket in _PAID_REGIONS and not access.requester_pays:
            raise CredentialsError(
                f"s3://{bucket} has its readers pay for what they read; set AWS_REQUEST_PAYER=requester if you agree, "
                "or take another catalogue"
            )
        if _yes(environ.get("AWS_NO_SIGN_REQUEST"), default=False):
            return access
        known = credentials if credentials is not None else read_credentials(environ)
        key_id, key = known.need("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", purpose=f"reading s3://{bucket}")
        return replace(access, key_id=key_id, key=key, session_token=known.get("AWS_SESSION_TOKEN"))

    def address(self, bucket: str, key: str) -> Address:
        """Where an object can be read now; the HTTP signature holds for 15 minutes."""
        host = f"{bucket}.{self.endpoint}" if self.virtual_hosting else self.endpoint
        path = quote(f"/{key}" if self.virtual_hosting else f"/{bucket}/{key}", safe="/~")
        options = {
            "AWS_S3_ENDPOINT": self.endpoint,
            "AWS_HTTPS": "YES" if self.https else "NO",
            "AWS_VIRTUAL_HOSTING": "TRUE" if self.virtual_hosting else "FALSE",
            "AWS_REGION": self.region,
            "AWS_NO_SIGN_REQUEST": "NO" if self.key_id else "YES",
        }
        if self.requester_pays:
            options["AWS_REQUEST_PAYER"] = "requester"
        secrets = {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.key,
            "AWS_SESSION_TOKEN": self.session_token,
        }
        return Address(
            path=f"/vsis3/{bucket}/{key}",
            url=f"{'https' if self.https else 'http'}://{host}{path}",
            headers=self.headers(host, path, datetime.now(UTC)),
            options=options,
            secrets={name: secret.reveal() for name, secret in secrets.items() if secret},
        )

    def headers(self, host: str, path: str, now: datetime) -> dict[str, str]:
        """Headers of a GET without a query, signed.

        Args:
            host: the ``Host`` of the request.
            path: its path, percent-encoded.
            now: the present time, aware.

        Reference: AWS Signature Version 4, docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
        """
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": stamp}
        if self.requester_pays:
            signed["x-amz-request-payer"] = "requester"
        if self.key_id is None or self.key is None:
            return {name: value for name, value in signed.items() if name == "x-amz-request-payer"}
        if self.session_token:
            signed["x-amz-security-token"] = self.session_token.reveal()
        signed = dict(sorted(signed.items()))
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = "\n".join(["GET", path, "", lines, names, _NOTHING])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        secret = b"AWS4" + self.key.reveal().encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
        credential = f"{self.key_id.reveal()}/{scope}"
        return {
            **{name: value for name, value in signed.items() if name != "host"},
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}",
        }


def without_query(text: str) -> str:
    """A text whose addresses have lost their queries, in which signatures lie."""
    return _QUERY.sub("?...", text)


class _HideQueries(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_query(record.getMessage()), ()
        return True


_FILTER = _HideQueries()


def hide_queries() -> None:
    """Keep the loggers of the HTTP libraries from telling queries; once is enough."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def _yes(text: str | None, *, default: bool) -> bool:
    return default if not text else text.strip().upper() in ("YES", "TRUE", "ON", "1")
