import gzip
import json
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from imagery.errors import CredentialsError, FetchError, ImageryError, QuotaError
from imagery.fetchers.retry import RetryPolicy, redact, retry_after_s, send, server_message
from tests.servers.scripted import scripted

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NOW = datetime(2024, 2, 28, 23, 59, 30, tzinfo=UTC)
PLANTED = "PL4NTED"


class Script:
    """Answers, one after the other, of a server; the last one stays."""

    def __init__(self, *answers):
        self.answers, self.given = answers, 0

    def __call__(self, method, path, headers):
        status, more, body = self.answers[min(self.given, len(self.answers) - 1)]
        self.given += 1
        return status, more, body if isinstance(body, bytes) else json.dumps(body).encode()


def policy(**more):
    """A policy whose waits are written down instead of waited for."""
    waits = []
    return RetryPolicy(**{"attempts": 4, "sleep": waits.append, "timeout_s": (2.0, 5.0), **more}), waits


def asked(script, policy, reauthorise=None, query=""):
    """What `send` makes of a server's answers."""
    with scripted(script) as server:
        return send(
            lambda: requests.get(server.url + query, timeout=policy.timeout_s), policy, "the service", reauthorise
        )


OK = (200, {}, {"well": True})


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        ("3398", "ms", 3.398),  # the example of Sentinel Hub's documentation
        ("3398", "s", 3398.0),
        ("0", "ms", 0.0),
        ("120", "s", 120.0),
        (" 1.5 ", "s", 1.5),
        ("Wed, 28 Feb 2024 23:59:59 GMT", "s", 29.0),
        ("Wed, 28 Feb 2024 23:59:59 GMT", "ms", 29.0),  # a date is a date whatever numbers count
        ("Thu, 29 Feb 2024 00:00:30 GMT", "ms", 60.0),
        ("Wednesday, 28-Feb-24 23:59:59 GMT", "s", 29.0),  # RFC 850, which RFC 9110 section 5.6.7 asks to accept
        ("Wed Feb 28 23:59:59 2024", "s", 29.0),  # asctime, likewise
        ("Wed, 28 Feb 2024 23:00:00 GMT", "s", 0.0),  # past
        ("-5", "s", None),
        ("nan", "s", None),
        ("inf", "ms", None),
        ("1e999", "s", None),
        ("soon", "s", None),
        ("", "s", None),
    ],
)
def test_retry_after(value, unit, seconds):
    found = retry_after_s(value, unit, NOW)
    assert found == pytest.approx(seconds) if seconds is not None else found is None


@given(st.text(max_size=40), st.sampled_from(["s", "ms"]))
def test_retry_after_never_raises(text, unit):
    found = retry_after_s(text, unit, NOW)
    assert found is None or 0.0 <= found < float("inf")


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2200, 1, 1)).map(lambda time: time.replace(microsecond=0, tzinfo=UTC))
)
def test_every_http_date_is_read(when):
    assert retry_after_s(format_datetime(when, usegmt=True), "ms", NOW) == max(0.0, (when - NOW).total_seconds())


@pytest.mark.parametrize(
    ("unit", "header", "wait"),
    [
        ("ms", "3400", 3.4),
        ("s", "7", 7.0),
        ("ms", "2", 1.0),  # a proxy's two seconds, taken for milliseconds: never below the floor
        ("s", "0", 1.0),
        ("s", "never", 1.0),
        ("s", None, 1.0),
    ],
)
def test_a_server_s_wish_is_granted_above_the_floor(unit, header, wait):
    chosen, waits = policy(retry_after_unit=unit)
    limited = (429, {"Retry-After": header} if header else {}, {"error": {"code": "RATE_LIMIT_EXCEEDED"}})
    assert asked(Script(limited, OK), chosen).json() == {"well": True}
    assert waits == [wait]


def test_a_date_is_waited_for():
    chosen, waits = policy()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    asked(Script((503, {"Retry-After": date}, b""), OK), chosen)
    assert waits == [pytest.approx(29.5, abs=2.5)]


@pytest.mark.parametrize(("unit", "header"), [("s", "3600"), ("ms", "3600000")])
def test_a_wish_beyond_the_budget_is_a_spent_quota(unit, header):
    chosen, waits = policy(retry_after_unit=unit, longest_wait_s=60.0)
    with pytest.raises(QuotaError, match="the service asks to wait 3600 s: its quota is spent for now"):
        asked(Script((429, {"Retry-After": header}, b"slow down"), OK), chosen)
    assert waits == []


