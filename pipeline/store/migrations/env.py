# ruff: noqa: INP001  Alembic loads this by path
"""Run the migrations on the connection that ``pipeline.store.migrate`` passes."""

from typing import Any

from alembic import context

from pipeline.store.schema_version import build_oldest_code_comment


def record_oldest_code(
    ctx: Any,
    step: Any,
    heads: Any,  # noqa: ARG001  Alembic passes all four by name
    run_args: Any,  # noqa: ARG001
) -> None:
    """Record the oldest code that works on the tables, in the transaction of a contract step."""
    if oldest := getattr(step.up_revision.module, "minimum_code", None):
        ctx.connection.exec_driver_sql(build_oldest_code_comment(oldest))


context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=True,
    on_version_apply=record_oldest_code,
)
with context.begin_transaction():
    context.run_migrations()
