"""Images made to fit a platform: files derived from checked ones, the posts that use them, and what was checked."""

from alembic import op

revision = "0030"
down_revision = "0029"

SCHEMA = """
ALTER TABLE checks ADD COLUMN content_sha256 bytea;
-- of the file that this one is derived from; NULL: a client uploaded it
ALTER TABLE files ADD COLUMN source_sha256 bytea;

CREATE TABLE derived_file_uses (
    file_id uuid NOT NULL REFERENCES files ON DELETE CASCADE,
    post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
    PRIMARY KEY (file_id, post_id)
);

-- a stored file never changes, but a derived one that storage has lost is made again
CREATE OR REPLACE FUNCTION files_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.object IS NOT NULL AND OLD.source_sha256 IS NULL
       AND (NEW.object, NEW.size, NEW.sha256, NEW.content_type, NEW.name, NEW.workspace_id)
        IS DISTINCT FROM (OLD.object, OLD.size, OLD.sha256, OLD.content_type, OLD.name, OLD.workspace_id) THEN
        RAISE EXCEPTION 'file % is stored and never changes', OLD.id;
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    """Add columns and a table; older code serves derived files, and removes them once they are old."""
    op.execute(SCHEMA)
