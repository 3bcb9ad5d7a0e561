"""Idempotency keys: which resource an earlier request with the same Idempotency-Key has made."""

from alembic import op

revision = "0045"
down_revision = "0044"

SCHEMA = """
CREATE TABLE idempotency_keys (
    key_id uuid NOT NULL,  -- of the caller; no foreign keys: a row lives for a day
    operation text NOT NULL,
    value_sha256 bytea NOT NULL,
    request_sha256 bytea NOT NULL,
    resource uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, operation, value_sha256)
);
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (created_at);
"""


def upgrade() -> None:
    """Add the table. Servers of the version before go on keeping the keys of imports in their rows."""
    op.execute(SCHEMA)
