"""The panel as pages of an admin site.

For a site of your own: ``site.register(CacheHealth, CacheHealthAdmin)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health import report as health
from continuum_upstash.panel import clear_family, contexts
from continuum_upstash.panel.actions import ACTIONS, Outcome, perform
from continuum_upstash.panel.models import CacheHealth
from continuum_upstash.panel.page_cost import spending

if TYPE_CHECKING:  # at run time it takes no parameter
    _ModelAdmin: TypeAlias = admin.ModelAdmin[CacheHealth]
else:
    _ModelAdmin = admin.ModelAdmin

_TEMPLATES = "admin/continuum_upstash_panel/cachehealth"


@admin.register(CacheHealth)
class CacheHealthAdmin(_ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 Django's signature
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002 Django's signature
        obj: CacheHealth | None = None,  # noqa: ARG002 as above
    ) -> bool:
        return False

    def get_object(
        self,
        request: HttpRequest,  # noqa: ARG002 Django's signature
        object_id: str,
        from_field: str | None = None,  # noqa: ARG002 as above
    ) -> CacheHealth | None:
        return CacheHealth(alias=object_id) if object_id in health.aliases() else None

    def get_urls(self) -> list[URLPattern]:
        alias = "<path:object_id>"
        return [
            self._path("", self.changelist_view, "changelist"),
            self._path(f"{alias}/history/", self.history_view, "history"),
            self._path(f"{alias}/change/", self.change_view, "change"),
            self._path(f"{alias}/state/", self.state_view, "state"),
            self._path(f"{alias}/figures/", self.figures_view, "figures"),
            self._path(f"{alias}/clear/", self.clear_view, "clear"),
            self._path(f"{alias}/do/<slug:name>/", self.action_view, "action"),
        ]

    def _path(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        def shown(request: HttpRequest, **given: str) -> HttpResponse:
            try:
                return view(request, **given)
            except ImproperlyConfigured as error:  # the alias' entry in CACHES is wrong
                alias = unquote(given.get("object_id", ""))
                return self._page(request, "change_form", {"problem": str(error)}, alias)

        wrapped = self.admin_site.admin_view(update_wrapper(shown, view))
        return path(route, wrapped, name=f"{self.opts.app_label}_{self.opts.model_name}_{name}")

    # ---- pages

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Every alias and its state; nothing in it is billed."""
        self._permit(request, self.has_view_or_change_permission(request))
        context = {"title": _("Cache health"), "summaries": contexts.summaries()}
        return self._page(request, "change_list", context | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything about one alias."""
        alias = self._alias(request, object_id)
        cache = _cache(alias)
        with spending() as spent:
            context = contexts.state(cache)
            report = context["report"]
            context |= contexts.figures(cache, report) | contexts.settings(cache)
            context |= contexts.keys(cache, report, asked="sample" in request.GET)
        context |= {"spent": spent} | (extra_context or {})
        return self._page(request, "change_form", context, alias)

    def state_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that is asked for every few seconds."""
        alias = self._alias(request, object_id)
        return self._page(request, "state", contexts.state(_cache(alias)), alias)

    def figures_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that is asked for every minute."""
        alias = self._alias(request, object_id)
        return self._page(request, "figures", contexts.figures(_cache(alias)), alias)

    # ---- what changes something

    def action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Ask whether it is meant, then do it."""
        alias = self._alias(request, object_id, change=True)
        if name not in ACTIONS:
            raise Http404
        action, cache = ACTIONS[name], _cache(alias)
        if not action.offered(cache):
            self.message_user(
                request, _("That makes no sense any more: nothing was done."), messages.WARNING
            )
            return self._back(alias)
        if request.method != "POST":
            context = {"title": action.title, "effect": action.effect, "button": action.button}
            return self._page(request, "confirm", context | {"subtitle": alias}, alias)
        outcome = perform(action, cache, request.user.get_username())
        return self._done(request, alias, action.title, outcome)

    def clear_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Count, ask whether it is meant, then delete a key family."""
        alias = self._alias(request, object_id, change=True)
        cache, family = _cache(alias), clear_family.family_of(request.GET.get("family", ""))
        if not family:
            self.message_user(request, _("Which family? Write its name."), messages.WARNING)
            return self._back(alias)
        title = format_lazy(_("Clear the key family {family}"), family=f"{family}:")
        if request.method == "POST":
            return self._done(request, alias, title, clear_family.clear(cache, family))
        announced = clear_family.announce(cache, family)
        button = "" if announced.empty or announced.problem else _("Delete the keys")
        context = {"title": title, "announced": announced, "button": button}
        return self._page(request, "confirm", context | {"subtitle": alias}, alias)

    def _done(self, request: HttpRequest, alias: str, title: Any, outcome: Outcome) -> HttpResponse:
        assert request.user.pk is not None  # who is not logged in may not get here
        with override(None):  # as Django's own entries, which the reader's language shows
            LogEntry.objects.log_actions(
                user_id=request.user.pk,
                queryset=[CacheHealth(alias=alias)],
                action_flag=CHANGE,
                change_message=f"{title}. {outcome.text}",
                single_object=True,
            )
        self.message_user(request, outcome.text, outcome.level)
        return self._back(alias)

    # ---- what they have in common

    def _alias(self, request: HttpRequest, object_id: str, *, change: bool = False) -> str:
        alias = unquote(object_id)
        if change:
            self._permit(request, self.has_change_permission(request))
        self._permit(request, self.has_view_or_change_permission(request))
        if alias not in health.aliases():
            raise Http404
        return alias

    def _permit(self, _request: HttpRequest, allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied

    def _url(self, name: str, *args: str) -> str:
        view = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(f"admin:{view}", args=args, current_app=self.admin_site.name)

    def _back(self, alias: str) -> HttpResponse:
        return HttpResponseRedirect(self._url("change", quote(alias)))

    def _page(
        self, request: HttpRequest, template: str, context: dict[str, Any], alias: str = ""
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        base = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "alias": alias,
            "title": format_lazy(_("Cache health: {alias}"), alias=alias),
            "may_change": self.has_change_permission(request),
        }
        response = TemplateResponse(request, f"{_TEMPLATES}/{template}.html", base | context)
        response["Cache-Control"] = "no-store"
        return response


def _cache(alias: str) -> UpstashBaseCache:
    (cache,) = health.ours([alias])
    return cache
