"""Resolve deliveries by an operator's decision: it is live, or publish it again; resume a blocked one, or look now.

For deliveries whose outcome no look can prove. Each decision moves one delivery and closes its open attempt in one
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import record_move
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import LOOKED_AT, Mover, State, get_resume_state
from pipeline.recovery.restore import explain_doubt
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.platform_limits import may_appear_until
from pipeline.store.deliveries.lease import bring_look_forward, resume_blocked
from pipeline.store.deliveries.move import move
from pipeline.store.deliveries.ownership import RemoteIdTaken, translate_taken_remote_id
from pipeline.store.health import database_now
from pipeline.store.posts.actions import ResolvableDelivery, close_attempt_as_decided, lock_to_resolve


class CannotResolve(Exception):
    """The delivery does not exist, or is not in a state that an operator may resolve; the message says which."""


RESOLVABLE = frozenset({State.UNKNOWN, State.BLOCKED})
MAX_URL = 2000


def confirm_live(context: Context, actor: Actor, delivery: UUID, url: str) -> None:
    """Settle the delivery as published, with the URL at which an operator saw it. Raises CannotResolve.

    The URL starts with http:// or https:// and has at most 2000 characters, else it is refused, too. The link of a
    candidate names its post, which then belongs to this delivery: no other one can be settled with it.
    """
    _refuse_unresolved(context)
    _require_url(url)
    try:
        with translate_taken_remote_id(), context.database.begin() as c:
            _settle_as_live(c, actor, delivery, url)
    except RemoteIdTaken:
        raise CannotResolve(
            f"Another delivery of this account has the post {url}: say where delivery {delivery} is."
        ) from None


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise CannotResolve(f"{url[:100]!r} is not the address of a post.") from None
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or len(url) > MAX_URL
        or not url.isprintable()
    ):
        raise CannotResolve(f"{url[:100]!r} is not the address of a post: start it with https://.")


def _settle_as_live(c: Connection, actor: Actor, delivery: UUID, url: str) -> None:
    found = _lock(c, delivery)
    changes: dict[str, object] = {
        "published_at": database_now(c),
        "url": url,
        **_get_remote_id(found, url),
        "error": None,
        "delivered_as": "post",
    }
    states = _decide(c, delivery, found, State.PUBLISHED, f"an operator says it is live: {url}", changes)
    record_move(c, actor, "confirm live", delivery, found.post_id, **states, url=url)


def _decide(
    c: Connection,
    delivery: UUID,
    found: ResolvableDelivery,
    target: State,
    why: str,
    changes: Mapping[str, object],
) -> dict[str, State]:
    """Move the delivery and close its attempt; return the states that it leaves and gets."""
    done = move(
        c,
        delivery=delivery,
        post=found.post_id,
        origin=found.state,
        target=target,
        mover=Mover.DECIDE,
        generation=found.generation,
        why=why,
        changes={**changes, "lease_until": None, "fence": found.fence + 1, "in_doubt": False},
    )
    if not done:
        raise CannotResolve(f"Delivery {delivery} changed in the meantime. Look at it again.")
    close_attempt_as_decided(c, delivery)
    return {"origin": found.state, "target": target}


def _get_remote_id(found: ResolvableDelivery, url: str) -> dict[str, str]:
    """Return the remote id of the candidate with this link, as a change; empty if no candidate has it."""
    candidates = (found.error or {}).get("candidates", ())
    remote_id = next((one["remote_id"] for one in candidates if one["url"] == url), None)
    return {} if remote_id is None else {"remote_id": remote_id}


def publish_again(context: Context, actor: Actor, delivery: UUID) -> None:
    """Retry the delivery from scratch, after an operator saw that it is not live. Raises CannotResolve.

    It is refused while the post of the first call may still appear: the post would be live twice.
    """
    _refuse_unresolved(context)
    with context.database.begin() as c:
        found = _lock(c, delivery)
        _require_absence(context, delivery, found)
        changes: dict[str, object] = {
            "next_at": database_now(c),
            "armed_at": None,
            "armed_deadline": None,
            "absent_at": None,
            "working_since": None,
            "crashes": 0,
            "surprises": 0,
            "looks": 0,
            "checkpoint": _seal_kept_keys(context, delivery, found),
        }
        states = _decide(c, delivery, found, State.RETRYING, "an operator says: publish it again", changes)
        record_move(c, actor, "publish again", delivery, found.post_id, **states)
    failpoint("decide.again", delivery)
    context.dispatcher.send_slot_now()


def _require_absence(context: Context, delivery: UUID, found: ResolvableDelivery) -> None:
    adapter = context.adapters.get(found.platform)
    if adapter is None:
        return
    until = may_appear_until(found.armed_deadline, context.settings, adapter.capabilities)
    if until is not None and found.now <= until:
        raise CannotResolve(
            f"Delivery {delivery} may still appear until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: the call that "
            "publishes it has had no response yet. Look at the account again after that time, then decide."
        )


def _seal_kept_keys(context: Context, delivery: UUID, found: ResolvableDelivery) -> bytes | None:
    """Keep the checkpoint keys by which the platform recognises a repetition; the rest starts from scratch."""
    adapter = context.adapters.get(found.platform)
    if adapter is None:
        return None
    checkpoint = {} if found.checkpoint is None else context.vault.open(found.checkpoint, delivery)
    kept = adapter.capabilities.keep_for_repetition(checkpoint)
    return context.vault.seal(kept, delivery) if kept else None


def resume(context: Context, actor: Actor, delivery: UUID) -> None:
    """Resume a blocked delivery: look again if it is armed, else retry. Raises CannotResolve."""
    _refuse_unresolved(context)
    with context.database.begin() as c:
        found = _lock(c, delivery)
        if found.state is not State.BLOCKED:
            raise CannotResolve(f"Delivery {delivery} is {found.state}, not blocked.")
        armed = found.armed_at is not None
        if not resume_blocked(
            c, delivery, found.post_id, found.generation, armed=armed, why="an operator let it go on"
        ):
            raise CannotResolve(f"Delivery {delivery} changed in the meantime. Look at it again.")
        states = {"origin": found.state, "target": get_resume_state(armed=armed)}
        record_move(c, actor, "resume", delivery, found.post_id, **states)
    failpoint("decide.resumed", delivery)
    context.dispatcher.send_slot_now()


def look_now(context: Context, actor: Actor, delivery: UUID) -> None:
    """Have the platform looked at at once for a delivery that waits for its next look. Raises CannotResolve."""
    _refuse_unresolved(context)
    with context.database.begin() as c:
        found = _lock(c, delivery, LOOKED_AT)
        if not bring_look_forward(c, delivery, found.generation):
            raise CannotResolve(
                f"The next look at delivery {delivery} is due, in progress, or has to wait: it comes by itself."
            )
        record_move(c, actor, "look", delivery, found.post_id, origin=found.state, target=found.state)
    context.dispatcher.send_slot_now()


def _refuse_unresolved(context: Context) -> None:
    if reason := explain_doubt(context):
        raise CannotResolve(reason)


def _lock(c: Connection, delivery: UUID, states: Collection[State] = RESOLVABLE) -> ResolvableDelivery:
    found = lock_to_resolve(c, delivery)
    if found is None:
        raise CannotResolve(f"There is no delivery {delivery}.")
    if found.state not in states:
        what = "looked at" if states is LOOKED_AT else "resolved"
        raise CannotResolve(
            f"Delivery {delivery} is {found.state}: only {' and '.join(sorted(states))} deliveries can be {what}."
        )
    return found
