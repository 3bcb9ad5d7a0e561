"""What settled by hour and day; who paused; who connects an account; and paused deliveries by their job."""

from alembic import op

from pipeline.store.migration_helpers import index_concurrently

revision = "0039"
down_revision = "0038"

SCHEMA = """
CREATE TABLE settled_counts (
    -- what settled, and how late, within an hour and within a day (UTC). Only the export of moves writes it
    workspace_id uuid NOT NULL,  -- the nil id: all workspaces together
    minutes integer NOT NULL CHECK (minutes IN (60, 1440)),
    starts_at timestamptz NOT NULL,
    platform text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('published', 'failed', 'cancelled', 'lateness')),
    label text NOT NULL,  -- of failed ones the class of the error, of lateness the upper bound of the bucket
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, minutes, starts_at, platform, kind, label)
) WITH (fillfactor = 50);

-- NULL: a server of the release before paused it
ALTER TABLE pauses ADD COLUMN who text;

-- a user of the dashboard, who started it without a key; no foreign key: users are never deleted
ALTER TABLE grants ADD COLUMN user_id uuid;
"""


def upgrade() -> None:
    """Add the table, the columns and the index; older code neither reads nor writes them.

    Moves that a worker of the release before exports during the upgrade are not in the table.
    """
    index_concurrently("paused_deliveries_job", "ON paused_deliveries (job_id)")
    op.execute(SCHEMA)
