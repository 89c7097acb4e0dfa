"""How sessions are told from other keys, so that what clears a cache leaves them alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django.conf import settings

from continuum_upstash.sessions.index_entries import index_name
from continuum_upstash.sessions.signing import record_name

_DJANGOS: Final = r"django\.contrib\.sessions\.(?:cache|cached_db)[a-z0-9]{8,}"


def is_session() -> Callable[[str], object]:
    """Return what tells whether a full key belongs to a session, of this engine or Django's.

    It goes by the name alone: two aliases may reach one database by different URLs, and sessions
    outlive a change of SESSION_ENGINE.
    """
    prefix = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("KEY_PREFIX", "")
    record, index = re.escape(record_name(prefix, "")), re.escape(index_name(prefix, ""))
    return re.compile(rf"^(?:{record}[0-9a-f]{{64}}\Z|{index})|{_DJANGOS}").search
