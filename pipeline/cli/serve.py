"""`slipway up|api|worker|beat|flower|migrate|sandbox`: the processes of an installation, and control of the sandbox."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from pipeline.cli import lazy_imports
from pipeline.cli.output import Command, Group, answer, is_json, print_fields, print_rows
from pipeline.cli.runtime import call_sandbox, connect

with lazy_imports():
    from config import logging as logging_
    from config import settings as config
    from pipeline import wiring
    from pipeline.actions import hosts
    from pipeline.broker import queue_liveness
    from pipeline.broker import queues as queue_table
    from pipeline.embedded import data_folder, summary, supervisor
    from pipeline.embedded import sandbox as sandbox_process
    from pipeline.limits import rate_buckets
    from pipeline.store import database as db
    from pipeline.store import migrate as migrations
    from pipeline.store import schema_version


VAULT = ("SLIPWAY_VAULT__KEYS",)
LOGS = "Log as JSON, as SLIPWAY_LOG__FORMAT=json does."
CELERY = ("-m", "celery", "--app", "pipeline.worker.app", "--quiet")
FLOWER_OFFLINE = 600
"""Seconds after which Flower forgets a worker that is gone."""
FLOWER_SAVES_MS = 4000
"""Milliseconds between two saves of its tasks; with the time of a save, a kill loses those of the last five seconds."""
FLOWER = ("-m", "celery", "--app", "pipeline.worker.flower_app", "--quiet")


@click.command(cls=Command, json_help=LOGS)
def api() -> None:
    """Serve HTTP: the Partner API, health and metrics.

    Example:
      SLIPWAY_API__PORT=9000 slipway api
    """
    config.load(needed=VAULT)
    require_fit()
    exec_python("-m", "pipeline.api.server.serve", "pipeline.api.app:app", environment=_choose_log())


@click.command(cls=Command, json_help=LOGS)
def mcp() -> None:
    """Serve MCP to an agent over standard input and output, with the key SLIPWAY_MCP__KEY.

    Example:
      SLIPWAY_MCP__KEY=… slipway mcp
    """
    import asyncio

    os.environ |= _choose_log()
    s = config.load(needed=VAULT)
    if not s.mcp.key.get_secret_value():
        raise click.ClickException("Set SLIPWAY_MCP__KEY: an API key, as `slipway key create` prints it.")
    require_fit()
    try:
        from pipeline.mcp.server import serve_stdio
    except ModuleNotFoundError as error:
        raise click.ClickException(f"`slipway mcp` needs slipway[mcp]: {error}.") from None
    logging_.set_up_logging(s.log, logging_.list_secrets(s))
    asyncio.run(serve_stdio(s))


@click.command(cls=Command, json_help=LOGS)
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@click.option("--queues", help="Only these queues of the groups, separated by commas.")
@click.option(
    "--slots", type=click.IntRange(1, 500), help="Threads per group; default SLIPWAY_WORKER__SLOTS."
)
@click.option(
    "--name", help="Node name; default GROUP@HOST. Workers of one group on one host need different names."
)
def worker(groups: tuple[str, ...], queues: str | None, slots: int | None, name: str | None) -> None:
    """Run a Celery worker for the queues of each GROUP: publish, reachability or upkeep.

    Examples:
      slipway worker publish
      slipway worker publish --queues publish.tiktok,status
    """
    chosen = _queues(groups, queues, queue_table.WORKER_GROUPS)
    s = config.load(needed=() if queue_table.WITHOUT_VAULT.issuperset(groups) else VAULT)
    require_fit()
    slots = slots or s.worker.slots
    # SIGTERM is Celery's warm shutdown; worker/lifecycle.py limits its time.
    # Celery's soft shutdown always sleeps its whole timeout (celery 5.7.0, worker/worker.py, wait_for_soft_shutdown).
    exec_python(
        *CELERY,
        "worker",
        "--concurrency",
        str(slots * len(set(groups))),
        "--queues",
        ",".join(chosen),
        "--hostname",
        name or f"{'+'.join(groups)}@%h",
        "--loglevel",
        s.log.level,
        "--without-gossip",
        "--without-mingle",
        *(["--task-events"] if "publish" in groups else []),
        # the worker shares a group's slots out between workspaces
        environment={"SLIPWAY_WORKER__SLOTS": str(slots), **_choose_log()},
    )


@click.command(cls=Command, json_help=LOGS)
@click.option("--check", is_flag=True, help="Only say whether this host's beat ticks: exit status 1 if not.")
def beat(*, check: bool) -> None:
    """Run beat, which sends the periodic tasks. It is optional: every worker sends them too, each once an interval.

    Examples:
      slipway beat
      slipway beat --check
    """
    if check:
        _require_beat()
        return
    words = (*CELERY, "beat", "--pidfile", "", "--loglevel", config.settings().log.level)
    exec_python(*words, environment=_choose_log())


@click.command(cls=Command, json_help=LOGS)
def flower() -> None:
    """Run Flower, the Celery monitor, protected by SLIPWAY_FLOWER__USER and SLIPWAY_FLOWER__PASSWORD.

    Example:
      SLIPWAY_FLOWER__PASSWORD=… slipway flower
    """
    settings = config.load(needed=("SLIPWAY_FLOWER__PASSWORD",))
    s, folder = settings.flower, settings.flower_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    exec_python(
        *FLOWER,
        "flower",
        "--logging=none",  # as Slipway's other processes log, not as Tornado does
        f"--address={s.host}",
        f"--port={s.port}",
        "--max_tasks=10000",
        "--persistent=True",
        f"--db={folder / 'tasks.pickle'}",
        f"--state_save_interval={FLOWER_SAVES_MS}",
        f"--purge_offline_workers={FLOWER_OFFLINE}",
        "--read_only=True",  # what changes anything is a command of ours, which writes who did it
        "--tasks_columns=name,args,state,result,received,runtime,worker",
        # In the environment: every user of the machine can read a command line.
        environment={
            "FLOWER_BASIC_AUTH": f"{s.user}:{s.password.get_secret_value()}",
            **_choose_log(),
        },
    )


@click.command(cls=Command)
def migrate() -> None:
    """Upgrade the database's tables while older processes keep running. Safe to run twice or concurrently.

    Example:
      slipway migrate
    """
    try:
        at = migrations.upgrade(config.settings().store.url.get_secret_value())
    except (migrations.MigrationBlocked, schema_version.OtherSchema) as error:
        raise click.ClickException(str(error)) from None
    answer({"revision": at}, f"The tables are up to date ({at}).")


def require_fit() -> None:
    """Raise ClickException when tables and code do not fit, or this host does not see what all hosts share.

    Without a database the process starts anyway.
    """
    try:
        with connect() as database, database.once() as c:
            schema_version.require_compatible(c)
            # called only where other hosts report: a single one need not import the wiring
            hosts.require_shared(c, config.settings(), lambda s: wiring.build_storage(s))  # noqa: PLW0108
    except (schema_version.IncompatibleSchema, hosts.NotShared) as error:
        raise click.ClickException(str(error)) from None
    except db.Unreachable:
        click.echo("The database does not answer; starting without it.", err=True)


def exec_python(*arguments: str, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by ``python ARGUMENTS``. The process id stays, so signals reach the new program."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **(environment or {})})


def _require_beat() -> None:
    """Raise ClickException unless a beat of this host, or container, has sent ticks lately."""
    s, host = config.settings().broker, socket.gethostname()
    client = rate_buckets.create_redis_client(s.url.get_secret_value(), s.sentinel_master)
    if not queue_liveness.QueueLiveness(client).is_alive(queue_liveness.beat_on(host)):
        raise click.ClickException(
            f"No beat of {host} has sent ticks in the last {queue_liveness.BEAT_TTL} s, or the broker does not answer."
        )
    sentence = f"The beat of {host} has sent ticks in the last {queue_liveness.BEAT_TTL} s."
    answer({"host": host, "ticks": True}, sentence)


def _choose_log() -> dict[str, str]:
    """Return the environment of a process that logs as the option says."""
    return {"SLIPWAY_LOG__FORMAT": "json"} if is_json() else {}


def _queues(groups: Sequence[str], queues: str | None, table: Mapping[str, tuple[str, ...]]) -> list[str]:
    if wrong := [group for group in groups if group not in table]:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(table)}.", param_hint="GROUP")
    served = list(dict.fromkeys(queue for group in groups for queue in table[group]))
    chosen = queues.split(",") if queues else served
    if wrong := [queue for queue in chosen if queue not in served]:
        raise click.BadParameter(
            f"{', '.join(wrong)} is not served by {', '.join(groups)} ({', '.join(served)}).",
            param_hint="--queues",
        )
    return chosen


@click.command(cls=Command, json_help="Print the summary as one line of JSON.")
def up() -> None:
    """Run PostgreSQL, Valkey, API, a worker, Flower and sandbox on this folder's .slipway until Ctrl-C.

    Example:
      SLIPWAY_API__PORT=9000 slipway up
    """

    def print_summary(found: summary.Summary) -> None:
        click.echo(json.dumps(dataclasses.asdict(found)) if is_json() else summary.format_summary(found))
        sys.stdout.flush()

    folder = Path(os.environ.get("SLIPWAY_FOLDER") or ".slipway")
    try:
        with data_folder.hold_lock(folder):
            status = supervisor.run(folder, print_line, print_summary)
    except data_folder.FolderError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(status)


def print_line(name: str, sentence: str) -> None:
    """Print one line to standard error, after the name of its service; standard output has the summary only."""
    click.echo(f"{name:<19}| {sentence}", err=True)


@click.group(cls=Group)
def sandbox() -> None:
    """The sandbox: local servers that behave like the platforms."""


@sandbox.command("serve")
def serve_sandbox() -> None:
    """Run the sandbox in the foreground, at SLIPWAY_SANDBOX__URL and SLIPWAY_SANDBOX__MEDIA_URL; print both first.

    Example:
      slipway sandbox serve
    """
    s = config.settings().sandbox
    arguments = sandbox_process.build_arguments(config.settings())
    print_fields({"url": s.url, "media_url": s.media_url})
    exec_python(*arguments, environment=sandbox_process.build_environment(s))


@sandbox.command(
    epilog="Example: the next visible call to TikTok takes effect, then its answer is lost.\n\n\b\n"
    "  slipway sandbox fault tiktok finalize effect-then-drop --times 1\n\n"
    "Or its answer is a proxy's page:\n\n\b\n"
    "  slipway sandbox fault tiktok finalize effect-then-answer --times 1 --status 401 --body '<html>…'"
)
@click.argument("platform")
@click.argument("step")
@click.argument("fault")
@click.option("--times", type=click.IntRange(1), help="How often it occurs. Default: until cleared.")
@click.option("--account", help="Only this account, by its id at the platform.")
@click.option("--delay-ms", type=click.IntRange(0), help="For latency: milliseconds.")
@click.option("--retry-after", type=click.IntRange(0), help="For 429: the Retry-After header, in seconds.")
@click.option("--reason", help="For fail-processing: the reason that the platform reports.")
@click.option(
    "--status", type=click.IntRange(200, 599), help="For answer, effect-then-answer: the HTTP status."
)
@click.option("--body", help="For answer, effect-then-answer: the body. Default: empty.")
def fault(**order: str | int | None) -> None:
    """Inject a fault. A wrong PLATFORM, STEP or FAULT is answered with the list of right ones."""
    made = call_sandbox(
        "POST", "faults", json={name: value for name, value in order.items() if value is not None}
    )
    click.echo(
        json.dumps(made) if is_json() else f"Fault {made['id']} is on. `slipway sandbox faults` lists them."
    )


@sandbox.command()
@click.option("--clear", metavar="ID|all", help="Clear one fault, or all of them.")
def faults(clear: str | None) -> None:
    """List injected faults, with how often each will still occur.

    Example:
      slipway sandbox faults --clear all
    """
    if clear:
        call_sandbox("DELETE", "faults" if clear == "all" else f"faults/{clear}")
    print_rows(call_sandbox("GET", "faults"), empty="No faults.")


@sandbox.command()
@click.option("--platform", help="Only this platform.")
@click.option("--account", help="Only this account, by its id at the platform.")
def ledger(platform: str | None, account: str | None) -> None:
    """Print what went live, oldest first: the sandbox's own record, independent of the database.

    Example:
      slipway sandbox ledger --platform tiktok
    """
    entries = call_sandbox("GET", "ledger", params={"platform": platform, "account": account})
    shown = ("at", "platform", "kind", "remote_id", "caption", "url")  # what fits a terminal
    rows = entries if is_json() else [{name: entry[name] for name in shown} for entry in entries]
    print_rows(rows, empty="Nothing went live.")


@sandbox.command()
@click.option("--ledger", is_flag=True, help="Also empty the ledger.")
def reset(*, ledger: bool) -> None:
    """Delete accounts, tokens, faults and unfinished uploads; the ledger only with --ledger.

    Example:
      slipway sandbox reset --ledger
    """
    call_sandbox("POST", "reset", json={"ledger": ledger})
    stays = "Its ledger is empty." if ledger else "Its ledger stays."
    answer({"reset": True, "ledger_emptied": ledger}, f"The sandbox is reset. {stays}")


@sandbox.command()
@click.argument("pace", type=click.Choice(["real", "instant"]))
@click.option("--quotas/--no-quotas", default=None, help="Enforce or lift rate limits and daily caps.")
def pace(pace: str, *, quotas: bool | None) -> None:
    """Set how long platforms process: as long as real ones, or not at all.

    Example:
      slipway sandbox pace instant --no-quotas
    """
    now = call_sandbox("POST", "pace", json={"pace": pace} | ({} if quotas is None else {"quotas": quotas}))
    answer(now, f"Pace {now['pace']}, quotas {'on' if now['quotas'] else 'lifted'}.")
