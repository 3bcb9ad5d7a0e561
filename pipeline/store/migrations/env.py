# ruff: noqa: INP001  Alembic loads this by path
"""Runs the migrations on the connection it is handed (``pipeline.store.migrate``)."""

from typing import Any

from alembic import context

from pipeline.store.schema_version import oldest_code_statement


def note(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:  # noqa: ARG001  alembic calls with all four by name
    """In the transaction of a contract step: which code the tables serve from now on."""
    if oldest := getattr(step.up_revision.module, "minimum_code", None):
        ctx.connection.exec_driver_sql(oldest_code_statement(oldest))


context.configure(
    connection=context.config.attributes["connection"], transaction_per_migration=True, on_version_apply=note
)
with context.begin_transaction():
    context.run_migrations()
