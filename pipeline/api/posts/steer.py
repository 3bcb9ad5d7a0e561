"""POST /posts/steer: act on every delivery that a filter selects. First a count, then a job, with receipts.

Cancel, pause and a stop need a key but no active plan; the verbs that send something need a plan that publishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends
from pydantic import AfterValidator, Field, WithJsonSchema

from adapters.contract import Platform
from pipeline.actions.steering import Counted, Steering, find_started, steer, stop
from pipeline.actions.undo import undo_job
from pipeline.api.http.auth import require_plan
from pipeline.api.http.dependencies import Claim, Reader, Writer, path_id, replayed, require_kept
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.http.response_models import PUBLIC_STATES, ResponseModel, Timestamp, one_of
from pipeline.api.http.validation import Body, Query
from pipeline.api.imports.models import DEFAULT_LIMIT, MAX_LIMIT
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import PLAN_ERRORS, Routes
from pipeline.api.posts.field_types import DateTime, EntityId, check_one_of
from pipeline.api.posts.pagination import STORED, cut_page, to_ledger
from pipeline.domain.delivery import to_public
from pipeline.domain.hold import Hold
from pipeline.domain.steering import OF_FILTERS, OF_PARTNERS, PUBLISHES, Arguments, SteeringState, Verb
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.replay import Replayed
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering import jobs as store
from pipeline.store.steering.jobs import SteeringJob, dump_filter
from pipeline.store.steering.receipts import list_receipts

MAX_SHIFT = int(timedelta(days=366).total_seconds())
OUTCOMES = ("done", "skipped")


# the spelling before 1.17.0, `cancelled`, is still taken
_States = Annotated[
    str,
    AfterValidator(to_public),
    check_one_of(PUBLIC_STATES),
    AfterValidator(to_ledger),
    one_of(PUBLIC_STATES),
]
_Platforms = Annotated[str, check_one_of([*Platform]), one_of([*Platform])]
_Verbs = Annotated[str, check_one_of(OF_FILTERS), one_of(OF_FILTERS)]
_Cursor = Annotated[UUID, WithJsonSchema({"type": "string"})]
_Outcomes = Annotated[str, check_one_of(OUTCOMES), one_of(OUTCOMES)]


class SteeringFilter(Body):
    """The deliveries that meet every condition. At least one; the verb leaves out what it cannot act on."""

    import_id: EntityId | None = Field(None, description="Of posts that this import created.")
    account_id: EntityId | None = None
    platform: _Platforms | None = None
    state: _States | None = Field(None, description="Of the delivery.")
    due_from: DateTime | None = Field(None, description="Due at this time or later.")
    due_to: DateTime | None = Field(None, description="Due before this time.")
    error_class: str | None = Field(
        None, min_length=1, max_length=100, description="Of the last error: Rejected, Unavailable."
    )


class SteeringWindow(Body):
    """A span of time over which the posts are spread evenly, in the order of their present times."""

    start: DateTime
    end: DateTime


class SteerBody(Body):
    """An action on every delivery of a filter. Without confirm and token it is only counted."""

    nested = {"filter": SteeringFilter, "window": SteeringWindow}  # noqa: RUF012
    verb: _Verbs
    filter: SteeringFilter
    shift_seconds: int | None = Field(
        None, ge=-MAX_SHIFT, le=MAX_SHIFT, description="Of reschedule: later, or earlier if negative."
    )
    window: SteeringWindow | None = Field(None, description="Of reschedule, instead of shift_seconds.")
    to_times: bool | None = Field(
        None, description="Of reschedule, instead of both: each account's next free posting time."
    )
    why: str | None = Field(
        None, min_length=1, max_length=500, description="Of pause: shown with what it holds."
    )
    token: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Of a count, for an hour: start the job on the deliveries that were counted, less what "
        "has changed since, and on no others. Sent again, it returns the same job.",
    )
    confirm: bool | None = Field(None, description="true: start the job, whatever the count is.")

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse arguments of another verb, and spans that end before they begin."""
        is_reschedule = self.verb == Verb.RESCHEDULE
        times = (self.shift_seconds, self.window, self.to_times or None)
        if is_reschedule and (len(times) - times.count(None) != 1 or self.shift_seconds == 0):
            yield build_issue(
                ("shift_seconds",),
                "reschedule takes one of shift_seconds, which is not 0, window and to_times.",
                "missing",
            )
        if not is_reschedule and times.count(None) != len(times):
            message = "shift_seconds, window and to_times are of reschedule only."
            yield build_issue(("verb",), message, "value_error")
        if self.why is not None and self.verb != Verb.PAUSE:
            yield build_issue(("why",), "why is of pause only.", "value_error")
        if self.window is not None and self.window.start >= self.window.end:
            yield build_issue(("window", "end"), "It must be later than start.", "value_error")
        chosen = self.filter
        if chosen.due_from is not None and chosen.due_to is not None and chosen.due_from >= chosen.due_to:
            yield build_issue(("filter", "due_to"), "It must be later than due_from.", "value_error")


