"""Imports: files of many posts, the verdict on each of their rows, and which posts an import made."""

from alembic import op

revision = "0031"
down_revision = "0030"

SCHEMA = """
CREATE TABLE imports (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,  -- NULL: the command line
    idempotency_key text,
    state text NOT NULL DEFAULT 'uploaded' CHECK (state IN (
        'uploaded', 'reading', 'planned', 'applying', 'applied', 'paused', 'cancelled', 'failed', 'rolling_back',
        'rolled_back')),
    paused_from text CHECK (paused_from IN ('uploaded', 'reading', 'applying')),
    name text,
    format text,
    encoding text,
    strict boolean NOT NULL,
    updates boolean NOT NULL,
    time_zone text,
    object text NOT NULL UNIQUE,  -- in storage, from before its first byte
    size bigint,
    sha256 bytea,
    removed_at timestamptz,  -- the file and the rows are gone
    position bigint NOT NULL DEFAULT 0,  -- in the file, of the next row to read
    rows bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    plan_hash bytea,
    plan jsonb,
    done bigint NOT NULL DEFAULT 0,  -- number of the last row that is applied, or rolled back
    result jsonb NOT NULL DEFAULT '{}',
    notes jsonb NOT NULL DEFAULT '[]',
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    CONSTRAINT stored_whole CHECK (num_nulls(size, sha256, format) IN (0, 3)),
    CONSTRAINT paused_says_where CHECK ((state = 'paused') = (paused_from IS NOT NULL)),
    CONSTRAINT failed_says_why CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT every_row_has_a_verdict CHECK (accepted + duplicate + rejected = rows)
) WITH (fillfactor = 50);  -- each chunk of rows changes its import
CREATE UNIQUE INDEX imports_idempotency ON imports (workspace_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX imports_newest ON imports (workspace_id, created_at DESC, id DESC) WHERE size IS NOT NULL;
CREATE INDEX imports_working ON imports (touched_at)
    WHERE state IN ('uploaded', 'reading', 'applying', 'rolling_back') AND size IS NOT NULL;
CREATE INDEX imports_expiring ON imports (created_at) WHERE removed_at IS NULL;

CREATE TABLE import_rows (
    import_id uuid NOT NULL REFERENCES imports,
    number bigint NOT NULL,  -- from 1
    line bigint NOT NULL,  -- its first physical line
    verdict text NOT NULL CHECK (verdict IN ('accepted', 'duplicate', 'rejected')),
    action text CHECK (action IN ('create', 'update')),  -- what applying the row does, or did; of others NULL
    identity text,  -- equal for rows that are one post, but for their occurrence
    occurrence integer NOT NULL,
    fingerprint bytea,  -- of the canonical body
    due_at timestamptz,  -- NULL: published at once
    accounts uuid[],
    body jsonb,  -- as POST /posts takes it
    source jsonb,  -- as the file has it, where that is not the body
    issues jsonb,
    post_id uuid,  -- no foreign key, as of moves
    rollback text CHECK (rollback IN ('cancelled', 'edited', 'live', 'settled')),  -- what became of its post then
    PRIMARY KEY (import_id, number),
    CONSTRAINT rejected_says_why CHECK ((verdict = 'rejected') = (issues IS NOT NULL))
);
CREATE INDEX import_rows_identity ON import_rows (import_id, identity) WHERE identity IS NOT NULL;
CREATE INDEX import_rows_verdict ON import_rows (import_id, verdict, number) WHERE verdict <> 'accepted';

ALTER TABLE posts ADD COLUMN import_id uuid;  -- no foreign key: the receipt of an import may be deleted
"""


def upgrade() -> None:
    """Add the tables, and a column that older code neither reads nor writes."""
    op.execute(SCHEMA)
