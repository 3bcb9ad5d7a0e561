"""Deal with the dead letters of a filter at once, wherever they are: a steering job in each workspace."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import UUID

from pipeline.actions.dead_letters import NO_LETTER
from pipeline.actions.steer_step import run_at_once
from pipeline.actions.steering import Steering
from pipeline.domain.audit import Actor
from pipeline.recovery.restore import explain_doubt
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.deliveries.dead_letters import list_workspaces


@dataclass(kw_only=True, slots=True)
class DeadLetterResult:
    """The result of an action on several dead letters."""

    done: list[UUID] = field(default_factory=list)
    skipped: dict[UUID, str] = field(default_factory=dict)
    """The reason, for each of the others."""


def steer_letters(
    context: Context, asked: Steering, actor: Actor, caller: Caller | None = None
) -> DeadLetterResult:
    """Do a job in each workspace that has dead letters of the filter, and return what became of each.

    *caller*: the key that asks for it; None: an operator. Authors can still retry or edit what is discarded.
    Raises Refusal if one has too many.
    """
    chosen = asked.filter
    with context.database.begin() as c:
        spaces = list_workspaces(c, chosen)
        found = [read_caller(c, space, None) for space in dict.fromkeys(spaces.values())]
    ids = spaces if chosen.deliveries is None else dict.fromkeys(chosen.deliveries)
    if reason := explain_doubt(context):
        return DeadLetterResult(skipped=dict.fromkeys(ids, reason))
    # a filter without a condition would select every post
    asked = replace(asked, filter=replace(chosen, discarded=False))
    whys: dict[UUID, str | None] = {}
    for one in found:
        if one is not None:
            whys |= run_at_once(context, replace(caller or one, actor=actor), asked)
    result = DeadLetterResult()
    for delivery in ids:
        if why := whys.get(delivery, NO_LETTER):
            result.skipped[delivery] = why
        else:
            result.done.append(delivery)
    return result
