"""Secrets: fixed ones, and those that a function returns or a file contains."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from time import time_ns
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError

_MAX_FILE_BYTES: Final = 64 * 1024
_NEVER_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # for the writer of a FIFO; not on Windows
# Two changes within one tick of a file system's clock have the same time.
_CLOCK_TICK: Final = 1_000_000_000  # nanoseconds


class HiddenText(str):
    """A secret that tracebacks and debug pages do not show; formatting it results in the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class Secret:
    """A token, or a URL with a password; hidden in repr, str, logs and tracebacks."""

    __slots__ = ("_value",)

    def __init__(self, value: str | Callable[[], Any]) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret()"

    @property
    def value(self) -> str | Callable[[], Any]:
        """The secret, or the callable that returns it."""
        return self._value

    @property
    def is_fixed(self) -> bool:
        """Whether it never changes. Otherwise a callable returns it, or a file contains it."""
        return isinstance(self.value, str)

    def reveal(self) -> str:
        """Return the secret. A callable is called each time, so tokens can be rotated."""
        return HiddenText(self.value if isinstance(self.value, str) else self.value())

    def __str__(self) -> str:
        return "********"


class SecretFile:
    """The text of a file, without white space and quotes around it.

    The file is read again when it has changed. While it is missing or empty, which happens when it
    is replaced, the last text is used.
    """

    def __init__(self, path: str, variable: str) -> None:
        """
        Args:
            path: the file.
            variable: the environment variable that contains the path; errors name it.

        Raises:
            ConfigurationError: the file contains no text, or cannot be read.
        """
        self._path = path
        self._version: tuple[int, int, int] | None = None
        try:
            self._text = self._read()
        except OSError as error:
            raise ConfigurationError(
                f"{variable} names the file {path!r}, which cannot be read: "
                f"{error.strerror or error}."
            ) from None
        if not self._text:
            raise ConfigurationError(
                f"{variable} names the file {path!r}, which contains no text in UTF-8."
            )

    def __call__(self) -> str:
        """Return the current text."""
        with suppress(OSError):
            self._text = self._read() or self._text
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def _read(self) -> str:
        """Return the text, or an empty string if there is none or it has not changed."""
        file = os.open(self._path, os.O_RDONLY | _NEVER_WAIT)
        try:
            status = os.fstat(file)
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._version:
                return ""
            if not stat.S_ISREG(status.st_mode):
                raise OSError("it is not a regular file")
            content = os.read(file, _MAX_FILE_BYTES)
        finally:
            os.close(file)
        is_recent = time_ns() - status.st_mtime_ns < _CLOCK_TICK
        self._version = None if is_recent else version
        try:
            return strip_quotes(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return ""


def strip_quotes(text: str) -> str:
    """Return `text` without surrounding white space and quotes, which are often pasted with it."""
    return text.strip().strip("'\"").strip()


def find_token_problem(value: object) -> str:
    """Return why a value, without white space and quotes around it, is no token; or "".

    Nothing is raised here, so that no traceback has a frame with the token.
    """
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}."
    token = strip_quotes(value)
    if not token:
        return "must not be empty."
    if not token.isascii() or not token.isprintable() or " " in token:
        return "has characters that tokens do not have. Copy it again from the console."
    return ""
