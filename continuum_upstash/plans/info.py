"""Parses the reply to INFO, with one name for the fields that all servers have."""

from __future__ import annotations

import re
from typing import Any, Final

_is_int: Final = re.compile(r"[0-9]{1,18}").fullmatch
_INTEGERS: Final = frozenset({"used_memory", "maxmemory", "total_data_size", "max_data_size"})


def parse(text: str) -> dict[str, Any]:
    """Return the fields of INFO as strings, and in addition:

    ``keys`` (int), ``used_memory`` (bytes), ``used_memory_human``, ``maxmemory_policy``
    (``noeviction`` or, on Upstash with eviction on, ``optimistic-volatile``) and ``version``.
    """
    fields: dict[str, Any] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator and not line.startswith("#"):
            fields[name] = value
    for name in _INTEGERS & fields.keys():
        fields[name] = _to_int(fields[name])
    fields["keys"] = _count_keys(fields)
    fields["version"] = fields.get("redis_version", "")
    fields.setdefault("used_memory", fields.get("total_data_size", 0))
    fields.setdefault("used_memory_human", format_bytes(fields["used_memory"]))
    fields.setdefault("maxmemory_policy", "")
    return fields


def _count_keys(fields: dict[str, Any]) -> int:
    # "keys=15,expires=5,avg_ttl=3600"; without keys there is no such line.
    counts = dict(part.partition("=")[::2] for part in fields.get("db0", "").split(","))
    return _to_int(counts.get("keys") or fields.get("total_keys") or "")


def _to_int(text: str) -> int:
    return int(text) if _is_int(text) else 0


def format_bytes(size: float) -> str:
    """Return bytes as Redis prints them: ``512B``, ``1.50M``."""
    for unit in ("B", "K", "M", "G"):
        if size < 1024:
            return f"{size:.2f}{unit}" if unit != "B" else f"{size}B"
        size /= 1024
    return f"{size:.2f}T"
