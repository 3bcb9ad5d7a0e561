"""Measures what the index of a video makes FFmpeg allocate, before FFmpeg reads it.

FFmpeg allocates 35 to 50 bytes for every sample that an index claims, however few bytes the claim takes (measured: an
MP4 of 3 kB with 20 million samples costs 700 MB). Past its memory limit it drops a part of the index and answers other
facts, so the index is measured first, from its headers alone. Runs in the probe process.

What this misses (a table where no writer puts one) still meets the memory limit of the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from pipeline.media.probe.containers import Box, iter_boxes

MAX_SAMPLES = 3_500_000
"""Samples (frames of picture and sound) of all tracks: 12 hours at 30 frames a second, with sound at 48 kHz."""
MAX_INDEX_BOXES = 10_000
"""Boxes, elements or chunks that are read. Real files have hundreds."""
MAX_DEPTH = 12
"""Boxes inside each other. FFmpeg refuses more than 10 ("Atoms too deeply nested"); a usual index has 6."""
MAX_INDEX_BYTES = 8 * 1024**2
"""Bytes of what Matroska lists before its clusters, tracks and cues: FFmpeg allocates up to 16 times as much."""
MAX_ATTACHED_BYTES = 32 * 1024**2
"""Bytes of the attachments of a Matroska file, of which FFmpeg keeps a copy."""
FRAGMENT_BYTES = 6 * 1024**2
"""Fragments that begin this far behind the index are measured; FFmpeg reads 5 MB of media to learn the codec."""
SAMPLE_COST = 60
"""Bytes that FFmpeg allocates for a sample with an entry in every table, at most (measured: 46)."""
_AMPLIFICATION = 16


class OverLimit(Exception):
    """A value of the file is over a limit. ``error`` is one of the answers that ``probe_client.py`` knows."""

    def __init__(self, error: str, found: int, limit: int) -> None:
        super().__init__(f"{error}: {found} > {limit}")
        self.error, self.found, self.limit = error, found, limit


def check_limit(error: str, found: int, limit: int) -> None:
    """Raise OverLimit if a value is over its limit."""
    if found > limit:
        raise OverLimit(error, found, limit)


def estimate_memory(demuxer: str, file: IO[bytes], size: int) -> int:
    """Return the bytes that FFmpeg allocates for the index, at most. Raises OverLimit."""
    return {"mov": _measure_iso, "matroska": _measure_matroska, "avi": _measure_avi}[demuxer](file, size)


# --- MP4 and MOV (ISO/IEC 14496-12, QuickTime File Format) ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table states its count: the offset in version 0 and 1 of its box, and the bytes of the number."""

    at: int = 4
    at_version_1: int = 4
    wide: int = 4


_PARENTS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"hoov", b"udta"}
)
_SAMPLES: Mapping[bytes, _Table] = {b"stsz": _Table(8, 8), b"stz2": _Table(8, 8), b"trun": _Table()}
_ENTRIES: Mapping[bytes, _Table] = {
    **dict.fromkeys(
        (b"stts", b"ctts", b"stsc", b"stco", b"co64", b"stss", b"stps", b"elst", b"senc"), _Table()
    ),
    b"sidx": _Table(22, 30, 2),
    b"sbgp": _Table(8, 12),
}


