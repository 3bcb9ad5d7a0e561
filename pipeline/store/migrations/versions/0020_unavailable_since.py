"""Streaks of unavailability of each delivery: party -> its first failure."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the column; older code leaves it as it is."""
    op.execute("ALTER TABLE deliveries ADD COLUMN unavailable_since jsonb")
