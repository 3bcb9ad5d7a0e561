"""The load client, a process of its own: keep-alive connections that post as fast as they are answered.

Speaks just enough HTTP/1.1 (one request under way per connection, answers with a Content-Length) to cost a tenth of
what the server does; its own CPU share is part of what it reports. Order on stdin, report on stdout, both JSON.
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
"""How far into the future posts are scheduled, at random: no account's day gets full."""
PATIENCE = 30
"""Seconds for the answers that are still under way at the end."""
TIMES = 5000
"""Different due times of one run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOrder:
    """What to do. Durations are seconds."""

    host: str
    port: int
    key: str
    accounts: list[str]
    image: str
    word: str
    clients: int
    warm: float
    seconds: float
    immediate: bool
    """Posts without ``scheduled_at``, each of which rings the doorbell."""


@dataclass(kw_only=True, slots=True)
class Report:
    """What came of it. ``latencies`` are seconds, of the answers inside the counted time."""

    accepted: int = 0
    """201 answers over the whole run, before and after the counted time too."""
    refused: int = 0
    first_refusal: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    """Cores this client used in the counted time."""
    latencies: list[float] = field(default_factory=list)


class Run:
    """What the connections share."""

    def __init__(self, order: LoadOrder) -> None:
        self.order, self.report = order, Report()
        self._number = 0
        self._times = self._draw_times()
        self._written = [self._write(account) for account in order.accounts]
        self.first = self.last = float("inf")

    def request(self) -> bytes:
        """The next post; no two are equal. Written once and filled in, so that the client stays lean."""
        n, self._number = self._number, self._number + 1
        return self._written[n % len(self._written)] % (n, random.choice(self._times))

    def _write(self, account: str) -> bytes:
        o = self.order
        body: dict[str, Any] = {
            "caption": f"{o.word} NUMBER",
            "media": {"type": "slideshow", "urls": [o.image]},
            "accounts": [{"id": account}],
        }
        if not o.immediate:
            body["scheduled_at"] = "TIME"
        raw = json.dumps(body).replace("%", "%%").replace("NUMBER", "%09d")
        raw = raw.replace("TIME", "%s") if not o.immediate else f"{raw}%.0s"
        head = (
            f"POST /api/partner/v1/posts HTTP/1.1\r\nHost: {o.host}:{o.port}\r\nAuthorization: Bearer {o.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw.encode() % (0, self._times[0]))}\r\n\r\n"
        )
        return head.replace("%", "%%").encode() + raw.encode()

    @staticmethod
    def _draw_times() -> list[bytes]:
        now = datetime.now(UTC)
        moments = (now + timedelta(hours=1) + random.random() * AHEAD for _ in range(TIMES))
        return [m.isoformat(timespec="microseconds").encode() for m in moments]

    def record(self, status: int, body: bytes, since: float) -> bool:
        """Notes an answer; whether to go on."""
        now = time.perf_counter()
        if status == 201:
            self.report.accepted += 1
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
        """Until then, or until the last of them has ended."""
        while connections and (left := until - time.perf_counter()) > 0:
            for number, _ in poll.poll(left):
                if not connections[number].receive():
                    del connections[number]


class Connection:
    """One client: sends, waits for the whole answer, sends the next."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._socket = socket.create_connection((run.order.host, run.order.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._since = 0.0
        self._buffer = b""
        self.fileno = self._socket.fileno

    def send(self) -> None:
        """The next request."""
        request = self._run.request()
        self._since = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> bool:
        """Reads what is there; False after its last answer. Raises ConnectionError."""
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
