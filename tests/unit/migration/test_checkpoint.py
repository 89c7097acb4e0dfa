"""The file from which a copy continues."""

from __future__ import annotations

import json

import pytest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.migration.copying.checkpoint import Checkpoint
from continuum_upstash.migration.copying.entries import CopyProgress

JOB = {"source": "old", "match": "*"}


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "file", JOB)


def make_progress(**values):
    return CopyProgress(cursor="77", pages=3, scanned=5, outcomes={"copied": 5}, **values)


def test_a_new_copy_begins_without_a_file(checkpoint):
    assert checkpoint.load("run") == (CopyProgress(), "")


def test_a_copy_continues_where_it_was(checkpoint):
    checkpoint.save("run", make_progress())
    assert checkpoint.load("run") == (make_progress(), "")
    assert [each.name for each in checkpoint.path.parent.iterdir()] == ["file"]


def test_a_restarted_server_has_other_cursors(checkpoint):
    checkpoint.save("run", make_progress())
    progress, reason = checkpoint.load("another run")
    assert (progress, "restarted" in reason) == (CopyProgress(), True)


def test_a_complete_copy_begins_again(checkpoint):
    checkpoint.save("run", make_progress(complete=True))
    progress, reason = checkpoint.load("run")
    assert (progress, "complete" in reason) == (CopyProgress(), True)


def test_the_file_of_another_copy_is_refused(checkpoint):
    checkpoint.save("run", make_progress())
    with pytest.raises(ConfigurationError, match="belongs to another copy"):
        checkpoint._replace(job={**JOB, "match": "a*"}).load("run")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 1}', "\xff"])
def test_a_damaged_file_is_refused(checkpoint, text):
    checkpoint.path.write_text(text)
    with pytest.raises(ConfigurationError, match="elete it"):
        checkpoint.load("run")


@pytest.mark.parametrize(
    "change", [{"cursor": 5}, {"outcomes": []}, {"unknown": 1}, {"pages": "3"}]
)
def test_a_file_with_other_types_is_refused(checkpoint, change):
    checkpoint.save("run", make_progress())
    values = json.loads(checkpoint.path.read_text())
    values["progress"] |= change
    checkpoint.path.write_text(json.dumps(values))
    with pytest.raises(ConfigurationError):
        checkpoint.load("run")


def test_a_failed_write_keeps_the_file_before(checkpoint, monkeypatch):
    checkpoint.save("run", make_progress())

    def fail(_):
        raise OSError

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError):
        checkpoint.save("run", make_progress(complete=True))
    assert checkpoint.load("run") == (make_progress(), "")
    assert [each.name for each in checkpoint.path.parent.iterdir()] == ["file"]
