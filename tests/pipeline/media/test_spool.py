"""What visible calls send: in memory or copied and open before arm, complete or absent, and bounded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.contract import Media
from adapters.errors import StorageFault, Unavailable
from pipeline.media import spool
from pipeline.media.spool import IN_MEMORY, SentRange

BYTES = bytes(range(256)) * 10_000
LARGE = IN_MEMORY + 1
Make = Callable[..., SentRange]


class Source:
    """Counts how often it is read; ``breaks_at`` ends a read early."""

    def __init__(self) -> None:
        self.reads = 0
        self.breaks_at: int | None = None

    def stream(self, first: int, length: int) -> Iterator[bytes]:
        self.reads += 1
        end = first + length if self.breaks_at is None else self.breaks_at
        for at in range(first, end, 1000):
            yield BYTES[at : min(at + 1000, end)]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def sent(source: Source, tmp_path: Path) -> Make:
    media = Media(url="https://cdn.example.com/v.mp4", kind="video", stream=source.stream)

    def make(first: int, length: int, name: str = "delivery-1-0") -> SentRange:
        return SentRange(media=media, first=first, length=length, folder=tmp_path / "spool", name=name)

    return make


def read(media: Media, first: int, length: int) -> bytes:
    assert media.stream is not None
    return b"".join(media.stream(first, length))


@pytest.mark.parametrize("length", [1, IN_MEMORY, LARGE])
def test_what_is_open_needs_no_source(sent: Make, source: Source, tmp_path: Path, length: int) -> None:
    part = sent(500, length)
    assert part.copy() is (length == LARGE)
    assert not part.copy(), "it is small, or there already"
    with part.open() as media:
        assert source.reads == 1
        for path in (tmp_path / "spool").glob("*"):  # as another process removes old copies
            path.unlink()
        for _ in range(2):
            assert read(media, 500, length) == BYTES[500 : 500 + length]
        with pytest.raises(ValueError, match="not opened"):
            read(media, 0, 500)
    assert source.reads == 1


def test_a_copy_is_private_and_removed_after_use(sent: Make, tmp_path: Path) -> None:
    part = sent(0, LARGE)
    part.copy()
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()] == [0o600]
    with part.open():
        pass
    assert list((tmp_path / "spool").iterdir()) == []


def test_another_process_reads_the_copy_and_an_edited_post_does_not(sent: Make) -> None:
    sent(0, LARGE).copy()
    assert not sent(0, LARGE).copy()
    assert sent(0, LARGE, "delivery-2-0").copy()


def test_a_copy_that_is_gone_is_a_fault_of_ours(sent: Make) -> None:
    with pytest.raises(StorageFault), sent(0, LARGE).open():
        pass


def test_a_source_that_breaks_leaves_no_copy(sent: Make, source: Source, tmp_path: Path) -> None:
    source.breaks_at = 3000
    with pytest.raises(Unavailable):
        sent(0, LARGE).copy()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_disk_that_cannot_be_written_is_a_fault_of_ours(sent: Make, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file, not a folder")
    with pytest.raises(StorageFault) as error:
        sent(0, LARGE).copy()
    assert error.value.code == "spool_failed"


def test_old_and_excess_copies_are_removed(
    sent: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(0, LARGE).copy()
    old = tmp_path / "spool" / "old-0-1"
    old.write_bytes(b"x")
    hours_ago = time.time() - spool.KEPT_S - 60
    os.utime(old, (hours_ago, hours_ago))
    sent(1000, LARGE).copy()
    assert not old.exists()
    monkeypatch.setattr(spool, "MOST_BYTES", 2 * LARGE + 500)
    sent(2000, LARGE).copy()
    assert len(list((tmp_path / "spool").iterdir())) == 2
