from __future__ import annotations

import pytest

from continuum_upstash.errors import LockLost, LockNotAcquired, ReplyError
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Sleep
from continuum_upstash.plans.locks import EXTEND, RELEASE, Lock, _Attempt
from continuum_upstash.plans.runner import Runner, run


class Server:
    """Returns the next reply for each command; time passes only while a plan sleeps."""

    def __init__(self, *replies):
        self.replies, self.sent, self.batches, self.now = list(replies), [], [], 0.0

    def run(self, plan):
        def send(batch):
            self.batches.append(batch)
            self.sent.extend(batch.commands)
            return [self.replies.pop(0)]

        try:
            effect = next(plan)
            while True:
                if isinstance(effect, Sleep):
                    self.now += effect.seconds
                    effect = plan.send(None)
                else:
                    effect = plan.send(send(effect))
        except StopIteration as stop:
            return stop.value

    def lock(self, **options):
        return Lock(self, "lock:a", clock=lambda: self.now, **options)


@pytest.mark.parametrize("native", [True, False])
def test_acquire_and_release_take_one_command_each(native):
    server = Server(b"OK", 1)
    with server.lock(lease=1.5, conditional=ConditionalCommands(supported=native)) as lock:
        token = server.sent[0][2]
        assert server.sent == [("SET", "lock:a", token, "PX", 1500, "NX")]
        assert lock.name == "lock:a"
    release = ("DELEX", "lock:a", "IFEQ", token)
    assert server.sent[1] == (release if native else ("EVAL", RELEASE, 1, "lock:a", token))
    assert all(batch.needs_server for batch in server.batches)


def test_each_acquire_uses_a_new_token():
    tokens = set()
    for _ in range(20):
        server = Server(b"OK")
        server.lock().acquire()
        tokens.add(server.sent[0][2])
    assert len(tokens) == 20


def test_acquire_retries_with_growing_delays_until_the_timeout():
    server = Server(*[None] * 50)
    assert server.lock(wait=10, sleep=0.1).acquire() is False
    assert 8 < server.now <= 10
    assert len(server.sent) < 25
    server = Server(None, None, b"OK")
    assert server.lock(sleep=0.1).acquire() is True


def test_nonblocking_acquire_makes_one_attempt():
    server = Server(None)
    assert server.lock().acquire(blocking=False) is False
    assert server.now == 0


def test_with_raises_if_the_lock_was_not_acquired():
    with pytest.raises(LockNotAcquired, match=r"within 0\.5 s"), Server(*[None] * 9).lock(wait=0.5):
        pytest.fail("the body must not run")


@pytest.mark.parametrize("native", [True, False])
def test_an_expired_lease_raises_lock_lost(native):
    lock = Server(b"OK", 0).lock(conditional=ConditionalCommands(supported=native))
    lock.acquire()
    with pytest.raises(LockLost, match="expired before it was released"):
        lock.release()
    with pytest.raises(LockLost, match="does not hold the lock"):
        lock.release()


def test_extend_restarts_the_lease():
    server = Server(b"OK", 1, b"OK", None)
    lock = server.lock(lease=2)
    lock.acquire()
    token = server.sent[0][2]
    lock.extend(5)
    assert server.sent[1] == ("EVAL", EXTEND, 1, "lock:a", token, 5000)
    lock = server.lock(lease=2, conditional=ConditionalCommands(supported=True))
    lock.acquire()
    with pytest.raises(LockLost):
        lock.extend()
    command, name, value, *rest = server.sent[3]
    assert (command, name, rest) == ("SET", "lock:a", ["IFEQ", value, "PX", 2000])


def test_locked_and_owned():
    server = Server(1, b"OK", b"another token")
    lock = server.lock()
    assert lock.locked() is True
    assert lock.owned() is False
    lock.acquire()
    assert lock.owned() is False


def test_invalid_times_are_rejected():
    for options in ({"lease": 0}, {"sleep": 0}, {"lease": -1}):
        with pytest.raises(ValueError, match="seconds above 0"):
            Server().lock(**options)
    lock = Server(b"OK").lock()
    lock.acquire()
    for lease in (0, -1):
        with pytest.raises(ValueError, match="seconds above 0"):
            lock.extend(lease)


def test_an_endless_lease_is_the_longest_that_redis_accepts():
    server = Server(b"OK")
    server.lock(lease=float("inf")).acquire()
    assert server.sent[0][3:] == ("PX", 2**52, "NX")


def test_the_plans_of_a_lock_run_on_any_runner():
    server = Server()
    sent = []

    def send(batch):
        sent.append(batch.commands)
        return [b"OK"]

    runner = Runner(send, lambda value: b"", lambda key, run_it: run_it())
    assert run(server.lock()._acquire(_Attempt(), blocking=True), runner) is True
    assert len(sent) == 1


UNSUPPORTED = [
    "ERR Command is not available: 'DELEX'. See https://upstash.com/docs/redis/overall/compatibility",
    "ERR unknown command 'DELEX', with args beginning with: 'lock:a' 'IFEQ' ",
    "ERR syntax error",
]


@pytest.mark.parametrize("text", UNSUPPORTED)
def test_a_server_without_delex_gets_a_script_from_then_on(text):
    conditional = ConditionalCommands(supported=True)
    server = Server(b"OK", ReplyError(text), 1, b"OK", 1)
    for _ in range(2):
        with server.lock(conditional=conditional):
            pass
    assert [command[0] for command in server.sent] == ["SET", "DELEX", "EVAL", "SET", "EVAL"]


def test_a_server_without_ifeq_extends_by_a_script():
    server = Server(b"OK", ReplyError("ERR syntax error"), 1)
    lock = server.lock(conditional=ConditionalCommands(supported=True))
    lock.acquire()
    lock.extend(5)
    assert server.sent[-1][:2] == ("EVAL", EXTEND)


def test_another_error_of_a_release_is_raised():
    server = Server(b"OK", ReplyError("WRONGTYPE Operation against a key"))
    lock = server.lock(conditional=ConditionalCommands(supported=True))
    lock.acquire()
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        lock.release()
