"""The second factors of users: a sealed secret for codes by time, and hashes of the recovery codes that are left.

A recovery code has 80 random bits, so SHA-256 without a salt is enough, as for keys. Each code is taken once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import execute, has_row, hash_text, insert, read_one


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondFactor:
    """The second factor of a user."""

    secret: bytes
    """Sealed for the user's id."""
    confirmed_at: datetime | None
    """None: being turned on, and not asked for."""
    codes_left: int


def find_factor(c: Connection, user: UUID) -> SecondFactor | None:
    """Return a user's second factor; None without one."""
    sql = (
        "SELECT secret, confirmed_at, cardinality(recovery) AS codes_left FROM second_factors WHERE id = :id"
    )
    return read_one(c, SecondFactor, sql, id=user)


def begin_factor(c: Connection, user: UUID, sealed: bytes) -> bool:
    """Store a secret that is not confirmed yet; False if there is one already."""
    return insert(c, "second_factors", conflict="(id) DO NOTHING", id=user, secret=sealed) is not None


def set_recovery(c: Connection, user: UUID, codes: Sequence[str]) -> None:
    """Store new recovery codes in place of the old ones; the factor is asked for from now on."""
    sql = """UPDATE second_factors SET recovery = :codes, confirmed_at = coalesce(confirmed_at, now())
             WHERE id = :id"""
    execute(c, sql, id=user, codes=[hash_text(code) for code in codes])


def take_step(c: Connection, user: UUID, step: int) -> bool:
    """Take the code of a step of time; False if it, or a later one, was taken already."""
    return has_row(
        c,
        "UPDATE second_factors SET last_step = :step WHERE id = :id AND last_step < :step RETURNING id",
        id=user,
        step=step,
    )


def take_recovery(c: Connection, user: UUID, code: str) -> bool:
    """Take a recovery code; False for one that is not left."""
    return has_row(
        c,
        """UPDATE second_factors SET recovery = array_remove(recovery, :code)
           WHERE id = :id AND :code = ANY(recovery) RETURNING id""",
        id=user,
        code=hash_text(code),
    )


def delete_factor(c: Connection, user: UUID) -> bool:
    """Delete a user's second factor; False without one."""
    return has_row(c, "DELETE FROM second_factors WHERE id = :id RETURNING id", id=user)
