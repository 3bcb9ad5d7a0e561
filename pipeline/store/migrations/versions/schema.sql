-- The tables of the ledger. Until the first release this file is edited in place (README.md). Columns stand in the
-- order in which they were added; a new one goes to the end of its table.


-- Tenants and who may act for them ------------------------------------------------------------------------------------

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    kind text NOT NULL CHECK (kind IN ('workspace', 'personal')),
    owner_user_id uuid,
    plan text NOT NULL CHECK (plan IN ('creator', 'professional', 'business', 'scheduler', 'none')),
    subscription text NOT NULL CHECK (subscription IN ('active', 'trialing', 'past_due', 'canceled')),
    time_zone text NOT NULL DEFAULT 'UTC',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- a post that has no expires_at of its own and is this late is skipped or held; NULL: published
    late_after interval CHECK (late_after > interval '0'),
    on_late text CHECK (on_late IN ('skip', 'hold')),
    needs_approval boolean NOT NULL DEFAULT false,  -- every post of it, whoever writes it
    self_approval boolean NOT NULL DEFAULT false,  -- who writes a post may approve it
    closed_at timestamptz,  -- it is being deleted: nothing acts for it any more
    CHECK ((kind = 'personal') = (owner_user_id IS NOT NULL)),
    CONSTRAINT late_says_what CHECK ((late_after IS NULL) = (on_late IS NULL))
);
CREATE INDEX workspaces_late ON workspaces (id) WHERE late_after IS NOT NULL;

CREATE TABLE keys (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    public_id text NOT NULL UNIQUE,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    last_used_at timestamptz,
    read_only boolean NOT NULL DEFAULT false,
    bulk boolean NOT NULL DEFAULT false,
    -- NULL: every account of the workspace; with an empty list a key would look restricted and not be
    accounts uuid[] CHECK (cardinality(accounts) > 0),
    expires_at timestamptz,
    rotated_at timestamptz,
    earlier_sha256 bytea CHECK (octet_length(earlier_sha256) = 32),
    earlier_until timestamptz,
    music_required boolean,
    posts_per_minute integer,  -- 0: no limit
    posts_per_day integer,  -- 0: no limit
    lead_minutes integer,
    ahead_days integer,
    kinds text[],  -- NULL: all
    options text[],  -- NULL: all
    counted_on date,  -- the day (UTC) of the count
    counted_posts integer NOT NULL DEFAULT 0,
    needs_approval boolean,
    may_approve boolean CHECK (NOT (may_approve AND needs_approval)),
    CONSTRAINT keys_earlier CHECK ((earlier_sha256 IS NULL) = (earlier_until IS NULL))
);
CREATE INDEX keys_workspace ON keys (workspace_id);

-- which resource an earlier request with the same Idempotency-Key has made
CREATE TABLE idempotency_keys (
    key_id uuid NOT NULL,  -- of the caller; no foreign keys: a row lives for a day
    operation text NOT NULL,
    value_sha256 bytea NOT NULL,
    request_sha256 bytea NOT NULL,
    resource uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, operation, value_sha256)
);
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (created_at);

-- users of the dashboard
CREATE TABLE users (
    id uuid PRIMARY KEY,
    login text NOT NULL UNIQUE CHECK (login <> '' AND login = lower(login)),
    password_hash text NOT NULL,  -- Argon2id, with its parameters and salt
    created_at timestamptz NOT NULL DEFAULT now(),
    password_set_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    disabled_at timestamptz,
    sign_on_issuer text,  -- who the user is at an OpenID provider, from the first sign-on
    sign_on_subject text,
    UNIQUE (sign_on_issuer, sign_on_subject)
);

CREATE TABLE second_factors (
    id uuid PRIMARY KEY REFERENCES users,  -- of the user
    secret bytea NOT NULL,  -- sealed by the vault
    confirmed_at timestamptz,  -- NULL: being turned on
    last_step bigint NOT NULL DEFAULT 0,  -- of the last code that was taken: none is taken twice
    recovery bytea[] NOT NULL DEFAULT '{}'  -- SHA-256 of the codes that are left
);

CREATE TABLE memberships (
    user_id uuid NOT NULL REFERENCES users,
    workspace_id uuid REFERENCES workspaces,  -- NULL: all workspaces, later ones included
    role text NOT NULL CHECK (role IN ('viewer', 'author', 'operator', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (user_id, workspace_id)
);

-- a session that ends is deleted
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    address text NOT NULL,
    agent text NOT NULL,  -- the browser, as it names itself
    has_factor boolean NOT NULL DEFAULT false  -- begun by a sign-on that counts as the second factor
) WITH (fillfactor = 75);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_created ON sessions (created_at);

-- what a user has typed into the form of a post and not sent; deleted when it is sent, and after 30 days
CREATE TABLE unsent_forms (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    version integer NOT NULL CHECK (version > 0),  -- raised by each save
    tab uuid NOT NULL,  -- of the page that saved it
    fields jsonb NOT NULL,  -- name -> values
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unsent_forms_user ON unsent_forms (user_id, changed_at);
CREATE INDEX unsent_forms_workspace ON unsent_forms (workspace_id);
CREATE INDEX unsent_forms_changed ON unsent_forms (changed_at);

-- accounts of a client that its users choose together
CREATE TABLE account_groups (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    account_ids uuid[] NOT NULL,  -- no foreign keys: what is gone is passed over
    UNIQUE (workspace_id, name)
);

CREATE TABLE login_tries (
    -- a hash: users type passwords into the field for their login
    subject_sha256 bytea PRIMARY KEY CHECK (octet_length(subject_sha256) = 32),
    tries integer NOT NULL,
    until timestamptz NOT NULL  -- when the tries are forgotten
) WITH (fillfactor = 75);
CREATE INDEX login_tries_until ON login_tries (until);

-- who changed what, from where, before and after
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL CHECK (actor_kind IN ('user', 'key', 'command line', 'system')),
    actor_name text NOT NULL,
    actor_id uuid,  -- no foreign keys: a row stays true after what it names is deleted
    address text,
    request_id text,
    verb text NOT NULL,
    kind text NOT NULL,
    subject text,
    workspace_id uuid,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    PRIMARY KEY (at, id)
);
CREATE INDEX audit_workspace ON audit (workspace_id, at, id) WHERE workspace_id IS NOT NULL;
CREATE INDEX audit_subject ON audit (subject, at, id) WHERE subject IS NOT NULL;
-- the page of the history, which leaves uploads out: there are more of them than of all other changes
CREATE INDEX audit_history ON audit (workspace_id, at, id) WHERE kind <> 'file';
CREATE INDEX audit_person ON audit (workspace_id, actor_name, at, id) WHERE kind <> 'file';

CREATE FUNCTION audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are only ever added';
END $$;
CREATE TRIGGER audit_is_final BEFORE UPDATE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_final();

-- rows expire, if a setting says so: the transaction that removes them names the time
CREATE FUNCTION audit_expires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.at >= nullif(current_setting('slipway.audit_expired', true), '')::timestamptz) IS NOT FALSE THEN
        RAISE EXCEPTION 'audit rows are only ever added';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_expires BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_expires();

-- What an undo of a change of a post needs and the audit does not keep: whole texts, URLs with their queries
CREATE TABLE undo_log (
    audit_id bigint PRIMARY KEY,
    post_id uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    undo jsonb NOT NULL  -- the edit that undoes it
);
CREATE INDEX undo_log_post ON undo_log (post_id, audit_id);
CREATE INDEX undo_log_expiring ON undo_log (made_at);


