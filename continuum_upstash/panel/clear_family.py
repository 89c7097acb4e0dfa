"""Deletes a key family, up to the limit of one request."""

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
from continuum_upstash.health.quantities import format_count
from continuum_upstash.keys import escape_glob, make_scoped_pattern
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_sample import MAX_PAGES
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector, ScanProgress
from continuum_upstash.sessions.keys import compile_session_matcher

_MAX_DELETE_PAGES: Final = 200  # of a thousand keys: a request must end before its server's timeout


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be deleted, from a scan of ten pages at most.

    Attributes:
        name: of the family, with its colon.
        matched: keys of the family in the scan.
        complete: whether the scan covers the whole database.
        problem: why the scan failed, without secrets.
    """

    name: str
    matched: int
    complete: bool
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        return self.complete and not self.matched


def preview(cache: UpstashBaseCache, family: str) -> Preview:
    try:
        progress = cache.run(_make_deleter(cache, family, MAX_PAGES).count())
    except ContinuumError as error:
        return Preview(f"{family}:", 0, complete=False, problem=str(error))
    return Preview(f"{family}:", progress.matched, progress.complete)


def clear(cache: UpstashBaseCache, family: str) -> Outcome:
    """Delete the family's keys among 200,000 keys; for the rest, name the command to run."""
    try:
        progress = cache.run(_make_deleter(cache, family, _MAX_DELETE_PAGES).delete())
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))
    if progress.complete:
        text = ngettext_lazy("{keys} key deleted.", "{keys} keys deleted.", progress.deleted)
        return Outcome(messages.SUCCESS, _format(text, progress))
    alias = cache.database.config.alias
    options = (f"--cache={alias}", f"--family={family}", f"--resume={progress.cursor}")
    command = shlex.join(["manage.py", "cache_cleanup", *options])
    text = _("{keys} keys deleted so far. To delete the rest, run: {command}")
    return Outcome(messages.WARNING, _format(text, progress, command=command))


def parse_family(text: str) -> str:
    """Return the name of a family without its colon; empty if there is none.

    White space is part of the name: without it, this would be another family.
    """
    return text.removesuffix(":")


def _format(text: Text, progress: ScanProgress, **more: str) -> Text:
    return format_lazy(text, keys=format_count(progress.deleted), **more)


def _make_deleter(cache: UpstashBaseCache, family: str, max_pages: int) -> KeyDeleter:
    glob = escape_glob(family) + ":*"
    pattern = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, glob)
    selector = KeySelector(pattern.pattern, pattern.matches, compile_session_matcher())
    return KeyDeleter(selector, max_pages=max_pages)
