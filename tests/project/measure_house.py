"""Measure the layout of the package: sizes, imports, repeated names, names of functions.

    python -m tests.project.measure_house [PATH] [--compare OTHER] [--format json]

PATH is a checkout (default: this one). OTHER is an earlier checkout: its figures are printed in
the column "before". The files are parsed, never imported, so any commit can be measured.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]
SMALL_MODULE = 60  # lines

# Names that Python and Django prescribe: they say what a file or class is, not what it is about.
CONVENTIONAL_FILES = (
    "__init__ __main__ admin apps conf conftest forms middleware models signals urls views"
)
CONVENTIONAL_CLASSES = "Command Meta Migration"

# {name: (the places that share it on purpose, the reason)}; a further place counts.
SHARED_FILE_NAMES = {
    "base": (
        {"cache/base.py", "transports/base.py"},
        "each holds the base classes of its folder; transports/base.py is imported inside it only",
    ),
    "keys": (
        {"keys.py", "sessions/keys.py"},
        "the Redis keys of the package, and those of sessions, which no other folder needs",
    ),
}
SHARED_CLASS_NAMES = {
    "UpstashCache": (
        {"client/upstash_cache.py", "health_plugin.py"},
        "the client, and the health check, whose class name is the title on the health page",
    ),
}

# A function name counts as a bare participle if its first word is one: `_sent`, `written_keys`,
# `asking`. Not counted: words that are also the plain form of a verb (read, set, put, split, shut,
# bound), and properties, since an attribute may be an adjective.
IRREGULAR_PARTICIPLES = (
    "begun broken brought built caught chosen done drawn driven found frozen given gone grown "
    "heard held hidden kept known left lent lost made meant met paid said seen sent shown sold "
    "spelt spent stood taken thought thrown told torn undone understood unwritten written"
)
VERBS_IN_ED = "embed exceed feed heed need proceed seed shed speed succeed"
OTHER_WORDS_IN_ING = "bring nothing ping ring setting string"
# Public names: @cached, `with running() as emulator`, and redis-py's Lock.locked and Lock.owned.
ALLOWED_PARTICIPLES = "cached running locked owned"

SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore)")


@dataclass(frozen=True)
class Function:
    name: str
    place: str
    lines: int
    is_property: bool


@dataclass(frozen=True)
class Module:
    """What one parse of a file finds."""

    path: Path  # relative to the package
    lines: int
    suppressions: int
    functions: list[Function]
    classes: list[str]
    imports: set[str]  # candidates: full module names, or a module name and a name inside it


def is_participle(name: str) -> bool:
    word = name.strip("_").split("_")[0]
    if word in ALLOWED_PARTICIPLES.split():
        return False
    return (
        word in IRREGULAR_PARTICIPLES.split()
        or (word.endswith("ed") and word not in VERBS_IN_ED.split())
        or (word.endswith("ing") and word not in OTHER_WORDS_IN_ING.split())
    )


def module_name(package: str, path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _imported_names(node: ast.AST, parent: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            ancestors = parent.split(".")
            base = ".".join(filter(None, [*ancestors[: len(ancestors) - node.level + 1], base]))
        yield from (f"{base}.{alias.name}" for alias in node.names)


def read_module(folder: Path, path: Path) -> Module:
    relative = path.relative_to(folder)
    parent = ".".join((folder.name, *relative.parent.parts))
    text = path.read_text(encoding="utf-8")
    functions, classes, imports = [], [], set()
    for node in ast.walk(ast.parse(text)):
        imports.update(_imported_names(node, parent))
        if isinstance(node, ast.ClassDef):
            classes.append(node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
            functions.append(
                Function(
                    name=node.name,
                    place=f"{relative}:{node.lineno}",
                    lines=(node.end_lineno or node.lineno) - node.lineno + 1,
                    is_property="property" in decorators or ".setter" in decorators,
                )
            )
    return Module(
        path=relative,
        lines=len(text.splitlines()),
        suppressions=len(SUPPRESSION.findall(text)),
        functions=functions,
        classes=classes,
        imports=imports,
    )


def find_arrows(package: str, modules: list[Module]) -> set[tuple[str, str]]:
    """Return the distinct imports between modules of the package, lazy imports included."""
    names = {module_name(package, module.path) for module in modules}
    arrows = set()
    for module in modules:
        source = module_name(package, module.path)
        for candidate in module.imports:
            target = candidate if candidate in names else candidate.rpartition(".")[0]
            if target in names and target != source:
                arrows.add((source, target))
    return arrows


def find_repeated(pairs: list[tuple[str, Path]]) -> dict[str, list[str]]:
    """Return the names with more than one path, and their paths."""
    places: dict[str, set[str]] = defaultdict(set)
    for name, path in pairs:
        places[name].add(str(path))
    return {name: sorted(found) for name, found in sorted(places.items()) if len(found) > 1}


def are_twins(paths: list[str]) -> bool:
    """Return whether all files fill one role in several transports: rest/…, redis/…, local/…."""
    return all(Path(path).parent.parent == Path("transports") for path in paths)


def count_floors(pyproject: dict) -> int:
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    return next(len(each["layers"]) for each in contracts if each["type"] == "layers")


def count_entries(folder: Path) -> int:
    return sum(
        each.suffix == ".py" or (each.is_dir() and any(each.glob("*.py")))
        for each in folder.iterdir()
        if each.name != "__init__.py"
    )


def count_files(folder: Path) -> int:
    """Return the number of modules directly in a folder."""
    return sum(each.name != "__init__.py" for each in folder.glob("*.py"))


def _count_top_arrows(arrows: set[tuple[str, str]]) -> int:
    """Return the number of distinct imports between the folders and files of the top."""
    ends = {tuple(".".join(name.split(".")[:2]) for name in arrow) for arrow in arrows}
    return sum(start != end for start, end in ends)


def _find_participles(functions: list[Function]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for function in functions:
        if is_participle(function.name) and not function.is_property:
            found[function.name].append(function.place)
    return dict(sorted(found.items()))


def without_shared(
    names: dict[str, list[str]], shared: dict[str, tuple[set[str], str]]
) -> dict[str, list[str]]:
    return {
        name: places
        for name, places in names.items()
        if name not in shared or not shared[name][0].issuperset(places)
    }


def _without(names: dict[str, list[str]], left_out: Iterable[str]) -> dict[str, list[str]]:
    return {name: places for name, places in names.items() if name not in left_out}


@dataclass(frozen=True)
class House:
    figures: dict[str, float]
    names: dict[str, dict[str, list[str]]]  # the names that the figures count, and their places


def measure(checkout: Path) -> House:
    pyproject = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    folder = checkout / pyproject["tool"]["importlinter"]["root_package"]
    modules = [read_module(folder, path) for path in sorted(folder.rglob("*.py"))]
    functions = [function for module in modules for function in module.functions]
    lengths = sorted(function.lines for function in functions)
    lines = sum(module.lines for module in modules)
    arrows = find_arrows(folder.name, modules)

    files = find_repeated([(module.path.stem, module.path) for module in modules])
    files = _without(files, CONVENTIONAL_FILES.split())
    twins = {name: paths for name, paths in files.items() if are_twins(paths)}
    files = without_shared(_without(files, twins), SHARED_FILE_NAMES)
    classes = find_repeated([(name, module.path) for module in modules for name in module.classes])
    classes = _without(classes, CONVENTIONAL_CLASSES.split())
    classes = without_shared(classes, SHARED_CLASS_NAMES)
    participles = _find_participles(functions)

    small = [m for m in modules if m.lines < SMALL_MODULE and m.path.stem != "__init__"]
    suppressions = sum(module.suppressions for module in modules)
    figures = {
        "files at the top of the package": len(list(folder.glob("*.py"))),
        "entries in transports/": count_entries(folder / "transports"),
        "files in transports/": count_files(folder / "transports"),
        "floors in the import contract": count_floors(pyproject),
        "imports between modules": len(arrows),
        "imports between entries of the top": _count_top_arrows(arrows),
        f"modules under {SMALL_MODULE} lines": len(small),
        "file names used twice": len(files),
        "file names shared by transports": len(twins),
        "class names used twice": len(classes),
        "functions named by a bare participle": sum(map(len, participles.values())),
        "functions": len(functions),
        "modules": len(modules),
        "lines": lines,
        "lines of a function, median": median(lengths),
        "lines of a function, 95th percentile": lengths[int(0.95 * len(lengths))],
        "lines of a function, maximum": lengths[-1],
        "noqa and type: ignore per 1,000 lines": round(1000 * suppressions / lines, 2),
    }
    names = {
        "File names used twice": files,
        "File names shared by transports": twins,
        "Class names used twice": classes,
        "Functions named by a bare participle": participles,
    }
    return House(figures, names)


def format_table(after: House, before: House | None) -> str:
    columns = [house.figures for house in (before, after) if house]
    width = max(map(len, after.figures))
    lines = [] if before is None else [f"{'':{width}}  {'before':>8}  {'after':>8}"]
    lines += [
        f"{label:{width}}  " + "  ".join(f"{column[label]:>8,}" for column in columns)
        for label in after.figures
    ]
    for title, names in after.names.items():
        if names:
            lines += ["", f"{title}:"]
            lines += [f"  {name}: {', '.join(places)}" for name, places in names.items()]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Measure the layout of the package.")
    parser.add_argument("path", nargs="?", type=Path, default=HERE, help="a checkout")
    parser.add_argument("--compare", type=Path, metavar="OTHER", help="an earlier checkout")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    options = parser.parse_args(arguments)
    after = measure(options.path)
    before = measure(options.compare) if options.compare else None
    if options.format == "json":
        output = json.dumps({"after": asdict(after), "before": before and asdict(before)}, indent=2)
    else:
        output = format_table(after, before)
    sys.stdout.write(output + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
