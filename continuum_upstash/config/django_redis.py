"""Translates the settings of django-redis 7 in an entry of CACHES.

A project that moves from django-redis changes BACKEND and keeps the rest of the entry. Each setting
is used as it is, replaced by an option of this package, or refused with the option to set instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

# The options that django-redis' connection factory receives in TCP mode, and why REST has none.
_NO_EQUIVALENT: Final = "Delete it, or set a rediss:// URL to use TCP"
_NO_SENTINELS: Final = "Delete it: Upstash replaces a failed primary itself"
TCP_OPTIONS: Final[Mapping[str, str]] = {
    "CONNECTION_FACTORY": _NO_EQUIVALENT,
    "CONNECTION_POOL_CLASS": _NO_EQUIVALENT,
    "CONNECTION_POOL_KWARGS": "",  # see `_map_pool_arguments`
    "PARSER_CLASS": "Delete it: hiredis parses the replies",
    "PASSWORD": "Set TOKEN instead: the password of an Upstash database is also its REST token",
    "REDIS_CLIENT_CLASS": _NO_EQUIVALENT,
    "REDIS_CLIENT_KWARGS": _NO_EQUIVALENT,
    "SENTINELS": _NO_SENTINELS,
    "SENTINEL_KWARGS": _NO_SENTINELS,
    "SOCKET_CONNECT_TIMEOUT": "",  # becomes CONNECT_TIMEOUT
    "SOCKET_TIMEOUT": "",  # becomes READ_TIMEOUT
    "USERNAME": "Delete it: over REST, the token identifies the user",
}

COMPRESS_MIN_BYTES: Final = 1024  # compression of smaller values costs more time than it saves

_CLIENTS: Final[Mapping[str, str]] = {
    "DefaultClient": "",
    "SentinelClient": "",
    "HerdClient": (
        "Delete it and CACHE_HERD_TIMEOUT, and read with get_or_set(…, early=True): one caller "
        "computes the value before it expires"
    ),
    "ShardClient": "Delete it: an Upstash database is one server with one URL",
}
_SERIALIZERS: Final[Mapping[str, str]] = {
    "PickleSerializer": "msgpack",  # what msgpack cannot represent is stored as a signed pickle
    "MSGPackSerializer": "msgpack",
    "JSONSerializer": "json",
}
_COMPRESSORS: Final[Mapping[str, int | None]] = {
    "IdentityCompressor": None,
    "GzipCompressor": COMPRESS_MIN_BYTES,
    "Lz4Compressor": COMPRESS_MIN_BYTES,
    "LzmaCompressor": COMPRESS_MIN_BYTES,
    "ZStdCompressor": COMPRESS_MIN_BYTES,
    "ZlibCompressor": COMPRESS_MIN_BYTES,
}
_POOL_ARGUMENTS: Final[Mapping[str, str]] = {
    "max_connections": "POOL_SIZE",
    "socket_connect_timeout": "CONNECT_TIMEOUT",
    "socket_timeout": "READ_TIMEOUT",
}
_PICKLE_VERSIONS: Final = (-1, 5)  # both mean the protocol of our pickles

_NEXT_URL: Final = re.compile(r",(?=\s*(?:rediss?|unix|https?)://)")

_Options: TypeAlias = dict[str, Any]


def select_url(location: object) -> str | None:
    """Return the one URL of a LOCATION, or None if it has several or is something else.

    django-redis accepts a list of URLs, or one string with commas between them.
    """
    given = location if isinstance(location, (list, tuple, set)) else [location]
    urls = [url for url in given if isinstance(url, str)]
    if len(urls) != len(given):
        return None
    parts = {part.strip() for url in urls for part in _NEXT_URL.split(url)}
    return parts.pop() if len(parts) == 1 else None


def replace_options(options: _Options) -> list[str]:
    """Replace django-redis' options by those of this package; return what cannot be replaced."""
    problems = []
    for name, replace in _REPLACEMENTS.items():
        if name in options:
            problem = replace(options, name)
            if problem:
                problems.append(f"{problem}.")
    return problems


def replace_tcp_options(options: _Options, tcp_options: _Options) -> list[str]:
    """Replace the options of TCP connections in REST mode; return what cannot be replaced."""
    problems: list[str] = []
    for name in sorted(tcp_options):
        if name == "CONNECTION_POOL_KWARGS":
            problems += _map_pool_arguments(options, tcp_options[name])
        elif TCP_OPTIONS[name]:
            problems.append(f"{name} is for TCP only, and the mode is rest. {TCP_OPTIONS[name]}.")
    return problems


