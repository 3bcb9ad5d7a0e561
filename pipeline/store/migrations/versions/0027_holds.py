"""Holds: why a delivery that a worker had claimed was put back unsent."""

from alembic import op

revision = "0027"
down_revision = "0026"

SCHEMA = """
-- no CHECK of the state: older code, which claims and settles without clearing it, may run beside this one
ALTER TABLE deliveries ADD COLUMN held_for text;
"""


def upgrade() -> None:
    """Add the column; older code neither reads nor writes it."""
    op.execute(SCHEMA)
