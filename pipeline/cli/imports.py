"""`slipway import`: files of many posts; plan one, apply its plan, see its rows, stop it, roll it back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import import_source, lazy_imports, runtime
from pipeline.cli.forecast import csv_option, print_accounts
from pipeline.cli.options import FUTURE, id_of, limit_option
from pipeline.cli.output import Group, is_json, pick, print_fields, print_present, print_rows
from pipeline.cli.progress import follow_import

with lazy_imports():
    from config import settings as config
    from pipeline.api.http import auth
    from pipeline.api.imports import downloads as row_writers
    from pipeline.api.imports import models
    from pipeline.api.posts import schema
    from pipeline.domain import bulk_import
    from pipeline.imports import columns as file_columns
    from pipeline.imports import control, presets, upload
    from pipeline.imports import export as post_export
    from pipeline.imports import forecast as forecasts
    from pipeline.store.imports import imports
    from pipeline.store.imports import rows as row_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
import_argument = click.argument("import_id", metavar="IMPORT", type=id_of("import"))
wait_option = click.option("--no-wait", is_flag=True, help="Return at once; workers go on.")


@click.group(cls=Group)
def command() -> None:
    """Imports: files of many posts, as NDJSON, CSV, XLSX or ODS."""


@command.command()
@runtime.workspace_option
@click.option("--rows", type=click.IntRange(1, 1_000_000), default=1, show_default=True)
@click.option(
    "--accounts",
    "names",
    multiple=True,
    help="Id or username, or `all`; may be repeated. Default: a placeholder.",
)
@click.option(
    "--format", "form", type=click.Choice(["csv", "xlsx", "ndjson"]), default="csv", show_default=True
)
@click.option("--start", type=FUTURE, default="1d", show_default=True, help="When the first posts are due.")
def template(workspace: str | None, rows: int, names: tuple[str, ...], form: str, start: datetime) -> None:
    """Write a file with all columns and example rows to standard output. The accounts take turns.

    Example:
      slipway import template --rows 500 --accounts all > month.csv
    """
    sandbox = config.settings().sandbox.media_url
    media = f"{sandbox}/media/sample.mp4" if sandbox else post_export.EXAMPLE_URL
    accounts = runtime.list_account_names(workspace, names) if names else []
    post_export.write_template(
        sys.stdout.buffer,
        file_columns.Format.NDJSON if is_json() else file_columns.Format(form),
        file_columns.build_columns(schema.PostBody),
        rows=rows,
        accounts=accounts,
        start=start,
        media_url=media,
    )


@command.command()
@click.argument("file", type=click.File("rb"))
@runtime.workspace_option
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "csv", "xlsx", "ods"]), help="Default: by the file."
)
@click.option("--strict", is_flag=True, help="Apply nothing unless every row is good.")
@click.option("--update", is_flag=True, help="Edit the posts of rows whose external_id has another body.")
@click.option("--time-zone", help="Of local times in rows that name none. Default: the workspace's.")
@click.option("--encoding", metavar="NAME", help="Of the text: cp1250. Default: found out.")
@click.option("--dates", type=click.Choice(["dmy", "mdy", "ymd"]), help="Their order. Default: found out.")
@click.option("--blank", type=click.Choice(["auto"]), help="The time of rows without one: the next free.")
@click.option("--preset", metavar="NAME", help="What the header calls the columns: `slipway import presets`.")
@click.option("--map", metavar="PAIRS", help="More of that: 'Text=caption,Date=local_time,Notes='.")
@click.option("--save-as", metavar="NAME", help="Keep preset and map by this name, for the next file.")
@click.option("--accounts", metavar="NAMES", help="Of rows that name none: 'tiktok:acme,instagram:acme'.")
@click.option(
    "--media",
    type=click.Path(exists=True, path_type=Path),
    help="A folder or a ZIP, where media are found that rows name by file.",
)
@click.option("--from", "product", type=click.Choice(["postiz", "genviral"]), help="Whose list FILE is.")
@click.option("--account", "theirs", multiple=True, metavar="THEIRS=OURS", help="With --from. Or by names.")
@click.option("--without", multiple=True, metavar="FIELD", help="With --from: leave it out, not refuse it.")
@wait_option
def plan(
    file: BinaryIO,
    workspace: str | None,
    form: str | None,
    media: Path | None,
    *,
    no_wait: bool,
    **given: Any,
) -> None:
    """Upload FILE (- is standard input) and show what applying it would do. No post is made.

    With --from, FILE is the saved answer of that product's list of posts, or several: one on a line, or in an array.
    Posts to come and drafts are rows. Accounts are those of equal names, or as --account says, by an id or name there.

    Examples:
      slipway import plan month.csv --workspace Acme --time-zone Europe/Berlin
      zcat month.ndjson.gz | slipway import plan - --format ndjson
      slipway import plan publer.csv --preset publer --accounts tiktok:acme,instagram:acme
      slipway import plan month.csv --media pictures/
      slipway import plan posts.json --from postiz --account 'Acme Inc.=linkedin:acme'
    """
    name = None if file.name == "<stdin>" else str(file.name).rpartition("/")[2]
    saved, options = import_source.read_options(name, form, given)
    chosen = file_columns.Format(form or "ndjson") if form or saved else None
    with runtime.open_context() as context, TemporaryDirectory() as folder:
        with context.database.begin() as c:
            caller = runtime.build_caller(runtime.choose_workspace(c, workspace))
        auth.require_plan(caller)
        if saved is not None:
            rows_ = Path(folder, "rows")
            notes = import_source.convert_list(context, caller, saved, file, rows_)
            file, options = rows_.open("rb"), replace(options, notes=notes)
        if media is not None:
            copy = Path(folder, "file")
            with copy.open("wb") as target:
                copyfileobj(file, target)
            options = import_source.send_media(context, caller, media, copy, chosen, options)
            file = copy.open("rb")
        columns = file_columns.build_columns(schema.PostBody)
        pieces = iter(lambda: file.read(import_source.PIECE), b"")
        job = upload.store_file(context, caller, options, columns, pieces, chosen)
        _show(context, caller, job, wait=not no_wait)


@command.command("presets")
@runtime.workspace_option
def presets_(workspace: str | None) -> None:
    """List what the headers of files call our columns: by products, and as the workspace keeps it.

    Example:
      slipway import presets --json
    """
    with runtime.open_transaction() as c:
        found = presets.list_presets(c, runtime.choose_workspace(c, workspace).id)
    rows = [pick(preset, "name source columns") for preset in found]
    for row in () if is_json() else rows:
        row["columns"] = ", ".join(f"{cell}={name}" for cell, name in row["columns"].items() if name)
    print_rows(rows, empty="No presets.")


@command.command()
@import_argument
@click.option(
    "--plan",
    "plan_hash",
    metavar="HASH",
    required=True,
    help="The plan, by its hash: `slipway import plan` printed it.",
)
@wait_option
def apply(import_id: UUID, plan_hash: str, *, no_wait: bool) -> None:
    """Make the posts of a plan. If it would be another plan by now, nothing is done and the changes are listed.

    Example:
      slipway import apply 0199c0de-0000-7000-8000-000000000000 --plan $HASH
    """
    with _open_import(import_id) as (context, caller, job):
        auth.require_plan(caller)
        moved = control.apply(context, caller, job.id, plan_hash)
        _say(moved)
        _show(context, caller, moved, wait=not no_wait)


@command.command("list")
@runtime.workspace_option
@limit_option
def list_(workspace: str | None, limit: int) -> None:
    """List imports, newest first.

    Example:
      slipway import list --workspace Acme
    """
    with runtime.open_transaction() as c:
        caller = runtime.build_caller(runtime.choose_workspace(c, workspace))
        found = imports.list_imports(c, caller, limit=limit)
    rows = [pick(job, "id name state rows accepted duplicate rejected done") for job in found]
    print_rows(rows, empty="No imports.")


@command.command()
@import_argument
@click.option("--wait", is_flag=True, help="Follow it until it rests.")
def show(import_id: UUID, *, wait: bool) -> None:
    """Show IMPORT: its state, its counts, its plan with the hash, and what was done.

    Example:
      slipway import show 0199c0de-0000-7000-8000-000000000000 --wait
    """
    with _open_import(import_id) as (context, caller, job):
        print_import(follow_import(context, caller, job) if wait else job)


@command.command()
@import_argument
@csv_option
def forecast(import_id: UUID, *, as_csv: bool) -> None:
    """Show what the plan of IMPORT adds to each account and day, what is on time, and conflicts with quotas and grants.

    Examples:
      slipway import forecast 0199c0de-0000-7000-8000-000000000000
      slipway import forecast 0199c0de-0000-7000-8000-000000000000 --csv > forecast.csv
    """
    with _open_import(import_id) as (context, _, job):
        found = _forecast(context, job)
        if is_json():
            print_fields(found)
            return
        print_accounts(found["accounts"], as_csv=as_csv, rest=f"slipway import forecast {job.id} --csv")
        if as_csv:
            return
        for rows, empty in ((found["days"], ""), (found["conflicts"], "No conflicts.")):
            click.echo()
            print_rows([{n: v for n, v in row.items() if n != "account_id"} for row in rows], empty=empty)
        if found["more_days"]:
            click.echo("There are more days.")


def _forecast(context: Context, job: imports.Import) -> dict[str, Any]:
    with context.database.begin() as c:
        found = models.ImportForecast.from_forecast(forecasts.forecast(context, c, job))
    return found.model_dump(mode="json")


@command.command()
@import_argument
@click.option(
    "--verdict", type=click.Choice(["accepted", "duplicate", "rejected"]), help="Only rows of this verdict."
)
def rows(import_id: UUID, verdict: str | None) -> None:
    """Write the rows of IMPORT: a table with its own columns and the error; as JSON, a receipt on each line.

    Example:
      slipway import rows 0199c0de-0000-7000-8000-000000000000 --verdict rejected > to-correct.csv
    """
    with _open_import(import_id) as (context, _, job):
        write = (
            row_writers.write_receipts
            if is_json() or job.format == "ndjson"
            else row_writers.build_table_writer()
        )
        chosen = None if verdict is None else bulk_import.RowVerdict(verdict)
        read = partial(row_store.list_rows, identity=job.id, verdict=chosen)
        pages = runtime.read_pages(
            context.database.begin, read, row_writers.PAGE, lambda row: row.number, after=0
        )
        for page in pages:
            sys.stdout.buffer.write(write(page))


def _add_action(name: str, sentence: str, *, waits: bool) -> None:
    @command.command(name, help=f"{sentence}\n\nExample:\n  slipway import {name} {EXAMPLE_ID}")
    @import_argument
    def act(import_id: UUID) -> None:
        action: Callable[..., imports.Import] = getattr(control, name)
        with _open_import(import_id) as (context, caller, job):
            moved = action(context, caller, job.id)
            _say(moved)
            _show(context, caller, moved, wait=waits)


_add_action("pause", "Stop IMPORT after the chunk of rows in progress.", waits=False)
_add_action("resume", "Go on with a paused IMPORT.", waits=True)
_add_action("cancel", "End IMPORT. The posts that it made stay, until they are rolled back.", waits=False)
_add_action(
    "rollback", "Cancel the posts that IMPORT made, where nothing was sent or edited since.", waits=True
)
_add_action(
    "delete",
    "Delete the file and the rows of IMPORT. Its counts, and the posts that it made, stay.",
    waits=False,
)


# --- what the commands share -----------------------------------------------------------------------------------------


def _open_import(import_id: UUID) -> runtime.Opened[imports.Import]:
    """Open the context, the operator as a caller of the import's workspace, and the import. Raises ClickException."""

    def find(c: Connection, caller: Caller, identity: UUID) -> imports.Import:
        if (job := imports.find_import(c, caller, identity)) is None:
            raise click.ClickException(f"The file of import {identity} is still being uploaded.")
        return job

    return runtime.open_job("import", imports.JOBS, import_id, find)


