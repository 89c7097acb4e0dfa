"""Each limit of a view counts by itself, however the view is written and the limits are stacked."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit import ratelimit
from tests.integration.ratelimit import limited_views

# The transports are compared elsewhere; here the views are.
pytestmark = pytest.mark.parametrize("limited_site", ["rest"], indirect=True)


@pytest.fixture
def limited_urls():
    return limited_views


@pytest.fixture(autouse=True)
def site(limited_site):
    """Each test is on the site."""


def statuses(browser, *paths):
    return [browser.get(path).status_code for path in paths]


def put_in(settings, place, name):
    middleware = f"{limited_views.__name__}.{name}"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], middleware, *settings.MIDDLEWARE[place:]]


@pytest.mark.parametrize("path", ["/sync/stacked/", "/async/stacked/", "/theirs/stacked/"])
def test_each_of_two_limits_of_a_view_counts(browser, path):
    assert statuses(browser, f"{path}?u=a", f"{path}?u=a", f"{path}?u=b") == [200, 429, 200]


def test_limits_of_different_methods_have_counters_of_their_own(browser):
    assert statuses(browser, *["/theirs/methods/"] * 3) == [200] * 3
    assert [browser.post("/theirs/methods/").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/ruled/", "/watched/", "/nested/"])
def test_what_a_rule_or_another_decorator_lets_pass_frees_nobody_from_a_views_limit(browser, path):
    assert statuses(browser, path, path) == [200, 429]


@pytest.mark.parametrize(("one", "other"), [("/one/", "/other/"), ("/plain/", "/another-plain/")])
def test_classes_have_counters_of_their_own(browser, one, other):
    assert statuses(browser, one, one, other) == [200, 429, 200]


def test_so_have_the_methods_of_a_class(browser):
    assert statuses(browser, "/by-method/", "/by-method/") == [200, 429]
    assert [browser.post("/by-method/").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/async-class/", "/callable/", "/partial/"])
def test_a_view_of_any_kind_is_limited(browser, path):
    assert statuses(browser, path, path) == [200, 429]


def test_clients_read_the_name_of_the_view(browser):
    assert browser.get("/one/")["RateLimit"].startswith('"one-ip-1-d";')
    assert browser.get("/partial/")["RateLimit"].startswith('"partial-ip-1-d";')


@pytest.mark.parametrize(("path", "view"), [("/sync/stacked/", "ok"), ("/async/stacked/", "aok")])
def test_they_tell_the_limits_of_a_view_apart(browser, path, view):
    told = browser.get(f"{path}?u=a")["RateLimit"].split(", ")
    assert [each.partition(";")[0] for each in told] == [
        f'"{view}-ip-100-d"',
        f'"{view}-get-u-1-d"',
    ]


def user_of(request):
    return str(request.user)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rate": "5 per minute"}, "ok-user_or_ip-5-m"),
        ({"rate": "20/2s", "key": "header:X-Api-Key"}, "ok-header-x-api-key-20-2s"),
        ({"rate": "5/m", "key": user_of}, "ok-user_of-5-m"),
        ({"rate": "5/m", "key": partial(user_of)}, "ok-user_of-5-m"),
        ({"rate": "5/m", "key": "ip", "group": "A" * 40}, f"{'a' * 25}-ip-5-m"),
        ({"rate": "5/m", "key": f"header:{'x' * 24}+ip"}, f"{'x' * 24}-ip-5-m"),
    ],
)
def test_a_limit_has_one_name_in_all_processes(options, expected):
    limit = ratelimit(**options)
    limit(limited_views.ok)
    (policy,) = limit._made.values()
    assert policy.name == expected


@pytest.mark.parametrize("view", [partial(limited_views.ok), lambda _: None])
def test_a_view_without_a_name_wants_a_group(view):
    with pytest.raises(ConfigurationError, match="group="):
        ratelimit(rate="1/d")(view)
    ratelimit(rate="1/d", group="named")(view)
    with pytest.raises(ConfigurationError, match="group is a str"):
        ratelimit(rate="1/d", group=5)(view)


def test_a_class_is_decorated_by_its_method():
    with pytest.raises(ConfigurationError, match="class Base write @method_decorator"):
        ratelimit("api")(limited_views.Base)


@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
def test_who_a_middleware_has_made_known_is_counted_as_a_user(browser, path, settings):
    put_in(settings, 2, "identified")
    asked = [browser.get(path, headers={"X-Token": token}) for token in ("7", "8", "7")]
    assert [answer.status_code for answer in asked] == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
@pytest.mark.parametrize("place", [2, 4])
def test_so_is_who_a_middleware_looks_up_only_when_asked(browser, path, place, settings):
    """Before the limits, and after them: they are asked for when the view is known."""
    put_in(settings, place, "identified_lazily")
    for name in ("ada", "bob"):
        User.objects.create_user(name)
    asked = [browser.get(path, headers={"X-Token": name}) for name in ("ada", "bob", "ada")]
    assert [answer.status_code for answer in asked] == [200, 200, 429]


@pytest.mark.parametrize("api", ["async"])
def test_so_is_who_only_async_code_is_told_of(browser, settings):
    put_in(settings, 2, "identified_without_waiting")
    asked = [browser.get("/async-user/", headers={"X-Token": token}) for token in ("7", "8", "7")]
    assert [answer.status_code for answer in asked] == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/user/", "/async-user/"])
def test_a_page_of_refusal_may_greet_its_reader(browser, path):
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        browser.login(User.objects.create_user("ada"))
        browser.get(path)
        refused = browser.get(path, headers={"Accept": "text/html"})
    assert (refused.status_code, refused.content) == (429, b"Too many requests: ada")


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
def test_a_function_may_ask_the_database_who_it_is(browser, prefix, name, expected):
    browser.login(User.objects.create_user("ada"))
    assert statuses(browser, *[f"{prefix}{name}/"] * 2) == expected


@pytest.mark.django_db(transaction=True)
def test_so_may_a_function_of_a_rule(browser):
    browser.login(User.objects.create_user("ada"))
    assert statuses(browser, *["/ruled-by-function/"] * 2) == [200, 429]


def test_a_view_that_returns_nothing_gets_djangos_own_message():
    with pytest.raises(ValueError, match="didn't return an HttpResponse"):
        Client().get("/nothing/")
