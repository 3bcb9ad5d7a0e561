"""The parts that a command works with: the database, the context, the vault, the sandbox; and its errors as sentences.

Everything is imported inside the functions, so that a command pays only for what it opens: `open_transaction` imports
no Celery, `open_context` does (``tests/pipeline/cli/test_imports.py``).

The option --workspace of commands that work without it where there is only one workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.auth.workspaces import Workspace
    from pipeline.store.database import Database
    from pipeline.store.vault import Vault

workspace_option = click.option("--workspace", help="Name or id; may be left out if there is only one.")


def choose_workspace(c: Connection, given: str | None) -> Workspace:
    """Return the workspace of this name or id, or the only one there is. Raises ClickException, NoSuchWorkspace."""
    from pipeline.store.auth.workspaces import find_workspace, list_workspaces

    if given is not None:
        return find_workspace(c, given)
    found = list_workspaces(c)
    if len(found) != 1:
        names = ", ".join(w.name for w in found[:10]) or "none yet"
        raise click.ClickException(f"Give --workspace: there are {len(found)} workspaces ({names}).")
    return found[0]


@contextmanager
def open_transaction(*, warn: bool = True) -> Iterator[Connection]:
    """One transaction on the database, committed at the end. Raises ClickException when it cannot be opened.

    ``warn``: write a note to standard error while nothing is sent because a restore is not accepted.
    """
    with open_database() as database, database.begin() as c:
        if warn:
            _warn_if_sending_stopped(c)
        yield c


@contextmanager
def open_database() -> Iterator[Database]:
    """The database, for commands of several transactions. Raises ClickException when it cannot be opened."""
    from config.settings import settings
    from pipeline.store.database import Database
    from pipeline.store.health import CHECK_SECONDS
    from pipeline.store.schema_version import require_compatible

    with report_errors():
        database = Database(settings().store.url.get_secret_value(), pool=1)
        try:
            with database.begin_read(CHECK_SECONDS) as c:
                require_compatible(c)
            yield database
        finally:
            database.close()


@contextmanager
def open_context(*, warn: bool = True) -> Iterator[Context]:
    """The whole context, for commands that dispatch messages or call platforms. Raises ClickException.

    ``warn``: as in `open_transaction`.
    """
    from config.settings import settings
    from pipeline.store.schema_version import require_compatible
    from pipeline.wiring import build_context

    with report_errors():
        context = build_context(settings(), keeps_epoch_file=False)
        try:
            with context.database.once() as c:
                require_compatible(c)
                if warn:
                    _warn_if_sending_stopped(c)
            yield context
        finally:
            context.database.close()


def _warn_if_sending_stopped(c: Connection) -> None:
    from pipeline.store.recovery.epoch import read

    if read(c).doubt is not None:
        from pipeline.recovery.restore import IN_DOUBT
        from pipeline.runtime.send_guard import NEXT_STEP

        click.echo(f"Note: {IN_DOUBT}: {NEXT_STEP}.", err=True)


def load_vault() -> Vault:
    """The vault with the keys of the settings. Raises VaultError."""
    from config.settings import settings
    from pipeline.store.vault import Vault

    return Vault(settings().vault.keys.get_secret_value())


def call_sandbox(method: str, path: str, **request: Any) -> Any:
    """One call to the control API of the sandbox that the settings name. Raises ClickException."""
    from config.settings import settings
    from pipeline.embedded.control import Control, ControlError

    s = settings().sandbox
    if not s.url:
        raise click.ClickException(
            "The sandbox is off (SLIPWAY_SANDBOX__URL is empty): run this in the folder of a running `slipway up`."
        )
    try:
        return Control(s.url, s.control_token.get_secret_value()).call(method, path, **request)
    except ControlError as error:
        raise click.ClickException(f"The sandbox: {error}") from None


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors that an operator can act on into ClickException; all others are bugs and pass."""
    try:
        yield
    except Exception as error:
        if message := _explain(error):
            raise click.ClickException(message) from None
        raise


def _explain(error: Exception) -> str | None:
    """The error as a sentence with the next step; None for a bug."""
    from pipeline.store.auth.workspaces import NoSuchWorkspace
    from pipeline.store.database import TimedOut, Unreachable
    from pipeline.store.schema_version import IncompatibleSchema
    from pipeline.store.vault import VaultError

    match error:
        case TimedOut():
            return (
                "The database took too long: a table is locked, or it is overloaded. Run the command again."
            )
        case Unreachable():
            return (
                "The database does not answer: run this in the folder of a running `slipway up`, "
                "or set SLIPWAY_STORE__URL."
            )
        case NoSuchWorkspace():
            return f"{error} `slipway workspace list` shows them."
        case VaultError():
            return f"{error} `slipway settings list` shows where it is set."
        case UnicodeEncodeError():
            return "An argument is not valid UTF-8: type it again."
        case IncompatibleSchema():
            return str(error)
        case _:
            return None


def parse_id(text: str, noun: str) -> UUID:
    """The id in a command's argument. Raises ClickException."""
    article = "an" if noun[0] in "aeiou" else "a"
    try:
        return UUID(text)
    except ValueError:
        raise click.ClickException(
            f"{text!r} is not the id of {article} {noun}: `slipway {noun} list` shows them."
        ) from None
