"""An upload session by YouTube's rules, for use as a scripted response."""

from __future__ import annotations

import re
from collections import deque

from tests.adapters.scripted_server import ReceivedRequest, Reply

QUANTUM = 256 * 1024


class Session:
    """An upload session as Google's guide describes it: whole quanta, no gaps, and a repeated last response."""

    def __init__(self, size: int, video: str) -> None:
        self.size = size
        self.video = video
        self.stored = bytearray()
        self.takes: deque[int] = deque()
        """How much of the next chunks is stored; all of them when empty."""
        self.made = 0

    def __call__(self, request: ReceivedRequest) -> Reply:
        assert int(request.headers["Content-Length"]) == len(request.body)
        match = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", request.range)
        assert match is not None
        assert int(match[3]) == self.size
        if self.made:
            return Reply(self.video, 201)
        if match[1] is not None:
            self._take(int(match[1]), int(match[2]) + 1, request.body)
        if len(self.stored) == self.size:
            self.made += 1
            return Reply(self.video, 201)
        headers = {"Range": f"bytes=0-{len(self.stored) - 1}"} if self.stored else {}
        return Reply(status=308, headers=headers)

    def _take(self, first: int, end: int, body: bytes) -> None:
        assert end - first == len(body)
        assert end == self.size or len(body) % QUANTUM == 0
        if first != len(self.stored):  # overlap or gap: nothing is stored
            return
        most = self.takes.popleft() if self.takes else len(body)
        self.stored += body[:most]