def _map_pool_arguments(options: _Options, arguments: object) -> Iterator[str]:
    if not isinstance(arguments, Mapping):
        yield "CONNECTION_POOL_KWARGS must be a dict."
        return
    others = []
    for name, value in arguments.items():
        if name in _POOL_ARGUMENTS:
            options.setdefault(_POOL_ARGUMENTS[name], value)
        else:
            others.append(str(name))
    if others:
        yield (
            f"CONNECTION_POOL_KWARGS is for TCP only, and the mode is rest. Delete its entries "
            f"{', '.join(sorted(others))}. max_connections is used as POOL_SIZE."
        )


def _replace_client_class(options: _Options, name: str) -> str | None:
    value = options.pop(name)
    advice = _CLIENTS.get(_find_class(value))
    if advice is None:
        advice = "Delete it: subclass continuum_upstash.backend.CacheBackend to add methods"
    return f"{name} {value!r} has no effect here. {advice}" if advice else None


def _replace_serializer(options: _Options, name: str) -> str | None:
    value = options[name]
    if "." not in str(value):
        return None
    serializer = _SERIALIZERS.get(_find_class(value))
    if serializer is None:
        del options[name]
        return (
            f"{name} {value!r} is a class, and stored values have one format that every client of "
            "this package reads. Set it to 'msgpack' or 'json', or delete it"
        )
    options[name] = serializer
    return None


def _replace_compressor(options: _Options, name: str) -> str | None:
    value = options.pop(name)
    class_name = _find_class(value)
    if class_name not in _COMPRESSORS:
        return (
            f"{name} {value!r} is not one of django-redis. Set COMPRESS_MIN_BYTES = "
            f"{COMPRESS_MIN_BYTES} instead: values of this size are compressed with zstd"
        )
    options.setdefault("COMPRESS_MIN_BYTES", _COMPRESSORS[class_name])
    return None


def _replace_ignore_exceptions(options: _Options, name: str) -> str | None:
    value = options.pop(name)
    if not isinstance(value, bool):
        return f"{name} must be True or False, not {value!r}"
    if options.setdefault("FALLBACK", value) is not value:
        return (
            f"{name} is {value}, but FALLBACK is {options['FALLBACK']}. Delete {name}: FALLBACK "
            "replaces it"
        )
    return None


def _accept_log(options: _Options, name: str) -> None:
    del options[name]  # an outage is always logged


def _replace_close(options: _Options, name: str) -> str | None:
    if not options.pop(name):
        return None
    return f"{name} is True, but connections stay open between requests. Delete it"


def _replace_replica_read_only(options: _Options, name: str) -> str | None:
    if options.pop(name):
        return None
    return (
        f"{name} is False, but an Upstash database has one URL, including its replicas. Delete it"
    )


def _replace_pickle_version(options: _Options, name: str) -> str | None:
    value = options.pop(name)
    if value in _PICKLE_VERSIONS:
        return None
    return (
        f"{name} is {value!r}, but pickles are signed and use protocol 5, which every supported "
        "Python reads. Delete it"
    )


def _use_timeout(options: _Options, name: str) -> str | None:
    value = options[name]
    if not value:  # django-redis ignores None and 0
        del options[name]
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        del options[name]
        return f"{name} must be seconds above 0, not {value!r}"
    options.setdefault("READ_TIMEOUT" if name == "SOCKET_TIMEOUT" else "CONNECT_TIMEOUT", value)
    return None


def _find_class(path: object) -> str:
    """Return the name of one of django-redis' classes; "" for another class."""
    text = str(path)
    return text.rpartition(".")[2] if text.startswith("django_redis.") else ""


_REPLACEMENTS: Final[Mapping[str, Callable[[_Options, str], str | None]]] = {
    "CLIENT_CLASS": _replace_client_class,
    "CLOSE_CONNECTION": _replace_close,
    "COMPRESSOR": _replace_compressor,
    "IGNORE_EXCEPTIONS": _replace_ignore_exceptions,
    "LOG_IGNORED_EXCEPTIONS": _accept_log,
    "PICKLE_VERSION": _replace_pickle_version,
    "REPLICA_READ_ONLY": _replace_replica_read_only,
    "SERIALIZER": _replace_serializer,
    "SOCKET_CONNECT_TIMEOUT": _use_timeout,
    "SOCKET_TIMEOUT": _use_timeout,
}

# Every option that a CACHES entry of django-redis can have.
OPTIONS: Final = frozenset(_REPLACEMENTS) | TCP_OPTIONS.keys()
