"""`slipway steer`: cancel, retry, reschedule, pause or resume every delivery that a filter selects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.durations import DURATION, SPAN
from pipeline.cli.listing import filter_options, read_filter
from pipeline.cli.output import json_option, print_fields, print_rows
from pipeline.cli.post_body import build_caller, report_refusals
from pipeline.cli.runtime import choose_workspace, open_context, open_transaction, parse_id, workspace_option

if TYPE_CHECKING:
    from pipeline.actions.steering import Counted
    from pipeline.domain.steering import Arguments
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller
    from pipeline.store.steering.jobs import SteeringJob

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
job_argument = click.argument("job_id", metavar="JOB")


@click.group()
def command() -> None:
    """Act on every delivery that a filter selects: first the count, with --yes the job. Nothing armed is touched."""


def _steer(name: str, arguments: Arguments, options: dict[str, Any]) -> None:
    """Count, and with --yes start the job. Raises ClickException."""
    from dataclasses import replace

    from pipeline.actions.steering import Steering, steer
    from pipeline.api.http.auth import require_plan
    from pipeline.domain.steering import PUBLISHES, Verb

    with report_refusals(), open_context() as context:
        with context.database.begin() as c:
            workspace = choose_workspace(c, options["workspace"])
            chosen = replace(read_filter(c, {**options, "workspace": str(workspace.id)}), workspace=None)
        caller, asked = build_caller(workspace), Steering(verb=Verb(name), filter=chosen, arguments=arguments)
        if asked.verb in PUBLISHES:
            require_plan(caller)
        found = steer(context, caller, asked, confirm=options["yes"])
    _print_counted(found, as_json=options["as_json"])


def _add_verb(name: str, sentence: str, filters: str, *more: Callable[..., Any]) -> None:
    def run(**options: Any) -> None:
        _steer(name, _read_arguments(options), options)

    for option in (
        json_option,
        click.option("--yes", is_flag=True, help="Do it; without, it is only counted."),
    ):
        run = option(run)
    run = filter_options(run)
    for option in reversed(more):
        run = option(run)
    command.command(name, help=sentence, epilog=f"{EXAMPLE}slipway steer {name} {filters}")(run)


def _read_arguments(options: dict[str, Any]) -> Arguments:
    from pipeline.domain.steering import Arguments

    later, earlier, spread = options.get("later"), options.get("earlier"), options.get("spread")
    given = [one for one in (later, earlier, spread) if one is not None]
    if "later" in options and len(given) != 1:
        raise click.ClickException("Give one of --later 2h, --earlier 2h and --spread FROM..TO.")
    start, end = spread or (None, None)
    if spread is not None and None in (start, end):
        raise click.ClickException("--spread needs both ends: now..7d.")
    shift: timedelta | None = later if later is not None else None if earlier is None else -earlier
    return Arguments(shift=shift, start=_to_seconds(start), end=_to_seconds(end), why=options.get("why"))


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
)
_add_verb(
    "pause",
    "Hold what was not sent, until it is resumed. Due times stay.",
    "--account acme --why 'wrong campaign' --yes",
    click.option("--why", help="The reason, shown in `slipway pause list`."),
)
_add_verb("resume", "Go on with paused deliveries.", "--account acme --yes")


@command.command(epilog=EXAMPLE + f"slipway steer show {EXAMPLE_ID}")
@job_argument
@json_option
def show(job_id: str, *, as_json: bool) -> None:
    """Show JOB: its verb, its filter, how much is done, and the earlier jobs that it waits for."""
    with _open_job(job_id) as (_, _, job):
        _print_job(job, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway steer list --workspace Acme")
@workspace_option
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="ID", help="The next page: what comes after this job.")
@json_option
def list_(workspace: str | None, limit: int, after: str | None, *, as_json: bool) -> None:
    """List jobs, newest first: what each does, how much is done, and what it waits for."""
    from pipeline.api.posts.steer_schema import SteeringJobModel
    from pipeline.store.steering.jobs import list_jobs

    last = parse_id(after, "steering job") if after else None
    with open_transaction() as c:
        found = list_jobs(c, [choose_workspace(c, workspace).id], after=last, limit=limit)
    rows = [SteeringJobModel.from_job(job).model_dump(mode="json") for job in found]
    shown = rows if as_json else [{name: row[name] for name in _LISTED} for row in rows]
    print_rows(shown, as_json=as_json, empty="No steering jobs.")
    if len(rows) == limit:
        click.echo(f"There may be more: repeat with --after {rows[-1]['id']}", err=True)


_LISTED = ("id", "created_at", "verb", "state", "selected", "done", "skipped", "waits_for")


@command.command(epilog=EXAMPLE + f"slipway steer stop {EXAMPLE_ID}")
@job_argument
@json_option
def stop(job_id: str, *, as_json: bool) -> None:
    """Stop JOB after the post in progress. What it did stays; a job that has ended stays as it is."""
    from pipeline.actions import steering

    with report_refusals(), _open_job(job_id) as (context, caller, job):
        _print_job(steering.stop(context, caller, job.id), as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway steer receipts {EXAMPLE_ID} --outcome skipped")
@job_argument
@click.option("--outcome", type=click.Choice(["done", "skipped"]), help="Only of this outcome.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="ID", help="The next page: what comes after this delivery.")
@json_option
def receipts(job_id: str, outcome: str | None, limit: int, after: str | None, *, as_json: bool) -> None:
    """List what became of each delivery of JOB."""
    from pipeline.api.posts.steer_schema import SteeringReceipt
    from pipeline.store.steering.receipts import list_receipts

    last = parse_id(after, "delivery") if after else None
    with _open_job(job_id) as (context, _, job), context.database.begin() as c:
        found = list_receipts(c, job.id, outcome=outcome, after=last, limit=limit)
    rows = [SteeringReceipt.from_receipt(one).model_dump(mode="json") for one in found]
    print_rows(rows, as_json=as_json, empty="No such receipt.")
    if len(rows) == limit:
        click.echo(f"There may be more: repeat with --after {rows[-1]['delivery_id']}", err=True)


@contextmanager
def _open_job(job_id: str) -> Iterator[tuple[Context, Caller, SteeringJob]]:
    """Open the context, the operator as a caller of the job's workspace, and the job. Raises ClickException."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.jobs import find_workspace_of_job
    from pipeline.store.steering.jobs import JOBS, find_job

    identity = parse_id(job_id, "steering job")
    with open_context() as context:
        with context.database.begin() as c:
            workspace = find_workspace_of_job(c, JOBS, identity)
            caller = None if workspace is None else build_caller(find_workspace(c, str(workspace)))
            job = None if caller is None else find_job(c, caller, identity)
        if caller is None or job is None:
            raise click.ClickException(
                f"There is no steering job {identity}: `slipway steer list` shows them."
            )
        yield context, caller, job


