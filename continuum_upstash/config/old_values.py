"""The option OLD_VALUES: which values another cache backend has stored in the database."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError, suggest_similar

_SERIALIZERS: Final[Mapping[str, str]] = {
    "pickle": "pickle",
    "json": "json",
    "msgpack": "msgpack",
    "PickleSerializer": "pickle",
    "RedisSerializer": "pickle",  # Django's
    "JSONSerializer": "json",
    "MSGPackSerializer": "msgpack",
    "MsgSpecJsonSerializer": "json",
    "MsgSpecMsgPackSerializer": "msgpack",
}
_COMPRESSORS: Final[Mapping[str, str]] = {
    "identity": "identity",
    "zlib": "zlib",
    "gzip": "gzip",
    "lzma": "lzma",
    "bz2": "bz2",
    "lz4": "lz4",
    "zstd": "zstd",
    "brotli": "brotli",
    "IdentityCompressor": "identity",
    "ZlibCompressor": "zlib",
    "GzipCompressor": "gzip",
    "LzmaCompressor": "lzma",
    "Bz2Compressor": "bz2",
    "Lz4Compressor": "lz4",
    "ZStdCompressor": "zstd",
    "BrotliCompressor": "brotli",
}
_PACKAGES: Final[Mapping[str, str]] = {"lz4": "lz4", "brotli": "brotli>=1.2"}
_ENTRIES: Final = ("SERIALIZER", "COMPRESSOR", "TRUST_PICKLES")
_EXAMPLE: Final = '{"SERIALIZER": "pickle", "TRUST_PICKLES": True}'


def validate_old_values(value: Any) -> tuple[str, str] | None:
    """Return the names of a serializer and a compressor.

    Raises:
        ConfigurationError: the option is invalid, or a package that it needs is not installed.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise ConfigurationError(f"OLD_VALUES must be a dict, for example {_EXAMPLE}.")
    for name in value.keys() - set(_ENTRIES):
        raise ConfigurationError(
            f"OLD_VALUES has no entry {name}.{suggest_similar(str(name), _ENTRIES)}"
        )
    serializer = _find("SERIALIZER", value.get("SERIALIZER", "pickle"), _SERIALIZERS)
    compressor = _find("COMPRESSOR", value.get("COMPRESSOR", "identity"), _COMPRESSORS)
    if serializer == "pickle" and value.get("TRUST_PICKLES") is not True:
        raise ConfigurationError(
            "OLD_VALUES: a pickle can run code when it is read, so only programs that you trust "
            'may write to the database. If that is so, add "TRUST_PICKLES": True.'
        )
    if compressor in _PACKAGES and find_spec(compressor) is None:
        raise ConfigurationError(
            f"OLD_VALUES: install {_PACKAGES[compressor]} to read what {compressor} has compressed."
        )
    return serializer, compressor


def _find(entry: str, value: object, known: Mapping[str, str]) -> str:
    """Return the name of a serializer or compressor, of which `value` may be the dotted path."""
    found = known.get(value.rpartition(".")[2]) if isinstance(value, str) else None
    if found is None:
        names = ", ".join(dict.fromkeys(known.values()))
        raise ConfigurationError(
            f"OLD_VALUES[{entry!r}] is {value!r}: write one of {names}, or the path of a class of "
            "django-redis or django-valkey."
        )
    return found
