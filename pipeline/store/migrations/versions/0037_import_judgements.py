"""What the rules went by when a row of an import was judged, and why an import makes no posts for a while."""

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Older code neither reads nor writes them; a row that it judged is judged again."""
    op.execute("ALTER TABLE import_rows ADD COLUMN judged bytea; ALTER TABLE imports ADD COLUMN held jsonb")