-- Accounts at the platforms -------------------------------------------------------------------------------------------

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
    -- one worker refreshes at a time; from the version the others see that it is done
    credentials_version integer NOT NULL DEFAULT 1,
    refreshing_until timestamptz,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    credentials_since timestamptz NOT NULL DEFAULT now(),  -- with their end: how long they live
    renewable boolean,  -- has a refresh token; NULL: as refresh_expires_at suggests
    refresh_rotates boolean,  -- a refresh gave another refresh token than it took; NULL: not seen yet
    refresh_after timestamptz,  -- no refresh ahead of the end before this time
    unanswered integer NOT NULL DEFAULT 0,  -- refreshes in a row that left and were never answered
    posting_times jsonb NOT NULL DEFAULT '{}',  -- what is missing is as usual: domain/posting_times.py
    granted_by text,  -- the platform's id of the user who granted access; NULL: not known
    UNIQUE (workspace_id, platform, connection, remote_id)
);
CREATE INDEX accounts_ends ON accounts (least(expires_at, refresh_expires_at)) WHERE status = 'active';
-- the expression of store/accounts/grants.py
CREATE INDEX accounts_grant_end ON accounts (
    (CASE WHEN coalesce(renewable, refresh_expires_at IS NOT NULL) THEN refresh_expires_at ELSE expires_at END))
    WHERE status = 'active';
CREATE INDEX accounts_reconnect ON accounts (id) WHERE status = 'reconnect';

-- OAuth sessions: a user was sent to a platform's consent page and is expected back
CREATE TABLE grants (
    id uuid PRIMARY KEY,
    state_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(state_sha256) = 32),
    workspace_id uuid NOT NULL REFERENCES workspaces,
    platform text NOT NULL,
    connection text,  -- NULL: the one that the platform gives
    key_id uuid REFERENCES keys,  -- who started it; NULL: the command line, or a user
    account_id uuid REFERENCES accounts,  -- the account to connect again
    chosen jsonb,  -- remote ids that may be stored; NULL: all that are found
    redirect_uri text NOT NULL,
    verifier bytea,  -- PKCE, sealed by the vault; gone as soon as it is used
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    outcome jsonb,  -- the accounts, or why there are none
    user_id uuid,  -- of the dashboard, who started it without a key; no foreign key: users are never deleted
    CONSTRAINT verifier_is_used_once CHECK (used_at IS NULL OR verifier IS NULL),
    CONSTRAINT outcome_after_use CHECK (outcome IS NULL OR used_at IS NOT NULL)
);
CREATE INDEX grants_created ON grants (created_at);


-- Posts and their deliveries ------------------------------------------------------------------------------------------

CREATE TABLE posts (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,
    caption text NOT NULL,
    media jsonb NOT NULL,
    music_url text,
    tiktok jsonb,
    pinterest jsonb,
    due_at timestamptz NOT NULL,  -- when the next of its deliveries is due
    expires_at timestamptz,
    on_late text NOT NULL DEFAULT 'publish' CHECK (on_late IN ('publish', 'skip', 'hold')),
    status text NOT NULL CHECK (
        status IN ('draft', 'pending', 'scheduled', 'posted', 'failed', 'partial', 'retry', 'canceled')),
    source text NOT NULL DEFAULT 'partner_api',
    -- unique among the keys that see the same posts, which is for replays to know: a restricted key that met a unique
    -- index here would learn of a post that it must not see
    external_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    rechecked_at timestamptz,
    youtube jsonb,
    instagram jsonb,
    facebook jsonb,
    linkedin jsonb,
    ai_generated boolean NOT NULL DEFAULT false,
    first_comment text,
    request_id text,  -- of the request that made it
    import_id uuid  -- no foreign key: the receipt of an import may be deleted
) WITH (fillfactor = 85);
CREATE INDEX posts_newest ON posts (workspace_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX posts_status ON posts (workspace_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
-- the late policy looks here at every slot, and nearly always finds nothing
CREATE INDEX posts_late ON posts (expires_at)
    WHERE on_late <> 'publish' AND status IN ('scheduled', 'pending', 'retry');
CREATE INDEX posts_due ON posts (due_at) WHERE status = 'scheduled' AND deleted_at IS NULL;
-- The calendar reads a day by three indexes. Waiting posts have one of their own, with the id, as many are due in one
-- minute; the others leave them out: two more entries per new post cost POST /posts a sixth of its rate (measured).
CREATE INDEX posts_waiting_by_due ON posts (workspace_id, due_at, id)
    WHERE status = 'scheduled' AND deleted_at IS NULL;
-- with `posts_due`, the queue of somebody who sees very many workspaces runs by time; a new post has no entry here
CREATE INDEX posts_begun_by_due ON posts (due_at) WHERE deleted_at IS NULL AND status <> 'scheduled';
CREATE INDEX posts_by_due ON posts (workspace_id, due_at, id) WHERE deleted_at IS NULL AND status <> 'scheduled';
CREATE INDEX posts_import ON posts (import_id, id) WHERE import_id IS NOT NULL;

-- what a repeated request is recognised by: 'id:<external_id>', or 'body:<fingerprint>' within the window
CREATE TABLE replays (
    workspace_id uuid NOT NULL,
    token text NOT NULL,
    post_id uuid NOT NULL REFERENCES posts DEFERRABLE INITIALLY DEFERRED,
    created_at timestamptz NOT NULL DEFAULT now(),
    fingerprint bytea NOT NULL,  -- of the canonical body
    released boolean NOT NULL DEFAULT false,  -- a rollback gave it back to imports: the next one may take it
    kept_in xid8,  -- the transaction that undid a cancel of the post: a statement that began before it sees it too
    PRIMARY KEY (workspace_id, token)
);
CREATE INDEX replays_post ON replays (post_id);

-- what a post said until an edit: a receipt that is written after the edit needs it
CREATE TABLE rewrites (
    post_id uuid NOT NULL,
    until timestamptz NOT NULL DEFAULT clock_timestamp(),
    content_sha256 text NOT NULL,
    due_at timestamptz NOT NULL,
    own jsonb  -- delivery -> content_sha256 and due_at, of those with content or another time of their own
);
CREATE INDEX rewrites_post ON rewrites (post_id, until);

-- What a search reads of a post: its words in lower case. A maintenance job fills it (store/posts/texts.py), so storing a
-- post costs nothing. No foreign key: it would lock the post of each text.
CREATE TABLE post_texts (
    post_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    text text NOT NULL
);
-- All sequences of three characters. pg_trgm has those of letters, as LC_CTYPE knows them: with builtin C.UTF-8 it is C,
-- and a text in Japanese or Arabic has none.
CREATE FUNCTION trigrams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT found[1]), '{}')
    FROM generate_series(1, 3) AS start, regexp_matches(substr($1, start), '...', 'g') AS found