class _IsoIndex:
    """The tables of a file, added up as they are found."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self._boxes = self._depth = self.samples = 0
        self.entries: dict[bytes, int] = dict.fromkeys(_ENTRIES, 0)

    def add_children(self, parent: Box) -> None:
        """Add what the boxes inside a box claim."""
        self._depth += 1
        check_limit("nested_too_deep", self._depth, MAX_DEPTH)
        for box in iter_boxes(self._file, parent.start, min(parent.end, self._size), MAX_INDEX_BOXES + 1):
            self.add(box)
        self._depth -= 1

    def add(self, box: Box) -> None:
        """Add what a box claims, and the boxes inside it."""
        self._boxes += 1
        check_limit("too_many_boxes", self._boxes, MAX_INDEX_BOXES)
        if box.name in _PARENTS or (box.name == b"free" and self._is_hidden_index(box)):
            self.add_children(box)
        elif box.name == b"cmov":
            raise OverLimit("compressed_index", 1, 0)
        elif box.name in _SAMPLES:
            self.samples += self._read_count(box, _SAMPLES[box.name])
            check_limit("too_many_samples", self.samples, MAX_SAMPLES)
        elif box.name in _ENTRIES:
            self.entries[box.name] += self._read_count(box, _ENTRIES[box.name])
            check_limit("too_many_entries", self.entries[box.name], MAX_SAMPLES)

    def _is_hidden_index(self, box: Box) -> bool:
        """Return True for a ``free`` box that contains an index: FFmpeg reads it when it finds no other."""
        self._file.seek(box.start)
        return self._file.read(8)[4:] in (b"mvhd", b"cmov")

    def _read_count(self, box: Box, table: _Table) -> int:
        self._file.seek(box.start)
        data = self._file.read(32)
        at = table.at_version_1 if data[:1] == b"\x01" else table.at
        return int.from_bytes(data[at : at + table.wide], "big")


def _measure_iso(file: IO[bytes], size: int) -> int:
    index = _IsoIndex(file, size)
    until = size
    for box in iter_boxes(file, 0, size, MAX_INDEX_BOXES + 1):
        if box.start > until:
            break
        index.add(box)
        if box.name == b"moov":
            until = min(until, box.end + FRAGMENT_BYTES)
    return max(index.samples, *index.entries.values()) * SAMPLE_COST


# --- Matroska and WebM (RFC 9559, RFC 8794) ---------------------------------------------------------------------------

_SEGMENT, _CLUSTER, _SEEK_HEAD, _ATTACHMENTS = 0x18538067, 0x1F43B675, 0x114D9B74, 0x1941A469
_FOUND_BY_SEEK_HEAD = frozenset({0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367, _ATTACHMENTS, _SEEK_HEAD})
"""Elements that FFmpeg reads wherever the seek head says they are; it leaves cues behind the clusters alone."""
_SEEK, _SEEK_POSITION = 0x4DBB, 0x53AC


@dataclass(frozen=True, slots=True)
class _Element:
    """An EBML element: its id and the file offsets of its content."""

    id: int
    start: int
    end: int


def _read_element(file: IO[bytes], at: int, end: int) -> _Element | None:
    """Return the element at an offset, None if there is none. One of unknown size reaches to ``end``."""
    file.seek(at)
    data = file.read(min(12, end - at))
    id_bytes = _measure_number(data[:1], 4)
    size_bytes = _measure_number(data[id_bytes : id_bytes + 1], 8) if id_bytes else 0
    start = id_bytes + size_bytes
    if not size_bytes or len(data) < start:
        return None
    mask = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(data[id_bytes:start], "big") & mask
    return _Element(
        int.from_bytes(data[:id_bytes], "big"), at + start, end if size == mask else at + start + size
    )


def _measure_number(first: bytes, most: int) -> int:
    """Return the length of an EBML number by its first byte, 0 if it is none."""
    length = 9 - first[0].bit_length() if first else 0
    return length if 1 <= length <= most else 0


def _iter_elements(file: IO[bytes], start: int, end: int) -> Iterator[_Element]:
    for n in range(MAX_INDEX_BOXES + 1):
        check_limit("too_many_boxes", n, MAX_INDEX_BOXES)
        element = _read_element(file, start, end) if start < end else None
        if element is None:
            return
        yield element
        start = element.end


def _measure_matroska(file: IO[bytes], size: int) -> int:
    segment = next((found for found in _iter_elements(file, 0, size) if found.id == _SEGMENT), None)
    if segment is None:
        return 0
    found: dict[int, _Element] = {}
    for element in _iter_elements(file, segment.start, min(segment.end, size)):
        if element.id == _CLUSTER:
            break
        found[element.start] = element
    for head in [one for one in found.values() if one.id == _SEEK_HEAD]:
        for position in _list_seek_positions(file, head):
            listed = _read_element(file, segment.start + position, size)
            if listed is not None and listed.id in _FOUND_BY_SEEK_HEAD:
                found[listed.start] = listed
    attached = sum(one.end - one.start for one in found.values() if one.id == _ATTACHMENTS)
    rest = sum(one.end - one.start for one in found.values() if one.id != _ATTACHMENTS)
    check_limit("index_too_large", rest, MAX_INDEX_BYTES)
    check_limit("attachments_too_large", attached, MAX_ATTACHED_BYTES)
    return rest * _AMPLIFICATION + attached * 2


def _list_seek_positions(file: IO[bytes], head: _Element) -> list[int]:
    positions = []
    for seek in _iter_elements(file, head.start, head.end):
        if seek.id != _SEEK:
            continue
        for entry in _iter_elements(file, seek.start, seek.end):
            if entry.id == _SEEK_POSITION:
                file.seek(entry.start)
                positions.append(int.from_bytes(file.read(min(8, entry.end - entry.start)), "big"))
    return positions


# --- AVI (AVI RIFF File Reference, OpenDML AVI File Format Extensions) ------------------------------------------------


def _measure_avi(file: IO[bytes], size: int) -> int:
    """Add up the old index (``idx1``) and the entries that the OpenDML index of each stream (``indx``) lists."""
    entries = 0
    for name, start, end in _iter_chunks(file, 12, size):
        if name == b"idx1":
            entries += (min(end, size) - start) // 16
        elif name == b"hdrl":
            entries += sum(
                _count_stream(file, a, min(b, size))
                for n, a, b in _iter_chunks(file, start, end)
                if n == b"strl"
            )
        check_limit("too_many_samples", entries, MAX_SAMPLES)
    return entries * SAMPLE_COST


def _iter_chunks(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the chunks between two offsets, with the name of the list for a list."""
    for n in range(MAX_INDEX_BOXES + 1):
        check_limit("too_many_boxes", n, MAX_INDEX_BOXES)
        if end - start < 8:  # noqa: PLR2004  a header is 8 bytes
            return
        file.seek(start)
        data = file.read(12)
        length = int.from_bytes(data[4:8], "little")
        if data[:4] in (b"LIST", b"RIFF"):
            yield data[8:12], start + 12, start + 8 + length
        else:
            yield data[:4], start + 8, start + 8 + length
        start += 8 + length + length % 2


def _count_stream(file: IO[bytes], start: int, end: int) -> int:
    """Return the entries of the OpenDML index of a stream: of the index chunks that it lists, or its own."""
    total = 0
    for name, at, _ in _iter_chunks(file, start, end):
        if name != b"indx":
            continue
        is_super_index, count = _read_index_header(file, at)
        if not is_super_index:
            total += count
            continue
        check_limit("too_many_boxes", count, MAX_INDEX_BOXES)
        for n in range(count):
            file.seek(at + 24 + 16 * n)
            offset = int.from_bytes(file.read(8), "little")
            total += _read_index_header(file, offset + 8)[1]
            check_limit("too_many_samples", total, MAX_SAMPLES)
    return total


def _read_index_header(file: IO[bytes], at: int) -> tuple[bool, int]:
    """Return whether an index lists other indexes, and the number of its entries."""
    file.seek(at)
    data = file.read(8)
    return data[3:4] == b"\0", int.from_bytes(data[4:8], "little")
