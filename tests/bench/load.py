"""The load client, a process of its own: keep-alive connections that post as fast as they are answered.

Speaks just enough HTTP/1.1 (one request under way per connection, answers with a Content-Length) to cost a tenth of
what the server does; its own CPU share is part of what it reports. Order on stdin, report on stdout, both JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

AHEAD = timedelta(days=90)
"""How far into the future posts are scheduled, at random: no account's day gets full."""
TIMES = 5000
"""Different due times of one run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
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

    def __init__(self, order: Order) -> None:
        self.order, self.report = order, Report()
        self._number = 0
        self._cpu = 0.0
        self._times = self._moments()
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
    def _moments() -> list[bytes]:
        now = datetime.now(UTC)
        moments = (now + timedelta(hours=1) + random.random() * AHEAD for _ in range(TIMES))
        return [m.isoformat(timespec="microseconds").encode() for m in moments]

    def answered(self, status: int, body: bytes, since: float) -> bool:
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

    async def __call__(self) -> Report:
        o, loop = self.order, asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Connection(self, loop.create_future()), o.host, o.port)
            for _ in range(o.clients)
        ]
        self.first = time.perf_counter() + o.warm
        self.last = self.first + o.seconds
        loop.call_later(o.warm, self._counting)
        loop.call_later(o.warm + o.seconds, self._counted)
        for _, connection in made:
            connection.send()
        await asyncio.gather(*(connection.done for _, connection in made))
        self.report.seconds = o.seconds
        return self.report

    def _counting(self) -> None:
        self._cpu = time.process_time()

    def _counted(self) -> None:
        self.report.cpu = (time.process_time() - self._cpu) / self.order.seconds


class Connection(asyncio.Protocol):
    """One client: sends, waits for the whole answer, sends the next."""

    def __init__(self, run: Run, done: asyncio.Future[None]) -> None:
        self.done = done
        self._run = run
        self._transport: asyncio.Transport
        self._since = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        """The next request."""
        request = self._run.request()
        self._since = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._buffer = b""
        if self._run.answered(int(head[9:12]), body, self._since):
            self.send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if self._buffer or time.perf_counter() < self._run.last:
            self.done.set_exception(exc or ConnectionError("The server closed a connection in use."))
        else:
            self.done.set_result(None)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"An answer without Content-Length: {head!r}")


async def _main(order: Order) -> Report:
    return await asyncio.wait_for(Run(order)(), order.warm + order.seconds + 30)


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(_main(Order(**json.load(sys.stdin))))), sys.stdout)
