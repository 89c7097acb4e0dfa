"""Each limit of a view has its own counter, for all kinds of views and combinations of limits."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit import ratelimit
from tests.integration.ratelimit import view_urls
from tests.integration.ratelimit.any_client import get_statuses

# These limits do not depend on the transport.
pytestmark = pytest.mark.parametrize("limited_site", ["rest"], indirect=True)


@pytest.fixture
def limited_urls():
    return view_urls


@pytest.fixture(autouse=True)
def site(limited_site):
    """Each test uses the site."""


def insert_middleware(settings, position, name):
    middleware = f"{view_urls.__name__}.{name}"
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:position],
        middleware,
        *settings.MIDDLEWARE[position:],
    ]


@pytest.mark.parametrize(
    "path", ["/sync/stacked/", "/async/stacked/", "/django-ratelimit/stacked/"]
)
def test_both_limits_of_a_view_count(any_client, path):
    assert get_statuses(any_client, f"{path}?u=a", f"{path}?u=a", f"{path}?u=b") == [200, 429, 200]


def test_limits_of_different_methods_have_separate_counters(any_client):
    assert get_statuses(any_client, *["/django-ratelimit/methods/"] * 3) == [200] * 3
    assert [any_client.post("/django-ratelimit/methods/").status_code for _ in range(3)] == [
        200,
        200,
        429,
    ]


@pytest.mark.parametrize("path", ["/ruled/", "/shadow/", "/nested/"])
def test_a_views_limit_applies_in_addition_to_a_rule_or_another_decorator(any_client, path):
    assert get_statuses(any_client, path, path) == [200, 429]


@pytest.mark.parametrize(("one", "other"), [("/one/", "/other/"), ("/plain/", "/another-plain/")])
def test_classes_have_separate_counters(any_client, one, other):
    assert get_statuses(any_client, one, one, other) == [200, 429, 200]


def test_methods_of_a_class_have_separate_counters(any_client):
    assert get_statuses(any_client, "/by-method/", "/by-method/") == [200, 429]
    assert [any_client.post("/by-method/").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/async-class/", "/callable/", "/partial/"])
def test_all_kinds_of_views_can_be_limited(any_client, path):
    assert get_statuses(any_client, path, path) == [200, 429]


def test_the_headers_contain_the_name_of_the_view(any_client):
    assert any_client.get("/one/")["RateLimit"].startswith('"one-ip-1-d";')
    assert any_client.get("/partial/")["RateLimit"].startswith('"partial-ip-1-d";')


@pytest.mark.parametrize(("path", "view"), [("/sync/stacked/", "ok"), ("/async/stacked/", "aok")])
def test_the_headers_name_each_limit_of_a_view(any_client, path, view):
    items = any_client.get(f"{path}?u=a")["RateLimit"].split(", ")
    assert [each.partition(";")[0] for each in items] == [
        f'"{view}-ip-100-d"',
        f'"{view}-get-u-1-d"',
    ]


def get_user_name(request):
    return str(request.user)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rate": "5 per minute"}, "ok-user_or_ip-5-m"),
        ({"rate": "20/2s", "key": "header:X-Api-Key"}, "ok-header-x-api-key-20-2s"),
        ({"rate": "5/m", "key": get_user_name}, "ok-get_user_name-5-m"),
        ({"rate": "5/m", "key": partial(get_user_name)}, "ok-get_user_name-5-m"),
        ({"rate": "5/m", "key": "ip", "group": "A" * 40}, f"{'a' * 25}-ip-5-m"),
        ({"rate": "5/m", "key": f"header:{'x' * 24}+ip"}, f"{'x' * 24}-ip-5-m"),
    ],
)
def test_a_limit_has_the_same_name_in_all_processes(options, expected):
    limit = ratelimit(**options)
    limit(view_urls.ok)
    (policy,) = limit._own_policies.values()
    assert policy.name == expected


@pytest.mark.parametrize("view", [partial(view_urls.ok), lambda _: None])
def test_a_view_without_a_name_requires_a_group(view):
    with pytest.raises(ConfigurationError, match="group="):
        ratelimit(rate="1/d")(view)
    ratelimit(rate="1/d", group="named")(view)
    with pytest.raises(ConfigurationError, match="group must be a str"):
        ratelimit(rate="1/d", group=5)(view)


def test_a_class_cannot_be_decorated():
    with pytest.raises(ConfigurationError, match="class Base write @method_decorator"):
        ratelimit("api")(view_urls.Base)


@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
def test_a_user_set_by_a_middleware_is_counted_as_a_user(any_client, path, settings):
    insert_middleware(settings, 2, "set_user")
    responses = [any_client.get(path, headers={"X-Token": token}) for token in ("7", "8", "7")]
    assert [response.status_code for response in responses] == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
@pytest.mark.parametrize("position", [2, 4])
def test_a_lazy_user_set_by_a_middleware_is_counted_as_a_user(any_client, path, position, settings):
    """Before and after RateLimitMiddleware, which decides when the view is resolved."""
    insert_middleware(settings, position, "set_lazy_user")
    for name in ("ada", "bob"):
        User.objects.create_user(name)
    responses = [any_client.get(path, headers={"X-Token": name}) for name in ("ada", "bob", "ada")]
    assert [response.status_code for response in responses] == [200, 200, 429]


@pytest.mark.parametrize("api", ["async"])
def test_a_user_in_request_auser_is_counted_as_a_user(any_client, settings):
    insert_middleware(settings, 2, "set_async_user")
    responses = [
        any_client.get("/async-user/", headers={"X-Token": token}) for token in ("7", "8", "7")
    ]
    assert [response.status_code for response in responses] == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
def test_a_page_for_a_denied_request_can_use_the_user(any_client, path):
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        any_client.login(User.objects.create_user("ada"))
        any_client.get(path)
        denied = any_client.get(path, headers={"Accept": "text/html"})
    assert (denied.status_code, denied.content) == (429, b"Too many requests: ada")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("prefix", ["/", "/async-"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("by-function", [200, 429]),
        ("cost-by-function", [200, 429]),
        ("exempt-by-function", [200, 200]),
    ],
)
def test_a_function_can_load_the_user_from_the_database(any_client, prefix, name, expected):
    any_client.login(User.objects.create_user("ada"))
    assert get_statuses(any_client, *[f"{prefix}{name}/"] * 2) == expected


@pytest.mark.django_db(transaction=True)
def test_a_function_of_a_rule_can_load_the_user_from_the_database(any_client):
    any_client.login(User.objects.create_user("ada"))
    assert get_statuses(any_client, *["/ruled-by-function/"] * 2) == [200, 429]


def test_a_view_that_returns_none_gets_djangos_error():
    with pytest.raises(ValueError, match="didn't return an HttpResponse"):
        Client().get("/nothing/")
