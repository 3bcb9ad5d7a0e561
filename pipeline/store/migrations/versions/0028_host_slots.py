"""Slots of hosts: which checks read from a host now, so that all workers together ask it for few files at once."""

from alembic import op

revision = "0028"
down_revision = "0027"

SCHEMA = """
CREATE TABLE host_slots (
    host text NOT NULL,
    slot smallint NOT NULL,
    workspace_id uuid NOT NULL,
    check_id uuid NOT NULL,
    held_until timestamptz NOT NULL,  -- longer than its try may take: then its worker is dead, and the slot is free
    PRIMARY KEY (host, slot)
);
CREATE INDEX host_slots_check ON host_slots (check_id);
"""


def upgrade() -> None:
    """Add the table; older code claims checks without it, and is not counted."""
    op.execute(SCHEMA)
