import logging
import re
import traceback
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from imagery.credentials import Credentials, Secret
from imagery.errors import CredentialsError, FetchError, RasterError
from imagery.fetchers.remote import RemoteFiles
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.signing import PlainSigner, S3Access, SasSigner, SasTokens, without_query
from tests.servers.process import HOST
from tests.servers.scripted import scripted
from tests.stac_builder import UTM51, write_cog

pytest_plugins = ["tests.servers.nginx"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

QUICK = RetryPolicy(attempts=3, first_wait_s=0.02, timeout_s=(1.0, 5.0))
START = datetime(2023, 6, 11, tzinfo=UTC)
LIFE = timedelta(minutes=45)
WINDOW = Window(513, 700, 300, 77)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.time = START

    def __call__(self):
        return self.time


class TokenService:
    """Gives tokens that nginx lets pass until they are revoked."""

    def __init__(self, folder, clock):
        self.folder, self.clock, self.given, self.good = folder, clock, [], True

    def __call__(self, method, path, headers):
        collection = path.rpartition("/")[2]
        name = f"PLANTED-{collection}-{len(self.given)}"
        self.given.append(name)
        if self.good:
            (self.folder / name).touch()
        expiry = (self.clock() + LIFE).isoformat().replace("+00:00", "Z")
        return 200, {}, f'{{"msft:expiry": "{expiry}", "token": "sig={name}&se=x%2By"}}'.encode()

    def revoke(self):
        for token in self.folder.iterdir():
            token.unlink()


@pytest.fixture(scope="module")
def numbers():
    return np.random.default_rng(1).integers(1, 60000, (1500, 1300)).astype(np.uint16)


@pytest.fixture
def hrefs(nginx, numbers, request):
    folder = nginx.root / re.sub(r"\W", "_", request.node.name)
    folder.mkdir()
    for band in ("vv", "vh"):
        write_cog(folder / f"{band}.tif", numbers, transform=UTM51, blocksize=256)
    return [f"{nginx.signed}/{folder.name}/{band}.tif" for band in ("vv", "vh")]


@pytest.fixture
def service(nginx):
    made = TokenService(nginx.tokens, Clock())
    yield made
    made.revoke()


@pytest.fixture
def signer(service):
    with scripted(service) as server:
        tokens = SasTokens(
            endpoint=f"{server.url}/token", hosts=(HOST,), key=Secret("PLANTED-KEY"), policy=QUICK, now=service.clock
        )
        yield SasSigner(tokens=tokens, collection="sentinel-1-grd")


def reading(paths):
    parts = []
    for path in paths:
        with rasterio.open(path) as dataset:
            parts.append(dataset.read(1, window=WINDOW))
    return parts


def test_one_token_opens_all_files_of_a_collection(service, signer, hrefs, numbers):
    for _ in range(3):
        for part in RemoteFiles(signer=signer, policy=QUICK).use(hrefs, reading):
            np.testing.assert_array_equal(part, numbers[700:777, 513:813])
    other = SasSigner(tokens=signer.tokens, collection="sentinel-2-l2a")
    RemoteFiles(signer=other, policy=QUICK).use(hrefs, reading)
    assert service.given == ["PLANTED-sentinel-1-grd-0", "PLANTED-sentinel-2-l2a-1"]


def test_a_token_is_renewed_before_it_expires(service, signer, hrefs):
    files = RemoteFiles(signer=signer, policy=QUICK)
    for minutes, tokens in ((0, 1), (33, 1), (34, 2), (66, 2), (68, 3)):
        service.clock.time = START + timedelta(minutes=minutes)
        files.use(hrefs, reading)
        assert len(service.given) == tokens


def test_reading_goes_on_when_a_token_dies_in_the_middle(service, signer, hrefs, numbers):
    looked = []

    def work(paths):
        with rasterio.open(paths[0]) as dataset:
            dataset.read(1, window=Window(0, 0, 8, 8))
            if not looked:
                service.revoke()
            looked.append(paths[0])
            return dataset.read(1, window=Window(768, 1024, 500, 400))

    part = RemoteFiles(signer=signer, policy=QUICK).use(hrefs, work)
    np.testing.assert_array_equal(part, numbers[1024:1424, 768:1268])
    assert len(looked) == len(service.given) == 2


def test_a_token_that_is_never_good_is_reported_without_it(service, signer, hrefs):
    service.good = False
    with pytest.raises(CredentialsError, match=rf"{hrefs[0]} refuses access \(403") as caught:
        RemoteFiles(signer=signer, policy=QUICK).use(hrefs, reading)
    assert "PLANTED" not in "".join(traceback.format_exception(caught.value))
    assert len(service.given) == 2


def test_the_subscription_key_goes_with_the_request(service):
    with scripted(service) as server:
        SasTokens(endpoint=server.url, key=Secret("PLANTED-KEY"), policy=QUICK).token("a b/c")
        SasTokens(endpoint=server.url, policy=QUICK).token("x")
    (_, path, headers), (_, _, without) = server.asked
    assert path == "/a%20b%2Fc"
    assert headers["Ocp-Apim-Subscription-Key"] == "PLANTED-KEY"
    assert "Ocp-Apim-Subscription-Key" not in without


def test_a_busy_token_service_is_waited_for(service):
    calls = iter(range(9))
    with scripted(lambda *asked: (429, {}, b"") if next(calls) < 2 else service(*asked)) as server:
        assert SasTokens(endpoint=server.url, policy=QUICK).token("c").reveal().startswith("sig=PLANTED-c")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"token": "x"}', b'{"token": "x", "msft:expiry": "soon"}'])
