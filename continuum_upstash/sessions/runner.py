"""The database of SESSION_CACHE_ALIAS: never a local stand-in, and none that throws keys away."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation

from continuum_upstash.cache.base import UpstashBaseCache, run_in_django_thread
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import (
    CapacityExceeded,
    ConfigurationError,
    Refused,
    SessionStoreUnavailable,
    Unavailable,
)
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import AsyncRunner, Runner
from continuum_upstash.protocol import Replies, Reply
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.signing import seal
from continuum_upstash.transports.registry import Database

_RETRY_SECONDS: Final = 5

logger = logging.getLogger("continuum_upstash")

_KEEPS_KEYS: Final = frozenset({"noeviction", ""})  # what no server says is taken for harmless

# Those whose policy this process has seen: they are asked once.
_trusted: WeakSet[Database] = WeakSet()


class ImproperlyConfiguredSessions(ConfigurationError, ImproperlyConfigured):
    """Sessions cannot be kept with these settings."""


class SessionsWouldVanish(ImproperlyConfiguredSessions):
    """The database deletes keys when it is full, and sessions are keys."""


class SessionDatabase:
    """Runs the plans of sessions.

    Every batch has needs_server=True, so the local store never replies. The first batch of
    a process begins with INFO, which is not billed, to find out whether the database evicts.

    Raises:
        ImproperlyConfiguredSessions: SESSION_CACHE_ALIAS names no cache of this package.
    """

    def __init__(self) -> None:
        alias = settings.SESSION_CACHE_ALIAS
        cache = caches[alias]
        if not isinstance(cache, UpstashBaseCache):
            raise ImproperlyConfiguredSessions(
                f"SESSION_CACHE_ALIAS is '{alias}', which is a {type(cache).__qualname__}. Name an "
                "entry of CACHES whose BACKEND is continuum_upstash.backend.CacheBackend."
            )
        self.database = cache.database
        self.config = cache.database.config
        self.prefix: str = cache.key_prefix
        self.runner = Runner(self._send, seal, self.database.once)
        self.async_runner = AsyncRunner(
            self._asend,
            seal,
            self.database.aonce,
            offload_on=(SynchronousOnlyOperation,),
            offload=run_in_django_thread,
        )

    def seconds_to_next_try(self) -> int:
        """Return after how long it is worth while to ask again."""
        probe = self.database.status.next_probe
        left = _RETRY_SECONDS if probe is None else math.ceil(probe - time.time())
        return max(1, left)

    def _send(self, batch: Batch) -> Replies:
        asked = self._asked(batch)
        with _in_words_of_sessions(self.config):
            return self._accepted(batch, self.database.send(asked))

    async def _asend(self, batch: Batch) -> Replies:
        asked = self._asked(batch)
        with _in_words_of_sessions(self.config):
            return self._accepted(batch, await self.database.asend(asked))

    def _asked(self, batch: Batch) -> Batch:
        known = self.database in _trusted or conf.allow_eviction
        first = () if known else (("INFO",),)
        return Batch((*first, *batch.commands), atomic=batch.atomic, needs_server=True)

    def _accepted(self, batch: Batch, replies: Replies) -> Replies:
        own = replies[len(replies) - len(batch.commands) :]
        if len(own) < len(replies):
            self._trust(replies[0])
        for reply in own:
            if isinstance(reply, Refused):
                raise reply
        return own

    def _trust(self, reply: Reply) -> None:
        refuse_eviction(self.config, reply)
        _trusted.add(self.database)


@contextmanager
def _in_words_of_sessions(config: Config) -> Iterator[None]:
    try:
        yield
    except CapacityExceeded as error:
        raise SessionStoreUnavailable(
            f"The session database, {config.label}, is full: {error} Sessions that it holds are "
            "still read and ended, and nobody was logged out."
        ) from error
    except (Unavailable, Refused) as error:
        raise SessionStoreUnavailable(
            f"Sessions of {config.label} could be neither read nor written: {error} "
            "Cookies are kept, and nobody was logged out."
        ) from error


def refuse_eviction(config: Config, reply: Reply) -> None:
    """Judge the reply to an INFO.

    Raises:
        SessionsWouldVanish: the policy deletes keys.
    """
    if not isinstance(reply, bytes):
        logger.warning(
            "%s does not answer INFO, so that nobody knows whether it evicts sessions: %s",
            config.label,
            reply,
        )
        return
    policy = info.parse(reply.decode())["maxmemory_policy"]
    if policy in _KEEPS_KEYS:
        return
    if config.mode == "local":
        raise SessionsWouldVanish(
            f"Sessions would stand in the memory of this one process: {config.label} has no "
            f"database. {config.advice} Or run a database here: manage.py upstash_emulator. "
            "For a trial with one process set SESSION_ALLOW_EVICTION = True."
        )
    raise SessionsWouldVanish(
        f"{config.label} deletes keys when it is full (maxmemory_policy is {policy}), and with "
        "them sessions. Upstash console: open the database and switch Eviction off. Redis: CONFIG "
        "SET maxmemory-policy noeviction. Keep the cache, which may be evicted, in a database of "
        "its own. To accept lost logins set SESSION_ALLOW_EVICTION = True."
    )
