"""A remote file as a thing to read from at random: a few ranges, a small cache of blocks, and an end to patience."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from pipeline.media.fetch import CHUNK
from pipeline.media.opener import Opened, Opener
from pipeline.media.refusal import Refused, Unanswered

BLOCK = 256 * 1024
"""Bytes; the unit of reading and caching."""
WINDOW = 4 * 1024 * 1024
"""Bytes asked for at once. They are read only as far as they are wanted, so a longer window costs next to nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How much a probe may take in all. Past any of these the file is refused, or unanswered when it is the time."""

    requests: int = 400
    bytes: int = 64 * 1024**2
    """Bytes read from a source that knows ranges."""
    unranged_bytes: int = 512 * 1024**2
    """The same for one that does not, where what lies between has to be read over."""
    seconds: float = 60.0
    cached_blocks: int = 16


class Source:
    """One remote file. ``open`` fills in what the server says; ``read`` serves any place in it. Not thread-safe."""

    def __init__(self, fetcher: Opener, url: str, patience: Patience) -> None:
        self._fetcher = fetcher
        self._url = url
        self._patience = patience
        self._until = time.monotonic() + patience.seconds
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._stream: Opened | None = None
        self._at = 0
        self._bytes = self._requests = 0
        self.size = 0
        self.content_type = ""
        self.etag: str | None = None
        self._ranged = False

    def open(self) -> None:
        """Makes the first request. Raises Refused and Unanswered."""
        stream = self._ask(0, WINDOW)
        self.content_type, self.etag, self._ranged = stream.content_type, stream.etag, stream.ranged
        self._stream = stream
        self.size = self._measured() if stream.total_bytes is None else stream.total_bytes
        if self.size == 0:
            raise Refused("the file is empty")

    def read(self, first: int, length: int) -> bytes:
        """The bytes there, fewer at the end of the file. Raises Refused and Unanswered."""
        last = min(first + length, self.size)
        if first >= last:
            return b""
        blocks = range(first // BLOCK, (last - 1) // BLOCK + 1)
        data = b"".join(self._block(number) for number in blocks)
        start = blocks.start * BLOCK
        return data[first - start : last - start]

    def close(self) -> None:
        """Lets go of the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def left(self) -> float:
        """Seconds left; raises Unanswered when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Unanswered(f"could not be read within {self._patience.seconds:.0f} s")
        return left

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        block = bytearray()
        for piece in self._pieces(start, min(BLOCK, self.size - start)):
            block += piece
        self._blocks[number] = bytes(block)
        while len(self._blocks) > self._patience.cached_blocks:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _pieces(self, first: int, length: int) -> list[bytes]:
        """That part of the file, going on with the open answer where it leads there."""
        pieces: list[bytes] = []
        end = first + length
        ahead = self._at < first and not self._ranged
        if self._stream is None or not (self._at == first or ahead):
            self._reopen(first)
        while self._at < end:
            over = max(0, first - self._at)
            data = self._pull(min(CHUNK, over or end - self._at))
            if not data:
                self._reopen(self._at)
            elif not over:
                pieces.append(data)
        return pieces

    def _pull(self, length: int) -> bytes:
        self.left()
        if self._stream is None:
            raise ValueError("not open")
        data = self._stream.read(length)
        self._at += len(data)
        self._bytes += len(data)
        most = self._patience.bytes if self._ranged else self._patience.unranged_bytes
        if self._bytes > most:
            raise Refused(f"more than {most >> 20} MiB of it would have to be read to tell what it is")
        return data

    def _reopen(self, at: int) -> None:
        self.close()
        stream = self._ask(at, min(WINDOW, self.size - at) if self._ranged else self.size - at)
        self._stream = stream
        self._at = at
        if not stream.ranged and self._ranged:
            raise Unanswered("its server answers range requests only at times")
        if (stream.total_bytes or self.size, stream.etag) != (self.size, self.etag):
            raise Unanswered("the file changed while it was being looked at")
        self._bytes += 0 if stream.ranged else at

    def _ask(self, first: int, length: int) -> Opened:
        self._requests += 1
        if self._requests > self._patience.requests:
            raise Refused(f"more than {self._patience.requests} reads would be needed to tell what it is")
        policy = self._fetcher.policy
        return self._fetcher.open_range(
            self._url, first, length, seconds=min(self.left(), policy.total_seconds + length / policy.slowest)
        )

    def _measured(self) -> int:
        """The size of a file whose server does not tell it: by reading all of it, once."""
        self.close()
        most = self._patience.unranged_bytes
        with self._ask(0, most + 1) as whole:
            size = 0
            for chunk in whole.chunks:
                self.left()
                size += len(chunk)
        if size > most:
            raise Refused(f"its server does not say how large it is, and it is larger than {most >> 20} MiB")
        return size
