"""What this package assumes about the Upstash service.

Each assumption is one test. Its decorator gives the evidence and what fails if the assumption is
wrong; the first paragraph of the test's docstring is the assumption in words:

    @assume(
        "FORM-001",
        documented="redis/features/restapi",
        affects="every command over REST",
        commands=2,
    )
    def test_a_command_is_a_json_array_in_the_body(rest, key):
        \"""POST / runs the command whose words are the JSON array in the body.\"""
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

DOCS_URL: Final = "https://upstash.com/docs/"

# The profiles of the emulator that promise what an assumption says.
EVERYWHERE: Final = frozenset({"upstash", "upstash-2025", "fly", "srh"})
OVER_TCP: Final = EVERYWHERE - {"srh"}
UPSTASH: Final = frozenset({"upstash", "upstash-2025"})
UPSTASH_2026: Final = frozenset({"upstash"})

DOCUMENTED: Final = "documented"
PUBLIC_CODE: Final = "public code"
UNPROVEN: Final = "unproven"


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumption.

    Attributes:
        id: for example FORM-001.
        evidence: `documented`, `public code` or `unproven`.
        source: a page of Upstash's documentation, a repository and file, or why nothing is known.
        affects: what fails or changes for users if it is wrong.
        commands: the most that the test bills, without deleting its keys.
        profiles: where it is promised.
        alone: the test needs the database for itself, to read its counters or to cause a fault.
        statement: the assumption in words.
    """

    id: str
    evidence: str
    source: str
    affects: str
    commands: int
    profiles: Collection[str]
    alone: bool
    statement: str = ""


# What the ids begin with, in the order of the report.
GROUPS: Final = (
    *("HTTP", "FORM", "REPLY", "BATCH", "SYNC", "CMD", "LUA", "ERR", "INFO", "TCP", "BILL"),
    *("API", "PKG", "OPEN"),
)
_TABLE_HEAD: Final = "| Id | Assumption | Evidence | If it is wrong |\n|---|---|---|---|"


def assume(
    id: str,  # noqa: A002 the word of the report and the documentation
    *,
    affects: str,
    commands: int,
    documented: str = "",
    seen_in: str = "",
    unproven: str = "",
    profiles: Collection[str] = EVERYWHERE,
    alone: bool = False,
) -> pytest.MarkDecorator:
    """Return the decorator of a test. Exactly one kind of evidence is given.

    Args:
        id: the prefix of the test's file, and a number.
        affects: as in Assumption, as are `commands`, `profiles` and `alone`.
        commands: as in Assumption.
        documented: the page below https://upstash.com/docs/.
        seen_in: the public code or report that shows it.
        unproven: why nothing shows it.
        profiles: as in Assumption.
        alone: as in Assumption.
    """
    given = {DOCUMENTED: documented, PUBLIC_CODE: seen_in, UNPROVEN: unproven}
    ((evidence, source),) = ((kind, text) for kind, text in given.items() if text)
    return pytest.mark.assumption(
        Assumption(id, evidence, source, affects, commands, profiles, alone)
    )


def get_assumption(function: Any) -> Assumption | None:
    """Return the assumption of a test function, with its statement."""
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "assumption":
            (assumption,) = mark.args
            text = inspect.getdoc(function) or ""
            statement = " ".join(text.partition("\n\n")[0].split())
            return _with_statement(assumption, statement)
    return None


def _with_statement(assumption: Assumption, statement: str) -> Assumption:
    fields = {name: getattr(assumption, name) for name in Assumption.__slots__}
    return Assumption(**(fields | {"statement": statement}))


def load_modules() -> list[ModuleType]:
    """Import the test modules of the suite."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    return [importlib.import_module(f"tests.service.{name}") for name in names]


def list_assumptions(module: ModuleType) -> Iterator[Assumption]:
    for function in vars(module).values():
        if callable(function) and (assumption := get_assumption(function)):
            yield assumption


def render_tables() -> str:
    """Return the tables of docs/reference/service.md, a section for each module."""
    modules = sorted(load_modules(), key=lambda module: GROUPS.index(_get_group(module)))
    return "\n".join(map(_render_section, modules))


def _get_group(module: ModuleType) -> str:
    """Return what the ids of a module begin with: the first word of its docstring."""
    return (inspect.getdoc(module) or "").partition(":")[0]


def _render_section(module: ModuleType) -> str:
    title, _, introduction = (inspect.getdoc(module) or "").partition("\n\n")
    assumptions = sorted(list_assumptions(module), key=lambda each: each.id)
    rows = [
        f"| {each.id} | {each.statement} | {_render_evidence(each)} | {each.affects} |"
        for each in assumptions
    ]
    heading = f"## {title.rstrip('.')}\n"
    table = "\n".join([_TABLE_HEAD, *rows])
    return "\n".join([heading, *([introduction, ""] if introduction else []), table, ""])


def _render_evidence(assumption: Assumption) -> str:
    if assumption.evidence == DOCUMENTED:
        return f"documented: [{assumption.source}]({DOCS_URL}{assumption.source})"
    return f"{assumption.evidence}: {assumption.source}"