def _print_counted(found: Counted, *, as_json: bool) -> None:
    from pipeline.api.posts.steer_schema import SteeringAnswer

    if as_json:
        print_fields(SteeringAnswer.from_counted(found).model_dump(mode="json"), as_json=True)
        return
    count = found.count
    states = ", ".join(f"{n:,} {state}" for state, n in count.states.items())
    print_fields(
        {"deliveries": f"{count.deliveries:,}", "posts": f"{count.posts:,}", "states": states}, as_json=False
    )
    if found.job is None:
        click.echo("\nNothing was done. Repeat with --yes to do it.")
    else:
        click.echo(f"\nThe job goes on in the background: slipway steer show {found.job.id}")


def _print_job(job: SteeringJob, *, as_json: bool) -> None:
    from pipeline.api.posts.steer_schema import SteeringJobModel

    found = SteeringJobModel.from_job(job).model_dump(mode="json")
    if not as_json:
        for name in ("filter", "arguments"):
            found[name] = ", ".join(f"{key} {value}" for key, value in found[name].items())
        found["waits_for"] = ", ".join(found["waits_for"])
        found["error"] = (found["error"] or {}).get("message")
        found = {name: value for name, value in found.items() if value not in (None, "")}
    print_fields(found, as_json=as_json)
    if job.skipped and not as_json:
        click.echo(f"\nWhy some were skipped: slipway steer receipts {job.id} --outcome skipped")
