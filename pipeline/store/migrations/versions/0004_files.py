"""Files that clients upload."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
CREATE TABLE files (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,
    -- 256 random bits and an ending: whoever knows it may read the file, so nobody may guess it
    name text NOT NULL UNIQUE,
    url text NOT NULL,
    content_type text NOT NULL,
    filename text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- where its bytes lie: set once, by the one upload that came through
    object text UNIQUE,
    size bigint CHECK (size > 0),  -- bytes
    sha256 bytea CHECK (octet_length(sha256) = 32),
    stored_at timestamptz,
    -- nobody may use it any more; the row goes when its bytes are gone
    removed_at timestamptz,
    CHECK ((object IS NULL) = (stored_at IS NULL) AND (object IS NULL) = (size IS NULL)
           AND (object IS NULL) = (sha256 IS NULL)),
    CHECK (removed_at IS NULL OR object IS NOT NULL)
);
CREATE INDEX files_newest ON files (workspace_id, created_at DESC, id DESC)
    WHERE object IS NOT NULL AND removed_at IS NULL;
CREATE INDEX files_waiting ON files (workspace_id, created_at) WHERE object IS NULL;
CREATE INDEX files_abandoned ON files (created_at) WHERE object IS NULL;
CREATE INDEX files_oldest ON files (stored_at) WHERE object IS NOT NULL;
CREATE INDEX files_removed ON files (removed_at) WHERE removed_at IS NOT NULL;

CREATE TABLE file_puts (
    -- every object that may lie in storage without belonging to a file: written before its first byte
    object text PRIMARY KEY,
    file_id uuid NOT NULL REFERENCES files,
    begun_at timestamptz NOT NULL DEFAULT now(),
    given_up boolean NOT NULL DEFAULT false
);
CREATE INDEX file_puts_file ON file_puts (file_id);
CREATE INDEX file_puts_begun ON file_puts (begun_at);

-- a stored file never changes: posts were checked against it
CREATE FUNCTION files_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.object IS NOT NULL AND (NEW.object, NEW.size, NEW.sha256, NEW.content_type, NEW.name, NEW.workspace_id)
        IS DISTINCT FROM (OLD.object, OLD.size, OLD.sha256, OLD.content_type, OLD.name, OLD.workspace_id) THEN
        RAISE EXCEPTION 'file % is stored and never changes', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER files_are_final BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION files_are_final();
"""


def upgrade() -> None:
    """Files that clients upload."""
    op.execute(SCHEMA)
