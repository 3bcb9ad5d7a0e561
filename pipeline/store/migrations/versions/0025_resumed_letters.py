"""Restores: since when a dead letter that is resumed is recorded beside the epoch file before it is sent."""

from alembic import op

revision = "0025"
down_revision = "0024"

SCHEMA = """
-- a day from now: older code, which does not record it, may run beside this one until then
ALTER TABLE mark ADD COLUMN resumes_recorded_since timestamptz NOT NULL DEFAULT now() + interval '1 day';
-- a database without an epoch has sent nothing yet
UPDATE mark SET resumes_recorded_since = '-infinity' WHERE epoch IS NULL;
"""


def upgrade() -> None:
    """Add the column; older code neither reads nor writes it."""
    op.execute(SCHEMA)
