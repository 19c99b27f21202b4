"""Talking to Sentinel Hub: sentinelhub-py's client, with its own faults taken out.

sentinelhub-py gives up at 401, reads every ``Retry-After`` as milliseconds, sleeps for ever on repeated 429, believes
any body of a 200, keeps asking for tokens that live shorter than two minutes, and lets requests-oauthlib write the
client's secret and every token into the debug log. `Client` and `Session` replace the one method of each where a
request leaves, and `imagery.fetchers.retry.send` decides what is tried again.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from sentinelhub.config import SHConfig
from sentinelhub.constants import MimeType, RequestType
from sentinelhub.download.models import DownloadRequest
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession

from imagery.credentials import SENTINEL_HUB, Credentials, Secret
from imagery.errors import CredentialsError, FetchError
from imagery.fetchers.retry import RetryPolicy, send, server_message
from imagery.fetchers.sentinelhub.hosts import Deployment

# Per account and minute; both services' free plans allow as much
# (documentation.dataspace.copernicus.eu, Quotas and Limitations).
REQUESTS_PER_MINUTE = 300
_MINUTE_S = 60.0
_REDIRECTS = 5
# A new token is asked for so long before the old one ends, or after four fifths of its life where that is short.
_REFRESH_BEFORE_S = 120.0
_REFRESH_SHARE = 0.2

Check = Callable[[requests.Response], object]


class UnreadableAnswerError(requests.exceptions.ChunkedEncodingError):
    """An answer that says it went well and is not what was asked for: another try may bring the right one."""


@dataclass(kw_only=True)
class Usage:
    """What was spent so far.

    Attributes:
        requests: answers that the service counts.
        processing_units: as the service stated them.
        bytes: received, as sent (compressed).
    """

    requests: int = 0
    processing_units: float = 0.0
    bytes: int = 0


class Pacer:
    """Lets through so many requests in any minute, for all threads together."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing spent.

        Args:
            per_minute: requests let through in any span of 60 s.
            clock: seconds, never running back.
        """
        self._sent_s: deque[float] = deque(maxlen=per_minute)
        self._clock = clock
        self._lock = threading.Lock()

    def wait(self, sleep: Callable[[float], None]) -> None:
        """Wait until one more request may go."""
        with self._lock:
            now_s = self._clock()
            if len(self._sent_s) == self._sent_s.maxlen and (left_s := self._sent_s[0] + _MINUTE_S - now_s) > 0.0:
                sleep(left_s)
                now_s += left_s
            self._sent_s.append(now_s)


class _Config(SHConfig):
    """sentinelhub-py's settings that show no part of the secret and are written nowhere."""

    def _mask_credentials(self, value: str) -> str:
        return "***" if value else ""

    def save(self, profile: str | None = None) -> NoReturn:
        raise TypeError("settings with a secret are not written anywhere")

    def __reduce__(self) -> NoReturn:
        raise TypeError("settings with a secret are not written anywhere")


