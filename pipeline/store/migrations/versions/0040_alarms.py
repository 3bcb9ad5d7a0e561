"""Alarms by kind and hour: what attention shows of them. The counters tell how many there ever were, not when."""

from alembic import op

revision = "0040"
down_revision = "0039"

SCHEMA = """
CREATE TABLE alarms (
    -- only the export of moves writes it, of what `count_alarm` appended
    kind text NOT NULL,
    hour timestamptz NOT NULL,
    n bigint NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (kind, hour)
);
"""


def upgrade() -> None:
    """Add the table. Alarms that a worker of the release before adds up during the upgrade are not in it."""
    op.execute(SCHEMA)
