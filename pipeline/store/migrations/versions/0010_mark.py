"""How a restored database is recognised, and what becomes of what may have gone out since its backup."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
CREATE TABLE mark (
    -- one row; its counterpart lies outside the database, and is always as far or ahead (pipeline/keeper.py)
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid,  -- the history these numbers count; NULL: nobody has kept a mark yet
    n bigint NOT NULL DEFAULT 0,  -- the newest number that may stand outside
    until timestamptz,  -- nothing is armed from this moment on; NULL: not confirmed since the epoch began
    marked_at timestamptz,  -- when it was confirmed last: a backup that holds this row was made later
    -- whose row this is: the server's start, the database and table, and the transaction that wrote it (its xmin): in a
    -- copy, or out of a dump, one of these is another
    started timestamptz,
    database oid,
    relation oid,
    writer xid,
    -- a mismatch was found: nothing is sent until a person has accepted it
    held_at timestamptz,
    held_why text CHECK (held_why IN ('restored', 'lost', 'declared')),
    doubt_since timestamptz,  -- NULL: from the beginning
    doubt_until timestamptz,  -- NULL: the person has to say
    CHECK ((held_at IS NULL) = (held_why IS NULL))
) WITH (fillfactor = 25);
INSERT INTO mark DEFAULT VALUES;

CREATE TABLE brought_forward (
    -- deliveries a person made due earlier, or sent again: not armed before that stands outside the database too
    delivery_id uuid PRIMARY KEY
);

CREATE TABLE restores (
    epoch uuid PRIMARY KEY,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    why text NOT NULL,
    since timestamptz,
    until timestamptz,
    note text
);

CREATE TABLE doubted (
    -- the list a person sees: what may have gone out between a backup and its restore
    epoch uuid NOT NULL REFERENCES restores,
    delivery_id uuid NOT NULL,
    origin text NOT NULL,
    why text NOT NULL,
    twin boolean NOT NULL DEFAULT false,  -- another one has the same text and account: no look can tell which is live
    PRIMARY KEY (epoch, delivery_id)
);
CREATE INDEX doubted_delivery ON doubted (delivery_id);

-- armed by a restore, not by a worker: only proof of life or a person moves it on, absence proves nothing
ALTER TABLE deliveries ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;
ALTER TABLE deliveries ADD CONSTRAINT doubted_stays_armed
    CHECK (NOT in_doubt OR (armed_at IS NOT NULL AND state NOT IN ('failed', 'cancelled'))) NOT VALID;
"""


def upgrade() -> None:
    """The mark and the list. NOT VALID: every row there is has the default, and none need be read for that."""
    op.execute(SCHEMA)
