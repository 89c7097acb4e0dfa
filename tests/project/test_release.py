"""The release command changes version and changelog, and refuses what cannot be released.

`make release VERSION=… ARGS=--dry-run` also builds and checks the files, which needs the index.
"""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"


def load_release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load_release()


def git(root, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=root,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "continuum_upstash").mkdir()
    (tmp_path / "continuum_upstash" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "A thing")
    return tmp_path


def test_version_and_changelog_are_changed(repository):
    release.check_repository(repository, "0.3.0")
    release.set_version(repository, "0.3.0")
    release.date_changelog(repository, "0.3.0", "2026-12-01")
    assert release.read_version(repository) == "0.3.0"
    assert (repository / "CHANGELOG.md").read_text() == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.3.0] - 2026-12-01\n\n### Added\n\n- A thing.\n"
    )


def test_the_first_release_may_have_the_version_of_the_code(repository):
    release.set_version(repository, "0.2.0")
    git(repository, "tag", "v0.2.0")
    with pytest.raises(release.ReleaseError, match=r"not later than 0\.2\.0"):
        release.set_version(repository, "0.2.0")


def test_uncommitted_changes_are_listed(repository):
    (repository / "new.txt").touch()
    with pytest.raises(release.ReleaseError, match=r"new\.txt"):
        release.check_repository(repository, "0.3.0")


@pytest.mark.parametrize("version", ["0.1.9", "0.2", "v0.3.0", "0.3.0rc1"])
def test_a_version_that_is_none_or_not_later_is_refused(version, repository):
    with pytest.raises(release.ReleaseError, match=version):
        release.set_version(repository, version)


def test_a_release_without_entries_is_refused(repository):
    release.date_changelog(repository, "0.3.0", "2026-12-01")
    with pytest.raises(release.ReleaseError, match="no entries under Unreleased"):
        release.date_changelog(repository, "0.4.0", "2026-12-02")


def test_files_are_made_of_tagged_commits_only(repository):
    with pytest.raises(release.ReleaseError, match=r"not tagged v0\.2\.0"):
        release.make_files(repository)


def test_a_repository_without_an_author_is_refused_with_the_command(repository, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with pytest.raises(release.ReleaseError, match=r"set it with git config user\.name"):
        release.copy_author(repository, repository)
