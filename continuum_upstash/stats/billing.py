"""What the service bills for a command: https://upstash.com/docs/redis/overall/pricing.

One command is one request, however it travels and however many keys it names. EVAL is one, and
each command inside its script is one more (https://upstash.com/docs/redis/sdks/ratelimit-ts/costs).
"""

from __future__ import annotations

from functools import lru_cache

from continuum_upstash.errors import Refused, RequestTooLarge
from continuum_upstash.observe import CommandDetails
from continuum_upstash.plans.command_table import COMMANDS, SCRIPT_KEYS, UNKNOWN
from continuum_upstash.protocol import Command, Reply, Script, ScriptHash


def billed(name: str, command: Command, reply: Reply) -> int:
    """Return how many commands the service bills.

    Of a script that is not ours nobody here knows which of its calls ran: all that its text
    holds are counted, so that a bill is overestimated rather than a surprise.

    Args:
        name: the command's name in upper case.
        command: as it was sent.
        reply: what came of it; a refused command is not run, hence not billed.
    """
    spec = COMMANDS.get(name, UNKNOWN)
    if not spec.billed:
        return 0
    if isinstance(reply, Refused) and not isinstance(reply, RequestTooLarge):
        return 0
    if spec.keys is not SCRIPT_KEYS or len(command) == 1:  # an EVAL without a script is billed
        return 1
    script = command[1]
    if isinstance(script, ScriptHash):
        script = script.script
    if isinstance(script, Script) and script.count_billed is not None:
        return 1 + script.count_billed(command, reply)
    return 1 + _calls_in(script.lua if isinstance(script, Script) else str(script))


def count_billed(details: CommandDetails) -> int:
    """Return how many commands the service bills for a round trip."""
    if details.error is not None:
        return 0
    pairs = zip(details.commands, details.replies, strict=True)
    return sum(billed(str(command[0]).upper(), command, reply) for command, reply in pairs)


@lru_cache(maxsize=64)
def _calls_in(lua: str) -> int:
    return lua.count("redis.call(") + lua.count("redis.pcall(")
