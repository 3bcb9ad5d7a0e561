"""Posts counted by status, so that no reader has to."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
CREATE TABLE post_counts (
    -- how many posts of a workspace have a status, deleted ones left out: what was folded, to which post_deltas adds
    workspace_id uuid NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, status)
) WITH (fillfactor = 50);

CREATE TABLE post_deltas (
    -- appended to, never updated: counting in place would let one post of a workspace be stored at a time
    workspace_id uuid NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX post_deltas_workspace ON post_deltas (workspace_id);

-- a scheduled post whose time has come reads as pending: of those alone a few are counted
CREATE INDEX posts_overdue ON posts (workspace_id, due_at) WHERE status = 'scheduled' AND deleted_at IS NULL;

CREATE FUNCTION new_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, n)
    SELECT workspace_id, status, count(*) FROM added WHERE deleted_at IS NULL GROUP BY workspace_id, status;
    RETURN NULL;
END $$;
CREATE FUNCTION moved_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, n)
    SELECT w, s, n FROM (VALUES (OLD.workspace_id, OLD.status, -1, OLD.deleted_at),
                                (NEW.workspace_id, NEW.status, 1, NEW.deleted_at)) AS x (w, s, n, deleted)
    WHERE deleted IS NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION gone_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, n)
    SELECT workspace_id, status, -count(*) FROM gone WHERE deleted_at IS NULL GROUP BY workspace_id, status;
    RETURN NULL;
END $$;

-- one row for a whole group of new posts; the lock that CREATE TRIGGER takes makes the first count exact
CREATE TRIGGER new_posts_are_counted AFTER INSERT ON posts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION new_posts_are_counted();
CREATE TRIGGER moved_posts_are_counted AFTER UPDATE ON posts FOR EACH ROW
    WHEN ((OLD.workspace_id, OLD.status, OLD.deleted_at IS NULL)
          IS DISTINCT FROM (NEW.workspace_id, NEW.status, NEW.deleted_at IS NULL))
    EXECUTE FUNCTION moved_posts_are_counted();
CREATE TRIGGER gone_posts_are_counted AFTER DELETE ON posts REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION gone_posts_are_counted();

INSERT INTO post_counts (workspace_id, status, n)
SELECT workspace_id, status, count(*) FROM posts WHERE deleted_at IS NULL GROUP BY workspace_id, status;
"""


def upgrade() -> None:
    """Counters, and the triggers that keep them."""
    op.execute(SCHEMA)
