"""Commands whose replies differ between the service and Valkey: each needs one small change."""

from typing import Final

from continuum_upstash.emulator.commands.error_messages import (
    wrong_arity,
    wrong_database,
)
from continuum_upstash.emulator.commands.translation import (
    Step,
    Translation,
    convert_reply,
    reply_with,
)
from continuum_upstash.emulator.redis.resp2_wire import OK, Argv, Error, Reply

_TRIM_STRATEGIES: Final = frozenset((b"MAXLEN", b"MINID"))


def _translate_select(argv: Argv) -> Step:
    if len(argv) != 2:
        return reply_with(wrong_arity(b"select"))
    return reply_with(OK if argv[1] == b"0" else wrong_database(argv[1]))


def _translate_command(_: Argv) -> Step:
    # The service returns an empty list; whether it looks at arguments is not documented.
    return reply_with([])


def _translate_config_get(argv: Argv) -> Step:
    supported = tuple(name for name in argv[2:] if name.lower() == b"notify-keyspace-events")
    return Step(((*argv[:2], *supported),)) if supported else reply_with([])


def _translate_config_set(argv: Argv) -> Step:
    for name in argv[2::2]:
        if name.lower() != b"notify-keyspace-events":
            return reply_with(Error(b"ERR Unsupported CONFIG parameter: %b" % name))
    return Step((argv,))


def _translate_client_setinfo(argv: Argv) -> Step:
    # Over REST, a client has no connection of its own that could get a name.
    return reply_with(OK if len(argv) == 4 else wrong_arity(b"client|setinfo"))


def _translate_unlink(argv: Argv) -> Step:
    return Step((argv,)) if len(argv) > 1 else reply_with(0)


def _translate_copy(argv: Argv) -> Step:
    return reply_with(0) if len(argv) > 2 and argv[1] == argv[2] else Step((argv,))


def _translate_hexpiretime(argv: Argv) -> Step:
    """Round seconds down; Valkey rounds to the nearest second."""

    def round_down(reply: Reply) -> Reply:
        if not isinstance(reply, list):
            return reply
        return [ms // 1000 if ms > 0 else ms for ms in reply]

    return convert_reply((b"HPEXPIRETIME", *argv[1:]), round_down)


def _trim_exactly(argv: Argv) -> Step:
    """Replace `MAXLEN ~ n` by `MAXLEN = n`: on the service, `~` trims exactly, except with LIMIT.

    With LIMIT, the service obeys it and keeps a surplus of up to a hundred entries, as Valkey does.
    """
    exact = list(argv)
    for position in range(2, len(exact) - 1):
        if exact[position].upper() in _TRIM_STRATEGIES and exact[position + 1] == b"~":
            if [word.upper() for word in exact[position + 3 : position + 4]] != [b"LIMIT"]:
                exact[position + 1] = b"="
            break
    return Step((exact,))


def _translate_xinfo_consumers(argv: Argv) -> Step:
    def ignore_missing_group(reply: Reply) -> Reply:
        is_missing = isinstance(reply, Error) and reply.startswith(b"NOGROUP")
        return [] if is_missing else reply

    return convert_reply(argv, ignore_missing_group)


TRANSLATIONS: Final[dict[bytes, Translation]] = {
    b"client|setinfo": _translate_client_setinfo,
    b"command": _translate_command,
    b"config|get": _translate_config_get,
    b"config|set": _translate_config_set,
    b"copy": _translate_copy,
    b"hexpiretime": _translate_hexpiretime,
    b"select": _translate_select,
    b"unlink": _translate_unlink,
    b"xadd": _trim_exactly,
    b"xinfo|consumers": _translate_xinfo_consumers,
    b"xtrim": _trim_exactly,
}
