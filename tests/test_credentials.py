import copy
import dataclasses
import io
import json
import logging
import pickle
import sys
import traceback

import pytest

from imagery.credentials import NAMES, Credentials, Secret, default_file, read_credentials
from imagery.errors import CredentialsError

PLANTED = "PL4NTED-s3cr3t"


def write(path, text, mode=0o600):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def test_the_environment_goes_before_the_file(tmp_path):
    file = write(tmp_path / "c.toml", 'SH_CLIENT_ID = "from the file"\nSH_CLIENT_SECRET = "filed"\n')
    found = read_credentials({"SH_CLIENT_ID": "from the environment", "HOME": "x"}, file)
    client_id, secret = found.need("SH_CLIENT_ID", "SH_CLIENT_SECRET", purpose="a test")
    assert (client_id.reveal(), secret.reveal()) == ("from the environment", "filed")
    assert found.get("AWS_ACCESS_KEY_ID") is None


def test_what_is_empty_is_not_set(tmp_path):
    file = write(tmp_path / "c.toml", 'SH_CLIENT_ID = "  "\nSH_CLIENT_SECRET = "filed"\n')
    found = read_credentials({"SH_CLIENT_SECRET": "", "AWS_ACCESS_KEY_ID": " \n"}, file)
    assert found.get("SH_CLIENT_ID") is found.get("AWS_ACCESS_KEY_ID") is None
    assert found.get("SH_CLIENT_SECRET") == Secret("filed")


def test_the_line_break_of_a_pasted_secret_is_no_part_of_it(tmp_path):
    assert read_credentials({"SH_CLIENT_SECRET": "abc\n"}, tmp_path / "none").get("SH_CLIENT_SECRET") == Secret("abc")


def test_a_file_that_is_not_there_is_no_fault(tmp_path):
    assert read_credentials({}, tmp_path / "none.toml").secrets == {}


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({"OFFING_CREDENTIALS": "/x/y.toml", "XDG_CONFIG_HOME": "/c"}, "/x/y.toml"),
        ({"XDG_CONFIG_HOME": "/c"}, "/c/offing/credentials.toml"),
    ],
)
def test_where_the_file_is(environ, file):
    assert str(default_file(environ)) == file
    assert default_file({}).parts[-3:] == (".config", "offing", "credentials.toml")


def test_the_file_named_in_the_environment_is_read(tmp_path):
    file = write(tmp_path / "c.toml", 'SH_CLIENT_ID = "filed"')
    assert read_credentials({"OFFING_CREDENTIALS": str(file)}).get("SH_CLIENT_ID") == Secret("filed")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o602, 0o610])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    file = write(tmp_path / "c.toml", f'SH_CLIENT_SECRET = "{PLANTED}"', mode)
    with pytest.raises(CredentialsError, match=rf"can be read by others \(mode {mode:04o}\); run chmod 600 .*c\.toml"):
        read_credentials({}, file)
    file.chmod(0o400)
    assert read_credentials({}, file).get("SH_CLIENT_SECRET") == Secret(PLANTED)


