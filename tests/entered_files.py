"""`python -m tests.entered_files`: print as JSON the files of the product that a new post enters before it is stored.

Standard input: the key, and the body of the post. The server runs in this process; from the call of `create_post` until
`store_posts` returns, on whatever thread, each call of a function is noted with its file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PRODUCT = tuple(str(ROOT / name) for name in ("pipeline", "adapters", "config"))
FIRST, LAST = "create_post", "store_posts"
WRITER = "log"
"""The thread that writes finished log lines now and then: those of an earlier request, on no request's way."""


class Recorder:
    """Notes files, in the order in which they are entered, between the first function and the last."""

    def __init__(self, first: str, last: str) -> None:
        self._first, self._last = first, last
        self.files: dict[str, None] = {}
        self.is_armed = self._is_on = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Take one event of the interpreter's profile hook."""
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if threading.current_thread().name == WRITER:
            return
        if event == "call" and self.is_armed and name == self._first:
            self._is_on = True
        if event == "call" and self._is_on and file.startswith(PRODUCT):
            self.files.setdefault(str(Path(file).relative_to(ROOT)))
        if event == "return" and name == self._last:
            self.is_armed = self._is_on = False  # a coroutine that goes on is called again


async def main(key: str, body: dict[str, Any]) -> list[str]:
    """Send the post twice, as the first request fills caches, and return the files that the second one enters."""
    record = Recorder(FIRST, LAST)
    threading.setprofile(record)
    sys.setprofile(record)

    from pipeline.api.app import create_app  # its threads get the hook

    app = create_app()
    async with app.router.lifespan_context(app):
        for caption in ("first", "second"):
            record.is_armed = caption == "second"
            assert await send(app, key, json.dumps({**body, "caption": caption}).encode()) == 201
    return list(record.files)


async def send(app: Any, key: str, raw: bytes) -> int:
    """Send one POST /posts to the application and return its status."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def respond(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    path = "/api/partner/v1/posts"
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "content-length": f"{len(raw)}",
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, respond)
    return statuses[0]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(asyncio.run(main(given["key"], given["body"]))))
