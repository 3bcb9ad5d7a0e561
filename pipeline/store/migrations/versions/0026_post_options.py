"""Post options: the sections of four more platforms, AI-generated content, and covers set after publishing."""

from alembic import op

revision = "0026"
down_revision = "0025"

SCHEMA = """
ALTER TABLE posts
    ADD COLUMN youtube jsonb,
    ADD COLUMN instagram jsonb,
    ADD COLUMN facebook jsonb,
    ADD COLUMN linkedin jsonb,
    ADD COLUMN ai_generated boolean NOT NULL DEFAULT false;

CREATE TABLE covers (
    -- a cover that a platform takes only once the post is live; written before the post is armed
    delivery_id uuid PRIMARY KEY REFERENCES deliveries,
    url text NOT NULL,
    facts jsonb NOT NULL,  -- what the pinned check of the URL found
    next_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    set_at timestamptz,
    failed_at timestamptz,
    error text  -- why it is not set; the delivery stays published
);
CREATE INDEX covers_due ON covers (next_at) WHERE set_at IS NULL AND failed_at IS NULL;
"""


def upgrade() -> None:
    """Add the columns and the table; older code neither reads nor writes them."""
    op.execute(SCHEMA)
