"""Secrets: from the environment or a file that only its owner can read, and never shown."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from imagery.errors import CredentialsError

# Every name that offing reads: those of sentinelhub-py's settings, of Microsoft's Planetary Computer, and of GDAL.
SENTINEL_HUB = ("SH_CLIENT_ID", "SH_CLIENT_SECRET")
NAMES = (*SENTINEL_HUB, "PC_SDK_SUBSCRIPTION_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
FILE_VARIABLE = "OFFING_CREDENTIALS"


class Secret:
    """Text that no repr, str, format, copy or pickle shows; `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep a secret."""
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")

    __getstate__ = __reduce__


@dataclass(frozen=True)
class Credentials:
    """Secrets by the name of their environment variable."""

    secrets: Mapping[str, Secret]

    def get(self, name: str) -> Secret | None:
        """A secret, or None where it is not set."""
        return self.secrets.get(name)

    def need(self, *names: str, purpose: str) -> tuple[Secret, ...]:
        """Secrets that must be there.

        Raises:
            CredentialsError: if one is not set; names what is missing and for what.
        """
        missing = [name for name in names if name not in self.secrets]
        if missing:
            raise CredentialsError(
                f"{purpose} needs {' and '.join(missing)}; set them in the environment, or in {default_file()} "
                "(TOML, readable by you alone: chmod 600)"
            )
        return tuple(self.secrets[name] for name in names)


def default_file(environ: Mapping[str, str] | None = None) -> Path:
    """``$OFFING_CREDENTIALS``, else ``offing/credentials.toml`` in the user's configuration folder."""
    environ = os.environ if environ is None else environ
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "offing" / "credentials.toml"


def read_credentials(environ: Mapping[str, str] | None = None, file: Path | None = None) -> Credentials:
    """All known secrets; the environment goes before the file.

    Args:
        environ: the environment; None takes the process's own.
        file: TOML with the names as keys; None takes `default_file`, which need not exist.

    Raises:
        CredentialsError: if the file can be read by others, is not TOML, or holds an unknown name; or if a secret
            holds a line break or another character that no secret has.
    """
    # A traceback may show the variables of every function that it passes: here, and in what raises below, none holds
    # a secret in plain text.
    file = file or default_file(environ)
    given, problem = _of_environment(environ)
    del environ
    stored, problem_of_file = _of_file(file)
    if problem or problem_of_file:
        raise CredentialsError(problem_of_file or problem)
    return Credentials(stored | given)


def _of_environment(environ: Mapping[str, str] | None) -> tuple[dict[str, Secret], str]:
    """Secrets, and what is wrong with one of them; raises nothing."""
    environ = os.environ if environ is None else environ
    texts = {name: environ.get(name, "").strip() for name in NAMES}
    wrong = [name for name, text in texts.items() if not text.isprintable()]
    problem = f"the environment variable {wrong[0]} holds a control character; set it again" if wrong else ""
    return {name: Secret(text) for name, text in texts.items() if text}, problem


def _of_file(path: Path) -> tuple[dict[str, Secret], str]:
    """Secrets, none where there is no file, and what is wrong with it; raises nothing."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                return {}, f"{path} holds secrets and can be read by others (mode {mode:04o}); run chmod 600 {path}"
            table: dict[str, Any] = tomllib.load(file)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror or type(error).__name__}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return {}, f'{path} is not TOML; write lines such as SH_CLIENT_ID = "..."'
    for name, value in table.items():
        if name not in NAMES:
            return {}, f"{path} has an entry {name!r} that is no known secret; known are {', '.join(NAMES)}"
        if not isinstance(value, str) or not value.strip().isprintable():
            return {}, f'{path} has a {name} that is no plain text; write {name} = "..." on one line'
    return {name: Secret(value.strip()) for name, value in table.items() if value.strip()}, ""
