"""The checks that connect to the databases run only if their tag is selected."""

from __future__ import annotations

import pytest

from continuum_upstash.checks.live import check_live
from tests.unit.checks.cache_entries import get_ids, make_entry


@pytest.fixture
def live_tag(monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "check", "--tag=continuum_upstash_live"])


def test_without_the_tag_nothing_is_checked(monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "check"])
    assert check_live() == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (make_entry(OPTIONS={"POOLSIZE": 3}), ["E002"]),
        (make_entry(KEY_FUNCTION="no.such.function"), ["E002"]),
        (make_entry(""), ["E001"]),
    ],
)
def test_the_live_checks_report_an_alias_that_cannot_connect(entry, expected, settings, live_tag):
    settings.CACHES = {"default": entry}
    assert get_ids(check_live()) == expected
