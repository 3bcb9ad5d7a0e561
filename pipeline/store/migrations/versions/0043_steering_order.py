"""Counted selections of steering jobs, the jobs that each waits for, and stopped jobs."""

from alembic import op

revision = "0043"
down_revision = "0042"

SCHEMA = """
-- the rule before was narrower: every row meets this one, and older code stores no other states
-- squawk-ignore ban-drop-constraint
ALTER TABLE steering_jobs DROP CONSTRAINT steering_jobs_state_check,
    ADD CONSTRAINT steering_jobs_state_check
    CHECK (state IN ('selecting', 'working', 'done', 'failed', 'stopped')) NOT VALID,
    ADD COLUMN waits_for uuid[] NOT NULL DEFAULT '{}';  -- earlier jobs of the same deliveries, when it was confirmed

CREATE TABLE steering_counts (
    -- what a count selected: its token acts on these deliveries, as they were
    workspace_id uuid NOT NULL REFERENCES workspaces,
    token text NOT NULL,
    key_id uuid,  -- NULL: the command line and the dashboard
    deliveries uuid[] NOT NULL,
    generations integer[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workspace_id, token)
);
CREATE INDEX steering_counts_expiring ON steering_counts (made_at);

-- stopped jobs expire too; the table is small for good
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX steering_jobs_expiring;
"""


def upgrade() -> None:
    """Add them. A worker of the version before neither waits for earlier jobs nor leaves stopped ones to others."""
    op.execute(SCHEMA)
