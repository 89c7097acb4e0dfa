"""``manage.py cache_migrate copy``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.health.quantities import format_bytes
from continuum_upstash.management.arguments import (
    DEGRADED,
    INTERRUPTED,
    confirm,
    fail,
    parse_positive_int,
    parse_seconds,
)
from continuum_upstash.management.migration.output import MAX_LISTED, Output, format_keys
from continuum_upstash.management.migration.rollout_actions import load_rollout
from continuum_upstash.management.migration.selection import (
    add_key_options,
    add_pair_options,
    check_pickles,
    is_string_copy,
    select_pair,
)
from continuum_upstash.management.text_report import format_billed
from continuum_upstash.migration.conf import Phase, get_settings
from continuum_upstash.migration.copying.aliases import Source, get_target, open_source
from continuum_upstash.migration.copying.checkpoint import Checkpoint
from continuum_upstash.migration.copying.copier import CopyOptions, KeyCopier
from continuum_upstash.migration.copying.entries import CopyProgress, Outcome, Problem
from continuum_upstash.migration.copying.reader import SourceReader
from continuum_upstash.stats.pricing import get_pricing_plan, get_pricing_plan_name, get_terms

_PAGE_KEYS: Final = 1000
_PHASE_SECONDS: Final = 30.0  # after which the phase, which others may change, is read again
_TEXTS: Final[Mapping[Outcome, str]] = {
    Outcome.SELECTED: "would be copied",
    Outcome.COPIED: "copied",
    Outcome.EXISTING: "already in the target, kept",
    Outcome.EXPIRING: "with a remaining lifetime below --min-ttl, not copied",
    Outcome.EXPIRED: "expired while they were copied",
    Outcome.DELETED: "deleted from the source while they were copied, not copied",
    Outcome.TOO_LARGE: "too large, not copied",
    Outcome.ONE_SIDED: "hashes, lists, sets and sorted sets, not copied: see --type",
    Outcome.UNREADABLE: "with a value that cannot be read, not copied",
    Outcome.UNSUPPORTED: "of a type that is not supported, not copied",
}


def add_options(parser: ArgumentParser) -> None:
    add_pair_options(parser)
    add_key_options(parser)
    add = parser.add_argument
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--skip-existing", action="store_true", help="keep keys that the target has (default)"
    )
    existing.add_argument(
        "--overwrite", action="store_true", help="replace them; asks for confirmation"
    )
    add(
        "--min-ttl",
        type=parse_seconds,
        default=0,
        metavar="T",
        help="do not copy keys with a remaining lifetime below T: 90, 15m, 1h …",
    )
    add(
        "--max-value-bytes",
        type=parse_positive_int,
        default=CopyOptions().max_value_bytes,
        metavar="N",
        help="do not copy larger values (default: 8 MB, or MAX_VALUE_BYTES of the target)",
    )
    add("--checkpoint", type=Path, metavar="FILE", help="continue from FILE after an interruption")
    add("--dry-run", action="store_true", help="count only; copy nothing")
    add(
        "--no-input",
        "--noinput",
        action="store_false",
        dest="interactive",
        help="do not ask for confirmation",
    )


class CopyAction:
    """
    Args:
        command: what writes to stdout and stderr.
        options: the parsed options.
    """

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._output, self._options = Output(command, options), options
        self._problems: list[Problem] = []
        self._phase_at = monotonic()

    def run(self) -> None:
        source_alias, target_alias, self._migration = select_pair(self._options)
        try:
            if self._find_phase() is Phase.OFF:
                self._output.write_detail(
                    "The phase is off: what is written during the copy is written to the old cache "
                    "only. Set the phase shadow first."
                )
            target = get_target(target_alias)
            with open_source(source_alias) as source:
                self._copy(source, target)
        except ContinuumError as error:
            fail(str(error))

    def _find_phase(self) -> Phase | None:
        """Return the phase of the migration; None: there is no MigratingCache.

        Raises:
            CommandError: what is read from the old cache may be outdated.
        """
        if self._migration is None:
            return None
        phase = load_rollout(get_settings(self._migration)).rollout.phase
        if phase is Phase.NEW_ONLY and not self._options["dry_run"]:
            fail(
                "The phase is new_only: the old cache has received no writes since it began, so "
                "its values may be outdated and are not copied."
            )
        return phase

    def _copy(self, source: Source, target: UpstashBaseCache) -> None:
        options = self._options
        if not options["dry_run"]:
            check_pickles(source, options)
        checkpoint = self._make_checkpoint(source, target)
        count = min(_PAGE_KEYS, options["rate"] or _PAGE_KEYS)
        keys = source.map_keys(
            target,
            options["match"],
            raw=options["raw"],
            kind=options["kind"],
            version=options["key_version"],
        )
        probe = SourceReader(keys)
        try:
            pages = source.run(probe.read_size()) / count
            run_id = source.run(probe.read_run_id())
        except ContinuumError as error:
            fail(str(error))
        progress = self._load(checkpoint, run_id)
        if options["overwrite"] and options["interactive"] and not options["dry_run"]:
            self._output.write_notice(
                f"Keys of {target.database.config.label} are replaced by those of {source.label}."
            )
            confirm("Nothing was copied.", "to overwrite")
        copier = KeyCopier(
            SourceReader(keys, cursor=progress.cursor, count=count),
            source.run,
            source.make_converter(target, raw=options["raw"]),
            self._make_options(target),
            progress=progress,
            on_problem=self._report,
        )
        self._run(copier, target, checkpoint, run_id, int(pages) + 1)
        self._print_result(copier, source, target)
        if progress.problems:
            fail(f"{progress.problems:,} keys were not copied.", DEGRADED)

    def _run(
        self,
        copier: KeyCopier,
        target: UpstashBaseCache,
        checkpoint: Checkpoint | None,
        run_id: str,
        pages: int,
    ) -> None:
        bar = self._output.make_progress(pages)
        started, before = monotonic(), copier.progress.scanned

        def show(progress: CopyProgress) -> None:
            if monotonic() - self._phase_at > _PHASE_SECONDS:
                self._phase_at = monotonic()
                self._find_phase()
            if checkpoint is not None:
                checkpoint.save(run_id, progress)
            speed = (progress.scanned - before) / max(monotonic() - started, 0.001)
            bar.show(progress.pages, f"{progress.scanned:,} keys, {speed:,.0f}/s")

        try:
            target.run(copier.copy(show))
        except KeyboardInterrupt:
            bar.end()
            fail(f"Interrupted: {self._describe(copier.progress)}", INTERRUPTED)
        except (ContinuumError, OSError) as error:
            bar.end()
            fail(f"{error} {self._describe(copier.progress)}")
        bar.end()

    def _describe(self, progress: CopyProgress) -> str:
        file = self._options["checkpoint"]
        hint = "Run the command again: keys that are already in the target are kept."
        if file is not None:
            hint = f"Run the command again with --checkpoint {file} to continue."
        return f"{format_keys(progress.scanned)} processed. {hint}"

    def _make_options(self, target: UpstashBaseCache) -> CopyOptions:
        options, limit = self._options, target.database.config.max_value_bytes
        maximum = options["max_value_bytes"]
        return CopyOptions(
            overwrite=options["overwrite"],
            min_ttl=options["min_ttl"],
            max_value_bytes=maximum if limit is None else min(maximum, limit),
            rate=options["rate"],
            strings_only=is_string_copy(options),
            dry_run=options["dry_run"],
        )

    def _make_checkpoint(self, source: Source, target: UpstashBaseCache) -> Checkpoint | None:
        options = self._options
        if options["checkpoint"] is None:
            return None
        if options["dry_run"]:
            fail("--dry-run copies nothing: omit --checkpoint.")
        names = (
            "match",
            "raw",
            "kind",
            "key_version",
            "source",
            "overwrite",
            "min_ttl",
            "max_value_bytes",
        )
        job = {name: options[name] for name in names}
        job |= {"source": source.label, "target": target.database.config.label}
        job["strings_only"] = is_string_copy(options)
        return Checkpoint(options["checkpoint"], job)

    def _load(self, checkpoint: Checkpoint | None, run_id: str) -> CopyProgress:
        if checkpoint is None:
            return CopyProgress()
        progress, reason = checkpoint.load(run_id)
        if reason:
            self._output.write_detail(f"Starting from the beginning: {reason}.")
        elif progress.pages:
            self._output.write_detail(f"Continuing after {format_keys(progress.scanned)}.")
        return progress

    def _report(self, problem: Problem) -> None:
        key = self._output.hide_session(problem.key)
        problem = problem._replace(key=key)
        if len(self._problems) < MAX_LISTED:
            self._problems.append(problem)
        self._output.write_detail(
            f"Not copied: {key}: {problem.outcome.replace('_', ' ')} ({problem.detail})"
        )

    def _print_result(self, copier: KeyCopier, source: Source, target: UpstashBaseCache) -> None:
        progress = copier.progress
        commands = progress.source_commands, progress.target_commands
        if self._options["dry_run"]:
            commands = copier.estimate_commands()
        alias = target.database.config.alias
        dollars = _compute_dollars(alias, commands[1], are_writes=True)
        if source.is_billed:
            dollars += _compute_dollars(source.alias, commands[0], are_writes=False)
        values = {
            "source": source.label,
            "target": target.database.config.label,
            "dry_run": self._options["dry_run"],
            **progress.as_dict(),
            "source_commands": commands[0],
            "target_commands": commands[1],
            "source_is_billed": source.is_billed,
            "dollars": round(dollars, 4),
            "problems": [each._asdict() for each in self._problems],
            "problem_count": progress.problems,
        }
        lines = _format_result(values, progress)
        self._output.write_result(values, lines)


def _format_result(values: Mapping[str, Any], progress: CopyProgress) -> Iterator[str]:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(progress.types.items()))
    found = f"{format_keys(progress.scanned)} match ({kinds or 'none'})"
    yield f"{found}, {format_bytes(progress.bytes)} in strings."
    for outcome, text in _TEXTS.items():
        if progress.get(outcome):
            yield f"  {progress.get(outcome):>12,} {text}"
    billed = "" if values["source_is_billed"] else ", which are not billed"
    yield (
        f"{'A copy takes' if values['dry_run'] else 'The copy took'} "
        f"{format_billed(values['target_commands'])} (${values['dollars']:,.2f}), and "
        f"{values['source_commands']:,} commands on the source{billed}."
    )


def _compute_dollars(alias: str, commands: int, *, are_writes: bool) -> float:
    """Return the price of commands; a write is billed again in each read region."""
    try:
        plan = get_pricing_plan(get_pricing_plan_name(alias))
        regions = get_terms(alias).regions if are_writes else 0
    except ConfigurationError as error:
        fail(str(error))
    return plan.cost_of(commands * (1 + regions))
