"""The lock file contains a version with hashes for each dependency, and one that is allowed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements-dev.lock").read_text()
_NAME = r"^([a-z0-9.-]+)(?:\[[^]]*\])?=="
PINNED = re.findall(_NAME + r"([^ ;]+)[^\n]*\\\n((?:    --hash=.*\n)+)", LOCK, re.MULTILINE)


def list_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name in ("bench", "deploy", "release"):  # have environments of their own
        del extras[name]
    texts = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    requirements = [Requirement(text) for text in texts]
    return [each for each in requirements if each.name != project["name"]]


@pytest.mark.parametrize("requirement", list_requirements(), ids=str)
def test_a_dependency_is_pinned_to_an_allowed_version(requirement):
    versions = [
        version for name, version, _ in PINNED if name == canonicalize_name(requirement.name)
    ]
    assert versions
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_each_package_has_hashes():
    names = re.findall(_NAME, LOCK, re.MULTILINE)
    assert len(names) == len(PINNED) > 50


def test_the_lock_file_names_no_index():
    assert "://" not in LOCK
