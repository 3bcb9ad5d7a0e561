"""Grants under way, and what a refresh has to remember of the ones before it."""

from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = """
CREATE TABLE grants (
    -- a person who was sent to a platform's consent page and is expected back
    id uuid PRIMARY KEY,
    state_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(state_sha256) = 32),
    workspace_id uuid NOT NULL REFERENCES workspaces,
    platform text NOT NULL,
    connection text,                         -- NULL: whichever the platform gives
    key_id uuid REFERENCES keys,             -- who started it; NULL: the command line
    account_id uuid REFERENCES accounts,     -- which account is to be connected again
    chosen jsonb,                            -- remote ids that may be stored; NULL: all that are found
    redirect_uri text NOT NULL,
    verifier bytea,                          -- PKCE, sealed by the vault; gone as soon as it is used
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    outcome jsonb,                           -- the accounts, or why there are none
    CONSTRAINT verifier_is_used_once CHECK (used_at IS NULL OR verifier IS NULL),
    CONSTRAINT outcome_after_use CHECK (outcome IS NULL OR used_at IS NOT NULL)
);
CREATE INDEX grants_created ON grants (created_at);

ALTER TABLE accounts
    -- when the credentials were stored: with their end, how long they live
    ADD COLUMN credentials_since timestamptz NOT NULL DEFAULT now(),
    -- whether there is a refresh token; NULL: stored before this was noted
    ADD COLUMN renewable boolean,
    -- whether a refresh gave another refresh token than it took; NULL: not seen yet
    ADD COLUMN refresh_rotates boolean,
    -- no refresh ahead of the end before this moment
    ADD COLUMN refresh_after timestamptz,
    -- refreshes in a row that left and were never answered
    ADD COLUMN unanswered integer NOT NULL DEFAULT 0;
CREATE INDEX accounts_ends ON accounts (least(expires_at, refresh_expires_at)) WHERE status = 'active';
"""


def upgrade() -> None:
    """Connecting accounts."""
    op.execute(SCHEMA)
