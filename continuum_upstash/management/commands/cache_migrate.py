"""``manage.py cache_migrate``: copy, verify and switch a cache to another database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from continuum_upstash.management.migration import copy_action, verify_action
from continuum_upstash.management.migration.copy_action import CopyAction
from continuum_upstash.management.migration.verify_action import VerifyAction


class Command(BaseCommand):
    help = (
        "Copy a cache to another database and compare both. Exit status 0: success; 1: keys were "
        "not copied, or differ; 2: the database is unreachable or the arguments are invalid; 130: "
        "interrupted. Each action selects the caches by --cache, or by --from and --to."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add_action(name: str, text: str, add_options: Callable[[ArgumentParser], None]) -> None:
            action: ArgumentParser = actions.add_parser(name, help=text, description=text)
            action.add_argument("--format", choices=("text", "json"), default="text", dest="form")
            add_options(action)

        add_action("copy", "Copy keys with their expiry.", copy_action.add_options)
        add_action("verify", "Compare a sample of the keys.", verify_action.add_options)

    def handle(self, *args: Any, action: str, **options: Any) -> None:  # noqa: ARG002 Django's
        actions: dict[str, type[CopyAction | VerifyAction]] = {
            "copy": CopyAction,
            "verify": VerifyAction,
        }
        actions[action](self, options).run()
