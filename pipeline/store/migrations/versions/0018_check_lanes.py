"""When a check is due, and whether its URL is too slow for the usual slots."""

from alembic import op

revision = "0018"
down_revision = "0017"

SCHEMA = """
ALTER TABLE checks ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();  -- of the earliest post that waits for it
ALTER TABLE checks ADD COLUMN slow boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Add both with their defaults: checks of older code are due when they are opened, and not slow."""
    op.execute(SCHEMA)
