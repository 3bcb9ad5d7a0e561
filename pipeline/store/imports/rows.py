"""Rows of imports: what the file has, the verdict on it, and the post it became."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.bulk_import import RowVerdict
from pipeline.store.arrays import Records, write_ids, write_texts
from pipeline.store.database import build, execute, list_columns, read_all, rows


@dataclass(frozen=True, kw_only=True, slots=True)
class RowRecord:
    """One row of an import."""

    number: int
    """From 1."""
    line: int
    """Its first physical line in the file."""
    verdict: RowVerdict
    action: str | None = None
    """create or update: what applying the row does."""
    identity: str | None = None
    """Equal for rows of one post but for their occurrence; None of a rejected row."""
    occurrence: int = 0
    fingerprint: bytes | None = None
    due_at: datetime | None = None
    """None: published at once."""
    accounts: Sequence[UUID] | None = None
    body: Mapping[str, Any] | None = None
    source: Any = None
    issues: Sequence[Mapping[str, Any]] | None = None
    post_id: UUID | None = None
    rollback: str | None = None
    """The result of a rollback for its post: cancelled · edited · live · settled."""
    judged: bytes | None = None
    """The digest of the data that the rules went by; None: it is validated again when it is applied."""
    warnings: Sequence[Mapping[str, Any]] | None = None
    """``code`` and ``message`` of what its author should know, though the row is not rejected."""

    @property
    def token(self) -> str | None:
        """Return the token that a repeat of the row is recognised by, in whatever file."""
        return f"{self.identity}:{self.occurrence}" if self.identity and self.occurrence else self.identity


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRow:
    """The first row of a file that has an identity. ``occurrence``: of the last row that has it."""

    number: int
    fingerprint: bytes | None
    post_id: UUID | None
    occurrence: int


_ROW = list_columns(RowRecord)
_STORED = Records(
    "number bigint, line bigint, verdict text, action text, identity text, occurrence integer, fingerprint bytea, "
    "due_at timestamptz, accounts uuid[], body jsonb, source jsonb, issues jsonb, post_id uuid, judged bytea, "
    "warnings jsonb",
    prefix="row_",
)
_APPLIED = Records("number bigint, verdict text, action text, issues jsonb, post_id uuid", prefix="row_")
_ROLLED_BACK = Records("number bigint, word text", prefix="row_")
# Comparing rows and ordering by the whole key leaves one index to walk along, however the planner counts the tables.
_FIRST = """LATERAL (SELECT import_id, identity, number, fingerprint, post_id FROM import_rows
        WHERE identity IS NOT NULL AND (import_id, identity) >= (CAST(:id AS uuid), x.identity)
        ORDER BY import_id, identity, number LIMIT 1) f"""
_LAST = """LATERAL (SELECT import_id, identity, occurrence FROM import_rows
        WHERE identity IS NOT NULL AND (import_id, identity, number) <= (CAST(:id AS uuid), x.identity, :before)
        ORDER BY import_id DESC, identity DESC, number DESC LIMIT 1) l"""
# A join by number could read all rows of the import; one by place cannot.
_PLACE = """LATERAL (SELECT ctid AS place, identity FROM import_rows
        WHERE import_id = :id AND number = x.number LIMIT 1) p"""


def store_rows(c: Connection, identity: UUID, found: Sequence[RowRecord]) -> None:
    """Store rows; rows that an earlier reading of the file stored are replaced."""
    own = _STORED.columns
    execute(
        c,
        f"""INSERT INTO import_rows (import_id, {own})
            SELECT :id, {own.replace("accounts", "accounts::uuid[]")} FROM {_STORED}
            ON CONFLICT (import_id, number) DO UPDATE
            SET {", ".join(f"{name} = excluded.{name}" for name in own.split(", ")[1:])}""",
        id=identity,
        **_STORED.bind(found),
    )


def find_earlier(
    c: Connection, identity: UUID, before: int, identities: Collection[str]
) -> dict[str, EarlierRow]:
    """Return the first row of each identity among the rows up to number *before*."""
    found = rows(
        c,
        f"""SELECT x.identity, f.number, f.fingerprint, f.post_id, x.occurrence
            FROM unnest(:identities::text[]) AS n (identity),
                 LATERAL (SELECT n.identity, l.occurrence FROM (SELECT n.identity) AS x, {_LAST}
                          WHERE l.import_id = :id AND l.identity = x.identity OFFSET 0) AS x, {_FIRST}""",
        id=identity,
        identities=write_texts(identities),
        before=before,
    )
    return {r.identity: build(EarlierRow, r) for r in found}


def list_to_apply(c: Connection, identity: UUID, after: int, limit: int) -> list[RowRecord]:
    """Return the next accepted rows after a number, and repeats of one whose post was not known, in order."""
    requested = "(verdict = 'accepted' OR verdict = 'duplicate' AND post_id IS NULL)"
    return _list(c, requested, identity, after, limit)


def list_created(c: Connection, identity: UUID, after: int, limit: int) -> list[RowRecord]:
    """Return the next rows whose posts the import has made."""
    return _list(
        c, "verdict = 'accepted' AND action = 'create' AND post_id IS NOT NULL", identity, after, limit
    )


def list_rows(
    c: Connection, identity: UUID, verdict: RowVerdict | None, after: int, limit: int
) -> list[RowRecord]:
    """Return the next rows of a verdict, or all, in order."""
    requested = "true" if verdict is None else f"verdict = '{RowVerdict(verdict)}'"
    return _list(c, requested, identity, after, limit)


class RowGroup(StrEnum):
    """Rows that are looked at together."""

    REFUSED = "refused"
    WARNED = "warned"
    """Not refused, with warnings."""
    CHANGES = "changes"
    """They edit a post that is there."""
    REST = "rest"
    """Neither refused nor warned."""


_IN_GROUP: Mapping[RowGroup, str] = {
    RowGroup.REFUSED: "verdict = 'rejected'",
    RowGroup.WARNED: "warnings IS NOT NULL",
    RowGroup.CHANGES: "action = 'update'",
    RowGroup.REST: "verdict <> 'rejected' AND warnings IS NULL",
}


def list_group(c: Connection, identity: UUID, group: RowGroup, after: int, limit: int) -> list[RowRecord]:
    """Return the next rows of a group after a number, in order."""
    return _list(c, _IN_GROUP[group], identity, after, limit)


def settle_rows(c: Connection, identity: UUID, found: Sequence[RowRecord]) -> None:
    """Store the results of applying rows: verdict, action, issues and post."""
    sql = f"""UPDATE import_rows r SET verdict = x.verdict, action = x.action, issues = x.issues, post_id = x.post_id
              FROM {_APPLIED}, {_PLACE} WHERE r.ctid = p.place"""
    execute(c, sql, id=identity, **_APPLIED.bind(found))


def link_repeats(c: Connection, identity: UUID, numbers: Collection[int]) -> None:
    """Give these rows, each of which repeats an earlier row of its file, the post of that row."""
    execute(
        c,
        f"""UPDATE import_rows r SET post_id = f.post_id
            FROM unnest(CAST(:numbers AS bigint[])) AS n (number),
                 LATERAL (SELECT p.* FROM (SELECT n.number) AS x (number), {_PLACE}) AS x, {_FIRST}
            WHERE r.ctid = x.place AND f.import_id = :id""",
        id=identity,
        numbers=list(numbers),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleRow:
    """An accepted or duplicate row that would get another verdict now."""

    number: int
    line: int
    why: str
    """taken · gone · late · inactive."""


_STALE = """
FROM import_rows r LEFT JOIN LATERAL (
         SELECT post_id FROM replays WHERE workspace_id = :w
         AND NOT released AND token = r.identity || CASE WHEN r.occurrence > 0 THEN ':' || r.occurrence ELSE '' END
         AND (r.occurrence = 0 OR (SELECT deleted_at IS NULL FROM posts WHERE id = post_id)) LIMIT 1) p ON true,
     LATERAL (SELECT CASE
         WHEN r.action = 'create' AND p.post_id IS NOT NULL THEN 'taken'
         WHEN r.post_id IS NOT NULL AND p.post_id IS DISTINCT FROM r.post_id THEN 'gone'
         WHEN r.verdict = 'accepted' AND r.due_at < now() - interval '30 seconds'
              AND NOT coalesce(r.body ->> 'scheduled_at' LIKE 'auto%', false) THEN 'late'
         WHEN r.verdict = 'accepted' AND EXISTS (
             SELECT FROM accounts a WHERE a.id = ANY(r.accounts) AND a.status = 'inactive') THEN 'inactive'
         END AS why) found
