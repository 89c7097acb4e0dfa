from __future__ import annotations

from django.apps import AppConfig

from continuum_upstash.observe import subscribe
from continuum_upstash.signals import invalidate_on_save
from example_project.live_events import announce_record
from example_project.middleware import record_usage


class ExampleConfig(AppConfig):
    name = "example_project"
    verbose_name = "Example site"

    def ready(self) -> None:
        subscribe(record_usage)
        subscribe(announce_record)
        for name in ("Article", "Author"):
            invalidate_on_save(self.get_model(name), tags=("articles",))
