from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError


@dataclass(frozen=True)
class CommandRun:
    """The result of a management command.

    Attributes:
        code: the exit status.
        error: the message of its CommandError, which manage.py prints on stderr.
    """

    code: int
    out: str
    err: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_command(name, *arguments):
    out, err, code, message = StringIO(), StringIO(), 0, ""
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        code, message = error.returncode, str(error)
    return CommandRun(code, out.getvalue(), err.getvalue(), message)
