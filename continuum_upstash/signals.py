"""Django signals about the database of a cache, and receivers of the signals of models.

Receivers of these signals run in the thread or event loop in which the change was detected. They
must return quickly and must not be coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar, cast

from django.core.cache import caches
from django.db import connections, transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.dispatch import Signal

from continuum_upstash.cache.base import UpstashBaseCache, get_cache_with
from continuum_upstash.cache.call_keys import TagTemplates
from continuum_upstash.observe import BudgetChange, Record, StateChange
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

M = TypeVar("M", bound=Model)

# Beyond, callbacks of other code would make each save slower than the one before.
_SEARCHED_CALLBACKS: Final = 20

backend_changed = Signal()
"""The backend changed to the local store, or back to the database.

Args:
    alias: the cache alias, or the client's name.
    backend: what serves the cache now: ``upstash-rest``, ``upstash-redis`` or ``local``.
    state: of the circuit breaker: ``closed``, ``open``, ``half_open``, ``forced_open`` or
        ``disabled``.
    reason: the cause of the change, in one line without secrets.
"""

upstash_unavailable = Signal()
"""The breaker opened, so calls no longer use the database. FALLBACK decides whether they fail.

The arguments are those of `backend_changed`.
"""

budget_changed = Signal()
"""The month's use of a database reached another stage of OPTIONS["BUDGET"] in this process.

Args:
    alias: the cache alias, or the client's name.
    backend: what serves the cache now.
    stage: ``within``, ``warn``, ``near``, ``essential`` or ``local``.
    previous: the stage before.
    used: billed commands of this month, of all processes.
    limit: the budget in commands.
    reason: the cause of the change, in one line without secrets.
