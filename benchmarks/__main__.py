"""Measure continuum-upstash and comparable libraries, and print tables.

    python -m benchmarks                      all groups
    python -m benchmarks rest tcp --quick     two groups, fewer and shorter rounds
    python -m benchmarks rest --format json   all samples, medians, quartiles and ratios

The servers run on this machine: the tables compare the CPU time of clients, not networks. Libraries
that are not installed are skipped and named; `pip install -e .[bench]` installs all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.groups import GROUPS
from benchmarks.report.formats import describe_machine, format_markdown, to_json, write_page
from benchmarks.report.progress import Progress
from benchmarks.servers import start_servers


def main() -> None:
    arguments = parse_arguments()
    selected = [name for name in GROUPS if name in arguments.groups] or list(GROUPS)
    limits = {name: GROUPS[name].seconds[arguments.quick] for name in selected}
    progress, reports = Progress(sum(limits.values())), []
    if arguments.format == "markdown":
        print(f"{describe_machine()}\n")
    with start_servers() as servers:
        for name in selected:
            started = time.monotonic()
            group = GROUPS[name]
            report = group.measure(servers, group.get_effort(quick=arguments.quick), progress)
            progress.clear()
            reports.append(report)
            if arguments.format == "markdown":
                print(format_markdown(report), flush=True)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    if arguments.format == "json":
        print(json.dumps(to_json(reports), indent=1))
    if arguments.write:
        # A run of some groups says nothing about the other tables of the page.
        kind = "a run with `--quick`" if arguments.quick else "a full run"
        run = "" if arguments.groups else f"The figures are from {kind}: {describe_machine()}."
        written = write_page(arguments.write, arguments.images, reports, run)
        print(f"{arguments.write}: {', '.join(written) or 'no table'} written", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
        epilog="groups, and the time limits of each in full and with --quick:\n" + list_groups(),
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="default: all groups")
    parser.add_argument("--quick", action="store_true", help="run fewer and shorter rounds")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        help="replace the tables of a documentation page, and draw their plots in --images",
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", default=Path("docs/images"))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.groups if name not in GROUPS]
    if unknown:
        parser.error(f"unknown group: {', '.join(unknown)} (choose from {', '.join(GROUPS)})")
    return arguments


def list_groups() -> str:
    return "\n".join(
        f"  {name:12} {group.seconds[0]:4.0f} s {group.seconds[1]:4.0f} s  {group.title}"
        for name, group in GROUPS.items()
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the tables above are complete")
