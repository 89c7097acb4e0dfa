"""What the service bills for a command: https://upstash.com/docs/redis/overall/pricing.

One command is one request, however it travels and however many keys it names. EVAL is one, and
each command inside its script is one more (https://upstash.com/docs/redis/sdks/ratelimit-ts/costs).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from continuum_upstash.errors import Refused, RequestTooLarge
from continuum_upstash.protocol import Command, Reply, Script, ScriptHash

FREE: Final = frozenset(
    {"AUTH", "HELLO", "SELECT", "COMMAND", "CONFIG", "INFO", "PING", "RESET", "QUIT"}
)
# MULTI and EXEC are the envelope of a transaction, and nothing says that it is billed.
_ENVELOPE: Final = frozenset({"MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"})
_UNBILLED: Final = FREE | _ENVELOPE
_SCRIPTS: Final = frozenset({"EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO"})


def billed(name: str, command: Command, reply: Reply) -> int:
    """Return how many commands the service bills.

    Of a script that is not ours nobody here knows which of its calls ran: all that its text
    holds are counted, so that a bill is overestimated rather than a surprise.

    Args:
        name: the command's name in upper case.
        command: as it was sent.
        reply: what came of it; a refused command is not run, hence not billed.
    """
    if name in _UNBILLED:
        return 0
    if isinstance(reply, Refused) and not isinstance(reply, RequestTooLarge):
        return 0
    if name not in _SCRIPTS or len(command) == 1:  # without a script it is refused, and billed
        return 1
    script = command[1]
    if isinstance(script, ScriptHash):
        script = script.script
    if isinstance(script, Script) and script.count_billed is not None:
        return 1 + script.count_billed(command, reply)
    return 1 + _calls_in(script.lua if isinstance(script, Script) else str(script))


@lru_cache(maxsize=64)
def _calls_in(lua: str) -> int:
    return lua.count("redis.call(") + lua.count("redis.pcall(")
