"""Levels: the lowest level of code that understands a delivery, and the level of each queue's consumers."""

from alembic import op

revision = "0042"
down_revision = "0041"

SCHEMA = """
ALTER TABLE deliveries ADD COLUMN level smallint NOT NULL DEFAULT 1;
ALTER TABLE canaries ADD COLUMN level smallint NOT NULL DEFAULT 1, ADD COLUMN level_at timestamptz;
"""


def upgrade() -> None:
    """Add the columns. What older code stores has level 1, and its workers have it too."""
    op.execute(SCHEMA)
