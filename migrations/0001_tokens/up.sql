-- Workspaces, tokens and their last uses.
--
-- The checks say again what the types of the service promise, as far as SQL can, so that a hand at psql cannot leave a
-- row that no server reads. They must never refuse what those types take.

-- Identifiers and names are compared byte by byte (COLLATE "C"): the order of a page must not depend on a locale, and a
-- plain index then serves the search for the beginning of a name.
CREATE TABLE workspaces (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128 AND name !~ '[\u0001-\u001f\u007f-\u009f]'),
    token_prefix text NOT NULL CHECK (token_prefix ~ '^[a-z](_?[a-z0-9])*$' AND char_length(token_prefix) <= 8),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    create_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    update_time timestamptz NOT NULL DEFAULT statement_timestamp()
);

INSERT INTO workspaces (id, name, token_prefix) VALUES ('tokenkeep', 'tokenkeep', 'tk');

-- fillfactor: a change of a token finds room on the token's own page, and no column that regenerating or revoking
-- changes is in an index, so that neither writes to one (a heap-only update).
CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL REFERENCES workspaces (id),
    name text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128 AND name !~ '[\u0001-\u001f\u007f-\u009f]'),
    description text NOT NULL CHECK (
        char_length(description) <= 1024 AND description !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]'
    ),
    principal text COLLATE "C" CHECK (
        char_length(principal) BETWEEN 1 AND 256 AND principal !~ '[\u0001-\u001f\u007f-\u009f]'
    ),
    creator text NOT NULL CHECK (char_length(creator) BETWEEN 1 AND 256 AND creator !~ '[\u0001-\u001f\u007f-\u009f]'),
    scopes text[] COLLATE "C" NOT NULL CHECK (cardinality(scopes) <= 64 AND array_position(scopes, NULL) IS NULL),
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    expire_time timestamptz,
    create_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    update_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    revoke_time timestamptz,
    revoke_reason text CHECK (char_length(revoke_reason) <= 256 AND revoke_reason !~ '[\u0001-\u001f\u007f-\u009f]'),
    generation integer NOT NULL CHECK (generation >= 1),
    obfuscated_secret text NOT NULL CHECK (char_length(obfuscated_secret) BETWEEN 1 AND 32),
    revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    kid text NOT NULL CHECK (kid ~ '^[0-9A-Za-z]{2}$'),
    tag bytea NOT NULL CHECK (octet_length(tag) = 8),
    secret_hash text NOT NULL CHECK (secret_hash LIKE '$argon2id$%'),
    CONSTRAINT tokens_revoked_whole CHECK ((revoke_time IS NULL) = (revoke_reason IS NULL))
) WITH (fillfactor = 85);

-- Each begins with what a list always names. The ids are of version 7, so the newest come last.
CREATE INDEX tokens_by_workspace ON tokens (workspace, id);
CREATE INDEX tokens_by_principal ON tokens (workspace, principal, id) WHERE principal IS NOT NULL;
CREATE INDEX tokens_by_name ON tokens (workspace, name, id);
CREATE INDEX tokens_by_expiry ON tokens (workspace, expire_time) WHERE expire_time IS NOT NULL;
-- Without the pending list: an even cost on every insert is better than a long one now and then.
CREATE INDEX tokens_by_scope ON tokens USING gin (scopes) WITH (fastupdate = off);

-- Apart from the tokens, so that use never touches a token's row nor waits for one who edits it. The time is in no
-- index and half of each page is free, so that a new use is a heap-only update; a list that asks for unused tokens
-- looks each one up by its id.
CREATE TABLE token_last_uses (
    token uuid PRIMARY KEY REFERENCES tokens (id),
    last_use_time timestamptz NOT NULL
) WITH (fillfactor = 50);
