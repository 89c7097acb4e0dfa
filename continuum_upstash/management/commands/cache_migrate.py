"""``manage.py cache_migrate``: copy, verify and switch a cache to another database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from continuum_upstash.management.migration import (
    copy_action,
    rollout_actions,
    status_action,
    verify_action,
)
from continuum_upstash.management.migration.copy_action import CopyAction
from continuum_upstash.management.migration.rollout_actions import RolloutAction
from continuum_upstash.management.migration.status_action import StatusAction
from continuum_upstash.management.migration.verify_action import VerifyAction

_ACTIONS: Final[dict[str, type[CopyAction | RolloutAction | StatusAction | VerifyAction]]] = {
    "status": StatusAction,
    "copy": CopyAction,
    "verify": VerifyAction,
    "set-percent": RolloutAction,
    "set-phase": RolloutAction,
    "rollback": RolloutAction,
}


class Command(BaseCommand):
    help = (
        "Copy a cache to another database, compare both, and change which of them is used. Exit "
        "status 0: success; 1: keys were not copied or differ, a change is refused, or "
        "the next step is not recommended; 2: the "
        "database is unreachable or the arguments are invalid; 130: interrupted. Each action "
        "selects the caches by --cache, copy and verify also by --from and --to."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add_action(name: str, text: str, add_options: Callable[[ArgumentParser], None]) -> None:
            action: ArgumentParser = actions.add_parser(name, help=text, description=text)
            action.add_argument("--format", choices=("text", "json"), default="text", dest="form")
            add_options(action)

        add_action("status", "Show both caches, and whether to go on.", status_action.add_options)
        add_action("copy", "Copy keys with their expiry.", copy_action.add_options)
        add_action("verify", "Compare a sample of the keys.", verify_action.add_options)
        for name, (text, add_options) in rollout_actions.ADD_OPTIONS.items():
            add_action(name, text, add_options)

    def handle(self, *args: Any, action: str, **options: Any) -> None:  # noqa: ARG002 Django's
        _ACTIONS[action](self, options).run()
