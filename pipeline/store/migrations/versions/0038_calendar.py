"""Posts by due time, in a workspace and at an account: what the calendar reads of a day."""

from pipeline.store.migration_helpers import index_concurrently

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Each is dropped and made again if a try between the two was interrupted."""
    index_concurrently("posts_by_due", "ON posts (workspace_id, due_at, id) WHERE deleted_at IS NULL")
    index_concurrently("deliveries_by_due", "ON deliveries (account_id, due_at, post_id)")
