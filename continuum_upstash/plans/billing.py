"""What Upstash bills for a command: https://upstash.com/docs/redis/overall/pricing.

One command is billed once, in a pipeline too and however many keys it names. EVAL is billed once
plus once for each command that its script runs
(https://upstash.com/docs/redis/sdks/ratelimit-ts/costs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeVar

from continuum_upstash.errors import Refused, RequestTooLarge, ServerNotReady
from continuum_upstash.observe import CommandDetails
from continuum_upstash.plans.command_table import COMMANDS, SCRIPT_KEYS, UNKNOWN, get_spec
from continuum_upstash.plans.effects import Batch, Effect, Plan
from continuum_upstash.protocol import Command, Reply, Script, ScriptHash

R = TypeVar("R")

_get_name = itemgetter(0)
# Their price is one, whatever they are sent with and whatever their reply is.
_FIXED_PRICE: Final = frozenset(
    name for name, spec in COMMANDS.items() if spec.billed and spec.keys is not SCRIPT_KEYS
)


def count_billed(name: str, command: Command, reply: Reply) -> int:
    """Return how many commands Upstash bills for one command.

    For a script that is not part of this package, every call in its text is counted, whether it
    ran or not: the result is then an upper bound.

    Args:
        name: the command's name in upper case.
        command: the command as it was sent.
        reply: its reply; a refused command does not run and is not billed.
    """
    spec = COMMANDS.get(name, UNKNOWN)
    if not spec.billed:
        return 0
    if isinstance(reply, (Refused, ServerNotReady)) and not isinstance(reply, RequestTooLarge):
        return 0
    if spec.keys is not SCRIPT_KEYS or len(command) == 1:  # an EVAL without a script is billed
        return 1
    script = command[1]
    if isinstance(script, ScriptHash):
        script = script.script
    if isinstance(script, Script) and script.count_billed is not None:
        return 1 + script.count_billed(command, reply)
    return 1 + _count_calls(script.lua if isinstance(script, Script) else str(script))


def count_billed_in_batch(details: CommandDetails) -> int:
    """Return how many commands Upstash bills for a round trip."""
    return 0 if details.error is not None else count_all_billed(details.commands, details.replies)


def count_all_billed(commands: Sequence[Command], replies: Sequence[Reply]) -> int:
    """Return how many commands Upstash bills for commands with these replies."""
    pairs = zip(commands, replies, strict=True)
    return sum(count_billed(str(command[0]).upper(), command, reply) for command, reply in pairs)


def have_fixed_price(commands: Sequence[Command]) -> bool:
    """Return whether each command is billed once, so that the bill is known before the replies."""
    if len(commands) == 1:
        return commands[0][0] in _FIXED_PRICE
    return _FIXED_PRICE.issuperset(map(_get_name, commands))


def estimate_billed(commands: Sequence[Command]) -> int:
    """Return how many commands will be billed, before there are replies.

    For a script that is the number of calls in its text: more than it runs, unless it loops.
    """
    return sum(map(_estimate, commands))


def count_writes(commands: Sequence[Command]) -> int:
    """Return how many commands each read region bills once more."""
    return sum(get_spec(command).writes for command in commands)


def count_sent(plan: Plan[R]) -> Plan[tuple[R, int]]:
    """Run a plan; return its result, and how many commands it has sent."""
    spent = 0
    proceed: Callable[[Any], Effect] = plan.send
    outcome: Any = None
    while True:
        try:
            effect = proceed(outcome)
        except StopIteration as stop:
            return stop.value, spent
        if isinstance(effect, Batch):
            spent += len(effect.commands)
        try:
            outcome, proceed = (yield effect), plan.send
        except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
            outcome, proceed = error, plan.throw


def _estimate(command: Command) -> int:
    spec = COMMANDS.get(str(command[0]).upper(), UNKNOWN)
    if not spec.billed:
        return 0
    if spec.keys is not SCRIPT_KEYS or len(command) == 1:
        return 1
    script = command[1].script if isinstance(command[1], ScriptHash) else command[1]
    return 1 + _count_calls(script.lua if isinstance(script, Script) else str(script))


@lru_cache(maxsize=64)
def _count_calls(lua: str) -> int:
    return lua.count("redis.call(") + lua.count("redis.pcall(")
