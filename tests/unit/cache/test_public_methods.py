"""Names, signatures and docstrings that an editor shows for caches, clients, pipelines, locks."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from django.core.cache import BaseCache

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import CacheBackend
from continuum_upstash.client.pipeline import AsyncPipeline, Pipeline
from continuum_upstash.plans.locks import AsyncLock, Lock

CLIENT_METHODS = """
    add close current_backend delete delete_pattern exists expire get get_many get_or_set incr info
    keys lock ping pipeline reconnect redis set set_many status ttl
"""
PIPELINE_METHODS = "command delete execute expire get incr set"
LOCK_METHODS = "acquire extend locked owned release"
KINDS = [CacheBackend, UpstashCache, AsyncUpstashCache, Pipeline, AsyncPipeline, Lock, AsyncLock]


def public_methods(kind):
    """The methods that this package defines, its own and inherited ones."""
    return {
        name: method
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and method.__module__.startswith("continuum_upstash")
    }


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (UpstashCache, f"{CLIENT_METHODS} run"),
        (AsyncUpstashCache, f"{CLIENT_METHODS} arun"),
        (Pipeline, PIPELINE_METHODS),
        (AsyncPipeline, PIPELINE_METHODS),
        (Lock, LOCK_METHODS),
        (AsyncLock, LOCK_METHODS),
    ],
)
def test_an_editor_completes_these_names_only(kind, names):
    assert {name for name in dir(kind) if not name.startswith("_")} == set(names.split())


@pytest.mark.parametrize("kind", KINDS)
def test_each_public_method_has_its_own_signature_and_docstring(kind):
    for name, method in public_methods(kind).items():
        assert method.__name__ == name
        assert method.__doc__, name
        if name not in {"close", "aclose"}:  # Django's own signature
            parameters = inspect.signature(method).parameters.values()
            assert not [each for each in parameters if each.kind is each.VAR_KEYWORD], name


@pytest.mark.parametrize("kind", KINDS)
def test_no_method_looks_wrapped(kind):
    """django-debug-toolbar and tracers take a method with __wrapped__ for wrapped already."""
    methods = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    assert [name for name, method in methods.items() if hasattr(method, "__wrapped__")] == []


def shape(method):
    return list(inspect.signature(method).parameters.values())


def test_sync_and_async_methods_of_the_cache_have_the_same_parameters():
    methods = public_methods(CacheBackend)
    pairs = {name: f"a{name}" for name in methods if f"a{name}" in methods}
    assert len(pairs) > 25
    for name, twin in pairs.items():
        assert shape(methods[name]) == shape(methods[twin]), name


@pytest.mark.parametrize(
    ("sync_kind", "async_kind"),
    [(UpstashCache, AsyncUpstashCache), (Pipeline, AsyncPipeline), (Lock, AsyncLock)],
)
def test_sync_and_async_clients_have_the_same_parameters(sync_kind, async_kind):
    sync_methods, async_methods = public_methods(sync_kind), public_methods(async_kind)
    for name in sync_methods.keys() & async_methods.keys():
        assert shape(sync_methods[name]) == shape(async_methods[name]), name


def test_the_methods_are_in_django_s_order():
    ours = [name for name in vars(CacheBackend) if not name.startswith("_")]
    assert ours == [name for name in vars(BaseCache) if name in ours]


BILLING = Path(__file__).parents[3] / "docs/reference/billing.md"
BILLED_ONCE = re.findall(
    r"^\| `cache\.(\w+)\(.*\)` \| 1 \| 1 \|$", BILLING.read_text(), re.MULTILINE
)


def test_the_docstrings_agree_with_the_page_on_billing():
    assert len(BILLED_ONCE) > 10
    for name in BILLED_ONCE:
        for prefix in ("", "a"):
            doc = getattr(CacheBackend, prefix + name).__doc__
            assert re.search(r"Billed: (?:1 (?:command|SCAN)|as `)|See `\w+`", doc), prefix + name


def test_clear_states_its_own_contract_and_not_django_s():
    assert "Delete the keys of this alias, in all versions" in CacheBackend.clear.__doc__
