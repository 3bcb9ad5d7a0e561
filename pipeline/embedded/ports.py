"""Checks that the ports of the stack are free; if not, names the port, its owner and the setting that moves it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import urlsplit

import psutil


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenAddress:
    """A port that a service will listen on, and the setting that changes it."""

    what: str
    host: str
    port: int
    setting: str
    url: str = ""
    """The present value of ``setting``, if that is a URL and no port."""

    def write_port(self, port: int) -> str:
        """Return the assignment that moves the service to a port."""
        return f"{self.setting}={self._move(f':{port}') if self.url else port}"

    def write_loopback(self) -> str:
        """Return the assignment that moves the service to the loopback address."""
        if self.url:
            return f"{self.setting}={self._move(f'{LOOPBACK}:{self.port}')}"
        return f"{self.setting.replace('__PORT', '__HOST')}={LOOPBACK}"

    def _move(self, address: str) -> str:
        parts = urlsplit(self.url)
        host, _, port = address.rpartition(":")
        return parts._replace(netloc=f"{host or parts.netloc.rpartition(':')[0]}:{port}").geturl()


LOOPBACK = "127.0.0.1"
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_PORT_ERRORS = frozenset({errno.EADDRINUSE, errno.EACCES})
"""Errors that another port mends; any other error is the host's."""


def find_conflicts(addresses: list[ListenAddress], find_place: Callable[[str], str]) -> list[str]:
    """Return a sentence for each port that is not available, or that two services would use, with what mends it.

    *find_place*: names where the value of a setting comes from.
    """
    conflicts: list[str] = []
    used, wrong_hosts = {one.port for one in addresses}, set[str]()
    for n, one in enumerate(addresses):
        other = next((o for o in addresses[:n] if _overlap(o, one)), None)
        error = None if other else _try_to_listen(one)
        if (other is None and error is None) or one.host in wrong_hosts:
            continue
        if error is None or error.errno in _PORT_ERRORS:
            used.add(free := _find_free(one, used))
            remedy = one.write_port(free)
        else:  # of two that listen on one host, the first one's setting has it
            wrong_hosts.add(one.host)
            remedy = one.write_loopback()
        place = find_place(remedy.partition("=")[0])
        conflicts.append(f"{_explain(one, other, error)} Set {remedy} in {place}.")
    return conflicts


def _explain(one: ListenAddress, other: ListenAddress | None, error: OSError | None) -> str:
    if other is not None:
        return f"{one.what} and {other.what} both use port {one.port}."
    if error is not None and error.errno == errno.EADDRINUSE:
        return f"Port {one.port} ({one.what}) is taken{_describe_owner(one.port)}."
    return f"{one.what} cannot listen on {one.host}:{one.port}: {getattr(error, 'strerror', None) or error}."


def _overlap(one: ListenAddress, other: ListenAddress) -> bool:
    hosts = {one.host, other.host}
    return one.port == other.port and (len(hosts) == 1 or bool(hosts & WILDCARDS))


def _find_free(one: ListenAddress, used: Container[int]) -> int:
    """Return the next port that nothing uses, above first."""
    ports = chain(range(one.port + 1, 65_536), range(1_024, one.port))
    return next(
        port for port in ports if port not in used and _try_to_listen(replace(one, port=port)) is None
    )


def _try_to_listen(one: ListenAddress) -> OSError | None:
    """Return why a service could not listen."""
    try:
        found = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _describe_owner(port: int) -> str:
    """Return the process that listens on the port, if this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())[:80] or process.name()
                return f" by process {process.pid} ({command})"
    return ""