def to_steering(said: SteerBody) -> Steering:
    """Return what the body asks for."""
    fields = said.filter.model_dump()
    window, shift = said.window, said.shift_seconds
    return Steering(
        verb=Verb(said.verb),
        filter=ListFilter(**{STORED.get(name, name): value for name, value in fields.items()}),
        arguments=Arguments(
            shift=None if shift is None else timedelta(seconds=shift),
            start=window.start if window else None,
            end=window.end if window else None,
            why=said.why,
            to_times=said.to_times or False,
        ),
    )


_SHOWN = {stored: name for name, stored in STORED.items()}


class ReceiptQuery(Query):
    """A page of receipts."""

    outcome: _Outcomes | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: _Cursor | None = Field(None, description="next_cursor of the previous page.")


class JobsQuery(Query):
    """A page of jobs."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: _Cursor | None = Field(None, description="next_cursor of the previous page.")


class SteeringCount(ResponseModel):
    """The deliveries that the filter selects now, for this verb."""

    deliveries: int
    posts: int
    states: dict[str, int] = Field(description="Deliveries by state; those being sent will be skipped.")


class SteeringError(ResponseModel):
    """Why the job failed."""

    code: str
    message: str


class SteeringJobModel(ResponseModel):
    """A job. done + skipped = selected, once its state is done. Jobs of the same deliveries run in their order."""

    id: UUID
    verb: Annotated[str, one_of(OF_PARTNERS)]
    arguments: dict[str, Any] = Field(description="Of undo: undoes, the other job, and undone, its verb.")
    filter: dict[str, Any] = Field(description="As the job keeps it, and applies it to every delivery again.")
    state: Annotated[str, one_of([*SteeringState])]
    counted: int = Field(description="Deliveries when it was confirmed.")
    selected: int = Field(description="Deliveries that have a receipt.")
    done: int
    skipped: int = Field(description="Left as they are; their receipts say why.")
    error: SteeringError | None
    created_at: Timestamp
    ended_at: Timestamp | None = Field(description="For ten minutes after it the job can be undone.")
    waits_for: list[UUID] = Field(
        description="Earlier jobs of the same deliveries that have not ended: it goes on after them. Cancel and pause "
        "wait for none; earlier jobs skip what these select."
    )
    held_for: Annotated[str, one_of([Hold.NEWER_WORKER])] | None = Field(
        description="newer_worker: it goes on once a worker of the version that made it runs; an upgrade is under way."
    )

    @classmethod
    def from_job(cls, job: SteeringJob) -> Self:
        """Return the job as the API shows it."""
        chosen = {_SHOWN.get(name, name): value for name, value in dump_filter(job.filter).items()}
        if "state" in chosen:
            chosen["state"] = to_public(chosen["state"])
        return cls.from_rows(job, filter=chosen, arguments=job.arguments.to_dict())


class SteeringJobs(ResponseModel):
    """A page of jobs."""

    jobs: list[SteeringJobModel]
    next_cursor: UUID | None


class SteeringAnswer(ResponseModel):
    """The count with its token, and the job if it was started."""

    count: SteeringCount
    token: str = Field(description="Confirms this count.")
    job: SteeringJobModel | None

    @classmethod
    def from_counted(cls, found: Counted) -> Self:
        """Return the answer as the API shows it."""
        states = {to_public(state): n for state, n in found.count.states.items()}
        count = SteeringCount.from_rows(found.count, states=states)
        job = None if found.job is None else SteeringJobModel.from_job(found.job)
        return cls(count=count, token=found.token, job=job)


class SteeringReceipt(ResponseModel):
    """The result for one delivery."""

    delivery_id: UUID
    post_id: UUID
    outcome: Annotated[str, one_of(OUTCOMES)] | None = Field(description="null: it has not had its turn.")
    why: str | None = Field(description="Of one that was skipped.")


class SteeringReceipts(ResponseModel):
    """A page of receipts."""

    receipts: list[SteeringReceipt]
    next_cursor: UUID | None


routes = Routes(tag=POSTS, path="/posts/steer")


async def _find(call: Reader, job_id: Annotated[UUID, path_id("job_id", "steering job")]) -> SteeringJob:
    found = await call.read(store.find_job, call.caller, job_id)
    if found is None or found.verb not in OF_PARTNERS:
        raise refuse_unknown("steering job")
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
async def steer_posts(call: Writer, body: SteerBody, key: Claim) -> SuccessResponse[SteeringAnswer]:
    """Count what a filter selects; with the count's token, or confirm, start a job that acts on it."""
    if body.verb in PUBLISHES:
        require_plan(call.caller)
    asked, confirm = to_steering(body), bool(body.confirm)
    try:
        found = await call.act(steer, asked, token=body.token, confirm=confirm, key=key)
    except Replayed as earlier:
        find = partial(find_started, call.app_state.context, call.caller, earlier.resource)
        started = require_kept(await call.app_state.read_bulkhead.run(find, call.caller.key_id))
        return replayed("Steering job was started before", SteeringAnswer.from_counted(started))
    message = "Deliveries counted" if found.job is None else "Steering job started"
    return success(message, SteeringAnswer.from_counted(found))


