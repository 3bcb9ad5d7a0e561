"""Posts by due time, in a workspace and at an account: what the calendar reads of a day.

What still waits has indexes of its own, of which that of posts gets their ids (many are due in one minute); the others
leave it out. Every new post waits, and two more entries for each cost POST /posts a sixth of its rate (measured).
"""

from alembic import op

from pipeline.store.migration_helpers import index_concurrently

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Each is dropped and made again if a try between them was interrupted."""
    index_concurrently(
        "posts_waiting_by_due",
        "ON posts (workspace_id, due_at, id) WHERE status = 'scheduled' AND deleted_at IS NULL",
    )
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS posts_overdue")  # the same without the id
    index_concurrently(
        "posts_by_due",
        "ON posts (workspace_id, due_at, id) WHERE deleted_at IS NULL AND status <> 'scheduled'",
    )
    index_concurrently(
        "deliveries_by_due",
        "ON deliveries (account_id, due_at, post_id) WHERE state NOT IN ('accepted', 'scheduled', 'retrying')",
    )
