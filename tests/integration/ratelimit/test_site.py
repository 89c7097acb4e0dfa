"""What browsers and clients of an API get from a site with limits, over REST and TCP."""

from __future__ import annotations

import json
import time

import http_sf
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory

from continuum_upstash.ratelimit.decorators import ratelimit
from tests.integration.ratelimit import site
from tests.integration.ratelimit.browser import Browser


def statuses(browser, *paths):
    return [browser.get(path).status_code for path in paths]


def test_a_rule_counts_by_route_however_the_path_is_spelt(browser):
    paths = ["/api/items/1/", "/api/items/2/", "/api/items/3/", "/api/pattern/x/", "/free/"]
    assert statuses(browser, *paths) == [200, 200, 429, 429, 200]


def test_the_first_rule_that_fits_decides_and_its_policies_count_together(browser):
    assert statuses(browser, "/api/search/", "/api/search/") == [200, 429]
    # What search refused was not taken from api either.
    assert statuses(browser, "/api/items/1/", "/api/items/1/") == [200, 429]


def test_a_rule_may_name_a_view(browser):
    assert statuses(browser, "/named/", "/named/") == [200, 429]


@pytest.mark.parametrize("path", ["/adhoc/", "/class/", "/aclass/", "/a/gets/", "/gets/"])
def test_a_view_may_be_limited_by_itself(browser, path):
    assert statuses(browser, path, path) == [200, 429]


def test_two_policies_of_one_decorator_are_all_or_nothing(browser):
    assert statuses(browser, "/both/", "/both/", "/a/api/", "/a/api/") == [200, 429, 200, 429]


def test_a_view_that_does_not_block_is_told(browser):
    answers = [browser.get("/told/?cost=2").content for _ in range(3)]
    assert answers == [b"allowed", b"limited", b"cached"]


