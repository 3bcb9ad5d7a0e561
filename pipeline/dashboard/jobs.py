"""Pages of steering jobs: the jobs of the visitor's workspaces, and one job with its progress and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions.steering import stop
from pipeline.dashboard.actions import ACTIONS
from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.steering import WORKING
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import read_caller
from pipeline.store.steering.jobs import SteeringJob, dump_filter, list_jobs
from pipeline.store.steering.receipts import Receipt, list_receipts

PATH = "/dashboard/jobs"
SHOWN = 50
OUTCOMES = ("done", "skipped")


@page(Role.VIEWER)
async def show_jobs(request: Request, visitor: Visitor) -> Response:
    """List the newest jobs, or the ones that the address names."""
    named = request.query_params.getlist("id")
    ids = [_parse_id(text) for text in named[:SHOWN]] if named else None
    found = await read(request, _list, visitor.workspaces(Role.VIEWER), ids)
    return render(
        request,
        visitor,
        "jobs.html",
        jobs=found,
        labels=ACTIONS,
        is_working=any(job.state in WORKING for job in found),
        here=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
    )


@page(Role.VIEWER)
async def show_job(request: Request, visitor: Visitor) -> Response:
    """Show one job: what it does, how much is done, and what became of each delivery."""
    identity = _parse_id(request.path_params["job_id"])
    after, outcome = request.query_params.get("after"), request.query_params.get("outcome") or None
    if outcome not in (None, *OUTCOMES):
        raise HTTPException(400, "The outcome is done or skipped.")
    within = visitor.workspaces(Role.VIEWER)
    found = await read(request, _read, within, identity, outcome, _parse_id(after) if after else None)
    if found is None:
        raise HTTPException(404)
    job, receipts = found
    return render(
        request,
        visitor,
        "job.html",
        job=job,
        label=ACTIONS[job.verb].label,
        chosen=dump_filter(job.filter),
        arguments=job.arguments.to_dict(),
        receipts=receipts[:SHOWN],
        following=receipts[SHOWN - 1].delivery_id if len(receipts) > SHOWN else None,
        outcome=outcome,
        is_working=job.state in WORKING,
        may_stop=job.state in WORKING and visitor.roles[job.workspace_id] >= ACTIONS[job.verb].role,
        here=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        path_of_page=f"{PATH}/{job.id}",
    )


@page(Role.AUTHOR)
async def stop_job(request: Request, visitor: Visitor) -> Response:
    """Stop a job, and show it."""
    identity = _parse_id(request.path_params["job_id"])
    found = await read(request, _list, visitor.workspaces(Role.VIEWER), [identity])
    if not found:
        raise HTTPException(404)
    visitor.require(found[0].workspace_id, ACTIONS[found[0].verb].role)
    await act(request, _stop, visitor.actor, found[0])
    return RedirectResponse(f"{PATH}/{identity}", 303)


def _stop(context: Context, actor: Actor, job: SteeringJob) -> None:
    with context.database.begin() as c:
        caller = read_caller(c, job.workspace_id, None)
    if caller is None:
        raise HTTPException(404)
    stop(context, replace(caller, actor=actor), job.id)


def _list(c: Connection, within: Sequence[UUID], ids: Sequence[UUID] | None) -> Sequence[SteeringJob]:
    return list_jobs(c, within, ids=ids, limit=SHOWN)


def _read(
    c: Connection, within: Sequence[UUID], identity: UUID, outcome: str | None, after: UUID | None
) -> tuple[SteeringJob, Sequence[Receipt]] | None:
    found = list_jobs(c, within, ids=[identity], limit=1)
    if not found:
        return None
    return found[0], list_receipts(c, identity, outcome=outcome, after=after, limit=SHOWN + 1)


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(404) from None


ROUTES = (
    Route("/jobs", show_jobs),
    Route("/jobs/{job_id}", show_job),
    Route("/jobs/{job_id}/stop", stop_job, methods=["POST"]),
)
