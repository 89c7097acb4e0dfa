"""What a request gets to see: the primary, or a replica that is behind, and the sync token."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.redis.connection import Pool

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_MARGIN: Final = 0.1  # seconds in which a replica surely applies what has reached it


@dataclass(frozen=True, slots=True)
class View:
    pool: Pool
    token: str
    replica: bool = False


class Views:
    """The counter behind `Upstash-Sync-Token` moves with every write.

    While a replica lags, a read goes to it, unless the request carries the token of a write that
    the replica has not applied yet.
    """

    def __init__(self, primary: Pool) -> None:
        self._primary = primary
        self._counter = 1
        self._replica: Pool | None = None
        self._delay = 0.0
        self._applied = 1
        self._under_way: deque[tuple[float, int]] = deque()

    def lag(self, replica: Pool, delay: float) -> None:
        """Serve reads from a replica that is in step now and `delay` seconds behind later."""
        self._replica, self._delay = replica, delay
        self._applied = self._counter
        self._under_way.clear()

    def catch_up(self) -> None:
        self._replica = None

    @property
    def token(self) -> str:
        return base32(self._counter)

    def wrote(self) -> None:
        self._counter += 1
        if self._replica is not None:
            due = time.monotonic() + self._delay + _MARGIN
            self._under_way.append((due, self._counter))

    def for_writing(self) -> View:
        return View(self._primary, self.token)

    def for_reading(self, token: str) -> View:
        if self._replica is None or read_base32(token) > self._applied_by_now():
            return View(self._primary, self.token)
        return View(self._replica, base32(self._applied), replica=True)

    def _applied_by_now(self) -> int:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            self._applied = self._under_way.popleft()[1]
        return self._applied


def base32(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def read_base32(text: str) -> int:
    """0, the beginning, for an empty token or one that is not ours."""
    try:
        return int(text, 32)
    except ValueError:
        return 0
