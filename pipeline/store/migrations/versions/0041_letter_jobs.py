"""Steering jobs that replay and discard dead letters."""

from alembic import op

revision = "0041"
down_revision = "0040"

SCHEMA = """
-- the rule before was narrower: every row meets this one, none has to be read, and older code stores no other verbs
-- squawk-ignore ban-drop-constraint
ALTER TABLE steering_jobs DROP CONSTRAINT steering_jobs_verb_check,
    ADD CONSTRAINT steering_jobs_verb_check
    CHECK (verb IN ('cancel', 'retry', 'reschedule', 'pause', 'resume', 'replay', 'discard')) NOT VALID;
"""


def upgrade() -> None:
    """Let a job have these verbs. A worker of the version before leaves such a job to one of this."""
    op.execute(SCHEMA)
