"""Whether the ports we need are free; if not: which, who holds it, and what to set instead."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A port somebody is about to listen on, and the setting that moves it."""

    what: str
    host: str
    port: int
    setting: str


def busy(wanted: list[Wanted]) -> list[str]:
    """One sentence for each port that cannot be listened on, or that two of ours want."""
    said: list[str] = []
    seen: dict[tuple[str, int], Wanted] = {}
    for one in wanted:
        if (other := seen.setdefault((one.host, one.port), one)) is not one:
            said.append(
                f"{one.what} and {other.what} both want port {one.port}. "
                f"Set {one.setting} or {other.setting} to another."
            )
        elif trouble := _trouble(one):
            said.append(f"{trouble} Set {one.setting} to another, for example in .slipway/settings.env.")
    return said


def _trouble(one: Wanted) -> str:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {one.port} ({one.what}) is taken{_holder(one.port)}."
        return f"{one.what} cannot listen on {one.host}:{one.port}: {error.strerror or error}."
    return ""


def _holder(port: int) -> str:
    """Who listens there, as far as this user may know."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())[:80] or process.name()
                return f" by process {process.pid} ({command})"
    return ""
