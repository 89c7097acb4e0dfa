"""Deletes the keys that match a pattern, within the bounds of one request."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.quantities import format_count
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_browser.masking import mask_key, reaches_hidden_part
from continuum_upstash.panel.key_browser.scope import KeyScope, make_glob
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector, ScanProgress
from continuum_upstash.stats.pricing import PRICING_PLANS

MAX_DRY_RUN_SCANS: Final = 10
_MAX_DELETE_SCANS: Final = 200  # a request must end before its server's timeout


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a deletion would do.

    Attributes:
        keys: that would be deleted, among those that were examined.
        is_complete: whether all keys of the database were examined.
        commands: billed commands of the deletion; at most, if it is not complete.
        dollars: their price on the plan pay as you go.
        problem: why it failed, without secrets.
    """

    keys: int = 0
    is_complete: bool = False
    commands: int = 0
    dollars: float = 0.0
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        return self.is_complete and not self.keys


def is_too_wide(text: str) -> bool:
    """Return whether a pattern matches every key: `clear()` is for that."""
    return not text.strip("*?")


def count(scope: KeyScope, text: str, *, may_see_hidden: bool) -> DryRun:
    """Return what `delete` would do; at most MAX_DRY_RUN_SCANS billed commands."""
    try:
        deleter = _make_deleter(scope, text, MAX_DRY_RUN_SCANS, may_see_hidden=may_see_hidden)
        progress = scope.cache.run(deleter.count())
    except ContinuumError as error:
        return DryRun(problem=str(error))
    commands = 2 * _MAX_DELETE_SCANS
    if progress.complete:
        commands = deleter.compute_cost(progress)
    dollars = PRICING_PLANS["payg"].cost_of(commands)
    return DryRun(progress.matched, progress.complete, commands, dollars)


def delete(scope: KeyScope, text: str, *, may_see_hidden: bool) -> Outcome:
    """Delete the keys that match, among the first 200,000; for the rest, name the command.

    Protected keys stay, and so do keys that match by a part that the user may not see.
    """
    try:
        deleter = _make_deleter(scope, text, _MAX_DELETE_SCANS, may_see_hidden=may_see_hidden)
        progress = scope.cache.run(deleter.delete())
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))
    if progress.complete:
        message = ngettext_lazy("{keys} key deleted.", "{keys} keys deleted.", progress.deleted)
        return Outcome(messages.SUCCESS, _format(message, progress))
    options = (f"--cache={scope.cache.database.config.alias}", f"--resume={progress.cursor}")
    command = shlex.join(["manage.py", "cache_cleanup", make_glob(text), *options])
    message = _("{keys} keys deleted so far. To delete the rest, run: {command}")
    return Outcome(messages.WARNING, _format(message, progress, command=command))


def _format(text: Text, progress: ScanProgress, **more: str) -> Text:
    return format_lazy(text, keys=format_count(progress.deleted), **more)


def _make_deleter(
    scope: KeyScope, text: str, max_pages: int, *, may_see_hidden: bool
) -> KeyDeleter:
    pattern = scope.make_pattern(make_glob(text))

    def is_excluded(full_key: str) -> bool:
        if scope.protections.find(full_key) is not None:
            return True
        key = pattern.extract_key(full_key)
        masked = key if may_see_hidden else mask_key(key)
        return masked != key and reaches_hidden_part(text, masked)

    selector = KeySelector(pattern.pattern, pattern.matches, is_excluded)
    return KeyDeleter(selector, max_pages=max_pages)
