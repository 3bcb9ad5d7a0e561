"""The only client of URLs given by users: range requests and posts under a URL policy, bounded in size and time."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPResponse, IncompleteRead
from socket import socket
from typing import Protocol, Self, TypedDict, Unpack

from certifi import where as trusted_roots

from pipeline.media import guarded_http
from pipeline.media.guarded_http import Dial, TimeBudget
from pipeline.media.url_policy import (
    Network,
    Refused,
    Resolver,
    Target,
    Unanswered,
    parse_target,
    resolve_addresses,
    resolve_redirect,
    system_resolver,
)

CHUNK = 65536
"""Bytes of one chunk of a stream."""
USER_AGENT = "Slipway/0.1 (media)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,256}"')
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_OK, _PARTIAL, _UNSATISFIABLE, _CLIENT_ERROR, _SERVER_ERROR = 200, 206, 416, 400, 500


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchPolicy:
    """The rules for URLs that may be fetched, and the limits. Seconds and bytes."""

    allowed_origins: frozenset[str] = frozenset()
    """Exact ``http://host:port`` of the sandbox's media host: the only exception to https and public addresses."""
    refused_networks: tuple[Network, ...] = ()
    """Public networks of the operator, which must not be reached either."""
    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    """Longest silence in a response."""
    total_seconds: float = 30.0
    """For one request: look-up, connections, redirects, headers and body; the body adds time by ``slowest``."""
    slowest: int = 64 * 1024
    """Bytes per second that a source must deliver: each so many requested bytes add a second to the total."""
    max_redirects: int = 3
    max_bytes: int = 16 * 1024**3
    """Largest file."""
    max_skip: int = 512 * 1024**2
    """Bytes that are read and dropped to reach an offset, where a server does not support ranges."""


class OpenRange(Protocol):
    """An open range of a file, with facts of the whole file. Close it after use."""

    content_type: str
    """Lower case, without parameters; empty when the header is missing or malformed."""
    total_bytes: int | None
    """Size of the whole file, None if the server does not send it."""
    etag: str | None
    """A strong ETag or None: a weak one does not identify bytes."""
    ranged: bool
    """True if the server answered the range (206)."""

    def read(self, length: int) -> bytes:
        """Return the next ``length`` bytes, fewer only at the end of the range. Raises Refused and Unanswered."""

    def close(self) -> None:
        """Close the connection or file."""

    @property
    def chunks(self) -> Iterator[bytes]:
        """The rest of the range in pieces of CHUNK bytes (the last may be shorter)."""
        return iter(lambda: self.read(CHUNK), b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(kw_only=True, slots=True)
class RangeResponse(OpenRange):
    """An open response: its headers and the requested bytes."""

    status: int
    content_type: str
    total_bytes: int | None
    etag: str | None
    ranged: bool
    _answer: HTTPResponse = field(repr=False)
    _socket: socket = field(repr=False)
    _budget: TimeBudget = field(repr=False)
    _skip: int
    _max_skip: int
    _left: int
    _sized: bool
    """True if the number of bytes is known, so that an early end is an error."""

    def read(self, length: int) -> bytes:
        """Return the next ``length`` bytes, fewer only at the end of the range.

        Raises Unanswered when the response breaks off, Refused when too much would have to be skipped first.
        """
        if self._skip > self._max_skip:
            raise Refused("its server does not answer range requests, which a file of this size needs")
        with _translate_errors(self._budget), self._budget.count_time():
            while self._skip:
                self._skip -= len(self._read_some(min(self._skip, CHUNK)))
            data = self._read_some(min(length, self._left))
        self._left -= len(data)
        return data

    def _read_some(self, length: int) -> bytes:
        data = self._answer.read(length) if length else b""
        if len(data) < length:
            if self._sized or self._skip:
                raise IncompleteRead(b"", length - len(data))
            self._left = len(data)  # the length was not known: this is the end
        return data

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):  # a reset while closing does not matter
            self._answer.close()
        self._socket.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class PostResponse:
    """The answer of a server to a post."""

    status: int
    retry_after: str | None
    start: bytes
    """The start of the body: as much as was asked for and came in time."""


