"""Approvals: posts that wait until another person or key has approved them as they are, and links for clients.

An approval is bound to the digest of all that the post sends (``post_digest`` in the schema). What changes a post ends
it in the same transaction (``LOSE_APPROVAL``); arm compares the digest once more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.level import LEVELS
from pipeline.store.auth.keys import Caller
from pipeline.store.database import (
    Database,
    execute,
    has_row,
    hash_text,
    insert,
    list_columns,
    read_all,
    read_number,
    read_one,
    rows,
)
from pipeline.store.selection import Keyset, Where, among, find, select, where

Within = Collection[UUID] | None
"""The workspaces whose posts are listed; None: all."""
Place = tuple[datetime, UUID]
"""The due time and id of a post."""
MOST_LINKS = 100
"""Links of a list."""

LOSE_APPROVAL = """digest = NULL, approver = NULL, approved_at = NULL, sent_back = NULL,
               changed_at = clock_timestamp()"""
"""SQL: what an UPDATE of ``approvals`` sets when a post is changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Where the approval of a post stands."""

    post_id: UUID
    author: str
    editor: str
    """The last one to change it, at first the author."""
    hash: str
    """The digest of what the post sends now, in hexadecimal digits."""
    is_approved: bool
    """It was approved as it is now."""
    approver: str | None
    approved_at: datetime | None
    sent_back: str | None
    changed_at: datetime
    is_checking: bool
    """Its media are not all checked yet, so what would be sent is not known."""
    unpinned: Sequence[str]
    """URLs whose servers name no version (ETag): only the size is compared before it is sent."""


_READ = """
SELECT v.post_id, v.author, v.editor, encode(found.digest, 'hex') AS hash, v.sent_back, v.changed_at,
       v.digest IS NOT DISTINCT FROM found.digest AS is_approved, v.approver, v.approved_at,
       EXISTS (SELECT FROM post_deliveries d WHERE d.post_id = v.post_id AND d.state = 'accepted') AS is_checking,
       ARRAY(SELECT k.url FROM post_checks pc JOIN checks k ON k.id = pc.check_id
             WHERE pc.post_id = v.post_id AND k.purpose <> 'music' AND k.content_sha256 IS NULL
               AND k.facts ->> 'etag' IS NULL ORDER BY pc.position) AS unpinned
