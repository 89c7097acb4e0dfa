"""What Upstash bills for a command: https://upstash.com/docs/redis/overall/pricing.

One command is billed once, in a pipeline too and however many keys it names. EVAL is billed once
plus once for each command that its script runs
(https://upstash.com/docs/redis/sdks/ratelimit-ts/costs).
"""

from __future__ import annotations

from functools import lru_cache

from continuum_upstash.errors import Refused, RequestTooLarge, ServerNotReady
from continuum_upstash.observe import CommandDetails
from continuum_upstash.plans.command_table import COMMANDS, SCRIPT_KEYS, UNKNOWN
from continuum_upstash.protocol import Command, Reply, Script, ScriptHash


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
    if details.error is not None:
        return 0
    pairs = zip(details.commands, details.replies, strict=True)
    return sum(count_billed(str(command[0]).upper(), command, reply) for command, reply in pairs)


@lru_cache(maxsize=64)
def _count_calls(lua: str) -> int:
    return lua.count("redis.call(") + lua.count("redis.pcall(")
