"""Webhooks: where events are sent, with which secrets, and whether they are paused. Secrets are sealed by the vault."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.attention import Kind
from pipeline.domain.notice import Form
from pipeline.domain.webhook import ALWAYS, CHOICES, EventType, PauseReason
from pipeline.store.auth.keys import Caller
from pipeline.store.database import (
    build,
    execute,
    find_value,
    insert,
    list_columns,
    new_id,
    read_all,
    read_one,
    require_value,
    rows,
)
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.rollups.settled_counts import ALL_WORKSPACES
from pipeline.store.selection import Where, among, where, where_given
from pipeline.store.vault import Vault, VaultError

SECRET_BYTES = 32
"""Bytes of entropy; the specification asks for 24 to 64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A webhook without its secrets."""

    id: UUID
    workspace_id: UUID
    """``ALL_WORKSPACES`` only of a target of notices."""
    form: Form
    key_id: UUID | None
    accounts: Sequence[UUID] | None
    url: str
    types: Sequence[str] | None
    """The types of the events that it chose; None: all."""
    description: str | None = None
    created_at: datetime
    earlier_until: datetime | None = None
    paused_at: datetime | None = None
    paused_why: PauseReason | None = None
    failing_since: datetime | None = None

    @property
    def scope(self) -> UUID | None:
        """The workspace; None: all."""
        return None if self.workspace_id == ALL_WORKSPACES else self.workspace_id

    def takes(self, kind: EventType | Kind) -> bool:
        """Return True if it chose events of this type, or notices of matters of this kind."""
        return self.types is None or kind in ALWAYS or kind in self.types

    def may_see(self, accounts: Collection[UUID]) -> bool:
        """Return True if it may get events about these accounts."""
        return self.accounts is None or set(accounts) <= set(self.accounts)


COLUMNS = list_columns(Webhook).replace(
    "workspace_id", f"coalesce(workspace_id, '{ALL_WORKSPACES}') AS workspace_id"
)
LISTENING = where("form = 'event' AND deleted_at IS NULL")
"""The webhooks that events are made for."""


def create_webhook(
    c: Connection,
    vault: Vault,
    caller: Caller,
    *,
    url: str,
    types: Sequence[str] | None,
    description: str | None,
    identity: UUID | None = None,
) -> tuple[Webhook, str]:
    """Store a webhook; return it, and its secret, which is not shown again."""
    identity, secret = identity or new_id(), _new_secret()
    found = insert(
        c,
        "webhooks",
        returning=COLUMNS,
        id=identity,
        workspace_id=caller.workspace_id,
        key_id=caller.stored_key,
        accounts=None if caller.accounts is None else list(caller.accounts),
        url=url,
        types=_to_types(types),
        description=description,
        secrets=vault.seal({"current": secret}, identity),
    )
    return build(Webhook, found), secret


def lock_creation(c: Connection, workspace: UUID) -> None:
    """Let no other transaction create a webhook of this workspace until this one ends."""
    execute(c, "SELECT pg_advisory_xact_lock(hashtextextended(:w, 4))", w=f"webhooks {workspace}")


def list_webhooks(
    c: Connection, caller: Caller, identity: UUID | None = None, *, lock: bool = False
) -> list[Webhook]:
    """Return the webhooks that the caller may see, oldest first, or the one of this id.

    A key that is restricted to accounts sees its own. *lock*: until the end of the transaction, against senders too.
    """
    own = restrict_files(caller) & where_given({"id": "id = :id"}, id=identity) & LISTENING
    return list_chosen(c, own, lock="FOR NO KEY UPDATE" if lock else "")


def list_webhooks_of(
    c: Connection, workspaces: Collection[UUID], identity: UUID | None = None
) -> list[Webhook]:
    """Return the webhooks of these workspaces, oldest first, or the one of this id."""
    own = where_given({"id": "id = :id"}, id=identity)
    return list_chosen(c, among("workspace_id", workspaces) & own & LISTENING)


def list_chosen(c: Connection, chosen: Where, *, by: str = "created_at, id", lock: str = "") -> list[Webhook]:
    """Return the chosen webhooks and targets of notices, in an order."""
    sql = f"SELECT {COLUMNS} FROM webhooks WHERE {chosen} ORDER BY {by} {lock}"
    return read_all(c, Webhook, sql, **chosen.values)


def find_workspace_of_webhook(c: Connection, identity: UUID) -> UUID | None:
    """Return the workspace of a webhook."""
    sql = "SELECT workspace_id FROM webhooks WHERE id = :id AND deleted_at IS NULL"
    return find_value(c, UUID, sql, id=identity)


def change_webhook(c: Connection, identity: UUID, **changes: Any) -> Webhook:
    """Change a locked webhook: url, types, description. Returns it."""
    if "types" in changes:
        changes["types"] = _to_types(changes["types"])
    names = ", ".join(f"{name} = :{name}" for name in changes) or "id = id"
    sql = f"UPDATE webhooks SET {names} WHERE id = :id RETURNING {COLUMNS}"
    [changed] = read_all(c, Webhook, sql, id=identity, **changes)
    return changed


def pause_webhook(c: Connection, identity: UUID, why: PauseReason) -> Webhook | None:
    """Pause a webhook and return it; None if it is paused already: the first reason stays."""
    sql = f"""UPDATE webhooks SET paused_at = now(), paused_why = :why
              WHERE id = :id AND paused_at IS NULL RETURNING {COLUMNS}"""
    return read_one(c, Webhook, sql, id=identity, why=why)


def resume_webhook(c: Connection, identity: UUID) -> None:
    """Resume a locked webhook: waiting events are sent, in order, and every event has all its tries again."""
    sql = """UPDATE webhooks SET paused_at = NULL, paused_why = NULL, failing_since = NULL, failures = 0,
                    hold_until = served_at WHERE id = :id"""
    execute(c, sql, id=identity)
    sql = """UPDATE webhook_events SET tries = 0, next_at = now()
             WHERE webhook_id = :id AND next_at IS NOT NULL AND tries > 0"""
    execute(c, sql, id=identity)


def delete_webhook(c: Connection, identity: UUID) -> None:
    """Delete a locked webhook: nothing is sent to it any more. Its events are deleted by maintenance."""
    execute(c, "UPDATE webhooks SET deleted_at = now() WHERE id = :id", id=identity)


def rotate_secret(c: Connection, vault: Vault, identity: UUID, overlap: timedelta) -> tuple[Webhook, str]:
    """Give a locked webhook a new secret; the one before signs too for *overlap*. Return the webhook and the secret.

    One that no key of the vault opens signs no more.
    """
    sql = "SELECT secrets FROM webhooks WHERE id = :id"
    known = require_value(c, bytes, f"There is no webhook {identity}.", sql, id=identity)
    fresh = {"current": _new_secret()}
    with suppress(VaultError):
        fresh["earlier"] = vault.open(known, identity)["current"]
    sql = f"""UPDATE webhooks SET secrets = :sealed, earlier_until = now() + :overlap WHERE id = :id
              RETURNING {COLUMNS}"""
    [rotated] = read_all(c, Webhook, sql, id=identity, sealed=vault.seal(fresh, identity), overlap=overlap)
    return rotated, fresh["current"]


def open_secrets(vault: Vault, identity: UUID, sealed: bytes, *, with_earlier: bool) -> list[str]:
    """Return the secrets that sign, the current one first. Raises VaultError."""
    known = vault.open(sealed, identity)
    return [known[name] for name in ("current", "earlier")[: 1 + with_earlier] if name in known]


def count_paused_webhooks(c: Connection) -> dict[PauseReason, int]:
    """Return how many webhooks are paused for each reason."""
    found = rows(
        c,
        """SELECT paused_why AS why, count(*) AS n FROM webhooks
           WHERE form = 'event' AND deleted_at IS NULL AND paused_at IS NOT NULL GROUP BY 1""",
    )
    return {**dict.fromkeys(PauseReason, 0), **{PauseReason(r.why): r.n for r in found}}


def list_all_paused(c: Connection, limit: int) -> list[Webhook]:
    """Return paused webhooks of all workspaces, the longest paused first."""
    sql = f"SELECT {COLUMNS} FROM webhooks WHERE {LISTENING} AND paused_at IS NOT NULL ORDER BY paused_at LIMIT :n"
    return read_all(c, Webhook, sql, n=limit)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _to_types(types: Sequence[str] | None) -> list[str] | None:
    """Return the types in their order, each once."""
    return None if types is None else [kind for kind in CHOICES if kind in types]
