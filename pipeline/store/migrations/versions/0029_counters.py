"""Counters made from moves: how far they are counted, the counters, and what appends to them."""

from alembic import op

from pipeline.store.migration_helpers import index_concurrently

revision = "0029"
down_revision = "0028"

# as in store/accounts/token_expiry.py
GRANT_END = "CASE WHEN coalesce(renewable, refresh_expires_at IS NOT NULL) THEN refresh_expires_at ELSE expires_at END"

SCHEMA = """
CREATE TABLE move_progress (
    -- one row: how far moves are exported; with receipt_progress, the two readers of moves (store/moves/watermark.py)
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    done bigint NOT NULL DEFAULT 0,     -- every move up to here is exported
    proven bigint NOT NULL DEFAULT 0,   -- no move up to here can turn up any more
    seen bigint NOT NULL DEFAULT 0,     -- will be proven when none of these writes any more
    writers text[] NOT NULL DEFAULT '{}',
    seen_at timestamptz NOT NULL DEFAULT now(),
    exported_at timestamptz NOT NULL DEFAULT now()  -- what had been committed by then is exported
) WITH (fillfactor = 50);
INSERT INTO move_progress DEFAULT VALUES;

CREATE TABLE counters (
    -- totals for /metrics, of all processes; what counter_deltas holds is to be added. A restart resets none
    name text NOT NULL,
    labels jsonb NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (name, labels)
) WITH (fillfactor = 50);

CREATE TABLE counter_deltas (
    -- appended to, never updated: a counter's row would be a lock that all who count queue for
    name text NOT NULL,
    labels jsonb NOT NULL,
    n integer NOT NULL DEFAULT 1
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE counted_deliveries (
    -- what the counters remember of a delivery, where that is more than its state: why it waits, for how long, what it
    -- tried. Few have a row: not those that wait for their time, nor those that are published
    delivery_id uuid PRIMARY KEY,  -- no foreign key, as in moves
    platform text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,  -- the reason its state is counted under; empty: none
    since timestamptz NOT NULL,  -- when it came to this state
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL  -- its attempts up to this number are counted
) WITH (fillfactor = 75);
CREATE INDEX counted_deliveries_waiting ON counted_deliveries (platform, due_at)
    WHERE state IN ('accepted', 'scheduled', 'retrying');
CREATE INDEX counted_deliveries_open ON counted_deliveries (platform, state, reason, since)
    WHERE state IN ('unknown', 'blocked');

CREATE TABLE seen_pauses (
    -- when each pause was in force: its row is gone once it is lifted, and late deliveries are not told from held ones
    scope text NOT NULL,
    target text NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (scope, target, since)
) WITH (fillfactor = 75);

-- which request made it; NULL: an older server, or no request
ALTER TABLE posts ADD COLUMN request_id text;

-- a decided check never changes again (0001), so each is counted once
CREATE FUNCTION decided_checks_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_deltas (name, labels)
    VALUES ('slipway_checks_total', jsonb_build_object('verdict', NEW.verdict));
    RETURN NULL;
END $$;
CREATE TRIGGER decided_checks_are_counted AFTER UPDATE ON checks FOR EACH ROW
    WHEN (OLD.verdict IS NULL AND NEW.verdict IS NOT NULL) EXECUTE FUNCTION decided_checks_are_counted();
"""


def upgrade() -> None:
    """Add the tables, the trigger and the index; older code neither reads nor writes them.

    The indexes come first: each commits by itself, and is made anew if what follows has to be tried again. A BRIN index
    of a table that is only appended to costs an insert next to nothing. It is on an expression so that no plan prefers
    the primary key, of which the id is the second column.
    """
    index_concurrently("accounts_grant_end", f"ON accounts (({GRANT_END})) WHERE status = 'active'")
    index_concurrently(
        "moves_by_id", "ON moves USING brin ((id + 0)) WITH (pages_per_range = 32, autosummarize = on)"
    )
    op.execute(SCHEMA)
