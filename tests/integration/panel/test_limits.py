"""Rate-limit decisions of this process, on the panel's page of their database."""

from __future__ import annotations

from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.policy import parse_policy
from tests.integration.panel.panel_site import page


def test_decisions_are_counted_by_policy(panel, visit, settings):
    settings.CONTINUUM_RATELIMIT = {
        "POLICIES": {"api": {"rate": "5/h"}, "login": {"rate": "9/h", "algorithm": "sliding"}}
    }
    limiter = Limiter()
    for _ in range(3):
        limiter.check(["login", "api"], "ip=203.0.113.7", 2)
    limiter.check(["api"], "ip=203.0.113.7", 2)  # refused from memory
    limiter.check(["api"], "ip=203.0.113.8", 0)  # not charged
    seen = visit(page())
    assert "api 5/h strict local 2 2 1 0 0" in seen.text
    assert "login 9/h sliding local 2 0 0 0 0" in seen.text


def test_decisions_of_outages_and_shadow_policies_are_separate(panel, visit, settings, emulator):
    settings.CONTINUUM_RATELIMIT = {
        "POLICIES": {"api": {"rate": "1/h", "shadow": True}, "pay": {"rate": "9/h"}}
    }
    limiter = Limiter()
    for _ in range(3):
        limiter.check(["api"], "ip=203.0.113.7")
    with emulator.fault("refuse"):
        limiter.check(["pay"], "ip=203.0.113.7")
    seen = visit(page())
    assert "api (shadow) 1/h strict local 3 0 0 0 2" in seen.text
    assert "pay 9/h strict local 1 0 0 1 0" in seen.text


def test_each_refusal_is_counted_as_refused(panel, visit, settings, emulator):
    settings.CONTINUUM_RATELIMIT = {
        "POLICIES": {
            "once": {"rate": "1/h"},
            "login": {"rate": "9/h", "on_error": "deny"},
            "local": {"rate": "1/h"},
        }
    }
    limiter = Limiter()
    for _ in range(2):
        limiter.check(["once"], "ip=203.0.113.7")  # the second one is refused from memory
    with emulator.fault("refuse"):
        limiter.check(["login"], "ip=203.0.113.7")
        for _ in range(2):
            limiter.check(["local"], "ip=203.0.113.7")
    seen = visit(page())
    assert "once 1/h strict local 1 1 1 0 0" in seen.text
    assert "login 9/h strict deny 0 1 0 1 0" in seen.text
    assert "local 1/h strict local 1 1 0 1 0" in seen.text


def test_a_policy_defined_in_code_is_listed_after_its_first_decision(panel, visit):
    assert "Rate limits" not in visit(page()).text
    Limiter().check([parse_policy("own", {"rate": "1/h"})], "ip=203.0.113.7")
    assert "own defined in code 1 0 0 0 0" in visit(page()).text
