"""The exact commands of get_or_set with stampede protection and tags, against canned replies."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from continuum_upstash.cache import early
from continuum_upstash.cache.early import Computations, ProtectedGetOrSet, make_protection
from continuum_upstash.codec.envelope import Envelope, pack_envelope, unpack_envelope
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import CapacityExceeded, ConnectionFailed, ReplyError
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Batch, Compute, Encode, SingleFlight, Sleep
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.transports.database_state import Extras
from tests.unit.plan_runner import codec

KEY, LEASE, TAG = "k", "continuum:lease:k", "continuum:tag:p:a"
NOW = 1_000_000
TOKEN, OTHER = b"0123456789ab", b"ba9876543210"
OLD, NEW = codec.encode("old"), codec.encode("new")


class Clock:
    """Unix milliseconds and monotonic seconds; computing takes 2 seconds."""

    def __init__(self):
        self.seconds = 0.0

    def now_ms(self):
        return NOW + round(self.seconds * 1000)

    def monotonic(self):
        return self.seconds


class Call:
    """Runs one call of get_or_set; `sent` are its commands, `slept` its pauses.

    Args:
        rng: what each random number is; 0: no jitter, no early refresh.
        seconds_per_batch: what a round trip takes.

    Attributes:
        shared: what another caller of the process has found.
    """

    def __init__(self, *, rng=0.0, seconds_per_batch=0.001, supported=True):
        self.clock, self.rng = Clock(), rng
        self.seconds_per_batch = seconds_per_batch
        self.database = SimpleNamespace(
            config=Config(alias="test"),
            conditional_commands=ConditionalCommands(supported=supported),
            extras=Extras(),
        )
        self.computations = self.database.extras.get(Computations)
        self.keyvalue = KeyValuePlans(codec, alias="test")
        self.keyvalue.envelopes.now_ms = self.clock.now_ms
        self.sent, self.slept, self.computed = [], [], 0
        self.shared = None

    def run(self, *replies, default="new", ttl_ms=60_000, tags=(), **options):
        self.remaining = list(replies)
        self.default = default
        plan = ProtectedGetOrSet(
            self.keyvalue,
            self.database,
            key=KEY,
            default=lambda: default,
            ttl_ms=ttl_ms,
            protection=make_protection(
                options.pop("early", None),
                options.pop("grace", None),
                options.pop("wait", None),
                tags,
                **options,
            ),
            clock=self.clock.monotonic,
            rng=lambda: self.rng,
        ).run()
        result = self._run(plan)
        assert not self.remaining
        return result

    def _run(self, plan):
        try:
            effect = next(plan)
            while True:
                try:
                    result = self._perform(effect)
                except Exception as error:
                    effect = plan.throw(error)
                else:
                    effect = plan.send(result)
        except StopIteration as stop:
            return stop.value

    def _perform(self, effect):
        match effect:
            case Batch():
                self.clock.seconds += self.seconds_per_batch
                self.sent += effect.commands
                reply = self.remaining.pop(0)
                if isinstance(reply, Exception):
                    raise reply
                return reply
            case Encode():
                return codec.encode(effect.value)
            case Compute():
                self.clock.seconds += 2
                self.computed += 1
                if isinstance(self.default, Exception):
                    raise self.default
                return effect.function()
            case Sleep():
                self.slept.append(effect.seconds)
                self.clock.seconds += effect.seconds
                return None
            case SingleFlight():
                return self.shared or self._run(effect.plan())

    @property
    def names(self):
        """The commands by name and key, for example ``SET lease``."""
        kinds = {KEY: "value", LEASE: "lease", TAG: "tag"}
        return [
            command[0] if command[0] == "MGET" else f"{command[0]} {kinds[command[1]]}"
            for command in self.sent
        ]

    @property
    def stored(self):
        """The envelope that was stored, and the rest of its SET."""
        (command,) = [each for each in self.sent if each[:2] == ("SET", KEY)]
        return unpack_envelope(command[2]), command[3:]


def make_value(fresh_for=60, *, compute_ms=100, tokens=None, content=OLD):
    """The stored bytes of a value that is fresh for so many seconds."""
    return pack_envelope(Envelope(content, NOW + round(fresh_for * 1000), compute_ms, tokens or {}))


def test_a_hit_is_one_command_for_value_lease_and_tags():
    call = Call()
    value = make_value(tokens={"p:a": TOKEN})
    assert call.run([[value, None, TOKEN]], early=True, grace=60, tags=("p:a",)) == "old"
    assert call.sent == [("MGET", KEY, LEASE, TAG)]


def test_a_hit_with_tags_only_reads_no_lease():
    call = Call()
    value = pack_envelope(Envelope(OLD, tokens={"p:a": TOKEN}))
    assert call.run([[value, TOKEN]], tags=("p:a",)) == "old"
    assert call.sent == [("MGET", KEY, TAG)]


def test_a_value_that_another_call_stored_without_an_envelope_is_a_hit():
    call = Call()
    assert call.run([[OLD, None]], early=True, grace=60) == "old"


def test_a_cold_miss_takes_the_lease_computes_stores_and_releases():
    call = Call()
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True, grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    lease = call.sent[1]
    assert lease[3:] == ("PX", 30_000, "NX")
    assert call.sent[3] == ("DELEX", LEASE, "IFEQ", lease[2])
    envelope, options = call.stored
    assert envelope == Envelope(NEW, NOW + 2002 + 60_000, 2000, {})
    assert options == ("PX", 120_000, "NX")


def test_a_lease_is_released_by_a_script_where_delex_is_not_supported():
    call = Call(supported=False)
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=5) == "new"
    assert [command[0] for command in call.sent] == ["MGET", "SET", "SET", "EVAL"]


def test_with_wait_only_the_value_is_stored_without_an_envelope():
    call = Call()
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=2) == "new"
    assert call.sent[2] == ("SET", KEY, NEW, "PX", 60_000, "NX")


def test_a_lifetime_is_up_to_ten_percent_shorter():
    call = Call(rng=1 - 2**-53)
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=2)
    assert call.sent[2][3:] == ("PX", 54_000, "NX")


def test_a_value_without_expiry_needs_no_envelope():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True, grace=60, ttl_ms=None)
    assert call.sent[2] == ("SET", KEY, NEW, "NX")


def test_an_early_value_without_grace_is_kept_until_a_refresh_has_ended():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True)
    assert call.stored[1] == ("PX", 64_000, "NX")


def test_a_caller_without_a_value_waits_for_the_one_that_computes(protected_results):
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 3
    assert call.run(*waiting, [[make_value(), None]], wait=5) == "old"
    assert call.slept == [0.05, 0.1, 0.2]
    assert call.names == ["MGET"] * 4
    assert call.computed == 0
    assert protected_results == ["waited"]


def test_a_caller_that_loses_the_lease_waits():
    call = Call(rng=0.5)
    assert call.run([[None, None]], [None], [[make_value(), None]], grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "MGET"]
    assert call.slept == [0.05]


def test_a_caller_that_has_waited_long_enough_computes_without_the_lease():
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 4
    assert call.run(*waiting, [b"OK"], wait=0.3) == "new"
    assert call.slept == pytest.approx([0.05, 0.1, 0.15])
    assert call.names == ["MGET"] * 4 + ["SET value"]


def test_wait_0_never_waits():
    call = Call()
    assert call.run([[None, b"lease"]], [b"OK"], wait=0) == "new"
    assert call.slept == []


def test_a_caller_that_waits_looks_once_a_second_at_least():
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 9
    call.run(*waiting, [[make_value(), None]], wait=60)
    assert call.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]


def test_a_waiting_caller_takes_the_lease_of_one_that_has_failed():
    call = Call()
    found = [[None, b"lease"]], [[None, None]]
    assert call.run(*found, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "MGET", "SET lease", "SET value", "DELEX lease"]


def test_a_slow_caller_reads_the_value_again_before_it_computes():
    call = Call(seconds_per_batch=0.2)
    value = make_value(content=NEW)
    assert call.run([[None, None]], [b"OK"], [[value, None]], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "MGET", "DELEX lease"]
    assert call.computed == 0


def test_an_old_value_is_refreshed_by_one_caller():
    call = Call()
    assert call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    envelope, options = call.stored
    assert envelope.fresh_until_ms == NOW + 2002 + 60_000
    assert options == ("PX", 120_000, "XX")  # a delete during the refresh is not undone


def test_the_others_get_the_old_value_at_once(protected_results):
    call = Call()
    assert call.run([[make_value(-1), b"lease"]], grace=60) == "old"
    assert call.names == ["MGET"]
    assert call.slept == []
    assert protected_results == ["stale"]


def test_a_caller_that_begins_a_refresh_at_the_same_time_gets_the_old_value(protected_results):
    call = Call()
    assert call.run([[make_value(-1), None]], [None], grace=60) == "old"
    assert call.names == ["MGET", "SET lease"]
    assert protected_results == ["stale"]


def test_callers_of_the_process_that_refreshes_do_not_try():
    call = Call()
    call.computations.refreshes.add(KEY)
    assert call.run([[make_value(-1), None]], grace=60) == "old"
    assert call.names == ["MGET"]


@pytest.mark.parametrize("value", [None, make_value(-1)])
def test_the_lease_of_a_computation_that_was_cancelled_is_replaced(value):
    call = Call()
    lease = f"{call.computations.process}1".encode()
    assert call.run([[value, lease]], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    assert call.sent[1][3:] == ("PX", 30_000)
    assert call.sent[1][2].startswith(call.computations.process)
    assert not call.computations.tokens


def test_the_lease_of_a_computation_of_this_process_is_respected():
    call = Call(rng=0.5)
    token = f"{call.computations.process}1"
    call.computations.tokens.add(token)
    found = [[None, token.encode()]], [[make_value(), None]]
    assert call.run(*found, grace=60) == "old"
    assert call.slept == [0.05]


def test_a_caller_does_not_join_one_that_may_use_an_older_value():
    call = Call()
    call.shared = early._Found(Envelope(OLD, NOW - 1000), True, False, {}, 0.0)
    assert call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], wait=1) == "new"
    call = Call()
    call.shared = early._Found(Envelope(OLD, NOW - 1000), True, True, {}, 0.0)
    assert call.run(grace=60) == "old"


def test_a_refresh_that_ended_is_forgotten():
    call = Call()
    call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], grace=60)
    assert not call.computations.refreshes
    assert not call.computations.tokens


def test_a_value_after_its_grace_is_missing():
    call = Call()
    found = [[make_value(-61), None]]
    assert call.run(found, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.stored[1] == ("PX", 120_000)


@pytest.mark.parametrize(
    ("rng", "beta", "fresh_for", "is_refreshed"),
    [
        (0, True, 0.01, False),  # ln(1) = 0: at its time, not before
        (1 - math.exp(-1), True, 0.9, True),  # 1 second of computing, times -ln(1/e)
        (1 - math.exp(-1), True, 1.1, False),
        (1 - math.exp(-1), 2, 1.9, True),
        (1 - math.exp(-1), 0.5, 0.9, False),
        (1 - math.exp(-20), True, 19, True),
    ],
)
def test_an_early_refresh_is_likelier_near_the_end_and_for_costly_values(
    rng, beta, fresh_for, is_refreshed, protected_results
):
    call = Call(rng=rng)
    value = make_value(fresh_for, compute_ms=1000)
    replies = [[b"OK"], [b"OK"], [1]] if is_refreshed else []
    assert call.run([[value, None]], *replies, early=beta) == ("new" if is_refreshed else "old")
    assert protected_results == (["early"] if is_refreshed else [])


def test_a_failed_refresh_returns_the_old_value_and_keeps_the_lease_for_ten_seconds(
    protected_results, caplog
):
    call = Call()
    value = [[make_value(-1), None]]
    assert call.run(value, [b"OK"], [1], default=OSError("x"), grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "SET lease"]
    assert call.sent[2][2:] == ("failed", "PX", 10_000, "XX")
    assert protected_results == ["stale"]
    assert "the old value is returned: OSError" in caplog.text
    assert not call.computations.refreshes
    assert not call.computations.tokens


@pytest.mark.parametrize(("grace", "fresh_for", "pause"), [(4, -0.5, 1498), (9, 0.1, 7098)])
def test_a_failed_refresh_is_tried_again_while_there_is_an_old_value(grace, fresh_for, pause):
    call = Call(rng=1 - 2**-53)
    value = [[make_value(fresh_for), None]]
    call.run(value, [b"OK"], [1], default=OSError("x"), grace=grace, early=True)
    assert call.sent[2][4] == pause


def test_the_lease_of_a_failed_refresh_delays_no_caller_after_the_value_is_deleted():
    call = Call()
    assert call.run([[None, b"failed"]], [1], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.slept == []
    assert call.names == ["MGET", "DELEX lease", "SET lease", "SET value", "DELEX lease"]
    assert call.sent[1] == ("DELEX", LEASE, "IFEQ", "failed")  # not another caller's new lease
    assert call.sent[2][-1] == "NX"  # of several callers that read it, one computes


def test_without_an_old_value_the_error_is_raised_and_the_lease_released():
    call = Call()
    with pytest.raises(OSError, match="x"):
        call.run([[None, None]], [b"OK"], [1], default=OSError("x"), grace=60)
    assert call.names == ["MGET", "SET lease", "DELEX lease"]


def test_the_old_value_is_returned_if_the_database_fails_before_the_new_one_is_stored():
    call = Call()
    down = ConnectionFailed("down")
    assert call.run([[make_value(-1), None]], down, down, down, grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "SET value", "SET lease"]


def test_a_database_that_stores_no_lease_does_not_prevent_the_computation():
    call = Call()
    full = CapacityExceeded("ERR DB capacity quota exceeded")
    assert call.run([[None, None]], [full], [full], [0], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]


def test_a_value_that_cannot_be_stored_is_deleted_if_it_replaces_another():
    call = Call()
    call.keyvalue._max_value_bytes = 3
    found = [[make_value(-1), None]]
    assert call.run(found, [b"OK"], [1], [1], grace=60) == "new"
    assert call.sent[2] == ("UNLINK", KEY)


def test_a_value_that_was_set_meanwhile_is_returned():
    call = Call()
    theirs = [[codec.encode("theirs"), b"lease"]]
    assert call.run([[None, None]], [b"OK"], [None], theirs, [1], grace=60) == "theirs"


def test_an_undecodable_value_is_replaced():
    call = Call()
    broken = [[b"\x04broken", None]]
    assert call.run(broken, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.stored[1] == ("PX", 120_000)
    call = Call()
    broken = [[make_value(content=b"\xc1"), None]]
    assert call.run(broken, [b"OK"], [b"OK"], [1], grace=60) == "new"


# ---- tags


def test_a_cold_miss_with_a_new_tag_creates_its_token_before_it_computes():
    call = Call()
    found = [[None, None, None]]
    assert call.run(found, [b"OK"], [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"
    assert call.names == ["MGET", "SET lease", "SET tag", "SET value", "DELEX lease"]
    token = call.sent[2][2]
    assert len(token) == 12
    assert call.sent[2][3:] == ("PX", 30 * 24 * 60 * 60 * 1000, "NX")
    assert call.stored[0].tokens == {"p:a": token}


def test_a_cold_miss_with_tags_only_takes_no_lease():
    call = Call()
    assert call.run([[None, TOKEN]], [b"OK"], tags=("p:a",)) == "new"
    assert call.names == ["MGET", "SET value"]
    assert call.stored == (Envelope(NEW, 0, 0, {"p:a": TOKEN}), ("PX", 60_000, "NX"))


def test_the_tokens_that_were_read_before_computing_are_stored():
    call = Call()
    call.run([[None, None, TOKEN]], [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.stored[0].tokens == {"p:a": TOKEN}


@pytest.mark.parametrize("token", [None, OTHER])
def test_a_value_with_another_token_is_missing_even_in_its_grace(token):
    call = Call()
    value = make_value(-1, tokens={"p:a": TOKEN})
    found = [[value, None, token]]
    replies = [] if token else [[b"OK"]]
    call.run(found, [b"OK"], *replies, [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.computed == 1
    assert call.stored[1] == ("PX", 120_000)


def test_the_error_is_raised_if_the_old_value_has_a_deleted_tag():
    call = Call()
    found = [[make_value(-1, tokens={"p:a": TOKEN}), None, OTHER]]
    with pytest.raises(OSError, match="x"):
        call.run(found, [b"OK"], [1], default=OSError("x"), grace=60, tags=("p:a",))


def test_a_value_that_lacks_a_tag_of_the_call_is_computed_again():
    call = Call()
    found = [[make_value(), None, TOKEN]]
    assert call.run(found, [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"


@pytest.mark.parametrize(("token", "result"), [(OTHER, "old"), (TOKEN, "new")])
def test_tags_that_the_call_does_not_have_are_read_with_one_more_command(token, result):
    call = Call()
    value = make_value(tokens={"p:a": TOKEN, "p:b": OTHER})
    replies = [] if result == "old" else [[b"OK"], [b"OK"], [1]]
    found = call.run([[value, None, TOKEN]], [[token]], *replies, grace=60, tags=("p:a",))
    assert found == result
    assert call.sent[1] == ("MGET", "continuum:tag:p:b")


def test_a_token_that_another_caller_creates_first_is_used():
    call = Call()
    found = [[None, None, None]]
    call.run(found, [b"OK"], [None], [[OTHER]], [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.stored[0].tokens == {"p:a": OTHER}


@pytest.mark.parametrize("token", [None, b"not a token"])
def test_a_value_whose_tag_has_no_token_is_stored_with_one_that_does_not_exist(token):
    call = Call()
    found = [[None, None, token]]
    call.run(found, [b"OK"], [None], [[token]], [b"OK"], [1], grace=60, tags=("p:a",))
    assert len(call.stored[0].tokens["p:a"]) == 12


def test_a_token_that_a_full_database_does_not_store_makes_the_value_invalid():
    call = Call()
    full = CapacityExceeded("ERR DB capacity quota exceeded")
    found = [[None, None, None]]
    assert call.run(found, [b"OK"], [full], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"


def test_another_error_of_a_token_is_raised():
    call = Call()
    with pytest.raises(ReplyError, match="NOPERM"):
        call.run([[None, None]], [ReplyError("NOPERM")], tags=("p:a",))


# ---- arguments


def test_no_option_needs_no_protection():
    assert make_protection(None, None, None, ()) is None
    assert make_protection(False, 0, None, ()) is None


@pytest.mark.parametrize("option", [-1, float("nan")])
@pytest.mark.parametrize("name", ["early", "grace", "wait"])
def test_a_negative_option_is_rejected(name, option):
    options = {"early": None, "grace": None, "wait": None, name: option}
    with pytest.raises(ValueError, match=name):
        make_protection(**options, tags=())


@pytest.mark.parametrize("name", ["early", "grace", "wait"])
def test_an_option_that_is_no_number_is_rejected(name):
    options = {"early": None, "grace": None, "wait": None, name: "5"}
    with pytest.raises(TypeError, match=f"{name} must be a number, not '5'"):
        make_protection(**options, tags=())


def test_the_lease_is_longer_than_the_others_wait():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=100)
    assert call.sent[1][4] == 100_000
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=1e9)
    assert call.sent[1][4] == early._MAX_LEASE_MS


@pytest.mark.parametrize(("compute_ms", "lease_ms"), [(100, 30_000), (40_000, 80_000)])
def test_the_lease_of_a_refresh_is_twice_as_long_as_the_last_computation(compute_ms, lease_ms):
    call = Call()
    value = make_value(-1, compute_ms=compute_ms)
    call.run([[value, None]], [b"OK"], [b"OK"], [1], grace=60)
    assert call.sent[1][4] == lease_ms
    call = Call()
    value = make_value(-1, compute_ms=2**32 - 1)
    call.run([[value, None]], [b"OK"], [b"OK"], [1], grace=60)
    assert call.sent[1][4] == early._MAX_LEASE_MS


def test_no_limit_is_a_limit():
    call = Call()
    inf = float("inf")
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=inf, early=inf, grace=inf)
    assert call.sent[1][4] == early._MAX_LEASE_MS
    call = Call(rng=0.5)
    assert call.run([[make_value(), None]], [b"OK"], [b"OK"], [1], early=inf) == "new"


class TestForce:
    def test_the_value_is_stored_without_being_read(self):
        call = Call()
        assert call.run([b"OK"], force=True) == "new"
        assert call.sent == [("SET", KEY, NEW, "PX", 60_000)]

    def test_the_tokens_of_tags_are_read_before_it_is_computed(self):
        call = Call()
        assert call.run([[TOKEN]], [b"OK"], tags=("p:a",), grace=10, force=True) == "new"
        assert call.sent[0] == ("MGET", TAG)
        assert call.sent[1][:2] == ("SET", KEY)
        assert unpack_envelope(call.sent[1][2]).tokens == {"p:a": TOKEN}

    def test_an_error_of_the_function_is_raised(self):
        call = Call()
        with pytest.raises(LookupError):
            call.run(default=LookupError(), grace=10, force=True)
        assert call.sent == []


class TestNone:
    def test_it_is_not_stored(self):
        call = Call()
        assert call.run([[None]], default=None, cache_none=False) is None
        assert call.names == ["MGET"]

    def test_it_replaces_an_old_value_by_none(self):
        call = Call()
        old = make_value(-1)
        reads = ([[old, None]], [b"OK"], [1], [1])
        assert call.run(*reads, default=None, grace=10, cache_none=False) is None
        assert call.names == ["MGET", "SET lease", "DEL value", "DELEX lease"]

    def test_another_value_is_stored(self):
        call = Call()
        assert call.run([[None]], [b"OK"], cache_none=False) == "new"
        assert call.names == ["MGET", "SET value"]
