"""Which URLs and addresses may be fetched: only the ones that are unambiguously on the public internet.

A name is resolved once per connection, and *all* its addresses must be public. The socket connects to the checked
address (``guarded_http.py`` takes addresses, never names), so DNS rebinding has no effect.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urljoin, urlsplit

import idna

NOT_PUBLIC = "this URL cannot be used: it must be a public https address"
"""The text of every refusal by the URL policy. It reveals neither the rule that refused nor a name's addresses."""


class FetchFailed(Exception):
    """A URL does not lead to a usable file. ``reason`` is written for the author of the post."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(FetchFailed):
    """The file is not usable: policy, 4xx, wrong type, too large. ``status``: the HTTP status, if any."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Unanswered(FetchFailed):
    """No usable response: timeout, DNS, reset, 5xx, 429. The same URL may work later."""


def not_public() -> Refused:
    """Return the refusal by the URL policy."""
    return Refused(NOT_PUBLIC)


Resolver = Callable[[str], Sequence[str]]
"""Host name -> addresses as text. Raises OSError (``socket.gaierror``) when there are none."""
Network = IPv4Network | IPv6Network

MAX_URL = 8192
"""Characters; presigned URLs have up to about 2,000."""
# From the IANA IPv4 and IPv6 special-purpose address registries (iana.org/assignments, read 2026-11). Also refused:
# blocks they call reachable where no media server is, and Azure's host channel, which has a public address.
_REFUSED_4 = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_6 = ip_network("2000::/3")  # the only IPv6 space assigned for unicast so far
_REFUSED_6 = (
    tuple(  # inside 2000::/3: protocol assignments with Teredo, documentation, 6to4, AS112, documentation
        ip_network(text)
        for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
    )
)
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: packets go to the IPv4 address in its last 32 bits

_FORBIDDEN_CHARACTERS = re.compile(
    r"[\x00-\x20\x7f\\\ud800-\udfff]"
)  # characters that urlsplit strips silently, or that browsers read as "/"
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")  # browsers read a host with such a last label as IPv4
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The target of one request: the name to resolve, Host and SNI, and the path."""

    scheme: str
    host: str
    """ASCII (punycode) name or address literal, without brackets or trailing dot."""
    port: int
    path: str
    trusted: bool = False
    """True if it is one of the allowed origins, which may use plain http and private addresses."""

    @property
    def origin(self) -> str:
        """``scheme://host:port``, always with the port."""
        return f"{self.scheme}://{self.authority}:{self.port}"

    @property
    def authority(self) -> str:
        """The host as written in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def host_header(self) -> str:
        """The Host header: with the port only if it is not the scheme's default."""
        return self.authority if self.port == _PORTS[self.scheme] else f"{self.authority}:{self.port}"


def parse_target(url: str, allowed_origins: Collection[str] = ()) -> Target:
    """Return the target of ``url``. Raises Refused, always with the same text, if the policy does not allow it."""
    if len(url) > MAX_URL or _FORBIDDEN_CHARACTERS.search(url):
        raise not_public()
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:  # a bad port, bracket or full-width delimiter
        raise not_public() from None
    bracketed = "[" in parts.netloc
    if (
        scheme not in _PORTS or "@" in parts.netloc or bracketed != (":" in host)
    ):  # "[v1.x]" is no IPv6 literal
        raise not_public()
    path = quote(parts.path or "/", safe="%/:@!$&'()*+,;=~") + (
        parts.query and "?" + quote(parts.query, safe=_QUERY)
    )
    found = Target(
        scheme=scheme, host=host, port=_PORTS[scheme] if port is None else port, path=path, trusted=True
    )
    if found.origin in allowed_origins:
        return found
    if scheme != "https" or found.port != _PORTS["https"]:
        raise not_public()
    return Target(scheme=scheme, host=_normalize_host(host), port=found.port, path=path)


_QUERY = "%/:@!$&'()*+,;=~?[]"


def require_allowed(url: str, allowed_origins: Collection[str] = ()) -> None:
    """Raise Refused if *url* can never be allowed, whatever its name resolves to."""
    where = parse_target(url, allowed_origins)
    if not where.trusted and _is_literal(where.host) and not is_public(where.host):
        raise not_public()


def resolve_redirect(here: Target, location: str, allowed_origins: Collection[str] = ()) -> Target:
    """Return the target of a redirect. Raises Refused; also for one from elsewhere to an allowed origin, or to http."""
    try:
        url = urljoin(here.origin + here.path, location)
    except ValueError:
        raise not_public() from None
    there = parse_target(url, allowed_origins)
    if there.trusted and not here.trusted:
        raise not_public()
    return there


def _normalize_host(host: str) -> str:
    """Return the name or address literal in canonical form. Raises Refused for anything ambiguous."""
    if ":" in host:
        return _parse_literal(host)
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:  # idna.IDNAError is one
            raise not_public() from None
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _parse_literal(name)  # 127.1, 0x7f.1, 0177.0.0.1 and 2130706433 are not canonical literals
    if len(name) > 253 or not _NAME.fullmatch(name):  # noqa: PLR2004  RFC 1035
        raise not_public()
    return name


def _parse_literal(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        raise not_public() from None
    if "%" in host:
        raise not_public()
    return str(address)


def is_public(text: str, refused: Sequence[Network] = ()) -> bool:
    """Return True if an address is public unicast and in none of the ``refused`` networks."""
    address = ip_address(text)
    if address in _NAT64:
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)), refused)
    if any(address in network for network in refused):
        return False
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)
    return not any(address in network for network in _REFUSED_4)


def system_resolver(host: str) -> Sequence[str]:
    """Resolve with the machine's resolver. A dotted name is made absolute, so no search domain is appended."""
    name = f"{host}." if "." in host else host
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


def resolve_addresses(where: Target, resolver: Resolver, refused: Sequence[Network] = ()) -> Sequence[str]:
    """Resolve the target once. Raises Refused if any address is not public, Unanswered if there are none.

    All must be public: DNS rebinding uses mixed answers.
    """
    try:
        found = [where.host] if _is_literal(where.host) else list(dict.fromkeys(resolver(where.host)))
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise Unanswered("the host name could not be resolved")
    if not where.trusted and not all(is_public(address, refused) for address in found):
        raise not_public()
    return found


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
