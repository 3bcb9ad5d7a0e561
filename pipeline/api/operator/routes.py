"""The operator API: what needs an operator, and dead letters: list, show, replay and discard.

A workspace's key reaches the dead letters of its workspace, or of its accounts if it is restricted to some; the
operator token reaches all. A dead letter outside the scope is answered like one that does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request

from pipeline.actions import attention
from pipeline.actions.dead_letters import count_letters
from pipeline.actions.steer_letters import DeadLetterResult, steer_letters
from pipeline.actions.steering import Steering
from pipeline.api.http.dependencies import (
    Principal,
    PrincipalPublisher,
    PrincipalReader,
    PrincipalWriter,
    path_id,
)
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, refuse_unknown, success
from pipeline.api.openapi.introduction import ATTENTION, DEAD_LETTERS
from pipeline.api.openapi.operation import OPERATOR_API, Routes
from pipeline.api.operator import models
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.history import list_attempts, list_moves
from pipeline.store.deliveries.selection import ListFilter

attention_routes = Routes(tag=ATTENTION, path="/attention", api=OPERATOR_API)
routes = Routes(tag=DEAD_LETTERS, path="/dead-letters", api=OPERATOR_API)
ResultT = TypeVar("ResultT", models.ReplayResult, models.DiscardResult)


@attention_routes.add("GET", "", "What needs an operator.", "insufficient_scope")
async def list_attention(principal: PrincipalReader) -> SuccessResponse[models.AttentionList]:
    """List what needs an operator: how much of it, since when, and the command that deals with it."""
    if principal.caller is not None:
        raise HttpRefusal(
            403, "insufficient_scope", "This list is about all workspaces: send the operator token."
        )
    silent = timedelta(seconds=principal.app_state.context.settings.worker.silent)
    found = await principal.read(attention.list_attention, silent)
    items = [*map(models.AttentionItem.from_item, found)]
    return success("What needs an operator", models.AttentionList(items=items))


@routes.add("GET", "", "A page of dead letters.")
async def list_dead_letters(
    principal: PrincipalReader, query: models.ListQuery
) -> SuccessResponse[models.DeadLetterPage]:
    """List dead letters, oldest first, with their number by cause."""
    chosen = models.select_letters(principal.scope, query)
    return success("Dead letters", await principal.read(_read_page, chosen, query))


_RETURNS = "What became of each dead letter; with a filter and dry_run, what it selects."


@routes.add("POST", "/replay", _RETURNS, is_rate_limited=True)
async def replay_dead_letters(
    request: Request, principal: PrincipalPublisher, body: models.ReplayBody
) -> SuccessResponse[models.ReplayOutcome]:
    """Queue dead letters again, at most so many per minute and platform. What may be live is never sent again."""
    answers = (models.ReplayResult, models.ReplayPage)
    arguments = Arguments(per_minute=body.per_minute)
    result = await _apply(request, principal, body, Verb.REPLAY, arguments, answers)
    return success("Dead letters replayed", result)


@routes.add("POST", "/discard", _RETURNS, is_rate_limited=True)
async def discard_dead_letters(
    request: Request, principal: PrincipalWriter, body: models.DiscardBody
) -> SuccessResponse[models.DiscardOutcome]:
    """Give dead letters up; their evidence stays."""
    answers = (models.DiscardResult, models.DiscardPage)
    result = await _apply(request, principal, body, Verb.DISCARD, Arguments(why=body.why), answers)
    return success("Dead letters discarded", result)


@routes.add("GET", "/{delivery_id:letter}", "The dead letter.")
async def get_dead_letter(
    principal: PrincipalReader, delivery_id: Annotated[UUID, path_id("delivery_id", "dead letter")]
) -> SuccessResponse[models.DeadLetterEvidence]:
    """Return one dead letter with its evidence."""
    evidence = await principal.read(_read, principal, delivery_id)
    if evidence is None:
        raise refuse_unknown("dead letter")
    return success("Dead letter", evidence)


async def _apply(
    request: Request,
    principal: Principal,
    body: models.ReplayBody | models.DiscardBody,
    verb: Verb,
    arguments: Arguments,
    answers: tuple[type[ResultT], type[ResultT]],
) -> ResultT | models.DryRun:
    """Do a steering job of the dead letters of the request, and return the result.

    A filter selects one request's share of dead letters; its cursor passes over skipped ones. Each counts as a post.
    *answers*: the models for dead letters named by id, and for dead letters that a filter selects.
    """
    context = principal.app_state.context
    run = partial(principal.app_state.action_bulkhead.run, key=principal.key_id)

    def steer(ids: tuple[UUID, ...]) -> DeadLetterResult:
        chosen = ListFilter(scope=principal.scope, deliveries=ids)
        asked = Steering(verb=verb, filter=chosen, arguments=arguments)
        return steer_letters(context, asked, principal.actor, principal.caller)

    if body.ids is not None:
        ids = tuple(dict.fromkeys(body.ids))
        await principal.charge(request, len(ids))
        return answers[0].from_result(await run(partial(steer, ids)))
    chosen = models.select_letters(principal.scope, body.filter or models.Filter())
    if body.dry_run:
        return models.DryRun.from_count(await run(partial(count_letters, context, verb, chosen)))
    read = partial(principal.app_state.transact, store.list_dead_letters, chosen)
    page = await run(partial(read, limit=models.MAX_LETTERS, after=body.cursor))
    await principal.charge(request, len(page))
    result = await run(partial(steer, tuple(one.id for one in page)))
    return answers[1].from_result(result, next_cursor=_next_cursor(page, models.MAX_LETTERS))


def _read_page(c: Connection, chosen: ListFilter, query: models.ListQuery) -> models.DeadLetterPage:
    page = store.list_dead_letters(c, chosen, limit=query.limit, after=query.cursor)
    return models.DeadLetterPage(
        letters=[*map(models.DeadLetter.from_letter, page)],
        causes=models.DeadLetterCause.from_causes(store.count_causes(c, chosen)),
        next_cursor=_next_cursor(page, query.limit),
    )


def _next_cursor(page: Sequence[store.DeadLetter], limit: int) -> str | None:
    return models.format_cursor((page[-1].died_at, page[-1].id)) if len(page) == limit else None


def _read(c: Connection, principal: Principal, delivery: UUID) -> models.DeadLetterEvidence | None:
    found = store.find_dead_letter(c, delivery, principal.scope)
    if found is None:
        return None
    return models.DeadLetterEvidence.from_letter(
        found,
        crashes=store.count_crashes(c, delivery),
        moves=list_moves(c, delivery),
        attempts=list_attempts(c, delivery),
        discards=store.list_discards(c, delivery),
    )
