"""Runs session plans on the database of SESSION_CACHE_ALIAS."""

from __future__ import annotations

import logging
import math
import time
from typing import Final, TypeVar

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
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies, Reply
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.signing import sign

R = TypeVar("R")

logger = logging.getLogger("continuum_upstash")

_RETRY_SECONDS: Final = 5
_SAFE_POLICIES: Final = frozenset({"noeviction", ""})  # "": the server does not report a policy


class ImproperlyConfiguredSessions(ConfigurationError, ImproperlyConfigured):
    """A setting of the sessions is wrong; the message names it and the fix."""


class EvictionNotAllowed(ImproperlyConfiguredSessions):
    """The session database evicts keys when it is full, so sessions would be lost."""


class _EvictionCheck:
    """Whether this process has verified the eviction policy of a database."""

    is_done = False


class SessionRunner:
    """Runs plans on the session database.

    The local store never replies, whatever FALLBACK is. The first batch of a process begins with
    an INFO, which is not billed, to verify the eviction policy.

    Attributes:
        database: the Redis database (never one of Django's DATABASES).
        config: its configuration.
        prefix: the KEY_PREFIX of SESSION_CACHE_ALIAS.

    Raises:
        ImproperlyConfiguredSessions: SESSION_CACHE_ALIAS is not a cache of this package.
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
        self._eviction = cache.database.extras.get(_EvictionCheck)

    @property
    def conditional_commands(self) -> ConditionalCommands:
        return self.database.conditional_commands

    def run(self, plan: Plan[R]) -> R:
        """Run a plan in this thread; return its result.

        Raises:
            SessionStoreUnavailable: the database is unavailable, or rejected a command.
            EvictionNotAllowed: the database evicts keys.
        """
        return run(plan, Runner(self._send, sign))

    async def arun(self, plan: Plan[R]) -> R:
        """Run a plan in the running event loop; see `run`."""
        runner = AsyncRunner(
            self._asend, sign, offload_on=(SynchronousOnlyOperation,), offload=run_in_django_thread
        )
        return await arun(plan, runner)

    def get_retry_after(self) -> int:
        """Return the seconds until another attempt is useful, at least 1."""
        probe = self.database.status.next_probe
        seconds = _RETRY_SECONDS if probe is None else math.ceil(probe - time.time())
        return max(1, seconds)

    def _send(self, batch: Batch) -> Replies:
        try:
            return self._validate(batch, self.database.send(self._prepare(batch)))
        except (Unavailable, Refused) as error:
            raise _translate_error(error, self.config) from error

    async def _asend(self, batch: Batch) -> Replies:
        try:
            return self._validate(batch, await self.database.asend(self._prepare(batch)))
        except (Unavailable, Refused) as error:
            raise _translate_error(error, self.config) from error

    def _prepare(self, batch: Batch) -> Batch:
        is_verified = self._eviction.is_done or conf.allow_eviction
        commands = batch.commands if is_verified else (("INFO",), *batch.commands)
        return Batch(commands, atomic=batch.atomic, needs_server=True)

    def _validate(self, batch: Batch, replies: Replies) -> Replies:
        if len(replies) > len(batch.commands):
            check_eviction_policy(self.config, replies[0])
            self._eviction.is_done = True
            replies = replies[1:]
        for reply in replies:
            if isinstance(reply, Refused):
                raise reply
        return replies


def _translate_error(error: Exception, config: Config) -> SessionStoreUnavailable:
    if isinstance(error, CapacityExceeded):
        return SessionStoreUnavailable(
            f"The session database, {config.label}, is full: {error} Stored sessions can still be "
            "read and ended; no user was logged out."
        )
    return SessionStoreUnavailable(
        f"The session database, {config.label}, is unavailable: {error} Session cookies are kept; "
        "no user was logged out."
    )


def check_eviction_policy(config: Config, reply: Reply) -> None:
    """Check the policy in the reply to an INFO; an error reply is logged.

    Raises:
        EvictionNotAllowed: the database evicts keys when it is full.
    """
    if not isinstance(reply, bytes):
        logger.warning(
            "%s rejected INFO: its eviction policy is unknown, and sessions may be evicted: %s",
            config.label,
            reply,
        )
        return
    policy = info.parse(reply.decode("utf-8", "replace"))["maxmemory_policy"]
    if policy in _SAFE_POLICIES:
        return
    if config.mode == "local":
        raise EvictionNotAllowed(
            f"{config.label} has no database: sessions would be stored in the memory of this "
            f"process only. {config.setup_hint} For a database on this machine, run manage.py "
            "upstash_emulator. To try sessions in one process, set SESSION_ALLOW_EVICTION = True."
        )
    raise EvictionNotAllowed(
        f"{config.label} evicts keys when it is full (maxmemory_policy: {policy}): sessions would "
        "be lost. Upstash: open the database in the console and switch Eviction off. Redis: CONFIG "
        "SET maxmemory-policy noeviction. Store cached values, which may be evicted, in a separate "
        "database. To accept lost sessions, set SESSION_ALLOW_EVICTION = True."
    )
