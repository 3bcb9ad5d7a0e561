"""A media host that sends a byte every tenth of a second: at once, or from the moment it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from tests.pipeline.media.servers import Answer, Handler, Site, drip, file, serving

SIZE = 9_000_000


class SlowMedia:
    """URLs of one host, each of which drips."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.is_slow = True
        """False: URLs of ``create_later_slow_url`` still answer as fast as they can."""

    @property
    def origin(self) -> str:
        """Where it listens."""
        return self._site.origin

    @property
    def requests(self) -> int:
        """How many requests it has received."""
        return len(self._site.requests)

    def create_slow_url(self) -> str:
        """Return a new URL that drips from the first byte of the body."""
        return self._add(
            drip(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % SIZE)
        )

    def create_quick_url(self, data: bytes) -> str:
        """Return a new URL of this file, which answers as fast as it can."""
        return self._add(file(data, "video/mp4", ETag='"v1"'))

    def count_requests(self, url: str) -> int:
        """Return how many requests this URL has received."""
        return sum(path == url.removeprefix(self.origin) for path, _ in self._site.requests)

    def create_later_slow_url(self, data: bytes) -> str:
        """Return a new URL of this file, which drips while ``is_slow``."""
        quick = file(data, "video/mp4", ETag='"v1"')

        def answer(handler: Handler) -> None:
            if not self.is_slow:
                quick(handler)
                return
            first, end = handler.span(len(data)) or (0, len(data))
            handler.head(
                206,
                Content_Type="video/mp4",
                ETag='"v1"',
                Content_Length=end - first,
                Content_Range=f"bytes {first}-{end - 1}/{len(data)}",
            )
            drip(b"")(handler)

        return self._add(answer)

    def _add(self, answer: Answer) -> str:
        path = f"/{uuid4().hex}.mp4"
        self._site.routes[path] = answer
        return self._site.origin + path


@contextmanager
def serve_slow_media() -> Iterator[SlowMedia]:
    """Serve until the end of the context."""
    with serving() as site:
        yield SlowMedia(site)
