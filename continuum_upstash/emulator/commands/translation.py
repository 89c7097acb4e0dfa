"""How one command of the service runs on Valkey: a step, or a dialogue of several round trips."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from continuum_upstash.emulator.redis.resp2_wire import Argv, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection


def _take_last(replies: list[Reply]) -> Reply:
    return replies[-1]


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that take one round trip; several steps can share it.

    `convert` makes the reply of the service from the replies of these commands.
    """

    commands: tuple[Argv, ...]
    convert: Callable[[list[Reply]], Reply] = _take_last


# A command that needs several round trips. It cannot share them with other commands of a pipeline.
Dialogue: TypeAlias = Callable[[UpstreamConnection], Awaitable[Reply]]

Translation: TypeAlias = Callable[[Argv], "Step | Dialogue"]


def reply_with(reply: Reply) -> Step:
    """Return a step with a fixed reply; no command is sent to Valkey."""
    return Step((), lambda _: reply)


def convert_reply(argv: Argv, convert: Callable[[Reply], Reply]) -> Step:
    """Return a step that sends one command and converts its reply."""
    return Step((argv,), lambda replies: convert(replies[-1]))
