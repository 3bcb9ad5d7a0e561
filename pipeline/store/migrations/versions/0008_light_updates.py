"""Fewer index entries for each step of a delivery.

PostgreSQL keeps an update within its page, without touching any index, when no column that an index names (in its
predicate too) changes (heap-only tuples; PostgreSQL 18 manual, 66.7, read 2026-11-25). Arming, checkpoints and looks
change ``updated_at`` and ``lease_until`` only, so no index names these two. What is queued or held is bounded, and
its leases are read through.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
DROP INDEX deliveries_leases;
DROP INDEX deliveries_queued;
CREATE INDEX deliveries_held ON deliveries (state, platform) WHERE state IN ('queued', 'publishing');
DROP INDEX deliveries_accepted;
CREATE INDEX deliveries_accepted ON deliveries (post_id) WHERE state = 'accepted';
ALTER TABLE moves DROP CONSTRAINT moves_pkey;
ALTER TABLE moves ADD PRIMARY KEY (delivery_id, id);
DROP INDEX moves_delivery;
"""


def upgrade() -> None:
    """The indexes as they are needed."""
    op.execute(SCHEMA)
