"""What a command and a reply are: the vocabulary that all other modules share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from continuum_upstash.errors import ReplyError

Reply: TypeAlias = "bytes | int | list[Reply] | ReplyError | None"
Replies: TypeAlias = list[Reply]


@dataclass(frozen=True, slots=True)
class Script:
    """A script that runs atomically in the database, and the same rule for the local store.

    Attributes:
        lua: the text without a shebang. It names every key in KEYS.
        rule: ``rule(call, keys, args) -> Reply``: what the script does, in Python, where
            ``call`` is the local store's ``redis.call``.
        calls: how many commands ran inside, by the EVAL and its reply, since each is billed;
            None: nobody knows.
    """

    lua: str
    rule: Callable[[Callable[..., Reply], Sequence[str], Sequence[bytes]], Reply]
    calls: Callable[[Command, Reply], int] | None = None

    @property
    def locking(self) -> str:
        """The text for Upstash, which otherwise locks the whole database while it runs.

        Plain Redis rejects the flag (Upstash docs, redis/features/key-locking).
        """
        return _flagged(self.lua)

    def text(self, *, locking: bool) -> str:
        """Return what EVAL sends, to Upstash if `locking`."""
        return self.locking if locking else self.lua


@dataclass(frozen=True, slots=True)
class ScriptHash:
    """EVALSHA's argument: what a server that ran the script before knows it by.

    Any server may have forgotten it (NOSCRIPT), so a plan that sends one is ready to EVAL.
    """

    script: Script

    def text(self, *, locking: bool) -> str:
        """Return what EVALSHA sends, to Upstash if `locking`."""
        return _sha1(self.script.text(locking=locking))


@lru_cache(maxsize=64)
def _flagged(lua: str) -> str:
    return "#!lua flags=allow-key-locking\n" + lua


@lru_cache(maxsize=64)
def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# Text is a key, an option or a number; bytes are a stored value, and only they may be binary.
Argument: TypeAlias = str | int | bytes | Script | ScriptHash
Command: TypeAlias = tuple[Argument, ...]
