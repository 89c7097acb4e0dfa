"""How far the projection of a first month is from the truth, on recorded courses of days.

The months repeat the recorded days. A site begins at each of their hours, and the month is
projected after some hours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from continuum_upstash.stats.bill import MonthlyUsage, project_bill

# Requests of a load balancer in each hour of 2014-04-10 and 11, UTC
# (Numenta Anomaly Benchmark, realAWSCloudwatch/elb_request_count_8c0756).
REQUESTS = (
    772, 677, 919, 522, 779, 814, 548, 690, 817, 554, 758, 1051,
    934, 1149, 1161, 1081, 1248, 1024, 881, 960, 650, 605, 738, 563,
    637, 921, 525, 567, 981, 679, 448, 455, 721, 903, 1004, 626,
    695, 809, 799, 1012, 1320, 875, 976, 1283, 1358, 667, 669, 1447,
)  # fmt: skip
# Passengers of New York's taxis in each hour of 2014-07-01, local time (the same, nyc_taxi): a day
# that is eleven times as busy as its night.
PASSENGERS = (
    18971, 10866, 6693, 4433, 4379, 6879, 17565, 29722, 38266, 39646, 36704, 35712,
    37794, 37637, 40137, 37924, 31241, 36728, 50564, 51731, 43269, 47840, 45051, 36215,
)  # fmt: skip
MONTH = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 31
CURVES = {"requests": (REQUESTS, "UTC"), "passengers": (PASSENGERS, "America/New_York")}


def project(counts, zone, start, hours):
    """Return the bill after some hours, and the truth: the commands from the start to the end."""
    offset = MONTH.astimezone(ZoneInfo(zone)).hour  # the counts begin at local midnight

    def count(hour):
        return counts[(hour + offset) % len(counts)]

    first = MONTH + timedelta(hours=start)
    seen = sum(count(start + n) for n in range(hours + 1))
    usage = MonthlyUsage(seen, first, count(start))
    bill = project_bill("payg", usage, first + timedelta(hours=1 + hours))
    return bill, sum(count(hour) for hour in range(start, DAYS * 24))


def measure(name, hours):
    """Return the share of starts with an error up to 20 %, the largest error and the range's."""
    counts, zone = CURVES[name]
    found = [project(counts, zone, start, hours) for start in range(24, 24 + len(counts))]
    errors = [abs(bill.projected / truth - 1) for bill, truth in found]
    in_range = [bill.least <= truth <= bill.most for bill, truth in found]
    return sum(e <= 0.2 for e in errors) / len(errors), max(errors), sum(in_range) / len(found)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("hours", [24, 30, 48, 60, 168])
def test_from_a_day_on_every_projection_is_within_20_percent(name, hours, settings):
    settings.TIME_ZONE = CURVES[name][1]
    near, error, in_range = measure(name, hours)
    assert (near, in_range) == (1, 1)
    assert error < 0.12


@pytest.mark.parametrize(
    ("name", "hours", "near", "in_range"),
    [
        ("requests", 2, 0.45, 1.0),
        ("requests", 12, 0.95, 1.0),
        ("passengers", 2, 0.35, 0.85),
        ("passengers", 12, 0.95, 1.0),
    ],
)
def test_within_the_first_day_the_range_covers_the_truth(name, hours, near, in_range, settings):
    settings.TIME_ZONE = CURVES[name][1]
    measured = measure(name, hours)
    assert measured[0] >= near
    assert measured[2] >= in_range


def test_the_course_of_a_day_improves_the_projection(settings):
    settings.TIME_ZONE = "UTC"
    flat = measure("passengers", 8)
    settings.TIME_ZONE = "America/New_York"
    weighted = measure("passengers", 8)
    assert weighted[0] > flat[0] + 0.2
    assert weighted[1] < flat[1]