$$;
-- the workspace too, so that what is frequent elsewhere makes no search in it longer
CREATE INDEX post_texts_trigrams ON post_texts USING gin ((trigrams(text) || CAST(workspace_id AS text)));

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
    checkpoint bytea,  -- sealed by the vault: upload addresses carry tokens
    remote_id text,
    url text,
    delivered_as text,
    notes jsonb,
    published_at timestamptz,
    error jsonb,
    last_attempted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- armed by a restore, not by a worker: only proof of life or an operator moves it on, absence proves nothing
    in_doubt boolean NOT NULL DEFAULT false,
    unavailable_since jsonb,  -- party -> first failure of its current streak
    removed_generation integer,  -- in which an edit took the account off the post
    held_for text,
    level smallint NOT NULL DEFAULT 1,  -- the lowest level of code that understands all of its post
    inbox_draft boolean NOT NULL DEFAULT false,  -- the options of its post leave a draft: a daily quota of its own
    own jsonb,  -- what its entry of the request carries of its own; the rest is the post's (domain/own_content.py)
    is_comment boolean NOT NULL DEFAULT false,  -- the first comment below the account's post, not the post
    -- 64 bits of a digest of what its account publishes (domain/neighbours.py); NULL: it is empty
    caption_digest bigint,
    media_digest bigint,
    UNIQUE (post_id, account_id, is_comment),
    CONSTRAINT blocked_says_why CHECK ((state = 'blocked') = (reason IS NOT NULL)),
    CONSTRAINT published_has_time CHECK ((state = 'published') = (published_at IS NOT NULL)),
    CONSTRAINT after_the_visible_call CHECK (state NOT IN ('processing', 'unknown') OR armed_at IS NOT NULL),
    CONSTRAINT before_the_visible_call CHECK (
        state NOT IN ('accepted', 'scheduled', 'queued', 'preparing', 'retrying', 'cancelled') OR armed_at IS NULL),
    CONSTRAINT held_has_lease CHECK (state NOT IN ('queued', 'publishing') OR lease_until IS NOT NULL),
    CONSTRAINT doubted_stays_armed CHECK (
        NOT in_doubt OR (armed_at IS NOT NULL AND state NOT IN ('failed', 'cancelled')))
) WITH (fillfactor = 75);
-- one live post never settles two deliveries
CREATE UNIQUE INDEX deliveries_remote ON deliveries (account_id, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX deliveries_waiting ON deliveries (platform, workspace_id, next_at)
    WHERE state IN ('scheduled', 'retrying');
CREATE INDEX deliveries_slots ON deliveries (platform, next_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX deliveries_looks ON deliveries (next_at) WHERE state IN ('preparing', 'processing', 'unknown');
-- `greatest` passes over a lease that is NULL
CREATE INDEX deliveries_looks_due ON deliveries (greatest(next_at, lease_until))
    WHERE state IN ('preparing', 'processing', 'unknown');
CREATE INDEX deliveries_held ON deliveries (state, platform) WHERE state IN ('queued', 'publishing');
CREATE INDEX deliveries_accepted ON deliveries (post_id) WHERE state = 'accepted';
CREATE INDEX deliveries_planned ON deliveries (account_id, due_at) WHERE state IN ('accepted', 'scheduled', 'retrying');
CREATE INDEX deliveries_blocked ON deliveries (account_id) WHERE state = 'blocked';
-- names no column that arming or a look changes: their updates stay light
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state IN ('failed', 'blocked');
CREATE INDEX deliveries_no_url ON deliveries (published_at) WHERE state = 'published' AND url IS NULL;
-- restricted keys list and count their posts by it; no column of it ever changes
CREATE INDEX deliveries_account ON deliveries (account_id, created_at DESC, post_id DESC);
CREATE INDEX deliveries_by_due ON deliveries (account_id, due_at, post_id)
    WHERE state NOT IN ('accepted', 'scheduled', 'retrying');

-- what lists, counts, quotas and forecasts read: a first comment counts in none of them
CREATE VIEW post_deliveries AS SELECT * FROM deliveries WHERE NOT is_comment;

CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES deliveries,
    account_id uuid,  -- whose daily limits it counts towards; none of a first comment
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
    inbox_draft boolean NOT NULL DEFAULT false,  -- left a draft, which has a daily limit of its own at the platform
    UNIQUE (delivery_id, n),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX attempts_one_open ON attempts (delivery_id) WHERE closed_at IS NULL;
CREATE INDEX attempts_armed ON attempts (account_id, armed_at) WHERE armed_at IS NOT NULL;

CREATE TABLE moves (
    id bigint GENERATED ALWAYS AS IDENTITY,
    delivery_id uuid NOT NULL,  -- no foreign key: five checks each would cost
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    mover text NOT NULL,
    origin text,
    target text NOT NULL,
    generation integer NOT NULL,
    fence bigint NOT NULL,
    why text,
    PRIMARY KEY (delivery_id, id)
);
-- one entry at the end of a delivery; moves are never updated, so that it costs no update anything
CREATE INDEX moves_last_word ON moves (id) WHERE target IN ('published', 'failed', 'cancelled') OR mover = 'decide';
-- A BRIN index of a table that is only appended to costs an insert next to nothing. It is on an expression so that no
-- plan prefers the primary key, of which the id is the second column.
CREATE INDEX moves_by_id ON moves USING brin ((id + 0)) WITH (pages_per_range = 32, autosummarize = on);

-- checkpoints (containers, upload sessions, unpublished media) that nothing will ever finish: the clean-up list
CREATE TABLE old_handles (
    id uuid PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES deliveries,
    account_id uuid NOT NULL REFERENCES accounts,
    generation integer NOT NULL,  -- of the version of the post they were made for
    handle bytea NOT NULL,  -- sealed by the vault with this row's id inside
    left_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX old_handles_delivery ON old_handles (delivery_id);
CREATE INDEX old_handles_account ON old_handles (account_id, left_at);

-- what is done at a platform once the post is live (its cover, its playlist); written before the post is armed
CREATE TABLE follow_ups (
    delivery_id uuid NOT NULL REFERENCES deliveries,
    kind text NOT NULL CHECK (kind IN ('cover', 'playlist', 'comment')),
    -- of a cover its url and the facts that the pinned check found; of a playlist its id; of a first comment its text
    what jsonb NOT NULL,
    next_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    done_at timestamptz,
    failed_at timestamptz,
    error text,  -- why it is not done; the delivery stays published
    PRIMARY KEY (delivery_id, kind)
);
CREATE INDEX follow_ups_due ON follow_ups (next_at) WHERE done_at IS NULL AND failed_at IS NULL;

-- posts that are sent only once somebody else has approved them
CREATE TABLE approvals (
    post_id uuid PRIMARY KEY,  -- no foreign key: it would lock the post, before checks that are locked first
    workspace_id uuid NOT NULL,
    author text NOT NULL,  -- who wrote the post
    editor text NOT NULL,  -- who changed it last, or wrote it
    digest bytea CHECK (octet_length(digest) = 32),  -- of what was approved (post_digest); NULL: it waits
    approver text,
    approved_at timestamptz,
    sent_back text CHECK (sent_back <> ''),  -- why it was sent back to its author, until it is changed
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT approved_by_somebody CHECK (
        (digest IS NULL) = (approver IS NULL) AND (digest IS NULL) = (approved_at IS NULL)),
    CONSTRAINT sent_back_waits CHECK (digest IS NULL OR sent_back IS NULL)
);
CREATE INDEX approvals_waiting ON approvals (workspace_id) WHERE digest IS NULL;

-- a link by which somebody without a login approves these posts, each once
CREATE TABLE approval_links (
    token_sha256 bytea PRIMARY KEY CHECK (octet_length(token_sha256) = 32),
    id uuid NOT NULL UNIQUE,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    posts uuid[] NOT NULL CHECK (cardinality(posts) > 0),
    answered uuid[] NOT NULL DEFAULT '{}',
    maker text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX approval_links_expiring ON approval_links (expires_at);

-- dead letters that an operator discarded; of one generation, as a delivery that is sent again may fail again
CREATE TABLE discards (
    delivery_id uuid NOT NULL REFERENCES deliveries,
    generation integer NOT NULL,
    why text NOT NULL CHECK (why <> ''),
    who text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, generation)
);


-- Media checks --------------------------------------------------------------------------------------------------------

CREATE TABLE checks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('image', 'video', 'document', 'music')),
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
    due_at timestamptz NOT NULL DEFAULT now(),  -- of the earliest post that waits for it
    slow boolean NOT NULL DEFAULT false,  -- its URL is too slow for the usual slots
    fault text,  -- of an undecided check: the class of our own error; NULL once a try is answered
    content_sha256 bytea,
    CHECK ((verdict IS NULL) = (decided_at IS NULL))
);
-- single flight: at most one undecided check per workspace and URL
CREATE UNIQUE INDEX checks_undecided ON checks (workspace_id, url_sha256, purpose) WHERE verdict IS NULL;
CREATE INDEX checks_good ON checks (workspace_id, url_sha256, purpose, decided_at DESC) WHERE verdict = 'good';
CREATE INDEX checks_open ON checks (next_at) WHERE verdict IS NULL;
CREATE INDEX checks_by_due ON checks (workspace_id, slow, due_at) WHERE verdict IS NULL;

-- a decided check never changes: posts pin it
CREATE FUNCTION checks_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.verdict IS NOT NULL THEN
        RAISE EXCEPTION 'check % is decided and never changes', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER checks_are_final BEFORE UPDATE ON checks FOR EACH ROW EXECUTE FUNCTION checks_are_final();

CREATE TABLE post_checks (
    post_id uuid NOT NULL REFERENCES posts,
    position integer NOT NULL,  -- of the media; -1 is the music, -2 a cover, from 98 on media of single accounts
    check_id uuid NOT NULL REFERENCES checks,
    PRIMARY KEY (post_id, position)
);
CREATE INDEX post_checks_check ON post_checks (check_id);

-- what a waiting delivery pinned before the retry of another one pinned newer checks on their post; of one generation,
-- as an edit pins other checks
CREATE TABLE delivery_checks (
    delivery_id uuid NOT NULL REFERENCES deliveries,
    position integer NOT NULL,  -- as in post_checks
    generation integer NOT NULL,
    check_id uuid NOT NULL REFERENCES checks,
    PRIMARY KEY (delivery_id, position)
);
CREATE INDEX delivery_checks_check ON delivery_checks (check_id);

-- What an approval is bound to: all that the post sends, when, to whom, and the media as they were checked. Canceled
-- deliveries stay in, so that a cancel, which sends nothing, ends no approval.
CREATE FUNCTION post_digest(post uuid) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array(
        p.caption, p.media, p.music_url, p.tiktok, p.pinterest, p.youtube, p.instagram, p.facebook, p.linkedin,
        p.ai_generated, p.first_comment, extract(epoch FROM p.expires_at), p.on_late,
        (SELECT jsonb_agg(jsonb_build_array(d.account_id, extract(epoch FROM d.due_at), d.own) ORDER BY d.account_id)
         FROM deliveries d WHERE d.post_id = p.id AND NOT d.is_comment
           AND d.removed_generation IS DISTINCT FROM d.generation),
        (SELECT jsonb_agg(jsonb_build_array(d.account_id, pc.position,
                    coalesce(encode(k.content_sha256, 'hex'), k.facts ->> 'etag'), k.facts ->> 'bytes')
                ORDER BY d.account_id, pc.position)
         FROM deliveries d JOIN post_checks pc ON pc.post_id = d.post_id
         LEFT JOIN delivery_checks own ON own.delivery_id = d.id AND own.position = pc.position
                                       AND own.generation = d.generation
         JOIN checks k ON k.id = coalesce(own.check_id, pc.check_id)
         WHERE d.post_id = p.id AND NOT d.is_comment AND d.removed_generation IS DISTINCT FROM d.generation)
    )::text, 'UTF8'))
    FROM posts p WHERE p.id = post
