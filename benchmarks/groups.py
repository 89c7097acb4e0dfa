"""The groups of `python -m benchmarks`: each measures one table within a time limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import cold_start, runner
from benchmarks.report.progress import Progress
from benchmarks.report.summary import Report
from benchmarks.runner import Effort
from benchmarks.servers import Servers
from benchmarks.sites import group as sites
from benchmarks.tables import TABLES, Table


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
        limit = self.seconds[quick]
        rounds, seconds = (5, 0.05) if quick else (11, 0.15)
        return Effort(rounds, seconds, limit)


def _make_group(name: str, table: Table) -> Group:
    def measure(servers: Servers, effort: Effort, progress: Progress) -> Report:
        return runner.measure(name, table, servers, effort, progress)

    cells = len(table.clients) * len(table.cases)
    return Group(table.title, measure, (20 + 2.5 * cells, 10 + 0.7 * cells))


GROUPS = {
    **{name: _make_group(name, table) for name, table in TABLES.items()},
    "asgi": Group(sites.ASGI.title, sites.measure_asgi, (120.0, 45.0)),
    "gunicorn": Group(sites.WSGI.title, sites.measure_wsgi, (110.0, 40.0)),
    cold_start.NAME: Group(cold_start.TITLE, cold_start.measure, (90.0, 45.0)),
}
