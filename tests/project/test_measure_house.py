"""Each figure, on a package that is small enough to count by eye."""

from __future__ import annotations

import json

import pytest

from tests.project.measure_house import are_twins, is_participle, main, measure, without_shared

PYPROJECT = """
[tool.importlinter]
root_package = "package"

[[tool.importlinter.contracts]]
type = "forbidden"

[[tool.importlinter.contracts]]
type = "layers"
layers = ["(views)", "(transports)", "errors"]
"""

FILES = {
    "__init__.py": "",
    "errors.py": "class Refused(Exception): ...\n",
    "keys.py": "def _told(): ...\n\n\ndef load():\n    from . import errors\n    return errors\n",
    "transports/__init__.py": "",
    "transports/keys.py": (
        "from package.errors import Refused as Base\n"
        "import package.keys\n"
        "class Refused(Base): # type: ignore[misc]\n"
        "    @property\n"
        "    def closed(self): ...\n"
    ),
    "transports/rest/__init__.py": "",
    "transports/rest/transport.py": "from ..keys import Refused # noqa: E402\n",
    "transports/redis/transport.py": "",
    "transports/certificates/ca.pem": "",
}


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    for name, text in FILES.items():
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_each_figure(checkout):
    assert measure(checkout).figures == {
        "files at the top of the package": 3,
        "entries in transports/": 3,
        "files in transports/": 1,
        "floors in the import contract": 3,
        "imports between modules": 4,
        "imports between entries of the top": 3,
        "modules under 60 lines": 5,
        "file names used twice": 1,
        "file names shared by transports": 1,
        "class names used twice": 1,
        "functions named by a bare participle": 1,
        "functions": 3,
        "modules": 8,
        "lines": 13,
        "lines of a function, median": 1,
        "lines of a function, 95th percentile": 3,
        "lines of a function, maximum": 3,
        "noqa and type: ignore per 1,000 lines": 153.85,
    }


def test_the_names_are_listed_with_their_places(checkout):
    assert measure(checkout).names == {
        "File names used twice": {"keys": ["keys.py", "transports/keys.py"]},
        "File names shared by transports": {
            "transport": ["transports/redis/transport.py", "transports/rest/transport.py"]
        },
        "Class names used twice": {"Refused": ["errors.py", "transports/keys.py"]},
        "Functions named by a bare participle": {"_told": ["keys.py:1"]},
    }


def test_a_name_that_is_shared_on_purpose_counts_with_a_third_place():
    shared = {"keys": ({"keys.py", "sessions/keys.py"}, "a reason")}
    both = ["keys.py", "sessions/keys.py"]
    third = [*both, "stats/keys.py"]
    assert without_shared({"keys": both}, shared) == {}
    assert without_shared({"keys": third}, shared) == {"keys": third}


@pytest.mark.parametrize(
    "name", ["_told", "sent", "written_keys", "_listed", "asking", "_named_in", "__unquoted"]
)
def test_a_bare_participle(name):
    assert is_participle(name)


@pytest.mark.parametrize(
    "name",
    ["tell", "is_closed", "read", "set_many", "feed_eof", "ping", "on_reconnected", "cached"],
)
def test_not_a_bare_participle(name):
    assert not is_participle(name)


def test_only_the_folders_in_transports_are_twins():
    assert are_twins(["transports/rest/errors.py", "transports/redis/errors.py"])
    assert not are_twins(["errors.py", "transports/redis/errors.py"])
    assert not are_twins(["sessions/keys.py", "ratelimit/keys.py"])


def test_text_output_has_a_column_for_each_checkout(checkout, capsys):
    main([str(checkout), "--compare", str(checkout)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["before", "after"]
    assert lines[1].split()[-2:] == ["3", "3"]
    assert "  _told: keys.py:1" in lines


def test_json_output(checkout, capsys):
    main([str(checkout), "--format", "json"])
    output = json.loads(capsys.readouterr().out)
    assert output["before"] is None
    assert output["after"]["figures"]["modules"] == 8
