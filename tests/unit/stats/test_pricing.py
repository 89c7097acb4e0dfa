from __future__ import annotations

from datetime import UTC, datetime

import pytest

from continuum_upstash.checks.stats import check_statistics
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.bill import MonthlyUsage, estimate_writes, project_bill
from continuum_upstash.stats.pricing import (
    PRICING_PLANS,
    Terms,
    Use,
    get_pricing_plan,
    get_terms,
)
from continuum_upstash.stats.totals import Totals

MIDDLE = datetime(2026, 11, 16, tzinfo=UTC)  # half of the month
GB = 10**9


def test_each_write_is_billed_once_more_for_each_read_region():
    usage = MonthlyUsage(1_000_000, writes=400_000)
    bill = project_bill("payg", usage, MIDDLE, Terms(regions=2))
    assert (bill.commands, bill.projected) == (1_800_000, 3_600_000)
    assert bill.prices == {
        "plan": 0, "commands": 7.2, "regions": 0, "storage": 0, "traffic": 0, "prod_pack": 0,
    }  # fmt: skip
    assert bill.on_terms(Terms()).commands == 1_000_000
    assert bill.on_terms(Terms(1)).projected == 2_800_000


def test_a_fixed_plan_costs_half_more_for_each_read_region():
    bill = project_bill("1gb", 5_000, MIDDLE, Terms(regions=3))
    assert (bill.prices["plan"], bill.prices["regions"], bill.dollars) == (20, 30, 50)


def test_storage_traffic_and_the_prod_pack_are_priced():
    usage = MonthlyUsage(0, storage=3 * GB, traffic=150 * GB)
    bill = project_bill("payg", MonthlyUsage(1, traffic=150 * GB, storage=3 * GB), MIDDLE)
    assert bill.prices["storage"] == 0.5  # the first GB is free
    assert bill.traffic == 300 * GB
    assert bill.prices["traffic"] == 3.0  # 100 GB beyond 200
    assert project_bill("payg", usage, MIDDLE, Terms(prod_pack=True)).prices["prod_pack"] == 200


@pytest.mark.parametrize(
    ("plan", "use", "exceeded"),
    [
        ("free", Use(500_001), ["commands"]),
        ("free", Use(500_000, storage=300_000_000), ["storage"]),
        ("250mb", Use(10**9, traffic=51 * GB), ["traffic"]),
        ("payg", Use(10**9, traffic=201 * GB), []),
        ("payg", Use(1, storage=101 * GB), ["storage"]),
        ("1gb", Use(10**9, storage=GB, traffic=100 * GB), []),
    ],
)
def test_a_plan_has_limits(plan, use, exceeded):
    assert get_pricing_plan(plan).list_exceeded(use) == exceeded


def test_a_plan_that_the_use_exceeds_is_not_sufficient():
    bill = project_bill("payg", MonthlyUsage(300_000, storage=2 * GB), MIDDLE)
    sufficient = [name for name in PRICING_PLANS if bill.on_plan(name).is_sufficient]
    assert sufficient == ["payg", "5gb", "10gb", "50gb", "100gb", "500gb"]
    bill = project_bill("payg", 100, MIDDLE, Terms(prod_pack=True))
    assert not bill.on_plan("free").is_sufficient


def test_prices_can_be_replaced(settings):
    settings.CONTINUUM_STATS = {
        "PRICES": {"payg": {"dollars_per_100k": 0.4}, "1gb": {"dollars": 15}, "region": 1}
    }
    assert project_bill("payg", 1_000_000, MIDDLE).dollars == 8
    assert project_bill("1gb", 1, MIDDLE, Terms(1)).dollars == 30


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"PRICES": 5}, r"write a dict"),
        ({"PRICES": {"pay": {}}}, r"\['PRICES'\] has no entry pay. Did you mean payg"),
        ({"PRICES": {"payg": 5}}, r"\['payg'\] is 5: write a dict"),
        ({"PRICES": {"payg": {"dolars": 5}}}, r"no entry dolars. Did you mean dollars"),
        ({"PRICES": {"payg": {"dollars": -1}}}, r"write a number, 0 or more"),
        ({"PRICES": {"prod_pack": True}}, r"write a number, 0 or more"),
        ({"PRICES": {"region": float("nan")}}, r"write a number, 0 or more"),
        ({"REGIONS": -1}, r"REGIONS'\] is -1 for 'default': write the number"),
        ({"REGIONS": {"default": "2"}}, r"REGIONS'\] is '2' for 'default'"),
        ({"PROD_PACK": 1}, r"PROD_PACK'\] is 1 for 'default': write True or False"),
        ({"ACCOUNT": {"KEY": "secret-text"}}, r"ACCOUNT'\] is a dict: write a dict with EMAIL"),
    ],
)
def test_an_invalid_entry_is_reported_by_a_check(entries, message, settings):
    settings.CACHES = {"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}}
    settings.CONTINUUM_STATS = entries
    (found,) = check_statistics()
    assert found.id == "continuum_upstash.E006"
    with pytest.raises(ConfigurationError, match=message):
        raise ConfigurationError(found.msg)
    assert "secret-text" not in found.msg


def test_terms_may_differ_by_alias(settings):
    settings.CONTINUUM_STATS = {"REGIONS": {"shop": 2}, "PROD_PACK": {"default": True}}
    assert get_terms("shop") == Terms(2, False)
    assert get_terms("default") == Terms(0, True)


def test_the_commands_that_change_data_are_estimated():
    commands = {"GET": 50, "SET": 20, "PING": 9, "EVAL": 3, "MGET": 5}
    totals = Totals(commands=commands, billed=50 + 20 + 3 + 5 + 6, overhead=4)
    assert estimate_writes(totals) == 20 + 6 + 4  # two calls in each script


def test_the_price_so_far_is_not_rounded():
    assert project_bill("payg", 654, MIDDLE).dollars_so_far == pytest.approx(0.001308)
    assert project_bill("payg", 654, MIDDLE).dollars == 0
    assert project_bill("1gb", 654, MIDDLE).dollars_so_far == 20
