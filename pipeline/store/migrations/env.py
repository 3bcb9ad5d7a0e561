# ruff: noqa: INP001  Alembic loads this by path
"""Runs the migrations on the connection it is handed (``pipeline.store.migrate``)."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
