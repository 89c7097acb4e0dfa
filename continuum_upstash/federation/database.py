"""The database of an alias for data that must not be lost: never local, never one that evicts."""

from __future__ import annotations

from typing import Final, TypeVar

from django.core.cache import caches
from django.core.exceptions import SynchronousOnlyOperation

from continuum_upstash.cache.base import UpstashBaseCache, run_in_django_thread
from continuum_upstash.errors import Refused
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.observe import log_once_a_minute
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies, Reply

R = TypeVar("R")

_INFO: Final = Batch((("INFO",),), needs_server=True)
_SAFE_POLICIES: Final = frozenset({"noeviction", ""})  # "": the server does not report a policy


class _EvictionCheck:
    """Whether this process has verified the eviction policy of a database."""

    is_done = False


class FederationDatabase:
    """Runs plans on the database of an alias.

    The local store never replies, whatever FALLBACK is. Before the first batch of a
    process, an INFO, which is not billed, verifies the eviction policy.

    Args:
        alias: an entry of CACHES.
        owner: what uses the alias, for messages: "Queue 'mail'".

    Attributes:
        database: the Redis database (never one of Django's DATABASES).
        config: its configuration.
        codec: of the alias.
        prefix: the KEY_PREFIX of the alias.

    Raises:
        ImproperlyConfiguredFederation: the alias does not exist, has another backend, or has no
            database.
    """

    def __init__(self, alias: str, owner: str) -> None:
        self._owner = owner
        cache = _get_cache(alias, owner)
        self.database = cache.database
        self.config = cache.database.config
        self.codec = cache.codec
        self.prefix: str = cache.key_prefix
        self._eviction = self.database.extras.get(_EvictionCheck)
        if self.config.mode == "local":
            raise ImproperlyConfiguredFederation(
                f"{owner}: {self.config.label} has no database, and the memory of one process "
                f"cannot be shared. {self.config.setup_hint} For a database on this machine, run "
                "manage.py upstash_emulator."
            )

    def run(self, plan: Plan[R]) -> R:
        """Run a plan in this thread; return its result.

        Raises:
            Unavailable: the database did not reply.
            ReplyError: it returned an error; CapacityExceeded if it is full.
            ImproperlyConfiguredFederation: it evicts keys.
        """
        return run(plan, Runner(self._send, self.codec.encode))

    async def arun(self, plan: Plan[R]) -> R:
        """Run a plan in the running event loop. See `run`."""
        runner = AsyncRunner(
            self._asend,
            self.codec.encode,
            offload_on=(SynchronousOnlyOperation,),
            offload=run_in_django_thread,
        )
        return await arun(plan, runner)

    def _send(self, batch: Batch) -> Replies:
        if not self._eviction.is_done:
            self._check_eviction_policy(*self.database.send(_INFO))
        return _raise_refusal(self.database.send(batch._replace(needs_server=True)))

    async def _asend(self, batch: Batch) -> Replies:
        if not self._eviction.is_done:
            self._check_eviction_policy(*await self.database.asend(_INFO))
        return _raise_refusal(await self.database.asend(batch._replace(needs_server=True)))

    def _check_eviction_policy(self, reply: Reply) -> None:
        if not isinstance(reply, bytes):
            reason = f"INFO rejected: the eviction policy is unknown, jobs may be evicted: {reply}"
            log_once_a_minute(self.config.alias, reason)
            self._eviction.is_done = True
            return
        policy = info.parse(reply.decode("utf-8", "replace"))["maxmemory_policy"]
        if policy not in _SAFE_POLICIES:
            raise ImproperlyConfiguredFederation(
                f"{self._owner}: {self.config.label} evicts keys when it is full "
                f"(maxmemory_policy: {policy}), so jobs would be lost. Upstash: open the database "
                "in the console and switch Eviction off. Redis: CONFIG SET maxmemory-policy "
                "noeviction. Store cached values, which may be evicted, in a separate database."
            )
        self._eviction.is_done = True


def _raise_refusal(replies: Replies) -> Replies:
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
    return replies


def _get_cache(alias: str, owner: str) -> UpstashBaseCache:
    if alias not in caches.settings:
        problem = "is not in CACHES"
    elif isinstance(cache := caches[alias], UpstashBaseCache):
        return cache
    else:
        problem = f"is a {type(cache).__qualname__}"
    raise ImproperlyConfiguredFederation(
        f"{owner}: cache '{alias}' {problem}. Name an entry of CACHES whose BACKEND is "
        "continuum_upstash.backend.CacheBackend, on a database that does not evict."
    )
