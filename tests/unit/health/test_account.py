"""Why our figures and the account's differ, and limits that are nearly reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.utils.translation import override

from continuum_upstash.health.account import Account, apply_account, compare
from continuum_upstash.health.developer_api import decode_database, decode_usage
from continuum_upstash.stats.bill import MonthlyUsage, project_bill
from continuum_upstash.stats.totals import Totals

MIDDLE = datetime(2026, 11, 16, tzinfo=UTC)
DATABASE = {
    "database_id": "1", "database_name": "shop", "type": "payg", "state": "active",
}  # fmt: skip


def make_account(commands, *, today=0, plan="payg", regions=()):
    database = decode_database(DATABASE | {"type": plan, "read_regions": list(regions)})
    usage = {"total_monthly_requests": commands, "total_monthly_billing": commands * 2e-6}
    return Account(database, decode_usage(usage | {"daily_net_commands": today}))


def make_comparison(ours, account, *, first=None, month=None, today=0):
    bill = project_bill("payg", MonthlyUsage(ours, first, writes=ours // 2), MIDDLE)
    return compare(bill, account, month or Totals(), Totals(billed=today))


@pytest.mark.parametrize("theirs", [100_000, 101_900, 98_100])
def test_figures_of_two_moments_are_the_same(theirs):
    found = make_comparison(100_000, make_account(theirs))
    assert (found.reasons, found.describe()) == ((), "none beyond 2 %")


def test_other_clients_and_the_beginning_of_the_statistics_are_reasons():
    first = datetime(2026, 11, 5, 9, tzinfo=UTC)
    found = make_comparison(100_000, make_account(150_000, today=900), first=first, today=400)
    assert found.describe() == "the account has 50,000 more commands (50 % of ours)"
    begin, others, today = found.reasons
    assert "begin at 2026-11-05 09:00 UTC" in begin
    assert "SHARED is off" in others
    assert today == "Commands of today that are only in the account's figure: at least 500."
    with override("de"):
        assert found.describe() == "das Konto hat 50.000 Befehle mehr (50 % von unseren)"


def test_read_regions_are_a_reason_for_more_commands_only():
    account = make_account(150_000, regions=["eu-west-1"])
    assert "REGIONS'] = 1" in make_comparison(100_000, account).reasons[0]
    fewer = make_account(50_000, regions=["eu-west-1"])
    assert "REGIONS" not in " ".join(make_comparison(100_000, fewer).reasons)


def test_fewer_commands_and_the_local_store_are_explained():
    found = make_comparison(100_000, make_account(50_000), month=Totals(local_commands=7))
    assert "the account has 50,000 fewer" in found.describe()
    assert "scripts of your own" in found.reasons[0]
    assert "in place of the database, 7." in found.reasons[1]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("payg", "payg"), ("paid", "payg"), ("fixed_10gb", "10gb"), ("FREE", "free"), ("pro", None)],
)
def test_the_accounts_names_of_plans_are_known(theirs, ours):
    assert make_account(1, plan=theirs).plan == ours


def test_the_bill_follows_the_terms_of_the_account():
    bill = project_bill("payg", MonthlyUsage(100_000, writes=50_000), MIDDLE)
    account = make_account(1, plan="fixed_1gb", regions=["eu-west-1", "us-west-1"])
    found = apply_account(bill, account)
    assert (found.plan, found.commands, found.dollars) == ("1gb", 200_000, 40)
    unknown = replace(account, database=replace(account.database, plan="pro"))
    assert apply_account(bill, unknown).plan == "payg"


@pytest.mark.parametrize(
    ("created", "projected"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), 200_000),  # half of the month is over
        (datetime(2026, 11, 15, tzinfo=UTC), 1_600_000),  # a day of sixteen
        (datetime(2026, 11, 15, 23, 30, tzinfo=UTC), None),
        (datetime(2030, 1, 1, tzinfo=UTC), None),
    ],
)
def test_the_accounts_figures_are_projected_from_the_beginning_of_the_database(created, projected):
    account = make_account(100_000, plan="fixed_1gb", regions=["eu-west-1"])
    database = replace(account.database, created=int(created.timestamp()))
    found = replace(account, database=database).project(MIDDLE)
    assert (found and found.projected) == projected
    if found is not None:
        assert (found.dollars, found.prices["regions"]) == (30, 10)


def test_an_unknown_plan_is_not_projected():
    assert make_account(100_000, plan="pro").project(MIDDLE) is None
