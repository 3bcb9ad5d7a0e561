"""Checks: what was seen of a media or music URL. Decided once, then immutable; posts pin them.

At most one check per workspace, URL and purpose is undecided (single flight). Checks belong to a workspace, so that
nothing one client uses can be read off another's answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaFacts, Track
from pipeline.store.database import jsonb, new_id, row, rows

Purpose = Literal["image", "video", "music"]
Verdict = Literal["good", "refused", "unanswered"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check; ``verdict`` None = not decided yet."""

    id: UUID
    purpose: Purpose
    url: str
    verdict: Verdict | None
    facts: Mapping[str, Any] | None
    seen: str | None
    tries: int = 0

    @property
    def media_facts(self) -> MediaFacts | None:
        """What a probe saw of the media, once decided good."""
        return MediaFacts(**self.facts) if self.facts and self.purpose != "music" else None

    @property
    def track(self) -> Track | None:
        """The sound behind a music link, once resolved."""
        return Track(**self.facts) if self.facts and self.purpose == "music" else None


_COLUMNS = "id, purpose, url, verdict, facts, seen, tries"


def fingerprint(url: str) -> bytes:
    """What a URL is found by: an index entry of fixed size, whatever its length."""
    return hashlib.sha256(url.encode()).digest()


def fresh_good(c: Connection, workspace: UUID, purpose: Purpose, url: str, within: timedelta) -> Check | None:
    """A good check of this URL that is young enough to be used again. Bad ones are never used again."""
    found = row(
        c,
        f"""SELECT {_COLUMNS} FROM checks
            WHERE workspace_id = :w AND url_sha256 = :sha AND purpose = :p AND verdict = 'good'
              AND decided_at > now() - :within ORDER BY decided_at DESC LIMIT 1""",
        w=workspace,
        sha=fingerprint(url),
        p=purpose,
        within=within,
    )
    return None if found is None else Check(**found._mapping)


def open_check(c: Connection, workspace: UUID, purpose: Purpose, url: str) -> Check:
    """The undecided check of this URL: a new one, or the one already under way (which the ring will try anew)."""
    found = row(
        c,
        f"""INSERT INTO checks (id, workspace_id, purpose, url, url_sha256) VALUES (:id, :w, :p, :url, :sha)
            ON CONFLICT (workspace_id, url_sha256, purpose) WHERE verdict IS NULL
            DO UPDATE SET seen = CASE WHEN checks.lease_until > now() THEN checks.seen END
            RETURNING {_COLUMNS}""",
        id=new_id(),
        w=workspace,
        p=purpose,
        url=url,
        sha=fingerprint(url),
    )
    if found is None:
        raise LookupError("An undecided check was neither stored nor found.")
    return Check(**found._mapping)


def read_checks(c: Connection, ids: Sequence[UUID], *, lock: bool = False) -> dict[UUID, Check]:
    """These checks. ``lock``: FOR SHARE in URL order; no verdict lands between reading it and storing a post."""
    found = rows(
        c,
        f"""SELECT {_COLUMNS} FROM checks WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY url_sha256, purpose
            {"FOR SHARE" if lock else ""}""",
        ids=list(ids),
    )
    return {r.id: Check(**r._mapping) for r in found}


def claim_check(c: Connection, check: UUID, lease: timedelta) -> Check | None:
    """Takes an undecided check that nobody works on; None when it is decided or taken."""
    found = row(
        c,
        f"""UPDATE checks SET lease_until = now() + :lease, tries = tries + 1
            WHERE id = :id AND verdict IS NULL AND (lease_until IS NULL OR lease_until < now())
            RETURNING {_COLUMNS}""",
        id=check,
        lease=lease,
    )
    return None if found is None else Check(**found._mapping)


def decide_check(
    c: Connection, check: UUID, verdict: Verdict, *, facts: Mapping[str, Any] | None, seen: str
) -> bool:
    """Decides a check once; False when somebody already did. The caller moves the posts that wait for it along."""
    return (
        row(
            c,
            """UPDATE checks SET verdict = :v, facts = :f, seen = :seen, decided_at = clock_timestamp(),
                      lease_until = NULL WHERE id = :id AND verdict IS NULL RETURNING id""",
            id=check,
            v=verdict,
            f=jsonb(None if facts is None else dict(facts)),
            seen=seen,
        )
        is not None
    )


def postpone_check(c: Connection, check: UUID, wait: timedelta, seen: str) -> None:
    """Nobody answered: try again later, and keep what was seen for whoever asks."""
    row(
        c,
        """UPDATE checks SET next_at = now() + :wait, lease_until = NULL, seen = :seen
           WHERE id = :id AND verdict IS NULL RETURNING id""",
        id=check,
        wait=wait,
        seen=seen,
    )


def give_back_check(c: Connection, check: UUID) -> None:
    """Whoever took it will not decide it; taking and deciding are compare-and-set, so a late decision does no harm."""
    row(c, "UPDATE checks SET lease_until = NULL WHERE id = :id AND verdict IS NULL RETURNING id", id=check)


def due_checks(c: Connection, limit: int) -> list[UUID]:
    """Undecided checks whose next try has come and that nobody works on: the net under lost messages."""
    found = rows(
        c,
        """SELECT id FROM checks WHERE verdict IS NULL AND next_at <= now()
             AND (lease_until IS NULL OR lease_until < now()) ORDER BY next_at LIMIT :n""",
        n=limit,
    )
    return [r.id for r in found]


def lock_undecided(c: Connection, check: UUID) -> bool:
    """Keeps posts from pinning an undecided check until the transaction ends; False when it is decided."""
    return row(c, "SELECT id FROM checks WHERE id = :id AND verdict IS NULL FOR UPDATE", id=check) is not None


def tries_of(c: Connection, check: UUID) -> int:
    """How often a check has been tried."""
    found = row(c, "SELECT tries FROM checks WHERE id = :id", id=check)
    return int(found.tries) if found else 0
