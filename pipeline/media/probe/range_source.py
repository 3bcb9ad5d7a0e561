"""Random access to a remote file: range requests, a small cache of blocks, and limits on requests, bytes and time."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from pipeline.media.fetch import CHUNK, Opener, OpenRange
from pipeline.media.url_policy import Refused, Unanswered

BLOCK_BYTES = 256 * 1024
"""Bytes of one read and one cache entry."""
WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes of one range request. Only the needed ones are read, so a longer window costs next to nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeLimits:
    """Limits of one probe. Over the time the file is unanswered, over any other limit refused."""

    requests: int = 400
    bytes: int = 64 * 1024**2
    """Bytes read from a server that supports ranges."""
    unranged_bytes: int = 512 * 1024**2
    """Bytes read from one that does not; bytes before the requested ones count."""
    seconds: float = 60.0
    cached_blocks: int = 16
    memory: int = 1_600_000_000
    """Bytes that the probe processes of this process may allocate together."""


class RangeSource:
    """One remote file. `open` sets size, content type and ETag; `read` returns any range. Not thread-safe."""

    def __init__(self, fetcher: Opener, url: str, limits: ProbeLimits) -> None:
        self._fetcher = fetcher
        self._url = url
        self._limits = limits
        self._until = time.monotonic() + limits.seconds
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._stream: OpenRange | None = None
        self._at = 0
        self._bytes = self._requests = 0
        self.size = 0
        self.content_type = ""
        self.etag: str | None = None
        self._ranged = False

    def open(self) -> None:
        """Make the first request. Raises Refused and Unanswered."""
        stream = self._request(0, WINDOW_BYTES)
        self.content_type, self.etag, self._ranged = stream.content_type, stream.etag, stream.ranged
        self._stream = stream
        self.size = self._measure() if stream.total_bytes is None else stream.total_bytes
        if self.size == 0:
            raise Refused("the file is empty")

    def read(self, first: int, length: int) -> bytes:
        """Return bytes from an offset, fewer only at the end of the file. Raises Refused and Unanswered."""
        last = min(first + length, self.size)
        if first >= last:
            return b""
        blocks = range(first // BLOCK_BYTES, (last - 1) // BLOCK_BYTES + 1)
        data = b"".join(self._read_block(number) for number in blocks)
        start = blocks.start * BLOCK_BYTES
        return data[first - start : last - start]

    def compute_sha256(self) -> str:
        """Return the SHA-256 of the whole file, in hexadecimal. Raises Refused and Unanswered."""
        digest = hashlib.sha256()
        for first in range(0, self.size, BLOCK_BYTES):
            digest.update(self.read(first, BLOCK_BYTES))
        return digest.hexdigest()

    def read_on(self, seconds: float) -> None:
        """Begin a further reading of the file, within limits of its own. What is cached stays."""
        self._until = time.monotonic() + seconds
        self._bytes = self._requests = 0

    def close(self) -> None:
        """Close the connection. A later read opens another."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def seconds_left(self) -> float:
        """Return the remaining seconds. Raises Unanswered when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Unanswered(f"could not be read within {self._limits.seconds:.0f} s")
        return left

    def _read_block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK_BYTES
        block = bytearray()
        for piece in self._read_pieces(start, min(BLOCK_BYTES, self.size - start)):
            block += piece
        self._blocks[number] = bytes(block)
        while len(self._blocks) > self._limits.cached_blocks:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _read_pieces(self, first: int, length: int) -> list[bytes]:
        """Read a part of the file, from the open response where it continues there."""
        pieces: list[bytes] = []
        end = first + length
        ahead = self._at < first and not self._ranged
        if self._stream is None or not (self._at == first or ahead):
            self._reopen(first)
        while self._at < end:
            to_skip = max(0, first - self._at)
            data = self._read_chunk(min(CHUNK, to_skip or end - self._at))
            if not data:
                self._reopen(self._at)
            elif not to_skip:
                pieces.append(data)
        return pieces

    def _read_chunk(self, length: int) -> bytes:
        self.seconds_left()
        if self._stream is None:
            raise ValueError("not open")
        data = self._stream.read(length)
        self._at += len(data)
        self._bytes += len(data)
        limit = self._limits.bytes if self._ranged else self._limits.unranged_bytes
        if self._bytes > limit:
            raise Refused(f"more than {limit >> 20} MiB of it would have to be read to tell what it is")
        return data

    def _reopen(self, at: int) -> None:
        self.close()
        stream = self._request(at, min(WINDOW_BYTES, self.size - at) if self._ranged else self.size - at)
        self._stream = stream
        self._at = at
        if not stream.ranged and self._ranged:
            raise Unanswered("its server answers only some range requests")
        if (stream.total_bytes or self.size, stream.etag) != (self.size, self.etag):
            raise Unanswered("the file changed while it was being read")
        self._bytes += 0 if stream.ranged else at

    def _request(self, first: int, length: int) -> OpenRange:
        self._requests += 1
        if self._requests > self._limits.requests:
            raise Refused(f"more than {self._limits.requests} reads would be needed to tell what it is")
        policy = self._fetcher.policy
        return self._fetcher.open_range(
            self._url,
            first,
            length,
            seconds=min(self.seconds_left(), policy.total_seconds + length / policy.slowest),
        )

    def _measure(self) -> int:
        """Return the size of a file whose server does not send it, by reading all of it once."""
        self.close()
        limit = self._limits.unranged_bytes
        with self._request(0, limit + 1) as whole:
            size = 0
            for chunk in whole.chunks:
                self.seconds_left()
                size += len(chunk)
        if size > limit:
            raise Refused(f"its server does not send its size, and it is larger than {limit >> 20} MiB")
        return size
