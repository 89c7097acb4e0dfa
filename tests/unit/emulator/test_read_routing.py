import pytest

from continuum_upstash.emulator.faults.read_routing import Views, base32, read_base32
from continuum_upstash.emulator.redis.connection import Address, Pool


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (31, "v"), (32, "10"), (1023, "vv")])
def test_tokens_are_base_32(number, text):
    assert base32(number) == text
    assert read_base32(text) == number


@pytest.mark.parametrize("token", ["", "not a token", "~", "w"])
def test_a_token_that_is_not_ours_is_the_beginning(token):
    assert read_base32(token) == 0


@pytest.fixture
def pools():
    return Pool(Address(path="primary")), Pool(Address(path="replica"))


def test_without_a_replica_every_read_sees_the_primary(pools):
    views = Views(pools[0])
    views.wrote()
    assert views.for_reading("").pool is pools[0]


def test_a_lagging_replica_serves_reads_until_a_token_asks_for_more(pools):
    primary, replica = pools
    views = Views(primary)
    views.lag(replica, delay=3600)
    before = views.token
    views.wrote()
    assert views.for_reading("").pool is replica
    assert views.for_reading(before).pool is replica
    assert views.for_reading(views.token).pool is primary
    assert views.for_writing().pool is primary


def test_what_the_replica_serves_carries_the_replicas_token(pools):
    primary, replica = pools
    views = Views(primary)
    views.lag(replica, delay=3600)
    before = views.token
    views.wrote()
    assert views.for_reading("").token == before
    assert views.token != before
