"""Undecided checks of each workspace in the order of their due time."""

from pipeline.store.migration_helpers import index_concurrently

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the index that claims read."""
    index_concurrently("checks_by_due", "ON checks (workspace_id, slow, due_at) WHERE verdict IS NULL")