def test_a_token_service_that_gives_none_is_reported(body):
    says = r"the token service of 127\.0\.0\.1 gave no token for c"
    with scripted(lambda *_: (200, {}, body)) as server, pytest.raises(FetchError, match=says):
        SasTokens(endpoint=server.url, policy=QUICK).token("c")


@pytest.mark.parametrize(
    ("href", "signed"),
    [
        ("https://sentinel1euwest.blob.core.windows.net/s1-grd/a.tif", True),
        ("https://sentinel1euwest.blob.core.windows.net/s1-grd/a.tif?sig=own", False),
        ("https://blob.core.windows.net.example.org/a.tif", False),
        ("https://example.org/a.tif", False),
    ],
)
def test_only_files_of_the_service_get_its_token(service, href, signed):
    with scripted(service) as server:
        signer = SasSigner(tokens=SasTokens(endpoint=server.url, policy=QUICK), collection="c")
        assert (signer.address(href).url == f"{href}?sig=PLANTED-c-0&se=x%2By") is signed
        assert signer.renew(href) is signed
        assert len(server.asked) == int(signed)


def test_no_signature_is_told_by_logs_errors_or_reprs(service, signer, hrefs, caplog):
    caplog.set_level(logging.DEBUG)
    files = RemoteFiles(signer=signer, policy=QUICK)
    files.use(hrefs, reading)
    told = [repr(files), repr(signer.address(hrefs[0])), repr(signer.tokens), str(signer.tokens.token("c"))]
    missing = [hrefs[0].replace("vv.tif", "no.tif")]
    with pytest.raises(FetchError, match=r"no\.tif is not there") as caught:
        files.use(missing, reading)
    told += traceback.format_exception(caught.value)
    service.good = False
    service.revoke()
    with pytest.raises(CredentialsError) as caught:
        files.use(hrefs, reading)
    told += traceback.format_exception(caught.value)
    service.good = True
    signer.renew(hrefs[0])

    def odd(paths):
        raise RasterError(f"{paths[0]} has 3 bands")

    with pytest.raises(FetchError, match=rf"{hrefs[0]} has 3 bands") as caught:
        files.use(hrefs, odd)
    told += traceback.format_exception(caught.value)
    told.append(caplog.text)
    assert "403" in caplog.text
    assert "PLANTED" not in "".join(told)


def test_queries_are_cut_wherever_they_stand():
    text = "GET https://a.b/c.tif?sig=x&se=y HTTP/1.1, '/vsicurl/https://a.b/c.tif?sig=x': 403"
    assert without_query(text) == "GET https://a.b/c.tif?... HTTP/1.1, '/vsicurl/https://a.b/c.tif?...': 403"


# ------------------------------------------------------------------------------------------------------------- S3


