"""Fingerprints of the canonical body, accounts removed by an edit, and checks that a delivery keeps."""

from alembic import op

revision = "0023"
down_revision = "0022"

SCHEMA = """
-- form and SHA-256 of the canonical body; NULL: stored by an older server, which knows body_sha256 only
ALTER TABLE replays ADD COLUMN fingerprint bytea;

-- whether a server of the release before may serve this database: then ingest takes the tokens that it compares, too
ALTER TABLE mark ADD COLUMN has_former_servers boolean NOT NULL DEFAULT true;
-- without a key, no server has accepted a post; without an epoch, the row may be written (0010)
UPDATE mark SET has_former_servers = false WHERE epoch IS NULL AND NOT EXISTS (SELECT FROM keys);

-- the generation in which an edit took the account off the post; an older server that adds it again raises generation
ALTER TABLE deliveries ADD COLUMN removed_generation integer;

CREATE TABLE delivery_checks (
    -- what a waiting delivery pinned before the retry of another one pinned newer checks on their post; holds for one
    -- generation, as an edit pins other checks
    delivery_id uuid NOT NULL REFERENCES deliveries,
    position integer NOT NULL,  -- as in post_checks
    generation integer NOT NULL,
    check_id uuid NOT NULL REFERENCES checks,
    PRIMARY KEY (delivery_id, position)
);
CREATE INDEX delivery_checks_check ON delivery_checks (check_id);
"""


def upgrade() -> None:
    """Add the columns and the table; older code neither reads nor writes them."""
    op.execute(SCHEMA)
