"""Checks that the ports of the stack are free; if not, names the port, its owner and the setting to change."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenAddress:
    """A port that a service will listen on, and the setting that changes it."""

    what: str
    host: str
    port: int
    setting: str


def find_conflicts(addresses: list[ListenAddress]) -> list[str]:
    """Return a sentence for each port that is not available, or that two services would use."""
    conflicts: list[str] = []
    seen: dict[tuple[str, int], ListenAddress] = {}
    for one in addresses:
        if (other := seen.setdefault((one.host, one.port), one)) is not one:
            conflicts.append(
                f"{one.what} and {other.what} both use port {one.port}. "
                f"Set {one.setting} or {other.setting} to another port."
            )
        elif problem := _explain_unavailable(one):
            conflicts.append(
                f"{problem} Set {one.setting} to another port, for example in .slipway/settings.env."
            )
    return conflicts


def _explain_unavailable(one: ListenAddress) -> str:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {one.port} ({one.what}) is taken{_describe_owner(one.port)}."
        return f"{one.what} cannot listen on {one.host}:{one.port}: {error.strerror or error}."
    return ""


def _describe_owner(port: int) -> str:
    """Return the process that listens on the port, if this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())[:80] or process.name()
                return f" by process {process.pid} ({command})"
    return ""
