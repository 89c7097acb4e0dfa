"""What a feature keeps per process or per database: made once, and anew in a forked child."""

from __future__ import annotations

import os
import threading

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.transports import registry
from continuum_upstash.transports.database_state import Extras
from continuum_upstash.transports.registry import Database


class Counter:
    def __init__(self, start=0):
        self.value = start


def test_an_object_is_made_once_per_class():
    extras = Extras()
    counter = extras.get(Counter)
    assert type(counter) is Counter
    assert extras.get(Counter, lambda: Counter(7)) is counter
    assert Extras().get(Counter, lambda: Counter(7)).value == 7


def test_an_object_may_need_another_one_to_be_made():
    class Writer:
        def __init__(self, counter):
            self.counter = counter

    extras = Extras()
    writer = extras.get(Writer, lambda: Writer(extras.get(Counter)))
    assert writer.counter is extras.get(Counter)


def test_a_failure_to_make_an_object_is_not_kept():
    extras = Extras()
    with pytest.raises(ZeroDivisionError):
        extras.get(Counter, lambda: Counter(1 // 0))
    assert extras.get(Counter).value == 0


def test_threads_that_need_an_object_at_once_share_one():
    extras, barrier, found = Extras(), threading.Barrier(8), []

    def make():
        return Counter(len(found))

    def work():
        barrier.wait()
        found.append(extras.get(Counter, make))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_each_database_has_extras_of_its_own():
    one, other = Database(Config(alias="a")), Database(Config(alias="b"))
    assert one.extras.get(Counter) is one.extras.get(Counter)
    assert one.extras.get(Counter) is not other.extras.get(Counter)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_starts_without_its_parents_objects():
    database = registry.get_database(Config(alias="forked"))
    kept = [database.extras.get(Counter), registry.get_process_state(Counter)]
    pid = os.fork()
    if not pid:
        found = [database.extras.get(Counter), registry.get_process_state(Counter)]
        os._exit(any(a is b for a, b in zip(kept, found, strict=True)))
    assert os.waitpid(pid, 0)[1] == 0
    assert [database.extras.get(Counter), registry.get_process_state(Counter)] == kept
    registry.reset()