$$;

-- which checks read from a host now, so that all workers together ask it for few files at once
CREATE TABLE host_slots (
    host text NOT NULL,
    slot smallint NOT NULL,
    workspace_id uuid NOT NULL,
    check_id uuid NOT NULL,
    held_until timestamptz NOT NULL,  -- longer than its try may take: then its worker is dead, and the slot is free
    PRIMARY KEY (host, slot)
);
CREATE INDEX host_slots_check ON host_slots (check_id);


-- Uploaded files and derived pictures ---------------------------------------------------------------------------------

CREATE TABLE files (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,
    name text NOT NULL UNIQUE,  -- 256 random bits and an extension: whoever knows it may read the file
    url text NOT NULL,
    content_type text NOT NULL,
    filename text,
    created_at timestamptz NOT NULL DEFAULT now(),
    object text UNIQUE,  -- where its bytes are: set once, by the one upload that succeeded
    size bigint CHECK (size > 0),  -- bytes
    sha256 bytea CHECK (octet_length(sha256) = 32),
    stored_at timestamptz,
    removed_at timestamptz,  -- it may not be used any more; the row goes when its bytes are gone
    source_sha256 bytea,  -- of the file that this one is derived from; NULL: a client uploaded it
    check_id uuid REFERENCES checks,  -- whose thumbnail it is; its URL is that of the check, and kept as long
    CHECK ((object IS NULL) = (stored_at IS NULL) AND (object IS NULL) = (size IS NULL)
           AND (object IS NULL) = (sha256 IS NULL)),
    CHECK (removed_at IS NULL OR object IS NOT NULL)
);
CREATE INDEX files_newest ON files (workspace_id, created_at DESC, id DESC)
    WHERE object IS NOT NULL AND removed_at IS NULL AND check_id IS NULL;
CREATE UNIQUE INDEX files_thumbnail ON files (check_id) WHERE check_id IS NOT NULL;
CREATE INDEX files_waiting ON files (workspace_id, created_at) WHERE object IS NULL;
CREATE INDEX files_abandoned ON files (created_at) WHERE object IS NULL;
CREATE INDEX files_oldest ON files (stored_at) WHERE object IS NOT NULL;
CREATE INDEX files_removed ON files (removed_at) WHERE removed_at IS NOT NULL;

-- every object that may be in storage without belonging to a file: written before its first byte
CREATE TABLE file_puts (
    object text PRIMARY KEY,
    file_id uuid NOT NULL REFERENCES files,
    begun_at timestamptz NOT NULL DEFAULT now(),
    given_up boolean NOT NULL DEFAULT false
);
CREATE INDEX file_puts_file ON file_puts (file_id);
CREATE INDEX file_puts_begun ON file_puts (begun_at);

-- an upload of the dashboard, which sends a file in parts; its row goes with that of the file
CREATE TABLE part_uploads (
    file_id uuid PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    size bigint NOT NULL CHECK (size > 0),  -- of the whole file, as declared
    modified bigint NOT NULL  -- when the browser's file was changed, in ms: with name and size it tells files apart
);
CREATE INDEX part_uploads_user ON part_uploads (user_id);