FROM approvals v, LATERAL (SELECT post_digest(v.post_id) AS digest OFFSET 0) found
WHERE v.post_id = ANY (CAST(:ids AS uuid[]))
"""


def read_approvals(c: Connection, posts: Sequence[UUID]) -> dict[UUID, Approval]:
    """Return the approvals of those of these posts that need one. One that a change has overtaken is none."""
    return {one.post_id: one for one in read_all(c, Approval, _READ, ids=list(posts))}


def demand_approval(c: Connection, caller: Caller, posts: Sequence[UUID]) -> None:
    """Have locked posts wait for an approval that need none so far, if the caller is one whose posts need it."""
    if caller.needs_approval:
        demand_of(c, posts, caller.author)


def demand_of(c: Connection, posts: Sequence[UUID], author: str) -> int:
    """Have posts wait for an approval that need none so far, and older workers leave them; return how many."""
    return execute(
        c,
        """WITH needed AS (
               INSERT INTO approvals (post_id, workspace_id, author, editor)
               SELECT id, workspace_id, coalesce('key ' || key_id, :author), :author
               FROM posts WHERE id = ANY (CAST(:ids AS uuid[]))
               ON CONFLICT DO NOTHING RETURNING post_id
           ), raised AS (
               UPDATE post_deliveries d SET level = greatest(level, :level) FROM needed WHERE d.post_id = needed.post_id
           )
           SELECT post_id FROM needed""",
        ids=list(posts),
        author=author,
        level=LEVELS["hold.approval"],
    )


def note_edit(c: Connection, caller: Caller, post: UUID) -> None:
    """Note the last editor of a locked post, who does not approve it."""
    demand_approval(c, caller, [post])
    execute(c, "UPDATE approvals SET editor = :by WHERE post_id = :id", id=post, by=caller.author)


def approve(c: Connection, post: UUID, hash_shown: str | None, approver: str) -> bool:
    """Approve a locked post as it is; False if it is not what *hash_shown* stands for (None: whatever it is)."""
    return has_row(
        c,
        """UPDATE approvals SET digest = post_digest(post_id), approver = :by, approved_at = clock_timestamp(),
                  sent_back = NULL
           WHERE post_id = :id AND post_digest(post_id) = coalesce(decode(:hash, 'hex'), post_digest(post_id))
           RETURNING post_id""",
        id=post,
        by=approver,
        hash=hash_shown,
    )


def send_back(c: Connection, post: UUID, why: str) -> None:
    """Send a locked post back to its author; an approval that it had ends."""
    sql = """UPDATE approvals SET digest = NULL, approver = NULL, approved_at = NULL, sent_back = :why,
                    changed_at = clock_timestamp() WHERE post_id = :id"""
    execute(c, sql, id=post, why=why)


_ORDER = Keyset({"p.due_at": "timestamptz", "p.id": "uuid"})


def list_waiting(
    c: Connection, within: Within, *, sent_back: bool, limit: int, after: Place | None = None
) -> list[Place]:
    """Return the due times and ids of posts that wait, without drafts, the next one due first; *within* None: of all.

    *sent_back*: those that wait for a change of their author, or else those that wait for an approval.
    """
    asked = _select_waiting(within, sent_back) & _ORDER.start_after(after)
    sql = f"SELECT p.due_at, p.id FROM {_SOURCE} WHERE {asked} ORDER BY {_ORDER.order} LIMIT :n"
    return [(r.due_at, r.id) for r in rows(c, sql, **asked.values, n=limit)]


def count_waiting(c: Connection, within: Within, *, sent_back: bool, most: int) -> int:
    """Return how many posts `list_waiting` lists; *most* + 1: more than that."""
    asked = _select_waiting(within, sent_back)
    sql = f"SELECT count(*) AS n FROM (SELECT FROM {_SOURCE} WHERE {asked} LIMIT :n) x"
    return read_number(c, sql, **asked.values, n=most + 1)


_SOURCE = "approvals v JOIN posts p ON p.id = v.post_id"


def _select_waiting(within: Within, sent_back: bool) -> Where:
    waits = where(
        "v.digest IS NULL",
        "p.deleted_at IS NULL",
        "p.status IN ('scheduled', 'pending', 'retry')",
        "(v.sent_back IS NOT NULL) = :sent_back",
        sent_back=sent_back,
    )
    return among("v.workspace_id", within) & waits


def is_approved(database: Database, post: UUID) -> bool:
    """Return True if the post needs no approval or has one; an approval of something else ends here."""
    with database.once() as c:
        execute(c, _END_OTHERS, id=post)
        return not has_row(
            c, "SELECT 1 AS one FROM approvals WHERE post_id = :id AND digest IS NULL", id=post
        )


_END_OTHERS = f"""UPDATE approvals SET {LOSE_APPROVAL}
                  WHERE post_id = :id AND digest IS NOT NULL AND digest <> post_digest(post_id)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalLink:
    """A link that shows some posts without a login, and takes one answer to each."""

    id: UUID
    workspace_id: UUID
    posts: Sequence[UUID]
    answered: Sequence[UUID]
    maker: str
    expires_at: datetime


def add_link(c: Connection, token: str, link: ApprovalLink) -> None:
    """Store a link, of whose token only the hash is kept; expired ones of any workspace go."""
    execute(c, "DELETE FROM approval_links WHERE expires_at < now()")
    insert(
        c,
        "approval_links",
        token_sha256=hash_text(token),
        id=link.id,
        workspace_id=link.workspace_id,
        posts=list(link.posts),
        maker=link.maker,
        expires_at=link.expires_at,
    )


def find_link(c: Connection, token: str) -> ApprovalLink | None:
    """Return the link of a token; None: unknown, or its time is over."""
    named = where("token_sha256 = :hash AND expires_at > now()", hash=hash_text(token))
    return find(c, ApprovalLink, "approval_links", named)


def list_links(c: Connection, within: Within) -> list[ApprovalLink]:
    """Return the links of these workspaces that still work, the one that ends first first; *within* None: of all."""
    asked = where("expires_at > now()") & among("workspace_id", within)
    return select(c, ApprovalLink, "approval_links", asked, by="expires_at, id", limit=MOST_LINKS)


def drop_link(c: Connection, workspace: UUID, link: UUID) -> ApprovalLink | None:
    """Drop a link of a workspace, which works no more, and return it; None: it is none, or its time is over."""
    sql = f"""DELETE FROM approval_links WHERE id = :id AND workspace_id = :workspace AND expires_at > now()
              RETURNING {list_columns(ApprovalLink)}"""
    return read_one(c, ApprovalLink, sql, id=link, workspace=workspace)


def answer_once(c: Connection, link: UUID, post: UUID) -> bool:
    """Note the link's answer to a post; False if it is not one of its posts, or was answered before."""
    return has_row(
        c,
        """UPDATE approval_links SET answered = answered || CAST(:post AS uuid)
           WHERE id = :id AND CAST(:post AS uuid) = ANY (posts) AND NOT CAST(:post AS uuid) = ANY (answered)
           RETURNING id""",
        id=link,
        post=post,
    )
