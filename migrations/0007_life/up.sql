-- A token's life: suspension, overlaps, uses, safe retries, limits, and who did what.

ALTER TABLE tokens
    ADD COLUMN suspend_time timestamptz,
    ADD COLUMN suspend_reason text CHECK (
        char_length(suspend_reason) <= 256 AND suspend_reason !~ '[\u0001-\u001f\u007f-\u009f]'
    ),
    -- Said again here, so that a list of one kind needs no other table; a principal's kind never changes.
    ADD COLUMN principal_kind text CHECK (principal_kind IN ('user', 'service_account')),
    ADD CONSTRAINT tokens_suspended_whole CHECK ((suspend_time IS NULL) = (suspend_reason IS NULL));
UPDATE tokens SET principal_kind = principals.kind FROM principals
    WHERE principals.workspace = tokens.workspace AND principals.id = tokens.principal;
ALTER TABLE tokens ADD CONSTRAINT tokens_principal_whole CHECK ((principal IS NULL) = (principal_kind IS NULL));

-- Many tokens that end at once are written before the log is held, when their revision is not known yet: each names this
-- row, which gets it last, in the same transaction. No foreign key, which would be asked of each token by itself.
CREATE TABLE bulk_revocations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision bigint CHECK (revision >= 1)
);
ALTER TABLE tokens
    ADD COLUMN bulk_revocation bigint,
    ADD CONSTRAINT tokens_bulk_revoked_whole CHECK (bulk_revocation IS NULL OR revoke_time IS NOT NULL);

-- The secret before the present one, as long as both may work. Apart from the tokens, of which few have one.
CREATE TABLE previous_secrets (
    token uuid PRIMARY KEY REFERENCES tokens (id),
    generation integer NOT NULL CHECK (generation >= 1),
    kid text NOT NULL CHECK (kid ~ '^[0-9A-Za-z]{2}$'),
    tag bytea NOT NULL CHECK (octet_length(tag) = 8),
    secret_hash text NOT NULL CHECK (secret_hash LIKE '$argon2id$%'),
    epoch integer NOT NULL CHECK (epoch >= 0),
    obfuscated_secret text NOT NULL CHECK (char_length(obfuscated_secret) BETWEEN 1 AND 32),
    expire_time timestamptz NOT NULL
);

CREATE INDEX tokens_by_principal_kind ON tokens (workspace, principal_kind, id) WHERE principal_kind IS NOT NULL;
CREATE INDEX tokens_by_creator ON tokens (workspace, creator, id);
CREATE INDEX tokens_by_type ON tokens (workspace, type, id);

-- Dead secrets are counted where uses are, and a token that was never used may have been presented with one.
ALTER TABLE token_last_uses
    ALTER COLUMN last_use_time DROP NOT NULL,
    ADD COLUMN use_count bigint NOT NULL DEFAULT 0 CHECK (use_count >= 0),
    ADD COLUMN previous_generation integer,
    ADD COLUMN previous_last_use_time timestamptz,
    ADD COLUMN superseded_use_count bigint NOT NULL DEFAULT 0 CHECK (superseded_use_count >= 0),
    ADD COLUMN superseded_use_time timestamptz;

-- Up to which of its reports a sidecar's uses were written, so that a report that is repeated counts once.
CREATE TABLE usage_reports (
    sidecar uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    report_time timestamptz NOT NULL DEFAULT statement_timestamp()
) WITH (fillfactor = 50);
CREATE INDEX usage_reports_by_time ON usage_reports (report_time);

-- What is limited, null for nothing; and the secrets issued of late, as a bucket that fills with time.
ALTER TABLE workspaces
    ADD COLUMN max_tokens bigint CHECK (max_tokens BETWEEN 1 AND 1000000000),
    ADD COLUMN max_tokens_per_principal bigint CHECK (max_tokens_per_principal BETWEEN 1 AND 1000000000),
    ADD COLUMN max_lifetime interval CHECK (max_lifetime >= interval '1 second'),
    ADD COLUMN max_issues_per_minute integer CHECK (max_issues_per_minute BETWEEN 1 AND 1000000),
    ADD COLUMN superseded_use text NOT NULL DEFAULT 'count' CHECK (superseded_use IN ('count', 'revoke'));
