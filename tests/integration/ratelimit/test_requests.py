"""The responses of a site with limits, on each transport."""

from __future__ import annotations

import json
import time

import http_sf
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory

from continuum_upstash.ratelimit.decorators import ratelimit
from tests.integration.ratelimit import policy_urls
from tests.integration.ratelimit.any_client import SyncOrAsyncClient, get_statuses


def test_a_rule_matches_the_route_in_any_spelling_of_the_path(any_client):
    paths = ["/api/items/1/", "/api/items/2/", "/api/items/3/", "/api/pattern/x/", "/free/"]
    assert get_statuses(any_client, *paths) == [200, 200, 429, 429, 200]


def test_the_first_matching_rule_applies_with_all_its_policies(any_client):
    assert get_statuses(any_client, "/api/search/", "/api/search/") == [200, 429]
    # What search denied was not charged to api.
    assert get_statuses(any_client, "/api/items/1/", "/api/items/1/") == [200, 429]


def test_a_rule_can_name_a_view(any_client):
    assert get_statuses(any_client, "/named/", "/named/") == [200, 429]


@pytest.mark.parametrize("path", ["/adhoc/", "/class/", "/aclass/", "/a/gets/", "/gets/"])
def test_a_view_can_have_its_own_limit(any_client, path):
    assert get_statuses(any_client, path, path) == [200, 429]


def test_two_policies_of_one_decorator_are_all_or_nothing(any_client):
    assert get_statuses(any_client, "/both/", "/both/", "/a/api/", "/a/api/") == [
        200,
        429,
        200,
        429,
    ]


def test_without_block_the_view_reads_the_decision(any_client):
    responses = [any_client.get("/decision/?cost=2").content for _ in range(3)]
    assert responses == [b"allowed", b"limited", b"cached"]


def test_a_policy_of_a_rule_and_a_decorator_is_charged_once(any_client):
    responses = [any_client.get("/api/") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0]["RateLimit"].startswith('"api";r=1;')


@pytest.mark.parametrize("prefix", ["/", "/a/"])
def test_only_the_methods_of_a_policy_count_and_head_counts_as_get(any_client, prefix):
    assert get_statuses(any_client, f"{prefix}posts/", f"{prefix}posts/") == [200, 200]
    assert [any_client.post(f"{prefix}posts/").status_code for _ in range(2)] == [200, 429]
    assert any_client.head(f"{prefix}gets/").status_code == 200
    denied = any_client.get(f"{prefix}gets/")
    assert denied.status_code == 429


def test_a_cost_is_charged_as_a_whole(any_client):
    paths = ["/heavy/?cost=6", "/heavy/?cost=6", "/heavy/?cost=4", "/heavy/?cost=1"]
    assert get_statuses(any_client, *paths) == [200, 429, 200, 429]


@pytest.mark.parametrize("path", ["/heavy/", "/ruled/"])
@pytest.mark.parametrize("cost", [11, -1])
def test_a_cost_above_the_limit_is_a_bad_request_and_is_not_charged(any_client, path, cost):
    response = any_client.get(f"{path}?cost={cost}")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert "Retry-After" not in response
    assert json.loads(response.content)["status"] == 400
    assert get_statuses(any_client, f"{path}?cost=10", f"{path}?cost=1") == [200, 429]


def test_a_shadow_policy_ignores_a_cost_above_its_limit(any_client):
    assert get_statuses(any_client, "/shadow-cost/?cost=11", "/shadow-cost/?cost=1") == [200, 200]


def test_networks_can_be_exempt_by_the_address_that_a_trusted_proxy_reports(limited_site, api):
    addresses = ["198.51.100.7"] * 3 + ["2001:db8::5"] * 3 + ["203.0.113.7"] * 2
    with limited_site(TRUSTED_PROXIES=["127.0.0.1/32"]):
        any_client = SyncOrAsyncClient(api)
        statuses = [
            any_client.get("/office/", headers={"X-Forwarded-For": address}).status_code
            for address in addresses
        ]
    assert statuses == [200] * 7 + [429]


@pytest.mark.django_db(transaction=True)
def test_a_user_is_counted_on_any_address_and_staff_can_be_exempt(any_client):
    user = User.objects.create_user("ada", is_staff=True)
    any_client.login(user)
    assert get_statuses(any_client, "/users/", "/users/", "/office/", "/office/") == [
        200,
        429,
        200,
        200,
    ]


def test_an_api_key_is_normalized(limited_site):
    client = Client()
    keys = ["K1", "k1 ", "K2"]
    statuses = [client.get("/keys/", headers={"X-Api-Key": key}).status_code for key in keys]
    assert statuses == [200, 429, 200]


def test_a_refused_response_contains_retry_after_and_the_violated_policies(any_client):
    any_client.get("/adhoc/")
    denied = any_client.get("/adhoc/", headers={"Accept": "application/json"})
    assert denied["Content-Type"] == "application/problem+json"
    assert denied["Cache-Control"] == "no-store"
    assert 0 < int(denied["Retry-After"]) <= 1.05 * 24 * 3600 + 1
    problem = json.loads(denied.content)
    assert problem["type"].endswith("#quota-exceeded")
    assert problem["violated-policies"] == ["ok-ip-1-d"]


def test_a_refused_response_is_a_page_for_browsers_and_empty_for_head_and_htmx(any_client):
    any_client.get("/adhoc/")
    page = any_client.get("/adhoc/", headers={"Accept": "text/html,*/*"})
    assert page["Content-Type"].startswith("text/html")
    assert page.content == b"Too many requests: guest"
    assert any_client.head("/adhoc/").content == b""
    assert any_client.get("/adhoc/", headers={"HX-Request": "true"}).content == b""


