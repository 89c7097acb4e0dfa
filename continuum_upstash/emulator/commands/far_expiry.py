"""HEXPIREAT and HPEXPIREAT with a time that Redis rejects as too far away, and the service accepts.

An example is a time in milliseconds where seconds are expected.
"""

from typing import Final

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.translation import Step, Translation
from continuum_upstash.emulator.redis.resp2_wire import Argv

_LAST_MS: Final = 2**48 - 2  # the latest expiry of a hash field in Redis
_MAX_INT64: Final = 2**63 - 1


def make_translations(specs: CommandSpecs) -> dict[bytes, Translation]:
    """Return the translations for Redis; Valkey, which has DELIFEQ, accepts such times."""
    if specs.has_command(b"delifeq"):
        return {}
    return {b"hexpireat": _translate_hexpireat, b"hpexpireat": _translate_hpexpireat}


def _translate_hexpireat(argv: Argv) -> Step:
    return _limit_time(argv, unit_ms=1000)


def _translate_hpexpireat(argv: Argv) -> Step:
    return _limit_time(argv, unit_ms=1)


def _limit_time(argv: Argv, unit_ms: int) -> Step:
    try:
        time_ms = int(argv[2]) * unit_ms
    except (IndexError, ValueError):
        return Step((argv,))  # the server returns its error
    if not _LAST_MS < time_ms <= _MAX_INT64:
        return Step((argv,))
    return Step(((b"HPEXPIREAT", argv[1], b"%d" % _LAST_MS, *argv[3:]),))
