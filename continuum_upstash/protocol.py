"""What a command and a reply are: the types that all other modules share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from continuum_upstash.errors import ReplyError

Reply: TypeAlias = "bytes | int | list[Reply] | ReplyError | None"
Replies: TypeAlias = list[Reply]


class Script(NamedTuple):
    """A script that runs atomically on the server, and the same rule for the local store.

    Attributes:
        lua: the source without a shebang. It names every key in KEYS.
        local_rule: ``local_rule(call, keys, args) -> Reply`` does the same in Python, where
            ``call`` is the local store's ``redis.call``.
        count_billed: returns how many commands ran inside, from the EVAL and its reply, since each
            is billed; None: unknown.
        is_reply: returns whether the script can return this; errors are not passed.
    """

    lua: str
    local_rule: Callable[[Callable[..., Reply], Sequence[str], Sequence[bytes]], Reply]
    count_billed: Callable[[Command, Reply], int] | None = None
    is_reply: Callable[[Reply], bool] = lambda _: True

    @property
    def with_key_locking_flag(self) -> str:
        """The source for Upstash, which otherwise locks the whole database while it runs.

        Plain Redis rejects the flag (https://upstash.com/docs/redis/features/key-locking).
        """
        return _add_key_locking_flag(self.lua)

    def source(self, *, key_locking: bool) -> str:
        """Return the argument of EVAL, for a server that supports key locking or does not."""
        return self.with_key_locking_flag if key_locking else self.lua


class ScriptHash(NamedTuple):
    """EVALSHA's argument: identifies a script that the server has run before.

    Servers drop scripts (NOSCRIPT), so a plan that sends EVALSHA must be able to send EVAL.
    """

    script: Script

    def source(self, *, key_locking: bool) -> str:
        """Return the argument of EVALSHA, for a server that supports key locking or does not."""
        return _hash_sha1(self.script.source(key_locking=key_locking))


def is_integer(reply: Reply) -> bool:
    """Return whether a reply is an integer."""
    return type(reply) is int


@lru_cache(maxsize=64)
def _add_key_locking_flag(lua: str) -> str:
    return "#!lua flags=allow-key-locking\n" + lua


@lru_cache(maxsize=64)
def _hash_sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


# Text is a key, an option or a number; bytes are a stored value, and only they may be binary.
Argument: TypeAlias = str | int | bytes | Script | ScriptHash
Command: TypeAlias = tuple[Argument, ...]