CREATE TABLE upload_parts (
    file_id uuid NOT NULL REFERENCES part_uploads ON DELETE CASCADE,
    first bigint NOT NULL CHECK (first >= 0),
    size bigint NOT NULL CHECK (size > 0),
    object text NOT NULL UNIQUE REFERENCES file_puts ON DELETE CASCADE,
    PRIMARY KEY (file_id, first)
);

CREATE TABLE derived_file_uses (
    file_id uuid NOT NULL REFERENCES files ON DELETE CASCADE,
    post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
    PRIMARY KEY (file_id, post_id)
);
CREATE INDEX derived_file_uses_post ON derived_file_uses (post_id);

-- a stored file never changes, as posts were checked against it; but a derived one that storage has lost is made again
CREATE FUNCTION files_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.object IS NOT NULL AND OLD.source_sha256 IS NULL
       AND (NEW.object, NEW.size, NEW.sha256, NEW.content_type, NEW.name, NEW.workspace_id)
        IS DISTINCT FROM (OLD.object, OLD.size, OLD.sha256, OLD.content_type, OLD.name, OLD.workspace_id) THEN
        RAISE EXCEPTION 'file % is stored and never changes', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER files_are_final BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION files_are_final();


-- Holds, platform health and the schedule -----------------------------------------------------------------------------

-- what an operator holds: everything, a platform, a workspace or an account; arm and release respect it
CREATE TABLE pauses (
    scope text NOT NULL CHECK (scope IN ('all', 'platform', 'workspace', 'account')),
    target text NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    who text,
    is_lock boolean NOT NULL DEFAULT false,  -- of a workspace: only an unlock lifts it
    earlier jsonb,  -- the pause that a lock found: its why, who and since
    PRIMARY KEY (scope, target),
    CONSTRAINT workspaces_are_locked CHECK (CASE WHEN is_lock THEN scope = 'workspace' ELSE earlier IS NULL END)
);

