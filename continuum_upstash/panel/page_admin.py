"""What the panel's pages share: their URLs, permissions, entries in the history and rendering."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import django
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import override, pgettext_lazy

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.probe import get_upstash_caches, list_upstash_aliases
from continuum_upstash.panel.formatting import Text

if TYPE_CHECKING:  # at run time it takes no parameter
    _ModelAdmin: TypeAlias = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class PageAdmin(_ModelAdmin):
    """Pages about the aliases of CACHES; an object of the model is an alias."""

    templates: ClassVar[str]  # the folder

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 Django's signature
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002 Django's signature
        obj: Model | None = None,  # noqa: ARG002 as above
    ) -> bool:
        return False

    def has_value_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may see values and payloads, and keys that are hidden."""
        return request.user.has_perm(f"{self.opts.app_label}.view_cachevalue")

    def get_object(
        self,
        request: HttpRequest,  # noqa: ARG002 Django's signature
        object_id: str,
        from_field: str | None = None,  # noqa: ARG002 as above
    ) -> Model | None:
        return self.model(alias=object_id) if object_id in list_upstash_aliases() else None

    def make_title(self, alias: str) -> Text:
        """Return the title of the pages about an alias."""
        raise NotImplementedError

    def make_path(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        """Return the URL of a view. A wrong entry in CACHES is shown on the alias's page."""

        def handle(request: HttpRequest, **arguments: str) -> HttpResponse:
            try:
                return view(request, **arguments)
            except ImproperlyConfigured as error:  # the alias's entry in CACHES is wrong
                alias = unquote(arguments.get("object_id", ""))
                return self.render(request, "change_form", {"problem": str(error)}, alias)

        wrapped = self.admin_site.admin_view(update_wrapper(handle, view))
        return path(route, wrapped, name=f"{self.opts.app_label}_{self.opts.model_name}_{name}")

    def make_own_paths(self, alias: str) -> list[URLPattern]:
        """Return the URLs that only this model has. `alias` is the part of a route for it."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """Return the list, the pages of this model, and those that each model has for an alias.

        The last ones match any path, so they follow all others.
        """
        return [
            self.make_path("", self.changelist_view, "changelist"),
            *self.make_own_paths("<path:object_id>"),
            self.make_path("<path:object_id>/history/", self.history_view, "history"),
            self.make_path("<path:object_id>/change/", self.change_view, "change"),
            self.make_path("<path:object_id>/", self.redirect_view, "redirect"),
        ]

    def redirect_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect the URL of an alias to its page, as Django does."""
        return HttpResponseRedirect(
            self.reverse("change", quote(self.get_alias(request, object_id)))
        )

    def reverse(self, name: str, *args: str) -> str:
        view = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(f"admin:{view}", args=args, current_app=self.admin_site.name)

    def find_url(self, request: HttpRequest, model: type[Model], alias: str) -> str:
        """Return the URL of the alias's page of another model; empty: the user may not see it."""
        if not self.admin_site.is_registered(model):
            return ""
        page_admin = self.admin_site.get_model_admin(model)
        if not isinstance(page_admin, PageAdmin):
            return ""
        if not page_admin.has_view_or_change_permission(request):
            return ""
        return page_admin.reverse("change", quote(alias))

    def get_alias(self, request: HttpRequest, object_id: str, *, change: bool = False) -> str:
        """Return the alias of a URL.

        Args:
            request: its user must have the permission to view, and with `change` to change.
            object_id: the quoted alias.
            change: whether the page changes something.
        """
        alias = unquote(object_id)
        if change:
            self.require(self.has_change_permission(request))
        self.require(self.has_view_or_change_permission(request))
        if alias not in list_upstash_aliases():
            raise Http404
        return alias

    def require(self, allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied

    def log(self, request: HttpRequest, alias: str, make_message: Callable[[], str]) -> None:
        """Write an entry of the alias's history, in English as Django's own entries."""
        assert request.user.pk is not None  # the view requires a login
        with override(None):
            LogEntry.objects.log_actions(
                user_id=request.user.pk,
                queryset=[self.model(alias=alias)],
                action_flag=CHANGE,
                change_message=make_message(),
                single_object=True,
            )

    def render(
        self, request: HttpRequest, template: str, context: dict[str, Any], alias: str = ""
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        title = context.get("title") or self.make_title(alias)
        crumbs = self._list_crumbs(alias)
        if template not in {"change_list", "change_form"}:
            crumbs.append(("", title))
        base = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "alias": alias,
            "title": title,
            "may_change": self.has_change_permission(request),
            "crumbs": crumbs[:-1],
            "last_crumb": crumbs[-1][1],
            "has_crumb_list": django.VERSION >= (6, 1),
        }
        response = TemplateResponse(request, f"{self.templates}/{template}.html", base | context)
        response["Cache-Control"] = "no-store"
        return response

    def _list_crumbs(self, alias: str) -> list[tuple[str, Text]]:
        """Return the URLs and names of the pages from the admin's index to the alias."""
        site, label = self.admin_site.name, self.opts.app_label
        crumbs: list[tuple[str, Text]] = [
            (reverse("admin:index", current_app=site), pgettext_lazy("cache health", "Home")),
            (
                reverse("admin:app_list", args=(label,), current_app=site),
                self.opts.app_config.verbose_name,
            ),
            (self.reverse("changelist"), capfirst(str(self.opts.verbose_name_plural))),
        ]
        if alias:
            crumbs.append((self.reverse("change", quote(alias)), alias))
        return crumbs


def get_cache(alias: str) -> UpstashBaseCache:
    (cache,) = get_upstash_caches([alias])
    return cache
