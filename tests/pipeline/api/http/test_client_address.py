from __future__ import annotations

from ipaddress import ip_network

import pytest

from config.settings import SettingsError, load
from pipeline.api.http.request import choose_address
from pipeline.store.auth.sessions import name_address

PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.1")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # the peer is no proxy: it may write what it likes
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the client's own entry is not believed
        ("10.0.0.1", "198.51.100.1, 192.0.2.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("unknown", "198.51.100.1", "unknown"),
    ],
)
def test_only_named_proxies_say_where_a_request_comes_from(peer: str, forwarded: str, address: str) -> None:
    assert choose_address(peer, forwarded, PROXIES) == address


def test_without_named_proxies_the_peer_is_the_client() -> None:
    assert choose_address("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


def test_an_ipv6_network_is_one_customers() -> None:
    assert name_address("2001:db8:1:2::1") == name_address("2001:db8:1:2:ffff::9")
    assert name_address("2001:db8:1:2::1") != name_address("2001:db8:1:3::1")
    assert name_address("10.0.0.1") != name_address("10.0.0.2")


def test_a_proxy_that_is_no_network_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"SLIPWAY_API__PROXIES.*10\.0\.0\.300"):
        load({**environment, "SLIPWAY_API__PROXIES": "10.0.0.0/8, 10.0.0.300"})
