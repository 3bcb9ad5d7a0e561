"""Slow sources: a transfer below the minimum rate ends, and a workspace has a share of the slots in slow ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from threading import Event, Thread
from uuid import UUID, uuid4

import pytest

from adapters.contract import MediaFacts
from adapters.errors import Unavailable
from pipeline.media import relay as module
from pipeline.media.fetch import Fetcher
from pipeline.media.relay import Stream, Transfer, Transfers, relay
from tests.pipeline.media.servers import Answer, Handler, Site, drip, file

DATA = os.urandom(3_000_000)
FACTS = MediaFacts(content_type="video/mp4", bytes=len(DATA))
HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes 0-%d/%d\r\n\r\n"
DRIPS = drip(HEAD % (len(DATA), len(DATA) - 1, len(DATA)))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transfer is suspected at once, and ended after half a second."""
    monkeypatch.setattr(module, "SUSPECT_AFTER", 0.05)
    monkeypatch.setattr(module, "WINDOW", 0.5)
    monkeypatch.setattr("pipeline.media.guarded_http.WATCH_INTERVAL", 0.02)


@pytest.fixture
def workspace() -> UUID:
    return uuid4()


def silent(handler: Handler) -> None:
    """Answer the headers, then nothing."""
    handler.put(HEAD % (len(DATA), len(DATA) - 1, len(DATA)))
    handler.site.release.wait()


def never(handler: Handler) -> None:
    """Answer nothing at all."""
    handler.site.release.wait()


@pytest.fixture
def stream(site: Site, fetcher: Fetcher) -> Callable[..., Stream]:
    def build(answer: Answer, open_transfer: Callable[[], Transfer] = Transfer) -> Stream:
        path = f"/{uuid4()}"
        site.routes[path] = answer
        return relay(fetcher, f"{site.origin}{path}", FACTS, open_transfer)

    return build


@pytest.mark.parametrize("answer", [DRIPS, silent, never])
def test_a_source_below_the_minimum_rate_is_given_up(
    site: Site, stream: Callable[..., Stream], answer: Answer
) -> None:
    before = len(site.requests)
    with pytest.raises(Unavailable, match="less than 64 KiB per second") as raised:
        list(stream(answer)(0, len(DATA)))
    assert raised.value.code == "media_unavailable"
    assert len(site.requests) == before + 1, "it is not asked again by the same upload"


def test_a_slow_receiver_is_not_a_slow_source(stream: Callable[..., Stream]) -> None:
    seen = b""
    for chunk in stream(file(DATA))(0, len(DATA)):
        seen += chunk
        Event().wait(0.02)  # the receiver's own time: 46 chunks, longer than the window
    assert seen == DATA


def test_a_workspace_gets_its_share_of_slow_transfers_and_others_theirs(workspace: UUID) -> None:
    transfers = Transfers(8)
    for _ in range(2):
        transfers.record(workspace, is_slow=True)
    assert transfers.get_wait(workspace)
    with pytest.raises(Unavailable, match="2 other files"):
        transfers.open(workspace)
    with pytest.raises(Unavailable):
        transfers.record(workspace, is_slow=True)
    other = uuid4()
    assert not transfers.get_wait(other)
    transfers.open(other)
    transfers.record(workspace, is_slow=False)
    assert not transfers.get_wait(workspace)
    transfers.open(workspace)


def test_a_transfer_that_becomes_slow_beyond_the_share_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[..., Stream], workspace: UUID
) -> None:
    monkeypatch.setattr(module, "WINDOW", 3600.0)
    transfers = Transfers(8)
    begin = partial(transfers.open, workspace)
    transfers.record(workspace, is_slow=True)
    transfers.record(workspace, is_slow=True)
    transfers.record(workspace, is_slow=False)
    held = islice(stream(DRIPS, begin)(0, len(DATA)), 1)
    failed: list[Unavailable] = []
    first = Thread(target=partial(_collect, held, failed), daemon=True)
    first.start()
    while not transfers.get_wait(workspace):
        first.join(0.01)
    assert not failed, "the second is within the share"
    with pytest.raises(Unavailable, match="2 other files"):
        _wait_for_nothing(Transfer(partial(transfers.record, workspace)))


def test_a_transfer_that_ends_is_no_longer_counted(stream: Callable[..., Stream], workspace: UUID) -> None:
    transfers = Transfers(4)
    with pytest.raises(Unavailable, match="per second"):
        list(stream(DRIPS, partial(transfers.open, workspace))(0, len(DATA)))
    assert not transfers.get_wait(workspace)
    pieces: Iterator[bytes] = stream(file(DATA), partial(transfers.open, workspace))(0, len(DATA))
    assert b"".join(pieces) == DATA
    assert not transfers.get_wait(workspace)


def _collect(pieces: Iterator[bytes], failed: list[Unavailable]) -> None:
    try:
        list(pieces)
    except Unavailable as error:
        failed.append(error)


def _wait_for_nothing(transfer: Transfer) -> None:
    with transfer, transfer.waiting():
        while True:
            transfer.watch()
