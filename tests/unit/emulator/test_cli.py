"""The command line of the emulator."""

from __future__ import annotations

import argparse

import pytest

from continuum_upstash.emulator.cli import add_arguments


@pytest.mark.parametrize("option", ["--port", "--redis-port", "--control-port", "--qstash-port"])
@pytest.mark.parametrize("port", ["65536", "-1", "x", ""])
def test_what_is_no_port_is_an_error_of_usage(option, port, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"{option}={port}"])
    assert f"{port!r} is not a port, a number from 0 to 65535" in capsys.readouterr().err
