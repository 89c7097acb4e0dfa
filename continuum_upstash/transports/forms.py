"""A batch as a request of Upstash's REST API: which form it takes, without any I/O.

    one command                    POST /               its words as a JSON array
    one, with a binary value       POST /SET/key?PX=9   the value is the body, byte for byte
    several commands               POST /pipeline       JSON arrays in a JSON array
    several, atomic                POST /multi-exec     the same

Replies to a single command come as RESP2, the cheapest lossless form; those to several as JSON
with base64, the only one that is documented there (upstash.com/docs/redis/features/restapi).
JSON cannot carry binary values, so several of them travel armoured: the codec reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from continuum_upstash.codec import armour
from continuum_upstash.effects import Argument, Batch, Command, Reply, Script
from continuum_upstash.errors import NotSerializable, ReplyError

Form: TypeAlias = Literal["command", "value", "batch"]

# Above this many bytes a text value goes as a body, too: escaping JSON costs more than a copy.
_MAX_TEXT: Final = 8 * 1024
_MAX_TARGET: Final = 8 * 1024

# Servers may tidy these parts of a path away: an empty one, "." and "..".
_UNTIDY: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)").search

_FLAGS: Final = frozenset({"NX", "XX", "GET", "KEEPTTL"})
_EXPIRIES: Final = frozenset({"EX", "PX", "EXAT", "PXAT"})
_COMPARISONS: Final = frozenset({"IFEQ", "IFNE", "IFDEQ", "IFDNE"})


class Request(NamedTuple):
    """One request.

    Attributes:
        form: which headers go with it.
        target: path and query.
        restore: turns the reply to the form into the reply to the command, where they differ.
    """

    form: Form
    target: str
    body: bytes
    restore: Callable[[Reply], Reply] | None = None


def request_for(batch: Batch) -> Request:
    """Return the request that carries `batch`.

    Raises:
        NotSerializable: a key or another text holds a lone surrogate.
    """
    commands = batch.commands
    try:
        if len(commands) == 1:
            return _with_body(commands[0]) or Request("command", "/", _json(commands[0]).encode())
        target = "/multi-exec" if batch.atomic else "/pipeline"
        body = "[" + ",".join([_json(command) for command in commands]) + "]"
        return Request("batch", target, body.encode())
    except UnicodeEncodeError:
        raise NotSerializable(
            "A key or an option holds a lone surrogate (U+D800 to U+DFFF), which has no UTF-8 "
            "form: the REST API cannot carry it. Clean the text that the key is made from."
        ) from None


def _json(command: Command) -> str:
    return "[" + ",".join([_word(argument) for argument in command]) + "]"


def _word(argument: Argument) -> str:
    if isinstance(argument, str):
        return encode_basestring(argument)
    if isinstance(argument, bytes):
        try:
            return encode_basestring(argument.decode())
        except UnicodeDecodeError:
            return f'"{armour(argument)}"'  # base64 has nothing to escape
    # Numbers as text: a JSON number might be rounded on its way.
    return encode_basestring(_text(argument))


def _text(argument: str | int | Script) -> str:
    if isinstance(argument, Script):
        return argument.locking
    return argument if isinstance(argument, str) else str(int(argument))


def _with_body(command: Command) -> Request | None:
    """Return the form whose body is the command's value, where there is need and a way."""
    at = 2 if command[0] in {"SET", "set"} and len(command) > 2 else len(command) - 1
    value = command[at]
    if not isinstance(value, bytes) or (len(value) <= _MAX_TEXT and _is_text(value)):
        return None
    query, restore = _query(command[at + 1 :])
    if query is None or (restore is not None and _is_text(value)):
        return None
    path = "".join(_segments(command[:at]))
    if "//" in path or len(path) + len(query) > _MAX_TARGET:
        return None
    return Request("value", path + query, value, restore)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _segments(arguments: Command) -> Iterator[str]:
    """Yield the parts of a path, and ``//`` in place of one that might not arrive as it is."""
    for argument in arguments:
        if isinstance(argument, bytes):
            yield "//"  # a second value: only one can be the body
        else:
            text = _text(argument)
            yield "//" if _UNTIDY(text) else "/" + quote(text, safe=":@")


def _query(options: Command) -> tuple[str | None, Callable[[Reply], Reply] | None]:
    """Return what follows SET's value as a query, and how to restore the plain reply.

    The service appends names and values as words. A flag has no value, and a name alone is not
    documented: so flags go in pairs, as in ``NX=GET``, and a lone one takes GET for company.
    """
    flags: list[str] = []
    pairs: dict[str, str] = {}
    words = iter(options)
    for option in words:
        name = str(option).upper()
        if name in _FLAGS:
            flags.append(name)
        elif name in _EXPIRIES | _COMPARISONS and (value := next(words, None)) is not None:
            pairs[name] = quote(value if isinstance(value, bytes) else _text(value))
        else:
            return None, None
    restore = None
    if len(flags) % 2:
        if "GET" in flags or _COMPARISONS & pairs.keys():
            return None, None
        restore = _plain_replies[flags[0]]
        flags.append("GET")
    pairs |= zip(flags[::2], flags[1::2], strict=True)
    query = "&".join([f"{name}={value}" for name, value in pairs.items()])
    return ("?" + query if query else ""), restore


def _of_nx(old: Reply) -> Reply:
    """GET with NX answers nil where it has set; any old value, of whatever type, forbids that."""
    if isinstance(old, ReplyError):
        return None if old.code == "WRONGTYPE" else old
    return b"OK" if old is None else None


def _of_xx(old: Reply) -> Reply:
    return old if old is None or isinstance(old, ReplyError) else b"OK"


def _of_keepttl(old: Reply) -> Reply:
    return old if isinstance(old, ReplyError) else b"OK"


_plain_replies: Final = {"NX": _of_nx, "XX": _of_xx, "KEEPTTL": _of_keepttl}
