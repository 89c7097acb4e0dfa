"""A batch as a request of Upstash's REST API, without any I/O.

    one command                        POST /               its arguments as a JSON array
    one command with a binary value    POST /SET/key?PX=9   the value is the body, byte for byte
    several commands                   POST /pipeline       a JSON array of such arrays
    several commands, atomic           POST /multi-exec     the same

The reply to a single command is requested as RESP2, the fastest lossless form. The replies to
several commands are requested as JSON with base64, the only form that is documented for them
(https://upstash.com/docs/redis/features/restapi). JSON cannot contain binary values: there they
are sent as text that the codec decodes to the same value (codec/text.py).

Only documented forms are sent: a query contains options with a value (``?PX=9``) but no flag, and
a path contains no character that servers treat in different ways.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring
from operator import index
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from continuum_upstash.codec.text import SignedBase64, encode_json_string, is_binary
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.transports.base import lone_surrogate_error
from continuum_upstash.transports.rest.dialect import RestDialect

# "encoded" is "command" for a server without RESP2: its reply is JSON with base64. "events" is a
# subscription (subscriptions/event_stream.py).
RequestKind: TypeAlias = Literal["command", "encoded", "value", "batch", "events"]

# Larger text values are sent as a body, too: escaping them as JSON costs more than a copy.
_MAX_JSON_TEXT: Final = 8 * 1024
# Proxies reject request lines of 8 KB (nginx) or less.
_MAX_TARGET: Final = 4 * 1024

# A path segment that needs no quoting but of ":", and is not "." or "..": most keys. Matching is
# faster than quoting.
_NEEDS_NO_QUOTING: Final = re.compile(r"[A-Za-z0-9:_~-][A-Za-z0-9:_~.-]*").fullmatch

_ONLY_STR: Final = frozenset({str})
_OPTIONS_WITH_VALUE: Final = frozenset({"EX", "PX", "EXAT", "PXAT"})


class Request(NamedTuple):
    """One request.

    Attributes:
        kind: decides its headers.
        target: path and query.
        body: JSON, or the value.
    """

    kind: RequestKind
    target: str
    body: bytes


def encode_request(batch: Batch, base64: SignedBase64, dialect: RestDialect) -> Request:
    """Return the request for a batch.

    Args:
        batch: the commands.
        base64: encodes binary values where only text can be sent.
        dialect: what the server supports.

    Raises:
        NotSerializable: a key or another text contains a lone surrogate; or a binary value needs
            base64, and there is no secret to sign it with.
    """
    commands = batch.commands
    try:
        if len(commands) == 1:
            command = commands[0]
            if dialect.value_in_body and bytes in map(type, command):
                request = _encode_with_value(command, dialect)
                if request is not None:
                    return request
            body = _encode_json(command, base64, dialect)
            return Request("command" if dialect.resp2 else "encoded", "/", body.encode())
        target = "/multi-exec" if batch.atomic else "/pipeline"
        arrays = [_encode_json(command, base64, dialect) for command in commands]
        return Request("batch", target, f"[{','.join(arrays)}]".encode())
    except UnicodeEncodeError:
        raise lone_surrogate_error() from None


def _encode_json(command: Command, base64: SignedBase64, dialect: RestDialect) -> str:
    if len(command) == 5:  # what `set_many` sends is encoded in half the time
        name, key, value, option, amount = command
        is_set = name == "SET" and option == "PX"
        if is_set and type(key) is str and type(value) is bytes and type(amount) is int:
            text = encode_json_string(value, base64)
            return f'["SET",{encode_basestring(key)},{text},"PX","{amount}"]'
    elif _ONLY_STR.issuperset(map(type, command)):  # GET and MGET
        texts: Any = command
        return f"[{','.join(map(encode_basestring, texts))}]"
    arguments = []
    for argument in command:
        if type(argument) is str:
            text = encode_basestring(argument)
        elif isinstance(argument, bytes):
            text = encode_json_string(argument, base64)
        elif type(argument) is int:
            text = f'"{argument}"'  # the service may round a JSON number
        else:
            text = encode_basestring(_to_str(argument, dialect))
        arguments.append(text)
    return f"[{','.join(arguments)}]"


def _to_str(argument: str | int | Script | ScriptHash, dialect: RestDialect) -> str:
    if isinstance(argument, (Script, ScriptHash)):
        return argument.source(key_locking=dialect.key_locking)
    return argument if isinstance(argument, str) else str(index(argument))


def _encode_with_value(command: Command, dialect: RestDialect) -> Request | None:
    """Return the request whose body is the command's value, where that is useful and possible."""
    at = 2 if command[0] in {"SET", "set"} and len(command) > 2 else len(command) - 1
    value = command[at]
    if not isinstance(value, bytes):
        return None
    if len(value) <= _MAX_JSON_TEXT and not is_binary(value) and _is_text(value):
        return None
    query = _encode_options(command[at + 1 :])
    if query is None:
        return None
    path: str | None
    if command[0] == "SET" and type(key := command[1]) is str and _NEEDS_NO_QUOTING(key):
        path = "/SET/" + key.replace(":", "%3A")  # as `_encode_path`, in a third of the time
    else:
        path = _encode_path(command[:at], dialect)
    if path is None or len(path) + len(query) > _MAX_TARGET:
        return None
    return Request("value", path + query, value)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encode_path(arguments: Command, dialect: RestDialect) -> str | None:
    """Return the arguments before a value as a path, or None where a server might change them.

    Servers may remove an empty segment, "." or "..", and split one at an encoded "/". None, too,
    for a second value: only one can be the body.
    """
    path = ""
    for argument in arguments:
        if isinstance(argument, bytes):
            return None
        text = argument if type(argument) is str else _to_str(argument, dialect)
        if _NEEDS_NO_QUOTING(text):
            path += "/" + text.replace(":", "%3A")
        elif text in {"", ".", ".."} or "/" in text:
            return None
        else:
            path += "/" + quote(text, safe="")
    return path


def _encode_options(options: Command) -> str | None:
    """Return the options after SET's value as a query, or None for any without a value."""
    if len(options) == 2 and options[0] == "PX" and type(options[1]) is int:
        return f"?PX={options[1]}"
    if len(options) % 2:
        return None
    pairs: dict[str, int] = {}
    for name, value in zip(options[::2], options[1::2], strict=True):
        option = str(name).upper()
        if option not in _OPTIONS_WITH_VALUE or not isinstance(value, int):
            return None
        pairs[option] = value
    query = "&".join([f"{name}={value:d}" for name, value in pairs.items()])
    return "?" + query if query else ""
