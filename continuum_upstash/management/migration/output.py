"""How the actions of `cache_migrate` write their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.utils.translation import override

from continuum_upstash.errors import escape_unprintable
from continuum_upstash.management.arguments import format_json
from continuum_upstash.management.progress import Progress
from continuum_upstash.sessions.keys import compile_session_matcher

MAX_LISTED: Final = 100  # keys in the result; all of them are written to stderr


class Output:
    """
    Args:
        command: its streams are used.
        options: the parsed options.
    """

    def __init__(self, command: BaseCommand, options: Mapping[str, Any]) -> None:
        self._stdout, self._stderr = command.stdout, command.stderr
        self._is_json = options["form"] == "json"
        self._is_quiet = options["verbosity"] == 0
        self._is_session = compile_session_matcher()

    def make_progress(self, total: int) -> Progress:
        return Progress(self._stderr, total, quiet=self._is_quiet)

    def write_result(self, values: dict[str, Any], lines: Iterable[str]) -> None:
        """Write the entries of --format json or the lines of --format text."""
        if self._is_json:
            self._stdout.write(format_json(values))
            return
        with override("en"):
            for line in lines:
                self._stdout.write(escape_unprintable(line))

    def write_notice(self, text: str) -> None:
        """Write to stdout, or to stderr with --format json: there, stdout has only the result."""
        stream = self._stderr if self._is_json else self._stdout
        stream.write(escape_unprintable(text), style_func=str)

    def write_detail(self, text: str) -> None:
        """Write to stderr, unless --verbosity is 0."""
        if not self._is_quiet:
            self._stderr.write(escape_unprintable(text), style_func=str)

    def hide_session(self, key: str) -> str:
        """Return a full key, or what replaces the key of a session, which is a secret."""
        return "the key of a session" if self._is_session(key) else key


def format_keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"
