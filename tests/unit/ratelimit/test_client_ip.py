"""Whose address counts: the attacks that a limiter meets."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.client_ip import Proxies

TRUSTED = ["10.0.0.0/8", "2001:db8:ffff::/48"]
PEER = "203.0.113.9"


def client(remote=PEER, forwarded=None, trusted=(), **settings):
    meta = {"REMOTE_ADDR": remote}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    return Proxies(trusted, **settings).client(meta)


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "expected"),
    [
        # Nobody is believed by default.
        (PEER, "1.2.3.4", (), PEER),
        (PEER, "1.2.3.4", TRUSTED, PEER),
        # A trusted proxy is, for what it has added itself: the right-most part.
        ("10.0.0.1", "1.2.3.4", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6,1.2.3.4 , 10.0.0.3,10.0.0.2", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "10.0.0.7, 10.0.0.2", TRUSTED, "10.0.0.7"),
        ("10.0.0.1", None, TRUSTED, "10.0.0.1"),
        ("10.0.0.1", "", TRUSTED, "10.0.0.1"),
        # What is no address is the nearest proxy's own affair, and no bucket that all share.
        ("10.0.0.1", "unknown", TRUSTED, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, garbage", TRUSTED, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, , 10.0.0.2", TRUSTED, "10.0.0.2"),
        ("10.0.0.1", "9" * 10_240, TRUSTED, "10.0.0.1"),
        # Ports, brackets, quotes and zones.
        ("10.0.0.1", "1.2.3.4:5678", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", '"[2001:db8::1]:443"', TRUSTED, "2001:db8::/64"),
        ("10.0.0.1", "[2001:db8::1]", TRUSTED, "2001:db8::/64"),
        ("fe80::1%eth0", None, (), "fe80::/64"),
        ("2001:db8:ffff::1", "1.2.3.4", TRUSTED, "1.2.3.4"),
        # By their number.
        (PEER, "6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        (PEER, "6.6.6.6, 1.2.3.4, 10.0.0.2", 2, "1.2.3.4"),
        (PEER, "1.2.3.4", 2, PEER),
        (PEER, "1.2.3.4, garbage", 1, PEER),
        # Over a Unix socket there is no peer.
        ("", "1.2.3.4", ["unix"], "1.2.3.4"),
        ("", "1.2.3.4", TRUSTED, "unknown"),
        ("", None, ["unix"], "unknown"),
        ("", "1.2.3.4", 1, "1.2.3.4"),
    ],
)
def test_the_client_is_whom_trusted_proxies_name(remote, forwarded, trusted, expected):
    assert client(remote, forwarded, trusted) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::ffff:102:304", "1.2.3.4"),
        ("2002:102:304::1", "1.2.3.4"),
        ("2002:102:304:ffff::1", "1.2.3.4"),
        ("64:ff9b::1.2.3.4", "1.2.3.4"),
        ("2001:DB8:0:0:1::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
    ],
)
def test_an_address_has_one_spelling_and_ipv6_is_counted_by_network(text, expected):
    assert client(text) == expected


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_ipv4_clients_in_the_clothes_of_ipv6_stay_apart(one, other):
    assert (client(f"::ffff:{one}") == client(f"::ffff:{other}")) == (one == other)
    assert client(f"::ffff:{one}") == client(str(one)) == str(one)


@given(st.integers(0, 2**61 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_who_rotates_addresses_within_a_64_stays_one_client(network, one, other):
    prefix = (0b001 << 61 | network) << 64  # 2000::/3, the addresses of the Internet
    clients = {client(str(IPv6Address(prefix | suffix))) for suffix in (one, other)}
    assert len(clients) == 1


def test_the_length_of_an_ipv6_network_is_a_setting():
    assert client("2001:db8:1:2::1", ipv6_prefix=48) == "2001:db8:1::/48"


@given(st.text(max_size=60), st.text(max_size=200) | st.binary(max_size=90).map(repr))
def test_no_header_makes_it_fail(remote, forwarded):
    for trusted in ((), ["10.0.0.0/8", "unix"], 1, 3):
        assert client(remote, forwarded, trusted)


@given(st.text(max_size=80), st.ip_addresses(v=4, network="198.51.100.0/24"))
def test_no_header_changes_who_an_untrusted_peer_is(forwarded, peer):
    assert client(str(peer), forwarded, TRUSTED) == str(peer)


@given(st.lists(st.ip_addresses(v=4), max_size=6), st.ip_addresses(v=4))
def test_what_a_client_writes_ahead_of_a_proxy_changes_nothing(forged, address):
    header = ", ".join(map(str, [*forged, address]))
    expected = client("10.0.0.1", str(address), ["10.0.0.1/32"])
    if str(address) != "10.0.0.1":
        assert client("10.0.0.1", header, ["10.0.0.1/32"]) == expected == str(address)


def test_another_header_may_hold_the_address():
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_CF_CONNECTING_IP": "1.2.3.4"}
    assert Proxies(TRUSTED, "CF-Connecting-IP").client(meta) == "1.2.3.4"
    assert Proxies((), "CF-Connecting-IP").client(meta) == "10.0.0.1"


@pytest.mark.parametrize("remote", ["2002:a00:1::1", "64:ff9b::10.0.0.1"])
def test_who_comes_by_a_tunnel_from_a_trusted_address_is_not_trusted(remote):
    assert client(remote, "1.2.3.4", ["10.0.0.0/8"]) == "10.0.0.1"


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "::ffff:10.0.0.0/104"])
@pytest.mark.parametrize("remote", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_network_is_the_same_in_both_notations(trusted, remote):
    assert client(remote, "1.2.3.4", [trusted]) == "1.2.3.4"


@pytest.mark.parametrize("header", [None, "", ["X-Real-IP"]])
def test_a_header_is_named_by_text(header):
    with pytest.raises(ConfigurationError, match="PROXY_HEADER"):
        Proxies(TRUSTED, header)


@pytest.mark.parametrize(
    "trusted",
    [
        ["0.0.0.0/0"],
        [5],
        1.5,
        None,
        ["::/0"],
        ["10.0.0.1/8"],
        ["everybody"],
        "10.0.0.0/8",
        True,
        -1,
        99,
    ],
)
def test_whom_not_to_trust(trusted):
    with pytest.raises(ConfigurationError):
        Proxies(trusted)


@pytest.mark.parametrize("bits", [0, 31, 129, "64", True])
def test_how_long_an_ipv6_network_is_not(bits):
    with pytest.raises(ConfigurationError):
        Proxies(ipv6_prefix=bits)
