"""The tools of a command: the database, the context, the vault, the sandbox, who types it; its errors as sentences.

Everything is imported inside the functions, so that a command pays only for what it opens: `open_transaction` imports
no Celery, `open_context` does (``tests/pipeline/cli/test_help.py``).

The option --workspace of commands that work without it where there is only one workspace.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.domain.audit import Actor

with lazy_imports():
    from adapters import contract
    from config import settings as config
    from pipeline import wiring
    from pipeline.domain import account as account_domain
    from pipeline.embedded import sandbox
    from pipeline.recovery import restore
    from pipeline.runtime import send_guard
    from pipeline.stages import post_request
    from pipeline.store import audit as audit_store
    from pipeline.store import database as db
    from pipeline.store import health, schema_version, vault
    from pipeline.store import jobs as job_store
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.accounts import grants
    from pipeline.store.auth import keys as key_store
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.deliveries import selection
    from pipeline.store.recovery import epoch as epoch_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context

Row = TypeVar("Row")
Found = TypeVar("Found")
Opened = AbstractContextManager["tuple[Context, key_store.Caller, Found]"]
workspace_option = click.option("--workspace", help="Name or id; may be left out if there is only one.")


def choose_workspace(c: Connection, given: str | None) -> workspace_store.Workspace:
    """Return the workspace of this name or id, or the only one there is. Raises ClickException, NoSuchWorkspace."""
    if given is not None:
        return workspace_store.find_workspace(c, given)
    found = [w for w in workspace_store.list_workspaces(c) if w.closed_at is None]
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
def open_database() -> Iterator[db.Database]:
    """The database, for commands of several transactions. Raises ClickException when it cannot be opened."""
    with report_errors(), connect() as database:
        with database.begin_read(health.CHECK_SECONDS) as c:
            schema_version.require_compatible(c)
        yield database


def connect() -> closing[db.Database]:
    """Return the database of the settings, unchecked; in a ``with`` block it is closed at the end."""
    return closing(db.Database(config.settings().store.url.get_secret_value(), pool=1))


@contextmanager
def open_context(*, warn: bool = True) -> Iterator[Context]:
    """The whole context, for commands that dispatch messages or call platforms. Raises ClickException.

    ``warn``: as in `open_transaction`.
    """
    with report_errors():
        context = wiring.build_context(config.settings(), keeps_epoch_file=False)
        with closing(context.database):
            with context.database.once() as c:
                schema_version.require_compatible(c)
                if warn:
                    _warn_if_sending_stopped(c)
            yield context


def _warn_if_sending_stopped(c: Connection) -> None:
    if epoch_store.read(c).doubt is not None:
        click.echo(f"Note: {restore.IN_DOUBT}: {send_guard.NEXT_STEP}.", err=True)


def load_vault() -> vault.Vault:
    """The vault with the keys of the settings. Raises VaultError."""
    return vault.Vault(config.settings().vault.keys.get_secret_value())


def call_sandbox(method: str, path: str, **request: Any) -> Any:
    """One call to the control API of the sandbox that the settings name. Raises ClickException."""
    s = config.settings().sandbox
    if not s.url:
        raise click.ClickException(
            "The sandbox is off (SLIPWAY_SANDBOX__URL is empty): run this in the folder of a running `slipway up`."
        )
    try:
        return sandbox.Control(s.url, s.control_token.get_secret_value()).call(method, path, **request)
    except sandbox.ControlError as error:
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
    """The error as a sentence with the next step, a refusal with all that is wrong; None for a bug."""
    match error:
        case db.TimedOut():
            return (
                "The database took too long: a table is locked, or it is overloaded. Run the command again."
            )
        case db.Unreachable():
            return (
                "The database does not answer: run this in the folder of a running `slipway up`, "
                "or set SLIPWAY_STORE__URL."
            )
        case workspace_store.NoSuchWorkspace():
            return f"{error} `slipway workspace list` shows them."
        case selection.NoSuchRow() | schema_version.IncompatibleSchema():
            return str(error)
        case vault.VaultError():
            return f"{error} `slipway settings list` shows where it is set."
        case post_request.Refusal():
            issues = [f"{issue['path'] or 'body'}: {issue['message']}" for issue in error.issues]
            return " ".join(issues) if len(issues) > 1 else error.message
        case UnicodeEncodeError():
            return "An argument is not valid UTF-8: type it again."
        case _:
            return None


def parse_id(text: str, noun: str, command: str = "") -> UUID:
    """Return the id in a command's argument; *command*: of which ``list`` shows them. Raises ClickException."""
    article = "an" if noun[0] in "aeiou" else "a"
    try:
        return UUID(text)
    except ValueError:
        raise click.ClickException(
            f"{text!r} is not the id of {article} {noun}: `slipway {command or noun} list` shows them."
        ) from None


def require_account(c: Connection, account: str) -> account_store.AccountRow:
    """Return the account with this id or username. Raises ClickException."""
    try:
        return grants.find_account(c, account)
    except grants.NoSuchAccount as error:
        raise click.ClickException(f"{error} `slipway account list` shows them.") from None


