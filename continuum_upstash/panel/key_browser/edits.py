"""Changes of keys, through the cache: the near cache and the journal of an outage see them."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.quantities import format_count
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.key_browser.chosen_key import ChosenKey
from continuum_upstash.panel.key_browser.durations import format_ttl
from continuum_upstash.panel.page_cost import track_cost
from continuum_upstash.plans.effects import Plan, call


def set_expiry(full_key: str, ttl_ms: int | None) -> Plan[bool]:
    """Set a new expiry, None for none; return whether the key existed.

    Billed: 1 command; 2 for no expiry if the key has none.

    Raises:
        Unavailable: the database does not reply: only it knows the key.
    """
    if ttl_ms is not None:
        return bool((yield from call("PEXPIRE", full_key, ttl_ms, needs_server=True)))
    if (yield from call("PERSIST", full_key, needs_server=True)):
        return True
    return bool((yield from call("EXISTS", full_key, needs_server=True)))


def delete_keys(full_keys: Sequence[str]) -> Plan[int]:
    """Delete keys in one command; return how many existed.

    During an outage the local store serves it, and it is repeated on the server afterwards.
    """
    deleted: int = yield from call("UNLINK", *full_keys)
    return deleted


def change_expiry(chosen: ChosenKey, seconds: int | None) -> Outcome:
    """Set the expiry of a key, None for none."""
    ttl_ms = None if seconds is None else seconds * 1000
    try:
        exists = chosen.scope.cache.run(set_expiry(chosen.full_key, ttl_ms))
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))
    if not exists:
        text = _("{key} no longer exists: it expired or was deleted meanwhile.")
        return Outcome(messages.WARNING, format_lazy(text, key=chosen.logged))
    text = _("{key} expires in {ttl}.") if seconds is not None else _("{key} never expires.")
    return Outcome(messages.SUCCESS, format_lazy(text, key=chosen.logged, ttl=format_ttl(ttl_ms)))


def delete_chosen(cache: UpstashBaseCache, keys: Sequence[ChosenKey]) -> Outcome:
    """Delete keys."""
    with track_cost() as cost:
        try:
            deleted = cache.run(delete_keys([each.full_key for each in keys]))
        except ContinuumError as error:
            return Outcome(messages.ERROR, str(error))
    if cost.served_locally and cache.database.config.mode != "local":
        text = _("The database does not accept the deletion now. It is repeated when it does.")
        return Outcome(messages.WARNING, text)
    count = format_count(deleted)
    if deleted < len(keys):
        gone = format_count(len(keys) - deleted)
        text = _("{n} keys deleted. {gone} no longer existed.")
        return Outcome(messages.WARNING, format_lazy(text, n=count, gone=gone))
    text = ngettext_lazy("{n} key deleted.", "{n} keys deleted.", deleted)
    return Outcome(messages.SUCCESS, format_lazy(text, n=count))
