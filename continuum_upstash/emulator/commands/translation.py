"""How one command of the service is carried out on Valkey."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from continuum_upstash.emulator.redis.connection import Connection
from continuum_upstash.emulator.redis.resp2 import Argv, Reply


def _last(replies: list[Reply]) -> Reply:
    return replies[-1]


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that go up in the same write as their neighbours, and what their replies mean."""

    sent: tuple[Argv, ...]
    finish: Callable[[list[Reply]], Reply] = _last


# A command that needs several round trips, and so a place of its own in a pipeline.
Talk: TypeAlias = Callable[[Connection], Awaitable[Reply]]

Translation: TypeAlias = Callable[[Argv], "Step | Talk"]


def answer(reply: Reply) -> Step:
    """The emulator knows the reply; nothing goes up."""
    return Step((), lambda _: reply)


def mapped(argv: Argv, change: Callable[[Reply], Reply]) -> Step:
    return Step((argv,), lambda replies: change(replies[-1]))