@pytest.mark.parametrize("token", [None, "a-token"])
@pytest.mark.parametrize("payer", [False, True])
def test_s3_signatures_are_those_of_botocore(need, token, payer):
    auth = pytest.importorskip("botocore.auth")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as BotoCredentials

    access = S3Access(
        endpoint="s3.eu-central-1.amazonaws.com",
        region="eu-central-1",
        key_id=Secret("AKIDEXAMPLE"),
        key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token=Secret(token) if token else None,
        requester_pays=payer,
    )
    address = access.address("sentinel-s1-l1c", "GRD/2023/6/11/IW/DV/S1A (copy)/measurement/iw-vv.tiff")
    ours = dict(address.headers)
    request = AWSRequest(method="GET", url=address.url, headers={"x-amz-request-payer": "requester"} if payer else {})
    request.context["timestamp"] = ours["x-amz-date"]
    keys = BotoCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    signer = auth.S3SigV4Auth(keys, "s3", "eu-central-1")
    request.headers["X-Amz-Content-SHA256"] = signer.payload(request)
    signer._inject_signature_to_request(
        request, signer.signature(signer.string_to_sign(request, _canonical(signer, request, token)), request)
    )
    assert (
        ours["Authorization"].replace(",Signed", ", Signed").replace(",Signature", ", Signature")
        == (request.headers["Authorization"])
    )
    assert address.url == (
        "https://sentinel-s1-l1c.s3.eu-central-1.amazonaws.com/GRD/2023/6/11/IW/DV/S1A%20%28copy%29/measurement/iw-vv.tiff"
    )


def _canonical(signer, request, token):
    """botocore's canonical request, at our time instead of its own."""
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    return signer.canonical_request(request)


KNOWN = Credentials({"AWS_ACCESS_KEY_ID": Secret("id"), "AWS_SECRET_ACCESS_KEY": Secret("key")})


@pytest.mark.parametrize(
    ("bucket", "environ", "url"),
    [
        ("eodata", {}, "https://eodata.dataspace.copernicus.eu/eodata/a/b.jp2"),
        ("usgs-landsat", {"AWS_REQUEST_PAYER": "requester"}, "https://usgs-landsat.s3.us-west-2.amazonaws.com/a/b.jp2"),
        ("mine", {"AWS_REGION": "eu-west-3"}, "https://mine.s3.eu-west-3.amazonaws.com/a/b.jp2"),
        (
            "mine",
            {"AWS_S3_ENDPOINT": "store.example:9000", "AWS_HTTPS": "NO"},
            "http://store.example:9000/mine/a/b.jp2",
        ),
        ("mine", {"AWS_S3_ENDPOINT": "http://store.example"}, "http://store.example/mine/a/b.jp2"),
        (
            "mine",
            {"AWS_S3_ENDPOINT": "https://store.example", "AWS_VIRTUAL_HOSTING": "TRUE"},
            "https://mine.store.example/a/b.jp2",
        ),
    ],
)
def test_buckets_lie_where_the_environment_and_their_providers_say(bucket, environ, url):
    access = S3Access.of_bucket(bucket, KNOWN, environ)
    address = access.address(bucket, "a/b.jp2")
    assert address.url == url
    assert address.path == f"/vsis3/{bucket}/a/b.jp2"
    assert address.secrets == {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}


def test_nobody_pays_who_has_not_agreed_to():
    with pytest.raises(CredentialsError, match=r"s3://sentinel-s1-l1c has its readers pay.*set AWS_REQUEST_PAYER"):
        S3Access.of_bucket("sentinel-s1-l1c", KNOWN, {})
    assert "AWS_REQUEST_PAYER" not in S3Access.of_bucket("mine", KNOWN, {}).address("mine", "k").options
    paying = S3Access.of_bucket("sentinel-s1-l1c", KNOWN, {"AWS_REQUEST_PAYER": "requester"})
    assert paying.address("sentinel-s1-l1c", "k").options["AWS_REQUEST_PAYER"] == "requester"


def test_reading_unsigned_needs_no_keys():
    access = S3Access.of_bucket("b", Credentials({}), {"AWS_NO_SIGN_REQUEST": "YES"})
    assert access.address("b", "k").headers == {}
    assert PlainSigner(s3=access).renew("s3://b/k") is False
