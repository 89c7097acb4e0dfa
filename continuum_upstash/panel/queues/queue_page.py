"""What the pages about queues show, and what their actions do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation.known_queues import list_known_queues
from continuum_upstash.federation.queue.outcome_counts import RecentOutcomes, read_outcomes
from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.federation.queue.results import DeadJob, QueueSize
from continuum_upstash.health.quantities import format_count
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.formatting import Text

PAGE_SIZE: Final = 25
_MAX_DEAD: Final = 1000  # dead letters that an action reads
_MAX_PAYLOAD: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """One queue; `problem` instead of figures if they cannot be read."""

    name: str
    size: QueueSize | None = None
    oldest: float | None = None
    recent: RecentOutcomes | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class QueueAction:
    """One button.

    Attributes:
        title: of the confirmation page, and of the entry in the history.
        button: its label.
        effect: what will happen.
        run: takes the queue and the chosen dead letters, returns how many jobs it changed; None
            for an action about the queue.
        needs_jobs: whether dead letters have to be chosen.
        is_harmful: whether it deletes jobs.
    """

    title: Text
    button: Text
    effect: Text
    run: Callable[[Queue, Sequence[DeadJob]], int | None]
    needs_jobs: bool = False
    is_harmful: bool = False


ACTIONS: Final[Mapping[str, QueueAction]] = {
    "requeue": QueueAction(
        _("Requeue dead letters"),
        _("Requeue"),
        _("These jobs are ready again, with new attempts. A worker runs them soon."),
        lambda queue, jobs: queue.requeue(jobs),
        needs_jobs=True,
    ),
    "discard": QueueAction(
        _("Discard dead letters"),
        _("Discard"),
        _("These jobs are deleted, and will never run."),
        lambda queue, jobs: queue.discard(jobs),
        needs_jobs=True,
        is_harmful=True,
    ),
    "pause": QueueAction(
        _("Pause the queue"),
        _("Pause"),
        _("No worker of any process starts another job of this queue until it is resumed."),
        lambda queue, _jobs: queue.pause(),
    ),
    "resume": QueueAction(
        _("Resume the queue"),
        _("Resume"),
        _("Workers start jobs of this queue again."),
        lambda queue, _jobs: queue.resume(),
    ),
}


def find_queue(alias: str, name: str) -> Queue | None:
    return next((queue for queue in list_known_queues(alias) if queue.name == name), None)


def describe_queues(alias: str) -> list[QueueSummary]:
    """Return all queues of an alias; billed about 8 commands each."""
    return [_describe(queue) for queue in list_known_queues(alias)]


def _describe(queue: Queue) -> QueueSummary:
    try:
        recent = queue.run(read_outcomes(queue.plans.keys.jobs, datetime.now(UTC)))
        return QueueSummary(queue.name, queue.size(), queue.oldest(), recent)
    except ContinuumError as error:
        return QueueSummary(queue.name, problem=str(error))


def describe_queue(queue: Queue, offset: int) -> dict[str, Any]:
    """Return the context of one queue's page: its figures and a page of dead letters."""
    context: dict[str, Any] = {"queue": _describe(queue), "dead": [], "actions": ACTIONS}
    if context["queue"].problem:
        return context
    try:
        dead = queue.dead(PAGE_SIZE + 1, offset)
    except ContinuumError as error:
        return context | {"queue": QueueSummary(queue.name, problem=str(error))}
    context["dead"] = [(job, shorten(repr(job.payload))) for job in dead[:PAGE_SIZE]]
    context["previous"] = max(0, offset - PAGE_SIZE) if offset else None
    context["next"] = offset + PAGE_SIZE if len(dead) > PAGE_SIZE else None
    return context


def shorten(text: str) -> str:
    return text if len(text) <= _MAX_PAYLOAD else f"{text[:_MAX_PAYLOAD]}…"


def run_action(action: QueueAction, queue: Queue, ids: Sequence[str]) -> Outcome:
    """Run an action on the dead letters with these IDs; an error becomes the outcome."""
    try:
        jobs = []
        if action.needs_jobs:
            jobs = [job for job in queue.dead(_MAX_DEAD) if job.id in ids]
        count = action.run(queue, jobs)
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))
    if count is None:
        return Outcome(messages.SUCCESS, _("Done."))
    level = messages.SUCCESS if count == len(ids) else messages.WARNING
    text = _("{count} of {total} dead letters.")
    return Outcome(level, format_lazy(text, count=format_count(count), total=len(ids)))
