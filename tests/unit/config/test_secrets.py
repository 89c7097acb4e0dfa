"""Secrets in files: read again when they change."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from continuum_upstash.config.secrets import Secret, SecretFile
from continuum_upstash.errors import ConfigurationError

VARIABLE = "UPSTASH_REDIS_REST_TOKEN_FILE"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "token"


def open_secret(file: Path) -> SecretFile:
    return SecretFile(str(file), VARIABLE)


@pytest.mark.parametrize("content", ["t0ken", "t0ken\n", ' "t0ken"\r\n', "\ufefft0ken\n"])
def test_white_space_quotes_and_a_byte_order_mark_are_removed(file, content):
    file.write_text(content, "utf-8")
    assert open_secret(file)() == "t0ken"


def test_a_changed_file_is_read_again(file):
    file.write_text("one")
    secret = open_secret(file)
    for text in ("two", "six", "three"):  # also within one tick of the file system's clock
        file.write_text(text)
        assert secret() == text


def test_a_file_that_is_replaced_as_kubernetes_does_is_read_again(tmp_path):
    for name, text in (("1", "one"), ("2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(text)
    current = tmp_path / "current"
    current.symlink_to("1")
    secret = open_secret(current / "token")
    assert secret() == "one"
    current.unlink()
    current.symlink_to("2")
    assert secret() == "two"


def test_an_unchanged_file_is_not_read_again(file, monkeypatch):
    file.write_text("t0ken")
    os.utime(file, (1, 1))
    secret = open_secret(file)
    monkeypatch.delattr(os, "read")
    assert secret() == "t0ken"


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_text("\n")])
def test_the_last_text_is_used_while_the_file_is_missing_or_empty(file, change):
    file.write_text("t0ken")
    secret = open_secret(file)
    change(file)
    assert secret() == "t0ken"
    file.write_text("new")
    assert secret() == "new"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda file: None, "cannot be read: No such file or directory"),
        (Path.mkdir, "cannot be read: it is not a regular file"),
        (os.mkfifo, "cannot be read: it is not a regular file"),
        (lambda file: file.write_text(" \n"), "contains no text"),
        (lambda file: file.write_bytes(b"\xff\xfes3cret"), "contains no text in UTF-8"),
    ],
)
def test_a_file_without_a_secret_is_a_configuration_error(file, prepare, message):
    prepare(file)
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        open_secret(file)
    assert str(caught.value).startswith(f"{VARIABLE} names the file ")
    assert "s3cret" not in str(caught.value)


def test_the_secrets_of_one_file_are_equal(file, tmp_path):
    other = tmp_path / "other"
    file.write_text("s3cret")
    other.write_text("s3cret")
    one = Secret(open_secret(file))
    file.write_text("b")
    same = Secret(open_secret(file))
    assert (one, hash(one)) == (same, hash(same))
    assert one != Secret(open_secret(other))
    assert "s3cret" not in f"{one} {one!r}"
