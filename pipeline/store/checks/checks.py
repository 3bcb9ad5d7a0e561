"""Checks: the findings at media and music URLs. A check is decided once, then immutable; posts pin checks.

At most one check per workspace, URL and purpose is undecided (single flight). Checks belong to a workspace, so that no
client can infer from its answers which URLs another one uses.

Slots of hosts: how many checks read from one host at once, over all workers. A claim takes a slot of its check's host
in the transaction that takes the check, and the end of the try frees it in the transaction that stores the result. The
primary key keeps two claims from taking the same slot. A worker that dies leaves its slot until ``held_until``, which
is later than the end of any try; then maintenance frees it.

A workspace may take another slot of a host while it holds fewer than are free: alone it has half of them, and its share
shrinks as others come, so that one that has none finds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaFacts, Track
from pipeline.store.arrays import Records
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.database import (
    build,
    execute,
    has_row,
    hash_text,
    jsonb,
    list_columns,
    new_id,
    read_column,
    read_number,
    rows,
)
from pipeline.store.selection import among, select

Purpose = Literal["image", "video", "document", "music"]
Verdict = Literal["good", "refused", "unanswered"]
Link = tuple[UUID, Purpose, str]
"""Workspace, purpose and URL of a check."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check; ``verdict`` None: undecided."""

    id: UUID
    purpose: Purpose
    url: str
    verdict: Verdict | None
    facts: Mapping[str, Any] | None
    seen: str | None
    tries: int = 0
    slow: bool = False
    """True if a try took longer than the usual slots allow: it is tried on one of a few slots, for longer."""

    @cached_property
    def media_facts(self) -> MediaFacts | None:
        """Return the measurements of the probe, if the check is decided good."""
        return MediaFacts(**self.facts) if self.facts and self.purpose != "music" else None

    @property
    def track(self) -> Track | None:
        """The track behind a music link, if it is resolved."""
        return Track(**self.facts) if self.facts and self.purpose == "music" else None


COLUMNS = list_columns(Check)


FACTS = """CASE WHEN k.content_sha256 IS NULL THEN k.facts
                    ELSE k.facts || jsonb_build_object('sha256', encode(k.content_sha256, 'hex')) END"""
"""SQL: the facts of a check ``k`` with the SHA-256 of the file's bytes, where it was computed."""


_LINKS = Records("w uuid, p text, url text, sha bytea")
_NEW = Records("id uuid, w uuid, p text, url text, sha bytea, due timestamptz")


def find_good(
    c: Connection, links: Sequence[Link], within: timedelta, own: str = ""
) -> dict[Link, tuple[Check, datetime]]:
    """Return the newest good check of each link that has one younger than ``within``, and when it was decided.

    Bad checks are never reused. ``own``: how URLs of uploaded files begin. These never change, so that their good
    checks hold for as long as they are stored.
    """
    if not links:
        return {}
    found = rows(
        c,
        f"""SELECT k.id, k.purpose, k.url, k.verdict, k.facts, k.seen, k.workspace_id, k.decided_at
           FROM {_LINKS}, LATERAL (
               SELECT * FROM checks WHERE workspace_id = x.w AND url_sha256 = x.sha AND purpose = x.p
                 AND verdict = 'good' AND decided_at > CASE
                     WHEN starts_with(x.url, :own) AND EXISTS (
                         SELECT FROM files f WHERE f.name = substr(x.url, length(:own) + 1) AND f.url = x.url
                           AND f.workspace_id = x.w AND f.object IS NOT NULL AND f.removed_at IS NULL)
                     THEN '-infinity' ELSE now() - CAST(:within AS interval) END
               ORDER BY decided_at DESC LIMIT 1) k""",
        within=within,
        own=own,
        **_LINKS.bind((*link, hash_text(link[-1])) for link in links),
    )
    return {(r.workspace_id, r.purpose, r.url): (build(Check, r), r.decided_at) for r in found}


def open_checks(c: Connection, requested: Mapping[Link, datetime | None]) -> dict[Link, Check]:
    """Return the undecided check of each link: a new one, or the one already open (which its dispatch retries).

    The values: when the post is due that waits for it, None for now. The earliest post's time counts. The checks stay
    locked until the transaction ends, so none is decided before. They are locked in URL order: two requests with the
    same new URLs in different orders would deadlock.
    """
    if not requested:
        return {}
    found = rows(
        c,
        f"""INSERT INTO checks (id, workspace_id, purpose, url, url_sha256, due_at)
            SELECT id, w, p, url, sha, coalesce(due, now())
            FROM {_NEW} ORDER BY sha, p, w
            ON CONFLICT (workspace_id, url_sha256, purpose) WHERE verdict IS NULL
            DO UPDATE SET seen = CASE WHEN checks.lease_until > now() THEN checks.seen END,
                          next_at = least(checks.next_at, now()), due_at = least(checks.due_at, excluded.due_at)
            RETURNING {COLUMNS}, workspace_id""",
        **_NEW.bind((new_id(), *link, hash_text(link[-1]), due) for link, due in requested.items()),
    )
    return {(r.workspace_id, r.purpose, r.url): build(Check, r) for r in found}


def open_check(
    c: Connection, workspace: UUID, purpose: Purpose, url: str, due_at: datetime | None = None
) -> Check:
    """Return the undecided check of one link, as ``open_checks`` does."""
    [check] = open_checks(c, {(workspace, purpose, url): due_at}).values()
    return check


