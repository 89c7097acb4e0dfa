"""What the rate limiter asked this process' databases, and what came of it, by policy."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from continuum_upstash.config import Config
from continuum_upstash.effects import Command, Reply
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.observe import CommandDetails, Record
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import Policy
from continuum_upstash.ratelimit.script import CHECK, CHECK_HASH

_PER_POLICY: Final = 5  # arguments of the script
_FIRST: Final = re.compile(r"(shadow:)?ratelimit:(\S+?):[0-9a-f]{32}(?::|$)")


@dataclass(slots=True)
class Count:
    allowed: int = 0
    refused: int = 0


class Decisions:
    """Counts what it is told of; `observe.subscribe` takes it.

    A refusal that a process remembers is repeated without asking, and not counted here.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must."""
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], Count] = {}

    def __call__(self, record: Record) -> None:
        if type(record) is not CommandDetails or record.error is not None:
            return
        for command, reply in zip(record.commands, record.replies, strict=True):
            if len(command) > 1 and (command[1] is CHECK or command[1] is CHECK_HASH):
                self._note(record.alias, command, reply)

    def of(self, alias: str, policy: Policy) -> Count:
        return self._counts.get((alias, _label(policy)), Count())

    def _note(self, alias: str, command: Command, reply: Reply) -> None:
        if not isinstance(reply, list):
            return  # an error: nothing was decided
        with self._lock:
            for label, refused in _outcomes(command, reply):
                count = self._counts.setdefault((alias, label), Count())
                if refused:
                    count.refused += 1
                elif reply[1]:
                    count.allowed += 1


def _outcomes(command: Command, reply: list[Any]) -> Iterator[tuple[str, bool]]:
    """Yield what is named and whether it refused, for each policy that was charged."""
    keys: list[Any] = list(command[3 : 3 + int(str(command[2]))])
    arguments = command[4 + len(keys) :]
    for number in range(len(arguments) // _PER_POLICY):
        algorithm, *_, cost = arguments[number * _PER_POLICY :][:_PER_POLICY]
        key = keys.pop(0)
        if algorithm == "sliding":
            keys.pop(0)
        found = _FIRST.search(key)
        if cost and found is not None:
            yield f"{found[1] or ''}{found[2]}", reply[2 + 3 * number + 1] > 0


def _label(policy: Policy) -> str:
    shadow = "shadow:" if policy.shadow or conf.shadow else ""
    return f"{shadow}{policy.group or policy.name}"


decisions = Decisions()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=decisions.forget)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Attributes:
        mode: ``enforce``, ``shadow`` or ``off``.
        policies: each one, and what it decided in this process.
        problem: what is wrong with the settings.
    """

    mode: str = ""
    policies: tuple[tuple[Policy, Count], ...] = ()
    problem: str = ""


def limits(config: Config) -> Limits | None:
    """Return what limits by an alias' database; None: nothing does."""
    try:
        if conf.alias != config.alias or not conf.policies:
            return None
        counted = tuple(
            (policy, decisions.of(config.alias, policy)) for policy in conf.policies.values()
        )
        return Limits(conf.mode, counted)
    except ConfigurationError as error:
        return Limits(problem=str(error))
