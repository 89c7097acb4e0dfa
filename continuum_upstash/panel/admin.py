"""The panel as pages of an admin site.

For a site of your own: ``site.register(CacheHealth, CacheHealthAdmin)``, and
``site.register(CacheKey, CacheKeyAdmin)`` for the key browser, and
``site.register(JobQueue, JobQueueAdmin)`` for the queues.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.panel import clear_family, contexts
from continuum_upstash.panel.actions import ACTIONS, Outcome
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_browser.key_admin import CacheKeyAdmin
from continuum_upstash.panel.models import CacheHealth, CacheKey, JobQueue
from continuum_upstash.panel.page_admin import PageAdmin, get_cache
from continuum_upstash.panel.page_cost import track_cost
from continuum_upstash.panel.queues.queue_admin import JobQueueAdmin

admin.site.register(CacheKey, CacheKeyAdmin)
admin.site.register(JobQueue, JobQueueAdmin)


@admin.register(CacheHealth)
class CacheHealthAdmin(PageAdmin):
    templates = "admin/continuum_upstash_panel/cachehealth"

    def make_title(self, alias: str) -> Text:
        return format_lazy(_("Cache health: {alias}"), alias=alias)

    def make_own_paths(self, alias: str) -> list[URLPattern]:
        return [
            self.make_path("summaries/", self.summaries_view, "summaries"),
            self.make_path(f"{alias}/state/", self.state_view, "state"),
            self.make_path(f"{alias}/figures/", self.figures_view, "figures"),
            self.make_path(f"{alias}/clear/", self.clear_view, "clear"),
            self.make_path(f"{alias}/do/<slug:name>/", self.action_view, "action"),
        ]

    # ---- pages

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Every alias with its state, hit rate and bill; see `contexts.list_summaries`."""
        self.require(self.has_view_or_change_permission(request))
        context = {"title": _("Cache health"), "summaries": contexts.list_summaries()}
        return self.render(request, "change_list", context | (extra_context or {}))

    def summaries_view(self, request: HttpRequest) -> HttpResponse:
        """The part of the list that the browser requests every minute."""
        self.require(self.has_view_or_change_permission(request))
        return self.render(request, "summaries", {"summaries": contexts.list_summaries()})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything about one alias."""
        alias = self.get_alias(request, object_id)
        cache = get_cache(alias)
        with track_cost() as cost:
            overview = contexts.read_figures(cache)
            context = contexts.describe_state(cache, overview.health)
            context |= contexts.describe_figures(cache, overview) | contexts.describe_settings(
                cache
            )
            sample = "sample" in request.GET
            context |= contexts.describe_keys(cache, overview.health, sample=sample)
        context |= {"cost": cost, "keys_url": self.find_url(request, CacheKey, alias)}
        context |= extra_context or {}
        return self.render(request, "change_form", context, alias)

    def state_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that the browser requests every ten seconds."""
        alias = self.get_alias(request, object_id)
        cache = get_cache(alias)
        context = contexts.describe_state(cache, contexts.probe(cache))
        return self.render(request, "state", context, alias)

    def figures_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that the browser requests every minute."""
        alias = self.get_alias(request, object_id)
        cache = get_cache(alias)
        overview = contexts.read_figures(cache)
        return self.render(request, "figures", contexts.describe_figures(cache, overview), alias)

    # ---- changes

    def action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Show a confirmation; a POST runs the action. Harmless ones are posted at once."""
        alias = self.get_alias(request, object_id, change=True)
        if name not in ACTIONS:
            raise Http404
        action, cache = ACTIONS[name], get_cache(alias)
        if not action.is_available(cache):
            self.message_user(
                request, _("This action no longer applies. Nothing was changed."), messages.WARNING
            )
            return self._redirect_to_cache(alias)
        if request.method != "POST":
            context = {
                "title": action.title,
                "effect": action.effect,
                "button": action.button,
                "is_harmful": action.is_harmful,
                "subtitle": alias,
            }
            return self.render(request, "confirm", context, alias)
        outcome = action.run(cache, request.user.get_username())
        return self._log_and_redirect(request, alias, action.title, outcome)

    def clear_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show how many keys a family has; a POST deletes them."""
        alias = self.get_alias(request, object_id, change=True)
        cache, family = get_cache(alias), clear_family.parse_family(request.GET.get("family", ""))
        if not family:
            self.message_user(request, _("Enter a key family."), messages.WARNING)
            return self._redirect_to_cache(alias)
        title = format_lazy(_("Clear the key family {family}"), family=f"{family}:")
        if request.method == "POST":
            return self._log_and_redirect(request, alias, title, clear_family.clear(cache, family))
        preview = clear_family.preview(cache, family)
        button = "" if preview.is_empty or preview.problem else _("Delete the keys")
        context = {"title": title, "preview": preview, "button": button, "is_harmful": True}
        return self.render(request, "confirm", context | {"subtitle": alias}, alias)

    def _log_and_redirect(
        self, request: HttpRequest, alias: str, title: Any, outcome: Outcome
    ) -> HttpResponse:
        self.log(request, alias, lambda: f"{title}. {outcome.text}")
        self.message_user(request, outcome.text, outcome.level)
        return self._redirect_to_cache(alias)

    def _redirect_to_cache(self, alias: str) -> HttpResponse:
        return HttpResponseRedirect(self.reverse("change", quote(alias)))
