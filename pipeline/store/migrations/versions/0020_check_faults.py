"""What failed in this installation when a check was last tried."""

from alembic import op

revision = "0020"
down_revision = "0019"

SCHEMA = """
ALTER TABLE checks ADD COLUMN fault text;  -- of an undecided check: the class of the error; null once a try is answered
"""


def upgrade() -> None:
    """Add the column. Older code leaves it null, or as the last try of newer code left it."""
    op.execute(SCHEMA)
