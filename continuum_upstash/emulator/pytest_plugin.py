"""The fixture `upstash_emulator`: one emulator for the test session, started on first use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from continuum_upstash.emulator.process import Emulator


@pytest.fixture(scope="session")
def upstash_emulator() -> Iterator["Emulator"]:
    from continuum_upstash.emulator.process import running  # noqa: PLC0415 - every pytest run imports this plugin

    with running("--qstash-port=0") as emulator:
        yield emulator