def test_a_policy_that_a_rule_and_the_view_name_is_charged_once(browser):
    answers = [browser.get("/api/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit"].startswith('"api";r=1;')


@pytest.mark.parametrize("prefix", ["/", "/a/"])
def test_only_the_methods_of_a_policy_count_and_head_is_get(browser, prefix):
    assert statuses(browser, f"{prefix}posts/", f"{prefix}posts/") == [200, 200]
    assert [browser.post(f"{prefix}posts/").status_code for _ in range(2)] == [200, 429]
    assert browser.head(f"{prefix}gets/").status_code == 200
    refused = browser.get(f"{prefix}gets/")
    assert refused.status_code == 429


def test_a_cost_is_taken_as_a_whole(browser):
    asked = ["/heavy/?cost=6", "/heavy/?cost=6", "/heavy/?cost=4", "/heavy/?cost=1"]
    assert statuses(browser, *asked) == [200, 429, 200, 429]


@pytest.mark.parametrize("path", ["/heavy/", "/ruled/"])
@pytest.mark.parametrize("cost", [11, -1])
def test_a_cost_that_never_fits_is_the_requests_mistake_and_takes_nothing(browser, path, cost):
    answer = browser.get(f"{path}?cost={cost}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    assert "Retry-After" not in answer
    assert json.loads(answer.content)["status"] == 400
    assert statuses(browser, f"{path}?cost=10", f"{path}?cost=1") == [200, 429]


def test_a_cost_that_never_fits_is_no_matter_to_who_only_watches(browser):
    assert statuses(browser, "/watched-cost/?cost=11", "/watched-cost/?cost=1") == [200, 200]


def test_networks_may_be_exempt_as_a_trusted_proxy_names_them(limited_site, api):
    addresses = ["198.51.100.7"] * 3 + ["2001:db8::5"] * 3 + ["203.0.113.7"] * 2
    with limited_site(TRUSTED_PROXIES=["127.0.0.1/32"]):
        browser = Browser(api)
        asked = [
            browser.get("/office/", headers={"X-Forwarded-For": address}).status_code
            for address in addresses
        ]
    assert asked == [200] * 7 + [429]


@pytest.mark.django_db(transaction=True)
def test_a_user_is_counted_wherever_they_come_from_and_staff_may_be_exempt(browser):
    user = User.objects.create_user("somebody", is_staff=True)
    browser.login(user)
    assert statuses(browser, "/users/", "/users/", "/office/", "/office/") == [200, 429, 200, 200]


def test_an_api_key_is_counted_in_any_spelling(limited_site):
    client = Client()
    keys = ["K1", "k1 ", "K2"]
    asked = [client.get("/keys/", headers={"X-Api-Key": key}).status_code for key in keys]
    assert asked == [200, 429, 200]


def test_a_refusal_says_when_to_come_back_and_what_was_violated(browser):
    browser.get("/adhoc/")
    refused = browser.get("/adhoc/", headers={"Accept": "application/json"})
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Cache-Control"] == "no-store"
    assert 0 < int(refused["Retry-After"]) <= 1.05 * 24 * 3600 + 1
    problem = json.loads(refused.content)
    assert problem["type"].endswith("#quota-exceeded")
    assert problem["violated-policies"] == ["ok-ip-1-d"]


def test_a_refusal_is_a_page_for_browsers_and_empty_for_head_and_htmx(browser):
    browser.get("/adhoc/")
    page = browser.get("/adhoc/", headers={"Accept": "text/html,*/*"})
    assert page["Content-Type"].startswith("text/html")
    assert page.content == b"Too many requests: nobody"
    assert browser.head("/adhoc/").content == b""
    assert browser.get("/adhoc/", headers={"HX-Request": "true"}).content == b""


def test_the_headers_are_structured_fields_of_the_draft(browser):
    for path, remaining in (("/api/search/", 0), ("/api/search/", 0)):
        response = browser.get(path)
        policies = dict(parsed(response["RateLimit-Policy"]))
        states = dict(parsed(response["RateLimit"]))
        assert policies == {"api": {"q": 2, "w": 86400}, "search": {"q": 1, "w": 86400}} or (
            response.status_code == 429 and policies == {"search": {"q": 1, "w": 86400}}
        )
        assert states["search"]["r"] == remaining
        if response.status_code == 429:
            assert states["search"]["t"] <= int(response["Retry-After"])


def parsed(field):
    return [
        (item, dict(parameters))
        for item, parameters in http_sf.parse(field.encode(), tltype="list")
    ]


def test_legacy_headers_come_by_setting_and_by_the_databases_time(limited_site, monkeypatch):
    with limited_site(HEADERS="legacy"):
        Client().get("/api/")  # the time is known
        now = time.time()
        monkeypatch.setattr("continuum_upstash.ratelimit.http.headers.time.time", lambda: 0.0)
        response = Client().get("/adhoc/")
    assert (response["X-RateLimit-Limit"], response["X-RateLimit-Remaining"]) == ("1", "0")
    reset = int(response["X-RateLimit-Reset"]) - now
    assert 24 * 3600 - 5 <= reset <= 1.05 * 24 * 3600 + 60
    assert "RateLimit" not in response


@pytest.mark.parametrize("path", ["/quiet/", "/adhoc/other/", "/adhoc/stored/"])
def test_nothing_is_told_where_that_would_help_strangers(limited_site, path):
    response = Client().get(path)
    assert response.status_code == 200
    assert not [name for name in response.headers if "ratelimit" in name.lower()]


def test_a_policy_that_watches_refuses_nobody(browser):
    assert statuses(browser, "/watched/", "/watched/", "/watched/") == [200, 200, 200]


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_all_policies_may_only_watch_or_rest(limited_site, mode, api, emulator):
    with limited_site(MODE=mode), emulator.count() as spent:
        assert statuses(Browser(api), "/adhoc/", "/adhoc/", "/api/", "/api/") == [200] * 4
    assert (spent.billed > 0) == (mode == "shadow")


def test_the_decorator_of_django_ratelimit_marks_the_request(limited_site):
    client = Client()
    assert [client.get("/compatible/").content for _ in range(2)] == [b"False", b"True"]


@pytest.mark.django_db
def test_a_login_is_refused_by_pair_before_the_password_is_looked_at(limited_site):
    User.objects.create_user("alice", password="right")
    client = Client()
    for _ in range(5):
        client.post("/login/", {"username": "alice", "password": "wrong"})
    answer = client.post("/login/", {"username": " ALICE", "password": "right"})
    assert "Too many attempts" in answer.content.decode()
    others = client.post("/login/", {"username": "bob", "password": "wrong"})
    assert "Too many attempts" not in others.content.decode()


def test_an_anonymous_request_needs_no_user_to_be_counted(limited_site):
    view = ratelimit(rate="1/d", key="user_or_ip", group="anonymous")(site.ok)
    for expected in (200, 429):
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        assert view(request).status_code == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("strictly", [503, 503, 503]), ("openly", [200, 200, 200]), ("locally", [200, 200, 429])],
)
def test_without_a_database_each_policy_does_as_it_was_told(
    browser, emulator, path, expected, caplog
):
    with emulator.fault("refuse", side="both"):
        answers = [browser.get(f"/{path}/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == expected
    if path == "strictly":
        problem = json.loads(answers[0].content)
        assert problem["type"].endswith("#temporary-reduced-capacity")
        assert int(answers[0]["Retry-After"]) >= 1
    assert [r for r in caplog.records if "Rate limits cannot be asked" in r.getMessage()]


SOCKETS = ("hang", "reset", "close")
OUTAGES = [
    *(("rest", kind) for kind in ("quota", "garbage", "http", *SOCKETS)),
    *(("tcp", kind) for kind in SOCKETS),
]


@pytest.mark.parametrize(("limited_site", "kind"), OUTAGES, indirect=["limited_site"])
def test_no_outage_fails_a_request(limited_site, emulator, kind):
    client = Client()
    with limited_site(DEADLINE=0.2):
        client.get("/heavy/?cost=1")  # the connection stands
        with emulator.fault(kind, side="both" if kind in SOCKETS else "rest"):
            asked = ["/heavy/?cost=1", "/locally/", "/openly/", "/openly/"]
            assert statuses(client, *asked) == [200] * 4


@pytest.mark.parametrize("kind", ["hang", "latency"])
def test_a_request_waits_for_the_deadline_and_no_longer(limited_site, emulator, kind, caplog):
    with limited_site(DEADLINE=0.2):
        Client().get("/heavy/?cost=1")  # the connection stands: over TCP it has a time of its own
        with emulator.fault(kind, side="both", seconds=60):
            assert Client().get("/heavy/?cost=1").status_code == 200
    (told,) = (r.getMessage() for r in caplog.records if "Rate limits cannot" in r.getMessage())
    assert "0.2 s" in told or "0.19" in told


@pytest.mark.parametrize("limited_site", ["rest"], indirect=True)
def test_a_policy_that_a_rule_has_asked_for_in_vain_is_not_asked_again(limited_site, emulator):
    with emulator.fault("http"), emulator.count() as spent:
        assert Client().get("/ruled-twice/").status_code == 200
    assert spent.requests == 1
