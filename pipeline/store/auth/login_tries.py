"""Tries to log in, counted for all processes: ten, then a wait. And which addresses and browsers have logged in before.

A browser is known for a login by the token of its form, of which only a hash is stored, as of all subjects. A row of a
known one has no tries; the tries of a browser have a row of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import timedelta
from ipaddress import ip_address, ip_network

from sqlalchemy import Connection

from pipeline.store.database import row, rows

MAX_TRIES = 10
WAIT = timedelta(minutes=15)
"""After the last try that was counted, all are forgotten."""


KNOWN_FOR = timedelta(days=30)
"""After the last login."""


def name_login(login: str) -> str:
    """Return the subject of the tries for a login."""
    return f"login {login}"


def name_address(address: str) -> str:
    """Return the subject of the tries from an address. An IPv6 network of /64 is one customer's: it counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address {address}"
    network = ip_network((parsed, 32 if parsed.version == 4 else 64), strict=False)  # noqa: PLR2004  IPv4
    return f"address {network}"


def name_browser(token: str, login: str) -> str:
    """Return the subject of the tries for a login in one browser."""
    return f"browser {token} {login}"


def list_known(c: Connection, subjects: Collection[str]) -> frozenset[str]:
    """Return the subjects, from `name_address` and `name_browser`, that have logged in before."""
    hashes = {_hash(_name_known(subject)): subject for subject in subjects}
    found = rows(
        c,
        "SELECT subject_sha256 FROM login_tries WHERE subject_sha256 = ANY(:subjects) AND until > now()",
        subjects=list(hashes),
    )
    return frozenset(hashes[bytes(r.subject_sha256)] for r in found)


def remember(c: Connection, subjects: Collection[str]) -> None:
    """Store that these subjects have logged in."""
    for subject in subjects:
        row(
            c,
            """INSERT INTO login_tries AS t (subject_sha256, tries, until) VALUES (:subject, 0, now() + :known)
               ON CONFLICT (subject_sha256) DO UPDATE SET until = excluded.until RETURNING tries""",
            subject=_hash(_name_known(subject)),
            known=KNOWN_FOR,
        )


def count_try(c: Connection, subject: str) -> bool:
    """Count a try before its password is checked. Return False if the subject has to wait.

    *subject*: from `name_login` or `name_address`. Concurrent tries queue at its row.
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


def _name_known(subject: str) -> str:
    return f"known {subject}"


def _hash(subject: str) -> bytes:
    return hashlib.sha256(subject.encode("utf-8", "replace")).digest()
