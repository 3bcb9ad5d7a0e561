"""Opens what a command works with; what goes wrong there becomes one sentence with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.core import Core
    from pipeline.store.database import Database
    from pipeline.store.vault import Vault

NO_TABLES = "42P01"
"""undefined_table (postgresql.org/docs/18/errcodes-appendix.html)."""


@contextmanager
def ledger() -> Iterator[Connection]:
    """One transaction on the ledger, committed at the end. Raises ClickException when there is none to be had."""
    with database() as opened, opened.begin() as c:
        yield c


@contextmanager
def database() -> Iterator[Database]:
    """The ledger, for what takes several transactions. Raises ClickException when there is none to be had."""
    from config.settings import settings
    from pipeline.store.database import Database

    with sentences():
        opened = Database(settings().store.url.get_secret_value(), pool=1)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def house() -> Iterator[Core]:
    """Everything wired up, for commands that ring the doorbell or speak to platforms. Raises ClickException."""
    from config.settings import settings
    from pipeline.bootstrap import build

    with sentences():
        core = build(settings())
        try:
            yield core
        finally:
            core.database.close()


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
    from sqlalchemy.exc import ProgrammingError

    from pipeline.store.database import Unreachable
    from pipeline.store.vault import VaultError
    from pipeline.store.workspaces import NoSuchWorkspace

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
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != NO_TABLES:
            raise
        raise click.ClickException("The database has no tables yet: run `slipway migrate`.") from None


def identity(text: str, noun: str) -> UUID:
    """The id a person typed. Raises ClickException."""
    try:
        return UUID(text)
    except ValueError:
        raise click.ClickException(
            f"{text!r} is not the id of a {noun}: `slipway {noun} list` shows them."
        ) from None
