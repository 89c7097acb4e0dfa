import pytest

from continuum_upstash.emulator.faults.read_routing import ReadRouter, decode_base32, encode_base32
from continuum_upstash.emulator.redis.upstream import Address, UpstreamPool


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (31, "v"), (32, "10"), (1023, "vv")])
def test_sync_tokens_are_base_32(number, text):
    assert encode_base32(number) == text
    assert decode_base32(text) == number


@pytest.mark.parametrize("token", ["", "not a token", "~", "w"])
def test_a_foreign_sync_token_counts_as_zero(token):
    assert decode_base32(token) == 0


@pytest.fixture
def pools():
    return UpstreamPool(Address(path="primary")), UpstreamPool(Address(path="replica"))


def test_without_a_replica_every_read_goes_to_the_primary(pools):
    router = ReadRouter(pools[0])
    router.on_write()
    assert router.route_read("").pool is pools[0]


def test_a_lagging_replica_serves_reads_without_a_newer_sync_token(pools):
    primary, replica = pools
    router = ReadRouter(primary)
    router.set_replica(replica, delay=3600)
    before = router.token
    router.on_write()
    assert router.route_read("").pool is replica
    assert router.route_read(before).pool is replica
    assert router.route_read(router.token).pool is primary
    assert router.route_write().pool is primary


def test_a_read_from_the_replica_returns_the_sync_token_of_the_replica(pools):
    primary, replica = pools
    router = ReadRouter(primary)
    router.set_replica(replica, delay=3600)
    before = router.token
    router.on_write()
    assert router.route_read("").token == before
    assert router.token != before
