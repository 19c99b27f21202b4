import logging
import os
import re
import socket
import traceback

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from imagery.errors import CredentialsError, FetchError, UnitError
from imagery.fetchers.remote import RemoteFiles, in_parallel
from imagery.fetchers.retry import RetryPolicy
from imagery.fetchers.signing import PlainSigner, S3Access
from tests.servers.process import HOST, free_port
from tests.servers.scripted import scripted
from tests.stac_builder import UTM51, write_cog

pytest_plugins = ["tests.servers.nginx", "tests.servers.s3"]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

QUICK = RetryPolicy(attempts=3, first_wait_s=0.02, timeout_s=(1.0, 1.0))
WINDOWS = [Window(0, 0, 256, 256), Window(513, 700, 300, 77), Window(1200, 1400, 100, 100), Window(7, 9, 1, 1)]


@pytest.fixture(scope="module")
def numbers():
    return np.random.default_rng(0).integers(1, 60000, (1500, 1300)).astype(np.uint16)


@pytest.fixture(scope="module")
def cog(numbers, tmp_path_factory):
    return write_cog(tmp_path_factory.mktemp("cog") / "a.tif", numbers, transform=UTM51, blocksize=256)


@pytest.fixture(scope="module")
def body(cog):
    return cog.read_bytes()


@pytest.fixture
def folder(nginx, request):
    """A folder of this test's own under the served one."""
    path = nginx.root / re.sub(r"\W", "_", request.node.name)
    path.mkdir()
    return path


def reading(window):
    def work(paths):
        with rasterio.open(paths[0]) as dataset:
            return dataset.read(1, window=window)

    return work


def read(href, window=WINDOWS[0], *, policy=QUICK, signer=None):
    return RemoteFiles(signer=signer or PlainSigner(), policy=policy).use([href], reading(window))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_equals_rasterios_own_read_of_the_file(nginx, folder, cog, body, window):
    (folder / "a.tif").write_bytes(body)
    with rasterio.open(cog) as dataset:
        np.testing.assert_array_equal(
            read(f"{nginx.plain}/{folder.name}/a.tif", window), dataset.read(1, window=window)
        )


def test_only_ranges_are_asked_for_and_no_neighbouring_files(nginx, folder, body):
    (folder / "a.tif").write_bytes(body)
    read(f"{nginx.plain}/{folder.name}/a.tif", WINDOWS[3])
    asked = [r for r in nginx.requests(nginx.plain) if folder.name in r[2]]
    assert {path for _, _, path, _ in asked} == {f"/{folder.name}/a.tif"}
    assert all(method == "HEAD" or bounds.startswith("bytes=") for method, _, _, bounds in asked)
    spans = [[int(n) for n in bounds[6:].split("-")] for method, _, _, bounds in asked if method == "GET"]
    assert sum(last - first + 1 for first, last in spans) < len(body) / 4


def test_a_missing_file_is_an_error_and_is_found_once_it_is_there(nginx, folder, body, numbers):
    href = f"{nginx.plain}/{folder.name}/late.tif"
    with pytest.raises(FetchError, match=r"late\.tif is not there \(404\) although the catalogue lists it"):
        read(href)
    (folder / "late.tif").write_bytes(body)
    np.testing.assert_array_equal(read(href), numbers[:256, :256])


@pytest.mark.parametrize("share", [0.6, 0.01])
def test_a_truncated_file_is_an_error_and_never_zeros(nginx, folder, body, share):
    (folder / "cut.tif").write_bytes(body[: int(len(body) * share)])
    with pytest.raises(FetchError, match=r"cut\.tif cannot be read though the server answers: truncated or damaged"):
        read(f"{nginx.plain}/{folder.name}/cut.tif", Window(1000, 1200, 200, 200))


def test_what_is_no_raster_is_an_error(nginx, folder):
    (folder / "page.tif").write_text("<html>sorry</html>" * 100)
    with pytest.raises(FetchError, match="truncated or damaged"):
        read(f"{nginx.plain}/{folder.name}/page.tif")


def test_a_server_without_ranges_is_named_with_what_to_do(nginx, folder, body):
    (folder / "a.tif").write_bytes(body)
    with pytest.raises(FetchError, match=r"sends whole files only \(no byte ranges\).*folder:DIR"):
        read(f"{nginx.no_ranges}/{folder.name}/a.tif")


