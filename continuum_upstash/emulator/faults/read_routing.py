"""Routes each read to the primary or to a lagging replica, and counts the sync token."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.redis.upstream import UpstreamPool

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_MARGIN: Final = 0.1  # seconds within which a replica applies a write that it has received


@dataclass(frozen=True, slots=True)
class ReadTarget:
    """Where a request runs, and the sync token of its response."""

    pool: UpstreamPool
    token: str
    is_replica: bool = False


class ReadRouter:
    """Increments the counter of `Upstash-Sync-Token` with each write.

    While a replica lags, reads go to it. A read with the token of a write that the replica has not
    applied yet goes to the primary.
    """

    def __init__(self, primary: UpstreamPool) -> None:
        self._primary = primary
        self._counter = 1
        self._replica: UpstreamPool | None = None
        self._delay = 0.0
        self._applied = 1
        self._unapplied: deque[tuple[float, int]] = deque()

    def set_replica(self, replica: UpstreamPool, delay: float) -> None:
        """Route reads to a replica that is synced now and applies later writes after `delay` s."""
        self._replica, self._delay = replica, delay
        self._applied = self._counter
        self._unapplied.clear()

    def remove_replica(self) -> None:
        self._replica = None

    @property
    def token(self) -> str:
        return encode_base32(self._counter)

    def on_write(self) -> None:
        self._counter += 1
        if self._replica is not None:
            due = time.monotonic() + self._delay + _MARGIN
            self._unapplied.append((due, self._counter))

    def route_write(self) -> ReadTarget:
        return ReadTarget(self._primary, self.token)

    def route_read(self, token: str) -> ReadTarget:
        if self._replica is None or decode_base32(token) > self._update_applied():
            return ReadTarget(self._primary, self.token)
        return ReadTarget(self._replica, encode_base32(self._applied), is_replica=True)

    def _update_applied(self) -> int:
        now = time.monotonic()
        while self._unapplied and self._unapplied[0][0] <= now:
            self._applied = self._unapplied.popleft()[1]
        return self._applied


def encode_base32(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def decode_base32(text: str) -> int:
    """Return the number of a sync token; 0 for an empty or foreign one."""
    try:
        return int(text, 32)
    except ValueError:
        return 0
