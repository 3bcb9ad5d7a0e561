"""Inputs that were faults of ours once, and those that the fuzzing starts from: each is read or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fuzz.mutate import mutate
from tests.fuzz.readers import MAX_BYTES, READERS
from tests.pipeline.media import hostile_files, samples


def _end_with(block: bytes) -> bytes:
    """Return a GIF that goes on after its picture."""
    return samples.image("GIF").removesuffix(b";") + block


FOUND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nested boxes: RecursionError": ("mp4", lambda: hostile_files.with_nested_boxes(5000)),
    "GIF, short control block: IndexError in Pillow": ("image", lambda: _end_with(b"!\xf9\x01\x01\0,")),
    "GIF, short image descriptor: IndexError in Pillow": ("image", lambda: _end_with(b"," + bytes(8))),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_a_fault_is_refused(name: str) -> None:
    reader, make = FOUND[name]
    READERS[reader].run(make())
    READERS[reader].read(make())


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore")
def test_each_reader_reads_what_the_fuzzing_starts_from(name: str) -> None:
    for data in READERS[name].seeds():
        READERS[name].read(data)


def test_equal_seeds_make_equal_changes_within_the_bound() -> None:
    data = samples.video()
    for seed in range(300):
        changed = mutate(data, [data], seed, MAX_BYTES)
        assert changed == mutate(data, [data], seed, MAX_BYTES)
        assert 0 < len(changed) <= MAX_BYTES
