"""When to ask a server again, and when to stop: one policy for every source over HTTP."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import requests

from imagery.errors import CredentialsError, FetchError, NoAnswerError, QuotaError

RetryAfterUnit = Literal["s", "ms"]

# Statuses that a later try may turn into an answer.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MESSAGE_CHARS = 300
_BODY_CHARS = 20_000  # of an error page; what it says stands at its beginning

# What `requests` raises where another try may go well.
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)

# Where secrets stand in what servers and libraries say, and what is left of it.
_SECRET_PLACES = (
    (re.compile(r"\?[^\s'\"<>?]*=[^\s'\"<>]*"), "?..."),  # the query of an address
    (re.compile(r"(?<=//)[^\s/@'\"<>]+@"), "...@"),  # user and password before a host
    (re.compile(r"\beyJ[\w-]+\.[\w.-]+"), "..."),  # a JSON web token
    (re.compile(r"(?i)\b(Bearer|Basic)\s+(?=\S*[\d=+/_-])\S+"), r"\1 ..."),
    (re.compile(r"(?i)<(\w*(?:signature|accesskeyid|stringtosign|canonicalrequest|token)\w*)>[^<]*"), r"<\1>..."),
    (
        re.compile(
            r"(?i)(?<![\w-])([\w-]*(?:sig|signature|token|secret|password|credential|subscription-?key|api[_-]?key|accesskeyid))"
            r"([\"']?(?:\s*=\s*|\s*:\s*(?=[\"']|\S*\d))[\"']?)[^\s\"'&,;<>]+"
        ),
        r"\1\2...",
    ),
)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often, how long.

    Attributes:
        attempts: tries in all.
        first_wait_s: wait before the second try; doubles with each further one, and is the least wait whatever a
            server asks for.
        longest_wait_s: a server that asks for more than this has nothing to give for now.
        retry_after_unit: what a bare number in ``Retry-After`` counts. RFC 9110 section 10.2.3 says seconds;
            Sentinel Hub and the Copernicus Data Space send milliseconds (Sentinel Hub documentation, rate limiting).
        timeout_s: (connect, read) timeouts of one request.
        sleep: waits; replaced in tests.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0
    retry_after_unit: RetryAfterUnit = "s"
    timeout_s: tuple[float, float] = (10.0, 120.0)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        """Refuse a policy that never asks."""
        if self.attempts < 1 or not 0.0 <= self.first_wait_s <= self.longest_wait_s:
            raise ValueError(
                f"a retry policy needs 1 or more attempts and 0 <= first wait <= longest wait, got {self.attempts}, "
                f"{self.first_wait_s} s and {self.longest_wait_s} s"
            )

    def wait_s(self, attempt: int, retry_after: str | None, where: str) -> float:
        """Seconds to wait after the given try, counted from 0.

        Raises:
            QuotaError: if the server asks for more patience than `longest_wait_s`.
        """
        backoff_s = min(self.first_wait_s * 2.0**attempt, self.longest_wait_s)
        asked_s = retry_after_s(retry_after, self.retry_after_unit) if retry_after else None
        if asked_s is not None and asked_s > self.longest_wait_s:
            raise QuotaError(
                f"{where} asks to wait {asked_s:.0f} s: its quota is spent for now. What was fetched is kept; run the "
                "same command again later and it goes on from there"
            )
        return max(backoff_s, asked_s or 0.0)


def retry_after_s(value: str, unit: RetryAfterUnit, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for.

    Args:
        value: a number, or an HTTP date.
        unit: what a number counts.
        now: UTC, aware; the present time where None.

    Returns:
        Seconds, never negative; None where the header cannot be read.
    """
    text = value.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
    if not 0.0 <= number < float("inf"):
        return None
    return number / 1000.0 if unit == "ms" else number


