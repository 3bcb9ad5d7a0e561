"""`slipway key`: what a client of the API shows to be let in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.durations import MOMENT, SPAN
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.auth.keys import Key

ONCE = "This key is shown only once: keep it now. Send it as `Authorization: Bearer <key>`."


@click.group()
def command() -> None:
    """Keys of the API; each speaks for one workspace, or for less where it was made for less."""


@command.command(
    epilog="Examples:\n\n\b\n  slipway key create Acme --name reporting --read-only --expires 90d"
    "\n  slipway key create Acme --name agency --account acme_shop --account 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
)
@click.argument("workspace")
@click.option("--name", default="", help="What it is for; shown in lists.")
@click.option("--read-only", is_flag=True, help="It may read, and nothing else.")
@click.option(
    "--account",
    "chosen",
    multiple=True,
    metavar="ID",
    help="Bind it to this account (id or username); may stand several times. It sees and steers only posts that go "
    "to none but these.",
)
@click.option(
    "--expires",
    type=MOMENT,
    metavar="WHEN",
    help="It stops then: an ISO 8601 time with an offset, or how far from now (90d).",
)
@click.option("--bulk", is_flag=True, help="For mass work: its requests have a narrow line of their own.")
@json_option
def create(
    workspace: str,
    name: str,
    chosen: Sequence[str],
    expires: datetime | None,
    *,
    read_only: bool,
    bulk: bool,
    as_json: bool,
) -> None:
    """Make a key for WORKSPACE (name or id). It is shown this once: only a hash of it is kept.

    What it may do cannot be changed afterwards.
    """
    from pipeline.store.auth.keys import Terms, create_key
    from pipeline.store.auth.workspaces import find_workspace

    with ledger() as c:
        found = find_workspace(c, workspace)
        accounts = sorted({_account(c, found.id, one) for one in chosen}) or None
        terms = Terms(read_only=read_only, accounts=accounts, expires_at=expires, bulk=bulk)
        key = create_key(c, found.id, name, terms)
    facts = {
        "key": key,
        "public_id": key.partition(".")[0],
        "workspace_id": found.id,
        "name": name,
        "read_only": read_only,
        "accounts": accounts,
        "expires_at": written(expires),
        "bulk": bulk,
    }
    _shown_once(facts, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway key rotate slw_live_0123456789abcdef --overlap 24h")
@click.argument("public_id", metavar="ID")
@click.option(
    "--overlap",
    type=SPAN,
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="How long the old secret works beside the new one; 0s: not at all.",
)
@json_option
def rotate(public_id: str, overlap: timedelta, *, as_json: bool) -> None:
    """Give key ID (its public half) a new secret, shown this once. What it may do stays as it is.

    The old secret works until the overlap is over; the one before that stops at once.
    """
    from pipeline.store.auth.keys import list_keys, rotate_key

    shown = public_id.partition(".")[0]
    with ledger() as c:
        key = rotate_key(c, shown, overlap)
        if key is None:
            raise _no_such(shown)
        [until] = [k.earlier_until for k in list_keys(c) if k.public_id == shown]
    _shown_once({"key": key, "public_id": shown, "old_works_until": written(until)}, as_json=as_json)
    if not as_json:
        click.echo(f"The old one works until {written(until)}.", err=True)


@command.command("list", epilog=EXAMPLE + "slipway key list Acme --json")
@click.argument("workspace", required=False)
@json_option
def list_(workspace: str | None, *, as_json: bool) -> None:
    """List the keys of WORKSPACE (name or id), or all, and when each was last used; the secret half is nowhere.

    The last use is right to a minute.
    """
    from pipeline.store.auth.keys import list_keys
    from pipeline.store.auth.workspaces import find_workspace, list_workspaces

    with ledger() as c:
        only = find_workspace(c, workspace).id if workspace else None
        names = {w.id: w.name for w in list_workspaces(c)}
        found = list_keys(c, only)
    rows = [_row(key, names[key.workspace_id], as_json=as_json) for key in found]
    show(rows, as_json=as_json, empty="No keys. `slipway key create WORKSPACE` makes one.")


@command.command(epilog=EXAMPLE + "slipway key revoke slw_live_0123456789abcdef")
@click.argument("public_id")
@json_option
def revoke(public_id: str, *, as_json: bool) -> None:
    """Take a key out of use, for good: requests that show it are refused within a second."""
    from pipeline.store.auth.keys import revoke_key

    shown = public_id.partition(".")[0]
    with ledger() as c:
        if not revoke_key(c, public_id):
            raise _no_such(shown)
    if as_json:
        show_one({"public_id": shown, "revoked": True}, as_json=True)
    else:
        click.echo(f"{shown} is revoked.")


def _row(key: Key, workspace: str, *, as_json: bool) -> dict[str, Any]:
    """JSON has every fact in a place of its own; people get one word for what is out of the ordinary."""
    named = {"public_id": key.public_id, "workspace": workspace, "name": key.name}
    times = {
        "created_at": written(key.created_at),
        "last_used_at": written(key.last_used_at),
        "expires_at": written(key.expires_at),
        "revoked_at": written(key.revoked_at),
    }
    if not as_json:
        return {**named, "may": _may(key), **times}
    return {
        **named,
        "read_only": key.read_only,
        "accounts": key.accounts,
        "bulk": key.bulk,
        **times,
        "rotated_at": written(key.rotated_at),
        "old_works_until": written(key.earlier_until),
    }


def _may(key: Key) -> str:
    parts = [
        "read" if key.read_only else "everything",
        "" if key.accounts is None else f"{len(key.accounts)} account{'s'[: len(key.accounts) > 1]}",
        "bulk" if key.bulk else "",
    ]
    return ", ".join(part for part in parts if part)


def _account(c: Connection, workspace: UUID, given: str) -> UUID:
    from pipeline.store.accounts.accounts import find_accounts

    found = [a for a in find_accounts(c, workspace) if given.lower() == str(a.id) or given == a.username]
    if not found:
        raise click.ClickException(
            f"The workspace has no account {given!r}: `slipway account list` shows what there is."
        )
    if len(found) > 1:
        ids = ", ".join(f"{a.id} ({a.platform})" for a in found)
        raise click.ClickException(f"{given!r} is the name of several accounts; say which by its id: {ids}.")
    return found[0].id


def _shown_once(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_one(facts, as_json=True)
    else:
        click.echo(facts["key"])
        click.echo(ONCE, err=True)


def _no_such(public_id: str) -> click.ClickException:
    return click.ClickException(f"There is no key {public_id!r} in use: `slipway key list` shows them.")
