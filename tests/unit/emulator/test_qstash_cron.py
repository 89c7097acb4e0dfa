from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from continuum_upstash.emulator.qstash.cron import Cron
from continuum_upstash.emulator.qstash.expressions import evaluate_retry_delay, parse_duration


def find_next(cron, after, zone="UTC"):
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = Cron.parse(cron).compute_next(start.timestamp())
    return datetime.fromtimestamp(found, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("* * * * *", "2026-11-27 05:40:30", "2026-11-27 05:41"),
        ("*/15 * * * *", "2026-11-27 05:45", "2026-11-27 06:00"),
        ("0 9 * * 1-5", "2026-11-27 09:00", "2026-11-30 09:00"),
        ("30 8,20 1 jan,jul *", "2026-02-01 00:00", "2026-07-01 08:30"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 * * 7", "2026-11-27 00:00", "2026-11-29 00:00"),
        ("0 0 * * sun", "2026-11-27 00:00", "2026-11-29 00:00"),
        ("0 0 13 * fri", "2026-11-27 12:00", "2026-12-04 00:00"),
        ("5/20 * * * *", "2026-11-27 05:26", "2026-11-27 05:45"),
    ],
)
def test_the_next_time_of_a_cron(cron, after, expected):
    assert find_next(cron, after) == expected


def test_a_cron_has_a_time_zone_with_summer_time():
    cron = "CRON_TZ=Europe/Paris 0 9 * * *"
    assert find_next(cron, "2026-03-28 09:00", "Europe/Paris") == "2026-03-29 09:00"
    assert find_next(cron, "2026-03-28 09:00") == "2026-03-29 07:00"


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "60 * * * *",
        "a * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "0 0 31 2 *",
        "CRON_TZ=Nowhere/City * * * * *",
        "-1 * * * *",
        "* * * * 8",
    ],
)
def test_an_invalid_cron_is_an_error(cron):
    with pytest.raises(ValueError, match="invalid cron"):
        Cron.parse(cron)


def test_durations():
    assert [parse_duration(text) for text in ("10", "10s", "5m", "1h30m", "1d")] == [
        10,
        10,
        300,
        5400,
        86_400,
    ]
    for text in ("", "5x", "-1s", "s"):
        with pytest.raises(ValueError, match="invalid duration"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("expression", "retried", "seconds"),
    [
        ("1000", 0, 1),
        ("1000 * (1 + retried)", 2, 3),
        ("pow(2, retried) * 1000", 3, 8),
        ("max(10, pow(2, retried))", 0, 0.01),
        ("-5", 0, 0),
    ],
)
def test_the_delay_of_a_retry(expression, retried, seconds):
    assert evaluate_retry_delay(expression, retried) == seconds


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "__import__('os')",
        "retried.real",
        "1/0",
        "pow(9, 9999)",
        "'a'",
        "(" * 200,
        "1" * 300,
        "max()",
        "sqrt(-1)",
        "lambda: 1",
        "retried ** retried",
    ],
)
def test_an_invalid_delay_of_a_retry_is_an_error(expression):
    with pytest.raises(ValueError, match="retry delay"):
        evaluate_retry_delay(expression, 1)