def test_waits_double_and_end():
    chosen, waits = policy(attempts=6, first_wait_s=2.0, longest_wait_s=10.0)
    script = Script((503, {}, b"<html><head><title>Service Unavailable</title></head><body>x</body></html>"))
    with pytest.raises(FetchError, match=r"the service gave no answer in 6 tries \(503: Service Unavailable\)"):
        asked(script, chosen)
    assert script.given == 6
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    chosen, waits = policy()
    assert asked(Script((status, {}, b""), (status, {}, b""), OK), chosen).json() == {"well": True}
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 422, 501])
def test_a_refused_request_is_not_repeated(status):
    chosen, waits = policy()
    script = Script((status, {}, {"code": 400, "description": "bad bbox"}), OK)
    with pytest.raises(FetchError, match=rf"the service refuses the request \({status}: 400 bad bbox\)"):
        asked(script, chosen)
    assert (script.given, waits) == (1, [])


def test_a_token_that_ran_out_is_renewed_once():
    chosen, waits = policy()
    renewed = []
    script = Script((401, {}, {"error": {"message": "token expired"}}), (503, {}, b""), OK)
    assert asked(script, chosen, lambda: renewed.append(1)).json() == {"well": True}
    assert (renewed, waits) == ([1], [1.0])  # it does not count as a try


def test_a_new_token_that_is_refused_too_is_the_end():
    chosen, _ = policy()
    renewed = []
    script = Script((401, {}, {"error": {"message": "unknown client"}}))
    with pytest.raises(CredentialsError, match=r"the service refuses access \(401: unknown client\); .* offing doctor"):
        asked(script, chosen, lambda: renewed.append(1))
    assert (renewed, script.given) == ([1], 2)


def test_without_a_way_to_renew_a_401_is_the_end():
    script = Script((401, {}, b""))
    with pytest.raises(CredentialsError, match="401: Unauthorized"):
        asked(script, policy()[0])
    assert script.given == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"status": 403, "reason": "Forbidden", "message": "Insufficient processing units", "code": "X"}},
        {"code": "QUOTA_EXCEEDED", "description": "monthly"},
        b"Your quota is used up",
    ],
)
@pytest.mark.parametrize("status", [403, 429])
def test_a_spent_quota_is_told_from_missing_rights(body, status):
    script = Script((status, {}, body), OK)
    with pytest.raises(QuotaError, match="the service says the quota is spent"):
        asked(script, policy()[0])
    assert script.given == 1
    with pytest.raises(CredentialsError, match="COMMON_INSUFFICIENT_PERMISSIONS not yours"):
        asked(
            Script((403, {}, {"error": {"code": "COMMON_INSUFFICIENT_PERMISSIONS", "message": "not yours"}})),
            policy()[0],
        )


def test_a_truncated_body_is_asked_for_again():
    whole = b"x" * 1000
    cut = (200, {"Content-Length": "1000"}, whole[:400])
    assert asked(Script(cut, cut, (200, {}, whole)), policy()[0]).content == whole
    with pytest.raises(FetchError, match=r"gave no answer in 4 tries \(ChunkedEncodingError\)|\(ConnectionError\)"):
        asked(Script(cut), policy()[0])


def test_a_chunked_body_that_breaks_off_is_asked_for_again():
    broken = (200, {"Transfer-Encoding": "chunked", "Content-Length": ""}, b"5\r\nhello\r\nffff\r\nbut no more")
    assert asked(Script(broken, OK), policy()[0]).json() == {"well": True}


def test_damaged_compression_is_asked_for_again():
    damaged = (200, {"Content-Encoding": "gzip"}, b"this is no gzip")
    well = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"well"))
    assert asked(Script(damaged, well), policy()[0]).content == b"well"
    with pytest.raises(FetchError, match="ContentDecodingError"):
        asked(Script(damaged), policy()[0])


class NoTiffError(requests.exceptions.ChunkedEncodingError):
    pass


def test_garbage_that_a_caller_finds_is_asked_for_again_and_named():
    chosen, waits = policy()
    answers = iter([b"<html>", b"<html>", b"II*\0"])

    def ask():
        response = requests.Response()
        response.status_code, response._content = 200, next(answers, b"<html>")
        if not response.content.startswith(b"II"):
            raise NoTiffError("it is no TIFF")
        return response

    assert send(ask, chosen, "the service").content == b"II*\0"
    assert waits == [1.0, 2.0]
    with pytest.raises(FetchError, match=r"no answer in 4 tries \(it is no TIFF\)"):
        send(ask, chosen, "the service")


def test_a_server_that_says_nothing_is_given_up_in_time():
    chosen, waits = policy(attempts=2, timeout_s=(1.0, 0.2))

    def slow(method, path, headers):
        time.sleep(0.6)  # longer than the read timeout
        return 200, {}, b""

    with pytest.raises(FetchError, match=r"gave no answer in 2 tries \(ReadTimeout\)"):
        asked(slow, chosen)
    assert waits == [1.0]


