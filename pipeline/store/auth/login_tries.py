"""Tries to log in, counted for all processes: ten, then a wait."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows

MAX_TRIES = 10
WAIT = timedelta(minutes=15)
"""After the last try that was counted, all are forgotten."""


def count_try(c: Connection, subject: str) -> bool:
    """Count a try before its password is checked. Return False if the subject has to wait.

    *subject*: a login or an address, with a prefix that says which. Concurrent tries queue at its row.
    """
    counted = row(
        c,
        """INSERT INTO login_tries AS t (subject_sha256, tries, until) VALUES (:subject, 1, now() + :wait)
           ON CONFLICT (subject_sha256) DO UPDATE
           SET tries = CASE WHEN t.until <= now() THEN 1 ELSE t.tries + 1 END, until = now() + :wait
           WHERE t.tries < :most OR t.until <= now() RETURNING tries""",
        subject=_hash(subject),
        wait=WAIT,
        most=MAX_TRIES,
    )
    return counted is not None


def forget_tries(c: Connection, subject: str) -> None:
    """Forget the tries of a subject."""
    rows(c, "DELETE FROM login_tries WHERE subject_sha256 = :subject RETURNING tries", subject=_hash(subject))


def take_back_try(c: Connection, subject: str) -> None:
    """Count one try less: it was right. An address keeps the wrong ones of other logins."""
    row(
        c,
        "UPDATE login_tries SET tries = greatest(tries - 1, 0) WHERE subject_sha256 = :subject RETURNING tries",
        subject=_hash(subject),
    )


def _hash(subject: str) -> bytes:
    return hashlib.sha256(subject.encode("utf-8", "replace")).digest()
