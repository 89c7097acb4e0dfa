"""Measure continuum-upstash and comparable libraries, and print Markdown tables.

    python -m benchmarks                      all tables
    python -m benchmarks rest tcp --quick     two tables, fewer rounds

The servers run on this machine: the tables compare the CPU time of clients, not networks.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

from benchmarks import imports, runner
from benchmarks.servers import start_servers
from benchmarks.tables import TABLES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
    )
    names = [*TABLES, "imports"]
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", help=f"{', '.join(names)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="run fewer and shorter rounds")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the result of every round to FILE"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.tables) - set(names)
    if unknown:
        parser.error(
            f"unknown table: {', '.join(sorted(unknown))} (choose from {', '.join(names)})"
        )
    rounds, seconds = (3, 0.05) if arguments.quick else (11, 0.15)
    print(f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds\n")
    selected = arguments.tables or names
    results = {}
    with start_servers() as servers:
        for name in (name for name in TABLES if name in selected):
            results[name] = runner.measure(TABLES[name], servers, rounds, seconds)
            print(runner.format_table(TABLES[name], results[name]), flush=True)
    if "imports" in selected:
        print(imports.measure(rounds))
    if arguments.json:
        arguments.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
