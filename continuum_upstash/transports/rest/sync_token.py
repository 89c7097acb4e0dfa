"""Read your own writes: the sync tokens of the current request.

The header ``Upstash-Sync-Token`` of a response identifies the newest write that it reflects. Sent
with a later request, it makes a read replica wait until it has that write
(https://upstash.com/docs/redis/howto/readyourwrites). The tokens belong to a context
(contextvars), so to one request of the site and the tasks that it starts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Final

HEADER: Final = b"upstash-sync-token"

_MAX_LENGTH: Final = 1024
# A database that was restored or failed over may have returned to an older counter: waiting for a
# newer one would delay every read. Replicas follow within seconds.
MAX_AGE_SECONDS: Final = 60.0
_is_counter: Final = re.compile(rb"[0-9a-v]+").fullmatch


class SyncTokens:
    """The newest token of each database, by its REST URL; threads may share it."""

    __slots__ = ("_lock", "_newest")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._newest: dict[str, tuple[bytes, float]] = {}

    def get(self, database: str) -> bytes | None:
        """Return the token to send; None if there is none, or it was received too long ago."""
        found = self._newest.get(database)
        if found is None or monotonic() - found[1] > MAX_AGE_SECONDS:
            return None
        return found[0]

    def update(self, database: str, token: bytes | None) -> None:
        """Keep a response's token unless a newer one is known: responses may be out of order."""
        if not token or len(token) > _MAX_LENGTH:
            return
        with self._lock:
            known, now = self._newest.get(database), monotonic()
            if (
                known is None
                or token == known[0]
                or now - known[1] > MAX_AGE_SECONDS
                or not _is_older(token, known[0])
            ):
                self._newest[database] = (token, now)

    def discard(self, database: str) -> None:
        """Discard a token for which the database has not replied in time."""
        self._newest.pop(database, None)

    def merge(self, other: SyncTokens) -> None:
        """Update every database's token from `other`."""
        for database, (token, _) in tuple(other._newest.items()):
            self.update(database, token)


_current: ContextVar[SyncTokens] = ContextVar("continuum_upstash_sync_tokens")


def get_tokens() -> SyncTokens:
    """Return the tokens of this context."""
    tokens = _current.get(None)
    if tokens is None:
        tokens = SyncTokens()
        _current.set(tokens)
    return tokens


@contextmanager
def override(tokens: SyncTokens) -> Iterator[SyncTokens]:
    """Use `tokens` inside the block; a request on behalf of several contexts needs this."""
    reset = _current.set(tokens)
    try:
        yield tokens
    finally:
        _current.reset(reset)


def _is_older(token: bytes, known: bytes) -> bool:
    """Compare two base-32 counters; of tokens in another form the last one wins."""
    if not _is_counter(token) or not _is_counter(known):
        return False
    return (len(token), token) < (len(known), known)
