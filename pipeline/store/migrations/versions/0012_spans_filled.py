"""The spans of the posts that were there before: what is there, less what is appended and will be folded.

Both are seen at one moment, by one statement, and nobody folds meanwhile: so nothing is counted twice or left out, and
posts are stored and moved as ever, however many rows there are to count (ten million: well under a minute).
"""

from alembic import op

revision = "0012"
down_revision = "0011"

FOLDING = 7_002_007
"""The advisory lock of whoever folds."""

FILL = """
WITH minutely AS (
    SELECT workspace_id, minute, status, sum(n) AS n FROM (
        SELECT workspace_id, date_bin('1 minute', created_at, timestamptz 'epoch') AS minute, status, count(*) AS n
        FROM posts WHERE deleted_at IS NULL GROUP BY 1, 2, 3
        UNION ALL SELECT workspace_id, minute, status, -n FROM post_deltas WHERE minute IS NOT NULL) x
    GROUP BY 1, 2, 3)
INSERT INTO post_spans (workspace_id, minutes, starts_at, status, n)
SELECT workspace_id, m, date_bin(make_interval(mins => m), minute, timestamptz 'epoch'), status, sum(n)
FROM minutely, unnest(ARRAY[1, 60, 1440, 43200]) AS m
GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4
"""


def upgrade() -> None:
    """Folding waits until it is done; readers of this version begin after it."""
    op.execute(f"SELECT pg_advisory_xact_lock({FOLDING})")
    op.execute("DELETE FROM post_spans")  # what has been folded since 0011 is counted, too
    op.execute(FILL)
