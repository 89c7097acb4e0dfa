"""`cache_page`: Django's rules, pages without pickle, and old pages while a view fails."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.core.cache import cache
from django.http import HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils.cache import patch_vary_headers

from continuum_upstash.cache.base import ImproperlyConfiguredCache
from continuum_upstash.cache.pages.cached_page import CachedPage, pack_page, unpack_page
from continuum_upstash.decorators import cache_page
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plans.effects import call
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry


class Site:
    """A view whose response a test sets, behind cache_page."""

    def __init__(self, api, runner, **options):
        self.calls, self.make = 0, lambda _: HttpResponse(f"page {self.calls}")
        self._runner = runner

        def view(request, **kwargs):
            self.calls += 1
            return self.make(request)

        async def aview(request, **kwargs):
            await asyncio.sleep(0)
            return view(request)

        decorate = cache_page(options.pop("timeout", 60), **options)
        self.view = decorate(aview if api == "async" else view)
        self.is_async = api == "async"

    def get(self, path="/page", method="get", kwargs=None, **headers):
        request = getattr(RequestFactory(), method)(path, headers=headers)
        response = self.view(request, **(kwargs or {}))
        return self._runner.run(response) if self.is_async else response


@pytest.fixture(autouse=True)
def cached_site(settings, emulator):
    options = {"PICKLE": "never"}
    settings.CACHES = {"default": make_entry(emulator, "rest", OPTIONS=options, KEY_PREFIX="s")}
    yield settings
    registry.reset()


@pytest.fixture
def make_site(api, request):
    return lambda **options: Site(api, request.getfixturevalue("runner"), **options)


@pytest.fixture
def time_passes(monkeypatch):
    """Return a function that lets values pass their time."""

    real = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_a_page_is_stored_and_sent_again_without_pickle(make_site, emulator):
    site = make_site()
    site.make = lambda _: HttpResponse(
        "ü" * 5000, content_type="text/plain; charset=utf-8", headers={"X-Page": "1"}
    )
    first = site.get()
    with emulator.count() as spent:
        again = site.get()
    assert spent.billed == 2
    assert site.calls == 1
    assert (again.status_code, again.content) == (200, first.content)
    assert again["X-Page"] == "1"
    assert again["Content-Type"] == "text/plain; charset=utf-8"
    assert again["Cache-Control"] == first["Cache-Control"] == "max-age=60"
    assert again["Age"] in {"0", "1", "2"}


def test_with_a_near_cache_a_page_takes_no_command(make_site, cached_site, emulator):
    options = {"NEAR": {"views.decorators.cache.": 60}}
    cached_site.CACHES = {"default": make_entry(emulator, "rest", OPTIONS=options)}
    site = make_site(grace=60, tags=["a"])
    site.get()
    site.get()
    with emulator.count() as spent:
        assert site.get().content == b"page 1"
    assert (spent.billed, site.calls) == (0, 1)
    cache.delete_tags("a")
    assert site.get().content == b"page 2"


def test_pages_differ_by_url_and_by_the_headers_of_vary(make_site):
    site = make_site()

    def make(request):
        response = HttpResponse(f"{request.path} {request.headers.get('X-Kind')}")
        patch_vary_headers(response, ["X-Kind"])
        return response

    site.make = make
    for _ in range(2):
        assert site.get("/a", **{"X-Kind": "1"}).content == b"/a 1"
        assert site.get("/a", **{"X-Kind": "2"}).content == b"/a 2"
        assert site.get("/b").content == b"/b None"
    assert site.calls == 3


def test_a_vary_that_a_view_begins_to_send_is_heeded(make_site, time_passes):
    site = make_site(grace=600)
    assert site.get().content == b"page 1"

    def make(request):
        response = HttpResponse(f"for {request.headers.get('X-Kind')}")
        patch_vary_headers(response, ["X-Kind"])
        return response

    site.make = make
    time_passes(61)
    assert site.get(**{"X-Kind": "1"}).content == b"for 1"
    assert site.get(**{"X-Kind": "2"}).content == b"for 2"
    assert site.get(**{"X-Kind": "1"}).content == b"for 1"
    assert site.calls == 3


def set_cookie_and_vary(_):
    response = HttpResponse("private")
    response.set_cookie("a", "1")
    patch_vary_headers(response, ["Cookie"])
    return response


@pytest.mark.parametrize(
    "make",
    [
        lambda _: HttpResponse("x", headers={"Cache-Control": "private"}),
        lambda _: HttpResponse("x", headers={"Cache-Control": "no-store"}),
        lambda _: HttpResponse("x", headers={"Vary": "*"}),
        lambda _: HttpResponse("x", status=404),
        lambda _: HttpResponse(status=304),
        lambda _: StreamingHttpResponse(["x"]),
        set_cookie_and_vary,
    ],
)
def test_what_django_does_not_cache_is_not_cached(make, make_site):
    site = make_site(grace=60)
    site.make = make
    for _ in range(3):
        site.get()
    assert site.calls == 3
    assert cache.keys("*cache_page*") == []


def test_a_page_that_may_no_longer_be_cached_is_removed(make_site, time_passes):
    site = make_site(grace=600)
    site.get()
    site.make = lambda _: HttpResponse("secret", headers={"Cache-Control": "private"})
    time_passes(61)
    assert site.get().content == b"secret"
    assert site.get().content == b"secret"
    assert site.calls == 3


@pytest.mark.parametrize("kind", ["raises", "responds"])
def test_the_old_page_is_sent_while_the_view_fails(kind, make_site, time_passes):
    site = make_site(grace=600)
    site.get()

    def fail(_):
        if kind == "raises":
            raise RuntimeError("no database")
        return HttpResponse("error", status=503)

    site.make = fail
    time_passes(61)
    for _ in range(3):
        response = site.get()
        assert (response.status_code, response.content) == (200, b"page 1")
    assert int(response["Age"]) >= 60
    assert site.calls == 2  # the next attempt is 10 seconds later


def test_without_an_old_page_an_error_reaches_the_handler(make_site):
    site = make_site(grace=600)
    site.make = lambda _: HttpResponse("error", status=503)
    assert site.get().status_code == 503

    def fail(_):
        raise RuntimeError("no database")

    site.make = fail
    with pytest.raises(RuntimeError, match="no database"):
        site.get()


@pytest.mark.parametrize("tags", [["article:{pk}"], lambda request, pk: [f"article:{pk}"]])
def test_tags_invalidate_pages(tags, make_site):
    site = make_site(tags=tags)
    for pk in (7, 8):
        site.get(f"/{pk}", kwargs={"pk": pk})
    cache.delete_tags("article:7")
    for pk in (7, 8):
        site.get(f"/{pk}", kwargs={"pk": pk})
    assert site.calls == 3


def test_a_tag_contains_default_and_positional_arguments_of_the_view():
    @cache_page(60, tags=["article:{pk}"])
    def view(request, pk=7):
        return HttpResponse(f"page {pk}")

    for args in ((), (8,)):
        view(RequestFactory().get("/page"), *args)
        cache.delete_tags(f"article:{args[0] if args else 7}")
    assert view(RequestFactory().get("/page"), 9).content == b"page 9"


def test_head_is_served_by_the_page_of_get_and_other_methods_are_not_cached(make_site):
    site = make_site()
    site.get(method="post")
    site.get(method="post")
    assert site.calls == 2
    site.get()
    site.get(method="head")
    assert site.calls == 3
    site.get("/other", method="head")
    site.get("/other", method="head")
    assert site.calls == 4


def test_cookies_without_vary_are_sent_again_as_in_django(make_site):
    site = make_site()

    def make(_):
        response = HttpResponse("x")
        response.set_cookie("a", "1; 2", max_age=60, path="/p", httponly=True, samesite="Lax")
        response.set_cookie("b", "ü")
        return response

    site.make = make
    first, again = site.get().cookies, site.get().cookies
    assert again.output() == first.output()
    assert site.calls == 1


def test_a_template_response_is_rendered_once(make_site):
    site = make_site()
    template = engines["django"].from_string("{{ number }} {{ number }}")
    site.make = lambda request: TemplateResponse(request, template, {"number": site.calls})
    assert site.get().content == site.get().content == b"1 1"


def test_key_prefix_and_alias_choose_other_pages(make_site, cached_site, emulator):
    cached_site.CACHES = {
        **cached_site.CACHES,
        "pages": make_entry(emulator, "tcp", KEY_PREFIX="pages"),
    }
    sites = [make_site(), make_site(key_prefix="b"), make_site(cache="pages")]
    for site in sites:
        assert site.get().content == site.get().content == b"page 1"
    assert [site.calls for site in sites] == [1, 1, 1]


@pytest.mark.parametrize(("kind", "calls"), [("dummy.DummyCache", 2), ("locmem.LocMemCache", 1)])
def test_another_backend_works_without_the_options(kind, calls, make_site, cached_site):
    cached_site.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{kind}"}}
    cache.clear()
    site = make_site()
    site.get()
    assert site.get().content == b"page %d" % calls
    assert site.calls == calls


def test_another_backend_has_no_protection(make_site, cached_site):
    backend = "django.core.cache.backends.locmem.LocMemCache"
    cached_site.CACHES = {"default": {"BACKEND": backend}}
    with pytest.raises(ImproperlyConfiguredCache, match="cache_page with grace, tags requires"):
        make_site(grace=60, tags=["a"]).get()


def test_wrong_tags_are_reported(make_site):
    with pytest.raises(ConfigurationError, match="tags is a str"):
        make_site(tags="article")
    with pytest.raises(ConfigurationError, match="names 'pc', which does not exist"):
        make_site(tags=["article:{pc}"]).get(kwargs={"pk": 7})


@pytest.mark.parametrize("timeout", [0, 0.5, -1])
def test_a_timeout_of_less_than_a_second_is_an_error(timeout):
    with pytest.raises(ValueError, match="at least 1 second, not"):
        cache_page(timeout)


def test_a_stored_page_is_compressed_and_only_read_if_it_is_signed():
    page = CachedPage(200, "OK", (("A", "b"),), (), b"<p>" * 10_000)
    assert unpack_page(pack_page(page)) == page
    assert len(pack_page(page)) < 200
    cache.set("page", page)
    assert cache.get("page") == page
    unsigned = b"\xc7" + bytes([len(pack_page(page)), 33]) + pack_page(page)
    cache.run(call("SET", cache.make_key("page"), unsigned))
    assert cache.get("page") is None
