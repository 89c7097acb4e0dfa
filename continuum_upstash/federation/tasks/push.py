"""Publishes tasks to QStash, with Upstash's own client."""

from __future__ import annotations

from typing import Any, Final

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.tasks.documents import TaskDocument
from continuum_upstash.federation.tasks.options import PushOptions
from continuum_upstash.federation.tasks.store import TaskStore
from continuum_upstash.observe import logger

_TIMEOUT: Final = 5.0  # seconds for a request to QStash; the client's own default is 10 minutes


class PublishFailed(ConnectionFailed):
    """QStash did not accept a task, so it is not stored either."""


class _Client:
    """The client of one token, with its connections, for all threads of the process."""

    def __init__(self, push: PushOptions) -> None:
        try:
            import httpx  # noqa: PLC0415 brought by qstash
            from qstash import QStash  # noqa: PLC0415 an extra
        except ImportError as error:
            raise ImproperlyConfiguredFederation(
                "PUSH needs the package qstash: pip install 'continuum-upstash[qstash]'"
            ) from error
        self._qstash = QStash(push.token, base_url=push.qstash_url or None, retry=False)
        self._qstash.http._client.timeout = httpx.Timeout(_TIMEOUT)  # noqa: SLF001 not an option

    def publish(self, **message: Any) -> None:
        self._qstash.message.publish_json(**message)


def publish(
    store: TaskStore, push: PushOptions, document: TaskDocument, *, deliveries: int, timeout: float
) -> None:
    """Store a task, and publish a message with its ID to QStash.

    The arguments of the task stay in the database: QStash gets the ID only. The ID is also the
    deduplication ID, so that a message whose response was lost can be sent again.

    Args:
        store: of the task.
        push: how QStash is reached, and how it calls this site.
        document: the task.
        deliveries: after the first one, as many more are permitted.
        timeout: seconds after which QStash ends the request of a delivery.

    Raises:
        PublishFailed: QStash rejects the message, or does not respond. The task is deleted again.
    """
    store.database.run(store.add(document))
    message: dict[str, Any] = {
        "url": push.url,
        "body": {"task": document.id, "backend": document.backend},
        "retries": deliveries,
        "failure_callback": push.url,
        "deduplication_id": document.id,
        "timeout": int(timeout),
        "label": f"tasks.{document.backend}.{document.queue_name}",
    }
    if document.run_after_time:
        message["not_before"] = int(document.run_after_time) + 1
    client = store.database.database.extras.get(_Clients).get(push)
    try:
        client.publish(**message)
    except Exception as error:
        store.database.run(store.delete(document.id))
        logger.warning("QStash did not accept task id=%s: %r", document.id, error)
        raise PublishFailed(
            f"QStash did not accept the task: {type(error).__name__}. Check QSTASH_TOKEN, "
            "QSTASH_URL and the limits of your plan; the log has the details."
        ) from error


class _Clients:
    """The clients of this process, by token and URL."""

    def __init__(self) -> None:
        self._clients: dict[PushOptions, _Client] = {}

    def get(self, push: PushOptions) -> _Client:
        if push not in self._clients:
            self._clients[push] = _Client(push)
        return self._clients[push]
