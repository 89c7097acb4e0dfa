"""The stages of a budget: what each keeps from being sent, and when a stage changes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from continuum_upstash.errors import BudgetExceeded, ConfigurationError, Unavailable
from continuum_upstash.observe import BudgetChange, subscribe, unsubscribe
from continuum_upstash.transports.wrappers.budget_month import make_budget_key
from tests.unit.transports.wrappers.budgeted_site import (
    GET,
    SESSION,
    UNTIL_HARD,
    FakeSource,
    call_until,
    is_sent,
)

STAGES = {"SOFT": 0.5, "NEAR": 0.6, "ESSENTIAL": 0.7, "HARD": 0.8}


@pytest.fixture
def changes():
    found = []

    def observer(record):
        if isinstance(record, BudgetChange):
            found.append((record.old, record.new, record.previous_backend, record.backend))

    subscribe(observer)
    yield found
    unsubscribe(observer)


def test_each_stage_keeps_more_from_being_sent(site, changes):
    process = site.start_process({"COMMANDS": 1000, **STAGES})
    call_until(process, "warn", *GET)
    assert is_sent(site, process, *GET)
    call_until(process, "near", *GET)
    assert is_sent(site, process, *GET)
    assert process.policy.status.backend == "upstash-rest"
    call_until(process, "essential", *GET)
    assert not is_sent(site, process, *GET)
    assert is_sent(site, process, *SESSION, needs_server=True)
    assert process.policy.status.backend == "local"
    with pytest.raises(BudgetExceeded, match="80 % of the month's budget of 1,000 commands used"):
        call_until(process, "", *SESSION, needs_server=True)
    assert process.stage == "local"
    assert not is_sent(site, process, *GET)
    assert process.policy.status.reason == "80 % of the month's budget of 1,000 commands used"
    assert changes == [
        ("within", "warn", "upstash-rest", "upstash-rest"),
        ("warn", "near", "upstash-rest", "upstash-rest"),
        ("near", "essential", "upstash-rest", "local"),
        ("essential", "local", "local", "local"),
    ]
    assert 790 <= site.server.billed <= 800


def test_a_change_of_stage_is_logged_once(site, caplog):
    process = site.start_process({"COMMANDS": 200, "SOFT": 0.5})
    call_until(process, "warn", *GET)
    process.call(*GET)
    expected = (
        "cache 'shop' (rest): budget stage within -> warn; serving from upstash-rest: "
        "50 % of the month's budget of 200 commands used"
    )
    assert caplog.messages == [expected]


def test_without_fallback_the_error_says_what_to_do(site):
    process = site.start_process({"COMMANDS": 100}, fallback=False)
    expected = r"Raise OPTIONS\['BUDGET'\], or wait for the new month on 01 September 2026"
    with pytest.raises(BudgetExceeded, match=expected):
        call_until(process, "", *GET)
    assert process.policy.status.backend == "upstash-rest"


def test_what_needs_the_server_raises_at_the_end(site):
    process = site.start_process({"COMMANDS": 100})
    with pytest.raises(Unavailable, match="command not sent: 101 % of the month's budget"):
        call_until(process, "", "SET", "lock", b"1", "NX", needs_server=True)


def test_sessions_stop_unless_they_are_told_to_continue(site):
    process = site.start_process({"COMMANDS": 100, **UNTIL_HARD})
    with pytest.raises(BudgetExceeded):
        call_until(process, "", *SESSION, needs_server=True)
    process = site.start_process({"COMMANDS": 100, **UNTIL_HARD, "SESSIONS": "continue"})
    for _ in range(50):
        assert is_sent(site, process, *SESSION, needs_server=True)
    assert not is_sent(site, process, *GET)
    with pytest.raises(BudgetExceeded):
        process.call("SET", "lock", b"1", "NX", needs_server=True)
    assert site.server.billed == pytest.approx(site.read_counter(), abs=3)
    index = ("ZADD", "continuum:session-user::5", 1, "x")
    assert is_sent(site, process, *index, needs_server=True)


def test_near_copies_are_kept_longer(site):
    factors = []
    near = SimpleNamespace(own=SimpleNamespace(set_factor=factors.append))
    budget = {"COMMANDS": 200, "SOFT": 0.5, "NEAR": 0.6, "NEAR_FACTOR": 5}
    process = site.start_process(budget, near=near)
    call_until(process, "near", *GET)
    site.clock.now = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    process.call(*GET)
    assert factors == [1.0, 5.0, 1.0]


def test_no_stale_value_returns_when_a_month_begins(site):
    process = site.start_process({"COMMANDS": 100})
    process.call("SET", "k", b"old")
    call_until(process, "essential", "GET", "other")
    assert process.call("SET", "k", b"new") == b"OK"
    assert process.call(*GET) == b"new"
    assert site.server.call(*GET) == b"old"
    site.clock.now = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    assert process.policy.backend == "upstash-rest"
    assert process.call(*GET) is None
    assert site.server.call(*GET) is None
    assert process.stage == "within"


def test_a_frozen_process_begins_the_new_month_with_nothing_reserved(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*GET)
    site.clock.now = datetime(2026, 9, 3, tzinfo=UTC).timestamp()
    site.server.sent.clear()
    process.call(*GET)
    key = make_budget_key(datetime(2026, 9, 1, tzinfo=UTC))
    assert site.server.sent[0] == ("INCRBY", key, 1)


def test_a_raised_budget_needs_no_restart(site, changes):
    amounts = [100]
    process = site.start_process({"COMMANDS": lambda: amounts[0]})
    call_until(process, "essential", *GET)
    amounts[0] = 1000
    assert not is_sent(site, process, *GET)
    site.clock.now += 1
    assert is_sent(site, process, *GET)
    assert changes[-1] == ("essential", "within", "local", "upstash-rest")


def test_a_lowered_budget_counts_what_was_sent_on_credit(site):
    amounts = [1_000_000]
    process = site.start_process({"COMMANDS": lambda: amounts[0]}, rng=lambda: 0.9)
    for _ in range(100):
        process.call(*GET)
    assert site.read_counter() == 3
    amounts[0] = 100
    site.clock.now += 1
    with pytest.raises(BudgetExceeded):
        process.call(*SESSION, needs_server=True)
    assert not is_sent(site, process, *GET)
    assert process.stage == "local"


def test_what_was_sent_on_credit_counts_once_however_often_the_budget_is_lowered(site):
    amounts = [1_000_000]
    process = site.start_process({"COMMANDS": lambda: amounts[0]}, rng=lambda: 0.9)
    for _ in range(100):
        process.call(*GET)
    used = process.guard.status.used
    assert used == site.server.billed
    for amounts[0], stage in ((125, "warn"), (112, "near")):
        site.clock.now += 1
        status = process.guard.status
        assert (status.stage, status.used) == (stage, used)
        assert status.reason.startswith(f"{status.used_ratio * 100:.0f} %")


def test_a_failing_function_keeps_the_last_budget(site, caplog):
    amounts = [1000]
    process = site.start_process({"COMMANDS": amounts.pop})
    process.call(*GET)
    site.clock.now += 1
    assert is_sent(site, process, *GET)
    assert (
        "the function in BUDGET failed, the last budget stays: pop from empty list" in caplog.text
    )


def test_a_function_that_returns_too_few_dollars_keeps_the_last_budget(site, caplog):
    amounts = [1]
    process = site.start_process({"DOLLARS": lambda: amounts[0]})
    process.source = Prices()
    process.call(*GET)
    amounts[0] = 0.001
    site.clock.now += 1
    assert is_sent(site, process, *GET)
    assert "the last budget stays: pays for no command" in caplog.text


class Prices(FakeSource):
    def count_commands(self, alias, dollars):
        if dollars < 1:
            raise ConfigurationError("pays for no command")
        return super().count_commands(alias, dollars)


def test_dollars_need_prices(site):
    process = site.start_process({"DOLLARS": 1})
    with pytest.raises(ConfigurationError, match="requires 'continuum_upstash' in INSTALLED_APPS"):
        process.call(*GET)
    process.source = FakeSource()
    process.call(*GET)
    assert process.guard.status.limit == 50_000


def test_without_a_budget_nothing_is_imported():
    script = (
        "import sys; from continuum_upstash import UpstashCache;"
        "UpstashCache(rest_url='http://127.0.0.1:9', rest_token='x').current_backend;"
        "print([name for name in sys.modules if 'budget' in name or 'guarded' in name])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
