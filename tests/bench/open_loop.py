"""An open-loop client of POST /posts: requests begin at a steady rate, however long the answers take."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.bench.figures import InvalidMeasurement
from tests.bench.post_factory import PHOTO
from tests.stack import Stack

RATE = 25
"""Posts a second."""
CONNECTIONS = 8


class OpenLoop:
    """Sends posts from ``start`` until ``stop``, which returns the seconds from each one's turn to its answer."""

    def __init__(self, stack: Stack, accounts: list[str]) -> None:
        self._stack, self._accounts, self._word = stack, accounts, uuid4().hex[:8]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._local = threading.local()
        self._sent: list[Future[float]] = []

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> list[float]:
        """Send no more, and return the times. Raises InvalidMeasurement for a post that was not accepted."""
        self._ended.set()
        self._thread.join()
        return [sent.result() for sent in self._sent]

    def _send_all(self) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            at = time.perf_counter()
            while not self._ended.wait(max(0.0, at - time.perf_counter())):
                self._sent.append(pool.submit(self._post, len(self._sent), at))
                at += 1 / RATE

    def _post(self, n: int, at: float) -> float:
        body = {
            "caption": f"open {self._word} {n}",
            "media": {"type": "slideshow", "urls": [self._stack.media(PHOTO)]},
            "accounts": [{"id": one} for one in self._accounts[n % len(self._accounts)].split()],
            "scheduled_at": (datetime.now(UTC) + timedelta(days=30, minutes=n)).isoformat(),
        }
        headers = {"Authorization": f"Bearer {self._stack.key}", "Content-Type": "application/json"}
        connection = self._connect()
        connection.request("POST", "/api/partner/v1/posts", json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 201:
            raise InvalidMeasurement(f"A post was not accepted: {answer.status} {said[:400]!r}")
        return time.perf_counter() - at

    def _connect(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self._stack.ports[2], timeout=30)
        found: http.client.HTTPConnection = self._local.connection
        return found
