"""The HTTP client of all adapters: no redirects, no retries, one deadline over headers *and* body.

``requests``' timeout is per read: a server that sends a byte per second holds a call forever. Here every call has a
total deadline, enforced by one watchdog thread that shuts down the socket when it passes. A failure says whether bytes
of the request may have reached the platform, because everything that follows depends on it:

* ``NotSent``     the connection was never made, so not a byte of the request left: nothing happened.
* ``NoResponse``  bytes left and no complete response came back: the platform may have acted.
"""

from __future__ import annotations

import heapq
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from adapters.platform_message import find_secrets

MAX_BODY = 1024 * 1024
"""Most bytes of a response that are read; platforms respond with kilobytes."""
USER_AGENT = "Slipway/0.1"
Model = TypeVar("Model", bound=BaseModel)


class NotSent(Exception):
    """The connection was never made: nothing left this machine."""


class NoResponse(Exception):
    """Bytes left and no complete response came: the platform may have acted."""


class DeadlinePassed(NotSent):
    """The deadline to send had passed right before the first byte; nothing was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A complete HTTP response. ``body`` may hold secrets and is never in the repr."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of the request, which a platform may quote."""

    def json(self) -> Any:
        """Return the body parsed as JSON. Raise ValueError if it is not JSON."""
        return json.loads(self.body)

    def parse(self, model: type[Model]) -> Model | None:
        """Return the body as *model*, or None if it is not one."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class SizedBody:
    """A streamed body of known length: sent with Content-Length, not chunked."""

    chunks: Iterable[bytes]
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


class _Call:
    """State of one request in flight, shared with the connection that carries it."""

    __slots__ = ("deadline", "fresh", "may_send", "sent", "ticket")

    def __init__(self, deadline: float, *, fresh: bool, may_send: Callable[[], bool] | None) -> None:
        self.deadline = deadline
        self.fresh = fresh
        self.may_send = may_send
        self.sent = False
        self.ticket = 0

    def begin(self, sock: socket.socket) -> None:
        """Check the deadline to send; called when connected, right before the first byte."""
        if self.may_send is not None and not self.may_send():
            raise DeadlinePassed("the deadline to send passed before the first byte")
        self.sent = True
        self.ticket = _WATCHDOG.watch(sock, self.deadline)


class _Current(threading.local):
    call: _Call | None = None


_CURRENT = _Current()


class _Watchdog:
    """One daemon thread that shuts down the sockets of calls past their deadline."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int]] = []
        self._sockets: dict[int, socket.socket] = {}
        self._tickets = count(1)
        self._thread: threading.Thread | None = None

    def watch(self, sock: socket.socket, deadline: float) -> int:
        with self._wake:
            if self._thread is None or not self._thread.is_alive():  # a forked child has no thread
                self._thread = threading.Thread(target=self._run, name="http-deadline", daemon=True)
                self._thread.start()
            ticket = next(self._tickets)
            self._sockets[ticket] = sock
            heapq.heappush(self._heap, (deadline, ticket))
            if self._heap[0][1] == ticket:
                self._wake.notify()
            return ticket

    def release(self, ticket: int) -> None:
        with self._wake:
            self._sockets.pop(ticket, None)
            while self._heap and self._heap[0][1] not in self._sockets:
                heapq.heappop(self._heap)

    def _run(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    sock = self._sockets.pop(heapq.heappop(self._heap)[1], None)
                    if sock is not None:
                        with suppress(OSError):  # already closed by its owner
                            sock.shutdown(socket.SHUT_RDWR)
                self._wake.wait(self._heap[0][0] - now if self._heap else None)


_WATCHDOG = _Watchdog()


class _DeadlineMixin:
    """Notify the current call before the first byte, and reconnect for a call that wants a fresh connection."""

    is_used = False
    """True if the connection has carried a request since it was made."""

    def connect(self) -> None:
        self.is_used = False
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        call = _CURRENT.call
        if call is not None and call.fresh and self.is_used:
            self.close()  # type: ignore[attr-defined]  # before urllib3 records the response it waits for
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        call = _CURRENT.call
        if call is not None and not call.sent:
            if self.sock is None:  # type: ignore[attr-defined]
                self.connect()
            call.begin(self.sock)  # type: ignore[attr-defined]
            self.is_used = True
        super().send(data)  # type: ignore[misc]


class _PlainConnection(_DeadlineMixin, HTTPConnection):
    pass


class _TLSConnection(_DeadlineMixin, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _DeadlineAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}


_CONNECTIONS = _DeadlineAdapter(pool_connections=32, pool_maxsize=128, max_retries=Retry(0, read=False))
"""Used directly, without a ``requests.Session``: no cookies (one process acts for many accounts), no redirects, no
proxy and netrc from the environment, and a third of a session's time per call (measured)."""


Trace = Callable[[str, str, bool], AbstractContextManager[Callable[[int], None]]]


def _trace_nothing(_method: str, _url: str, _visible: bool) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _status: None)