def test_a_closed_port_is_given_up():
    with scripted(Script(OK)) as server:
        pass
    chosen, waits = policy()
    with pytest.raises(FetchError, match="ConnectionError"):
        send(lambda: requests.get(server.url, timeout=1.0), chosen, "the service")
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "address", ["no address", "http://", "ftp://host/x?sig=PL4NTED", "http://host:port/?sig=PL4NTED"]
)
def test_an_impossible_address_is_one_sentence(address):
    with pytest.raises(FetchError, match=r"the service cannot be asked \(\w+\); check its address") as caught:
        send(lambda: requests.get(address, timeout=1.0), policy()[0], "the service")
    assert PLANTED not in shown(caught.value)


def shown(error):
    """An error as a crash report may have it: all that led to it, with the variables of our own functions."""
    text = ""
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        text += "".join(told.format_exception_only()) + repr(error)
        text += "".join(repr(frame.locals) for frame in told.stack if frame.filename.endswith("fetchers/retry.py"))
        error = error.__cause__ or error.__context__
    return text


SIGNED = f"/tile.tif?X-Amz-Signature={PLANTED}&sv=1&sig={PLANTED}"


@pytest.mark.parametrize(
    "body",
    [
        f"no such address: http://host{SIGNED}".encode(),
        f"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{PLANTED}</AWSAccessKeyId></Error>".encode(),
        f"<Error><SignatureProvided>{PLANTED}</SignatureProvided></Error>".encode(),
        {"error": {"message": f"bad request {SIGNED}"}},
        {"message": f"client_secret={PLANTED} is wrong"},
        {"message": f"Authorization: Bearer {PLANTED}.x"},
        {"error": f'bad body {{"client_secret": "{PLANTED}"}}'},
        f"http://user:{PLANTED}@host/ is not allowed".encode(),
        f"X-Amz-Security-Token: {PLANTED}".encode(),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_no_secret_that_a_server_repeats_is_told(status, body):
    with pytest.raises(ImageryError) as caught:
        asked(Script((status, {}, body)), policy()[0], query=SIGNED)
    assert PLANTED not in shown(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Length": "1000"}, b"cut"),
        (200, {"Content-Encoding": "gzip"}, b"no gzip"),
        (301, {"Location": f"http://127.0.0.1:1{SIGNED}"}, b""),
        (302, {"Location": SIGNED}, b""),  # for ever
    ],
)
def test_no_signed_address_is_told_when_an_answer_breaks(answer):
    with pytest.raises(ImageryError) as caught:
        asked(Script(answer), policy()[0], query=SIGNED)
    assert PLANTED not in shown(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "why? because a=b is wrong",
        "Bearer token missing",
        "Invalid token: jwt expired",
        "tile?x",
        "Quota: 100 of 100 used",
        "see https://docs.example/limits",
    ],
)
def test_plain_words_are_left_alone(text):
    assert redact(text) == text


@given(
    st.lists(st.sampled_from(["token", "=", ":", " ", "?", "a1", "//", "@", "Bearer", "eyJa.b", "<Token>", "'", "&"]))
)
def test_what_is_redacted_once_stays_as_it_is(parts):
    once = redact("".join(parts))
    assert redact(once) == once


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"status":429,"reason":"R","message":"m","code":"C"}}', "C m R"),
        (b'{"code":400,"description":"d"}', "400 d"),
        (b'{"error":"invalid_client","error_description":"d"}', "invalid_client"),
        (b'{"detail":"not found"}', "not found"),
        (b"[1, 2]", "[1, 2]"),
        (b"  two\n  lines ", "two lines"),
        (b"", "Teapot"),
        (b"{}", "Teapot"),
        (b"null", "None"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", "NoSuchKey gone"),
        (b"<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>", "502 Bad Gateway"),
        (b"\xff\xfe\x00", "��\0"),
        (b"[" * 100_000, "[" * 300),
        (b"x" * 10_000, "x" * 300),
    ],
)
def test_what_a_server_says(body, said):
    response = requests.Response()
    response.status_code, response._content, response.reason = 418, body, "Teapot"
    assert server_message(response) == said


def test_a_streamed_error_that_breaks_off_is_still_an_error():
    cut = Script((404, {"Content-Length": "1000"}, b"no such"))
    with scripted(cut) as server, pytest.raises(FetchError, match="404"):
        send(lambda: requests.get(server.url, timeout=2.0, stream=True), policy()[0], "the service")


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_wait_s": -1.0}, {"longest_wait_s": 0.1}])
def test_a_policy_that_never_asks_is_refused(wrong):
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**wrong)
