"""Both storages: an object appears whole or not at all, any range can be read, and a removed one is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.media.storage import (
    MAX_WINDOW,
    PART_BYTES,
    BucketStorage,
    FolderStorage,
    ObjectMissing,
    Storage,
    StorageUnavailable,
)
from tests.conftest import free_ports
from tests.pipeline.media.bucket import bucket_of, serving_bucket

DATA = os.urandom(PART_BYTES + MAX_WINDOW + 12_345)
KEY = "ab/an-object"


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    with serving_bucket() as settings:
        yield settings


@pytest.fixture
def bucket(served: dict[str, str]) -> Storage:
    return bucket_of(served)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path / "files")
    found: Storage = request.getfixturevalue("bucket")
    found.remove(KEY)
    return found


def stored(storage: Storage, data: bytes = DATA) -> None:
    sink = storage.begin(KEY)
    for at in range(0, len(data), 700_001):
        sink.write(data[at : at + 700_001])
    sink.finish()


def read(storage: Storage, first: int, length: int, step: int = 65_536) -> bytes:
    part = storage.open(KEY, first, length)
    try:
        return b"".join(iter(lambda: part.read(step), b""))
    finally:
        part.close()


@pytest.mark.parametrize("size", [1, 4096, len(DATA)])
def test_what_was_written_is_read(storage: Storage, size: int) -> None:
    stored(storage, DATA[:size])
    assert read(storage, 0, size) == DATA[:size]


@pytest.mark.parametrize(
    ("first", "length"),
    [(0, 1), (len(DATA) - 1, 1), (PART_BYTES - 10, 20), (5, 0), (100_000, MAX_WINDOW + 1)],
)
def test_any_range_is_read_and_nothing_beyond_it(storage: Storage, first: int, length: int) -> None:
    stored(storage)
    assert read(storage, first, length, step=1_000_000) == DATA[first : first + length]


def test_nothing_is_there_before_the_end_nor_after_a_drop(storage: Storage) -> None:
    sink = storage.begin(KEY)
    sink.write(DATA)
    with pytest.raises(ObjectMissing):
        read(storage, 0, 1)
    sink.drop()
    with pytest.raises(ObjectMissing):
        read(storage, 0, 1)
    storage.remove(KEY)
    stored(storage, b"another")
    assert read(storage, 0, 7) == b"another"


def test_what_is_removed_is_gone_and_removing_it_again_is_no_error(storage: Storage) -> None:
    stored(storage, b"x")
    for _ in range(2):
        storage.remove(KEY)
        with pytest.raises(ObjectMissing):
            read(storage, 0, 1)


def test_a_folder_keeps_files_to_its_owner_and_no_leftovers(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "deep" / "files")
    stored(storage, b"x")
    begun = storage.begin("ab/other")
    begun.write(b"half")
    names = {path.name for path in (tmp_path / "deep").rglob("*") if path.is_file()}
    assert names == {"an-object", "other.part"}
    for path in (tmp_path / "deep").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    begun.drop()
    storage.remove("ab/other")
    assert [path.name for path in (tmp_path / "deep").rglob("*") if path.is_file()] == ["an-object"]


def test_what_a_dead_process_left_half_written_is_removed_with_the_object(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    begun = storage.begin(KEY)
    begun.write(b"half")
    storage.remove(KEY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    begun.drop()


def test_a_folder_that_cannot_be_made_is_away(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(StorageUnavailable, match="folder"):
        FolderStorage(tmp_path / "files").begin(KEY)


def test_a_bucket_that_does_not_answer_is_away_and_tells_no_secret() -> None:
    settings = {
        "SLIPWAY_FILES__BUCKET": "b",
        "SLIPWAY_FILES__ENDPOINT": f"http://127.0.0.1:{free_ports(1)[0]}",
        "SLIPWAY_FILES__ACCESS_KEY": "known",
        "SLIPWAY_FILES__SECRET_KEY": "unspeakable",
    }
    storage = bucket_of(settings)
    assert "unspeakable" not in repr(storage)
    with pytest.raises(StorageUnavailable) as caught:
        storage.open(KEY, 0, 10).read(10)
    assert "127.0.0.1" not in str(caught.value)
    sink = storage.begin(KEY)
    sink.write(b"x")
    with pytest.raises(StorageUnavailable):
        sink.finish()


def test_a_bucket_that_is_not_there_is_away(served: dict[str, str]) -> None:
    sink = bucket_of({**served, "SLIPWAY_FILES__BUCKET": "no-such-bucket"}).begin(KEY)
    sink.write(b"x")
    with pytest.raises(StorageUnavailable, match="bucket"):
        sink.finish()


def test_all_processes_read_the_same_identity_of_a_folder_and_another_of_another(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(lambda _: FolderStorage(tmp_path / "one").identify(), range(32)))
    assert len(seen) == 1
    assert None not in seen
    assert FolderStorage(tmp_path / "two").identify() not in seen
    assert FolderStorage(tmp_path / "one").identify() in seen, "it stays"


def test_a_folder_that_is_not_there_has_no_identity_and_is_not_made(tmp_path: Path) -> None:
    assert FolderStorage(tmp_path / "files").identify() is None
    assert not (tmp_path / "files").exists()


def test_a_bucket_is_where_it_is_and_its_name() -> None:
    def make(bucket: str, endpoint: str = "") -> str | None:
        key = SecretStr("b")
        storage = BucketStorage(
            bucket=bucket, endpoint=endpoint, region="eu", access_key="a", secret_key=key, path_style=True
        )
        return storage.identify()

    assert make("one") == make("one")
    assert len({make("one"), make("two"), make("one", "https://s3.example")}) == 3
