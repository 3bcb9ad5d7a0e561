"""One HTTP exchange over a socket to a checked address, under one time budget.

``http.client`` gets a connected socket, so it never resolves a name or reconnects. The timeout of each read is the rest
of the budget, so a server that sends a byte a second runs out of time like a silent one.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any, TypeVar

from pipeline.media.url_policy import Target

MAX_ADDRESSES = 3
"""Addresses of one name that are tried: a name with 200 dead addresses must not cost 200 timeouts."""
BUFFER = 65536
WATCH_INTERVAL = 1.0
"""Seconds between two calls of a budget's ``watch`` while a read waits."""

Dial = Callable[[str, int, float], socket.socket]
"""(address, port, timeout in seconds) -> a connected socket. Raises OSError."""
_T = TypeVar("_T")
_LOOKUPS = threading.BoundedSemaphore(64)  # a look-up cannot be stopped, only abandoned: this bounds how many


class TimeBudget:
    """The seconds that the other side may take. Only time inside ``count_time`` counts, not the consumer's own.

    ``watch`` is called before each read and at least every ``WATCH_INTERVAL`` seconds while one waits. An exception
    from it ends the read.
    """

    def __init__(self, seconds: float, watch: Callable[[], None] | None = None) -> None:
        self._total = self._rest = seconds
        self._until = 0.0
        self.watch = watch

    @contextmanager
    def count_time(self) -> Iterator[None]:
        """Count the time spent inside."""
        self._until = time.monotonic() + self._rest
        try:
            yield
        finally:
            self._rest = self._until - time.monotonic()

    def seconds_left(self) -> float:
        """Return the remaining seconds while running. Raises TimeoutError when there are none."""
        rest = self._until - time.monotonic()
        if rest <= 0:
            raise TimeoutError("the time for this request is over")
        return rest

    @property
    def used(self) -> float:
        """Seconds counted so far."""
        return self._total - self._rest


def run_with_timeout(send_request: Callable[[], _T], seconds: float) -> _T:
    """Call a function that has no timeout (getaddrinfo) in a thread. Raises TimeoutError; the thread may end later."""
    if not _LOOKUPS.acquire(timeout=seconds):
        raise TimeoutError("too many look-ups are under way")
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(send_request())
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread below
            answer.set_exception(error)
        finally:
            _LOOKUPS.release()

    threading.Thread(target=run, name="media-lookup", daemon=True).start()
    if not wait([answer], seconds).done:
        raise TimeoutError("no answer to the look-up in time")
    return answer.result()


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """Open a TCP connection to an address (never a name)."""
    return socket.create_connection((address, port), seconds)


def connect(
    where: Target, to: Sequence[str], budget: TimeBudget, *, dial: Dial, seconds: float, tls: ssl.SSLContext
) -> socket.socket:
    """Connect to the first address that answers. Certificate and SNI are checked against the *name*.

    Raises OSError (ssl.SSLError and TimeoutError are subclasses).
    """
    last: OSError = OSError("no address")
    for address in to[:MAX_ADDRESSES]:
        try:
            raw = dial(address, where.port, min(seconds, budget.seconds_left()))
        except OSError as error:
            last = error
            continue
        if where.scheme == "http":
            return raw
        try:
            raw.settimeout(min(seconds, budget.seconds_left()))  # for the handshake as a whole
            return tls.wrap_socket(raw, server_hostname=where.host)
        except BaseException:
            raw.close()
            raise
    raise last


class _BudgetedReader(io.RawIOBase):
    """Reads from a socket; the timeout of each read is the rest of the budget."""

    def __init__(self, sock: socket.socket, budget: TimeBudget, seconds: float) -> None:
        self._sock, self._budget, self._seconds = sock, budget, seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # WriteableBuffer is known to typeshed only
        silent_until = time.monotonic() + self._seconds
        while True:
            if self._budget.watch is not None:
                self._budget.watch()
            left = min(silent_until - time.monotonic(), self._budget.seconds_left())
            if left <= 0:
                raise TimeoutError("the server is silent")
            self._sock.settimeout(min(left, WATCH_INTERVAL))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                continue  # whether it is final is decided above


class _BudgetedSocket:
    """The socket methods that http.client uses. ``close`` does nothing: the body is read after http.client closes."""

    def __init__(self, sock: socket.socket, budget: TimeBudget, seconds: float) -> None:
        self._sock, self._budget, self._seconds = sock, budget, seconds

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(min(self._seconds, self._budget.seconds_left()))
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_BudgetedReader(self._sock, self._budget, self._seconds), BUFFER)

    def close(self) -> None:
        """Do nothing: ``RangeResponse.close`` closes the socket."""


def send_request(
    sock: socket.socket,
    where: Target,
    headers: Mapping[str, str],
    budget: TimeBudget,
    *,
    seconds: float,
    body: bytes | None = None,
) -> HTTPResponse:
    """Send a GET, or a POST of *body*, and read the response's headers. Raises OSError and HTTPException."""
    connection = HTTPConnection(where.host, where.port)
    connection.auto_open = 0
    connection.sock = _BudgetedSocket(sock, budget, seconds)
    method = "GET" if body is None else "POST"
    connection.putrequest(method, where.path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": where.host_header, **headers, "Connection": "close"}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    return connection.getresponse()