def test_a_rate_limited_server_is_waited_for(nginx, folder, body, numbers):
    (folder / "a.tif").write_bytes(body)
    patient = RetryPolicy(attempts=6, first_wait_s=0.3)
    np.testing.assert_array_equal(read(f"{nginx.limited}/{folder.name}/a.tif", policy=patient), numbers[:256, :256])
    assert "429" in {status for _, status, path, _ in nginx.requests(nginx.limited) if folder.name in path}


def test_a_server_that_goes_on_refusing_is_given_up(body):
    waits = []
    policy = RetryPolicy(attempts=3, first_wait_s=0.01, sleep=waits.append)
    says = r"gave no answer in 3 tries \(429: slow down\)"
    with (
        scripted(lambda *_: (429, {"Retry-After": "7"}, b"slow down")) as server,
        pytest.raises(FetchError, match=says),
    ):
        read(f"{server.url}/a.tif", policy=policy)
    assert waits == [7.0, 7.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("first_good", [0, 2, 3], ids=["at open", "in the header", "in a tile"])
def test_passing_server_errors_do_not_show(body, numbers, status, first_good):
    calls = iter(range(1000))

    def answer(*_):
        return (status, {}, b"oops") if first_good <= next(calls) < first_good + 2 else (200, {}, body)

    with scripted(answer) as server:
        np.testing.assert_array_equal(read(f"{server.url}/a.tif"), numbers[:256, :256])


def test_a_body_that_breaks_off_is_asked_for_again(body, numbers):
    broken = []

    def answer(method, path, headers):
        if method == "GET" and headers.get("Range", "").startswith("bytes=") and len(broken) < 2:
            first, last = (int(n) for n in headers["Range"][6:].split("-"))
            if first > 0:
                broken.append(first)
                part = body[first : last + 1]
                sent = {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
                return 206, sent, part[: len(part) // 2]
        return 200, {}, body

    with scripted(answer) as server:
        np.testing.assert_array_equal(read(f"{server.url}/a.tif", WINDOWS[1]), numbers[700:777, 513:813])
    assert broken


def test_a_server_that_never_answers_is_given_up():
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen()
        policy = RetryPolicy(attempts=1, timeout_s=(1.0, 1.0))
        with pytest.raises(FetchError, match=r"gave no answer in 1 tries \(ReadTimeout\)"):
            read(f"http://{HOST}:{silent.getsockname()[1]}/a.tif", policy=policy)


def test_a_closed_port_is_given_up():
    with pytest.raises(FetchError, match=r"gave no answer in 3 tries \(ConnectionError\)"):
        read(f"http://{HOST}:{free_port()}/a.tif")


def test_an_error_that_is_not_for_want_of_bytes_passes_at_once(nginx, folder):
    calls = []

    def work(paths):
        calls.append(paths)
        raise UnitError(f"the unit of {paths[0]} is odd")

    with pytest.raises(FetchError, match=rf"the unit of {nginx.plain}/a\.tif is odd; other scenes may be well"):
        RemoteFiles(policy=QUICK).use([f"{nginx.plain}/a.tif"], work)
    assert len(calls) == 1


def test_a_tile_index_that_comes_too_late_is_an_error_and_never_zeros(nginx, folder):
    """GDAL loads a tile index when it first reads, and takes one that it cannot have for that of a sparse file."""
    index = np.arange(3000 * 3000, dtype=np.uint16).reshape(3000, 3000) | 1
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 3000, "width": 3000, "crs": "EPSG:32651"}
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "zlevel": 1}
    with rasterio.open(folder / "a.tif", "w", **profile, **tiles, transform=UTM51) as dataset:
        dataset.write(index, 1)
    token = nginx.tokens / "late"
    tries = []

    def work(paths):
        tries.append(1)
        token.touch()
        with rasterio.open(paths[0]) as dataset:
            if len(tries) == 1:
                token.unlink()
            return dataset.read(1, window=Window(2900, 2900, 100, 100))

    try:
        with pytest.raises(CredentialsError, match="refuses access"):
            RemoteFiles(policy=QUICK).use([f"{nginx.signed}/{folder.name}/a.tif?sig=late"], work)
        part = RemoteFiles(policy=QUICK).use([f"{nginx.signed}/{folder.name}/a.tif?sig=late"], work)
        np.testing.assert_array_equal(part, index[2900:, 2900:])
    finally:
        token.unlink(missing_ok=True)


@pytest.mark.parametrize("share", [0.9, 0.02])
def test_a_truncated_jpeg_2000_file_is_an_error_and_never_a_guess(nginx, folder, numbers, share):
    path = folder / "whole.jp2"
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        dtype="uint16",
        count=1,
        height=600,
        width=500,
        crs="EPSG:32651",
        transform=UTM51,
        REVERSIBLE="YES",
        QUALITY="100",
        BLOCKXSIZE=256,
        BLOCKYSIZE=256,
    ) as dataset:
        dataset.write(numbers[:600, :500], 1)
    np.testing.assert_array_equal(read(f"{nginx.plain}/{folder.name}/whole.jp2"), numbers[:256, :256])
    content = path.read_bytes()
    (folder / "cut.jp2").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FetchError, match=r"cut\.jp2 cannot be read though the server answers: truncated or damaged"):
        read(f"{nginx.plain}/{folder.name}/cut.jp2", Window(0, 0, 500, 600))