WHERE r.import_id = :id AND r.identity IS NOT NULL AND found.why IS NOT NULL
"""


def list_found_times(c: Connection, identity: UUID, accounts: Collection[UUID]) -> dict[UUID, list[datetime]]:
    """Return the free posting times that rows of an import were given when they were planned, by account."""
    found = rows(
        c,
        """SELECT a AS account, r.due_at FROM import_rows r CROSS JOIN unnest(r.accounts) a
           WHERE r.import_id = :id AND r.verdict = 'accepted' AND r.body ->> 'scheduled_at' LIKE 'auto%'
             AND a = ANY (CAST(:accounts AS uuid[]))""",
        id=identity,
        accounts=list(accounts),
    )
    times: dict[UUID, list[datetime]] = {}
    for r in found:
        times.setdefault(r.account, []).append(r.due_at)
    return times


def list_stale(c: Connection, workspace: UUID, identity: UUID, limit: int) -> list[StaleRow]:
    """Return rows of a plan that would get another verdict now, in order."""
    sql = f"SELECT r.number, r.line, found.why {_STALE} ORDER BY r.number LIMIT :n"
    return read_all(c, StaleRow, sql, w=workspace, id=identity, n=limit)


def settle_rollback(c: Connection, identity: UUID, found: Mapping[int, str]) -> None:
    """Store the results of a rollback for the posts of rows, by number."""
    sql = (
        f"""UPDATE import_rows r SET rollback = x.word FROM {_ROLLED_BACK}, {_PLACE} WHERE r.ctid = p.place"""
    )
    execute(c, sql, id=identity, **_ROLLED_BACK.bind(found.items()))


def release_tokens(c: Connection, workspace: UUID, tokens: Collection[str], posts: Collection[UUID]) -> None:
    """Let imports make these posts again, which a rollback has cancelled: forget rows, release external ids.

    The ``external_id`` of a post of which anything was armed stays taken: it may be live where its answer was lost.
    """
    ours = "workspace_id = :w AND token = ANY(:tokens::text[]) AND post_id = ANY(:posts::uuid[])"
    given = {"w": workspace, "tokens": write_texts(tokens), "posts": write_ids(posts)}
    execute(c, f"DELETE FROM replays WHERE {ours} AND token LIKE 'row:%'", **given)
    execute(
        c,
        f"""UPDATE replays SET released = true WHERE {ours} AND NOT EXISTS (
                SELECT FROM post_deliveries d JOIN attempts a ON a.delivery_id = d.id
                WHERE d.post_id = replays.post_id AND a.armed_at IS NOT NULL)""",
        **given,
    )


def delete_rows(c: Connection, identity: UUID, limit: int) -> int:
    """Delete some rows of an import; return how many."""
    sql = """DELETE FROM import_rows WHERE import_id = :id AND number IN (
                 SELECT number FROM import_rows WHERE import_id = :id ORDER BY number LIMIT :n)"""
    return execute(c, sql, id=identity, n=limit)


def _list(c: Connection, requested: str, identity: UUID, after: int, limit: int) -> list[RowRecord]:
    return read_all(
        c,
        RowRecord,
        f"""SELECT {_ROW} FROM import_rows WHERE import_id = :id AND number > :after AND {requested}
            ORDER BY number LIMIT :n""",
        id=identity,
        after=after,
        n=limit,
    )
