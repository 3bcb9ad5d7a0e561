"""`slipway steer` acts on every delivery that a filter selects; `slipway pause` pauses publishing and lifts pauses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import DURATION, SPAN, add_options, filter_options, id_of, limit_option, read_filter
from pipeline.cli.output import Group, is_json, pick, print_fields, print_page, print_present, print_rows
from pipeline.cli.progress import Progress, is_interactive, show_progress
from pipeline.domain.hold import BREAKER, SCOPES

with lazy_imports():
    from pipeline.actions import pauses as pause_actions
    from pipeline.actions import steering
    from pipeline.actions import undo as undo_actions
    from pipeline.api.http import auth
    from pipeline.api.posts import steer as steer_schema
    from pipeline.domain import steering as steering_domain
    from pipeline.store.deliveries import pauses, platform_health
    from pipeline.store.steering import jobs
    from pipeline.store.steering import receipts as steering_receipts


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.domain.hold import LiftedScope, Scope
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
job_argument = click.argument("job_id", metavar="JOB", type=id_of("steering job", "steer"))
wait_option = click.option(
    "--wait",
    is_flag=True,
    help="Follow it until it has ended, as on a terminal; progress goes to standard error.",
)


@click.group(cls=Group)
def steer() -> None:
    """Act on every delivery that a filter selects: first the count, with --yes the job. Nothing armed is touched."""


def _steer(name: str, arguments: steering_domain.Arguments, options: dict[str, Any]) -> None:
    """Count, and with --yes start the job. Raises ClickException."""
    from dataclasses import replace

    if options["wait"] and not options["yes"]:
        raise click.UsageError("--wait follows a job: give --yes too.")
    with runtime.open_context() as context:
        with context.database.begin() as c:
            workspace = runtime.choose_workspace(c, options["workspace"])
            chosen = replace(read_filter(c, {**options, "workspace": str(workspace.id)}), workspace=None)
        caller = runtime.build_caller(workspace)
        asked = steering.Steering(verb=steering_domain.Verb(name), filter=chosen, arguments=arguments)
        if asked.verb in steering_domain.PUBLISHES:
            auth.require_plan(caller)
        found = steering.steer(context, caller, asked, confirm=options["yes"])
        if found.job is None or not _is_followed(wait=options["wait"]):
            _print_counted(found)
        elif is_json():
            _print_counted(replace(found, job=_follow_job(context, caller, found.job)))
        else:
            _print_counted(found)
            _print_job(_follow_job(context, caller, found.job))


def _is_followed(*, wait: bool) -> bool:
    return wait or (is_interactive() and not is_json())


def _follow_job(context: Context, caller: Caller, job: jobs.SteeringJob) -> jobs.SteeringJob:
    """Return the job once it has ended. Progress goes to standard error."""

    def read() -> Progress:
        nonlocal job
        with context.database.begin() as c:
            job = jobs.find_job(c, caller, job.id) or job
        is_over = job.state is not steering_domain.SteeringState.WORKING
        return Progress(
            step=job.verb,
            done=job.done + job.skipped,
            total=job.selected,
            is_over=is_over,
            states="waits for a newer worker" if job.held_for else "",
        )

    show_progress(read, hint=f"Follow it: slipway steer show {job.id} --wait")
    return job


def _add_verb(name: str, sentence: str, filters: str, *more: Callable[..., Any]) -> None:
    @steer.command(name, help=f"{sentence}\n\nExample:\n  slipway steer {name} {filters}")
    @add_options(*more)
    @filter_options
    @click.option("--yes", is_flag=True, help="Do it; without, it is only counted.")
    @wait_option
    def run(**options: Any) -> None:
        _steer(name, _read_arguments(options), options)


def _read_arguments(options: dict[str, Any]) -> steering_domain.Arguments:
    later, earlier, spread = options.get("later"), options.get("earlier"), options.get("spread")
    to_times = options.get("to_times", False)
    given = [one for one in (later, earlier, spread, to_times or None) if one is not None]
    if "later" in options and len(given) != 1:
        raise click.ClickException("Give one of --later 2h, --earlier 2h, --spread FROM..TO and --to-times.")
    start, end = spread or (None, None)
    if spread is not None and None in (start, end):
        raise click.ClickException("--spread needs both ends: now..7d.")
    shift: timedelta | None = later if later is not None else None if earlier is None else -earlier
    return steering_domain.Arguments(
        shift=shift, start=_to_seconds(start), end=_to_seconds(end), why=options.get("why"), to_times=to_times
    )


def _to_seconds(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(microsecond=0)


_add_verb("cancel", "Cancel what was not sent.", f"--import {EXAMPLE_ID} --account acme --yes")
_add_verb(
    "retry",
    "Retry what failed, and is not live.",
    "--platform tiktok --error-class Unavailable --due -1d..now --yes",
)
_add_verb(
    "reschedule",
    "Move posts to another time: all by as much, or spread evenly over a window. A post moves as a whole.",
    f"--import {EXAMPLE_ID} --later 2h --yes",
    click.option("--later", type=DURATION, help="By as much: 2h."),
    click.option("--earlier", type=DURATION, help="By as much: 2h."),
    click.option(
        "--spread", type=SPAN, metavar="FROM..TO", help="Over this window, in the order of their times."
    ),
    click.option("--to-times", is_flag=True, help="Each account to its next free posting time."),
)
_add_verb(
    "pause",
    "Hold what was not sent, until it is resumed. Due times stay.",
    "--account acme --why 'wrong campaign' --yes",
    click.option("--why", help="The reason, shown in `slipway pause list`."),
)
_add_verb("resume", "Go on with paused deliveries.", "--account acme --yes")
_add_verb(
    "approve",
    "Approve the posts that wait for it, of all that match, as they were counted. Who wrote one or changed it last "
    "does not approve it.",
    "--account acme --due now..7d --yes",
)


@steer.command()
@job_argument
@wait_option
def show(job_id: UUID, *, wait: bool) -> None:
    """Show JOB: its verb, its filter, how much is done, and the earlier jobs that it waits for.

    Example:
      slipway steer show 0199c0de-0000-7000-8000-000000000000 --wait
    """
    with _open_job(job_id) as (context, caller, job):
        _print_job(_follow_job(context, caller, job) if wait else job)


@steer.command("list")
@runtime.workspace_option
@limit_option
@click.option(
    "--after",
    type=id_of("steering job", "steer"),
    metavar="ID",
    help="The next page: what comes after this job.",
)
def list_(workspace: str | None, limit: int, after: UUID | None) -> None:
    """List jobs, newest first: what each does, how much is done, and what it waits for.

    Example:
      slipway steer list --workspace Acme
    """
    with runtime.open_transaction() as c:
        found = jobs.list_jobs(c, [runtime.choose_workspace(c, workspace).id], after=after, limit=limit)
    rows = [steer_schema.SteeringJobModel.from_job(job).model_dump(mode="json") for job in found]
    print_page(rows, limit, empty="No steering jobs.", columns=_LISTED)


_LISTED = ("id", "created_at", "verb", "state", "selected", "done", "skipped", "waits_for", "held_for")


@steer.command()
@job_argument
def stop(job_id: UUID) -> None:
    """Stop JOB after the post in progress. What it did stays; a job that has ended stays as it is.

    Example:
      slipway steer stop 0199c0de-0000-7000-8000-000000000000
    """
    with _open_job(job_id) as (context, caller, job):
        _print_job(steering.stop(context, caller, job.id))


@steer.command()
@job_argument
@wait_option
def undo(job_id: UUID, *, wait: bool) -> None:
    """Undo JOB, a cancel, reschedule, pause or resume, within ten minutes after its end. Nothing becomes due by it.

    What was sent or changed since is left as it is, and what would be due by now: the receipts say why.

    Example:
      slipway steer undo 0199c0de-0000-7000-8000-000000000000
    """
    with _open_job(job_id) as (context, caller, job):
        if job.verb is not steering_domain.Verb.RESUME:
            auth.require_plan(caller)
        made = undo_actions.undo_job(context, caller, job.id)
        _print_job(_follow_job(context, caller, made) if _is_followed(wait=wait) else made)


@steer.command()
@job_argument
@click.option("--outcome", type=click.Choice(["done", "skipped"]), help="Only of this outcome.")
@limit_option
@click.option(
    "--after", type=id_of("delivery"), metavar="ID", help="The next page: what comes after this delivery."
)
def receipts(job_id: UUID, **page: Any) -> None:
    """List what became of each delivery of JOB.

    Example:
      slipway steer receipts 0199c0de-0000-7000-8000-000000000000 --outcome skipped
    """
    with _open_job(job_id) as (context, _, job), context.database.begin() as c:
        found = steering_receipts.list_receipts(c, job.id, **page)
    rows = [steer_schema.SteeringReceipt.model_validate(one).model_dump(mode="json") for one in found]
    print_page(rows, page["limit"], empty="No such receipt.", key="delivery_id")


def _open_job(job_id: UUID) -> runtime.Opened[jobs.SteeringJob]:
    """Open the context, the operator as a caller of the job's workspace, and the job. Raises ClickException."""
    return runtime.open_job("steering job", jobs.JOBS, job_id, jobs.find_job, "steer")


