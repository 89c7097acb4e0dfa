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
from collections.abc import Callable
from json.encoder import encode_basestring
from operator import index
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from continuum_upstash.codec.codec import to_text
from continuum_upstash.errors import NotSerializable, ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash

Form: TypeAlias = Literal["command", "value", "batch"]

# Above this many bytes a text value goes as a body, too: escaping JSON costs more than a copy.
_MAX_TEXT: Final = 8 * 1024
_MAX_TARGET: Final = 8 * 1024

# What needs no quoting in a path and is no "." or "..": most keys, told faster than by quoting.
_PLAIN: Final = re.compile(r"[A-Za-z0-9:@_~-][A-Za-z0-9:@_~.-]*").fullmatch

# Servers may tidy these parts of a path away: an empty one, "." and "..".
_UNTIDY: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)").search

_FLAGS: Final = frozenset({"NX", "XX", "GET", "KEEPTTL"})
_COMPARISONS: Final = frozenset({"IFEQ", "IFNE", "IFDEQ", "IFDNE"})
_VALUED: Final = _COMPARISONS | {"EX", "PX", "EXAT", "PXAT"}


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
    words = [
        encode_basestring(argument) if type(argument) is str else _word(argument)
        for argument in command
    ]
    return "[" + ",".join(words) + "]"


def _word(argument: Argument) -> str:
    if isinstance(argument, bytes):
        try:
            text = argument.decode()
        except UnicodeDecodeError:
            return f'"{to_text(argument)}"'  # base64 has nothing to escape
        return encode_basestring(text)
    if isinstance(argument, int):
        return f'"{argument:d}"'  # a JSON number might be rounded on its way
    return encode_basestring(_text(argument))


def _text(argument: str | int | Script | ScriptHash) -> str:
    if isinstance(argument, (Script, ScriptHash)):
        return argument.source(key_locking=True)
    return argument if isinstance(argument, str) else str(index(argument))


def _with_body(command: Command) -> Request | None:
    """Return the form whose body is the command's value, where there is need and a way."""
    at = 2 if command[0] in {"SET", "set"} and len(command) > 2 else len(command) - 1
    value = command[at]
    if not isinstance(value, bytes) or (len(value) <= _MAX_TEXT and _is_text(value)):
        return None
    query, restore = _query(command[at + 1 :])
    if query is None or (restore is not None and _is_text(value)):
        return None
    path = _path(command[:at])
    if path is None or len(path) + len(query) > _MAX_TARGET:
        return None
    return Request("value", path + query, value, restore)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _path(arguments: Command) -> str | None:
    """Return the words before a value as a path, or None where they might not arrive as they are.

    A second value is such a word: only one can be the body.
    """
    path = ""
    for argument in arguments:
        if isinstance(argument, bytes):
            return None
        text = _text(argument)
        if _PLAIN(text):
            path += "/" + text
        elif _UNTIDY(text):
            return None
        else:
            path += "/" + quote(text, safe=":@")
    return path


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
        elif name in _VALUED and (value := next(words, None)) is not None:
            pairs[name] = (
                str(value)
                if isinstance(value, int)
                else quote(value if isinstance(value, bytes) else _text(value))
            )
        else:
            return None, None
    restore = None
    if len(flags) % 2:
        if "GET" in flags or _COMPARISONS & pairs.keys():
            return None, None
        restore = _plain_replies[flags[0]]
        flags.append("GET")
    if flags:
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
