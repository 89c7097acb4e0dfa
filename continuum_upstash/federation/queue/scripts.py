"""The scripts of a queue. Each names its keys; none runs in the local store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash

_RELEASE_NAME: Final = """
local function release_name(names, name, id)
  local holder = redis.call('HGET', names, name)
  if holder and string.match(holder, '^%x+') == id then redis.call('HDEL', names, name) end
end
"""


def _refuse(_: Callable[..., Reply], __: Sequence[str], ___: Sequence[bytes]) -> Reply:
    return ReplyError("ERR queues need a database: the local store has none")


# How many commands ran inside a script. An error, which is NOSCRIPT as a rule, ran none.


def _count_reserve(_: Command, reply: Reply) -> int:
    count = reply[3] if isinstance(reply, list) and len(reply) > 3 else 0
    return count if isinstance(count, int) else 0


def _count_enqueue(_: Command, reply: Reply) -> int:
    return 2 if isinstance(reply, bytes) else 0


def _count_acknowledge(_: Command, reply: Reply) -> int:
    return {0: 1, 1: 3}.get(reply, 0) if isinstance(reply, int) else 0


def _count_fail(command: Command, reply: Reply) -> int:
    if not isinstance(reply, int):
        return 0
    return 1 if reply == 0 else 4 if command[-1] else 2


def _count_replace(command: Command, reply: Reply) -> int:
    jobs = (len(command) - 5) // 3
    return jobs + reply if isinstance(reply, int) else 0


RESERVE: Final = Script(
    files(__package__).joinpath("reserve.lua").read_text("utf-8"),
    _refuse,
    _count_reserve,
    lambda reply: isinstance(reply, list) and len(reply) >= 4,
)

# KEYS: the jobs, the unique names. ARGV: the hashed name, the ID, when the name becomes free in
# Unix ms (0: when the job is done), the time in ms, the score, the member.
# Returns the ID of the job that has the name.
ENQUEUE_UNIQUE: Final = Script(
    """
local value = ARGV[2] .. ' ' .. ARGV[3]
if redis.call('HSETNX', KEYS[2], ARGV[1], value) == 0 then
  local holder = redis.call('HGET', KEYS[2], ARGV[1])
  local id, expires = string.match(holder or '', '^(%x+) (%d+)$')
  expires = tonumber(expires or '')
  if id and (expires == 0 or expires > tonumber(ARGV[4])) then return id end
  redis.call('HSET', KEYS[2], ARGV[1], value)
end
redis.call('ZADD', KEYS[1], ARGV[5], ARGV[6])
return ARGV[2]
""",
    _refuse,
    _count_enqueue,
    lambda reply: isinstance(reply, bytes),
)

# KEYS: the jobs, the unique names. ARGV: the member, the hashed name, the ID.
ACKNOWLEDGE_UNIQUE: Final = Script(
    _RELEASE_NAME
    + """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
release_name(KEYS[2], ARGV[2], ARGV[3])
return 1
""",
    _refuse,
    _count_acknowledge,
    lambda reply: isinstance(reply, int),
)

# KEYS: the jobs, the dead letters, the unique names. ARGV: the member, the time in ms, the dead
# letter, the ID, the hashed name or "".
FAIL: Final = Script(
    _RELEASE_NAME
    + """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
if ARGV[5] ~= '' then release_name(KEYS[3], ARGV[5], ARGV[4]) end
return 1
""",
    _refuse,
    _count_fail,
    lambda reply: isinstance(reply, int),
)

# Replaces members of one sorted set by members of another, or of the same one.
# KEYS: where they are, where they come to. ARGV: for each the old member, its new score, the new
# member. Returns how many were there.
REPLACE: Final = Script(
    """
local replaced = 0
for i = 1, #ARGV, 3 do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i + 2])
    replaced = replaced + 1
  end
end
return replaced
""",
    _refuse,
    _count_replace,
    lambda reply: isinstance(reply, int),
)


def call_script(
    script: Script, keys: Sequence[str], arguments: Sequence[Argument], *after: Command
) -> Plan[Any]:
    """Run a script by its hash, or by its text where the server does not know it.

    Args:
        script: the script.
        keys: its KEYS.
        arguments: its ARGV.
        after: commands to send in the same round trip.

    Raises:
        ReplyError: the first error among the replies.
    """
    command: Command = ("EVALSHA", ScriptHash(script), len(keys), *keys, *arguments)
    replies = yield Batch((command, *after), needs_server=True)
    if isinstance(replies[0], ReplyError) and replies[0].code == "NOSCRIPT":
        command = ("EVAL", script, len(keys), *keys, *arguments)
        replies = yield Batch((command, *after), needs_server=True)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    return replies[0]
