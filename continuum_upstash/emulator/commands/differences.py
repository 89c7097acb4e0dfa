"""Commands that the service answers differently from Valkey, where one look at them is enough."""

from typing import Final

from continuum_upstash.emulator.commands.error_messages import (
    not_available,
    wrong_arity,
    wrong_database,
)
from continuum_upstash.emulator.commands.translation import Step, Translation, answer, mapped
from continuum_upstash.emulator.redis.resp2 import OK, Argv, Error, Reply

_TRIM_STRATEGIES: Final = frozenset((b"MAXLEN", b"MINID"))


def _select(argv: Argv) -> Step:
    if len(argv) != 2:
        return answer(wrong_arity(b"select"))
    return answer(OK if argv[1] == b"0" else wrong_database(argv[1]))


def _command(argv: Argv) -> Step:
    # Its subcommands are not in the reference, and COMMAND itself lists nothing.
    return answer([] if len(argv) == 1 else not_available(b" ".join(argv[:2])))


def _config_get(argv: Argv) -> Step:
    known = tuple(name for name in argv[2:] if name.lower() == b"notify-keyspace-events")
    return Step(((*argv[:2], *known),)) if known else answer([])


def _config_set(argv: Argv) -> Step:
    for name in argv[2::2]:
        if name.lower() != b"notify-keyspace-events":
            return answer(Error(b"ERR Unsupported CONFIG parameter: %b" % name))
    return Step((argv,))


def _client_setinfo(argv: Argv) -> Step:
    # Over REST there is no connection of the client's own to name.
    return answer(OK if len(argv) == 4 else wrong_arity(b"client|setinfo"))


def _unlink(argv: Argv) -> Step:
    return Step((argv,)) if len(argv) > 1 else answer(0)


def _copy(argv: Argv) -> Step:
    return answer(0) if len(argv) > 2 and argv[1] == argv[2] else Step((argv,))


def _hash_field_expiry(argv: Argv) -> Step:
    """Seconds rounded down, where Valkey rounds to the nearest."""

    def seconds(reply: Reply) -> Reply:
        if not isinstance(reply, list):
            return reply
        return [stamp // 1000 if stamp > 0 else stamp for stamp in reply]

    return mapped((b"HPEXPIRETIME", *argv[1:]), seconds)


def _trimmed_exactly(argv: Argv) -> Step:
    """XADD and XTRIM: `MAXLEN ~ n LIMIT m` becomes `MAXLEN n`, since `~` trims exactly there."""
    exact = list(argv)
    for place in range(2, len(exact) - 1):
        if exact[place].upper() in _TRIM_STRATEGIES and exact[place + 1] == b"~":
            exact[place + 1] = b"="
            if [word.upper() for word in exact[place + 3 : place + 4]] == [b"LIMIT"]:
                del exact[place + 3 : place + 5]
            break
    return Step((exact,))


def _consumers(argv: Argv) -> Step:
    def none_of_a_missing_group(reply: Reply) -> Reply:
        missing = isinstance(reply, Error) and reply.startswith(b"NOGROUP")
        return [] if missing else reply

    return mapped(argv, none_of_a_missing_group)


def _range(argv: Argv) -> Step:
    """ZRANGE with LIMIT by rank, which Valkey takes for BYSCORE and BYLEX only."""
    options = [word.upper() for word in argv[4:]]
    if b"LIMIT" not in options or b"BYSCORE" in options or b"BYLEX" in options:
        return Step((argv,))
    place = 4 + options.index(b"LIMIT")
    try:
        offset, count = (int(number) for number in argv[place + 1 : place + 3])
    except ValueError:
        return Step((argv,))
    width = 2 if b"WITHSCORES" in options else 1
    end = None if count < 0 else (offset + count) * width
    return mapped(
        (*argv[:place], *argv[place + 3 :]),
        lambda reply: reply[offset * width : end] if isinstance(reply, list) else reply,
    )


TRANSLATIONS: Final[dict[bytes, Translation]] = {
    b"client|setinfo": _client_setinfo,
    b"command": _command,
    b"config|get": _config_get,
    b"config|set": _config_set,
    b"copy": _copy,
    b"hexpiretime": _hash_field_expiry,
    b"select": _select,
    b"unlink": _unlink,
    b"xadd": _trimmed_exactly,
    b"xinfo|consumers": _consumers,
    b"xtrim": _trimmed_exactly,
    b"zrange": _range,
}
