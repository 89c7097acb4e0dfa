"""Module-level state is only in `transports/registry.py`; exceptions are listed here.

The test finds `global` statements, and module-level names of objects that change: a container that
a function of the module changes, or an instance whose methods change it. It does not report a
ContextVar, whose values belong to contexts, nor the caches of `functools`, whose values can be
computed again.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "continuum_upstash"

ALLOWED = {
    "transports/registry.py: _process": "the one place",
    "observe.py: _observers": "the subscribers; a tuple that is replaced, and valid after a fork",
    "observe.py: _logged_at": "limits log lines; below the registry, and harmless after a fork",
    "ratelimit/conf.py: conf": "the settings as they were read; reset by setting_changed",
    "federation/live/conf.py: conf": "as above",
    "signals.py: backend_changed": "Django's list of receivers",
    "signals.py: upstash_unavailable": "Django's list of receivers",
    "signals.py: budget_changed": "Django's list of receivers",
    "panel/templatetags/cache_health.py: register": "Django's own protocol of template tags",
    "templatetags/continuum_cache.py: register": "as above",
}

CONTAINERS = {"dict", "list", "set", "bytearray", "defaultdict", "Counter", "deque", "OrderedDict"}
ALWAYS_CHANGING = {
    *("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "Queue", "SimpleQueue", "LifoQueue"),
    *("Lock", "RLock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "local", "count"),
    *("Signal", "Library", "SimpleNamespace", "Random"),
}
CHANGING_METHODS = {
    *("append", "appendleft", "extend", "insert", "add", "update", "setdefault", "pop", "popleft"),
    *("popitem", "remove", "discard", "clear", "subtract"),
}


def parse_modules(folder):
    return {
        path.relative_to(folder).as_posix(): ast.parse(path.read_text())
        for path in folder.rglob("*.py")
    }


def find_bindings(tree):
    """Return the names that a module binds at its top level, with the bound expressions."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (
                (each.id, node.value) for each in node.targets if isinstance(each, ast.Name)
            )
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def get_called_name(node):
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Subscript):  # deque[int]()
        function = function.value
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def is_container(node):
    displays = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    return isinstance(node, displays) or get_called_name(node) in CONTAINERS


def find_changed_objects(tree):
    """Return the expressions whose objects the code changes: `a` in `a[k] = v` or `a.append(v)`."""
    for node in ast.walk(tree):
        targets = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Subscript | ast.Attribute):
                yield target.value
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CHANGING_METHODS
        ):
            yield node.func.value


def has_changing_instances(node):
    """Return whether a method other than the constructor changes `self` or an attribute of it."""
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    for method in (each for each in methods if each.name not in {"__init__", "__post_init__"}):
        for changed in find_changed_objects(method):
            text = ast.unparse(changed)
            if text == "self" or text.startswith("self."):
                return True
    return False


def find_state(folder):
    """Return the module-level state of a package as ``path: name``."""
    modules = parse_modules(folder)
    classes = {
        node.name
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and has_changing_instances(node)
    }
    for path, tree in modules.items():
        changed = {ast.unparse(each) for each in find_changed_objects(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                yield from (f"{path}: {name}" for name in node.names)
        for name, value in find_bindings(tree):
            is_instance = get_called_name(value) in ALWAYS_CHANGING | classes
            if is_instance or (is_container(value) and name in changed):
                yield f"{path}: {name}"


@pytest.fixture(scope="module")
def state():
    return set(find_state(PACKAGE))


def test_no_other_module_has_state(state):
    assert state - set(ALLOWED) == set()


def test_the_list_of_exceptions_has_no_stale_entry(state):
    assert set(ALLOWED) - state == set()


@pytest.mark.parametrize(
    "code",
    [
        "names = []\ndef add(name):\n    names.append(name)",
        "seen: dict[str, int] = {}\ndef see(name):\n    seen[name] = 1",
        "counts = Counter()\ndef count(name):\n    counts[name] += 1",
        "known = {1: 2}\ndef forget():\n    del known[1]",
        "last = 0\ndef set_last():\n    global last\n    last = 1",
        "lock = threading.Lock()",
        "kept = WeakKeyDictionary()",
        "class Meter:\n    def add(self):\n        self.sum += 1\nmeter = Meter()",
        "class Log:\n    def add(self, line):\n        self.lines.append(line)\nlog = Log()",
    ],
)
def test_state_is_found(code, tmp_path):
    (tmp_path / "module.py").write_text(code)
    assert len(set(find_state(tmp_path))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "UNITS = {'s': 1}",
        "NAMES = [name.upper() for name in ('a', 'b')]",
        "tokens: ContextVar[int] = ContextVar('tokens')",
        "class Point:\n    def __init__(self):\n        self.x = 1\nORIGIN = Point()",
        "def collect():\n    names = []\n    names.append(1)\n    return names",
    ],
)
def test_what_does_not_change_is_no_state(code, tmp_path):
    (tmp_path / "module.py").write_text(code)
    assert not set(find_state(tmp_path))
