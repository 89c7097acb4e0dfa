"""The plans that store tasks and their results: one key per task, replaced by compare-and-set."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from continuum_upstash.cache.codec_types import get_signing_keys
from continuum_upstash.codec.signature import Signer
from continuum_upstash.errors import ReplyError
from continuum_upstash.federation.database import FederationDatabase
from continuum_upstash.federation.queue.plans import JobOptions
from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.federation.sync_tokens import collect_sync_tokens
from continuum_upstash.federation.tasks.documents import PURPOSE, DocumentFormat, TaskDocument
from continuum_upstash.federation.tasks.options import TaskOptions
from continuum_upstash.keys import TASK_KEYS
from continuum_upstash.observe import logger
from continuum_upstash.plans.conditional import build_replace, call_conditional
from continuum_upstash.plans.effects import Batch, Plan, call
from continuum_upstash.protocol import Command

_is_id: Final = re.compile(r"[A-Za-z0-9]{1,63}").fullmatch


class StoredTask(NamedTuple):
    """A document, and its bytes as they were read or written."""

    document: TaskDocument
    data: bytes


class TaskStore:
    """The tasks of one entry of TASKS.

    Args:
        alias: the entry.
        options: its OPTIONS.
    """

    def __init__(self, alias: str, options: TaskOptions) -> None:
        self.database = FederationDatabase(options.using, f"TASKS['{alias}']")
        self._options = options
        self._format = DocumentFormat(Signer(get_signing_keys(), PURPOSE), options.max_bytes)

    def read(self, task_id: object) -> Plan[StoredTask | None]:
        """Return a task; None if there is none, or if this site has not written it.

        Billed: 1 command.
        """
        if not isinstance(task_id, str) or not _is_id(task_id):
            return None
        data = yield from call("GET", self._make_key(task_id), needs_server=True)
        document = None if data is None else self._format.decode(data, task_id)
        if document is not None:
            return StoredTask(document, data)
        if data is not None:
            logger.warning(
                "Task id=%s: the stored task is not signed with SECRET_KEY or one of "
                "SECRET_KEY_FALLBACKS, or too large; it is ignored.",
                task_id,
            )
        return None

    def encode(self, document: TaskDocument) -> bytes:
        """
        Raises:
            PayloadRejected: it is too large or too deeply nested.
            TypeError, ValueError: JSON cannot represent it.
        """
        return self._format.encode(document)

    def add(self, document: TaskDocument) -> Plan[None]:
        """Store a new task. Billed: 1 command."""
        yield from call(*self._make_set(document), needs_server=True)

    def enqueue(self, document: TaskDocument, queue: Queue, options: JobOptions) -> Plan[None]:
        """Store a new task, and enqueue a job with its ID, in one round trip.

        Billed: 1 command, and those of `Queue.enqueue`.
        """
        payloads = [{"task": document.id}]
        enqueue = queue.plans.enqueue(payloads, options, collect_sync_tokens())
        yield from _send_before(self._make_set(document), enqueue)

    def _make_set(self, document: TaskDocument) -> Command:
        return ("SET", self._make_key(document.id), self.encode(document))

    def delete(self, task_id: str) -> Plan[None]:
        """Delete a task. Billed: 1 command."""
        yield from call("DEL", self._make_key(task_id), needs_server=True)

    def replace(self, old: StoredTask, new: TaskDocument) -> Plan[StoredTask | None]:
        """Replace a task unless it has changed meanwhile: then return None.

        A finished task expires after RESULT_TTL seconds; others do not expire.

        Billed: 1 command; 3 where the server has no SET IFEQ.

        Raises:
            PayloadRejected: see `encode`.
        """
        key, data = self._make_key(new.id), self.encode(new)
        expiry = ("PX", 1000 * self._options.result_ttl) if new.is_finished else ()
        commands = build_replace(key, old.data, data, *expiry)
        reply = yield from call_conditional(self.database.database.conditional_commands, *commands)
        return None if reply is None else StoredTask(new, data)

    def _make_key(self, task_id: str) -> str:
        prefix = self.database.prefix
        return f"{TASK_KEYS}{prefix}:{task_id}" if prefix else f"{TASK_KEYS}{task_id}"


def _send_before(command: Command, plan: Plan[Any]) -> Plan[None]:
    """Run a plan with another command at the beginning of its first batch."""
    effect = next(plan)
    assert isinstance(effect, Batch)
    first, *replies = yield effect._replace(commands=(command, *effect.commands))
    if isinstance(first, ReplyError):
        plan.close()
        raise first
    try:
        effect = plan.send(replies)
    except StopIteration:
        return
    raise AssertionError(f"a second effect: {effect}")
