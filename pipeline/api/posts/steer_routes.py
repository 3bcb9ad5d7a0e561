"""POST /posts/steer: act on every delivery that a filter selects. First a count, then a job, with receipts.

Cancel, pause and a stop need a key but no active plan; the verbs that send something need a plan that publishes.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends

from pipeline.actions.steering import find_started, steer, stop
from pipeline.api.http.auth import require_plan
from pipeline.api.http.dependencies import Claim, Reader, Writer, path_id, replayed, require_kept
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import PLAN_ERRORS, Routes
from pipeline.api.posts import steer_schema as schema
from pipeline.api.posts.pagination import cut_page
from pipeline.domain.steering import OF_PARTNERS, PUBLISHES
from pipeline.stages.replay import Replayed
from pipeline.store.steering import jobs as store
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import list_receipts

routes = Routes(tag=POSTS, path="/posts/steer")


def _refuse_unknown() -> HttpRefusal:
    return HttpRefusal(404, "not_found", "There is no such steering job.")


async def _find(call: Reader, job_id: Annotated[UUID, path_id("job_id", _refuse_unknown)]) -> SteeringJob:
    found = await call.read(store.find_job, call.caller, job_id)
    if found is None or found.verb not in OF_PARTNERS:
        raise _refuse_unknown()
    return found


FoundJob = Annotated[SteeringJob, Depends(_find)]


@routes.add(
    "POST",
    "",
    "The count and its token; with a token or confirm also the job.",
    *PLAN_ERRORS,
    meanings={
        "plan_changed": "the token is of another request, or its count has expired",
        "validation_failed": "the filter is empty, or selects too many",
    },
)
async def steer_posts(
    call: Writer, body: schema.SteerBody, key: Claim
) -> SuccessResponse[schema.SteeringAnswer]:
    """Count what a filter selects; with the count's token, or confirm, start a job that acts on it."""
    if body.verb in PUBLISHES:
        require_plan(call.caller)
    asked, confirm = schema.to_steering(body), bool(body.confirm)
    try:
        found = await call.act(steer, asked, token=body.token, confirm=confirm, key=key)
    except Replayed as earlier:
        find = partial(find_started, call.app_state.context, call.caller, earlier.resource)
        started = require_kept(await call.app_state.read_bulkhead.run(find, call.caller.key_id))
        return replayed("Steering job was started before", schema.SteeringAnswer.from_counted(started))
    message = "Deliveries counted" if found.job is None else "Steering job started"
    return success(message, schema.SteeringAnswer.from_counted(found))


@routes.add("GET", "", "A page of jobs.")
async def list_steering_jobs(call: Reader, query: schema.JobsQuery) -> SuccessResponse[schema.SteeringJobs]:
    """List steering jobs, newest first."""
    caller = call.caller
    found = await call.read(
        store.list_jobs,
        [caller.workspace_id],
        caller=caller,
        verbs=OF_PARTNERS,
        after=query.cursor,
        limit=query.limit + 1,
    )
    shown, cursor = cut_page(found, query.limit, lambda last: last.id)
    jobs = [*map(schema.SteeringJobModel.from_job, shown)]
    return success("Steering jobs retrieved", schema.SteeringJobs(jobs=jobs, next_cursor=cursor))


@routes.add("GET", "/{job_id}", "The job.")
async def get_steering_job(job: FoundJob) -> SuccessResponse[schema.SteeringJobModel]:
    """Return a steering job."""
    return success("Steering job retrieved", schema.SteeringJobModel.from_job(job))


@routes.add("POST", "/{job_id}/stop", "The job as it is now.")
async def stop_steering_job(call: Writer, job: FoundJob) -> SuccessResponse[schema.SteeringJobModel]:
    """Stop a steering job. What it did stays, and the rest is left as it is; a job that has ended does not change."""
    stopped = await call.act(stop, job.id)
    return success(f"Steering job is {stopped.state}", schema.SteeringJobModel.from_job(stopped))


@routes.add("GET", "/{job_id}/receipts", "A page of receipts.")
async def list_steering_receipts(
    call: Reader, job: FoundJob, query: schema.ReceiptQuery
) -> SuccessResponse[schema.SteeringReceipts]:
    """List what became of each delivery of a steering job."""
    found = await call.read(
        list_receipts, job.id, outcome=query.outcome, after=query.cursor, limit=query.limit + 1
    )
    shown, cursor = cut_page(found, query.limit, lambda last: last.delivery_id)
    receipts = [*map(schema.SteeringReceipt.from_receipt, shown)]
    return success("Receipts retrieved", schema.SteeringReceipts(receipts=receipts, next_cursor=cursor))
