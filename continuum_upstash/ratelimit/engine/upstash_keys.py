"""What @upstash/ratelimit (npm, 2.1 and newer) stores beside its counters, by its prefix.

{prefix}:dynamic:global          a number that replaces the limit of all its clients
{prefix}:denyList:all            a set of denied identities, addresses, user agents, countries
{prefix}:events:{start of hour}  a sorted set: an event as JSON, and how often it occurred
"""

from __future__ import annotations

import json
import re
from typing import Final

_HOUR_MS: Final = 3_600_000
_is_reserved: Final = re.compile(r"(?:events|dynamic|denyList|ipDenyListStatus)(?::.*)?", re.DOTALL)


def make_dynamic_limit_key(prefix: str) -> str:
    return f"{prefix}:dynamic:global"


def make_deny_list_key(prefix: str) -> str:
    return f"{prefix}:denyList:all"


def make_events_key(prefix: str, now: int) -> str:
    """Return the key of the events of an hour; `now` is in Unix milliseconds."""
    return f"{prefix}:events:{now - now % _HOUR_MS}"


def build_event(identity: str, result: str = "") -> str:
    """Return an event as JSON, in the spelling of JSON.stringify.

    Args:
        identity: of the client.
        result: ``true``, ``false`` or ``"denied"``, and ``}``; empty: the script appends it.
    """
    return f'{{"identifier":{json.dumps(identity, ensure_ascii=False)},"success":{result}'


def escape_reserved(identity: str) -> str:
    """Return an identity that cannot be the name of one of the keys above.

    A client may choose its identity, such as the value of a header.
    """
    return f"key\n{identity}" if _is_reserved.fullmatch(identity) else identity
