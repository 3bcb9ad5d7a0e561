"""Make the events of webhooks: of each move what its post and its delivery tell, and what else happened.

An event and the position in the moves are one transaction: if the export dies anywhere, no event is lost and none is
made twice. Workspaces without a webhook cost one look at an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import Connection

from pipeline.domain.delivery import Reason, State, to_public
from pipeline.domain.delivery_error import present_error
from pipeline.domain.post import (
    PostStatus,
    apply_due_time,
    derive_account_status,
    derive_post_status,
    hide_no_time,
)
from pipeline.domain.webhook import EventType, find_delivery_event, find_post_event
from pipeline.store.database import new_id
from pipeline.store.moves import MoveFacts
from pipeline.store.webhooks import facts
from pipeline.store.webhooks.events import NewEvent, has_webhooks, insert_events, list_listeners
from pipeline.store.webhooks.facts import EventDelivery, EventPost, Occurrence, Turn
from pipeline.store.webhooks.webhooks import Webhook

OCCURRENCES = 500
"""Taken with one batch of moves."""
_ERROR = ("code", "class", "fault", "retryable", "message", "next_action", "platform_code")
"""Fields of an error that an event shows."""
_TELLING = frozenset({State.PUBLISHED, State.FAILED, State.BLOCKED, State.UNKNOWN})
Webhooks = Mapping[UUID, Sequence[Webhook]]
"""By workspace."""


def make_events(c: Connection, moves: Sequence[MoveFacts]) -> None:
    """Store the events of a batch of moves, in order, for every webhook that takes them."""
    if not has_webhooks(c):
        return
    happened = facts.take_occurrences(c, OCCURRENCES)
    telling = [m for m in moves if facts.is_turning(m) or _tells_of_delivery(m)]
    webhooks: dict[UUID, list[Webhook]] = {}
    for webhook in list_listeners(
        c, {*(m.workspace_id for m in telling), *(one.workspace_id for one in happened)}, lock=True
    ):
        webhooks.setdefault(webhook.workspace_id, []).append(webhook)
    if not webhooks:
        return
    mine = [m for m in telling if any(m.at >= w.created_at for w in webhooks.get(m.workspace_id, ()))]
    insert_events(c, [*tell_moves(c, webhooks, mine), *_tell_occurrences(webhooks, happened)])


def _tells_of_delivery(m: MoveFacts) -> bool:
    return m.held_for is not None or (m.changes_state and m.target in _TELLING)


def tell_moves(c: Connection, webhooks: Webhooks, moves: Sequence[MoveFacts]) -> Iterator[NewEvent]:
    """Yield the events of these moves, in their order, for each webhook that takes them."""
    if not moves:
        return
    posts = facts.read_event_posts(c, {m.post_id for m in moves})
    turns = facts.read_turns(c, moves)
    held = facts.read_earlier_holds(c, moves)
    for m in moves:
        post = posts[m.post_id]
        listeners = [w for w in webhooks[m.workspace_id] if w.created_at <= m.at and w.may_see(post.accounts)]
        if _tells_of_delivery(m) and (
            kind := find_delivery_event(State(m.target), m.held_for, held.get(m.id))
        ):
            identity = _derive_id(m, kind)
            yield from _spread(listeners, kind, post.id, m.at, _describe_delivery(m, post), identity)
        if (turn := turns.get(m.id)) and (found := _evaluate_turn(turn, post, m)):
            identity = _derive_id(m, found[0])
            data = _describe_post(m, post, turn, found[1])
            yield from _spread(listeners, found[0], post.id, m.at, data, identity)


def _derive_id(m: MoveFacts, kind: EventType) -> UUID:
    """Return the id of an event, the same however often its move is read.

    The time tells a move from that of the same id before a restore of the database.
    """
    return uuid5(NAMESPACE_OID, f"slipway move {m.id} {m.at.timestamp()} {kind}")


def _spread(
    webhooks: Iterable[Webhook],
    kind: EventType,
    lane: UUID,
    at: datetime,
    data: Mapping[str, Any],
    identity: UUID,
) -> Iterator[NewEvent]:
    """Yield the event for each webhook that takes its type; it has one id at all of them."""
    for webhook in webhooks:
        if webhook.takes(kind):
            yield NewEvent(webhook_id=webhook.id, id=identity, lane=lane, type=kind, at=at, data=data)


def _evaluate_turn(turn: Turn, post: EventPost, m: MoveFacts) -> tuple[EventType, PostStatus] | None:
    """Return the event of a post, and the status that it then has; None: no event."""
    before = _list_statuses(turn.before, post, m)
    after = derive_post_status(_list_statuses(turn.after, post, m).values())
    kind = find_post_event(derive_post_status(before.values()) if before else None, after, turn.movers)
    return None if kind is None else (kind, after)


def _list_statuses(states: Mapping[UUID, State], post: EventPost, m: MoveFacts) -> dict[UUID, PostStatus]:
    return {
        identity: apply_due_time(
            derive_account_status(state, _find_reason(post.deliveries[identity], state)), m.due_at, m.read_at
        )
        for identity, state in states.items()
    }


def _find_reason(delivery: EventDelivery, state: State) -> Any:
    return delivery.reason if delivery.state is state else None


def _describe_post(m: MoveFacts, post: EventPost, turn: Turn, status: PostStatus) -> dict[str, Any]:
    statuses = _list_statuses(turn.after, post, m)
    accounts = [
        {
            "account_id": d.account_id,
            "platform": d.platform,
            "status": statuses[d.id],
            "published_url": d.url if turn.after[d.id] is State.PUBLISHED else None,
            "error": _describe_error(d.error) if turn.after[d.id] is State.FAILED else None,
        }
        for d in post.deliveries.values()
        if d.id in statuses
    ]
    return {**_describe_common(m, post), "status": status, "accounts": accounts}


def _describe_delivery(m: MoveFacts, post: EventPost) -> dict[str, Any]:
    delivery, state = post.deliveries[m.delivery_id], State(m.target)
    is_live = state is State.PUBLISHED
    is_sent = state is State.UNKNOWN or (state is State.BLOCKED and m.reason == Reason.IS_IT_LIVE)
    error = present_error(m.error, state, m.at if is_sent else None, None)
    return {
        **_describe_common(m, post),
        "account_id": m.account_id,
        "platform": m.platform,
        "status": _list_statuses({m.delivery_id: state}, post, m)[m.delivery_id],
        "state": state,
        "blocked_reason": m.reason if state is State.BLOCKED else None,
        "held_for": m.held_for,
        "published_at": delivery.published_at if is_live else None,
        "published_url": delivery.url if is_live else None,
        "delivered_as": delivery.delivered_as if is_live else None,
        "error": None if is_live or m.held_for else _describe_error(error),
    }


def _describe_common(m: MoveFacts, post: EventPost) -> dict[str, Any]:
    return {
        "workspace_id": m.workspace_id,
        "post_id": post.id,
        "external_id": post.external_id,
        "scheduled_at": hide_no_time(post.scheduled_at),
    }


def _describe_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if error is None else {name: error.get(name) for name in _ERROR}


# --- what else happened ----------------------------------------------------------------------------------------------


def _tell_occurrences(webhooks: Webhooks, happened: Sequence[Occurrence]) -> Iterator[NewEvent]:
    for one in happened:
        kind, known = EventType(one.kind), webhooks.get(one.workspace_id, ())
        if kind is EventType.ACCOUNT_RECONNECT:
            listeners = [w for w in known if w.may_see([one.subject])]
            data = {"account_id": one.subject, "status": one.state, **_pick(one, "platform", "username")}
            data["error"] = _describe_error(one.details.get("error"))
        elif kind in _APPROVALS:
            listeners = [w for w in known if w.may_see(one.details.get("accounts") or ())]
            data = {
                "post_id": one.subject,
                **_pick(one, "external_id", "scheduled_at"),
                _APPROVALS[kind]: one.state,
            }
        else:
            listeners = [w for w in known if w.accounts is None or w.key_id == one.key_id]
            data = {"import_id": one.subject, "state": to_public(one.state), **_pick(one, *_IMPORT)}
            done: Mapping[str, int] = one.details.get("result") or {}
            data["result"] = {to_public(word): n for word, n in done.items()}
        data["workspace_id"] = one.workspace_id
        yield from _spread(listeners, kind, one.subject, one.at, data, new_id())


_APPROVALS: Mapping[EventType, str] = {
    EventType.POST_NEEDS_APPROVAL: "editor",
    EventType.POST_APPROVED: "approver",
    EventType.POST_SENT_BACK: "why",
}
"""Events of approvals -> the name of the fact that each has of its own."""
_IMPORT = ("name", "rows", "accepted", "duplicate", "rejected")


def _pick(one: Occurrence, *names: str) -> dict[str, Any]:
    return {name: one.details.get(name) for name in names}
