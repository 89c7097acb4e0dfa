"""The throttle for Django REST framework, on each transport."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode, b64encode

import pytest
from django.test import Client, RequestFactory, override_settings
from rest_framework.response import Response
from rest_framework.views import APIView

from continuum_upstash.ratelimit.drf import UpstashRateThrottle
from tests.integration.ratelimit import policy_urls
from tests.integration.ratelimit.any_client import get_statuses


def test_a_denied_request_gets_the_429_of_the_framework(limited_site):
    client = Client()
    assert get_statuses(client, "/rest/", "/rest/") == [200, 200]
    denied = client.get("/rest/")
    assert denied.status_code == 429
    assert int(denied["Retry-After"]) > 0
    assert denied["Cache-Control"] == "no-store"
    assert "RateLimit" in denied


def test_on_error_deny_is_a_503(limited_site, emulator):
    with emulator.fault("refuse", side="both"):
        response = Client().get("/rest/deny/")
    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1
    assert response["Cache-Control"] == "no-store"


def test_a_cost_above_the_limit_is_a_400(limited_site):
    client = Client()
    assert get_statuses(client, "/rest/heavy/?cost=11", "/rest/heavy/?cost=10") == [400, 200]


@pytest.mark.parametrize("path", ["/rest/stacked/", "/rest/stacked/reverse/"])
def test_if_one_throttle_denies_a_request_none_is_charged(limited_site, path):
    client = Client()
    assert get_statuses(client, path, path, path, path) == [200, 200, 429, 429]
    assert get_statuses(client, "/sustained/", "/sustained/") == [200, 429]
    denied = client.get(path)
    assert int(denied["Retry-After"]) > 3600  # until the end of the day, not of the hour


def test_all_throttles_of_a_view_are_checked_in_one_round_trip(limited_site, emulator):
    client = Client()
    client.get("/rest/stacked/")
    with emulator.count() as spent:
        client.get("/rest/stacked/")
    assert spent.requests <= 1  # the emulator counts no requests over TCP


def test_a_throttle_with_its_own_condition_decides_separately(limited_site):
    client, path = Client(), "/rest/stacked/conditionally/"
    friend = [client.get(path, headers={"X-Friend": "yes"}).status_code for _ in range(3)]
    assert friend == [200, 200, 429]
    assert get_statuses(client, path) == [429]  # denied by the burst and charged to none
    assert get_statuses(client, *["/sustained/"] * 4) == [200, 200, 200, 429]


def test_throttles_whose_policies_share_a_group_charge_once(limited_site):
    assert get_statuses(Client(), *["/rest/stacked/in-a-group/"] * 2) == [200, 429]


def post_login(client, data, kind="application/json", address="127.0.0.1"):
    body = data if isinstance(data, str) else json.dumps(data)
    response = client.post("/rest/login/", body, content_type=kind, REMOTE_ADDR=address)
    return response.status_code


def test_an_account_is_counted_in_a_form_and_in_json(limited_site):
    client, form = Client(), "application/x-www-form-urlencoded"
    assert post_login(client, "username=alice", form, "203.0.113.1") == 200
    assert post_login(client, {"username": " ALICE"}, address="203.0.113.2") == 200
    assert post_login(client, {"username": "alice\ud800"}, address="203.0.113.3") == 429
    assert post_login(client, "username=alice", form, "203.0.113.4") == 429
    assert post_login(client, {"username": 7}, address="203.0.113.5") == 200
    assert post_login(client, "username=7", form, "203.0.113.6") == 200
    assert post_login(client, {"username": "7"}, address="203.0.113.7") == 429


def test_a_rule_before_the_throttle_does_not_replace_its_count_by_account(limited_site):
    rules = [{"route": "rest/login/", "policies": ["accounts"]}]
    client, form = Client(), "application/x-www-form-urlencoded"
    with limited_site(RULES=rules):
        statuses = [
            post_login(client, {"username": "alice"}, address=f"203.0.113.{number}")
            for number in range(3)
        ]
        assert statuses == [200, 200, 429]
        once = [post_login(client, "username=bob", form) for _ in range(3)]
        assert once == [200, 200, 429]


def get_basic_account(request):
    _, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return b64decode(credentials).decode().partition(":")[0]


@pytest.mark.django_db
def test_wrong_credentials_are_counted_by_a_rule_and_not_by_a_throttle(limited_site):
    headers = {"Authorization": f"Basic {b64encode(b'alice:wrong').decode()}"}
    client, path = Client(), "/rest/basic/"
    assert [client.get(path, headers=headers).status_code for _ in range(8)] == [401] * 8
    policies = {"basic": {"rate": "2/d", "key": get_basic_account}}
    rules = [{"route": "rest/basic/", "policies": ["basic"]}]
    with limited_site(POLICIES={**policy_urls.LIMITS["POLICIES"], **policies}, RULES=rules):
        statuses = [client.get(path, headers=headers).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


@pytest.mark.parametrize("data", [["alice"], "alice", {"username": ["alice"]}, {"username": True}])
def test_a_body_without_an_account_is_counted_by_address(limited_site, data):
    client, body = Client(), json.dumps(data)
    statuses = [post_login(client, body, address=f"203.0.113.{number}") for number in (1, 1, 1, 2)]
    assert statuses == [200, 200, 429, 200]


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [('{"username": ', "application/json", 400), ("<alice/>", "text/xml", 415)],
)
def test_a_body_that_cannot_be_parsed_gets_the_frameworks_error(limited_site, body, kind, expected):
    assert post_login(Client(), body, kind) == expected


@pytest.mark.parametrize("shared", [{"group": "g"}, {"upstash_prefix": "p"}])
def test_throttles_that_share_a_counter_decide_separately(shared, limited_site):
    class First(UpstashRateThrottle):
        policies = ("first",)

    class Second(UpstashRateThrottle):
        policies = ("second",)

    class Both(APIView):
        throttle_classes = (First, Second)
        authentication_classes = ()

        def get(self, request):
            return Response("ok")

    policies = {"first": "5/d", "second": "2/d"}
    common = {"key": "ip", "algorithm": "fixed", **shared}
    limits = {name: {"rate": rate, **common} for name, rate in policies.items()}
    with override_settings(CONTINUUM_RATELIMIT={"POLICIES": limits}):
        statuses = [Both.as_view()(RequestFactory().get("/")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


SITE = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_THROTTLE_CLASSES": ["continuum_upstash.ratelimit.drf.UpstashRateThrottle"]
    },
)
django.setup()
from rest_framework.views import APIView
print(APIView().get_throttles())
"""


def test_the_frameworks_settings_can_name_the_throttle():
    done = subprocess.run([sys.executable, "-c", SITE], capture_output=True, text=True, check=True)
    assert "UpstashRateThrottle" in done.stdout
