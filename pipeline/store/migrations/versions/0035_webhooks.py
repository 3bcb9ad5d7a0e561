"""Webhooks: customers' addresses, the events they get, each try to send one, and what becomes an event beside moves."""

from alembic import op

revision = "0035"
down_revision = "0034"

SCHEMA = """
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,  -- NULL: the command line
    accounts uuid[],  -- those of a restricted key, sorted: it gets no other events. NULL: all of the workspace
    url text NOT NULL,
    types text[],  -- of the events that are sent; NULL: all
    description text,
    secrets bytea NOT NULL,  -- sealed by the vault
    earlier_until timestamptz,  -- until then the secret of before the last rotation signs too
    created_at timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    paused_why text CHECK (paused_why IN ('person', 'gone', 'dead', 'key_revoked')),
    deleted_at timestamptz,  -- a maintenance job deletes its events, then the row
    failing_since timestamptz,  -- the first failed try since one succeeded
    failures integer NOT NULL DEFAULT 0,  -- rounds without a success since then
    hold_until timestamptz NOT NULL DEFAULT now(),  -- nothing is sent before
    served_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    CONSTRAINT paused_says_why CHECK ((paused_at IS NULL) = (paused_why IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX webhooks_of_workspace ON webhooks (workspace_id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_serving ON webhooks (served_at) WHERE deleted_at IS NULL AND paused_at IS NULL;
CREATE INDEX webhooks_paused ON webhooks (paused_why) WHERE deleted_at IS NULL AND paused_at IS NOT NULL;

CREATE TABLE webhook_events (
    webhook_id uuid NOT NULL REFERENCES webhooks,
    id uuid NOT NULL,  -- one event has the same id at all webhooks, and at every try
    n bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which events were made
    lane uuid NOT NULL,  -- the post, or what else it is about: events of one lane are sent one after the other
    type text NOT NULL,
    body text NOT NULL,  -- JSON, as it is sent and signed
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    next_at timestamptz,  -- only of the first pending event of its lane
    tries integer NOT NULL DEFAULT 0,  -- since it was made, replayed or its webhook resumed
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook_id, id),
    CONSTRAINT only_pending_is_due CHECK (state = 'pending' OR next_at IS NULL)
) WITH (fillfactor = 75);
CREATE UNIQUE INDEX webhook_events_order ON webhook_events (webhook_id, n);
CREATE INDEX webhook_events_pending ON webhook_events (webhook_id, lane, n) WHERE state = 'pending';
CREATE INDEX webhook_events_due ON webhook_events (webhook_id, next_at) WHERE next_at IS NOT NULL;
-- two senders never send two events of one lane at once
CREATE UNIQUE INDEX webhook_events_first ON webhook_events (webhook_id, lane) WHERE next_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    n integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),  -- committed before the request leaves
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('delivered', 'http_error', 'gone', 'unanswered', 'refused', 'unknown')),
    status integer,
    error text,
    answer text,  -- its start, if it is no success
    PRIMARY KEY (webhook_id, event_id, n),
    FOREIGN KEY (webhook_id, event_id) REFERENCES webhook_events ON DELETE CASCADE,
    CONSTRAINT ended_has_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_attempts_open ON webhook_attempts (webhook_id) WHERE outcome IS NULL;

CREATE TABLE occurrences (
    -- what happened to accounts and imports; the export of moves makes events of them and deletes them
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('account.reconnect', 'import.finished')),
    workspace_id uuid NOT NULL,
    subject uuid NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- arguments: the kind, and the column that says what became of the row
CREATE FUNCTION occurrences_are_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO occurrences (kind, workspace_id, subject, state)
    SELECT TG_ARGV[0], NEW.workspace_id, NEW.id, to_jsonb(NEW) ->> TG_ARGV[1]
    WHERE EXISTS (SELECT FROM webhooks w WHERE w.workspace_id = NEW.workspace_id AND w.deleted_at IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER reconnects_are_noted AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (OLD.status <> 'reconnect' AND NEW.status = 'reconnect')
    EXECUTE FUNCTION occurrences_are_noted('account.reconnect', 'status');
CREATE TRIGGER ends_are_noted AFTER UPDATE ON imports FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state IN ('applied', 'cancelled', 'failed', 'rolled_back'))
    EXECUTE FUNCTION occurrences_are_noted('import.finished', 'state');
"""


def upgrade() -> None:
    """Add the tables and the triggers. Maintenance of the version before makes no events of the moves it exports."""
    op.execute(SCHEMA)
