"""POST /posts/steer: act on every delivery that a filter selects. First a count, then a job, with receipts.

Cancel, pause and a stop need a key but no active plan; the verbs that send something need a plan that publishes.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request

from pipeline.actions.steering import find_started, steer, stop
from pipeline.api.http.auth import require_plan
from pipeline.api.http.dependencies import (
    parse_id,
    read_idempotency_key,
    read_json_body,
    read_query,
    replayed,
    require_kept,
)
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.imports.models import DEFAULT_LIMIT, MAX_LIMIT
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import (
    BODY_ERRORS,
    CLAIM_ERRORS,
    KEY_ERRORS,
    PARTNER_API,
    PLAN_ERRORS,
    Operation,
    error_responses,
    path_parameter,
    query_parameter,
)
from pipeline.api.posts import steer_schema as schema
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.steering import OF_PARTNERS, PUBLISHES
from pipeline.stages.replay import Replayed
from pipeline.store.auth.keys import Caller
from pipeline.store.steering import jobs as store
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import list_receipts


async def steer_posts(request: Request) -> SuccessResponse[schema.SteeringAnswer]:
    """Count what a filter selects; with the count's token, or confirm, start a job that acts on it."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_writer(request)
    asked, said = schema.read_steering(await read_json_body(request, caller.key_id))
    key = read_idempotency_key(request, caller, said)
    if asked.verb in PUBLISHES:
        require_plan(caller)
    confirm = bool(said.confirm)
    work = partial(steer, app_state.context, caller, asked, token=said.token, confirm=confirm, key=key)
    try:
        found = await app_state.action_bulkhead.run(work, caller.key_id)
    except Replayed as earlier:
        find = partial(find_started, app_state.context, caller, earlier.resource)
        started = require_kept(await app_state.read_bulkhead.run(find, caller.key_id))
        return replayed("Steering job was started before", schema.SteeringAnswer.from_counted(started))
    message = "Deliveries counted" if found.job is None else "Steering job started"
    return success(message, schema.SteeringAnswer.from_counted(found))


async def list_steering_jobs(request: Request) -> SuccessResponse[schema.SteeringJobs]:
    """List steering jobs, newest first."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    query = read_query(schema.JobsQuery, request.scope["query_string"])
    page = await app_state.read_bulkhead.run(partial(_read_jobs, app_state, caller, query), caller.key_id)
    return success("Steering jobs retrieved", page)


async def stop_steering_job(request: Request) -> SuccessResponse[schema.SteeringJobModel]:
    """Stop a steering job. What it did stays, and the rest is left as it is; a job that has ended does not change."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    app_state, _, job = await _find_job(request)
    work = partial(stop, app_state.context, caller, job.id)
    stopped = await app_state.action_bulkhead.run(work, caller.key_id)
    return success(f"Steering job is {stopped.state}", schema.SteeringJobModel.from_job(stopped))


async def get_steering_job(request: Request) -> SuccessResponse[schema.SteeringJobModel]:
    """Return a steering job."""
    _, _, job = await _find_job(request)
    return success("Steering job retrieved", schema.SteeringJobModel.from_job(job))


async def list_steering_receipts(request: Request) -> SuccessResponse[schema.SteeringReceipts]:
    """List what became of each delivery of a steering job."""
    app_state, caller, job = await _find_job(request)
    query = read_query(schema.ReceiptQuery, request.scope["query_string"])
    page = await app_state.read_bulkhead.run(partial(_read_page, app_state, job, query), caller.key_id)
    return success("Receipts retrieved", page)


async def _find_job(request: Request) -> tuple[AppState, Caller, SteeringJob]:
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    job = await app_state.read_bulkhead.run(
        partial(_read, app_state, caller, request.path_params["job_id"]), caller.key_id
    )
    if job is None:
        raise HttpRefusal(404, "not_found", "There is no such steering job.")
    return app_state, caller, job


