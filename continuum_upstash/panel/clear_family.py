"""Deletes a key family from the panel, as far as one request may go."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.keys import escape_glob, make_scoped_pattern
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.formatting import Text, count
from continuum_upstash.panel.key_sample import PAGES
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector, ScanProgress
from continuum_upstash.sessions.keys import compile_session_matcher

_MOST_PAGES: Final = 200  # of a thousand keys: a web server does not wait for ever


@dataclass(frozen=True, slots=True)
class Announced:
    """What clearing a family would do, from a look at ten pages at most.

    Attributes:
        name: of the family, with its colon.
        matched: keys that were seen.
        complete: whether that is all of them.
        problem: why nobody knows, without secrets.
    """

    name: str
    matched: int
    complete: bool
    problem: str = ""

    @property
    def empty(self) -> bool:
        return self.complete and not self.matched


def announce(cache: UpstashBaseCache, family: str) -> Announced:
    try:
        walk = cache.run(_deleter(cache, family, PAGES).count())
    except ContinuumError as error:
        return Announced(f"{family}:", 0, complete=False, problem=str(error))
    return Announced(f"{family}:", walk.matched, walk.complete)


def clear(cache: UpstashBaseCache, family: str) -> Outcome:
    """Delete the family's keys, 200,000 looked at; say how to go on where there are more."""
    try:
        walk = cache.run(_deleter(cache, family, _MOST_PAGES).delete())
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))
    if walk.complete:
        text = ngettext_lazy("{keys} key deleted.", "{keys} keys deleted.", walk.deleted)
        return Outcome(messages.SUCCESS, _told(text, walk))
    alias = cache.database.config.alias
    where = (f"--cache={alias}", f"--family={family}", f"--resume={walk.cursor}")
    command = shlex.join(["manage.py", "cache_cleanup", *where])
    text = _("{keys} keys deleted so far. For the rest run: {command}")
    return Outcome(messages.WARNING, _told(text, walk, command=command))


def family_of(text: str) -> str:
    """Return a family's name as it is typed, with or without its colon; empty: there is none.

    White space is part of a name: without it this would be another family.
    """
    return text.removesuffix(":")


def _told(text: Text, walk: ScanProgress, **more: str) -> Text:
    return format_lazy(text, keys=count(walk.deleted), **more)


def _deleter(cache: UpstashBaseCache, family: str, pages: int) -> KeyDeleter:
    pattern = escape_glob(family) + ":*"
    wanted = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, pattern)
    selector = KeySelector(wanted.pattern, wanted.matches, compile_session_matcher())
    return KeyDeleter(selector, max_pages=pages)
