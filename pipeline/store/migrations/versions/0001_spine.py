"""Workspaces, keys, accounts, posts, deliveries, attempts, moves, checks."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    kind text NOT NULL CHECK (kind IN ('workspace', 'personal')),
    owner_user_id uuid,
    plan text NOT NULL CHECK (plan IN ('creator', 'professional', 'business', 'scheduler', 'none')),
    subscription text NOT NULL CHECK (subscription IN ('active', 'trialing', 'past_due', 'canceled')),
    time_zone text NOT NULL DEFAULT 'UTC',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'personal') = (owner_user_id IS NOT NULL))
);

CREATE TABLE keys (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    public_id text NOT NULL UNIQUE,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX keys_workspace ON keys (workspace_id);

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    platform text NOT NULL,
    connection text NOT NULL,
    remote_id text NOT NULL,
    username text NOT NULL,
    display_name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'reconnect', 'inactive')),
    settings jsonb NOT NULL DEFAULT '{}',
    -- sealed by the vault with the account's id inside, so that a row copied onto another account does not open
    credentials bytea NOT NULL,
    expires_at timestamptz,
    refresh_expires_at timestamptz,
    -- one worker refreshes at a time; the version tells the others that somebody already did
    credentials_version integer NOT NULL DEFAULT 1,
    refreshing_until timestamptz,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, platform, connection, remote_id)
);

CREATE TABLE pauses (
    -- what an operator holds: everything, a platform, a workspace or an account; arm and release respect it
    scope text NOT NULL CHECK (scope IN ('all', 'platform', 'workspace', 'account')),
    target text NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, target)
);

CREATE TABLE posts (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,
    caption text NOT NULL,
    media jsonb NOT NULL,
    music_url text,
    tiktok jsonb,
    pinterest jsonb,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    on_late text NOT NULL DEFAULT 'publish' CHECK (on_late IN ('publish', 'skip', 'hold')),
    status text NOT NULL CHECK (status IN ('pending', 'scheduled', 'posted', 'failed', 'partial', 'retry', 'canceled')),
    source text NOT NULL DEFAULT 'partner_api',
    external_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    rechecked_at timestamptz
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX posts_external ON posts (workspace_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX posts_newest ON posts (workspace_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX posts_status ON posts (workspace_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- the late policy looks here at every doorbell, and nearly always finds nothing
CREATE INDEX posts_late ON posts (expires_at)
    WHERE on_late <> 'publish' AND status IN ('scheduled', 'pending', 'retry');
CREATE INDEX posts_due ON posts (due_at) WHERE status = 'scheduled' AND deleted_at IS NULL;

CREATE TABLE replays (
    -- what a repeated request is recognised by: 'id:<external_id>', or 'body:<sha256>' within the window
    workspace_id uuid NOT NULL,
    token text NOT NULL,
    body_sha256 bytea NOT NULL,
    post_id uuid NOT NULL REFERENCES posts DEFERRABLE INITIALLY DEFERRED,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, token)
);

CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    post_id uuid NOT NULL REFERENCES posts,
    workspace_id uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts,
    platform text NOT NULL,
    state text NOT NULL CHECK (state IN ('accepted', 'scheduled', 'queued', 'publishing', 'preparing', 'processing',
                                         'unknown', 'retrying', 'blocked', 'published', 'failed', 'cancelled')),
    reason text CHECK (reason IN ('reconnect', 'is_it_live', 'person_needed')),
    generation integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    lease_until timestamptz,
    spent integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    surprises integer NOT NULL DEFAULT 0,
    looks integer NOT NULL DEFAULT 0,
    prepares integer NOT NULL DEFAULT 0,
    prepares_on date,
    armed_at timestamptz,
    armed_deadline timestamptz,
    working_since timestamptz,
    absent_at timestamptz,
    -- sealed by the vault: upload addresses carry tokens
    checkpoint bytea,
    remote_id text,
    url text,
    delivered_as text,
    notes jsonb,
    published_at timestamptz,
    error jsonb,
    last_attempted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (post_id, account_id),
    CONSTRAINT blocked_says_why CHECK ((state = 'blocked') = (reason IS NOT NULL)),
    CONSTRAINT published_has_time CHECK ((state = 'published') = (published_at IS NOT NULL)),
    CONSTRAINT after_the_visible_call CHECK (state NOT IN ('processing', 'unknown') OR armed_at IS NOT NULL),
    CONSTRAINT before_the_visible_call CHECK (
        state NOT IN ('accepted', 'scheduled', 'queued', 'preparing', 'retrying', 'cancelled') OR armed_at IS NULL),
    CONSTRAINT held_has_lease CHECK (state NOT IN ('queued', 'publishing') OR lease_until IS NOT NULL)
) WITH (fillfactor = 75);
-- one live post never settles two deliveries
CREATE UNIQUE INDEX deliveries_remote ON deliveries (account_id, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX deliveries_waiting ON deliveries (platform, workspace_id, next_at)
    WHERE state IN ('scheduled', 'retrying');
CREATE INDEX deliveries_slots ON deliveries (platform, next_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX deliveries_looks ON deliveries (next_at) WHERE state IN ('preparing', 'processing', 'unknown');
CREATE INDEX deliveries_leases ON deliveries (lease_until) WHERE state IN ('queued', 'publishing');
CREATE INDEX deliveries_accepted ON deliveries (updated_at) WHERE state = 'accepted';
CREATE INDEX deliveries_queued ON deliveries (platform) WHERE state = 'queued';
CREATE INDEX deliveries_planned ON deliveries (account_id, due_at) WHERE state IN ('accepted', 'scheduled', 'retrying');
CREATE INDEX deliveries_blocked ON deliveries (account_id) WHERE state = 'blocked';
CREATE INDEX deliveries_no_url ON deliveries (published_at) WHERE state = 'published' AND url IS NULL;

CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES deliveries,
    account_id uuid NOT NULL,
    n integer NOT NULL,
    generation integer NOT NULL,
    fence bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    armed_at timestamptz,
    closed_at timestamptz,
    outcome text CHECK (outcome IN ('published', 'refused', 'failed', 'absent', 'decided')),
    remote_id text,
    error jsonb,
    late jsonb,  -- what arrived after the claim had been lost; evidence, moves nothing by itself
    UNIQUE (delivery_id, n),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX attempts_one_open ON attempts (delivery_id) WHERE closed_at IS NULL;
CREATE INDEX attempts_armed ON attempts (account_id, armed_at) WHERE armed_at IS NOT NULL;

CREATE TABLE moves (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL,  -- no foreign key: deliveries are never deleted, and five checks each would cost
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    mover text NOT NULL,
    origin text,
    target text NOT NULL,
    generation integer NOT NULL,
    fence bigint NOT NULL,
    why text
);
CREATE INDEX moves_delivery ON moves (delivery_id, id);

CREATE TABLE checks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('image', 'video', 'music')),
    url text NOT NULL,
    url_sha256 bytea NOT NULL,
    verdict text CHECK (verdict IN ('good', 'refused', 'unanswered')),
    facts jsonb,
    seen text,  -- what the last try saw, in the words of the answer to the client
    tries integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    CHECK ((verdict IS NULL) = (decided_at IS NULL))
);
-- single flight: at most one undecided check per workspace and URL
CREATE UNIQUE INDEX checks_undecided ON checks (workspace_id, url_sha256, purpose) WHERE verdict IS NULL;
CREATE INDEX checks_good ON checks (workspace_id, url_sha256, purpose, decided_at DESC) WHERE verdict = 'good';
CREATE INDEX checks_open ON checks (next_at) WHERE verdict IS NULL;

CREATE TABLE post_checks (
    post_id uuid NOT NULL REFERENCES posts,
    position integer NOT NULL,  -- of the media; -1 is the music
    check_id uuid NOT NULL REFERENCES checks,
    PRIMARY KEY (post_id, position)
);
CREATE INDEX post_checks_check ON post_checks (check_id);

-- a decided check never changes: posts pin it
CREATE FUNCTION checks_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.verdict IS NOT NULL THEN
        RAISE EXCEPTION 'check % is decided and never changes', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER checks_are_final BEFORE UPDATE ON checks FOR EACH ROW EXECUTE FUNCTION checks_are_final();
"""


def upgrade() -> None:
    """The first tables."""
    op.execute(SCHEMA)
