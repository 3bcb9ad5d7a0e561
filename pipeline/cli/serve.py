"""`slipway api|worker|beat|flower|migrate`: each turns into the one process it names, ready for any process manager."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

CELERY = ("-m", "celery", "--app", "pipeline.worker.app", "--quiet")


@click.command(epilog="Example:\n\n  SLIPWAY_API__PORT=9000 slipway api")
def api() -> None:
    """Serve HTTP: the Partner API, health and metrics."""
    require_fit()
    become("-m", "pipeline.api.server.serve", "pipeline.api.app:app")


@click.command(
    epilog="Example:\n\n  slipway worker publish\n\n  slipway worker publish --queues publish.tiktok,status"
)
@click.argument("group")
@click.option("--queues", help="Only these queues of the group, separated by commas.")
@click.option("--slots", type=click.IntRange(1, 500), help="Threads; default SLIPWAY_WORKER__SLOTS.")
@click.option("--name", help="Node name; default GROUP@HOST. Two workers on one host need two names.")
def worker(group: str, queues: str | None, slots: int | None, name: str | None) -> None:
    """Work through one group's queues: publish, reachability or upkeep."""
    from config.settings import settings
    from pipeline.queues import GROUPS

    chosen = _queues(group, queues, GROUPS)
    s = settings()
    require_fit()
    # Its SIGTERM is Celery's warm shutdown, kept to SLIPWAY_WORKER__SHUTDOWN by worker/pool.py and worker/ending.py.
    # Celery's soft one would always sleep its whole time (celery 5.7.0, worker/worker.py, wait_for_soft_shutdown).
    become(
        *CELERY,
        "worker",
        "--concurrency",
        str(slots or s.worker.slots),
        "--queues",
        ",".join(chosen),
        "--hostname",
        name or f"{group}@%h",
        "--loglevel",
        s.log.level,
        "--without-gossip",
        "--without-mingle",
        *(["--task-events"] if group == "publish" else []),
    )


@click.command(epilog="Example:\n\n  slipway beat")
def beat() -> None:
    """Ring the periodic doorbells. A second one does no harm: sweeps are idempotent."""
    from config.settings import settings

    s = settings()
    s.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    become(*CELERY, "beat", "--schedule", str(s.folder / "beat"), "--pidfile", "", "--loglevel", s.log.level)


@click.command(epilog="Example:\n\n  SLIPWAY_FLOWER__PASSWORD=… slipway flower")
def flower() -> None:
    """Watch the workers in a browser; asks for SLIPWAY_FLOWER__USER and SLIPWAY_FLOWER__PASSWORD."""
    from config.settings import SettingsError, settings

    s = settings().flower
    password = s.password.get_secret_value()
    if not password:
        raise SettingsError("SLIPWAY_FLOWER__PASSWORD is empty: Flower does not start without a password.")
    become(
        *CELERY,
        "flower",
        f"--address={s.host}",
        f"--port={s.port}",
        "--max_tasks=10000",
        "--persistent=False",
        # Not on the command line, where every user of the machine could read it.
        environment={"FLOWER_BASIC_AUTH": f"{s.user}:{password}"},
    )


@click.command(epilog="Example:\n\n  slipway migrate")
def migrate() -> None:
    """Bring the database's tables up to date while older parts go on. Safe to run twice, or from two places at once."""
    from config.settings import settings
    from pipeline.store.migrate import Stuck, upgrade

    try:
        at = upgrade(settings().store.url.get_secret_value())
    except Stuck as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The tables are up to date ({at}).")


commands = [api, worker, beat, flower, migrate]


def require_fit() -> None:
    """Ends with a sentence when tables and code do not fit. A part starts without a database, as it goes on without."""
    from config.settings import settings
    from pipeline.store import schema_version as schema
    from pipeline.store.database import Database, Unreachable

    database = Database(settings().store.url.get_secret_value(), pool=1)
    try:
        with database.once() as c:
            schema.require_fit(c)
    except schema.Unfit as error:
        raise click.ClickException(str(error)) from None
    except Unreachable:
        click.echo("The database does not answer; starting without it.", err=True)
    finally:
        database.close()


def become(*arguments: str, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Turn this process into ``python ARGUMENTS``: the same process id, so signals reach the real thing."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **(environment or {})})


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
