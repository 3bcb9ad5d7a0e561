"""What edits and cancels left behind at the platforms."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = """
CREATE TABLE old_handles (
    -- checkpoints (containers, upload sessions, unpublished media) that nothing will ever finish: the clean-up list
    id uuid PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES deliveries,
    account_id uuid NOT NULL REFERENCES accounts,
    generation integer NOT NULL,  -- of the version of the post they were made for
    handle bytea NOT NULL,        -- sealed by the vault with this row's id inside
    left_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX old_handles_delivery ON old_handles (delivery_id);
CREATE INDEX old_handles_account ON old_handles (account_id, left_at);
"""


def upgrade() -> None:
    """A list of handles to clean up."""
    op.execute(SCHEMA)
