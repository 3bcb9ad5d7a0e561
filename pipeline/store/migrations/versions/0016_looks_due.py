"""Looks by the moment from which nobody holds them: what is rung already is not read again at every doorbell."""

from pipeline.store.migration_helpers import index_concurrently

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """``greatest`` passes over a lease that is NULL. All of these columns are in other indexes already."""
    index_concurrently(
        "deliveries_looks_due",
        "ON deliveries (greatest(next_at, lease_until)) WHERE state IN ('preparing', 'processing', 'unknown')",
    )
