"""The template tag `cached`: Django's keys, with the options of get_or_set."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.core.cache.utils import make_template_fragment_key
from django.template import TemplateSyntaxError, engines
from django.utils.safestring import SafeString

from continuum_upstash.cache.base import ImproperlyConfiguredCache
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry


@pytest.fixture(autouse=True)
def cached_site(settings, emulator):
    options = {"PICKLE": "never"}
    settings.CACHES = {"default": make_entry(emulator, "rest", OPTIONS=options, KEY_PREFIX="s")}
    yield settings
    registry.reset()


def render(arguments, **context):
    text = "{% load continuum_cache %}{% cached " + arguments + " %}<b>{{ n }}</b>{% endcached %}"
    return engines["django"].from_string(text).render(context)


def test_a_fragment_is_rendered_once_and_stays_markup(emulator):
    assert render("300 sidebar", n=1) == "<b>1</b>"
    with emulator.count() as spent:
        assert render("300 sidebar", n=2) == "<b>1</b>"
    assert spent.billed == 1
    assert type(cache.get(make_template_fragment_key("sidebar"))) is SafeString


@pytest.mark.parametrize("name", ["sidebar", '"sidebar"', "'sidebar'"])
def test_the_key_is_that_of_django(name):
    render(f"300 {name} user.id 'x=y' early=1 grace=3600", n=1, user={"id": 7})
    assert cache.get(make_template_fragment_key("sidebar", [7, "x=y"])) == "<b>1</b>"


def test_fragments_differ_by_what_they_vary_on():
    texts = [render("300 sidebar user", n=user, user=user) for user in (1, 2)]
    assert texts == ["<b>1</b>", "<b>2</b>"]
    assert render("300 sidebar user", n=3, user=2) == "<b>2</b>"


@pytest.mark.parametrize("tags", ["'user:7,menu'", "'user:7, menu, '", "tags"])
def test_tags_invalidate_fragments(tags):
    for n in (1, 2):
        assert render(f"300 sidebar tags={tags}", n=n, tags=["menu", "x"]) == "<b>1</b>"
    cache.delete_tags("menu")
    assert render(f"300 sidebar tags={tags}", n=3, tags=["menu", "x"]) == "<b>3</b>"


def test_the_alias_is_chosen_as_in_django(cached_site, emulator):
    entry = make_entry(emulator, "rest", KEY_PREFIX="fragments")
    cached_site.CACHES = {**cached_site.CACHES, "template_fragments": entry}
    render("300 sidebar", n=1)
    assert cache.get(make_template_fragment_key("sidebar")) is None
    render("300 sidebar using='default'", n=2)
    assert cache.get(make_template_fragment_key("sidebar")) == "<b>2</b>"


def test_a_timeout_of_none_never_expires():
    render("timeout sidebar", n=1, timeout=None)
    assert cache.ttl(make_template_fragment_key("sidebar")) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("300", "requires a timeout and the name"),
        ("'soon' sidebar", "timeout is not a number: 'soon'"),
        (f"{'9' * 400} sidebar", "timeout is not a number"),
        ("300 sidebar grace='long'", "grace is not a number: 'long'"),
        ("300 sidebar erly=1", "unknown option erly. Did you mean early?"),
        ("300 sidebar using='none'", "CACHES has no entry 'none'"),
    ],
)
def test_a_wrong_tag_is_reported(arguments, message):
    with pytest.raises(TemplateSyntaxError, match=message):
        render(arguments, n=1)


@pytest.mark.parametrize(("kind", "text"), [("dummy.DummyCache", 2), ("locmem.LocMemCache", 1)])
def test_another_backend_works_without_the_options(kind, text, cached_site):
    cached_site.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{kind}"}}
    cache.clear()
    render("300 sidebar", n=1)
    assert render("300 sidebar", n=2) == f"<b>{text}</b>"


def test_another_backend_has_no_protection(cached_site):
    backend = "django.core.cache.backends.locmem.LocMemCache"
    cached_site.CACHES = {"default": {"BACKEND": backend}}
    with pytest.raises(ImproperlyConfiguredCache, match='"cached" tag with grace requires'):
        render("300 sidebar grace=60", n=1)


def test_an_old_fragment_is_shown_while_rendering_fails(monkeypatch):
    class Broken:
        def __str__(self):
            raise RuntimeError("no database")

    clock = cache._keyvalue.envelopes.now_ms
    assert render("300 sidebar grace=600", n=1) == "<b>1</b>"
    monkeypatch.setattr(cache._keyvalue.envelopes, "now_ms", lambda: clock() + 301_000)
    assert render("300 sidebar grace=600", n=Broken()) == "<b>1</b>"