def _say(job: imports.Import) -> None:
    """Report on standard error what an action left the import as: one that was repeated names what was done before."""
    if not is_json():
        click.echo(f"The import is {control.describe(job)}.", err=True)


def _show(context: Context, caller: Caller, job: imports.Import, *, wait: bool) -> None:
    """Print the import, after its work if ``wait``. Exit 1 if it failed."""
    rested = follow_import(context, caller, job) if wait else job
    has_posts = rested.state is bulk_import.ImportState.PLANNED and rested.accepted and not is_json()
    print_import(rested, _forecast(context, rested)["accounts"] if has_posts else ())
    if rested.state is bulk_import.ImportState.FAILED:
        raise click.exceptions.Exit(1)


def print_import(job: imports.Import, accounts: Sequence[dict[str, Any]] = ()) -> None:
    """Print an import: as the API does, or a line for each fact, the forecast of *accounts*, and the next command."""
    found = models.ImportJob.from_import(job).model_dump(mode="json")
    if is_json():
        print_fields(found)
        return
    plan_, counts, result = found["plan"] or {}, found["counts"], found["result"]
    error = found["error"] or {}
    facts: dict[str, Any] = {
        "import": found["id"],
        "file": found["name"],
        "state": found["state"],
        "error": error.get("message"),
        "held": f"until {held['until']}: {held['message']}" if (held := found.get("held")) else None,
        "rows": f"{counts['rows']:,}",
        "accepted": f"{counts['accepted']:,}",
        "duplicate": f"{counts['duplicate']:,}",
        "rejected": f"{counts['rejected']:,}",
        "done": ", ".join(f"{n:,} {word}" for word, n in result.items()),
        "time zone": found["time_zone"],
        "note": "\n".join(found["notes"]),
        "plan": ", ".join(f"{n:,} {word}" for word, n in plan_.items() if word != "hash"),
        "plan hash": plan_.get("hash"),
    }
    print_present(facts)
    if accounts:
        click.echo()
        print_accounts(accounts, as_csv=False, rest=f"slipway import forecast {job.id} --csv")
    if hint := _suggest(found):
        click.echo(f"\n{hint}")


def _suggest(found: dict[str, Any]) -> str:
    """Return the command that comes next, if there is one."""
    identity: UUID = found["id"]
    if found["state"] == "planned":
        rejected = f"Rejected rows:  slipway import rows {identity} --verdict rejected\n"
        apply_ = f"Make the posts: slipway import apply {identity} --plan {found['plan']['hash']}"
        counts = found["counts"]
        return (rejected if counts["rejected"] else "") + (apply_ if counts["accepted"] else "")
    if found["state"] == "applied":
        return f"Take it back:   slipway import rollback {identity}"
    return ""