def _read(app_state: AppState, caller: Caller, text: str) -> SteeringJob | None:
    if (identity := parse_id(text)) is None:
        return None
    with app_state.context.database.begin() as c:
        found = store.find_job(c, caller, identity)
    return found if found is not None and found.verb in OF_PARTNERS else None


def _read_jobs(app_state: AppState, caller: Caller, query: schema.JobsQuery) -> schema.SteeringJobs:
    with app_state.context.database.begin() as c:
        found = store.list_jobs(
            c,
            [caller.workspace_id],
            caller=caller,
            verbs=OF_PARTNERS,
            after=query.cursor,
            limit=query.limit + 1,
        )
    shown = found[: query.limit]
    return schema.SteeringJobs(
        jobs=[*map(schema.SteeringJobModel.from_job, shown)],
        next_cursor=shown[-1].id if len(found) > query.limit else None,
    )


def _read_page(app_state: AppState, job: SteeringJob, query: schema.ReceiptQuery) -> schema.SteeringReceipts:
    with app_state.context.database.begin() as c:
        found = list_receipts(c, job.id, outcome=query.outcome, after=query.cursor, limit=query.limit + 1)
    shown = found[: query.limit]
    return schema.SteeringReceipts(
        receipts=[*map(schema.SteeringReceipt.from_receipt, shown)],
        next_cursor=shown[-1].delivery_id if len(found) > query.limit else None,
    )


_JOB_PATH = f"{PARTNER_API}/posts/steer/{{job_id}}"
_JOB_ID = path_parameter("job_id", {"type": "string", "format": "uuid"})
_CURSOR = query_parameter("cursor", {"type": "string"}, "next_cursor of the previous page.")
_READ = error_responses(*KEY_ERRORS, "not_found", "rate_limited", "internal_error")

OPERATIONS = (
    Operation(
        id="steerPosts",
        method="POST",
        path=f"{PARTNER_API}/posts/steer",
        handler=steer_posts,
        tag=POSTS,
        returns="The count and its token; with a token or confirm also the job.",
        body=schema.SteerBody,
        takes_key=True,
        errors=error_responses(
            *KEY_ERRORS,
            *BODY_ERRORS,
            *PLAN_ERRORS,
            *CLAIM_ERRORS,
            "insufficient_scope",
            "rate_limited",
            "internal_error",
            plan_changed="the token is of another request, or its count has expired",
            validation_failed="the filter is empty, or selects too many",
        ),
    ),
    Operation(
        id="listSteeringJobs",
        method="GET",
        path=f"{PARTNER_API}/posts/steer",
        handler=list_steering_jobs,
        tag=POSTS,
        returns="A page of jobs.",
        parameters=[
            query_parameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
            ),
            _CURSOR,
        ],
        errors=error_responses(
            *KEY_ERRORS, "rate_limited", "internal_error", invalid_payload="a value of the query"
        ),
    ),
    Operation(
        id="getSteeringJob",
        method="GET",
        path=_JOB_PATH,
        handler=get_steering_job,
        tag=POSTS,
        returns="The job.",
        parameters=[_JOB_ID],
        errors=_READ,
    ),
    Operation(
        id="stopSteeringJob",
        method="POST",
        path=f"{_JOB_PATH}/stop",
        handler=stop_steering_job,
        tag=POSTS,
        returns="The job as it is now.",
        parameters=[_JOB_ID],
        errors=error_responses(
            *KEY_ERRORS, "insufficient_scope", "not_found", "rate_limited", "internal_error"
        ),
    ),
    Operation(
        id="listSteeringReceipts",
        method="GET",
        path=f"{_JOB_PATH}/receipts",
        handler=list_steering_receipts,
        tag=POSTS,
        returns="A page of receipts.",
        parameters=[
            _JOB_ID,
            query_parameter("outcome", {"type": "string", "enum": [*schema.OUTCOMES]}),
            query_parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            _CURSOR,
        ],
        errors=error_responses(
            *KEY_ERRORS, "not_found", "rate_limited", "internal_error", invalid_payload="a value of the query"
        ),
    ),
)
