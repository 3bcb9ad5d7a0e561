"""The vault: secrets encrypted at rest with the newest key and opened with any key, each bound to its row.

The plaintext contains the owner's id, so a sealed value that is copied to another row does not open there. Key rotation
reseals every secret with the newest key, so that older keys can be removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection

from pipeline.domain.audit import Actor
from pipeline.runtime.failpoint import failpoint
from pipeline.store.audit import record_change
from pipeline.store.database import Database, execute, rows


class VaultError(Exception):
    """A sealed value does not open: wrong key, damaged, or another row's. The message never contains the value."""


class Vault:
    """Seals and opens JSON values with MultiFernet (cryptography.io, "Key rotation")."""

    def __init__(self, keys: str, *, may_be_empty: bool = False) -> None:
        """``keys``: Fernet keys, newest first, separated by commas. Raises VaultError when there is none.

        ``may_be_empty``: then only the use of the vault raises it.
        """
        parts = [key.strip() for key in keys.split(",") if key.strip()]
        if not parts and not may_be_empty:
            raise VaultError("SLIPWAY_VAULT__KEYS is empty. Make a key with `slipway vault new-key`.")
        try:
            self._keys = MultiFernet([Fernet(key) for key in parts]) if parts else None
        except ValueError:
            raise VaultError(
                "SLIPWAY_VAULT__KEYS contains an invalid Fernet key. Make a key with `slipway vault new-key`."
            ) from None

    def __repr__(self) -> str:
        return "Vault(…)"

    @property
    def _fernet(self) -> MultiFernet:
        if self._keys is None:
            raise VaultError(
                "This process works without SLIPWAY_VAULT__KEYS and cannot read or store a credential. "
                "Run this work in a process that has the key."
            )
        return self._keys

    def seal(self, value: Mapping[str, Any], owner: UUID) -> bytes:
        """Encrypt a value for this owner."""
        return self._fernet.encrypt(json.dumps({"owner": str(owner), "value": dict(value)}).encode())

    def open(self, sealed: bytes, owner: UUID) -> dict[str, Any]:
        """Return the value that was sealed for this owner. Raises VaultError."""
        try:
            inside = json.loads(self._fernet.decrypt(bytes(sealed)))
        except InvalidToken:
            raise VaultError(f"The secret of {owner} does not open with the keys at hand.") from None
        if inside["owner"] != str(owner):
            raise VaultError(f"The secret stored for {owner} belongs to another row.")
        value: dict[str, Any] = inside["value"]
        return value

    def rotate(self, sealed: bytes) -> bytes:
        """Return the same value sealed with the newest key. Raises VaultError."""
        try:
            return self._fernet.rotate(bytes(sealed))
        except InvalidToken:
            raise VaultError("A secret does not open with the keys at hand.") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedColumn:
    """A column of sealed values. ``what``: as the report names them; ``used``: those that are tried by ``doctor``."""

    what: str
    table: str
    column: str
    used: str = ""


CREDENTIALS = SealedColumn(
    what="credentials", table="accounts", column="credentials", used="status <> 'inactive'"
)
SEALED_COLUMNS = (
    CREDENTIALS,
    SealedColumn(what="checkpoints", table="deliveries", column="checkpoint"),
    SealedColumn(what="old handles", table="old_handles", column="handle"),
    SealedColumn(what="second factors", table="second_factors", column="secret", used="true"),
    SealedColumn(what="webhook secrets", table="webhooks", column="secrets", used="deleted_at IS NULL"),
)
_FIRST = UUID(int=0)


@dataclass(kw_only=True, slots=True)
class RotationProgress:
    """The results for the values of one column."""

    what: str
    sealed_again: int = 0
    newest_already: int = 0
    unopened: list[UUID] = field(default_factory=list)
    """Rows whose secret no key opens."""


def rotate(
    database: Database,
    actor: Actor,
    keys: str,
    report: Callable[[RotationProgress], None],
    batch: int = 200,
) -> list[RotationProgress]:
    """Reseal everything with the first of ``keys``, one transaction per batch. An interrupted run is started again.

    The audit row is written with the first batch, so that a run that is interrupted later has one too.

    ``report`` gets the progress after each batch. Raises VaultError when there is no usable key.
    """
    vault = Vault(keys)
    newest = Vault(next(key for key in keys.split(",") if key.strip()))
    return [
        _rotate_column(database, None if n else actor, column, vault, newest, report, batch)
        for n, column in enumerate(SEALED_COLUMNS)
    ]


def _rotate_column(
    database: Database,
    actor: Actor | None,
    column: SealedColumn,
    vault: Vault,
    newest: Vault,
    report: Callable[[RotationProgress], None],
    batch: int,
) -> RotationProgress:
    count, after = RotationProgress(what=column.what), _FIRST
    stored = f"UPDATE {column.table} SET {column.column} = :sealed WHERE id = :id"
    while True:
        with database.begin() as c:
            found = _lock_batch(c, column, after, batch)
            if after == _FIRST:
                record_change(
                    c, actor, "rotate", "vault", None, after={"sealed": [x.what for x in SEALED_COLUMNS]}
                )
            for r in found:
                if _can_open(newest, r.sealed, r.id):
                    count.newest_already += 1
                elif _can_open(vault, r.sealed, r.id):
                    execute(c, stored, id=r.id, sealed=vault.rotate(r.sealed))
                    count.sealed_again += 1
                else:
                    count.unopened.append(r.id)
        if not found:
            return count
        failpoint("rotation.sealed")
        after = found[-1].id
        report(count)


def count_unopened(c: Connection, vault: Vault, column: SealedColumn, limit: int = 50) -> tuple[int, int]:
    """Return how many of the oldest and the newest values in use were tried, up to *limit* of each, and do not open."""
    sql = f"SELECT id, {column.column} AS sealed FROM {column.table} WHERE {column.used} ORDER BY id"
    found = rows(c, f"({sql} LIMIT :n) UNION ({sql} DESC LIMIT :n)", n=limit)
    return len(found), sum(not _can_open(vault, r.sealed, r.id) for r in found)


def _lock_batch(c: Connection, column: SealedColumn, after: UUID, limit: int) -> list[Any]:
    """Return the next rows, locked in id order, as everywhere; no other lock is taken while they are held."""
    return rows(
        c,
        f"""SELECT id, {column.column} AS sealed FROM {column.table}
            WHERE id > :after AND {column.column} IS NOT NULL ORDER BY id LIMIT :n FOR NO KEY UPDATE""",
        after=after,
        n=limit,
    )


def _can_open(vault: Vault, sealed: bytes, owner: UUID) -> bool:
    try:
        vault.open(sealed, owner)
    except VaultError:
        return False
    return True
