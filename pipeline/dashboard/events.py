"""`/dashboard/events`: server-sent events for the page that is open (HTML standard, 9.2, read 2026-11-27).

The stream holds no thread and no connection to the database. A reader that takes nothing for ten seconds is cut off; it
reconnects with the id of its last event, and then hears of everything since. A stream ends with its session, and when
the server stops.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection
from contextlib import ExitStack

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.api.http.middleware import ENDLESS
from pipeline.api.server.http_protocol import find_connection
from pipeline.dashboard.ledger import get_state
from pipeline.dashboard.live_feed import LiveFeed, Subscriber, open_position, seal_position
from pipeline.dashboard.page import page
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.store.vault import Vault

MAX_TOPICS = 50
HEARTBEAT_SECONDS = 15.0
"""From one line to the next when there is no event: proxies close a connection that is silent for a minute."""
SLOW_SECONDS = 10.0
"""How long a full connection may take nothing."""
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",  # a proxy that compresses would collect events
    "X-Accel-Buffering": "no",  # nginx, ngx_http_proxy_module, proxy_buffering (read 2026-11-27)
}
_TOPIC = re.compile(r"[a-z]+(:[0-9a-f-]{36})?", re.ASCII)


@page("/events", Role.VIEWER)
async def stream_events(request: Request, visitor: Visitor) -> Response:
    """Stream the topics that change, of those the page listens to, in the visitor's workspaces."""
    if request.method == "HEAD":
        return Response(headers=HEADERS)
    topics = request.query_params.get("topics", "").split()
    if not topics or len(topics) > MAX_TOPICS or not all(map(_TOPIC.fullmatch, topics)):
        raise HTTPException(400, f"topics has to name 1 to {MAX_TOPICS} topics, such as posts or post:ID.")
    state = get_state(request)
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    vault = state.context.vault
    position = open_position(vault, visitor.id, after)
    subscriber = Subscriber(visitor.id, frozenset(topics), position)
    # of several workspaces, the one with the fewest: no other user of these is in the way
    workspace = min(visitor.roles, key=state.workspace_streams.count, default=None)
    with ExitStack() as places:
        places.enter_context(state.streams.slot(visitor.user_id))
        places.enter_context(state.workspace_streams.slot(workspace))
        return _EventStream(subscriber, state.feed, vault, places.pop_all())


class _EventStream(Response):
    """The stream of one page; gives its places back however it ends."""

    def __init__(self, subscriber: Subscriber, feed: LiveFeed, vault: Vault, places: ExitStack) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._subscriber, self._feed, self._vault, self._places = subscriber, feed, vault, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ENDLESS] = True
        subscriber, connection = self._subscriber, find_connection(scope)
        connection.on_stop = lambda: subscriber.end(has_session=True)
        watcher = asyncio.create_task(_end_with_client(receive, subscriber))
        self._feed.join(subscriber)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send_in_time(send, b"retry: 1000\n\n")
            while not subscriber.is_over:
                position, topics = await subscriber.next(HEARTBEAT_SECONDS)
                cursor = seal_position(self._vault, subscriber.session, position)
                await _send_in_time(send, format_event(cursor, topics))
            farewell = b"" if subscriber.has_session else b"event: end\ndata: \n\n"
            await _send_in_time(send, farewell, is_last=True)
        except TimeoutError:
            connection.abort()
            await watcher
        finally:
            self._feed.leave(subscriber)
            self._places.close()
            connection.on_stop = None
            watcher.cancel()


def format_event(cursor: str, topics: Collection[str]) -> bytes:
    """Return an event; without topics a comment, and the cursor that the page has reached."""
    body = f"event: changed\ndata: {json.dumps(sorted(topics))}\n" if topics else ": still here\n"
    return f"{body}id: {cursor}\n\n".encode()


async def _send_in_time(send: Send, body: bytes, *, is_last: bool = False) -> None:
    """Send a part of the body. Raises TimeoutError when the client does not take it."""
    async with asyncio.timeout(SLOW_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _end_with_client(receive: Receive, subscriber: Subscriber) -> None:
    """End the stream when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.end(has_session=True)
