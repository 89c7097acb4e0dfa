"""Read your own writes: the sync tokens of the current request.

A reply's ``Upstash-Sync-Token`` names the newest write it knows of; sent back, it makes a replica
catch up before it answers (upstash.com/docs/redis/howto/readyourwrites). The tokens belong to one
request's context, and tasks that it starts share them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HEADER: Final = b"upstash-sync-token"

_MAX_LENGTH: Final = 1024
_COUNTER: Final = re.compile(rb"[0-9a-v]+").fullmatch
_lock = threading.RLock()  # re-entrant as the breaker's


class Tokens:
    """The newest token of each database, by its REST URL."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[str, bytes] = {}

    def get(self, database: str) -> bytes | None:
        return self._newest.get(database)

    def learn(self, database: str, token: bytes | None) -> None:
        """Take note of a reply's token; replies that arrive out of order never turn it back."""
        if not token or len(token) > _MAX_LENGTH or token == self._newest.get(database):
            return
        with _lock:
            known = self._newest.get(database)
            if known is None or not _is_older(token, known):
                self._newest[database] = token

    def merge(self, other: Tokens) -> None:
        """Learn what `other` knows."""
        for database, token in tuple(other._newest.items()):
            self.learn(database, token)


_current: ContextVar[Tokens] = ContextVar("continuum_upstash_sync_tokens")


def current() -> Tokens:
    """Return the tokens of this context, for a request on behalf of it."""
    tokens = _current.get(None)
    if tokens is None:
        tokens = Tokens()
        _current.set(tokens)
    return tokens


@contextmanager
def using(tokens: Tokens) -> Iterator[Tokens]:
    """Let requests inside use `tokens`, as one request on behalf of several contexts does."""
    reset = _current.set(tokens)
    try:
        yield tokens
    finally:
        _current.reset(reset)


def _is_older(token: bytes, known: bytes) -> bool:
    """Compare two counters in base 32; of tokens in another form the last one counts."""
    if _COUNTER(token) is None or _COUNTER(known) is None:
        return False
    return (len(token), token) < (len(known), known)