def read_checks(c: Connection, ids: Sequence[UUID], *, lock: bool = False) -> dict[UUID, Check]:
    """Return these checks. ``lock``: FOR SHARE in URL order, so that none is decided before the post is stored."""
    share = "FOR SHARE" if lock else ""
    found = select(c, Check, "checks", among("id", ids), by="url_sha256, purpose", lock=share)
    return {one.id: one for one in found}


def decide_check(
    c: Connection, check: UUID, verdict: Verdict, *, facts: Mapping[str, Any] | None, seen: str
) -> bool:
    """Decide a check; False when it is decided already. The caller then moves the posts that wait for it.

    ``sha256`` of the facts has a column of its own.
    """
    kept = None if facts is None else {name: value for name, value in facts.items() if name != "sha256"}
    free_slot(c, check)
    return has_row(
        c,
        """UPDATE checks SET verdict = :v, facts = :f, seen = :seen,
                  content_sha256 = decode(:sha, 'hex'), decided_at = clock_timestamp(),
                  lease_until = NULL, fault = NULL WHERE id = :id AND verdict IS NULL RETURNING id""",
        id=check,
        v=verdict,
        f=jsonb(kept),
        sha=facts.get("sha256") if facts else None,
        seen=seen,
    )


def postpone_check(
    c: Connection, check: UUID, wait: timedelta, seen: str | None, fault: str | None = None
) -> None:
    """Schedule the next try of a check that got no answer, and store the finding for readers of its posts.

    ``fault``: what failed in this installation, an alarm, for `count_faults`. Then nothing was seen.
    """
    free_slot(c, check)
    sql = """UPDATE checks SET next_at = now() + :wait, lease_until = NULL, seen = :seen, fault = :fault
             WHERE id = :id AND verdict IS NULL"""
    execute(c, sql, id=check, wait=wait, seen=seen, fault=fault)
    if fault is not None:
        count_alarm(c, fault if fault == STORAGE_FAULT else "check_fault")


def is_within_grace(c: Connection, check: UUID, grace: timedelta) -> bool:
    """Return True until a check's due time plus grace."""
    sql = "SELECT id FROM checks WHERE id = :id AND due_at + CAST(:grace AS interval) > now()"
    return has_row(c, sql, id=check, grace=grace)


_FAULTS = """
SELECT count(fault) AS n FROM (SELECT fault FROM checks WHERE verdict IS NULL ORDER BY next_at DESC LIMIT :n) x
"""


def count_faults(c: Connection, limit: int = 1000) -> int:
    """Count the checks whose last try failed by a fault of this installation, among *limit* that are undecided.

    Such checks are postponed, so they are found before checks that were never tried, however many of these there are.
    """
    return read_number(c, _FAULTS, n=limit)


def move_to_slow_lane(c: Connection, check: UUID) -> None:
    """Release the lease of a check that needs more time, to be tried again at once on one of the few slow slots."""
    free_slot(c, check)
    sql = """UPDATE checks SET slow = true, next_at = now(), lease_until = NULL, fault = NULL
             WHERE id = :id AND verdict IS NULL"""
    execute(c, sql, id=check)


def requeue_check(c: Connection, check: UUID) -> None:
    """Release the lease of a check that its worker will not decide. A late decision is harmless: compare-and-set."""
    free_slot(c, check)
    execute(c, "UPDATE checks SET lease_until = NULL WHERE id = :id AND verdict IS NULL", id=check)


def list_due_checks(c: Connection, limit: int) -> list[UUID]:
    """Return undecided checks that are due and not leased: their message was lost."""
    return read_column(
        c,
        """SELECT id FROM checks WHERE verdict IS NULL AND next_at <= now()
             AND (lease_until IS NULL OR lease_until < now()) ORDER BY next_at LIMIT :n""",
        n=limit,
    )


def lock_undecided(c: Connection, check: UUID) -> bool:
    """Lock an undecided check, so that no post pins it until the transaction ends; False when it is decided."""
    return has_row(c, "SELECT id FROM checks WHERE id = :id AND verdict IS NULL FOR UPDATE", id=check)


def read_tries(c: Connection, check: UUID) -> int:
    """Return how often a check has been tried."""
    return read_number(c, "SELECT tries FROM checks WHERE id = :id", id=check)


def list_full_hosts(c: Connection, limit: int) -> Sequence[tuple[str, UUID | None]]:
    """Return the hosts, of *limit* slots each, with the workspace that has its share there; None: none is free."""
    found = rows(
        c,
        """SELECT DISTINCT host, CASE WHEN taken < :limit THEN workspace_id END AS workspace_id FROM (
               SELECT host, workspace_id, count(*) AS held, sum(count(*)) OVER (PARTITION BY host) AS taken
               FROM host_slots GROUP BY host, workspace_id) shares
           WHERE held >= :limit - taken""",
        limit=limit,
    )
    return [(r.host, r.workspace_id) for r in found]


def free_slot(c: Connection, check: UUID) -> None:
    """Free the slot that a check has, if it has one."""
    execute(c, "DELETE FROM host_slots WHERE check_id = :check", check=check)


def free_expired_slots(c: Connection) -> int:
    """Free the slots of workers that died, and return how many."""
    return execute(c, "DELETE FROM host_slots WHERE held_until < now()")
