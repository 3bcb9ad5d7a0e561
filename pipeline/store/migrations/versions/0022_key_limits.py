"""Limits of a key: whether music has to be attached, posts per minute and per day, and today's count.

NULL is the server's default, so keys of before keep what they have. Expand only; servers of the version before do not
read these columns and apply the server's defaults to every key.
"""

from alembic import op

revision = "0022"
down_revision = "0021"

SCHEMA = """
ALTER TABLE keys
    ADD COLUMN music_required boolean,
    ADD COLUMN posts_per_minute integer,  -- 0: no limit
    ADD COLUMN posts_per_day integer,  -- 0: no limit
    ADD COLUMN counted_on date,  -- the day (UTC) of the count
    ADD COLUMN counted_posts integer NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(SCHEMA)