@routes.add("GET", "", "A page of jobs.")
async def list_steering_jobs(call: Reader, query: JobsQuery) -> SuccessResponse[SteeringJobs]:
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
    jobs = [*map(SteeringJobModel.from_job, shown)]
    return success("Steering jobs retrieved", SteeringJobs(jobs=jobs, next_cursor=cursor))


@routes.add("GET", "/{job_id}", "The job.")
async def get_steering_job(job: FoundJob) -> SuccessResponse[SteeringJobModel]:
    """Return a steering job."""
    return success("Steering job retrieved", SteeringJobModel.from_job(job))


@routes.add("POST", "/{job_id}/stop", "The job as it is now.")
async def stop_steering_job(call: Writer, job: FoundJob) -> SuccessResponse[SteeringJobModel]:
    """Stop a steering job. What it did stays, and the rest is left as it is; a job that has ended does not change."""
    stopped = await call.act(stop, job.id)
    return success(f"Steering job is {stopped.state}", SteeringJobModel.from_job(stopped))


@routes.add("POST", "/{job_id}/undo", "The job that undoes it.", *PLAN_ERRORS, "cannot_undo")
async def undo_steering_job(call: Writer, job: FoundJob) -> SuccessResponse[SteeringJobModel]:
    """Undo a cancel, reschedule, pause or resume for ten minutes after it ended, by a job with receipts of its own.

    Skipped is a delivery whose earlier time has passed, which would be due, and one that was sent or changed since, or
    of a post whose external_id, row of an import or body another post has taken. Sent again, it returns the same job.
    """
    if job.verb is not Verb.RESUME:
        require_plan(call.caller)
    made = await call.act(undo_job, job.id)
    return success("Steering job is undone by another", SteeringJobModel.from_job(made))


@routes.add("GET", "/{job_id}/receipts", "A page of receipts.")
async def list_steering_receipts(
    call: Reader, job: FoundJob, query: ReceiptQuery
) -> SuccessResponse[SteeringReceipts]:
    """List what became of each delivery of a steering job."""
    found = await call.read(
        list_receipts, job.id, outcome=query.outcome, after=query.cursor, limit=query.limit + 1
    )
    shown, cursor = cut_page(found, query.limit, lambda last: last.delivery_id)
    receipts = [*map(SteeringReceipt.model_validate, shown)]
    return success("Receipts retrieved", SteeringReceipts(receipts=receipts, next_cursor=cursor))
