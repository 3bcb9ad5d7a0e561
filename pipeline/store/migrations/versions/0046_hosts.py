"""Hosts: which of them consume a queue, the store of uploaded files and the epoch that each of them sees."""

from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Add the column. What older code records leaves it as it is."""
    op.execute("ALTER TABLE canaries ADD COLUMN hosts jsonb NOT NULL DEFAULT '{}'")