-- arm and release respect it; an armed delivery continues
CREATE TABLE paused_deliveries (
    delivery_id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX paused_deliveries_job ON paused_deliveries (job_id);

-- when the next one of a kind may go out: the GCRA of what must be slow even when Redis has forgotten everything
CREATE TABLE paces (
    kind text NOT NULL CHECK (kind IN ('replay', 'backlog')),
    platform text NOT NULL,
    free_at timestamptz NOT NULL,
    PRIMARY KEY (kind, platform)
) WITH (fillfactor = 50);

-- circuit breakers
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

-- failures since the platform's last answer; older rows are ignored
CREATE TABLE platform_failures (
    platform text NOT NULL,
    account_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    failed_at timestamptz NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (platform, account_id)
) WITH (fillfactor = 50);

-- when a worker last took a canary out of each queue, and the level of the queue's consumers
CREATE TABLE canaries (
    queue text PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    level smallint NOT NULL DEFAULT 1,
    level_at timestamptz,
    hosts jsonb NOT NULL DEFAULT '{}'  -- which hosts consume it, and the store of files and the epoch that each sees
) WITH (fillfactor = 50);

-- When each periodic task is sent next, and until when a process holds the right to send it. UNLOGGED: losing rows
-- loses nothing, since a missing row is inserted by the next process that looks, and is due.
CREATE UNLOGGED TABLE ticks (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 25);


-- Steering jobs -------------------------------------------------------------------------------------------------------

CREATE TABLE steering_jobs (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,  -- NULL: the command line
    verb text NOT NULL CHECK (verb IN (
        'cancel', 'retry', 'reschedule', 'pause', 'resume', 'replay', 'discard', 'undo', 'approve')),
    arguments jsonb NOT NULL,
    filter jsonb NOT NULL CONSTRAINT filter_is_not_empty CHECK (filter <> '{}'),  -- an empty one would select all
    token text NOT NULL,  -- of the count that was confirmed: a repeated request finds its job
    state text NOT NULL DEFAULT 'selecting' CHECK (state IN ('selecting', 'working', 'done', 'failed', 'stopped')),
    level smallint NOT NULL DEFAULT 1,  -- the lowest level of code that understands it
    counted bigint NOT NULL,  -- deliveries that the filter selected when it was confirmed
    selected bigint NOT NULL DEFAULT 0,  -- deliveries with a receipt
    posts bigint NOT NULL DEFAULT 0,  -- of the selected deliveries
    done bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    position uuid,  -- the last delivery selected
    turn bigint NOT NULL DEFAULT 0,  -- posts that have had their turn
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    waits_for uuid[] NOT NULL DEFAULT '{}',  -- earlier jobs of the same deliveries, when it was confirmed
    CONSTRAINT failed_job_says_why CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT no_more_than_selected CHECK (done + skipped <= selected),
    CONSTRAINT done_has_all_receipts CHECK (state <> 'done' OR done + skipped = selected)
) WITH (fillfactor = 50);  -- each post changes its job
CREATE UNIQUE INDEX steering_jobs_token ON steering_jobs (workspace_id, token);
CREATE INDEX steering_jobs_working ON steering_jobs (touched_at) WHERE state IN ('selecting', 'working');

CREATE TABLE steering_receipts (
    job_id uuid NOT NULL REFERENCES steering_jobs ON DELETE CASCADE,
    delivery_id uuid NOT NULL,  -- no foreign keys, as of moves
    post_id uuid NOT NULL,
    due_at timestamptz NOT NULL,  -- of the post, when it was selected
    generation integer NOT NULL,
    outcome text CHECK (outcome IN ('done', 'skipped')),
    why text,
    before jsonb,  -- the delivery before it was acted on, for an undo
    settled_at timestamptz,  -- right after what was done: the last edit of the post before is the job's own
    PRIMARY KEY (job_id, delivery_id),
    CONSTRAINT skipped_says_why CHECK ((outcome IS NOT DISTINCT FROM 'skipped') = (why IS NOT NULL))
) WITH (fillfactor = 75);
CREATE INDEX steering_receipts_open ON steering_receipts (job_id, due_at, post_id) WHERE outcome IS NULL;
CREATE INDEX steering_receipts_post ON steering_receipts (post_id);  -- the history of a post

-- what a count selected: its token acts on these deliveries, as they were
CREATE TABLE steering_counts (
    workspace_id uuid NOT NULL REFERENCES workspaces,
    token text NOT NULL,
    key_id uuid,  -- NULL: the command line and the dashboard
    deliveries uuid[] NOT NULL,
    generations integer[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workspace_id, token)
);
CREATE INDEX steering_counts_expiring ON steering_counts (made_at);


-- Imports -------------------------------------------------------------------------------------------------------------

CREATE TABLE imports (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key_id uuid REFERENCES keys,  -- NULL: the command line
    state text NOT NULL DEFAULT 'uploaded' CHECK (state IN (
        'uploaded', 'reading', 'planned', 'applying', 'applied', 'paused', 'cancelled', 'failed', 'rolling_back',
        'rolled_back')),
    paused_from text CHECK (paused_from IN ('uploaded', 'reading', 'applying')),
    name text,
    format text,
    encoding text,
    strict boolean NOT NULL,
    updates boolean NOT NULL,
    time_zone text NOT NULL,
    text_encoding text,  -- NULL: found out from the file
    dates text CHECK (dates IN ('dmy', 'mdy', 'ymd')),  -- their order; NULL: found out from all of them
    blank text CHECK (blank = 'auto'),  -- the time of rows without one; NULL: they are refused
    columns jsonb NOT NULL,  -- ours by what the header calls them; "" for one that is not read
    accounts text[] NOT NULL,  -- of rows that name none
    media jsonb NOT NULL DEFAULT '{}',  -- URLs of media by the names that rows have for them
    object text NOT NULL UNIQUE,  -- in storage, from before its first byte
    size bigint,
    sha256 bytea,
    deleted_at timestamptz,  -- a user wants the file and the rows gone
    removed_at timestamptz,  -- they are
    total bigint,  -- rows of the file, known once they are staged
    position bigint NOT NULL DEFAULT 0,  -- in the file, of the next row to read
    rows bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    plan_hash bytea,
    plan jsonb,
    done bigint NOT NULL DEFAULT 0,  -- number of the last row that is applied, or rolled back
    result jsonb NOT NULL DEFAULT '{}',
    notes jsonb NOT NULL DEFAULT '[]',
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    held jsonb,  -- why it makes no posts for a while
    CONSTRAINT stored_whole CHECK (num_nulls(size, sha256, format) IN (0, 3)),
    CONSTRAINT paused_says_where CHECK ((state = 'paused') = (paused_from IS NOT NULL)),
    CONSTRAINT failed_says_why CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT every_row_has_a_verdict CHECK (accepted + duplicate + rejected = rows)
) WITH (fillfactor = 50);  -- each chunk of rows changes its import
CREATE INDEX imports_newest ON imports (workspace_id, created_at DESC, id DESC) WHERE size IS NOT NULL;
CREATE INDEX imports_working ON imports (touched_at)
    WHERE state IN ('uploaded', 'reading', 'applying', 'rolling_back') AND size IS NOT NULL;
CREATE INDEX imports_expiring ON imports (created_at) WHERE removed_at IS NULL;

CREATE TABLE import_rows (
    import_id uuid NOT NULL REFERENCES imports,
    number bigint NOT NULL,  -- from 1
    line bigint NOT NULL,  -- its first physical line
    verdict text NOT NULL CHECK (verdict IN ('accepted', 'duplicate', 'rejected')),
    action text CHECK (action IN ('create', 'update')),  -- what applying the row does, or did; of others NULL
    identity text,  -- equal for rows that are one post, but for their occurrence
    occurrence integer NOT NULL,
    fingerprint bytea,  -- of the canonical body
    due_at timestamptz,  -- NULL: published at once
    accounts uuid[],
    body jsonb,  -- as POST /posts takes it
    source jsonb,  -- as the file has it, where that is not the body
    issues jsonb,
    post_id uuid,  -- no foreign key, as of moves
    rollback text CHECK (rollback IN ('cancelled', 'edited', 'live', 'settled')),  -- what became of its post then
    judged bytea,  -- digest of what the rules were applied to
    warnings jsonb,
    PRIMARY KEY (import_id, number),
    CONSTRAINT rejected_says_why CHECK ((verdict = 'rejected') = (issues IS NOT NULL))
);
-- has the first and the last row of an identity at its ends, whatever the planner counts
CREATE INDEX import_rows_identities ON import_rows (import_id, identity, number) WHERE identity IS NOT NULL;
CREATE INDEX import_rows_verdict ON import_rows (import_id, verdict, number) WHERE verdict <> 'accepted';
CREATE INDEX import_rows_noted ON import_rows (import_id, number) WHERE warnings IS NOT NULL OR action = 'update';

CREATE TABLE import_presets (
    workspace_id uuid NOT NULL REFERENCES workspaces,
    name text NOT NULL,
    columns jsonb NOT NULL,  -- as of an import
    PRIMARY KEY (workspace_id, name)
);


-- Deleted workspaces --------------------------------------------------------------------------------------------------

-- a job for each workspace that is deleted, or was; it stays, with the name, as the proof
CREATE TABLE deletions (
    id uuid PRIMARY KEY,  -- of the workspace; no foreign key: its row goes
    name text NOT NULL,
    state text NOT NULL DEFAULT 'closing' CHECK (state IN ('closing', 'erasing', 'done', 'failed')),
    counted jsonb NOT NULL,  -- what there was when it was confirmed
    erased jsonb NOT NULL DEFAULT '{}',  -- table -> rows
    grants jsonb NOT NULL DEFAULT '{}',  -- account -> its platform, and what became of its grant there
    position bigint,  -- the newest move when everything had settled: the receipts are to get there
    again boolean NOT NULL DEFAULT false,  -- a backup of before brought it back: nothing of it is waited for
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz NOT NULL DEFAULT now(),  -- when a step of it did something last
    touched_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    lease_until timestamptz,
    CONSTRAINT failed_says_why CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT done_has_end CHECK ((state = 'done') = (ended_at IS NOT NULL))
);
CREATE INDEX deletions_working ON deletions (touched_at) WHERE state IN ('closing', 'erasing');

-- what is left of each delivery of a deleted workspace: hashes and dates, no foreign keys
CREATE TABLE tombstones (
    delivery_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    platform text NOT NULL,
    state text NOT NULL,  -- the last one
    repeat_sha256 bytea,  -- of the account at its platform and the external id, if it was or may be live
    fingerprint_sha256 bytea,  -- of the fingerprint of the canonical body
    remote_sha256 bytea,  -- of the post at the platform
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    published_at timestamptz,
    erased_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tombstones_repeat ON tombstones (repeat_sha256) WHERE repeat_sha256 IS NOT NULL;


-- Webhooks ------------------------------------------------------------------------------------------------------------

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    workspace_id uuid REFERENCES workspaces,  -- NULL: notices of the whole server
    form text NOT NULL DEFAULT 'event' CHECK (form IN ('event', 'slack', 'discord', 'email')),  -- the others: notices
    key_id uuid REFERENCES keys,  -- NULL: the command line
    accounts uuid[],  -- of a restricted key, sorted: it gets no other events. NULL: all of the workspace
    url text NOT NULL,  -- of a target of notices, what may be shown of its address
    types text[],  -- of the events that are sent, or kinds of matters; NULL: all
    description text,
    secrets bytea NOT NULL,  -- sealed by the vault; of a target of notices, its address
    earlier_until timestamptz,  -- until then the secret of before the last rotation signs too
    created_at timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    paused_why text CHECK (paused_why IN ('person', 'gone', 'dead', 'key_revoked', 'locked')),
    deleted_at timestamptz,  -- a maintenance job deletes its events, then the row
    failing_since timestamptz,  -- the first failed try since one succeeded
    failures integer NOT NULL DEFAULT 0,  -- rounds without a success since then
    hold_until timestamptz NOT NULL DEFAULT now(),  -- nothing is sent before
    served_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    CONSTRAINT paused_says_why CHECK ((paused_at IS NULL) = (paused_why IS NULL)),
    CONSTRAINT events_have_workspace CHECK (workspace_id IS NOT NULL OR form <> 'event')
) WITH (fillfactor = 50);
CREATE INDEX webhooks_of_workspace ON webhooks (workspace_id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_serving ON webhooks (served_at) WHERE deleted_at IS NULL AND paused_at IS NULL;
CREATE INDEX webhooks_paused ON webhooks (paused_why) WHERE deleted_at IS NULL AND paused_at IS NOT NULL;

CREATE TABLE webhook_events (
    webhook_id uuid NOT NULL REFERENCES webhooks,
    id uuid NOT NULL,  -- one event has the same id at all webhooks, and at every try
    n bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which events were made
    lane uuid NOT NULL,  -- the post, or what else it is about: events of one lane are sent one after the other
    type text NOT NULL,
    body text NOT NULL,  -- JSON, as it is sent and signed
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    next_at timestamptz,  -- only of the first pending event of its lane
    tries integer NOT NULL DEFAULT 0,  -- since it was made, replayed or its webhook resumed
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook_id, id),
    CONSTRAINT only_pending_is_due CHECK (state = 'pending' OR next_at IS NULL)
) WITH (fillfactor = 75);
CREATE UNIQUE INDEX webhook_events_order ON webhook_events (webhook_id, n);
CREATE INDEX webhook_events_pending ON webhook_events (webhook_id, lane, n) WHERE state = 'pending';
CREATE INDEX webhook_events_due ON webhook_events (webhook_id, next_at) WHERE next_at IS NOT NULL;
-- two senders never send two events of one lane at once
CREATE UNIQUE INDEX webhook_events_first ON webhook_events (webhook_id, lane) WHERE next_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    n integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),  -- committed before the request leaves
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('delivered', 'http_error', 'gone', 'unanswered', 'refused', 'unknown')),
    status integer,
    error text,
    answer text,  -- its start, if it is no success
    PRIMARY KEY (webhook_id, event_id, n),
    FOREIGN KEY (webhook_id, event_id) REFERENCES webhook_events ON DELETE CASCADE,
    CONSTRAINT ended_has_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_attempts_open ON webhook_attempts (webhook_id) WHERE outcome IS NULL;

