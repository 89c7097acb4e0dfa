r"""A job as a member of the queue's sorted set, and its score.

    <ID> <priority> <attempts> <max attempts> <expires> <lease> <unique> <sync tokens>\n<payload>

The ID begins with the time, so that jobs with the same score, which are those of one priority, are
in the order in which they were enqueued. Every reservation replaces the member: an old member in an
acknowledgement therefore matches nothing. docs/reference/stored-bytes.md is the reference.
"""

from __future__ import annotations

import json
import re
import threading
from hashlib import sha256
from secrets import token_hex
from typing import Final, NamedTuple, Self

PAUSED: Final = "!paused"
PAUSED_SCORE: Final = -(10**15)  # before all jobs
READY_MIN: Final = -9999  # no job's score is less
MAX_PRIORITY: Final = 100
_COUNTERS: Final = 0x10000
_MAX_REASON: Final = 1000  # characters: a page of dead letters must remain readable

_parse: Final = re.compile(
    r"([0-9a-f]{1,64}) (-?[0-9]{1,3}) ([0-9]{1,6}) ([0-9]{1,6}) ([0-9]{1,15}) (\S+) (\S+) (\S+)\n"
    r"(.*)",
    re.DOTALL,
).fullmatch


class Member(NamedTuple):
    """The parts of a member.

    Attributes:
        id: 24 hexadecimal digits that begin with the Unix milliseconds; jobs sort by it.
        priority: from -100 to 100; greater ones come first.
        attempts: how often the job was reserved.
        max_attempts: after that many attempts the job becomes a dead letter.
        expires: Unix milliseconds after which the job is not reserved any more; 0: never.
        lease: identifies the reservation; "-" before the first one.
        unique: the hashed unique name, or "-".
        tokens: the sync tokens of the producer, or "-".
        payload: text that the codec decodes.
    """

    id: str
    priority: int
    attempts: int
    max_attempts: int
    expires: int
    lease: str
    unique: str
    tokens: str
    payload: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the parts, or None if the text is no job."""
        match = _parse(text)
        if match is None:
            return None
        job_id, priority, attempts, max_attempts, expires, *rest = match.groups()
        return cls(job_id, int(priority), int(attempts), int(max_attempts), int(expires), *rest)

    @property
    def header(self) -> str:
        return " ".join(map(str, self[:-1]))

    @property
    def text(self) -> str:
        return f"{self.header}\n{self.payload}"

    @property
    def ready_score(self) -> int:
        """The score of the job while it is ready."""
        return compute_ready_score(self.priority)

    def make_dead_letter(self, reason: str) -> str:
        """Return the member of the dead letters: the reason is between header and payload."""
        return f"{self.header}\n{json.dumps(reason[:_MAX_REASON])}\n{self.payload}"


class DeadLetter(NamedTuple):
    """The parts of a dead letter; `member` is None if it was no job."""

    member: Member | None
    reason: str
    payload: str

    @classmethod
    def parse(cls, text: str) -> Self:
        header, _, rest = text.partition("\n")
        quoted, _, payload = rest.partition("\n")
        try:
            reason = json.loads(quoted)
        except (ValueError, RecursionError):
            reason = quoted
        return cls(Member.parse(f"{header}\n{payload}"), str(reason), payload)


def compute_ready_score(priority: int) -> int:
    return -1000 - priority


def hash_unique_name(name: str) -> str:
    """Return the field of a unique name: the first half of its SHA-256 in hexadecimal digits."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class IdMaker:
    """Makes the IDs of one process, each greater than the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0  # milliseconds and a counter

    def make(self, now: int, count: int) -> list[str]:
        """Return IDs in ascending order; `now` is in Unix milliseconds."""
        with self._lock:
            first = max(now * _COUNTERS, self._last + 1)
            self._last = first + count - 1
        return [f"{number:016x}{token_hex(4)}" for number in range(first, first + count)]