class _Bearer(AuthBase):
    """A token on a request; being ``auth``, no entry of a .netrc file takes its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Session(SentinelHubSession):
    """A token that is renewed in time, whatever its life, and once more when it is refused."""

    def __init__(self, config: SHConfig, policy: RetryPolicy) -> None:
        """Get the first token.

        Raises:
            CredentialsError: they are refused.
            FetchError: no answer.
        """
        self._policy = policy
        self._renewing = threading.Lock()
        super().__init__(config)

    def access_token(self) -> str:
        """A token that is good for now."""
        with self._renewing:
            return str(self.token["access_token"])

    def renew(self, refused: str) -> None:
        """Replace a token that the service refused, unless another thread did it already."""
        with self._renewing:
            if self._token["access_token"] == refused:
                self._token = self._collect_new_token()

    def _fetch_token(self, request: DownloadRequest) -> dict[str, Any]:
        """Exchange the credentials for a token (RFC 6749, section 4.4)."""
        host = urlsplit(str(request.url)).hostname
        where = f"the token service {host}"
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.sh_client_id,
            "client_secret": self.config.sh_client_secret,
        }

        def ask() -> requests.Response:
            response = requests.post(
                str(request.url), data=form, timeout=self._policy.timeout_s, allow_redirects=False, auth=_no_auth
            )
            if response.status_code in (400, 401, 403):
                said = server_message(response).replace(self.config.sh_client_secret, "***")
                raise CredentialsError(
                    f"{where} refuses SH_CLIENT_ID and SH_CLIENT_SECRET ({response.status_code}: {said}); give the id "
                    "and secret of an OAuth client, made in the account's settings"
                )
            if response.status_code < 300:
                _token_of(response)
            return response

        response = send(ask, self._policy, where)
        if response.status_code >= 300:
            raise FetchError(f"{where} answers {response.status_code} with no token; check SH_TOKEN_URL")
        token, life_s = _token_of(response)
        self.refresh_before_expiry = min(_REFRESH_BEFORE_S, _REFRESH_SHARE * life_s)
        return {"access_token": token, "expires_at": time.time() + life_s}


class Client(SentinelHubDownloadClient):
    """sentinelhub-py's download client, retrying by our policy and checking what it gets."""

    def __init__(self, deployment: Deployment, credentials: Credentials, policy: RetryPolicy) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            deployment: where.
            credentials: hold SH_CLIENT_ID and SH_CLIENT_SECRET.
            policy: when to try again.

        Raises:
            CredentialsError: they are missing.
        """
        client_id, secret = credentials.need(*SENTINEL_HUB, purpose="the source sentinelhub")
        config = _Config(
            use_defaults=True,
            sh_client_id=client_id.reveal(),
            sh_client_secret=secret.reveal(),
            sh_base_url=deployment.base_url,
            sh_token_url=deployment.token_url,
            max_download_attempts=1,
            max_retries=1,
        )
        super().__init__(config=config)
        self.deployment = deployment
        self.policy = policy
        self.usage = Usage()
        self._counting = threading.Lock()
        self._key = (deployment.token_url, client_id, secret)
        with _SHARED:
            self._pacer = _PACERS.setdefault(self._key, Pacer(REQUESTS_PER_MINUTE))

    def get_session(self) -> Session:
        """The one session of these credentials in this process."""
        with _SHARED:
            if self._key not in _SESSIONS:
                _SESSIONS[self._key] = Session(self.config, self.policy)
            return _SESSIONS[self._key]

    def ask(self, request: DownloadRequest, check: Check) -> None:
        """Send one request until its answer passes a check.

        Args:
            request: what to send.
            check: looks at the answer, keeps what it needs and raises `UnreadableAnswerError` where it is damaged.

        Raises:
            FetchError: no right answer within the policy, or a refusal.
            QuotaError: the account's quota is spent.
            CredentialsError: the service refuses the credentials.
        """
        request.extra_params["check"] = check
        self._single_download(request)

    def get(self, url: str, check: Check, *, with_token: bool) -> None:
        """Read an address besides the service's own; see `ask`."""
        self.ask(DownloadRequest(url=url, request_type=RequestType.GET, use_session=with_token), check)

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        """Where every request of the library leaves."""
        check: Check | None = request.extra_params.get("check")
        if check is None and request.data_type is MimeType.JSON:
            check = json_object
        host = urlsplit(str(request.url)).hostname or ""
        tokens = [""]

        def ask() -> requests.Response:
            tokens[0] = self.get_session().access_token() if request.use_session else ""
            self._pacer.wait(self.policy.sleep)
            response = self._follow(request, tokens[0])
            if response.status_code < 300:
                self._count(response)
                if check is not None:
                    check(response)
            return response

        return send(
            ask,
            self.policy,
            f"{self.deployment.name} ({host})",
            reauthorise=(lambda: self.get_session().renew(tokens[0])) if request.use_session else None,
        )

    def _follow(self, request: DownloadRequest, token: str) -> requests.Response:
        """Send once. A GET is followed to where it points; the token goes along to hosts of the same service only."""
        url, first_host = str(request.url), urlsplit(str(request.url)).hostname or ""
        for _ in range(_REDIRECTS):
            parts = urlsplit(url)
            trusted = parts.scheme == "https" and _same_service(first_host, parts.hostname or "")
            response = requests.request(
                request.request_type.value,
                url,
                json=request.post_values,
                headers=request.headers,
                auth=_Bearer(token) if token and trusted else _no_auth,
                timeout=self.policy.timeout_s,
                allow_redirects=False,
            )
            target = response.headers.get("Location")
            if not response.is_redirect or target is None:
                return response
            if request.request_type is not RequestType.GET:
                break
            url = urljoin(url, target)
        raise FetchError(f"{self.deployment.name} ({first_host}) sends the request elsewhere; check SH_BASE_URL")

    def _count(self, response: requests.Response) -> None:
        try:
            units = float(response.headers.get("x-processingunits-spent", 0.0))
        except ValueError:
            units = 0.0
        with self._counting:
            self.usage.requests += 1
            self.usage.processing_units += units
            self.usage.bytes += len(response.content)


_SHARED = threading.RLock()
_Key = tuple[str, Secret, Secret]
_SESSIONS: dict[_Key, Session] = {}
_PACERS: dict[_Key, Pacer] = {}


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials, not even those of a .netrc file."""
    return request


def _same_service(host: str, other: str) -> bool:
    """The same host, or one of the same domain, as download. and zipper.dataspace.copernicus.eu are."""
    domain = host.partition(".")[2]
    return other == host or (domain.count(".") >= 2 and not domain[-1].isdigit() and other.endswith("." + domain))


def json_object(response: requests.Response) -> dict[str, Any]:
    """The JSON object that an answer is.

    Raises:
        UnreadableAnswerError: it is none.
    """
    try:
        answer = response.json()
    except ValueError as error:
        raise UnreadableAnswerError("not JSON") from error
    if not isinstance(answer, dict):
        raise UnreadableAnswerError("not a JSON object")
    return answer


def _token_of(response: requests.Response) -> tuple[str, float]:
    """The token and its life in seconds, by ``expires_in`` or the token's own ``exp``."""
    answer = json_object(response)
    token, life_s = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token:
        raise UnreadableAnswerError("no token")
    if not isinstance(life_s, int | float):
        try:
            claims = token.split(".")[1]
            life_s = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"] - time.time()
        except (IndexError, KeyError, TypeError, ValueError, binascii.Error) as error:
            raise UnreadableAnswerError("a token without its end") from error
    return token, float(life_s)