WRONG = {
    "unknown name": (
        f'SH_SECRET = "{PLANTED}"',
        "an entry 'SH_SECRET' that is no known secret; known are SH_CLIENT_ID",
    ),
    "not TOML": (f"SH_CLIENT_SECRET = {PLANTED}", "is not TOML; write lines such as"),
    "a shell file": (f"export SH_CLIENT_SECRET={PLANTED}", "is not TOML"),
    "not text": (b'SH_CLIENT_SECRET = "' + PLANTED.encode() + b'\xff"', "is not TOML"),
    "too deep": ("SH_CLIENT_SECRET = " + "[" * 5000 + f'"{PLANTED}"', "is not TOML"),
    "a number": (f'SH_CLIENT_ID = "{PLANTED}"\nSH_CLIENT_SECRET = 3', "SH_CLIENT_SECRET that is no plain text"),
    "a table": (f'[SH_CLIENT_SECRET]\na = "{PLANTED}"', "that is no plain text"),
    "two lines": (f'SH_CLIENT_SECRET = "{PLANTED}\\n{PLANTED}"', "that is no plain text"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_wrong_is_told_without_its_content(tmp_path, kind):
    text, told = WRONG[kind]
    file = write(tmp_path / "c.toml", text)
    with pytest.raises(CredentialsError, match=r".*c\.toml.*" + told) as caught:
        read_credentials({"AWS_SECRET_ACCESS_KEY": PLANTED}, file)
    assert PLANTED not in everything(caught.value)


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    with pytest.raises(CredentialsError, match="cannot be read: Is a directory"):
        read_credentials({}, tmp_path)


def test_a_secret_of_two_lines_in_the_environment_is_told(tmp_path):
    with pytest.raises(
        CredentialsError, match="the environment variable SH_CLIENT_SECRET holds a control char"
    ) as caught:
        read_credentials({"SH_CLIENT_SECRET": f"{PLANTED}\r\nX-Evil: 1"}, tmp_path / "none")
    assert PLANTED not in everything(caught.value)


def test_what_is_missing_is_told_with_where_to_put_it():
    found = Credentials({"SH_CLIENT_ID": Secret(PLANTED)})
    with pytest.raises(CredentialsError, match=r"the source x needs SH_CLIENT_SECRET; set it|them in") as caught:
        found.need("SH_CLIENT_ID", "SH_CLIENT_SECRET", purpose="the source x")
    assert "chmod 600" in str(caught.value)
    assert "SH_CLIENT_ID" not in str(caught.value)
    assert PLANTED not in everything(caught.value)


def everything(error):
    """All that a crash report could show: the chain of errors, their attributes, and every frame's variables."""
    text = ""
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [f for f in told.stack if not f.filename.endswith("test_credentials.py")]
        text += "".join(traceback.StackSummary.from_list(frames).format()) + repr(error) + repr(vars(error))
        text += "".join(repr(frame.locals) for frame in frames) + repr(error.args)
        error = error.__cause__ or error.__context__
    return text


@pytest.fixture
def planted(tmp_path):
    return read_credentials({name: f"{PLANTED}-{name}" for name in NAMES}, tmp_path / "none")


def test_nothing_shows_a_secret(planted):
    secret = planted.get(NAMES[0])
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        f"{secret} {secret!r}",
        repr(planted),
        str(planted),
    ]
    shown += [repr(vars(planted)), repr(dataclasses.fields(planted)), ascii(planted), repr([planted, {"x": secret}])]
    shown += [json.dumps(vars(planted)["secrets"], default=repr), repr(hash(secret) and secret)]
    assert not any(PLANTED in text for text in shown)
    assert secret.reveal() == f"{PLANTED}-{NAMES[0]}"


@pytest.mark.parametrize(
    "write_down",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce_ex__(4),
        lambda secret: dataclasses.asdict(Credentials({"SH_CLIENT_ID": secret})),
        lambda secret: pickle.dumps(Credentials({"SH_CLIENT_ID": secret})),
        json.dumps,
        lambda secret: json.dumps(secret, default=vars),
        lambda secret: format(secret, ">30"),
        lambda secret: "" + secret,
        iter,
    ],
)
def test_nothing_writes_a_secret_down(write_down):
    with pytest.raises(TypeError) as caught:
        write_down(Secret(PLANTED))
    assert PLANTED not in str(caught.value)


def test_no_log_shows_a_secret(planted):
    stream = io.StringIO()
    log = logging.Logger("test", logging.DEBUG)
    log.addHandler(logging.StreamHandler(stream))
    secret = planted.get("SH_CLIENT_SECRET")
    log.info("%s %r %s", secret, planted, {"key": secret})
    try:
        planted.need("SH_CLIENT_SECRET", "NO_SUCH", purpose="a test")
    except CredentialsError:
        log.exception("with %s", secret)
    assert "Secret(...)" in stream.getvalue()
    assert PLANTED not in stream.getvalue()


def test_secrets_are_equal_by_what_they_hold():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_crash_deep_inside_shows_no_secret(planted):
    """A function that holds the credentials fails; its variables are printed."""

    def work(credentials, secret):
        raise ValueError("something else")

    try:
        work(planted, planted.get("SH_CLIENT_SECRET"))
    except ValueError:
        told = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())
    assert "credentials = Credentials(secrets=" in told
    assert PLANTED not in told
