"""An upload session that keeps YouTube's rules, to be scripted as an answer of the stand-in."""

from __future__ import annotations

import re
from collections import deque

from tests.adapters.scripted_server import ReceivedRequest, Reply

QUANTUM = 256 * 1024


class Session:
    """An upload session as the vendor's guide describes it: whole quanta, no gaps, and a last word that is repeated."""

    def __init__(self, size: int, video: str) -> None:
        self.size = size
        self.video = video
        self.stored = bytearray()
        self.takes: deque[int] = deque()
        """How much of the next chunks is stored; all of them when empty."""
        self.made = 0

    def __call__(self, seen: ReceivedRequest) -> Reply:
        assert int(seen.headers["Content-Length"]) == len(seen.body)
        match = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", seen.range)
        assert match is not None
        assert int(match[3]) == self.size
        if self.made:
            return Reply(self.video, 201)
        if match[1] is not None:
            self._take(int(match[1]), int(match[2]) + 1, seen.body)
        if len(self.stored) == self.size:
            self.made += 1
            return Reply(self.video, 201)
        told = {"Range": f"bytes=0-{len(self.stored) - 1}"} if self.stored else {}
        return Reply(status=308, headers=told)

    def _take(self, first: int, end: int, body: bytes) -> None:
        assert end - first == len(body)
        assert end == self.size or len(body) % QUANTUM == 0
        if first != len(self.stored):  # overlap or gap: nothing is stored
            return
        most = self.takes.popleft() if self.takes else len(body)
        self.stored += body[:most]
