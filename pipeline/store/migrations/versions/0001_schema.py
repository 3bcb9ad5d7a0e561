"""The schema, as ``schema.sql`` has it."""

from pathlib import Path

from alembic import op

from pipeline.store.schema_version import build_digest_comment

revision = "s0001"
down_revision = None


def upgrade() -> None:
    """Create everything, and record what it was made of."""
    op.execute(Path(__file__).with_name("schema.sql").read_text())
    op.execute(build_digest_comment())
