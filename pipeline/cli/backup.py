"""`slipway backup FOLDER` and `slipway restore FOLDER`: a backup of the whole installation, and how it is put back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import lazy_imports, output
from pipeline.cli.progress import Progress, show_progress
from pipeline.cli.runtime import find_actor, open_context, report_errors
from pipeline.cli.settings import flatten

with lazy_imports():
    from config import settings as config
    from pipeline import wiring
    from pipeline.embedded import data_folder, postgres, process
    from pipeline.media import storage
    from pipeline.recovery import backup as backups
    from pipeline.store.recovery import dumps

Done = TypeVar("Done")
NEXT = """
Nothing is sent yet. Stop what still runs of the old installation, start this one, and run
  slipway restore status
  slipway restore accept"""
folder_argument = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.command(cls=output.Command)
@folder_argument
def backup(folder: Path) -> None:
    """Back up database, files and settings into FOLDER, which must be new or empty, while everything runs.

    The vault's keys and the epoch file are not in it: without the keys no credential can be decrypted.

    Example:
      slipway backup /backups/2027-02-01
    """
    with report_failures(), open_context(warn=False) as context:
        s = context.settings
        found = follow(partial(backups.back_up, context, postgres.find_program, _list_settings(s), folder))
    output.print_fields(
        {
            "backup": str(folder),
            "at": format_timestamp(found.at),
            **found.counts,
            "missing files": found.missing or "none",
            "not in it": f"SLIPWAY_VAULT__KEYS ({_find_place(s)}): keep them apart, without them no credential opens",
            "never in it": f"the epoch file ({s.mark_folder}): keep it on a disk of its own, if you can",
        }
    )
    if lost := [key for key, why in found.missing.items() if why != backups.ERASED]:
        raise click.ClickException(f"The ledger names {len(lost)} files that could not be read: {lost[0]} …")


@click.command("apply", cls=output.Command)
@folder_argument
def apply(folder: Path) -> None:
    """Restore the backup in FOLDER into an empty database: that of the settings, or of `slipway up`, stopped.

    `slipway restore FOLDER` is short for it. Everything is checked first. Nothing is sent before `slipway restore
    accept`. If it is interrupted, the database is still empty: run it again.

    Example:
      slipway restore apply /backups/2027-02-01
    """
    with report_failures(), _open_target():
        s = config.settings()
        context = wiring.build_context(s, keeps_epoch_file=False, needs_vault=False)
        with closing(context.database):
            work = partial(backups.restore, context, postgres.find_program, find_actor(), folder)
            found = follow(work)
            missing = backups.list_missing(context, found.epoch, found.missing)
    there, here = json.loads((folder / backups.SETTINGS).read_text()), flatten(s)
    other = {name: value for name, value in there.items() if value != here.get(name)}
    facts = {"restored": format_timestamp(found.at), **found.counts}
    if output.is_json():
        output.print_fields({**facts, "missing": missing, "other_settings": other})
        return
    output.print_fields(facts)
    settings = (f"setting {name}: it was {value!r}" for name, value in other.items())
    click.echo(
        "\n".join(["", *(f"Missing: {one}" for one in missing), *(f"Other {one}" for one in settings), NEXT])
    )


@contextmanager
def _open_target() -> Iterator[None]:
    """The settings name a database to restore into; that of `slipway up` runs as long as the block does."""
    folder = use_own_settings()
    if "url" in config.load().store.model_fields_set:
        yield
        return
    with data_folder.hold_lock(folder), postgres.Postgres(folder) as server:
        os.environ["SLIPWAY_STORE__URL"] = server.url
        yield


def use_own_settings() -> Path:
    """Use the settings file of `slipway up`, unless the environment names one; return its data folder."""
    folder = Path(os.environ.get("SLIPWAY_FOLDER") or ".slipway")
    if config.FILE_VARIABLE not in os.environ and (own := folder / "settings.env").is_file():
        os.environ[config.FILE_VARIABLE] = str(own)
    return folder


def follow(work: Callable[[backups.Work], Done]) -> Done:
    """Do the work, and show how far it is; Ctrl-C stops it."""
    seen = backups.Work()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, seen)
        try:
            if not output.is_json():
                show_progress(
                    lambda: Progress(step=seen.step, done=seen.done, total=seen.total, is_over=future.done())
                )
            return future.result()
        except BaseException:
            seen.stop.set()
            raise


@contextmanager
def report_failures() -> Iterator[None]:
    """Turn what an operator can act on into ClickException."""
    errors = (dumps.BackupError, data_folder.FolderError, process.EngineError, storage.StorageUnavailable)
    try:
        with report_errors():
            yield
    except (*errors, OSError) as error:
        raise click.ClickException(str(error)) from None


def _list_settings(s: config.Settings) -> dict[str, Any]:
    """Return the settings that are not the default; of secrets only that they are set."""
    defaults = flatten(config.Settings())
    return {name: value for name, value in flatten(s).items() if value not in (defaults[name], "")}


def _find_place(s: config.Settings) -> str:
    """Return where the vault's keys are: `slipway up` copies them from its own file to that of the running stack."""
    file = Path(os.environ.get(config.FILE_VARIABLE, "the environment"))
    return str(s.folder / "settings.env" if file.parent.name == "run" else file)
