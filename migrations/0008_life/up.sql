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
CREATE INDEX previous_secrets_by_end ON previous_secrets (expire_time);

-- Dead secrets are counted where uses are, and a token that was never used may have been presented with one. Every token
-- has a row here from its beginning.
ALTER TABLE token_last_uses
    ALTER COLUMN last_use_time DROP NOT NULL,
    ADD COLUMN use_count bigint NOT NULL DEFAULT 0 CHECK (use_count >= 0),
    ADD COLUMN previous_generation integer,
    ADD COLUMN previous_last_use_time timestamptz,
    ADD COLUMN superseded_use_count bigint NOT NULL DEFAULT 0 CHECK (superseded_use_count >= 0),
    ADD COLUMN superseded_use_time timestamptz;

-- How tokens are found. A list is in the order of the ids, newest first, and so is each index here, for one value of what it
-- is about: a page of any of them, or of several merged, reads as many entries as it shows. What a list asks of times is a
-- range of them; so an index has the hours, the days or the months that they fall in, of which a range holds few.
CREATE FUNCTION hour_of(moment timestamptz) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT date_trunc('hour', moment AT TIME ZONE 'UTC') $$;
CREATE FUNCTION day_of(moment timestamptz) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT date_trunc('day', moment AT TIME ZONE 'UTC') $$;
CREATE FUNCTION month_of(moment timestamptz) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT date_trunc('month', moment AT TIME ZONE 'UTC') $$;
-- How far the time in a token's id, set by the clock of a server, is from this moment, set by the database's.
CREATE FUNCTION seconds_from_id(id uuid, moment timestamptz) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CAST(extract(epoch FROM moment AT TIME ZONE 'UTC') AS double precision)
        - CAST(CAST('x' || left(replace(CAST(id AS text), '-', ''), 12) AS bit(48)) AS bigint) / 1000.0
    $$;

CREATE INDEX tokens_by_principal_kind ON tokens (workspace, principal_kind, id) WHERE principal_kind IS NOT NULL;
CREATE INDEX tokens_by_creator ON tokens (workspace, creator, id);
CREATE INDEX tokens_by_type ON tokens (workspace, type, id);
-- A token that never expires does so at infinity.
DROP INDEX tokens_by_expiry;
CREATE INDEX tokens_by_expiry_hour ON tokens (workspace, hour_of(expire_time), id) WHERE expire_time IS NOT NULL;
CREATE INDEX tokens_by_expiry_day ON tokens (workspace, day_of(expire_time), id) WHERE expire_time IS NOT NULL;
CREATE INDEX tokens_by_expiry_month ON tokens (workspace, coalesce(month_of(expire_time), 'infinity'), id);
-- These two a new secret changes once a month, or under a new key; a revocation changes no index of this table.
-- A column, because of an expression nobody sees whether a new secret changes it.
ALTER TABLE tokens ADD COLUMN secret_month timestamp NOT NULL GENERATED ALWAYS AS (month_of(secret_time)) STORED;
CREATE INDEX tokens_by_secret_month ON tokens (workspace, secret_month, id);
CREATE INDEX tokens_by_secret_validity ON tokens (workspace, epoch, kid, id);
-- As long as there are none, a bound on the time of creation is one on the ids.
CREATE INDEX tokens_by_strayed_id ON tokens (workspace) WHERE abs(seconds_from_id(id, create_time)) >= 60;

-- What a token is found by that is no column of one value, or that changes: its scopes, as `scope:…`, and whether it is
-- `revoked` or `suspended`. Apart, so that revoking a token writes an entry here and not one to each index there.
DROP INDEX tokens_by_scope;
CREATE TABLE token_marks (
    workspace text COLLATE "C" NOT NULL,
    mark text COLLATE "C" NOT NULL,
    token uuid NOT NULL,
    PRIMARY KEY (workspace, mark, token)
);
INSERT INTO token_marks
    SELECT DISTINCT workspace, 'scope:' || scope, id FROM tokens, unnest(scopes) AS scope
    UNION ALL SELECT workspace, 'revoked', id FROM tokens WHERE revoke_time IS NOT NULL;

-- The month of the last use, in an index of its own: a use writes to it once a month. Never is before all months.
ALTER TABLE token_last_uses
    ADD COLUMN workspace text COLLATE "C",
    ADD COLUMN use_month timestamp NOT NULL
        GENERATED ALWAYS AS (coalesce(month_of(last_use_time), '-infinity')) STORED;
UPDATE token_last_uses SET workspace = tokens.workspace FROM tokens WHERE tokens.id = token;
INSERT INTO token_last_uses (token, workspace) SELECT id, workspace FROM tokens ON CONFLICT DO NOTHING;
CREATE INDEX token_last_uses_by_month ON token_last_uses (workspace, use_month, token);
CREATE INDEX token_last_uses_by_superseded_use ON token_last_uses (workspace, token)
    WHERE superseded_use_time IS NOT NULL;

CREATE FUNCTION mark_new_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO token_last_uses (token, workspace) VALUES (NEW.id, NEW.workspace);
    INSERT INTO token_marks SELECT DISTINCT NEW.workspace, 'scope:' || scope, NEW.id FROM unnest(NEW.scopes) AS scope;
    RETURN NULL;
END $$;
CREATE FUNCTION mark_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.revoke_time IS NOT NULL AND OLD.revoke_time IS NULL THEN
        INSERT INTO token_marks VALUES (NEW.workspace, 'revoked', NEW.id);
    END IF;
    IF NEW.suspend_time IS NOT NULL AND OLD.suspend_time IS NULL THEN
        INSERT INTO token_marks VALUES (NEW.workspace, 'suspended', NEW.id);
    ELSIF NEW.suspend_time IS NULL AND OLD.suspend_time IS NOT NULL THEN
        DELETE FROM token_marks WHERE workspace = NEW.workspace AND mark = 'suspended' AND token = NEW.id;
    END IF;
    IF NEW.scopes <> OLD.scopes THEN
        DELETE FROM token_marks
            WHERE workspace = NEW.workspace AND token = NEW.id
            AND mark IN (SELECT 'scope:' || scope FROM unnest(OLD.scopes) AS scope);
        INSERT INTO token_marks SELECT DISTINCT NEW.workspace, 'scope:' || scope, NEW.id FROM unnest(NEW.scopes) AS scope;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_new AFTER INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION mark_new_token();
CREATE TRIGGER tokens_marked AFTER UPDATE OF revoke_time, suspend_time, scopes ON tokens FOR EACH ROW
    WHEN (
        (OLD.revoke_time, OLD.suspend_time, OLD.scopes) IS DISTINCT FROM (NEW.revoke_time, NEW.suspend_time, NEW.scopes)
    )
    EXECUTE FUNCTION mark_token();

-- Up to which of its reports the uses that a server or sidecar has counted were written, so that one that is repeated
-- counts once.
CREATE TABLE usage_reports (
    reporter uuid PRIMARY KEY,
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
