"""The audit: who changed what, from where, before and after."""

from alembic import op

revision = "0036"
down_revision = "0035"

SCHEMA = """
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL CHECK (actor_kind IN ('user', 'key', 'command line', 'system')),
    actor_name text NOT NULL,
    actor_id uuid,  -- no foreign keys: a row stands by itself, whatever becomes of what it names
    address text,
    request_id text,
    verb text NOT NULL,
    kind text NOT NULL,
    subject text,
    workspace_id uuid,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    PRIMARY KEY (at, id)
);
CREATE INDEX audit_workspace ON audit (workspace_id, at, id) WHERE workspace_id IS NOT NULL;
CREATE INDEX audit_subject ON audit (subject, at, id) WHERE subject IS NOT NULL;

CREATE FUNCTION audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are only ever added';
END $$;
CREATE TRIGGER audit_is_final BEFORE UPDATE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_final();

-- rows expire, if a setting says so: the transaction that removes them names the time
CREATE FUNCTION audit_expires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.at >= nullif(current_setting('slipway.audit_expired', true), '')::timestamptz) IS NOT FALSE THEN
        RAISE EXCEPTION 'audit rows are only ever added';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_expires BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_expires();
"""


def upgrade() -> None:
    """Add the table. Processes of the version before make changes without a row."""
    op.execute(SCHEMA)
