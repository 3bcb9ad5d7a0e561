"""Sealing every secret at rest with the newest key again, so that an old key can be thrown away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from pipeline.failpoint import failpoint
from pipeline.store.database import Database, row, rows
from pipeline.store.vault import Vault, VaultError


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """One column of sealed values. The statements take ``after`` and ``n``, and ``id`` and ``sealed``."""

    what: str
    batch: str
    store: str


# Locked in id order, as everywhere; nothing else is waited for while they are held.
SHELVES = (
    Shelf(
        what="credentials",
        batch="""SELECT id, credentials AS sealed FROM accounts WHERE id > :after ORDER BY id LIMIT :n
                 FOR UPDATE""",
        store="UPDATE accounts SET credentials = :sealed WHERE id = :id RETURNING id",
    ),
    Shelf(
        what="checkpoints",
        batch="""SELECT id, checkpoint AS sealed FROM deliveries WHERE id > :after AND checkpoint IS NOT NULL
                 ORDER BY id LIMIT :n FOR UPDATE""",
        store="UPDATE deliveries SET checkpoint = :sealed WHERE id = :id RETURNING id",
    ),
    Shelf(
        what="old handles",
        batch="""SELECT id, handle AS sealed FROM old_handles WHERE id > :after ORDER BY id LIMIT :n FOR UPDATE""",
        store="UPDATE old_handles SET handle = :sealed WHERE id = :id RETURNING id",
    ),
)
_FIRST = UUID(int=0)


@dataclass(kw_only=True, slots=True)
class Count:
    """What became of one shelf's values."""

    what: str
    sealed_again: int = 0
    newest_already: int = 0
    unopened: list[UUID] = field(default_factory=list)
    """Rows whose secret opens with none of the keys."""


def rotate(database: Database, keys: str, told: Callable[[Count], None], batch: int = 200) -> list[Count]:
    """Seals everything with the first of ``keys``, a batch a transaction. Cut off, it is simply started again.

    ``told`` hears of the standing after each batch. Raises VaultError when there is no usable key.
    """
    vault = Vault(keys)
    newest = Vault(next(key for key in keys.split(",") if key.strip()))
    return [_shelf(database, shelf, vault, newest, told, batch) for shelf in SHELVES]


def _shelf(
    database: Database, shelf: Shelf, vault: Vault, newest: Vault, told: Callable[[Count], None], batch: int
) -> Count:
    count, after = Count(what=shelf.what), _FIRST
    while True:
        with database.begin() as c:
            found = rows(c, shelf.batch, after=after, n=batch)
            for r in found:
                _one(c, shelf, r.id, r.sealed, vault, newest, count)
        if not found:
            return count
        failpoint("rotation.sealed")
        after = found[-1].id
        told(count)


def _one(
    c: Connection, shelf: Shelf, owner: UUID, sealed: bytes, vault: Vault, newest: Vault, count: Count
) -> None:
    if _opens(newest, sealed, owner):
        count.newest_already += 1
    elif _opens(vault, sealed, owner):
        row(c, shelf.store, id=owner, sealed=vault.rotate(sealed))
        count.sealed_again += 1
    else:
        count.unopened.append(owner)


def _opens(vault: Vault, sealed: bytes, owner: UUID) -> bool:
    try:
        vault.open(sealed, owner)
    except VaultError:
        return False
    return True
