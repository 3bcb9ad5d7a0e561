"""Users of the dashboard, their sessions, their roles in workspaces, and tries to log in."""

from alembic import op

revision = "0034"
down_revision = "0033"

SCHEMA = """
CREATE TABLE users (
    id uuid PRIMARY KEY,
    login text NOT NULL UNIQUE CHECK (login <> '' AND login = lower(login)),
    password_hash text NOT NULL,  -- Argon2id, with its parameters and salt
    created_at timestamptz NOT NULL DEFAULT now(),
    password_set_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    disabled_at timestamptz
);

CREATE TABLE memberships (
    user_id uuid NOT NULL REFERENCES users,
    workspace_id uuid REFERENCES workspaces,  -- NULL: all workspaces, later ones included
    role text NOT NULL CHECK (role IN ('viewer', 'author', 'operator', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (user_id, workspace_id)
);

CREATE TABLE sessions (
    -- a session that ends is deleted
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    address text NOT NULL,
    agent text NOT NULL  -- the browser, as it names itself
) WITH (fillfactor = 75);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_created ON sessions (created_at);

CREATE TABLE login_tries (
    -- a hash: people type passwords into the field for their login
    subject_sha256 bytea PRIMARY KEY CHECK (octet_length(subject_sha256) = 32),
    tries integer NOT NULL,
    until timestamptz NOT NULL  -- when the tries are forgotten
) WITH (fillfactor = 75);
CREATE INDEX login_tries_until ON login_tries (until);
"""


def upgrade() -> None:
    """Add the tables; code of the version before does not read them."""
    op.execute(SCHEMA)
