"""Copies of parts of media files: complete or absent, read instead of the source, and bounded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import Media
from adapters.errors import Unavailable
from pipeline.media import spool
from pipeline.media.spool import add_spool

BYTES = bytes(range(256)) * 1000


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
def media(source: Source, tmp_path: Path) -> Media:
    made = Media(url="https://cdn.example.com/v.mp4", kind="video", stream=source.stream)
    return add_spool(made, tmp_path / "spool", "delivery-1-0")


def read(media: Media, first: int, length: int) -> bytes:
    assert media.stream is not None
    return b"".join(media.stream(first, length))


def test_a_copied_range_is_read_from_disk(media: Media, source: Source, tmp_path: Path) -> None:
    assert media.spool is not None
    assert media.spool(500, 100_000)
    assert not media.spool(500, 100_000), "it is there already"
    assert source.reads == 1
    assert read(media, 500, 100_000) == BYTES[500:100_500]
    assert source.reads == 1
    assert read(media, 0, 500) == BYTES[:500]
    assert source.reads == 2
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()] == [0o600]


def test_another_process_reads_the_copy(media: Media, source: Source, tmp_path: Path) -> None:
    assert media.spool is not None
    media.spool(0, 1000)
    other = add_spool(
        Media(url=media.url, kind="video", stream=source.stream), tmp_path / "spool", "delivery-1-0"
    )
    assert other.spool is not None
    assert not other.spool(0, 1000)
    edited = add_spool(
        Media(url=media.url, kind="video", stream=source.stream), tmp_path / "spool", "delivery-2-0"
    )
    assert edited.spool is not None
    assert edited.spool(0, 1000)


def test_a_source_that_breaks_leaves_no_copy(media: Media, source: Source, tmp_path: Path) -> None:
    source.breaks_at = 3000
    assert media.spool is not None
    with pytest.raises(Unavailable):
        media.spool(0, 10_000)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_disk_that_cannot_be_written_is_unavailable(media: Media, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file, not a folder")
    assert media.spool is not None
    with pytest.raises(Unavailable) as error:
        media.spool(0, 1000)
    assert error.value.code == "spool_failed"


def test_old_and_excess_copies_are_removed(
    media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert media.spool is not None
    media.spool(0, 1000)
    old = tmp_path / "spool" / "old-0-1"
    old.write_bytes(b"x")
    hours_ago = time.time() - spool.KEPT_S - 60
    os.utime(old, (hours_ago, hours_ago))
    media.spool(1000, 1000)
    assert not old.exists()
    monkeypatch.setattr(spool, "MOST_BYTES", 2500)
    media.spool(2000, 1000)
    assert len(list((tmp_path / "spool").iterdir())) == 2
