from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in

from continuum_upstash.observe import subscribe
from continuum_upstash.signals import invalidate_on_save
from example_project.live_events import announce_record
from example_project.middleware import record_usage


class ExampleConfig(AppConfig):
    name = "example_project"
    verbose_name = "Example site"

    def ready(self) -> None:
        from example_project.views.devices import record_device  # noqa: PLC0415 needs the models

        user_logged_in.connect(record_device)
        subscribe(record_usage)
        subscribe(announce_record)
        for name in ("Article", "Author"):
            invalidate_on_save(self.get_model(name), tags=("articles",))
