"""Prints what another cache backend stores for some values, as JSON lines.

It was run once for each version, in an environment with that package only, and no server:

    python -m venv env && env/bin/pip install django-redis==7.0.0 "django==5.2.*" \\
        msgpack lz4 pyzstd brotli backports.zstd msgspec
    env/bin/python write_corpus.py django-redis

`stored_values.json` contains the output of all runs, grouped by package and version, serializer,
compressor and value. django-redis 5.4.0 was run with Django 4.2, the versions 6.0.0 and 7.0.0 and
django-valkey 0.4.1 with Django 5.2, all in Python 3.11; Django 6.1 itself in Python 3.12.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module, metadata
from pathlib import Path

VALUES = {
    "text": "short",
    "long text": "The quick brown fox jumps over the lazy dog. " * 20,
    "unicode": "naïve — ключ — 鍵",
    "int": -42,
    "float": 1.5,
    "true": True,
    "none": None,
    "list": [1, "two", 3.5, None, [True, {}]],
    "dict": {"id": 7, "name": "Ada", "tags": ["a", "b"], "nested": {"deep": [1, 2, 3]}},
}
PYTHON_VALUES = {
    "set": {"a", "b"},
    "tuple": (1, (2, 3)),
    "bytes": b"\x00\xff",
    "datetime": datetime(2026, 11, 27, 12, 30, tzinfo=UTC),
    "decimal": Decimal("12.50"),
}
BACKENDS = {
    "django-redis": "django_redis.cache.RedisCache",
    "django-valkey": "django_valkey.cache.ValkeyCache",
    "django": "django.core.cache.backends.redis.RedisCache",
}


DJANGO_SERIALIZER = "django.core.cache.backends.redis.RedisSerializer"


def list_classes(package: str, kind: str) -> list[str]:
    """Return the dotted paths of the serializers or compressors of a package."""
    root = import_module(f"{package.replace('-', '_')}.{kind}s")
    modules = [
        import_module(f"{root.__name__}.{path.stem}")
        for path in sorted(Path(root.__file__).parent.glob("[a-z]*.py"))
        if path.stem != "base"
    ]
    return [
        f"{module.__name__}.{name}"
        for module in modules
        for name, each in vars(module).items()
        if isinstance(each, type) and each.__module__ == module.__name__ and kind in name.lower()
    ]


def list_options(package: str) -> Iterator[dict[str, str]]:
    """Yield the OPTIONS with each serializer and compressor."""
    if package == "django":
        yield {}
        return
    for serializer in list_classes(package, "serializer"):
        for compressor in list_classes(package, "compressor"):
            yield {"SERIALIZER": serializer, "COMPRESSOR": compressor}


def list_stored_values(package: str) -> Iterator[dict[str, str]]:
    """Yield what the package stores for each value, with its origin."""
    from django.core.cache import CacheHandler  # noqa: PLC0415 the tests run without Django

    for options in list_options(package):
        entry = {"LOCATION": "redis://127.0.0.1:9", "OPTIONS": options}
        handler = CacheHandler({"default": {"BACKEND": BACKENDS[package], **entry}})
        cache = handler.create_connection("default")
        encode = cache._cache._serializer.dumps if package == "django" else cache.client.encode
        serializer = options.get("SERIALIZER", DJANGO_SERIALIZER)
        is_pickle = "Pickle" in serializer or package == "django"
        for name, value in (VALUES | (PYTHON_VALUES if is_pickle else {})).items():
            stored = encode(value)
            data = stored if isinstance(stored, bytes) else str(stored).encode()
            yield {
                "package": package,
                "version": metadata.version(package),
                "serializer": serializer,
                "compressor": options.get("COMPRESSOR", "identity"),
                "value": name,
                "stored": base64.b64encode(data).decode(),
            }


if __name__ == "__main__":
    from django.conf import settings  # as above

    settings.configure()
    for line in list_stored_values(sys.argv[1]):
        sys.stdout.write(json.dumps(line) + "\n")
