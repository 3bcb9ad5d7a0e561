"""Steering: jobs that act on every delivery a filter selects, what became of each, and paused deliveries."""

from alembic import op

revision = "0032"
down_revision = "0031"

SCHEMA = """
CREATE TABLE steering_jobs (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,  -- NULL: the command line
    verb text NOT NULL CHECK (verb IN ('cancel', 'retry', 'reschedule', 'pause', 'resume')),
    arguments jsonb NOT NULL,
    filter jsonb NOT NULL CONSTRAINT filter_is_not_empty CHECK (filter <> '{}'),  -- an empty one would select all
    token text NOT NULL,  -- of the count that was confirmed: a repeated request finds its job
    state text NOT NULL DEFAULT 'selecting' CHECK (state IN ('selecting', 'working', 'done', 'failed')),
    counted bigint NOT NULL,  -- deliveries that the filter selected when it was confirmed
    selected bigint NOT NULL DEFAULT 0,  -- deliveries with a receipt
    posts bigint NOT NULL DEFAULT 0,  -- of the selected deliveries
    done bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    position uuid,  -- the last delivery selected
    turn bigint NOT NULL DEFAULT 0,  -- posts that have had their turn
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    CONSTRAINT failed_job_says_why CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT no_more_than_selected CHECK (done + skipped <= selected),
    CONSTRAINT done_has_all_receipts CHECK (state <> 'done' OR done + skipped = selected)
) WITH (fillfactor = 50);  -- each post changes its job
CREATE UNIQUE INDEX steering_jobs_token ON steering_jobs (workspace_id, token);
CREATE INDEX steering_jobs_working ON steering_jobs (touched_at) WHERE state IN ('selecting', 'working');
CREATE INDEX steering_jobs_expiring ON steering_jobs (created_at) WHERE state IN ('done', 'failed');

CREATE TABLE steering_receipts (
    job_id uuid NOT NULL REFERENCES steering_jobs ON DELETE CASCADE,
    delivery_id uuid NOT NULL,  -- no foreign keys, as of moves
    post_id uuid NOT NULL,
    due_at timestamptz NOT NULL,  -- of the post, when it was selected
    generation integer NOT NULL,
    outcome text CHECK (outcome IN ('done', 'skipped')),
    why text,
    PRIMARY KEY (job_id, delivery_id),
    CONSTRAINT skipped_says_why CHECK ((outcome IS NOT DISTINCT FROM 'skipped') = (why IS NOT NULL))
) WITH (fillfactor = 75);
CREATE INDEX steering_receipts_open ON steering_receipts (job_id, due_at, post_id) WHERE outcome IS NULL;

CREATE TABLE paused_deliveries (
    -- arm and release respect it; an armed delivery continues
    delivery_id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    """Add the tables. Processes of the version before do not know of paused deliveries, and send them."""
    op.execute(SCHEMA)
