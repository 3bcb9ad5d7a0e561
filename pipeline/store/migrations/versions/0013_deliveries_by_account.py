"""Deliveries by account, newest first: what a key that is bound to accounts lists and counts its posts by."""

from pipeline.store.migration_helpers import index_concurrently

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """No column of it ever changes, so updates of deliveries do not touch it."""
    index_concurrently("deliveries_account", "ON deliveries (account_id, created_at DESC, post_id DESC)")