-- what a target of notices knows of each cause on the list of attention
CREATE TABLE notices (
    id uuid PRIMARY KEY,  -- the lane of its events
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    cause text NOT NULL,
    headline text NOT NULL,  -- repeated when it has ended
    is_there boolean NOT NULL DEFAULT true,  -- on the list
    since timestamptz NOT NULL DEFAULT now(),  -- it is, or it is not
    is_open boolean NOT NULL DEFAULT false,  -- it was told, and its end was not
    told_at timestamptz,  -- the last notice that it is there
    UNIQUE (webhook_id, cause)
);

-- what happened to accounts, imports and approvals; the export of moves makes events of them and deletes them
CREATE TABLE occurrences (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('account.reconnect', 'import.finished', 'post.needs_approval', 'post.approved',
                                        'post.sent_back')),
    workspace_id uuid NOT NULL,
    subject uuid NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- arguments: the kind, and the column that says what became of the row
CREATE FUNCTION occurrences_are_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO occurrences (kind, workspace_id, subject, state)
    SELECT TG_ARGV[0], NEW.workspace_id, CAST(coalesce(one ->> 'id', one ->> 'post_id') AS uuid),
           coalesce(one ->> TG_ARGV[1], '')
    FROM to_jsonb(NEW) AS one
    WHERE EXISTS (SELECT FROM webhooks w WHERE w.workspace_id = NEW.workspace_id AND w.deleted_at IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER reconnects_are_noted AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (OLD.status <> 'reconnect' AND NEW.status = 'reconnect')
    EXECUTE FUNCTION occurrences_are_noted('account.reconnect', 'status');
CREATE TRIGGER ends_are_noted AFTER UPDATE ON imports FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state IN ('applied', 'cancelled', 'failed', 'rolled_back'))
    EXECUTE FUNCTION occurrences_are_noted('import.finished', 'state');
CREATE TRIGGER new_approvals_are_noted AFTER INSERT ON approvals FOR EACH ROW
    EXECUTE FUNCTION occurrences_are_noted('post.needs_approval', 'editor');
CREATE TRIGGER lost_approvals_are_noted AFTER UPDATE ON approvals FOR EACH ROW
    WHEN (NEW.digest IS NULL AND NEW.sent_back IS NULL AND (OLD.digest IS NOT NULL OR OLD.sent_back IS NOT NULL))
    EXECUTE FUNCTION occurrences_are_noted('post.needs_approval', 'editor');
CREATE TRIGGER approvals_are_noted AFTER UPDATE ON approvals FOR EACH ROW
    WHEN (NEW.digest IS NOT NULL AND NEW.digest IS DISTINCT FROM OLD.digest)
    EXECUTE FUNCTION occurrences_are_noted('post.approved', 'approver');
CREATE TRIGGER returns_are_noted AFTER UPDATE ON approvals FOR EACH ROW
    WHEN (NEW.sent_back IS NOT NULL AND NEW.sent_back IS DISTINCT FROM OLD.sent_back)
    EXECUTE FUNCTION occurrences_are_noted('post.sent_back', 'sent_back');


-- Receipts ------------------------------------------------------------------------------------------------------------

CREATE TABLE receipts (
    -- no foreign keys: a receipt stays true after what it names is deleted
    workspace_id uuid NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    move_id bigint NOT NULL UNIQUE,
    issued_at timestamptz NOT NULL,  -- never goes back in a workspace
    line text NOT NULL,
    PRIMARY KEY (workspace_id, sequence)
);
CREATE FUNCTION receipts_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'receipts are only ever added to';
END $$;
CREATE TRIGGER receipts_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON receipts
    FOR EACH STATEMENT EXECUTE FUNCTION receipts_are_final();

-- the last receipt of each workspace; a transaction that adds one locks its row
CREATE TABLE receipt_heads (
    workspace_id uuid PRIMARY KEY,
    sequence bigint NOT NULL DEFAULT 0,
    hash text CHECK (hash ~ '^[0-9a-f]{64}$'),
    issued_at timestamptz,
    CHECK ((sequence = 0) = (hash IS NULL) AND (sequence = 0) = (issued_at IS NULL))
) WITH (fillfactor = 50);

-- How far each reader has read the moves (store/moves.py). Ids of moves are given before their transactions end, so
-- an id that was seen proves nothing of smaller ones until every transaction that could have taken one of those has ended.
CREATE TABLE move_progress (
    reader text PRIMARY KEY CHECK (reader IN ('export', 'receipts', 'texts')),
    done bigint NOT NULL DEFAULT 0,  -- every move up to here is exported, or has its receipt, or its post's text
    proven bigint NOT NULL DEFAULT 0,  -- no move up to here can turn up any more
    seen bigint NOT NULL DEFAULT 0,  -- will be proven when none of these writes any more
    writers text[] NOT NULL DEFAULT '{}',
    seen_at timestamptz NOT NULL DEFAULT now(),
    exported_at timestamptz NOT NULL DEFAULT now()  -- what had been committed by then is read
) WITH (fillfactor = 50);
INSERT INTO move_progress (reader) VALUES ('export'), ('receipts'), ('texts');


-- Counters and totals -------------------------------------------------------------------------------------------------

-- totals for /metrics, of all processes; what counter_deltas holds is to be added. A restart resets none
CREATE TABLE counters (
    name text NOT NULL,
    labels jsonb NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (name, labels)
) WITH (fillfactor = 50);