def require_account_of(c: Connection, workspace: UUID, given: str) -> account_store.AccountRow:
    """Return the account of a workspace with this id or username. Raises ClickException."""
    found = [
        a
        for a in account_store.find_accounts(c, workspace)
        if given.lower() == str(a.id) or given == a.username
    ]
    if not found:
        raise click.ClickException(
            f"The workspace has no account {given!r}: `slipway account list` shows its accounts."
        )
    if len(found) > 1:
        ids = ", ".join(f"{a.id} ({a.platform})" for a in found)
        raise click.ClickException(f"Several accounts are called {given!r}; give the id of one: {ids}.")
    return found[0]


def find_workspace_id(c: Connection, name: str | None) -> UUID | None:
    """Return the id of the workspace of this name or id, None for none. Raises NoSuchWorkspace."""
    return workspace_store.find_workspace(c, name).id if name else None


def read_pages(
    begin: Callable[[], AbstractContextManager[Connection]],
    read: Callable[..., Sequence[Row]],
    size: int,
    get_key: Callable[[Row], Any],
    after: Any = None,
) -> Iterator[Sequence[Row]]:
    """Yield pages by keyset, each read in its own transaction: a long export must not hold back vacuum.

    *read* takes a connection, ``limit`` and ``after``: the key of the last row that was read, first *after*.
    """
    has_more = True
    while has_more:
        with begin() as c:
            page = read(c, limit=size, after=after)
        has_more = len(page) == size
        if page:
            yield page
            after = get_key(page[-1])


def record(
    c: Connection,
    verb: str,
    kind: audit_store.Kind,
    subject: UUID | str,
    workspace: UUID | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add the audit row of a change by the account that types the command, in the change's transaction."""
    audit_store.record_change(c, find_actor(), verb, kind, subject, workspace, before, after)


def parse_platform(text: str) -> contract.Platform:
    """Return the platform of this name. Raises ClickException with the most similar name."""
    if text not in set(contract.Platform):
        from difflib import get_close_matches

        near = get_close_matches(text, [p.value for p in contract.Platform], n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(contract.Platform)}."
        raise click.ClickException(f"There is no platform {text!r}: {hint}")
    return contract.Platform(text)


def list_account_names(workspace: str | None, names: Sequence[str]) -> list[str]:
    """Return the accounts that are named, ``all`` for those in use, as the rows of an import name them."""
    with open_transaction() as c:
        chosen = choose_workspace(c, workspace)
        if tuple(names) != ("all",):
            return [str(require_account_of(c, chosen.id, name).id) for name in names]
        found = [
            a
            for a in account_store.find_accounts(c, chosen.id)
            if a.status is not account_domain.AccountStatus.INACTIVE
        ]
    if not found:
        raise click.ClickException(
            f"The workspace {chosen.name} has no account: `slipway account connect` adds one."
        )
    shared = [(a.platform, a.username.casefold()) for a in found]
    return [
        str(a.id) if shared.count(key) > 1 or "|" in a.username else f"{a.platform}:{a.username}"
        for a, key in zip(found, shared, strict=True)
    ]


def find_actor() -> Actor:
    """Return the account of this process at this machine; under sudo, named by the account that called it."""
    account = find_user_name(os.getuid())
    name = os.environ.get("SUDO_USER") or account
    return Actor(kind="command line", name=name, address=f"{account}@{socket.gethostname()}")


def find_user_name(number: int) -> str:
    """Return the name of a user of this machine, or the number where it has none, as in a container."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def build_caller(workspace: workspace_store.Workspace) -> key_store.Caller:
    """Return the caller as which the command line acts for a workspace: by its plan, without a key."""
    return key_store.Caller(
        key_id=key_store.COMMAND_LINE,
        actor=find_actor(),
        workspace_id=workspace.id,
        kind=workspace.kind,
        owner_user_id=workspace.owner_user_id,
        plan=workspace.plan,
        subscription=workspace.subscription,
        time_zone=workspace.time_zone,
        approves_all=workspace.needs_approval,
        self_approval=workspace.self_approval,
    )


def open_job(
    noun: str,
    table: job_store.JobTable[Any],
    identity: UUID,
    find: Callable[[Connection, key_store.Caller, UUID], Found | None],
    command: str = "",
) -> Opened[Found]:
    """As `open_for`, a job of a table."""

    def find_workspace_of(c: Connection, job: UUID) -> UUID | None:
        return job_store.find_workspace_of_job(c, table, job)

    return open_for(noun, identity, find_workspace_of, find, command)


@contextmanager
def open_for(
    noun: str,
    identity: UUID,
    find_workspace_of: Callable[[Connection, UUID], UUID | None],
    find: Callable[[Connection, key_store.Caller, UUID], Found | None],
    command: str = "",
) -> Iterator[tuple[Context, key_store.Caller, Found]]:
    """Open the context, the operator as a caller of the workspace of a thing, and the thing. Raises ClickException.

    *command*: of which ``list`` shows them, where that is not the *noun*.
    """
    with open_context() as context:
        with context.database.begin() as c:
            workspace = find_workspace_of(c, identity)
            caller = workspace and build_caller(workspace_store.find_workspace(c, str(workspace)))
            found = caller and find(c, caller, identity)
        if not caller or not found:
            raise click.ClickException(
                f"There is no {noun} {identity}: `slipway {command or noun} list` shows them."
            )
        yield context, caller, found
