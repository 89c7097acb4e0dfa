import pytest

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.far_expiry import make_translations

REDIS = CommandSpecs([])
VALKEY = CommandSpecs([[b"delifeq", 3, [b"write"], 1, 1, 1, [], [], [], []]])
FIELDS = (b"FIELDS", b"1", b"f")


@pytest.mark.parametrize(
    ("command", "time", "sent"),
    [
        (b"HEXPIREAT", b"1795407596", None),
        (b"HEXPIREAT", b"1795407596000", b"281474976710654"),
        (b"HPEXPIREAT", b"1795407596000", None),
        (b"HPEXPIREAT", b"1795407596000000", b"281474976710654"),
        (b"HPEXPIREAT", b"9" * 30, None),
        (b"HPEXPIREAT", b"soon", None),
    ],
)
def test_a_time_that_redis_rejects_is_replaced_by_its_latest(command, time, sent):
    argv = (command, b"h", time, *FIELDS)
    step = make_translations(REDIS)[command.lower()](argv)
    assert step.commands == (argv if sent is None else (b"HPEXPIREAT", b"h", sent, *FIELDS),)


def test_valkey_needs_no_translation():
    assert make_translations(VALKEY) == {}
