"""Load client, run as a process: keep-alive connections that post as fast as they are answered.

Its minimal HTTP/1.1 (one request in flight per connection, answers with a Content-Length) costs a tenth of the server's
CPU; the report includes its own CPU use. It reads an order from stdin and writes a report to stdout, both JSON.
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

AHEAD = timedelta(days=90)
"""Posts are scheduled at random within this time, so that no account's daily quota is used up."""
PATIENCE = 30
"""Seconds to wait for outstanding answers at the end."""
TIMES = 5000
"""Number of different due times in a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOrder:
    """Parameters of a run. Durations are seconds."""

    host: str
    port: int
    key: str
    accounts: list[str]
    """Of the posts in turn; several of one post are separated by blanks."""
    image: str
    word: str
    clients: int
    warm: float
    seconds: float
    immediate: bool
    """Posts have no ``scheduled_at``: each is dispatched at once."""
    batch: int = 0
    """Posts in one request to POST /posts/batch; 0: each is a request to POST /posts."""


@dataclass(kw_only=True, slots=True)
class Report:
    """Result of a run. ``latencies``: seconds, of the answers within the counted time."""

    accepted: int = 0
    """Posts accepted in the whole run, also outside the counted time."""
    refused: int = 0
    first_refusal: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    """Cores that the client used in the counted time."""
    latencies: list[float] = field(default_factory=list)


class Run:
    """State shared by the connections."""

    def __init__(self, order: LoadOrder) -> None:
        self.order, self.report = order, Report()
        self._number = 0
        self._times = self._draw_times()
        self._written = [self._write(account) for account in order.accounts]
        self.first = self.last = float("inf")

    def request(self) -> bytes:
        """Return the next request. Bodies are unique; they are formatted from a template to save CPU."""
        if not self.order.batch:
            return self._next()
        body = b'{"posts":[' + b",".join(self._next() for _ in range(self.order.batch)) + b"]}"
        return self._head(len(body), "/batch") + body

    def _next(self) -> bytes:
        n, self._number = self._number, self._number + 1
        return self._written[n % len(self._written)] % (n, random.choice(self._times))

    def _write(self, account: str) -> bytes:
        o = self.order
        body: dict[str, Any] = {
            "caption": f"{o.word} NUMBER",
            "media": {"type": "slideshow", "urls": [o.image]},
            "accounts": [{"id": one} for one in account.split()],
        }
        if not o.immediate:
            body["scheduled_at"] = "TIME"
        raw = json.dumps(body).replace("%", "%%").replace("NUMBER", "%09d")
        raw = raw.replace("TIME", "%s") if not o.immediate else f"{raw}%.0s"
        if o.batch:
            return raw.encode()
        head = self._head(len(raw.encode() % (0, self._times[0])))
        return head.replace(b"%", b"%%") + raw.encode()

    def _head(self, length: int, path: str = "") -> bytes:
        o = self.order
        return (
            f"POST /api/partner/v1/posts{path} HTTP/1.1\r\nHost: {o.host}:{o.port}\r\n"
            f"Authorization: Bearer {o.key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    @staticmethod
    def _draw_times() -> list[bytes]:
        now = datetime.now(UTC)
        moments = (now + timedelta(hours=1) + random.random() * AHEAD for _ in range(TIMES))
        return [m.isoformat(timespec="microseconds").encode() for m in moments]

    def record(self, status: int, body: bytes, since: float) -> bool:
        """Record an answer; return whether to send another request."""
        now = time.perf_counter()
        if status == 201 or (status == 200 and f'"accepted":{self.order.batch},'.encode() in body):
            self.report.accepted += self.order.batch or 1
            if self.first <= now < self.last:
                self.report.latencies.append(now - since)
        else:
            self.report.refused += 1
            self.report.first_refusal = (
                self.report.first_refusal or f"{status} {body[:400].decode(errors='replace')}"
            )
        return now < self.last

    def __call__(self) -> Report:
        o = self.order
        connections = {c.fileno(): c for c in [Connection(self) for _ in range(o.clients)]}
        with select.epoll() as poll:
            for number in connections:
                poll.register(number, select.EPOLLIN)
            self.first = time.perf_counter() + o.warm
            self.last = self.first + o.seconds
            for connection in connections.values():
                connection.send()
            self._run_until(poll, connections, self.first)
            before = time.process_time()
            self._run_until(poll, connections, self.last)
            self.report.cpu = (time.process_time() - before) / o.seconds
            self._run_until(poll, connections, self.last + PATIENCE)
        if connections:
            raise TimeoutError(f"{len(connections)} requests were not answered within {PATIENCE} s.")
        self.report.seconds = o.seconds
        return self.report

    @staticmethod
    def _run_until(poll: select.epoll, connections: dict[int, Connection], until: float) -> None:
        """Handle answers until this time, or until all connections have ended."""
        while connections and (left := until - time.perf_counter()) > 0:
            for number, _ in poll.poll(left):
                if not connections[number].receive():
                    del connections[number]


class Connection:
    """One client: send a request, wait for the whole answer, send the next."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._socket = socket.create_connection((run.order.host, run.order.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._since = 0.0
        self._buffer = b""
        self.fileno = self._socket.fileno

    def send(self) -> None:
        """Send the next request."""
        request = self._run.request()
        self._since = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> bool:
        """Read available data; return False after the last answer. Raises ConnectionError."""
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("The server closed a connection in use.")
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return True
        self._buffer = b""
        if self._run.record(int(head[9:12]), body, self._since):
            self.send()
            return True
        self._socket.close()
        return False


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    if not after:
        raise ValueError(f"An answer without Content-Length: {head!r}")
    return int(after.partition(b"\r\n")[0])


if __name__ == "__main__":
    json.dump(asdict(Run(LoadOrder(**json.load(sys.stdin)))()), sys.stdout)
