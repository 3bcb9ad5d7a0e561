"""The texts of posts, which searches read: kept by a maintenance job, found by an index of their trigrams.

The job reads the moves in their order (``store/moves.py``): every new post and every edit makes one, so neither writes
anything for the search. What it has not read yet, of the last seconds, a search reads itself. It may find more than
there is, such as a text of before an edit, and never less: who lists posts compares each with the text again.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import execute, require_row, row
from pipeline.store.moves import lock_position, save_position
from pipeline.store.posts.options import SEARCHED
from pipeline.store.selection import where_given

LENGTH = 3
"""Characters of a trigram: the index finds no shorter text."""
MOST = 20_000
"""Posts that a search reads by the index: 2 % of a million. What more may hold is found sooner by walking them."""
UNREAD = 10_000
"""Moves that a search reads for itself."""

_WITHOUT_SCANS = "SELECT set_config('enable_seqscan', 'off', true)"
"""A plan made while the tables are small would be kept, and read all of them when they have grown."""
# An edit cancels what it takes off the post, and that may be all it moves. LATERAL with LIMIT: each part is one index
# lookup, in whatever order the planner joins them.
_CHANGED = """
SELECT DISTINCT d.post_id AS id
FROM (SELECT DISTINCT delivery_id FROM moved WHERE mover IN ('ingest', 'edit', 'cancel')) m
CROSS JOIN LATERAL (SELECT post_id FROM post_deliveries WHERE id = m.delivery_id LIMIT 1) d
"""
_SAVE = f"""
WITH moved AS MATERIALIZED (SELECT delivery_id, mover FROM moves m WHERE m.id + 0 > :done AND m.id + 0 <= :until),
changed AS MATERIALIZED ({_CHANGED})
INSERT INTO post_texts AS t (post_id, workspace_id, text)
SELECT o.id, o.workspace_id, {SEARCHED}
FROM changed CROSS JOIN LATERAL (SELECT * FROM posts WHERE id = changed.id LIMIT 1) o
WHERE o.deleted_at IS NULL ORDER BY o.id
ON CONFLICT (post_id) DO UPDATE SET text = excluded.text WHERE t.text <> excluded.text
"""


def save_texts(c: Connection, span: int) -> tuple[int, int] | None:
    """Save the texts of posts that changed, by the next ids of moves; None while another transaction does.

    Returns how many changed, and how many ids of moves are left.
    """
    position = lock_position(c, "texts")
    if position is None:
        return None
    row(c, _WITHOUT_SCANS)
    # a later snapshot than that of the locks: it sees the moves of all transactions that had ended by then
    proven = position.watermark.proven
    until = min(proven, position.done + span)
    saved = execute(c, _SAVE, done=position.done, until=until)
    save_position(c, "texts", until, position.watermark)
    return saved, proven - until


_UNREAD = f"""
WITH moved AS MATERIALIZED (
    SELECT delivery_id, mover FROM moves m
    WHERE m.id + 0 > (SELECT done FROM move_progress WHERE reader = 'texts') LIMIT :most + 1),
changed AS MATERIALIZED ({_CHANGED})
SELECT (SELECT count(*) FROM moved) AS read, ARRAY(
    SELECT o.id FROM changed CROSS JOIN LATERAL (SELECT * FROM posts WHERE id = changed.id LIMIT 1) o
    WHERE {{own}} AND strpos({SEARCHED}, lower(:text)) > 0) AS posts
"""
_KEYS = "(trigrams(text) || CAST(workspace_id AS text))"
"""The expression of the index. The subselect hides the text from the planner, which would count on its statistics."""
_INDEXED = f"""
SELECT count(*) AS read, coalesce(array_agg(post_id) FILTER (WHERE strpos(text, lower(:text)) > 0), '{{{{}}}}') AS posts
FROM (SELECT post_id, text FROM post_texts
      WHERE {_KEYS} @> (SELECT trigrams(lower(:text))) AND {{own}} LIMIT :most + 1) x
"""


def find_posts(c: Connection, text: str, within: Collection[UUID] | None) -> Collection[UUID] | None:
    """Return the posts of these workspaces that hold a text, in lower case or not; *within* None: of all.

    None where they have to be walked: the text is too short, too many may hold it, or the job is behind.
    """
    if len(text) < LENGTH:
        return None
    row(c, _WITHOUT_SCANS)
    found: set[UUID] = set()
    # in this order: a post that the job reads meanwhile is in both
    for sql, own, most in (
        (_UNREAD, "o.workspace_id = ANY (CAST(:within AS uuid[]))", UNREAD),
        (_INDEXED, f"{_KEYS} && CAST(:within AS text[])", MOST),
    ):
        spaces = where_given({"within": own}, within=None if within is None else [str(w) for w in within])
        read = require_row(c, "It counts.", sql.format(own=spaces), text=text, most=most, **spaces.values)
        if read.read > most:
            return None
        found |= set(read.posts)
    return found


def forget_text(c: Connection, post: UUID) -> None:
    """Delete the text of a post, which is deleted too. If the job saves it once more, lists leave the post out."""
    execute(c, "DELETE FROM post_texts WHERE post_id = :id", id=post)
