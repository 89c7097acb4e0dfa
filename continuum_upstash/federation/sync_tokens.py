"""Sync tokens as text that travels with a job or a message: read your writes across processes.

    default=3k1,federation=5q     the newest sync token of each alias that is reached over REST

A process that applies the text reads what the sender had written before: a read replica first
waits for those writes. A token is no secret; a wrong one only delays reads, and is dropped after
the first read that it delays for too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django.core.cache import caches

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.transports.rest import sync_token

MAX_TEXT: Final = 1024  # characters; longer text is not applied
_is_entry: Final = re.compile(r"([A-Za-z0-9_.-]{1,64})=([A-Za-z0-9+/_-]{1,128}={0,2})").fullmatch


def collect_sync_tokens() -> str:
    """Return the sync tokens of this context, by alias; "" if there are none. Nothing is sent."""
    tokens, seen, entries = sync_token.get_tokens(), set(), []
    for alias, url in _list_rest_aliases():
        token = None if url in seen else tokens.get(url)
        seen.add(url)
        entry = f"{alias}={token.decode('latin-1')}" if token else ""
        if _is_entry(entry):
            entries.append(entry)
    text = ",".join(entries)
    return text if len(text) <= MAX_TEXT else ""


def apply_sync_tokens(text: str) -> None:
    """Send these tokens with the reads of this context. Unknown aliases and other text are ignored.

    Use `new_sync_tokens` around it where the context serves several jobs or requests.
    """
    if not text or len(text) > MAX_TEXT:
        return
    urls, tokens = dict(_list_rest_aliases()), sync_token.get_tokens()
    for entry in text.split(","):
        match = _is_entry(entry)
        if match and (url := urls.get(match[1])):
            tokens.update(url, match[2].encode())


def _list_rest_aliases() -> Iterator[tuple[str, str]]:
    for alias in caches.settings:
        cache = caches[alias]
        if isinstance(cache, UpstashBaseCache) and cache.database.config.mode == "rest":
            url = cache.database.config.rest_url
            if url is not None:
                yield str(alias), url
