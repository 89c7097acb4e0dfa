"""Counts the billed commands before they are sent, by the published rules.

One command is one, each command of a pipeline or transaction is one, and a script is one more for
each call in its text (https://upstash.com/docs/redis/overall/billing and
https://upstash.com/docs/redis/sdks/ratelimit-ts/costs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

# https://upstash.com/docs/redis/howto/getstartedawslambda
_FREE: Final = frozenset({"AUTH", "INFO", "PING", "QUIT", "COMMAND"})
_SCRIPTS: Final = frozenset({"EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO"})


class BudgetExceeded(AssertionError):
    """A test would bill more commands than its decorator declares."""


class CommandCounter:
    """The commands of one test.

    Attributes:
        count: commands so far.

    Args:
        limit: what the test declares.
    """

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit

    def add(self, number: int) -> None:
        """Count commands that are about to be sent.

        Raises:
            BudgetExceeded: they exceed the limit.
        """
        self.count += number
        self.check()

    def check(self) -> None:
        """Raise BudgetExceeded if the commands so far exceed the limit."""
        if self.count > self._limit:
            raise BudgetExceeded(
                f"this test declares {self._limit} billed commands, but needs {self.count}: "
                "correct its decorator"
            )

    def add_commands(self, commands: Iterable[Sequence[Any]]) -> None:
        self.add(sum(map(count_billed, commands)))


_calls: Final[dict[str, int]] = {}  # by the text of a script, and by its hash


def declare_calls(source: str, calls: int) -> None:
    """Set the most calls of one run of a script, if its text has more that exclude each other."""
    _calls[source] = _calls[_hash(source)] = calls


def count_billed(words: Sequence[Any]) -> int:
    name = _to_text(words[0]).upper()
    if name in _FREE:
        return 0
    if name not in _SCRIPTS or len(words) == 1:
        return 1
    script = _to_text(words[1])
    if script not in _calls and not name.startswith("EVALSHA"):
        declare_calls(script, script.count("redis.call(") + script.count("redis.pcall("))
    return 1 + _calls.get(script, 0)


def _hash(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _to_text(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