def _print_counted(found: steering.Counted) -> None:
    if is_json():
        print_fields(steer_schema.SteeringAnswer.from_counted(found).model_dump(mode="json"))
        return
    count = found.count
    states = ", ".join(f"{n:,} {state}" for state, n in count.states.items())
    print_fields({"deliveries": f"{count.deliveries:,}", "posts": f"{count.posts:,}", "states": states})
    if found.job is None:
        click.echo("\nNothing was done. Repeat with --yes to do it.")
    else:
        click.echo(f"\nThe job goes on in the background: slipway steer show {found.job.id}")


def _print_job(job: jobs.SteeringJob) -> None:
    found = steer_schema.SteeringJobModel.from_job(job).model_dump(mode="json")
    if not is_json():
        for name in ("filter", "arguments"):
            found[name] = ", ".join(f"{key} {value}" for key, value in found[name].items())
        found["waits_for"] = ", ".join(found["waits_for"])
        found["error"] = (found["error"] or {}).get("message")
    print_present(found)
    if job.skipped and not is_json():
        click.echo(f"\nWhy some were skipped: slipway steer receipts {job.id} --outcome skipped")


why_option = click.option("--why", required=True, help="The reason, shown in `slipway pause list`.")


@click.group(cls=Group)
def pause() -> None:
    """Pause publishing. Deliveries already armed are completed; no post is lost, and due times stay."""


