"""The Python API reference contains every public name, and each has a docstring to show."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from tests.project.test_public_imports import PATHS

PAGES = sorted((Path(__file__).parents[2] / "docs" / "reference" / "python").glob("*.md"))
TEXT = "\n".join(page.read_text() for page in PAGES)
# The names are shown on another page, or have nothing to show.
OTHERS = {"__version__"}
SAME = {"client.UpstashCache": "UpstashCache", "client.AsyncUpstashCache": "AsyncUpstashCache"}

ENTRIES = re.findall(
    r"^\.\. auto(class|function|exception|data):: continuum_upstash\.(\S+)\n((?:   :.*\n)*)",
    TEXT,
    re.MULTILINE,
)
NAMES = {name for _, name, _ in ENTRIES}
MODULES = set(
    re.findall(r"^\.\. automodule:: continuum_upstash\.(\S+)\n   :members:", TEXT, re.MULTILINE)
)
CLASSES = [name for kind, name, options in ENTRIES if kind == "class" and ":members:" in options]


@pytest.mark.parametrize("path", sorted(set(PATHS.split()) - OTHERS))
def test_a_public_name_is_in_the_reference(path):
    path = SAME.get(path, path)
    assert path in NAMES or path.rpartition(".")[0] in MODULES


@pytest.mark.parametrize(("kind", "path"), [entry[:2] for entry in ENTRIES])
def test_an_entry_has_a_docstring(kind, path):
    value = import_string(f"continuum_upstash.{path}")
    assert kind == "data" or inspect.getdoc(value)


@pytest.mark.parametrize("path", CLASSES)
def test_each_public_method_of_a_class_has_a_docstring(path):
    """Autodoc leaves out a method without one."""
    kind = import_string(f"continuum_upstash.{path}")
    missing = [
        name
        for owner in kind.__mro__
        if owner.__module__.startswith("continuum_upstash.")
        for name, value in vars(owner).items()
        if not name.startswith("_")
        if inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
        if not inspect.getdoc(getattr(kind, name, value))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_that_methods_have_an_async_version_where_they_are_left_out(page):
    text = page.read_text()
    shows_async = "backend.CacheBackend" in text or "federation.Queue" in text
    assert not shows_async or "prefix `a`" in text