class HttpClient:
    """An HTTP client for one slice of work.

    ``may_send`` is called right before the first byte of a call marked ``visible``: it checks the lease's deadline.
    ``limit`` is the default total time of one call. ``calls`` records the requests, for the conformance suite.
    ``trace`` gets method, URL and ``visible`` of a call, and returns a context manager that is open while the call
    lasts; entering it yields a function that takes the status of the response.
    """

    def __init__(
        self,
        *,
        may_send: Callable[[], bool] | None = None,
        limit: timedelta = timedelta(seconds=20),
        trace: Trace = _trace_nothing,
    ) -> None:
        self._may_send = may_send
        self._trace = trace
        self._limit = limit.total_seconds()
        self.calls: list[tuple[str, str, bool]] = []

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json_body: Any = None,
        form: Mapping[str, Any] | None = None,
        body: bytes | SizedBody | None = None,
        visible: bool = False,
        limit: timedelta | None = None,
    ) -> Response:
        """Send one request and return the complete response, whatever its status.

        ``visible`` marks the call of ``finalize``: fresh connection, deadline checked right before the first byte.
        Raise NotSent (or its subclass DeadlinePassed) or NoResponse; exceptions of ``requests`` never escape.
        """
        self.calls.append((method, url.partition("?")[0], visible))
        seconds = self._limit if limit is None else limit.total_seconds()
        call = _Call(time.monotonic() + seconds, fresh=visible, may_send=self._may_send if visible else None)
        with self._trace(method, url, visible) as record_status, _bind_call(call), _translate_errors(call):
            request = requests.PreparedRequest()
            request.prepare_method(method)
            request.prepare_url(url, params)
            request.prepare_headers({"User-Agent": USER_AGENT, **(headers or {})})
            request.prepare_body(form if body is None else body, None, json_body)
            response = _CONNECTIONS.send(
                request, stream=True, timeout=(min(seconds, 10), seconds), verify=True
            )
            record_status(response.status_code)
            with response:
                content = _read_body(response)
            if (
                time.monotonic() >= call.deadline
            ):  # a socket shut down early can look like a short, complete response
                raise NoResponse("no complete response within the call's time limit")
            secrets = find_secrets(headers, params, json_body, form)
            return Response(
                status=response.status_code, headers=response.headers, body=content, secrets=secrets
            )


@contextmanager
def _bind_call(call: _Call) -> Iterator[None]:
    _CURRENT.call = call
    try:
        yield
    finally:
        _CURRENT.call = None
        if call.ticket:
            _WATCHDOG.release(call.ticket)


@contextmanager
def _translate_errors(call: _Call) -> Iterator[None]:
    """Raise NoResponse if bytes of the request may have left, else NotSent, for every network error."""
    try:
        yield
    except (requests.RequestException, HTTPError, OSError) as error:
        kind = type(error).__name__
        if call.sent:
            raise NoResponse(f"no complete response ({kind})") from None
        raise NotSent(f"no connection ({kind})") from None


def _read_body(response: requests.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_content(65536):
        size += len(chunk)
        if size > MAX_BODY:
            raise NoResponse(f"the response exceeds {MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
