"""/api/operator/v1/dead-letters: list, show, replay and discard deliveries that failed or wait for an operator.

A workspace's key reaches the letters of its workspace, or of its accounts if it is restricted to some; the operator
token reaches all. A dead letter outside the scope is answered like one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from starlette.requests import Request

from pipeline.actions import dead_letters as actions
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.http.json_body import parse_id, parse_json_or_empty, read_json_body
from pipeline.api.openapi.error_responses import BODY_ERRORS, KEY_ERRORS, PLAN_ERRORS, error_responses
from pipeline.api.openapi.introduction import DEAD_LETTERS
from pipeline.api.openapi.operation import OPERATOR_API, Operation, Parameter, path_parameter, query_parameter
from pipeline.api.operator import response_models as schema
from pipeline.api.operator.response_models import (
    DeadLetter,
    DeadLetterCause,
    DeadLetterEvidence,
    DeadLetterPage,
    DiscardOutcome,
    DiscardPage,
    DiscardResult,
    DryRun,
    ReplayOutcome,
    ReplayPage,
    ReplayResult,
)
from pipeline.api.operator.scope import Principal, authenticate
from pipeline.api.state import AppState, get_app_state
from pipeline.runtime.context import Context
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.attempts import list_attempts
from pipeline.store.deliveries.dead_letters import DeadLetterFilter
from pipeline.store.deliveries.inspection import list_moves

BASE = f"{OPERATOR_API}/dead-letters"
Action = Callable[[Sequence[UUID]], actions.DeadLetterResult]
ResultT = TypeVar("ResultT", ReplayResult, DiscardResult)


async def list_dead_letters(request: Request) -> SuccessResponse[DeadLetterPage]:
    """List dead letters, oldest first, with their number by cause."""
    app_state, principal = get_app_state(request), await authenticate(request)
    query = schema.read(schema.ListBody, schema.parse_query(request.scope["query_string"]))
    chosen = schema.select_letters(principal.scope, query)
    page = await app_state.read_bulkhead.run(partial(_read_page, app_state, chosen, query))
    return success("Dead letters", page)


async def get_dead_letter(request: Request) -> SuccessResponse[DeadLetterEvidence]:
    """Return one dead letter with its evidence."""
    app_state, principal = get_app_state(request), await authenticate(request)
    delivery_id = parse_id(request.path_params["delivery_id"])
    evidence = None
    if delivery_id is not None:
        evidence = await app_state.read_bulkhead.run(partial(_read, app_state, principal, delivery_id))
    if evidence is None:
        raise HttpRefusal(404, "not_found", "There is no such dead letter.")
    return success("Dead letter", evidence)


async def replay_dead_letters(request: Request) -> SuccessResponse[ReplayOutcome]:
    """Queue dead letters again, at most so many per minute and platform. What may be live is never sent again."""
    app_state, principal = get_app_state(request), await authenticate(request)
    principal.require_publisher()
    body = schema.read(schema.ReplayBody, await _read_body(request, principal))
    action = partial(
        actions.replay, app_state.context, principal.scope, actor=principal.actor, per_minute=body.per_minute
    )
    models = (ReplayResult, ReplayPage)
    result = await _apply(request, principal, body, action, actions.count_replayable, models)
    return success("Dead letters replayed", result)


async def discard_dead_letters(request: Request) -> SuccessResponse[DiscardOutcome]:
    """Give dead letters up; their evidence stays."""
    app_state, principal = get_app_state(request), await authenticate(request)
    principal.require_writer()
    body = schema.read(schema.DiscardBody, await _read_body(request, principal))
    action = partial(actions.discard, app_state.context, principal.scope, why=body.why, actor=principal.actor)
    models = (DiscardResult, DiscardPage)
    result = await _apply(request, principal, body, action, actions.count_discardable, models)
    return success("Dead letters discarded", result)


async def _read_body(request: Request, principal: Principal) -> Any:
    return parse_json_or_empty(await read_json_body(request, principal.key_id))


async def _apply(
    request: Request,
    principal: Principal,
    body: schema.ReplayBody | schema.DiscardBody,
    action: Action,
    count: Callable[[Context, DeadLetterFilter], actions.DeadLetterCount],
    models: tuple[type[ResultT], type[ResultT]],
) -> ResultT | DryRun:
    """Apply *action* to the dead letters of the request, and return the result.

    A filter selects one request's share of dead letters; its cursor passes over skipped ones. Each counts as a post.
    *models*: the answers for dead letters named by id, and for dead letters that a filter selects.
    """
    app_state = get_app_state(request)
    run, key_id = app_state.action_bulkhead.run, principal.key_id
    if body.ids is not None:
        letters: Sequence[UUID] = list(dict.fromkeys(body.ids))
        await principal.charge(request, len(letters))
        return models[0].from_result(await run(partial(action, letters), key_id))
    chosen = schema.select_letters(principal.scope, body.filter or schema.Filter())
    if body.dry_run:
        return await run(partial(_count, app_state, chosen, count), key_id)
    page = await run(partial(_list_page, app_state, chosen, body.cursor), key_id)
    await principal.charge(request, len(page))
    result = await run(partial(action, [letter.id for letter in page]), key_id)
    return models[1].from_result(result, next_cursor=_next_cursor(page, schema.MAX_LETTERS))


def _count(
    app_state: AppState,
    chosen: DeadLetterFilter,
    count: Callable[[Context, DeadLetterFilter], actions.DeadLetterCount],
) -> DryRun:
    return DryRun.from_count(count(app_state.context, chosen))


def _list_page(
    app_state: AppState, chosen: DeadLetterFilter, after: store.Position | None
) -> Sequence[store.DeadLetter]:
    with app_state.context.database.begin() as c:
        return store.list_dead_letters(c, chosen, limit=schema.MAX_LETTERS, after=after)


def _read_page(app_state: AppState, chosen: DeadLetterFilter, query: schema.ListBody) -> DeadLetterPage:
    with app_state.context.database.begin() as c:
        page = store.list_dead_letters(c, chosen, limit=query.limit, after=query.cursor)
        causes = store.count_causes(c, chosen)
    return DeadLetterPage(
        letters=[*map(DeadLetter.from_letter, page)],
        causes=DeadLetterCause.from_causes(causes),
        next_cursor=_next_cursor(page, query.limit),
    )


def _next_cursor(page: Sequence[store.DeadLetter], limit: int) -> str | None:
    return schema.format_cursor((page[-1].died_at, page[-1].id)) if len(page) == limit else None


def _read(app_state: AppState, principal: Principal, delivery: UUID) -> DeadLetterEvidence | None:
    with app_state.context.database.begin() as c:
        letter = store.find_dead_letter(c, delivery, principal.scope)
        if letter is None:
            return None
        return DeadLetterEvidence.from_facts(
            letter,
            store.count_crashes(c, delivery),
            list_moves(c, delivery),
            list_attempts(c, delivery),
            store.list_discards(c, delivery),
        )


def _query_parameters() -> list[Parameter]:
    """Return the parameters of a list, from the model that reads them."""
    fields = schema.ListBody.model_json_schema()["properties"]
    return [
        query_parameter(name, _without_null(part), part.get("description", ""))
        for name, part in fields.items()
    ]


def _without_null(part: Mapping[str, Any]) -> Mapping[str, Any]:
    branches = part.get("anyOf", [part])
    return {
        name: value
        for name, value in branches[0].items()
        if name not in ("title", "description") and value is not None
    }


_COMMON = (*KEY_ERRORS, "internal_error")
_ACTION = (*_COMMON, *BODY_ERRORS, "insufficient_scope", "rate_limited")

OPERATIONS = (
    Operation(
        id="listDeadLetters",
        api=OPERATOR_API,
        method="GET",
        path=BASE,
        handler=list_dead_letters,
        tag=DEAD_LETTERS,
        returns="A page of dead letters.",
        parameters=_query_parameters(),
        errors=error_responses(*_COMMON, invalid_payload="a value of the query"),
    ),
    Operation(
        id="replayDeadLetters",
        api=OPERATOR_API,
        method="POST",
        path=f"{BASE}/replay",
        handler=replay_dead_letters,
        tag=DEAD_LETTERS,
        returns="What became of each dead letter; with a filter and dry_run, what it selects.",
        is_rate_limited=True,
        body=schema.ReplayBody,
        errors=error_responses(*_ACTION, *PLAN_ERRORS),
    ),
    Operation(
        id="discardDeadLetters",
        api=OPERATOR_API,
        method="POST",
        path=f"{BASE}/discard",
        handler=discard_dead_letters,
        tag=DEAD_LETTERS,
        returns="What became of each dead letter; with a filter and dry_run, what it selects.",
        is_rate_limited=True,
        body=schema.DiscardBody,
        errors=error_responses(*_ACTION),
    ),
    Operation(
        id="getDeadLetter",
        api=OPERATOR_API,
        method="GET",
        path=f"{BASE}/{{delivery_id:letter}}",
        handler=get_dead_letter,
        tag=DEAD_LETTERS,
        returns="The dead letter.",
        parameters=[path_parameter("delivery_id", {"type": "string", "format": "uuid"})],
        errors=error_responses(*_COMMON, "not_found"),
    ),
)
