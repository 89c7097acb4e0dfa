"""The groups of `python -m benchmarks`: each measures one table within a time limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import cold_start, runner, stampede
from benchmarks.report.progress import Progress
from benchmarks.report.summary import Report
from benchmarks.runner import Effort
from benchmarks.servers import Servers
from benchmarks.sites import group as sites
from benchmarks.tables import TABLES, Table

SHARE_OF_ROUNDS = 0.7  # of a time limit; the rest is for a round that has begun


@dataclass(frozen=True, slots=True)
class Group:
    """
    Attributes:
        title: what the table shows.
        measure: measures it; raises SystemExit if a client of this package fails.
        seconds: the time limit, in full and with --quick.
    """

    title: str
    measure: Callable[[Servers, Effort, Progress], Report]
    seconds: tuple[float, float]

    def get_effort(self, *, quick: bool) -> Effort:
        rounds, seconds = (5, 0.05) if quick else (11, 0.15)
        return Effort(rounds, seconds, self.seconds[quick] * SHARE_OF_ROUNDS)


def _make_group(name: str, table: Table) -> Group:
    def measure(servers: Servers, effort: Effort, progress: Progress) -> Report:
        return runner.measure(name, table, servers, effort, progress)

    cells = len(table.clients) * len(table.cases)
    return Group(table.title, measure, (30 + 3 * cells, 20 + cells))


GROUPS = {
    **{name: _make_group(name, table) for name, table in TABLES.items()},
    "asgi": Group(sites.ASGI.title, sites.measure_asgi, (150.0, 75.0)),
    "gunicorn": Group(sites.WSGI.title, sites.measure_wsgi, (130.0, 65.0)),
    stampede.NAME: Group(stampede.TITLE, stampede.measure, (110.0, 60.0)),
    cold_start.NAME: Group(cold_start.TITLE, cold_start.measure, (90.0, 45.0)),
}
