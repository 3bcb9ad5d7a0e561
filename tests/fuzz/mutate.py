"""Changes of a file that a parser of lengths, counts, chunks and nesting is likely to stumble over."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

Change = Callable[[bytearray, Random], None]
_NUMBERS = (
    0,
    1,
    7,
    8,
    12,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63,
    2**64 - 1,
)
_DEPTHS = (2, 13, 100, 3000)
_WORDS = tuple(
    text.encode()
    for text in (
        "9" * 5000,
        "-1",
        "1e999",
        "NaN",
        "null",
        "\0",
        "\ud7ff",
        "😀",
        '"',
        "[" * 2000,
        '{"a":' * 2000,
        "%00",
        "\r\n",
    )
)


def mutate(data: bytes, others: Sequence[bytes], seed: int, most: int) -> bytes:
    """Return the file with one to four changes, of at most so many bytes. The same seed makes the same changes."""
    random = Random(seed)
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 4))):
        if others and random.random() < 0.1:
            _splice(changed, random.choice(others), random)
        else:
            random.choice(_CHANGES)(changed, random)
        del changed[most:]
        if not changed:
            changed += b"\0"
    return bytes(changed)


def _span(data: bytearray, random: Random) -> tuple[int, int]:
    """Return a part of the file: short ones are likelier."""
    start = random.randrange(len(data))
    return start, min(len(data), start + 1 + int(2 ** random.uniform(0, 12)))


def _flip(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 3, 20))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] = random.randrange(256)


def _truncate(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _delete(data: bytearray, random: Random) -> None:
    start, end = _span(data, random)
    del data[start:end]


def _repeat(data: bytearray, random: Random) -> None:
    start, end = _span(data, random)
    data[start:start] = data[start:end] * random.choice((1, 2, 50))


def _move(data: bytearray, random: Random) -> None:
    start, end = _span(data, random)
    part = data[start:end]
    del data[start:end]
    at = random.randrange(len(data) + 1)
    data[at:at] = part


def _write_number(data: bytearray, random: Random) -> None:
    """Overwrite what may be a length, a count or an offset, in either byte order."""
    form = random.choice("BHIQ")
    size = struct.calcsize(form)
    number = random.choice((*_NUMBERS, len(data), len(data) - 8)) & (1 << 8 * size) - 1
    at = random.randrange(len(data))
    data[at : at + size] = struct.pack(random.choice("<>") + form, number)


def _find_boxes(data: bytearray) -> list[tuple[int, int]]:
    """Return where boxes or chunks may be: four letters with a fitting length in front (big) or behind (little)."""
    found = []
    for at in range(4, min(len(data) - 8, 65536)):
        if data[at : at + 4].isalnum():
            size = int.from_bytes(data[at - 4 : at], "big")
            if 8 <= size <= len(data) - at + 4:
                found.append((at - 4, at - 4 + size))
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if 0 < size <= len(data) - at - 8:
                found.append((at, at + 8 + size))
    return found


def _repeat_box(data: bytearray, random: Random) -> None:
    if boxes := _find_boxes(data):
        start, end = random.choice(boxes)
        data[end:end] = data[start:end] * random.choice((1, 2, 100))


def _nest_box(data: bytearray, random: Random) -> None:
    """Put a box or chunk into boxes of its own kind."""
    if boxes := _find_boxes(data):
        start, end = random.choice(boxes)
        name, content = data[start + 4 : start + 8], bytes(data[start:end])
        depth = random.choice(_DEPTHS)
        heads = b"".join(struct.pack(">I4s", len(content) + 8 * n, bytes(name)) for n in range(depth, 0, -1))
        data[start:end] = heads + content


def _drop_box(data: bytearray, random: Random) -> None:
    if boxes := _find_boxes(data):
        start, end = random.choice(boxes)
        del data[start:end]


def _insert_word(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(_WORDS)


def _splice(data: bytearray, other: bytes, random: Random) -> None:
    if other:
        at = random.randrange(len(data))
        data[at:] = other[random.randrange(len(other)) :]


_CHANGES: tuple[Change, ...] = (
    *(_flip, _set, _truncate, _delete, _repeat, _move, _insert_word),
    *(_write_number, _write_number, _write_number, _repeat_box, _nest_box, _drop_box),
)