@pause.command()
@click.argument("scope", type=click.Choice(SCOPES))
@click.argument("target", required=False)
@why_option
def add(scope: Scope, target: str | None, why: str) -> None:
    """Pause everything, a platform, a workspace (name or id) or an account (id or username).

    Examples:
      slipway pause add all --why 'wrong campaign, checking'
      slipway pause add platform tiktok --why 'their API answers 500'
      slipway pause add account acme --why 'under review'
    """
    _require_target("add", scope, target)
    if not why.strip():
        raise click.ClickException("--why is empty: give the reason.")
    with runtime.open_transaction() as c:
        found = TARGETS[scope](c, target or "")
        if pause_actions.pause(c, runtime.find_actor(), scope, found, why) is None:
            raise click.ClickException("It is locked, which stays: `slipway pause list` says why.")
    print_fields({"scope": scope, "target": found, "paused": True, "why": why})


_PAUSES = "scope target name since holds locked=is_lock who why"


@pause.command("list")
def list_pauses_() -> None:
    """List pauses and open circuit breakers: scope, since when, who, why, and how many deliveries each holds.

    Example:
      slipway pause list --json
    """
    with runtime.open_transaction() as c:
        rows = [pick(p, _PAUSES) for p in pauses.list_pauses(c)] + [
            {
                "scope": BREAKER,
                **pick(b, "target=platform name=platform since=opened_at holds"),
                "locked": False,
                "who": "system",
                "why": f"{b.why}; the next probe is at {format_timestamp(b.probe_at)}",
            }
            for b in platform_health.list_open_breakers(c)
        ]
    print_rows(rows, empty="Nothing is paused.")


@pause.command()
@click.argument("scope", type=click.Choice([*SCOPES, BREAKER]))
@click.argument("target", required=False)
def lift(scope: LiftedScope, target: str | None) -> None:
    """Lift a pause or close a circuit breaker, at once. Others that hold the same deliveries stay.

    A breaker opens again if the platform's calls go on failing.

    Examples:
      slipway pause lift all
      slipway pause lift platform tiktok
      slipway pause lift breaker tiktok
    """
    _require_target("lift", scope, target)
    with runtime.open_context() as context:
        with context.database.begin() as c:
            found = TARGETS[scope](c, target or "")
        if not pause_actions.lift_and_release(context, runtime.find_actor(), scope, found):
            raise click.ClickException(
                "No pause to lift: `slipway pause list` shows what there is, and locks."
            )
    print_fields({"scope": scope, "target": found, "paused": False})


def _require_target(verb: str, scope: str, target: str | None) -> None:
    if (target is None) != (scope == "all"):
        raise click.ClickException(
            f"`{verb} all` takes no target."
            if scope == "all"
            else f"Give the target: slipway pause {verb} {scope} NAME."
        )


def _resolve_platform(_: Connection, text: str) -> str:
    return runtime.parse_platform(text).value


def _resolve_workspace(c: Connection, text: str) -> str:
    return str(runtime.find_workspace_id(c, text))


def _resolve_account(c: Connection, text: str) -> str:
    return str(runtime.require_account(c, text).id)


TARGETS: dict[str, Callable[[Any, str], str]] = {
    "all": lambda _c, _text: "",
    "platform": _resolve_platform,
    "workspace": _resolve_workspace,
    "account": _resolve_account,
    BREAKER: _resolve_platform,
}
"""Scope -> the function that resolves the command's argument to the stored target."""
