"""The address of a client, and attempts to forge it."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.client_ip import TrustedProxies

TRUSTED = ["10.0.0.0/8", "2001:db8:ffff::/48"]
PEER = "203.0.113.9"


def get_client(remote=PEER, forwarded=None, trusted=(), **settings):
    meta = {"REMOTE_ADDR": remote}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    return TrustedProxies(trusted, **settings).get_client_key(meta)


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "expected"),
    [
        # By default, no header is trusted.
        (PEER, "1.2.3.4", (), PEER),
        (PEER, "1.2.3.4", TRUSTED, PEER),
        # A trusted proxy is trusted for the part that it has appended: the right-most one.
        ("10.0.0.1", "1.2.3.4", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6,1.2.3.4 , 10.0.0.3,10.0.0.2", TRUSTED, "1.2.3.4"),
        ("10.0.0.1", "10.0.0.7, 10.0.0.2", TRUSTED, "10.0.0.7"),
        ("10.0.0.1", None, TRUSTED, "10.0.0.1"),
        ("10.0.0.1", "", TRUSTED, "10.0.0.1"),
        # If a part is not an address, the client is the proxy that has appended it.
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
        # By the number of proxies.
        (PEER, "6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        (PEER, "6.6.6.6, 1.2.3.4, 10.0.0.2", 2, "1.2.3.4"),
        (PEER, "1.2.3.4", 2, PEER),
        (PEER, "1.2.3.4, garbage", 1, PEER),
        # On a Unix socket, the peer has no address.
        ("", "1.2.3.4", ["unix"], "1.2.3.4"),
        ("", "1.2.3.4", TRUSTED, "unknown"),
        ("", None, ["unix"], "unknown"),
        ("", "1.2.3.4", 1, "1.2.3.4"),
    ],
)
def test_trusted_proxies_determine_the_client(remote, forwarded, trusted, expected):
    assert get_client(remote, forwarded, trusted) == expected


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
def test_an_address_has_one_form_and_ipv6_clients_are_networks(text, expected):
    assert get_client(text) == expected


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_ipv4_mapped_addresses_are_distinct_clients(one, other):
    assert (get_client(f"::ffff:{one}") == get_client(f"::ffff:{other}")) == (one == other)
    assert get_client(f"::ffff:{one}") == get_client(str(one)) == str(one)


@given(st.integers(0, 2**61 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_64_are_one_client(network, one, other):
    prefix = (0b001 << 61 | network) << 64  # 2000::/3, the addresses of the Internet
    clients = {get_client(str(IPv6Address(prefix | suffix))) for suffix in (one, other)}
    assert len(clients) == 1


def test_the_prefix_length_of_ipv6_networks_can_be_set():
    assert get_client("2001:db8:1:2::1", ipv6_prefix=48) == "2001:db8:1::/48"


@given(st.text(max_size=60), st.text(max_size=200) | st.binary(max_size=90).map(repr))
def test_no_header_raises_an_error(remote, forwarded):
    for trusted in ((), ["10.0.0.0/8", "unix"], 1, 3):
        assert get_client(remote, forwarded, trusted)


@given(st.text(max_size=80), st.ip_addresses(v=4, network="198.51.100.0/24"))
def test_no_header_changes_the_address_of_an_untrusted_peer(forwarded, peer):
    assert get_client(str(peer), forwarded, TRUSTED) == str(peer)


@given(st.lists(st.ip_addresses(v=4), max_size=6), st.ip_addresses(v=4))
def test_the_part_that_a_client_can_write_is_ignored(forged, address):
    header = ", ".join(map(str, [*forged, address]))
    expected = get_client("10.0.0.1", str(address), ["10.0.0.1/32"])
    if str(address) != "10.0.0.1":
        assert get_client("10.0.0.1", header, ["10.0.0.1/32"]) == expected == str(address)


def test_another_header_can_contain_the_address():
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_CF_CONNECTING_IP": "1.2.3.4"}
    assert TrustedProxies(TRUSTED, "CF-Connecting-IP").get_client_key(meta) == "1.2.3.4"
    assert TrustedProxies((), "CF-Connecting-IP").get_client_key(meta) == "10.0.0.1"


@pytest.mark.parametrize("remote", ["2002:a00:1::1", "64:ff9b::10.0.0.1"])
def test_a_tunnel_from_a_trusted_address_is_not_trusted(remote):
    assert get_client(remote, "1.2.3.4", ["10.0.0.0/8"]) == "10.0.0.1"


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "::ffff:10.0.0.0/104"])
@pytest.mark.parametrize("remote", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_network_matches_in_both_notations(trusted, remote):
    assert get_client(remote, "1.2.3.4", [trusted]) == "1.2.3.4"


@pytest.mark.parametrize("header", [None, "", ["X-Real-IP"]])
def test_an_invalid_header_name_is_rejected(header):
    with pytest.raises(ConfigurationError, match="PROXY_HEADER"):
        TrustedProxies(TRUSTED, header)


@pytest.mark.parametrize(
    "trusted",
    [
        ["0.0.0.0/0"],
        [5],
        1.5,
        None,
        ["::/0"],
        ["10.0.0.1/8"],
        ["all"],
        "10.0.0.0/8",
        True,
        -1,
        99,
    ],
)
def test_invalid_proxies_are_rejected(trusted):
    with pytest.raises(ConfigurationError):
        TrustedProxies(trusted)


@pytest.mark.parametrize("bits", [0, 31, 129, "64", True])
def test_invalid_ipv6_prefixes_are_rejected(bits):
    with pytest.raises(ConfigurationError):
        TrustedProxies(ipv6_prefix=bits)
