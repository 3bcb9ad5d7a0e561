"""What the rules went by when a row of an import was judged: applying it repeats no rule that has the same."""

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Older code neither reads nor writes it; a row without it is judged again."""
    op.execute("ALTER TABLE import_rows ADD COLUMN judged bytea")
