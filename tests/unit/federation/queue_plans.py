"""The plans of a queue without a database, with a fixed time."""

from __future__ import annotations

from types import SimpleNamespace

from continuum_upstash.codec.codec import Codec
from continuum_upstash.federation.queue.members import Member
from continuum_upstash.federation.queue.plans import QueuePlans
from continuum_upstash.transports.database_state import Extras

NOW = 1_800_000_000_000  # ms
SECRETS = ((b"secret",),)
codec = Codec(pickle_keys=(b"secret",))


class FixedClock:
    def get_time(self):
        return NOW


def make_plans(*, wake=True, prefix="", synced=True):
    """Return plans whose clock is known, or has yet to be read from the database."""
    database = SimpleNamespace(
        prefix=prefix,
        config=SimpleNamespace(alias="federation", label="Cache", base64_secrets=SECRETS),
        codec=codec,
        database=SimpleNamespace(extras=Extras()),
    )
    plans = QueuePlans(database, "mail", wake=wake)
    if synced:
        plans._state.clock = FixedClock()
    return plans


def make_member(**parts):
    member = Member("0" * 23 + "1", 0, 1, 5, 0, "lease", "-", "-", '"x"')
    return member._replace(**parts)
