"""Overviews of incomplete histories, at given times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.errors import ReplyError
from continuum_upstash.health.monthly_usage import read_bill, read_until_yesterday
from continuum_upstash.health.overview import read_overview
from continuum_upstash.stats.shared.schema import day_key, encode_totals, hour_key, month_key
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.database_state import Extras
from tests.integration.cache_entries import make_entry

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_shared_statistics(site, new_process_state):
    site.CONTINUUM_STATS = {"SHARED": False}


def write_usage(at, times, alias="default"):
    """Write the totals of a process for a minute and an hour."""
    sums = encode_totals(Totals(batches=times, billed=times, misses=times)).decode()
    get_cache(alias).client.redis.hset(hour_key(alias, at), f"{at:%M}:p", sums)
    get_cache(alias).client.redis.hset(day_key(alias, at), f"{at:%H}:p", sums)


def read(now):
    return get_cache().run(read_overview(get_cache(), minutes=HOUR, now=now))


@pytest.fixture
def broken_month():
    """A readable hour, and a day of the month that cannot be read."""
    write_usage(NOW - HOUR / 2, 7)
    get_cache().client.redis.set(day_key("default", NOW - timedelta(days=3)), "text")


def test_a_month_that_cannot_be_read_is_read_again_after_five_minutes(broken_month, emulator):
    def read_month(now):
        return get_cache().run(read_until_yesterday(get_cache().database, now))

    with emulator.count() as first, pytest.raises(ReplyError, match="WRONGTYPE"):
        read_month(NOW)
    with emulator.count() as spent:
        for minute in range(5):
            with pytest.raises(ReplyError, match="WRONGTYPE"):
                read_month(NOW + timedelta(minutes=minute))
    assert (first.billed > 0, spent.billed) == (True, 0)
    get_cache().client.redis.delete(day_key("default", NOW - timedelta(days=3)))
    assert read_month(NOW + timedelta(minutes=5)).batches == 0


def test_without_the_month_the_rest_is_shown(broken_month):
    found = read(NOW)
    assert (found.scope, found.recent.misses, found.today.misses) == ("all processes", 7, 7)
    assert (found.bill, "WRONGTYPE" in found.errors[0]) == (None, True)


def test_without_the_month_both_series_are_shown(broken_month):
    found = get_cache().run(read_overview(get_cache(), minutes=HOUR, hours=24 * HOUR, now=NOW))
    assert (found.minutes.totals.misses, found.hours.totals.misses) == (7, 7)
    assert (found.bill, "WRONGTYPE" in found.errors[0]) == (None, True)


def test_a_month_is_read_once_a_day(emulator):
    write_usage(NOW - timedelta(days=2), 5)
    write_usage(NOW, 1)
    assert read(NOW).bill.commands == 6
    with emulator.count() as spent:
        assert read(NOW + HOUR).bill.commands == 6
    assert spent.billed == 3  # two hours, and today
    assert read(NOW + timedelta(days=1)).bill.commands == 6


def test_later_processes_read_the_month_at_a_bounded_price(emulator, site):
    site.CONTINUUM_STATS = {}
    for day in (1, 5, 9):
        write_usage(NOW.replace(day=day), 100 * day)
    write_usage(NOW, 1)
    spent = []
    for now in (NOW, NOW, NOW + timedelta(days=1), NOW + timedelta(days=1)):
        get_cache().database.extras = Extras()  # as in another process
        with emulator.count() as each:
            bill = read(now).bill
        spent.append(each.billed)
    # Two hours, today and the month; a day that is over takes two more, once.
    assert spent[1:] == [4, 6, 4]
    assert bill.commands >= 1501
    assert bill.projected == pytest.approx(bill.commands * 31 * 24 / (10 * 24 + 12.5), 0.2)
    assert get_cache().client.ttl(month_key("default", NOW)) > 0


@pytest.mark.parametrize(
    "text",
    [
        "text",
        "[]",
        "[" * 100_000,
        '{"until":1e99}',
        '{"until":0,"first_hour":null,"in_first_hour":0,"totals":{}}',
        '{"until":1773100800,"first_hour":null,"in_first_hour":0,"totals":{"batches":[]}}',
    ],
    ids=range(6),
)
def test_a_summary_that_cannot_be_read_is_made_anew(text):
    write_usage(NOW - timedelta(days=2), 5)
    get_cache().client.redis.hset(month_key("default", NOW), "summary", text)
    assert read(NOW).bill.commands == 5


def test_on_the_first_of_a_month_the_day_before_is_a_history():
    now = datetime(2026, 3, 1, 0, 20, tzinfo=UTC)
    write_usage(now - HOUR / 2, 9)
    found = read(now)
    assert (found.scope, found.recent.misses, found.today.misses) == ("all processes", 9, 0)
    assert found.bill.commands == 0


@pytest.mark.parametrize(
    ("transport", "commands"), [("rest", 100 + 20 + 7 + 5), ("local", 100 + 20)]
)
def test_all_aliases_of_a_database_have_one_bill(transport, commands, site, emulator):
    other = {"KEY_PREFIX": "sessions", "OPTIONS": {"READ_TIMEOUT": 5}}
    site.CACHES = {"default": make_entry(emulator), "sessions": make_entry(emulator, **other)}
    for alias, earlier, today in (("default", 100, 20), ("sessions", 7, 5)):
        write_usage(NOW - timedelta(days=2), earlier, alias)
        write_usage(NOW - HOUR / 2, today, alias)
    if transport != "rest":
        site.CACHES = {**site.CACHES, "sessions": make_entry(emulator, transport)}
    found = read(NOW)
    assert (found.recent.misses, found.bill.commands) == (20, commands)


def test_sites_that_share_a_database_are_distinguished_by_their_prefix(site, emulator):
    site.CACHES = {"default": make_entry(emulator, KEY_PREFIX="prod")}
    write_usage(NOW - HOUR / 2, 20)
    assert read(NOW).recent.misses == 20
    site.CACHES = {"default": make_entry(emulator, KEY_PREFIX="staging")}
    assert read(NOW).scope == "this process"


def test_each_other_alias_of_a_database_costs_one_command(site, emulator):
    names = ["default", "a", "b", "c"]
    site.CACHES = {name: make_entry(emulator, KEY_PREFIX=name) for name in names}
    for name in names:
        write_usage(NOW - HOUR / 2, 20, name)
    get_cache().run(read_bill(get_cache().database, Totals(), NOW))  # reads the month
    with emulator.count() as spent:
        found = get_cache().run(read_bill(get_cache().database, Totals(), NOW))
    assert (spent.billed, spent.requests, found.commands) == (3, 1, 60)