CREATE TABLE issuance_buckets (
    workspace text COLLATE "C" PRIMARY KEY REFERENCES workspaces (id),
    issues_left double precision NOT NULL CHECK (issues_left >= 0),
    fill_time timestamptz NOT NULL DEFAULT statement_timestamp()
) WITH (fillfactor = 50);

-- Requests that were carried out of late, by a digest that nobody can turn back into the request id. A secret that may
-- have to be shown again is sealed under a key that is in no database and is destroyed within days, and under the request
-- id, which is nowhere but with the caller.
CREATE TABLE requests (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    token uuid,
    generation integer,
    count bigint,
    revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    replay_day integer,
    sealed_secret bytea,
    create_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT requests_sealed_whole CHECK (num_nulls(token, generation, replay_day, sealed_secret) = 0 OR num_nulls(replay_day, sealed_secret) = 2)
);
CREATE INDEX requests_by_time ON requests (create_time);

-- By which every server sees that it seals with the same key as the others, and nobody anything else.
CREATE TABLE replay_keys (
    day integer PRIMARY KEY,
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{32}$')
);

ALTER TABLE revisions
    DROP CONSTRAINT revisions_subject_of_kind,
    DROP CONSTRAINT revisions_reason_of_end,
    ADD COLUMN tokens uuid[] CHECK (cardinality(tokens) BETWEEN 1 AND 1000),
    ADD COLUMN overlap_end_time timestamptz,
    ADD CONSTRAINT revisions_subject_of_kind CHECK (
        CASE
            WHEN kind IN ('revoked', 'secret_replaced', 'updated', 'suspended', 'resumed')
                THEN num_nulls(workspace, token, generation) = 0 AND num_nonnulls(principal, profile, kid, tokens) = 0
            WHEN kind = 'bulk_revoked'
                THEN workspace IS NOT NULL AND num_nonnulls(token, generation, principal, profile, kid) = 0
            WHEN kind = 'principal_changed'
                THEN num_nulls(workspace, principal) = 0 AND num_nonnulls(token, generation, profile, kid, tokens) = 0
            WHEN kind IN ('workspace_invalidated', 'workspace_updated')
                THEN workspace IS NOT NULL AND num_nonnulls(token, generation, principal, profile, kid, tokens) = 0
            WHEN kind = 'profile_updated'
                THEN profile IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, kid, tokens) = 0
            WHEN kind = 'key_retired'
                THEN kid IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, profile, tokens) = 0
            ELSE false
        END
    ),
    ADD CONSTRAINT revisions_overlap_of_replaced CHECK (overlap_end_time IS NULL OR kind = 'secret_replaced'),
    ADD CONSTRAINT revisions_reason_of_end CHECK (
        (kind IN ('revoked', 'workspace_invalidated', 'suspended', 'bulk_revoked')) = (reason IS NOT NULL)
    );

-- Who did what, and who was refused what. No foreign keys: it outlives what it tells of.
CREATE TABLE audit_events (
    id uuid PRIMARY KEY,
    event_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL CHECK (action ~ '^[a-z][a-z_.]{0,63}$'),
    workspace text COLLATE "C",
    caller uuid,
    initiator text COLLATE "C",
    token uuid,
    principal text COLLATE "C",
    refusal text,
    peer_address text,
    request_digest bytea CHECK (octet_length(request_digest) = 32),
    trace_id text CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object')
);
CREATE INDEX audit_events_by_workspace ON audit_events (workspace, id);
CREATE INDEX audit_events_by_token ON audit_events (token, id) WHERE token IS NOT NULL;
CREATE INDEX audit_events_by_principal ON audit_events (workspace, principal, id) WHERE principal IS NOT NULL;
CREATE INDEX audit_events_by_caller ON audit_events (caller, id) WHERE caller IS NOT NULL;
CREATE INDEX audit_events_by_time ON audit_events (event_time);