@lru_cache(maxsize=1)
def _public_roots() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=trusted_roots())


class Fetcher:
    """Fetches ranges of user-given URLs under a policy. Stateless and thread-safe.

    ``resolver``, ``dial`` and ``tls`` default to the machine's resolver, TCP and the public root certificates. The
    addresses of any resolver are checked.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolver: Resolver = system_resolver,
        dial: Dial = guarded_http.dial,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.policy = policy
        self._resolver = resolver
        self._dial = dial
        self._tls = tls or _public_roots()

    def open_range(
        self,
        url: str,
        first: int,
        length: int,
        *,
        etag: str | None = None,
        seconds: float | None = None,
        watch: Callable[[], None] | None = None,
    ) -> RangeResponse:
        """Send a GET for ``length`` (at least 1) bytes from offset ``first`` and return the response.

        If the server ignores ranges, the bytes before ``first`` are read and dropped. With ``etag``, a file that has
        changed is sent whole (If-Range) with its new ETag. ``seconds`` replaces the policy's total time. ``watch`` is
        called while the server is awaited, as `TimeBudget` says. Raises Refused and Unanswered, as reading may.
        """
        if first < 0 or length < 1:
            raise ValueError(f"no such range: {length} bytes from {first}")
        total = self.policy.total_seconds + length / self.policy.slowest
        budget = TimeBudget(total if seconds is None else seconds, watch)
        headers = {"Range": f"bytes={first}-{first + length - 1}", "Accept": "*/*"}
        headers |= {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if etag is not None:
            headers["If-Range"] = etag
        with _translate_errors(budget), budget.count_time():
            return self._follow_redirects(
                parse_target(url, self.policy.allowed_origins), headers, budget, (first, length)
            )

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, keep: int
    ) -> PostResponse:
        """POST *body*, and return the answer, of which at most *keep* bytes are read. *seconds*: for all of it.

        A redirect is an answer, and is not followed. Raises Refused and Unanswered.
        """
        budget = TimeBudget(seconds)
        with _translate_errors(budget), budget.count_time():
            where = parse_target(url, self.policy.allowed_origins)
            sock = self._connect(where, budget)
            try:
                sent = {"User-Agent": USER_AGENT, **headers, "Content-Length": str(len(body))}
                answer = guarded_http.send_request(sock, where, sent, budget, seconds=seconds, body=body)
                return PostResponse(
                    status=answer.status,
                    retry_after=answer.headers.get("Retry-After"),
                    start=_read_start(answer, keep),
                )
            finally:
                sock.close()

    def _follow_redirects(
        self, where: Target, headers: dict[str, str], budget: TimeBudget, span: tuple[int, int]
    ) -> RangeResponse:
        for _ in range(self.policy.max_redirects + 1):
            sock = self._connect(where, budget)
            try:
                answer = guarded_http.send_request(
                    sock, where, headers, budget, seconds=self.policy.read_seconds
                )
                if answer.status not in _REDIRECTS:
                    return _build_response(answer, sock, budget, span, self.policy)
                sock.close()  # the body of a redirect is not read
                location = answer.headers.get("Location")
            except BaseException:
                sock.close()
                raise
            if location is None:
                raise Refused(f"HTTP {answer.status} without a destination", status=answer.status)
            location = location.encode("latin-1").decode("utf-8", "replace")  # headers come as latin-1
            where = resolve_redirect(where, location, self.policy.allowed_origins)
        raise Refused(f"more than {self.policy.max_redirects} redirects")

    def _connect(self, where: Target, budget: TimeBudget) -> socket:
        refused = self.policy.refused_networks
        to = guarded_http.run_with_timeout(
            lambda: resolve_addresses(where, self._resolver, refused), budget.seconds_left()
        )
        return guarded_http.connect(
            where, to, budget, dial=self._dial, seconds=self.policy.connect_seconds, tls=self._tls
        )


@contextmanager
def _translate_errors(budget: TimeBudget) -> Iterator[None]:
    """Translate errors of the connection to Refused and Unanswered, with a reason for the author of the post."""
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise Refused("its TLS certificate is not valid for this host") from None
    except ssl.SSLError:
        raise Unanswered("no TLS connection") from None
    except TimeoutError:
        raise Unanswered(f"no answer within {max(1, round(budget.used))} s") from None
    except IncompleteRead:
        raise Unanswered("the answer broke off") from None
    except OSError as error:
        raise Unanswered(f"no connection ({type(error).__name__})") from None
    except HTTPException:
        raise Unanswered("no valid HTTP answer") from None


def _read_start(answer: HTTPResponse, keep: int) -> bytes:
    """Return the first *keep* bytes of the body, fewer if it breaks off: the status has arrived, and decides."""
    data = b""
    with suppress(OSError, HTTPException):
        while len(data) < keep and (part := answer.read1(keep - len(data))):
            data += part
    return data


def _build_response(
    answer: HTTPResponse, sock: socket, budget: TimeBudget, span: tuple[int, int], policy: FetchPolicy
) -> RangeResponse:
    _refuse_status(answer)
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refused("served compressed (Content-Encoding), though that was not asked for")
    first, length = span
    if answer.status == _PARTIAL:
        total, left, skip = *_parse_content_range(answer, first, length), 0
    else:
        total, skip = answer.length, first
        left = length if total is None else min(length, max(0, total - first))
    if total is not None and total > policy.max_bytes:
        raise Refused(f"larger than {policy.max_bytes} bytes")
    if total is not None and skip >= total and skip:
        raise Refused("the file ends before the range that was asked for", status=_UNSATISFIABLE)
    return RangeResponse(
        status=answer.status,
        content_type=_parse_media_type(answer.headers.get("Content-Type", "")),
        total_bytes=total,
        etag=_parse_strong_etag(answer.headers.get("ETag", "")),
        ranged=answer.status == _PARTIAL,
        _answer=answer,
        _socket=sock,
        _budget=budget,
        _skip=skip,
        _max_skip=policy.max_skip,
        _left=left,
        _sized=total is not None or answer.status == _PARTIAL,
    )


def _refuse_status(answer: HTTPResponse) -> None:
    status = answer.status
    if status in (_OK, _PARTIAL):
        return
    if status >= _SERVER_ERROR or status in _PASSING:
        raise Unanswered(f"HTTP {status}")
    if status == _UNSATISFIABLE and answer.headers.get("Content-Range", "").strip() == "bytes */0":
        raise Refused("the file is empty", status=status)
    raise Refused(f"HTTP {status}", status=status)


def _parse_content_range(answer: HTTPResponse, first: int, length: int) -> tuple[int | None, int]:
    """Return the total size and the bytes to come. Raises Refused if Content-Range is not the requested range."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != first or int(found[2]) < first:
        raise Refused("HTTP 206 with a Content-Range that does not fit the request", status=_PARTIAL)
    total = None if found[3] == "*" else int(found[3])
    if total is not None and int(found[2]) >= total:
        raise Refused("HTTP 206 with a Content-Range that contradicts itself", status=_PARTIAL)
    return total, min(length, int(found[2]) - first + 1)


def _parse_media_type(header: str) -> str:
    found = header.partition(";")[0].strip().lower()
    return found if _MEDIA_TYPE.fullmatch(found) else ""


def _parse_strong_etag(header: str) -> str | None:
    return header if _STRONG.fullmatch(header) else None


class RangeOptions(TypedDict, total=False):
    """The options of ``Fetcher.open_range``."""

    etag: str | None
    seconds: float | None
    watch: Callable[[], None] | None


class Opener(Protocol):
    """Opens ranges of media URLs: the fetcher, or a workspace's reader."""

    @property
    def policy(self) -> FetchPolicy:
        """The limits of time and size."""

    def open_range(self, url: str, first: int, length: int, **how: Unpack[RangeOptions]) -> OpenRange:
        """As ``Fetcher.open_range``. Raises Refused and Unanswered."""
