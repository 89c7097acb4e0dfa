"""The methods in the tables of docs/reference/api.md exist, with the parameters of the page."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import CacheBackend
from continuum_upstash.client.pipeline import Pipeline
from continuum_upstash.federation import Channel
from continuum_upstash.plans.locks import Lock

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
SECTIONS = {
    "The cache": CacheBackend,
    "Hashes, lists, sets and sorted sets": CacheBackend,
    "UpstashCache and AsyncUpstashCache": UpstashCache,
    "Pipelines": Pipeline,
    "Locks": Lock,
    "Channels": Channel,
}


def list_methods(section: str) -> list[tuple[str, list[str]]]:
    """Return the name of each method, and the names of its parameters."""
    text = re.search(rf"^##+ {section}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    calls = re.findall(r"`(\w+)\((.*?)\)`", "\n".join(cells))
    # {member: score} and … are no parameters.
    return [(name, re.findall(r"(?:^|, )\**(\w+)", arguments)) for name, arguments in calls]


@pytest.mark.parametrize("section", SECTIONS)
def test_methods_have_the_parameters_of_the_page(section):
    methods = list_methods(section)
    assert methods
    for name, names in methods:
        parameters = inspect.signature(getattr(SECTIONS[section], name)).parameters
        if all(each.kind != each.VAR_KEYWORD for each in parameters.values()):
            assert set(names) <= set(parameters), name


@pytest.mark.parametrize("section", list(SECTIONS)[:2])
def test_the_cache_has_each_method_with_the_prefix_a(section):
    names = [f"a{name}" for name, _ in list_methods(section)]
    assert [name for name in names if not hasattr(CacheBackend, name)] == []


def test_the_async_client_has_the_same_methods():
    names = [name for name, _ in list_methods("UpstashCache and AsyncUpstashCache")]
    names = ["arun" if name == "run" else name for name in names]
    assert [name for name in names if not hasattr(AsyncUpstashCache, name)] == []
