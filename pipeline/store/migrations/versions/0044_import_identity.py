"""One index has the first and the last row of an identity at its ends, whatever the planner counts."""

from alembic import op

from pipeline.store.migration_helpers import index_concurrently

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Add the number to the index; older code walks along this one as well."""
    index_concurrently(
        "import_rows_identities", "ON import_rows (import_id, identity, number) WHERE identity IS NOT NULL"
    )
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS import_rows_identity")
