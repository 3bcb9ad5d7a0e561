"""Relaying a checked file: every byte, in constant memory, across broken connections, never of another file."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

import psutil
import pytest

from adapters.contract import MediaFacts
from adapters.errors import Rejected, Unavailable
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.media.relay import Stream, relay
from tests.pipeline.media.conftest import PUBLIC, Internet
from tests.pipeline.media.servers import Answer, Handler, Site, file, status

DATA = os.urandom(1_000_003)
FACTS = MediaFacts(content_type="video/mp4", bytes=len(DATA), etag='"v1"')


@pytest.fixture
def stream(site: Site, fetcher: Fetcher) -> Callable[[Answer], Stream]:
    def build(answer: Answer, facts: MediaFacts = FACTS) -> Stream:
        site.routes["/f"] = answer
        return relay(fetcher, f"{site.origin}/f", facts)

    return build


@pytest.mark.parametrize(
    ("first", "length"), [(0, len(DATA)), (1, 70_000), (999_999, 4), (65_536, 65_536), (5, 0)]
)
@pytest.mark.parametrize("ranges", [True, False])
def test_exactly_the_bytes_that_were_asked_for(
    stream: Callable[[Answer], Stream], first: int, length: int, *, ranges: bool
) -> None:
    chunks = list(stream(file(DATA, ranges=ranges, ETag='"v1"'))(first, length))
    assert b"".join(chunks) == DATA[first : first + length]
    assert all(len(chunk) == 65536 for chunk in chunks[:-1])


@pytest.mark.parametrize(("first", "length"), [(-1, 1), (0, len(DATA) + 1), (len(DATA), 1), (0, -1)])
def test_a_range_outside_the_file_is_our_own_mistake(
    stream: Callable[[Answer], Stream], first: int, length: int
) -> None:
    with pytest.raises(ValueError, match="no such range"):
        stream(file(DATA))(first, length)


def _cut(after: int, times: int) -> Answer:
    """Return a route whose ranges break off after some bytes, some times."""

    def answer(handler: Handler) -> None:
        span = handler.span(len(DATA))
        assert span is not None
        first, end = span
        content_range = f"bytes {first}-{end - 1}/{len(DATA)}"
        handler.head(206, Content_Range=content_range, Content_Length=end - first, ETag='"v1"')
        broken = len(handler.site.requests) <= times
        handler.put(DATA[first : min(end, first + after) if broken else end])

    return answer


def test_a_cut_is_gone_on_from_where_it_was(site: Site, stream: Callable[[Answer], Stream]) -> None:
    assert b"".join(stream(_cut(300_000, 3))(10, 999_000)) == DATA[10:999_010]
    asked = [headers["Range"] for _, headers in site.requests]
    assert [headers.get("If-Range") for _, headers in site.requests] == ['"v1"'] * 4
    assert asked[0] == "bytes=10-999009"
    assert all(later.endswith("-999009") for later in asked)
    assert len(set(asked)) == 4  # each went on where the one before had ended


def test_cuts_without_end_are_unavailable(site: Site, stream: Callable[[Answer], Stream]) -> None:
    with pytest.raises(Unavailable, match="broke off") as unavailable:
        list(stream(_cut(10, 10**9))(0, len(DATA)))
    assert unavailable.value.code == "media_unavailable"
    assert unavailable.value.host == "127.0.0.1"
    assert len(site.requests) == 4


def test_a_server_that_hands_out_slices_is_followed(site: Site, stream: Callable[[Answer], Stream]) -> None:
    def sliced(handler: Handler) -> None:
        span = handler.span(len(DATA))
        assert span is not None
        first, end = span[0], min(span[1], span[0] + 100_000)
        content_range = f"bytes {first}-{end - 1}/{len(DATA)}"
        handler.head(206, Content_Range=content_range, Content_Length=end - first)
        handler.put(DATA[first:end])

    assert b"".join(stream(sliced)(0, len(DATA))) == DATA
    assert len(site.requests) == 11


def _changes_after_cut(handler: Handler) -> None:
    if len(handler.site.requests) == 1:
        _cut(100_000, 1)(handler)
    else:
        file(DATA, ranges=False, ETag='"v2"')(handler)  # what If-Range makes of another file


@pytest.mark.parametrize(
    "answer",
    [
        file(DATA, ETag='"v2"'),
        file(DATA, ETag='"v2"', ranges=False),
        file(DATA + b"x", ETag='"v1"'),
        file(DATA[:-1], ETag='"v1"'),
        file(DATA[:10], ETag='"v1"'),
        file(DATA[:10], ranges=False),
        status(412),
        _changes_after_cut,
    ],
)
def test_another_file_is_never_sent(stream: Callable[[Answer], Stream], answer: Answer) -> None:
    with pytest.raises(Rejected) as rejected:
        list(stream(answer)(100, len(DATA) - 100))
    assert rejected.value.code == "media_changed"


def test_a_file_without_etag_is_told_by_its_size(stream: Callable[..., Stream]) -> None:
    facts = MediaFacts(content_type="video/mp4", bytes=len(DATA))
    assert b"".join(stream(file(DATA, ETag='"new"'), facts)(0, 10)) == DATA[:10]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_file_that_is_gone_is_rejected(stream: Callable[[Answer], Stream], code: int) -> None:
    with pytest.raises(Rejected, match=f"HTTP {code}") as rejected:
        list(stream(status(code))(0, 10))
    assert (rejected.value.code, rejected.value.http_status) == ("media_unreachable", code)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_source_in_trouble_is_unavailable(
    site: Site, stream: Callable[[Answer], Stream], code: int
) -> None:
    with pytest.raises(Unavailable, match=f"HTTP {code}"):
        list(stream(status(code))(0, 10))
    assert len(site.requests) == 4


def test_a_name_that_moved_inside_is_rejected(internet: Internet) -> None:
    internet.site.routes["/f"] = file(DATA, ETag='"v1"')
    internet.answers["media.example.com"] = [[PUBLIC], ["10.0.0.1"]]
    stream = relay(internet.fetcher(), "https://media.example.com/f", FACTS)
    assert b"".join(stream(0, 10)) == DATA[:10]
    with pytest.raises(Rejected) as rejected:
        list(stream(10, 10))
    assert (rejected.value.code, "10.0.0.1" in str(rejected.value)) == ("media_unreachable", False)


def test_a_stream_that_is_dropped_lets_go_of_the_source(site: Site, stream: Callable[..., Stream]) -> None:
    size = 500_000_000

    def endless(handler: Handler) -> None:
        handler.head(206, Content_Range=f"bytes 0-{size - 1}/{size}", Content_Length=size)
        while not site.release.is_set():
            handler.put(bytes(65536))

    chunks = stream(endless, MediaFacts(content_type="video/mp4", bytes=size))(0, size)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 60
    while not site.hung_up and time.monotonic() < deadline:
        pass
    assert site.hung_up == 1


def test_memory_stays_flat_over_a_large_file(site: Site) -> None:
    size = 200 * 1024 * 1024
    piece = os.urandom(1 << 20)

    def large(handler: Handler) -> None:
        handler.head(206, Content_Range=f"bytes 0-{size - 1}/{size}", Content_Length=size)
        for _ in range(200):
            handler.put(piece)

    site.routes["/f"] = large
    fetcher = Fetcher(FetchPolicy(allowed_origins=frozenset({site.origin})))
    stream = relay(fetcher, f"{site.origin}/f", MediaFacts(content_type="video/mp4", bytes=size))
    process = psutil.Process()
    before, most, digest, read = process.memory_info().rss, 0, hashlib.sha256(), 0
    for number, chunk in enumerate(stream(0, size)):
        digest.update(chunk)
        read += len(chunk)
        if number % 64 == 0:
            most = max(most, process.memory_info().rss)
    assert (read, digest.digest()) == (size, hashlib.sha256(piece * 200).digest())
    assert most - before < 64 * 1024 * 1024
