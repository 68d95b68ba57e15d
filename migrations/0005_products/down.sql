DELETE FROM revisions WHERE token IS NULL;
ALTER TABLE revisions
    DROP CONSTRAINT revisions_reason_of_end,
    DROP CONSTRAINT revisions_subject_of_kind,
    DROP COLUMN kid,
    DROP COLUMN profile,
    DROP COLUMN principal,
    ALTER COLUMN generation SET NOT NULL,
    ALTER COLUMN token SET NOT NULL,
    ALTER COLUMN workspace SET NOT NULL,
    ADD CONSTRAINT revisions_reason_of_revoked CHECK ((kind = 'revoked') = (reason IS NOT NULL)),
    ADD CONSTRAINT revisions_kind_check CHECK (kind IN ('revoked', 'secret_replaced', 'updated'));
DELETE FROM server_keys WHERE state = 'retired';
ALTER TABLE server_keys
    DROP CONSTRAINT server_keys_state_check,
    ADD CONSTRAINT server_keys_state_check CHECK (state IN ('minting', 'live'));
ALTER TABLE tokens
    DROP CONSTRAINT tokens_principal_known,
    DROP COLUMN secret_time,
    DROP COLUMN external_id,
    DROP COLUMN epoch,
    DROP COLUMN allowed_cidrs,
    DROP COLUMN audiences,
    DROP COLUMN type;
DROP TABLE principals;
ALTER TABLE workspaces
    DROP COLUMN revision,
    DROP COLUMN last_external_id,
    DROP COLUMN epoch,
    DROP COLUMN profile;
DROP TABLE profiles;
