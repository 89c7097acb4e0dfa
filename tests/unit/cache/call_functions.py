"""Functions with cached results, whose keys two processes must make alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import TextChoices
from django.utils.safestring import mark_safe

from continuum_upstash.cache.call_keys import CallKeys, Variants


class Colour(Enum):
    RED = 1
    BLUE = 2


class Access(Flag):
    READ = 1
    WRITE = 2


class Topic(TextChoices):
    NETWORKS = "networks"


@dataclass
class Filter:
    year: int
    tags: frozenset[str] = frozenset()


class Point(NamedTuple):
    x: int
    y: int


def report(user_id, year=2026, *, draft=False):
    return [user_id, year, draft]


def search(*words, **options):
    return words, options


EXAMPLES: dict[str, Any] = {
    "None": None,
    "True": True,
    "1": 1,
    "1.0": 1.0,
    "'1'": "1",
    "'a%20b%27c'": "a b'c",
    "'%C3%A9%7C'": "é|",
    "SafeString'1'": mark_safe("1"),
    "b'1'": b"1",
    "Decimal'1.10'": Decimal("1.10"),
    "UUID'00000000-0000-0000-0000-000000000005'": UUID(int=5),
    "date'2026-01-31'": date(2026, 1, 31),
    "datetime'2026-01-31T00:00:00+00:00'": datetime(2026, 1, 31, tzinfo=UTC),
    "time'12:30:00'": time(12, 30),
    "timedelta'1d2.000003s'": timedelta(days=1, seconds=2, microseconds=3),
    "[1,'1']": [1, "1"],
    "(1,(2))": (1, (2,)),
    "{'a':1,'b':2}": {"b": 2, "a": 1},
    "{}": {},
    "set{}": set(),
    "set{'1',1,2}": {2, 1, "1"},
    "frozenset{1}": frozenset([1]),
    f"{__name__}.Colour('RED')": Colour.RED,
    f"{__name__}.Access('READ%7CWRITE')": Access.READ | Access.WRITE,
    "'networks'": Topic.NETWORKS,
    f"{__name__}.Filter(year=2026,tags=frozenset{{'a','b'}})": Filter(2026, frozenset("ab")),
    f"{__name__}.Point(1,2)": Point(1, 2),
    "django.contrib.auth.models.User(7)": User(pk=7),
    "anonymous": AnonymousUser(),
    "<django.contrib.auth.models.User>": User,
}


def make_keys(decorated=report, key=None, tags=(), **variants):
    return CallKeys(decorated, key=key, tags=tags, variants=Variants(**variants))


def list_keys():
    """Return a key for each example."""
    keys = make_keys(search)
    calls = [((value,), {"b": {value.__class__.__name__}, "a": 1}) for value in EXAMPLES.values()]
    return [keys.make_key(keys.bind(*call)) for call in calls]
