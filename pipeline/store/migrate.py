"""Brings a database to the newest schema. Safe to run from several processes at once: one waits for the other."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

LOCK = 0x511B  # any fixed number: the advisory lock that makes two migrating processes take turns


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def head() -> str:
    """The newest revision the code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def upgrade(url: str) -> str:
    """Applies what is missing; returns the revision the database is at. Raises SQLAlchemy's errors as they are."""
    engine = create_engine(url)
    try:
        with engine.connect() as lock:
            lock.execute(text("SELECT pg_advisory_lock(:n)"), {"n": LOCK})
            lock.commit()
            with engine.connect() as connection:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            lock.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": LOCK})
            lock.commit()
    finally:
        engine.dispose()
    return head()
