"""Outages: each delivery's streaks of unavailability, and each platform's health and circuit breaker."""

from alembic import op

revision = "0021"
down_revision = "0020"

SCHEMA = """
ALTER TABLE deliveries ADD COLUMN unavailable_since jsonb;  -- party -> first failure of its current streak

CREATE TABLE platform_health (
    platform text PRIMARY KEY,
    answered_at timestamptz NOT NULL DEFAULT '-infinity',
    failed_at timestamptz NOT NULL DEFAULT '-infinity',
    opened_at timestamptz,  -- since when the circuit breaker is open
    probe_at timestamptz,  -- when the next probe may be sent
    probe_id uuid,  -- the delivery that probes; no foreign key: a hint, not a fact about the delivery
    why text,
    CONSTRAINT open_has_probe CHECK ((opened_at IS NULL) = (probe_at IS NULL) AND (opened_at IS NULL) = (why IS NULL))
) WITH (fillfactor = 50);

CREATE TABLE platform_failures (
    -- failures since the platform's last answer; older rows are ignored
    platform text NOT NULL,
    account_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    failed_at timestamptz NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (platform, account_id)
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    """Add the column and the tables; older code neither reads nor writes them."""
    op.execute(SCHEMA)
