"""Queues that prove they are alive, what was set aside, and what is done with what is late."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
CREATE TABLE discards (
    -- dead letters that a person gave up, and why; of one generation, for what was sent again may die again
    delivery_id uuid NOT NULL REFERENCES deliveries,
    generation integer NOT NULL,
    why text NOT NULL CHECK (why <> ''),
    who text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, generation)
);
-- names no column that arming or a look changes: their updates stay light
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state IN ('failed', 'blocked');

CREATE TABLE paces (
    -- when the next one of a kind may go out: the GCRA of what must be slow even when Redis has forgotten everything
    kind text NOT NULL CHECK (kind IN ('replay', 'backlog')),
    platform text NOT NULL,
    free_at timestamptz NOT NULL,
    PRIMARY KEY (kind, platform)
) WITH (fillfactor = 50);

CREATE TABLE canaries (
    -- when a worker last took a canary out of each queue
    queue text PRIMARY KEY,
    taken_at timestamptz NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE workspaces
    -- what becomes of a post that has no expires_at of its own and is this late; NULL: it is published
    ADD COLUMN late_after interval CHECK (late_after > interval '0'),
    ADD COLUMN on_late text CHECK (on_late IN ('skip', 'hold')),
    ADD CONSTRAINT late_says_what CHECK ((late_after IS NULL) = (on_late IS NULL));
CREATE INDEX workspaces_late ON workspaces (id) WHERE late_after IS NOT NULL;
"""


def upgrade() -> None:
    """Queues that prove they are alive, what was set aside, and what is done with what is late."""
    op.execute(SCHEMA)
