"""Rewrites of stored posts: an edit replaces content and times, under the locks of ``actions.read``.

What an account has of its own is replaced with the level and the quota of its delivery, in one statement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.neighbours import Content
from pipeline.domain.own_content import OwnContent
from pipeline.domain.receipt import content_sha256
from pipeline.store.database import execute, has_row, insert, jsonb
from pipeline.store.posts.actions import LockedPost
from pipeline.store.posts.approvals import LOSE_APPROVAL
from pipeline.store.posts.options import ASSIGNMENTS, Options, to_columns


def rewrite(
    c: Connection,
    post: LockedPost,
    *,
    caption: str,
    media: Mapping[str, Any],
    music_url: str | None,
    options: Options,
    ai_generated: bool,
    first_comment: str | None,
    due_at: datetime,
) -> None:
    """Replace a post's content and due time, end its approval, and schedule its rechecks again.

    Hashes of the old content are stored: receipts are written later and refer to what an account got.
    """
    own = {
        str(part.id): {"content_sha256": _hash(post, part.own), "due_at": part.due_at.isoformat()}
        for part in post.deliveries
        if part.own is not None or (post.own and part.due_at != post.due_at)
    }
    values: dict[str, Any] = {
        "content_sha256": _hash(post, None),
        "due_at": post.due_at,
        "own": jsonb(own or None),
    }
    insert(c, "rewrites", post_id=post.id, **values)
    execute(
        c,
        f"""WITH unapproved AS (UPDATE approvals SET {LOSE_APPROVAL} WHERE post_id = :id)
            UPDATE posts SET caption = :caption, media = :media, music_url = :music, {ASSIGNMENTS},
                   due_at = :due, rechecked_at = NULL, updated_at = clock_timestamp()
            WHERE id = :id""",
        id=post.id,
        caption=caption,
        media=jsonb(dict(media)),
        music=music_url,
        due=due_at,
        **to_columns(options, ai_generated=ai_generated, first_comment=first_comment),
    )


def _hash(post: LockedPost, own: OwnContent | None) -> str:
    own = own or OwnContent()
    return content_sha256(own.caption or post.caption, own.media or post.media)


def mark_deliveries(
    c: Connection,
    post: LockedPost,
    level: int,
    drafts: Collection[UUID],
    own: Mapping[UUID, OwnContent | None],
    contents: Mapping[UUID, Content],
) -> None:
    """Store with a post's deliveries the level of its content and, by account, inbox drafts and changed own content.

    *contents*: the digests of what each account publishes, of the accounts of *own* at least.
    """
    execute(
        c,
        """UPDATE post_deliveries SET level = :level, inbox_draft = (account_id = ANY(CAST(:drafts AS uuid[]))),
               own = CASE WHEN account_id = ANY(CAST(:changed AS uuid[]))
                          THEN CAST(:own AS jsonb) -> CAST(account_id AS text) ELSE own END,
               (caption_digest, media_digest) = (
                   SELECT CAST(found ->> 0 AS bigint), CAST(found ->> 1 AS bigint)
                   FROM (SELECT CASE WHEN account_id = ANY(CAST(:changed AS uuid[]))
                                     THEN CAST(:contents AS jsonb) -> CAST(account_id AS text)
                                     ELSE jsonb_build_array(caption_digest, media_digest) END) AS x (found))
           WHERE post_id = :id""",
        id=post.id,
        level=level,
        drafts=list(drafts),
        changed=list(own),
        own=jsonb({str(account): one.to_dict() for account, one in own.items() if one is not None}),
        contents=jsonb({str(account): one for account, one in contents.items()}),
    )


_TAKEN_OFF = "Not sent: an edit took it off."
_REWRITE_FOLLOW_UPS = """
UPDATE follow_ups f SET
    what = CASE WHEN w.text IS NULL THEN f.what ELSE jsonb_build_object('text', w.text) END,
    failed_at = CASE WHEN w.text IS NULL THEN now() END, error = CASE WHEN w.text IS NULL THEN :taken_off END,
    next_at = now(), tries = 0
FROM (SELECT CAST(key AS uuid) AS id, value AS text FROM jsonb_each_text(CAST(:texts AS jsonb)) ORDER BY 1) w
WHERE f.delivery_id = w.id AND f.kind = 'comment' AND (f.failed_at IS NULL OR f.error = :taken_off)
  AND NOT EXISTS (SELECT FROM deliveries k JOIN deliveries d USING (post_id, account_id)
                  WHERE d.id = w.id AND k.is_comment AND NOT k.id = ANY(CAST(:open AS uuid[])))
"""


def rewrite_comments(
    c: Connection, texts: Mapping[UUID, str | None], comments: Mapping[UUID, str | None]
) -> None:
    """Replace what is said below live posts: by delivery of a post, and by comment that has a delivery; None: nothing.

    One that an edit took off comes back with a text. One whose delivery is not among *comments* keeps what it says.
    """
    values = {"texts": jsonb({str(one): text for one, text in texts.items()}), "open": [*comments]}
    execute(c, _REWRITE_FOLLOW_UPS, **values, taken_off=_TAKEN_OFF)
    execute(
        c,
        """UPDATE deliveries SET own = jsonb_set(own, '{caption}', w.value)
           FROM jsonb_each(CAST(:texts AS jsonb)) w WHERE id = CAST(w.key AS uuid) AND w.value <> 'null'""",
        texts=jsonb({str(one): text for one, text in comments.items()}),
    )


def was_rewritten(c: Connection, post: UUID) -> bool:
    """Return True if an edit has replaced the post's content or time."""
    return has_row(c, "SELECT post_id FROM rewrites WHERE post_id = :id LIMIT 1", id=post)
