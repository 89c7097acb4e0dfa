"""The rows of SESSION_FALLBACK_ENGINE: what happened to sessions while their database was away.

A row is one session, in the table of Django's database engine or of one derived from it. Its key
is made from the session's digest, so that it is found by ours alone and makes no cookie; its data
is signed like a record.
"""

from __future__ import annotations

from collections.abc import Iterator
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

from continuum_upstash.sessions.runner import ImproperlyConfiguredSessions
from continuum_upstash.sessions.signing import Address

if TYPE_CHECKING:  # it is a model: an engine may be imported before the apps are ready
    from django.contrib.sessions.base_session import AbstractBaseSession

_MARK: Final = "upstash-"
_KEY_LENGTH: Final = 40  # of the column
_SALT: Final = "continuum_upstash.sessions.fallback"


class Kind(StrEnum):
    """What the database is to learn of a session.

    NEW    it began while the database was away
    WHOLE  it was read from the database, and changed since
    PART   it could not be read: these are the fields that were set meanwhile
    GONE   it was ended
    """

    NEW = "new"
    WHOLE = "whole"
    PART = "part"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Row:
    """A session in the fallback engine; `digests` as in its address."""

    kind: Kind
    digests: tuple[str, ...]
    data: dict[str, Any]


class Table:
    """The rows, by synchronous calls.

    Raises:
        ImproperlyConfiguredSessions: the engine keeps its sessions in no table.
    """

    def __init__(self, engine: str, serializer: Any) -> None:
        store = import_module(engine).SessionStore
        if not issubclass(store, DatabaseStore):
            raise ImproperlyConfiguredSessions(
                f"SESSION_FALLBACK_ENGINE is {engine}. It must keep sessions in a table: "
                "django.contrib.sessions.backends.db, or an engine derived from it."
            )
        self._model: type[AbstractBaseSession] = store.get_model_class()
        self._database = router.db_for_write(self._model)
        self._serializer = serializer

    def find(self, address: Address) -> Row | None:
        stored = self._rows(address).first()
        return None if stored is None else self._read(stored)

    def put(self, row: Row, px: int) -> bool:
        """Store a row for so many milliseconds; return False where the session has been ended.

        A row keeps its kind: what began in an outage stays new.
        """
        try:
            return self._put(row, px)
        except IntegrityError:
            return self._put(row, px)  # somebody else has just created it

    def _put(self, row: Row, px: int) -> bool:
        key, until = _key(row.digests[0]), timezone.now() + timedelta(milliseconds=px)
        rows = self._by_key(key)
        with transaction.atomic(using=self._database):
            if not _lock(rows):
                data = self._written(row)
                rows.create(session_key=key, session_data=data, expire_date=until)
                return True
            before = self._read(rows.get())
            if before is not None and row.kind is not Kind.GONE:
                if before.kind is Kind.GONE:
                    return False
                row = Row(before.kind, row.digests, row.data)
            rows.update(session_data=self._written(row), expire_date=until)
        return True

    @contextmanager
    def taken(self, key: str) -> Iterator[Row | None]:
        """Give a row, locked, and remove it when the block ends well.

        Whoever wants it meanwhile waits, and then finds none. One that cannot be read stays:
        another process may have the secret that it was signed with.
        """
        rows = self._by_key(key)
        with transaction.atomic(using=self._database):
            row = self._read(rows.get()) if _lock(rows) else None
            yield row
            if row is not None:
                rows.delete()

    def keys_of(self, address: Address) -> list[str]:
        return list(self._rows(address).values_list("session_key", flat=True))

    def some_keys(self, most: int) -> list[str]:
        rows = self._marked().filter(expire_date__gt=timezone.now())
        return list(rows.values_list("session_key", flat=True)[:most])

    def clear_expired(self) -> None:
        self._marked().filter(expire_date__lte=timezone.now()).delete()

    def _rows(self, address: Address) -> QuerySet[Any]:
        keys = [_key(digest) for digest in address.digests]
        return self._all().filter(session_key__in=keys, expire_date__gt=timezone.now())

    def _by_key(self, key: str) -> QuerySet[Any]:
        return self._all().filter(session_key=key)

    def _marked(self) -> QuerySet[Any]:
        return self._all().filter(session_key__startswith=_MARK)

    def _all(self) -> QuerySet[Any]:
        return self._model.objects.using(self._database)

    def _written(self, row: Row) -> str:
        document = {"kind": row.kind, "digests": row.digests, "data": row.data}
        salt = f"{_SALT}:{_key(row.digests[0])}"
        return signing.dumps(document, salt=salt, serializer=self._serializer, compress=True)

    def _read(self, stored: AbstractBaseSession) -> Row | None:
        salt = f"{_SALT}:{stored.session_key}"
        try:
            document = signing.loads(stored.session_data, salt=salt, serializer=self._serializer)
        except signing.BadSignature:
            return None
        return Row(Kind(document["kind"]), tuple(document["digests"]), document["data"])


def _key(digest: str) -> str:
    return (_MARK + digest)[:_KEY_LENGTH]


def _lock(rows: QuerySet[Any]) -> bool:
    """Lock the row until the transaction ends, on every database; return whether there is one."""
    return bool(rows.update(expire_date=F("expire_date")))
