"""The queues as pages of an admin site.

For a site of your own: ``site.register(JobQueue, JobQueueAdmin)``.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.federation.known_queues import list_known_queues
from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.health.probe import list_upstash_aliases
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.page_admin import PageAdmin
from continuum_upstash.panel.page_cost import track_cost
from continuum_upstash.panel.queues.queue_page import (
    ACTIONS,
    PAGE_SIZE,
    describe_queue,
    describe_queues,
    find_queue,
    run_action,
)

_MAX_OFFSET: Final = 1_000_000


class JobQueueAdmin(PageAdmin):
    templates = "admin/continuum_upstash_panel/jobqueue"

    def make_title(self, alias: str) -> Text:
        return format_lazy(_("Queues in {alias}"), alias=alias)

    def make_own_paths(self, alias: str) -> list[URLPattern]:
        return [
            self.make_path(f"{alias}/queue/<str:name>/", self.queue_view, "queue"),
            self.make_path(f"{alias}/queue/<str:name>/do/<slug:action>/", self.do_view, "do"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The aliases with queues; nothing is sent."""
        self.require(self.has_view_or_change_permission(request))
        aliases = [
            (alias, [queue.name for queue in list_known_queues(alias)])
            for alias in list_upstash_aliases()
        ]
        context = {
            "title": _("Job queues"),
            "aliases": [(alias, queues) for alias, queues in aliases if queues],
        }
        return self.render(request, "change_list", context | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 Django's signature
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The figures of all queues of an alias."""
        alias = self.get_alias(request, object_id)
        with track_cost() as cost:
            context = {"queues": describe_queues(alias), "cost": cost}
        return self.render(request, "change_form", context | (extra_context or {}), alias)

    def queue_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """One queue, with its dead letters."""
        alias = self.get_alias(request, object_id)
        queue = self._get_queue(alias, name)
        text = request.GET.get("offset", "")
        offset = min(int(text), _MAX_OFFSET) if text.isdecimal() and len(text) < 10 else 0
        with track_cost() as cost:
            context = describe_queue(queue, offset)
        context["may_see_values"] = self.has_value_permission(request)
        title = format_lazy(_("Queue {name}"), name=name)
        return self.render(request, "queue", {**context, "cost": cost, "title": title}, alias)

    def do_view(self, request: HttpRequest, object_id: str, name: str, action: str) -> HttpResponse:
        """Show a confirmation; a POST runs the action."""
        alias = self.get_alias(request, object_id, change=True)
        queue = self._get_queue(alias, name)
        if action not in ACTIONS:
            raise Http404
        chosen = ACTIONS[action]
        data = request.POST if request.method == "POST" else request.GET
        ids = [each for each in data.getlist("job") if each.isalnum()][:PAGE_SIZE]
        back = self.reverse("queue", quote(alias), name)
        if chosen.needs_jobs and not ids:
            self.message_user(request, _("Choose at least one dead letter."), messages.WARNING)
            return HttpResponseRedirect(back)
        if request.method != "POST":
            context = {
                "title": chosen.title,
                "effect": chosen.effect,
                "button": chosen.button,
                "is_harmful": chosen.is_harmful,
                "ids": ids,
                "back": back,
                "queue_name": name,
            }
            return self.render(request, "confirm", context, alias)
        outcome = run_action(chosen, queue, ids)
        self.log(request, alias, lambda: f"{chosen.title}: {name}. {outcome.text}")
        self.message_user(request, outcome.text, outcome.level)
        return HttpResponseRedirect(back)

    def _get_queue(self, alias: str, name: str) -> Queue:
        queue = find_queue(alias, name)
        if queue is None:
            raise Http404
        return queue
