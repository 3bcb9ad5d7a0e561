"""What a key may do, and when it was used.

Expand only, with one thing to know: servers of the version before do not read these columns. Make restricted keys
when every server runs this version; older ones would take them for whole keys.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = """
ALTER TABLE keys
    ADD COLUMN read_only boolean NOT NULL DEFAULT false,
    ADD COLUMN bulk boolean NOT NULL DEFAULT false,
    -- NULL is every account of the workspace; an empty list would be a key that looks restricted and is nothing
    ADD COLUMN accounts uuid[] CHECK (cardinality(accounts) > 0),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN rotated_at timestamptz,
    ADD COLUMN earlier_sha256 bytea CHECK (octet_length(earlier_sha256) = 32),
    ADD COLUMN earlier_until timestamptz,
    ADD CONSTRAINT keys_earlier CHECK ((earlier_sha256 IS NULL) = (earlier_until IS NULL));
-- An external id is unique among the keys that see the same posts, and replays knows it: a bound key that was told
-- that an id is taken would learn of a post it must not see.
DROP INDEX posts_external;
"""


def upgrade() -> None:
    """What a key may do, and when it was used."""
    op.execute(SCHEMA)
