"""GET /events: the events that webhooks get, for programs that cannot be called."""

from __future__ import annotations

import json
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection

from pipeline.api.http.cursor_seal import CursorSeal
from pipeline.api.http.dependencies import Reader
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.validation import Query, build_invalid_payload
from pipeline.api.openapi.introduction import WEBHOOKS
from pipeline.api.openapi.operation import Routes
from pipeline.api.webhooks import DEFAULT_LIMIT, MAX_LIMIT, WebhookEventType
from pipeline.domain.validation_issue import build_issue
from pipeline.store.auth.keys import Caller
from pipeline.store.posts.listing import InvalidPlace
from pipeline.store.webhooks.events import NewEvent
from pipeline.webhooks.read_events import PER_MOVE, read_events

_NOT_OURS = "Not a cursor of this list: send next_cursor of an earlier answer unchanged, with the same key."


class EventsQuery(Query):
    """The events after a place."""

    after: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="next_cursor of an earlier answer. Without it the list begins a little before now: within the "
        "server's last 5,000 steps.",
    )
    limit: int = Field(DEFAULT_LIMIT, ge=PER_MOVE, le=MAX_LIMIT, description="Events, at most.")


class Event(ResponseModel):
    """One event, as a webhook gets it."""

    id: UUID = Field(description="`webhook-id` of the same event at a webhook.")
    type: WebhookEventType
    timestamp: Timestamp
    data: dict[str, Any] = Field(description="As in the payload of a webhook.")

    @classmethod
    def from_event(cls, found: NewEvent) -> Self:
        """Return the event as the API shows it."""
        return cls(id=found.id, type=found.type, timestamp=found.at, data=json.loads(found.body)["data"])


class EventList(ResponseModel):
    """Events in the order in which they happened, each once."""

    events: list[Event]
    next_cursor: str = Field(description="Where to go on, now or later; also if there is no event.")
    more: bool = Field(description="false: these are all so far. true: ask again at once.")


routes = Routes(tag=WEBHOOKS, path="/events")


@routes.add("GET", "", "Events, the oldest first.")
async def list_events(call: Reader, query: EventsQuery) -> SuccessResponse[EventList]:
    """List events of posts and deliveries after a place: none is left out, none comes twice.

    They are those that a webhook of the key would get, within a second or two; events of accounts, imports and webhooks
    are only sent.
    """
    found = await call.read(read_event_list, call.app_state.cursor_seal, call.caller, query)
    return success("Events retrieved", found)


def read_event_list(c: Connection, seal: CursorSeal, caller: Caller, query: EventsQuery) -> EventList:
    """Return the events after the query's cursor. Raises Refusal 422 for one that is not of this key's list."""
    bound = _describe_list(caller)
    try:
        after = None if query.after is None else int(seal.open(query.after, bound)[0])
    except InvalidPlace:
        issue = build_issue(("after",), _NOT_OURS, "value_error", query.after)
        raise build_invalid_payload([issue]) from None
    found, batch = read_events(c, caller, after, query.limit)
    cursor = seal.seal([str(batch.done)], bound)
    return EventList(events=[*map(Event.from_event, found)], next_cursor=cursor, more=batch.left > 0)


def _describe_list(caller: Caller) -> bytes:
    """Return what the cursors are bound to: all that makes the list."""
    accounts = None if caller.accounts is None else [*map(str, caller.accounts)]
    return json.dumps(["events", str(caller.workspace_id), accounts]).encode()
