"""Files that clients upload."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
SELECT 1;
"""


def upgrade() -> None:
    """Files that clients upload."""
    op.execute(SCHEMA)
