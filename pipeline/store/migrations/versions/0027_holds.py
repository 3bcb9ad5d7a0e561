"""Holds: why a delivery that a worker had claimed was put back unsent; and an index of accounts to reconnect."""

from alembic import op

revision = "0027"
down_revision = "0026"

SCHEMA = """
-- no CHECK of the state: older code, which claims and settles without clearing it, may run beside this one
ALTER TABLE deliveries ADD COLUMN held_for text;

-- accounts are few for good: the index is built within milliseconds
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_reconnect ON accounts (id) WHERE status = 'reconnect';
"""


def upgrade() -> None:
    """Add the column, which older code neither reads nor writes, and the index."""
    op.execute(SCHEMA)
