"""Inbox drafts: which attempts left a draft, which has a daily limit of its own at the platform."""

from alembic import op

revision = "0024"
down_revision = "0023"

SCHEMA = "ALTER TABLE attempts ADD COLUMN inbox_draft boolean NOT NULL DEFAULT false;"


def upgrade() -> None:
    """Add the column; attempts of older code count as posts."""
    op.execute(SCHEMA)
