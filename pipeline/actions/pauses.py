"""Pause, lift a pause, or close a circuit breaker for an operator; each with its audit row, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.audit import Actor
from pipeline.domain.hold import BREAKER, LiftedScope, Scope
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.accounts.grants import find_account
from pipeline.store.audit import record_change
from pipeline.store.deliveries import pauses as store
from pipeline.store.deliveries.platform_health import close_breaker, list_open_breakers


def pause(
    c: Connection,
    actor: Actor,
    scope: Scope,
    target: str,
    why: str,
    *,
    only_new: bool = False,
    verb: str = "pause",
) -> int | None:
    """Pause a target; pausing it again changes only the reason, or with *only_new* nothing. Return the audit row's id.

    *verb*: of that row.
    """
    before = store.find_reason(c, scope, target)
    if store.pause(c, scope, target, why, f"{actor.kind} {actor.name}", only_new=only_new):
        return _record(c, actor, verb, scope, target, before, why)
    return None


@contextmanager
def pause_during(
    begin: Callable[[], AbstractContextManager[Connection]],
    actor: Actor,
    scope: Scope,
    target: str,
    why: str,
) -> Iterator[None]:
    """Pause a target while the block runs. A pause with another reason stays, made before or in that time.

    *begin*: opens a transaction. *why*: a reason that only the caller gives.
    """
    try:
        with begin() as c:
            pause(c, actor, scope, target, why, only_new=True)
        yield
    finally:
        with begin() as c:
            lift(c, actor, scope, target, only=why)


def lift_and_release(context: Context, actor: Actor, scope: LiftedScope, target: str) -> bool:
    """Lift a pause, or close a breaker, and release what it held at once. False when there is none."""
    with context.database.begin() as c:
        is_lifted = lift(c, actor, scope, target)
    if is_lifted:
        failpoint("pause.lifted")
        context.dispatcher.send_slot_now()
    return is_lifted


def lift(
    c: Connection,
    actor: Actor,
    scope: LiftedScope,
    target: str,
    *,
    only: str | None = None,
    verb: str = "lift",
) -> bool:
    """Lift a pause, or close a breaker; False when there is none. Others that hold the same deliveries stay.

    *only*: the reason that the pause must have. *verb*: of the audit row.
    """
    if scope == BREAKER:
        return _close_breaker(c, actor, target)
    before = store.find_reason(c, scope, target)
    is_lifted = store.lift(c, scope, target, only)
    if is_lifted:
        _record(c, actor, verb, scope, target, before, None)
    return is_lifted


def _close_breaker(c: Connection, actor: Actor, platform: str) -> bool:
    before = {b.platform: {"open": True, "why": b.why} for b in list_open_breakers(c)}
    if not close_breaker(c, platform):
        return False
    store.restart_streaks(c, "platform", platform)
    record_change(c, actor, "close", "breaker", platform, before=before.get(platform), after={"open": False})
    return True


def _record(
    c: Connection, actor: Actor, verb: str, scope: Scope, target: str, before: str | None, after: str | None
) -> int | None:
    workspace = None
    if scope == "workspace":
        workspace = UUID(target)
    elif scope == "account":
        workspace = find_account(c, target).workspace_id
    sides = {"why": before}, {"why": after}
    return record_change(c, actor, verb, "pause", f"{scope} {target}".strip(), workspace, *sides)
