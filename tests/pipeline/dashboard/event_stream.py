"""A reader of `/dashboard/events`, as a browser is one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from tests.pipeline.dashboard.site import Client


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. ``topics`` is empty for one without data."""

    name: str
    topics: list[str]
    position: str


class Stream:
    """An open stream."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer

    def read(self) -> Event | None:
        """Return the next event, comments left out; None at the end of the stream."""
        position, fields = "", dict[str, str]()
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            position = fields.get("id", position)
            if "event" in fields:
                data = fields.get("data", "")
                return Event(name=fields["event"], topics=json.loads(data or "[]"), position=position)
            fields = {}
        return None


@contextmanager
def listening(client: Client, url: str, topics: str, after: object = "", **headers: str) -> Iterator[Stream]:
    """Open a stream with the client's session; it is read with a timeout."""
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    cookie = "; ".join(f"{one.name}={one.value}" for one in client.cookies)
    query = urlencode({"topics": topics, "after": after})
    line.request(
        "GET",
        f"/dashboard/events?{query}",
        headers={"Cookie": cookie, "Accept": "text/event-stream", **headers},
    )
    try:
        yield Stream(line.getresponse())
    finally:
        line.close()
