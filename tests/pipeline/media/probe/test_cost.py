"""What a probe may cost: memory and processor time of real probe processes on files made to be expensive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest

from config.settings import Settings
from pipeline.media.probe import probe_client
from pipeline.media.probe.containers import Container, sniff
from pipeline.media.probe.probe_client import ProbeMemory, get_probe_memory
from pipeline.media.probe.probe_pool import Ending
from pipeline.media.probe.probe_worker import (
    CONVERSION_MEMORY,
    CPU_SECONDS,
    MEMORY,
    SMALL_MEMORY,
    THUMBNAIL_MEMORY,
)
from pipeline.media.probe.video_index import MAX_DEPTH, MAX_INDEX_BOXES, MAX_SAMPLES
from pipeline.media.url_policy import Refused, Unanswered
from tests.pipeline.media import hostile_files, samples

Make = Callable[[], bytes]
"""Makes a file when its test runs: some take a second, and every pytest worker collects them all."""
SECONDS = 60
MEBIBYTE = 1024**2
SMALLEST = ProbeMemory(MEMORY + SMALL_MEMORY)
"""Memory for one process of each size."""


def _recognize(data: bytes) -> Container:
    container = sniff(data)
    assert container is not None
    return container


def _inspect(data: bytes) -> probe_client.ProbeResult:
    return probe_client.inspect(_recognize(data), len(data), _reads(data), SECONDS, SMALLEST)


def _run(data: bytes, memory: int = MEMORY) -> tuple[probe_client.ProbeResult, Ending]:
    return probe_client.run_probe(_recognize(data), len(data), _reads(data), SECONDS, memory)


def _reads(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


# --- limits on what an index claims -----------------------------------------------------------------------------------


@pytest.mark.parametrize("movflags", ["", "faststart"], ids=["index at the end", "index at the start"])
def test_twenty_million_samples_in_three_kilobytes_are_refused_before_ffmpeg_sees_them(movflags: str) -> None:
    _, plain = _run(samples.video())
    data = hostile_files.with_samples(20_000_000, movflags=movflags)
    assert len(data) < 4000
    with pytest.raises(
        Refused, match=r"^its index lists 20,000,000 samples, and at most 3,500,000 are accepted$"
    ):
        _inspect(data)
    result, ending = _run(data)
    assert result.error == "too_many_samples"
    assert ending.memory <= plain.memory + MEBIBYTE


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: hostile_files.with_fragment(20_000_000), "its index lists 20,000,000 samples"),
        (
            lambda: hostile_files.with_samples(1, replace={b"stco": hostile_files.full(b"stco", 50_000_000)}),
            "a table of its index has 50,000,000 entries",
        ),
        (
            lambda: hostile_files.with_samples(
                1, replace={b"stz2": b"", b"stss": hostile_files.full(b"stss", 2**32 - 1)}
            ),
            "a table of its index has 4,294,967,295 entries",
        ),
        (
            lambda: hostile_files.with_samples(
                1, replace={b"stss": samples.box(b"free") * (MAX_INDEX_BOXES + 1)}
            ),
            f"its index consists of {MAX_INDEX_BOXES + 1:,} parts or more",
        ),
        (
            lambda: hostile_files.with_samples(1, replace={b"stss": samples.box(b"cmov", bytes(100))}),
            "its index is compressed",
        ),
        (
            lambda: hostile_files.with_nested_boxes(5000),
            f"its index is nested {MAX_DEPTH + 1} levels deep or more, and at most {MAX_DEPTH} are accepted",
        ),
        (lambda: hostile_files.avi(MAX_SAMPLES + 1), "its index lists 3,500,001 samples"),
        (lambda: hostile_files.avi_with_index_chunks(2_000_000), "its index lists 4,000,000 samples"),
        (lambda: hostile_files.matroska_with_tags_at_the_end(9_000_000), "its index has 9,000,"),
        (lambda: hostile_files.matroska(5_000_000), "its index has 10,000,348 bytes"),
        (lambda: hostile_files.webp(9000, 9000), "it has 81,000,000 pixels, and at most 67,108,864"),
        (lambda: hostile_files.webp(9000, 9000, picture=(64, 32)), "it is damaged"),
        (lambda: samples.heic(9000, 9000), "it has 81,000,000 pixels, and at most 67,108,864"),
    ],
    ids=[
        "fragment",
        "offsets",
        "key frames",
        "boxes",
        "compressed",
        "nested",
        "avi",
        "opendml",
        "tags",
        "cues",
        "pixels",
        "canvas",
        "heic",
    ],
)
def test_an_index_or_picture_that_claims_too_much_is_refused_with_the_value(make: Make, reason: str) -> None:
    data = make()
    with pytest.raises(Refused, match=f"^{reason}"):
        _inspect(data)
    _, ending = _run(data)
    _, plain = _run(samples.video())
    assert ending.memory <= plain.memory + MEBIBYTE


def test_tables_of_several_tracks_and_fragments_are_added_up() -> None:
    data = hostile_files.with_samples(MAX_SAMPLES)
    track = data[data.index(b"trak") - 4 : data.index(b"udta") - 4]
    with pytest.raises(Refused, match="its index lists 7,000,000 samples"):
        _inspect(hostile_files.with_boxes_in_index(data, track))


# --- what is accepted fits its memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: hostile_files.with_samples(MAX_SAMPLES),
        lambda: hostile_files.with_full_tables(1_000_000),
        lambda: hostile_files.with_fragment(MAX_SAMPLES - 30),
        lambda: hostile_files.avi(2_000_000),
        lambda: hostile_files.avi_with_index_chunks(2),
        lambda: hostile_files.matroska_with_tags_at_the_end(1_000_000),
        lambda: hostile_files.matroska(4_000_000),
    ],
    ids=["samples", "every table", "fragment", "avi", "opendml", "tags", "cues"],
)
def test_the_dearest_files_that_are_accepted_fit_the_memory_of_a_probe(make: Make) -> None:
    """The limit is of address space. An index that did not fit would lose a part, and the facts with it."""
    result, ending = _run(make())
    assert (result.error, result.width, result.height) == (None, 320, 180)
    assert ending.memory <= MEMORY
    assert ending.cpu_seconds <= CPU_SECONDS


def test_a_file_that_needs_more_than_the_small_part_is_read_in_the_large_one() -> None:
    data = hostile_files.with_samples(1_000_000)
    small, ending = _run(data, SMALL_MEMORY)
    assert small.error == "too_much_memory"
    assert ending.memory < 2 * SMALL_MEMORY
    assert _inspect(data) == _run(samples.video())[0]


@pytest.mark.parametrize(
    "make",
    [
        samples.video,
        lambda: samples.video(movflags="faststart"),
        lambda: samples.video(movflags="frag_keyframe+empty_moov"),
        lambda: samples.video("webm", "libvpx-vp9"),
        lambda: samples.video("avi", "mpeg4"),
        lambda: samples.video(noisy=True, frames=300),
        *(partial(samples.image, form) for form in ("JPEG", "PNG", "GIF", "WEBP", "AVIF")),
        lambda: samples.heic(4032, 3024),
    ],
)
def test_usual_files_need_the_small_part_only(make: Make) -> None:
    assert _run(make(), SMALL_MEMORY)[0].error is None


def test_a_process_that_allocates_past_its_part_ends_and_not_its_neighbours() -> None:
    """What reaches the library all the same meets the limit of the process."""
    data = hostile_files.jpeg_with_segments(900)
    for _ in range(20):  # it may end before, or after, the bytes that it asked for were sent
        result, ending = _run(data, SMALL_MEMORY)
        assert result.error == "too_much_memory"
        assert ending.memory < 2 * SMALL_MEMORY


# --- processor time ---------------------------------------------------------------------------------------------------


def test_a_jpeg_that_takes_too_long_is_refused_with_a_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    endings: list[Ending] = []

    def record(*arguments: Any) -> tuple[probe_client.ProbeResult, Ending]:
        result, ending = run_probe(*arguments)
        endings.append(ending)
        return result, ending

    run_probe = probe_client.run_probe
    monkeypatch.setattr(probe_client, "run_probe", record)
    with pytest.raises(
        Refused, match=r"^more than 3 s of processor time would be needed to tell what it is$"
    ):
        _inspect(hostile_files.slow_jpeg())
    assert endings[-1].is_out_of_time
    assert sum(ending.cpu_seconds for ending in endings) <= CPU_SECONDS + 1.5


def test_a_progressive_jpeg_of_thousands_of_scans_costs_no_more_than_its_header() -> None:
    data = hostile_files.with_scans(5000)
    result, ending = _run(data)
    assert (result.width, result.height) == (64, 32)
    assert ending.cpu_seconds < 1


def test_small_reads_do_not_each_cost_the_worker_a_message() -> None:
    data = samples.image("JPEG")
    data = data[:2] + b"\xff" * 400_000 + data[2:]
    reads: list[int] = []

    def read(offset: int, length: int) -> bytes:
        reads.append(length)
        return data[offset : offset + length]

    probe_client.inspect(_recognize(data), len(data), read, SECONDS, SMALLEST)
    assert len(reads) < 60


# --- all probes together ----------------------------------------------------------------------------------------------


def test_the_default_gives_room_to_a_conversion_a_thumbnail_one_large_and_twenty_small_probes() -> None:
    total = Settings().reachability.probe_memory
    parts = {CONVERSION_MEMORY: 1, MEMORY: 1, THUMBNAIL_MEMORY: 1, SMALL_MEMORY: 21}
    assert ProbeMemory(total).parts == parts
    assert total >= sum(size * n for size, n in parts.items())
    assert get_probe_memory(10**9) is get_probe_memory(10**9)


def test_probes_wait_for_memory_and_large_ones_keep_no_small_one_waiting() -> None:
    memory = ProbeMemory(MEMORY + SMALL_MEMORY)
    large = hostile_files.with_samples(1_000_000)
    inside, let_go = Event(), Event()
    reads: list[int] = []

    def hold(offset: int, length: int) -> bytes:
        reads.append(offset)
        if reads.count(0) == 2:  # the second process of this file: it has the large part
            inside.set()
            assert let_go.wait(SECONDS)
        return large[offset : offset + length]

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(probe_client.inspect, _recognize(large), len(large), hold, SECONDS, memory)
        assert inside.wait(SECONDS)
        with pytest.raises(Unanswered, match="too many files are being checked"):
            probe_client.inspect(_recognize(large), len(large), _reads(large), 2, memory)
        small = samples.video()
        assert (
            probe_client.inspect(_recognize(small), len(small), _reads(small), SECONDS, memory).width == 320
        )
        let_go.set()
        assert holding.result().width == 320
    assert probe_client.inspect(_recognize(large), len(large), _reads(large), SECONDS, memory).width == 320
