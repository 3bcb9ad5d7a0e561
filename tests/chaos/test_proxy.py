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

from tests.chaos.proxy import Address, Door, Doors
from tests.conftest import free_ports
from tests.stack import until


class Echo(socketserver.BaseRequestHandler):
    """Answers what it got, and remembers it."""

    got: list[bytes] = []  # noqa: RUF012

    def handle(self) -> None:
        with suppress(OSError):  # the far side may be cut off on purpose
            while data := self.request.recv(65536):
                self.got.append(data)
                self.request.sendall(data)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True


@pytest.fixture(params=["unix", "tcp"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A door in front of an echo, over unix sockets and over TCP."""
    Echo.got.clear()
    with tempfile.TemporaryDirectory(prefix="door-", dir="/tmp") as folder:
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
            with Doors(1) as doors:
                yield doors.add(at, behind)
        finally:
            server.shutdown()
            server.server_close()


def call(door: Door) -> socket.socket:
    if isinstance(door.at, Path):
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(5)
        line.connect(str(door.at))
        return line
    return socket.create_connection(door.at, 5)


def echo(line: socket.socket, data: bytes) -> bytes:
    line.sendall(data)
    return received(line, len(data))


def received(line: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number and (more := line.recv(65536)):
        found += more
    return found


def ended(line: socket.socket) -> bool:
    """Whether the line is over: reset, or closed."""
    try:
        return line.recv(1) == b""
    except ConnectionError:
        return True


def test_in_fair_weather_everything_passes(door: Door) -> None:
    data = bytes(range(256)) * 4000
    with call(door) as one, call(door) as two:
        threading.Thread(target=one.sendall, args=(data,)).start()
        assert received(one, len(data)) == data
        assert echo(two, b"hello") == b"hello"
    assert door.counts["opened"] == 2


def test_a_delay_comes_on_every_chunk_and_goes(door: Door) -> None:
    with call(door) as line:
        assert echo(line, b"a") == b"a"
        door.delay(0.2, 0.5)
        until(lambda: door.counts["delay"] or None, 5)
        began = time.monotonic()
        assert echo(line, b"b") == b"b"
        assert time.monotonic() - began >= 0.4, "there and back"
        until(lambda: quick(line), 5)


def quick(line: socket.socket) -> bool:
    began = time.monotonic()
    echo(line, b"c")
    return time.monotonic() - began < 0.15


def test_a_cut_ends_open_lines_and_lets_new_ones_in(door: Door) -> None:
    with call(door) as line:
        assert echo(line, b"a") == b"a"
        door.cut()
        assert ended(line)
    with call(door) as line:
        assert echo(line, b"b") == b"b"
    assert door.counts["cut"] == 1


def test_a_hole_holds_back_old_and_new_lines_and_then_lets_all_of_it_pass(door: Door) -> None:
    with call(door) as old:
        assert echo(old, b"a") == b"a"
        door.hole(1.0)
        until(lambda: door.counts["hole"] or None, 5)
        began = time.monotonic()
        with call(door) as new:
            old.sendall(b"b")
            new.sendall(b"c")
            old.settimeout(0.3)
            with pytest.raises(TimeoutError):
                old.recv(1)
            old.settimeout(5)
            assert (old.recv(1), new.recv(1)) == (b"b", b"c")
        assert time.monotonic() - began >= 0.7


def test_a_swallowed_answer_means_that_the_request_arrived(door: Door) -> None:
    with call(door) as line:
        assert echo(line, b"a") == b"a"
        door.swallow(0.5)
        until(lambda: door.counts["swallow"] or None, 5)
        line.sendall(b"commit")
        assert ended(line)
    assert b"commit" in Echo.got


def test_nobody_behind_it_ends_the_line(door: Door) -> None:
    door.behind = Path("/tmp/nobody-listens-here")
    try:
        with call(door) as line:
            assert ended(line)
    except ConnectionError:
        return  # it may end before the caller has looked
