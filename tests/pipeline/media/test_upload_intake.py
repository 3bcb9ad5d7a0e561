"""The checks of an upload while it is received."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.media.storage import FolderStorage
from pipeline.media.uploads import TooLarge, TypeMismatch, UploadIntake
from tests.pipeline.media import samples


def intake(kind: str, data: bytes, step: int, most: int = 10**9) -> UploadIntake:
    made = UploadIntake(content_type=kind, most=most, sink=None)
    for at in range(0, len(data), step):
        made.write(data[at : at + step])
    return made


@pytest.mark.parametrize("step", [1, 63, 64, 65, 10_000])
def test_pieces_of_any_size_come_to_the_same(step: int) -> None:
    data = samples.image("PNG")
    assert intake("image/png", data, step).finish() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("step", [1, 64, 10_000])
@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG", b"x" * 63, b"x" * 64, samples.image("GIF")],
    ids=["nothing", "half a mark", "under a head", "a head", "a gif"],
)
def test_other_bytes_are_refused_however_they_come(data: bytes, step: int) -> None:
    with pytest.raises(TypeMismatch, match="not image/png"):
        intake("image/png", data, step).finish()


@pytest.mark.parametrize(
    ("kind", "other"), [("video/mp4", "image/png"), ("image/heic", "image/png"), ("video/webm", "video/mp4")]
)
def test_families_end_somewhere(kind: str, other: str) -> None:
    data = {"image/png": samples.image("PNG"), "video/mp4": samples.video()}[other]
    with pytest.raises(TypeMismatch, match=other):
        intake(kind, data, 1000)


def test_webm_is_webm_and_no_other_matroska() -> None:
    head = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84"
    intake("video/webm", (head + b"webm").ljust(200), 1000).finish()
    with pytest.raises(TypeMismatch, match="matroska"):
        intake("video/webm", (head + b"matroska").ljust(200), 1000)


def test_one_byte_too_many_is_too_many() -> None:
    data = samples.image("PNG")
    intake("image/png", data, 7, most=len(data)).finish()
    with pytest.raises(TooLarge):
        intake("image/png", data, 7, most=len(data) - 1)


def test_after_a_drop_nothing_is_taken(tmp_path: Path) -> None:
    made = UploadIntake(content_type="image/png", most=10**6, sink=FolderStorage(tmp_path).begin("a/b"))
    made.write(samples.image("PNG"))
    made.drop()
    made.drop()
    with pytest.raises(ValueError, match="over"):
        made.write(b"x")
    with pytest.raises(ValueError, match="over"):
        made.finish()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