def send(
    ask: Callable[[], requests.Response],
    policy: RetryPolicy,
    where: str,
    reauthorise: Callable[[], None] | None = None,
) -> requests.Response:
    """Ask until there is an answer.

    Args:
        ask: sends the request once, with the policy's timeouts, and reads its body. Where it finds a good answer
            damaged it raises an exception of its own, derived from one of `requests` for a broken answer, whose text
            says what is wrong: that counts as no answer.
        policy: how often and how long.
        where: the service in words, for messages; no secret in it.
        reauthorise: gets a new token; called once, after the first 401.

    Returns:
        A response with a status below 400.

    Raises:
        FetchError: no answer within the policy, or a refusal of this request.
        QuotaError: the quota is spent.
        CredentialsError: the service refuses the credentials.
    """
    # Errors are raised outside of `except`, so that none carries along another whose text holds a signed address.
    problem, unasked = "no answer", ""
    authorised_again = False
    attempt = 0
    while attempt < policy.attempts:
        try:
            response = ask()
        except _PASSING as error:
            problem, retry_after = _in_words(error), None
        except requests.RequestException as error:
            unasked = _in_words(error)
            break
        else:
            status = response.status_code
            if status < 400:
                return response
            said = server_message(response)
            if status == 401 and reauthorise is not None and not authorised_again:
                authorised_again = True
                reauthorise()
                continue
            if status == 401 or (status == 403 and not _is_quota(said)):
                raise CredentialsError(
                    f"{where} refuses access ({status}: {said}); check the credentials with offing doctor"
                )
            if _is_quota(said):
                raise QuotaError(
                    f"{where} says the quota is spent ({status}: {said}). What was fetched is kept; run the same "
                    "command again when the quota is renewed"
                )
            if status not in _AGAIN:
                raise FetchError(f"{where} refuses the request ({status}: {said})")
            problem, retry_after = f"{status}: {said}", response.headers.get("Retry-After")
        attempt += 1
        if attempt < policy.attempts:
            policy.sleep(policy.wait_s(attempt - 1, retry_after, where))
    if unasked:
        raise FetchError(f"{where} cannot be asked ({unasked}); check its address")
    raise NoAnswerError(f"{where} gave no answer in {policy.attempts} tries ({problem}); try again later")


def server_message(response: requests.Response) -> str:
    """What a server says of an error, in one short line without secrets.

    Sentinel Hub wraps it (``{"error": {"message": ..., "code": ...}}``), sometimes does not, its catalogue says
    ``{"code": ..., "description": ...}``; S3 and Azure answer in XML, other servers in plain text or HTML.
    """
    try:
        text = response.content[:_BODY_CHARS].decode("utf-8", "replace")
    except requests.RequestException:  # the body of a streamed answer broke off
        text = ""
    said = " ".join(_said(text).split()) or response.reason or "no message"
    return redact(said)[:_MESSAGE_CHARS]


def redact(text: str) -> str:
    """A text without the queries of its addresses, passwords, tokens and signatures.

    For what others say, who may repeat what they were sent; one's own messages hold no secret in the first place.
    """
    for place, rest in _SECRET_PLACES:
        text = place.sub(rest, text)
    return text


def _said(text: str) -> str:
    """The telling part of an error's body."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        found = re.findall(r"(?is)<(code|message|title)>\s*([^<]+)", text)  # XML of S3 and Azure; HTML
        return " ".join(dict.fromkeys(part for _, part in found)) if found else text
    told = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(told, dict):
        parts = [told.get(key) for key in ("code", "message", "description", "detail", "reason", "error_description")]
        return " ".join(dict.fromkeys(str(part) for part in parts if part))
    return str(told)


def _in_words(error: requests.RequestException) -> str:
    """The kind of a failure, since its text holds the address; what a caller's own check says is taken as it is."""
    own = not type(error).__module__.startswith("requests")
    return (redact(str(error)) if own else "") or type(error).__name__


def _is_quota(said: str) -> bool:
    """True where a message speaks of a spent quota, not of too many requests at once."""
    words = said.lower().replace("_", " ")
    return "quota" in words or "insufficient processing units" in words or "out of processing units" in words