-- appended to, never updated: a counter's row would be a lock that all who count queue for
CREATE TABLE counter_deltas (
    name text NOT NULL,
    labels jsonb NOT NULL,
    n integer NOT NULL DEFAULT 1
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- a decided check never changes again, so each is counted once
CREATE FUNCTION decided_checks_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_deltas (name, labels)
    VALUES ('slipway_checks_total', jsonb_build_object('verdict', NEW.verdict));
    RETURN NULL;
END $$;
CREATE TRIGGER decided_checks_are_counted AFTER UPDATE ON checks FOR EACH ROW
    WHEN (OLD.verdict IS NULL AND NEW.verdict IS NOT NULL) EXECUTE FUNCTION decided_checks_are_counted();

-- What the counters remember of a delivery, where that is more than its state: why it waits, for how long, what it
-- tried. Few have a row: not deliveries that wait for their time, nor published ones.
CREATE TABLE counted_deliveries (
    delivery_id uuid PRIMARY KEY,  -- no foreign key, as in moves
    platform text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,  -- the reason its state is counted under; empty: none
    since timestamptz NOT NULL,  -- when it came to this state
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL  -- its attempts up to this number are counted
) WITH (fillfactor = 75);
CREATE INDEX counted_deliveries_waiting ON counted_deliveries (platform, due_at)
    WHERE state IN ('accepted', 'scheduled', 'retrying');
CREATE INDEX counted_deliveries_open ON counted_deliveries (platform, state, reason, since)
    WHERE state IN ('unknown', 'blocked');

-- when each pause was in force, to tell late deliveries from held ones after it is lifted and its row is gone
CREATE TABLE seen_pauses (
    scope text NOT NULL,
    target text NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (scope, target, since)
) WITH (fillfactor = 75);

-- What settled, and how late, within an hour and within a day (UTC). Only the export of moves writes it.
CREATE TABLE settled_counts (
    workspace_id uuid NOT NULL,  -- the nil id: all workspaces together
    minutes integer NOT NULL CHECK (minutes IN (60, 1440)),
    starts_at timestamptz NOT NULL,
    platform text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('published', 'failed', 'cancelled', 'lateness')),
    label text NOT NULL,  -- of failed ones the class of the error, of lateness the upper bound of the bucket
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, minutes, starts_at, platform, kind, label)
) WITH (fillfactor = 50);

-- Alarms by kind and hour: the counters have their number, not their times. Only the export of moves writes it, of what
-- `count_alarm` appended.
CREATE TABLE alarms (
    kind text NOT NULL,
    hour timestamptz NOT NULL,
    n bigint NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (kind, hour)
);

-- how many posts of a workspace have a status, deleted ones left out: what was compacted, to which post_deltas adds
CREATE TABLE post_counts (
    workspace_id uuid NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, status)
) WITH (fillfactor = 50);

-- The same of posts that were made from starts_at on within so many minutes (1, 60, 1440 or 43200: each a multiple of
-- the one before, counted from the epoch, so that no time zone matters). Where there are none there is no row.
CREATE TABLE post_spans (
    workspace_id uuid NOT NULL,
    minutes integer NOT NULL,
    starts_at timestamptz NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (workspace_id, minutes, starts_at, status)
) WITH (fillfactor = 80);

-- appended to, never updated: counting in place would let one post of a workspace be stored at a time
CREATE TABLE post_deltas (
    workspace_id uuid NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL,
    minute timestamptz  -- in which the posts were made
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX post_deltas_workspace ON post_deltas (workspace_id);

-- one row for a whole batch of new posts
CREATE FUNCTION new_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT workspace_id, status, date_bin('1 minute', created_at, timestamptz 'epoch'), count(*)
    FROM added WHERE deleted_at IS NULL GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE TRIGGER new_posts_are_counted AFTER INSERT ON posts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION new_posts_are_counted();

CREATE FUNCTION moved_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT w, s, date_bin('1 minute', made, timestamptz 'epoch'), n
    FROM (VALUES (OLD.workspace_id, OLD.status, OLD.created_at, -1, OLD.deleted_at),
                 (NEW.workspace_id, NEW.status, NEW.created_at, 1, NEW.deleted_at)) AS x (w, s, made, n, deleted)
    WHERE deleted IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER moved_posts_are_counted AFTER UPDATE ON posts FOR EACH ROW
    WHEN ((OLD.workspace_id, OLD.status, OLD.deleted_at IS NULL, OLD.created_at)
          IS DISTINCT FROM (NEW.workspace_id, NEW.status, NEW.deleted_at IS NULL, NEW.created_at))
    EXECUTE FUNCTION moved_posts_are_counted();

CREATE FUNCTION gone_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO post_deltas (workspace_id, status, minute, n)
    SELECT workspace_id, status, date_bin('1 minute', created_at, timestamptz 'epoch'), -count(*)
    FROM gone WHERE deleted_at IS NULL GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE TRIGGER gone_posts_are_counted AFTER DELETE ON posts REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION gone_posts_are_counted();

CREATE FUNCTION folded_posts_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    span post_spans;
BEGIN
    FOR span IN
        INSERT INTO post_spans AS s (workspace_id, minutes, starts_at, status, n)
        SELECT workspace_id, m, date_bin(make_interval(mins => m), minute, timestamptz 'epoch'), status, sum(n)
        FROM folded, unnest(ARRAY[1, 60, 1440, 43200]) AS m
        WHERE minute IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4
        ON CONFLICT (workspace_id, minutes, starts_at, status) DO UPDATE SET n = s.n + excluded.n
        RETURNING *
    LOOP  -- one by one: a plan for all of them would be kept, made for as few as there were the first time
        IF span.n = 0 THEN
            DELETE FROM post_spans s WHERE s.workspace_id = span.workspace_id AND s.minutes = span.minutes
                AND s.starts_at = span.starts_at AND s.status = span.status;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER folded_posts_are_counted AFTER DELETE ON post_deltas REFERENCING OLD TABLE AS folded
    FOR EACH STATEMENT EXECUTE FUNCTION folded_posts_are_counted();


-- Recovery after a restore --------------------------------------------------------------------------------------------

-- one row; the epoch file outside the database is always as far or ahead (pipeline/recovery)
CREATE TABLE mark (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid,  -- the history these numbers count; NULL: no epoch file has been written yet
    n bigint NOT NULL DEFAULT 0,  -- the newest number that may be in the epoch file
    until timestamptz,  -- nothing is armed from this time on; NULL: not confirmed since the epoch began
    marked_at timestamptz,  -- when it was confirmed last: a backup that holds this row was made later
    -- whose row this is: the server's start, the database and table, and the transaction that wrote it (its xmin): in a
    -- copy, or out of a dump, one of these is another
    started timestamptz,
    database oid,
    relation oid,
    writer xid,
    -- a mismatch was found: nothing is sent until an operator has accepted it
    held_at timestamptz,
    held_why text CHECK (held_why IN ('restored', 'lost', 'declared', 'backup')),
    doubt_since timestamptz,  -- NULL: from the beginning
    doubt_until timestamptz,  -- NULL: the operator has to give it
    CHECK ((held_at IS NULL) = (held_why IS NULL))
) WITH (fillfactor = 25);
INSERT INTO mark DEFAULT VALUES;

-- deliveries that were made due earlier, or are sent again: not armed before the epoch file records it too
CREATE TABLE brought_forward (
    delivery_id uuid PRIMARY KEY
);

CREATE TABLE restores (
    epoch uuid PRIMARY KEY,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    why text NOT NULL,
    since timestamptz,
    until timestamptz,
    note text
);

-- the list an operator sees: what may have gone out between a backup and its restore
CREATE TABLE doubted (
    epoch uuid NOT NULL REFERENCES restores,
    delivery_id uuid NOT NULL,
    origin text NOT NULL,
    why text NOT NULL,
    twin boolean NOT NULL DEFAULT false,  -- another one has the same text and account: no look can tell which is live
    PRIMARY KEY (epoch, delivery_id)
);
CREATE INDEX doubted_delivery ON doubted (delivery_id);
