"""When each periodic task is sent next, and until when a process holds the right to send it."""

from alembic import op

revision = "0017"
down_revision = "0016"

SCHEMA = """
-- UNLOGGED: losing rows loses nothing, since a missing row is inserted by the next process that looks, and is due
CREATE UNLOGGED TABLE ticks (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 25);
"""


def upgrade() -> None:
    """Create the table, empty."""
    op.execute(SCHEMA)
