"""Which URLs and addresses the URL policy allows; no network is used."""

from __future__ import annotations

import socket

import pytest

from pipeline.media.url_policy import (
    NOT_PUBLIC,
    Refused,
    Unanswered,
    is_public,
    parse_target,
    resolve_addresses,
    resolve_redirect,
)

SANDBOX = frozenset({"http://127.0.0.1:8099"})


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.com/a.mp4", "example.com", "/a.mp4"),
        ("HTTPS://EXAMPLE.com:443/a?b=c#d", "example.com", "/a?b=c"),
        ("https://example.com.", "example.com", "/"),
        ("https://my_bucket.s3.example.com/x%20y", "my_bucket.s3.example.com", "/x%20y"),
        ("https://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
        ("https://straße.example/", "xn--strae-oqa.example", "/"),  # IDNA 2008, as browsers do
        ("https://8.8.8.8/", "8.8.8.8", "/"),
        ("https://[2606:4700::1111]/", "2606:4700::1111", "/"),
    ],
)
def test_public_https_urls_are_taken_in_one_canonical_form(url: str, host: str, path: str) -> None:
    found = parse_target(url)
    assert (found.scheme, found.host, found.port, found.path, found.trusted) == (
        "https",
        host,
        443,
        path,
        False,
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",  # not https
        "ftp://example.com/",
        "file:///etc/passwd",
        "//example.com/",
        "example.com",
        "",
        "https://",
        "https:///x",
        "https://example.com:8443/",  # not 443
        "https://example.com:80/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://user@example.com/",  # userinfo
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exam\tple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com/a b",
        "https://\ud800.example.com/",
        "https://localhost/",  # one label
        "https://metadata/",
        "https://example..com/",  # empty labels
        "https://.example.com/",
        "https://example.com../",
        "https://-a.example.com/",
        "https://2130706433/",  # IPv4 in disguise
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1.0x/",
        "https://example.1/",
        "https://①②⑦.1/",
        "https://\uff11\uff12\uff17.1/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://example.com%2f@evil.example/",
        "https://exam%70le.com/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://example.com/" + "a" * 9000,
        "http://127.0.0.1:8098/",  # not the sandbox's port
        "http://127.0.0.1/",
        "http://localhost:8099/",
        "http://127.1:8099/",
        "https://127.0.0.1:8099/",  # not its scheme
        "http://x@127.0.0.1:8099/",
    ],
)
def test_every_other_url_is_refused_with_the_one_text(url: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_target(url, SANDBOX)
    assert refused.value.reason == NOT_PUBLIC


def test_the_sandboxs_exact_origin_is_taken() -> None:
    found = parse_target("http://127.0.0.1:8099/a.mp4", SANDBOX)
    assert (found.trusted, found.host_header) == (True, "127.0.0.1:8099")


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"),  # noqa: S104
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192"),
        *(
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.1.1",
            "192.175.48.1",
            "198.18.0.1",
        ),
        *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
        "255.255.255.255",
        *(
            "::",
            "::1",
            "::7f00:1",
            "::ffff:7f00:1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
        ),
        *("64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "64:ff9b:1::8.8.8.8", "100::1"),
        *(
            "2001::1",
            "2001:0:7f00:1::",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ),
        *(
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
        ),
        *("ff02::1", "4000::1", "1::1"),
    ],
)
def test_addresses_that_are_not_plainly_public_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ),
        "64:ff9b::8.8.8.8",  # an IPv6-only network reaches the public IPv4 internet like this
    ],
)
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


def test_an_operators_own_public_network_can_be_refused_too() -> None:
    from ipaddress import ip_network

    refused = (ip_network("8.8.8.0/24"),)
    assert not is_public("8.8.8.8", refused)
    assert not is_public("64:ff9b::8.8.8.8", refused)
    assert is_public("8.8.4.4", refused)


@pytest.mark.parametrize(
    "answers", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["::1", "8.8.8.8"]]
)
def test_one_private_answer_spoils_a_name(answers: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        resolve_addresses(parse_target("https://example.com/"), lambda _: answers)
    assert refused.value.reason == NOT_PUBLIC


def test_a_name_without_addresses_is_unanswered() -> None:
    def unknown(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    with pytest.raises(Unanswered, match="could not be resolved"):
        resolve_addresses(parse_target("https://example.com/"), unknown)


def test_a_literal_is_checked_without_a_look_up() -> None:
    with pytest.raises(Refused):
        resolve_addresses(parse_target("https://10.0.0.1/"), lambda _: ["8.8.8.8"])


@pytest.mark.parametrize(
    ("location", "lands"),
    [
        ("https://cdn.example.net/x", ("cdn.example.net", "/x")),
        ("/moved?x=1", ("example.com", "/moved?x=1")),
        ("b", ("example.com", "/dir/b")),
        ("//cdn.example.net/y", ("cdn.example.net", "/y")),
    ],
)
def test_redirects_are_resolved_against_the_hop_before(location: str, lands: tuple[str, str]) -> None:
    there = resolve_redirect(parse_target("https://example.com/dir/a"), location)
    assert (there.host, there.path) == lands


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/",
        "file:///etc/passwd",
        "https://user@example.com/",
        "https://[::1",
        "gopher://x.example/",
        "http://127.0.0.1:8099/",
    ],
)
def test_redirects_down_or_into_the_sandbox_are_refused(location: str) -> None:
    with pytest.raises(Refused) as refused:
        resolve_redirect(parse_target("https://example.com/a", SANDBOX), location, SANDBOX)
    assert refused.value.reason == NOT_PUBLIC
