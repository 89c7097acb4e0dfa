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
from continuum_upstash.health.probe import get_upstash_caches, list_upstash_aliases
from continuum_upstash.panel import clear_family, contexts
from continuum_upstash.panel.actions import ACTIONS, Outcome
from continuum_upstash.panel.models import CacheHealth
from continuum_upstash.panel.page_cost import track_cost

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
        return CacheHealth(alias=object_id) if object_id in list_upstash_aliases() else None

    def get_urls(self) -> list[URLPattern]:
        alias = "<path:object_id>"
        return [
            self._make_path("", self.changelist_view, "changelist"),
            self._make_path(f"{alias}/history/", self.history_view, "history"),
            self._make_path(f"{alias}/change/", self.change_view, "change"),
            self._make_path(f"{alias}/state/", self.state_view, "state"),
            self._make_path(f"{alias}/figures/", self.figures_view, "figures"),
            self._make_path(f"{alias}/clear/", self.clear_view, "clear"),
            self._make_path(f"{alias}/do/<slug:name>/", self.action_view, "action"),
        ]

    def _make_path(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        def handle(request: HttpRequest, **arguments: str) -> HttpResponse:
            try:
                return view(request, **arguments)
            except ImproperlyConfigured as error:  # the alias's entry in CACHES is wrong
                alias = unquote(arguments.get("object_id", ""))
                return self._render(request, "change_form", {"problem": str(error)}, alias)

        wrapped = self.admin_site.admin_view(update_wrapper(handle, view))
        return path(route, wrapped, name=f"{self.opts.app_label}_{self.opts.model_name}_{name}")

    # ---- pages

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Every alias and its state; not billed."""
        self._require(request, self.has_view_or_change_permission(request))
        context = {"title": _("Cache health"), "summaries": contexts.list_summaries()}
        return self._render(request, "change_list", context | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything about one alias."""
        alias = self._get_alias(request, object_id)
        cache = _get_cache(alias)
        with track_cost() as cost:
            overview = contexts.read_figures(cache)
            context = contexts.describe_state(cache, overview.health)
            context |= contexts.describe_figures(overview) | contexts.describe_settings(cache)
            sample = "sample" in request.GET
            context |= contexts.describe_keys(cache, overview.health, sample=sample)
        context |= {"cost": cost} | (extra_context or {})
        return self._render(request, "change_form", context, alias)

    def state_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that the browser requests every ten seconds."""
        alias = self._get_alias(request, object_id)
        cache = _get_cache(alias)
        context = contexts.describe_state(cache, contexts.probe(cache))
        return self._render(request, "state", context, alias)

    def figures_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of the page that the browser requests every minute."""
        alias = self._get_alias(request, object_id)
        overview = contexts.read_figures(_get_cache(alias))
        return self._render(request, "figures", contexts.describe_figures(overview), alias)

    # ---- changes

    def action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Show a confirmation; a POST runs the action."""
        alias = self._get_alias(request, object_id, change=True)
        if name not in ACTIONS:
            raise Http404
        action, cache = ACTIONS[name], _get_cache(alias)
        if not action.is_available(cache):
            self.message_user(
                request, _("This action no longer applies. Nothing was changed."), messages.WARNING
            )
            return self._redirect_to_cache(alias)
        if request.method != "POST":
            context = {"title": action.title, "effect": action.effect, "button": action.button}
            return self._render(request, "confirm", context | {"subtitle": alias}, alias)
        outcome = action.run(cache, request.user.get_username())
        return self._log_and_redirect(request, alias, action.title, outcome)

    def clear_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show how many keys a family has; a POST deletes them."""
        alias = self._get_alias(request, object_id, change=True)
        cache, family = _get_cache(alias), clear_family.parse_family(request.GET.get("family", ""))
        if not family:
            self.message_user(request, _("Enter a key family."), messages.WARNING)
            return self._redirect_to_cache(alias)
        title = format_lazy(_("Clear the key family {family}"), family=f"{family}:")
        if request.method == "POST":
            return self._log_and_redirect(request, alias, title, clear_family.clear(cache, family))
        preview = clear_family.preview(cache, family)
        button = "" if preview.is_empty or preview.problem else _("Delete the keys")
        context = {"title": title, "preview": preview, "button": button}
        return self._render(request, "confirm", context | {"subtitle": alias}, alias)

    def _log_and_redirect(
        self, request: HttpRequest, alias: str, title: Any, outcome: Outcome
    ) -> HttpResponse:
        assert request.user.pk is not None  # the view requires a login
        with override(None):  # like Django's own entries, which are translated when shown
            LogEntry.objects.log_actions(
                user_id=request.user.pk,
                queryset=[CacheHealth(alias=alias)],
                action_flag=CHANGE,
                change_message=f"{title}. {outcome.text}",
                single_object=True,
            )
        self.message_user(request, outcome.text, outcome.level)
        return self._redirect_to_cache(alias)

    # ---- shared parts

    def _get_alias(self, request: HttpRequest, object_id: str, *, change: bool = False) -> str:
        alias = unquote(object_id)
        if change:
            self._require(request, self.has_change_permission(request))
        self._require(request, self.has_view_or_change_permission(request))
        if alias not in list_upstash_aliases():
            raise Http404
        return alias

    def _require(self, _request: HttpRequest, allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied

    def _reverse(self, name: str, *args: str) -> str:
        view = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(f"admin:{view}", args=args, current_app=self.admin_site.name)

    def _redirect_to_cache(self, alias: str) -> HttpResponse:
        return HttpResponseRedirect(self._reverse("change", quote(alias)))

    def _render(
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


def _get_cache(alias: str) -> UpstashBaseCache:
    (cache,) = get_upstash_caches([alias])
    return cache
