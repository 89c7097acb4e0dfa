"""A task and its result as one signed JSON document.

    <43 characters of the signature>.{"id":…,"path":…,"status":…}

A worker imports the function that a document names, so a document that this site did not sign is
never used. docs/reference/stored-bytes.md lists the fields.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from traceback import format_exception
from typing import Any, Final, Self

from django.core.exceptions import SuspiciousOperation
from django.utils import timezone
from django.utils.module_loading import import_string

from continuum_upstash.codec.signature import Signer
from continuum_upstash.federation.errors import PayloadRejected
from continuum_upstash.federation.tasks.framework import (
    Task,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
)

PURPOSE: Final = b"continuum_upstash.task"
_SIGNATURE_LENGTH: Final = 43
_MAX_ERRORS: Final = 5  # the last ones are kept
_MAX_TRACEBACK: Final = 16 * 1024  # characters; the end is kept
# What a run adds to a document: its errors, which JSON may write with 12 bytes per character, and
# the IDs of its workers.
_MAX_RUN_BYTES: Final = 1024 * 1024


class TaskCrashed(RuntimeError):
    """The worker of a task was killed, as often as MAX_CRASHES allows and once more."""


class DeliveryFailed(RuntimeError):
    """QStash could not deliver a task: the site did not respond, or with an error."""


@dataclass(slots=True)
class TaskDocument:
    """
    Attributes:
        path: module and name of the function.
        enqueued_at, started_at, finished_at, last_attempted_at, run_after: in ISO format.
        errors: pairs of the exception's path and its traceback.
        crashes: how often a worker was killed while it ran the task.
        not_before: Unix seconds before which the next attempt must not start.
    """

    id: str
    path: str
    backend: str
    queue_name: str
    priority: int
    run_after: str | None
    args: list[Any]
    kwargs: dict[str, Any]
    status: str
    enqueued_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    last_attempted_at: str | None = None
    errors: list[list[str]] = field(default_factory=list)
    worker_ids: list[str] = field(default_factory=list)
    crashes: int = 0
    not_before: float = 0.0
    return_value: Any = None

    @classmethod
    def from_result(cls, result: TaskResult[..., Any]) -> Self:
        task = result.task
        return cls(
            id=result.id,
            path=task.module_path,
            backend=result.backend,
            queue_name=task.queue_name,
            priority=int(task.priority),
            run_after=_format_time(task.run_after),
            args=result.args,
            kwargs=result.kwargs,
            status=result.status.value,
            enqueued_at=_format_time(result.enqueued_at),
        )

    @property
    def is_finished(self) -> bool:
        return self.status in {TaskResultStatus.FAILED.value, TaskResultStatus.SUCCESSFUL.value}

    @property
    def last_attempt_time(self) -> float:
        """Unix seconds; 0 before the first attempt."""
        moment = _parse_time(self.last_attempted_at)
        return 0.0 if moment is None else moment.timestamp()

    @property
    def run_after_time(self) -> float:
        """Unix seconds; 0 without `run_after`."""
        moment = _parse_time(self.run_after)
        return 0.0 if moment is None else moment.timestamp()

    def load_task(self) -> Task[..., Any]:
        """Import the task.

        Raises:
            ImportError: the module or the name does not exist.
            SuspiciousOperation: the name is no task.
        """
        task = import_string(self.path)
        if not isinstance(task, Task):
            raise SuspiciousOperation(f"Task {self.id} does not point to a Task ({self.path})")
        return task.using(
            priority=self.priority,
            queue_name=self.queue_name,
            run_after=_parse_time(self.run_after),
            backend=self.backend,
        )

    def make_result(self, task: Task[..., Any]) -> TaskResult[..., Any]:
        result: TaskResult[..., Any] = TaskResult(
            task=task,
            id=self.id,
            status=TaskResultStatus(self.status),
            enqueued_at=_parse_time(self.enqueued_at),
            started_at=_parse_time(self.started_at),
            finished_at=_parse_time(self.finished_at),
            last_attempted_at=_parse_time(self.last_attempted_at),
            args=self.args,
            kwargs=self.kwargs,
            backend=self.backend,
            errors=[
                TaskError(exception_class_path=path, traceback=traceback)
                for path, traceback in self.errors
            ],
            worker_ids=list(self.worker_ids),
        )
        object.__setattr__(result, "_return_value", self.return_value)
        return result

    def start(self, worker_id: str) -> Self:
        now = _format_time(timezone.now())
        return replace(
            self,
            status=TaskResultStatus.RUNNING.value,
            started_at=self.started_at or now,
            last_attempted_at=now,
            worker_ids=[*self.worker_ids, worker_id],
            not_before=0.0,
        )

    def succeed(self, value: Any) -> Self:
        return replace(
            self,
            status=TaskResultStatus.SUCCESSFUL.value,
            finished_at=_format_time(timezone.now()),
            return_value=normalize_json(value),
        )

    def fail(self, error: BaseException) -> Self:
        return replace(
            self.record_error(error),
            status=TaskResultStatus.FAILED.value,
            finished_at=_format_time(timezone.now()),
        )

    def wait_for_retry(self, error: BaseException, not_before: float) -> Self:
        return replace(
            self.record_error(error), status=TaskResultStatus.READY.value, not_before=not_before
        )

    def count_crash(self) -> Self:
        return replace(self, crashes=self.crashes + 1)

    def record_error(self, error: BaseException) -> Self:
        kind = type(error)
        entry = [
            f"{kind.__module__}.{kind.__qualname__}",
            "".join(format_exception(error))[-_MAX_TRACEBACK:],
        ]
        return replace(self, errors=[*self.errors, entry][-_MAX_ERRORS:])


class DocumentFormat:
    """Writes and reads documents.

    Args:
        signer: signs what is written, and verifies what is read.
        max_bytes: of a task with its arguments, and of its return value. What its runs add is not
            limited by it: otherwise the end of a task could not be stored.
    """

    def __init__(self, signer: Signer, max_bytes: int) -> None:
        self._signer = signer
        self._max_bytes = max_bytes

    def encode(self, document: TaskDocument) -> bytes:
        """
        Raises:
            PayloadRejected: a new task or a return value is too large or too deeply nested.
            TypeError, ValueError: JSON cannot represent it.
        """
        try:
            payload = _encode_json(asdict(document))
        except RecursionError as error:
            raise PayloadRejected(
                "The arguments or the return value of a task are nested too deeply, or cyclic."
            ) from error
        if not document.worker_ids and not document.is_finished:
            self._check_size(payload, "A task with its arguments")
        if document.return_value is not None:
            self._check_size(_encode_json(document.return_value), "The return value of a task")
        return _encode_tag(self._signer.make_tag(payload)) + b"." + payload

    def _check_size(self, data: bytes, what: str) -> None:
        if len(data) > self._max_bytes:
            raise PayloadRejected(
                f"{what} has {len(data):,} bytes as JSON, and the limit is {self._max_bytes:,} "
                "(OPTIONS['MAX_BYTES']). Store the data elsewhere and pass its key."
            )

    def decode(self, data: object, task_id: str) -> TaskDocument | None:
        """Return the document of a task; None if the bytes are not signed by this site."""
        if not isinstance(data, bytes) or len(data) > 2 * self._max_bytes + _MAX_RUN_BYTES:
            return None
        tag, payload = data[:_SIGNATURE_LENGTH], data[_SIGNATURE_LENGTH + 1 :]
        if not self._is_signed(tag, payload):
            return None
        document = TaskDocument(**json.loads(payload))
        return document if document.id == task_id else None

    def _is_signed(self, text: bytes, payload: bytes) -> bool:
        try:
            tag = urlsafe_b64decode(text + b"=")
        except ValueError:
            return False
        return self._signer.is_valid(tag, payload)


def _encode_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode_tag(tag: bytes) -> bytes:
    return urlsafe_b64encode(tag).rstrip(b"=")


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _parse_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
