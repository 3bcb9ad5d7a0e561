"""Posts by import: what steering, lists and counts of one import read."""

from pipeline.store.migration_helpers import index_concurrently

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """No column of it ever changes."""
    index_concurrently("posts_import", "ON posts (import_id, id) WHERE import_id IS NOT NULL")
