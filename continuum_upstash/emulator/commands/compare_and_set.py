"""SET … IFEQ|IFNE|IFDEQ|IFDNE, DELEX and DIGEST: compare-and-set, which servers have in part only.

Source: https://upstash.com/docs/redis/sdks/ts/commands/string/set and the pages of DELEX, DIGEST.
"""

from collections.abc import Callable
from typing import Final

from xxhash import xxh3_64_hexdigest

from continuum_upstash.emulator.commands.command_specs import Catalogue
from continuum_upstash.emulator.commands.error_messages import wrong_arity
from continuum_upstash.emulator.commands.translation import Step, Talk, Translation, answer, mapped
from continuum_upstash.emulator.redis.connection import Connection
from continuum_upstash.emulator.redis.resp2 import Argv, Error, NullArray, Reply
from continuum_upstash.emulator.usage import Ledger


def digest(value: bytes) -> bytes:
    """The 16 hexadecimal digits of the value's XXH3."""
    return xxh3_64_hexdigest(value).encode()


# What is compared, and whether it must be equal.
_CONDITIONS: Final[dict[bytes, tuple[Callable[[bytes], bytes], bool]]] = {
    b"IFEQ": (bytes, True),
    b"IFNE": (bytes, False),
    b"IFDEQ": (digest, True),
    b"IFDNE": (digest, False),
}


class Conditions:
    def __init__(self, ledger: Ledger, catalogue: Catalogue) -> None:
        self._ledger = ledger
        # Valkey has IFEQ itself, Redis 7 has not.
        own = {b"IFEQ"} if catalogue.has(b"delifeq") else set()
        self._compared_here = _CONDITIONS.keys() - own
        self.translations: dict[bytes, Translation] = {
            b"set": self._set,
            b"delex": self._delete,
            b"digest": self._digest,
        }

    def _digest(self, argv: Argv) -> Step:
        if len(argv) != 2:
            return answer(wrong_arity(b"digest"))
        return mapped(
            (b"GET", *argv[1:]),
            lambda reply: reply if reply is None or isinstance(reply, Error) else digest(reply),
        )

    def _delete(self, argv: Argv) -> Step | Talk:
        match argv:
            case [_, key]:
                return Step(((b"DEL", key),))
            case [_, key, word, expected] if word.upper() in self._compared_here:
                return self._guarded(key, word, expected, (b"DEL", key), otherwise=0)
            case [_, key, word, expected] if word.upper() == b"IFEQ":
                return Step(((b"DELIFEQ", key, expected),))
            case [_] | [_, _, _]:
                return answer(wrong_arity(b"delex"))
        return answer(Error(b"ERR syntax error"))

    def _set(self, argv: Argv) -> Step | Talk:
        for place, word in enumerate(argv[3:-1], start=3):
            if word.upper() in self._compared_here:
                plain = (*argv[:place], *argv[place + 2 :])
                return self._guarded(argv[1], word, argv[place + 1], plain, otherwise=None)
        return Step((argv,))

    def _guarded(
        self, key: bytes, word: bytes, expected: bytes, change: Argv, *, otherwise: Reply
    ) -> Talk:
        seen, equal = _CONDITIONS[word.upper()]

        async def compare_and_change(connection: Connection) -> Reply:
            while True:
                _, value = await connection.send([(b"WATCH", key), (b"GET", key)])
                if isinstance(value, Error):
                    await connection.send([(b"UNWATCH",)])
                    return value
                # A missing key equals nothing, and so differs from whatever is named.
                met = ((value is not None) and seen(value) == expected) is equal
                if not met:
                    await connection.send([(b"UNWATCH",)])
                    return otherwise
                self._ledger.forgive(1)  # the GET: the service bills one command
                _, queued, done = await connection.send([(b"MULTI",), change, (b"EXEC",)])
                if isinstance(queued, Error):
                    return queued
                if not isinstance(done, NullArray):
                    return done[0]

        return compare_and_change
