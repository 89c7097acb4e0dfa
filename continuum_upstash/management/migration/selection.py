"""Which caches `cache_migrate` works on."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.management.arguments import fail, parse_positive_int
from continuum_upstash.migration.conf import BACKEND, get_settings
from continuum_upstash.migration.copying.aliases import Source


def add_pair_options(parser: ArgumentParser) -> None:
    """Add --cache, or --from and --to; see `select_pair`."""
    add = parser.add_argument
    add("--cache", metavar="ALIAS", help="an alias of MigratingCache (default: the only one)")
    add("--from", dest="source", metavar="ALIAS", help="the alias to copy from, with --to")
    add("--to", dest="target", metavar="ALIAS", help="the alias to copy to, with --from")


def add_key_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--match", default="*", metavar="PATTERN", help="a glob pattern for keys (default: *)")
    add("--key-version", type=int, metavar="V", help="of the keys (default: VERSION)")
    add(
        "--raw",
        action="store_true",
        help="PATTERN matches full Redis keys; keys and values stay the same",
    )
    add(
        "--type",
        dest="kind",
        choices=("string", "hash", "list", "set", "zset"),
        help="only keys of this type (default: all; with --cache: string)",
    )
    add(
        "--trust-pickles",
        action="store_true",
        help="load the pickles of the source: they can run code that its other clients wrote",
    )
    add("--rate", type=parse_rate, metavar="N", help="maximum number of keys per second")


def check_pickles(source: Source, options: Mapping[str, Any]) -> None:
    """
    Raises:
        CommandError: the values are pickles, and --trust-pickles is missing.
    """
    if source.has_pickles and not (options["trust_pickles"] or options["raw"]):
        fail(
            f"The values of {source.label} are pickles, or have a serializer of the project. A "
            "pickle can run code when it is read. If only programs that you trust write to this "
            "database, pass --trust-pickles."
        )


def is_string_copy(options: Mapping[str, Any]) -> bool:
    """Return whether hashes, lists and sets are left out.

    The methods of MigratingCache for them use one cache only, so copies on the other side would be
    outdated when that side decides.
    """
    return options["source"] is None and options["kind"] is None


def parse_rate(text: str) -> int:
    """Return the keys per second of ``500`` or ``500/s``; for argparse."""
    try:
        return parse_positive_int(text.removesuffix("/s"))
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{text!r} is not a rate: write for example 500/s") from error


def select_pair(options: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return the aliases of source and target, and that of their MigratingCache, if there is one.

    Raises:
        CommandError: none or several are possible.
    """
    source, target, alias = options["source"], options["target"], options["cache"]
    if bool(source) != bool(target) or (source and alias):
        fail("Name the caches by --from and --to, or by --cache with an alias of MigratingCache.")
    if source:
        if source == target:
            fail(f"--from and --to are the same alias, '{source}'.")
        return source, target, None
    alias = select_migrating_alias(alias)
    try:
        found = get_settings(alias)
    except ImproperlyConfigured as error:
        fail(str(error))
    return found.old, found.new, alias


def select_migrating_alias(alias: str | None) -> str:
    """Return the alias of MigratingCache that --cache names, or the only one.

    Raises:
        CommandError: it is no such alias, or there is none or several.
    """
    known = [name for name, entry in settings.CACHES.items() if entry.get("BACKEND") == BACKEND]
    if alias is None and len(known) == 1:
        alias = known[0]
    if alias in known:
        return str(alias)
    if alias is None and known:
        fail(f"Several aliases have the BACKEND MigratingCache: pass --cache {'|'.join(known)}.")
    what = "No entry of CACHES has" if alias is None else f"Cache '{alias}' does not have"
    return fail(
        f"{what} the BACKEND {BACKEND}. Without one, name the caches by --from ALIAS and "
        "--to ALIAS."
    )
