"""Servers of the stream benchmark: `python -m tests.bench.stream_servers source|sink`.

The source generates a video and supports ranges. The sink accepts the uploads of YouTube and TikTok and keeps only a
hash. Each prints its port, and closes its connection once in every large file.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

BLOCK = random.Random(7).randbytes(1 << 20)
PIECE = 1 << 16
CUT_AT = 30_000_000
"""Offset at which the source closes its connection, once per file."""
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_SENT = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


def piece(at: int, length: int) -> bytes:
    """Return *length* bytes of the endless video from offset *at*, within a block."""
    start = at % len(BLOCK)
    return BLOCK[start : start + length]


def digest(size: int) -> str:
    """Return the SHA-256 of the first *size* bytes."""
    found = hashlib.sha256()
    for at in range(0, size, len(BLOCK)):
        found.update(BLOCK[: min(len(BLOCK), size - at)])
    return found.hexdigest()


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: int, body: Any = None, **headers: str) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class Source(_Quiet):
    """Serve GET /<size>/<name>: the video, from any offset."""

    cut: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        size = int(self.path.split("/")[1])
        asked = _RANGE.match(self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
        self.send_response(206)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("ETag", f'"{size}"')
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self._send(first, last)

    def _send(self, first: int, last: int) -> None:
        at = first
        while at <= last:
            if first <= CUT_AT < at and self.path not in self.cut:
                self.cut.add(self.path)
                self.close_connection = True
                return
            data = piece(at, min(PIECE, last - at + 1))
            try:
                self.wfile.write(data)
            except ConnectionError:  # the reader's upload was cut: it requests again
                self.close_connection = True
                return
            at += len(data)


class Sink(_Quiet):
    """Takes uploads and says how far it is; GET /taken says what it got of the last one."""

    taken = 0
    hashed: Any = None
    dropped = False

    def do_GET(self) -> None:
        self._answer(200, {"bytes": Sink.taken, "sha256": Sink.hashed.hexdigest()})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/upload/"):
            self._begin()
            self._answer(200, None, Location=f"{self._base()}/upload/youtube/v3/videos?upload_id=1")
        elif "video/init" in self.path:
            self._begin()
            self._ok({"publish_id": "v_pub_file~1", "upload_url": f"{self._base()}/tiktok?upload_token=1"})
        else:
            levels = ["PUBLIC_TO_EVERYONE"]
            off = dict.fromkeys(("comment_disabled", "duet_disabled", "stitch_disabled"), False)
            self._ok({"privacy_level_options": levels, "max_video_post_duration_sec": 600, **off})

    def do_PUT(self) -> None:
        match = _SENT.match(self.headers["Content-Range"])
        assert match
        size = int(match[3])
        if match[1] is not None and not self._take(int(match[1]), int(match[2]) + 1):
            return
        youtube = self.path.startswith("/upload/")
        if Sink.taken == size:
            self._answer(
                201, {"id": "dQw4w9WgXcQ", "status": {"uploadStatus": "uploaded"}} if youtube else None
            )
        elif youtube:
            self._answer(308, None, Range=f"bytes=0-{Sink.taken - 1}")
        else:
            self._answer(206, None, Content_Range=f"bytes 0-{Sink.taken - 1}/{size}")

    def _take(self, first: int, end: int) -> bool:
        """Reads a chunk. Once, the line breaks: YouTube keeps what came (and can be asked), TikTok nothing of it."""
        assert first == Sink.taken
        youtube = self.path.startswith("/upload/")
        if not youtube and self._breaks():
            return False
        while Sink.taken < end:
            data = self.rfile.read(min(PIECE, end - Sink.taken))
            if not data:
                self.close_connection = True
                return False
            Sink.hashed.update(data)
            Sink.taken += len(data)
            if youtube and self._breaks():
                return False
        return True

    def _breaks(self) -> bool:
        if Sink.dropped or Sink.taken <= CUT_AT * 2:
            return False
        Sink.dropped = self.close_connection = True
        return True

    def _begin(self) -> None:
        Sink.taken, Sink.hashed, Sink.dropped = 0, hashlib.sha256(), False

    def _ok(self, data: dict[str, Any]) -> None:
        self._answer(200, {"data": data, "error": {"code": "ok", "message": "", "log_id": "1"}})

    def _base(self) -> str:
        return f"http://{self.headers['Host']}"


def main() -> None:
    """Serve until the process is killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), {"source": Source, "sink": Sink}[sys.argv[1]])
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
