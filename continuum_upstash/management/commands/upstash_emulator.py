from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from continuum_upstash.emulator.cli import CannotStart, add_arguments, run


class Command(BaseCommand):
    help = (
        "Run a local server that provides the Upstash REST API in front of a real Valkey server. "
        "For development and tests; it is not a production proxy."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            run(options)
        except CannotStart as error:
            raise CommandError(str(error)) from error
