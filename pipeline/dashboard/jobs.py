"""Pages of steering jobs, the changes to many posts: list them, show one with its receipts, and say how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.steering import stop
from pipeline.actions.undo import undo_job
from pipeline.dashboard.actions import OF_JOBS
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import act_for, read
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.steering import HAS_UNDO, UNDO_WITHIN, WORKING, Verb
from pipeline.store.deliveries.queue import QueuedDelivery
from pipeline.store.deliveries.queue_posts import read_queued_posts
from pipeline.store.steering.jobs import SteeringJob, dump_filter, list_jobs
from pipeline.store.steering.receipts import Receipt, list_receipts

PATH = "/dashboard/jobs"
SHOWN = 50
OUTCOMES = ("done", "skipped")


@page("/jobs", Role.VIEWER)
async def show_jobs(request: Request, visitor: Visitor) -> Response:
    """List the newest jobs, or the ones that the address names."""
    named = request.query_params.getlist("id")
    ids = [_parse_id(text) for text in named[:SHOWN]] if named else None
    found = await read(request, _list, visitor.workspaces(Role.VIEWER), ids)
    return render(
        request,
        "jobs.html",
        jobs=found,
        labels=OF_JOBS,
        is_working=any(job.state in WORKING for job in found),
    )


@page("/jobs/{job_id}", Role.VIEWER)
async def show_job(request: Request, visitor: Visitor) -> Response:
    """Show one job: what it does, how much is done, and what became of each delivery."""
    identity = _parse_id(request.path_params["job_id"])
    after, outcome = request.query_params.get("after"), request.query_params.get("outcome") or None
    if outcome not in (None, *OUTCOMES):
        raise HTTPException(400, "The outcome is done or skipped.")
    within = visitor.workspaces(Role.VIEWER)
    place = _parse_id(after) if after else None
    job, receipts = require_found(await read(request, _read, within, identity, outcome, place))
    return render(
        request,
        "job.html",
        job=job,
        label=OF_JOBS[job.verb].label,
        chosen=dump_filter(job.filter),
        arguments=job.arguments.to_dict(),
        receipts=receipts[:SHOWN],
        following=receipts[SHOWN - 1][0].delivery_id if len(receipts) > SHOWN else None,
        outcome=outcome,
        is_working=job.state in WORKING,
        undo_until=find_end_of_undo([job], visitor),
        may_stop=job.state in WORKING and visitor.roles[job.workspace_id] >= OF_JOBS[job.verb].role,
        path_of_page=f"{PATH}/{job.id}",
    )


@page("/jobs/{job_id}/stop", Role.AUTHOR, "POST")
async def stop_job(request: Request, visitor: Visitor) -> Response:
    """Stop a job, and show it."""
    job, *_ = await _find(request, visitor, [request.path_params["job_id"]])
    visitor.require(job.workspace_id, OF_JOBS[job.verb].role)
    await act_for(request, job.workspace_id, stop, job.id)
    return RedirectResponse(f"{PATH}/{job.id}", 303)


def _list(c: Connection, within: Sequence[UUID], ids: Sequence[UUID] | None) -> Sequence[SteeringJob]:
    return list_jobs(c, within, ids=ids, limit=SHOWN)


async def _find(request: Request, visitor: Visitor, texts: Sequence[object]) -> Sequence[SteeringJob]:
    """Return the jobs of these ids that the visitor sees. Raises HTTPException 404 for none."""
    ids = [_parse_id(str(text)) for text in texts[:SHOWN]]
    return require_found(await read(request, _list, visitor.workspaces(Role.VIEWER), ids) or None)


def _read(
    c: Connection, within: Sequence[UUID], identity: UUID, outcome: str | None, after: UUID | None
) -> tuple[SteeringJob, Sequence[Named]] | None:
    found = list_jobs(c, within, ids=[identity], limit=1)
    if not found:
        return None
    receipts = list_receipts(c, identity, outcome=outcome, after=after, limit=SHOWN + 1)
    posts = read_queued_posts(c, {one.post_id for one in receipts}, within)
    names = {one.facts.id: one for post in posts for one in post.deliveries}
    return found[0], [(one, names.get(one.delivery_id)) for one in receipts]


Named = tuple[Receipt, QueuedDelivery | None]
"""A receipt, and what it is of; None: its post is deleted."""


def _parse_id(text: str) -> UUID:
    return require_found(parse_id_or_none(text))


@page("/jobs/toast", Role.VIEWER)
async def show_toast(request: Request, visitor: Visitor) -> Response:
    """Show how far some jobs are, in one line."""
    found = await _find(request, visitor, request.query_params.getlist("id"))
    return render(
        request,
        "toast.html",
        jobs=found,
        did=_DONE[found[0].verb],
        is_working=any(job.state in WORKING for job in found),
        undo_until=find_end_of_undo(found, visitor),
        here=f"{PATH}/toast?{request.url.query}",
    )


@page("/jobs/undo", Role.AUTHOR, "POST")
async def undo_jobs(request: Request, visitor: Visitor) -> Response:
    """Undo what some jobs did, and lead back to the queue, which says how far that is."""
    found = await _find(request, visitor, request.state.form.getlist("id"))
    for job in found:
        visitor.require(job.workspace_id, OF_JOBS[job.verb].role)
    undone = [await act_for(request, job.workspace_id, undo_job, job.id) for job in found]
    return RedirectResponse(f"/dashboard/queue?{urlencode([('job', str(one.id)) for one in undone])}", 303)


def find_end_of_undo(jobs: Sequence[SteeringJob], visitor: Visitor) -> datetime | None:
    """Return until when the visitor can undo all of these jobs; None: not any more, or not at all."""
    ends = [
        job.ended_at + UNDO_WITHIN
        for job in jobs
        if job.ended_at is not None
        and job.verb in HAS_UNDO
        and job.done
        and visitor.roles[job.workspace_id] >= OF_JOBS[job.verb].role
    ]
    until = min(ends, default=None)
    return until if until is not None and len(ends) == len(jobs) and until > datetime.now(UTC) else None


_DONE = {
    Verb.UNDO: "Undone",
    Verb.RESCHEDULE: "Moved",
    Verb.RETRY: "Tried again",
    Verb.PAUSE: "Paused",
    Verb.RESUME: "Resumed",
    Verb.CANCEL: "Canceled",
    Verb.APPROVE: "Approved",
    Verb.REPLAY: "Tried again",
    Verb.DISCARD: "Left out",
}
