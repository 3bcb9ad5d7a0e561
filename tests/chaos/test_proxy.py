from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.proxy import Address, Proxy, ProxyServer
from tests.conftest import free_ports
from tests.stack import until


class Echo(socketserver.BaseRequestHandler):
    """Echo what arrives, and record it."""

    got: list[bytes] = []  # noqa: RUF012

    def handle(self) -> None:
        with suppress(OSError):  # a test may have reset the connection
            while data := self.request.recv(65536):
                self.got.append(data)
                self.request.sendall(data)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True


@pytest.fixture(params=["unix", "tcp"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy in front of an echo server, over unix sockets and over TCP."""
    Echo.got.clear()
    with tempfile.TemporaryDirectory(prefix="proxy-", dir="/tmp") as folder:
        at: Address
        behind: Address
        server: UnixServer | TcpServer
        if request.param == "unix":
            at, behind = Path(folder, "at"), Path(folder, "behind")
            server = UnixServer(str(behind), Echo)
        else:
            ports = free_ports(2)
            at, behind = ("127.0.0.1", ports[0]), ("127.0.0.1", ports[1])
            server = TcpServer(behind, Echo)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            with ProxyServer(1) as proxies:
                yield proxies.add(at, behind)
        finally:
            server.shutdown()
            server.server_close()


def call(proxy: Proxy) -> socket.socket:
    if isinstance(proxy.at, Path):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(60)
        link.connect(str(proxy.at))
        return link
    return socket.create_connection(proxy.at, 60)


def echo(link: socket.socket, data: bytes) -> bytes:
    link.sendall(data)
    return received(link, len(data))


def received(link: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number and (more := link.recv(65536)):
        found += more
    return found


def ended(link: socket.socket) -> bool:
    """Return whether the connection was reset or closed."""
    try:
        return link.recv(1) == b""
    except ConnectionError:
        return True


def test_everything_passes_and_a_cut_ends_open_lines_and_lets_new_ones_in(proxy: Proxy) -> None:
    data = bytes(range(256)) * 4000
    with call(proxy) as one, call(proxy) as two:
        threading.Thread(target=one.sendall, args=(data,)).start()
        assert received(one, len(data)) == data
        assert echo(two, b"hello") == b"hello"
        proxy.cut()
        assert ended(one)
        assert ended(two)
    with call(proxy) as link:
        assert echo(link, b"b") == b"b"
    assert (proxy.counts["opened"], proxy.counts["cut"]) == (3, 2)


def test_a_delay_comes_on_every_chunk(proxy: Proxy) -> None:
    with call(proxy) as link:
        assert echo(link, b"a") == b"a"
        proxy.delay(0.2, 0.5)
        until(lambda: proxy.counts["delay"] or None, 5)
        began = time.monotonic()
        assert echo(link, b"b") == b"b"
        assert time.monotonic() - began >= 0.4, "there and back"


def test_a_hole_holds_back_old_and_new_lines_and_then_lets_all_of_it_pass(proxy: Proxy) -> None:
    with call(proxy) as old:
        assert echo(old, b"a") == b"a"
        proxy.black_hole(1.0)
        until(lambda: proxy.counts["hole"] or None, 5)
        began = time.monotonic()
        with call(proxy) as new:
            old.sendall(b"b")
            new.sendall(b"c")
            old.settimeout(0.3)
            with pytest.raises(TimeoutError):
                old.recv(1)
            old.settimeout(60)
            assert (old.recv(1), new.recv(1)) == (b"b", b"c")
        assert time.monotonic() - began >= 0.7


def test_a_swallowed_answer_means_that_the_request_arrived(proxy: Proxy) -> None:
    with call(proxy) as link:
        assert echo(link, b"a") == b"a"
        proxy.swallow(0.5)
        until(lambda: proxy.counts["swallow"] or None, 5)
        link.sendall(b"commit")
        assert ended(link)
    assert b"commit" in Echo.got
