"""The sets of accounts of the posts that were there before: what is there, less what is appended and will be folded.

Both are seen at one moment, by one statement, and nobody folds meanwhile (as in 0012).
"""

from alembic import op

revision = "0015"
down_revision = "0014"

FOLDING = 7_002_007
"""The advisory lock of whoever folds."""

FILL = """
WITH least AS MATERIALIZED (
    SELECT workspace_id, accounts, at, status, sum(n) AS n FROM (
        SELECT p.workspace_id, d.accounts, date_bin('10 minutes', p.created_at, timestamptz 'epoch') AS at, p.status,
               count(*) AS n
        FROM (SELECT post_id, array_agg(account_id ORDER BY account_id) AS accounts FROM deliveries
              GROUP BY post_id) d
        JOIN posts p ON p.id = d.post_id WHERE p.deleted_at IS NULL GROUP BY 1, 2, 3, 4
        UNION ALL SELECT workspace_id, accounts, starts_at, status, -n FROM account_set_deltas) x
    GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0),
sets AS (
    INSERT INTO account_sets (id, workspace_id, accounts)
    SELECT DISTINCT CAST(md5(concat(workspace_id, accounts)) AS uuid), workspace_id, accounts FROM least)
INSERT INTO account_set_spans (set_id, minutes, starts_at, status, n)
SELECT CAST(md5(concat(workspace_id, accounts)) AS uuid), m,
       date_bin(make_interval(mins => m), at, timestamptz 'epoch'), status, sum(n)
FROM least, unnest(ARRAY[10, 60, 360, 1440, 7200, 43200, 51840000]) AS m
GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0
"""


def upgrade() -> None:
    """Folding waits until it is done; readers and folders of this version begin after it."""
    op.execute(f"SELECT pg_advisory_xact_lock({FOLDING})")
    op.execute(FILL)
