"""A batch as a request of Upstash's REST API, without any I/O.

    one command                        POST /               its arguments as a JSON array
    one command with a binary value    POST /SET/key?PX=9   the value is the body, byte for byte
    several commands                   POST /pipeline       a JSON array of such arrays
    several commands, atomic           POST /multi-exec     the same

The reply to a single command is requested as RESP2, the fastest lossless form. The replies to
several commands are requested as JSON with base64, the only form that is documented for them
(https://upstash.com/docs/redis/features/restapi). JSON cannot contain binary values: there they
are sent as signed base64 text, which the codec also reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring
from operator import index
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from continuum_upstash.codec.base64 import SignedBase64
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.transports.base import lone_surrogate_error

RequestKind: TypeAlias = Literal["command", "value", "batch"]

# Larger text values are sent as a body, too: escaping them as JSON costs more than a copy.
_MAX_JSON_TEXT: Final = 8 * 1024
_MAX_TARGET: Final = 8 * 1024

# A path segment that needs no quoting and is not "." or "..": most keys. Matching is faster than
# quoting.
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9:@_~-][A-Za-z0-9:@_~.-]*").fullmatch

# Servers may normalize a path with such a segment: an empty one, "." or "..".
_NORMALIZED_SEGMENT: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)").search

_FLAGS: Final = frozenset({"NX", "XX", "GET", "KEEPTTL"})
_COMPARISONS: Final = frozenset({"IFEQ", "IFNE", "IFDEQ", "IFDNE"})
_OPTIONS_WITH_VALUE: Final = _COMPARISONS | {"EX", "PX", "EXAT", "PXAT"}


class Request(NamedTuple):
    """One request.

    Attributes:
        kind: decides its headers.
        target: path and query.
        convert_reply: where the request had to be another command than the batch's (NX without
            GET cannot be written as a query), returns the reply that the batch's would have had.
    """

    kind: RequestKind
    target: str
    body: bytes
    convert_reply: Callable[[Reply], Reply] | None = None


def encode_request(batch: Batch, base64: SignedBase64) -> Request:
    """Return the request for a batch.

    Args:
        batch: the commands.
        base64: encodes binary values where only text can be sent.

    Raises:
        NotSerializable: a key or another text contains a lone surrogate; or a binary value needs
            base64, and there is no secret to sign it with.
    """
    commands = batch.commands
    try:
        if len(commands) == 1:
            command = commands[0]
            return _encode_with_value(command) or Request(
                "command", "/", _encode_json(command, base64).encode()
            )
        target = "/multi-exec" if batch.atomic else "/pipeline"
        body = "[" + ",".join([_encode_json(command, base64) for command in commands]) + "]"
        return Request("batch", target, body.encode())
    except UnicodeEncodeError:
        raise lone_surrogate_error() from None


def _encode_json(command: Command, base64: SignedBase64) -> str:
    arguments = [
        encode_basestring(argument) if type(argument) is str else _encode_argument(argument, base64)
        for argument in command
    ]
    return "[" + ",".join(arguments) + "]"


def _encode_argument(argument: Argument, base64: SignedBase64) -> str:
    if isinstance(argument, bytes):
        try:
            text = argument.decode()
        except UnicodeDecodeError:
            return f'"{base64.encode(argument)}"'  # base64 has nothing to escape
        return encode_basestring(text)
    if isinstance(argument, int):
        return f'"{argument:d}"'  # the service may round a JSON number
    return encode_basestring(_to_str(argument))


def _to_str(argument: str | int | Script | ScriptHash) -> str:
    if isinstance(argument, (Script, ScriptHash)):
        return argument.source(key_locking=True)
    return argument if isinstance(argument, str) else str(index(argument))


def _encode_with_value(command: Command) -> Request | None:
    """Return the request whose body is the command's value, where that is useful and possible."""
    at = 2 if command[0] in {"SET", "set"} and len(command) > 2 else len(command) - 1
    value = command[at]
    if not isinstance(value, bytes) or (len(value) <= _MAX_JSON_TEXT and _is_text(value)):
        return None
    query, convert_reply = _encode_options(command[at + 1 :])
    if query is None or (convert_reply is not None and _is_text(value)):
        return None
    path = _encode_path(command[:at])
    if path is None or len(path) + len(query) > _MAX_TARGET:
        return None
    return Request("value", path + query, value, convert_reply)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encode_path(arguments: Command) -> str | None:
    """Return the arguments before a value as a path, or None where a server might change them.

    None, too, for a second value: only one can be the body.
    """
    path = ""
    for argument in arguments:
        if isinstance(argument, bytes):
            return None
        text = _to_str(argument)
        if _UNRESERVED(text):
            path += "/" + text
        elif _NORMALIZED_SEGMENT(text):
            return None
        else:
            path += "/" + quote(text, safe=":@")
    return path


def _encode_options(options: Command) -> tuple[str | None, Callable[[Reply], Reply] | None]:
    """Return the options after SET's value as a query, and the function that converts the reply.

    The service appends names and values as arguments. A flag has no value, and a name alone is
    not documented: so flags are sent in pairs (``NX=GET``), and a single one is paired with GET.
    """
    flags: list[str] = []
    pairs: dict[str, str] = {}
    remaining = iter(options)
    for option in remaining:
        name = str(option).upper()
        if name in _FLAGS:
            flags.append(name)
        elif name in _OPTIONS_WITH_VALUE and (value := next(remaining, None)) is not None:
            pairs[name] = (
                str(value)
                if isinstance(value, int)
                else quote(value if isinstance(value, bytes) else _to_str(value))
            )
        else:
            return None, None
    convert_reply = None
    if len(flags) % 2:
        if "GET" in flags or _COMPARISONS & pairs.keys():
            return None, None
        convert_reply = _REPLIES_WITHOUT_GET[flags[0]]
        flags.append("GET")
    if flags:
        pairs |= zip(flags[::2], flags[1::2], strict=True)
    query = "&".join([f"{name}={value}" for name, value in pairs.items()])
    return ("?" + query if query else ""), convert_reply


def _convert_nx(old: Reply) -> Reply:
    """NX with GET replies nil if it has set; any old value, whatever its type, prevents that."""
    if isinstance(old, ReplyError):
        return None if old.code == "WRONGTYPE" else old
    return b"OK" if old is None else None


def _convert_xx(old: Reply) -> Reply:
    return old if old is None or isinstance(old, ReplyError) else b"OK"


def _convert_keepttl(old: Reply) -> Reply:
    return old if isinstance(old, ReplyError) else b"OK"


_REPLIES_WITHOUT_GET: Final = {"NX": _convert_nx, "XX": _convert_xx, "KEEPTTL": _convert_keepttl}
