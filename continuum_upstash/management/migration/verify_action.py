"""``manage.py cache_migrate verify``."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.utils.translation import override

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.health.quantities import format_percentage
from continuum_upstash.management.arguments import (
    DEGRADED,
    INTERRUPTED,
    fail,
    parse_positive_int,
    parse_seconds,
)
from continuum_upstash.management.migration.output import MAX_LISTED, Output, format_keys
from continuum_upstash.management.migration.selection import (
    add_key_options,
    add_pair_options,
    check_pickles,
    is_string_copy,
    select_pair,
)
from continuum_upstash.management.text_report import format_billed
from continuum_upstash.migration.copying.aliases import Source, get_target, open_source
from continuum_upstash.migration.copying.reader import SourceReader
from continuum_upstash.migration.copying.verifier import (
    DIFFERENCES,
    Comparison,
    KeyVerifier,
    Sample,
    VerifyOptions,
    VerifyProgress,
    VerifyTarget,
)

_PAGE_KEYS: Final = 1000
_TOLERANCE: Final = 0.1  # percent


def add_options(parser: ArgumentParser) -> None:
    add_pair_options(parser)
    add_key_options(parser)
    add = parser.add_argument
    add(
        "--sample",
        type=parse_sample,
        default=Sample(),
        metavar="N",
        help="a percentage such as 5%%, or a number of keys (default: 1%%)",
    )
    add("--min-ttl", type=parse_seconds, default=0, metavar="T", help="as for copy")
    add(
        "--max-value-bytes",
        type=parse_positive_int,
        default=8 * 1024 * 1024,
        metavar="N",
        help="as for copy",
    )
    add(
        "--tolerance",
        type=parse_percentage,
        default=_TOLERANCE,
        metavar="P",
        help="the percentage of differing keys above which the exit status is 1 (default: 0.1)",
    )


def parse_sample(text: str) -> Sample:
    """Return the sample of ``1%`` or ``500``; for argparse."""
    if text.endswith("%"):
        return Sample(share=parse_percentage(text) / 100)
    return Sample(share=1.0, limit=parse_positive_int(text))


def parse_percentage(text: str) -> float:
    """Return a percentage from 0 to 100; for argparse."""
    number = text.removesuffix("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number, re.ASCII) or float(number) > 100:
        raise ArgumentTypeError(f"{text!r} is not a percentage: write a number from 0 to 100")
    return float(number)


class VerifyAction:
    """
    Args:
        command: what writes to stdout and stderr.
        options: the parsed options.
    """

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._output, self._options = Output(command, options), options
        self._differences: list[tuple[str, Comparison]] = []

    def run(self) -> None:
        source_alias, target_alias, _ = select_pair(self._options)
        try:
            target = get_target(target_alias)
            with open_source(source_alias) as source:
                self._verify(source, target)
        except ConfigurationError as error:
            fail(str(error))

    def _verify(self, source: Source, target: UpstashBaseCache) -> None:
        check_pickles(source, self._options)
        options, limit = self._options, target.database.config.max_value_bytes
        keys = source.map_keys(
            target,
            options["match"],
            raw=options["raw"],
            kind=options["kind"],
            version=options["key_version"],
        )
        count = min(_PAGE_KEYS, options["rate"] or _PAGE_KEYS)
        reader = SourceReader(keys, count=count)
        converter = source.make_converter(target, raw=options["raw"])
        verifier = KeyVerifier(
            reader,
            source.run,
            VerifyTarget(keys.pattern, converter, target.codec),
            VerifyOptions(
                options["sample"],
                options["min_ttl"],
                min(options["max_value_bytes"], limit or options["max_value_bytes"]),
                options["rate"],
                is_string_copy(options),
            ),
            on_difference=self._report,
        )
        try:
            pages = source.run(reader.read_size()) // count + 1
        except ContinuumError as error:
            fail(str(error))
        self._run(verifier, target, pages)
        self._write_result(verifier.progress, source, target)

    def _run(self, verifier: KeyVerifier, target: UpstashBaseCache, pages: int) -> None:
        bar = self._output.make_progress(pages)

        def show(progress: VerifyProgress) -> None:
            text = f"{format_keys(progress.checked)} compared, {progress.differences:,} differ"
            bar.show(progress.pages, text)

        try:
            target.run(verifier.verify(show))
        except KeyboardInterrupt:
            bar.end()
            fail(f"Interrupted: {_describe(verifier.progress)}", INTERRUPTED)
        except ContinuumError as error:
            bar.end()
            fail(f"{error} {_describe(verifier.progress)}")
        bar.end()

    def _report(self, key: str, outcome: Comparison) -> None:
        key = self._output.hide_session(key)
        if len(self._differences) < MAX_LISTED:
            self._differences.append((key, outcome))
        self._output.write_detail(f"Different: {key}: {outcome}")

    @override("en")
    def _write_result(
        self, progress: VerifyProgress, source: Source, target: UpstashBaseCache
    ) -> None:
        tolerance = self._options["tolerance"] / 100
        verdict = "same" if progress.difference_rate <= tolerance else "different"
        if not progress.checked:
            verdict = "unknown"
        values = {
            "source": source.label,
            "target": target.database.config.label,
            **progress.as_dict(),
            "tolerance": tolerance,
            "verdict": verdict,
            "source_is_billed": source.is_billed,
            "differences": [{"key": key, "outcome": each} for key, each in self._differences],
        }
        self._output.write_result(values, _format_result(progress, source))
        if verdict == "unknown":
            fail(
                "No key was compared: the source has none that --match and --sample select.",
                DEGRADED,
            )
        if verdict == "different":
            fail(
                f"{format_percentage(progress.difference_rate)} of the compared keys differ; "
                f"--tolerance is {format_percentage(tolerance)}.",
                DEGRADED,
            )


def _format_result(progress: VerifyProgress, source: Source) -> Iterator[str]:
    yield f"{'Family':<32} {'same':>10} {'missing':>9} {'value':>9} {'ttl':>9} {'skipped':>9}"
    families = sorted(progress.families.items(), key=lambda item: -sum(item[1].values()))
    for family, counts in families:
        columns = [counts.get(each, 0) for each in ("missing", "value", "ttl", "skipped")]
        rest = " ".join(f"{number:>9,}" for number in columns)
        yield f"{family:<32} {counts.get('same', 0):>10,} {rest}"
    yield _describe(progress)
    billed = "" if source.is_billed else ", which are not billed"
    yield (
        f"This took {format_billed(progress.target_commands)}, and {progress.source_commands:,} "
        f"commands on the source{billed}."
    )


def _describe(progress: VerifyProgress) -> str:
    counts = ", ".join(f"{progress.outcomes.get(each, 0):,} {each}" for each in sorted(DIFFERENCES))
    share = format_percentage(progress.difference_rate)
    return f"{format_keys(progress.checked)} compared: {share} differ ({counts})."
