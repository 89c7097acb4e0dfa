"""The key browser as pages of an admin site.

For a site of your own: ``site.register(CacheKey, CacheKeyAdmin)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.probe import list_upstash_aliases
from continuum_upstash.panel.actions import Outcome
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_browser import pattern_deletion
from continuum_upstash.panel.key_browser.chosen_key import ChosenKey, choose_key, list_named_keys
from continuum_upstash.panel.key_browser.durations import UNITS, parse_seconds
from continuum_upstash.panel.key_browser.edits import change_expiry, delete_chosen
from continuum_upstash.panel.key_browser.key_page import describe_key
from continuum_upstash.panel.key_browser.list_page import ListState, describe_list
from continuum_upstash.panel.key_browser.masking import mask_key
from continuum_upstash.panel.key_browser.scope import KeyScope, make_glob
from continuum_upstash.panel.key_browser.values.visible_text import escape_text
from continuum_upstash.panel.models import CacheHealth
from continuum_upstash.panel.page_admin import PageAdmin, get_cache
from continuum_upstash.panel.page_cost import track_cost

_MAX_LOGGED_KEYS: Final = 10  # by name, in an entry of the history


class CacheKeyAdmin(PageAdmin):
    templates = "admin/continuum_upstash_panel/cachekey"

    def make_title(self, alias: str) -> Text:
        return format_lazy(_("Keys of the cache {alias}"), alias=alias)

    def make_own_paths(self, alias: str) -> list[URLPattern]:
        return [
            self.make_path(f"{alias}/key/", self.key_view, "key"),
            self.make_path(f"{alias}/expiry/", self.expiry_view, "expiry"),
            self.make_path(f"{alias}/delete-keys/", self.delete_keys_view, "delete_keys"),
            self.make_path(f"{alias}/delete-pattern/", self.delete_pattern_view, "delete_pattern"),
        ]

    # ---- pages

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The aliases; with only one, its keys."""
        self.require(self.has_view_or_change_permission(request))
        aliases = list_upstash_aliases()
        if len(aliases) == 1:
            return HttpResponseRedirect(self.reverse("change", quote(aliases[0])))
        context = {"title": _("Cache keys"), "aliases": aliases} | (extra_context or {})
        return self.render(request, "change_list", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The keys that match a search."""
        alias = self.get_alias(request, object_id)
        state = ListState.read(request.GET)
        may_see = self.has_value_permission(request)
        self.require(may_see or not state.shows_hidden)
        scope = self._get_scope(request, alias, is_raw=state.is_raw)
        with track_cost() as cost:
            context = describe_list(scope, state, request.GET.get("cursor", ""))
        context |= {"cost": cost, "may_see_values": may_see}
        context |= {"health_url": self.find_url(request, CacheHealth, alias)}
        context |= extra_context or {}
        return self.render(request, "change_form", context, alias)

    def key_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One key. A POST shows a value that is hidden by default, and is logged."""
        alias = self.get_alias(request, object_id)
        chosen = self._get_chosen_key(request, alias)
        may_see = self.has_value_permission(request) and chosen.protection is None
        reveals = request.method == "POST"
        self.require(may_see or not reveals)
        cursor = (request.POST if reveals else request.GET).get("cursor", "")
        with track_cost() as cost:
            context = describe_key(chosen, cursor, may_see_values=may_see)
        if reveals and context["details"]:
            self.log(request, alias, lambda: f"Viewed the value of {chosen.logged}.")
        context |= {"cost": cost, "units": UNITS, "is_revealed": reveals}
        context["title"] = format_lazy(_("Key of the cache {alias}"), alias=alias)
        return self.render(request, "key", context, alias)

    # ---- changes

    def expiry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A POST sets a new expiry."""
        alias = self.get_alias(request, object_id, change=True)
        chosen = self._get_chosen_key(request, alias, change=True)
        if request.method != "POST":
            return self._redirect_to_key(alias, chosen)
        seconds = None
        if "never" not in request.POST:
            seconds = parse_seconds(request.POST.get("amount", ""), request.POST.get("unit", ""))
            if seconds is None:
                text = _("Enter a whole number, for at most ten years. Nothing was changed.")
                self.message_user(request, text, messages.ERROR)
                return self._redirect_to_key(alias, chosen)
        if seconds == 0:  # it deletes the key
            return HttpResponseRedirect(self._make_url("delete_keys", alias, chosen))
        self._finish(request, alias, change_expiry(chosen, seconds))
        return self._redirect_to_key(alias, chosen)

    def delete_keys_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the selected keys; a POST with `confirm` deletes them."""
        alias = self.get_alias(request, object_id, change=True)
        query = request.POST if request.method == "POST" else request.GET
        scope = self._get_scope(request, alias, is_raw="raw" in query)
        chosen = [choose_key(scope, key) for key in list_named_keys(request)]
        keys = [each for each in chosen if each is not None]
        self.require(all(each.protection is None for each in keys))
        state = ListState(query.get("q", ""), scope.is_raw)
        if not keys:
            self.message_user(request, _("Select at least one key."), messages.WARNING)
            return self._redirect_to_list(alias, state)
        if "confirm" not in request.POST:
            context = {"title": _("Delete keys"), "subtitle": alias, "keys": keys, "state": state}
            return self.render(request, "confirm", context, alias)
        self._finish(request, alias, delete_chosen(scope.cache, keys), _list_names(keys))
        return self._redirect_to_list(alias, state)

    def delete_pattern_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Count the keys that match a pattern, and the price; a POST deletes them."""
        alias = self.get_alias(request, object_id, change=True)
        scope = self._get_scope(request, alias)
        state = ListState(request.GET.get("q", ""))
        may_see = self.has_value_permission(request)
        if pattern_deletion.is_too_wide(state.text):
            text = _("This pattern matches every key. Use cache.clear() or cache_cleanup --all.")
            self.message_user(request, text, messages.WARNING)
            return self._redirect_to_list(alias, state)
        if request.method == "POST":
            outcome = pattern_deletion.delete(scope, state.text, may_see_hidden=may_see)
            self._finish(request, alias, outcome, escape_text(mask_key(state.text)))
            return self._redirect_to_list(alias, state)
        with track_cost() as cost:
            run = pattern_deletion.count(scope, state.text, may_see_hidden=may_see)
        context = {"title": _("Delete by pattern"), "subtitle": alias, "cost": cost}
        context["pattern"] = make_glob(state.text)
        return self.render(request, "delete_pattern", context | {"run": run, "state": state}, alias)

    # ---- shared parts

    def _get_scope(self, request: HttpRequest, alias: str, *, is_raw: bool = False) -> KeyScope:
        self.require(not is_raw or request.user.is_superuser)
        return KeyScope(get_cache(alias), is_raw)

    def _get_chosen_key(
        self, request: HttpRequest, alias: str, *, change: bool = False
    ) -> ChosenKey:
        query = request.POST if request.method == "POST" else request.GET
        scope = self._get_scope(request, alias, is_raw="raw" in query)
        names = list_named_keys(request)
        chosen = choose_key(scope, names[0]) if names else None
        if chosen is None:
            raise Http404
        self.require(not change or chosen.protection is None)
        return chosen

    def _finish(
        self, request: HttpRequest, alias: str, outcome: Outcome, subject: str = ""
    ) -> None:
        self.log(request, alias, lambda: f"{outcome.text} {subject}")
        self.message_user(request, outcome.text, outcome.level)

    def _make_url(self, name: str, alias: str, chosen: ChosenKey) -> str:
        return f"{self.reverse(name, quote(alias))}?{urlencode(chosen.query)}"

    def _redirect_to_key(self, alias: str, chosen: ChosenKey) -> HttpResponse:
        return HttpResponseRedirect(self._make_url("key", alias, chosen))

    def _redirect_to_list(self, alias: str, state: ListState) -> HttpResponse:
        return HttpResponseRedirect(self.reverse("change", quote(alias)) + state.encode())


def _list_names(keys: Sequence[ChosenKey]) -> str:
    names = ", ".join(each.logged for each in keys[:_MAX_LOGGED_KEYS])
    return names if len(keys) <= _MAX_LOGGED_KEYS else f"{names}, …"
