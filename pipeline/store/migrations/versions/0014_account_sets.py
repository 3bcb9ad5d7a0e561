"""Posts counted by the accounts they go to as well: what a key that is bound to accounts is told without counting rows.

Triggers of the tables see to it, whoever writes them; folding, which only this version does, adds up what they append.
Nothing is counted here that was there before: 0015 does that.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

SCHEMA = """
CREATE TABLE account_sets (
    -- accounts that some posts go to, all of them and no others
    id uuid PRIMARY KEY,  -- the MD5 of the rest as text
    workspace_id uuid NOT NULL,
    accounts uuid[] NOT NULL  -- in their order
);
-- of the sets within others, each has its lowest account there
CREATE INDEX account_sets_lowest ON account_sets (workspace_id, (accounts[1]));

CREATE TABLE account_set_spans (
    -- as post_spans, of the posts that go to a set of accounts: by 10, 60, 360, 1440, 7200, 43200 and 51840000 minutes
    set_id uuid NOT NULL,
    minutes integer NOT NULL,
    starts_at timestamptz NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (set_id, minutes, starts_at, status) INCLUDE (n)  -- so that counting reads nothing but this index
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);  -- it can while vacuumed
-- the newest hours in which posts were made that have a status
CREATE INDEX account_set_spans_hours ON account_set_spans (set_id, status, starts_at DESC) INCLUDE (n)
    WHERE minutes = 60;

CREATE TABLE account_set_deltas (
    -- as post_deltas: appended to, never updated
    workspace_id uuid NOT NULL,
    accounts uuid[] NOT NULL,
    status text NOT NULL,
    starts_at timestamptz NOT NULL,  -- of the ten minutes in which the posts were made
    n bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX account_set_deltas_workspace ON account_set_deltas (workspace_id);

-- first of all: who writes has ended before anything below is there, and nobody begins
LOCK TABLE posts, deliveries IN SHARE ROW EXCLUSIVE MODE;

-- the plans of these functions are kept while tables grow from nothing: none may read one whole
CREATE FUNCTION new_deliveries_are_counted() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO account_set_deltas (workspace_id, accounts, status, starts_at, n)
    SELECT p.workspace_id, y.accounts, p.status, date_bin('10 minutes', p.created_at, timestamptz 'epoch'), sum(y.n)
    FROM (SELECT post_id, array_agg(account_id) AS accounts FROM added GROUP BY post_id) more,
         LATERAL (SELECT * FROM posts WHERE id = more.post_id AND deleted_at IS NULL LIMIT 1) p,
         LATERAL (SELECT array_agg(account_id ORDER BY account_id) AS now,
                         array_agg(account_id ORDER BY account_id)
                             FILTER (WHERE account_id <> ALL(more.accounts)) AS before
                  FROM deliveries WHERE post_id = more.post_id) x,
         LATERAL (VALUES (x.now, 1), (x.before, -1)) AS y (accounts, n)
    WHERE y.accounts IS NOT NULL GROUP BY 1, 2, 3, 4;
    RETURN NULL;
END $$;
CREATE TRIGGER new_deliveries_are_counted AFTER INSERT ON deliveries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION new_deliveries_are_counted();

CREATE FUNCTION moved_posts_are_counted_by_accounts() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO account_set_deltas (workspace_id, accounts, status, starts_at, n)
    SELECT w, accounts, s, date_bin('10 minutes', made, timestamptz 'epoch'), n
    FROM (SELECT array_agg(account_id ORDER BY account_id) AS accounts FROM deliveries WHERE post_id = NEW.id) x,
         (VALUES (OLD.workspace_id, OLD.status, OLD.created_at, -1, OLD.deleted_at),
                 (NEW.workspace_id, NEW.status, NEW.created_at, 1, NEW.deleted_at)) AS y (w, s, made, n, deleted)
    WHERE deleted IS NULL AND accounts IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER moved_posts_are_counted_by_accounts AFTER UPDATE ON posts FOR EACH ROW
    WHEN ((OLD.workspace_id, OLD.status, OLD.deleted_at IS NULL, OLD.created_at)
          IS DISTINCT FROM (NEW.workspace_id, NEW.status, NEW.deleted_at IS NULL, NEW.created_at))
    EXECUTE FUNCTION moved_posts_are_counted_by_accounts();
"""


def upgrade() -> None:
    """The sets, and the triggers that keep them. Deliveries are never deleted and never change their account."""
    op.execute(SCHEMA)
