"""Compare-and-set: SET with IFEQ, IFNE, IFDEQ or IFDNE, DELEX and DIGEST. Valkey has only IFEQ.

Source: https://upstash.com/docs/redis/sdks/ts/commands/string/set and the pages of DELEX, DIGEST.
"""

from collections.abc import Callable
from typing import Final

from xxhash import xxh3_64_hexdigest

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.error_messages import wrong_arity
from continuum_upstash.emulator.commands.translation import (
    Dialogue,
    Step,
    Translation,
    convert_reply,
    reply_with,
)
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, NullArray, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection
from continuum_upstash.emulator.usage import UsageCounter


def compute_digest(value: bytes) -> bytes:
    """Return the 16 hexadecimal digits of the value's XXH3."""
    return xxh3_64_hexdigest(value).encode()


# For each condition: what of the value is compared, and whether it must be equal.
_CONDITIONS: Final[dict[bytes, tuple[Callable[[bytes], bytes], bool]]] = {
    b"IFEQ": (bytes, True),
    b"IFNE": (bytes, False),
    b"IFDEQ": (compute_digest, True),
    b"IFDNE": (compute_digest, False),
}


class CompareAndSet:
    """Runs the conditions that the server lacks by WATCH, GET and MULTI."""

    def __init__(self, usage: UsageCounter, specs: CommandSpecs, *, has_conditions: bool) -> None:
        self._usage = usage
        # Valkey has IFEQ, Redis 7 does not.
        native = {b"IFEQ"} if specs.has_command(b"delifeq") else set()
        self._emulated = _CONDITIONS.keys() - native
        self.translations: dict[bytes, Translation] = {
            b"set": self._translate_set if has_conditions else _refuse_conditions,
            b"delex": self._translate_delex,
            b"digest": self._translate_digest,
        }

    def _translate_digest(self, argv: Argv) -> Step:
        if len(argv) != 2:
            return reply_with(wrong_arity(b"digest"))
        return convert_reply(
            (b"GET", *argv[1:]),
            lambda reply: (
                reply if reply is None or isinstance(reply, Error) else compute_digest(reply)
            ),
        )

    def _translate_delex(self, argv: Argv) -> Step | Dialogue:
        match argv:
            case [_, key]:
                return Step(((b"DEL", key),))
            case [_, key, word, expected] if word.upper() in self._emulated:
                return self._change_if(key, word, expected, (b"DEL", key), otherwise=0)
            case [_, key, word, expected] if word.upper() == b"IFEQ":
                return Step(((b"DELIFEQ", key, expected),))
            case [_] | [_, _, _]:
                return reply_with(wrong_arity(b"delex"))
        return reply_with(Error(b"ERR syntax error"))

    def _translate_set(self, argv: Argv) -> Step | Dialogue:
        for position, word in enumerate(argv[3:-1], start=3):
            if word.upper() in self._emulated:
                plain = (*argv[:position], *argv[position + 2 :])
                return self._change_if(argv[1], word, argv[position + 1], plain, otherwise=None)
        return Step((argv,))

    def _change_if(
        self, key: bytes, condition: bytes, expected: bytes, change: Argv, *, otherwise: Reply
    ) -> Dialogue:
        compared, must_be_equal = _CONDITIONS[condition.upper()]

        async def compare_and_change(connection: UpstreamConnection) -> Reply:
            while True:
                _, value = await connection.send([(b"WATCH", key), (b"GET", key)])
                if isinstance(value, Error):
                    await connection.send([(b"UNWATCH",)])
                    return value
                # A missing key is equal to no value.
                is_equal = value is not None and compared(value) == expected
                if is_equal is not must_be_equal:
                    await connection.send([(b"UNWATCH",)])
                    return otherwise
                self._usage.subtract(1)  # the GET: the service bills one command
                _, queued, results = await connection.send([(b"MULTI",), change, (b"EXEC",)])
                if isinstance(queued, Error):
                    return queued
                if not (results is None or isinstance(results, NullArray)):
                    return results[0]

        return compare_and_change


def _refuse_conditions(argv: Argv) -> Step:
    has_condition = any(word.upper() in _CONDITIONS for word in argv[3:])
    return reply_with(Error(b"ERR syntax error")) if has_condition else Step((argv,))
