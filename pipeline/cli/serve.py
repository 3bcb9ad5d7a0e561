"""`slipway api|worker|beat|flower|migrate`: each becomes the process it names (exec), for any process manager."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.output import json_option, print_fields

VAULT = ("SLIPWAY_VAULT__KEYS",)
log_option = click.option(
    "--json", "as_json", is_flag=True, help="Log as JSON, as SLIPWAY_LOG__FORMAT=json does."
)
CELERY = ("-m", "celery", "--app", "pipeline.worker.app", "--quiet")
FLOWER_OFFLINE = 600
"""Seconds after which Flower forgets a worker that is gone."""
FLOWER_SAVES_MS = 4000
"""Milliseconds between two saves of its tasks; with the time of a save, a kill loses those of the last five seconds."""
FLOWER = ("-m", "celery", "--app", "pipeline.worker.flower_app", "--quiet")


@click.command(epilog=EXAMPLE + "SLIPWAY_API__PORT=9000 slipway api")
@log_option
def api(*, as_json: bool) -> None:
    """Serve HTTP: the Partner API, health and metrics."""
    from config.settings import load

    load(needed=VAULT)
    require_fit()
    exec_python(
        "-m", "pipeline.api.server.serve", "pipeline.api.app:app", environment=_choose_log(as_json=as_json)
    )


@click.command(
    epilog=f"{EXAMPLES}slipway worker publish\n  slipway worker publish --queues publish.tiktok,status"
)
@click.argument("group")
@click.option("--queues", help="Only these queues of the group, separated by commas.")
@click.option("--slots", type=click.IntRange(1, 500), help="Threads; default SLIPWAY_WORKER__SLOTS.")
@click.option(
    "--name", help="Node name; default GROUP@HOST. Workers of one group on one host need different names."
)
@log_option
def worker(group: str, queues: str | None, slots: int | None, name: str | None, *, as_json: bool) -> None:
    """Run a Celery worker for the queues of GROUP: publish, reachability or upkeep."""
    from config.settings import load
    from pipeline.broker.queues import WITHOUT_VAULT, WORKER_GROUPS

    chosen = _queues(group, queues, WORKER_GROUPS)
    s = load(needed=() if group in WITHOUT_VAULT else VAULT)
    require_fit()
    slots = slots or s.worker.slots
    # SIGTERM is Celery's warm shutdown; worker/shutdown.py limits its time.
    # Celery's soft shutdown always sleeps its whole timeout (celery 5.7.0, worker/worker.py, wait_for_soft_shutdown).
    exec_python(
        *CELERY,
        "worker",
        "--concurrency",
        str(slots),
        "--queues",
        ",".join(chosen),
        "--hostname",
        name or f"{group}@%h",
        "--loglevel",
        s.log.level,
        "--without-gossip",
        "--without-mingle",
        *(["--task-events"] if group == "publish" else []),
        # the worker shares its slots out between workspaces
        environment={"SLIPWAY_WORKER__SLOTS": str(slots), **_choose_log(as_json=as_json)},
    )


@click.command(epilog=f"{EXAMPLES}slipway beat\n  slipway beat --check")
@click.option("--check", is_flag=True, help="Only say whether this host's beat ticks: exit status 1 if not.")
@log_option
def beat(*, check: bool, as_json: bool) -> None:
    """Run beat, which sends the periodic tasks. It is optional: every worker sends them too, each once an interval."""
    from config.settings import settings

    if check:
        _require_beat(as_json=as_json)
        return
    words = (*CELERY, "beat", "--pidfile", "", "--loglevel", settings().log.level)
    exec_python(*words, environment=_choose_log(as_json=as_json))


@click.command(epilog=EXAMPLE + "SLIPWAY_FLOWER__PASSWORD=… slipway flower")
@log_option
def flower(*, as_json: bool) -> None:
    """Run Flower, the Celery monitor, protected by SLIPWAY_FLOWER__USER and SLIPWAY_FLOWER__PASSWORD."""
    from config.settings import load

    settings = load(needed=("SLIPWAY_FLOWER__PASSWORD",))
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
            **_choose_log(as_json=as_json),
        },
    )


@click.command(epilog=EXAMPLE + "slipway migrate")
@json_option
def migrate(*, as_json: bool) -> None:
    """Upgrade the database's tables while older processes keep running. Safe to run twice or concurrently."""
    from config.settings import settings
    from pipeline.store.migrate import MigrationBlocked, upgrade
    from pipeline.store.schema_version import OtherSchema

    try:
        at = upgrade(settings().store.url.get_secret_value())
    except (MigrationBlocked, OtherSchema) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_fields({"revision": at}, as_json=True)
    else:
        click.echo(f"The tables are up to date ({at}).")


def require_fit() -> None:
    """Raise ClickException when tables and code do not fit. Without a database the process starts anyway."""
    from config.settings import settings
    from pipeline.store import schema_version as schema
    from pipeline.store.database import Database, Unreachable

    database = Database(settings().store.url.get_secret_value(), pool=1)
    try:
        with database.once() as c:
            schema.require_compatible(c)
    except schema.IncompatibleSchema as error:
        raise click.ClickException(str(error)) from None
    except Unreachable:
        click.echo("The database does not answer; starting without it.", err=True)
    finally:
        database.close()


def exec_python(*arguments: str, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by ``python ARGUMENTS``. The process id stays, so signals reach the new program."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **(environment or {})})


def _require_beat(*, as_json: bool) -> None:
    """Raise ClickException unless a beat of this host, or container, has sent ticks lately."""
    from config.settings import settings
    from pipeline.broker.queue_liveness import BEAT_TTL, QueueLiveness, beat_on
    from pipeline.limits.rate_buckets import create_redis_client

    s, host = settings().broker, socket.gethostname()
    client = create_redis_client(s.url.get_secret_value(), s.sentinel_master)
    if not QueueLiveness(client).is_alive(beat_on(host)):
        raise click.ClickException(
            f"No beat of {host} has sent ticks in the last {BEAT_TTL} s, or the broker does not answer."
        )
    if as_json:
        print_fields({"host": host, "ticks": True}, as_json=True)
    else:
        click.echo(f"The beat of {host} has sent ticks in the last {BEAT_TTL} s.")


def _choose_log(*, as_json: bool) -> dict[str, str]:
    """Return the environment of a process that logs as the option says."""
    return {"SLIPWAY_LOG__FORMAT": "json"} if as_json else {}


def _queues(group: str, queues: str | None, groups: Mapping[str, tuple[str, ...]]) -> list[str]:
    if group not in groups:
        raise click.BadParameter(f"{group!r} is not one of {', '.join(groups)}.", param_hint="GROUP")
    chosen = queues.split(",") if queues else list(groups[group])
    if wrong := [queue for queue in chosen if queue not in groups[group]]:
        served = ", ".join(groups[group])
        raise click.BadParameter(
            f"{', '.join(wrong)} is not served by {group} ({served}).", param_hint="--queues"
        )
    return chosen
