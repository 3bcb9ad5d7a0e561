"""One HTTP exchange over a socket to a checked address, under one budget of time for everything.

``http.client`` is given a ready socket, so nothing below looks a name up or reconnects. Each read gets what is left of
the budget as its timeout, so a server that drips a byte a second runs out of time like one that is silent.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pipeline.media.url_policy import Target

MAX_ADDRESSES = 3
"""Addresses of one name that are tried; a name with 200 dead ones must not cost 200 timeouts."""
BUFFER = 65536

Dial = Callable[[str, int, float], socket.socket]
"""Address, port and timeout in seconds to a connected socket; raises OSError."""
_T = TypeVar("_T")
_LOOKUPS = threading.BoundedSemaphore(64)  # look-ups cannot be stopped, only left behind: not without end


class Budget:
    """Seconds the other side may use in all. Only time spent inside ``running`` is charged: a slow consumer is not."""

    def __init__(self, seconds: float) -> None:
        self._total = self._rest = seconds
        self._until = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Charges the time spent inside."""
        self._until = time.monotonic() + self._rest
        try:
            yield
        finally:
            self._rest = self._until - time.monotonic()

    def left(self) -> float:
        """Seconds left while running; raises TimeoutError when there are none."""
        rest = self._until - time.monotonic()
        if rest <= 0:
            raise TimeoutError("the time for this request is over")
        return rest

    @property
    def used(self) -> float:
        """Seconds charged so far."""
        return self._total - self._rest


def in_time(ask: Callable[[], _T], seconds: float) -> _T:
    """The answer of something that knows no timeout (getaddrinfo), or TimeoutError; it may end later, unheard."""
    if not _LOOKUPS.acquire(timeout=seconds):
        raise TimeoutError("too many look-ups are under way")
    answers: SimpleQueue[tuple[_T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:  # noqa: BLE001  handed to the one who asked, just below
            answers.put((None, error))
        finally:
            _LOOKUPS.release()

    threading.Thread(target=run, name="media-lookup", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError("no answer to the look-up in time") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # without an error there is an answer


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to an address (never a name)."""
    return socket.create_connection((address, port), seconds)


def connect(
    where: Target, to: Sequence[str], budget: Budget, *, dial: Dial, seconds: float, tls: ssl.SSLContext
) -> socket.socket:
    """A connection to the first of the addresses that answers; certificate and SNI are those of the *name*.

    Raises OSError (ssl.SSLError and TimeoutError are such).
    """
    last: OSError = OSError("no address")
    for address in to[:MAX_ADDRESSES]:
        try:
            raw = dial(address, where.port, min(seconds, budget.left()))
        except OSError as error:
            last = error
            continue
        if where.scheme == "http":
            return raw
        try:
            raw.settimeout(min(seconds, budget.left()))  # for the handshake as a whole
            return tls.wrap_socket(raw, server_hostname=where.host)
        except BaseException:
            raw.close()
            raise
    raise last


class _Timed(io.RawIOBase):
    """The receiving side of a socket; every read gets the budget's rest as its timeout."""

    def __init__(self, sock: socket.socket, budget: Budget, seconds: float) -> None:
        self._sock, self._budget, self._seconds = sock, budget, seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # WriteableBuffer is known to typeshed only
        self._sock.settimeout(min(self._seconds, self._budget.left()))
        return self._sock.recv_into(buffer)


class _Wire:
    """What http.client needs of a socket. Closing is ours alone: the body is read after http.client let go."""

    def __init__(self, sock: socket.socket, budget: Budget, seconds: float) -> None:
        self._sock, self._budget, self._seconds = sock, budget, seconds

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(min(self._seconds, self._budget.left()))
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._sock, self._budget, self._seconds), BUFFER)

    def close(self) -> None:
        """Left to ``Ranged.close``."""


def ask(
    sock: socket.socket, where: Target, headers: Mapping[str, str], budget: Budget, *, seconds: float
) -> HTTPResponse:
    """GET over a connected socket, up to the end of the headers. Raises OSError and http.client.HTTPException."""
    connection = HTTPConnection(where.host, where.port)
    connection.auto_open = 0
    connection.sock = _Wire(sock, budget, seconds)
    connection.putrequest("GET", where.path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": where.host_header, **headers, "Connection": "close"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()
