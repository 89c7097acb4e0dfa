"""Reads a token that may change: from the callable TOKEN, or from a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import (
    HiddenText,
    Secret,
    SecretFile,
    find_token_problem,
    strip_quotes,
)
from continuum_upstash.errors import ConfigurationError, Unavailable


class TokenReader:
    """Calls the user's function, and validates what it returns."""

    def __init__(self, token: Secret, config: Config) -> None:
        """
        Args:
            token: one that is not fixed.
            config: the database that it is for.
        """
        assert not isinstance(token.value, str)
        self._call: Callable[[], Any] = token.value
        self._renew: Callable[[], Any] = getattr(token.value, "renew", token.value)
        self._label, self._timeout = config.label, config.read_timeout
        is_file = isinstance(token.value, SecretFile)
        source = dict(config.sources).get("token", "TOKEN")
        self._name = f"the token in {source}" if is_file else "the result of the callable TOKEN"

    def read(self, *, rejected: bool = False) -> str:
        """Return the current token.

        Args:
            rejected: the server rejected the last one; the method `renew` of the function is
                called instead of the function, if there is one.

        Raises:
            Unavailable: the function raised an exception.
            ConfigurationError: it returned no token, or it is a coroutine function.
        """
        try:
            call = self._renew if rejected else self._call
            result = Secret(call())  # not shown by tracebacks
        except Exception as error:
            raise self._failure(error) from error
        if _is_awaitable(result):
            if close := getattr(result.value, "close", None):
                close()  # otherwise Python warns that the coroutine was never awaited
            raise ConfigurationError(
                f"{self._label}: TOKEN is a coroutine function, which sync calls cannot await. Set "
                "TOKEN to a function that is not async, or use only async calls."
            )
        return self._clean(result)

    async def aread(self, *, rejected: bool = False) -> str:
        """Return the current token; a coroutine is awaited for at most READ_TIMEOUT."""
        try:
            call = self._renew if rejected else self._call
            result = Secret(call())
            if _is_awaitable(result):
                import asyncio  # noqa: PLC0415 sync clients start faster without it

                async with asyncio.timeout(self._timeout):
                    result = Secret(await cast("Awaitable[Any]", result.value))
        except Exception as error:
            raise self._failure(error) from error
        return self._clean(result)

    def _clean(self, result: Secret) -> str:
        if problem := find_token_problem(result.value):
            raise ConfigurationError(f"{self._label}: {self._name} {problem}")
        return HiddenText(strip_quotes(str(result.value)))

    def _failure(self, error: Exception) -> Unavailable:
        # The text of the user's exception may contain a secret.
        return Unavailable(f"{self._label}: the callable TOKEN raised {type(error).__name__}.")


def _is_awaitable(result: Secret) -> bool:
    value: object = result.value
    return isinstance(value, Awaitable)
