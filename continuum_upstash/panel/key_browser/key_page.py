"""The context of the page of one key."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from continuum_upstash.errors import ContinuumError
from continuum_upstash.panel.formatting import Text, to_local_datetime
from continuum_upstash.panel.key_browser.chosen_key import ChosenKey
from continuum_upstash.panel.key_browser.masking import has_hidden_word
from continuum_upstash.panel.key_browser.position import START, Position
from continuum_upstash.panel.key_browser.values.inspection import KeyDetails, inspect_key
from continuum_upstash.panel.key_browser.values.preview import Previewer


def describe_key(chosen: ChosenKey, cursor: str, *, may_see_values: bool) -> dict[str, Any]:
    """Return what is known about a key.

    Args:
        chosen: the key.
        cursor: the signed position of the first element; empty: the first page.
        may_see_values: whether to read the value.
    """
    cache = chosen.scope.cache
    start = Position.read(cursor, chosen.binding) if cursor else START
    context: dict[str, Any] = {
        "chosen": chosen,
        "cursor": cursor,
        "is_expired": start is None,
        "may_see_values": may_see_values,
        "subtitle": chosen.shown,
        "details": None,
    }
    previewer = Previewer(cache) if may_see_values else None
    is_local = cache.database.config.mode == "local"
    plan = inspect_key(chosen.full_key, previewer, start or START, is_local=is_local)
    try:
        details = cache.run(plan)
    except ContinuumError as error:
        return context | {"problem": str(error)}
    return context if details is None else context | _describe_details(chosen, details)


def _describe_details(chosen: ChosenKey, details: KeyDetails) -> dict[str, Any]:
    context: dict[str, Any] = {"details": details, "reason": _find_reason_to_hide(chosen, details)}
    if details.following:
        cursor = details.following.sign(chosen.binding)
        context["next"] = f"?{urlencode(chosen.query | {'cursor': cursor})}"
    envelope = details.value.envelope if details.value else None
    if envelope is not None:
        context["compute_seconds"] = envelope.compute_ms / 1000
        if envelope.fresh_until_ms:
            context["fresh_until"] = to_local_datetime(envelope.fresh_until_ms / 1000)
    return context


def _find_reason_to_hide(chosen: ChosenKey, details: KeyDetails) -> Text:
    """Return why the value is hidden by default; empty: it is not."""
    if has_hidden_word(chosen.key):
        return _("The key contains a word such as TOKEN or PASSWORD.")
    elements = details.elements or ()
    if has_hidden_word(" ".join(each.label for each in elements)):
        return _("The value contains a word such as TOKEN or PASSWORD.")
    previews = [each.value for each in elements] + ([details.value] if details.value else [])
    return next((each.reason for each in previews if each.reason), "")
