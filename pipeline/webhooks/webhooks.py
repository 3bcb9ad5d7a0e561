"""Actions of users on webhooks: create, change, pause, rotate, test, replay, delete. Senders pause them too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.audit import hide_queries
from pipeline.domain.notice import Form
from pipeline.domain.validation_issue import build_issue
from pipeline.domain.webhook import OVERLAP, EventType, PauseReason
from pipeline.media.url_policy import Refused, require_allowed
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import claim_key
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id
from pipeline.store.idempotency_keys import IdempotencyKey
from pipeline.store.webhooks import webhooks as store
from pipeline.store.webhooks.events import (
    NewEvent,
    Replay,
    StoredEvent,
    insert_events,
    list_events,
    list_listeners,
    replay_events,
)
from pipeline.store.webhooks.webhooks import Webhook

log = logging.getLogger("slipway.webhooks")

MAX_WEBHOOKS = 20
"""Maximum number of webhooks of one workspace."""
MAX_REPLAY = 10_000
"""Events that one request makes pending again."""


def create(
    context: Context,
    caller: Caller,
    *,
    url: str,
    types: Sequence[str] | None,
    description: str | None,
    key: IdempotencyKey | None = None,
) -> tuple[Webhook, str]:
    """Create a webhook; return it with its secret.

    Raises Refusal 422 for the URL, 400 if there are too many, and as ``claim_key``.
    """
    _require_url(context, url)
    identity = new_id()
    with context.database.begin() as c:
        claim_key(c, key, identity)
        store.lock_creation(c, caller.workspace_id)
        if len(list_listeners(c, {caller.workspace_id}, lock=False)) >= MAX_WEBHOOKS:
            message = f"A workspace has {MAX_WEBHOOKS} webhooks at most: delete one that is not used."
            raise Refusal(400, "validation_failed", message)
        made = store.create_webhook(
            c, context.vault, caller, url=url, types=types, description=description, identity=identity
        )
        _record(c, caller, "create", made[0], after=_describe(made[0]))
        return made


def change(
    context: Context, caller: Caller, identity: UUID, *, paused: bool | None, **changes: Any
) -> Webhook:
    """Change url, types and description, pause or resume. Raises Refusal 404, and 422 for the URL."""
    if "url" in changes:
        _require_url(context, changes["url"])
    with context.database.begin() as c:
        found = _lock(c, caller, identity)
        if paused is True:
            pause(c, found.id, PauseReason.PERSON)
        elif paused is False and found.paused_at is not None:
            store.resume_webhook(c, found.id)
        changed = store.change_webhook(c, found.id, **changes)
        _record(c, caller, "change", changed, _describe(found), _describe(changed))
        return changed


def delete(context: Context, caller: Caller, identity: UUID) -> None:
    """Delete a webhook: the events being sent now are the last. Raises Refusal 404."""
    with context.database.begin() as c:
        found = _lock(c, caller, identity)
        store.delete_webhook(c, found.id)
        _record(c, caller, "delete", found, _describe(found))


def rotate(
    context: Context, caller: Caller, identity: UUID, key: IdempotencyKey | None = None
) -> tuple[Webhook, str]:
    """Give a webhook a new secret; for a day both sign. A second rotation ends the oldest. A locked one goes on.

    Raises Refusal 404, and as ``claim_key``.
    """
    with context.database.begin() as c:
        claim_key(c, key, identity)
        found = _lock(c, caller, identity)
        if found.paused_why is PauseReason.LOCKED:
            store.resume_webhook(c, found.id)
        rotated = store.rotate_secret(c, context.vault, found.id, OVERLAP)
        _record(c, caller, "rotate", rotated[0])
        return rotated


def test(context: Context, caller: Caller, identity: UUID, key: IdempotencyKey | None) -> StoredEvent:
    """Make an event that says nothing; it is sent as any other. Raises Refusal 404, and as ``claim_key``."""
    event = new_id()
    with context.database.begin() as c:
        claim_key(c, key, event)
        found = _lock(c, caller, identity)
        data = {"workspace_id": found.workspace_id, "webhook_id": found.id, "message": "This is a test."}
        insert_events(c, [_build_event(found.id, event, EventType.WEBHOOK_TEST, datetime.now(UTC), data)])
        [stored] = list_events(c, found.id, limit=1, identity=event)
        _record(c, caller, "test", found, after={"event": event})
    return stored


def replay(context: Context, caller: Caller, identity: UUID, chosen: Replay) -> tuple[int, int | None]:
    """Send events again, in order in each post. Return how many, and where to go on if there may be more.

    Raises Refusal 404.
    """
    with context.database.begin() as c:
        found = _lock(c, caller, identity)
        replayed = replay_events(c, found.id, chosen, MAX_REPLAY)
        _record(c, caller, "replay", found, after={"events": replayed[0]})
        return replayed


def replay_all(context: Context, caller: Caller, identity: UUID, chosen: Replay) -> int:
    """Send all of the chosen events again, many at a time, and return how many. Raises Refusal 404."""
    total, last = replay(context, caller, identity, chosen)
    while last is not None:
        more, last = replay(context, caller, identity, replace(chosen, after=last))
        total += more
    return total


def pause(c: Connection, identity: UUID, why: PauseReason) -> None:
    """Pause a webhook, never silently: an event at every webhook whose owner may see it, and a line in the log.

    Its own copy is the first thing that it gets once it is resumed.
    """
    paused = store.pause_webhook(c, identity, why)
    if paused is None:
        return
    if why is not PauseReason.PERSON:
        log.warning("webhook=%s workspace=%s is paused: %s", paused.id, paused.workspace_id, why)
    if paused.form is not Form.EVENT:  # no customer's: it is on the list of attention
        return
    at, event = paused.paused_at or paused.created_at, new_id()
    data = {"workspace_id": paused.workspace_id, "webhook_id": paused.id, "why": why}
    data["failing_since"] = paused.failing_since
    listeners = list_listeners(
        c, {paused.workspace_id}, lock=False
    )  # its lane is new: no sender can be in it
    listening = [w for w in listeners if w.accounts is None or w.key_id == paused.key_id]
    insert_events(c, [_build_event(w.id, event, EventType.WEBHOOK_PAUSED, at, data) for w in listening])


def _record(c: Connection, caller: Caller, verb: str, webhook: Webhook, *sides: Any, **after: Any) -> None:
    record_change(c, caller.actor, verb, "webhook", webhook.id, webhook.workspace_id, *sides, **after)


def _describe(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook's fields for an audit row, with a hash for the URL's path and query, which may be secret."""
    facts = {name: getattr(webhook, name) for name in ("types", "description", "paused_why")}
    scheme, _, address = webhook.url.partition("://")
    host, _, path = address.partition("/")
    return {"url": hide_queries(f"{scheme}://{host}/?{path}"), **facts}


def _build_event(webhook: UUID, event: UUID, kind: EventType, at: datetime, data: dict[str, Any]) -> NewEvent:
    return NewEvent(webhook_id=webhook, id=event, lane=event, type=kind, at=at, data=data)


def _lock(c: Connection, caller: Caller, identity: UUID) -> Webhook:
    found = store.list_webhooks(c, caller, identity, lock=True)
    if not found:
        raise no_such_webhook()
    return found[0]


def no_such_webhook() -> Refusal:
    """Build the 404."""
    return Refusal(404, "not_found", "There is no such webhook.")


def _require_url(context: Context, url: str) -> None:
    try:
        require_allowed(url, context.receivers.policy.allowed_origins)
    except Refused as refused:
        issue = build_issue(("url",), refused.reason, "rule", url)
        raise Refusal(422, "invalid_payload", f"url: {refused.reason}.", [issue]) from None