def test_the_headers_are_structured_fields_as_in_the_draft(any_client):
    for path, remaining in (("/api/search/", 0), ("/api/search/", 0)):
        response = any_client.get(path)
        policies = dict(parse_field(response["RateLimit-Policy"]))
        states = dict(parse_field(response["RateLimit"]))
        assert policies == {"api": {"q": 2, "w": 86400}, "search": {"q": 1, "w": 86400}} or (
            response.status_code == 429 and policies == {"search": {"q": 1, "w": 86400}}
        )
        assert states["search"]["r"] == remaining
        if response.status_code == 429:
            assert states["search"]["t"] <= int(response["Retry-After"])


def parse_field(field):
    return [
        (item, dict(parameters))
        for item, parameters in http_sf.parse(field.encode(), tltype="list")
    ]


def test_legacy_headers_use_the_databases_time(limited_site, monkeypatch):
    with limited_site(HEADERS="legacy"):
        Client().get("/api/")  # samples the time
        now = time.time()
        monkeypatch.setattr("continuum_upstash.ratelimit.http.headers.time.time", lambda: 0.0)
        response = Client().get("/adhoc/")
    assert (response["X-RateLimit-Limit"], response["X-RateLimit-Remaining"]) == ("1", "0")
    reset = int(response["X-RateLimit-Reset"]) - now
    assert 24 * 3600 - 5 <= reset <= 1.05 * 24 * 3600 + 60
    assert "RateLimit" not in response


@pytest.mark.parametrize("path", ["/quiet/", "/adhoc/other/", "/adhoc/stored/"])
def test_responses_that_others_may_see_have_no_headers(limited_site, path):
    response = Client().get(path)
    assert response.status_code == 200
    assert not [name for name in response.headers if "ratelimit" in name.lower()]


def test_a_shadow_policy_denies_no_request(any_client):
    assert get_statuses(any_client, "/shadow/", "/shadow/", "/shadow/") == [200, 200, 200]


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_mode_shadow_counts_and_mode_off_does_not(limited_site, mode, api, emulator):
    with limited_site(MODE=mode), emulator.count() as spent:
        assert (
            get_statuses(SyncOrAsyncClient(api), "/adhoc/", "/adhoc/", "/api/", "/api/")
            == [200] * 4
        )
    assert (spent.billed > 0) == (mode == "shadow")


def test_the_decorator_of_django_ratelimit_sets_request_limited(limited_site):
    client = Client()
    assert [client.get("/compatible/").content for _ in range(2)] == [b"False", b"True"]


@pytest.mark.django_db
def test_a_login_is_denied_before_the_password_is_checked(limited_site):
    User.objects.create_user("alice", password="right")
    client = Client()
    for _ in range(5):
        client.post("/login/", {"username": "alice", "password": "wrong"})
    response = client.post("/login/", {"username": " ALICE", "password": "right"})
    assert "Too many attempts" in response.content.decode()
    other_user = client.post("/login/", {"username": "bob", "password": "wrong"})
    assert "Too many attempts" not in other_user.content.decode()


def test_an_anonymous_request_is_counted_by_address(limited_site):
    view = ratelimit(rate="1/d", key="user_or_ip", group="anonymous")(policy_urls.ok)
    for expected in (200, 429):
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        assert view(request).status_code == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("deny", [503, 503, 503]), ("allow", [200, 200, 200]), ("local", [200, 200, 429])],
)
def test_during_an_outage_on_error_applies(any_client, emulator, path, expected, caplog):
    with emulator.fault("refuse", side="both"):
        responses = [any_client.get(f"/{path}/") for _ in range(3)]
    assert [response.status_code for response in responses] == expected
    if path == "deny":
        problem = json.loads(responses[0].content)
        assert problem["type"].endswith("#temporary-reduced-capacity")
        assert int(responses[0]["Retry-After"]) >= 1
    assert [r for r in caplog.records if "Rate limiter unavailable" in r.getMessage()]


SOCKETS = ("hang", "reset", "close")
OUTAGES = [
    *(("rest", kind) for kind in ("quota", "garbage", "http", *SOCKETS)),
    *(("tcp", kind) for kind in SOCKETS),
]


@pytest.mark.parametrize(("limited_site", "kind"), OUTAGES, indirect=["limited_site"])
def test_no_outage_makes_a_request_fail(limited_site, emulator, kind):
    client = Client()
    with limited_site(DEADLINE=0.2):
        client.get("/heavy/?cost=1")  # opens the connection
        with emulator.fault(kind, side="both" if kind in SOCKETS else "rest"):
            paths = ["/heavy/?cost=1", "/local/", "/allow/", "/allow/"]
            assert get_statuses(client, *paths) == [200] * 4


@pytest.mark.parametrize("kind", ["hang", "latency"])
def test_a_request_waits_no_longer_than_the_deadline(limited_site, emulator, kind, caplog):
    with limited_site(DEADLINE=0.2):
        Client().get("/heavy/?cost=1")  # opens the connection; over TCP that has its own timeout
        with emulator.fault(kind, side="both", seconds=60):
            assert Client().get("/heavy/?cost=1").status_code == 200
    (message,) = (
        r.getMessage() for r in caplog.records if "Rate limiter unavailable" in r.getMessage()
    )
    assert "0.2 s" in message or "0.19" in message


@pytest.mark.parametrize("limited_site", ["rest"], indirect=True)
def test_a_policy_that_could_not_be_evaluated_is_not_evaluated_again(limited_site, emulator):
    with emulator.fault("http"), emulator.count() as spent:
        assert Client().get("/ruled-twice/").status_code == 200
    assert spent.requests == 1