def test_other_addresses_are_refused():
    with pytest.raises(FetchError, match=r"file:///etc/passwd is no address that can be read from afar"):
        read("file:///etc/passwd")


def test_a_small_file_comes_whole(nginx, folder):
    (folder / "a.xml").write_bytes(b"<a/>" * 5000)
    assert RemoteFiles(policy=QUICK).download(f"{nginx.plain}/{folder.name}/a.xml") == b"<a/>" * 5000
    with pytest.raises(FetchError, match=r"b\.xml is not there \(404\)"):
        RemoteFiles(policy=QUICK).download(f"{nginx.plain}/{folder.name}/b.xml")


def test_parallel_work_keeps_its_order():
    assert in_parallel(lambda n: n * n, range(50)) == [n * n for n in range(50)]


# ------------------------------------------------------------------------------------------------------------- S3

KEYS = {"AWS_ACCESS_KEY_ID": "PLANTED-KEY-ID", "AWS_SECRET_ACCESS_KEY": "PLANTED-SECRET"}


@pytest.fixture
def s3_environment(s3, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OFFING_CREDENTIALS", str(tmp_path / "none.toml"))
    monkeypatch.setenv("AWS_S3_ENDPOINT", s3.endpoint)
    return s3


def test_s3_is_read_with_keys_from_the_environment(s3_environment, cog, numbers, monkeypatch):
    href = s3_environment.put("a/b c.tif", cog)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    np.testing.assert_array_equal(read(href, WINDOWS[1]), numbers[700:777, 513:813])
    assert RemoteFiles(policy=QUICK).download(href) == cog.read_bytes()


def test_s3_is_read_without_a_signature_where_the_environment_says_so(s3_environment, cog, numbers, monkeypatch):
    href = s3_environment.put("public.tif", cog, public=True)
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    np.testing.assert_array_equal(read(href), numbers[:256, :256])


def test_s3_without_keys_says_what_to_set(s3_environment):
    with pytest.raises(
        CredentialsError, match=r"reading s3://eodata needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        read("s3://eodata/a.tif")


def test_a_missing_object_is_an_error_and_is_found_once_it_is_there(s3_environment, cog, numbers, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FetchError, match=r"s3://eodata/late\.tif is not there \(404\)"):
        read("s3://eodata/late.tif")
    np.testing.assert_array_equal(read(s3_environment.put("late.tif", cog)), numbers[:256, :256])


def test_no_key_is_told_by_logs_errors_or_reprs(s3_environment, cog, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    access = S3Access.of_bucket("eodata")
    read(s3_environment.put("told.tif", cog))
    with pytest.raises(FetchError) as caught:
        read("s3://eodata/nothing.tif")
    told = [caplog.text, repr(access), repr(access.address("eodata", "x")), *traceback.format_exception(caught.value)]
    assert "PLANTED" not in "".join(told)
