"""Receipts: what was published and when, chained by hash in each workspace, written by a chore.

Expand only, with one thing to know: servers of the version before do not note what an edit replaced. A post that goes
live and is edited by one of them within the seconds until its receipt is written gets the hash of the new words.
"""

from alembic import op

revision = "0010"
down_revision = "0008"

SCHEMA = """
CREATE TABLE receipts (
    -- no foreign keys: a receipt stands by itself, whatever becomes of what it speaks of
    workspace_id uuid NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    move_id bigint NOT NULL UNIQUE,
    issued_at timestamptz NOT NULL,  -- never goes back in a workspace
    line text NOT NULL,
    PRIMARY KEY (workspace_id, sequence)
);

CREATE FUNCTION receipts_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'receipts are only ever added to';
END $$;
CREATE TRIGGER receipts_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON receipts
    FOR EACH STATEMENT EXECUTE FUNCTION receipts_are_final();

CREATE TABLE receipt_heads (
    -- the last receipt of each workspace; whoever adds one holds its row
    workspace_id uuid PRIMARY KEY,
    sequence bigint NOT NULL DEFAULT 0,
    hash text CHECK (hash ~ '^[0-9a-f]{64}$'),
    issued_at timestamptz,
    CHECK ((sequence = 0) = (hash IS NULL) AND (sequence = 0) = (issued_at IS NULL))
) WITH (fillfactor = 50);

CREATE TABLE receipt_progress (
    -- one row: how far all moves are receipted. Ids of moves are given before their transactions end, so an id that
    -- was seen proves nothing of smaller ones until everybody who could have had one of those has ended
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    done bigint NOT NULL DEFAULT 0,     -- every move up to here has what it needs
    proven bigint NOT NULL DEFAULT 0,   -- no move up to here can turn up any more
    seen bigint NOT NULL DEFAULT 0,     -- will be proven when none of these writes any more
    writers text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
INSERT INTO receipt_progress DEFAULT VALUES;

-- one entry at the end of a delivery; moves are never updated, so that it costs no update anything
CREATE INDEX moves_last_word ON moves (id)
    WHERE target IN ('published', 'failed', 'cancelled') OR mover = 'decide';

CREATE TABLE rewrites (
    -- what a post said until an edit: a receipt that is written after the edit needs it
    post_id uuid NOT NULL,
    until timestamptz NOT NULL DEFAULT clock_timestamp(),
    content_sha256 text NOT NULL,
    due_at timestamptz NOT NULL
);
CREATE INDEX rewrites_post ON rewrites (post_id, until);
"""


def upgrade() -> None:
    """Receipts, how far they are, and what they are found by."""
    op.execute(SCHEMA)
