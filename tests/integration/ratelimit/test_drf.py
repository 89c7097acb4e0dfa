"""The throttle for Django REST framework, over REST and TCP."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.test import Client, RequestFactory, override_settings
from rest_framework.response import Response
from rest_framework.views import APIView

from continuum_upstash.ratelimit.drf import UpstashRateThrottle


def statuses(client, *paths):
    return [client.get(path).status_code for path in paths]


def test_the_throttle_of_drf_answers_with_its_own_429(limited_site):
    client = Client()
    assert statuses(client, "/rest/", "/rest/") == [200, 200]
    refused = client.get("/rest/")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert refused["Cache-Control"] == "no-store"
    assert "RateLimit" in refused


def test_the_throttle_of_drf_answers_503_where_nobody_may_decide(limited_site, emulator):
    with emulator.fault("refuse", side="both"):
        answer = Client().get("/rest/strict/")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 1
    assert answer["Cache-Control"] == "no-store"


def test_the_throttle_of_drf_answers_400_to_a_cost_that_never_fits(limited_site):
    client = Client()
    assert statuses(client, "/rest/heavy/?cost=11", "/rest/heavy/?cost=10") == [400, 200]


@pytest.mark.parametrize("path", ["/rest/stacked/", "/rest/stacked/otherwise/"])
def test_what_one_throttle_of_a_view_refuses_is_taken_from_none(limited_site, path):
    client = Client()
    assert statuses(client, path, path, path, path) == [200, 200, 429, 429]
    assert statuses(client, "/sustained/", "/sustained/") == [200, 429]
    refused = client.get(path)
    assert int(refused["Retry-After"]) > 3600  # of the day, not of the hour


def test_all_throttles_of_a_view_decide_in_one_round_trip(limited_site, emulator):
    client = Client()
    client.get("/rest/stacked/")
    with emulator.count() as spent:
        client.get("/rest/stacked/")
    assert spent.requests <= 1  # those over TCP are not counted


def test_a_throttle_with_a_condition_of_its_own_is_asked_for_itself(limited_site):
    client, path = Client(), "/rest/stacked/conditionally/"
    friend = [client.get(path, headers={"X-Friend": "yes"}).status_code for _ in range(3)]
    assert friend == [200, 200, 429]
    assert statuses(client, path) == [429]  # the burst has refused, and the rest took nothing
    assert statuses(client, *["/sustained/"] * 4) == [200, 200, 200, 429]


def test_throttles_whose_policies_share_a_group_take_once(limited_site):
    assert statuses(Client(), *["/rest/stacked/in-a-group/"] * 2) == [200, 429]


def logged_in(client, data, kind="application/json", address="127.0.0.1"):
    body = data if isinstance(data, str) else json.dumps(data)
    asked = client.post("/rest/login/", body, content_type=kind, REMOTE_ADDR=address)
    return asked.status_code


def test_the_throttle_of_drf_counts_an_account_in_whatever_form_it_is_posted(limited_site):
    client, form = Client(), "application/x-www-form-urlencoded"
    assert logged_in(client, "username=alice", form, "203.0.113.1") == 200
    assert logged_in(client, {"username": " ALICE"}, address="203.0.113.2") == 200
    assert logged_in(client, {"username": "alice\ud800"}, address="203.0.113.3") == 429
    assert logged_in(client, "username=alice", form, "203.0.113.4") == 429
    assert logged_in(client, {"username": 7}, address="203.0.113.5") == 200
    assert logged_in(client, "username=7", form, "203.0.113.6") == 200
    assert logged_in(client, {"username": "7"}, address="203.0.113.7") == 429


@pytest.mark.parametrize("data", [["alice"], "alice", {"username": ["alice"]}, {"username": True}])
def test_a_body_that_names_no_account_is_counted_by_address(limited_site, data):
    client, body = Client(), json.dumps(data)
    asked = [logged_in(client, body, address=f"203.0.113.{number}") for number in (1, 1, 1, 2)]
    assert asked == [200, 200, 429, 200]


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [('{"username": ', "application/json", 400), ("<alice/>", "text/xml", 415)],
)
def test_what_the_framework_cannot_parse_is_answered_as_by_its_views(
    limited_site, body, kind, expected
):
    assert logged_in(Client(), body, kind) == expected


@pytest.mark.parametrize("shared", [{"group": "g"}, {"upstash_prefix": "p"}])
def test_throttles_of_one_counter_are_two_decisions(shared, limited_site):
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
        answers = [Both.as_view()(RequestFactory().get("/")).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


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


def test_the_framework_s_settings_may_name_the_throttle():
    done = subprocess.run([sys.executable, "-c", SITE], capture_output=True, text=True, check=True)
    assert "UpstashRateThrottle" in done.stdout
