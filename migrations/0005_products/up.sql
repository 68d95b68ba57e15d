-- Products: profiles, principals, and what they mean to tokens.

-- A profile as its file is written. Servers enter a version that is higher than the one here; see docs/profiles.md.
CREATE TABLE profiles (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    version integer NOT NULL CHECK (version >= 1),
    document text NOT NULL CHECK (octet_length(document) <= 262144),
    revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    update_time timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- A secret works only if it was issued in the present epoch of its workspace. The numbers that products name tokens by
-- are counted here, in the workspaces whose profile asks for them.
ALTER TABLE workspaces
    ADD COLUMN profile text COLLATE "C" REFERENCES profiles (name),
    ADD COLUMN epoch integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    ADD COLUMN last_external_id bigint NOT NULL DEFAULT 0 CHECK (last_external_id >= 0),
    ADD COLUMN revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0);

-- Who tokens act for. One that is deleted stays, so that its id is not given again and tokens can say whose they were.
CREATE TABLE principals (
    workspace text COLLATE "C" NOT NULL REFERENCES workspaces (id),
    id text COLLATE "C" NOT NULL CHECK (char_length(id) BETWEEN 1 AND 256 AND id !~ '[\u0001-\u001f\u007f-\u009f]'),
    kind text NOT NULL CHECK (kind IN ('user', 'service_account')),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128 AND name !~ '[\u0001-\u001f\u007f-\u009f]'),
    handle text COLLATE "C" CHECK (char_length(handle) BETWEEN 1 AND 256 AND handle !~ '[\u0001-\u001f\u007f-\u009f]'),
    external_id bigint CHECK (external_id >= 1),
    scopes text[] COLLATE "C" NOT NULL CHECK (cardinality(scopes) <= 64 AND array_position(scopes, NULL) IS NULL),
    creator text NOT NULL CHECK (char_length(creator) BETWEEN 1 AND 256 AND creator !~ '[\u0001-\u001f\u007f-\u009f]'),
    disabled boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    create_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    update_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    delete_time timestamptz,
    PRIMARY KEY (workspace, id)
);
CREATE UNIQUE INDEX principals_by_handle ON principals (workspace, handle) WHERE delete_time IS NULL;
CREATE UNIQUE INDEX principals_by_external_id ON principals (workspace, external_id) WHERE delete_time IS NULL;

-- Until now a token named whoever it acted for, and was held back by nothing but its own scopes.
INSERT INTO principals (workspace, id, kind, name, scopes, creator)
    SELECT DISTINCT workspace, principal, 'user', left(principal, 128), ARRAY['*', 'tokenkeep:*'], 'tokenkeep'
    FROM tokens WHERE principal IS NOT NULL;

ALTER TABLE tokens
    ADD COLUMN type text NOT NULL DEFAULT 'custom' CHECK (type IN ('read_only', 'full_access', 'custom')),
    ADD COLUMN audiences text[] COLLATE "C" NOT NULL DEFAULT '{}'
        CHECK (cardinality(audiences) <= 8 AND array_position(audiences, NULL) IS NULL),
    ADD COLUMN allowed_cidrs text[] COLLATE "C" NOT NULL DEFAULT '{}'
        CHECK (cardinality(allowed_cidrs) <= 32 AND array_position(allowed_cidrs, NULL) IS NULL),
    ADD COLUMN epoch integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    ADD COLUMN external_id bigint CHECK (external_id >= 1),
    -- When the present secret was issued.
    ADD COLUMN secret_time timestamptz NOT NULL DEFAULT statement_timestamp(),
    ADD CONSTRAINT tokens_principal_known FOREIGN KEY (workspace, principal) REFERENCES principals (workspace, id);
UPDATE tokens SET secret_time = create_time;
CREATE UNIQUE INDEX tokens_by_external_id ON tokens (workspace, external_id) WHERE external_id IS NOT NULL;

-- A key that is retired issues nothing and proves nothing any more.
ALTER TABLE server_keys
    DROP CONSTRAINT server_keys_state_check,
    ADD CONSTRAINT server_keys_state_check CHECK (state IN ('minting', 'live', 'retired'));

-- A change concerns one token, or all of a principal, a workspace, a profile or a server key.
ALTER TABLE revisions
    DROP CONSTRAINT revisions_kind_check,
    DROP CONSTRAINT revisions_reason_of_revoked,
    ALTER COLUMN workspace DROP NOT NULL,
    ALTER COLUMN token DROP NOT NULL,
    ALTER COLUMN generation DROP NOT NULL,
    ADD COLUMN principal text,
    ADD COLUMN profile text,
    ADD COLUMN kid text,
    ADD CONSTRAINT revisions_subject_of_kind CHECK (
        CASE
            WHEN kind IN ('revoked', 'secret_replaced', 'updated')
                THEN num_nulls(workspace, token, generation) = 0 AND num_nonnulls(principal, profile, kid) = 0
            WHEN kind = 'principal_changed'
                THEN num_nulls(workspace, principal) = 0 AND num_nonnulls(token, generation, profile, kid) = 0
            WHEN kind IN ('workspace_invalidated', 'workspace_updated')
                THEN workspace IS NOT NULL AND num_nonnulls(token, generation, principal, profile, kid) = 0
            WHEN kind = 'profile_updated'
                THEN profile IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, kid) = 0
            WHEN kind = 'key_retired'
                THEN kid IS NOT NULL AND num_nonnulls(workspace, token, generation, principal, profile) = 0
            ELSE false
        END
    ),
    ADD CONSTRAINT revisions_reason_of_end CHECK ((kind IN ('revoked', 'workspace_invalidated')) = (reason IS NOT NULL));