"""


def send_signals(record: Record) -> None:
    """Send the signals for a record; an observer, which the app subscribes."""
    if isinstance(record, BudgetChange):
        _send_budget_signals(record)
        return
    if not isinstance(record, StateChange):
        return
    details = {
        "alias": record.alias,
        "backend": record.backend,
        "state": record.new,
        "reason": record.reason,
    }
    if record.backend != record.previous_backend:
        backend_changed.send_robust(StateChange, **details)
    if record.old in CALLING_STATES and record.new not in CALLING_STATES:
        upstash_unavailable.send_robust(StateChange, **details)


def _send_budget_signals(record: BudgetChange) -> None:
    details = {"alias": record.alias, "backend": record.backend, "reason": record.reason}
    budget_changed.send_robust(
        BudgetChange,
        **details,
        stage=record.new,
        previous=record.old,
        used=record.used,
        limit=record.limit,
    )
    if record.backend != record.previous_backend:
        backend_changed.send_robust(StateChange, **details, state=record.state)


def invalidate_on_save(
    model: type[M],
    *,
    tags: Sequence[str] | Callable[[M], Iterable[str]],
    using: str = "default",
) -> Callable[[], None]:
    """Delete tags of the cache when an instance of a model is saved or deleted.

        invalidate_on_save(Article, tags=("article:{pk}", "author:{author_id}"))

    The tags are deleted when the transaction of the SQL database commits, or at once if there is
    none. If that fails, Django logs the error, and the values stay until their timeouts.

    A change of a many-to-many relation of the model counts as a save. If the tags depend on other
    attributes than the primary key, the tags of the row before the save are deleted, too. This
    takes one SQL query.

    Call it once for each model, in `AppConfig.ready`. It includes the subclasses and proxies that
    exist by then. Operations that send no signals are not covered: `QuerySet.update`,
    `bulk_create`, `bulk_update`, the updates of ``on_delete=SET_NULL`` and raw SQL. Call
    ``cache.delete_tags`` after them.

    Billed: 1 command for the tags of a transaction, and 1 for those of each savepoint in it.

    Args:
        model: the model, or an abstract one to include all of its subclasses.
        tags: templates with the names of attributes, or a function that gets the instance and
            returns the tags.
        using: an alias in CACHES.

    Returns:
        A function that disconnects the receivers, for tests.

    Raises:
        ConfigurationError: a template names no attribute of the model. Also raised by a save, if
            the cache is not a `CacheBackend`.
    """
    owner = f"invalidate_on_save of {model.__qualname__}"
    templates = TagTemplates(tags, owner)
    templates.check_names(dir(model))
    receivers = _Receivers(model, templates, owner, using)
    receivers.connect()
    return receivers.disconnect


class _Receivers:
    """The receivers of the signals of a model and its subclasses."""

    def __init__(self, model: type[Model], tags: TagTemplates, owner: str, using: str) -> None:
        self._model, self._tags, self._owner, self._using = model, tags, owner, using
        self._names = {field.name for each in tags.templates for field in each.fields}
        # The tags that a function will return are unknown; those of a primary key do not change.
        self._can_change = not tags.templates or not self._names <= {"pk", "id"}
        self._kept_name = f"_continuum_tags_{id(self)}"
        self._models = [model, *_iter_subclasses(model)]
        self._fields = {
            field.remote_field.through: field
            for each in self._models
            if not each._meta.abstract
            for field in each._meta.many_to_many
        }

    def connect(self) -> None:
        for each in self._models:
            if self._can_change:
                pre_save.connect(self.on_pre_save, sender=each, weak=False)
            post_save.connect(self.on_change, sender=each, weak=False)
            post_delete.connect(self.on_change, sender=each, weak=False)
        for through in self._fields:
            m2m_changed.connect(self.on_relation_change, sender=through, weak=False)

    def disconnect(self) -> None:
        for each in self._models:
            pre_save.disconnect(self.on_pre_save, sender=each)
            post_save.disconnect(self.on_change, sender=each)
            post_delete.disconnect(self.on_change, sender=each)
        for through in self._fields:
            m2m_changed.disconnect(self.on_relation_change, sender=through)

    def on_pre_save(self, instance: Model, using: str, raw: bool = False, **_: object) -> None:
        """Keep the tags of the row that the save will replace; `on_change` deletes them."""
        if _may_replace_row(instance, raw=raw):
            rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
            vars(instance)[self._kept_name] = [tag for row in rows for tag in self._list_tags(row)]

    def on_change(self, instance: Model, using: str, **_: object) -> None:
        kept: list[str] = vars(instance).pop(self._kept_name, [])
        self._delete_tags([*kept, *self._list_tags(instance)], using)

    def on_relation_change(
        self,
        *,
        sender: type[Model],
        instance: Model,
        action: str,
        reverse: bool,
        pk_set: Collection[Any] | None,
        using: str,
        **_: object,
    ) -> None:
        # After a clear, the rows of the other side cannot be found.
        if action not in {"post_add", "post_remove", "pre_clear"}:
            return
        field = self._fields[sender]
        changed: list[Model] = []
        if isinstance(instance, self._model):
            changed.append(instance)
        if reverse or field.related_model is field.model:
            model = field.model if self._model._meta.abstract else self._model
            rows = model._base_manager.using(using)
            found = rows.filter(
                **({field.name: instance} if pk_set is None else {"pk__in": pk_set})
            )
            changed += found
        self._delete_tags([tag for each in changed for tag in self._list_tags(each)], using)

    def _list_tags(self, instance: Model) -> Iterable[str]:
        values = {name: getattr(instance, name) for name in self._names}
        return self._tags.render(values, (instance,), {})

    def _delete_tags(self, tags: Collection[str], database: str) -> None:
        if tags:
            get_cache_with(self._using, ("tags",), self._owner)  # an error is raised at the save
            _delete_on_commit(tags, database, self._using)


def _may_replace_row(instance: Model, *, raw: bool) -> bool:
    """Return whether a save may update a row.

    A new instance may have the primary key of a row. If the primary key has a default, Django
    inserts a new instance without looking for the row, except when it loads a fixture.
    """
    if not instance._state.adding:
        return True
    return instance.pk is not None and (raw or not instance._meta.pk.has_default())


class _PendingTags:
    """Tags to delete when a transaction commits.

    Attributes:
        using: the cache, an alias in CACHES.
        savepoints: the savepoints that must be committed, too.
        is_deleted: whether `delete` was called, as Django's TestCase does without a commit.
    """

    def __init__(self, using: str, savepoints: frozenset[str]) -> None:
        self.using, self.savepoints = using, savepoints
        self.is_deleted = False
        self._tags: dict[str, None] = {}  # in their order, each once

    def add(self, tags: Iterable[str]) -> None:
        self._tags.update(dict.fromkeys(tags))

    def delete(self) -> None:
        self.is_deleted = True
        cache = caches[self.using]
        if isinstance(cache, UpstashBaseCache):
            cast("Any", cache).delete_tags(*self._tags)


def _delete_on_commit(tags: Iterable[str], database: str, using: str) -> None:
    """Delete tags when the innermost transaction or savepoint is committed, all with one command.

    Args:
        tags: of the cache.
        database: an alias in DATABASES.
        using: an alias in CACHES.
    """
    connection = connections[database]
    # Without None, which is an atomic block that has no savepoint of its own.
    savepoints = frozenset(filter(None, connection.savepoint_ids))
    for entry in islice(reversed(connection.run_on_commit), _SEARCHED_CALLBACKS):
        pending = getattr(entry[1], "__self__", None)
        if (
            isinstance(pending, _PendingTags)
            and (pending.using, pending.savepoints) == (using, savepoints)
            and not pending.is_deleted
        ):
            pending.add(tags)
            return
    pending = _PendingTags(using, savepoints)
    pending.add(tags)
    # robust: the transaction has been committed, and other callbacks must run, too.
    transaction.on_commit(pending.delete, using=database, robust=True)


def _iter_subclasses(model: type[Model]) -> Iterator[type[Model]]:
    for each in model.__subclasses__():
        yield each
        yield from _iter_subclasses(each)
