"""Measure continuum-upstash beside its peers and print Markdown tables.

    python -m benchmarks                      all tables
    python -m benchmarks rest tcp --quick     some, less exactly

The servers are on this machine: what is compared is what a client costs, not a network.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

from benchmarks import imports, runner
from benchmarks.servers import running
from benchmarks.tables import TABLES


def main() -> None:
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    names = [*TABLES, "imports"]
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round there")
    arguments = parser.parse_args()
    unknown = set(arguments.tables) - set(names)
    if unknown:
        parser.error(
            f"there is no table {', '.join(sorted(unknown))}: choose of {', '.join(names)}"
        )
    rounds, seconds = (3, 0.05) if arguments.quick else (11, 0.15)
    print(f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds\n")
    everything = {}
    chosen = arguments.tables or names
    with running() as servers:
        for name in (name for name in TABLES if name in chosen):
            everything[name] = runner.measure(TABLES[name], servers, rounds, seconds)
            print(runner.report(TABLES[name], everything[name]), flush=True)
    if "imports" in chosen:
        print(imports.report(rounds))
    if arguments.json:
        arguments.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
