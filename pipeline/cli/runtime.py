"""Opens what a command works with; what goes wrong there becomes one sentence with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.context import Context
    from pipeline.store.database import Database
    from pipeline.store.vault import Vault


@contextmanager
def ledger(*, warn: bool = True) -> Iterator[Connection]:
    """One transaction on the ledger, committed at the end. Raises ClickException when there is none to be had.

    ``warn``: on standard error, when nothing is sent because a restore of the database is not accepted.
    """
    with database() as opened, opened.begin() as c:
        if warn:
            _warn_of_doubt(c)
        yield c


@contextmanager
def database() -> Iterator[Database]:
    """The ledger, for what takes several transactions. Raises ClickException when there is none to be had."""
    from config.settings import settings
    from pipeline.store.database import Database
    from pipeline.store.schema_version import require_fit

    with sentences():
        opened = Database(settings().store.url.get_secret_value(), pool=1)
        try:
            with opened.once() as c:
                require_fit(c)
            yield opened
        finally:
            opened.close()


@contextmanager
def house(*, warn: bool = True) -> Iterator[Context]:
    """Everything wired up, for commands that ring the doorbell or speak to platforms. Raises ClickException.

    ``warn``: as ``ledger``.
    """
    from config.settings import settings
    from pipeline.store.schema_version import require_fit
    from pipeline.wiring import build

    with sentences():
        context = build(settings(), keeps=False)
        try:
            with context.database.once() as c:
                require_fit(c)
                if warn:
                    _warn_of_doubt(c)
            yield context
        finally:
            context.database.close()


def _warn_of_doubt(c: Connection) -> None:
    from pipeline.recovery.restore import IN_DOUBT
    from pipeline.recovery.send_guard import NEXT
    from pipeline.store.recovery.epoch import read

    if read(c).doubt is not None:
        click.echo(f"Note: {IN_DOUBT}: {NEXT}.", err=True)


def vault() -> Vault:
    """The vault with this machine's keys. Raises VaultError."""
    from config.settings import settings
    from pipeline.store.vault import Vault

    return Vault(settings().vault.keys.get_secret_value())


def ask_sandbox(method: str, path: str, **sent: Any) -> Any:
    """One call to the control API of the sandbox these settings name. Raises ClickException."""
    from config.settings import settings
    from pipeline.embedded.control import Control, ControlError

    s = settings().sandbox
    if not s.url:
        raise click.ClickException(
            "The sandbox is off (SLIPWAY_SANDBOX__URL is empty): run this in the folder of a running `slipway up`."
        )
    try:
        return Control(s.url, s.control_token.get_secret_value()).call(method, path, **sent)
    except ControlError as error:
        raise click.ClickException(f"The sandbox: {error}") from None


@contextmanager
def sentences() -> Iterator[None]:
    """Turns the errors an operator can do something about into ClickException; others are bugs and pass."""
    from pipeline.store.auth.workspaces import NoSuchWorkspace
    from pipeline.store.database import Unreachable
    from pipeline.store.schema_version import Unfit
    from pipeline.store.vault import VaultError

    try:
        yield
    except Unreachable:
        raise click.ClickException(
            "The database does not answer: run this in the folder of a running `slipway up`, or set SLIPWAY_STORE__URL."
        ) from None
    except NoSuchWorkspace as error:
        raise click.ClickException(f"{error} `slipway workspace list` shows them.") from None
    except VaultError as error:
        raise click.ClickException(f"{error} `slipway settings list` shows where it is set.") from None
    except UnicodeEncodeError:
        raise click.ClickException("An argument is not valid UTF-8: type it again.") from None
    except Unfit as error:
        raise click.ClickException(str(error)) from None


def identity(text: str, noun: str) -> UUID:
    """The id a person typed. Raises ClickException."""
    try:
        return UUID(text)
    except ValueError:
        raise click.ClickException(
            f"{text!r} is not the id of a {noun}: `slipway {noun} list` shows them."
        ) from None
