"""Posts counted by spans of time as well: what ``GET /posts?since=&until=`` tells without counting rows.

Whoever folds ``post_deltas`` (upkeep of the version before does, too) deletes what it adds up: a trigger takes it from
there. Nothing is counted here that was there before: 0012 does that.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
CREATE TABLE post_spans (
    -- how many posts of a workspace have a status, of those made from starts_at on and so many minutes (1, 60, 1440 or
    -- 43200: each a multiple of the one before, counted from the epoch, so that no time zone matters). Deleted ones are
    -- left out; where there are none there is no row; post_deltas adds to it
    workspace_id uuid NOT NULL,
    minutes integer NOT NULL,
    starts_at timestamptz NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, minutes, starts_at, status)
) WITH (fillfactor = 80);

-- first of all: who writes posts has ended before the functions below are others, and nobody begins
CREATE OR REPLACE TRIGGER moved_posts_are_counted AFTER UPDATE ON posts FOR EACH ROW
    WHEN ((OLD.workspace_id, OLD.status, OLD.deleted_at IS NULL, OLD.created_at)
          IS DISTINCT FROM (NEW.workspace_id, NEW.status, NEW.deleted_at IS NULL, NEW.created_at))
    EXECUTE FUNCTION moved_posts_are_counted();

-- the minute in which the posts were made; NULL: appended before there were spans, and counted by 0012
ALTER TABLE post_deltas ADD COLUMN minute timestamptz;

CREATE OR REPLACE FUNCTION new_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT workspace_id, status, date_bin('1 minute', created_at, timestamptz 'epoch'), count(*)
    FROM added WHERE deleted_at IS NULL GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION moved_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT w, s, date_bin('1 minute', made, timestamptz 'epoch'), n
    FROM (VALUES (OLD.workspace_id, OLD.status, OLD.created_at, -1, OLD.deleted_at),
                 (NEW.workspace_id, NEW.status, NEW.created_at, 1, NEW.deleted_at)) AS x (w, s, made, n, deleted)
    WHERE deleted IS NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION gone_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT workspace_id, status, date_bin('1 minute', created_at, timestamptz 'epoch'), -count(*)
    FROM gone WHERE deleted_at IS NULL GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

CREATE FUNCTION folded_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    span post_spans;
BEGIN
    FOR span IN
        INSERT INTO post_spans AS s (workspace_id, minutes, starts_at, status, n)
        SELECT workspace_id, m, date_bin(make_interval(mins => m), minute, timestamptz 'epoch'), status, sum(n)
        FROM folded, unnest(ARRAY[1, 60, 1440, 43200]) AS m
        WHERE minute IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4
        ON CONFLICT (workspace_id, minutes, starts_at, status) DO UPDATE SET n = s.n + excluded.n
        RETURNING *
    LOOP  -- one by one: a plan for all of them would be kept, made for as few as there were the first time
        IF span.n = 0 THEN
            DELETE FROM post_spans s WHERE s.workspace_id = span.workspace_id AND s.minutes = span.minutes
                AND s.starts_at = span.starts_at AND s.status = span.status;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER folded_posts_are_counted AFTER DELETE ON post_deltas REFERENCING OLD TABLE AS folded
    FOR EACH STATEMENT EXECUTE FUNCTION folded_posts_are_counted();
"""


def upgrade() -> None:
    """The spans, and the triggers that keep them."""
    op.execute(SCHEMA)
