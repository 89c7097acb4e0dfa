"""The login form counts the account that it checks, whatever else the client sends."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.forms import LimitedAuthenticationForm
from continuum_upstash.ratelimit.recipes import LOGIN

LIMITS = {
    "POLICIES": {**LOGIN, "tenant": {"rate": "1/d", "key": "post:tenant"}},
    "RULES": [{"route": route, "policies": [*LOGIN]} for route in ("ruled/", "charged/")],
    "DEADLINE": 10.0,
}
FORM = "application/x-www-form-urlencoded"


class MethodOverrideMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.method = request.headers.get("X-HTTP-Method-Override", request.method)
        return self.get_response(request)


def respond(form):
    return HttpResponse("welcome" if form.is_valid() else str(form.errors))


def log_in_with_json(request):
    return respond(LimitedAuthenticationForm(request, data=json.loads(request.body)))


def log_in_with_query(request):
    return respond(LimitedAuthenticationForm(request, data=request.GET))


def log_in_with_a_list(request):
    forms = [LimitedAuthenticationForm(request, data=each) for each in json.loads(request.body)]
    return HttpResponse("".join(respond(form).content.decode() for form in forms))


class NormalizingForm(LimitedAuthenticationForm):
    def clean_username(self):
        return self.cleaned_data["username"].partition("+")[0]


def log_in_normalized(request):
    return respond(NormalizingForm(request, data=request.POST))


login = LoginView.as_view(authentication_form=LimitedAuthenticationForm)
prefixed = LoginView.as_view(authentication_form=LimitedAuthenticationForm, prefix="login")
urlpatterns = [
    path("login/", login),
    path("charged/", login),
    path("ruled/", prefixed),
    path("prefix/", prefixed),
    path("json/", log_in_with_json),
    path("query/", log_in_with_query),
    path("list/", log_in_with_a_list),
    path("normalized/", log_in_normalized),
]


@pytest.fixture
def limited_urls(request):
    return request.module


@pytest.fixture
def login_site(limited_site, db):
    """A site with the user alice, and her password."""
    User.objects.create_user("alice", password="right")
    middleware = [f"{__name__}.MethodOverrideMiddleware", *settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware):
        yield


def make_data(password, username="alice", prefix=""):
    return {f"{prefix}username": username, f"{prefix}password": password}


def send_json(path, password, method="post", kind="application/json"):
    body = json.dumps(make_data(password))
    return getattr(Client(), method)(path, body, content_type=kind)


def send_with_override(password, method):
    headers = {"X-HTTP-Method-Override": method}
    return Client().post("/login/", make_data(password), headers=headers)


# One login for alice, with what a client may send to mislead the limiter.
GUESSES = {
    "prefix and decoy": lambda number, password: Client().post(
        "/prefix/", {"username": f"decoy{number}", **make_data(password, prefix="login-")}
    ),
    "decoy in the query": lambda number, password: Client().post(
        f"/login/?username=decoy{number}", make_data(password)
    ),
    "PUT": lambda _, password: send_with_override(password, "PUT"),
    "unknown method": lambda _, password: send_json("/json/", password, "options"),
    "JSON": lambda _, password: send_json("/json/", password),
    "JSON as a form": lambda _, password: send_json("/json/", password, kind=FORM),
    "JSON with PUT": lambda _, password: send_json("/json/", password, "put"),
    "GET": lambda _, password: Client().get("/query/", make_data(password)),
    "query and decoy in the body": lambda number, password: Client().post(
        f"/query/?username=alice&password={password}", {"username": f"decoy{number}"}
    ),
    "cleaned value": lambda number, password: Client().post(
        "/normalized/", make_data(password, f"alice+{number}")
    ),
    "spelling": lambda number, password: Client().post(
        "/login/", make_data(password, " " * number + "\uff41lice")
    ),
    "ruled with decoy": lambda number, password: Client().post(
        f"/ruled/?username=decoy{number}",
        {"username": f"decoy{number}", **make_data(password, prefix="login-")},
    ),
}


@pytest.mark.parametrize("guess", GUESSES.values(), ids=GUESSES)
def test_the_account_that_the_form_checks_is_counted(login_site, guess):
    for number in range(5):
        assert b"Too many attempts" not in guess(number, "wrong").content
    assert b"Too many attempts" in guess(5, "right").content


def test_all_attempts_of_one_request_are_counted(login_site):
    wrong = [{"username": "alice", "password": str(number)} for number in range(20)]
    body = json.dumps([*wrong, {"username": "alice", "password": "right"}])
    text = Client().post("/list/", body, content_type="application/json").content.decode()
    assert text.count("Too many attempts") == 16
    assert "welcome" not in text


def test_attempts_for_many_accounts_in_one_request_are_counted_by_address(login_site):
    body = json.dumps([{"username": str(number), "password": "x"} for number in range(40)])
    text = Client().post("/list/", body, content_type="application/json").content.decode()
    assert text.count("Too many attempts") == 10


def test_a_rule_and_the_form_charge_an_attempt_once(login_site):
    data = {"username": "alice", "password": "wrong"}
    texts = [Client().post("/charged/", data).content.decode() for _ in range(5)]
    assert "Too many" not in "".join(texts)
    assert Client().post("/charged/", data).status_code == 429


def test_a_rule_that_counts_a_decoy_does_not_replace_the_count_of_the_form(login_site):
    rules = [{"route": "json/", "policies": [*LOGIN]}]
    with override_settings(CONTINUUM_RATELIMIT={**LIMITS, "RULES": rules}):
        texts = [send_json("/json/", "wrong").content for _ in range(6)]
    assert [b"Too many" in text for text in texts] == [False] * 5 + [True]


def test_a_field_of_a_subclass_can_be_the_key(login_site):
    class TenantForm(LimitedAuthenticationForm):
        policies = ("tenant",)

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.fields["tenant"] = self.fields["username"].__class__()

    def validate(tenant, decoy):
        data = {"username": "alice", "password": "wrong", "t-tenant": tenant, "tenant": decoy}
        data |= {f"t-{name}": data[name] for name in ("username", "password")}
        form = TenantForm(RequestFactory().post("/", data), data=data, prefix="t")
        form.is_valid()
        return form.has_error("__all__", "ratelimited")

    assert [validate("a", "x"), validate("a", "y"), validate("b", "y")] == [False, True, False]


def test_without_a_request_the_form_is_an_error_and_not_without_a_limit(login_site):
    form = LimitedAuthenticationForm(data={"username": "alice", "password": "right"})
    with pytest.raises(ConfigurationError, match="requires the request"):
        form.is_valid()


def test_with_mode_off_the_form_counts_nothing(login_site):
    with override_settings(CONTINUUM_RATELIMIT={**LIMITS, "MODE": "off"}):
        assert [b"Too many" in send_json("/json/", "wrong").content for _ in range(7)] == [
            False
        ] * 7
