"""A person's word on a delivery nobody else can tell about: it is live, or publish it again; and un-blocking one."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.domain.delivery import Mover, State
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import explain_doubt
from pipeline.stages.retry_inputs import may_appear_until
from pipeline.store.deliveries.move import move
from pipeline.store.deliveries.rescue import resume_blocked
from pipeline.store.deliveries.resolve import ResolvableDelivery, close_attempt_as_decided, lock_to_resolve
from pipeline.store.health import database_now


class CannotDecide(Exception):
    """The delivery is not there, or not in a state a person's word moves; the message says which."""


DECIDABLE = frozenset({State.UNKNOWN, State.BLOCKED})


def it_is_live(context: Context, delivery: UUID, url: str) -> None:
    """A person saw the post: the delivery is published, with the address they give. Raises CannotDecide."""
    _refuse_in_doubt(context)
    with context.database.begin() as c:
        found = _found(c, delivery)
        done = move(
            c,
            delivery=delivery,
            post=found.post_id,
            origin=found.state,
            target=State.PUBLISHED,
            mover=Mover.DECIDE,
            generation=found.generation,
            why=f"a person says it is live: {url}",
            changes={
                "published_at": database_now(c),
                "url": url,
                "error": None,
                "lease_until": None,
                "fence": found.fence + 1,
                "delivered_as": "post",
                "in_doubt": False,
            },
        )
        _end(c, delivery, done=done)


def publish_again(context: Context, delivery: UUID) -> None:
    """A person saw that it is not there: the delivery is tried again, from scratch. Raises CannotDecide.

    Refused while the first call may still show its post: what is not there yet would be there twice.
    """
    _refuse_in_doubt(context)
    with context.database.begin() as c:
        found = _found(c, delivery)
        _appears_no_more(context, delivery, found)
        done = move(
            c,
            delivery=delivery,
            post=found.post_id,
            origin=found.state,
            target=State.RETRYING,
            mover=Mover.DECIDE,
            generation=found.generation,
            why="a person says: publish it again",
            changes={
                "next_at": database_now(c),
                "armed_at": None,
                "armed_deadline": None,
                "absent_at": None,
                "lease_until": None,
                "fence": found.fence + 1,
                "working_since": None,
                "crashes": 0,
                "surprises": 0,
                "looks": 0,
                "checkpoint": _kept(context, delivery, found),
                "in_doubt": False,
            },
        )
        _end(c, delivery, done=done)
    failpoint("decide.again", delivery)
    context.dispatcher.send_slot_now()


def _appears_no_more(context: Context, delivery: UUID, found: ResolvableDelivery) -> None:
    adapter = context.adapters.get(found.platform)
    if adapter is None:
        return
    until = may_appear_until(found.armed_deadline, context.settings, adapter.capabilities)
    if until is not None and found.now <= until:
        raise CannotDecide(
            f"Delivery {delivery} may still appear until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: the call that "
            "publishes it had no answer yet. Look at the account again after that, then decide."
        )


def _kept(context: Context, delivery: UUID, found: ResolvableDelivery) -> bytes | None:
    """What of the old checkpoint the platform recognises a repeat by; the rest starts from scratch."""
    adapter = context.adapters.get(found.platform)
    if adapter is None or found.checkpoint is None:
        return None
    old = context.vault.open(found.checkpoint, delivery)
    kept = {name: old[name] for name in adapter.capabilities.keeps if name in old}
    return context.vault.seal(kept, delivery) if kept else None


def resume(context: Context, delivery: UUID) -> None:
    """Lets a blocked delivery go on: armed ones are looked at again, the others tried again. Raises CannotDecide."""
    _refuse_in_doubt(context)
    with context.database.begin() as c:
        found = _found(c, delivery)
        if found.state is not State.BLOCKED:
            raise CannotDecide(f"Delivery {delivery} is {found.state}, not blocked.")
        armed = found.armed_at is not None
        if not resume_blocked(
            c, delivery, found.post_id, found.generation, armed=armed, why="a person let it go on"
        ):
            raise CannotDecide(f"Delivery {delivery} moved meanwhile. Look again.")
    failpoint("decide.resumed", delivery)
    context.dispatcher.send_slot_now()


def _refuse_in_doubt(context: Context) -> None:
    if said := explain_doubt(context):
        raise CannotDecide(said)


def _found(c: Connection, delivery: UUID) -> ResolvableDelivery:
    found = lock_to_resolve(c, delivery)
    if found is None:
        raise CannotDecide(f"There is no delivery {delivery}.")
    if found.state not in DECIDABLE:
        raise CannotDecide(
            f"Delivery {delivery} is {found.state}: only unknown and blocked ones wait for a person."
        )
    return found


def _end(c: Connection, delivery: UUID, *, done: bool) -> None:
    """Closes the open attempt as decided; the decision and the closing are one transaction."""
    if not done:
        raise CannotDecide(f"Delivery {delivery} moved meanwhile. Look again.")
    close_attempt_as_decided(c, delivery)
