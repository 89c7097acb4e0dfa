"""The rows of SESSION_FALLBACK_ENGINE: what happened to sessions during an outage.

A row is one session, in the table of Django's database engine or of an engine derived from it. Its
primary key is derived from the session's digest: no cookie can be made from it, and it differs from
the engine's own rows. Its data is signed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.core import signing
from django.db import IntegrityError, router, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.session_runner import ImproperlyConfiguredSessions

if TYPE_CHECKING:  # a model: a session engine may be imported before the apps are ready
    from django.contrib.sessions.base_session import AbstractBaseSession

_security_log: Final = logging.getLogger("django.security.SuspiciousSession")
_KEY_PREFIX: Final = "upstash-"
_KEY_LENGTH: Final = 40  # of the column
_SALT: Final = "continuum_upstash.sessions.fallback"


class SessionChange(StrEnum):
    """What happened to a session during an outage.

    CREATED   it was created
    REPLACED  it was changed by a request that had read it from the session database
    PATCHED   it was changed by a request that could not read it: the row has only the new fields
    DELETED   it was ended
    """

    CREATED = "created"
    REPLACED = "replaced"
    PATCHED = "patched"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class FallbackRow:
    """A session in the table; `digests` as in its StorageKey."""

    change: SessionChange
    digests: Sequence[str]
    data: dict[str, Any]


class FallbackTable:
    """Reads and writes the rows by Django's ORM, sync only.

    Args:
        engine: the value of SESSION_FALLBACK_ENGINE.
        serializer: the class that SESSION_SERIALIZER names.

    Raises:
        ImproperlyConfiguredSessions: the engine does not store sessions in a table.
    """

    def __init__(self, engine: str, serializer: Any) -> None:
        store = import_module(engine).SessionStore
        if not issubclass(store, DatabaseStore):
            raise ImproperlyConfiguredSessions(
                f"SESSION_FALLBACK_ENGINE is {engine}, which does not store sessions in a table. "
                "Use django.contrib.sessions.backends.db or an engine derived from it."
            )
        self._model: type[AbstractBaseSession] = store.get_model_class()
        self._database = router.db_for_write(self._model)
        self._serializer = serializer

    def find(self, key: StorageKey) -> FallbackRow | None:
        stored = self._select_unexpired(key).first()
        return None if stored is None else self._read(stored)

    def put(self, row: FallbackRow, ttl_ms: int) -> bool:
        """Store a row for `ttl_ms` milliseconds; return False if the session has been ended.

        The change of an existing row is kept: a session that was created in the outage stays
        CREATED when it is changed.
        """
        try:
            return self._put(row, ttl_ms)
        except IntegrityError:
            return self._put(row, ttl_ms)  # another request has just created the row

    def _put(self, row: FallbackRow, ttl_ms: int) -> bool:
        key = _make_row_key(row.digests[0])
        expire_date = timezone.now() + timedelta(milliseconds=ttl_ms)
        rows = self._select(key)
        with transaction.atomic(using=self._database):
            if not _lock(rows):
                rows.create(session_key=key, session_data=self._sign(row), expire_date=expire_date)
                return True
            existing = self._read(rows.get())
            if existing is not None and row.change is not SessionChange.DELETED:
                if existing.change is SessionChange.DELETED:
                    return False
                row = FallbackRow(existing.change, row.digests, row.data)
            rows.update(session_data=self._sign(row), expire_date=expire_date)
        return True

    @contextmanager
    def claim(self, key: str) -> Iterator[FallbackRow | None]:
        """Lock a row for the block, and delete it unless the block raises.

        A concurrent claim waits, and then finds no row. A row that cannot be read is kept: another
        process may have the SECRET_KEY or the SESSION_SERIALIZER that it was written with.
        """
        rows = self._select(key)
        with transaction.atomic(using=self._database):
            row = self._read(rows.get()) if _lock(rows) else None
            yield row
            if row is not None:
                rows.delete()

    def list_keys(self, key: StorageKey) -> list[str]:
        """Return the primary keys of a session's rows."""
        return list(self._select_unexpired(key).values_list("session_key", flat=True))

    def list_all_keys(self, limit: int) -> list[str]:
        """Return the primary keys of at most `limit` rows."""
        rows = self._select_all().filter(expire_date__gt=timezone.now())
        return list(rows.values_list("session_key", flat=True)[:limit])

    def count(self, limit: int) -> int:
        """Return the number of rows, at most `limit`."""
        return self._select_all().filter(expire_date__gt=timezone.now())[:limit].count()

    def clear_expired(self) -> None:
        self._select_all().filter(expire_date__lte=timezone.now()).delete()

    def _select(self, key: str) -> QuerySet[Any]:
        return self._query().filter(session_key=key)

    def _select_unexpired(self, key: StorageKey) -> QuerySet[Any]:
        row_keys = [_make_row_key(digest) for digest in key.digests]
        return self._query().filter(session_key__in=row_keys, expire_date__gt=timezone.now())

    def _select_all(self) -> QuerySet[Any]:
        return self._query().filter(session_key__startswith=_KEY_PREFIX)

    def _query(self) -> QuerySet[Any]:
        return self._model.objects.using(self._database)

    def _sign(self, row: FallbackRow) -> str:
        document = {"change": row.change, "digests": row.digests, "data": row.data}
        salt = f"{_SALT}:{_make_row_key(row.digests[0])}"
        return signing.dumps(document, salt=salt, serializer=self._serializer, compress=True)

    def _read(self, stored: AbstractBaseSession) -> FallbackRow | None:
        salt = f"{_SALT}:{stored.session_key}"
        try:
            document = signing.loads(stored.session_data, salt=salt, serializer=self._serializer)
        except signing.BadSignature:
            return None
        except Exception:  # noqa: BLE001 a project's serializer may raise anything
            _security_log.warning(
                "A session in the table of SESSION_FALLBACK_ENGINE was not written by the current "
                "SESSION_SERIALIZER, and is kept until it expires"
            )
            return None
        return FallbackRow(
            SessionChange(document["change"]), tuple(document["digests"]), document["data"]
        )


def _make_row_key(digest: str) -> str:
    return (_KEY_PREFIX + digest)[:_KEY_LENGTH]


def _lock(rows: QuerySet[Any]) -> bool:
    """Lock the row until the transaction ends, on every database; return whether it exists."""
    return bool(rows.update(expire_date=F("expire_date")))
