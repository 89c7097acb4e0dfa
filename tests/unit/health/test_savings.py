"""The hints of the savings report, on synthetic statistics."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from continuum_upstash.health import savings
from continuum_upstash.health.savings import GROWTH, find_cheapest_plan, find_savings
from continuum_upstash.stats.bill import MonthlyUsage, project_bill
from continuum_upstash.stats.pricing import Terms
from continuum_upstash.stats.totals import Totals

MIDDLE = datetime(2026, 11, 16, tzinfo=UTC)  # the month will have twice the recorded commands
GB = 10**9
ROOT = Path(__file__).parents[3]
PATH = "shop.views.show in view shop:product"
TEN_MILLION = 10_000_000


def report(samples=None, *, plan="payg", regions=0, commands=TEN_MILLION, **counts):
    """Return the report on so many commands, of which one in a thousand was examined."""
    samples = {"batches": commands // 1000} | (samples or {})
    month = Totals(batches=commands, billed=commands, samples=samples, **counts)
    usage = MonthlyUsage(commands, traffic=counts.get("bytes_in", 0))
    return find_savings(project_bill(plan, usage, MIDDLE, Terms(regions)), month)


def find(kind, **arguments):
    found = [each for each in report(**arguments).savings if each.kind == kind]
    return found[0] if found else None


def test_keys_that_are_never_read_are_found():
    saving = find("never_read", samples={"sets log:": 2000})
    assert (saving.subject, saving.commands) == ("log:", 4_000_000)  # 2000 of 10,000, in a month
    assert saving.dollars == 8.0
    assert find("never_read", samples={"sets log:": 2000}, regions=1).dollars == 16.0
    assert find("never_read", samples={"sets log:": 2000, "reads log:": 1}) is None
    assert find("never_read", samples={"sets log:": 5}) is None  # too few to say


def test_a_short_lifetime_with_a_low_hit_rate_is_found():
    samples = {
        "reads query:": 1000, "hits query:": 200, "sets query:": 800,
        "timed query:": 800, "seconds query:": 800 * 30,
    }  # fmt: skip
    saving = find("short_lifetime", samples=samples)
    assert saving.commands == 1_200_000  # 0.8 - 0.2 of two million reads
    assert "20 % of the reads of query:… find a value, which lives 30 s" in saving.advice
    assert "300 s" in saving.advice
    assert find("short_lifetime", samples=samples | {"hits query:": 700}) is None
    assert find("short_lifetime", samples=samples | {"seconds query:": 800 * 3600}) is None


def test_a_loop_of_reads_is_found_by_its_code_path():
    saving = find("read_loop", samples={f"billed {PATH}": 500, f"repeated_reads {PATH}": 480})
    assert (saving.subject, saving.commands) == (PATH, 960_000)
    assert "get_many" in saving.advice
    assert saving.dollars == 1.92


def test_a_loop_of_sets_is_found_by_its_code_path():
    samples = {f"billed {PATH}": 500, f"repeated_sets {PATH}": 400}
    saving = find("set_loop", samples=samples, regions=1)
    assert (saving.commands, "set_many" in saving.advice) == (1_600_000, True)


def test_a_code_path_with_many_commands_is_chatty():
    saving = find("chatty_code", samples={f"billed {PATH}": 6000})
    assert "sends 60 % of all commands" in saving.advice
    assert find("chatty_code", samples={f"billed {PATH}": 2000}) is None
    assert find("chatty_code", samples={"billed (unknown code)": 6000}) is None


def test_large_values_are_found_by_their_traffic():
    samples = {"reads page:": 100, "hits page:": 100, "read_bytes page:": 100 * 200_000}
    saving = find("large_values", samples=samples, bytes_in=300 * GB)
    assert "200 kB on average" in saving.advice
    assert "COMPRESS_MIN_BYTES" in saving.advice
    assert saving.dollars == 0.84  # 28 GB of the traffic beyond 200 GB
    assert find("large_values", samples=samples | {"read_bytes page:": 100 * 900}) is None


def test_the_cheapest_plan_is_a_saving():
    saving = find("plan", samples={})
    assert (saving.subject, saving.dollars) == ("250mb", 30.0)  # instead of $40
    assert find("plan", plan="250mb") is None
    assert find("plan", plan="250mb", commands=1000).subject == "free"


def test_scans_and_a_low_hit_rate_are_found_without_samples():
    bill = project_bill("payg", 1_000_000, MIDDLE)
    month = Totals(
        billed=1_000_000, commands={"SCAN": 100_000}, hits=100_000, misses=400_000, sets=400_000
    )
    found = {each.kind: each for each in find_savings(bill, month).savings}
    assert (found["scans"].commands, found["scans"].dollars) == (200_000, 0.4)
    assert found["low_hit_rate"].commands == 600_000  # 0.8 - 0.2 of a million reads
    assert "SAMPLE" in found["low_hit_rate"].advice


def test_a_saving_of_few_commands_is_not_shown():
    assert find("never_read", samples={"sets log:": 50}, plan="250mb") is None


def test_the_largest_saving_is_first():
    samples = {"sets a:": 900, "sets b:": 4000, f"repeated_reads {PATH}": 2000, f"billed {PATH}": 1}
    dollars = [each.dollars for each in report(samples).savings]
    assert dollars == sorted(dollars, reverse=True)


def test_it_may_be_too_early_for_a_report():
    hour = datetime(2026, 11, 26, 9, tzinfo=UTC)
    bill = project_bill("payg", MonthlyUsage(805, hour, 805), hour)
    found = find_savings(bill, Totals(billed=805))
    assert (found.savings, found.growth) == ((), ())


def test_the_cost_of_more_users():
    month = Totals(batches=100_000, billed=100_000)
    growth = find_savings(project_bill("free", 100_000, MIDDLE), month, users=500).growth
    assert [each.factor for each in growth] == list(GROWTH)
    assert [each.users for each in growth] == [500, 1000, 2500, 5000]
    assert [each.commands for each in growth] == [200_000, 400_000, 1_000_000, 2_000_000]
    assert [each.dollars for each in growth] == [0, 0, None, None]
    assert [each.cheapest for each in growth] == ["free", "free", "payg", "payg"]
    assert [each.cheapest_dollars for each in growth] == [0, 0, 2, 4]


def test_the_own_plan_is_preferred_at_the_same_price():
    assert find_cheapest_plan(project_bill("free", 10, MIDDLE)).plan == "free"


def test_names_of_other_versions_are_ignored():
    found = report({"seen x:": 5000, "nonsense": 7, "sets": 9})
    assert [each.kind for each in found.savings] == ["plan"]


@pytest.mark.parametrize(
    "anchor",
    ["pricing-plans", "never-read", "short-lifetimes", "large-values", "loops", "chatty-code",
     "scans"],
)  # fmt: skip
def test_each_hint_is_documented(anchor):
    text = (ROOT / "docs/how-to/costs.md").read_text()
    headings = [
        line.lstrip("# ").lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    ]
    assert anchor in headings
    assert f"#{anchor}" in Path(savings.__file__).read_text()
